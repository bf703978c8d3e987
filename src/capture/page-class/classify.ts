import { type ArrayPiece, PageKernels, RULES_BYTES } from "../../codec/kernels/kernels.ts";
import type { PageLayout } from "./layout.ts";
import { COUNTS, LAST_CLASS, writeRules } from "./rules.ts";

/** Bits of a dump level (makedumpfile(8), -d). */
export const EXCLUDE_ZERO: number = 1;
export const EXCLUDE_CACHE: number = 2;
export const EXCLUDE_CACHE_PRIVATE: number = 4;
export const EXCLUDE_USER: number = 8;
export const EXCLUDE_FREE: number = 16;
/** Bits that need struct pages to be read. */
export const EXCLUDE_BY_CLASS: number = EXCLUDE_CACHE | EXCLUDE_CACHE_PRIVATE | EXCLUDE_USER | EXCLUDE_FREE;

/** Why a page is left out. */
export type PageClass = "free" | "cache" | "cachePrivate" | "user" | "hwpoison" | "offline";

/** As the page kernels number them. */
const CLASSES: readonly PageClass[] = ["free", "cache", "cachePrivate", "user", "hwpoison", "offline"];

/** Struct pages that are classed at once at most: with 64 bytes each they stay in a CPU's cache. */
export const PIECE: number = 2048;
/** Blocks have at most so many frames, and begin at multiples of their size. */
const LARGEST_BLOCK = 2 ** 18;

/**
 * Classes pages by their struct pages, by makedumpfile's rules and in its order (makedumpfile:makedumpfile.c:
 * __exclude_unnecessary_pages), so that the sets are the same: free, page cache, anonymous and hugetlb, poisoned, offline. A tail page
 * shares the fate of its head. What is in doubt stays in. The rules themselves are in src/codec/kernels/asc/classify.ts: most programs
 * end before JavaScript would have been compiled to be as fast.
 */
export class PageClassifier {
  /** Room for the struct pages of {@link PIECE} frames, in the machine's byte order, which must be ours. */
  readonly pages: Uint8Array;
  readonly #kernels: PageKernels;
  readonly #piece: ArrayPiece;
  readonly #bits: Uint8Array;
  /** The rules with their results, as 64-bit numbers. */
  readonly #rules: BigUint64Array;
  #until = 0;

  constructor(layout: PageLayout, level: number) {
    const kernels = PageKernels.create();
    this.#kernels = kernels;
    this.#piece = kernels.allocatePiece(layout.size, PIECE);
    this.pages = kernels.bytes(this.#piece.source, PIECE * layout.size);
    this.#bits = kernels.bytes(this.#piece.kept, PIECE / 8 + 1);
    const rules = kernels.bytes(this.#piece.rules, RULES_BYTES);
    writeRules(rules, layout, level);
    this.#rules = new BigUint64Array(rules.buffer, rules.byteOffset, RULES_BYTES / 8);
  }

  /** Pages left out so far. */
  get counts(): Record<PageClass, number> {
    const counts = CLASSES.map((name, i) => [name, Number(this.#rules[COUNTS + i])] as const);
    return Object.fromEntries(counts) as Record<PageClass, number>;
  }

  /** End of the last block that was left out: frames below it are decided, and their struct pages need not be read. */
  get until(): number {
    return this.#until;
  }

  /**
   * Clears the bits of those frames of `[from, to)` that the last block covers: their struct pages have nothing to say.
   *
   * @returns the first frame that is not decided by it, or `to`.
   */
  skip(from: number, to: number, kept: Uint8Array, base: number): number {
    const end = Math.min(this.#until, to);
    let cleared = 0;
    let at = from;
    for (; at < end; at += Math.min(PIECE, end - at)) {
      const count = Math.min(PIECE, end - at);
      cleared += this.#onBits(at - base, count, kept, (bit) => this.#kernels.clearBits(this.#piece, bit, count));
    }
    const of = COUNTS + Number(this.#rules[LAST_CLASS]);
    if (cleared > 0) this.#rules[of] = this.#rules[of]! + BigInt(cleared);
    return at;
  }

  /**
   * Clears the bits of frames `[pfn, pfn + count)` that are to be left out, by their struct pages in {@link pages}. Frames must come in
   * ascending order over all calls, and none that {@link skip} has decided. What comes out is the same for pieces of any size, as long as
   * each begins at an even frame.
   *
   * @param count at most {@link PIECE}. @param kept bitmap, bit 0 of byte 0 is frame `base`.
   */
  run(pfn: number, count: number, kept: Uint8Array, base: number): void {
    const until = this.#onBits(pfn - base, count, kept, (bit) => this.#kernels.classify(this.#piece, count, pfn % LARGEST_BLOCK, bit));
    if (until > 0) this.#until = pfn + until;
  }

  /** Calls back with bits `[at, at + count)` of the bitmap in the piece's; they begin at its bit `bit`. What becomes of them is taken over. */
  #onBits(at: number, count: number, kept: Uint8Array, change: (bit: number) => number): number {
    const bit = at & 7;
    const from = (at - bit) / 8;
    const bytes = Math.ceil((bit + count) / 8);
    this.#bits.set(kept.subarray(from, from + bytes));
    const result = change(bit);
    kept.set(this.#bits.subarray(0, bytes), from);
    return result;
  }
}
