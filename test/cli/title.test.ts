import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { spawnSync } from "node:child_process";
import { Ajv2020 } from "ajv/dist/2020.js";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { runMain } from "./memory-sink.ts";

const scratch = mkdtempSync(join(tmpdir(), "lastwords-title-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));
const path = (name: string): string => join(scratch, name);

function oops(name: string, from: number): string {
  return [
    "BUG: unable to handle page fault for address: ffffc90000000018",
    "Oops: Oops: 0002 [#1] SMP NOPTI",
    "CPU: 3 PID: 77 Comm: worker Not tainted 6.12.1-test #7",
    `RIP: 0010:${name}+0x12/0x40`,
    "Call Trace:",
    ` ${name}_store+0x10/0x20`,
    " vfs_write+0xf0/0x440",
    " do_syscall_64+0x5c/0x90",
    "---[ end trace 0 ]---",
  ]
    .map((line, i) => `[${(from + i / 1000).toFixed(6).padStart(12)}] ${line}\n`)
    .join("");
}

const FIRST = "BUG: unable to handle kernel paging request in frob";
const SECOND = "BUG: unable to handle kernel paging request in other";

beforeAll(() => {
  writeFileSync(path("two"), oops("frob", 10) + oops("other", 100));
  writeFileSync(path("none"), "[    1.000000] all is well\n");
  writeFileSync(path("empty"), "");
  writeFileSync(path("cut"), oops("frob", 10).slice(0, 200));
});

describe("title", () => {
  test("prints the path, a tab and the first title of each log", async () => {
    const { code, out, err } = await runMain(["title", path("two"), path("none")]);
    expect(out).toBe(`${path("two")}\t${FIRST}\n${path("none")}\t\n`);
    expect(err).toBe(`lastwords: ${path("none")} tells of no crash\n`);
    expect(code).toBe(0);
  });

  test("--all prints every crash", async () => {
    const { code, out } = await runMain(["title", "--all", path("two")]);
    expect(out).toBe(`${path("two")}\t${FIRST}\n${path("two")}\t${SECOND}\n`);
    expect(code).toBe(0);
  });

  test("--json follows its schema, an object a line", async () => {
    const validate = new Ajv2020({ strict: true, allowUnionTypes: true }).compile(
      JSON.parse(readFileSync("schema/title-1.schema.json", "utf8")) as object,
    );
    const { code, out } = await runMain(["title", "--json", "-q", path("two"), path("none"), path("empty"), path("cut")]);
    const lines = out
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    for (const line of lines) {
      validate(line);
      expect(validate.errors).toBeNull();
    }
    expect(lines[0]).toEqual({
      schema: "lastwords-title-1",
      path: path("two"),
      title: FIRST,
      altTitles: ["bad-access in frob"],
      type: "MEMORY_SAFETY_BUG",
      function: "frob",
      corrupted: false,
      corruptedReason: null,
      line: 1,
      rule: "paging-request",
      crashes: [
        { title: FIRST, type: "MEMORY_SAFETY_BUG", line: 1, boot: 1 },
        { title: SECOND, type: "MEMORY_SAFETY_BUG", line: 10, boot: 1 },
      ],
    });
    expect(lines[1]).toMatchObject({ title: null, type: null, function: null, corrupted: false, line: null, crashes: [] });
    expect(lines[3]).toMatchObject({ corrupted: true, function: null });
    expect(code).toBe(0);
  });

  test("goes on after a log that cannot be read", async () => {
    const { code, out, err } = await runMain(["title", path("gone"), scratch, path("two")]);
    expect(out).toBe(`${path("two")}\t${FIRST}\n`);
    expect(err).toContain(`cannot open ${path("gone")}: no such file or directory`);
    expect(err).toContain("is a directory");
    expect(code).toBe(1);
  });

  test("without a crash in any log is no evidence", async () => {
    expect((await runMain(["title", path("none"), path("empty")])).code).toBe(4);
  });

  test("says that a dump is none", async () => {
    const { err } = await runMain(["title", join("samples", "debian-6.1-sysrq.vmcore")]);
    expect(err).toContain("looks like a dump");
  });

  test("reads standard input as -", () => {
    const run = "import('./src/cli/main.ts').then(({ main }) => main(['title', '-'])).then((code) => { process.exitCode = code; });";
    const piped = spawnSync(process.execPath, ["-e", run], { input: oops("frob", 1) });
    expect([piped.stdout.toString(), piped.status]).toEqual([`-\t${FIRST}\n`, 0]);
  });
});
