import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { BitWriter, crc32be, writeSw842 } from "../../test/writers/sw842.ts";
import { isDumpError } from "../bytes/index.ts";
import { sw842 } from "./sw842.ts";

const FRANKENSTEIN =
  "When my father returned from Milan, he found playing with me in the hall of our villa a child fairer than pictured " +
  "cherub—a creature who seemed to shed radiance from her looks and whose form and motions were lighter than the chamois " +
  "of the hills. The apparition was soon explained. With his permission my mother prevailed on her rustic guardians to " +
  "yield their charge to her. They were fond of the sweet orphan. Her presence had seemed a blessing to them, but it would " +
  "be unfair to her to keep her in poverty and want when Providence afforded her such powerful protection. They consulted " +
  "their village priest, and the result was that Elizabeth Lavenza became the inmate of my parents’ house—my more than " +
  "sister—the beautiful and adored companion of all my occupations and my pleasures.      ";

const RANDOM = "0f0732b4af6be40c5f8b4e4c4e3ffd44f05fd660224dc52f378cbb3dd2179bde";

/** Streams that the field agrees on: the reference results of lib842's tests (lib842:test/test_patterns.c). */
const VECTORS: readonly [what: string, plain: Uint8Array, hex: string][] = [
  ["nothing", Buffer.alloc(0), "f000000000000000"],
  ["zeros", Buffer.alloc(32), "e6c2f00000000000"],
  ["noise", Buffer.from(RANDOM, "hex"), "00783995a57b5f206017e2d393138fff5101e0bfacc0449b8a5e0378cbb3dd2179bdef47e0e6e600"],
  [
    "a little of everything",
    Buffer.from(`${"11".repeat(32)}${RANDOM}`, "hex"),
    "0088888888888888" + "8ec200783995a57b5f206017e2d393138fff5101e0bfacc0449b8a5e0378cbb3dd2179bdef27ab7c0980000000000000",
  ],
  [
    "bytes that do not shrink",
    Buffer.from(`${"11".repeat(8)}1212121213131415${"17".repeat(16)}`, "hex"),
    "0088888888888888880484848484c4c505402e2e2e2e2e2e2e2fb03d6ae4e258",
  ],
  [
    "text with indexes of all sizes, past the smallest ring",
    Buffer.from(`${FRANKENSTEIN}\0`),
    "02bb432b71036bc90019985d1a195c881c80cae8eae4dccac840066726f6d204d696c030b716103432903301bdd5b99081c1b1840f2d2dcce40eed2e8068206d6520696e20502b2903430b6360881bd988051c880aecd246c240c240863680f0b04334b903103a112c7dc1a58dd0244cac840c624e4ea262e280942a63720b2b0ba3ab9328d05a1bc81cd959475a16e8de8a24b0b72616469102b1b289b937b6903c489db1bdbdacee6402016eed056f7321666f726d390308a8137ba0da5bdb9cc6819442d8d2ced0e8cb2270510328891c9136b7a1a5cc909415842d0d246e65c7205412607070430b90db20f95dd8561cdbdbdb8440caf0e02ed2dcb382e20576905410343a0b0311b5a5cdcc8286d79026312513b83932bb30b4a1b1942e1e42803757374691b19033bac0274441612481e46d2cad8c8642513039227267910a4c8032e3551a195e46a40c42bc2b809040ae6ee8ce840dee477068108d4865a93995cc060a120c2c88b71185951989b349cda465864de400acadad116275ca1b88d0a5890313485d5b810c307015312481ad19c082e2a8b16337bb033a3cb0485468432a0b7a640a0a4b2864656e6321330b32f39321c58ba8aeac6a1c706f7765726643ab6492935c0d991b8b9f1674f240c6decb2186b2e6d4b2b4aa8510c2cebb3b6087374e44f48b04109cdd4cd8e886c2e6def72ca456c697a130b132ba0a263089d995b9eb6d89952c6c3b25909034b736b0ba2e9dbd998885c18546cdce8e7c50132f90e97365e28044a3690b99b5c3307bd130675b94747b875b2b0baba25a5986060d7e646f36a169136b856414a0d41f9ea8016f636375929d3c3c2dd3331250a03a7572d254690101010100078b302e1a4000000000000000",
  ],
];

const decompress = (input: Uint8Array, room: number): Uint8Array => {
  const output = new Uint8Array(room);
  return output.subarray(0, sw842.decompress(input, output));
};

const failure = (input: Uint8Array, room: number): unknown => {
  try {
    return decompress(input, room);
  } catch (error) {
    return error;
  }
};

const isCorrupt = (error: unknown): boolean => isDumpError(error, "CORRUPT");

/** Few values, so that indexes of every size find something; a seldom random group keeps the rings turning. */
const groups = fc
  .array(
    fc.oneof(
      { weight: 6, arbitrary: fc.array(fc.constantFrom("0000", "6162", "6364", "6566", "6768"), { minLength: 4, maxLength: 4 }) },
      {
        weight: 1,
        arbitrary: fc.array(
          fc.integer({ min: 0x1000, max: 0xffff }).map((n) => n.toString(16)),
          { minLength: 4, maxLength: 4 },
        ),
      },
    ),
    { maxLength: 120 },
  )
  .map((rows) => rows.flat().join(""));
const plain = fc.tuple(groups, fc.uint8Array({ maxLength: 7 })).map(([hex, rest]) => Buffer.concat([Buffer.from(hex, "hex"), rest]));

describe("842", () => {
  test.each(VECTORS)("reads the known stream of %s", (_what, expected, hex) => {
    const stream = Buffer.from(hex, "hex");
    expect(Buffer.compare(decompress(stream, expected.length), expected)).toBe(0);
    expect(Buffer.compare(decompress(stream, expected.length + 100), expected)).toBe(0);
  });

  test.each(VECTORS.slice(0, 5))("the writer makes the known stream of %s", (_what, expected, hex) => {
    expect(Buffer.from(writeSw842(expected)).toString("hex").slice(0, hex.length)).toBe(hex);
  });

  test.each(VECTORS.slice(1))("%s does not fit one byte less", (_what, expected, hex) => {
    expect(failure(Buffer.from(hex, "hex"), expected.length - 1)).toSatisfy(isCorrupt);
  });

  test("what the writer makes is read, whatever templates it takes", () => {
    fc.assert(
      fc.property(plain, fc.array(fc.nat(), { minLength: 1, maxLength: 20 }), (bytes, choices) => {
        let next = 0;
        const stream = writeSw842(bytes, (fitting) => choices[next++ % choices.length]! % fitting);
        expect(Buffer.compare(decompress(stream, bytes.length), bytes)).toBe(0);
      }),
      { numRuns: 300 },
    );
  });

  test("the rings turn: every index size behind 512 and 2048 bytes", () => {
    // Groups that come again after 400, 1600 and 2048 bytes, and some that never do.
    const rows = Array.from({ length: 1500 }, (_, i) => {
      const value = Buffer.alloc(8);
      value.writeUInt32BE(i % 3 === 0 ? i : i % 50, 0);
      value.writeUInt32BE(i % 7 === 0 ? i * 65_537 : i % 200, 4);
      return i % 5 === 0 ? Buffer.from(`group${String(i % 256).padStart(3, "0")}`) : value;
    });
    const bytes = Buffer.concat(rows);
    for (const pick of [undefined, (fitting: number) => fitting - 1, (fitting: number) => fitting >> 1]) {
      expect(Buffer.compare(decompress(writeSw842(bytes, pick), bytes.length), bytes)).toBe(0);
    }
  });

  test("64 repeats are one operation, the 65th is the next", () => {
    const bytes = Buffer.from("lastword".repeat(66));
    const stream = new BitWriter().put(0, 5);
    for (const byte of bytes.subarray(0, 8)) stream.put(byte, 8);
    stream.put(27, 5).put(63, 6).put(27, 5).put(0, 6).put(30, 5).put(crc32be(bytes), 32);
    expect(Buffer.compare(decompress(stream.bytes(), bytes.length), bytes)).toBe(0);
    expect(Buffer.compare(writeSw842(bytes), stream.bytes(8))).toBe(0);
  });

  test("short data of every length, between other operations too", () => {
    for (let length = 1; length < 8; length++) {
      const stream = new BitWriter().put(29, 5).put(length, 3);
      for (let i = 0; i < length; i++) stream.put(0x61 + i, 8);
      const bytes = Buffer.concat([Buffer.from("abcdefg".slice(0, length)), Buffer.alloc(8)]);
      stream.put(28, 5).put(30, 5).put(crc32be(bytes), 32);
      expect(Buffer.compare(decompress(stream.bytes(), bytes.length), bytes)).toBe(0);
    }
  });

  test("what follows the CRC is not looked at", () => {
    const stream = Buffer.concat([writeSw842(Buffer.from("last words")), Buffer.from("stale")]);
    expect(Buffer.from(decompress(stream, 100)).toString()).toBe("last words");
  });

  test("cut anywhere, no more than the padding away", () => {
    const text = Buffer.from(FRANKENSTEIN);
    const stream = writeSw842(text);
    let bits = stream.length;
    while (!isCorrupt(failure(stream.subarray(0, bits), text.length))) bits--;
    expect(stream.length - bits).toBeLessThanOrEqual(8);
    for (let length = 0; length < bits; length++) expect(failure(stream.subarray(0, length), text.length)).toSatisfy(isCorrupt);
  });

  test("a changed bit is noticed or was padding", () => {
    const text = Buffer.from(FRANKENSTEIN.slice(0, 200));
    const stream = writeSw842(text);
    fc.assert(
      fc.property(fc.nat({ max: stream.length * 8 - 1 }), (bit) => {
        const changed = Uint8Array.from(stream);
        changed[bit >> 3]! ^= 0x80 >> (bit & 7);
        const result = failure(changed, text.length + 64);
        if (!isCorrupt(result)) expect(Buffer.compare(result as Uint8Array, text)).toBe(0);
      }),
    );
  });

  const bits = (...parts: [value: number, count: number][]): Uint8Array => {
    const out = new BitWriter();
    for (const [value, count] of parts) out.put(value, count);
    return out.bytes();
  };

  test.each([
    ["nothing at all", bits(), "842: 5 bits leave the input at input bit 0 of 0, output byte 0 of 64"],
    ["operation 26", bits([26, 5]), "842: there is no operation 26 at input bit 5 of 8, output byte 0 of 64"],
    ["operation 31", bits([31, 5]), "842: there is no operation 31 at input bit 5 of 8, output byte 0 of 64"],
    ["a repeat of nothing", bits([27, 5], [0, 6]), "842: a repeat has no 8 bytes before it at input bit 11 of 16, output byte 0 of 64"],
    [
      "a repeat of less than 8 bytes",
      bits([29, 5], [1, 3], [0x61, 8], [27, 5], [0, 6]),
      "842: a repeat has no 8 bytes before it at input bit 27 of 32, output byte 1 of 64",
    ],
    [
      "a repeat that leaves the output",
      bits([28, 5], [27, 5], [7, 6]),
      "842: 64 bytes leave the output at input bit 16 of 16, output byte 8 of 64",
    ],
    ["short data of no bytes", bits([29, 5], [0, 3]), "842: short data of no bytes at input bit 8 of 8, output byte 0 of 64"],
    ["short data without bytes", bits([29, 5], [7, 3], [0, 8]), "842: 8 bits leave the input at input bit 16 of 16, output byte 1 of 64"],
    ["an index before any output", bits([25, 5], [0, 8]), "842: an index refers to byte 0 at input bit 13 of 16, output byte 0 of 64"],
    [
      "an index beyond the output",
      bits([28, 5], [25, 5], [1, 8]),
      "842: an index refers to byte 8 at input bit 18 of 24, output byte 8 of 64",
    ],
    [
      "an index into the group that it is in",
      bits([28, 5], [1, 5], [1, 16], [1, 16], [2, 16], [4, 8]),
      "842: an index refers to byte 8 at input bit 66 of 72, output byte 14 of 64",
    ],
    ["an end without CRC", bits([28, 5], [30, 5], [0, 22]), "842: 32 bits leave the input at input bit 10 of 32, output byte 8 of 64"],
    [
      "a CRC of other data",
      bits([28, 5], [30, 5], [1, 32]),
      "842: the data has CRC 0x00000000 and should have 0x00000001 at input bit 42 of 48, output byte 8 of 64",
    ],
  ])("%s is corrupt", (_what, input, message) => {
    expect(failure(input, 64)).toMatchObject({ code: "CORRUPT", message });
  });
});
