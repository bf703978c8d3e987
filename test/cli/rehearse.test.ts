import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { commands } from "../../src/cli/table.ts";
import { wayNames } from "../../src/rehearse/index.ts";
import { runMain } from "./memory-sink.ts";

let folder = "";
beforeAll(() => void (folder = mkdtempSync(join(tmpdir(), "lastwords-rehearse-test-"))));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test("the table names the ways that there are", () => {
  expect(commands.rehearse.operands.ways.choices).toEqual(wayNames);
});

test("--list explains each way", async () => {
  const { code, out } = await runMain(["rehearse", "--list"]);
  expect(code).toBe(0);
  expect(
    out
      .split("\n")
      .slice(1, -1)
      .map((line) => line.split(" ", 1)[0]),
  ).toEqual([...wayNames]);
});

test.each<[string[], number, RegExp]>([
  [["heat-death"], 2, /'sysrq' or 'oops'/],
  [["sysrq", "--series", "2.6"], 2, /'5\.10'/],
  [["sysrq", "--series", "6.1", "--kernel", "bzImage"], 2, /exclude each other/],
  [["sysrq", "--modules", "/lib/modules/x"], 2, /'--kernel'/],
  [["sysrq", "--series", "6.1", "--set", "kernel.panic=soon"], 2, /'kernel\.panic=soon' cannot be set/],
  [["sysrq", "--cpus", "1"], 2, /2 to 4/],
  [["sysrq", "--kernel", "/no/such/bzImage"], 2, /cannot be read/],
  [["sysrq", "--root", "/no/such/folder"], 2, /holds neither/],
  [["sysrq", "--series", "6.1", "--initramfs", "/no/such/file"], 1, /cannot read \/no\/such\/file/],
])("%j", async (args, status, message) => {
  const { code, err, out } = await runMain(["rehearse", ...args]);
  expect(err).toMatch(message);
  expect([code, out]).toEqual([status, ""]);
});

test("a file that is no kernel, and a host without one", async () => {
  const path = join(folder, "vmlinuz");
  writeFileSync(path, "no kernel");
  expect((await runMain(["rehearse", "--kernel", path])).err).toContain("is no x86 bzImage");
  const { err, code } = await runMain(["rehearse", "--root", "test/host/fixtures/debian"]);
  expect(err).toMatch(/no image of the kernel 6\.1\.0-28-amd64 .*; --kernel FILE names one, --series 6\.1 takes Debian's/);
  expect(code).toBe(2);
});
