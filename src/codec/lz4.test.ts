import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { lz4Block, writeLz4 } from "../../test/writers/lz4.ts";
import { isDumpError } from "../bytes/index.ts";
import { lz4 } from "./lz4.ts";

function logLines(count: number): Uint8Array {
  let text = "";
  for (let i = 0; i < count; i++) {
    text += `[    ${Math.floor(i / 10)}.${i % 10}] cpu${i % 4}: pfn ${(i * 37).toString(16).padStart(6, "0")}\n`;
  }
  return Buffer.from(text);
}

const PLAIN: Record<string, Uint8Array> = {
  one: Buffer.from("a"),
  three: Buffer.from("abc"),
  period3: Buffer.from("abc".repeat(100)),
  zeroPage: new Uint8Array(4096),
  log: logLines(24),
  two: Buffer.from(Array.from({ length: 60 }, (_, i) => [65 + ((i * i) % 7), 66 + (i % 5)]).flat()),
};

/** Made by liblz4 1.9.4, the blocks out of the legacy frame: level, plain text, block. */
const VECTORS: readonly [level: string, plain: string, hex: string][] = [
  ["1", "one", "1061"],
  ["1", "three", "30616263"],
  ["1", "period3", "3f6162630300ff12506263616263"],
  ["1", "zeroPage", "1f000100fffffffffffffffffffffffffffffff6500000000000"],
  [
    "1",
    "log",
    "f1065b20202020302e305d20637075303a2070666e20300100130a1b0011311b0016311b002432351b0011321b0016321b002434611b0011331b0016331b002436661b0011341b00076c002439341b0011351b00076c002462391b0011361b00076c002464651b0011371b00066c00343130331b0011381b00066c00343132381b0011391b00066c00323134641b0013310e01066c00343137321b00020e01076c002439371b00020e01076c002462631b00020e01076c002465311b00020e01066c00343230361b00020e01066c00343232621b00020e01066c00343235301b00020e01066c00233237b00113310e01076c001339b00113310e01076c001362b00113320e01076c001365b00113320e01066c00233330b00113320e01066c00233332b00113320e01056c0050303335330a",
  ],
  [
    "1",
    "two",
    "ff374142424345444345434645424243414442454546434243434544424541464242454343444345454642424143424445454346434245434244414542464542434343444545424646001a504445454346",
  ],
  [
    "9",
    "log",
    "f1065b20202020302e305d20637075303a2070666e20300100130a1b0011311b0016311b002432351b0011321b0016321b002434611b0011331b0016331b002436661b001c346c002439341b001c356c002462391b001c366c002464651b001b376c00343130331b001b386c00343132381b001b396c00323134641b003b312e306c00343137321b001c316c002439371b001c326c002462631b001c336c002465311b001b346c00343230361b001b356c00343232621b001b366c00343235301b001b376c00343237351b001c386c002439611b001c396c001362b0011d321c02343265341b000c1c02343330391b000c1c02343332651b000b1c0250303335330a",
  ],
];

/** The first 371 bytes of what Linux 6.1 wrote with pstore.compress=lz4: whole sequences, then the literals of the next. */
const KERNEL_BLOCK =
  "f1094f6f707323312050617274310a3c353e5b20202020302e300100115d0e00f33d54305d204c696e75782076657273696f6e20362e312e3139322d65766964656e63652028726f6f7440766d292028676363202844656269616e2031322e322e302d31342b64656231327531291300a02c20474e55206c6420280800d242696e7574696c7320666f72203b00ff1f2920322e34302920233120534d5020467269204e6f762032302032333a35333a33372055544320323032360a3c36b60005f122436f6d6d616e64206c696e653a20636f6e736f6c653d74747953302070616e69633d31206d656d6d61703d314d24307836f600ff173020706d6f64653d626c6b20706563633d30207073746f72652e636f6d70726573733d6c7a347700088042494f532d70726f1e01ff046420706879736963616c2052414d206d61703a3a000dd2653832303a205b6d656d2030789200060200192d1300df39666266665d20757361626c655800253e39666358001066";
const KERNEL_TEXT =
  "Oops#1 Part1\n" +
  "<5>[    0.000000][    T0] Linux version 6.1.192-evidence (root@vm) (gcc (Debian 12.2.0-14+deb12u1) 12.2.0, GNU ld (GNU Binutils for Debian) 2.40) #1 SMP Fri Nov 20 23:53:37 UTC 2026\n" +
  "<6>[    0.000000][    T0] Command line: console=ttyS0 panic=1 memmap=1M$0x6000000 pmode=blk pecc=0 pstore.compress=lz4\n" +
  "<6>[    0.000000][    T0] BIOS-provided physical RAM map:\n" +
  "<6>[    0.000000][    T0] BIOS-e820: [mem 0x0000000000000000-0x000000000009fbff] usable\n" +
  "<6>[    0.000000][    T0] BIOS-e820: [mem 0x000000000009fc00-0x000000000009ff";

const decompress = (input: Uint8Array, room: number): Uint8Array => {
  const output = new Uint8Array(room);
  return output.subarray(0, lz4.decompress(input, output));
};

const failure = (input: Uint8Array, room: number): unknown => {
  try {
    return decompress(input, room);
  } catch (error) {
    return error;
  }
};

const isCorrupt = (error: unknown): boolean => isDumpError(error, "CORRUPT");

describe("lz4", () => {
  test.each(VECTORS)("reads what level %s made of %s", (_level, plain, hex) => {
    const expected = PLAIN[plain]!;
    const block = Buffer.from(hex, "hex");
    expect(Buffer.compare(decompress(block, expected.length), expected)).toBe(0);
    expect(Buffer.compare(decompress(block, expected.length + 100), expected)).toBe(0);
    expect(failure(block, expected.length - 1)).toSatisfy(isCorrupt);
  });

  test("reads what a kernel wrote", () => {
    expect(Buffer.from(decompress(Buffer.from(KERNEL_BLOCK, "hex"), 4096)).toString()).toBe(KERNEL_TEXT);
  });

  test("an empty block is one token", () => {
    expect(decompress(Uint8Array.of(0), 0)).toHaveLength(0);
  });

  test("what the writer makes is read", () => {
    const words = fc.array(fc.constantFrom("last", "words", "<6>[    0.000000] ", "\n", "x"), { maxLength: 400 });
    const plain = fc.oneof(
      fc.uint8Array({ maxLength: 600 }),
      words.map((all) => Buffer.from(all.join(""))),
    );
    fc.assert(
      fc.property(plain, (bytes) => {
        expect(Buffer.compare(decompress(writeLz4(bytes), bytes.length), bytes)).toBe(0);
      }),
      { numRuns: 500 },
    );
  });

  test.each([14, 15, 16, 269, 270, 271, 525, 70_000])("%i literals, and a match as long", (length) => {
    const literals = Uint8Array.from({ length }, (_, i) => i * 7);
    const block = lz4Block([
      { literals, match: { distance: length > 65_535 ? 65_535 : length, length: length + 4 } },
      { literals: Uint8Array.of(1) },
    ]);
    const output = decompress(block, 2 * length + 5);
    expect(output).toHaveLength(2 * length + 5);
    expect(Buffer.compare(output.subarray(0, length), literals)).toBe(0);
    expect(output.at(-1)).toBe(1);
    const distance = Math.min(length, 65_535);
    expect(output.subarray(length, -1).every((byte, i) => byte === output[length + i - distance])).toBe(true);
  });

  test("a block cut anywhere is corrupt, or ends behind literals and gives the beginning", () => {
    const plain = PLAIN["log"]!;
    const block = writeLz4(plain);
    for (let length = 0; length < block.length; length++) {
      const result = failure(block.subarray(0, length), plain.length);
      if (isCorrupt(result)) continue;
      const part = result as Uint8Array;
      expect(Buffer.compare(part, plain.subarray(0, part.length))).toBe(0);
      expect(part.length).toBeLessThan(plain.length);
    }
  });

  test.each([
    ["nothing at all", "", "lz4: the block is empty at input byte 0 of 0, output byte 0 of 64"],
    ["a match at the end", "10610100", "lz4: the block ends with a match at input byte 4 of 4, output byte 5 of 64"],
    ["half an offset", "106101", "lz4: a match's offset leaves the input at input byte 2 of 3, output byte 1 of 64"],
    ["an offset of 0", "1061000000", "lz4: a match looks 0 bytes back at input byte 4 of 5, output byte 1 of 64"],
    ["a match before the first byte", "1061020000", "lz4: a match looks 2 bytes back at input byte 4 of 5, output byte 1 of 64"],
    ["literals that leave the input", "3061", "lz4: 3 literals leave the input at input byte 1 of 2, output byte 0 of 64"],
    [
      "literals that leave the output",
      `f032${"61".repeat(65)}`,
      "lz4: 65 literals leave the output at input byte 2 of 67, output byte 0 of 64",
    ],
    ["a length without end", "f0ffff", "lz4: a length leaves the input at input byte 3 of 3, output byte 0 of 64"],
    [
      "a match that leaves the output",
      "1f610100ff0000",
      "lz4: a match of 274 bytes leaves the output at input byte 6 of 7, output byte 1 of 64",
    ],
  ])("%s is corrupt", (_what, hex, message) => {
    expect(failure(Buffer.from(hex, "hex"), 64)).toMatchObject({ code: "CORRUPT", message });
  });
});
