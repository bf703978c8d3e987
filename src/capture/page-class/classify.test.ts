import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { isDumpError } from "../../bytes/index.ts";
import { Types, Vmcoreinfo } from "../../kernel/index.ts";
import {
  FLAGS,
  GENERATIONS,
  OFFSETS,
  ORDERS,
  PAGE_STRUCT,
  PageArray,
  pageLines,
  type PageRecipe,
} from "../../../test/writers/page-array.ts";
import { leftOut } from "../../../test/writers/page-reference.ts";
import { type PageClass, PageClassifier, PIECE } from "./classify.ts";
import { type PageLayout, readPageLayout } from "./layout.ts";

function layoutOf(lines: readonly string[]): PageLayout {
  const vmcoreinfo = new Vmcoreinfo(`${lines.join("\n")}\n`);
  return readPageLayout(vmcoreinfo, new Types(undefined, vmcoreinfo, 8));
}

/** Frames that are left out, and why they are counted. */
function run(array: PageArray, layout: PageLayout, level: number, chunk?: number): { out: number[]; counts: Record<PageClass, number> } {
  const count = array.bytes.length / PAGE_STRUCT;
  const kept = new Uint8Array(Math.ceil(count / 8)).fill(0xff);
  const classifier = new PageClassifier(layout, level);
  const step = chunk ?? PIECE;
  for (let pfn = 0; pfn < count;) {
    const pages = Math.min(step - (pfn % step), count - pfn);
    classifier.pages.set(array.bytes.subarray(pfn * PAGE_STRUCT, (pfn + pages) * PAGE_STRUCT));
    classifier.run(pfn, pages, kept, 0);
    pfn = classifier.skip(pfn + pages, count, kept, 0);
  }
  const out = Array.from({ length: count }, (_, pfn) => pfn).filter((pfn) => (kept[pfn >> 3]! & (1 << (pfn & 7))) === 0);
  return { out, counts: classifier.counts };
}

const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i);

describe.each(GENERATIONS.map((of) => [of.name, of] as const))("a kernel like %s", (_, of) => {
  const layout = layoutOf(pageLines(of));
  const one = (level: number, recipe: PageRecipe, pfn = 16, count = 64): number[] => {
    const array = new PageArray(of, count);
    array.set(pfn, recipe);
    return run(array, layout, level).out;
  };

  test("free blocks go by their order, at level 16 alone", () => {
    expect(one(16, { type: "buddy", private: 3n })).toEqual(range(16, 24));
    expect(one(16, { type: "buddy", private: 0n })).toEqual([16]);
    for (const level of [0, 1, 2, 4, 8, 15]) expect(one(level, { type: "buddy", private: 3n })).toEqual([]);
  });

  test("a free block whose order cannot be stays", () => {
    expect(one(31, { type: "buddy", private: BigInt(ORDERS) })).toEqual([]);
    expect(one(31, { type: "buddy", private: 1n << 32n })).toEqual([]);
    expect(one(31, { type: "buddy", private: 2n }, 17)).toEqual([]);
  });

  test("page cache: 2 without private data, 4 with any", () => {
    for (const level of [2, 4, 6, 31]) expect(one(level, { flags: ["lru"] })).toEqual([16]);
    expect(one(2, { flags: ["lru", "private"] })).toEqual([]);
    for (const level of [4, 6, 31]) expect(one(level, { flags: ["lru", "private"] })).toEqual([16]);
    expect(one(25, { flags: ["lru"] })).toEqual([]);
    expect(one(4, { flags: ["swapcache", "swapbacked"] })).toEqual([16]);
    expect(one(4, { flags: ["swapcache"] })).toEqual([]);
    expect(one(6, { flags: ["lru"], anon: true })).toEqual([]);
  });

  test("a folio of the page cache goes whole, in one reading or in many", () => {
    const array = new PageArray(of, 64);
    array.set(16, { flags: ["lru"], order: 4 });
    expect(run(array, layout, 2).out).toEqual(range(16, 32));
    expect(run(array, layout, 2, 8).out).toEqual(range(16, 32));
    expect(run(array, layout, 2, 8).counts.cache).toBe(16);
    expect(run(array, layout, 16).out).toEqual([]);
  });

  test("anonymous pages and hugetlb at 8", () => {
    expect(one(8, { anon: true })).toEqual([16]);
    expect(one(8, { anon: true, order: 3 })).toEqual(range(16, 24));
    expect(one(23, { anon: true })).toEqual([]);
    expect(one(8, { hugetlb: true, order: 4 })).toEqual(range(16, 32));
    expect(one(8, { order: 4 })).toEqual([]);
    expect(one(22, { hugetlb: true, order: 4 })).toEqual([]);
    // No order of a page that begins here: the head alone.
    expect(one(8, { anon: true, order: 5 }, 16)).toEqual([16]);
  });

  test("poisoned and offline pages go at any level that looks", () => {
    for (const level of [2, 4, 8, 16]) {
      expect(one(level, { flags: ["hwpoison"] })).toEqual([16]);
      expect(one(level, { type: "offline" })).toEqual([16]);
    }
    expect(one(2, { flags: ["hwpoison"], order: 2 })).toEqual(range(16, 20));
  });

  test("slab pages stay, whatever stands in their fields", () => {
    expect(one(31, { type: "slab", anon: true })).toEqual([]);
    if (of.slab === "flag") expect(one(31, { type: "buddy", flags: ["slab"], private: 2n })).toEqual([]);
  });

  test("unaccepted memory goes in blocks of the largest order, where the kernel has it", () => {
    const pages = 2 ** (ORDERS - 1);
    expect(one(16, { type: "unaccepted" }, pages, 3 * pages)).toEqual(of.unaccepted ? range(pages, 2 * pages) : []);
    expect(one(15, { type: "unaccepted" }, pages, 3 * pages)).toEqual([]);
    expect(one(16, { type: "unaccepted" }, pages + 1, 3 * pages)).toEqual([]);
  });

  test("a block of more than 1 GiB is none, whatever says so", () => {
    const array = new PageArray(of, 32);
    array.set(0, { flags: ["lru"], order: 18 });
    expect(run(array, layout, 2).out).toEqual(range(0, 32));
    array.set(0, { flags: ["lru"], order: 19 });
    expect(run(array, layout, 2).out).toEqual([0]);
    const free = new PageArray(of, 32);
    free.set(0, { type: "buddy", private: 19n });
    expect(run(free, { ...layout, orders: 32 }, 16).out).toEqual([]);
    free.set(0, { type: "unaccepted" });
    expect(run(free, { ...layout, orders: 0 }, 16).out).toEqual([]);
  });

  test("a tail is not looked at", () => {
    const array = new PageArray(of, 32);
    array.set(9, { flags: ["lru"] });
    array.view.setBigUint64(9 * PAGE_STRUCT + OFFSETS.tail, 0xffffea0000000201n, true);
    expect(run(array, layout, 31).out).toEqual([]);
  });

  test("a head at the end of what was read is taken alone", () => {
    const array = new PageArray(of, 32);
    array.set(31, { flags: ["lru"], order: 0 });
    expect(run(array, layout, 31).out).toEqual([31]);
  });

  test("is as a slow reading of the rules has it, for any pages, levels and pieces", () => {
    const flag = fc.constantFrom(...(Object.keys(FLAGS) as (keyof typeof FLAGS)[]).filter((name) => name !== "head" && name !== "hugetlb"));
    const type = fc.constantFrom(undefined, undefined, undefined, "buddy", "offline", "slab", "unaccepted") as fc.Arbitrary<
      PageRecipe["type"]
    >;
    const recipe = fc.record({
      flags: fc.array(flag, { maxLength: 3 }),
      type,
      anon: fc.boolean(),
      order: fc.constantFrom(undefined, undefined, 0, 1, 2, 3, 5),
      hugetlb: fc.boolean(),
      private: fc.constantFrom(0n, 1n, 2n, 3n, 9n, 10n, 11n, 40n, 1n << 32n),
    });
    const pages = fc.array(fc.tuple(fc.nat(255), recipe), { maxLength: 60 });
    fc.assert(
      fc.property(pages, fc.integer({ min: 0, max: 31 }), fc.constantFrom(256, 64, 24, 8, 2), (list, level, chunk) => {
        const array = new PageArray(of, 256);
        for (const [pfn, { order, type: kind, ...rest }] of list) {
          array.set(pfn, { ...rest, ...(order === undefined ? {} : { order }), ...(kind === undefined ? {} : { type: kind }) });
        }
        const { out, counts } = run(array, layout, level, chunk);
        const slow = leftOut(array, of, level);
        expect(out).toEqual(slow);
        expect(Object.values(counts).reduce((sum, count) => sum + count, 0)).toBe(slow.length);
      }),
      { numRuns: 300 },
    );
  });
});

describe("a layout that is not understood", () => {
  const lines = pageLines(GENERATIONS[0]!);
  const without = (part: string): string[] => lines.filter((line) => !line.includes(part));
  test.each([
    "SIZE(page)",
    "page.flags",
    "page.mapping",
    "page.private",
    "page._mapcount",
    "page.compound_head",
    "PG_lru",
    "PG_slab",
    "PAGE_BUDDY_MAPCOUNT_VALUE",
    "compound_order",
  ])("without %s is an error that names what is missing", (part) => {
    let error: unknown;
    try {
      layoutOf(without(part));
    } catch (thrown) {
      error = thrown;
    }
    expect(isDumpError(error) && error.code).toBe("UNSUPPORTED");
    expect((error as Error).message).toContain(part.replace("page.", ""));
  });

  test("fields outside of the struct are refused", () => {
    for (const name of ["flags", "mapping", "private", "_mapcount", "compound_head", "compound_order"]) {
      // A byte may be anywhere.
      for (const value of name === "compound_order" ? [64, 4096] : [64, 4096, 61, 2 ** 40]) {
        const bad = lines.map((line) => (line.startsWith(`OFFSET(page.${name})`) ? `OFFSET(page.${name})=${value}` : line));
        expect(() => layoutOf(bad), `${name} at ${value}`).toThrow(/the kernel does not say/);
      }
    }
    for (const size of [0, 8, 63, 1024]) expect(() => layoutOf([...without("SIZE(page)"), `SIZE(page)=${size}`])).toThrow(/SIZE\(page\)/);
  });
});
