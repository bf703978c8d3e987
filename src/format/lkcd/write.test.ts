import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { asPfn, MemorySource } from "../../bytes/index.ts";
import { type LkcdPage, writeLkcd } from "../../../test/writers/lkcd.ts";
import { pagePattern } from "../../../test/writers/page-pattern.ts";
import { LkcdDump } from "./read.ts";
import { encodeLkcdHeaders, type LkcdHeaderFields, LkcdWriter } from "./write.ts";

const CPUS = [0, 1].map((cpu) => ({
  registers: Array.from({ length: 21 }, (_, i) => 0x1000n * BigInt(cpu) + BigInt(i) + 0x100n),
  currentTask: 0x10000000n + BigInt(cpu) * 0x4000n,
}));
const FIELDS: LkcdHeaderFields = {
  level: 8,
  compress: "gzip",
  utsname: {
    sysname: "Linux",
    nodename: "testhost",
    release: "2.4.18-lkcd",
    version: "#1 SMP Fri Jan 22 14:02:42 UTC 2003",
    machine: "x86_64",
  },
  panicString: "Oops: 0002",
  time: [1100000000, 250000],
  currentTask: 0xc1230000n,
  memoryPages: 0x20000,
  memoryStart: 0xffff810000000000n,
  cpus: CPUS,
  dumpingCpu: 1,
};

function collect(fields: LkcdHeaderFields, pages: readonly (readonly [pfn: number, bytes: Uint8Array])[], truncated = false): Uint8Array {
  const parts: Uint8Array[] = [];
  const writer = new LkcdWriter(
    { write: (bytes) => void parts.push(bytes.slice()), rewrite: (offset, bytes) => parts[0]!.set(bytes, offset) },
    fields,
  );
  for (const [pfn, bytes] of pages) writer.writePage(pfn * 4096, bytes);
  writer.finish(truncated);
  return Buffer.concat(parts);
}

describe("LKCD writer", () => {
  test.each(["none", "rle", "gzip"] as const)("%s: what it writes is what our reader reads", (compress) => {
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.nat(0xffff_fffe), { maxLength: 12 }),
        fc.array(fc.constantFrom("text", "noise", "zero", "fill"), { minLength: 12, maxLength: 12 }),
        (pfns, patterns) => {
          const pages = pfns.map((pfn, i) => [pfn, pagePattern(patterns[i] as "text", pfn, 4096)] as const);
          const dump = new LkcdDump(new MemorySource(collect({ ...FIELDS, compress }, pages)));
          expect(dump.problems).toEqual([]);
          const into = new Uint8Array(4096);
          for (const [pfn, bytes] of pages) {
            dump.readPage(asPfn(pfn), into);
            expect(Buffer.compare(into, bytes)).toBe(0);
          }
          expect(dump.header.dh_num_pages).toBe(pages.length);
        },
      ),
      { numRuns: 60 },
    );
  });

  test("bytes agree with the test's own writer", () => {
    const recipe: LkcdPage[] = [
      { pfn: 7, pattern: "text" },
      { pfn: 3, pattern: "noise" },
      { pfn: 0x100001, pattern: "fill" },
    ];
    for (const compress of ["none", "rle"] as const) {
      const theirs = writeLkcd({
        version: 8,
        compress,
        pages: recipe,
        currentTask: 0xc1230000n,
        arch: { nrCpus: 2, numCpus: 2, dumpingCpu: 1, registerBase: 0x100n },
      });
      const ours = collect(
        { ...FIELDS, compress, flags: 0x8000_0000 },
        recipe.map((page) => [page.pfn, pagePattern(page.pattern!, page.pfn, 4096)]),
      );
      // Ours leaves dh_dump_device 0 and knows no stack copies; the rest, end record aside, is the same.
      const theirHead = Buffer.from(theirs.subarray(0, 65536));
      theirHead.fill(0, 730, 734);
      theirHead.fill(0, 734 + 192 + 2 * 176, 734 + 192 + 2 * 192);
      expect(Buffer.from(ours.subarray(0, 65536)).equals(theirHead)).toBe(true);
      expect(Buffer.from(ours.subarray(65536, -16)).equals(Buffer.from(theirs.subarray(65536, ours.length - 16)))).toBe(true);
      expect(ours.subarray(-8)).toEqual(theirs.subarray(ours.length - 8, ours.length));
    }
  });

  test("headers come back", () => {
    const dump = new LkcdDump(new MemorySource(collect(FIELDS, [[1, pagePattern("text", 1, 4096)]])));
    expect(dump.header).toMatchObject({
      version: 8,
      dh_dump_level: 8,
      dh_panic_string: "Oops: 0002",
      dh_time: [1100000000n, 250000n],
      dh_current_task: 0xc1230000n,
      dh_memory_start: 0xffff810000000000n,
    });
    expect(dump.arch).toBe("x86_64");
    expect(dump.archHeader).toMatchObject({ numCpus: 2, dumpingCpu: 1 });
    expect([...dump.archHeader!.registers!.values()]).toEqual(CPUS[1]!.registers);
    expect(dump.archHeader!.cpus.map(({ currentTask }) => currentTask)).toEqual([0x10000000n, 0x10004000n]);
  });

  test("more CPUs than version 8 has room for", () => {
    const cpus = Array.from({ length: 500 }, () => CPUS[0]!);
    const head = encodeLkcdHeaders({ ...FIELDS, cpus });
    expect(head.length).toBe(131072);
    const dump = new LkcdDump(new MemorySource(collect({ ...FIELDS, cpus }, [[9, pagePattern("noise", 9, 4096)]])));
    expect(dump.problems).toEqual([]);
    expect(dump.archHeader?.cpus.length).toBe(500);
  });

  test("notes come back, also those that do not fit 64 KiB", () => {
    const page = [[1, pagePattern("text", 1, 4096)]] as const;
    for (const size of [100, 200_000]) {
      const notes = [
        { name: "CORE", type: 1, desc: Uint8Array.from({ length: 336 }, (_, i) => i) },
        { name: "VMCOREINFO", type: 0, desc: Buffer.from("OSRELEASE=6.1.0-test\nPAGESIZE=4096\n") },
        { name: "LINUX", type: 0x700, desc: new Uint8Array(size).fill(7) },
      ];
      const bytes = collect({ ...FIELDS, notes }, page);
      const dump = new LkcdDump(new MemorySource(bytes));
      expect(dump.problems).toEqual([]);
      expect(dump.notes.map(({ name, type, desc }) => ({ name, type, desc: Buffer.from(desc) }))).toEqual(
        notes.map((note) => ({ ...note, desc: Buffer.from(note.desc) })),
      );
      expect(dump.vmcoreinfo).toBe("OSRELEASE=6.1.0-test\nPAGESIZE=4096\n");
      expect(dump.archHeader?.cpus.length).toBe(2);
      bytes[dump.notes[1]!.offset + 30]! ^= 1;
      const damaged = new LkcdDump(new MemorySource(bytes));
      expect(damaged.notes).toEqual([]);
      expect(damaged.problems.map(({ code }) => code)).toEqual(["CORRUPT"]);
    }
  });

  test("a truncated dump says so, and a bad page is refused", () => {
    const dump = new LkcdDump(new MemorySource(collect(FIELDS, [[1, pagePattern("zero", 1, 4096)]], true)));
    expect(dump.problems.map(({ code }) => code)).toEqual(["TRUNCATED"]);
    const writer = new LkcdWriter({ write: () => {} }, FIELDS);
    expect(() => writer.writePage(100, new Uint8Array(4096))).toThrow(/no page/);
    expect(() => writer.writePage(4096, new Uint8Array(100))).toThrow(/no page/);
    writer.finish();
    expect(() => writer.writePage(4096, new Uint8Array(4096))).toThrow(/finished/);
  });
});
