/**
 * Speed and memory of whole processes, beside the peers that are installed, as medians of several runs taken in turn.
 */
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, statSync } from "node:fs";
import { cpus, loadavg, tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { writeHugeDump } from "./huge-dump.ts";
import { benchLogs, LOG_LIMITS } from "./log.ts";
import { compare, type Contender, type Figures, memoryMethod } from "./measure.ts";
import { Peers } from "./peers.ts";
import { measureRecord, type RecordFigures } from "./record.ts";
import { benchSave } from "./save.ts";
import { writeDumpWithRegion, writeRegion } from "./region.ts";

const PARTS = ["report", "huge", "save", "pstore", "record", "text"] as const;

const USAGE = `npm run bench -- [--dump PATH]... [--vmlinux PATH] [--chroot DIR] [--runs N] [--no-huge] [--scan PATH] [--save PATH]...
                 [--only PART]... [--json] [--check]

  --dump PATH     a dump to measure; may be given again. Without it, debian-6.1-sysrq of the evidence folder
  --vmlinux PATH  the vmlinux with debug info of those dumps: crash and drgn say nothing without it
  --chroot DIR    a root folder that holds crash, drgn and makedumpfile (with /proc mounted; needs root).
                  Dumps and vmlinux that are not in it are copied there and removed again
  --runs N        runs of each, after one that warms the file cache (5)
  --no-huge       without the dumps of 1 and 16 TiB, which take 512 MiB of the temporary folder
  --scan PATH     an uncompressed ELF dump in a copy of which a ramoops region is searched. Without it, the lab's 6.1-sysrq
  --save PATH     a dump to save, beside makedumpfile; may be given again. Without it, the lab's 6.1-sysrq
  --only PART     ${PARTS.join(", ")}; may be given again
  --json          the figures for programs
  --check         status 1 when a goal is missed
`;

const { values } = parseArgs({
  options: {
    dump: { type: "string", multiple: true },
    vmlinux: { type: "string" },
    chroot: { type: "string" },
    runs: { type: "string", default: "5" },
    "no-huge": { type: "boolean", default: false },
    scan: { type: "string" },
    save: { type: "string", multiple: true },
    only: { type: "string", multiple: true },
    json: { type: "boolean", default: false },
    check: { type: "boolean", default: false },
    help: { type: "boolean", default: false },
  },
});
if (values.help) {
  process.stdout.write(USAGE);
  process.exit(0);
}

/** What we promise, for every dump. */
const LIMITS = {
  seconds: 0.5,
  peakMB: 150,
  readPercent: 10,
  crash: 20,
  drgn: 2,
  regionSeconds: 0.15,
  scanSeconds: 2,
  savePeakMB: 134,
  saveSize: 1.03,
} as const;

interface Goal {
  readonly what: string;
  readonly value: number;
  readonly limit: number;
  readonly unit: string;
  /** True when larger is better. */
  readonly atLeast: boolean;
  readonly met: boolean;
}

/** A line of the output. */
interface Row {
  readonly of: string;
  readonly what: string;
  readonly seconds: number;
  readonly fastest: number;
  readonly slowest: number;
  readonly peakMB: number;
  readonly bytesRead?: number;
  readonly readPercent?: number;
  /** Its time over ours. */
  readonly timesOurs?: number;
}

const runs = Number(values.runs);
if (!Number.isInteger(runs) || runs < 1) throw new Error(`--runs ${values.runs}: give a number from 1`);
const lastwords = [process.execPath, resolve("bin/lastwords.js")];
const goals: Goal[] = [];
const rows: Row[] = [];
const absent: string[] = [];

function print(text: string): void {
  if (!values.json) process.stdout.write(`${text}\n`);
}

function goal(what: string, value: number, limit: number, unit: string, atLeast = false): void {
  // NaN, where the figure could not be had, meets nothing.
  goals.push({ what, value, limit, unit, atLeast, met: atLeast ? value >= limit : value <= limit });
}

function row(of: string, what: string, figures: Figures, more: Pick<Row, "bytesRead" | "readPercent" | "timesOurs"> = {}): Row {
  const { seconds, fastest, slowest, peakBytes } = figures;
  const line: Row = { of, what, seconds, fastest, slowest, peakMB: peakBytes / 1e6, ...more };
  rows.push(line);
  const remarks = [
    more.readPercent === undefined ? "" : `reads ${(more.bytesRead! / 1e6).toFixed(1)} MB, ${more.readPercent.toFixed(1)} % of the file`,
    more.timesOurs === undefined ? "" : `${more.timesOurs.toFixed(1)} times our time`,
  ].filter((remark) => remark !== "");
  print(
    `  ${what.padEnd(40)} ${seconds.toFixed(3).padStart(7)} s  ${`(${fastest.toFixed(2)}-${slowest.toFixed(2)})`.padEnd(13)}` +
      `${line.peakMB.toFixed(0).padStart(5)} MB  ${remarks.join(", ")}`.trimEnd(),
  );
  return line;
}

/** Our own figures, without which there is nothing to compare. */
function own(results: Map<string, Figures | Error>): Figures {
  const figures = results.get("lastwords")!;
  if (figures instanceof Error) throw figures;
  return figures;
}

/** The row of a peer, or why there is none. */
function peerRow(of: string, what: string, results: Map<string, Figures | Error>, name: string, ours: Figures): Row | undefined {
  const figures = results.get(name);
  if (figures === undefined) return undefined;
  if (figures instanceof Error) {
    absent.push(`${name} failed: ${figures.message}`);
    print(`  ${what.padEnd(40)} failed: ${figures.message}`);
    return undefined;
  }
  return row(of, what, figures, { timesOurs: figures.seconds / ours.seconds });
}

async function benchDump(dump: string, peers: Peers): Promise<void> {
  const size = statSync(dump).size;
  print(`\n${dump}, ${(size / 1e6).toFixed(0)} MB`);
  // Status 3 is a report with a part missing: still a report.
  const report: Contender = { name: "lastwords", command: [...lastwords, "report", "--json", "--stats", dump], good: [0, 3] };
  const vmlinux = values.vmlinux;
  const present = (list: readonly (Contender | undefined)[]): Contender[] => list.filter((contender) => contender !== undefined);
  const rivals = vmlinux === undefined ? [] : present([peers.crash(dump, vmlinux), peers.drgn(dump, vmlinux)]);
  const results = await compare([report, ...rivals], runs);
  const ours = own(results);
  const bytesRead = Number(/^stats: read .*\((\d+) bytes\)/m.exec(ours.stderr)?.[1]);
  const line = row(dump, "lastwords report --json", ours, { bytesRead, readPercent: (bytesRead / size) * 100 });
  goal(`${dump}: whole process`, line.seconds, LIMITS.seconds, "s");
  goal(`${dump}: peak memory`, line.peakMB, LIMITS.peakMB, "MB");
  goal(`${dump}: share of the file read`, line.readPercent!, LIMITS.readPercent, "%");
  const crash = peerRow(dump, "crash bt -a; ps; log (vmlinux)", results, "crash", ours);
  if (crash) goal(`${dump}: crash takes longer`, crash.timesOurs!, LIMITS.crash, "x", true);
  const drgn = peerRow(dump, "drgn, all stacks (vmlinux)", results, "drgn", ours);
  if (drgn) goal(`${dump}: drgn takes longer`, drgn.timesOurs!, LIMITS.drgn, "x", true);

  const logs = await compare(
    present([{ name: "lastwords", command: [...lastwords, "dmesg", dump], good: [0, 3] }, peers.makedumpfile(dump)]),
    runs,
  );
  row(dump, "lastwords dmesg", own(logs));
  peerRow(dump, "makedumpfile --dump-dmesg", logs, "makedumpfile", own(logs));
}

/** Saving a dump, beside makedumpfile at the same work. */
async function benchSaving(dump: string, peers: Peers): Promise<void> {
  print(`\nsave of ${dump}, ${(statSync(dump).size / 1e6).toFixed(0)} MB`);
  for (const { what, figures, size, timesOurs, sizesOurs, goal: least } of await benchSave(lastwords, dump, peers, runs, (text) =>
    absent.push(text),
  )) {
    row(dump, what, figures, timesOurs === undefined ? {} : { timesOurs });
    print(`${" ".repeat(44)}${(size / 1e6).toFixed(1)} MB${sizesOurs === undefined ? "" : `, ${sizesOurs.toFixed(3)} times our size`}`);
    if (timesOurs === undefined) goal(`${dump}: ${what.trim()}: peak memory`, figures.peakBytes / 1e6, LIMITS.savePeakMB, "MB");
    if (least !== undefined) {
      goal(`${dump}: ${what} takes longer`, timesOurs!, least, "x", true);
      goal(`${dump}: ${what}: our size to its`, 1 / sizesOurs!, LIMITS.saveSize, "x");
    }
  }
}

async function benchHuge(tebibytes: number): Promise<void> {
  await inFolder(async (folder) => {
    const path = join(folder, "vmcore");
    const last = writeHugeDump(path, tebibytes);
    const name = `a machine of ${tebibytes} TiB`;
    print(`\n${name} (kdump-compressed, two bitmaps of ${tebibytes * 32} MiB)`);
    const commands = {
      "lastwords info": ["info", path],
      "lastwords read, its last page": ["read", path, "--physical", last.toString(16), "--length", "4096"],
    };
    for (const [what, args] of Object.entries(commands)) {
      // Status 3: there is no kernel in it, which is said and is right.
      const results = await compare([{ name: "lastwords", command: [...lastwords, ...args], good: [0, 3] }], runs);
      const line = row(name, what, own(results));
      goal(`${name}, ${what.slice(10)}: peak memory`, line.peakMB, LIMITS.peakMB, "MB");
    }
  });
}

/** Runs `what` with a folder of its own, which is removed whatever happens. */
async function inFolder(what: (folder: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "lastwords-bench-"));
  const remove = (): void => rmSync(folder, { recursive: true, force: true });
  process.on("exit", remove);
  try {
    await what(folder);
  } finally {
    remove();
    process.off("exit", remove);
  }
}

async function benchPstore(dump: string | undefined): Promise<void> {
  await inFolder(async (folder) => {
    const region = join(folder, "region");
    writeRegion(region);
    const name = "a ramoops region of 1 MiB with ECC";
    print(`\n${name}`);
    for (const action of ["ls", "cat"]) {
      const results = await compare([{ name: "lastwords", command: [...lastwords, "pstore", action, region] }], runs);
      const line = row(name, `lastwords pstore ${action}`, own(results));
      goal(`${name}, pstore ${action}: whole process`, line.seconds, LIMITS.regionSeconds, "s");
      goal(`${name}, pstore ${action}: peak memory`, line.peakMB, LIMITS.peakMB, "MB");
    }
    if (dump === undefined) {
      absent.push("no dump was searched for a region: no --scan");
      return;
    }
    const copy = join(folder, "vmcore");
    const address = writeDumpWithRegion(dump, copy);
    if (address === undefined) throw new Error(`${dump} is no 64-bit ELF dump`);
    const size = statSync(copy).size;
    print(`\n${dump}, ${(size / 1e6).toFixed(0)} MB, with that region over the last MiB of it, at 0x${address.toString(16)}`);
    const command = [...lastwords, "pstore", "cat", "--record", "console-ramoops-0", copy];
    const line = row(dump, "lastwords pstore cat, searched", own(await compare([{ name: "lastwords", command }], runs)));
    goal(`${dump}: search for a region`, line.seconds, LIMITS.scanSeconds, "s");
    goal(`${dump}: search for a region, peak memory`, line.peakMB, LIMITS.peakMB, "MB");
  });
}

/** Titles out of a log of 1 GB. */
async function benchText(): Promise<void> {
  const log = "../shared/evidence/debian-6.12-oom/console.log";
  if (!existsSync(log)) {
    absent.push(`no long log was read: ${log} is not there`);
    return;
  }
  print(`\n${log}, repeated to 1 GB`);
  for (const { what, megabytesPerSecond, peakMB } of await benchLogs(lastwords, log, 1e9)) {
    print(`  ${what.padEnd(48)} ${megabytesPerSecond.toFixed(0).padStart(5)} MB/s${peakMB === 0 ? "" : `, peak ${peakMB.toFixed(0)} MB`}`);
    goal(`log, ${what}`, megabytesPerSecond, LOG_LIMITS.megabytesPerSecond, "MB/s", true);
    if (peakMB > 0) goal(`log, ${what}: peak memory`, peakMB, LOG_LIMITS.peakMB, "MB");
  }
}

/** The recorder, with what a tty writes at full speed. */
async function benchRecord(): Promise<void> {
  const name = "lastwords record of tty writes into a ring of 256 KiB";
  print(`\n${name}`);
  for (const [ecc, words, megabytes, limit] of [
    [0, "ECC off", 100, 20],
    [1, "ECC on", 30, 5],
  ] as const) {
    const results: RecordFigures[] = [];
    for (let i = 0; i < runs; i++) results.push(await measureRecord(lastwords, ecc, megabytes));
    const median = (of: (figures: RecordFigures) => number): number => results.map(of).sort((a, b) => a - b)[results.length >> 1]!;
    const rate = median((figures) => figures.rate);
    const peak = median((figures) => figures.peakMB);
    const first = median((figures) => figures.firstByteSeconds);
    print(`  ${words.padEnd(8)} ${rate.toFixed(0).padStart(5)} MB/s, peak ${peak.toFixed(1)} MB, first byte after ${first.toFixed(2)} s`);
    goal(`${name}, ${words}`, rate, limit, "MB/s", true);
    goal(`${name}, ${words}: peak memory`, peak, 64, "MB");
    goal(`${name}, ${words}: first byte`, first, 1, "s");
  }
}

// Temporary copies of dumps are large: they go when somebody loses patience, too.
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => process.exit(1));
execFileSync(process.execPath, ["tools/build.ts"], { stdio: ["ignore", values.json ? "ignore" : "inherit", "inherit"] });

const load = loadavg()[0]!;
const machine = { cpus: cpus().length, model: cpus()[0]?.model.trim() ?? "unknown", load, node: process.versions.node };
print(`${machine.cpus} x ${machine.model}, Node ${machine.node}; medians of ${runs} runs taken in turn; memory by ${memoryMethod}`);
if (load > 0.5) print(`other work is running (load ${load.toFixed(1)}): times are noisy, ratios less so`);
const standard = ["../shared/evidence/debian-6.1-sysrq/vmcore", "samples/debian-6.1-sysrq.vmcore"].filter((path) => existsSync(path));
const fromLab = ["../lab/dumps/6.1-sysrq/vmcore"].filter((path) => existsSync(path));
const saved = values.save ?? fromLab;
const peers = new Peers(values.chroot);
process.on("exit", () => peers.close());
const wanted = (part: (typeof PARTS)[number]): boolean => (values.only ?? PARTS).includes(part);
for (const part of values.only ?? [])
  if (!PARTS.some((one) => one === part)) throw new Error(`--only ${part}: there is ${PARTS.join(", ")}`);
if (wanted("report")) for (const dump of values.dump ?? standard.slice(0, 1)) await benchDump(dump, peers);
if (wanted("huge") && !values["no-huge"]) for (const tebibytes of [1, 16]) await benchHuge(tebibytes);
if (wanted("save")) for (const dump of saved) await benchSaving(dump, peers);
if (wanted("save") && saved.length === 0) absent.push("nothing was saved: no --save");
if (wanted("pstore")) await benchPstore(values.scan ?? fromLab[0]);
if (wanted("record")) await benchRecord();
if (wanted("text") && !values["no-huge"]) await benchText();

print("\ngoals");
for (const { met, what, value, limit, unit, atLeast } of goals)
  print(`  ${met ? "met    " : "NOT MET"}  ${what}: ${value.toFixed(2)} ${unit} (${atLeast ? "at least" : "at most"} ${limit})`);
if (values.vmlinux === undefined) absent.push("crash and drgn were not run: no --vmlinux");
for (const reason of absent) print(`  ${reason}`);
if (values.json) process.stdout.write(`${JSON.stringify({ machine, runs, memoryMethod, rows, goals, absent }, undefined, 2)}\n`);
if (values.check && goals.some(({ met }) => !met)) process.exitCode = 1;
