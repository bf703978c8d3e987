// oxlint-disable no-control-regex -- escape sequences are what is tested
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { describe, expect, test } from "vitest";

import { DumpError } from "../../src/bytes/index.ts";
import type { World } from "../../src/cli/main.ts";
import type { Context } from "../../src/cli/table.ts";
import { MemorySink, runMain } from "./memory-sink.ts";
import { scratchFolder } from "../scratch.ts";

/** Stands for the file of any command. */
function load(run: (context: Context, args: never) => number | Promise<number>): NonNullable<World["load"]> {
  return () => Promise.resolve({ run });
}

function throwing(error: unknown): NonNullable<World["load"]> {
  return load(() => {
    throw error;
  });
}

describe("without a command", () => {
  test("a short help on stderr, status 2", async () => {
    expect(await runMain([])).toEqual({
      code: 2,
      out: "",
      err: "Usage: lastwords COMMAND [ARGUMENT]... [OPTION]...\nExplains a crash dump:  lastwords report vmcore\nLists all commands:     lastwords help\n",
    });
  });

  test.each(["--version", "-V"])("%s", async (option) => {
    const result = await runMain([option]);
    expect(result).toMatchObject({ code: 0, err: "" });
    expect(result.out).toMatch(/^lastwords \d+\.\d+\.\d+\S*\n$/);
  });

  test("--help, -h and help are one", async () => {
    const help = await runMain(["help"]);
    expect(help).toMatchObject({ code: 0, err: "" });
    for (const option of ["--help", "-h"]) expect(await runMain([option])).toEqual(help);
  });

  test("an option before the command", async () => {
    expect(await runMain(["--json", "report", "x"])).toEqual({
      code: 2,
      out: "",
      err: "lastwords: there is no option '--json' before the command; options follow it, as in 'lastwords report --json vmcore'\ntry 'lastwords help'\n",
    });
  });

  test("an unknown command", async () => {
    expect(await runMain(["reprot", "x"])).toMatchObject({
      code: 2,
      err: "lastwords: there is no command 'reprot', did you mean 'report'?\ntry 'lastwords help'\n",
    });
  });

  test("a dump where a command should be", async () => {
    const path = join(scratchFolder(), "vmcore");
    writeFileSync(path, "");
    expect(await runMain([path])).toMatchObject({
      code: 2,
      err: `lastwords: '${path}' is a file, and a command must come first\ntry 'lastwords report ${path}'\n`,
    });
  });
});

describe("a command", () => {
  test("gets its arguments, and gives the exit status", async () => {
    const seen: unknown[] = [];
    const result = await runMain(["log", "vmcore", "--raw"], {
      load: (name) => {
        seen.push(name);
        return Promise.resolve({
          run: ({ out }: Context, args: { readonly raw: boolean }) => {
            seen.push(args);
            out.write(new Uint8Array([0x3c, 0x36, 0x3e]));
            out.line("Linux");
            return 3;
          },
        });
      },
    });
    expect(seen).toMatchObject(["dmesg", { raw: true, files: ["vmcore"] }]);
    expect(result).toEqual({ code: 3, out: "<6>Linux\n", err: "" });
  });

  test("-h shows its help and does not load it", async () => {
    const result = await runMain(["read", "-h"], { load: throwing(new Error("loaded")) });
    expect(result).toMatchObject({ code: 0, err: "" });
    expect(result.out).toMatch(/^Print memory at/);
    expect(await runMain(["help", "read"])).toEqual(result);
  });

  test("usage errors name the page to read", async () => {
    expect(await runMain(["read", "--bogus"])).toEqual({
      code: 2,
      out: "",
      err: "lastwords: there is no option '--bogus'\ntry 'lastwords help read'\n",
    });
  });

  test("--color reaches both outputs", async () => {
    const paint = load(({ out, err }) => {
      out.line(out.paint("bad", "panic"));
      err.line(err.paint("warning", "cut"));
      return 0;
    });
    expect(await runMain(["ps", "m"], { load: paint })).toMatchObject({ out: "panic\n", err: "cut\n" });
    expect(await runMain(["ps", "m", "--color=always"], { load: paint })).toMatchObject({
      out: "\x1b[31mpanic\x1b[39m\n",
      err: "\x1b[33mcut\x1b[39m\n",
    });
    expect(await runMain(["ps", "m", "--color=never"], { load: paint, env: { FORCE_COLOR: "1" } })).toMatchObject({ out: "panic\n" });
  });

  test("notes go to stderr, are safe for a terminal, and --quiet silences them", async () => {
    const noting = load(({ note }) => {
      note("comm is \x1b[2Jevil");
      return 0;
    });
    expect(await runMain(["ps", "m"], { load: noting })).toEqual({ code: 0, out: "", err: "lastwords: comm is \\x1b[2Jevil\n" });
    expect(await runMain(["ps", "m", "-q"], { load: noting })).toEqual({ code: 0, out: "", err: "" });
  });

  test("--stats", async () => {
    const reading = load(({ stats }) => {
      stats.bytesRead += 3 * 1024 * 1024;
      stats.set("pages", "768");
      return 0;
    });
    const { err } = await runMain(["ps", "m", "--stats"], { load: reading });
    expect(err).toMatch(
      /^stats: read    3\.00 MiB \(3145728 bytes\)\nstats: pages   768\nstats: time    [\d.]+ s \(user [\d.]+, system [\d.]+\)\nstats: memory  [\d.]+ MiB at most\n$/,
    );
    expect((await runMain(["ps", "m"], { load: reading })).err).toBe("");
  });

  test("progress does not mix with text on the same terminal", async () => {
    const screen = new MemorySink();
    screen.terminal = true;
    screen.columns = 80;
    const slow = load(async ({ out, progress }) => {
      progress("scan", 1, 10);
      await new Promise((resolve) => setTimeout(resolve, 1050));
      progress("scan", 5, 10);
      out.line("found");
      return 0;
    });
    const { out } = await runMain(["ps", "m"], { load: slow, out: screen, err: screen, env: { TERM: "vt100" } });
    expect(out).toMatch(/^\rscan: 50 % of 10 B, .*\x1b\[K\r\x1b\[Kfound\n$/);
  });
});

describe("an error", () => {
  test.each([
    ["UNSUPPORTED", 5],
    ["BAD_ARGUMENT", 2],
    ["EXCLUDED", 3],
    ["NOT_STORED", 3],
    ["NO_TRANSLATION", 3],
    ["TRUNCATED", 3],
    ["CORRUPT", 1],
    ["IO", 1],
    ["LIMIT", 1],
  ] as const)("%s ends with status %i", async (code, status) => {
    expect(await runMain(["ps", "m"], { load: throwing(new DumpError(code, "nr_cpus is 9, the file has 2")) })).toEqual({
      code: status,
      out: "",
      err: "lastwords: nr_cpus is 9, the file has 2\n",
    });
  });

  test("what was printed before it stays", async () => {
    const result = await runMain(["dmesg", "m"], {
      load: load(({ out }) => {
        out.line("first line");
        throw new DumpError("TRUNCATED", "the log ends early");
      }),
    });
    expect(result).toEqual({ code: 3, out: "first line\n", err: "lastwords: the log ends early\n" });
  });

  test("its causes follow in one line, without repetition", async () => {
    const root = new Error("bad magic 7");
    const middle = new Error("sub header: bad magic 7", { cause: root });
    const inner = new DumpError("CORRUPT", "the sub header cannot be read", { cause: middle });
    const { err } = await runMain(["ps", "m"], { load: throwing(new DumpError("IO", "m cannot be opened", { cause: inner })) });
    expect(err).toBe("lastwords: m cannot be opened\n  because: the sub header cannot be read: sub header: bad magic 7\n");
  });

  test("a chain of causes that bites its tail ends", async () => {
    const error = new DumpError("IO", "round");
    Object.defineProperty(error, "cause", { value: error });
    expect((await runMain(["ps", "m"], { load: throwing(error) })).err).toBe("lastwords: round\n");
  });

  test("text from a dump is made safe", async () => {
    expect((await runMain(["ps", "m"], { load: throwing(new DumpError("CORRUPT", "name is '\x1b]0;x\x07'")) })).err).toBe(
      "lastwords: name is '\\x1b]0;x\\x07'\n",
    );
  });

  test("of the system is told in words", async () => {
    const missing = load(async () => {
      const { openSync } = await import("node:fs");
      return openSync("/no/such/vmcore", "r");
    });
    expect(await runMain(["ps", "m"], { load: missing })).toMatchObject({
      code: 1,
      err: "lastwords: /no/such/vmcore: no such file or directory\n",
    });
  });

  test("of ours is called that", async () => {
    expect(await runMain(["ps", "m"], { load: throwing(new TypeError("x is undefined")) })).toMatchObject({
      code: 1,
      err: "lastwords: internal error: x is undefined\nthis is a fault of lastwords; LASTWORDS_DEBUG=1 shows where, for a bug report\n",
    });
    expect(await runMain(["ps", "m"], { load: throwing("just a string") })).toMatchObject({ code: 1 });
    expect(await runMain(["ps", "m"], { load: throwing(undefined) })).toMatchObject({
      code: 1,
      err: expect.stringContaining("unknown error"),
    });
  });

  test("shows its stack with LASTWORDS_DEBUG=1", async () => {
    const error = new DumpError("IO", "outer", { cause: new Error("inner") });
    const { err } = await runMain(["ps", "m"], { load: throwing(error), env: { LASTWORDS_DEBUG: "1" } });
    expect(err).toMatch(/^lastwords: DumpError: outer\n {4}at .*main\.test\.ts/);
    expect(err).toMatch(/\ncaused by: Error: inner\n {4}at /);
  });
});

describe("a broken output", () => {
  const chatty = load(({ out }) => {
    for (let i = 0; i < 100_000; i++) out.line(`line ${i}`);
    return 3;
  });

  test("pipe: a quiet end with status 0", async () => {
    const out = new MemorySink();
    out.room = 100_000;
    expect(await runMain(["dmesg", "m"], { load: chatty, out })).toMatchObject({ code: 0, err: "" });
  });

  test("pipe at the last flush: likewise", async () => {
    const out = new MemorySink();
    out.room = 0;
    expect(await runMain(["dmesg", "m"], { load: load((context) => (context.out.line("x"), 0)), out })).toMatchObject({ code: 0, err: "" });
  });

  test("disk: an error", async () => {
    const out = new MemorySink();
    out.room = 100_000;
    out.failure = () =>
      Object.assign(new Error("ENOSPC: no space left on device, write"), { code: "ENOSPC", errno: -28, syscall: "write" });
    expect(await runMain(["dmesg", "m"], { load: chatty, out })).toMatchObject({
      code: 1,
      err: "lastwords: cannot write: no space left on device\n",
    });
  });

  test("stderr is nobody's problem", async () => {
    const err = new MemorySink();
    err.room = 0;
    expect(await runMain(["ps", "m"], { load: load(({ note }) => (note("a"), note("b"), 0)), err })).toMatchObject({ code: 0 });
  });
});

describe("clean-ups", () => {
  test("run when the command fails, newest first, whatever one of them does", async () => {
    const order: string[] = [];
    await runMain(["ps", "m"], {
      load: load(({ cleanUps }) => {
        cleanUps.add(() => order.push("first"));
        cleanUps.add(() => {
          order.push("second");
          throw new Error("in the way");
        });
        cleanUps.add(() => order.push("taken back"))();
        throw new DumpError("IO", "disk full");
      }),
    });
    expect(order).toEqual(["second", "first"]);
  });

  test("leave no listener behind", async () => {
    const count = (): number => ["SIGINT", "SIGTERM", "SIGHUP", "exit"].reduce((sum, name) => sum + process.listenerCount(name), 0);
    const before = count();
    let during = 0;
    await runMain(["ps", "m"], {
      load: load(({ cleanUps }) => {
        cleanUps.add(() => undefined);
        during = count();
        return 0;
      }),
    });
    expect([during, count()]).toEqual([before + 4, before]);
  });
});

test("every command of the table has its file", async () => {
  const { commandNames } = await import("../../src/cli/table.ts");
  const missing = commandNames.filter((name) => !existsSync(new URL(`../../src/cli/command/${name}.ts`, import.meta.url)));
  expect(missing).toEqual([]);
});
