import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { mtdoopsDevice } from "../../../test/writers/mtdoops.ts";
import { decodeLatin1, MemorySource } from "../../bytes/index.ts";
import { recordFileName } from "../record.ts";
import { type MtdoopsContent, type MtdoopsOptions, readMtdoops } from "./read.ts";

const read = (bytes: Uint8Array, options?: MtdoopsOptions): MtdoopsContent => readMtdoops(new MemorySource(bytes), options);
const texts = ({ records }: MtdoopsContent): string[] => records.map(({ content }) => decodeLatin1(content));

describe("readMtdoops", () => {
  it.each([true, false])("reads both versions, newest last, little-endian %s", (littleEndian) => {
    const device = mtdoopsDevice(
      65536,
      4096,
      [
        { page: 0, seq: 9, version: 2, text: "<0>newest\n", nanoseconds: 1_700_000_000_123_456_789n },
        { page: 1, seq: 7, version: 1, text: "<0>oldest\n" },
        { page: 2, seq: 8, version: 1, text: "x".repeat(5000) },
      ],
      littleEndian,
    );
    const content = read(device);
    expect(texts(content)).toEqual(["<0>oldest\n", "x".repeat(4088), "<0>newest\n"]);
    expect(content.records.map(recordFileName)).toEqual(["dmesg-mtdoops-7", "dmesg-mtdoops-8", "dmesg-mtdoops-9"]);
    expect(content.records[2]!.time).toEqual({ seconds: 1_700_000_000, nanoseconds: 123_456_789 });
    expect(content.records.map(({ at }) => at.offset)).toEqual([4096, 8192, 0]);
    expect(content.problems).toEqual([]);
  });

  it("orders numbers that have wrapped", () => {
    const device = mtdoopsDevice(32768, 4096, [
      { page: 0, seq: 1, version: 1, text: "c" },
      { page: 1, seq: 0xfffffffd, version: 1, text: "a" },
      { page: 2, seq: 0, version: 1, text: "b" },
    ]);
    expect(texts(read(device))).toEqual(["a", "b", "c"]);
  });

  it("finds larger records by their headers' distances, or takes the size told", () => {
    const long = "y".repeat(12_000);
    const device = mtdoopsDevice(65536, 16384, [
      { page: 1, seq: 1, version: 1, text: long },
      { page: 2, seq: 2, version: 1, text: "z" },
    ]);
    expect(texts(read(device))).toEqual([long, "z"]);
    expect(texts(read(device, { recordSize: 4096 }))[0]).toHaveLength(4088);
    const odd = read(device, { recordSize: 1000 });
    expect(texts(odd)).toEqual([long, "z"]);
    expect(odd.problems).toHaveLength(1);
  });

  it("says what is wrong", () => {
    const device = mtdoopsDevice(8192, 4096, [
      { page: 0, seq: 1, version: 2, text: "a", nanoseconds: -1n },
      { page: 1, seq: 1, version: 1, text: "b" },
    ]);
    expect(read(device).records.map(({ problems }) => problems)).toEqual([
      ["the time is -1 ns, before 1970"],
      ["another record has the number 1"],
    ]);
    expect(read(new Uint8Array(4096).fill(0xff))).toEqual({ records: [], problems: [] });
  });

  it("takes any bytes and any damage, with no more bytes out than in", () => {
    const device = mtdoopsDevice(20_480, 4096, [
      { page: 0, seq: 1, version: 2, text: "a".repeat(4000) },
      { page: 3, seq: 2, version: 1, text: "b" },
      { page: 4, seq: 3, version: 2, text: "c" },
    ]);
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(4), fc.nat(15), fc.nat(255)), { maxLength: 12, size: "max" }),
        fc.nat(20_480),
        (changes, length) => {
          const bytes = device.slice(0, length);
          for (const [page, at, value] of changes) if (page * 4096 + at < length) bytes[page * 4096 + at] = value;
          const { records } = read(bytes);
          expect(records.reduce((sum, { content }) => sum + content.length, 0)).toBeLessThanOrEqual(length);
        },
      ),
    );
    fc.assert(fc.property(fc.uint8Array({ maxLength: 100, size: "max" }), (bytes) => void read(bytes)));
  });
});
