import { FLAGS, type Generation, HUGETLB_DTOR, OFFSETS, ORDERS, PAGE_STRUCT, type PageArray } from "./page-array.ts";

/**
 * makedumpfile(8) and formats.md 6.2 once more, page by page with 64-bit numbers and names, and none of the code under test. Where what is
 * there makes no sense for a block that begins at this frame, one page is meant, or none of a free block.
 */
export function leftOut(array: PageArray, of: Generation, level: number): number[] {
  const { view } = array;
  const count = array.bytes.length / PAGE_STRUCT;
  const out = new Set<number>();
  for (let pfn = 0; pfn < count;) {
    const at = pfn * PAGE_STRUCT;
    const flags = view.getBigUint64(at + OFFSETS.flags, true);
    const has = (name: keyof typeof FLAGS): boolean => (flags >> BigInt(FLAGS[name])) % 2n === 1n;
    const type = view.getUint32(at + OFFSETS._mapcount, true);
    const slab = of.slab === "flag" ? has("slab") : type === of.types.slab;
    const anon = view.getBigUint64(at + OFFSETS.mapping, true) % 2n === 1n && !slab;
    const isTail = view.getBigUint64(at + OFFSETS.tail, true) % 2n === 1n;
    // No compound page begins at an odd frame, and the very last has no second page to ask.
    const isHead = has("head") && pfn % 2 === 0 && pfn + 1 < count;
    let order = 0;
    let huge = false;
    if (isHead) {
      const second = at + PAGE_STRUCT;
      const byDtor = of.hugetlb === "destructor" || of.hugetlb === "folio-destructor";
      order = byDtor ? view.getUint8(second + OFFSETS.order) : Number(view.getBigUint64(second, true) % 256n);
      if (order > 18 || pfn % 2 ** order !== 0) order = 0;
      if (byDtor) huge = view.getUint8(second + OFFSETS.dtor) === HUGETLB_DTOR;
      else if (of.hugetlb === "flag") huge = (view.getBigUint64(second, true) >> BigInt(FLAGS.hugetlb)) % 2n === 1n;
      else huge = type === of.types.hugetlb;
    }
    const cache = (has("lru") || (has("swapcache") && has("swapbacked"))) && !anon;
    const free = level >= 16;
    const bit = (mask: number): boolean => Math.floor(level / mask) % 2 === 1;
    let length = 0;
    if (isTail) length = 0;
    else if (free && type === of.types.buddy && !slab) {
      const value = view.getBigUint64(at + OFFSETS.private, true);
      if (value < BigInt(ORDERS) && pfn % 2 ** Number(value) === 0) length = 2 ** Number(value);
    } else if (free && of.unaccepted && type === of.types.unaccepted && !slab) {
      length = pfn % 1024 === 0 ? 1024 : 0;
    } else if (
      (bit(2) && cache && !has("private")) ||
      (bit(4) && cache) ||
      (bit(8) && (anon || huge)) ||
      has("hwpoison") ||
      (type === of.types.offline && !slab)
    ) {
      length = 2 ** order;
    }
    for (let i = 0; i < length; i++) if (pfn + i < count) out.add(pfn + i);
    pfn += Math.max(1, length);
  }
  return [...out].sort((a, b) => a - b);
}
