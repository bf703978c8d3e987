import { describe, expect, test } from "vitest";
import { blkSizes, moduleParameters, parseAmount, parseWords, ramoopsSpec, reservedByCommandLine } from "../../src/pstore/index.ts";

describe("words", () => {
  test.each<[string, [string, string][]]>([
    ["", []],
    [" , ", []],
    ["mem_size=1M", [["mem_size", "1M"]]],
    [
      "mem-size=1M, ecc=1  a=b=c",
      [
        ["mem_size", "1M"],
        ["ecc", "1"],
        ["a", "b=c"],
      ],
    ],
    ["ecc=1,ecc=0", [["ecc", "0"]]],
    ["ecc=", [["ecc", ""]]],
  ])("%j", (spec, words) => {
    expect([...parseWords(spec)]).toEqual(words);
  });

  test.each(["ecc", "=1", "mem_size=1M,ecc"])("%j is refused", (spec) => {
    expect(() => parseWords(spec)).toThrow("is no word=value, as in mem_size=1M");
  });
});

describe("amounts", () => {
  test.each([
    ["0", 0],
    ["65536", 65536],
    ["0x10000", 65536],
    ["0XfF", 255],
    ["64K", 65536],
    ["64k", 65536],
    ["2M", 2 * 2 ** 20],
    ["0x2g", 2 * 2 ** 30],
    ["9007199254740991", Number.MAX_SAFE_INTEGER],
  ])("%s", (text, value) => {
    expect(parseAmount("w", text)).toBe(value);
  });

  test.each(["", " ", "1Q", "1KB", "-1", "1.5M", "0x", "K", "9007199254740992", "0xfffffffffffffffff", "9999999999G"])(
    "%j is refused",
    (text) => {
      expect(() => parseAmount("mem_size", text)).toThrow(`mem_size=${text}: a number such as 65536, 0x10000 or 64K is wanted`);
    },
  );
});

describe("ramoops' parameters", () => {
  test("a place alone: nothing is said of sizes", () => {
    expect(ramoopsSpec(parseWords("mem_address=0x6000000,mem_size=1M"))).toEqual({
      memAddress: 0x6000000,
      memSize: 2 ** 20,
      sizes: undefined,
      eccGiven: false,
    });
    expect(ramoopsSpec(new Map())).toMatchObject({ memAddress: undefined, memSize: undefined, sizes: undefined });
  });

  test("where one size is given the others are the module's defaults", () => {
    expect(ramoopsSpec(parseWords("console_size=64K")).sizes).toEqual({
      recordSize: 4096,
      consoleSize: 65536,
      ftraceSize: 4096,
      pmsgSize: 4096,
      ttySize: 0,
      eccSize: 0,
    });
  });

  test.each([
    ["ecc=1", 16, true],
    ["ecc=0", 0, true],
    ["ecc=32", 32, true],
    ["ecc_size=8", 8, true],
    ["dump_oops=1", 0, false],
  ])("%s", (words, eccSize, eccGiven) => {
    const spec = ramoopsSpec(parseWords(`record_size=4096,${words}`));
    expect([spec.sizes!.eccSize, spec.eccGiven]).toEqual([eccSize, eccGiven]);
  });

  test("a word that ramoops does not have is named, and one that has no number", () => {
    expect(() => ramoopsSpec(parseWords("mem_sise=1M"))).toThrow("ramoops has no parameter 'mem_sise'; it has record_size, console_size");
    expect(() => ramoopsSpec(parseWords("pmsg_size=lots"))).toThrow("pmsg_size=lots");
  });
});

describe("kernel command lines", () => {
  test("a module's parameters, with either dash", () => {
    const line = 'root=/dev/sda1 ramoops.mem_size=1M ramoops.mem-address="0x6000000" xramoops.ecc=4 ramoops.ecc=1 ramoops.flag quiet';
    expect([...moduleParameters(line, "ramoops")]).toEqual([
      ["mem_size", "1M"],
      ["mem_address", "0x6000000"],
      ["ecc", "1"],
    ]);
    expect([...moduleParameters("pstore-blk.kmsg_size=64", "pstore_blk")]).toEqual([["kmsg_size", "64"]]);
    expect([...moduleParameters("", "ramoops")]).toEqual([]);
  });

  test.each([
    ["memmap=1M$0x6000000", [[0x6000000, 2 ** 20]]],
    // As boot loaders want it escaped.
    ["quiet memmap=1M\\$0x6000000 x", [[0x6000000, 2 ** 20]]],
    [
      "memmap=64K$16M,0x10000!0x2000000 memmap=4096$1G",
      [
        [2 ** 24, 65536],
        [0x2000000, 65536],
        [2 ** 30, 4096],
      ],
    ],
    // Usable, ACPI, and nonsense.
    ["memmap=1M@16M memmap=1M#16M memmap=exactmap memmap=$ nomemmap=1M$1M", []],
  ])("%s", (line, holes) => {
    expect(reservedByCommandLine(line).map(({ address, size }) => [address, size])).toEqual(holes);
  });
});

describe("pstore_blk's parameters", () => {
  const sizes = (words: string): unknown => blkSizes(parseWords(words), 2 ** 21);

  test("KiB, or what a letter or 0x says; rounded up to pages as the kernel does", () => {
    expect(sizes("kmsg_size=64,pmsg_size=64k,console_size=0x10000,ftrace_size=5,tty_size=1")).toEqual({
      totalSize: 2 ** 21,
      kmsgSize: 65536,
      pmsgSize: 65536,
      consoleSize: 65536,
      ftraceSize: 8192,
      ttySize: 4096,
    });
  });

  test("nothing is said of sizes", () => {
    expect(sizes("")).toBeUndefined();
    expect(sizes("blkdev=/dev/sda3,max_reason=2")).toBeUndefined();
  });

  test("a word that it does not have is named", () => {
    expect(() => sizes("record_size=1")).toThrow("pstore_blk has no parameter 'record_size'; it has kmsg_size, pmsg_size");
    expect(() => sizes("toString=1")).toThrow("pstore_blk has no parameter 'toString'");
  });
});
