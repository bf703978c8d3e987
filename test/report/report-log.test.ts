/** Reports on text: several crashes, several boots, facts out of lines, a log beside a dump. */
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import type { Report } from "../../src/report/index.ts";
import { runMain } from "../cli/memory-sink.ts";

const SAMPLE = join("samples", "debian-6.1-sysrq.vmcore");
const scratch = mkdtempSync(join(tmpdir(), "lastwords-report-log-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

let files = 0;
function fileOf(text: string | Uint8Array): string {
  const path = join(scratch, `log-${files++}`);
  writeFileSync(path, text);
  return path;
}

async function reportOf(...args: string[]): Promise<{ readonly code: number; readonly report: Report; readonly text: string }> {
  const { code, out } = await runMain(["report", "--json", ...args]);
  const { out: text } = await runMain(["report", ...args]);
  return { code, report: JSON.parse(out) as Report, text };
}

function oops(function_: string, release = "6.12.1-test"): string[] {
  return [
    "BUG: unable to handle page fault for address: ffffc90000000018",
    "Oops: Oops: 0002 [#1] SMP NOPTI",
    `CPU: 3 UID: 0 PID: 77 Comm: worker Tainted: G        W  O       ${release} #7 PREEMPT(full)`,
    `RIP: 0010:${function_}+0x12/0x40 [frob]`,
    "RSP: 0018:ffffc90000013e10 EFLAGS: 00010246",
    "RAX: 0000000000000000 RBX: ffff88800584d000 RCX: 0000000000000003",
    "Call Trace:",
    " <TASK>",
    " ? __die+0x23/0x70",
    " frob_store+0x10/0x20 [frob]",
    " vfs_write+0xf0/0x440",
    " do_syscall_64+0x5c/0x90",
    " </TASK>",
    "Modules linked in: frob(O) bridge",
    "---[ end trace 0000000000000000 ]---",
  ];
}

function printed(lines: readonly string[], from: number): string {
  return lines.map((line, i) => `[${(from + i / 1000).toFixed(6).padStart(12)}] ${line}\n`).join("");
}

const BOOT = ["Linux version 6.12.1-test (me@host) (gcc 14) #7 SMP PREEMPT_DYNAMIC", "Command line: root=/dev/vda quiet"];
const PANIC = [
  "Kernel panic - not syncing: Fatal exception",
  "Kernel Offset: 0x2e000000 from 0xffffffff81000000 (relocation range: 0xffffffff80000000-0xffffffffbfffffff)",
];

describe("a log alone", () => {
  test("fills in what a dump would tell", async () => {
    const { code, report, text } = await reportOf(fileOf(printed(BOOT, 0) + printed([...oops("frob"), ...PANIC], 100)));
    expect(code).toBe(0);
    expect(report.kernel).toMatchObject({
      release: "6.12.1-test",
      version: "#7 SMP PREEMPT_DYNAMIC",
      machine: "x86_64",
      commandLine: "root=/dev/vda quiet",
      kaslrOffset: "0x2e000000",
      taint: { mask: "0x1200", letters: "WO" },
    });
    expect(report.panic).toMatchObject({
      title: "BUG: unable to handle kernel paging request in frob",
      message: "Fatal exception",
      cpu: 3,
      task: { pid: 77, comm: "worker", address: null },
    });
    expect(report.panic.frames.map(({ symbol, offset, reliable, module, address }) => [symbol, offset, reliable, module, address])).toEqual(
      [
        ["frob", 0x12, true, "frob", null],
        ["__die", 0x23, false, null, null],
        ["frob_store", 0x10, true, "frob", null],
        ["vfs_write", 0xf0, true, null, null],
        ["do_syscall_64", 0x5c, true, null, null],
      ],
    );
    expect(report.panic.registers).toMatchObject({ sp: { value: "0xffffc90000013e10" }, bx: { value: "0xffff88800584d000" } });
    expect(report.modules).toMatchObject([{ name: "frob", address: null, size: null, taint: "O" }, { name: "bridge" }]);
    expect(report.crashes).toHaveLength(1);
    expect(text).toContain("Linux 6.12.1-test crashed");
    expect(text).toContain("  #1 ? __die+0x23");
  });

  test("with several crashes lists them; the first that led to the end is the cause", async () => {
    const log =
      printed(oops("early"), 10) +
      printed(oops("frob"), 100) +
      printed(["------------[ cut here ]------------", "kernel BUG at mm/a.c:1!", ...oops("late").slice(2), ...PANIC], 101);
    const { report, text } = await reportOf(fileOf(log));
    expect(report.title).toBe("BUG: unable to handle kernel paging request in frob");
    expect(report.crashes.map(({ title, line, time, cause }) => [title, line, time, cause])).toEqual([
      ["BUG: unable to handle kernel paging request in early", 1, 10, false],
      ["BUG: unable to handle kernel paging request in frob", 16, 100, true],
      ["kernel BUG in late", 32, 101.001, false],
    ]);
    expect(text).toContain("Crashes in the log (3)");
    expect(text).toMatch(/=> BUG: unable to handle kernel paging request in frob \(line 16, at 100\.000 s\)/);
  });

  test("of several boots tells of the last that crashed, with its own last words", async () => {
    const first = printed(BOOT, 0) + printed([...oops("one"), "Kernel panic - not syncing: Fatal exception"], 500);
    const second = printed(BOOT, 0) + printed([...oops("two"), "Kernel panic - not syncing: Fatal exception in interrupt"], 20);
    const third = printed(BOOT, 0);
    const { report } = await reportOf(fileOf(first + second + third));
    expect(report.crashes.map(({ title, boot, cause }) => [title.split(" ").at(-1), boot, cause])).toEqual([
      ["one", 1, false],
      ["two", 2, true],
    ]);
    expect(report.panic.message).toBe("Fatal exception in interrupt");
    // The first words of a boot may be lost.
    const { report: cut } = await reportOf(fileOf(printed(oops("one"), 500) + printed(oops("two"), 20)));
    expect(cut.crashes.map(({ boot }) => boot)).toEqual([1, 2]);
  });

  test("with a kernel's first words and no crash is no evidence of one", async () => {
    const { code, report } = await reportOf(fileOf(printed(BOOT, 0)));
    expect(code).toBe(4);
    expect(report).toMatchObject({ title: "no crash in the log", kernel: null, crashes: [] });
  });

  test("of the journal reads as the console does", async () => {
    const lines = [...BOOT, ...oops("frob"), ...PANIC];
    const entries = lines.map((MESSAGE, i) => ({
      __CURSOR: "x",
      _TRANSPORT: "kernel",
      PRIORITY: "4",
      _SOURCE_MONOTONIC_TIMESTAMP: String(100_000_000 + i),
      MESSAGE,
    }));
    const { report } = await reportOf(fileOf(entries.map((entry) => `${JSON.stringify(entry)}\n`).join("")));
    expect(report).toMatchObject({ title: "BUG: unable to handle kernel paging request in frob", panic: { cpu: 3, task: { pid: 77 } } });
    expect(report.evidence[0]?.detail).toContain("journalctl -o json");
  });

  test("of which the crash is in the middle of more text than is kept", async () => {
    const noise = printed(
      Array.from({ length: 1000 }, () => "usb 1-1: new high-speed USB device number 2 using xhci_hcd"),
      200,
    );
    const { report } = await reportOf(fileOf(printed(BOOT, 0) + printed([...oops("frob"), ...PANIC], 100) + noise.repeat(300)));
    expect(report.title).toBe("BUG: unable to handle kernel paging request in frob");
    expect(report.panic).toMatchObject({ message: "Fatal exception", cpu: 3, task: { pid: 77, comm: "worker" } });
    expect(report.log.text.length).toBeLessThanOrEqual(16 * 1024 * 1024);
    expect(report.evidence[0]?.detail).toContain("all of it was searched");
  });

  test("has its raw addresses named by symbols that are given", async () => {
    const map = fileOf("ffffffff81000000 T _text\nffffffff81234000 T frob\nffffffff81235000 T other\nffffffff82000000 T _end\n");
    const log = oops("frob").map((line) => line.replace("frob+0x12/0x40 [frob]", "0xffffffffaf234012"));
    const { report, text } = await reportOf("--symbols", map, fileOf(printed([...log, ...PANIC], 100)));
    expect(report.panic.frames[0]).toMatchObject({ symbol: "frob", offset: 0x12, address: "0xffffffffaf234012" });
    expect(report.log.addresses).toEqual({ "0xffffffffaf234012": "frob+0x12" });
    expect(text).toContain("RIP: 0010:0xffffffffaf234012  = frob+0x12");
  });
});

describe("a log beside a dump", () => {
  async function beside(log: string): Promise<{ readonly code: number; readonly report: Report; readonly text: string }> {
    const folder = mkdtempSync(join(scratch, "both-"));
    copyFileSync(SAMPLE, join(folder, "vmcore"));
    writeFileSync(join(folder, "console.log"), log);
    return reportOf(folder);
  }

  test("of another kernel is said to be", async () => {
    const { report, text } = await beside(printed([...oops("frob"), ...PANIC], 100));
    expect(report.title).toBe("kernel panic: sysrq triggered crash");
    expect(report.evidence[0]).toMatchObject({ kind: "log file", health: "partial" });
    expect(report.evidence[0]?.detail).toContain("it is of Linux 6.12.1-test, the dump of 6.1.0-56-cloud-amd64");
    expect(text).toContain("beware");
  });

  test("of the same kernel has its addresses named by the dump", async () => {
    const { out } = await runMain(["bt", "--json", SAMPLE]);
    const [address, symbol] = /"symbol":"(vfs_write|ksys_write)".*?"address":"(0x[0-9a-f]{16})"/.exec(out)!.slice(1).toReversed();
    const log = [...oops("frob", "6.1.0-56-cloud-amd64"), `Call from ${address}`].map((line) =>
      line.replace("do_syscall_64+0x5c/0x90", address!),
    );
    const { report, text } = await beside(printed(log, 100));
    expect(report.evidence[0]?.detail).toContain("of the dump's kernel; the crash that it tells of is");
    expect(report.log.addresses[address!]).toContain(`${symbol}+0x`);
    expect(text).not.toContain("beware");
  });
});
