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

/** Closes after another failure, which is of more interest than one of this. */
export function closeQuietly(port: Port, fd: number): void {
  try {
    port.close(fd);
  } catch (error) {
    if (!(error instanceof PortError)) throw error;
  }
}

/** Large machines have thousands of lines there. */
const IOMEM_LIMIT = 16 * 1024 * 1024;

/**
 * Refuses memory that is not ours: what is System RAM is somebody's, also where a driver added it, and what a loaded ramoops has, too.
 *
 * @throws PortError, also where /proc/iomem does not tell.
 */
export function refuseUsedMemory(port: Port, address: number, size: number): void {
  const hex = (value: number): string => `0x${value.toString(16)}`;
  const own = `${hex(address)} to ${hex(address + size - 1)}`;
  let told = false;
  for (const [, from, to, owner] of (readText(port, "/proc/iomem", IOMEM_LIMIT) ?? "").matchAll(
    /^ *([0-9a-f]+)-([0-9a-f]+) : (System RAM|ramoops|persistent_ram)\b/gm,
  )) {
    const [start, end] = [Number.parseInt(from!, 16), Number.parseInt(to!, 16) + 1];
    // Who may not see addresses sees zeros.
    if (end > 1) told = true;
    if (end <= 1 || address >= end || address + size <= start) continue;
    throw new PortError(
      "EBUSY",
      owner === "System RAM"
        ? `${own} is System RAM in /proc/iomem: reserve it first, as with memmap=${size / 1024}K$${hex(address)} on the kernel's command line`
        : `the ramoops driver has ${hex(start)} to ${hex(end - 1)} and writes there itself; unload it, or give other memory`,
    );
  }
  if (!told) throw new PortError("EPERM", `/proc/iomem does not tell whose memory ${own} is: nothing is written to it`);
  const parameter = (name: string): number => Number((readText(port, `/sys/module/ramoops/parameters/${name}`) ?? "0").trim());
  const loaded = parameter("mem_address");
  // In memory that the kernel maps otherwise, /proc/iomem does not name the driver.
  if (loaded !== 0 && loaded < address + size && loaded + Math.max(1, parameter("mem_size")) > address) {
    throw new PortError(
      "EBUSY",
      `the ramoops module is loaded for ${hex(loaded)} and writes there itself; unload it, or give other memory`,
    );
  }
}
