import fc from "fast-check";
import { describe, expect, expectTypeOf, test } from "vitest";

import type { Paddr, Vaddr } from "../../src/bytes/index.ts";
import { findCommand, nearest, parseAddress, parseCommand, parseSize, parseTarget, UsageError } from "../../src/cli/parse.ts";
import type { Args, CommandName, DumpArgs, Target } from "../../src/cli/table.ts";

/** Parses a command line written with single spaces. */
function parse(line: string): Readonly<Record<string, unknown>> {
  const [name = "", ...rest] = line.split(" ");
  return parseCommand(findCommand(name), rest).values;
}

function failure(line: string): string {
  try {
    parse(line);
  } catch (error) {
    if (error instanceof UsageError) return error.message;
    throw error;
  }
  return "no error";
}

describe("options", () => {
  test("have their defaults where absent", () => {
    expect(parse("report vmcore")).toEqual({
      paths: ["vmcore"],
      logLines: 20,
      json: false,
      btf: undefined,
      symbols: undefined,
      vmlinux: undefined,
      rawBase: undefined,
      stats: false,
      quiet: false,
      color: "auto",
      help: false,
    });
  });

  test.each([
    ["read m --physical 1000 --length 16", { physical: 0x1000, length: 16 }],
    ["read m --physical=0x1000 --length=0x10", { physical: 0x1000, length: 16 }],
    ["read --length 4K m --physical 0d4096", { physical: 4096, length: 4096, files: ["m"] }],
    ["read m --virtual ffffffff82a00000 --length 1", { virtual: 0xffff_ffff_82a0_0000n, physical: undefined }],
    [
      "rd m --virtual 0xFFFFFFFF82A00000 --length 1 --zero-excluded --raw",
      { virtual: 0xffff_ffff_82a0_0000n, zeroExcluded: true, raw: true },
    ],
    ["info --raw-base 100000000 m", { rawBase: 0x1_0000_0000 }],
    ["report -q m --color never", { quiet: true, color: "never", paths: ["m"] }],
    ["notes m --extract 9 -o out", { extract: "9", output: "out" }],
    ["notes m --extract=9 -oout", { extract: "9", output: "out" }],
    ["bt -qa m", { quiet: true, all: true }],
    ["bt m --task 1 --task 2 --cpu 0", { task: [1, 2], cpu: [0], all: false }],
    ["report m --log-lines 5 --log-lines 7", { logLines: 7 }],
    ["report m --log-lines 0", { logLines: 0 }],
  ])("%s", (line, expected) => {
    expect(parse(line)).toMatchObject(expected);
  });

  test.each([
    ["read m --lenght 1", "there is no option '--lenght', did you mean '--length'?"],
    ["read m --phys 1", "there is no option '--phys', did you mean '--physical'?"],
    ["read m --no-such-thing", "there is no option '--no-such-thing'"],
    ["read m --constructor", "there is no option '--constructor'"],
    ["read m --__proto__", "there is no option '--__proto__'"],
    ["bt -qx m", "there is no option '-x'"],
    ["bt m -1", "there is no option '-1'"],
    ["report m --json=yes", "'--json' takes no value, but 'yes' is given"],
    ["report m --no-json", "there is no option '--no-json'"],
    ["read m --physical", "'--physical' needs a value: --physical ADDRESS"],
    ["notes m --extract x -o", "'-o' needs a value: -o FILE"],
    ["notes m --extract -o x", "'--extract' needs a value, and '-o' looks like an option (if it is meant: --extract=-o)"],
    ["notes m --extract x -o -q", "'-o' needs a value, and '-q' looks like an option (if it is meant: -o-q)"],
    ["report m --btf=", "'--btf' takes the name of a file, not ''"],
    ["report m --log-lines many", "'--log-lines' takes a whole number from 0 to 1000000, not 'many'"],
    ["report m --log-lines=-1", "'--log-lines' takes a whole number from 0 to 1000000, not '-1'"],
    ["report m --log-lines 1e3", "'--log-lines' takes a whole number from 0 to 1000000, not '1e3'"],
    ["report m --color blue", "'--color' takes 'auto' or 'always' or 'never', not 'blue'"],
    ["read m --length 0 --physical 0", "'--length' takes a size such as 512, 0x200, 4K or 1G of 1 or more, not '0'"],
    ["read m --length 1 --physical 10000000000000", "'--physical' takes a physical address below 2^52, not '10000000000000'"],
    [
      "read m --length 1 --virtual init_task",
      "'--virtual' takes a virtual address such as ffffffff82a00000 (hexadecimal), not 'init_task'",
    ],
    ["read m --length 1", "one of '--physical' and '--virtual' must be given"],
    ["read m --length 1 --physical 0 --virtual 0", "'--physical' and '--virtual' exclude each other"],
    ["read m --physical 0", "'--length SIZE' must be given"],
    ["read m --physical 0 --length 1 --raw --json", "'--json' and '--raw' exclude each other"],
    ["notes m -o x", "'--output' is of use only with '--extract'"],
  ])("%s: refused", (line, message) => {
    expect(failure(line)).toBe(message);
  });

  test("help wins over everything else that is wrong, but not behind --", () => {
    expect(parseCommand("read", ["--bogus", "-h"])).toEqual({ help: true, values: {} });
    expect(parseCommand("bt", ["-qh"])).toEqual({ help: true, values: {} });
    expect(parseCommand("info", ["--", "--help"])).toMatchObject({ help: false, values: { files: ["--help"] } });
    expect(failure("read --help=yes")).toBe("'--help' takes no value, but 'yes' is given");
  });

  test("a usage error says where to read on", () => {
    expect(() => parseCommand("read", [])).toThrow(expect.objectContaining({ hint: "try 'lastwords help read'" }));
    expect(() => findCommand("raed")).toThrow(expect.objectContaining({ hint: "try 'lastwords help'" }));
  });
});

describe("operands", () => {
  test.each<[string, { files: string[]; targets: Target[] }]>([
    ["bt m", { files: ["m"], targets: [] }],
    ["bt m 1234", { files: ["m"], targets: [{ kind: "pid", pid: 1234 }] }],
    [
      "bt m 0 cpu:3",
      {
        files: ["m"],
        targets: [
          { kind: "pid", pid: 0 },
          { kind: "cpu", cpu: 3 },
        ],
      },
    ],
    ["bt m.1 m.2 7", { files: ["m.1", "m.2"], targets: [{ kind: "pid", pid: 7 }] }],
    ["bt 1 2", { files: ["1"], targets: [{ kind: "pid", pid: 2 }] }],
    ["bt 1234", { files: ["1234"], targets: [] }],
    ["bt 1 m", { files: ["1", "m"], targets: [] }],
    ["bt m ./1", { files: ["m", "./1"], targets: [] }],
    ["bt m cpu:x", { files: ["m", "cpu:x"], targets: [] }],
    ["bt m 1 -- -x", { files: ["m", "1", "-x"], targets: [] }],
  ])("%s", (line, expected) => {
    expect(parse(line)).toMatchObject(expected);
  });

  test.each([
    ["report", "PATH is missing: a dump, a log, or a folder of such files"],
    ["bt -a", "FILE is missing: the dump; several files are the parts of one split dump"],
    ["help read bt", "'bt' is one argument too many"],
    ["completion", "SHELL is missing: the shell: 'bash', 'zsh' or 'fish'"],
    ["completion tcsh", "SHELL takes 'bash' or 'zsh' or 'fish', not 'tcsh'"],
    ["help raed", "there is no command 'raed', did you mean 'read'?"],
  ])("%s: refused", (line, message) => {
    expect(failure(line)).toBe(message);
  });

  test("an alias names its command", () => {
    expect(findCommand("log")).toBe("dmesg");
    expect(parse("help rd")).toMatchObject({ command: "read" });
    expect(parse("help")).toMatchObject({ command: undefined });
  });

  test("words that JavaScript objects inherit are no commands", () => {
    for (const word of ["constructor", "__proto__", "toString"]) expect(() => findCommand(word)).toThrow(UsageError);
  });
});

test("addresses are hexadecimal, and decimal after 0d", () => {
  expect(parseAddress("10")).toBe(16n);
  expect(parseAddress("0X10")).toBe(16n);
  expect(parseAddress("0d10")).toBe(10n);
  expect(parseAddress("0x0d1f")).toBe(0xd1fn);
  expect(parseAddress("0d18446744073709551615")).toBe(2n ** 64n - 1n);
  expect(parseAddress("000000000000000000000000000000000000000001")).toBe(1n);
  for (const text of ["", "0x", "0d", "-1", "1_0", "0d1f", "10000000000000000", "0d18446744073709551616", "f".repeat(1e6)]) {
    expect(parseAddress(text), text.slice(0, 30)).toBeUndefined();
  }
  fc.assert(
    fc.property(
      fc.bigInt(0n, 2n ** 64n - 1n),
      (value) => parseAddress(value.toString(16)) === value && parseAddress(`0d${value}`) === value,
    ),
  );
});

test("sizes take powers of 1024", () => {
  expect(parseSize("512")).toBe(512);
  expect(parseSize("0x200")).toBe(512);
  expect(parseSize("0x1b")).toBe(27);
  expect(parseSize("4K")).toBe(4096);
  expect(parseSize("4kib")).toBe(4096);
  expect(parseSize("0x10M")).toBe(16 * 1024 ** 2);
  expect(parseSize("1G")).toBe(1024 ** 3);
  expect(parseSize("2T")).toBe(2 * 1024 ** 4);
  for (const text of ["", "K", "-1", "1.5G", "1B", "1KB", "9007199254740992", "9999999T", "0x", "1e3"])
    expect(parseSize(text), text).toBeUndefined();
});

test("targets stay in the ranges of the kernel", () => {
  expect(parseTarget("4194304")).toEqual({ kind: "pid", pid: 4_194_304 });
  expect(parseTarget("2147483648")).toBeUndefined();
  expect(parseTarget("cpu:65536")).toBeUndefined();
});

test("suggestions are near, not far-fetched", () => {
  const words = ["report", "read", "notes", "completion"];
  expect(nearest("reprot", words)).toBe("report");
  expect(nearest("note", words)).toBe("notes");
  expect(nearest("comp", words)).toBe("completion");
  expect(nearest("re", words)).toBeUndefined();
  expect(nearest("gdb", words)).toBeUndefined();
  expect(nearest("x".repeat(100_000), words)).toBeUndefined();
});

test("no command line makes the parser throw anything but a usage error", () => {
  const word = fc.oneof(
    fc.string(),
    fc.constantFrom("-", "--", "--json", "--btf", "--length=1", "-o", "-qa", "vmcore", "1", "cpu:1", "--raw-base=", "--color"),
  );
  const name = fc.constantFrom<CommandName>("report", "notes", "bt", "read", "help", "completion");
  fc.assert(
    fc.property(name, fc.array(word, { maxLength: 6 }), (command, argv) => {
      try {
        parseCommand(command, argv);
      } catch (error) {
        expect(error).toBeInstanceOf(UsageError);
      }
    }),
  );
});

test("arguments have the types that the table gives", () => {
  expectTypeOf<Args<"read">["length"]>().toEqualTypeOf<number>();
  expectTypeOf<Args<"read">["physical"]>().toEqualTypeOf<Paddr | undefined>();
  expectTypeOf<Args<"read">["virtual"]>().toEqualTypeOf<Vaddr | undefined>();
  expectTypeOf<Args<"read">["zeroExcluded"]>().toEqualTypeOf<boolean>();
  expectTypeOf<Args<"read">["files"]>().toEqualTypeOf<readonly string[]>();
  expectTypeOf<Args<"report">["logLines"]>().toEqualTypeOf<number>();
  expectTypeOf<Args<"report">["rawBase"]>().toEqualTypeOf<Paddr | undefined>();
  expectTypeOf<Args<"report">["color"]>().toEqualTypeOf<"auto" | "always" | "never">();
  expectTypeOf<Args<"bt">["targets"]>().toEqualTypeOf<readonly Target[]>();
  expectTypeOf<Args<"bt">["task"]>().toEqualTypeOf<readonly number[]>();
  expectTypeOf<Args<"help">["command"]>().toEqualTypeOf<CommandName | undefined>();
  expectTypeOf<Args<"completion">["shell"]>().toEqualTypeOf<"bash" | "zsh" | "fish">();
  expectTypeOf<Args<"ps">>().toExtend<DumpArgs>();
});
