import { encodeLatin1 } from "../bytes/index.ts";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { formatRecordHeader, parseRecordHeader } from "./dmesg.ts";

const parse = (text: string): ReturnType<typeof parseRecordHeader> => parseRecordHeader(encodeLatin1(text));

describe("header of a dmesg record", () => {
  test.each([
    ["plain", "====1700000000.000123-D\n", 1_700_000_000, 123_000, false],
    ["compressed", "====1700000000.999999-C\n", 1_700_000_000, 999_999_000, true],
    ["before 3.13: no letter, microseconds not padded", "====1350000000.42\n", 1_350_000_000, 42_000, false],
    ["a clock that was never set", "====0.000000-D\n", 0, 0, false],
    ["a clock before 1970", "====-5.000000-D\n", -5, 0, false],
  ])("%s", (_what, line, seconds, nanoseconds, compressed) => {
    expect(parse(`${line}payload`)).toEqual({ length: line.length, time: { seconds, nanoseconds }, compressed });
  });

  test.each([
    ["nothing", ""],
    ["three equals signs", "===1.000000-D\n"],
    ["not at the beginning", " ====1.000000-D\n"],
    ["no seconds", "====.000000-D\n"],
    ["no microseconds", "====1.-D\n"],
    ["more microseconds than a second has", "====1.1000000-D\n"],
    ["seconds that no number holds", "====9007199254740993.000000-D\n"],
    ["a damaged letter", "====1.000000-\x04\n"],
    ["no line end", "====1.000000-D"],
    ["erased flash", "\xff".repeat(48)],
  ])("%s is none", (_what, text) => {
    expect(parse(text)).toBeUndefined();
  });

  test("what is formatted is parsed, to the microsecond", () => {
    const time = fc.record({
      seconds: fc.integer({ min: -(2 ** 40), max: 2 ** 40 }),
      nanoseconds: fc.integer({ min: 0, max: 999_999_999 }),
    });
    fc.assert(
      fc.property(time, fc.uint8Array({ maxLength: 60 }), (at, payload) => {
        const line = formatRecordHeader(at);
        expect(parseRecordHeader(Buffer.concat([encodeLatin1(line), payload]))).toEqual({
          length: line.length,
          time: { seconds: at.seconds, nanoseconds: at.nanoseconds - (at.nanoseconds % 1000) },
          compressed: false,
        });
      }),
    );
  });

  test("formatted as the kernel does", () => {
    expect(formatRecordHeader({ seconds: 1_700_000_000, nanoseconds: 42_999 })).toBe("====1700000000.000042-D\n");
  });

  test("damage is none or stays in bounds, no exception", () => {
    const valid = encodeLatin1("====1700000000.000123-C\n");
    const edits = fc.array(fc.tuple(fc.nat({ max: valid.length - 1 }), fc.integer({ min: 0, max: 255 })), { maxLength: 4 });
    fc.assert(
      fc.property(edits, fc.nat({ max: valid.length }), fc.uint8Array({ maxLength: 60 }), (changes, cut, rest) => {
        const bytes = Buffer.from(valid);
        for (const [at, value] of changes) bytes[at] = value;
        const input = Buffer.concat([bytes.subarray(0, cut), rest]);
        const header = parseRecordHeader(input);
        if (!header) return;
        expect(header.length).toBeLessThanOrEqual(input.length);
        expect(input[header.length - 1]).toBe(10);
        expect(Number.isSafeInteger(header.time.seconds)).toBe(true);
        expect(header.time.nanoseconds >= 0 && header.time.nanoseconds < 1e9).toBe(true);
      }),
      { numRuns: 1000 },
    );
  });
});
