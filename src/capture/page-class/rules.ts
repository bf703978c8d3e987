import type { PageLayout } from "./layout.ts";

/** What no field of 32 bits can be, for a value that the kernel does not have. */
const NEVER = 2 ** 32;
/** As the kernel numbers them. */
const HUGETLB_KIND = { type: 0, flag: 1, destructor: 2 } as const;
/** Where the 64-bit numbers begin, and the results. */
const VALUES_AT = 72;
/** Index of the class of the last block among the 64-bit numbers of all, and of the first count. */
export const LAST_CLASS: number = 112 / 8;
export const COUNTS: number = 120 / 8;

/** Writes what src/codec/kernels/asc/classify.ts is to know of a layout and a level, at the offsets that it names. */
export function writeRules(into: Uint8Array, layout: PageLayout, level: number): void {
  const { size, flags, mapping, mapcount, compoundHead, hugetlb } = layout;
  const byByte = hugetlb.kind === "destructor";
  const view = new DataView(into.buffer, into.byteOffset, into.length);
  const words = [
    [size, flags * 4, mapping * 4, mapcount * 4, layout.private * 4, compoundHead * 4],
    [layout.lru, layout.privateFlag, layout.swapCache, layout.swapBacked, layout.hwPoison, layout.head, layout.slabFlag],
    [layout.orders, level],
    // Where there is no byte of its own for the order, it is the low one of the second page's flags.
    [HUGETLB_KIND[hugetlb.kind], byByte ? hugetlb.dtorAt : 0, byByte ? hugetlb.orderAt : flags * 4],
  ].flat();
  for (const [i, word] of words.entries()) view.setUint32(i * 4, word, true);
  const values = [layout.slabType, layout.buddy, layout.offline, layout.unaccepted, hugetlb.kind === "flag" ? hugetlb.mask : hugetlb.value];
  for (const [i, value] of values.entries()) view.setBigUint64(VALUES_AT + i * 8, BigInt(value ?? NEVER), true);
}
