import { asVaddr, DumpError, hex16, isDumpError, utf8, type Vaddr } from "../bytes/index.ts";
import type { Kernel } from "./kernel.ts";
import { listEntries } from "./list.ts";
import { type Missing, orMissing } from "./missing.ts";

/** State letters as ps and crash show them; `?` where the state cannot be read. */
export type TaskState = "R" | "S" | "D" | "T" | "t" | "X" | "Z" | "P" | "I" | "?";

export interface Task {
  /** Address of its struct task_struct. */
  readonly address: Vaddr;
  readonly pid: number;
  readonly tgid: number;
  /** Pid of its parent (real_parent's tgid). */
  readonly ppid: number | undefined;
  /** task.comm as UTF-8; control characters are kept. */
  readonly comm: string;
  readonly state: TaskState;
  /** The CPU it runs on or last ran on. */
  readonly cpu: number | undefined;
  /** True for kernel threads (PF_KTHREAD). */
  readonly kernelThread: boolean;
  /** Lowest address of its kernel stack, or undefined when it is freed (zombies) or unreadable. */
  readonly stack: Vaddr | undefined;
  /** thread.sp: where it was switched out. */
  readonly threadSp: Vaddr | undefined;
  /** Nanoseconds since boot when it last got a CPU (sched_info.last_arrival), where the kernel keeps that. */
  readonly lastArrivalNs: bigint | undefined;
}

const TASK_INTERRUPTIBLE = 1;
const STATE_LETTERS = "RSDTtXZPI";
const TASK_REPORT = 0x7f;
const TASK_UNINTERRUPTIBLE = 2;
const TASK_NOLOAD = 0x400;
const TASK_RTLOCK_WAIT = 0x1000;
const TASK_FROZEN = 0x8000;
const PF_KTHREAD = 0x00200000;
const MAX_TASKS = 4_000_000;

/**
 * The state letter of a task (linux:include/linux/sched.h:__task_state_index): the lowest bits say interruptible,
 * uninterruptible, stopped, traced, dead, zombie, parked; idle kernel threads wait without counting as load.
 */
export function stateLetter(state: number, exitState: number): TaskState {
  if ((state & (TASK_UNINTERRUPTIBLE | TASK_NOLOAD)) === (TASK_UNINTERRUPTIBLE | TASK_NOLOAD)) return "I";
  let bits = (state | exitState) & TASK_REPORT;
  if (state & (TASK_RTLOCK_WAIT | TASK_FROZEN)) bits |= TASK_UNINTERRUPTIBLE;
  if (bits === TASK_INTERRUPTIBLE) return "S";
  const index = bits === 0 ? 0 : 32 - Math.clz32(bits);
  return (STATE_LETTERS[index] ?? "?") as TaskState;
}

/** Reads one task. @throws when not even pid and comm can be read. */
export class TaskReader {
  readonly #kernel: Kernel;
  readonly #at: {
    pid: number;
    tgid: number;
    comm: number;
    commSize: number;
    stack: number;
    flags: number;
    realParent: number;
    state: number | undefined;
    exitState: number | undefined;
    cpu: number | undefined;
    sp: number | undefined;
    arrival: number | undefined;
  };

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
    const { types } = kernel;
    const find = (...paths: string[]): number | undefined => types.findAny("task_struct", ...paths)?.offset;
    this.#at = {
      pid: types.offset("task_struct", "pid"),
      tgid: types.offset("task_struct", "tgid"),
      comm: types.offset("task_struct", "comm"),
      commSize: Math.min(64, types.find("task_struct", "comm")?.size || 16),
      stack: types.offset("task_struct", "stack"),
      flags: types.offset("task_struct", "flags"),
      realParent: types.offset("task_struct", "real_parent"),
      // Renamed by linux 2f064a59a11f (v5.14) so that nobody reads it without care.
      state: find("__state", "state"),
      exitState: find("exit_state"),
      // Moved into thread_info by linux bcf9033e5449 (v5.16).
      cpu: find("thread_info.cpu", "cpu"),
      sp: find("thread.sp", "thread.cpu_context.sp"),
      arrival: find("sched_info.last_arrival"),
    };
  }

  read(address: Vaddr): Task {
    const { memory } = this.#kernel;
    const at = this.#at;
    const place = (offset: number): Vaddr => asVaddr(address + BigInt(offset));
    const optional = <T>(offset: number | undefined, get: (where: Vaddr) => T): T | undefined => {
      if (offset === undefined) return undefined;
      try {
        return get(place(offset));
      } catch (error) {
        if (isDumpError(error)) return undefined;
        throw error;
      }
    };
    const state = optional(at.state, (where) => memory.u32(where));
    const exitState = optional(at.exitState, (where) => memory.u32(where));
    const stack = optional(at.stack, (where) => memory.pointer(where));
    const parent = optional(at.realParent, (where) => memory.pointer(where));
    return {
      address,
      pid: memory.s32(place(at.pid)),
      tgid: memory.s32(place(at.tgid)),
      ppid: parent ? optional(0, () => memory.s32(asVaddr(parent + BigInt(at.tgid)))) : undefined,
      comm: utf8(memory.cstring(place(at.comm), at.commSize)),
      state: state === undefined ? "?" : stateLetter(state, exitState ?? 0),
      cpu: optional(at.cpu, (where) => memory.u32(where)),
      kernelThread: ((optional(at.flags, (where) => memory.u32(where)) ?? 0) & PF_KTHREAD) !== 0,
      stack: stack === 0n ? undefined : stack,
      threadSp: optional(at.sp, (where) => memory.pointer(where)),
      lastArrivalNs: optional(at.arrival, (where) => memory.u64(where)),
    };
  }
}

/**
 * All tasks in order of pid, threads included, without the idle tasks: the list of group leaders from init_task, and
 * each group's threads (linux:include/linux/sched/signal.h:for_each_process_thread).
 *
 * @param missing where it is noted what could not be read.
 */
export function readTasks(kernel: Kernel, missing: Missing[] = kernel.missing): Task[] {
  const tasks = new Map<Vaddr, Task>();
  const consequence = "tasks after the break are not listed";
  const reader = orMissing(missing, "task list", "no tasks can be listed", () => new TaskReader(kernel));
  if (!reader) return [];
  orMissing(missing, "task list", consequence, () => {
    const { types, memory } = kernel;
    const init = kernel.requireSymbol("init_task");
    const tasksAt = types.offset("task_struct", "tasks");
    const signalAt = types.offset("task_struct", "signal");
    // thread_node of the group's signal_struct since 3.14; thread_group is gone since 6.7.
    const threadHead = types.offset("signal_struct", "thread_head");
    const threadNode = types.offset("task_struct", "thread_node");
    for (const leader of listEntries(memory, asVaddr(init + BigInt(tasksAt)), tasksAt)) {
      addTask(reader, tasks, missing, leader);
      orMissing(missing, `threads of the task at ${leader.toString(16)}`, consequence, () => {
        const signal = memory.pointer(asVaddr(leader + BigInt(signalAt)));
        if (signal === 0n) return;
        // From the leader's own node both ways to the list's head, which is not read: makedumpfile 1.7.8 takes the pages
        // of 7.2's signal_struct for free ones and leaves them out.
        const head = signal + BigInt(threadHead);
        for (const link of [0n, BigInt(memory.wordSize)]) {
          let node = memory.pointer(asVaddr(leader + BigInt(threadNode) + link));
          for (let count = 0; node !== head; count++) {
            if (node === 0n || count >= MAX_TASKS || node === leader + BigInt(threadNode)) {
              throw new DumpError("CORRUPT", `the thread list of ${hex16(leader)} does not come to its head`, { at: leader });
            }
            const thread = asVaddr(node - BigInt(threadNode));
            // Known already: the list runs in a loop.
            if (tasks.has(thread) || !addTask(reader, tasks, missing, thread)) return;
            node = memory.pointer(asVaddr(node + link));
          }
        }
      });
    }
  });
  return [...tasks.values()].sort((a, b) => a.pid - b.pid || (a.address < b.address ? -1 : 1));
}

/** Reads a task into the map; false where it cannot be read (noted as missing). */
function addTask(reader: TaskReader, tasks: Map<Vaddr, Task>, missing: Missing[], address: Vaddr): boolean {
  if (tasks.has(address)) return true;
  if (tasks.size >= MAX_TASKS) throw new DumpError("LIMIT", `more than ${MAX_TASKS} tasks`);
  const task = orMissing(missing, `task at ${address.toString(16)}`, "it is not listed", () => reader.read(address));
  if (task) tasks.set(address, task);
  return task !== undefined;
}
