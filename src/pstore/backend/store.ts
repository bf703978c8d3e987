import { type Port, PortError, readText } from "../port.ts";
import type { ZoneStore } from "../ramoops/write.ts";

/** A part of a file or device that a zone lies in. */
export class PortStore implements ZoneStore {
  readonly #port: Port;
  readonly #fd: number;
  readonly #base: number;

  /** @param base offset of the zone's first byte in the file. */
  constructor(port: Port, fd: number, base: number) {
    this.#port = port;
    this.#fd = fd;
    this.#base = base;
  }

  read(offset: number, into: Uint8Array): void {
    this.#port.seek(this.#fd, this.#base + offset);
    for (let done = 0; done < into.length;) {
      const got = this.#port.read(this.#fd, into.subarray(done));
      if (got === 0) throw new PortError("ENXIO", `there are ${done} of the ${into.length} bytes at ${this.#base + offset}`);
      done += got;
    }
  }

  write(offset: number, bytes: Uint8Array): void {
    this.#port.seek(this.#fd, this.#base + offset);
    this.#port.write(this.#fd, bytes);
  }
}

/** Refuses memory that is not ours: what is System RAM is somebody's, and what a loaded driver has, too. @throws PortError. */
export function refuseUsedMemory(port: Port, address: number, size: number): void {
  const hex = (value: number): string => `0x${value.toString(16)}`;
  for (const [, from, to] of (readText(port, "/proc/iomem") ?? "").matchAll(/^([0-9a-f]+)-([0-9a-f]+) : System RAM$/gm)) {
    const [start, end] = [Number.parseInt(from!, 16), Number.parseInt(to!, 16) + 1];
    if (end > 1 && address < end && address + size > start) {
      throw new PortError(
        "EBUSY",
        `${hex(address)} to ${hex(address + size - 1)} is System RAM in /proc/iomem: reserve it first, as with memmap=${size / 1024}K$${hex(address)} on the kernel's command line`,
      );
    }
  }
  const loaded = Number((readText(port, "/sys/module/ramoops/parameters/mem_address") ?? "0").trim());
  if (loaded !== 0 && loaded < address + size && loaded >= address) {
    throw new PortError(
      "EBUSY",
      `the ramoops module is loaded for ${hex(loaded)} and writes there itself; unload it, or give other memory`,
    );
  }
}
