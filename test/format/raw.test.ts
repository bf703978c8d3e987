import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { asPfn, isDumpError, MemorySource } from "../../src/bytes/index.ts";
import { RawDump, rawFormat } from "../../src/format/raw/index.ts";

const bytes = Uint8Array.from({ length: 3 * 4096 }, (_, i) => (i * 31 + (i >> 8)) & 0xff);
const open = (base: number, length: number = bytes.length): RawDump =>
  new RawDump(new MemorySource(bytes.subarray(0, length), "image"), base);
const read = (dump: RawDump, pfn: number): Uint8Array => {
  const page = new Uint8Array(4096).fill(0xee);
  dump.readPage(asPfn(pfn), page);
  return page;
};

describe("raw image", () => {
  test("at an aligned base", () => {
    const dump = open(0x100000);
    expect(dump.problems).toEqual([]);
    expect(dump.maxPfn).toBe(0x103);
    expect(["absent", "stored", "stored", "stored", "absent"]).toEqual(
      [0xff, 0x100, 0x101, 0x102, 0x103].map((pfn) => dump.pageState(asPfn(pfn))),
    );
    for (let i = 0; i < 3; i++) expect(Buffer.compare(read(dump, 0x100 + i), bytes.subarray(i * 4096, i * 4096 + 4096))).toBe(0);
    expect(() => read(dump, 0x103)).toThrow(expect.objectContaining({ code: "NOT_STORED", at: 0x103000 }));
    expect(dump.nextStored(asPfn(0))).toBe(0x100);
    expect(dump.nextStored(asPfn(0x102))).toBe(0x102);
    expect(dump.nextStored(asPfn(0x103))).toBeUndefined();
    expect(dump.info()).toEqual([
      {
        title: "raw image",
        fields: [
          ["first address", "0x100000"],
          ["end address", "0x103000"],
          ["bytes", 12288],
        ],
      },
    ]);
  });

  test("a last page that is cut is TRUNCATED, with the bytes that are there", () => {
    const dump = open(0, 2 * 4096 + 100);
    expect(dump.problems).toEqual([
      { code: "TRUNCATED", message: "the image has only 0x2000 to 0x2064 of its last page, which begins at 0x2000" },
    ]);
    const page = new Uint8Array(4096).fill(0xee);
    expect(() => dump.readPage(asPfn(2), page)).toThrow(
      expect.objectContaining({
        code: "TRUNCATED",
        at: 0x2000,
        message: "page at 0x2000: the image has 100 of its 4096 bytes, from 0x2000 on",
      }),
    );
    expect(Buffer.compare(page.subarray(0, 100), bytes.subarray(8192, 8292))).toBe(0);
    expect(page.subarray(100).every((byte) => byte === 0)).toBe(true);
  });

  test("a base within a page shifts everything", () => {
    const dump = open(0x5100);
    expect(dump.problems.length).toBe(2);
    expect(Buffer.compare(read(dump, 6), bytes.subarray(0xf00, 0x1f00))).toBe(0);
    expect(() => read(dump, 5)).toThrow(expect.objectContaining({ code: "TRUNCATED" }));
    expect(() => read(dump, 8)).toThrow(expect.objectContaining({ code: "TRUNCATED" }));
    expect(() => read(dump, 9)).toThrow(expect.objectContaining({ code: "NOT_STORED" }));
  });

  test("an image smaller than a page", () => {
    const dump = open(0x5100, 16);
    expect(dump.problems).toEqual([
      { code: "TRUNCATED", message: "the image has only 0x5100 to 0x5110 of its first page, which begins at 0x5000" },
    ]);
    expect(dump.maxPfn).toBe(6);
  });

  test("an empty image holds nothing", () => {
    for (const base of [0x1000, 0x1001]) {
      const dump = open(base, 0);
      expect(dump.nextStored(asPfn(0))).toBeUndefined();
      expect(dump.pageState(asPfn(1))).toBe("absent");
      expect(() => read(dump, 1)).toThrow(expect.objectContaining({ code: "NOT_STORED" }));
    }
  });

  test.each([-1, 0.5, Number.NaN, 2 ** 52, 2 ** 52 - 4096])("base %s is refused", (base) => {
    expect(() => open(base)).toThrow(expect.objectContaining({ code: "BAD_ARGUMENT" }));
  });

  test("opened only on demand, from one file", () => {
    const source = new MemorySource(bytes);
    expect(rawFormat.probe(bytes, source)).toBe(false);
    expect(() => rawFormat.open([source], {})).toThrow(expect.objectContaining({ code: "BAD_ARGUMENT" }));
    expect(() => rawFormat.open([source, source], { raw: true })).toThrow(expect.objectContaining({ code: "BAD_ARGUMENT" }));
    expect(rawFormat.open([source], { raw: true }).maxPfn).toBe(3);
    expect(rawFormat.open([source], { rawBase: 0x4000 }).maxPfn).toBe(7);
  });

  test("each byte is where it should be, or its page is TRUNCATED or NOT_STORED", () => {
    fc.assert(
      fc.property(fc.nat({ max: 20000 }), fc.nat({ max: bytes.length }), fc.nat({ max: 10 }), (base, length, pfn) => {
        const dump = open(base, length);
        const inside = pfn * 4096 >= base && pfn * 4096 + 4096 <= base + length;
        const overlaps = pfn * 4096 + 4096 > base && pfn * 4096 < base + length && length > 0;
        try {
          const page = read(dump, pfn);
          expect(inside).toBe(true);
          expect(page[17]).toBe(bytes[pfn * 4096 + 17 - base]);
        } catch (error) {
          if (!isDumpError(error)) throw error;
          expect(error.code).toBe(overlaps ? "TRUNCATED" : "NOT_STORED");
        }
        expect(dump.pageState(asPfn(pfn))).toBe(overlaps ? "stored" : "absent");
      }),
    );
  });
});
