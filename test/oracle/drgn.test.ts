/**
 * The report of a dump, with no debug info, against what drgn says of it with the matching vmlinux: tasks, states, CPUs,
 * call traces, modules and log. What differs is in {@link KNOWN}, with its reason, or fails.
 *
 * Runs on the samples of the repository, on the project's evidence folder where it is, and on the folders in
 * LASTWORDS_LAB_DUMPS (each with vmcore and drgn.json) where that is set.
 */
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { describe, expect, test } from "vitest";
import { collectEvidence } from "../../src/evidence/index.ts";
import { Kernel } from "../../src/kernel/index.ts";
import { buildReport, type FrameReport, type Report } from "../../src/report/index.ts";

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
}

const SAMPLES = "samples";
const EVIDENCE = "../shared/evidence";

function folders(root: string | undefined): Case[] {
  if (root === undefined || !existsSync(root)) return [];
  return readdirSync(root)
    .map((name) => ({ name: `${basename(root)}/${name}`, vmcore: join(root, name, "vmcore"), oracle: join(root, name, "drgn.json") }))
    .filter((dump) => existsSync(dump.vmcore) && existsSync(dump.oracle));
}

const samples: Case[] = readdirSync(SAMPLES)
  .filter((file) => file.endsWith(".vmcore"))
  .map((file) => ({
    name: `samples/${file}`,
    vmcore: join(SAMPLES, file),
    oracle: join(SAMPLES, file.replace(/\.vmcore$/, ".drgn.json")),
  }));

/**
 * Where drgn is right to differ, by task name and reason. `mine` and `theirs` are whole traces' comparisons; each entry
 * must be used by a dump that it names, or the test fails: a difference that went away should leave this list, too.
 */
const KNOWN: readonly {
  readonly dump: RegExp;
  readonly task: RegExp;
  readonly reason: string;
  readonly fits: (mine: string[], theirs: string[]) => boolean;
}[] = [
  {
    dump: /debian-5\.10-nmi|debian-7\.2-irq|lab|dumps/,
    task: /./,
    reason:
      "drgn had no debug info of Debian's modules and shows the bare address of a frame in a module; we name it from the module's own symbols",
    fits: (mine, theirs) =>
      mine.length === theirs.length && mine.every((name, i) => name === theirs[i] || theirs[i]!.startsWith("0xffffffffc0")),
  },
  {
    dump: /debian-5\.10-nmi|debian-7\.2-irq|lab|dumps/,
    task: /^sh$/,
    reason: "a zombie's stack is freed: drgn unwinds what is left in it, we say that there is none",
    fits: (mine, theirs) => mine.length === 0 && theirs.length > 0,
  },
  {
    dump: /qemu/,
    task: /./,
    reason: "in a dump of a running machine drgn goes on past user mode into user memory by frame pointer",
    fits: (mine, theirs) => theirs.length === mine.length + 1 && mine.every((name, i) => name === theirs[i]),
  },
];

/** Labels inside assembly functions: kallsyms (and so the kernel's own traces) has them, drgn names the ELF function. */
const INNER_LABELS: Readonly<Record<string, string>> = {
  entry_SYSCALL_64_after_hwframe: "entry_SYSCALL_64",
  secondary_startup_64_no_verify: "secondary_startup_64",
  common_startup_64: "secondary_startup_64",
};

/** One name for what has two: inner labels, and the compiler's parts of a function (`.isra.0`, `.cold`), which DWARF calls by the function's name. */
function normalise(name: string): string {
  return (INNER_LABELS[name] ?? name).replace(/(\.(isra|constprop|part|cold|llvm)(\.\d+)?)+$/, "");
}

/** A user frame has no name; drgn shows its address. */
function mineOf(frames: readonly FrameReport[]): string[] {
  return frames.map((frame) => (frame.symbol === null ? `0x${BigInt(frame.address).toString(16)}` : normalise(frame.symbol)));
}

function theirsOf(frames: readonly OracleFrame[] | undefined): string[] {
  return (frames ?? []).filter((frame) => !frame.inline).map((frame) => normalise(frame.name));
}

async function reportOf(path: string): Promise<Report> {
  const evidence = await collectEvidence([path], {});
  try {
    return buildReport({ evidence, kernel: new Kernel(evidence.dump!.dump), kernelFailure: undefined, version: "test" });
  } finally {
    evidence.dump!.dump.close();
  }
}

/** Compares all traces of a dump; answers how many frames agree, and the traces that do not. */
function compareTraces(dump: Case, report: Report, oracle: Oracle): { frames: number; equal: number; unexplained: string[] } {
  let frames = 0;
  let equal = 0;
  const unexplained: string[] = [];
  const compare = (what: string, comm: string, mine: string[], theirs: string[]): void => {
    frames += theirs.length;
    const same = mine.filter((name, i) => name === theirs[i]).length;
    equal += same;
    if (mine.length === theirs.length && same === mine.length) return;
    if (KNOWN.some((known) => known.dump.test(dump.name) && known.task.test(comm) && known.fits(mine, theirs))) {
      equal += theirs.length - same;
      return;
    }
    unexplained.push(`${what} (${comm})\n  ours  ${mine.join(" ")}\n  drgn  ${theirs.join(" ")}`);
  };
  for (const theirs of oracle.tasks) {
    const task = report.tasks.find((t) => t.pid === theirs.pid);
    compare(`task ${theirs.pid}`, theirs.comm, mineOf(task?.frames ?? []), theirsOf(theirs.frames));
  }
  for (const theirs of oracle.cpus) {
    const cpu = report.cpus.find((c) => c.cpu === theirs.cpu);
    compare(`CPU ${theirs.cpu}`, theirs.comm, mineOf(cpu?.frames ?? []), theirsOf(theirs.frames));
  }
  return { frames, equal, unexplained };
}

function suite(cases: readonly Case[]): void {
  describe.each(cases)("$name", (dump) => {
    const oracle = JSON.parse(readFileSync(dump.oracle, "utf8")) as Oracle;
    const report = reportOf(dump.vmcore);

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
      const { frames, equal, unexplained } = compareTraces(dump, await report, oracle);
      expect(frames).toBeGreaterThan(100);
      expect(unexplained, `${equal} of ${frames} frames are equal`).toEqual([]);
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
  suite(samples);
});

describe.skipIf(!existsSync(EVIDENCE))("the evidence folder (skipped where it is not beside the repository)", () => {
  suite(folders(EVIDENCE));
});

describe.skipIf(process.env["LASTWORDS_LAB_DUMPS"] === undefined)(
  "dumps of the lab (skipped unless LASTWORDS_LAB_DUMPS names their folder)",
  () => {
    suite(folders(process.env["LASTWORDS_LAB_DUMPS"]));
  },
);

test("every known difference is still there", async () => {
  const used = new Set<string>();
  for (const dump of samples) {
    const oracle = JSON.parse(readFileSync(dump.oracle, "utf8")) as Oracle;
    const report = await reportOf(dump.vmcore);
    for (const theirs of oracle.tasks) {
      const mine = mineOf(report.tasks.find((t) => t.pid === theirs.pid)?.frames ?? []);
      const expected = theirsOf(theirs.frames);
      if (mine.join() === expected.join()) continue;
      for (const known of KNOWN)
        if (known.dump.test(dump.name) && known.task.test(theirs.comm) && known.fits(mine, expected)) used.add(known.reason);
    }
  }
  // The one about QEMU needs a dump that is too large to keep here.
  const expected = KNOWN.filter((known) => !known.dump.test("qemu") || known.dump.test("debian-7.2-irq")).map((known) => known.reason);
  expect([...used].sort()).toEqual(expected.sort());
});
