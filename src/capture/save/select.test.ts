import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { DumpError } from "../../bytes/index.ts";
import type { DumpFile } from "../../format/index.ts";
import { Machine } from "../../../test/writers/machine.ts";
import { type Generation, GENERATIONS, PAGE_STRUCT, PageArray, pageLines, type PageRecipe } from "../../../test/writers/page-array.ts";
import { leftOut } from "../../../test/writers/page-reference.ts";
import { Selector } from "./select.ts";

const FRAMES = 16384;
const OF = GENERATIONS[5]!;

/** A dump that claims all frames of the array to be RAM, and counts what is read of its page array. */
interface Counted {
  readonly dump: DumpFile;
  /** Struct pages read. */
  read(): number;
}

/** @param inRuns whether many pages can be read at once. @param missing pages of the array that are not in the dump. */
function dumpOf(array: PageArray, of: Generation, inRuns = true, missing: readonly number[] = []): Counted {
  const machine = new Machine();
  const room = machine.at(machine.room(array.bytes.length + 4096));
  const first = Math.ceil(room / 4096);
  machine.memory.set(array.bytes, first * 4096);
  machine.variable("mem_map", 0xffffffff80000000n + BigInt(first * 4096), 8);
  for (const line of pageLines(of)) machine.info(...(line.split("=") as [string, string]));
  const frames = array.bytes.length / PAGE_STRUCT;
  const last = first + array.bytes.length / 4096;
  let bytes = 0;
  const isMissing = (pfn: number): boolean => missing.includes(pfn - first);
  const inner = machine.dump();
  const count = (pfn: number): void => {
    if (pfn >= first && pfn < last) bytes += 4096;
  };
  const { format, pageSize, littleEndian, wordSize, arch, notes, vmcoreinfo, problems } = inner;
  const dump: DumpFile = {
    format,
    pageSize,
    littleEndian,
    wordSize,
    arch,
    notes,
    vmcoreinfo,
    problems,
    maxPfn: frames,
    pageState: (pfn) => inner.pageState(pfn),
    nextStored: (pfn) => inner.nextStored(pfn),
    storedRanges: () => [[0, frames]],
    ramRanges: () => [[0, frames]],
    readPage(pfn, into) {
      if (isMissing(pfn)) throw new DumpError("NOT_STORED", "not there");
      count(pfn);
      inner.readPage(pfn, into);
    },
    info: () => [],
    close: () => {},
  };
  if (inRuns) {
    dump.readRun = (pfn, pages, into) => {
      if (isMissing(pfn)) return 0;
      let whole = 1;
      while (whole < pages && !isMissing(pfn + whole)) whole++;
      const got = inner.readRun!(pfn, whole, into.subarray(0, whole * 4096));
      for (let i = 0; i < got; i++) count(pfn + i);
      return got;
    };
  }
  return { dump, read: () => bytes / PAGE_STRUCT };
}

/** Frames that are left out; those of `[from, to)` one window after the other. */
function select({ dump }: Counted, level: number, window = FRAMES): { out: number[]; selector: Selector } {
  const selector = new Selector(dump, level);
  const out: number[] = [];
  for (let base = 0; base < dump.maxPfn; base += window) {
    const present = new Uint8Array(window / 8);
    const kept = new Uint8Array(window / 8);
    const end = Math.min(base + window, dump.maxPfn);
    selector.run(base, end, present, kept);
    for (let pfn = base; pfn < end; pfn++) if ((kept[(pfn - base) >> 3]! & (1 << ((pfn - base) & 7))) === 0) out.push(pfn);
  }
  return { out, selector };
}

const sum = (counts: object): number => Object.values(counts).reduce((all: number, count: number) => all + count, 0);

/** Fills the array with blocks, each at the first frame where it can begin. */
function fill(array: PageArray, blocks: readonly (readonly [kind: string, order: number])[]): void {
  const frames = array.bytes.length / PAGE_STRUCT;
  let at = 0;
  for (let i = 0; at < frames; i++) {
    const [kind, order] = blocks[i % blocks.length]!;
    const size = 2 ** order;
    at = Math.ceil(at / size) * size;
    if (at + size > frames) break;
    array.set(at, recipeOf(kind, order));
    at += size;
  }
}

function recipeOf(kind: string, order: number): PageRecipe {
  switch (kind) {
    case "free":
      return { type: "buddy", private: BigInt(order) };
    case "huge":
      return { hugetlb: true, order };
    case "cache":
      return { flags: ["lru"], order };
    case "user":
      return { anon: true, ...(order === 0 ? {} : { order }) };
    default:
      return { type: "slab", order };
  }
}

describe("the choice of pages", () => {
  test("is as a slow reading of the rules has it, however much is read at a time", () => {
    const block = fc.tuple(fc.constantFrom("free", "huge", "cache", "user", "slab"), fc.integer({ min: 0, max: 10 }));
    const odd = fc.tuple(fc.nat(FRAMES - 1), fc.constantFrom("free", "huge", "cache", "user", "slab"), fc.integer({ min: 0, max: 10 }));
    fc.assert(
      fc.property(
        fc.constantFrom(...GENERATIONS),
        fc.array(block, { minLength: 1, maxLength: 40 }),
        fc.array(odd, { maxLength: 20 }),
        fc.constantFrom(2, 4, 8, 16, 24, 31),
        fc.constantFrom(FRAMES, 4096, 8 * 203),
        fc.boolean(),
        fc.nat(3),
        (of, blocks, odds, level, window, inRuns, less) => {
          // The last frame may be any.
          const array = new PageArray(of, FRAMES - less);
          fill(array, blocks);
          // What makes no sense: blocks within blocks, at frames where they cannot begin.
          for (const [at, kind, order] of odds) if (at < FRAMES - less) array.set(at, recipeOf(kind, order));
          const { out, selector } = select(dumpOf(array, of, inRuns), level, window);
          expect(out).toEqual(leftOut(array, of, level));
          expect(sum(selector.counts)).toBe(out.length);
          expect(selector.keptMore).toBeUndefined();
        },
      ),
      { numRuns: 60 },
    );
  });

  test("reads no more of a large block than its beginning", () => {
    const array = new PageArray(OF, FRAMES);
    fill(array, [
      ["free", 10],
      ["huge", 9],
      ["huge", 9],
    ]);
    const counted = dumpOf(array, OF);
    expect(select(counted, 31).out).toHaveLength(FRAMES);
    const { read } = counted;
    expect(read()).toBeLessThan(FRAMES / 8);
    // What is kept says nothing about the next.
    const again = dumpOf(array, OF);
    select(again, 2);
    expect(again.read()).toBe(FRAMES);
  });

  test("struct pages that are not in the source keep theirs, and count where they were to decide", () => {
    const array = new PageArray(OF, FRAMES);
    fill(array, [["free", 10]]);
    // Of each block but the first, the page of the array that begins it; and some that nobody asks for.
    const heads = Array.from({ length: 15 }, (_, i) => (i + 1) * 16);
    for (const inRuns of [true, false]) {
      const { out, selector } = select(dumpOf(array, OF, inRuns, [1, 2, 15, ...heads]), 31);
      expect(out).toEqual(Array.from({ length: 1024 }, (_, pfn) => pfn));
      expect(selector.keptMore).toBeUndefined();
      const nothing = select(dumpOf(array, OF, inRuns, [0, ...heads, ...heads.map((head) => head + 1)]), 31);
      expect(nothing.out).toEqual([]);
      expect(nothing.selector.keptMore).toBe("1984 struct pages are not in the source; their pages are kept");
    }
  });
});
