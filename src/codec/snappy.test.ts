import { describe, expect, test } from "vitest";
import { isDumpError } from "../bytes/index.ts";
import { snappy } from "./snappy.ts";

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
  two: Buffer.from(Array.from({ length: 60 }, (_, i) => [65 + ((i * i) % 7), 66 + (i % 5)]).flat()),
};

/** Made by libsnappy 1.1.9. */
const VECTORS: readonly [plain: string, hex: string][] = [
  ["empty", "00"],
  ["one", "010061"],
  ["three", "0308616263"],
  ["period3", "ac0208616263fe0300fe0300fe0300fe0300a20300"],
  [
    "zeroPage",
    "80200000fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fe0100fa0100",
  ],
  [
    "log",
    "8805505b20202020302e305d20637075303a2070666e20300501000a0d1b0031051b0031191b043235111b0032051b0032191b043461111b0033051b0033191b043666111b0034051b1d6c043934111b0035051b1d6c046239111b0036051b1d6c046465111b0037051b196c08313033111b0038051b196c08313238111b0039051b196c08313464091b00312d0e196c08313732111b290e1d6c043937111b290e1d6c046263111b290e1d6c046531111b290e196c08323036111b290e196c08323262111b290e196c0432352db000312d0e196c0432372db000312d0e1d6c00392db000312d0e1d6c00622db000322d0e1d6c00652db000322d0e196c0433302db000322d0e196c0433322db000322d0e34333a2070666e203030303335330a",
  ],
  [
    "two",
    "78f0494142424345444345434645424243414442454546434243434544424541464242454343444345454642424143424445454346434245434244414542464542434343444545424641424243b64600",
  ],
];

const decompress = (hex: string, room: number): Uint8Array => {
  const output = new Uint8Array(room);
  return output.subarray(0, snappy.decompress(Buffer.from(hex, "hex"), output));
};

const failure = (hex: string, room: number): unknown => {
  try {
    return decompress(hex, room);
  } catch (error) {
    return error;
  }
};

describe("snappy", () => {
  test.each(VECTORS)("reads what libsnappy made of %s", (plain, hex) => {
    const expected = PLAIN[plain]!;
    expect(Buffer.compare(decompress(hex, expected.length), expected)).toBe(0);
    expect(Buffer.compare(decompress(hex, expected.length + 100), expected)).toBe(0);
  });

  test.each(VECTORS)("%s cut anywhere is corrupt", (plain, hex) => {
    for (let length = 0; length < hex.length; length += 2) {
      expect(failure(hex.slice(0, length), PLAIN[plain]!.length)).toSatisfy((error) => isDumpError(error, "CORRUPT"));
    }
  });

  // libsnappy writes neither 32-bit distances nor literal lengths of 3 and 4 bytes, and a reader must take both.
  test("32-bit distance", () => {
    expect(Buffer.from(decompress("06" + "08616263" + "0b03000000", 6)).toString()).toBe("abcabc");
  });
  test("literal length in 1 to 4 bytes", () => {
    for (const [tag, length] of [
      ["f0", "02"],
      ["f4", "0200"],
      ["f8", "020000"],
      ["fc", "02000000"],
    ] as const) {
      expect(Buffer.from(decompress(`03${tag}${length}616263`, 3)).toString()).toBe("abc");
    }
  });

  test.each([
    ["nothing at all", "", "snappy: declared length leaves the input at input byte 0 of 0, output byte 0 of 64"],
    ["a length of six bytes", "808080808001", "snappy: declared length has more than 5 bytes at input byte 5 of 6, output byte 0 of 64"],
    ["a length over the page", "41", "snappy: declared length 65 does not fit at input byte 1 of 1, output byte 0 of 64"],
    ["a copy of distance 0", "0500610100", "snappy: copy looks 0 bytes back at input byte 5 of 5, output byte 1 of 64"],
    ["a copy from before the start", "0500610102", "snappy: copy looks 2 bytes back at input byte 5 of 5, output byte 1 of 64"],
    [
      "a copy past the declared length",
      "0400610101",
      "snappy: copy of 4 bytes leaves the output at input byte 5 of 5, output byte 1 of 64",
    ],
    [
      "elements short of the declared length",
      "050061",
      "snappy: declared length is 5, the elements give 1 at input byte 3 of 3, output byte 1 of 64",
    ],
    [
      "a literal of 4 GiB",
      "05fcffffffff61",
      "snappy: run of 4294967296 literals leaves the input at input byte 6 of 7, output byte 0 of 64",
    ],
  ])("%s is corrupt", (_what, hex, message) => {
    expect(failure(hex, 64)).toMatchObject({ code: "CORRUPT", message });
  });
});
