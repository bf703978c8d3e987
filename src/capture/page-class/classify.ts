import type { PageLayout } from "./layout.ts";

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

/** PAGE_MAPPING_ANON, bit 0 of `mapping` (linux:include/linux/page-flags.h). */
const ANON = 1;

/**
 * Classes pages by their struct pages, by makedumpfile's rules and in its order (makedumpfile:makedumpfile.c:
 * __exclude_unnecessary_pages), so that the sets are the same: free, page cache, anonymous and hugetlb, poisoned, offline. A tail page
 * shares the fate of its head. What is in doubt stays in.
 */
export class PageClassifier {
  readonly counts: Record<PageClass, number> = { free: 0, cache: 0, cachePrivate: 0, user: 0, hwpoison: 0, offline: 0 };
  readonly #layout: PageLayout;
  readonly #level: number;
  #until = 0;
  #class: PageClass = "free";

  constructor(layout: PageLayout, level: number) {
    this.#layout = layout;
    this.#level = level;
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
    return this.#until > from ? this.#clear(from, Math.min(this.#until, to), this.#class, kept, base) : from;
  }

  /**
   * Clears the bits of frames `[pfn, pfn + count)` that are to be left out. Frames must come in ascending order over all calls. What comes
   * out is the same for pieces of any size, as long as each begins at an even frame.
   *
   * @param pages their struct pages in the machine's byte order, which must be ours. @param kept bitmap, bit 0 of byte 0 is frame `base`.
   */
  run(pages: Uint32Array, pfn: number, count: number, kept: Uint8Array, base: number): void {
    const { size, flags, mapping, mapcount, compoundHead, private: privateAt } = this.#layout;
    const layout = this.#layout;
    const stride = size / 4;
    const level = this.#level;
    const end = pfn + count;
    let at = this.skip(pfn, end, kept, base);
    while (at < end) {
      const page = (at - pfn) * stride;
      const pageFlags = pages[page + flags]!;
      // Most pages are neither: a tail's fate was its head's.
      if ((pages[page + compoundHead]! & 1) !== 0) {
        at++;
        continue;
      }
      const type = pages[page + mapcount]!;
      const isSlab = type === layout.slabType || (pageFlags & layout.slabFlag) !== 0;
      let pageClass: PageClass | undefined;
      let length = 1;
      if ((level & EXCLUDE_FREE) !== 0 && type === layout.buddy && !isSlab) {
        const order = pages[page + privateAt]!;
        // Caught in the middle of a change, or no order of a block that begins here: it stays.
        if (order < layout.orders && pages[page + privateAt + 1] === 0 && at % 2 ** order === 0) {
          pageClass = "free";
          length = 2 ** order;
        }
      } else if ((level & EXCLUDE_FREE) !== 0 && type === layout.unaccepted && !isSlab) {
        const pagesOfBlock = 2 ** (layout.orders - 1);
        if (at % pagesOfBlock === 0) {
          pageClass = "free";
          length = pagesOfBlock;
        }
      } else {
        const isAnon = (pages[page + mapping]! & ANON) !== 0 && !isSlab;
        const isCache =
          (pageFlags & layout.lru) !== 0 ||
          ((pageFlags & layout.swapCache) !== 0 && (layout.swapBacked === 0 || (pageFlags & layout.swapBacked) !== 0));
        const isPrivate = (pageFlags & layout.privateFlag) !== 0;
        // At an odd frame no compound page can begin: a head's second struct page is never in another piece.
        const isHead = (pageFlags & layout.head) !== 0 && at % 2 === 0 && at + 1 < end;
        if (
          isCache &&
          !isAnon &&
          (isPrivate ? (level & EXCLUDE_CACHE_PRIVATE) !== 0 : (level & (EXCLUDE_CACHE | EXCLUDE_CACHE_PRIVATE)) !== 0)
        ) {
          pageClass = isPrivate ? "cachePrivate" : "cache";
        } else if ((level & EXCLUDE_USER) !== 0 && (isAnon || (isHead && this.#isHugetlb(pages, page, stride, type)))) {
          pageClass = "user";
        } else if ((pageFlags & layout.hwPoison) !== 0) {
          pageClass = "hwpoison";
        } else if (type === layout.offline && !isSlab) {
          pageClass = "offline";
        }
        if (pageClass !== undefined && isHead) length = this.#lengthOf(pages, page, stride, at);
      }
      if (pageClass === undefined) at++;
      else if (length === 1) at = this.#clear(at, at + 1, pageClass, kept, base);
      else {
        this.#until = at + length;
        this.#class = pageClass;
        at = this.#clear(at, Math.min(this.#until, end), pageClass, kept, base);
      }
    }
  }

  /** Pages of a compound page, from its second struct page; 1 where the order makes no sense for this frame. */
  #lengthOf(pages: Uint32Array, page: number, stride: number, pfn: number): number {
    const { hugetlb, flags } = this.#layout;
    const second = page + stride;
    const order = hugetlb.kind === "destructor" ? byteAt(pages, second, hugetlb.orderAt) : pages[second + flags]! & 0xff;
    return order < 32 && pfn % 2 ** order === 0 ? 2 ** order : 1;
  }

  #isHugetlb(pages: Uint32Array, page: number, stride: number, type: number): boolean {
    const { hugetlb, flags } = this.#layout;
    switch (hugetlb.kind) {
      case "type":
        return type === hugetlb.value;
      case "flag":
        return (pages[page + stride + flags]! & hugetlb.mask) !== 0;
      case "destructor":
        return hugetlb.value !== undefined && byteAt(pages, page + stride, hugetlb.dtorAt) === hugetlb.value;
    }
  }

  /** Clears `[from, to)`, counts those that were set, and returns `to`. */
  #clear(from: number, to: number, pageClass: PageClass, kept: Uint8Array, base: number): number {
    let cleared = 0;
    for (let pfn = from; pfn < to;) {
      const bit = pfn - base;
      if ((bit & 7) === 0 && pfn + 8 <= to) {
        const byte = kept[bit >>> 3]!;
        if (byte !== 0) {
          cleared += POPCOUNT[byte]!;
          kept[bit >>> 3] = 0;
        }
        pfn += 8;
        continue;
      }
      const mask = 1 << (bit & 7);
      const byte = kept[bit >>> 3]!;
      if ((byte & mask) !== 0) {
        cleared++;
        kept[bit >>> 3] = byte & ~mask;
      }
      pfn++;
    }
    this.counts[pageClass] += cleared;
    return to;
  }
}

function byteAt(pages: Uint32Array, page: number, offset: number): number {
  return (pages[page + (offset >>> 2)]! >>> ((offset & 3) * 8)) & 0xff;
}

/** Bits set in each byte. */
export const POPCOUNT: Uint8Array = Uint8Array.from({ length: 256 }, (_, byte) => {
  let count = 0;
  for (let rest = byte; rest > 0; rest &= rest - 1) count++;
  return count;
});
