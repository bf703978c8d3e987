import { decodeLatin1, encodeLatin1 } from "../bytes/index.ts";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { carveText, isText, textShare } from "./carve.ts";

const carve = (text: string): string | undefined => {
  const carved = carveText(encodeLatin1(text));
  return carved && decodeLatin1(carved);
};

describe("text bytes", () => {
  test("control characters that logs have, printable ones, and all above 0x7f", () => {
    const text = Array.from({ length: 256 }, (_, byte) => byte).filter(isText);
    expect(text.filter((byte) => byte < 0x20)).toEqual([9, 10, 13, 27]);
    expect(text.filter((byte) => byte >= 0x20)).toHaveLength(223);
    expect(isText(0x7f)).toBe(false);
  });

  test.each([
    ["nothing", "", 1],
    ["all text", "last words\n", 1],
    ["half of it", "ab\x00\x01", 0.5],
    ["UTF-8 is no ASCII", "a\xc3\xa9b", 0.5],
    ["none", "\x00\x7f\xff", 0],
  ])("share of %s", (_what, text, share) => {
    expect(textShare(encodeLatin1(text))).toBe(share);
  });
});

describe("carving", () => {
  test.each([
    ["nothing", "", undefined],
    ["binary", "\x00\x01\x02\x03".repeat(100), undefined],
    ["erased flash", "\xff".repeat(100), undefined],
    ["15 bytes", "\x00".repeat(9) + "a".repeat(15) + "\x00".repeat(9), undefined],
    ["16 bytes", "\x00".repeat(9) + "a".repeat(16) + "\x00".repeat(9), "a".repeat(16)],
    ["text from edge to edge", "Kernel panic - not syncing", "Kernel panic - not syncing"],
    ["text with one wrong byte", "Kernel panic\x00- not syncing", "Kernel panic\x00- not syncing"],
    ["text with two", "Kernel panic\x00\x01- not syncing", "Kernel panic\x00\x01- not syncing"],
    ["text with three, both halves long enough", `${"a".repeat(16)}\x00\x00\x00${"b".repeat(16)}`, `${"a".repeat(16)}\n${"b".repeat(16)}`],
    ["text with three, both halves too short", "Kernel panic\x00\x01\x02- not syncing", undefined],
    ["wrong bytes at the end are not text", `${"a".repeat(16)}\x00`, "a".repeat(16)],
    ["two wrong bytes at the end", `${"a".repeat(16)}\x00\x01`, "a".repeat(16)],
    ["three runs, one too short", `${"a".repeat(16)}\0\0\0bbb\0\0\0${"c".repeat(20)}`, `${"a".repeat(16)}\n${"c".repeat(20)}`],
    ["what is mostly not ASCII", "\xe0".repeat(12) + "a".repeat(8), undefined],
    ["some UTF-8", `usb 1-1: Product: Cl\xc3\xa9 de test`, `usb 1-1: Product: Cl\xc3\xa9 de test`],
  ])("%s", (_what, text, carved) => {
    expect(carve(text)).toBe(carved);
  });

  test("text in noise that is not text is found as it is", () => {
    const noise = fc.array(fc.constantFrom(0, 1, 2, 3, 0x7f), { minLength: 3, maxLength: 50 }).map((all) => Buffer.from(all));
    const line = fc.array(fc.integer({ min: 0x20, max: 0x7e }), { minLength: 16, maxLength: 200 }).map((all) => Buffer.from(all));
    fc.assert(
      fc.property(fc.array(fc.tuple(noise, line), { minLength: 1, maxLength: 5 }), noise, (pairs, end) => {
        const bytes = Buffer.concat([...pairs.flat(), end]);
        expect(Buffer.from(carveText(bytes)!).toString("latin1")).toBe(pairs.map(([, text]) => text.toString("latin1")).join("\n"));
      }),
    );
  });

  test("random bytes: no exception, no more than there was, nothing that was not there", () => {
    const bytes = fc.array(fc.oneof(fc.integer({ min: 0, max: 255 }), fc.integer({ min: 0x20, max: 0x7e })), { maxLength: 400 });
    fc.assert(
      fc.property(bytes, (all) => {
        const input = Uint8Array.from(all);
        const carved = carveText(input);
        if (!carved) return;
        expect(carved.length).toBeGreaterThanOrEqual(16);
        expect(carved.length).toBeLessThanOrEqual(input.length);
        // Line by line it is a subsequence: only the line ends between runs are ours.
        let at = 0;
        for (const line of decodeLatin1(carved).split("\n")) {
          const found = decodeLatin1(input).indexOf(line, at);
          expect(found).toBeGreaterThanOrEqual(at);
          at = found + line.length;
        }
      }),
      { numRuns: 500 },
    );
  });
});
