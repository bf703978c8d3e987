import fc from "fast-check";
import { deflateSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { asPfn, type ByteSource, type DumpErrorCode, isDumpError, MemorySource } from "../../src/bytes/index.ts";
import { lkcdArchHeader, LkcdDump, lkcdFormat } from "../../src/format/lkcd/index.ts";
import { PageIndex } from "../../src/format/lkcd/page-index.ts";
import { encodeRle, type LkcdPage, type LkcdRecipe, writeLkcd } from "../writers/lkcd.ts";
import { type PagePattern, pagePattern } from "../writers/page-pattern.ts";

const PATTERNS: readonly PagePattern[] = ["text", "noise", "zero", "fill"];
/** Frames with gaps, in file order of two passes. */
const PFNS = [0, 1, 2, 7, 8, 100, 70_000, 3, 9, 65_537] as const;
const PAGES: readonly LkcdPage[] = PFNS.map((pfn, i) => ({ pfn, pattern: PATTERNS[i % 4]! }));

function open(recipe: LkcdRecipe, maxPages?: number): LkcdDump {
  return new LkcdDump(new MemorySource(writeLkcd(recipe), "test.lkcd"), {}, maxPages);
}

function read(dump: LkcdDump, pfn: number): Uint8Array {
  const page = new Uint8Array(dump.pageSize).fill(0xee);
  dump.readPage(asPfn(pfn), page);
  return page;
}

/** The page, or the code of the error. */
function outcome(dump: LkcdDump, pfn: number): Uint8Array | DumpErrorCode {
  try {
    return read(dump, pfn);
  } catch (error) {
    if (!isDumpError(error)) throw error;
    expect(error.at).toBe(pfn * dump.pageSize);
    return error.code;
  }
}

function storedPfns(dump: LkcdDump): number[] {
  const pfns: number[] = [];
  for (let pfn = dump.nextStored(asPfn(0)); pfn !== undefined; pfn = dump.nextStored(asPfn(pfn + 1))) pfns.push(pfn);
  return pfns;
}

/** Every page of `pages` reads back and nothing else is stored. */
function expectPages(dump: LkcdDump, pages: readonly LkcdPage[], size: number): void {
  expect(dump.pageSize).toBe(size);
  const sorted = pages.map(({ pfn }) => pfn).toSorted((a, b) => a - b);
  expect(storedPfns(dump)).toEqual(sorted);
  expect(dump.maxPfn).toBe(sorted.at(-1)! + 1);
  for (const { pfn, pattern } of pages) {
    expect(dump.pageState(asPfn(pfn))).toBe("stored");
    expect(Buffer.compare(read(dump, pfn), pagePattern(pattern ?? "text", pfn, size))).toBe(0);
  }
  expect(dump.pageState(asPfn(5))).toBe("absent");
  expect(outcome(dump, 5)).toBe("NOT_STORED");
}

const probe = (input: Uint8Array): boolean => lkcdFormat.probe(input.subarray(0, 65536), new MemorySource(input));

const codes = (dump: LkcdDump): string[] => dump.problems.map(({ code }) => code);

describe("every version reads back", () => {
  const cases: LkcdRecipe[] = [];
  for (let version = 1; version <= 10; version++) {
    for (const littleEndian of [true, false]) {
      for (const wordSize of [4, 8] as const) {
        for (const compress of version >= 4 ? (["none", "rle", "gzip"] as const) : (["rle"] as const)) {
          cases.push({ version, littleEndian, wordSize, compress, pages: PAGES });
        }
      }
    }
  }
  test.each(
    cases.map(
      (recipe) =>
        [`v${recipe.version} ${recipe.littleEndian ? "le" : "be"}${recipe.wordSize === 8 ? 64 : 32} ${recipe.compress}`, recipe] as const,
    ),
  )("%s", (_name, recipe) => {
    const dump = open(recipe);
    expectPages(dump, PAGES, 4096);
    expect(dump.format).toBe("lkcd");
    expect(dump.littleEndian).toBe(recipe.littleEndian);
    expect(dump.wordSize).toBe(recipe.wordSize);
    expect(dump.arch).toBe(recipe.wordSize === 8 ? (recipe.littleEndian ? "x86_64" : "ppc64") : recipe.littleEndian ? "i386" : "ppc");
    expect(dump.header.dh_panic_string).toBe("Oops: 0002");
    expect(dump.header.dh_current_task).toBe(0xc1230000n);
    expect(dump.header.dh_time).toEqual([1100000000n, 250000n]);
    expect(dump.header.utsname.version).toBe("#1 SMP Fri Jan 22 14:02:42 UTC 2003");
    expect(codes(dump)).toEqual(recipe.version === 4 ? ["UNSUPPORTED"] : []);
  });
});

describe("what is around the pages", () => {
  const base: LkcdRecipe = { version: 8, compress: "gzip", pages: PAGES };

  test.each([4096, 8192, 16384, 65536])("header behind %i bytes of a dump device", (deviceOffset) => {
    const source = new MemorySource(writeLkcd({ ...base, deviceOffset }));
    expect(lkcdFormat.probe(source.bytes.subarray(0, 65536), source)).toBe(true);
    expectPages(new LkcdDump(source), PAGES, 4096);
  });

  test.each([8192, 16384, 65536])("pages of %i bytes", (pageSize) => {
    expectPages(open({ ...base, pageSize }), PAGES, pageSize);
    expectPages(open({ ...base, pageSize, version: 9, firstPage: 262144 }), PAGES, pageSize);
    expectPages(open({ ...base, pageSize, firstPage: 262144 }), PAGES, pageSize);
  });

  test("a kernel with 16 KiB pages that dumped 4 KiB pages", () => {
    expectPages(open({ ...base, pageSize: 16384, dumpPageSize: 4096 }), PAGES, 4096);
  });

  test.each([
    ["in an odd place", { firstPage: 135168 }, []],
    ["not where dh_dump_buffer_size says", { firstPage: 65536, bufferSize: 81920 }, ["CORRUPT"]],
    ["with no dh_dump_buffer_size", { firstPage: 65536, bufferSize: 0 }, ["CORRUPT"]],
    ["with dh_dump_buffer_size beyond the file", { firstPage: 65536, bufferSize: 2 ** 48 }, ["CORRUPT"]],
  ] as const)("version 9, first page %s", (_what, places, problems) => {
    const dump = open({ ...base, version: 9, ...places });
    expectPages(dump, PAGES, 4096);
    expect(codes(dump)).toEqual(problems);
  });

  test("version 1 with virtual addresses", () => {
    expectPages(open({ version: 1, wordSize: 4, pages: PAGES, kernelBase: 0xc0000000 }), PAGES, 4096);
  });

  test.each(["v0", "cache"] as const)("MCLX %s", (mclx) => {
    const arch = { nrCpus: 4, numCpus: 2, dumpingCpu: 0, registerBase: 0x1000n };
    const dump = open({ version: 3, wordSize: 4, mclx, pages: PAGES, arch });
    expectPages(dump, PAGES, 4096);
    expect(dump.archHeader?.numCpus).toBe(2);
  });

  test("the magic number of a live dump", () => {
    expectPages(open({ ...base, magic: 0xa8190173618f23cdn }), PAGES, 4096);
  });

  test("a dump of the header alone", () => {
    const dump = new LkcdDump(new MemorySource(writeLkcd({ ...base, dumpLevel: 1, pages: [], end: "none" }).subarray(0, 2000)));
    expect(dump.maxPfn).toBe(0);
    expect(dump.problems).toEqual([]);
    expect(dump.nextStored(asPfn(0))).toBeUndefined();
  });
});

describe("architecture header", () => {
  const arch = { nrCpus: 8, numCpus: 3, dumpingCpu: 1, registerBase: 0x80000n };
  test.each([
    ["i686", 4, "eip", 10],
    ["x86_64", 8, "rip", 16],
    ["ppc64", 8, "nip", 32],
    ["ia64", 8, "cr_iip", 9],
  ] as const)("%s", (machine, wordSize, pc, index) => {
    const dump = open({
      version: 8,
      wordSize,
      machine,
      littleEndian: machine !== "ppc64",
      pages: PAGES,
      arch: { ...arch, kernelAddr: 0x4000000n },
    });
    const header = lkcdArchHeader(dump)!;
    expect(header.numCpus).toBe(3);
    expect(header.dumpingCpu).toBe(1);
    expect(header.kernelAddr).toBe(machine === "ia64" ? 0x4000000n : undefined);
    expect(header.registers!.get(pc)).toBe(0x80000n + 0x1000n + BigInt(index));
    expect(
      header.cpus.map(({ cpu, registers, currentTask, stack, stackPtr }) => [cpu, registers.get(pc), currentTask, stack, stackPtr]),
    ).toEqual(
      [0n, 1n, 2n].map((cpu) => [
        Number(cpu),
        0x80000n + cpu * 0x1000n + BigInt(index),
        0x10000000n + cpu * 0x4000n,
        0x20000000n + cpu * 0x4000n,
        0x30000000n + cpu * 0x4000n,
      ]),
    );
    expect(dump.problems).toEqual([]);
  });

  test("without the arrays, as in version 2", () => {
    const header = open({ version: 2, wordSize: 4, pages: PAGES, arch: { ...arch, old: true } }).archHeader!;
    expect(header.registers!.get("eip")).toBe(0x80000n + 0x1000n + 10n);
    expect(header.cpus).toEqual([]);
    expect(header.numCpus).toBeUndefined();
  });

  test("too long for the dump buffer", () => {
    const dump = open({ version: 8, pages: PAGES, arch: { ...arch, nrCpus: 340, numCpus: 340 } });
    expect(codes(dump)).toEqual(["TRUNCATED"]);
    expect(dump.archHeader!.cpus.length).toBe(340);
    // The registers of all CPUs fit, the current tasks of the last ones did not.
    expect(dump.archHeader!.cpus[0]!.currentTask).toBe(0x10000000n);
    expect(dump.archHeader!.cpus[339]!.stackPtr).toBe(0n);
  });

  test("more CPUs than room", () => {
    const bytes = writeLkcd({ version: 8, pages: PAGES, arch });
    new DataView(bytes.buffer, bytes.byteOffset).setUint32(734 + 184, 4_000_000_000, true);
    const dump = new LkcdDump(new MemorySource(bytes));
    expect(codes(dump)).toEqual(["CORRUPT"]);
    expect(dump.archHeader!.cpus.length).toBe(8);
  });

  test("of a machine that is not known", () => {
    const bytes = writeLkcd({ version: 8, machine: "x86_64", pages: PAGES, arch });
    bytes.set(Buffer.from("sparc64"), 324 + 4 * 65);
    expect(new LkcdDump(new MemorySource(bytes)).archHeader).toMatchObject({ dha_version: 2, cpus: [], registers: undefined });
  });
});

describe("pages that are not as they should be", () => {
  test("stored twice: the first is used", () => {
    const first = pagePattern("text", 1, 4096);
    const dump = open({
      version: 8,
      pages: [{ pfn: 0 }, { pfn: 3 }, { pfn: 2 }, { pfn: 1, bytes: first }, { pfn: 1, pattern: "noise" }, { pfn: 2, pattern: "zero" }],
    });
    expect(storedPfns(dump)).toEqual([0, 1, 2, 3]);
    expect(Buffer.compare(read(dump, 1), first)).toBe(0);
    expect(Buffer.compare(read(dump, 2), pagePattern("text", 2, 4096))).toBe(0);
    expect(dump.problems).toEqual([
      {
        code: "CORRUPT",
        message: "2 page records repeat an address; the first of each is used (physical address 0x1000: offset 77872, not 81984)",
      },
    ]);
  });

  test("size 0 is a zero page", () => {
    expect(read(open({ version: 8, pages: [{ pfn: 0, how: "empty" }] }), 0)).toEqual(new Uint8Array(4096));
  });

  const short = new Uint8Array(4095).fill(0xba);
  const long = new Uint8Array(4097).fill(0xba);
  test.each([
    ["short raw", "none", short, "raw"],
    ["long raw", "none", long, "raw"],
    ["short RLE", "rle", short, "compressed"],
    ["long RLE", "rle", long, "compressed"],
    ["short gzip", "gzip", short, "compressed"],
    ["long gzip", "gzip", long, "compressed"],
  ] as const)("%s page: that page alone is corrupt", (_what, compress, bytes, how) => {
    const dump = open({ version: 8, compress, pages: [{ pfn: 0 }, { pfn: 1, bytes, how }, { pfn: 2, pattern: "noise" }] });
    expect(outcome(dump, 1)).toBe("CORRUPT");
    expect(Buffer.compare(read(dump, 0), pagePattern("text", 0, 4096))).toBe(0);
    expect(Buffer.compare(read(dump, 2), pagePattern("noise", 2, 4096))).toBe(0);
    expect(dump.problems).toEqual([]);
  });

  test("runs of n bytes, when only they give a whole page", () => {
    const plain = pagePattern("fill", 4, 4096);
    const dump = open({
      version: 3,
      pages: [
        { pfn: 4, how: "compressed", data: encodeRle(plain, 0) },
        { pfn: 6, pattern: "fill" },
      ],
    });
    expect(Buffer.compare(read(dump, 4), plain)).toBe(0);
    expect(Buffer.compare(read(dump, 6), pagePattern("fill", 6, 4096))).toBe(0);
    expect(codes(dump)).toEqual(["CORRUPT"]);
    read(dump, 4);
    expect(dump.problems.length).toBe(1);
  });

  test("compressed in a dump that says it is not", () => {
    const dump = open({ version: 8, compress: "gzip", dhDumpCompress: 0, pages: [{ pfn: 0 }, { pfn: 1, pattern: "noise" }] });
    expect(outcome(dump, 0)).toBe("CORRUPT");
    expect(outcome(dump, 1)).toEqual(pagePattern("noise", 1, 4096));
  });

  test("compressed in a way that is not known", () => {
    const dump = open({ version: 8, compress: "gzip", dhDumpCompress: 4, pages: [{ pfn: 0 }, { pfn: 1, pattern: "noise" }] });
    expect(outcome(dump, 0)).toBe("UNSUPPORTED");
    expect(outcome(dump, 1)).toEqual(pagePattern("noise", 1, 4096));
    expect(codes(dump)).toEqual(["UNSUPPORTED"]);
  });

  test("damaged data", () => {
    const packed = deflateSync(pagePattern("text", 0, 4096));
    packed[20]! ^= 0x55;
    expect(outcome(open({ version: 8, compress: "gzip", pages: [{ pfn: 0, data: packed, how: "compressed" }] }), 0)).toBe("CORRUPT");
  });

  test("addresses that are no page", () => {
    const dump = open({
      version: 8,
      pages: [
        { pfn: 0 },
        { pfn: 1, address: 0x1234n },
        { pfn: 2, address: 1n << 60n },
        { pfn: 3, address: 0xfffffffffffff000n },
        { pfn: 4, address: 1n << 46n },
        { pfn: 5 },
      ],
    });
    expect(storedPfns(dump)).toEqual([0, 5]);
    expect(dump.problems).toEqual([
      { code: "CORRUPT", message: "3 page records have an address that is no page of any machine; they are left out" },
      { code: "LIMIT", message: "1 page records have a frame number over 0xffffffff; they are left out" },
    ]);
  });

  test("the highest frame number", () => {
    const dump = open({ version: 8, pages: [{ pfn: 0xffffffff }] });
    expect(dump.maxPfn).toBe(2 ** 32);
    expect(Buffer.compare(read(dump, 0xffffffff), pagePattern("text", 0xffffffff, 4096))).toBe(0);
  });

  test("a test pattern is told", () => {
    expect(codes(open({ version: 8, pages: [{ pfn: 0, flags: 0x11, how: "raw" }] }))).toEqual(["CORRUPT"]);
  });

  test("a buffer of the wrong size is refused", () => {
    expect(() => open({ version: 8, pages: PAGES }).readPage(asPfn(0), new Uint8Array(4095))).toThrow(
      expect.objectContaining({ code: "BAD_ARGUMENT" }),
    );
  });
});

describe("a stream that ends early", () => {
  const recipe: LkcdRecipe = { version: 8, pages: [{ pfn: 0 }, { pfn: 1 }, { pfn: 2 }] };

  test("no end record", () => {
    const dump = open({ ...recipe, end: "none" });
    expect(storedPfns(dump)).toEqual([0, 1, 2]);
    expect(dump.problems).toEqual([
      {
        code: "TRUNCATED",
        message: "page records stop at offset 77872 without an end record: test.lkcd ends at 77872; 3 pages came before",
      },
    ]);
  });

  test("cut in the data of a page: its record is kept, the page is TRUNCATED", () => {
    const dump = new LkcdDump(new MemorySource(writeLkcd(recipe).subarray(0, 65536 + 4112 + 16 + 4095), "cut"));
    expect(storedPfns(dump)).toEqual([0, 1]);
    expect(outcome(dump, 1)).toBe("TRUNCATED");
    expect(outcome(dump, 2)).toBe("NOT_STORED");
    expect(dump.problems).toEqual([
      { code: "TRUNCATED", message: "the page record at offset 69648 has 4096 bytes of data, cut ends at 73759; 1 pages came before" },
    ]);
  });

  test("cut in a record", () => {
    const dump = new LkcdDump(new MemorySource(writeLkcd(recipe).subarray(0, 65536 + 4112 + 15)));
    expect(storedPfns(dump)).toEqual([0]);
    expect(codes(dump)).toEqual(["TRUNCATED"]);
  });

  test("zeros follow", () => {
    const dump = new LkcdDump(new MemorySource(Buffer.concat([writeLkcd({ ...recipe, end: "none" }), new Uint8Array(100_000)])));
    expect(storedPfns(dump)).toEqual([0, 1, 2]);
    expect(dump.problems).toEqual([
      { code: "TRUNCATED", message: "page records stop at offset 77872 without an end record: zeros follow; 3 pages came before" },
    ]);
  });

  test("something else follows", () => {
    const dump = open({ ...recipe, pages: [...recipe.pages, { pfn: 3, flags: 0x100 }, { pfn: 4 }] });
    expect(storedPfns(dump)).toEqual([0, 1, 2]);
    expect(dump.problems).toEqual([
      { code: "CORRUPT", message: "what is at offset 77872 is no page record: dp_flags is 0x100, dp_size 4096; 3 pages came before" },
    ]);
  });

  test("a size that leads nowhere", () => {
    const dump = open({ ...recipe, pages: [...recipe.pages, { pfn: 3, size: 5000 }, { pfn: 4 }] });
    expect(storedPfns(dump)).toEqual([0, 1, 2]);
    expect(codes(dump)).toEqual(["CORRUPT"]);
  });

  test("the writer ran out of space", () => {
    const dump = open({ ...recipe, end: "truncated" });
    expect(storedPfns(dump)).toEqual([0, 1, 2]);
    expect(dump.problems).toEqual([
      { code: "TRUNCATED", message: "the end record at offset 77872 says that the writer ran out of space after 3 pages" },
    ]);
  });

  test("fewer pages than the header counts; the end record may be counted", () => {
    expect(codes(open({ ...recipe, numPages: 4 }))).toEqual([]);
    expect(open({ ...recipe, numPages: 5 }).problems).toEqual([
      { code: "TRUNCATED", message: "dh_num_pages is 5, there are 3 page records up to the end record at offset 77872" },
    ]);
  });

  test("more pages than the limit", () => {
    const dump = open(recipe, 2);
    expect(storedPfns(dump)).toEqual([0, 1]);
    expect(dump.problems).toEqual([{ code: "LIMIT", message: "more than 2 page records; those from offset 73760 on are left out" }]);
  });
});

describe("what is refused", () => {
  const bytes = writeLkcd({ version: 8, pages: PAGES });
  const changed = (change: (view: DataView) => void): Uint8Array => {
    const copy = Uint8Array.from(bytes);
    change(new DataView(copy.buffer));
    return copy;
  };
  test.each([
    ["version 0", changed((view) => view.setUint32(8, 0, true)), "UNSUPPORTED", "dh_version is 0x0, versions 1 to 10 are known"],
    ["version 11", changed((view) => view.setUint32(8, 11, true)), "UNSUPPORTED", "dh_version is 0xb, versions 1 to 10 are known"],
    [
      "flags nobody knows",
      changed((view) => view.setUint32(8, 0x10008, true)),
      "UNSUPPORTED",
      "dh_version is 0x10008, versions 1 to 10 are known",
    ],
    [
      "a page size of 0",
      changed((view) => view.setUint32(20, 0, true)),
      "CORRUPT",
      "dh_page_size is 0, a page is a power of two from 4096 to 1048576",
    ],
    [
      "a page size of 3 GiB",
      changed((view) => view.setUint32(20, 0xc0000000, true)),
      "CORRUPT",
      "dh_page_size is 3221225472, a page is a power of two from 4096 to 1048576",
    ],
    [
      "an s390 dump",
      changed((view) => view.setBigUint64(0, 0xa8190173618f23fdn, true)),
      "UNSUPPORTED",
      "x is an s390 stand-alone dump, which is not read yet",
    ],
    ["half a header", bytes.subarray(0, 700), "TRUNCATED", "LKCD header of version 8 is 734 bytes long, x has 700 of them"],
    ["no magic number", changed((view) => view.setUint8(0, 0)), "UNSUPPORTED", "x has no LKCD magic number"],
    ["nothing", new Uint8Array(0), "UNSUPPORTED", "x has no LKCD magic number"],
  ])("%s", (_what, input, code, message) => {
    expect(() => new LkcdDump(new MemorySource(input, "x"))).toThrow(expect.objectContaining({ code, message }));
  });

  test("several files", () => {
    const source = new MemorySource(bytes);
    expect(() => lkcdFormat.open([source, source], {})).toThrow(expect.objectContaining({ code: "BAD_ARGUMENT" }));
  });

  test("the probe knows it from other things and never throws", () => {
    expect(probe(bytes)).toBe(true);
    expect(probe(new Uint8Array(0))).toBe(false);
    expect(probe(bytes.subarray(0, 8))).toBe(true);
    expect(probe(Buffer.from("KDUMP   ".padEnd(10000)))).toBe(false);
    // The same eight bytes at a page boundary of something else.
    const stray = new Uint8Array(100_000);
    stray.set(bytes.subarray(0, 8), 4096);
    expect(probe(stray)).toBe(false);
    const failing: ByteSource = {
      name: "failing",
      size: 100,
      close: () => {},
      read: () => {
        throw new Error("no");
      },
    };
    expect(lkcdFormat.probe(new Uint8Array(0), failing)).toBe(false);
  });
});

/** A raw page with its record, made by hand. */
const rawRecord = (pfn: number): Uint8Array => {
  const record = new Uint8Array(16 + 4096);
  const view = new DataView(record.buffer);
  view.setBigUint64(0, BigInt(pfn) * 4096n, true);
  view.setUint32(8, 4096, true);
  view.setUint32(12, 1, true);
  record.set(pagePattern("text", pfn, 4096), 16);
  return record;
};

const recordOfSize = (pfn: number, size: number): Uint8Array => {
  const record = rawRecord(pfn).slice(0, 16);
  new DataView(record.buffer).setUint32(8, size, true);
  return record;
};

test("offsets beyond 4 GiB, and page data is not read while indexing", () => {
  const gap = 0xa000_0000;
  const chunks: [number, Uint8Array][] = [[0, writeLkcd({ version: 8, pages: [{ pfn: 0 }], end: "none" })]];
  let at = chunks[0]![1].length;
  for (const [record, size] of [
    [recordOfSize(0x100000, gap), 16 + gap],
    [recordOfSize(0x200000, gap), 16 + gap],
    [rawRecord(3), 4112],
    [rawRecord(2), 4112],
  ] as const) {
    chunks.push([at, record]);
    at += size;
  }
  const end = new Uint8Array(16);
  end[12] = 4;
  chunks.push([at, end]);
  let bytesRead = 0;
  const source: ByteSource = {
    name: "sparse",
    size: at + 16,
    close: () => {},
    read(offset, into) {
      const wanted = Math.max(0, Math.min(into.length, this.size - offset));
      bytesRead += wanted;
      into.fill(0, 0, wanted);
      for (const [start, bytes] of chunks) {
        const from = Math.max(offset, start);
        const to = Math.min(offset + wanted, start + bytes.length);
        if (from < to) into.set(bytes.subarray(from - start, to - start), from - offset);
      }
      return wanted;
    },
  };
  const dump = new LkcdDump(source);
  expect(bytesRead).toBeLessThan(1_000_000);
  expect(storedPfns(dump)).toEqual([0, 2, 3, 0x100000, 0x200000]);
  expect(Buffer.compare(read(dump, 2), pagePattern("text", 2, 4096))).toBe(0);
  expect(Buffer.compare(read(dump, 3), pagePattern("text", 3, 4096))).toBe(0);
  expect(outcome(dump, 0x100000)).toBe("CORRUPT");
  expect(dump.problems).toEqual([]);
});

test("progress is told", () => {
  const seen: [string, number, number][] = [];
  const pages = Array.from({ length: 5000 }, (_, pfn): LkcdPage => ({ pfn, how: "raw", bytes: new Uint8Array(4096) }));
  const bytes = writeLkcd({ version: 8, pages });
  const dump = new LkcdDump(new MemorySource(bytes), { onProgress: (label, done, total) => seen.push([label, done, total]) });
  expect(dump.maxPfn).toBe(5000);
  expect(seen.length).toBeGreaterThan(1);
  expect(seen.at(-1)).toEqual(["indexing page records", bytes.length, bytes.length]);
});

test("info", () => {
  const dump = open({
    version: 9,
    compress: "gzip",
    machine: "x86_64",
    pages: PAGES,
    arch: { nrCpus: 2, numCpus: 1, dumpingCpu: 0, registerBase: 0x100n },
  });
  expect(dump.info().map(({ title, fields }) => `${title}: ${fields.map(([name, value]) => `${name}=${value}`).join("; ")}`))
    .toMatchInlineSnapshot(`
    [
      "LKCD header: dh_magic_number=0xa8190173618f23ed; dh_version=9; dh_header_size=742; dh_dump_level=0x8 (all RAM); dh_page_size=4096; dh_memory_size=131072; dh_memory_start=0xffff810000000000; dh_memory_end=0xa8190173618f23ed; dh_num_pages=10; dh_panic_string=Oops: 0002; dh_time=1100000000.250000 (2004-11-09T11:33:20Z); utsname.sysname=Linux; utsname.nodename=testhost; utsname.release=2.4.18-lkcd; utsname.version=#1 SMP Fri Jan 22 14:02:42 UTC 2003; utsname.machine=x86_64; utsname.domainname=(none); dh_current_task=0xc1230000; dh_dump_compress=2 (gzip); dh_dump_flags=0x80000000 (to disk); dh_dump_device=0x303; dh_dump_buffer_size=65536; offset of the header=0; offset of the first page record=65536; offset of the end record=78289; size of a stored page=4096; pages stored=10; records compressed, raw, zero=7, 3, 0",
      "LKCD architecture header: dha_version=2; dha_header_size=576; dha_smp_num_cpus=1; dha_dumping_cpu=0; r15=0x100; r14=0x101; r13=0x102; r12=0x103; rbp=0x104; rbx=0x105; r11=0x106; r10=0x107; r9=0x108; r8=0x109; rax=0x10a; rcx=0x10b; rdx=0x10c; rsi=0x10d; rdi=0x10e; orig_rax=0x10f; rip=0x110; cs=0x111; eflags=0x112; rsp=0x113; ss=0x114",
      "CPU 0: dha_smp_current_task=0x10000000; dha_stack=0x20000000; dha_stack_ptr=0x30000000; r15=0x100; r14=0x101; r13=0x102; r12=0x103; rbp=0x104; rbx=0x105; r11=0x106; r10=0x107; r9=0x108; r8=0x109; rax=0x10a; rcx=0x10b; rdx=0x10c; rsi=0x10d; rdi=0x10e; orig_rax=0x10f; rip=0x110; cs=0x111; eflags=0x112; rsp=0x113; ss=0x114",
    ]
  `);
});

describe("page index", () => {
  test("any order, as a map with the first value of each key", () => {
    const entries = fc.array(
      fc.tuple(fc.oneof(fc.nat({ max: 50 }), fc.integer({ min: 0, max: 0xffffffff }), fc.integer({ min: 65500, max: 65600 })), fc.nat()),
      { maxLength: 200 },
    );
    fc.assert(
      fc.property(entries, fc.integer({ min: 0, max: 0xffffffff }), (list, probe) => {
        const index = new PageIndex(2);
        const map = new Map<number, number>();
        for (const [pfn, offset] of list) {
          index.add(pfn, offset);
          if (!map.has(pfn)) map.set(pfn, offset);
        }
        index.seal();
        expect(index.length).toBe(map.size);
        expect(index.duplicates).toBe(list.length - map.size);
        for (const [pfn, offset] of map) expect(index.offset(pfn)).toBe(offset);
        expect(index.has(probe)).toBe(map.has(probe));
        const later = [...map.keys()].filter((pfn) => pfn >= probe);
        expect(index.next(probe)).toBe(later.length === 0 ? undefined : Math.min(...later));
        expect(index.highest).toBe(Math.max(-1, ...map.keys()));
      }),
    );
  });
});

/** Opens, asks everything, reads pages; anything but DumpError comes out. */
function exercise(bytes: Uint8Array): void {
  try {
    const source = new MemorySource(bytes);
    lkcdFormat.probe(bytes.subarray(0, 65536), source);
    const dump = lkcdFormat.open([source], {});
    dump.info();
    let pages = 0;
    const into = new Uint8Array(dump.pageSize);
    for (let pfn = dump.nextStored(asPfn(0)); pfn !== undefined && pages < 100; pfn = dump.nextStored(asPfn(pfn + 1)), pages++) {
      dump.pageState(pfn);
      try {
        dump.readPage(pfn, into);
      } catch (error) {
        if (!isDumpError(error)) throw error;
      }
    }
  } catch (error) {
    if (!isDumpError(error)) throw error;
  }
}

describe("hostile input", () => {
  const bases = [
    writeLkcd({ version: 1, wordSize: 4, pages: PAGES.slice(0, 5) }),
    writeLkcd({ version: 5, littleEndian: false, compress: "rle", pages: PAGES.slice(0, 5) }),
    writeLkcd({ version: 8, compress: "gzip", pages: PAGES.slice(0, 5), arch: { nrCpus: 8, numCpus: 4, dumpingCpu: 0, registerBase: 1n } }),
    writeLkcd({
      version: 9,
      compress: "gzip",
      pages: PAGES.slice(0, 5),
      firstPage: 16384,
      arch: { nrCpus: 8, numCpus: 4, dumpingCpu: 0, registerBase: 1n },
    }),
    writeLkcd({
      version: 9,
      machine: "ia64",
      pages: PAGES.slice(0, 3),
      firstPage: 8192,
      arch: { nrCpus: 4, numCpus: 4, dumpingCpu: 0, registerBase: 1n },
    }),
  ];

  test("changed bytes and cuts: only DumpError, in bounded time", () => {
    // Most changes go where the structure is: the headers, the architecture header, the records.
    const place = fc.oneof(
      fc.nat({ max: 1800 }),
      fc.integer({ min: 8192, max: 8300 }),
      fc.integer({ min: 16384, max: 16500 }),
      fc.integer({ min: 65536, max: 70000 }),
      fc.nat({ max: 90000 }),
    );
    const value = fc.oneof(fc.constantFrom(0, 1, 2, 4, 0x7f, 0x80, 0xff), fc.integer({ min: 0, max: 255 }));
    const started = performance.now();
    fc.assert(
      fc.property(
        fc.nat({ max: bases.length - 1 }),
        fc.array(fc.tuple(place, value), { maxLength: 12 }),
        fc.option(fc.oneof(fc.nat({ max: 2000 }), fc.nat({ max: 90000 }))),
        (which, edits, cut) => {
          const bytes = Uint8Array.from(bases[which]!);
          for (const [at, byte] of edits) if (at < bytes.length) bytes[at] = byte;
          exercise(cut === null ? bytes : bytes.subarray(0, cut));
        },
      ),
      { numRuns: 1500 },
    );
    expect(performance.now() - started).toBeLessThan(30_000);
  });

  test("a valid header and noise", () => {
    fc.assert(
      fc.property(
        fc.nat({ max: bases.length - 1 }),
        fc.uint8Array({ minLength: 0, maxLength: 4096 }),
        fc.integer({ min: 8, max: 1200 }),
        (which, noise, at) => {
          const bytes = Uint8Array.from(bases[which]!);
          bytes.set(noise.subarray(0, bytes.length - at), at);
          exercise(bytes);
        },
      ),
      { numRuns: 500 },
    );
  });
});
