import type { ByteSource } from "../../bytes/index.ts";
import type { Port } from "../port.ts";

/** A file of the port as a byte source. Closing it closes the file. */
export class PortSource implements ByteSource {
  readonly name: string;
  readonly size: number;
  readonly #port: Port;
  readonly #fd: number;

  /** @throws PortError where the file cannot be opened. */
  constructor(port: Port, path: string) {
    this.name = path;
    this.#port = port;
    this.#fd = port.open(path, "read");
    this.size = port.size(this.#fd);
  }

  read(offset: number, into: Uint8Array): number {
    if (offset < 0 || offset >= this.size) return 0;
    this.#port.seek(this.#fd, offset);
    let done = 0;
    while (done < into.length) {
      const got = this.#port.read(this.#fd, into.subarray(done));
      if (got === 0) break;
      done += got;
    }
    return done;
  }

  close(): void {
    this.#port.close(this.#fd);
  }
}
