/*
 * The choice of pages by their struct pages: what ../../../capture/page-class/classify.ts describes, for one piece of the
 * page array. As in page.ts, everything is an offset in the imported memory, and there is no state besides.
 */

/*
 * The rules: numbers that capture/page-class/rules.ts writes, at these offsets. u32 first; what is "at" is an offset in
 * struct page, bytes; then u64, which no u32 equals where the kernel does not have it.
 */
const SIZE: usize = 0;
const FLAGS_AT: usize = 4;
const MAPPING_AT: usize = 8;
const MAPCOUNT_AT: usize = 12;
const PRIVATE_AT: usize = 16;
const COMPOUND_HEAD_AT: usize = 20;
const LRU: usize = 24;
const PRIVATE: usize = 28;
const SWAP_CACHE: usize = 32;
const SWAP_BACKED: usize = 36;
const HW_POISON: usize = 40;
const HEAD: usize = 44;
const SLAB: usize = 48;
/** Number of orders of free blocks. */
const ORDERS: usize = 52;
const LEVEL: usize = 56;
/** Where a hugetlb page is marked: BY_TYPE in its own struct page; BY_FLAG in the second, in its flags; BY_BYTE there, at DTOR_AT. */
const HUGETLB_KIND: usize = 60;
const DTOR_AT: usize = 64;
/** Where the second struct page has the order of a compound page, in a byte. */
const ORDER_AT: usize = 68;
const SLAB_TYPE: usize = 72;
const BUDDY: usize = 80;
const OFFLINE: usize = 88;
const UNACCEPTED: usize = 96;
/** The type, the mask or the byte that marks a hugetlb page. */
const HUGETLB: usize = 104;
/** Set by the kernel: the class of the last block that was left out, u64. */
const LAST_CLASS: usize = 112;
/** Added to by the kernel: pages left out, u64 for each class. */
const COUNTS: usize = 120;

const BY_TYPE: u32 = 0;
const BY_FLAG: u32 = 1;

/** Classes, as their counts are numbered. */
const FREE: u32 = 0;
const CACHE: u32 = 1;
const CACHE_PRIVATE: u32 = 2;
const USER: u32 = 3;
const POISONED: u32 = 4;
const OFF: u32 = 5;
const KEPT: u32 = 6;

/** Bits of the level. */
const EXCLUDE_CACHE: u32 = 2;
const EXCLUDE_CACHE_PRIVATE: u32 = 4;
const EXCLUDE_USER: u32 = 8;
const EXCLUDE_FREE: u32 = 16;

/** Bit 0 of `mapping` and of `compound_head` (linux:include/linux/page-flags.h). */
const ANON: u8 = 1;
const TAIL: u8 = 1;

/** Of 1 GiB, in pages of 4 KiB: the largest block that there is. */
const MAX_ORDER: u32 = 18;

/**
 * Clears the bits of pages that are to be left out, and counts those that were set.
 *
 * @param pages `count` struct pages, from that of frame `first` on, of which the low MAX_ORDER bits are enough.
 * @param kept bitmap; its bit `bit` is for the first of them.
 * @returns where the last block ends that was left out and has more than one page, counted in frames from `first`: more
 * than `count` where it reaches beyond them; 0 where there is none.
 */
export function classify(pages: usize, count: u32, first: u32, kept: usize, bit: u32, rules: usize): u32 {
  const size = <usize>load<u32>(rules, SIZE);
  const flagsAt = <usize>load<u32>(rules, FLAGS_AT);
  const mappingAt = <usize>load<u32>(rules, MAPPING_AT);
  const mapcountAt = <usize>load<u32>(rules, MAPCOUNT_AT);
  const compoundHeadAt = <usize>load<u32>(rules, COMPOUND_HEAD_AT);
  const lru = load<u32>(rules, LRU);
  const privateFlag = load<u32>(rules, PRIVATE);
  const swapCache = load<u32>(rules, SWAP_CACHE);
  const swapBacked = load<u32>(rules, SWAP_BACKED);
  const hwPoison = load<u32>(rules, HW_POISON);
  const head = load<u32>(rules, HEAD);
  const slab = load<u32>(rules, SLAB);
  const level = load<u32>(rules, LEVEL);
  const slabType = load<u64>(rules, SLAB_TYPE);
  const buddy = load<u64>(rules, BUDDY);
  const offline = load<u64>(rules, OFFLINE);
  const unaccepted = load<u64>(rules, UNACCEPTED);
  const counts = rules + COUNTS;
  let until: u32 = 0;
  for (let at: u32 = 0; at < count;) {
    const page = pages + <usize>at * size;
    // Most pages are neither: a tail's fate was its head's.
    if (load<u8>(page + compoundHeadAt) & TAIL) {
      at++;
      continue;
    }
    const flags = load<u32>(page + flagsAt);
    const type = <u64>load<u32>(page + mapcountAt);
    const isSlab = (flags & slab) != 0 || type == slabType;
    const frame = first + at;
    let what: u32 = KEPT;
    let order: u32 = 0;
    if ((level & EXCLUDE_FREE) != 0 && type == buddy && !isSlab) {
      const value = load<u64>(page + <usize>load<u32>(rules, PRIVATE_AT));
      // Caught in the middle of a change, or no order of a block that begins here: it stays.
      if (value < <u64>load<u32>(rules, ORDERS) && canBegin(frame, <u32>value)) {
        what = FREE;
        order = <u32>value;
      }
    } else if ((level & EXCLUDE_FREE) != 0 && type == unaccepted && !isSlab) {
      const largest = load<u32>(rules, ORDERS) - 1;
      if (canBegin(frame, largest)) {
        what = FREE;
        order = largest;
      }
    } else {
      const isAnon = (load<u8>(page + mappingAt) & ANON) != 0 && !isSlab;
      const isCache = (flags & lru) != 0 || ((flags & swapCache) != 0 && (swapBacked == 0 || (flags & swapBacked) != 0));
      const isPrivate = (flags & privateFlag) != 0;
      // At an odd frame no compound page can begin: a head's second struct page is never in another piece.
      const isHead = (flags & head) != 0 && (frame & 1) == 0 && at + 1 < count;
      if (isCache && !isAnon && (level & (isPrivate ? EXCLUDE_CACHE_PRIVATE : EXCLUDE_CACHE | EXCLUDE_CACHE_PRIVATE)) != 0) {
        what = isPrivate ? CACHE_PRIVATE : CACHE;
      } else if ((level & EXCLUDE_USER) != 0 && (isAnon || (isHead && isHugetlb(page, type, rules)))) {
        what = USER;
      } else if ((flags & hwPoison) != 0) {
        what = POISONED;
      } else if (type == offline && !isSlab) {
        what = OFF;
      }
      if (isHead && what != KEPT) {
        const claimed = <u32>load<u8>(page + size + <usize>load<u32>(rules, ORDER_AT));
        // Where the order makes no sense for this frame, the page is meant.
        if (canBegin(frame, claimed)) order = claimed;
      }
    }
    if (what == KEPT) {
      at++;
      continue;
    }
    const counter = counts + ((<usize>what) << 3);
    if (order == 0) {
      const byte = kept + <usize>((bit + at) >>> 3);
      const was = <u32>load<u8>(byte);
      const mask: u32 = 1 << ((bit + at) & 7);
      if (was & mask) {
        store<u8>(byte, was ^ mask);
        store<u64>(counter, load<u64>(counter) + 1);
      }
      at++;
      continue;
    }
    until = at + (1 << order);
    store<u64>(rules, what, LAST_CLASS);
    const end = min(until, count);
    store<u64>(counter, load<u64>(counter) + <u64>clearBits(kept, bit + at, bit + end));
    at = end;
  }
  return until;
}

/** Whether there are blocks of this order, and one can begin at this frame. */
function canBegin(frame: u32, order: u32): bool {
  return order <= MAX_ORDER && (frame & ((1 << order) - 1)) == 0;
}

/** Whether this is the head of a hugetlb page; its second struct page is there. */
function isHugetlb(page: usize, type: u64, rules: usize): bool {
  const kind = load<u32>(rules, HUGETLB_KIND);
  const value = load<u64>(rules, HUGETLB);
  if (kind == BY_TYPE) return type == value;
  const second = page + <usize>load<u32>(rules, SIZE);
  if (kind == BY_FLAG) return (load<u32>(second + <usize>load<u32>(rules, FLAGS_AT)) & <u32>value) != 0;
  return <u64>load<u8>(second + <usize>load<u32>(rules, DTOR_AT)) == value;
}

/** Clears bits `[from, to)`; returns how many were set. */
export function clearBits(bits: usize, from: u32, to: u32): u32 {
  let cleared: u32 = 0;
  while (from < to) {
    const byte = bits + <usize>(from >>> 3);
    const next = min(to, (from | 7) + 1);
    const mask: u32 = ((1 << (next - from)) - 1) << (from & 7);
    const was = <u32>load<u8>(byte);
    cleared += popcnt(was & mask);
    store<u8>(byte, was & ~mask);
    from = next;
  }
  return cleared;
}
