import { deflateRawSync, deflateSync, gzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { zlib } from "./zlib.ts";

const page = Uint8Array.from({ length: 4096 }, (_, i) => (i * 7) >> 3);
const stream = deflateSync(page, { level: 1 });
const corrupt = expect.objectContaining({ name: "DumpError", code: "CORRUPT" });

describe("zlib", () => {
  test("reads a page, leaving what is behind it alone", () => {
    const output = new Uint8Array(5000).fill(0xee);
    expect(zlib.decompress(stream, output)).toBe(4096);
    expect(Buffer.compare(output.subarray(0, 4096), page)).toBe(0);
    expect(output.subarray(4096).every((byte) => byte === 0xee)).toBe(true);
  });

  test("an empty page", () => {
    expect(zlib.decompress(deflateSync(new Uint8Array(0)), new Uint8Array(0))).toBe(0);
  });

  test("bytes after the stream are ignored", () => {
    expect(zlib.decompress(Buffer.concat([stream, Buffer.from("mmmm")]), new Uint8Array(4096))).toBe(4096);
  });

  test("cut anywhere", () => {
    for (let length = 0; length < stream.length; length += 13) {
      expect(() => zlib.decompress(stream.subarray(0, length), new Uint8Array(4096))).toThrow(corrupt);
    }
    expect(() => zlib.decompress(stream.subarray(0, -1), new Uint8Array(4096))).toThrow(corrupt);
  });

  test.each([
    ["a page too long by one byte", stream, 4095],
    ["one byte too many for no room", deflateSync(Buffer.from("a")), 0],
    ["100 MB for 4 KiB", deflateSync(Buffer.alloc(100_000_000)), 4096],
    ["raw deflate", deflateRawSync(page), 4096],
    ["gzip", gzipSync(page), 4096],
    ["a wrong checksum", Buffer.concat([stream.subarray(0, -1), Buffer.from([stream.at(-1)! ^ 1])]), 4096],
  ])("%s is corrupt", (_what, input, room) => {
    expect(() => zlib.decompress(input, new Uint8Array(room))).toThrow(corrupt);
  });
});
