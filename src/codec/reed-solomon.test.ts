import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ReedSolomon } from "./reed-solomon.ts";

const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replaceAll(" ", ""), "hex"));
const ascii = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, "latin1"));

function parityOf(message: Uint8Array, nroots: number): Uint8Array {
  const parity = new Uint8Array(nroots);
  new ReedSolomon(nroots).encode(message, 0, message.length, parity, 0);
  return parity;
}

describe("ReedSolomon.encode", () => {
  // The first is the example that QR code 1-M is explained with; the others were computed independently of this code.
  it.each([
    [
      Uint8Array.of(32, 91, 11, 120, 209, 114, 220, 77, 67, 64, 236, 17, 236, 17, 236, 17),
      Uint8Array.of(196, 35, 39, 119, 235, 215, 231, 226, 93, 23),
    ],
    [hex("44424743 05000000 05000000"), hex("125ca27e16ae0367152a685174cb9762")],
    [Uint8Array.of(...ascii("HELLO"), ...new Uint8Array(123)), hex("d8d6f3fbf7036c2caae777950bbe6c86")],
    [new Uint8Array(128).fill(0xff), hex("eb3845325b5f1a937a7caf4ba4262d64")],
    [Uint8Array.from({ length: 20 }, (_, i) => i), hex("7cfd5c5a40be66167429ab5016c285fe")],
    [new Uint8Array(128), new Uint8Array(16)],
  ])("has the parity of vector %#", (message, parity) => {
    expect(parityOf(message, parity.length)).toEqual(parity);
  });

  it("is the same with 16 parity bytes, which has its own loop, and as the remainder of a longer division", () => {
    // A code with 17 roots has the 16 of the shorter one among them, so its codewords are codewords of that one too.
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 128 }), (message) => {
        const long = Uint8Array.of(...message, ...parityOf(message, 17));
        expect(new ReedSolomon(16).correct(long, 0, message.length + 1, message.length + 1)).toBe(0);
      }),
    );
  });
});

describe("ReedSolomon.correct", () => {
  const wrongBytes = fc.record({
    nroots: fc.constantFrom(2, 4, 8, 15, 16, 32, 127),
    message: fc.uint8Array({ minLength: 1, maxLength: 128 }),
    errors: fc.array(fc.tuple(fc.nat(), fc.integer({ min: 1, max: 255 })), { maxLength: 64 }),
  });

  it("mends up to half as many bytes as there is parity, and counts them", () => {
    fc.assert(
      fc.property(wrongBytes, ({ nroots, message, errors }) => {
        const right = Uint8Array.of(...message, ...parityOf(message, nroots));
        const wrong = right.slice();
        for (const [place, value] of errors.slice(0, Math.floor(nroots / 2)))
          wrong[place % wrong.length] = right[place % wrong.length]! ^ value;
        const count = wrong.filter((byte, i) => byte !== right[i]).length;
        expect(new ReedSolomon(nroots).correct(wrong, 0, message.length, message.length)).toBe(count);
        expect(wrong).toEqual(right);
      }),
      { numRuns: 500 },
    );
  });

  it("changes nothing when it gives up, and what it claims to have mended is a codeword", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 20, maxLength: 160 }), (bytes) => {
        const rs = new ReedSolomon(16);
        const before = bytes.slice();
        const length = bytes.length - 16;
        const corrected = rs.correct(bytes, 0, length, length);
        if (corrected < 0) expect(bytes).toEqual(before);
        else expect(rs.correct(bytes, 0, length, length)).toBe(0);
      }),
      { numRuns: 2000 },
    );
  });

  it("takes a number of parity bytes that ramoops can have", () => {
    for (const nroots of [0, -1, 128, 1.5, Number.NaN]) expect(() => new ReedSolomon(nroots)).toThrow(/1 to 127 parity bytes/);
  });
});
