import fc from "fast-check";
import { expect, test } from "vitest";
import { decodeLatin1, encodeLatin1 } from "./latin1.ts";

test("every byte is the character of its number, NULs too", () => {
  const bytes = Uint8Array.from({ length: 256 }, (_, i) => i);
  const text = decodeLatin1(bytes);
  expect(text).toHaveLength(256);
  expect([...text].every((char, i) => char.charCodeAt(0) === i)).toBe(true);
  expect(encodeLatin1(text)).toEqual(bytes);
});

test.each([0, 1, 4095, 4096, 4097, 300_000])("%i bytes and back, over the seams of the pieces", (length) => {
  const bytes = Uint8Array.from({ length }, (_, i) => i * 31);
  const text = decodeLatin1(bytes);
  expect(text).toHaveLength(length);
  expect(text === Buffer.from(bytes).toString("latin1")).toBe(true);
  expect(Buffer.compare(encodeLatin1(text), bytes)).toBe(0);
});

test("a view into a larger buffer", () => {
  expect(decodeLatin1(new Uint8Array(Buffer.from("xxlast wordsxx").subarray(2, 12)))).toBe("last words");
});

test("any bytes come back", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 9000 }), (bytes) => Buffer.compare(encodeLatin1(decodeLatin1(bytes)), bytes) === 0));
});

test("characters above 255 lose their high part", () => {
  expect([...encodeLatin1("\u0141\u20ac")]).toEqual([0x41, 0xac]);
});
