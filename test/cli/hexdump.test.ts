import { spawnSync } from "node:child_process";

import fc from "fast-check";
import { expect, test } from "vitest";

import { hexdumpLines } from "../../src/cli/hexdump.ts";

function dump(bytes: Uint8Array, ...options: [] | [Parameters<typeof hexdumpLines>[1]]): string {
  return [...hexdumpLines(bytes, ...options)].map((line) => line + "\n").join("");
}

test("looks like hexdump -C, with addresses of 16 digits", () => {
  const bytes = Buffer.from("Linux version 7.2.0\n\0\x7f\xffend", "latin1");
  expect(dump(bytes, { address: 0xffff_ffff_82a0_0000n })).toMatchInlineSnapshot(`
    "ffffffff82a00000  4c 69 6e 75 78 20 76 65  72 73 69 6f 6e 20 37 2e  |Linux version 7.|
    ffffffff82a00010  32 2e 30 0a 00 7f ff 65  6e 64                    |2.0....end|
    ffffffff82a0001a
    "
  `);
});

test("repeated lines become a star, unless all are wanted", () => {
  const bytes = new Uint8Array(16 * 5 + 3);
  expect(dump(bytes)).toMatchInlineSnapshot(`
    "0000000000000000  00 00 00 00 00 00 00 00  00 00 00 00 00 00 00 00  |................|
    *
    0000000000000050  00 00 00                                          |...|
    0000000000000053
    "
  `);
  expect(dump(bytes, { all: true }).split("\n")).toHaveLength(8);
});

test("nothing gives nothing, and addresses wrap as the machine's do", () => {
  expect(dump(new Uint8Array(0))).toBe("");
  expect(dump(new Uint8Array(16).fill(1), { address: 0xffff_ffff_ffff_fff0n })).toMatch(/\n0000000000000000\n$/);
});

const hexdump = spawnSync("hexdump", ["-C"], { input: "x" });

test.skipIf(hexdump.status !== 0)("agrees with hexdump -C", () => {
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 100 }),
    fc.array(fc.constantFrom(0, 1), { maxLength: 200 }).map((list) => Uint8Array.from(list)),
    fc.nat(100).map((length) => new Uint8Array(length)),
  );
  fc.assert(
    fc.property(bytes, (input) => {
      const theirs = spawnSync("hexdump", ["-C"], { input, encoding: "latin1" }).stdout;
      // Theirs has addresses of 8 digits.
      expect(dump(input).replace(/^00000000/gm, "")).toBe(theirs);
    }),
    { numRuns: 60 },
  );
});
