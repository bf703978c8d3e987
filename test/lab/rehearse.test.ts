import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Ajv2020 } from "ajv/dist/2020.js";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Rehearsal } from "../../src/rehearse/index.ts";
import { kernelOrReason } from "./guest-boots.ts";

/*
 * The command line tool lets a stock Debian kernel die and compares what is left with the model: each cell must agree, and each kind
 * of evidence is kept in one of the ways.
 */

const PROJECT = join(import.meta.dirname, "../..");
let folder = "";
let skipped: string | undefined;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "lastwords-rehearse-lab-"));
  const kernel = await kernelOrReason("6.1");
  if (typeof kernel === "string") skipped = kernel;
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface Run {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly out: string;
  readonly err: string;
}

/** Runs the built tool; `onText` sees what stands on its standard error up to then. */
function lastwords(args: readonly string[], onText?: (err: string, kill: () => void) => void): Promise<Run> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [join(PROJECT, "bin/lastwords.js"), ...args], {
      env: { ...process.env, TMPDIR: folder },
      stdio: ["ignore", "pipe", "pipe"],
    });
    let out = "";
    let err = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => (out += text));
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      err += text;
      onText?.(err, () => child.kill("SIGINT"));
    });
    child.on("close", (code, signal) => resolve({ code, signal, out, err }));
  });
}

const check = (name: string, body: () => Promise<void>): void =>
  test(name, async (context) => {
    if (skipped === undefined) await body();
    else context.skip(skipped);
  });

/** Runs a rehearsal; it must agree with the model, follow its schema and leave nothing behind but what is kept. */
async function agreeing(args: readonly string[]): Promise<Rehearsal> {
  const { code, out, err } = await lastwords(["rehearse", "--series", "6.1", "--json", ...args]);
  console.info(`lab: ${err.trimEnd().split("\n").join("\nlab: ")}`);
  const result = JSON.parse(out) as Rehearsal;
  expect(result.ways.map(({ failure }) => failure)).toEqual(result.ways.map(() => null));
  expect(result.ways.flatMap(({ way, cells }) => cells.filter((cell) => !cell.agrees).map((cell) => ({ way, ...cell })))).toEqual([]);
  expect(code).toBe(0);
  const validate = new Ajv2020({ strict: true, allowUnionTypes: true }).compile(
    JSON.parse(readFileSync(join(PROJECT, "schema/rehearsal-1.schema.json"), "utf8")) as object,
  );
  validate(result);
  expect(validate.errors).toBeNull();
  expect(readdirSync(folder).filter((name) => name.startsWith("lastwords-rehearse-"))).toEqual([]);
  return result;
}

const seenIn = (result: Rehearsal, way: string): Record<string, string> =>
  Object.fromEntries(result.ways.find((each) => each.way === way)!.cells.map((cell) => [cell.kind, `${cell.expected}|${cell.seen}`]));

describe("rehearse", () => {
  check("with kdump first: a dump and no record; kept for a look", async () => {
    const keep = join(folder, "kept");
    const result = await agreeing(["oops", "corrupt-image", "--keep", keep]);
    expect(seenIn(result, "oops")).toMatchObject({ vmcore: "kept|kept", "record in ramoops": "lost|lost", "serial console": "kept|kept" });
    expect(seenIn(result, "corrupt-image")).toMatchObject({ vmcore: "lost|lost", "capture kernel's console": "lost|lost" });
    const [oops] = result.ways;
    expect(oops!.title).toBe("BUG: unable to handle kernel NULL pointer dereference in dummy_change_carrier");
    expect(oops!.memory!.peak).toBeGreaterThan(32 * 1024 * 1024);
    expect(oops!.memory!.peak).toBeLessThan(oops!.memory!.reserved);
    expect(oops!.stages.map(({ name }) => name)).toEqual(["first kernel", "ready to die", "died", "capture kernel", "saved"]);
    expect(readdirSync(join(keep, "oops")).sort()).toEqual(["console.log", "ramoops.bin", "vmcore"]);
    expect(JSON.parse(readFileSync(join(keep, "rehearsal.json"), "utf8"))).toEqual(result);
    const { out } = await lastwords(["report", "--json", join(keep, "oops", "vmcore")]);
    expect((JSON.parse(out) as { title: string }).title).toBe(oops!.title);
  });

  check("with crash_kexec_post_notifiers: both", async () => {
    const result = await agreeing(["two-cpus", "--set", "crash_kexec_post_notifiers=1"]);
    expect(seenIn(result, "two-cpus")).toMatchObject({ vmcore: "kept|kept", "record in ramoops": "kept|kept" });
  });

  check("without kdump, in an NMI: a record, and the message is printed after all", async () => {
    const result = await agreeing(["nmi", "--set", "kdump=0"]);
    expect(seenIn(result, "nmi")).toMatchObject({
      vmcore: "not-configured|lost",
      "record in ramoops": "kept|kept",
      "serial console": "kept|kept",
    });
  });

  check("ends its machine when it is interrupted", async () => {
    const { signal } = await lastwords(["rehearse", "sysrq", "--series", "6.1"], (err, kill) => {
      if (err.includes("first kernel after")) kill();
    });
    expect(signal).toBe("SIGINT");
    expect(readdirSync(folder).filter((name) => name.startsWith("lastwords-rehearse-"))).toEqual([]);
    // No machine of it is left: each has its RAM in that folder.
    const commands = readdirSync("/proc")
      .filter((name) => /^\d+$/.test(name) && existsSync(`/proc/${name}/cmdline`))
      .map((name) => {
        try {
          return readFileSync(`/proc/${name}/cmdline`, "latin1");
        } catch {
          return ""; // ended meanwhile
        }
      });
    expect(commands.filter((command) => command.includes(`mem-path=${folder}`))).toEqual([]);
  });
});
