import { asVaddr, DumpError, type Vaddr } from "../bytes/index.ts";
import type { Kernel } from "./kernel.ts";

/** More CPUs than any kernel is built for (CONFIG_NR_CPUS_RANGE_END of MAXSMP is 8192). */
const MAX_CPUS = 8192;

/** CPU numbers in a cpumask variable; empty when the kernel has no such symbol. */
export function cpusInMask(kernel: Kernel, mask: string): number[] {
  const address = kernel.symbol(mask);
  if (address === undefined) return [];
  const cpus: number[] = [];
  const count = cpuLimit(kernel);
  const bytes = kernel.memory.bytes(address, Math.ceil(count / 64) * 8);
  // Masks are arrays of words; on a little-endian machine that is the order of bytes, too.
  for (let cpu = 0; cpu < count; cpu++) if (bytes[cpu >> 3]! & (1 << (cpu & 7))) cpus.push(cpu);
  return cpus;
}

/** nr_cpu_ids: one more than the highest possible CPU number. */
function cpuLimit(kernel: Kernel): number {
  const address = kernel.symbol("nr_cpu_ids");
  const count = address === undefined ? MAX_CPUS : kernel.memory.u32(address);
  if (!(count > 0 && count <= MAX_CPUS)) throw new DumpError("CORRUPT", `nr_cpu_ids is ${count}, 1 to ${MAX_CPUS} are sane`);
  return count;
}

/** Address of a CPU's copy of a per-CPU variable. */
export function perCpu(kernel: Kernel, variable: Vaddr, cpu: number): Vaddr {
  const offsets = kernel.requireSymbol("__per_cpu_offset");
  return asVaddr(variable + kernel.memory.word(asVaddr(offsets + BigInt(cpu * kernel.memory.wordSize))));
}
