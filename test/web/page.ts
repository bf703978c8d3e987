/** The page of `report --html`, built once for a test file. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "vite";
import type { FrameReport, Report, TaskReport, TimelineReport } from "../../src/report/index.ts";

export const root: string = fileURLToPath(new URL("../..", import.meta.url));

/** Builds the page as tools/build.ts does, but into a folder of its own. */
export async function buildPage(): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), "lastwords-page-"));
  try {
    await build({ configFile: join(root, "web/vite.config.ts"), configLoader: "native", build: { outDir: folder } });
    return readFileSync(join(folder, "report.html"), "utf8");
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function frame(symbol: string | null, offset: number | null, address: string): FrameReport {
  return { symbol, offset, address, reliable: true, module: null, user: symbol === null };
}

const CRASH = [
  frame("__crash_kexec", 0x120, "0xffffffff8ffc24c0"),
  frame("panic", 0x123, "0xffffffff90a69b73"),
  frame("page_fault_oops", 0x20, "0xffffffff8fea0000"),
  frame("asm_exc_page_fault", 0x26, "0xffffffff90c012a6"),
  frame("nic_poll", 0x31, "0xffffffffc0101031"),
  frame("net_rx_action", 0x99, "0xffffffff90101099"),
  frame("do_syscall_64", 0x87, "0xffffffff90aab077"),
  frame("entry_SYSCALL_64_after_hwframe", 0x76, "0xffffffff90c0012f"),
  frame(null, null, "0x000000000047b7a0"),
];
const SLEEP = [
  frame("__schedule", 0x505, "0xffffffff90ab6975"),
  frame("schedule", 0x27, "0xffffffff90ab70a7"),
  frame("do_wait", 0x60, "0xffffffff8fec4540"),
  frame("do_syscall_64", 0x87, "0xffffffff90aab077"),
];

/** Marks that reorder, hide and break text, and ends of the elements that text stands in. */
export const HOSTILE =
  '</script><script>window.pwned = 1</script><!--<img src=x onerror="window.pwned = 1">\u202egnp.exe\u2066\u2069\u200f\u061c\u2028\u2029\ufeff\u0000\u001b[31m\u0085&lt;b&gt;\'"`${1}$&$$\u{e0041}\ud800';

function task(pid: number, given: Partial<TaskReport> = {}): TaskReport {
  return {
    pid,
    comm: `task-${pid}`,
    tgid: pid,
    ppid: 1,
    state: "S",
    cpu: pid % 2,
    address: `0xffff8880${pid.toString(16).padStart(8, "0")}`,
    kernelThread: false,
    running: false,
    frames: SLEEP,
    end: "user",
    ...given,
  };
}

/** A report with something in every part. `log` is the log's text. */
export function sampleReport(log: string, hostile = false): Report {
  const word = (text: string): string => (hostile ? `${text} ${HOSTILE}` : text);
  const lines = log === "" ? 0 : log.split("\n").length - 1;
  const crash =
    Math.max(
      0,
      log.split("\n").findIndex((line) => line.includes("BUG:")),
    ) + 1;
  return {
    schema: "lastwords-report-1",
    tool: { name: "lastwords", version: "0.1.0" },
    title: word("BUG: unable to handle kernel NULL pointer dereference in nic_poll"),
    summary: word(
      "Linux 6.1.0-test crashed 4.2 s after boot: the kernel used a pointer that was NULL in nic_poll, running nicd (pid 7), on CPU 1.",
    ),
    crashes: [
      {
        title: word("WARNING in nic_open"),
        altTitles: [],
        type: "WARNING",
        function: "nic_open",
        corrupted: null,
        line: Math.max(1, crash - 2),
        boot: 1,
        time: 3.1,
        cause: false,
      },
      {
        title: word("BUG: unable to handle kernel NULL pointer dereference in nic_poll"),
        altTitles: [],
        type: "NULL_POINTER_DEREFERENCE",
        function: "nic_poll",
        corrupted: null,
        line: crash,
        boot: 1,
        time: 4.2,
        cause: true,
      },
    ],
    evidence: [
      { kind: "dump", source: word("/var/crash/vmcore"), health: "good", detail: "kdump, 8507058 bytes" },
      { kind: "pstore", source: "/dev/mem", health: "partial", detail: word("one record is damaged") },
      { kind: "log file", source: "old.log", health: "unusable", detail: "empty" },
    ],
    dump: { format: "kdump", containers: ["gzip"], arch: "x86_64", pageSize: 4096, maxPfn: 163799 },
    kernel: {
      release: word("6.1.0-test"),
      version: "#1 SMP",
      machine: "x86_64",
      nodename: word("host"),
      buildId: "e1b6c81f7afcf08c",
      commandLine: word("console=ttyS0"),
      kaslrOffset: "0xee00000",
      uptimeSeconds: 4.2,
      crashTime: "2026-11-21T00:09:22Z",
      taint: { mask: "0x1000", letters: "O", words: ["a module from outside the kernel's tree"] },
      settings: { "kernel.panic": 1, "kernel.panic_on_oops": 0 },
    },
    panic: {
      title: word("BUG: unable to handle kernel NULL pointer dereference in nic_poll"),
      altTitles: ["bad-access in nic_poll"],
      type: word("NULL_POINTER_DEREFERENCE"),
      message: "BUG: kernel NULL pointer dereference, address: 0000000000000000",
      function: word("nic_poll"),
      cpu: 1,
      task: { pid: 7, comm: word("nicd"), address: "0xffff888000000007" },
      frames: CRASH,
      registers: {
        ip: { value: "0xffffffffc0101031", pointsAt: word("nic_poll+0x31") },
        ax: { value: "0x0000000000000000", pointsAt: null },
        bx: { value: "0xffff88ce0584d000", pointsAt: "slab task_struct+0x0 (nicd, pid 7)" },
      },
      code: {
        function: "nic_poll",
        instructions: [
          { address: "0xffffffffc010102f", bytes: "31 c0", text: "xor %eax,%eax", current: false },
          { address: "0xffffffffc0101031", bytes: "89 04 25 00 00 00 00", text: word("mov %eax,0"), current: true },
        ],
      },
    },
    cpus: [
      {
        cpu: 0,
        task: { pid: 0, comm: "swapper/0" },
        frames: [frame("default_idle", 9, "0xffffffff90ab1e79")],
        registers: "note",
        end: "end",
      },
      { cpu: 1, task: { pid: 7, comm: word("nicd") }, frames: CRASH, registers: "none", end: "user" },
    ],
    tasks: [
      task(1, { comm: "init", ppid: 0 }),
      task(2, { comm: "kthreadd", kernelThread: true, ppid: 0 }),
      task(7, { comm: word("nicd"), state: "R", running: true, frames: CRASH }),
      task(9, { comm: "backup", state: "D" }),
      ...Array.from({ length: 300 }, (_, i) => task(1000 + i)),
    ],
    stuck: [{ pid: 9, comm: word("backup"), seconds: 133, waitsIn: "nfs_wait" }],
    memory: {
      total: 382603264,
      free: 3575808,
      fileCache: 228433920,
      anonymous: 123580416,
      slabReclaimable: 1478656,
      slabUnreclaimable: 9695232,
      swapTotal: 1 << 30,
      swapFree: 1 << 29,
    },
    modules: [{ name: word("nic"), address: "0xffffffffc0100000", size: 20480, state: "live", taint: "O", version: "1.0" }],
    log: { lines, text: log, format: "ringbuffer", lost: 0, addresses: {} },
    notes: [
      { name: "LINUX", type: 0x700, size: 300, offset: 4096, what: "device dump", device: word("nic0") },
      { name: "CORE", type: 1, size: 336, offset: 4400, what: "registers of a CPU (PRSTATUS)", device: null },
    ],
    records: [
      {
        name: word("dmesg-ramoops-0"),
        backend: "ramoops",
        source: "/dev/mem",
        size: 12345,
        time: "2026-11-21T00:02:22Z",
        state: "carved",
        problems: [word("cut")],
      },
    ],
    capture: {
      kernel: "6.1.0-capture",
      outcome: "failed",
      reason: word("mount /dev/sda1 failed"),
      source: "tty-ramoops-0",
      tty: word("kdump.sh: starts\nmount /dev/sda1 failed\n"),
    },
    incident: null,
    timeline: null,
    missing: [
      { what: word("2 pages"), code: "EXCLUDED", reason: "makedumpfile left them out", consequence: "the stack of pid 9 is not complete" },
    ],
    receipts: {
      "/panic/title": { confidence: "decoded", rule: word("title rule null-dereference") },
      "/kernel/release": { confidence: "exact", rule: "OSRELEASE of VMCOREINFO", address: "0xffffffff8a517500" },
      "/memory": { confidence: "heuristic", rule: "symbols of the zones" },
    },
  };
}

/** A log of `count` lines with a crash in its third quarter. */
export function sampleLog(count: number, hostile = false): string {
  const lines: string[] = [];
  const crash = Math.floor(count * 0.75);
  for (let i = 0; i < count; i++) {
    const time = `[${(i / 1000).toFixed(6).padStart(12)}]`;
    if (i === crash) lines.push(`${time} BUG: kernel NULL pointer dereference, address: 0000000000000000`);
    else if (hostile && i % 7 === 0) lines.push(`${time} ${HOSTILE} line ${i}`.replaceAll("\n", " "));
    else if (i % 50 === 0) lines.push(`${time} nic0: transmit queue ${i % 8} failed to start, error -110`);
    else lines.push(`${time} usb ${i % 9}-${i % 4}: new high-speed USB device number ${i} using xhci_hcd`);
  }
  return lines.length === 0 ? "" : `${lines.join("\n")}\n`;
}

/**
 * The sample with its log and a capture kernel's from three sources. The second has every third line, the third the capture
 * kernel's; two lines differ.
 */
export function joinedReport(log: string, hostile = false): Report {
  const report = sampleReport(log, hostile);
  const word = (text: string): string => (hostile ? `${text} ${HOSTILE}` : text);
  const crashed = log.split("\n").slice(0, -1);
  const timeline: TimelineReport[] = crashed.map((line, i) => {
    const [, time, text] = /^\[ *(\d+\.\d+)\] (.*)$/s.exec(line) ?? [];
    const sources = i % 3 === 0 ? [0, 1] : [0];
    const lines = i % 3 === 0 ? [i + 1, i / 3 + 1] : [i + 1];
    return { boot: 0, time: Number(time), caller: "T1", level: text!.includes("BUG:") ? 1 : 6, text: text!, sources, lines };
  });
  const capture = ["Linux version 6.1.0-capture", word("kdump.sh: mount /dev/sda1 failed")];
  for (const [i, text] of capture.entries())
    timeline.push({ boot: 1, time: i === 0 ? 0 : null, caller: null, level: null, text, sources: [2], lines: [i + 1] });
  const boot = { build: "#1 SMP", buildId: null, started: "2026-11-21T00:09:18Z", firstTime: 0, lastTime: 9.5 };
  return {
    ...report,
    incident: {
      boots: [
        { ...boot, role: "crashed", release: "6.1.0-test", bootId: word("0123456789abcdef"), commandLine: word("console=ttyS0") },
        { ...boot, role: "capture", release: "6.1.0-capture", bootId: null, commandLine: "elfcorehdr=1" },
      ],
      sources: [
        { kind: "memory", source: "memory (ringbuffer)", boots: [0], joined: "the crash is in it", lines: crashed.length, only: 1 },
        { kind: "log file", source: word("/var/log/console.log"), boots: [0], joined: word("9 lines in common"), lines: 1, only: 0 },
        { kind: "record", source: word("console-ramoops-0 in /dev/mem"), boots: [1], joined: "it follows the crash", lines: 2, only: 2 },
      ],
      log: 0,
      conflicts: [0, 3].map((line) => ({
        line,
        boot: 0,
        time: timeline[line]!.time,
        readings: [
          { text: timeline[line]!.text, sources: [0] },
          { text: word(`other reading ${line}`), sources: [1] },
        ],
      })),
      conflictsLeft: 0,
      others: [
        {
          source: word("/var/log/old.log"),
          firstLine: 1,
          lastLine: 900,
          release: word("5.10.0"),
          bootId: null,
          started: "2026-11-20T00:00:00Z",
          reason: "of Linux 5.10.0",
        },
      ],
    },
    timeline,
  };
}
