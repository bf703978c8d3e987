import { asPaddr, asVaddr, DumpError, type Paddr, type Vaddr } from "../bytes/index.ts";
import { type AddressSpace, PageTables, type PhysicalMemory, START_KERNEL_MAP, type VirtualMemory } from "../memory/index.ts";
import type { UnwindStart } from "./unwind.ts";
import type { Vmcoreinfo } from "./vmcoreinfo.ts";

/**
 * Physical address of the kernel's own top page table. phys_base and the table come from VMCOREINFO, runtime values both
 * (linux:arch/x86/kernel/vmcore_info_64.c:arch_crash_save_vmcoreinfo).
 * @throws NOT_STORED, CORRUPT.
 */
export function topPageTable(vmcoreinfo: Vmcoreinfo): Paddr {
  const top = vmcoreinfo.symbol("init_top_pgt") ?? vmcoreinfo.symbol("init_level4_pgt") ?? vmcoreinfo.symbol("swapper_pg_dir");
  const physBase = vmcoreinfo.number("phys_base");
  if (top === undefined || physBase === undefined) {
    throw new DumpError(
      "NOT_STORED",
      `VMCOREINFO lacks ${top === undefined ? "SYMBOL(init_top_pgt)" : "NUMBER(phys_base)"}: the kernel's page tables cannot be found`,
    );
  }
  const address = top - START_KERNEL_MAP + physBase;
  if (address < 0n || address >= 1n << 52n)
    throw new DumpError("CORRUPT", `SYMBOL(init_top_pgt) ${top.toString(16)} and NUMBER(phys_base) ${physBase} give no physical address`);
  return asPaddr(Number(address));
}

/** The kernel's page tables. @throws as {@link topPageTable}. */
export function openX86_64(physical: PhysicalMemory, vmcoreinfo: Vmcoreinfo): AddressSpace {
  const levels = vmcoreinfo.number("pgtable_l5_enabled") === 1n ? 5 : 4;
  return new PageTables(physical, topPageTable(vmcoreinfo), levels, vmcoreinfo.number("sme_mask") ?? 0n);
}

/** struct inactive_task_frame: [flags,] r15, r14, r13, r12, bx, bp, ret_addr. Without flags ret_addr is here. */
const RET_ADDR = 48;

/**
 * Where the stack walk of a task that is not running begins: the frame that __switch_to_asm left at thread.sp
 * (linux:arch/x86/include/asm/switch_to.h:struct inactive_task_frame). Kernels of 5.1 to 5.7 saved a flags word first;
 * the bytes tell: the return address is text, and what stands in its place otherwise, the frame pointer, is not.
 *
 * @throws what reading the stack throws.
 */
export function inactiveTaskStart(memory: VirtualMemory, isText: (ip: Vaddr) => boolean, threadSp: Vaddr): UnwindStart {
  const word = (offset: number): Vaddr => memory.pointer(asVaddr(threadSp + BigInt(offset)));
  const retAt = !isText(word(RET_ADDR)) && isText(word(RET_ADDR + 8)) ? RET_ADDR + 8 : RET_ADDR;
  return { ip: word(retAt), sp: asVaddr(threadSp + BigInt(retAt + 8)), bp: word(retAt - 8), exact: false, registers: undefined };
}
