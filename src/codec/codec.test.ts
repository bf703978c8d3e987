import fc from "fast-check";
import { deflateRawSync, deflateSync, zstdCompressSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { writeLz4 } from "../../test/writers/lz4.ts";
import { writeSw842 } from "../../test/writers/sw842.ts";
import { isDumpError } from "../bytes/index.ts";
import { codecByName, type CodecName } from "./codec.ts";

/** One valid stream per codec, to mutate: random bytes alone rarely get past a header. */
const VALID: Record<CodecName, Uint8Array> = {
  deflate: deflateRawSync(Buffer.from("last words ".repeat(30))),
  zlib: deflateSync(Buffer.from("last words ".repeat(30))),
  zstd: zstdCompressSync(Buffer.from("last words ".repeat(30))),
  lzo: Buffer.from(
    "1c41424243454443454346454401064144424545464342434c02064245414642424543435503454501410a0544455d04434f02424441080b450643550345440120111401110000",
    "hex",
  ),
  lz4: writeLz4(Buffer.from("last words ".repeat(30))),
  "842": writeSw842(Buffer.from("last words ".repeat(30))),
  snappy: Buffer.from("ac0208616263fe0300fe0300fe0300fe0300a20300", "hex"),
  rle: Buffer.from("4142000100430007440000", "hex"),
};
const GUARD = 64;

describe.each(Object.keys(VALID) as CodecName[])("%s on hostile input", (name) => {
  const codec = codecByName(name);

  /** Decompresses between guard bytes; anything but a bounded result or CORRUPT fails the test. */
  const attempt = (input: Uint8Array, room: number): void => {
    const memory = new Uint8Array(room + 2 * GUARD).fill(0xa5);
    try {
      const written = codec.decompress(input, memory.subarray(GUARD, GUARD + room));
      if (!(Number.isInteger(written) && written >= 0 && written <= room)) throw new Error(`wrote ${written} of ${room}`);
    } catch (error) {
      if (!isDumpError(error, "CORRUPT")) throw error;
    }
    for (let i = 0; i < GUARD; i++) {
      if (memory[i] !== 0xa5 || memory[GUARD + room + i] !== 0xa5) throw new Error(`wrote outside, guard byte ${i}`);
    }
  };

  const room = fc.integer({ min: 0, max: 700 });

  test("random bytes", () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), room, attempt), { numRuns: 2000 });
  });

  test("valid stream with bytes changed, cut or repeated", () => {
    const edits = fc.array(fc.tuple(fc.nat({ max: 400 }), fc.integer({ min: 0, max: 255 })), { maxLength: 6 });
    fc.assert(
      fc.property(edits, fc.nat({ max: 400 }), fc.boolean(), room, (changes, cut, twice, size) => {
        const valid = VALID[name];
        const input = Buffer.from(twice ? Buffer.concat([valid, valid]) : valid);
        for (const [at, value] of changes) input[at % input.length] = value;
        attempt(cut < input.length ? input.subarray(0, cut) : input, size);
      }),
      { numRuns: 2000 },
    );
  });

  test("the valid stream itself is read", () => {
    expect(codec.decompress(VALID[name], new Uint8Array(700))).toBeGreaterThan(0);
  });
});

test("a codec that we do not have", () => {
  expect(() => codecByName("lz77")).toThrow(expect.objectContaining({ code: "UNSUPPORTED" }));
});
