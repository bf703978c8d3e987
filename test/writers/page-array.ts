/** Writes arrays of struct page as kernels of several generations have them, and the VMCOREINFO that describes them. */

/** How a generation of kernels tells the classes apart (formats.md 6.3). */
export interface Generation {
  readonly name: string;
  /** Where the order and the mark of a hugetlb page are: in the head's second struct page, or as the head's type. */
  readonly hugetlb: "destructor" | "folio-destructor" | "flag" | "type";
  /** Slab pages by flag, or by type. */
  readonly slab: "flag" | "type";
  /** Values of _mapcount: inverted bits, or a number in the top byte. */
  readonly types: Readonly<Record<"buddy" | "offline" | "hugetlb" | "slab" | "unaccepted", number>>;
  /** Name of the field that marks tails. */
  readonly tail: "compound_head" | "compound_info";
  readonly unaccepted: boolean;
}

const BITS = { buddy: 0xffffff7f, offline: 0xfffffeff, hugetlb: 0xfffff7ff, slab: 0xffffefff, unaccepted: 0xffffdfff } as const;
const TOP = { buddy: 0xf0000000, offline: 0xf1000000, hugetlb: 0xf4000000, slab: 0xf5000000, unaccepted: 0xf7000000 } as const;

export const GENERATIONS: readonly Generation[] = [
  { name: "5.10", hugetlb: "destructor", slab: "flag", types: BITS, tail: "compound_head", unaccepted: false },
  { name: "6.3", hugetlb: "folio-destructor", slab: "flag", types: BITS, tail: "compound_head", unaccepted: false },
  { name: "6.6", hugetlb: "flag", slab: "flag", types: BITS, tail: "compound_head", unaccepted: false },
  { name: "6.9", hugetlb: "type", slab: "flag", types: BITS, tail: "compound_head", unaccepted: false },
  { name: "6.10", hugetlb: "type", slab: "type", types: BITS, tail: "compound_head", unaccepted: false },
  { name: "6.12", hugetlb: "type", slab: "type", types: TOP, tail: "compound_head", unaccepted: false },
  { name: "6.16", hugetlb: "type", slab: "type", types: TOP, tail: "compound_head", unaccepted: true },
  { name: "7.2", hugetlb: "type", slab: "type", types: TOP, tail: "compound_info", unaccepted: true },
];

export const PAGE_STRUCT = 64;
export const OFFSETS = { flags: 0, mapping: 24, private: 40, _mapcount: 48, tail: 8, dtor: 16, order: 17 } as const;
/** Bit numbers. */
export const FLAGS = { lru: 4, hugetlb: 8, slab: 9, swapcache: 10, private: 13, head: 16, swapbacked: 19, hwpoison: 23 } as const;
export const ORDERS = 11;
export const HUGETLB_DTOR = 2;
/** _mapcount of a page that has no type and is not mapped. */
export const NO_TYPE = 0xffffffff;

/** Lines of VMCOREINFO that describe struct page. */
export function pageLines(of: Generation): string[] {
  const lines = [
    `SIZE(page)=${PAGE_STRUCT}`,
    `OFFSET(page.flags)=${OFFSETS.flags}`,
    `OFFSET(page.mapping)=${OFFSETS.mapping}`,
    `OFFSET(page.private)=${OFFSETS.private}`,
    `OFFSET(page._mapcount)=${OFFSETS._mapcount}`,
    `OFFSET(page.${of.tail})=${OFFSETS.tail}`,
    `LENGTH(zone.free_area)=${ORDERS}`,
    `NUMBER(PG_lru)=${FLAGS.lru}`,
    `NUMBER(PG_private)=${FLAGS.private}`,
    `NUMBER(PG_swapcache)=${FLAGS.swapcache}`,
    `NUMBER(PG_swapbacked)=${FLAGS.swapbacked}`,
    `NUMBER(PG_hwpoison)=${FLAGS.hwpoison}`,
    `NUMBER(PG_head_mask)=${2 ** FLAGS.head}`,
    // The kernel prints them with %ld: those of the top byte are negative or not, by version.
    `NUMBER(PAGE_BUDDY_MAPCOUNT_VALUE)=${of.types.buddy | 0}`,
    `NUMBER(PAGE_OFFLINE_MAPCOUNT_VALUE)=${of.types.offline}`,
  ];
  if (of.slab === "flag") lines.push(`NUMBER(PG_slab)=${FLAGS.slab}`);
  else lines.push(`NUMBER(PAGE_SLAB_MAPCOUNT_VALUE)=${of.types.slab}`);
  if (of.unaccepted) lines.push(`NUMBER(PAGE_UNACCEPTED_MAPCOUNT_VALUE)=${of.types.unaccepted}`);
  if (of.hugetlb === "type") lines.push(`NUMBER(PAGE_HUGETLB_MAPCOUNT_VALUE)=${of.types.hugetlb | 0}`);
  if (of.hugetlb === "flag") lines.push(`NUMBER(PG_hugetlb)=${FLAGS.hugetlb}`);
  if (of.hugetlb === "destructor" || of.hugetlb === "folio-destructor") {
    lines.push(`NUMBER(HUGETLB_PAGE_DTOR)=${HUGETLB_DTOR}`);
    const [dtor, order] =
      of.hugetlb === "destructor" ? ["page.compound_dtor", "page.compound_order"] : ["folio._folio_dtor", "folio._folio_order"];
    // struct folio begins with the head page: its second page's fields are behind that.
    const base = of.hugetlb === "destructor" ? 0 : PAGE_STRUCT;
    lines.push(`OFFSET(${dtor})=${base + OFFSETS.dtor}`, `OFFSET(${order})=${base + OFFSETS.order}`);
  }
  return lines;
}

/** What a page is. Of compound ones all pages are written, `2 ** order` of them. */
export interface PageRecipe {
  readonly flags?: readonly (keyof typeof FLAGS)[];
  readonly type?: keyof Generation["types"];
  readonly anon?: boolean;
  /** Of a compound page. */
  readonly order?: number;
  readonly hugetlb?: boolean;
  /** `private` of a free block. */
  readonly private?: bigint;
}

/** An array of struct pages. */
export class PageArray {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly #of: Generation;

  constructor(of: Generation, count: number) {
    this.#of = of;
    this.bytes = new Uint8Array(count * PAGE_STRUCT);
    this.view = new DataView(this.bytes.buffer);
    for (let pfn = 0; pfn < count; pfn++) this.view.setUint32(pfn * PAGE_STRUCT + OFFSETS._mapcount, NO_TYPE, true);
  }

  /** Writes a page, and its tails. */
  set(pfn: number, { flags = [], type, anon, order, hugetlb, private: value }: PageRecipe): void {
    const at = pfn * PAGE_STRUCT;
    const of = this.#of;
    let bits = 0n;
    for (const flag of flags) bits |= 1n << BigInt(FLAGS[flag]);
    if (order !== undefined) bits |= 1n << BigInt(FLAGS.head);
    this.view.setBigUint64(at + OFFSETS.flags, bits, true);
    this.view.setBigUint64(at + OFFSETS.mapping, anon ? 0xffff888000000001n : 0xffff888000000000n, true);
    if (value !== undefined) this.view.setBigUint64(at + OFFSETS.private, value, true);
    if (type !== undefined) {
      if (type === "slab" && of.slab === "flag") this.view.setBigUint64(at, bits | (1n << BigInt(FLAGS.slab)), true);
      else this.view.setUint32(at + OFFSETS._mapcount, of.types[type], true);
    }
    if (hugetlb && of.hugetlb === "type") this.view.setUint32(at + OFFSETS._mapcount, of.types.hugetlb, true);
    if (order === undefined) return;
    for (let i = 1; i < 2 ** order && at + (i + 1) * PAGE_STRUCT <= this.bytes.length; i++) {
      this.view.setBigUint64(at + i * PAGE_STRUCT + OFFSETS.tail, 0xffffea0000000001n + BigInt(at), true);
    }
    const second = at + PAGE_STRUCT;
    if (order === 0 || second >= this.bytes.length) return;
    if (of.hugetlb === "destructor" || of.hugetlb === "folio-destructor") {
      this.bytes[second + OFFSETS.dtor] = hugetlb ? HUGETLB_DTOR : 1;
      this.bytes[second + OFFSETS.order] = order;
    } else {
      const mark = hugetlb && of.hugetlb === "flag" ? 1n << BigInt(FLAGS.hugetlb) : 0n;
      this.view.setBigUint64(second, BigInt(order) | mark, true);
    }
  }
}
