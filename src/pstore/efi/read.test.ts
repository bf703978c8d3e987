import { decodeLatin1, encodeLatin1 } from "../../bytes/index.ts";
import { deflateRawSync } from "node:zlib";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { efiVariable } from "../../../test/writers/efi.ts";
import { decompressPayload } from "../payload.ts";
import { recordFileName } from "../record.ts";
import { efiRecordId, formatEfiName, parseEfiName } from "./name.ts";
import { type EfiVariableFile, readEfiVariables } from "./read.ts";

const text = (words: string): Uint8Array => encodeLatin1(words);

describe("parseEfiName", () => {
  it("knows the three generations, with and without GUID", () => {
    expect(parseEfiName("dump-type0-2-1357000000")).toEqual({
      type: "dmesg",
      part: 2,
      count: 0,
      seconds: 1357000000n,
      compressed: false,
      fields: 3,
    });
    expect(parseEfiName("dump-type0-2-1-1380000000-cfc8fc79-be2e-4ddc-97f0-9f98bfe298a0")).toEqual({
      type: "dmesg",
      part: 2,
      count: 1,
      seconds: 1380000000n,
      compressed: false,
      fields: 4,
    });
    const five = { type: "dmesg", part: 12, count: 3, seconds: 1700000000n, compressed: true, fields: 5 };
    expect(parseEfiName("dump-type0-12-3-1700000000-C")).toEqual(five);
    expect(parseEfiName("dump-type0-12-3-1700000000-C\0\0\0")).toEqual(five);
    expect(parseEfiName("dump-type0-12-3-1700000000-D-CFC8FC79-be2e-4ddc-97f0-9f98bfe298a0")).toEqual({ ...five, compressed: false });
  });

  it.each([
    "Boot0000-8be4df61-93ca-11d2-aa0d-00e098032b8c",
    "dump-type0-12-3-1700000000-C-8be4df61-93ca-11d2-aa0d-00e098032b8c",
    "dump-type77-1-1-1700000000-C",
    "dump-type0-4294967296-1-1700000000-C",
    "dump-type0-1-2147483648-1700000000-C",
    "dump-type0-1-1-18446744073709551616-C",
    "dump-type0-1-1700000000-C",
    "dump-type0-1-1-1700000000-C-rest",
    "dump-type0-1",
    "",
  ])("takes %j for nobody's", (name) => {
    expect(parseEfiName(name)).toBeUndefined();
  });

  it("reads what it formats", () => {
    fc.assert(
      fc.property(
        fc.nat(0xffffffff),
        fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }),
        fc.bigInt(0n, 2n ** 64n - 1n),
        fc.boolean(),
        (part, count, seconds, compressed) => {
          for (const fields of [3, 4, 5] as const) {
            const name = {
              type: "dmesg",
              part,
              count: fields === 3 ? 0 : count,
              seconds,
              compressed: fields === 5 && compressed,
              fields,
            } as const;
            expect(parseEfiName(formatEfiName(name))).toEqual(name);
          }
        },
      ),
    );
  });

  it("numbers records as the kernel does, in 64 bits", () => {
    expect(efiRecordId({ seconds: 1700000000n, part: 2, count: 1 })).toBe("170000000002001");
    expect(efiRecordId({ seconds: 0n, part: 0, count: -1 })).toBe("18446744073709551615");
  });
});

describe("readEfiVariables", () => {
  it("reads plain and compressed variables, sorted, and skips what is not ours", () => {
    const long = `Panic#1 Part2\n${"<4>[    1.000000] older text\n".repeat(20)}`;
    const files = [
      efiVariable({ name: "Boot0000", data: text("x"), guid: "8be4df61-93ca-11d2-aa0d-00e098032b8c" }),
      efiVariable({ name: "dump-type0-2-1-1700000000-C", data: deflateRawSync(text(long)) }),
      efiVariable({ name: "dump-type0-1-1-1700000000-D", data: text("Panic#1 Part1\n<0>newest\n") }),
      efiVariable({ name: "dump-type0-1-1357000000", data: text("Oops#7 Part1\n<0>old kernel\n") }),
    ];
    const records = readEfiVariables(files, decompressPayload);
    expect(records.map(recordFileName)).toEqual([
      "dmesg-efi_pstore-135700000001000",
      "dmesg-efi_pstore-170000000001001",
      "dmesg-efi_pstore-170000000002001",
    ]);
    expect(records.map(({ reason, count, part, time, problems }) => [reason, count, part, time?.seconds, problems])).toEqual([
      ["Oops", 7, 1, 1357000000, []],
      ["Panic", 1, 1, 1700000000, []],
      ["Panic", 1, 2, 1700000000, []],
    ]);
    expect(decodeLatin1(records[2]!.content)).toBe(long);
    expect(records[2]!.stored).toEqual(new Uint8Array(deflateRawSync(text(long))));
    expect(records[2]!.compression).toBe("deflate");
    expect(records[1]!.stored).toBeUndefined();
  });

  it("says what is wrong with a variable", () => {
    const files = [
      efiVariable({ name: "dump-type0-1-1-1700000000-D", data: text("Panic#2 Part1\nx\n"), attributes: 3 }),
      efiVariable({ name: "dump-type0-1-1-1700000000-C", data: new Uint8Array(40).fill(0xfd) }),
      efiVariable({ name: "dump-type0-3-1-1700000000-C", data: new Uint8Array() }),
      { name: "dump-type0-4-1-99999999999999-D", bytes: Uint8Array.of(7, 0) },
    ];
    const records = readEfiVariables(files, decompressPayload);
    expect(records.map(({ problems }) => problems.length)).toEqual([2, 2, 1, 2]);
    expect(records[0]!.problems).toEqual([
      "the attributes are 3, a kernel writes 7",
      "the name says dump 1 part 1, the text says dump 2 part 1",
    ]);
    expect(records[1]!.problems[0]).toContain("has the number of dump-type0-1-1-1700000000-D");
    expect(recordFileName(records[1]!)).toBe("dmesg-efi_pstore-170000000001001.enc.z");
    expect(records[3]!.time).toBeUndefined();
    expect(records[3]!.at).toEqual({ offset: 0, length: 2 });
  });

  it("takes any bytes under any name", () => {
    const name = fc.oneof(
      fc.string(),
      fc
        .tuple(fc.nat(12), fc.nat(), fc.integer(), fc.bigInt(0n, 2n ** 65n), fc.constantFrom("-C", "-D", "", "-X"))
        .map((parts) => `dump-type${parts.slice(0, 4).join("-")}${parts[4]}`),
    );
    const file: fc.Arbitrary<EfiVariableFile> = fc.record({ name, bytes: fc.uint8Array({ maxLength: 200, size: "max" }) });
    fc.assert(
      fc.property(fc.array(file, { maxLength: 6, size: "max" }), (files) => {
        const records = readEfiVariables(files, (stored) => ({ content: stored, compression: "unknown", problems: [] }));
        expect(records.length).toBeLessThanOrEqual(files.length);
        for (const record of records) expect(record.content.length).toBeLessThanOrEqual(200);
      }),
    );
  });
});
