import { asVaddr, hex, isDumpError, type Vaddr } from "../bytes/index.ts";
import { threadSize } from "./backtrace.ts";
import type { Kernel } from "./kernel.ts";
import { directMapOffset, slabObjectAt } from "./page.ts";
import { cpusInMask, perCpu } from "./percpu.ts";
import type { Task } from "./task.ts";

/** Kernel errors return as -1 to -4095 (linux:include/linux/err.h:MAX_ERRNO). */
const MAX_ERRNO = 4095n;
const ERRNO: Readonly<Record<number, string>> = {
  1: "EPERM",
  2: "ENOENT",
  4: "EINTR",
  5: "EIO",
  6: "ENXIO",
  9: "EBADF",
  11: "EAGAIN",
  12: "ENOMEM",
  13: "EACCES",
  14: "EFAULT",
  16: "EBUSY",
  17: "EEXIST",
  19: "ENODEV",
  20: "ENOTDIR",
  22: "EINVAL",
  27: "EFBIG",
  28: "ENOSPC",
  32: "EPIPE",
  34: "ERANGE",
  38: "ENOSYS",
  61: "ENODATA",
  75: "EOVERFLOW",
  95: "EOPNOTSUPP",
  110: "ETIMEDOUT",
  512: "ERESTARTSYS",
  514: "ERESTARTNOHAND",
  516: "ERESTART_RESTARTBLOCK",
  517: "EPROBE_DEFER",
};
const USER_END = 0x0000_8000_0000_0000n;
/** List poison and the like (linux:include/linux/poison.h with x86-64's POISON_POINTER_DELTA). */
const POISON: Readonly<Record<string, string>> = {
  dead000000000100: "LIST_POISON1",
  dead000000000122: "LIST_POISON2",
  dead000000000400: "TIMER_ENTRY_STATIC",
  "6b6b6b6b6b6b6b6b": "slab poison: used after free",
  "5a5a5a5a5a5a5a5a": "slab poison: never initialised",
  a5a5a5a5a5a5a5a5: "slab poison: end of object",
};

/**
 * What a value would point at, in a few words: a symbol, a task's stack, a slab object, mapped memory, user space, an
 * error number, a poison value. Undefined for plain numbers.
 */
export function pointsAt(kernel: Kernel, value: bigint, tasks: readonly Task[]): string | undefined {
  const poison = POISON[value.toString(16).padStart(16, "0")];
  if (poison !== undefined) return poison;
  const address = asVaddr(value);
  const negative = BigInt.asUintN(64, -value);
  if (negative > 0n && negative <= MAX_ERRNO) {
    const number = Number(negative);
    return `-${ERRNO[number] ?? number}`;
  }
  if (value < 4096n) return undefined;
  if (value < USER_END) return value >= 0x10000n ? "user space, or a number" : undefined;
  const place = kernel.find(address);
  if (place)
    return `${kernel.isText(address) ? "" : "data "}${place.name}+${hex(place.offset)}${place.module === undefined ? "" : ` [${place.module}]`}`;
  const stack = stackOf(kernel, address, tasks) ?? irqStackOf(kernel, address);
  if (stack !== undefined) return stack;
  const object = slabObjectAt(kernel, address);
  if (object) return `slab ${object.cache}+${hex(object.offset)}${object.cache === "task_struct" ? taskAt(object.object, tasks) : ""}`;
  const physical = directMapOffset(kernel, address);
  if (physical !== undefined) return `direct map, physical ${hex(physical)}`;
  try {
    kernel.memory.translate(address);
    return "mapped kernel memory";
  } catch {
    return isCanonical(value) ? "kernel address, not mapped" : undefined;
  }
}

function isCanonical(value: bigint): boolean {
  return value >> 56n === 0xffn;
}

function taskAt(address: Vaddr, tasks: readonly Task[]): string {
  const task = tasks.find((t) => t.address === address);
  return task ? ` (${task.comm}, pid ${task.pid})` : "";
}

function stackOf(kernel: Kernel, address: Vaddr, tasks: readonly Task[]): string | undefined {
  const size = BigInt(threadSize(kernel));
  const owner = tasks.find((task) => task.stack !== undefined && address >= task.stack && address < task.stack + size);
  return owner && `stack of ${owner.comm} (pid ${owner.pid}), ${hex(owner.stack! + size - address)} from its base`;
}

/** Interrupt stacks of x86-64 are as large as those of tasks without KASAN (linux:arch/x86/include/asm/page_64_types.h:IRQ_STACK_SIZE). */
const IRQ_STACK_SIZE = 16384n;

/** The interrupt stack of a CPU: hardirq_stack_ptr (in pcpu_hot from 6.2 to 6.14) is at or just below its top. */
function irqStackOf(kernel: Kernel, address: Vaddr): string | undefined {
  const hot = kernel.symbol("pcpu_hot");
  const variable = kernel.symbol("hardirq_stack_ptr") ?? hot;
  if (variable === undefined) return undefined;
  try {
    const offset = variable === hot ? kernel.types.find("pcpu_hot", "hardirq_stack_ptr")?.offset : 0;
    if (offset === undefined) return undefined;
    for (const cpu of cpusInMask(kernel, "__cpu_present_mask")) {
      const top = kernel.memory.pointer(asVaddr(perCpu(kernel, variable, cpu) + BigInt(offset)));
      if (top !== 0n && address <= top + 8n && address > top - IRQ_STACK_SIZE) return `interrupt stack of CPU ${cpu}`;
    }
  } catch (error) {
    if (!isDumpError(error)) throw error;
  }
  return undefined;
}
