import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { printRehearsal } from "../../src/cli/command/rehearse.ts";
import { commands } from "../../src/cli/table.ts";
import { Output } from "../../src/cli/terminal.ts";
import {
  compare,
  goodSettings,
  type RehearsedWay,
  type SeenEvidence,
  verdictOf,
  type WayName,
  wayNames,
  wayOf,
} from "../../src/rehearse/index.ts";
import { MemorySink, runMain } from "./memory-sink.ts";

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

/** A way with all that the model wants of a plain panic, but for these. */
function rehearsed(name: WayName, seen: readonly SeenEvidence[]): RehearsedWay {
  const good: SeenEvidence[] = [
    { kind: "serial console", seen: "kept", detail: "the message" },
    { kind: "vmcore", seen: "kept", detail: "54 tasks" },
    { kind: "capture kernel's console", seen: "kept", detail: "300 lines" },
  ];
  const evidence = [...good.filter(({ kind }) => !seen.some((each) => each.kind === kind)), ...seen];
  return {
    way: name,
    about: wayOf(name).about,
    model: wayOf(name).model(goodSettings),
    cells: compare(wayOf(name), goodSettings, "v6.1", evidence),
    stages: [
      { name: "died", atMs: 7200 },
      { name: "capture kernel", atMs: 14_340 },
    ],
    seconds: 24.4,
    end: "reset",
    title: null,
    memory: { reserved: 134_217_728, peak: 65_955_430 },
    failure: null,
    folder: null,
  };
}

test("the matrix, what is not as expected, and what could not be rehearsed", () => {
  const sink = new MemorySink();
  const out = new Output(sink, { env: {} });
  const failed: RehearsedWay = {
    ...rehearsed("oom", []),
    cells: [],
    seconds: null,
    end: null,
    memory: null,
    failure: "the guest says: no disk\n\x1b[2Jend of its console",
  };
  const ways = [
    rehearsed("sysrq", []),
    rehearsed("oops", [
      { kind: "vmcore", seen: "partly", detail: "registers: not there" },
      { kind: "record in ramoops", seen: "kept", detail: "Oops, 9000 bytes" },
    ]),
    failed,
  ];
  const notShown = [{ what: "a hard lockup", why: "there is no counter" }];
  printRehearsal(
    { out },
    { release: "6.1.0-56-cloud-amd64", variant: "v6.1", settings: goodSettings, ways, notShown, verdict: verdictOf(ways) },
  );
  out.flush();
  expect(sink.text).toMatchInlineSnapshot(`
    "1 of 6 promises were broken in 2 ways to die. The model disagrees in 2 of 12 cells. 1 way could not be rehearsed.
    6.1.0-56-cloud-amd64: crash image loaded; kdump before notifiers; panic=1; backends ramoops

    Expected by the model | seen in the machine; times in seconds
    WAY    CONSOLE    RAMOOPS      VMCORE         CAPTURE LOG  DIED  CAPTURE  SAVED   END      PEAK
    sysrq  kept|kept  lost|lost    kept|kept      kept|kept     7.2     14.3      -  24.4  62.9 MiB  reset
    oops   kept|kept  lost|kept !  kept|partly !  kept|kept     7.2     14.3      -  24.4  62.9 MiB  reset

    oops, record in ramoops: lost was expected, kept was seen
      the model:   kdump is started before kmsg_dump, and does not return; crash_kexec_post_notifiers would turn that round.
      the machine: Oops, 9000 bytes

    oops, vmcore: kept was expected, partly was seen
      the model:   The capture kernel saves it.
      the machine: registers: not there

    oom could not be rehearsed
      the guest says: no disk
      \\x1b[2Jend of its console

    What a virtual machine does not show
      a hard lockup: there is no counter
    "
  `);
});
