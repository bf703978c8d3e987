import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { isDumpError } from "../bytes/index.ts";
import { decompressRleNCopies, rle } from "./rle.ts";

/** The encoder that the format's description asks for; the kernel's own gave up at a full page. */
function encode(plain: Uint8Array): Uint8Array {
  const out: number[] = [];
  for (let i = 0; i < plain.length;) {
    const value = plain[i]!;
    let run = 1;
    while (run < 256 && plain[i + run] === value) run++;
    if (run === 1) out.push(...(value === 0 ? [0, 0] : [value]));
    else if (run === 2 && value !== 0) out.push(value, value);
    else out.push(0, run - 1, value);
    i += run;
  }
  return Uint8Array.from(out);
}

const decompress = (hex: string, room = 4096): string => {
  const output = new Uint8Array(room);
  return Buffer.from(output.subarray(0, rle.decompress(Buffer.from(hex, "hex"), output))).toString("hex");
};

describe("rle", () => {
  test.each([
    ["one zero", "0000", "00"],
    ["two zeros", "000100", "0000"],
    ["three letters", "000241", "414141"],
    ["longest run", "00ff41", "41".repeat(256)],
    ["zero page", "00ff00".repeat(16), "00".repeat(4096)],
    ["mixed", "4142000100" + "43", "4142000043"],
    ["nothing", "", ""],
  ])("%s", (_what, encoded, plain) => {
    expect(decompress(encoded)).toBe(plain);
    expect(Buffer.from(encode(Buffer.from(plain, "hex"))).toString("hex")).toBe(encoded);
  });

  test("runs of n bytes on demand", () => {
    const output = new Uint8Array(8);
    expect(decompressRleNCopies(Buffer.from("000341000042", "hex"), output)).toBe(5);
    expect(Buffer.from(output).toString("hex")).toBe("4141410042000000");
  });

  test.each([
    ["a run without count", "4100", "rle: run at input byte 1 has no count, the input ends at 2"],
    ["a run without value", "410005", "rle: run at input byte 1 has no value, the input ends at 3"],
    ["a run that leaves the output", "4100ff00", "rle: run of 256 bytes at output byte 1 leaves the output of 16"],
  ])("%s is corrupt", (_what, encoded, message) => {
    expect(() => decompress(encoded, 16)).toThrow(expect.objectContaining({ code: "CORRUPT", message }));
  });

  test("round trip", () => {
    const runs = fc.array(fc.tuple(fc.integer({ min: 0, max: 3 }), fc.integer({ min: 1, max: 600 })), { maxLength: 20 });
    fc.assert(
      fc.property(runs, (parts) => {
        const plain = Buffer.concat(parts.map(([value, count]) => Buffer.alloc(count, value)));
        const output = new Uint8Array(plain.length);
        expect(rle.decompress(encode(plain), output)).toBe(plain.length);
        expect(Buffer.compare(output, plain)).toBe(0);
      }),
    );
  });

  test("any bytes: corrupt or whole, in both readings", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (input) => {
        for (const read of [rle.decompress, decompressRleNCopies]) {
          try {
            expect(read(input, new Uint8Array(256))).toBeLessThanOrEqual(256);
          } catch (error) {
            expect(error).toSatisfy((e) => isDumpError(e, "CORRUPT"));
          }
        }
      }),
    );
  });
});
