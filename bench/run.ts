/**
 * Speed and memory of whole processes, beside the peers that are installed, as medians of several runs taken in turn.
 *
 *     npm run bench -- [--dump PATH]... [--vmlinux PATH] [--chroot DIR] [--runs N] [--json] [--check]
 *
 * Dumps: those given, else `debian-6.1-sysrq/vmcore` of the evidence folder. Peers (crash, drgn, makedumpfile) are taken from
 * PATH, or from DIR, a root folder with newer ones; crash and drgn need the vmlinux with debug info. Wall time and peak
 * memory come from GNU time (Debian package `time`). With --check a missed goal ends with status 1.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { copyFileSync, existsSync, ftruncateSync, mkdtempSync, openSync, rmSync, statSync, writeSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { basename, join, resolve } from "node:path";
import { parseArgs } from "node:util";

const { values } = parseArgs({
  options: {
    dump: { type: "string", multiple: true },
    vmlinux: { type: "string" },
    chroot: { type: "string" },
    runs: { type: "string", default: "5" },
    json: { type: "boolean", default: false },
    check: { type: "boolean", default: false },
  },
});

/** One measured run. */
interface Run {
  readonly seconds: number;
  readonly rssMiB: number;
  readonly stderr: string;
}

interface Goal {
  readonly what: string;
  readonly value: number;
  readonly limit: number;
  readonly unit: string;
  /** True when larger is better. */
  readonly atLeast: boolean;
}

const goals: Goal[] = [];
const runs = Math.max(1, Number(values.runs));
const lastwords = [process.execPath, resolve("bin/lastwords.js")];
const TIME = "/usr/bin/time";

function measure(command: readonly string[]): Run {
  const result = spawnSync(TIME, ["-f", "\n@@ %e %M %x", ...command], {
    encoding: "utf8",
    maxBuffer: 1 << 30,
    stdio: ["ignore", "ignore", "pipe"],
  });
  const match = /@@ ([\d.]+) (\d+) (\d+)\s*$/.exec(result.stderr);
  if (!match) throw new Error(`${command.join(" ")}: no measurement\n${result.stderr.slice(-500)}`);
  if (![0, 3].includes(Number(match[3]))) throw new Error(`${command.join(" ")} ended with ${match[3]}\n${result.stderr.slice(-500)}`);
  return { seconds: Number(match[1]), rssMiB: Number(match[2]) / 1024, stderr: result.stderr };
}

function median(numbers: readonly number[]): number {
  const sorted = [...numbers].sort((a, b) => a - b);
  return sorted[sorted.length >> 1]!;
}

/** Runs the commands in turn, A B A B …, after one round that warms the file cache. */
function compare(commands: Readonly<Record<string, readonly string[]>>): Record<string, { seconds: number; rssMiB: number; last: Run }> {
  const all: Record<string, Run[]> = {};
  for (let round = 0; round <= runs; round++) {
    for (const [name, command] of Object.entries(commands)) {
      const run = measure(command);
      if (round > 0) (all[name] ??= []).push(run);
    }
  }
  return Object.fromEntries(
    Object.entries(all).map(([name, list]) => [
      name,
      { seconds: median(list.map((r) => r.seconds)), rssMiB: Math.max(...list.map((r) => r.rssMiB)), last: list.at(-1)! },
    ]),
  );
}

function peerCommand(name: string, args: readonly string[]): readonly string[] | undefined {
  if (values.chroot !== undefined) {
    return existsSync(join(values.chroot, "usr/bin", name)) || existsSync(join(values.chroot, "usr/sbin", name))
      ? ["chroot", values.chroot, name, ...args]
      : undefined;
  }
  const found = spawnSync("sh", ["-c", `command -v ${name}`], { encoding: "utf8" }).stdout.trim();
  return found === "" ? undefined : [found, ...args];
}

const DRGN_ALL_STACKS = `
import sys, drgn
from drgn.helpers.linux.pid import for_each_task
p = drgn.Program(); p.set_core_dump(sys.argv[1]); p.load_debug_info([sys.argv[2]])
for t in for_each_task(p):
    try: str(p.stack_trace(t))
    except Exception: pass
`;

/** Puts a file where the peers see it: in their root folder. A hard link would keep the path from our tree; a bind is not ours to make. */
function visible(path: string, temporary: string[]): string {
  if (values.chroot === undefined) return resolve(path);
  const inside = join("/tmp", `bench-${basename(path)}-${statSync(path).size}`);
  const target = join(values.chroot, inside);
  if (!existsSync(target)) {
    copyFileSync(path, target);
    temporary.push(target);
  }
  return inside;
}

function benchDump(dump: string): void {
  const temporary: string[] = [];
  try {
    const size = statSync(dump).size;
    const commands: Record<string, readonly string[]> = { lastwords: [...lastwords, "report", "--json", "--stats", dump] };
    const dmesg: Record<string, readonly string[]> = { lastwords: [...lastwords, "dmesg", dump] };
    if (values.vmlinux !== undefined) {
      const core = visible(dump, temporary);
      const vmlinux = visible(values.vmlinux, temporary);
      const script = join(values.chroot ?? "", "/tmp/lastwords-bench-crash");
      const python = join(values.chroot ?? "", "/tmp/lastwords-bench-drgn.py");
      for (const [path, text] of [
        [script, "bt -a\nps\nlog\nquit\n"],
        [python, DRGN_ALL_STACKS],
      ] as const) {
        const fd = openSync(path, "w");
        writeSync(fd, text);
        temporary.push(path);
      }
      const crash = peerCommand("crash", ["-s", "-i", "/tmp/lastwords-bench-crash", vmlinux, core]);
      const drgn = peerCommand("python3", ["/tmp/lastwords-bench-drgn.py", core, vmlinux]);
      if (crash) commands["crash"] = crash;
      if (drgn) commands["drgn"] = drgn;
    }
    const makedumpfile = peerCommand("makedumpfile", ["--dump-dmesg", "-f", visible(dump, temporary), "/tmp/lastwords-bench-dmesg"]);
    if (makedumpfile) dmesg["makedumpfile"] = makedumpfile;

    print(`\n${dump}, ${(size / 1e6).toFixed(0)} MB`);
    const report = compare(commands);
    const own = report["lastwords"]!;
    const read = /share of the file\s+([\d.]+) %/.exec(own.last.stderr)?.[1];
    row("report --json (all tasks, traces, log)", own.seconds, own.rssMiB, `reads ${read} % of the file`);
    goals.push({ what: `${dump}: whole process`, value: own.seconds, limit: 0.5, unit: "s", atLeast: false });
    goals.push({ what: `${dump}: peak memory`, value: own.rssMiB, limit: 150, unit: "MiB", atLeast: false });
    goals.push({ what: `${dump}: share of the file`, value: Number(read), limit: 10, unit: "%", atLeast: false });
    const names = { crash: ["crash bt -a; ps; log (with vmlinux)", 20], drgn: ["drgn, all stacks (with vmlinux)", 2] } as const;
    for (const peer of ["crash", "drgn"] as const) {
      const figures = report[peer];
      if (!figures) continue;
      row(names[peer][0], figures.seconds, figures.rssMiB, `${(figures.seconds / own.seconds).toFixed(1)} times our time`);
      goals.push({
        what: `${dump}: times faster than ${peer}`,
        value: figures.seconds / own.seconds,
        limit: names[peer][1],
        unit: "x",
        atLeast: true,
      });
    }
    const log = compare(dmesg);
    row("dmesg", log["lastwords"]!.seconds, log["lastwords"]!.rssMiB, "");
    if (log["makedumpfile"])
      row(
        "makedumpfile --dump-dmesg",
        log["makedumpfile"].seconds,
        log["makedumpfile"].rssMiB,
        `${(log["makedumpfile"].seconds / log["lastwords"]!.seconds).toFixed(1)} times our time`,
      );
  } finally {
    for (const path of temporary) rmSync(path, { force: true });
  }
}

/** A sparse kdump file of a machine with that much memory: the bitmaps alone are what a reader must not hold. */
function benchHuge(tebibytes: number): void {
  const folder = mkdtempSync(join(tmpdir(), "lastwords-bench-"));
  const path = join(folder, `huge-${tebibytes}-TiB`);
  try {
    const pages = tebibytes * 2 ** 28;
    const bitmapBytes = pages / 8;
    const head = Buffer.alloc(8192);
    head.write("KDUMP   ", 0, "latin1");
    head.writeInt32LE(6, 8);
    head.write("x86_64", 12 + 260, "latin1");
    head.writeInt32LE(4096, 428);
    head.writeInt32LE(1, 432);
    head.writeUInt32LE((2 * bitmapBytes) / 4096, 436);
    head.writeUInt32LE(Math.min(pages, 0xffffffff), 440);
    head.writeInt32LE(31, 4096 + 8);
    head.writeBigUInt64LE(BigInt(pages), 4096 + 96);
    const fd = openSync(path, "w");
    writeSync(fd, head, 0, head.length, 0);
    // Every page is RAM; the last one is stored, so that its place needs the count of the whole bitmap.
    const ones = Buffer.alloc(1 << 20, 0xff);
    for (let at = 0; at < bitmapBytes; at += ones.length) writeSync(fd, ones, 0, Math.min(ones.length, bitmapBytes - at), 8192 + at);
    const second = 8192 + bitmapBytes;
    writeSync(fd, Buffer.from([0x80]), 0, 1, second + bitmapBytes - 1);
    const descriptor = Buffer.alloc(24);
    const data = second + bitmapBytes + 4096;
    descriptor.writeBigInt64LE(BigInt(data), 0);
    descriptor.writeUInt32LE(4096, 8);
    writeSync(fd, descriptor, 0, 24, second + bitmapBytes);
    ftruncateSync(fd, data + 4096);
    const last = ((pages - 1) * 4096).toString(16);
    const figures = compare({ lastwords: [...lastwords, "read", path, "--physical", last, "--length", "64"] })["lastwords"]!;
    print(`\na machine of ${tebibytes} TiB (kdump, ${(bitmapBytes / 2 ** 20).toFixed(0)} MiB a bitmap)`);
    row("read of its last page", figures.seconds, figures.rssMiB, "");
    goals.push({ what: `${tebibytes} TiB: peak memory`, value: figures.rssMiB, limit: 150, unit: "MiB", atLeast: false });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function row(what: string, seconds: number, rssMiB: number, remark: string): void {
  print(`  ${what.padEnd(42)} ${seconds.toFixed(2).padStart(7)} s ${rssMiB.toFixed(0).padStart(6)} MiB  ${remark}`);
}

function print(text: string): void {
  if (!values.json) process.stdout.write(`${text}\n`);
}

if (!existsSync(TIME)) {
  process.stderr.write("bench: GNU time is missing (Debian package time)\n");
  process.exit(1);
}
execFileSync(process.execPath, ["tools/build.ts"], { stdio: "inherit" });
print(`${cpus().length} x ${cpus()[0]?.model.trim()}, Node ${process.versions.node}, medians of ${runs} runs taken in turn`);
const given =
  values.dump ??
  ["../shared/evidence/debian-6.1-sysrq/vmcore", "samples/debian-6.1-sysrq.vmcore"].filter((path) => existsSync(path)).slice(0, 1);
for (const dump of given) benchDump(dump);
benchHuge(1);
benchHuge(16);

print("\ngoals");
let missed = 0;
for (const goal of goals) {
  const met = goal.atLeast ? goal.value >= goal.limit : goal.value <= goal.limit;
  if (!met) missed++;
  print(
    `  ${met ? "met    " : "NOT MET"} ${goal.what}: ${goal.value.toFixed(2)} ${goal.unit} (${goal.atLeast ? "at least" : "at most"} ${goal.limit})`,
  );
}
if (values.json) process.stdout.write(`${JSON.stringify(goals)}\n`);
if (values.check && missed > 0) process.exitCode = 1;
