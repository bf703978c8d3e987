import { constants, deflateRawSync, inflateRawSync } from "node:zlib";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { inflateInto } from "./inflate.ts";

const { Z_FIXED, Z_HUFFMAN_ONLY, Z_RLE, Z_DEFAULT_STRATEGY } = constants;
/** Text with repeats, so that all kinds of blocks occur. */
const plain = fc.array(
  fc.oneof(fc.uint8Array({ maxLength: 40 }), fc.constant(new Uint8Array(300).fill(65)), fc.constant(Buffer.from("[    1.000000] eth0: "))),
  {
    maxLength: 60,
  },
);

describe("inflate", () => {
  test("whatever zlib writes, of every level, strategy and window; what follows is left alone", () => {
    fc.assert(
      fc.property(
        plain,
        fc.nat(9),
        fc.constantFrom(Z_DEFAULT_STRATEGY, Z_FIXED, Z_HUFFMAN_ONLY, Z_RLE),
        fc.integer({ min: 9, max: 15 }),
        (pieces, level, strategy, windowBits) => {
          const text = new Uint8Array(Buffer.concat(pieces));
          const stream = deflateRawSync(text, { level, strategy, windowBits });
          const output = new Uint8Array(text.length + 3);
          const input = new Uint8Array(Buffer.concat([stream, Uint8Array.of(1, 2, 3)]));
          expect(inflateInto(input, output)).toEqual({ length: text.length, end: "complete", consumed: stream.length });
          expect(Buffer.compare(output.subarray(0, text.length), text)).toBe(0);
        },
      ),
      { numRuns: 300 },
    );
  });

  test("a stream that zlib takes is complete, one that it refuses is not", () => {
    const stream = new Uint8Array(
      deflateRawSync(Buffer.from("<6>[    1.000000] some text, some more text, some text\n".repeat(6)), { level: 9 }),
    );
    const output = new Uint8Array(65536);
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(stream.length - 1), fc.nat(255)), { minLength: 1, maxLength: 3 }), (hits) => {
        const bytes = stream.slice();
        for (const [at, value] of hits) bytes[at] = value;
        let expected: Buffer | undefined;
        try {
          expected = inflateRawSync(bytes, { maxOutputLength: output.length });
        } catch {
          expected = undefined;
        }
        const { length, end } = inflateInto(bytes, output);
        expect(end === "complete").toBe(expected !== undefined);
        if (expected) expect(Buffer.compare(output.subarray(0, length), expected)).toBe(0);
      }),
      { numRuns: 3000 },
    );
  });

  test("cut, and with too little room", () => {
    const text = Buffer.from("text text text ".repeat(50));
    const stream = new Uint8Array(deflateRawSync(text));
    for (let length = 0; length < stream.length; length++) {
      const output = new Uint8Array(1000);
      const part = inflateInto(stream.subarray(0, length), output);
      expect(part.end).toBe("cut");
      expect(Buffer.compare(output.subarray(0, part.length), text.subarray(0, part.length))).toBe(0);
    }
    for (let room = 0; room < text.length; room += 7) {
      expect(inflateInto(stream, new Uint8Array(room))).toMatchObject({ length: room, end: "full" });
    }
    expect(inflateInto(stream, new Uint8Array(text.length)).end).toBe("complete");
  });
});
