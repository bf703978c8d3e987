import fc from "fast-check";
import { deflateRawSync, deflateSync, gzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { deflate, inflatePart } from "./deflate.ts";

const page = Uint8Array.from({ length: 4096 }, (_, i) => (i * 7) >> 3);
const stream = deflateRawSync(page, { level: 1 });
const corrupt = expect.objectContaining({ name: "DumpError", code: "CORRUPT" });
/** As linux:fs/pstore/platform.c makes them since 6.6, and with the smaller window of kernels before. */
const WINDOWS = [15, 11] as const;
const log = Buffer.from(Array.from({ length: 200 }, (_, i) => `<6>[ ${i}.${(i * 7919) % 1_000_000}] eth0: queue ${i * i}\n`).join(""));

describe("deflate", () => {
  test("reads a page, leaving what is behind it alone", () => {
    const output = new Uint8Array(5000).fill(0xee);
    expect(deflate.decompress(stream, output)).toBe(4096);
    expect(Buffer.compare(output.subarray(0, 4096), page)).toBe(0);
    expect(output.subarray(4096).every((byte) => byte === 0xee)).toBe(true);
  });

  test("an empty page", () => {
    expect(deflate.decompress(deflateRawSync(new Uint8Array(0)), new Uint8Array(0))).toBe(0);
  });

  test("bytes after the stream are ignored", () => {
    expect(deflate.decompress(Buffer.concat([stream, Buffer.from("mmmm")]), new Uint8Array(4096))).toBe(4096);
  });

  test("what zlib writes is read", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 2000 }), fc.constantFrom(...WINDOWS), (plain, windowBits) => {
        const output = new Uint8Array(plain.length);
        expect(deflate.decompress(deflateRawSync(plain, { windowBits }), output)).toBe(plain.length);
        expect(Buffer.compare(output, plain)).toBe(0);
      }),
    );
  });

  test("cut anywhere", () => {
    for (let length = 0; length < stream.length; length += 13) {
      expect(() => deflate.decompress(stream.subarray(0, length), new Uint8Array(4096))).toThrow(corrupt);
    }
    expect(() => deflate.decompress(stream.subarray(0, -1), new Uint8Array(4096))).toThrow(corrupt);
  });

  test.each([
    ["a page too long by one byte", stream, 4095],
    ["one byte too many for no room", deflateRawSync(Buffer.from("a")), 0],
    ["100 MB for 4 KiB", deflateRawSync(Buffer.alloc(100_000_000)), 4096],
    ["zlib", deflateSync(page), 4096],
    ["gzip", gzipSync(page), 4096],
  ])("%s is corrupt", (_what, input, room) => {
    expect(() => deflate.decompress(input, new Uint8Array(room))).toThrow(corrupt);
  });
});

describe.each(["deflate", "zlib"] as const)("part of a %s stream", (kind) => {
  const whole = kind === "deflate" ? deflateRawSync(log) : deflateSync(log);

  test("an undamaged stream is complete", () => {
    const part = inflatePart(whole, kind, log.length);
    expect(part.complete).toBe(true);
    expect(Buffer.compare(part.bytes, log)).toBe(0);
  });

  test("a cut stream gives the beginning, and more the later it is cut", () => {
    let before = 0;
    for (let length = 0; length < whole.length; length += 17) {
      const part = inflatePart(whole.subarray(0, length), kind, 1 << 20);
      expect(part.complete).toBe(false);
      expect(Buffer.compare(part.bytes, log.subarray(0, part.bytes.length))).toBe(0);
      expect(part.bytes.length).toBeGreaterThanOrEqual(before);
      before = part.bytes.length;
    }
    expect(before).toBeGreaterThan(log.length / 2);
  });

  test("what precedes damage is right", () => {
    const at = whole.length >> 1;
    const damaged = Uint8Array.from(whole);
    damaged.fill(0xff, at, at + 40);
    const sure = inflatePart(whole.subarray(0, at), kind, 1 << 20).bytes.length;
    const part = inflatePart(damaged, kind, 1 << 20);
    // Raw deflate has no checksum: wrong bytes may well spell an end.
    if (kind === "zlib") expect(part.complete).toBe(false);
    expect(part.bytes.length).toBeGreaterThanOrEqual(sure);
    expect(Buffer.compare(part.bytes.subarray(0, sure), log.subarray(0, sure))).toBe(0);
  });

  test("never more than the limit", () => {
    fc.assert(
      fc.property(fc.nat({ max: whole.length }), fc.nat({ max: log.length }), (length, limit) => {
        const part = inflatePart(whole.subarray(0, length), kind, limit);
        expect(part.bytes.length).toBeLessThanOrEqual(limit);
        expect(Buffer.compare(part.bytes, log.subarray(0, part.bytes.length))).toBe(0);
      }),
    );
  });

  test("random bytes give something or nothing, no exception", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        expect(inflatePart(bytes, kind, 4096).bytes.length).toBeLessThanOrEqual(4096);
      }),
    );
  });
});
