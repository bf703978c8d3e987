// The program as a process: what only a real pipe, signal or old Node can show.
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { existsSync, readdirSync, symlinkSync, writeFileSync } from "node:fs";
import { isBuiltin } from "node:module";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { expect, test } from "vitest";
import { scratchFolder } from "../scratch.ts";

const bin = fileURLToPath(new URL("../../bin/lastwords.js", import.meta.url));
const main = new URL("../../src/cli/main.ts", import.meta.url).href;

function lastwords(...argv: string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, [bin, ...argv], { encoding: "utf8" });
}

test("version, help and usage", () => {
  expect(lastwords("--version")).toMatchObject({ status: 0, stdout: expect.stringMatching(/^lastwords \d/), stderr: "" });
  expect(lastwords("help", "read")).toMatchObject({ status: 0, stderr: "" });
  expect(lastwords()).toMatchObject({ status: 2, stdout: "" });
});

test("started through a link, as npm installs it", () => {
  const link = join(scratchFolder(), "lastwords");
  symlinkSync(bin, link);
  expect(spawnSync(process.execPath, [link, "--version"], { encoding: "utf8" })).toMatchObject({ status: 0, stderr: "" });
});

test("a reader that leaves is not an error", () => {
  const script = `"${process.execPath}" "${bin}" completion bash | true; echo "\${PIPESTATUS[0]}"`;
  for (let i = 0; i < 3; i++) expect(execFileSync("bash", ["-c", script], { encoding: "utf8" })).toBe("0\n");
});

test.skipIf(!existsSync("/dev/full"))("a full disk is an error", () => {
  const result = spawnSync("sh", ["-c", `"${process.execPath}" "${bin}" help > /dev/full`], { encoding: "utf8" });
  expect(result).toMatchObject({ status: 1, stderr: "lastwords: cannot write: no space left on device\n" });
});

test("much output through a slow, non-blocking pipe arrives whole", () => {
  // Touching process.stdout makes the pipe non-blocking; it is full long before the reader starts.
  const code = `
    void process.stdout.writable;
    import { main } from ${JSON.stringify(main)};
    import { FdSink, Output } from ${JSON.stringify(new URL("../../src/cli/terminal.ts", import.meta.url).href)};
    const out = new Output(new FdSink(1)), err = new Output(new FdSink(2), { lossy: true });
    const load = async () => ({ run: (context) => { for (let i = 0; i < 200000; i++) context.out.line("line " + i); return 0; } });
    process.exit(await main(["dmesg", "m"], { out, err, env: {}, load }));
  `;
  const shell = `"${process.execPath}" --input-type=module -e "$CODE" | (sleep 0.5; md5sum)`;
  const expected = execFileSync("sh", ["-c", "seq -f 'line %.0f' 0 199999 | md5sum"], { encoding: "utf8" });
  expect(execFileSync("sh", ["-c", shell], { encoding: "utf8", env: { ...process.env, CODE: code } })).toBe(expected);
});

test("it ends at once where Node lets it, and in Node's way where that has something to do", () => {
  const folder = scratchFolder();
  const hook = join(folder, "hook.cjs");
  writeFileSync(hook, 'process.on("exit", () => require("node:fs").writeSync(2, "in its own way"));');
  const run = (args: readonly string[], env: Record<string, string> = {}): ReturnType<typeof lastwords> =>
    spawnSync(process.execPath, ["-r", hook, ...args, bin, "report", join(folder, "none")], {
      encoding: "utf8",
      env: { ...process.env, NODE_V8_COVERAGE: undefined, ...env },
    });
  const direct = isBuiltin("node:ffi") ? expect.not.stringContaining("in its own way") : expect.stringContaining("in its own way");
  expect(run([])).toMatchObject({ status: 1, stderr: direct });
  const slow = { status: 1, stderr: expect.stringMatching(/no such file[^]*in its own way/) as string };
  expect(run([], { LASTWORDS_NO_FFI: "1" })).toMatchObject(slow);
  expect(run(["--cpu-prof", `--cpu-prof-dir=${folder}`])).toMatchObject(slow);
  expect(readdirSync(folder).some((name) => name.endsWith(".cpuprofile"))).toBe(true);
});

/** A process that holds a clean-up, says so, and waits. */
const holder = `
  import { writeFileSync, rmSync } from "node:fs";
  import { main } from ${JSON.stringify(main)};
  import { FdSink, Output } from ${JSON.stringify(new URL("../../src/cli/terminal.ts", import.meta.url).href)};
  const out = new Output(new FdSink(1)), err = new Output(new FdSink(2), { lossy: true });
  const load = async () => ({ run: async ({ cleanUps, out }) => {
    // First: the file is what others wait for before they send the signal.
    cleanUps.add(() => rmSync(process.env.VICTIM));
    writeFileSync(process.env.VICTIM, "");
    out.line("ready");
    out.flush();
    if (process.env.LEAVE === "1") process.exit(7);
    await new Promise((resolve) => setTimeout(resolve, 20000));
    return 0;
  } });
  process.exit(await main(["dmesg", "m"], { out, err, env: {}, load }));
`;

test.each(["SIGINT", "SIGTERM", "SIGHUP"] as const)("%s removes temporary files and ends by the signal", async (signal) => {
  const victim = join(scratchFolder(), "vmcore-incomplete");
  const child = spawn(process.execPath, ["--input-type=module", "-e", holder], {
    env: { ...process.env, VICTIM: victim },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const ended = new Promise<NodeJS.Signals | null>((resolve) => child.once("exit", (_, by) => resolve(by)));
  await new Promise((resolve) => child.stdout.once("data", resolve));
  expect(existsSync(victim)).toBe(true);
  const start = performance.now();
  child.kill(signal);
  expect(await ended).toBe(signal);
  expect(performance.now() - start).toBeLessThan(1000);
  expect(existsSync(victim)).toBe(false);
});

test("a shell sees 130 after Ctrl-C", () => {
  const victim = join(scratchFolder(), "vmcore-incomplete");
  const script = `"${process.execPath}" --input-type=module -e "$CODE" & pid=$!; while [ ! -e "$VICTIM" ]; do sleep 0.05; done; kill -INT $pid; wait $pid; echo $?`;
  // A background job of a script ignores SIGINT unless job control is on.
  const result = execFileSync("bash", ["-mc", script], {
    encoding: "utf8",
    env: { ...process.env, CODE: holder, VICTIM: victim },
    // bash remarks that there is no terminal to control jobs on.
    stdio: ["ignore", "pipe", "ignore"],
  });
  expect(result.trim().split("\n").at(-1)).toBe("130");
  expect(existsSync(victim)).toBe(false);
});

test("process.exit in the midst of a command cleans up too", () => {
  const victim = join(scratchFolder(), "vmcore-incomplete");
  const result = spawnSync(process.execPath, ["--input-type=module", "-e", holder], {
    encoding: "utf8",
    env: { ...process.env, VICTIM: victim, LEAVE: "1" },
  });
  expect(result).toMatchObject({ status: 7, stdout: "ready\n" });
  expect(existsSync(victim)).toBe(false);
});

/** A Node that is too old, as distributions have it. */
const oldNode = ["/usr/bin/node", "/usr/local/bin/node"].find((path) => {
  const result = spawnSync(path, ["-p", "process.versions.node"], { encoding: "utf8" });
  return result.status === 0 && Number.parseInt(result.stdout, 10) < 24;
});

test.skipIf(oldNode === undefined)("an old Node hands over to the package's own", () => {
  expect(spawnSync(oldNode!, [bin, "--version"], { encoding: "utf8" })).toMatchObject({
    status: 0,
    stdout: expect.stringMatching(/^lastwords \d/),
    stderr: "",
  });
  expect(spawnSync(oldNode!, [bin, "read"], { encoding: "utf8" })).toMatchObject({ status: 2, stdout: "" });
});

test.skipIf(oldNode === undefined)("an old Node without that one says what is needed", () => {
  const result = spawnSync(oldNode!, [bin, "--version"], { encoding: "utf8", env: { ...process.env, LASTWORDS_REEXEC: "1" } });
  expect(result).toMatchObject({
    status: 1,
    stdout: "",
    stderr: expect.stringMatching(/^lastwords: needs Node 24 or later, and this is v\d+/),
  });
});
