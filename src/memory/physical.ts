import { asPfn, DumpError, hex, isDumpError, type Paddr } from "../bytes/index.ts";
import type { DumpFile } from "../format/index.ts";

/** Pages kept: 16 MiB of 4 KiB pages. Enough for page tables, per-CPU areas and the tables being walked. */
const CACHED_BYTES = 16 * 1024 * 1024;

/** Physical memory of the crashed machine, by bytes, over a dump's pages. */
export class PhysicalMemory {
  readonly dump: DumpFile;
  readonly pageSize: number;
  /** Fill pages that the dump left out with zeros instead of throwing EXCLUDED; they are counted. */
  zeroExcluded = false;
  /** Pages that were read as zeros because of {@link zeroExcluded}. */
  zeroFilled = 0;
  readonly #cache: Map<number, Uint8Array> = new Map();
  readonly #capacity: number;
  #lastPfn = -1;
  #last: Uint8Array | undefined;

  constructor(dump: DumpFile) {
    this.dump = dump;
    this.pageSize = dump.pageSize;
    this.#capacity = Math.max(16, Math.floor(CACHED_BYTES / dump.pageSize));
  }

  /**
   * The page with that frame number; valid until the next call only if the caller does not keep it (the cache may
   * drop it, but never reuses its bytes), and not to be written to.
   *
   * @throws what {@link DumpFile.readPage} throws.
   */
  page(pfn: number): Uint8Array {
    if (pfn === this.#lastPfn) return this.#last!;
    let page = this.#cache.get(pfn);
    if (page) {
      // Move to the young end: Map keeps insertion order.
      this.#cache.delete(pfn);
    } else {
      page = new Uint8Array(this.pageSize);
      try {
        this.dump.readPage(asPfn(pfn), page);
      } catch (error) {
        if (!(this.zeroExcluded && isDumpError(error, "EXCLUDED"))) throw error;
        page.fill(0);
        this.zeroFilled++;
      }
      if (this.#cache.size >= this.#capacity) this.#cache.delete(this.#cache.keys().next().value!);
    }
    this.#cache.set(pfn, page);
    this.#lastPfn = pfn;
    this.#last = page;
    return page;
  }

  /** Fills `into` from physical address `address`. @throws as {@link page}. */
  read(address: Paddr, into: Uint8Array): void {
    if (!(address >= 0 && Number.isSafeInteger(address + into.length))) {
      throw new DumpError("BAD_ARGUMENT", `physical address ${hex(address)} is out of range`, { at: address });
    }
    let done = 0;
    while (done < into.length) {
      const at = address + done;
      const pfn = Math.floor(at / this.pageSize);
      const inPage = at - pfn * this.pageSize;
      const count = Math.min(into.length - done, this.pageSize - inPage);
      into.set(this.page(pfn).subarray(inPage, inPage + count), done);
      done += count;
    }
  }
}
