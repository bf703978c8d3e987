import { DumpError } from "../../bytes/index.ts";
import type { Types, Vmcoreinfo } from "../../kernel/index.ts";

/**
 * What of struct page tells its class, as the dumped kernel describes it: VMCOREINFO, which is made for that, and BTF where it is
 * silent. Offsets are in 32-bit words from the start of the struct; bit masks are of the low 32 bits of `flags`.
 */
export interface PageLayout {
  /** Bytes of struct page. */
  readonly size: number;
  readonly flags: number;
  readonly mapping: number;
  readonly mapcount: number;
  /** Order of a free block. */
  readonly private: number;
  /** Bit 0 of this word marks a tail page. */
  readonly compoundHead: number;
  readonly lru: number;
  readonly privateFlag: number;
  readonly swapCache: number;
  /** 0 on kernels that do not have it. */
  readonly swapBacked: number;
  readonly hwPoison: number;
  readonly head: number;
  /** Slab pages by flag, 0 where it is a type; and by type, undefined where it is a flag. */
  readonly slabFlag: number;
  readonly slabType: number | undefined;
  /** Values of `_mapcount` (page types), as unsigned 32 bits. */
  readonly buddy: number;
  readonly offline: number | undefined;
  readonly unaccepted: number | undefined;
  readonly hugetlb: Hugetlb;
  /** Number of orders of free blocks. */
  readonly orders: number;
}

/** How a hugetlb page and the order of a compound page are known; all but `type` look at the second struct page. */
export type Hugetlb =
  /** From 6.9: by type; the order is in the low byte of the second page's flags. */
  | { readonly kind: "type"; readonly value: number }
  /** 6.6 to 6.8: by a bit of the second page's flags; the order likewise. */
  | { readonly kind: "flag"; readonly mask: number }
  /** Before: by destructor number and order in bytes of the second page. */
  | { readonly kind: "destructor"; readonly dtorAt: number; readonly orderAt: number; readonly value: number | undefined };

/**
 * Reads the layout.
 *
 * @throws UNSUPPORTED naming what is not known: then no page may be left out but zero ones.
 */
export function readPageLayout(vmcoreinfo: Vmcoreinfo, types: Types | undefined): PageLayout {
  const offset = (...names: readonly string[]): number | undefined => {
    for (const name of names) {
      const found = vmcoreinfo.offset(`page.${name}`) ?? types?.find("page", name)?.offset;
      if (found !== undefined) return found;
    }
    return undefined;
  };
  const number = (name: string): number | undefined => {
    const value = vmcoreinfo.number(name);
    return value === undefined ? undefined : Number(BigInt.asUintN(32, value));
  };
  const flag = (name: string): number => {
    const bit = number(name);
    return bit === undefined || bit > 31 ? 0 : (1 << bit) >>> 0;
  };
  const need = (name: string, value: number | undefined): number => {
    if (value === undefined) throw unknown(name);
    return value;
  };
  const size = vmcoreinfo.size("page") ?? types?.sizeOf("page");
  if (size === undefined || size % 8 !== 0 || size < 32 || size > 512) throw unknown("SIZE(page)");
  // A field outside of its struct is of another page: what it says must not decide.
  const word = (found: number | undefined, bytes: number, name: string): number => {
    if (found === undefined || found % 4 !== 0 || found < 0 || found + bytes > size) throw unknown(`the offset of page.${name}`);
    return found / 4;
  };
  const lru = flag("PG_lru");
  if (lru === 0) throw unknown("NUMBER(PG_lru)");
  const slabFlag = flag("PG_slab");
  const slabType = number("PAGE_SLAB_MAPCOUNT_VALUE");
  // A slab page keeps other things where the type and the mapping of others stand: it must be told apart.
  if (slabFlag === 0 && slabType === undefined) throw unknown("NUMBER(PG_slab) or NUMBER(PAGE_SLAB_MAPCOUNT_VALUE)");
  return {
    size,
    flags: word(offset("flags"), 8, "flags"),
    mapping: word(offset("mapping"), 8, "mapping"),
    mapcount: word(offset("_mapcount"), 4, "_mapcount"),
    private: word(offset("private"), 8, "private"),
    compoundHead: word(offset("compound_head", "compound_info"), 8, "compound_head"),
    lru,
    privateFlag: flag("PG_private"),
    swapCache: flag("PG_swapcache"),
    swapBacked: flag("PG_swapbacked"),
    hwPoison: flag("PG_hwpoison"),
    head: number("PG_head_mask") ?? 0,
    slabFlag,
    slabType,
    buddy: need("NUMBER(PAGE_BUDDY_MAPCOUNT_VALUE)", number("PAGE_BUDDY_MAPCOUNT_VALUE")),
    offline: number("PAGE_OFFLINE_MAPCOUNT_VALUE"),
    unaccepted: number("PAGE_UNACCEPTED_MAPCOUNT_VALUE"),
    hugetlb: hugetlbOf(vmcoreinfo, size, number, flag, offset),
    orders: Math.min(32, vmcoreinfo.arrayLength("zone.free_area") ?? 11),
  };
}

function hugetlbOf(
  vmcoreinfo: Vmcoreinfo,
  size: number,
  number: (name: string) => number | undefined,
  flag: (name: string) => number,
  offset: (...names: readonly string[]) => number | undefined,
): Hugetlb {
  const value = number("PAGE_HUGETLB_MAPCOUNT_VALUE");
  if (value !== undefined) return { kind: "type", value };
  const mask = flag("PG_hugetlb");
  if (mask !== 0) return { kind: "flag", mask };
  // 6.3 to 6.5 count them from the head page.
  const folio = (name: string): number | undefined => {
    const found = vmcoreinfo.offset(`folio.${name}`);
    return found === undefined ? undefined : found - size;
  };
  const dtorAt = folio("_folio_dtor") ?? offset("compound_dtor");
  const orderAt = folio("_folio_order") ?? offset("compound_order");
  const inside = (at: number | undefined): at is number => at !== undefined && at >= 0 && at < size;
  if (!inside(dtorAt) || !inside(orderAt)) throw unknown("the order of compound pages (page.compound_order, folio._folio_order)");
  return { kind: "destructor", dtorAt, orderAt, value: number("HUGETLB_PAGE_DTOR") };
}

function unknown(what: string): DumpError {
  return new DumpError("UNSUPPORTED", `the kernel does not say ${what}: which pages may be left out cannot be told`);
}
