import { describe, expect, test } from "vitest";
import { MemorySource } from "../../src/bytes/index.ts";
import { type DumpFile, openSources } from "../../src/format/index.ts";
import { codeOf, expectConforming } from "../conformance/dump-file.ts";
import { writeElf, type ElfRecipe } from "../writers/elf.ts";
import { pagePattern } from "../writers/page-pattern.ts";

const open = (recipe: ElfRecipe): DumpFile => openBytes(writeElf(recipe));
const openBytes = (bytes: Uint8Array): DumpFile => openSources([new MemorySource(bytes, "core")]);
const pages = (...pfns: number[]): Buffer => Buffer.concat(pfns.map((pfn) => pagePattern("noise", pfn, 4096)));
const page = (pfn: number): Uint8Array => pagePattern("noise", pfn, 4096);

describe.each([
  { wordSize: 8, littleEndian: true },
  { wordSize: 8, littleEndian: false },
  { wordSize: 4, littleEndian: true },
  { wordSize: 4, littleEndian: false },
] as const)("ELF$wordSize, little endian $littleEndian", (kind) => {
  test("pages of two ranges, in either order of the headers", () => {
    const loads = [
      { paddr: 0x100000, bytes: pages(256, 257) },
      { paddr: 0x3000, bytes: pages(3) },
    ];
    for (const list of [loads, [...loads].reverse()]) {
      const dump = open({ ...kind, loads: list });
      expect(dump.littleEndian).toBe(kind.littleEndian);
      expect(dump.wordSize).toBe(kind.wordSize);
      expectConforming(dump, { pages: new Map([3, 256, 257].map((pfn) => [pfn, page(pfn)])), absent: [0, 4, 255, 258] });
    }
  });

  test("what p_memsz has and p_filesz not was left out", () => {
    const dump = open({ ...kind, loads: [{ paddr: 0x1000, bytes: pages(1), memsz: 0x3000 }] });
    expectConforming(dump, { pages: new Map([[1, page(1)]]), excluded: [2, 3], absent: [0, 4] });
  });

  test("notes, VMCOREINFO among them", () => {
    const dump = open({
      ...kind,
      loads: [{ paddr: 0, bytes: pages(0) }],
      notes: [
        { name: "LINUX", type: 0x700, desc: Buffer.alloc(60, 1) },
        { name: "CORE", type: 1, desc: Buffer.alloc(336, 2) },
        { name: "VMCOREINFO", type: 0, desc: Buffer.from("OSRELEASE=1.2.3\nPAGESIZE=4096\n") },
      ],
    });
    expect(dump.notes.map(({ name, type, desc }) => [name, type, desc.length])).toEqual([
      ["LINUX", 0x700, 60],
      ["CORE", 1, 336],
      ["VMCOREINFO", 0, 30],
    ]);
    expect(dump.vmcoreinfo).toBe("OSRELEASE=1.2.3\nPAGESIZE=4096\n");
    expect(dump.problems).toEqual([]);
  });
});

test("the count of program headers in section header 0", () => {
  expectConforming(open({ loads: [{ paddr: 0x1000, bytes: pages(1) }], phnumInSection: true }), {
    pages: new Map([[1, page(1)]]),
    absent: [0, 2],
  });
});

test("ranges that do not begin on a page boundary are stitched, gaps are zeros", () => {
  const whole = page(7);
  const dump = open({
    loads: [
      { paddr: 0x7000, bytes: whole.subarray(0, 100) },
      { paddr: 0x7800, bytes: whole.subarray(0x800) },
    ],
  });
  const expected = new Uint8Array(4096);
  expected.set(whole.subarray(0, 100));
  expected.set(whole.subarray(0x800), 0x800);
  expectConforming(dump, { pages: new Map([[7, expected]]), absent: [6, 8] });
});

test("overlapping ranges: the kernel's text is in RAM's range, too", () => {
  const dump = open({
    loads: [
      { paddr: 0x2000, bytes: pages(2) },
      { paddr: 0x1000, bytes: pages(1, 2, 3) },
    ],
  });
  expectConforming(dump, { pages: new Map([1, 2, 3].map((pfn) => [pfn, page(pfn)])), absent: [0, 4] });
});

describe("damage", () => {
  const whole = writeElf({ loads: [{ paddr: 0x1000, bytes: pages(1, 2, 3) }] });

  test("a file cut short: what is there is there, the rest is truncated", () => {
    const dump = openBytes(whole.slice(0, whole.length - 5000));
    expect(codeOf(dump, 1)).toBe("none");
    expect(codeOf(dump, 2)).toBe("TRUNCATED");
    expect(codeOf(dump, 3)).toBe("TRUNCATED");
    expect(codeOf(dump, 4)).toBe("NOT_STORED");
    expect(dump.problems).toEqual([
      { code: "TRUNCATED", message: `the program headers promise 5000 bytes after the end of the file (${whole.length - 5000} bytes)` },
    ]);
  });

  test("a range beyond any physical memory is a problem, not an answer", () => {
    const bytes = writeElf({
      loads: [
        { paddr: 0x1000, bytes: pages(1) },
        { paddr: Number.MAX_SAFE_INTEGER, bytes: pages(9) },
      ],
    });
    const dump = openBytes(bytes);
    expect(dump.problems.map((problem) => problem.code)).toEqual(["CORRUPT"]);
    expect(codeOf(dump, 1)).toBe("none");
  });

  test("terabytes that the file does not have are not walked through", () => {
    const bytes = writeElf({ loads: [{ paddr: 0x1000, bytes: pages(1) }] });
    new DataView(bytes.buffer).setBigUint64(64 + 56 + 32, 2n ** 50n, true);
    const dump = openBytes(bytes);
    expect(dump.nextStored(1 as never)).toBe(1);
    expect(dump.nextStored(2 as never)).toBeUndefined();
  });

  test("a note that claims more than its area", () => {
    const bytes = writeElf({
      loads: [{ paddr: 0, bytes: pages(0) }],
      notes: [
        { name: "CORE", type: 1, desc: Buffer.alloc(8) },
        { name: "CORE", type: 1, desc: Buffer.alloc(8) },
      ],
    });
    const notesAt = 64 + 2 * 56;
    new DataView(bytes.buffer).setUint32(notesAt + 28 + 4, 0xffffffff, true);
    const dump = openBytes(bytes);
    expect(dump.notes.length).toBe(1);
    expect(dump.problems[0]?.message).toContain("claims 5 bytes of name and 4294967295 of content");
  });

  test.each([["a program", { type: 2 }, "UNSUPPORTED"]] as const)("%s is no core", (_, change, code) => {
    expect(() => open({ loads: [], ...change })).toThrowError(expect.objectContaining({ code }));
  });

  test("an unknown class", () => {
    const bytes = whole.slice();
    bytes[4] = 9;
    expect(() => openBytes(bytes)).toThrowError(expect.objectContaining({ code: "UNSUPPORTED" }));
  });

  test("an empty file, and a header alone", () => {
    expect(() => openBytes(new Uint8Array())).toThrowError(expect.objectContaining({ code: "TRUNCATED" }));
    expect(() => openBytes(whole.slice(0, 20))).toThrowError(expect.objectContaining({ code: "TRUNCATED" }));
  });
});
