/**
 * The pieces of one crash: real ones, where dump, consoles and regions of the same crash are at hand, and texts made from a
 * real log in the forms that collectors give it.
 */
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { IncidentReport, IncidentSourceReport, Report, TimelineReport } from "../../src/report/index.ts";
import { runMain } from "../cli/memory-sink.ts";
import { evidence as storage } from "../pstore/evidence.ts";

const SAMPLE = join("samples", "debian-6.1-sysrq.vmcore");
const HUNG_TASK = join("samples", "evidence-6.1-hung-task.vmcore");
const EVIDENCE = "../shared/evidence";
/** A folder of folders, each with vmcore and console.log. */
const DUMPS = process.env["LASTWORDS_LAB_DUMPS"];

const scratch = mkdtempSync(join(tmpdir(), "lastwords-incident-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

let folders = 0;
/** A folder with these files; a dump is copied under the name `vmcore`. */
function folder(files: Readonly<Record<string, string | Uint8Array>>, dump?: string): string {
  const path = join(scratch, String(folders++));
  mkdirSync(path);
  for (const [file, content] of Object.entries(files)) writeFileSync(join(path, file), content);
  if (dump !== undefined) copyFileSync(dump, join(path, "vmcore"));
  return path;
}

interface Joined {
  readonly report: Report;
  readonly incident: IncidentReport;
  readonly timeline: readonly TimelineReport[];
  /** The source of this file name, or record name. */
  readonly source: (name: string) => IncidentSourceReport | undefined;
}

async function joined(...paths: string[]): Promise<Joined> {
  const { out } = await runMain(["report", "--json", "-q", ...paths]);
  const report = JSON.parse(out) as Report;
  const incident = report.incident!;
  return {
    report,
    incident,
    timeline: report.timeline ?? [],
    source: (name) => incident.sources.find(({ source }) => basename(source) === name || source.startsWith(`${name} `)),
  };
}

/** What must be true of every joined report. */
function checkWhole({ incident, timeline, report }: Joined): void {
  for (const [i, { lines, only }] of incident.sources.entries()) {
    const own = timeline.filter(({ sources }) => sources.includes(i));
    expect(own).toHaveLength(lines);
    expect(own.filter(({ sources }) => sources.length === 1)).toHaveLength(only);
    // Each text's lines are in its order, none twice but where one line holds two records.
    const numbers = own.map(({ sources, lines: places }) => places[sources.indexOf(i)]!);
    expect(numbers).toEqual(numbers.toSorted((a, b) => a - b));
  }
  expect(timeline.map(({ boot }) => boot)).toEqual(timeline.map(({ boot }) => boot).toSorted((a, b) => a - b));
  for (const { line, readings } of incident.conflicts) {
    expect(timeline[line]!.text).toBe(readings[0]!.text);
    expect(new Set(readings.map(({ text }) => text)).size).toBe(readings.length);
  }
  // All of the report's log that is of the crash is there.
  if (incident.log !== null && report.log.format !== "text") {
    const own = timeline.filter(({ sources }) => sources.includes(incident.log!));
    expect(own).toHaveLength(report.log.lines);
  }
}

describe("a dump and what ramoops kept of both kernels", () => {
  test("are two boots, one timeline and the failure of the capture kernel", async () => {
    const path = folder(
      { "after-crash.bin": storage("hung-task-after-crash"), "after-capture.bin": storage("hung-task-after-capture") },
      HUNG_TASK,
    );
    const all = await joined(path);
    const { report, incident, timeline, source } = all;
    checkWhole(all);
    expect(incident.boots.map(({ role, release }) => [role, release])).toEqual([
      ["crashed", "6.1.192-evidence"],
      ["capture", "6.1.192-evidence"],
    ]);
    expect(incident.others).toEqual([]);
    expect(incident.conflicts).toEqual([]);
    expect(incident.sources.map(({ source: name, boots }) => [name.replace(/ in .*\/(\S+).*/, " of $1"), ...boots])).toEqual([
      ["memory (ringbuffer)", 0],
      ["console-ramoops-0 of after-capture.bin", 1],
      ["tty-ramoops-0 of after-capture.bin", 1],
      ["console-ramoops-0.carved of after-capture.bin", 0],
      ["pmsg-ramoops-0.carved of after-capture.bin", 0],
      ["console-ramoops-0 of after-crash.bin", 0],
      ["pmsg-ramoops-0 of after-crash.bin", 0],
      ["tty-ramoops-0 of after-crash.bin", 0],
    ]);
    const panic = timeline.filter(({ text }) => text.startsWith("Kernel panic - not syncing"));
    expect(panic).toMatchObject([{ boot: 0, time: 10.77748, caller: "T23", level: 0, sources: [0, 3, 5] }]);
    // The carved console begins in the middle of a line that the other has whole.
    expect(timeline.some(({ text }) => text.startsWith("0@0x6000000"))).toBe(false);
    expect(source("console-ramoops-0.carved")).toMatchObject({ only: 0, lines: 37 });
    expect(report.capture).toMatchObject({ outcome: "failed", reason: expect.stringContaining("mount /dev/sda1 failed") as string });
  });

  test("the text says so", async () => {
    const path = folder({ "after-capture.bin": storage("hung-task-after-capture") }, HUNG_TASK);
    const { out } = await runMain(["report", "--log-lines", "2", path]);
    expect(out).toMatch(
      /\nLog of all sources \(last 2 of \d+ lines, before \d+ of the capture kernel\)\n {2}\.{4}e pmsg: app\[42\] checkpoint 17 written\n/,
    );
    expect(out).toMatch(/\nSources of this crash \(5\)\n {2}crashed kernel {2}6\.1\.192-evidence #1 /);
    expect(out).toMatch(/\n {2}a {2}memory \(ringbuffer\) \(291 lines, \d+ only there, of the crashed kernel; the crash is in it\)\n/);
  });
});

describe("texts of one crash in the forms of collectors", () => {
  /** The log of the sample, as kdump saves it. */
  let dmesg = "";
  let lines: { readonly time: string; readonly text: string }[] = [];
  beforeAll(async () => {
    dmesg = (await runMain(["dmesg", SAMPLE])).out;
    lines = dmesg
      .split("\n")
      .slice(0, -1)
      .flatMap((line) => {
        const [, time, text] = /^\[ *(\d+\.\d+)\] (.*)$/.exec(line) ?? [];
        return time === undefined ? [] : [{ time, text: text! }];
      });
  });
  const micros = (time: string): number => Math.round(Number(time) * 1e6);

  /** Other times by up to 4 ms, as another boot of the same kernel has them. */
  const otherBoot = (): string =>
    lines
      .map(
        ({ time, text }, i) =>
          `[${((micros(time) + (micros(time) > 0 ? ((i * 7919) % 4001) + 3 : 0)) / 1e6).toFixed(6).padStart(12)}] ${text}\n`,
      )
      .join("");

  test("vmcore-dmesg.txt adds nothing", async () => {
    const all = await joined(folder({ "vmcore-dmesg.txt": dmesg }, SAMPLE));
    checkWhole(all);
    expect(all.source("vmcore-dmesg.txt")).toMatchObject({ lines: all.report.log.lines, only: 0, boots: [0] });
    expect(all.incident.conflicts).toEqual([]);
  });

  test("netconsole's extended records, started late, with some lost", async () => {
    const records = lines
      .slice(150)
      .filter((_, i) => i % 10 > 0)
      .map(({ time, text }, i) => `6.1.0-56-cloud-amd64,6,${i + 900},${micros(time)},-;${text}\n`)
      .join("");
    const all = await joined(folder({ "netconsole.log": records }, SAMPLE));
    checkWhole(all);
    expect(all.source("netconsole.log")).toMatchObject({ only: 0, boots: [0] });
    expect(all.timeline).toHaveLength(all.report.log.lines);
  });

  const journal = (entries: readonly { readonly time: string; readonly text: string }[], bootId: string, start: number): string =>
    entries
      .map(
        ({ time, text }) =>
          `__CURSOR=s=1\n__REALTIME_TIMESTAMP=${start * 1e6 + micros(time) + 20}\n__MONOTONIC_TIMESTAMP=${micros(time) + 20}\n_BOOT_ID=${bootId}\n_SOURCE_MONOTONIC_TIMESTAMP=${micros(time)}\n_TRANSPORT=kernel\nPRIORITY=6\nMESSAGE=${text}\n\n`,
      )
      .join("");

  test("the journal of two boots: one of them is the crashed one", async () => {
    const earlier = lines.map(({ time, text }) => ({ time: String(Number(time) * 1.01), text }));
    const text = journal(earlier, "a".repeat(32), 1_795_000_000) + journal(lines.slice(0, 300), "b".repeat(32), 1_795_217_780);
    const all = await joined(folder({ "journal.export": text }, SAMPLE));
    checkWhole(all);
    expect(all.incident.boots).toMatchObject([{ role: "crashed", bootId: "b".repeat(32) }]);
    expect(all.incident.others).toMatchObject([{ bootId: "a".repeat(32), firstLine: 1, started: "2026-11-18T11:06:40Z" }]);
    expect(all.source("journal.export")).toMatchObject({ only: 0, boots: [0] });
  });

  test("two files of one journal's boot join by its id, without a line in common", async () => {
    const all = await joined(
      folder({
        "a.export": journal(lines.slice(0, 100), "c".repeat(32), 1_795_217_780),
        "b.export": journal(lines.slice(100), "c".repeat(32), 1_795_217_780),
        "c.export": journal(lines.slice(100, 120), "d".repeat(32), 1_795_217_780),
      }),
    );
    checkWhole(all);
    expect(all.incident.sources.map(({ source, joined: why }) => [basename(source), why])).toEqual([
      ["b.export", "the crash is in it"],
      ["a.export", "the same boot id"],
    ]);
    expect(all.incident.others).toMatchObject([{ reason: `of boot ${"d".repeat(32)}` }]);
    expect(all.timeline).toHaveLength(lines.length);
  });

  test("a console with an earlier boot of the same kernel, the crash and the capture kernel", async () => {
    const capture =
      "[    0.000000] Linux version 6.1.0-56-cloud-amd64 (x) #1 SMP PREEMPT_DYNAMIC Debian 6.1.192-2\n[    0.000000] Command line: console=ttyS0 elfcorehdr=1 nr_cpus=1\n[    1.000000] Run /init as init process\nkdump: saving vmcore-dmesg.txt\nmakedumpfile: No space left on device\nkdump: saving vmcore failed\n[    9.000000] reboot: Restarting system\n";
    const noise = dmesg.replace("Run /init as init", "Run /inittt as init").replaceAll(/^\[/gm, "[").replaceAll("\n", "\r\n");
    const all = await joined(folder({ "console.log": `SeaBIOS\r\n${otherBoot()}${noise}${capture}` }, SAMPLE));
    checkWhole(all);
    expect(all.incident.boots.map(({ role }) => role)).toEqual(["crashed", "capture"]);
    expect(all.source("console.log")).toMatchObject({ boots: [0, 1] });
    expect(all.incident.others).toMatchObject([{ firstLine: 2, lastLine: lines.length + 1 }]);
    expect(all.incident.conflicts.map(({ readings }) => readings.map(({ text, sources }) => [text, sources]))).toEqual([
      [
        ["Run /init as init process", [0]],
        ["Run /inittt as init process", [1]],
      ],
    ]);
    expect(all.report.capture).toMatchObject({
      outcome: "failed",
      reason: "makedumpfile: No space left on device",
      kernel: "6.1.0-56-cloud-amd64",
    });
    expect(all.report.summary).toContain(
      'could not save the memory, "makedumpfile: No space left on device"; there is a dump all the same.',
    );
  });

  test("a capture kernel that panics itself saved nothing", async () => {
    const capture =
      "[    0.000000] Linux version 6.1.0-56-cloud-amd64 (x) #1 SMP\n[    0.000000] Command line: elfcorehdr=1\n[    1.000000] Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)\n";
    const { report } = await joined(folder({ "console.log": dmesg + capture }));
    expect(report.title).toBe((await joined(SAMPLE)).report.title);
    expect(report.capture).toMatchObject({
      outcome: "failed",
      reason: "Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)",
    });
    expect(report.incident!.boots).toHaveLength(2);
    // One text alone has nothing to be joined with.
    expect(report.timeline).toBeNull();
  });

  test("other boots and other machines are not mixed in", async () => {
    const all = await joined(
      folder(
        {
          "same-kernel.log": otherBoot(),
          "other-kernel.log": dmesg.replaceAll("6.1.0-56-cloud-amd64", "6.1.0-57-cloud-amd64"),
          "other-build.log": dmesg.replace(/(Linux version .*)#1 SMP/, "$1#2 SMP"),
          "notes.txt": "Dear colleague,\nthe machine crashed again.\n",
        },
        SAMPLE,
      ),
    );
    expect(all.timeline).toEqual([]);
    expect(all.incident.others.map(({ source, reason }) => [basename(source), reason])).toEqual([
      ["other-build.log", expect.stringMatching(/^of another build, #2 SMP/) as string],
      ["other-kernel.log", "of Linux 6.1.0-57-cloud-amd64"],
      ["same-kernel.log", "of another boot of this kernel: the same times, other lines"],
    ]);
  });

  test("a console and a journal without the kernel's times", async () => {
    const plain = lines.map(({ text }) => `${text}\n`).join("");
    const short = lines.map(({ text }) => `Nov 20 23:23:01 host kernel: ${text}\n`).join("");
    const all = await joined(folder({ "console.log": plain, "journal.txt": short }, SAMPLE));
    checkWhole(all);
    expect(all.source("console.log")).toMatchObject({ boots: [0] });
    expect(all.source("journal.txt")).toMatchObject({ boots: [0] });
  });

  test("without a dump the log with the crash is what the report is about", async () => {
    const all = await joined(
      folder({ "1-boot.log": otherBoot().split("sysrq: Trigger")[0]!, "2-crash.log": dmesg, "3-tail.log": dmesg.slice(-3000) }),
    );
    checkWhole(all);
    expect(all.incident.sources.map(({ source }) => basename(source))).toEqual(["2-crash.log", "3-tail.log"]);
    expect(all.incident.log).toBe(0);
    expect(all.incident.others.map(({ source }) => basename(source))).toEqual(["1-boot.log"]);
  });

  test("of two crashes in one folder the report is about the dump's", async () => {
    const other = otherBoot();
    const all = await joined(folder({ "dmesg.0": other, "dmesg.1": dmesg }, SAMPLE));
    expect(all.incident.sources.map(({ source }) => basename(source))).toEqual([expect.stringMatching(/^memory/) as string, "dmesg.1"]);
  });
});

describe("records of a kernel that oopsed twice and panicked", () => {
  test("are one boot; what pstore writes before a dump is no line", async () => {
    const all = await joined(folder({ "region.bin": storage("pstore-ramoops-deflate-ecc") }));
    checkWhole(all);
    expect(all.incident.sources.map(({ kind, source, boots }) => [kind, source.split(" ")[0], ...boots])).toEqual([
      ["record", "dmesg-ramoops-0", 0],
      ["record", "dmesg-ramoops-1", 0],
      ["record", "dmesg-ramoops-2", 0],
      ["record", "console-ramoops-0", 0],
      ["program record", "pmsg-ramoops-0", 0],
      ["program record", "tty-ramoops-0", 0],
    ]);
    expect(all.incident.conflicts).toEqual([]);
    expect(all.timeline.filter(({ text }) => text.endsWith("Part1"))).toEqual([]);
    expect(all.incident.boots).toMatchObject([{ started: "2026-11-21T00:24:18Z" }]);
  });

  test("of another crash than the dump's tell nothing of its capture kernel", async () => {
    const { report, incident } = await joined(folder({ "region.bin": storage("hung-task-after-capture") }, SAMPLE));
    expect(report.capture).toBeNull();
    expect(incident.boots).toHaveLength(1);
    expect(incident.others.length).toBeGreaterThan(1);
  });
});

test("a dump alone has one source and no timeline", async () => {
  const { report } = await joined(SAMPLE);
  expect(report.timeline).toBeNull();
  expect(report.incident).toMatchObject({
    boots: [{ role: "crashed", release: "6.1.0-56-cloud-amd64", started: "2026-11-20T23:23:00Z" }],
    sources: [{ kind: "memory", boots: [0], lines: report.log.lines }],
    log: 0,
    conflicts: [],
    others: [],
  });
});

test("no text at all is no incident", async () => {
  expect((await joined(folder({ "empty.log": "" }))).report).toMatchObject({ incident: null, timeline: null });
});

const consoles = [
  ...["debian-6.1-sysrq", "debian-6.12-oom", "evidence-6.1-oops", "evidence-6.1-hung-task"].map((name) => join(EVIDENCE, name)),
  ...(DUMPS === undefined ? [] : readdirSync(DUMPS)).map((name) => join(DUMPS!, name)),
].filter((path) => existsSync(join(path, "console.log")) && existsSync(join(path, "vmcore")) && !path.endsWith("4g"));

describe("a real dump with the console of its machine (skipped where there are none beside the repository)", () => {
  if (consoles.length === 0) test.skip("no dumps", () => {});
  test.each(consoles)("%s", async (path) => {
    const all = await joined(join(path, "vmcore"), join(path, "console.log"));
    const { incident, timeline } = all;
    checkWhole(all);
    const console = all.source("console.log")!;
    expect(console.boots[0]).toBe(0);
    const crashed = timeline.filter(({ boot }) => boot === 0);
    // A serial line shows all but debug messages; programs add theirs. What noise damaged is still one line.
    const both = crashed.filter(({ sources }) => sources.length === 2).length;
    expect(both / crashed.filter(({ time }) => time !== null).length).toBeGreaterThan(0.75);
    // Times never go back by more than what printing late explains.
    const times = crashed.flatMap(({ time }) => (time === null ? [] : [time]));
    expect(times.filter((time, i) => i > 0 && time < times[i - 1]! - 1)).toEqual([]);
    if (all.report.capture) expect(incident.boots.map(({ role }) => role)).toEqual(["crashed", "capture"]);
  });
});
