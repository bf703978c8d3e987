// `save` as a process: full disks, closed pipes, signals and kills. What was complete before stays, and the message names what happened.
import { spawn, spawnSync } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Ajv2020 } from "ajv/dist/2020.js";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { asPfn, isDumpError, type Pfn } from "../../src/bytes/index.ts";
import { openDump } from "../../src/format/index.ts";
import { writeElf } from "../writers/elf.ts";
import { guest } from "../writers/guest.ts";
import { pagePattern } from "../writers/page-pattern.ts";

const folder = mkdtempSync(join(tmpdir(), "lastwords-save-cli-"));
const disk = join(folder, "disk");
mkdirSync(disk);
/** A file system of 8 MiB that can be filled; to mount it needs root. */
const mounted = process.getuid?.() === 0 && spawnSync("mount", ["-t", "tmpfs", "-o", "size=8m", "tmpfs", disk]).status === 0;
const program = join(folder, "program.mjs");
/** A dump of a real kernel where there is one: it has a log. */
const real = [
  "../shared/evidence/debian-6.1-sysrq/vmcore",
  ...readdirSync("samples")
    .filter((name) => name.endsWith(".vmcore"))
    .map((name) => join("samples", name)),
].find((path) => existsSync(path))!;
const noise = join(folder, "noise");
const NOISE_PAGES = 6000;

beforeAll(() => {
  const main = new URL("../../src/cli/main.ts", import.meta.url).href;
  writeFileSync(program, `import { run } from ${JSON.stringify(main)};\nawait run();\n`);
  // Pages that do not shrink, and notes: 24 MB.
  const pages = new Uint8Array(NOISE_PAGES * 4096);
  for (let pfn = 0; pfn < NOISE_PAGES; pfn++) pages.set(pagePattern("noise", pfn, 4096), pfn * 4096);
  const notes = [{ name: "CORE", type: 1, desc: new Uint8Array(336).fill(3) }];
  writeFileSync(noise, writeElf({ loads: [{ paddr: 0, bytes: pages }], notes }));
});
afterAll(() => {
  if (mounted) spawnSync("umount", [disk]);
  rmSync(folder, { recursive: true, force: true });
});

const argvOf = (...argv: string[]): string[] => ["--no-warnings", program, ...argv];

function lastwords(...argv: string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, argvOf(...argv), { encoding: "utf8", maxBuffer: 1 << 28 });
}

function shell(script: string): { status: number | null; stdout: string; stderr: string } {
  const run = `"${process.execPath}" --no-warnings "${program}" save`;
  return spawnSync("bash", ["-c", script.replaceAll("@save", run)], { encoding: "utf8", maxBuffer: 1 << 28 });
}

/** Pages of a file that can be read, those that cannot, and pages whose bytes are not the source's. */
async function look(path: string, source: string): Promise<{ good: number; missing: number; wrong: number[] }> {
  const [ours, theirs] = [await openDump([path]), await openDump([source])];
  const [page, other] = [new Uint8Array(4096), new Uint8Array(4096)];
  const wrong: number[] = [];
  let good = 0;
  let missing = 0;
  for (let pfn: Pfn | undefined = ours.dump.nextStored(asPfn(0)); pfn !== undefined; pfn = ours.dump.nextStored(asPfn(pfn + 1))) {
    try {
      ours.dump.readPage(pfn, page);
    } catch (error) {
      if (!isDumpError(error) || error.code !== "TRUNCATED") throw error;
      missing++;
      continue;
    }
    theirs.dump.readPage(pfn, other);
    if (Buffer.compare(page, other) === 0) good++;
    else wrong.push(pfn);
  }
  ours.dump.close();
  theirs.dump.close();
  return { good, missing, wrong };
}

describe("a full disk", () => {
  const fill = (): void => {
    for (const name of readdirSync(disk)) rmSync(join(disk, name), { force: true });
  };

  test.skipIf(!mounted).each([1, 3])("leaves light files and what there was room for, with %i threads", async (threads) => {
    fill();
    const out = join(disk, "out");
    const { status, stderr } = lastwords("save", "-l", "-d", "0", "--num-threads", `${threads}`, noise, out);
    expect(status).toBe(1);
    expect(stderr).toContain(`writing ${out}-incomplete failed: no space left on device`);
    expect(stderr).toContain(`what was saved until then is in ${out}-incomplete`);
    expect(stderr).not.toMatch(/\[object|internal error|because/);
    expect(existsSync(out)).toBe(false);
    expect(statSync(`${out}-notes.bin`).size).toBe(356);
    const { good, missing, wrong } = await look(`${out}-incomplete`, noise);
    expect(wrong).toEqual([]);
    expect(good).toBeGreaterThan(1000);
    expect(good + missing).toBe(NOISE_PAGES);
  });

  test.skipIf(!mounted)("a list of levels is tried in turn", async () => {
    fill();
    const from = join(folder, "guest");
    writeFileSync(from, guest().elf());
    // Room for the guest without its free pages, not for all of it.
    const sizes = ["0", "16"].map((level) => {
      const trial = join(folder, `trial-${level}`);
      expect(lastwords("save", "-q", "--uncompressed", "-d", level, "--no-check", from, trial).status).toBe(0);
      return statSync(trial).size;
    });
    const pad = join(disk, "pad");
    const room = Math.ceil((sizes[0]! + sizes[1]!) / 2 / 4096) * 4096 + 4096;
    writeFileSync(pad, new Uint8Array(8 * 2 ** 20 - room));
    const out = join(disk, "out");
    const { status, stderr, stdout } = lastwords("save", "--uncompressed", "-d", "0,16,31", "--no-check", from, out);
    expect(stderr).toMatch(/no space left on device; trying again with dump level 16\n/);
    expect({ status, stdout }, stderr).toMatchObject({ status: 0, stdout: expect.stringMatching(/level (16|31)/) });
    expect(existsSync(`${out}-incomplete`)).toBe(false);
    expect((await look(out, from)).wrong).toEqual([]);
    rmSync(pad);
  });

  test("a limit of the file's size is one, too", async () => {
    const out = join(folder, "limited");
    const { status, stderr } = shell(`ulimit -f 4096; @save -l -d 0 "${noise}" "${out}"`);
    expect(status).toBe(1);
    expect(stderr).toContain("failed: file too large");
    expect((await look(`${out}-incomplete`, noise)).wrong).toEqual([]);
  });

  test.skipIf(!mounted)("does not touch an earlier dump of that name, nor its light files", () => {
    fill();
    const out = join(disk, "out");
    writeFileSync(out, "earlier");
    writeFileSync(`${out}-notes.bin`, "earlier notes");
    writeFileSync(join(disk, "pad"), new Uint8Array(8 * 2 ** 20 - 4096 * 3));
    const { status, stderr } = lastwords("save", "-f", "-d", "0", noise, out);
    expect(status, stderr).toBe(1);
    expect(readFileSync(out, "utf8")).toBe("earlier");
    expect(["earlier notes", 356]).toContain(statSync(`${out}-notes.bin`).size === 356 ? 356 : readFileSync(`${out}-notes.bin`, "utf8"));
  });

  test("on standard output", () => {
    const { status, stderr } = shell(`@save -F -d 0,31 "${noise}" > /dev/full`);
    expect(status).toBe(1);
    expect(stderr).toBe("lastwords: writing standard output failed: no space left on device\n");
  });
});

test("a pipe that closes is named, and nothing hangs", () => {
  const started = performance.now();
  const { stdout, stderr } = shell(`@save -F -l -d 0 "${noise}" | head -c 1000000 | wc -c; echo "\${PIPESTATUS[0]}"`);
  expect(stdout).toBe("1000000\n1\n");
  expect(stderr).toBe("lastwords: writing standard output failed: broken pipe\n");
  expect(performance.now() - started).toBeLessThan(30_000);
});

test("a stream that ends early is kept as far as it went", async () => {
  const out = join(folder, "cut");
  const { stdout, stderr } = shell(
    `@save -F -l -d 0 "${noise}" 2>/dev/null | head -c 9000000 | @save -R "${out}"; echo "\${PIPESTATUS[2]}"`,
  );
  expect(stdout).toBe("3\n");
  expect(stderr).toMatch(/standard input ends (after|within)/);
  expect(stderr).toContain(`${out}-incomplete`);
  expect(existsSync(out)).toBe(false);
  const { good, wrong } = await look(`${out}-incomplete`, noise);
  expect(wrong).toEqual([]);
  expect(good).toBeGreaterThan(1000);
  const { status, stderr: other } = shell(`head -c 100000 "${noise}" | @save -R "${out}"`);
  expect(status).toBe(1);
  expect(other).toContain('it does not begin with "makedumpfile"');
});

/** Saves, and sends the signal after a while. Answers how it ended. */
async function interrupted(
  out: string,
  signal: NodeJS.Signals,
  after: number,
): Promise<{ code: number | null; by: NodeJS.Signals | null }> {
  const child = spawn(process.execPath, argvOf("save", "-q", "-f", "-d", "0", "--no-check", real, out), { stdio: "ignore" });
  const ended = new Promise<{ code: number | null; by: NodeJS.Signals | null }>((resolve) =>
    child.once("exit", (code, by) => resolve({ code, by })),
  );
  const timer = setTimeout(() => child.kill(signal), after);
  const result = await ended;
  clearTimeout(timer);
  return result;
}

test.each(["SIGINT", "SIGTERM"] as const)("%s ends it, and leaves what there is", async (signal) => {
  const out = join(folder, `stopped-${signal}`);
  // In the midst of it, whatever the speed of the machine.
  const child = spawn(process.execPath, argvOf("save", "-q", "-d", "0", "--uncompressed", noise, out), { stdio: "ignore" });
  const ended = new Promise<NodeJS.Signals | null>((resolve) => child.once("exit", (_, by) => resolve(by)));
  const poll = setInterval(() => {
    if (existsSync(`${out}-incomplete`)) child.kill(signal);
  }, 1);
  const by = await ended;
  clearInterval(poll);
  expect(by).toBe(signal);
  expect(existsSync(out)).toBe(false);
  expect(statSync(`${out}-notes.bin`).size).toBe(356);
});

test("killed at 50 random moments it loses nothing that was complete", async () => {
  const whole = join(folder, "whole");
  const begun = performance.now();
  expect(lastwords("save", "-q", "-d", "0", "--no-check", real, whole).status).toBe(0);
  const takes = performance.now() - begun;
  const light = ["dmesg.txt", "notes.bin"].map((name) => readFileSync(`${whole}-${name}`));
  const place = join(folder, "killed");
  mkdirSync(place);
  const out = join(place, "out");
  let killed = 0;
  let opened = 0;
  for (let round = 0; round < 50; round++) {
    for (const name of readdirSync(place)) rmSync(join(place, name));
    copyFileSync(whole, out);
    const { by } = await interrupted(out, "SIGKILL", takes * (0.2 + 0.85 * Math.random()));
    if (by === "SIGKILL") killed++;
    // The old one, or the whole new one.
    const sizes = [statSync(out).size, statSync(whole).size];
    if (by === "SIGKILL" && existsSync(`${out}-incomplete`)) expect(sizes[0]).toBe(sizes[1]);
    ["dmesg.txt", "notes.bin"].forEach((name, i) => {
      if (existsSync(`${out}-${name}`)) expect(readFileSync(`${out}-${name}`).equals(light[i]!)).toBe(true);
    });
    if (!existsSync(`${out}-incomplete`)) continue;
    // The first page is written when the light files are there.
    expect(existsSync(`${out}-notes.bin`)).toBe(true);
    try {
      const { wrong, good } = await look(`${out}-incomplete`, real);
      expect(wrong).toEqual([]);
      if (good > 0) opened++;
    } catch (error) {
      // Not yet a header.
      if (!isDumpError(error) || statSync(`${out}-incomplete`).size > 1_000_000) throw error;
    }
  }
  expect(killed).toBeGreaterThan(10);
  expect(opened).toBeGreaterThan(0);
}, 300_000);

describe("--json follows its schema", () => {
  const ajv = new Ajv2020({ strict: true, allErrors: true, allowUnionTypes: true });
  const follows = (name: string, text: string): Record<string, unknown> => {
    const validate = ajv.compile(JSON.parse(readFileSync(join("schema", `${name}-1.schema.json`), "utf8")) as object);
    const value = JSON.parse(text) as Record<string, unknown>;
    validate(value);
    expect(validate.errors).toBeNull();
    expect(validate({ ...value, surprise: 1 })).toBe(false);
    ajv.removeSchema(`lastwords-${name}-1`);
    return value;
  };

  test("save, and check of what was saved", () => {
    const out = join(folder, "json");
    const { status, stdout } = lastwords("save", "-q", "--json", "-d", "31", real, out);
    expect(status).toBe(0);
    const value = follows("save", stdout);
    expect(value).toMatchObject({ outputs: [out], format: "kdump", codec: "zstd", level: 31, keptMore: null, size: statSync(out).size });
    const checked = lastwords("check", "--json", out);
    expect(checked.status).toBe(0);
    const { results } = follows("check", checked.stdout) as { results: { what: string; ok: boolean }[] };
    expect(results.map(({ what, ok }) => [what, ok])).toEqual(
      ["page tables", "log", "symbols", "types", "tasks", "registers"].map((what) => [what, true]),
    );
    expect(follows("save", lastwords("save", "--json", "-E", "--no-check", noise, `${out}-elf`).stdout)).toMatchObject({
      format: "elf",
      checks: [],
    });
  });

  test("the forecast", () => {
    const { status, stdout } = lastwords("save", "--dry-run", "--json", real);
    expect(status).toBe(0);
    expect(follows("save-forecast", stdout)).toMatchObject({
      codec: "zstd",
      levels: [{ level: 0 }, { level: 1 }, { level: 16 }, { level: 17 }, { level: 31 }],
    });
  });
});

test("--dump-dmesg writes the log and nothing else", () => {
  const out = join(folder, "dmesg");
  expect(lastwords("save", "--dump-dmesg", real, out).status).toBe(0);
  expect(readFileSync(out, "utf8")).toMatch(/Linux version/);
  expect(readdirSync(folder).filter((name) => name.startsWith("dmesg"))).toEqual(["dmesg"]);
});

test("a dump in which check misses something is told by the status", () => {
  const { status, stdout } = lastwords("save", "-q", noise, join(folder, "bare"));
  expect(status).toBe(3);
  expect(stdout).toMatch(/MISSING page tables/);
});
