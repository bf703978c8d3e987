import { zstdCompressSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { zstd } from "./zstd.ts";

const page = Uint8Array.from({ length: 4096 }, (_, i) => (i * 7) >> 3);
const frame = zstdCompressSync(page);
const corrupt = expect.objectContaining({ name: "DumpError", code: "CORRUPT" });

/** A frame by hand: no content size, the window as given, one raw block of one byte. */
const windowFrame = (log: number): Buffer => Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0x00, (log - 10) << 3, 0x09, 0, 0, 0x61]);

describe("zstd", () => {
  test("reads a page, leaving what is behind it alone", () => {
    const output = new Uint8Array(5000).fill(0xee);
    expect(zstd.decompress(frame, output)).toBe(4096);
    expect(Buffer.compare(output.subarray(0, 4096), page)).toBe(0);
    expect(output.subarray(4096).every((byte) => byte === 0xee)).toBe(true);
  });

  test("a window of 8 MiB is accepted, 16 MiB is not", () => {
    expect(zstd.decompress(windowFrame(23), new Uint8Array(4096))).toBe(1);
    expect(() => zstd.decompress(windowFrame(24), new Uint8Array(4096))).toThrow(corrupt);
  });

  test("cut anywhere", () => {
    for (let length = 0; length < frame.length; length += 13) {
      expect(() => zstd.decompress(frame.subarray(0, length), new Uint8Array(4096))).toThrow(corrupt);
    }
    expect(() => zstd.decompress(frame.subarray(0, -1), new Uint8Array(4096))).toThrow(corrupt);
  });

  test.each([
    ["a page too long by one byte", frame, 4095],
    ["one byte too many for no room", zstdCompressSync(Buffer.from("a")), 0],
    ["100 MB for 4 KiB", zstdCompressSync(Buffer.alloc(100_000_000)), 4096],
    ["a second frame that does not fit", Buffer.concat([frame, frame]), 4096],
    ["not zstd", Buffer.from("makedumpfile"), 4096],
  ])("%s is corrupt", (_what, input, room) => {
    expect(() => zstd.decompress(input, new Uint8Array(room))).toThrow(corrupt);
  });
});
