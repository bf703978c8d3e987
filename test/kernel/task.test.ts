/** Task lists in a synthetic machine with types of its own. */
import { describe, expect, test } from "vitest";
import { Kernel, readTasks, type Task } from "../../src/kernel/index.ts";
import { stateLetter } from "../../src/kernel/task.ts";
import { Machine } from "../writers/machine.ts";

const TASK = {
  pid: 0,
  tgid: 4,
  comm: 8,
  stack: 24,
  flags: 32,
  real_parent: 40,
  __state: 48,
  exit_state: 52,
  tasks: 64,
  signal: 80,
  thread_node: 88,
};
const TASK_SIZE = 128;
const THREAD_HEAD = 16;

interface Group {
  readonly pid: number;
  readonly threads?: readonly number[];
}

/** A machine whose init_task leads the groups; VMCOREINFO gives all offsets, so that no BTF is needed. */
function machine(
  groups: readonly Group[],
  change: (m: Machine, at: (pid: number) => bigint, signal: (pid: number) => bigint) => void = () => undefined,
): Task[] & { missing: string[] } {
  const m = new Machine();
  m.offsets("task_struct", TASK_SIZE, TASK);
  m.offsets("signal_struct", 64, { thread_head: THREAD_HEAD });
  const addresses = new Map<number, bigint>();
  const signals = new Map<number, bigint>();
  const task = (pid: number, tgid: number): bigint => {
    const address = m.room(TASK_SIZE);
    addresses.set(pid, address);
    m.view.setInt32(m.at(address), pid, true);
    m.view.setInt32(m.at(address) + 4, tgid, true);
    m.memory.set(Buffer.from(`task${pid}\0`), m.at(address) + TASK.comm);
    m.view.setUint32(m.at(address) + TASK.__state, 1, true);
    return address;
  };
  const init = task(0, 0);
  m.symbol("init_task", init);
  const leaders = [init];
  for (const group of [{ pid: 0 }, ...groups] as Group[]) {
    const leader = group.pid === 0 ? init : task(group.pid, group.pid);
    if (group.pid !== 0) leaders.push(leader);
    const signal = m.room(64);
    signals.set(group.pid, signal);
    const members = [leader, ...(group.threads ?? []).map((pid) => task(pid, group.pid))];
    ring(m, [signal + BigInt(THREAD_HEAD), ...members.map((address) => address + BigInt(TASK.thread_node))]);
    for (const member of members) m.u64(m.at(member) + TASK.signal, signal);
  }
  ring(
    m,
    leaders.map((address) => address + BigInt(TASK.tasks)),
  );
  change(
    m,
    (pid) => addresses.get(pid)!,
    (pid) => signals.get(pid)!,
  );
  const kernel = new Kernel(m.dump());
  const tasks = readTasks(kernel);
  return Object.assign(tasks, {
    missing: kernel.missing.filter((entry) => /task/.test(entry.what)).map((entry) => `${entry.code} ${entry.reason}`),
  });
}

/** Links list heads in a circle, next and prev. */
function ring(m: Machine, nodes: readonly bigint[]): void {
  nodes.forEach((node, i) => {
    m.u64(m.at(node), nodes[(i + 1) % nodes.length]!);
    m.u64(m.at(node) + 8, nodes[(i + nodes.length - 1) % nodes.length]!);
  });
}

const pids = (tasks: readonly Task[]): number[] => tasks.map((task) => task.pid);

describe("the task list", () => {
  const groups = [{ pid: 1 }, { pid: 30, threads: [31, 32] }, { pid: 2 }];

  test("leaders and threads, by pid, without the idle task", () => {
    const tasks = machine(groups);
    expect(pids(tasks)).toEqual([1, 2, 30, 31, 32]);
    expect(tasks.map((task) => task.tgid)).toEqual([1, 2, 30, 30, 30]);
    expect(tasks[0]).toMatchObject({ comm: "task1", state: "S" });
    expect(tasks.missing).toEqual([]);
  });

  test("the head of a thread list need not be readable", () => {
    const tasks = machine(groups, (m, at) => {
      // As if the page of signal_struct were left out: nothing there makes sense.
      const signal = m.view.getBigUint64(m.at(at(30)) + TASK.signal, true);
      m.u64(m.at(signal) + THREAD_HEAD, 0xdeadn);
      m.u64(m.at(signal) + THREAD_HEAD + 8, 0xdeadn);
    });
    expect(pids(tasks)).toEqual([1, 2, 30, 31, 32]);
    expect(tasks.missing).toEqual([]);
  });

  test("a leader that is not the first of its threads", () => {
    const tasks = machine([{ pid: 30, threads: [31, 32] }], (m, at, signal) => {
      ring(m, [signal(30) + BigInt(THREAD_HEAD), at(31) + 88n, at(30) + 88n, at(32) + 88n]);
    });
    expect(pids(tasks)).toEqual([30, 31, 32]);
  });

  test("a list that ends in nothing keeps what came before", () => {
    const tasks = machine(groups, (m, at) => m.u64(m.at(at(30)) + TASK.tasks, 0n));
    expect(pids(tasks)).toEqual([1, 30, 31, 32]);
    expect(tasks.missing).toEqual([expect.stringContaining("CORRUPT the list at")]);
  });

  test("a list that runs in a circle past its head ends", () => {
    const tasks = machine(groups, (m, at) => m.u64(m.at(at(2)) + TASK.tasks, at(1) + BigInt(TASK.tasks)));
    expect(pids(tasks)).toEqual([1, 2, 30, 31, 32]);
    expect(tasks.missing).toEqual([expect.stringContaining("loop")]);
  });

  test("threads that run in a circle end", () => {
    expect(pids(machine(groups, (m, at) => m.u64(m.at(at(32)) + TASK.thread_node, at(31) + BigInt(TASK.thread_node))))).toEqual([
      1, 2, 30, 31, 32,
    ]);
  });

  test("a task that cannot be read is missing, the others are there", () => {
    const tasks = machine(groups, (m, at) => m.u64(m.at(at(31)) + TASK.thread_node, 0xdead000000000000n));
    expect(pids(tasks)).toEqual([1, 2, 30, 31]);
    expect(tasks.missing.length).toBe(1);
  });
});

test.each([
  [0, 0, "R"],
  [1, 0, "S"],
  [2, 0, "D"],
  [4, 0, "T"],
  [8, 0, "t"],
  [0x80, 0x10, "X"],
  [0x80, 0x20, "Z"],
  [0x40, 0, "P"],
  [0x402, 0, "I"],
  [0x102, 0, "D"],
  [0x1000, 0, "D"],
  [0x8000, 0, "D"],
  [0x2001, 0, "S"],
] as const)("state %i and exit state %i are %s", (state, exitState, letter) => {
  expect(stateLetter(state, exitState)).toBe(letter);
});
