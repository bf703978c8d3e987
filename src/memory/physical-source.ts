import { asPfn, type ByteSource, isDumpError } from "../bytes/index.ts";
import type { DumpFile } from "../format/index.ts";

/**
 * A dump's physical memory as bytes by physical address. Pages that the dump does not hold read as zeros: who looks for
 * something in memory does not want to fall over every hole.
 */
export class PhysicalSource implements ByteSource {
  readonly name: string;
  readonly size: number;
  readonly #dump: DumpFile;
  readonly #page: Uint8Array;

  constructor(dump: DumpFile, name: string) {
    this.#dump = dump;
    this.name = name;
    this.size = dump.maxPfn * dump.pageSize;
    this.#page = new Uint8Array(dump.pageSize);
  }

  /** Whether any page of `[from, from + length)` is in the dump. */
  holds(from: number, length: number): boolean {
    const { pageSize } = this.#dump;
    const next = this.#dump.nextStored(asPfn(Math.floor(from / pageSize)));
    return next !== undefined && next * pageSize < from + length;
  }

  read(offset: number, into: Uint8Array): number {
    const { pageSize } = this.#dump;
    const length = Math.min(into.length, this.size - offset);
    if (offset < 0 || length <= 0) return 0;
    for (let done = 0; done < length;) {
      const pfn = Math.floor((offset + done) / pageSize);
      const inPage = offset + done - pfn * pageSize;
      const count = Math.min(length - done, pageSize - inPage);
      const whole = count === pageSize;
      const page = whole ? into.subarray(done, done + pageSize) : this.#page;
      try {
        if (this.#dump.pageState(asPfn(pfn)) === "stored") this.#dump.readPage(asPfn(pfn), page);
        else page.fill(0);
      } catch (error) {
        if (!isDumpError(error)) throw error;
        page.fill(0);
      }
      if (!whole) into.set(page.subarray(inPage, inPage + count), done);
      done += count;
    }
    return length;
  }

  close(): void {}
}
