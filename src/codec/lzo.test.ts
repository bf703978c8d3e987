import { describe, expect, test } from "vitest";
import { isDumpError } from "../bytes/index.ts";
import { lzo } from "./lzo.ts";

/** 32-bit xorshift from seed 1, low bytes: the same noise as the vectors were made from. */
function noise(length: number): Uint8Array {
  const out = new Uint8Array(length);
  let x = 1;
  for (let i = 0; i < length; i++) {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    out[i] = x & 255;
  }
  return out;
}

function logLines(count: number): Uint8Array {
  let text = "";
  for (let i = 0; i < count; i++) {
    text += `[    ${Math.floor(i / 10)}.${i % 10}] cpu${i % 4}: pfn ${(i * 37).toString(16).padStart(6, "0")}\n`;
  }
  return Buffer.from(text);
}

const PLAIN: Record<string, Uint8Array> = {
  empty: new Uint8Array(0),
  one: Buffer.from("a"),
  three: Buffer.from("abc"),
  period3: Buffer.from("abc".repeat(100)),
  zeroPage: new Uint8Array(4096),
  log: logLines(24),
  far20000: Buffer.concat([noise(40), new Uint8Array(20000), noise(40)]),
  far40000: Buffer.concat([noise(40), new Uint8Array(40000), noise(40)]),
  two: Buffer.from(Array.from({ length: 60 }, (_, i) => [65 + ((i * i) % 7), 66 + (i % 5)]).flat()),
};

/** Made by liblzo2 2.10: function, plain text, compressed. `two` in lzo1x_999 holds the 2-byte and 3-byte matches. */
const VECTORS: readonly [compressor: string, plain: string, hex: string][] = [
  ["lzo1x_1", "empty", "110000"],
  ["lzo1x_999", "empty", "110000"],
  ["lzo1x_1", "one", "1261110000"],
  ["lzo1x_999", "one", "1261110000"],
  ["lzo1x_1", "three", "14616263110000"],
  ["lzo1x_999", "three", "14616263110000"],
  ["lzo1x_1", "period3", "0361626361626320f314000f616263616263616263616263616263616263110000"],
  ["lzo1x_999", "period3", "146162632000090800110000"],
  ["lzo1x_1", "zeroPage", "02000000000020000000000000000000000000000000da10000c000000000000000000000000000000110000"],
  ["lzo1x_999", "zeroPage", "12002000000000000000e600002000000000000000e50000110000"],
  [
    "lzo1x_1",
    "log",
    "00035b20202020302e305d20637075303a2070666e203081000ac90331890331286a003235e90332890332286a003461e90333890333286a003666e90334880329ae013934e90335880329ae016239e90336880329ae016465e90337880328af01313033e90338880328af01313238e90339880328af01313464a90331d42128af01313732e803b42129ae013937e803b42129ae016263e803b42129ae016531e803b42128af01323036e803b42128af01323262e803b42128af01323530e803b42128ae013237de35312eb42129ad0139de35312eb42129ad0162dd3532d42129ad0165de35322eb42128ae013330de35322eb42128ae013332dc350004322e335d20637075333a2070666e203030303335330a110000",
  ],
  [
    "lzo1x_999",
    "log",
    "135b2040000d302e305d20637075303a2070666e203081000ac90331890331286a003235e90332890332286a003461e90333890333286a003666e903342eae013934e903352eae016239e903362eae016465e903372daf01313033e903382daf01313238e903392daf01313464a90331d42128af01313732e903312eae013937e903322eae016263e903332eae016531e903342dad0132044ae903352daf01323262e903362daf01323530e903372daf01323735e903382eae013961e903392ead0162dd35322f6f08326534e8032e6f08333039e8032e6f08333265e8032e6e0833350c6b110000",
  ],
  [
    "lzo1x_1",
    "far20000",
    "00182101c54fd1d01ab22574cb378aaef5b10808911933b9eb4ff229a5e4db3e57140128e0f4fae27e070000200000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000004b0400100b2039000233b9eb4ff229a5e4db3e57140128e0f4fae27e07110000",
  ],
  [
    "lzo1x_999",
    "far20000",
    "3a2101c54fd1d01ab22574cb378aaef5b10808911933b9eb4ff229a5e4db3e57140128e0f4fae27e07002000000000000000e600002000000000000000e600002000000000000000e600002000000000000000e600002000000000000000e600002000000000000000e600002000000000000000e600002000000000000000e600002000000000000000e6000020000000000000040000101f2039110000",
  ],
  [
    "lzo1x_1",
    "far40000",
    "00182101c54fd1d01ab22574cb378aaef5b10808911933b9eb4ff229a5e4db3e57140128e0f4fae27e07000020000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000b90400180ba071000233b9eb4ff229a5e4db3e57140128e0f4fae27e07110000",
  ],
  [
    "lzo1x_999",
    "far40000",
    "3a2101c54fd1d01ab22574cb378aaef5b10808911933b9eb4ff229a5e4db3e57140128e0f4fae27e07002000000000000000e600002000000000000000e600002000000000000000e600002000000000000000e600002000000000000000e600002000000000000000e600002000000000000000e600002000000000000000e600002000000000000000e600002000000000000000e600002000000000000000e600002000000000000000e600002000000000000000e600002000000000000000e600002000000000000000e600002000000000000000e600002000000000000000e600002000000000000000e600002000000000000000e600002000000000220000181fa071110000",
  ],
  [
    "lzo1x_1",
    "two",
    "003441424243454443454346454242434144424545464342434345444245414642424543434443454546424241434244454543464342454342444145424645424343434445454246200314010b4345454642424143424445454346110000",
  ],
  [
    "lzo1x_999",
    "two",
    "1c41424243454443454346454401064144424545464342434c02064245414642424543435503454501410a0544455d04434f02424441080b450643550345440120111401110000",
  ],
];

const decompress = (hex: string, room: number): Uint8Array => {
  const output = new Uint8Array(room);
  return output.subarray(0, lzo.decompress(Buffer.from(hex, "hex"), output));
};

const failure = (hex: string, room: number): unknown => {
  try {
    return decompress(hex, room);
  } catch (error) {
    return error;
  }
};

describe("lzo", () => {
  test.each(VECTORS)("reads what %s made of %s", (_compressor, plain, hex) => {
    const expected = PLAIN[plain]!;
    expect(Buffer.compare(decompress(hex, expected.length), expected)).toBe(0);
    expect(Buffer.compare(decompress(hex, expected.length + 100), expected)).toBe(0);
  });

  test.each(VECTORS.filter(([, plain]) => plain !== "empty"))("%s of %s does not fit one byte less", (_compressor, plain, hex) => {
    expect(failure(hex, PLAIN[plain]!.length - 1)).toSatisfy((error) => isDumpError(error, "CORRUPT"));
  });

  test.each(VECTORS)("%s of %s cut anywhere is corrupt", (_compressor, plain, hex) => {
    for (let length = 0; length < hex.length; length += 2) {
      expect(failure(hex.slice(0, length), PLAIN[plain]!.length)).toSatisfy((error) => isDumpError(error, "CORRUPT"));
    }
  });

  test.each([
    ["nothing at all", "", "lzo: stream is shorter than its end mark of 3 bytes at input byte 0 of 0, output byte 0 of 64"],
    ["a match before any output", "110400110000", "lzo: match looks 16385 bytes back at input byte 3 of 6, output byte 0 of 64"],
    ["a match before the first byte", "12614c00110000", "lzo: match looks 4 bytes back at input byte 4 of 7, output byte 1 of 64"],
    ["bytes after the end mark", "126111000000", "lzo: 1 bytes follow the end mark at input byte 5 of 6, output byte 1 of 64"],
    ["an end mark with a length", "1261120000", "lzo: end mark is malformed at input byte 5 of 5, output byte 1 of 64"],
    ["a match length without end", "126120000000", "lzo: match length leaves the input at input byte 6 of 6, output byte 1 of 64"],
    ["a literal length without end", "0000000000", "lzo: literal length leaves the input at input byte 5 of 5, output byte 0 of 64"],
    [
      "a match that leaves the output",
      "1261200000000000010000110000",
      "lzo: match of 1309 bytes leaves the output at input byte 11 of 14, output byte 1 of 64",
    ],
  ])("%s is corrupt", (_what, hex, message) => {
    expect(failure(hex, 64)).toMatchObject({ code: "CORRUPT", message });
  });
});
