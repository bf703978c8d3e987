import { deflateRawSync } from "node:zlib";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { cperRecord, DMESG_Z, erstStore, MCE } from "../../../test/writers/erst.ts";
import { decodeLatin1, encodeLatin1, MemorySource } from "../../bytes/index.ts";
import { decompressPayload, type Payload } from "../payload.ts";
import { recordFileName } from "../record.ts";
import { formatGuid } from "./layout.ts";
import { type ErstContent, readErstRecords } from "./read.ts";

const text = (words: string): Uint8Array => encodeLatin1(words);
const read = (...parts: Uint8Array[]): ErstContent =>
  readErstRecords(new MemorySource(new Uint8Array(Buffer.concat(parts))), decompressPayload);
const raw = (stored: Uint8Array): Payload => ({ content: stored, compression: "unknown", problems: [] });

const words = `Panic#1 Part1\n${"<0>[    2.000000] Kernel panic - not syncing\n".repeat(10)}`;
const plain = cperRecord({ id: 6_000_000_000_000_000_001n, data: text(words) });
const packed = cperRecord({ id: 2n, data: deflateRawSync(text(words)), section: DMESG_Z });
const mce = cperRecord({ id: 3n, data: Uint8Array.of(1, 2, 3), section: MCE, validation: 0 });
const foreign = cperRecord({ id: 4n, data: text("BIOS"), creator: "cf07c4bd-b789-4e18-b3c4-1f732cb57131" });

describe("readErstRecords", () => {
  it("reads one record", () => {
    const { records, problems, foreign: others } = read(plain);
    expect(problems).toEqual([]);
    expect(others).toBe(0);
    expect(records).toHaveLength(1);
    expect(records[0]).toMatchObject({
      backend: "erst",
      reason: "Panic",
      count: 1,
      part: 1,
      time: { seconds: 1_700_000_000 },
      state: "kept",
      problems: [],
    });
    expect(recordFileName(records[0]!)).toBe("dmesg-erst-6000000000000000001");
    expect(decodeLatin1(records[0]!.content)).toBe(words);
  });

  it("reads records behind each other with padding, and skips those of others", () => {
    const { records, foreign: others, problems } = read(plain, new Uint8Array(77).fill(0xff), foreign, packed, new Uint8Array(70_000), mce);
    expect(records.map(recordFileName)).toEqual(["dmesg-erst-6000000000000000001", "dmesg-erst-2", "mce-erst-3"]);
    expect(others).toBe(1);
    expect(problems).toEqual([]);
    expect(records[1]).toMatchObject({
      compression: "deflate",
      reason: "Panic",
      at: { offset: plain.length + 77 + foreign.length, length: packed.length },
    });
    expect(decodeLatin1(records[1]!.content)).toBe(words);
    expect(records[2]!.content).toEqual(Uint8Array.of(1, 2, 3));
    expect(records[2]!.time).toBeUndefined();
  });

  it("reads on behind a length that cannot be, and says so", () => {
    const torn = cperRecord({ id: 9n, data: text("torn\n"), recordLength: 0x7000_0000 });
    const { records } = read(torn, plain);
    expect(records.map(({ id }) => id)).toEqual(["9", "6000000000000000001"]);
    expect(decodeLatin1(records[0]!.content)).toBe("torn\n");
    expect(records[0]!.problems[0]).toBe(`record_length is ${0x7000_0000}, and 205 bytes are there`);
    expect(records[1]!.problems).toEqual([]);
    expect(read(plain.subarray(0, 300)).records[0]!.content).toHaveLength(100);
    expect(read(plain.subarray(0, 180)).problems).toEqual(["record 6000000000000000001 at 0 has 180 bytes; its headers alone are 200"]);
    expect(read(plain.subarray(0, 100)).problems).toHaveLength(1);
  });

  it("finds signatures wherever they lie", () => {
    for (let gap = 65_536 - 12; gap < 65_536 + 2; gap++) expect(read(new Uint8Array(gap), plain).records[0]!.at.offset).toBe(gap);
  });

  it("says what is wrong with a record", () => {
    expect(read(plain, plain).records[1]!.problems).toEqual([
      "another record has the number 6000000000000000001; a kernel shows one of them",
    ]);
    expect(read(cperRecord({ id: 1n, data: text("x\n"), sectionLength: 9 })).records[0]!.problems[0]).toContain(
      "the first of 9 bytes at 200",
    );
    expect(read(cperRecord({ id: 1n, data: text("x\n"), seconds: 0x2023_1120_1010_1010n })).records[0]!).not.toHaveProperty("time");
    expect(read(cperRecord({ id: 1n, data: text("x\n"), section: "00000000-0000-0000-0000-000000000000" })).problems[0]).toContain(
      "which no kernel writes",
    );
  });

  it("reads QEMU's store: the map decides, cleared slots are carved", () => {
    const store = erstStore({
      slots: 16,
      records: [
        { bytes: plain, id: 6_000_000_000_000_000_001n },
        { bytes: packed, id: 2n, cleared: true },
        { bytes: mce, id: 3n },
        { bytes: foreign, id: 4n },
      ],
    });
    const { records, foreign: others, problems } = read(store);
    expect(problems).toEqual([]);
    expect(others).toBe(1);
    expect(records.map(recordFileName)).toEqual(["dmesg-erst-6000000000000000001", "mce-erst-3", "dmesg-erst-2.carved"]);
    expect(records.map(({ at }) => at.offset)).toEqual([8192, 3 * 8192, 2 * 8192]);
    expect(decodeLatin1(records[2]!.content)).toBe(words);
    expect(records[2]!.problems).toHaveLength(1);
  });

  it("says where QEMU's map and slots disagree", () => {
    const store = erstStore({
      slots: 1200,
      recordSize: 4096,
      recordCount: 9,
      records: [
        { bytes: plain, id: 5n },
        { bytes: new Uint8Array(10), id: 7n },
      ],
    });
    const { records, problems } = read(store);
    // 1200 ids do not fit one slot of 4096: the records begin with the fourth.
    expect(records[0]!.at.offset).toBe(3 * 4096);
    expect(records[0]!.problems).toEqual(["the map calls it 5, the record itself 6000000000000000001"]);
    expect(problems).toEqual(["slot 4 should hold record 7, and there is none", "the header counts 9 records, the map has 2"]);
  });

  it("searches a store whose header is damaged", () => {
    const store = erstStore({ slots: 8, records: [{ bytes: plain, id: 1n }] });
    // record_size, storage_offset and version.
    for (const [at, value] of [
      [8, 1],
      [9, 0],
      [9, 0x08],
      [13, 1],
      [13, 0],
      [17, 2],
    ] as const) {
      const damaged = store.slice();
      damaged[at] = value;
      const { records, problems } = read(damaged);
      expect(problems).toHaveLength(1);
      expect(problems[0]).toContain("records are searched for instead");
      expect(records.map((record) => record.at.offset)).toEqual([8192]);
    }
  });

  it("takes any bytes", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 600, size: "max" }), fc.constantFrom("", "CPER", "ERSTSTOR"), (bytes, magic) => {
        const { records } = readErstRecords(new MemorySource(new Uint8Array(Buffer.concat([text(magic), bytes]))), raw);
        expect(records.length).toBeLessThanOrEqual(5);
      }),
    );
  });

  it("takes any damage, with no more bytes out than in", () => {
    const store = erstStore({
      slots: 6,
      recordSize: 4096,
      records: [
        { bytes: plain, id: 1n },
        { bytes: mce, id: 3n, cleared: true },
      ],
    });
    const row = new Uint8Array(Buffer.concat([plain, foreign, packed, mce]));
    const change = fc.tuple(fc.nat(), fc.oneof(fc.nat(255), fc.constantFrom(0, 255)));
    fc.assert(
      fc.property(
        fc.constantFrom(store, row),
        fc.array(change, { minLength: 1, maxLength: 12, size: "max" }),
        fc.nat(),
        (whole, changes, cut) => {
          const bytes = whole.slice(0, whole.length - (cut % 3 === 0 ? cut % whole.length : 0));
          // Most of the bytes that mean something are at the beginning.
          for (const [at, value] of changes) bytes[at % (at % 2 === 0 ? bytes.length : Math.min(64, bytes.length))] = value;
          const { records } = readErstRecords(new MemorySource(bytes), raw);
          expect(records.reduce((sum, { content }) => sum + content.length, 0)).toBeLessThanOrEqual(bytes.length);
        },
      ),
      { numRuns: 500 },
    );
  });

  it("is not slowed down by records that claim the rest of the file", () => {
    const bytes = Buffer.concat(
      Array.from({ length: 12_000 }, () => Buffer.from(cperRecord({ id: 1n, data: new Uint8Array(1), recordLength: 0xfffff }))),
    );
    const begin = performance.now();
    const { records, problems } = readErstRecords(new MemorySource(new Uint8Array(bytes)), raw);
    expect(records.length).toBeLessThanOrEqual(8192);
    expect(problems.length).toBeLessThanOrEqual(1);
    expect(performance.now() - begin).toBeLessThan(5000);
  });
});

it("spells GUIDs as the kernel does", () => {
  expect(formatGuid(Uint8Array.from({ length: 16 }, (_, i) => i))).toBe("03020100-0504-0706-0809-0a0b0c0d0e0f");
});
