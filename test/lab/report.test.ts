import { beforeAll, describe, expect, test, type TestContext } from "vitest";
import type { FactTask } from "../../src/lab/index.ts";
import type { FrameReport } from "../../src/report/model.ts";
import { isSchedulerFunction, kernelLines, parseDeath, type TextFrame } from "./kernel-text.ts";
import { type Outcome, removeScenario, runScenario, type Scenario } from "./scenario.ts";

type Ran = Exclude<Outcome, { skipped: string }>;

const HOLE = { address: 0x600_0000, size: 0x10_0000 };

const SCENARIOS: readonly Scenario[] = [
  {
    series: "6.1",
    way: "sysrq",
    region: HOLE,
    before: [`printf 'kept in the hole' | dd of=/dev/mem bs=4096 seek=${HOLE.address / 4096} conv=notrunc`],
  },
  { series: "6.12", way: "oops" },
  { series: "7.2", way: "softdog" },
  { series: "5.10", way: "nmi" },
  { series: "7.2", way: "sysrq-irq" },
  { series: "6.1", way: "oom" },
  { series: "6.12", way: "hung-task" },
];

describe.each(SCENARIOS)("$series dies of $way", (scenario) => {
  let outcome: Outcome | undefined;
  let checks = 0;
  let passed = 0;

  /** A test of what the crash gave; skipped, with the reason, where this machine has no lab. */
  const check = (name: string, body: (ran: Ran, context: TestContext) => void): void => {
    checks++;
    test(name, (context) => {
      if (outcome === undefined) throw new Error("the scenario did not run");
      if (outcome.skipped !== undefined) context.skip(outcome.skipped);
      else body(outcome, context);
      passed++;
    });
  };

  beforeAll(async () => {
    outcome = await runScenario(scenario);
    // The dump stays for a look when a test fails.
    return async () => {
      if (passed === checks) await removeScenario(scenario);
    };
  });

  check("the dump is complete evidence", ({ exitCode, report }) => {
    expect(exitCode).toBe(0);
    expect(report.missing).toEqual([]);
    expect(report.notes.map((note) => note.name)).toContain("VMCOREINFO");
    expect(report.notes.filter((note) => note.name === "CORE")).toHaveLength(2);
  });

  check("the kernel is the one that ran", ({ capture, report }) => {
    expect(report.kernel?.release).toBe(capture.facts.release);
    expect(report.kernel?.commandLine?.trim()).toBe(capture.facts.cmdline);
    const uptime = report.kernel?.uptimeSeconds ?? -1;
    expect(uptime).toBeGreaterThanOrEqual(Math.floor(capture.facts.uptime));
    expect(uptime).toBeLessThan(capture.facts.uptime + 90);
  });

  check("the reason, CPU and task are the kernel's own", ({ capture, report, way }) => {
    const death = parseDeath(deathText(capture.crashConsole, report.log.text), way.says);
    expect(death.says).toContain(report.panic.message ?? "(no message)");
    expect(report.panic.title).not.toBe("");
    expect({ cpu: report.panic.cpu, pid: report.panic.task?.pid, comm: report.panic.task?.comm }).toEqual({
      cpu: death.cpu,
      pid: death.pid,
      comm: death.comm,
    });
    const onCpu = report.cpus.find((cpu) => cpu.cpu === death.cpu)?.task;
    expect(onCpu).toMatchObject({ pid: death.pid, comm: death.comm });
  });

  check("the backtrace is the one the kernel printed", ({ capture, report, way }) => {
    const death = parseDeath(deathText(capture.crashConsole, report.log.text), way.says);
    const cpu = report.cpus.find((candidate) => candidate.cpu === report.panic.cpu);
    const expected = withoutPanic(death.frames);
    expect(expected.length).toBeGreaterThan(2);
    expect(withoutPanic(named(cpu?.frames ?? []))).toEqual(expected);
  });

  check("the modules are those of /proc/modules, in its order", ({ capture, report }) => {
    expect(report.modules.map((module) => module.name)).toEqual(capture.facts.modules);
  });

  check("the tasks are those of /proc", ({ capture, report }) => {
    const tasks = new Map(report.tasks.map((task) => [task.pid, task]));
    const { facts } = capture;
    const wrong = facts.tasks.filter((fact) => fact.longLived && !sameName(fact, tasks.get(fact.pid)?.comm));
    expect(wrong.map((fact) => [fact.pid, fact.comm, tasks.get(fact.pid)?.comm])).toEqual([]);
    // And nothing made up: what /proc did not have yet is younger, and so has a higher number.
    const known = new Set(facts.tasks.map((fact) => fact.pid));
    const youngest = Math.max(...known);
    const invented = report.tasks.filter((task) => task.pid !== 0 && !known.has(task.pid) && task.pid < youngest);
    expect(invented.map((task) => [task.pid, task.comm])).toEqual([]);
  });

  check("user tasks are in the states the load put them in", ({ capture, report }) => {
    const tasks = new Map(report.tasks.map((task) => [task.pid, task]));
    const load = capture.facts.tasks.filter((fact) => fact.longLived && !fact.kernelThread && fact.pid !== 1);
    expect(new Set(load.map((fact) => fact.state))).toEqual(new Set(["R", "S", "T", "D", "Z"]));
    const states = (state: (fact: FactTask) => string | undefined): unknown[] => load.map((fact) => [fact.pid, fact.comm, state(fact)]);
    expect(states((fact) => tasks.get(fact.pid)?.state)).toEqual(states((fact) => fact.state));
  });

  check("sleeping tasks have the stacks of /proc/PID/stack", ({ capture, report }) => {
    const tasks = new Map(report.tasks.map((task) => [task.pid, task]));
    let same = 0;
    const different: unknown[] = [];
    // Kernel threads wake up now and then; a stack that has moved on between the look and the crash is no error.
    const facts = capture.facts.tasks.filter((fact) => fact.longLived && fact.stack.length > 0 && fact.pid !== 1);
    for (const fact of facts) {
      const wanted = fact.stack.map((frame) => ({ ...frame, module: frame.module ?? null }));
      const shown = new Set(wanted.map((frame) => frame.symbol)); // which functions are __sched differs between kernels
      const frames = named(tasks.get(fact.pid)?.frames ?? []);
      const found = frames.filter((frame) => shown.has(frame.symbol) || !isSchedulerFunction(frame.symbol));
      if (JSON.stringify(found) === JSON.stringify(wanted)) same++;
      else different.push({ pid: fact.pid, comm: fact.comm, user: !fact.kernelThread, found: text(found), wanted: text(wanted) });
    }
    expect(different.filter((entry) => (entry as { user: boolean }).user)).toEqual([]);
    expect(same / facts.length, JSON.stringify(different, null, 1)).toBeGreaterThan(0.9);
  });

  check("every line of the console is in the log", ({ capture, report }) => {
    const log = new Set(report.log.text.split("\n").map((line) => line.trimEnd()));
    const lines = kernelLines(capture.crashConsole).map((line) => line.trimEnd());
    expect(lines.length).toBeGreaterThan(300);
    const absent = lines.filter((line, i) => {
      if (log.has(line)) return false;
      // The console repeats the time stamp on every line of a record that has several, the log has it once.
      const isContinuation = stamp(line) === stamp(lines[i - 1]);
      return !(isContinuation && log.has(line.slice(stamp(line).length + 1)));
    });
    expect(absent).toEqual([]);
  });

  if (scenario.region !== undefined) {
    test("the reserved region came through the crash", (context) => {
      if (outcome === undefined) throw new Error("the scenario did not run");
      if (outcome.skipped !== undefined) return context.skip(outcome.skipped);
      expect(outcome.capture.region).toHaveLength(HOLE.size);
      expect(Buffer.from(outcome.capture.region ?? []).toString("latin1", 0, 16)).toBe("kept in the hole");
    });
  }
});

/** A panic in an NMI never reaches the console; then the log out of the dump is the kernel's text. */
function deathText(console: string, log: string): string {
  return /^\[.*(Kernel panic|BUG: )/m.test(console) ? console : log;
}

function named(frames: readonly FrameReport[]): TextFrame[] {
  const sure = frames.filter((frame) => frame.reliable && !frame.user);
  return sure.map(({ symbol, offset, address, module }) => ({ symbol: symbol ?? address ?? "?", offset: offset ?? 0, module }));
}

/** What lies outward of panic(): the kernel's text begins in dump_stack(), the dump in the jump to the capture kernel. */
function withoutPanic(frames: readonly TextFrame[]): TextFrame[] {
  const last = frames.findLastIndex((frame) => /^(v?panic|nmi_panic)$/.test(frame.symbol));
  return frames.slice(last + 1);
}

/**
 * `/proc` shows more than the task's 15 characters: a kernel thread's full name, and behind a worker's the queue it works for
 * (wq_worker_comm).
 */
function sameName(fact: FactTask, comm: string | undefined): boolean {
  if (comm === undefined || comm === fact.comm) return comm === fact.comm;
  if (!fact.kernelThread || !fact.comm.startsWith(comm)) return false;
  return comm.length === 15 || /^[-+]/.test(fact.comm.slice(comm.length));
}

function text(frames: readonly TextFrame[]): string {
  return frames.map((frame) => `${frame.symbol}+${frame.offset}`).join(" ");
}

/** The time stamp of a line of the kernel, with its brackets. */
function stamp(line: string | undefined): string {
  return line?.slice(0, line.indexOf("]") + 1) ?? "";
}
