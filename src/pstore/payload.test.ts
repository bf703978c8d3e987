import { encodeLatin1 } from "../bytes/index.ts";
import fc from "fast-check";
import { deflateRawSync, deflateSync, zstdCompressSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { lz4Block, writeLz4 } from "../../test/writers/lz4.ts";
import { writeSw842 } from "../../test/writers/sw842.ts";
import { decompressPayload } from "./payload.ts";
import type { Compression } from "./record.ts";

const TEXT = encodeLatin1(
  `Panic#2 Part1\n${Array.from({ length: 150 }, (_, i) => `<6>[ ${i}.${String((i * 7919) % 1_000_000).padStart(6, "0")}] eth0: queue ${i * i}\n`).join("")}`,
);

/** As linux:fs/pstore/platform.c called each in one kernel or another. */
const COMPRESSORS: readonly [what: string, compression: Compression, compress: (text: Uint8Array) => Uint8Array][] = [
  ["zlib before 4.17", "zlib", (text) => deflateSync(text, { level: 6, windowBits: 12, memLevel: 4 })],
  ["deflate from 4.17", "deflate", (text) => deflateRawSync(text, { windowBits: 11 })],
  ["deflate from 6.6", "deflate", (text) => deflateRawSync(text)],
  ["deflate that found nothing to shrink", "deflate", (text) => deflateRawSync(text, { level: 0 })],
  ["lz4", "lz4", writeLz4],
  ["842", "842", writeSw842],
  ["zstd", "zstd", (text) => zstdCompressSync(text)],
];

describe("payload", () => {
  test.each(COMPRESSORS)("%s", (_what, compression, compress) => {
    const payload = decompressPayload(compress(TEXT));
    expect(payload).toMatchObject({ compression, problems: [] });
    expect(Buffer.compare(payload.content, TEXT)).toBe(0);
  });

  test("lzo", () => {
    // The sample of the LZO tests, made by liblzo2 2.10.
    const stored = Buffer.from(
      "1c41424243454443454346454401064144424545464342434c02064245414642424543435503454501410a0544455d04434f02424441080b450643550345440120111401110000",
      "hex",
    );
    const payload = decompressPayload(stored);
    expect(payload).toMatchObject({ compression: "lzo", problems: [] });
    const plain = Uint8Array.from(Array.from({ length: 60 }, (_, i) => [65 + ((i * i) % 7), 66 + (i % 5)]).flat());
    expect(Buffer.compare(payload.content, plain)).toBe(0);
  });

  test("any kernel text with any of them", () => {
    const line = fc.tuple(fc.nat({ max: 9999 }), fc.constantFrom("eth0: link up", "Oops: 0002 [#1]", "RIP: 0010:do_exit", "usb 1-1: new"));
    const text = fc
      .array(line, { minLength: 1, maxLength: 60 })
      .map((lines) => `Oops#1 Part1\n${lines.map(([at, what]) => `<6>[ ${at}.5] ${what}\n`).join("")}`);
    fc.assert(
      fc.property(text, fc.constantFrom(...COMPRESSORS), (plain, [, compression, compress]) => {
        const payload = decompressPayload(compress(encodeLatin1(plain)));
        expect(payload.compression).toBe(compression);
        expect(Buffer.from(payload.content).toString("latin1")).toBe(plain);
      }),
      { numRuns: 200 },
    );
  });

  test.each(COMPRESSORS.slice(0, 3))("%s, cut: the beginning of the text", (_what, compression, compress) => {
    const stored = compress(TEXT);
    const payload = decompressPayload(stored.subarray(0, Math.floor(stored.length * 0.7)));
    expect(payload.compression).toBe(compression);
    expect(payload.content.length).toBeGreaterThan(TEXT.length / 3);
    expect(payload.content.length).toBeLessThan(TEXT.length);
    expect(Buffer.compare(payload.content, TEXT.subarray(0, payload.content.length))).toBe(0);
    expect(payload.problems).toEqual([
      `the compressed text is damaged: ${payload.content.length} bytes could be read, what follows is lost`,
    ]);
  });

  test.each([
    ["nothing", new Uint8Array()],
    ["noise", Uint8Array.from({ length: 300 }, (_, i) => (i * i * 31 + 7) >> 3)],
    ["deflate of what is not text", deflateRawSync(Uint8Array.from({ length: 3000 }, (_, i) => i))],
    ["deflate of nothing", deflateRawSync(new Uint8Array())],
    ["zstd, cut", zstdCompressSync(TEXT).subarray(0, 500)],
    ["deflate cut before the first text", deflateRawSync(TEXT).subarray(0, 20)],
    ["deflate cut in its first block", deflateRawSync(Buffer.alloc(2 << 20, "last words "), { level: 9 }).subarray(0, 12)],
  ])("%s is kept as it is", (_what, stored) => {
    expect(decompressPayload(stored)).toEqual({
      content: stored,
      compression: "unknown",
      problems: [
        `marked as compressed, and none of zstd, deflate, zlib, lz4, lzo, 842 gives text; the ${stored.length} bytes are kept as they are`,
      ],
    });
  });

  test("lz4 that begins as a deflate stream of one letter does", () => {
    const rest = `0.123456] ${"and so on, many words of a panic. ".repeat(20)}`;
    const stored = lz4Block([
      { literals: encodeLatin1("Panic#1 Part1\n[    "), match: { distance: 1, length: 7 } },
      { literals: encodeLatin1(rest) },
    ]);
    const payload = decompressPayload(stored);
    expect(payload).toMatchObject({ compression: "lz4", problems: [] });
    expect(Buffer.from(payload.content).toString("latin1")).toBe(`Panic#1 Part1\n[    ${" ".repeat(7)}${rest}`);
  });

  test("text that no algorithm shrinks is not doubted", () => {
    let state = 1;
    const text = Uint8Array.from({ length: 1000 }, () => {
      state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
      return 0x20 + ((state >>> 16) % 95);
    });
    for (const [, compression, compress] of COMPRESSORS) {
      for (const length of [1, 2, 7, 8, 9, 31, 64, 1000]) {
        expect(decompressPayload(compress(text.subarray(0, length)))).toMatchObject({ compression, problems: [] });
      }
    }
  });

  test("more bytes than the text needs: the text, and a doubt", () => {
    const text = TEXT.subarray(0, 100);
    const stored = Buffer.concat([deflateRawSync(text), new Uint8Array(400)]);
    const payload = decompressPayload(stored);
    expect(payload.compression).toBe("deflate");
    expect(Buffer.compare(payload.content, text)).toBe(0);
    expect(payload.problems).toEqual([
      `the ${stored.length} compressed bytes give 100 of text, fewer than they should: it may be cut or wrong`,
    ]);
  });

  test("never more than 1 MiB", () => {
    const payload = decompressPayload(deflateRawSync(Buffer.alloc(2 << 20, "last words ")));
    expect(payload.compression).toBe("deflate");
    expect(payload.content.length).toBeGreaterThan(500_000);
    expect(payload.content.length).toBeLessThanOrEqual(1 << 20);
    expect(payload.problems).toHaveLength(1);
  });

  test("random and damaged bytes: text or the bytes themselves, no exception", () => {
    const edits = fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })), { maxLength: 5 });
    const damaged = fc.tuple(fc.constantFrom(...COMPRESSORS), edits, fc.nat()).map(([[, , compress], changes, cut]) => {
      const bytes = Uint8Array.from(compress(TEXT.subarray(0, 600)));
      for (const [at, value] of changes) bytes[at % bytes.length] = value;
      return bytes.subarray(0, cut % (2 * bytes.length));
    });
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 300 }), damaged), (stored) => {
        const payload = decompressPayload(stored);
        if (payload.compression === "unknown") expect(payload.content).toBe(stored);
        else expect(payload.content.length).toBeGreaterThan(0);
      }),
      { numRuns: 300 },
    );
  });
});
