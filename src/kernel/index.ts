export { Kernel, type KernelOptions } from "./kernel.ts";
export type { Missing } from "./missing.ts";
export { orMissing } from "./missing.ts";
export { type Cpu, readCpus, runQueueClock } from "./cpu.ts";
export { readTasks, type Task, TaskReader, type TaskState } from "./task.ts";
export {
  type Backtrace,
  backtraceFromRegisters,
  backtraceOfSleeper,
  backtraceWithoutRegisters,
  describeFrame,
  type Frame,
  threadSize,
} from "./backtrace.ts";
export { type KernelLog, logPrefix, type LogRecord, type LogSource, logText, readLog } from "./printk.ts";
export type { Module } from "./module.ts";
export { moduleBtf } from "./module.ts";
export type { Registers } from "./registers.ts";
export {
  optional,
  type ClockTimes,
  describeTaint,
  type MemoryTotals,
  readClocks,
  readCommandLine,
  readMemoryTotals,
  readPanicCpu,
  readSettings,
  readTaint,
  readUptime,
  readUtsName,
  type Sourced,
  TAINTS,
  type UtsName,
} from "./system.ts";
export { type SlabObject, slabObjectAt } from "./page.ts";
export { pointsAt } from "./points-at.ts";
export { parseSystemMap, readVmlinux } from "./given-files.ts";
export { Types } from "./types.ts";
export { Vmcoreinfo } from "./vmcoreinfo.ts";
export { findVmcoreinfo } from "./vmcoreinfo-scan.ts";
export { perCpu } from "./percpu.ts";
export { openX86_64, topPageTable } from "./x86_64.ts";
