import { describe, expect, test } from "vitest";
import { MemorySource } from "../../src/bytes/index.ts";
import { type DumpFile, openSources } from "../../src/format/index.ts";
import { codeOf, expectConforming } from "../conformance/dump-file.ts";
import { writeNotes } from "../writers/elf.ts";
import { type KdumpCodec, type KdumpRecipe, writeKdump } from "../writers/kdump.ts";
import { pagePattern } from "../writers/page-pattern.ts";

const openBytes = (...files: Uint8Array[]): DumpFile => openSources(files.map((bytes, i) => new MemorySource(bytes, `dump.${i}`)));
const open = (recipe: KdumpRecipe): DumpFile => openBytes(writeKdump(recipe));
const page = (pfn: number, size = 4096): Uint8Array => pagePattern("text", pfn, size);
const PFNS = [0, 1, 7, 8, 9, 100, 4000];
const EXCLUDED = [2, 3, 101];
const ABSENT = [4, 5, 4001, 5000];
const expected = { pages: new Map(PFNS.map((pfn) => [pfn, page(pfn)])), excluded: EXCLUDED, absent: ABSENT };
const base = { maxMapnr: 4096, excluded: EXCLUDED };
const withCodec = (codec: KdumpCodec): KdumpRecipe => ({ ...base, pages: PFNS.map((pfn) => ({ pfn, bytes: page(pfn), codec })) });

describe.each([1, 2, 3, 4, 5, 6])("header version %i", (version) => {
  test.each([
    { wordSize: 8, littleEndian: true },
    { wordSize: 8, littleEndian: false, machine: "s390x" },
    { wordSize: 4, littleEndian: true },
    { wordSize: 4, littleEndian: false, machine: "ppc" },
    { wordSize: 4, littleEndian: true, aligned: true, machine: "armv7l" },
  ] as const)("$wordSize bytes a word, little endian $littleEndian", (kind) => {
    const notes = writeNotes([{ name: "CORE", type: 1, desc: Buffer.alloc(336, 3) }], kind.littleEndian);
    const dump = open({
      ...withCodec("zlib"),
      version,
      ...kind,
      notes,
      vmcoreinfo: "OSRELEASE=9.9.9\n",
      eraseinfo: "erase secret size 16\n",
    });
    expect(dump).toMatchObject({ format: "kdump", wordSize: kind.wordSize, littleEndian: kind.littleEndian, problems: [] });
    expect(dump.vmcoreinfo).toBe(version >= 3 ? "OSRELEASE=9.9.9\n" : undefined);
    expect(dump.notes.map((note) => note.name)).toEqual(version >= 4 ? ["CORE"] : []);
    const erase = dump.info().find((section) => section.title === "eraseinfo");
    expect(erase?.fields[0]?.[1]).toBe(version >= 5 ? "erase secret size 16" : undefined);
    expectConforming(dump, expected);
  });
});

test.each(["raw", "zlib", "lzo", "snappy", "zstd"] as const)("pages of %s", (codec) => {
  expectConforming(open(withCodec(codec)), expected);
});

test("pages of 64 KiB", () => {
  const dump = open({ maxMapnr: 64, blockSize: 65536, pages: [{ pfn: 3, bytes: page(3, 65536), codec: "zstd" }], machine: "aarch64" });
  expect(dump.arch).toBe("aarch64");
  expectConforming(dump, { pages: new Map([[3, page(3, 65536)]]), absent: [0, 4] });
});

test("many pages: places come from the count of bits before", () => {
  const pfns = Array.from({ length: 3000 }, (_, i) => i * 31 + (i % 7));
  const dump = open({
    maxMapnr: 200_000,
    pages: pfns.map((pfn) => ({ pfn, bytes: pagePattern("fill", pfn, 4096), codec: "zlib" as const })),
  });
  expectConforming(dump, { pages: new Map(pfns.map((pfn) => [pfn, pagePattern("fill", pfn, 4096)])), absent: [150_000] });
});

test("one page of zeros shared by all", () => {
  const zero = new Uint8Array(4096);
  const first = writeKdump({
    maxMapnr: 64,
    pages: [
      { pfn: 1, bytes: zero },
      { pfn: 5, bytes: zero, data: new Uint8Array() },
    ],
  });
  const at = new DataView(first.buffer).getBigUint64(first.length - 4096 - 48, true);
  const dump = open({
    maxMapnr: 64,
    pages: [
      { pfn: 1, bytes: zero },
      { pfn: 5, bytes: zero, data: new Uint8Array(), offset: Number(at), size: 4096 },
    ],
  });
  expectConforming(dump, {
    pages: new Map([
      [1, zero],
      [5, zero],
    ]),
    absent: [0],
  });
});

test("a single bitmap, as in very old dumps", () => {
  expectConforming(open({ maxMapnr: 64, singleBitmap: true, version: 0, pages: [{ pfn: 2, bytes: page(2) }] }), {
    pages: new Map([[2, page(2)]]),
    absent: [1, 3],
  });
});

test("diskdump, the ancestor", () => {
  const dump = open({ ...withCodec("zlib"), signature: "DISKDUMP", version: 1, wordSize: 4 });
  expect(dump.format).toBe("diskdump");
  expectConforming(dump, expected);
});

describe("a split set", () => {
  const parts = (
    [
      [0, 8],
      [8, 100],
      [100, 4096],
    ] as const
  ).map((split) => writeKdump({ ...withCodec("zstd"), split }));

  test("in any order", () => {
    expectConforming(openBytes(parts[2]!, parts[0]!, parts[1]!), expected);
  });

  test("a part that was not given", () => {
    const dump = openBytes(parts[0]!, parts[2]!);
    expect(dump.problems).toEqual([
      { code: "NOT_STORED", message: "page frames 0x8 to 0x64 are in a part of the split dump that was not given" },
    ]);
    expect(codeOf(dump, 8)).toBe("NOT_STORED");
    expect(codeOf(dump, 100)).toBe("none");
  });

  test("parts of two dumps", () => {
    const other = writeKdump({ ...withCodec("zstd"), maxMapnr: 8192, split: [8, 100] });
    expect(() => openBytes(parts[0]!, other)).toThrowError(expect.objectContaining({ code: "BAD_ARGUMENT" }));
  });

  test("two whole dumps", () => {
    const whole = writeKdump(withCodec("raw"));
    expect(() => openBytes(whole, whole)).toThrowError(expect.objectContaining({ code: "BAD_ARGUMENT" }));
  });
});

describe("damage: five different answers", () => {
  test.each([
    ["flags nobody knows", { flags: 0x40 }, "UNSUPPORTED"],
    ["a compressed page that is not", { codec: "zlib", data: Buffer.from("not zlib at all") }, "CORRUPT"],
    ["a page that is too short", { codec: "zstd", bytes: new Uint8Array(100) }, "CORRUPT"],
    ["a raw page of the wrong size", { size: 100 }, "CORRUPT"],
    ["a size larger than a page", { size: 5000 }, "CORRUPT"],
    ["no size", { size: 0 }, "CORRUPT"],
    ["data behind the end", { offset: 1 << 30 }, "TRUNCATED"],
    ["an empty descriptor: the writer stopped", { offset: 0 }, "TRUNCATED"],
  ] as const)("%s", (_, change, code) => {
    const dump = open({
      maxMapnr: 64,
      excluded: [1],
      pages: [
        { pfn: 0, bytes: page(0), ...change },
        { pfn: 2, bytes: page(2) },
      ],
    });
    expect(codeOf(dump, 0)).toBe(code);
    expect(codeOf(dump, 1)).toBe("EXCLUDED");
    expect(codeOf(dump, 2)).toBe("none");
    expect(codeOf(dump, 3)).toBe("NOT_STORED");
  });

  test("a dump whose writer ran out of space says so", () => {
    const dump = open({ ...withCodec("raw"), status: 8 });
    expect(dump.problems.map((problem) => problem.code)).toEqual(["TRUNCATED"]);
  });

  test("cut at every block: an error or an answer, never anything else", () => {
    const whole = writeKdump(withCodec("zlib"));
    for (let length = 0; length < whole.length; length += 512) {
      try {
        const dump = openBytes(whole.slice(0, length));
        for (const pfn of PFNS) expect(["none", "TRUNCATED", "NOT_STORED", "CORRUPT", "EXCLUDED"]).toContain(codeOf(dump, pfn));
      } catch (error) {
        expect(error).toMatchObject({ name: "DumpError" });
      }
    }
  });

  test("a bitmap that claims 2^40 pages and is not there", () => {
    const bytes = writeKdump(withCodec("raw"));
    const view = new DataView(bytes.buffer);
    view.setBigUint64(4096 + 96, 2n ** 40n, true);
    view.setUint32(436, 0xffffffff, true);
    try {
      const dump = openBytes(bytes);
      dump.info();
      expect(dump.nextStored(5000 as never)).toBeUndefined();
    } catch (error) {
      expect(error).toMatchObject({ name: "DumpError" });
    }
  });
});
