// The recorder as a process: signals, FIFO and socket, script(1), and what it says of wrong configurations.
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createConnection } from "node:net";
import { once } from "node:events";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, test } from "vitest";

const bin = fileURLToPath(new URL("../../bin/lastwords.js", import.meta.url));
let folder: string;
let child: ChildProcess | undefined;
let errors: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "lastwords-record-"));
  errors = "";
});

afterEach(() => {
  child?.kill("SIGKILL");
  child = undefined;
  rmSync(folder, { recursive: true, force: true });
});

function record(...argv: string[]): { status: number | null; signal: string | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, [bin, "record", ...argv.map((word) => word.replaceAll("@", folder))], {
    encoding: "utf8",
    timeout: 30_000,
    maxBuffer: 2 ** 26,
  });
}

/** Starts it and waits until it listens. */
async function start(...argv: string[]): Promise<ChildProcess> {
  child = spawn(process.execPath, [bin, "record", ...argv.map((word) => word.replaceAll("@", folder))], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  child.stderr!.on("data", (text: Buffer) => (errors += text.toString()));
  // It says so at once, not when it ends.
  await expect.poll(() => errors, { timeout: 10_000 }).toContain("frontend pmsg: what programs write to");
  return child;
}

const PMSG = ["--frontend", "pmsg:fifo=@/pmsg,socket=@/socket", "--no-banner"];
const textOf = (name: string): string => (existsSync(join(folder, name)) ? readFileSync(join(folder, name), "latin1") : "");

describe("as a service", () => {
  test.each(["SIGTERM", "SIGINT", "SIGHUP"] as const)(
    "%s ends it by the signal, with everything written and nothing left",
    async (signal) => {
      const running = await start(...PMSG, "--backend", "directory:path=@/log");
      writeFileSync(join(folder, "pmsg"), "through the FIFO\n");
      const socket = createConnection(join(folder, "socket"));
      await once(socket, "connect");
      socket.end("through the socket\n");
      await expect.poll(() => textOf("log/pmsg-directory-0"), { timeout: 10_000 }).toContain("socket\n");
      const ended = once(running, "exit");
      writeFileSync(join(folder, "pmsg"), "last words\n");
      const asked = performance.now();
      running.kill(signal);
      expect(await ended).toEqual([null, signal]);
      expect(performance.now() - asked).toBeLessThan(1000);
      expect(textOf("log/pmsg-directory-0").split("\n").toSorted()).toEqual(["", "last words", "through the FIFO", "through the socket"]);
      expect(readdirSync(folder)).toEqual(["log"]);
    },
  );

  test("much from many writers arrives whole", async () => {
    const running = await start(...PMSG, "--backend", "directory:path=@/log");
    const script = `for i in 1 2 3 4; do (seq -f "$i:%.0f" 1 20000 > "$0/pmsg") & done; wait`;
    spawnSync("sh", ["-c", script, folder], { timeout: 20_000 });
    running.kill("SIGTERM");
    await once(running, "exit");
    const text = textOf("log/pmsg-directory-0");
    let size = 0;
    for (let i = 1; i <= 20000; i++) size += 4 * `1:${i}\n`.length;
    expect(text.length).toBe(size);
  });

  test("how soon the first byte is stored, and how much memory it takes", async () => {
    spawnSync("mkfifo", [join(folder, "pmsg")]);
    // Waits in the FIFO before the recorder begins.
    const early = spawn("sh", ["-c", `echo first > "$0/pmsg"`, folder]);
    const written = once(early, "exit");
    const began = performance.now();
    await start(...PMSG, "--backend", "directory:path=@/log");
    while (textOf("log/pmsg-directory-0") === "") await new Promise((resolve) => setTimeout(resolve, 1));
    const took = performance.now() - began;
    await written;
    const memory = /VmRSS:\s*(\d+) kB/.exec(readFileSync(`/proc/${child!.pid}/status`, "utf8"))?.[1];
    console.log(`lastwords record: first byte after ${took.toFixed(0)} ms, ${memory} KiB resident`);
  });

  test("a configuration file, with a backend that fails alone", async () => {
    writeFileSync(
      join(folder, "conf"),
      `# test\nfrontend pmsg fifo=${folder}/pmsg socket=${folder}/socket\nbackend directory path=${folder}/log\nbackend directory path=/dev/null/x\nbanner yes\n`,
    );
    const running = await start("--config", "@/conf");
    writeFileSync(join(folder, "pmsg"), "text\n");
    await expect.poll(() => textOf("log/pmsg-directory-0")).toMatch(/^-- lastwords \d.*: Linux .* --\ntext\n$/);
    expect(errors).toContain("backend directory: NOT RECORDING: cannot make folder /dev/null/x: not a directory");
    running.kill("SIGTERM");
    await once(running, "exit");
  });

  test("without any frontend that works there is nothing to wait for", () => {
    expect(record("--frontend", "kmsg:path=@/none", "--backend", "directory:path=@/log")).toMatchObject({
      status: 1,
      stderr: expect.stringContaining("no frontend is left: there is nothing to record"),
    });
  });
});

describe("--check", () => {
  test("says what would be recorded where, and stores nothing", () => {
    writeFileSync(join(folder, "ring"), Buffer.alloc(4096, "x"));
    const result = record("--check", ...PMSG, "--backend", "memconsole:path=@/ring,size=4K");
    expect(result).toMatchObject({ status: 0, stderr: "" });
    expect(result.stdout).toBe(
      `backend memconsole: a ring of 4080 bytes at 0x0 of ${folder}/ring\nfrontend pmsg: what programs write to ${folder}/pmsg and ${folder}/socket\n`,
    );
    expect(textOf("ring")).toBe("x".repeat(4096));
    expect(readdirSync(folder)).toEqual(["ring"]);
  });

  test("each of several of one kind counts", () => {
    const result = record("--check", ...PMSG, "--backend", "directory:path=/dev/null/x", "--backend", "directory:path=@/log");
    expect(result.status).toBe(3);
    expect(result.stdout).toMatch(/backend directory: NOT RECORDING: .*\nbackend directory: files of at most/);
    expect(record("--check", ...PMSG, "--backend", "directory:path=/dev/null/x").status).toBe(1);
  });

  test("leaves a recorder that runs alone", async () => {
    const running = await start(...PMSG, "--backend", "directory:path=@/log");
    expect(record("--check", ...PMSG, "--backend", "directory:path=@/log").status).toBe(0);
    expect(readdirSync(folder).toSorted()).toEqual(["log", "pmsg", "socket"]);
    writeFileSync(join(folder, "pmsg"), "still here\n");
    await expect.poll(() => textOf("log/pmsg-directory-0")).toBe("still here\n");
    running.kill("SIGTERM");
    await once(running, "exit");
  });
});

describe("a wrong configuration", () => {
  test.each([
    [[], 2, /no backend is configured: give --backend, as in --backend directory:path=/],
    [["--backend", "disk:path=/x"], 2, /there is no backend 'disk'; there are ramoops, pstore_blk, memconsole, directory, udp/],
    [["--backend", "directory:path=@/log,sise=3"], 2, /--backend directory:path=\S+,sise=3: a directory backend has no 'sise='/],
    [["--backend", "directory:path=@/log", "--frontend", "tty:bufer=3"], 2, /--frontend tty:bufer=3: frontend tty has no 'bufer='/],
    [["--backend", "directory:path=@/log", "true"], 2, /a command is run with --tty: lastwords record --tty -- COMMAND/],
    [["--backend", "directory:path=@/log", "--tty"], 2, /--tty needs a command/],
    [["--config", "@/none"], 1, /cannot read \S+none: no such file or directory/],
  ])("%j ends with %i", (argv, status, message) => {
    const result = record(...argv);
    expect(result).toMatchObject({ status, stdout: "", stderr: expect.stringMatching(message) });
    expect(result.stderr).not.toContain("internal error");
  });

  test.each([
    ["frontend pmsg\nbackend ramoops mem_sise=1M", "conf, line 2: ramoops has no parameter 'mem_sise'"],
    ["fronted pmsg", "conf, line 1: 'fronted pmsg' is neither"],
    ["\n#x\nfrontend tty input=perhaps\nbackend directory path=@/log", "conf, line 3: input=perhaps: no or yes is wanted"],
    ["backend directory path=@/log frontends=consoles\nfrontend pmsg", "conf, line 1: frontends=consoles: there is no frontend 'consoles'"],
  ])("%j: %s", (text, message) => {
    writeFileSync(join(folder, "conf"), text.replaceAll("@", folder));
    expect(record("--config", "@/conf")).toMatchObject({ status: 2, stdout: "", stderr: expect.stringContaining(message) });
  });
});

describe("--tty", () => {
  const run = (...command: string[]): { status: number | null; stdout: string; stderr: string; text: string } => ({
    ...record("--no-banner", "--backend", "directory:path=@/log", "--tty", "--", ...command),
    text: textOf("log/tty-directory-0"),
  });

  test.skipIf(spawnSync("script", ["--version"]).status !== 0).each([
    ["no line end", ["printf", "foo"], 0, "foo"],
    ["a line end", ["printf", "foo\\n"], 0, "foo\r\n"],
    ["nothing", ["true"], 0, ""],
    ["its status", ["sh", "-c", "echo out; echo err >&2; exit 7"], 7, "out\r\nerr\r\n"],
    ["a signal", ["sh", "-c", "kill -9 $$"], 137, ""],
    ["a command of several lines", ["sh", "-c", "echo one\necho two\n"], 0, "one\r\ntwo\r\n"],
    ["every quote", ["printf", "%s|", "it's", '"a b"', "$HOME", "`x`", "\\"], 0, `it's|"a b"|$HOME|\`x\`|\\|`],
    ["its own environment", ["sh", "-c", 'echo "$SHELL ${LASTWORDS_RUN-none}"; test -t 1'], 0, `${process.env["SHELL"] ?? ""} none\r\n`],
    [
      "lines as script(1) writes them",
      ["printf", "Script started on x\\n\\nScript done on x\\nend"],
      0,
      "Script started on x\r\n\r\nScript done on x\r\nend",
    ],
  ] as const)("%s", (_, command, status, text) => {
    const result = run(...command);
    expect(result.text).toBe(text);
    expect(result.status).toBe(status);
    expect(result.stdout).toContain(text);
    expect(readdirSync(folder)).toEqual(text === "" ? (existsSync(join(folder, "log")) ? ["log"] : []) : ["log"]);
  });

  test("all of much output", () => {
    const { text, status } = run("seq", "1", "200000");
    expect(status).toBe(0);
    expect(text).toBe(Array.from({ length: 200_000 }, (_, i) => `${i + 1}\r\n`).join(""));
  });

  test("a command that is not there", () => {
    expect(run("lastwords-no-such-program").status).toBe(127);
  });

  test("SIGTERM ends the command too, and its output is there", async () => {
    child = spawn(
      process.execPath,
      [bin, "record", "--no-banner", "--backend", `directory:path=${folder}/log`, "--tty", "--", "sh", "-c", "echo $$; sleep 60"],
      {
        stdio: ["ignore", "ignore", "ignore"],
      },
    );
    await expect.poll(() => textOf("log/tty-directory-0"), { timeout: 10_000 }).toMatch(/^\d+\r\n/);
    const pid = Number.parseInt(textOf("log/tty-directory-0"), 10);
    const ended = once(child, "exit");
    child.kill("SIGTERM");
    expect(await ended).toEqual([null, "SIGTERM"]);
    await expect
      .poll(() => existsSync(`/proc/${pid}`) && !/State:\s*Z/.test(readFileSync(`/proc/${pid}/status`, "utf8")), { timeout: 10_000 })
      .toBe(false);
  });
});
