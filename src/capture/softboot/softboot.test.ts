import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { pagePattern } from "../../../test/writers/page-pattern.ts";
import { asPfn, MemorySource } from "../../bytes/index.ts";
import { LkcdDump } from "../../format/lkcd/index.ts";
import { RawDump } from "../../format/raw/read.ts";
import { CONFIG, MAP_ENTRIES, PAGE_SIZE, parseConfigBlock, virtualAddress } from "./layout.ts";
import { listPages, type PhysicalStore, readPageList } from "./page-list.ts";
import { type PageOrder, saveToMemory, type Stage1Options, type Stage1Result } from "./stage1.ts";
import { clearResidentDump, findResidentDump, parseCrashdump, type ResidentDump } from "./stage2.ts";

/** A machine's memory; stage 1 reads and writes the same bytes, as in the capture kernel. */
class Memory implements PhysicalStore {
  readonly bytes: Uint8Array;
  writes = 0;
  /** The machine dies at this write. */
  dieAt = Number.POSITIVE_INFINITY;

  constructor(pages: number, pattern: (pfn: number) => "text" | "noise" | "zero" | "fill") {
    this.bytes = new Uint8Array(pages * PAGE_SIZE);
    for (let pfn = 0; pfn < pages; pfn++) this.bytes.set(pagePattern(pattern(pfn), pfn, PAGE_SIZE), pfn * PAGE_SIZE);
  }

  read(paddr: number, into: Uint8Array): void {
    into.set(this.bytes.subarray(paddr, paddr + into.length));
  }

  write(paddr: number, bytes: Uint8Array): void {
    if (++this.writes >= this.dieAt) throw new Error("the machine died");
    this.bytes.set(bytes, paddr);
  }
}

const HEADER = { utsname: { release: "6.1.0-test" }, panicString: "sysrq triggered crash" };

interface Machine {
  readonly memory: Memory;
  readonly before: Uint8Array;
  readonly result: Stage1Result;
}

/** Saves all of the memory; what is below `low` pages is never written. */
function crash(memory: Memory, options: Partial<Stage1Options> = {}, low = 16): Machine {
  const before = memory.bytes.slice();
  const dump = new RawDump(new MemorySource(memory.bytes), 0);
  const result = saveToMemory({
    dump,
    store: memory,
    header: HEADER,
    above: 0,
    reuse: [{ start: low * PAGE_SIZE, end: memory.bytes.length }],
    ...options,
  });
  return { memory, before, result };
}

function find(memory: Memory, crashdump?: number): ResidentDump | undefined {
  return findResidentDump(new MemorySource(memory.bytes), crashdump === undefined ? {} : { crashdump });
}

function writeOut(resident: ResidentDump): Uint8Array {
  const parts: Uint8Array[] = [];
  resident.writeOut({ write: (bytes) => void parts.push(bytes.slice()) });
  return Buffer.concat(parts);
}

/** Frames that the dump has; each must be as it was. */
function check(dump: LkcdDump, before: Uint8Array): number[] {
  const page = new Uint8Array(PAGE_SIZE);
  const pfns: number[] = [];
  for (let pfn = dump.nextStored(asPfn(0)); pfn !== undefined; pfn = dump.nextStored(asPfn(pfn + 1))) {
    dump.readPage(pfn, page);
    if (Buffer.compare(page, before.subarray(pfn * PAGE_SIZE, (pfn + 1) * PAGE_SIZE)) !== 0)
      throw new Error(`page ${pfn} is not as it was`);
    pfns.push(pfn);
  }
  return pfns;
}

const PATTERNS = ["text", "text", "zero", "fill"] as const;
const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i);
/** The first quarter is the kernel's, then user, cache and unused. */
const orderOf = (pages: number): PageOrder => ({
  passes: [
    { name: "unused", level: 8, pfns: range((pages * 3) / 4, pages) },
    { name: "cache", level: 4, pfns: range(pages / 2, (pages * 3) / 4) },
    { name: "user", level: 4, pfns: range(pages / 4, pages / 2) },
    { name: "kernel", level: 2, pfns: range(0, pages / 4) },
  ],
});

describe("soft boot", () => {
  test("a complete snapshot goes into the kernel's own pages when they compress", () => {
    const { memory, before, result } = crash(new Memory(4096, (pfn) => PATTERNS[pfn % 4]!), { order: orderOf(4096) });
    expect(result).toMatchObject({ level: 0xe, truncated: false, pagesSaved: 4096, notes: [] });
    expect(result.memmap).toHaveLength(1);
    const resident = find(memory, result.crashdump)!;
    expect(resident.problems).toEqual([]);
    expect(resident.frames.length).toBe(result.pagesUsed);
    for (const pfn of resident.frames)
      expect(result.ranges.some(({ start, end }) => pfn * PAGE_SIZE >= start && pfn * PAGE_SIZE < end)).toBe(true);
    const dump = new LkcdDump(resident.stream);
    expect(dump.problems).toEqual([]);
    expect(dump.header).toMatchObject({
      dh_panic_string: "sysrq triggered crash",
      dh_dump_flags: 2,
      dh_num_pages: 4096,
      dh_dump_level: 0xe,
    });
    expect(check(dump, before)).toHaveLength(4096);
    const written = new LkcdDump(new MemorySource(writeOut(resident)));
    expect(written.problems).toEqual([]);
    expect(check(written, before)).toHaveLength(4096);
  });

  test("a page that is to be kept is saved and not written over; one that was changed is saved as it was", () => {
    const memory = new Memory(2048, (pfn) => PATTERNS[pfn % 4]!);
    const kept = new Set(range(100, 120));
    for (const pfn of kept) memory.bytes[pfn * PAGE_SIZE] = 0xa7;
    const was = memory.bytes.slice(300 * PAGE_SIZE, 301 * PAGE_SIZE);
    const before = memory.bytes.slice();
    memory.bytes.fill(0xf4, 300 * PAGE_SIZE, 300 * PAGE_SIZE + 2);
    const { result } = crash(memory, { order: orderOf(2048), changed: new Map([[300, was]]), keep: (page) => page[0] === 0xa7 });
    for (const pfn of kept) {
      expect(memory.bytes.subarray(pfn * PAGE_SIZE, (pfn + 1) * PAGE_SIZE)).toEqual(
        before.subarray(pfn * PAGE_SIZE, (pfn + 1) * PAGE_SIZE),
      );
      expect(result.ranges.every(({ start, end }) => pfn * PAGE_SIZE < start || pfn * PAGE_SIZE >= end)).toBe(true);
    }
    expect(check(new LkcdDump(find(memory, result.crashdump)!.stream), before)).toHaveLength(2048);
  });

  test("what is written out begins with the kernel's pages", () => {
    const { memory, result } = crash(new Memory(1024, () => "text"), { order: orderOf(1024) });
    const bytes = writeOut(find(memory, result.crashdump)!);
    const address = (at: number): number => Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(at, true));
    expect(address(65536)).toBe(0);
    expect(address(65536 + 16 + new DataView(bytes.buffer, bytes.byteOffset).getUint32(65536 + 8, true))).toBe(PAGE_SIZE);
  });

  test("without an order, and found by a search", () => {
    const { memory, before, result } = crash(new Memory(1024, () => "text"));
    const resident = find(memory)!;
    expect(resident.address).toBe(result.crashdump);
    expect(check(new LkcdDump(resident.stream), before)).toHaveLength(1024);
  });

  test("a region alone", () => {
    const memory = new Memory(2048, (pfn) => (pfn < 1024 ? "text" : "noise"));
    const before = memory.bytes.slice();
    const dump = new RawDump(new MemorySource(memory.bytes.subarray(0, 1024 * PAGE_SIZE)), 0);
    // The kernel's own 1024 pages stay as they are.
    const result = saveToMemory({
      dump,
      store: memory,
      header: HEADER,
      region: [{ start: 1024 * PAGE_SIZE, end: 2048 * PAGE_SIZE }],
      above: 0,
    });
    expect(result).toMatchObject({ pagesSaved: 1024, truncated: false, crashdump: 1024 * PAGE_SIZE });
    expect(Buffer.compare(memory.bytes.subarray(0, 1024 * PAGE_SIZE), before.subarray(0, 1024 * PAGE_SIZE))).toBe(0);
    expect(check(new LkcdDump(find(memory, result.crashdump)!.stream), before)).toHaveLength(1024);
  });

  test("the level is lowered where memory does not compress, and it is said", () => {
    const { memory, before, result } = crash(new Memory(2048, () => "noise"), { order: orderOf(2048), bootstrapPages: 8 });
    expect(result.level).toBe(6);
    expect(result.passes.map(({ outcome }) => outcome)).toEqual(["left out", "saved", "saved", "saved"]);
    expect(result.notes).toEqual(["memory does not compress well enough: the unused pages are left out"]);
    const resident = find(memory, result.crashdump)!;
    expect(resident.problems).toEqual([]);
    expect(check(new LkcdDump(resident.stream), before)).toEqual(range(0, 1536));
  });

  test("at last a part of the kernel's pages is kept", () => {
    const memory = new Memory(1024, () => "noise");
    const { before, result } = crash(memory, {
      order: orderOf(1024),
      reuse: [],
      region: [{ start: 900 * PAGE_SIZE, end: 1024 * PAGE_SIZE }],
      bootstrapPages: 8,
    });
    expect(result.truncated).toBe(true);
    expect(result.passes.map(({ outcome }) => outcome)).toEqual(["left out", "left out", "left out", "truncated"]);
    const resident = find(memory, result.crashdump)!;
    expect(resident).toMatchObject({ problems: [], truncated: true });
    const dump = new LkcdDump(resident.stream);
    expect(dump.problems.map(({ code }) => code)).toEqual(["TRUNCATED"]);
    const pfns = check(dump, before);
    expect(pfns).toEqual(range(0, result.pagesSaved));
    expect(pfns.length).toBeGreaterThan(90);
  });

  test("what is not wanted makes room at once", () => {
    const { memory, before, result } = crash(new Memory(1024, () => "noise"), { order: orderOf(1024), level: 2 });
    expect(result.passes.map(({ outcome }) => outcome)).toEqual(["not wanted", "not wanted", "not wanted", "saved"]);
    expect(check(new LkcdDump(find(memory, result.crashdump)!.stream), before)).toEqual(range(0, 256));
  });

  test("no room at all", () => {
    expect(() => crash(new Memory(256, () => "noise"), { reuse: [], region: [{ start: 0, end: 8 * PAGE_SIZE }] })).toThrow(
      /no memory for a dump/,
    );
  });

  test("any memory comes back", () => {
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom("text", "noise", "zero", "fill"), { minLength: 300, maxLength: 600 }),
        fc.nat(40),
        fc.nat(100),
        (patterns, bootstrap, region) => {
          const memory = new Memory(patterns.length, (pfn) => patterns[pfn] as "text");
          const count = patterns.length - region;
          const order = {
            passes: [
              { name: "user", level: 4, pfns: range(count >> 1, count) },
              { name: "kernel", level: 2, pfns: range(0, count >> 1) },
            ],
          };
          const { before, result } = crash(memory, {
            order,
            bootstrapPages: bootstrap,
            reuse: [{ start: 10 * PAGE_SIZE, end: count * PAGE_SIZE }],
            region: [{ start: count * PAGE_SIZE, end: patterns.length * PAGE_SIZE }],
          });
          const resident = find(memory, result.crashdump)!;
          expect(resident.problems).toEqual([]);
          const pfns = check(new LkcdDump(resident.stream), before);
          expect(pfns.length).toBe(result.pagesSaved);
          if (!result.truncated) expect(pfns).toEqual(range(0, result.level === 6 ? count : count >> 1));
          expect(check(new LkcdDump(new MemorySource(writeOut(resident))), before)).toEqual(pfns);
        },
      ),
      { numRuns: 40 },
    );
  });

  test("killed at any write, nothing half-made is taken for a dump", () => {
    const clean = crash(new Memory(700, () => "text"));
    for (let dieAt = 1; dieAt <= clean.memory.writes; dieAt += dieAt < clean.memory.writes - 20 ? 7 : 1) {
      const memory = new Memory(700, () => "text");
      memory.dieAt = dieAt;
      expect(() => crash(memory)).toThrow("died");
      expect(find(memory)).toBeUndefined();
      expect(find(memory, clean.result.crashdump)).toBeUndefined();
    }
  });

  test("an older dump in the region is not found again", () => {
    const memory = new Memory(1024, (pfn) => (pfn < 512 ? "text" : "zero"));
    const region = [{ start: 512 * PAGE_SIZE, end: 1024 * PAGE_SIZE }];
    const dump = new RawDump(new MemorySource(memory.bytes.subarray(0, 512 * PAGE_SIZE)), 0);
    saveToMemory({ dump, store: memory, header: HEADER, region, above: 0 });
    expect(find(memory)).toBeDefined();
    memory.dieAt = memory.writes + 20;
    expect(() => saveToMemory({ dump, store: memory, header: HEADER, region, above: 0 })).toThrow("died");
    expect(find(memory)).toBeUndefined();
  });

  test("cleared, it is gone", () => {
    const { memory, result } = crash(new Memory(700, () => "text"));
    const resident = find(memory)!;
    clearResidentDump(resident, memory);
    expect(find(memory)).toBeUndefined();
    for (const { start, end } of result.ranges) expect(memory.bytes.subarray(start, end).every((byte) => byte === 0)).toBe(true);
  });
});

describe("a damaged resident dump", () => {
  const machine = (): Machine =>
    crash(new Memory(8192, (pfn) => (pfn % 8 === 0 ? "noise" : PATTERNS[pfn % 2 ? 1 : 3]!)), { order: orderOf(8192) });
  /** Frames of the lists: indirect maps, direct maps, table. */
  function lists(memory: Memory, address: number): { indirect: number; direct: number[]; table: number[]; data: number[] } {
    const read = (paddr: number, into: Uint8Array): boolean => (memory.read(paddr, into), true);
    const config = parseConfigBlock(memory.bytes.subarray(address, address + PAGE_SIZE))!;
    const list = readPageList(read, address, config, [{ start: 0, end: memory.bytes.length }]);
    const counts = listPages(list.pfns.length);
    return {
      table: list.own.slice(0, counts.table),
      indirect: list.own[counts.table]!,
      direct: list.own.slice(counts.table + 1),
      data: list.pfns as number[],
    };
  }

  test("a direct map that was overwritten: the table has what was in it", () => {
    const { memory, before, result } = machine();
    const { direct } = lists(memory, result.crashdump);
    memory.bytes.fill(0x5a, direct[0]! * PAGE_SIZE, (direct[0]! + 1) * PAGE_SIZE);
    const resident = find(memory, result.crashdump)!;
    expect(resident.problems.map(({ message }) => message)).toEqual([
      expect.stringMatching(/^1 direct map changed in \d+ words; the table of pages says what was there$/),
    ]);
    expect(check(new LkcdDump(resident.stream), before)).toHaveLength(8192);
  });

  test("an indirect map that was overwritten", () => {
    const { memory, before, result } = machine();
    memory.bytes.fill(
      0xff,
      lists(memory, result.crashdump).indirect * PAGE_SIZE,
      (lists(memory, result.crashdump).indirect + 1) * PAGE_SIZE,
    );
    const resident = find(memory, result.crashdump)!;
    expect(resident.problems.length).toBeGreaterThan(0);
    expect(check(new LkcdDump(resident.stream), before)).toHaveLength(8192);
  });

  test("a map and the table both: the rest is recovered", () => {
    const { memory, before, result } = machine();
    const { direct, table } = lists(memory, result.crashdump);
    expect(direct.length).toBeGreaterThan(1);
    memory.bytes.fill(0x5a, table[2]! * PAGE_SIZE, (table[2]! + 1) * PAGE_SIZE);
    // The first part of the second map is torn.
    memory.bytes.fill(0x11, direct[1]! * PAGE_SIZE, direct[1]! * PAGE_SIZE + 800);
    const resident = find(memory, result.crashdump)!;
    const messages = resident.problems.map(({ message }) => message);
    expect(messages).toEqual(
      expect.arrayContaining([
        expect.stringMatching(/table of pages is damaged/),
        "100 words of the direct maps name no page of this dump",
        expect.stringMatching(/^100 of \d+ pages of the dump cannot be found$/),
      ]),
    );
    const pfns = check(new LkcdDump(resident.stream), before);
    expect(pfns.length).toBeGreaterThan(4000);
    expect(pfns.length).toBeLessThan(8192);
    expect(check(new LkcdDump(new MemorySource(writeOut(resident))), before)).toEqual(pfns);
  });

  test("data pages that were overwritten: only the pages in them are lost", () => {
    const { memory, before, result } = machine();
    const { data } = lists(memory, result.crashdump);
    for (const k of [30, 31, 90]) memory.bytes.fill(7, data[k]! * PAGE_SIZE + 100, data[k]! * PAGE_SIZE + 300);
    const resident = find(memory, result.crashdump)!;
    expect(resident.problems.map(({ message }) => message)).toEqual([
      expect.stringMatching(/^3 of \d+ pages of the dump were written over$/),
      expect.stringMatching(/^\d+ of 8192 pages of the crashed kernel are lost with them$/),
    ]);
    const pfns = check(new LkcdDump(resident.stream), before);
    expect(pfns.length).toBe(resident.records);
    expect(pfns.length).toBeGreaterThan(7000);
  });

  test("headers that were overwritten", () => {
    const { memory, before, result } = machine();
    const { data } = lists(memory, result.crashdump);
    memory.bytes.fill(7, data[0]! * PAGE_SIZE, data[0]! * PAGE_SIZE + 300);
    const resident = find(memory, result.crashdump)!;
    expect(resident.problems.some(({ message }) => message.includes("header of the resident dump is gone"))).toBe(true);
    expect(check(new LkcdDump(resident.stream), before)).toHaveLength(8192);
  });

  test("the config block's own fields", () => {
    for (const at of [CONFIG.indirect_map_root, CONFIG.last_offset, CONFIG.last_used_offset, 3072 + 24, 3072 + 32, 3072 + 64]) {
      const { memory, before, result } = machine();
      memory.bytes.fill(0x77, result.crashdump + at, result.crashdump + at + 8);
      const resident = find(memory, result.crashdump)!;
      expect(resident.problems[0]!.message).toMatch(/does not have its checksum/);
      expect(check(new LkcdDump(resident.stream), before)).toHaveLength(8192);
    }
  });

  test("a dump without table, as LKCD itself left it", () => {
    const { memory, before, result } = machine();
    const { direct } = lists(memory, result.crashdump);
    memory.bytes.fill(0, result.crashdump + 3072, result.crashdump + PAGE_SIZE);
    const resident = find(memory)!;
    expect(resident.problems).toEqual([]);
    expect(check(new LkcdDump(resident.stream), before)).toHaveLength(8192);
    expect(check(new LkcdDump(new MemorySource(writeOut(resident))), before)).toHaveLength(8192);
    memory.bytes.fill(0xee, direct[0]! * PAGE_SIZE + 400, direct[0]! * PAGE_SIZE + 800);
    const torn = find(memory)!;
    expect(torn.problems.length).toBeGreaterThan(0);
    const pfns = check(new LkcdDump(torn.stream), before);
    expect(pfns.length).toBeGreaterThan(4000);
  });

  test("loops and frames outside memory", () => {
    const { memory, result } = machine();
    const view = new DataView(memory.bytes.buffer);
    const { indirect, direct } = lists(memory, result.crashdump);
    memory.bytes.fill(0, result.crashdump + 3072, result.crashdump + PAGE_SIZE);
    view.setBigUint64(result.crashdump + CONFIG.last_offset, 2n ** 36n - 4096n, true);
    view.setBigUint64(indirect * PAGE_SIZE + 8 * 511, virtualAddress(indirect * PAGE_SIZE), true);
    for (let i = 1; i < 511; i++) view.setBigUint64(indirect * PAGE_SIZE + 8 * i, BigInt(direct[0]!), true);
    view.setBigUint64(direct[0]! * PAGE_SIZE, 0x7fff_ffffn, true);
    const resident = find(memory, result.crashdump)!;
    expect(resident.problems.length).toBeGreaterThan(1);
    expect(resident.frames.length).toBeLessThan(MAP_ENTRIES + 3);
    expect(new Set(resident.frames).size).toBe(resident.frames.length);
  });

  test("a damaged page of the table costs the checksums of its own pages only", () => {
    const { memory, before, result } = machine();
    const { table, data } = lists(memory, result.crashdump);
    memory.bytes[table[0]! * PAGE_SIZE + 500]! ^= 1;
    memory.bytes[data[700]! * PAGE_SIZE + 500]! ^= 1;
    const resident = find(memory, result.crashdump)!;
    expect(resident.problems.map(({ message }) => message)).toEqual([
      expect.stringMatching(/^the table of pages is damaged at 0x[0-9a-f]+: the 254 pages from 0 on have no checksum$/),
      expect.stringMatching(/^1 of \d+ pages of the dump were written over$/),
      expect.stringMatching(/^\d+ of 8192 pages of the crashed kernel are lost with them$/),
    ]);
    expect(check(new LkcdDump(resident.stream), before).length).toBeGreaterThan(8000);
  });

  test("whatever is in the pages, nothing but a dump or none comes out", () => {
    const { memory, before, result } = crash(new Memory(1500, (pfn) => (pfn % 2 === 0 ? "noise" : "text")), { order: orderOf(1500) });
    const clean = memory.bytes.slice();
    const { indirect, direct, table, data } = lists(memory, result.crashdump);
    const places = [result.crashdump / PAGE_SIZE, indirect, ...direct, ...table, ...data.slice(0, 40)];
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(places.length - 1), fc.nat(PAGE_SIZE - 1), fc.uint8Array({ minLength: 1, maxLength: 64 })), {
          minLength: 1,
          maxLength: 6,
        }),
        (damage) => {
          memory.bytes.set(clean);
          for (const [place, at, bytes] of damage) memory.bytes.set(bytes.subarray(0, PAGE_SIZE - at), places[place]! * PAGE_SIZE + at);
          const resident = find(memory, result.crashdump);
          if (!resident) return;
          const dump = new LkcdDump(resident.stream);
          // With checksums, what does come out is right.
          const { config, problems } = resident;
          if (config.extension && config.intact && !problems.some(({ message }) => message.includes("table of pages"))) check(dump, before);
        },
      ),
      { numRuns: 60 },
    );
  });
});

describe("crashdump=", () => {
  test.each([
    ["root=/dev/sda crashdump=0x10000000 quiet", 0x1000_0000],
    ["crashdump=268435456", 0x1000_0000],
    ["crashdump=256M", 0x1000_0000],
    ["crashdump=02000000000", 0x1000_0000],
    ["crashdump=0xffff888010000000", 0x1000_0000],
    ["crashdump=0xdeadbeef", undefined],
    ["nocrashdump=1", undefined],
    ["crashdump=", undefined],
    ["crashdump=09", undefined],
    ["crashdump=0xfffffffffffffffff", undefined],
  ])("%s", (text, address) => expect(parseCrashdump(text)).toBe(address));
});
