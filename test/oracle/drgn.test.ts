/**
 * The report of a dump, with no debug info, against what drgn says of it with the matching vmlinux: tasks, states, CPUs,
 * call traces, modules and log; where crash was asked, too, against its `ps` and `bt -a`. What differs is in {@link KNOWN} or
 * {@link INNER_LABELS}, with its reason, or fails; and an entry of those that no dump needs fails as well.
 *
 * Runs on the samples of the repository, on the project's evidence folder where it is, and on the folders in
 * LASTWORDS_LAB_DUMPS (each with vmcore and drgn.json) where that is set.
 */
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { collectEvidence } from "../../src/evidence/index.ts";
import { Kernel } from "../../src/kernel/index.ts";
import { buildReport, type FrameReport, type Report, type TaskReport } from "../../src/report/index.ts";

interface OracleFrame {
  readonly name: string;
  readonly inline?: boolean;
}

interface Oracle {
  readonly uts: string;
  readonly dmesg_sha256: string;
  readonly dmesg_lines: number;
  readonly modules: readonly string[];
  readonly crashed: { readonly pid: number; readonly comm: string };
  readonly cpus: readonly { readonly cpu: number; readonly pid: number; readonly comm: string; readonly frames?: readonly OracleFrame[] }[];
  readonly tasks: readonly {
    readonly pid: number;
    readonly comm: string;
    readonly state: string;
    readonly cpu: number;
    readonly frames?: readonly OracleFrame[];
  }[];
}

interface Case {
  readonly name: string;
  readonly vmcore: string;
  readonly oracle: string;
  /** Output of crash's `bt -a` and `ps`. */
  readonly crash?: string;
}

const SAMPLES = "samples";
const EVIDENCE = "../shared/evidence";

/** Folders with a vmcore and what drgn says of it. `label` stands for `root` in names, wherever that is. */
function folders(root: string | undefined, label: string): Case[] {
  if (root === undefined || !existsSync(root)) return [];
  return readdirSync(root)
    .map((name) => ({
      name: `${label}/${name}`,
      // QEMU's own dumps keep the name of their format.
      vmcore: ["vmcore", "vmcore.kdump-zlib"].map((file) => join(root, name, file)).find((path) => existsSync(path)) ?? "",
      oracle: join(root, name, "drgn.json"),
      crash: join(root, name, "crash.txt"),
    }))
    .filter((dump) => dump.vmcore !== "" && existsSync(dump.oracle));
}

const samples: Case[] = (existsSync(SAMPLES) ? readdirSync(SAMPLES) : [])
  .filter((file) => file.endsWith(".vmcore"))
  .map((file) => ({
    name: `samples/${file}`,
    vmcore: join(SAMPLES, file),
    oracle: join(SAMPLES, file.replace(/\.vmcore$/, ".drgn.json")),
  }))
  .filter((dump) => existsSync(dump.oracle));
const evidence = folders(EVIDENCE, "evidence");
const lab = folders(process.env["LASTWORDS_LAB_DUMPS"], "lab");
const all = [...samples, ...evidence, ...lab];

/** A trace in which the two differ, ours in full and both as lists of names. */
interface Difference {
  /** Undefined for an idle task, which is in no task list. */
  readonly task: TaskReport | undefined;
  readonly frames: readonly FrameReport[];
  readonly mine: readonly string[];
  readonly theirs: readonly string[];
}

/** Where drgn is right to differ, or has less to go by. Looked at in turn for each trace that differs, as a whole. */
const KNOWN: readonly { readonly dump: RegExp; readonly reason: string; readonly fits: (difference: Difference) => boolean }[] = [
  {
    dump: /debian-5\.10-nmi|debian-7\.2-irq|lab\//,
    reason:
      "drgn had no debug info of Debian's modules and shows the bare address of a frame in a module; we name it from the module's own symbols",
    fits: ({ frames, mine, theirs }) =>
      mine.length === theirs.length &&
      mine.every((name, i) => name === theirs[i] || (frames[i]!.module !== null && theirs[i] === bare(frames[i]!))),
  },
  {
    dump: /debian-5\.10-nmi|debian-7\.2-irq|lab\//,
    reason: "a zombie's stack is freed: drgn unwinds what is left in it, we say that there is none",
    fits: ({ task, mine, theirs }) => task?.state === "Z" && task.end === "no-stack" && mine.length === 0 && theirs.length > 0,
  },
  {
    dump: /lab\/qemu/,
    reason: "in a dump of a running machine drgn goes on past user mode into user memory by frame pointer",
    fits: ({ frames, mine, theirs }) =>
      frames.at(-1)?.user === true && theirs.length > mine.length && mine.every((name, i) => name === theirs[i]),
  },
];

/** Labels inside assembly functions: kallsyms (and so the kernel's own traces) has them, drgn names the ELF function. */
const INNER_LABELS: Readonly<Record<string, string>> = {
  entry_SYSCALL_64_after_hwframe: "entry_SYSCALL_64",
  secondary_startup_64_no_verify: "secondary_startup_64",
  common_startup_64: "secondary_startup_64",
};

const usedLabels = new Set<string>();

/** One name for what has two: inner labels, and the compiler's parts of a function (`.isra.0`, `.cold`), which DWARF calls by the function's name. */
function normalise(name: string): string {
  if (name in INNER_LABELS) usedLabels.add(name);
  return (INNER_LABELS[name] ?? name).replace(/(\.(isra|constprop|part|cold|llvm)(\.\d+)?)+$/, "");
}

/** A frame as drgn shows one without a name. */
function bare(frame: FrameReport): string {
  return `0x${BigInt(frame.address ?? 0).toString(16)}`;
}

/** A user frame has no name; drgn shows its address. */
function mineOf(frames: readonly FrameReport[]): string[] {
  return frames.map((frame) => (frame.symbol === null ? bare(frame) : normalise(frame.symbol)));
}

function theirsOf(frames: readonly OracleFrame[] | undefined): string[] {
  return (frames ?? []).filter((frame) => !frame.inline).map((frame) => normalise(frame.name));
}

const reports = new Map<string, Promise<Report>>();

/** Each dump is read once, whichever test asks first. */
function reportOf(dump: Case): Promise<Report> {
  let report = reports.get(dump.vmcore);
  if (!report) reports.set(dump.vmcore, (report = readReport(dump.vmcore)));
  return report;
}

async function readReport(path: string): Promise<Report> {
  const found = await collectEvidence([path], {});
  try {
    return buildReport({ evidence: found, kernel: new Kernel(found.dump!.dump), kernelFailure: undefined, version: "test" });
  } finally {
    found.dump!.dump.close();
  }
}

function oracleOf(dump: Case): Oracle {
  return JSON.parse(readFileSync(dump.oracle, "utf8")) as Oracle;
}

/** How the traces of a dump compare. */
interface Comparison {
  /** Frames that drgn has, those that are equal, and those that {@link KNOWN} explains. */
  readonly frames: number;
  readonly equal: number;
  readonly explained: number;
  readonly unexplained: readonly string[];
  /** Reasons in {@link KNOWN} that were needed. */
  readonly used: ReadonlySet<string>;
}

function compareTraces(dump: Case, report: Report, oracle: Oracle): Comparison {
  let frames = 0;
  let equal = 0;
  let explained = 0;
  const unexplained: string[] = [];
  const used = new Set<string>();
  const compare = (
    what: string,
    task: TaskReport | undefined,
    own: readonly FrameReport[],
    oracleFrames: Oracle["tasks"][0]["frames"],
  ): void => {
    const difference: Difference = { task, frames: own, mine: mineOf(own), theirs: theirsOf(oracleFrames) };
    const { mine, theirs } = difference;
    const same = theirs.filter((name, i) => name === mine[i]).length;
    const known =
      mine.length === theirs.length && same === mine.length
        ? undefined
        : KNOWN.find((entry) => entry.dump.test(dump.name) && entry.fits(difference));
    // What drgn makes of a freed stack, or of user memory, are no frames.
    frames += known ? mine.length : theirs.length;
    equal += same;
    if (known) {
      explained += mine.length - same;
      used.add(known.reason);
    } else if (mine.length !== theirs.length || same !== mine.length)
      unexplained.push(`${what}\n  ours  ${mine.join(" ")}\n  drgn  ${theirs.join(" ")}`);
  };
  for (const theirs of oracle.tasks) {
    const task = report.tasks.find((t) => t.pid === theirs.pid);
    compare(`task ${theirs.pid} (${theirs.comm})`, task, task?.frames ?? [], theirs.frames);
  }
  for (const theirs of oracle.cpus) {
    const cpu = report.cpus.find((c) => c.cpu === theirs.cpu);
    const task = report.tasks.find((t) => t.pid === cpu?.task?.pid);
    compare(`CPU ${theirs.cpu} (${theirs.comm})`, task, cpu?.frames ?? [], theirs.frames);
  }
  return { frames, equal, explained, unexplained, used };
}

/** Lines of crash's `ps`, idle tasks left out; its two letters of a state as our one. */
function crashTasks(text: string): unknown[] {
  const letters: Readonly<Record<string, string>> = { RU: "R", IN: "S", ID: "I", UN: "D", ST: "T", TR: "t", ZO: "Z", PA: "P" };
  const lines = text.matchAll(/^(>?) +(\d+) +(\d+) +(\d+) +([0-9a-f]{16}) +(\w\w) +[\d.]+ +\d+ +\d+ +(.*)$/gm);
  return [...lines]
    .map(([, mark, pid, ppid, cpu, address, state, comm]) => ({
      running: mark === ">",
      pid: Number(pid),
      ppid: Number(ppid),
      cpu: Number(cpu),
      address: `0x${address}`,
      state: letters[state!] ?? state,
      // crash writes kernel threads in brackets, as ps does.
      comm: comm!.trim().replace(/^\[(.*)\]$/, "$1"),
      kernelThread: comm!.startsWith("["),
    }))
    .filter(({ pid }) => pid !== 0)
    .sort((a, b) => a.pid - b.pid);
}

/**
 * Traces of crash's `bt -a` by CPU. crash goes on from the registers to where the CPU was when its memory was saved
 * (machine_kexec, or the NMI that stopped it); those frames are dropped here.
 */
function crashTraces(text: string): Map<number, string[]> {
  const traces = new Map<number, string[]>();
  for (const [, cpu, trace] of text.matchAll(/^PID: .* CPU: (\d+) .*\n((?:.+\n)+)/gm)) {
    let names = [...trace!.matchAll(/^ *#\d+ \[\w+\] (\S+) at /gm)].map((match) => normalise(match[1]!));
    if (names[0] === "crash_nmi_callback") names = names.slice(names.findIndex((name) => /^(asm_exc|end_repeat)_nmi$/.test(name)) + 1);
    if (names[0] === "machine_kexec") names.shift();
    traces.set(Number(cpu), names);
  }
  return traces;
}

/** What the run found, for whoever reads its output. */
const figures: string[] = [];
afterAll(() => {
  if (figures.length > 0) process.stdout.write(`\nagainst drgn with a vmlinux\n${figures.join("\n")}\n`);
});

function suite(cases: readonly Case[]): void {
  describe.each(cases)("$name", (dump) => {
    const oracle = oracleOf(dump);
    const report = reportOf(dump);

    test("the same tasks", async () => {
      const mine = (await report).tasks.map(({ pid, comm, state, cpu }) => ({ pid, comm, state, cpu }));
      const theirs = oracle.tasks.map(({ pid, comm, state, cpu }) => ({ pid, comm, state, cpu })).sort((a, b) => a.pid - b.pid);
      expect(mine).toEqual(theirs);
    });

    test("the same task on each CPU", async () => {
      const mine = (await report).cpus.map(({ cpu, task }) => ({ cpu, pid: task?.pid, comm: task?.comm }));
      expect(mine).toEqual(oracle.cpus.map(({ cpu, pid, comm }) => ({ cpu, pid, comm })));
    });

    test("the same functions in every trace", async () => {
      const { frames, equal, explained, unexplained } = compareTraces(dump, await report, oracle);
      const share = `${equal} of ${frames} frames are equal${explained > 0 ? `, ${explained} differ with a known reason` : ""}`;
      figures.push(`  ${dump.name.padEnd(42)} ${oracle.tasks.length} tasks, ${share}`);
      expect(frames).toBeGreaterThan(100);
      expect(unexplained, share).toEqual([]);
      // A bound of its own, so that no rule in the list swallows traces by the dozen.
      expect(equal / (frames - explained), share).toBeGreaterThanOrEqual(0.99);
      expect(explained / frames, share).toBeLessThan(0.05);
    });

    test("the same log", async () => {
      const { log } = await report;
      expect(log.lines).toBe(oracle.dmesg_lines);
      expect(createHash("sha256").update(log.text, "utf8").digest("hex")).toBe(oracle.dmesg_sha256);
    });

    test("the same modules", async () => {
      expect((await report).modules.map((module) => module.name)).toEqual(oracle.modules);
    });

    test("the same kernel and panicking task", async () => {
      const { kernel, panic, missing } = await report;
      expect(kernel?.release).toBe(oracle.uts);
      if (oracle.crashed.pid !== undefined && oracle.crashed.pid !== null) {
        expect(panic.task).toMatchObject({ pid: oracle.crashed.pid, comm: oracle.crashed.comm });
      }
      expect(missing).toEqual([]);
    });
  });
}

describe("samples", () => {
  if (samples.length > 0) suite(samples);
  else test.skip("skipped: no samples/*.vmcore with its *.drgn.json", () => {});
});

describe("the evidence folder", () => {
  if (evidence.length > 0) suite(evidence);
  else test.skip(`skipped: ${EVIDENCE} is not beside the repository`, () => {});
});

describe("dumps of the lab", () => {
  if (lab.length > 0) suite(lab);
  else test.skip("skipped: LASTWORDS_LAB_DUMPS names no folder of dumps", () => {});
});

describe("crash with its vmlinux", () => {
  const dumps = all.filter((dump) => dump.crash !== undefined && existsSync(dump.crash));
  if (dumps.length === 0) test.skip("skipped: no crash.txt in the evidence folder", () => {});

  test.each(dumps)("ps of $name", async (dump) => {
    const mine = (await reportOf(dump)).tasks.map(({ running, pid, ppid, cpu, address, state, comm, kernelThread }) => ({
      running,
      pid,
      ppid,
      cpu,
      address,
      state,
      comm,
      kernelThread,
    }));
    expect(mine).toEqual(crashTasks(readFileSync(dump.crash!, "utf8")));
  });

  // crash 9.0 goes by the old contents of the stack on newer kernels, and cannot be held against us there.
  test.each(dumps.filter(({ name }) => /6\.1-/.test(name)))("bt -a of $name", async (dump) => {
    const theirs = crashTraces(readFileSync(dump.crash!, "utf8"));
    const { cpus } = await reportOf(dump);
    // crash shows the code of user mode as registers, not as a frame.
    const mine = cpus.map((cpu): [number, string[]] => [cpu.cpu, mineOf(cpu.frames.filter((frame) => !frame.user))]);
    expect(new Map(mine)).toEqual(theirs);
  });
});

test("no known difference and no label is listed that no dump needs", async () => {
  const used = new Set<string>();
  for (const dump of all) {
    for (const reason of compareTraces(dump, await reportOf(dump), oracleOf(dump)).used) used.add(reason);
  }
  const expected = KNOWN.filter((known) => all.some((dump) => known.dump.test(dump.name))).map((known) => known.reason);
  expect([...used].sort()).toEqual(expected.sort());
  if (samples.length > 0) expect([...usedLabels].sort()).toEqual(Object.keys(INNER_LABELS).sort());
});
