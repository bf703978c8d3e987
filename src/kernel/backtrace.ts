import { asVaddr, hex, isDumpError, type Vaddr } from "../bytes/index.ts";
import type { Kernel } from "./kernel.ts";
import { registerAddress, type Registers } from "./registers.ts";
import type { Task } from "./task.ts";
import { guessFrames, type RawFrame, unwind, type UnwindEnd, type UnwindStart } from "./unwind.ts";
import { inactiveTaskStart } from "./x86_64.ts";

/** A frame with its name. */
export interface Frame {
  readonly address: Vaddr;
  readonly sp: Vaddr;
  /** Function name; undefined in user mode, and where no symbol covers the address. */
  readonly symbol: string | undefined;
  /** Distance of `address` from the symbol. */
  readonly offset: number | undefined;
  /** Size of the symbol, where known. */
  readonly size: number | undefined;
  readonly module: string | undefined;
  /** False for guesses: found by scanning the stack, or past a gap in the unwind tables. */
  readonly reliable: boolean;
  /** True for the frame in user mode that entered the kernel. */
  readonly user: boolean;
  /** Registers that an exception, interrupt or system call saved here. */
  readonly registers: Registers | undefined;
}

export interface Backtrace {
  readonly frames: readonly Frame[];
  /** How the walk ended; `user` and `end` are complete. */
  readonly end: UnwindEnd | "no-stack" | "no-start";
}

/** THREAD_SIZE of x86-64 without KASAN; init's own stack says where it differs. */
const DEFAULT_THREAD_SIZE = 16384;
/** Guessed frames kept: enough to recognise a path, few enough to read. */
const MAX_GUESSES = 64;

/** Kernel stack size in bytes. */
export function threadSize(kernel: Kernel): number {
  const start = kernel.symbol("__start_init_stack") ?? kernel.symbol("__start_init_task") ?? kernel.symbol("init_stack");
  const end = kernel.symbol("__end_init_stack") ?? kernel.symbol("__end_init_task");
  const size = start !== undefined && end !== undefined ? Number(end - start) : 0;
  return size >= 4096 && size <= 1 << 18 && (size & (size - 1)) === 0 ? size : DEFAULT_THREAD_SIZE;
}

/** Backtrace from a CPU's registers (a PRSTATUS note, or an exception). */
export function backtraceFromRegisters(kernel: Kernel, registers: Registers, task: Task | undefined): Backtrace {
  const start: UnwindStart = {
    ip: registerAddress(registers, "ip"),
    sp: registerAddress(registers, "sp"),
    bp: registerAddress(registers, "bp"),
    exact: true,
    registers,
  };
  // A CPU caught in user mode has no kernel frames: what it ran is the user's.
  if (((registers.get("cs") ?? 0n) & 3n) === 3n) {
    return { frames: [nameFrame(kernel, { ip: start.ip, sp: start.sp, exact: true, reliable: true, registers, user: true })], end: "user" };
  }
  return walk(kernel, start, task);
}

/** Backtrace of a task that was not running, from where the scheduler switched away from it. */
export function backtraceOfSleeper(kernel: Kernel, task: Task): Backtrace {
  if (task.stack === undefined) return { frames: [], end: "no-stack" };
  if (task.threadSp === undefined) return { frames: [], end: "no-start" };
  const { stack, threadSp } = task;
  if (threadSp < stack || threadSp >= stack + BigInt(threadSize(kernel))) return { frames: [], end: "no-start" };
  let start: UnwindStart;
  try {
    start = inactiveTaskStart(kernel.memory, (ip) => kernel.isText(ip), threadSp);
  } catch (error) {
    if (!isDumpError(error)) throw error;
    return { frames: [], end: "unreadable" };
  }
  return walk(kernel, start, task);
}

/**
 * What is left on the stack of a task that was running on a CPU which gave no registers: where it was is not known,
 * and thread.sp is of long ago. All of it is guessed.
 */
export function backtraceWithoutRegisters(kernel: Kernel, task: Task): Backtrace {
  if (task.stack === undefined) return { frames: [], end: "no-stack" };
  const top = asVaddr(task.stack + BigInt(threadSize(kernel)));
  return { frames: guessFrames(kernel, task.stack, top, MAX_GUESSES).map((frame) => nameFrame(kernel, frame)), end: "no-start" };
}

function walk(kernel: Kernel, start: UnwindStart, task: Task | undefined): Backtrace {
  const unwound = unwind(kernel, start);
  const frames = unwound.frames.map((frame) => nameFrame(kernel, frame));
  const complete = unwound.end === "user" || unwound.end === "end";
  if (!complete) {
    const top = stackTop(kernel, unwound.sp, task);
    for (const guess of guessFrames(kernel, asVaddr((unwound.sp + 7n) & ~7n), top, MAX_GUESSES)) frames.push(nameFrame(kernel, guess));
  }
  return { frames, end: unwound.end };
}

/** End of the stack that holds `sp`: the task's own, else the rest of an aligned stack of that size. */
function stackTop(kernel: Kernel, sp: Vaddr, task: Task | undefined): Vaddr {
  const size = BigInt(threadSize(kernel));
  if (task?.stack !== undefined && sp >= task.stack && sp < task.stack + size) return asVaddr(task.stack + size);
  return asVaddr((sp / size + 1n) * size);
}

function nameFrame(kernel: Kernel, frame: RawFrame): Frame {
  // A return address may be the first byte after a call that never returns: look one byte back.
  const place = frame.user ? undefined : kernel.find(frame.exact ? frame.ip : asVaddr(frame.ip - 1n));
  return {
    address: frame.ip,
    sp: frame.sp,
    symbol: place?.name,
    offset: place && place.offset + (frame.exact ? 0 : 1),
    size: place?.size,
    module: place?.module,
    reliable: frame.reliable,
    user: frame.user,
    registers: frame.registers,
  };
}

/** `name+0xoff/0xsize [module]`, as the kernel prints it. */
export function describeFrame(frame: Frame): string {
  if (frame.symbol === undefined) return frame.user ? `${hex(frame.address)} (user)` : hex(frame.address);
  const size = frame.size === undefined ? "" : `/0x${frame.size.toString(16)}`;
  return `${frame.symbol}+0x${(frame.offset ?? 0).toString(16)}${size}${frame.module === undefined ? "" : ` [${frame.module}]`}`;
}
