import { asPaddr, DumpError, type Vaddr } from "../bytes/index.ts";
import { type AddressSpace, PageTables, type PhysicalMemory, START_KERNEL_MAP } from "../memory/index.ts";
import type { Types } from "./types.ts";
import type { VirtualMemory } from "../memory/index.ts";
import type { UnwindStart } from "./unwind.ts";
import { asVaddr } from "../bytes/index.ts";
import type { Vmcoreinfo } from "./vmcoreinfo.ts";

/**
 * The kernel's page tables. phys_base and the top table come from VMCOREINFO, runtime values both
 * (linux:arch/x86/kernel/vmcore_info_64.c:arch_crash_save_vmcoreinfo).
 */
export function openX86_64(physical: PhysicalMemory, vmcoreinfo: Vmcoreinfo): AddressSpace {
  const top = vmcoreinfo.symbol("init_top_pgt") ?? vmcoreinfo.symbol("init_level4_pgt") ?? vmcoreinfo.symbol("swapper_pg_dir");
  const physBase = vmcoreinfo.number("phys_base");
  if (top === undefined || physBase === undefined) {
    throw new DumpError("NOT_STORED", `VMCOREINFO lacks ${top === undefined ? "SYMBOL(init_top_pgt)" : "NUMBER(phys_base)"}: the kernel's page tables cannot be found`);
  }
  const levels = vmcoreinfo.number("pgtable_l5_enabled") === 1n ? 5 : 4;
  const address = top - START_KERNEL_MAP + physBase;
  if (address < 0n || address >= 1n << 52n) throw new DumpError("CORRUPT", `SYMBOL(init_top_pgt) ${top.toString(16)} and NUMBER(phys_base) ${physBase} give no physical address`);
  return new PageTables(physical, asPaddr(Number(address)), levels, vmcoreinfo.number("sme_mask") ?? 0n);
}

/**
 * Where the stack walk of a task that is not running begins: the frame that __switch_to_asm left
 * (linux:arch/x86/include/asm/switch_to.h:struct inactive_task_frame), at thread.sp.
 */
export function inactiveTaskStart(memory: VirtualMemory, types: Types, threadSp: Vaddr): UnwindStart {
  // The struct grew a flags word in 5.1 and lost it in 5.8; its own BTF says.
  const bpAt = types.find("inactive_task_frame", "bp")?.offset ?? 40;
  const retAt = types.find("inactive_task_frame", "ret_addr")?.offset ?? bpAt + 8;
  return {
    ip: memory.pointer(asVaddr(threadSp + BigInt(retAt))),
    sp: asVaddr(threadSp + BigInt(retAt + 8)),
    bp: memory.pointer(asVaddr(threadSp + BigInt(bpAt))),
    exact: false,
    registers: undefined,
  };
}
