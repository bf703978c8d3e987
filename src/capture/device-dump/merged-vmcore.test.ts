import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type ElfRecipe, writeElf } from "../../../test/writers/elf.ts";
import { asPfn, type ByteSource, isDumpError, MemorySource } from "../../bytes/index.ts";
import { openSources } from "../../format/index.ts";
import { MergedVmcore, openVmcore, sizeByHeaders } from "./merged-vmcore.ts";
import { type DeviceDump, encodeNote } from "./note.ts";

const hasReadelf = (() => {
  try {
    execFileSync("readelf", ["--version"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
})();

const pages = (count: number, seed: number): Uint8Array => Uint8Array.from({ length: count * 4096 }, (_, i) => (i * 31 + seed) >> (i % 7));
const vmcoreinfo = (pageSize = 4096): { name: string; type: number; desc: Uint8Array } => ({
  name: "VMCOREINFO",
  type: 0,
  desc: Buffer.from(`OSRELEASE=6.1.0\nPAGESIZE=${pageSize}\n`),
});
const RECIPE: ElfRecipe = {
  notes: [{ name: "CORE", type: 1, desc: new Uint8Array(336).fill(5) }, vmcoreinfo()],
  loads: [
    { paddr: 0x1000, bytes: pages(3, 1) },
    { paddr: 0x100000, bytes: pages(2, 2), memsz: 0x4000 },
  ],
};
const DUMPS: DeviceDump[] = [
  { name: "nic0_regs", data: Uint8Array.from({ length: 4116 }, (_, i) => i) },
  { name: "fw", data: Uint8Array.of(1, 2, 3) },
];

/** As a kernel lays a vmcore out: headers, notes and every range on pages of their own. Written anew, not by what is tested. */
function pageAligned(elf: Uint8Array): Uint8Array {
  const view = new DataView(elf.buffer, elf.byteOffset);
  const phnum = view.getUint16(56, true);
  const parts: Uint8Array[] = [Uint8Array.from(elf.subarray(0, 64 + 56 * phnum))];
  const out = new DataView(parts[0]!.buffer);
  let at = 4096;
  for (let i = 0; i < phnum; i++) {
    const base = 64 + 56 * i;
    const from = Number(view.getBigUint64(base + 8, true));
    const size = Number(view.getBigUint64(base + 32, true));
    out.setBigUint64(base + 8, BigInt(at), true);
    const part = new Uint8Array(Math.ceil(size / 4096) * 4096);
    part.set(elf.subarray(from, from + size));
    parts.push(new Uint8Array(at - parts.reduce((sum, one) => sum + one.length, 0)), part);
    at += part.length;
  }
  return Buffer.concat(parts);
}

function all(source: ByteSource): Uint8Array {
  const bytes = new Uint8Array(source.size);
  expect(source.read(0, bytes)).toBe(bytes.length);
  return bytes;
}

const recipes = fc.record({
  wordSize: fc.constantFrom<4 | 8>(4, 8),
  littleEndian: fc.boolean(),
  phnumInSection: fc.boolean(),
  notes: fc.array(
    fc.record({
      name: fc.constantFrom("CORE", "LINUX", "QEMU"),
      type: fc.constantFrom(0, 1, 0x700),
      desc: fc.uint8Array({ maxLength: 200 }),
    }),
    { maxLength: 5 },
  ),
  loads: fc
    .array(fc.uint8Array({ minLength: 1, maxLength: 3000 }), { maxLength: 4 })
    .map((parts) => parts.map((bytes, i) => ({ paddr: 0x10000 * (i + 1), bytes, memsz: bytes.length + (i % 2) * 4096 }))),
});
const dumpLists = fc.array(
  fc.record({ name: fc.constantFrom("a", "nic0", "x".repeat(43)), data: fc.uint8Array({ minLength: 1, maxLength: 9000 }) }),
  {
    maxLength: 4,
  },
);

describe("the merged vmcore", () => {
  test("is the same core, with the device dumps as its first notes", () => {
    fc.assert(
      fc.property(recipes, dumpLists, (recipe, dumps) => {
        const original = writeElf(recipe);
        const before = openSources([new MemorySource(original)]);
        const after = openSources([new MergedVmcore(new MemorySource(original), dumps)]);
        const seen = (notes: typeof after.notes): unknown[] =>
          notes.map(({ name, type, desc }) => [name, type, Buffer.from(desc).toString("hex")]);
        const ours = dumps.map(({ name, data }) => ["LINUX", 0x700, Buffer.from(encodeNote({ name, data }).subarray(20)).toString("hex")]);
        expect(seen(after.notes)).toEqual([...ours, ...seen(before.notes)]);
        expect(after.problems).toEqual(before.problems);
        expect(after.segments).toEqual(before.segments);
        const a = new Uint8Array(before.pageSize);
        const b = new Uint8Array(before.pageSize);
        for (let pfn = 0; pfn < before.maxPfn; pfn++) {
          const state = before.pageState(asPfn(pfn));
          expect(after.pageState(asPfn(pfn))).toBe(state);
          if (state !== "stored") continue;
          before.readPage(asPfn(pfn), a);
          after.readPage(asPfn(pfn), b);
          expect(Buffer.compare(a, b)).toBe(0);
        }
      }),
      { numRuns: 150 },
    );
  });

  test("answers reads of any length at any offset as the whole file would", () => {
    fc.assert(
      fc.property(recipes, dumpLists, fc.array(fc.tuple(fc.nat(), fc.nat(20_000)), { maxLength: 30 }), (recipe, dumps, reads) => {
        // The reference: original bytes with the notes put between, headers taken from one read of the merged headers.
        const original = writeElf(recipe);
        const merged = new MergedVmcore(new MemorySource(original), dumps);
        const notes = Buffer.concat(dumps.map((dump) => encodeNote(dump, 4096, recipe.littleEndian)));
        const reference = Buffer.concat([original.subarray(0, merged.noteOffset), notes, original.subarray(merged.noteOffset)]);
        merged.read(
          0,
          reference.subarray(0, (recipe.wordSize === 8 ? 64 : 52) + (recipe.wordSize === 8 ? 56 : 32) * (recipe.loads.length + 1)),
        );
        expect(merged.size).toBe(reference.length);
        for (const [where, length] of [[0, merged.size + 10] as const, ...reads]) {
          const offset = where % (merged.size + 5);
          const into = new Uint8Array(length).fill(0xee);
          const expected = reference.subarray(offset, offset + length);
          expect(merged.read(offset, into)).toBe(expected.length);
          expect(Buffer.compare(into.subarray(0, expected.length), expected)).toBe(0);
          expect(into.subarray(expected.length).every((byte) => byte === 0xee)).toBe(true);
        }
      }),
      { numRuns: 150 },
    );
  });

  test("without device dumps it is the file itself", () => {
    const original = writeElf(RECIPE);
    expect(all(new MergedVmcore(new MemorySource(original), []))).toEqual(original);
  });

  test("its headers grow as the kernel's do", () => {
    const original = pageAligned(writeElf(RECIPE));
    const merged = new DataView(all(new MergedVmcore(new MemorySource(original), DUMPS)).buffer);
    const headers = Array.from({ length: 3 }, (_, i) =>
      [8, 32, 40, 48].map((field) => Number(merged.getBigUint64(64 + 56 * i + field, true))),
    );
    const [offset, filesz, memsz, align] = [8, 32, 40, 48].map((field) =>
      Number(new DataView(original.buffer, original.byteOffset).getBigUint64(64 + field, true)),
    );
    expect(headers[0]).toEqual([offset, filesz! + 3 * 4096, memsz! + 3 * 4096, align]);
    expect(headers.slice(1).map(([at]) => at! % 4096)).toEqual([0, 0]);
    expect(headers[1]![0]).toBe(8192 + 3 * 4096);
  });

  test("device dumps of the kernel's own stay, after ours", () => {
    const kernels = new MergedVmcore(new MemorySource(writeElf(RECIPE)), [{ name: "kernel's", data: Uint8Array.of(9) }]);
    const dump = openSources([new MergedVmcore(kernels, DUMPS)]);
    const names = dump.notes.map((note) =>
      note.type === 0x700 ? Buffer.from(note.desc).toString("latin1", 0, 8).replace(/\0.*/, "") : note.name,
    );
    expect(names).toEqual(["nic0_reg", "fw", "kernel's", "CORE", "VMCOREINFO"]);
  });

  test("takes the page size of the vmcore, and 4096 where that is nonsense", () => {
    const of = (pageSize: number): number =>
      new MergedVmcore(new MemorySource(writeElf({ ...RECIPE, notes: [RECIPE.notes![0]!, vmcoreinfo(pageSize)] })), DUMPS).pageSize;
    expect([4096, 65536, 1000, 2 ** 30].map((size) => of(size))).toEqual([4096, 65536, 4096, 4096]);
    expect(new MergedVmcore(new MemorySource(writeElf(RECIPE)), DUMPS, { pageSize: 16384 }).insertedSize).toBe(2 * 16384);
  });

  test("a vmcore's size is what its headers say, when stat() has stayed behind", () => {
    for (const wordSize of [4, 8] as const) {
      const original = writeElf({ ...RECIPE, wordSize });
      const merged = new MergedVmcore(new MemorySource(original), DUMPS);
      expect([sizeByHeaders(new MemorySource(original)), sizeByHeaders(merged)]).toEqual([original.length, merged.size]);
      // All that is there by the old size are the headers.
      expect(sizeByHeaders(new MemorySource(all(merged).subarray(0, 400)))).toBe(merged.size);
    }
  });

  describe("views of the notes", () => {
    const merged = new MergedVmcore(new MemorySource(pageAligned(writeElf(RECIPE))), DUMPS);
    const expected = new Uint8Array(Math.ceil(merged.noteSize / 4096) * 4096);
    merged.read(merged.noteOffset, expected.subarray(0, merged.noteSize));

    test("have the bytes that reads have, in whole pages", () => {
      for (let from = 0; from <= expected.length + 4096; from += 4096)
        for (const length of [0, 1, 4096, 4097, 12_288, 1e6]) {
          const view = merged.noteView(from, length);
          expect(Buffer.compare(view, expected.subarray(from, from + Math.ceil(length / 4096) * 4096))).toBe(0);
        }
    });

    test("inside one device dump are no copies", () => {
      expect(merged.noteView(4096, 4096).buffer).toBe(merged.noteView(0, 8192).buffer);
      expect(merged.noteView(8192, 10).buffer).not.toBe(merged.noteView(0, 8192).buffer);
      expect(merged.noteView(4096, 4096).byteOffset % 4096).toBe(0);
    });

    test("begin on a page", () => {
      for (const offset of [1, 64, -4096, 0.5, NaN]) expect(() => merged.noteView(offset, 1)).toThrow(/does not begin on a page/);
    });
  });

  describe("with headers that do not allow it", () => {
    const refused = (change: (view: DataView, bytes: Uint8Array) => void, wordSize: 4 | 8 = 8): string => {
      const bytes = writeElf({ ...RECIPE, wordSize });
      change(new DataView(bytes.buffer), bytes);
      try {
        void new MergedVmcore(new MemorySource(bytes), DUMPS);
      } catch (error) {
        if (isDumpError(error)) return error.code;
        throw error;
      }
      return "none";
    };
    test.each<[string, string, (view: DataView, bytes: Uint8Array) => void]>([
      ["no ELF file", "UNSUPPORTED", (view) => view.setUint8(0, 0)],
      ["no core", "UNSUPPORTED", (view) => view.setUint16(16, 2, true)],
      ["a class of its own", "UNSUPPORTED", (view) => view.setUint8(4, 3)],
      ["no notes", "UNSUPPORTED", (view) => view.setUint32(64, 6, true)],
      ["notes padded to 8", "UNSUPPORTED", (view) => view.setBigUint64(64 + 48, 8n, true)],
      ["notes in the ELF header", "CORRUPT", (view) => view.setBigUint64(64 + 8, 10n, true)],
      ["notes in the program headers", "CORRUPT", (view) => view.setBigUint64(64 + 8, 100n, true)],
      ["notes in a range of memory", "CORRUPT", (view) => view.setBigUint64(64 + 8, 8192n, true)],
      ["notes after the end", "TRUNCATED", (view) => view.setBigUint64(64 + 8, 1n << 40n, true)],
      ["notes without end", "CORRUPT", (view) => view.setBigUint64(64 + 32, 1n << 60n, true)],
      ["memory at the end of all offsets", "CORRUPT", (view) => view.setBigUint64(64 + 56 + 8, (1n << 63n) - 1n, true)],
      ["program headers in the ELF header", "CORRUPT", (view) => view.setBigUint64(32, 8n, true)],
      ["program headers after the end", "TRUNCATED", (view) => view.setBigUint64(32, 1n << 50n, true)],
      ["program headers that are too short", "CORRUPT", (view) => view.setUint16(54, 10, true)],
      ["more program headers than the file holds", "TRUNCATED", (view) => view.setUint16(56, 60_000, true)],
    ])("%s: %s", (_name, code, change) => {
      expect(refused(change)).toBe(code);
    });

    test("an offset that 32 bits do not hold any more", () => {
      expect(refused((view) => view.setUint32(52 + 32 + 4, 0xffff_f000, true), 4)).toBe("LIMIT");
      expect(refused(() => {}, 4)).toBe("none");
    });

    test("whatever the headers say, it ends in a DumpError or a source", () => {
      fc.assert(
        fc.property(
          recipes,
          fc.array(fc.tuple(fc.nat(400), fc.constantFrom(0, 1, 4, 0x7f, 0x80, 0xff)), { minLength: 1, maxLength: 6 }),
          (recipe, changes) => {
            const bytes = writeElf(recipe);
            for (const [at, value] of changes) if (at < bytes.length) bytes[at] = value;
            try {
              const merged = new MergedVmcore(new MemorySource(bytes), DUMPS);
              expect(merged.read(0, new Uint8Array(50_000))).toBe(Math.min(50_000, merged.size));
              merged.noteView(0, 8192);
            } catch (error) {
              if (!isDumpError(error)) throw error;
            }
          },
        ),
        { numRuns: 1500 },
      );
    });
  });

  test.skipIf(!hasReadelf)("readelf takes it", () => {
    const folder = mkdtempSync(join(tmpdir(), "merged-"));
    try {
      for (const wordSize of [4, 8] as const) {
        const file = join(folder, `vmcore${wordSize}`);
        const original = writeElf({ ...RECIPE, wordSize, machine: wordSize === 8 ? 62 : 3 });
        writeFileSync(file, all(new MergedVmcore(new MemorySource(original), DUMPS)));
        const run = (option: string): string =>
          execFileSync("readelf", [option, file], { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
        const notes = run("-n");
        expect([...notes.matchAll(/^ {2}(\w+) +(0x\w+)/gm)].map((match) => [match[1], Number(match[2])])).toEqual([
          ["LINUX", 8192 - 20],
          ["LINUX", 4096 - 20],
          ["CORE", 336],
          ["VMCOREINFO", RECIPE.notes![1]!.desc.length],
        ]);
        expect(run("-l").match(/^ {2}(?:NOTE|LOAD)/gm)).toHaveLength(3);
        // And read back as a file.
        const dump = openSources([openVmcore(file)]);
        expect(dump.notes).toHaveLength(4);
        expect(dump.problems).toEqual([]);
        dump.close();
      }
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
