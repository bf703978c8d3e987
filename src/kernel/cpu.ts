import { asVaddr, Fields, isDumpError, type Vaddr } from "../bytes/index.ts";
import type { Kernel } from "./kernel.ts";
import { orMissing } from "./missing.ts";
import { cpusInMask, perCpu } from "./percpu.ts";
import { parsePrstatus, PRSTATUS_SIZE, type Registers } from "./registers.ts";

const NT_PRSTATUS = 1;

/** One CPU at the crash. */
export interface Cpu {
  readonly cpu: number;
  /** Address of the task that was current on it. */
  readonly current: Vaddr | undefined;
  /** Registers of its PRSTATUS note; undefined when the CPU never answered, or where the dump has no notes. */
  readonly registers: Registers | undefined;
}

/**
 * The CPUs that were running. The online mask is not enough: a panic without kdump takes the other CPUs out of it when
 * it stops them (linux:arch/x86/kernel/process.c:stop_this_cpu), while their run queues stay online.
 */
export function readCpus(kernel: Kernel): Cpu[] {
  const consequence = "what ran on each CPU is known only from the notes";
  const numbers = orMissing(kernel.missing, "CPU masks", consequence, () => {
    const online = new Set(cpusInMask(kernel, "__cpu_online_mask"));
    const queues = kernel.symbol("runqueues");
    for (const cpu of cpusInMask(kernel, "__cpu_present_mask")) {
      if (online.has(cpu) || queues === undefined) continue;
      const onlineAt = kernel.types.find("rq", "online");
      if (!onlineAt) break;
      try {
        if (kernel.memory.u32(asVaddr(perCpu(kernel, queues, cpu) + BigInt(onlineAt.offset))) === 1) online.add(cpu);
      } catch (error) {
        if (!isDumpError(error)) throw error;
      }
    }
    return [...online].sort((a, b) => a - b);
  });
  const statuses = kernel.dump.notes.filter(
    (note) => note.name === "CORE" && note.type === NT_PRSTATUS && note.desc.length >= PRSTATUS_SIZE,
  );
  const list = numbers && numbers.length > 0 ? numbers : statuses.map((_, i) => i);
  const owners = noteOwners(
    kernel,
    list,
    statuses.map((note) => note.desc),
  );
  return list.map((cpu) => {
    const note = statuses[owners.get(cpu) ?? -1];
    const registers = note && parsePrstatus(new Fields(note.desc, kernel.memory.littleEndian, 8, "PRSTATUS")).registers;
    return { cpu, current: currentTask(kernel, cpu), registers };
  });
}

/**
 * Which note is which CPU's. A CPU that never answered has no note, so position is not number: each CPU's own copy of
 * its note (per-CPU crash_notes) is compared with the notes of the dump. Where that copy cannot be read (QEMU makes
 * notes of its own) and the counts agree, position it is.
 */
function noteOwners(kernel: Kernel, cpus: readonly number[], notes: readonly Uint8Array[]): Map<number, number> {
  const owners = new Map<number, number>();
  const variable = kernel.symbol("crash_notes");
  if (variable !== undefined) {
    try {
      const base = kernel.memory.pointer(variable);
      for (const cpu of cpus) {
        // Nhdr of 12 bytes, name "CORE" padded to 8, then the descriptor.
        const copy = new Uint8Array(20 + PRSTATUS_SIZE);
        if (base === 0n || !kernel.memory.tryRead(perCpu(kernel, base, cpu), copy)) continue;
        const desc = copy.subarray(20);
        const index = notes.findIndex((note) => Buffer.compare(note.subarray(0, PRSTATUS_SIZE), desc) === 0);
        if (index >= 0) owners.set(cpu, index);
      }
    } catch (error) {
      if (!isDumpError(error)) throw error;
    }
  }
  if (owners.size === 0 && notes.length >= cpus.length) cpus.forEach((cpu, i) => owners.set(cpu, i));
  return owners;
}

/** `current` of a CPU: per-CPU current_task (to 6.1, and again from 6.15), pcpu_hot in between, else the run queue's. */
function currentTask(kernel: Kernel, cpu: number): Vaddr | undefined {
  const read = (symbol: string, offset: number): Vaddr | undefined => {
    const variable = kernel.symbol(symbol);
    if (variable === undefined) return undefined;
    try {
      const pointer = kernel.memory.pointer(asVaddr(perCpu(kernel, variable, cpu) + BigInt(offset)));
      return pointer === 0n ? undefined : pointer;
    } catch (error) {
      if (isDumpError(error)) return undefined;
      throw error;
    }
  };
  const hot = kernel.symbol("pcpu_hot") === undefined ? undefined : kernel.types.find("pcpu_hot", "current_task")?.offset;
  const queueCurr = (): Vaddr | undefined => {
    const place = kernel.types.find("rq", "curr");
    return place && read("runqueues", place.offset);
  };
  return read("current_task", 0) ?? (hot === undefined ? undefined : read("pcpu_hot", hot)) ?? queueCurr();
}

/** Scheduler clock of a CPU in nanoseconds since boot (runqueues.clock), where it can be read. */
export function runQueueClock(kernel: Kernel, cpu: number): bigint | undefined {
  const variable = kernel.symbol("runqueues");
  const place = variable === undefined ? undefined : kernel.types.find("rq", "clock");
  if (variable === undefined || !place) return undefined;
  try {
    return kernel.memory.u64(asVaddr(perCpu(kernel, variable, cpu) + BigInt(place.offset)));
  } catch (error) {
    if (isDumpError(error)) return undefined;
    throw error;
  }
}
