import type { MemoryRange } from "./page-list.ts";
import { PAGE_SIZE } from "./layout.ts";

/** A set of page frames, one bit each: 32 KiB for a GiB of memory. */
export class FrameSet {
  readonly #bits: Uint8Array;
  readonly maxPfn: number;
  #count = 0;
  #cursor = 0;

  /** @param maxPfn one more than the highest frame. */
  constructor(maxPfn: number) {
    this.maxPfn = maxPfn;
    this.#bits = new Uint8Array(Math.ceil(maxPfn / 8));
  }

  get count(): number {
    return this.#count;
  }

  has(pfn: number): boolean {
    return (this.#bits[pfn >>> 3]! & (1 << (pfn & 7))) !== 0;
  }

  /** False where it was there already, or is beyond the highest frame. */
  add(pfn: number): boolean {
    if (pfn >= this.maxPfn || this.has(pfn)) return false;
    this.#bits[pfn >>> 3]! |= 1 << (pfn & 7);
    this.#count++;
    return true;
  }

  delete(pfn: number): void {
    if (!this.has(pfn)) return;
    this.#bits[pfn >>> 3]! &= ~(1 << (pfn & 7));
    this.#count--;
  }

  addRange({ start, end }: MemoryRange): void {
    for (let pfn = Math.ceil(start / PAGE_SIZE); (pfn + 1) * PAGE_SIZE <= end; pfn++) this.add(pfn);
  }

  /** Takes a frame out: the next above the one taken before, so that what is taken lies together. Undefined when it is empty. */
  take(): number | undefined {
    if (this.#count === 0) return undefined;
    let pfn = this.#next(this.#cursor);
    if (pfn === undefined) pfn = this.#next(0)!;
    this.#cursor = pfn;
    this.delete(pfn);
    return pfn;
  }

  #next(from: number): number | undefined {
    for (let pfn = from; pfn < this.maxPfn;) {
      if ((pfn & 7) === 0 && this.#bits[pfn >>> 3] === 0) pfn += 8;
      else if (this.has(pfn)) return pfn;
      else pfn++;
    }
    return undefined;
  }

  /** Its runs in ascending order: frames `[start, start + length)`. */
  *runs(): Iterable<{ start: number; length: number }> {
    for (let start = this.#next(0); start !== undefined;) {
      let end = start + 1;
      while (end < this.maxPfn && this.has(end)) end++;
      yield { start, length: end - start };
      start = this.#next(end);
    }
  }

  copy(): FrameSet {
    const copy = new FrameSet(this.maxPfn);
    copy.#bits.set(this.#bits);
    copy.#count = this.#count;
    return copy;
  }
}
