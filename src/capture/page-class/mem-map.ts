import { asVaddr, DumpError, type Vaddr } from "../../bytes/index.ts";
import type { Vmcoreinfo } from "../../kernel/index.ts";
import type { VirtualMemory } from "../../memory/index.ts";

/** Struct pages that follow each other in memory, for frames that follow each other. */
export interface MemMapRange {
  readonly pfn: number;
  readonly count: number;
  /** Of the struct page of `pfn`. */
  readonly address: Vaddr;
}

/** Of x86-64 (linux:arch/x86/include/asm/sparsemem.h); other machines say theirs in VMCOREINFO. */
const SECTION_SIZE_BITS = 27;
/** arm64 with pages of 64 KiB has the largest: 29; some older machines had more. */
const MAX_SECTION_SIZE_BITS = 40;
/** Flags in the low bits of section_mem_map (linux:include/linux/mmzone.h); the address is aligned to more. */
const SECTION_HAS_MEM_MAP = 2n;
const SECTION_FLAGS = 0x3fn;
/** Roots of a kernel for 4 PiB, and sections in each. */
const MAX_ROOTS = 1 << 20;

/**
 * Finds the kernel's page array, in ascending frames: mem_section of the sparse memory model, else mem_map of the flat one.
 *
 * @param structSize bytes of struct page.
 * @param fromPfn frames before are not asked for. @param maxPfn frames from here on are not, either.
 * @throws UNSUPPORTED where VMCOREINFO names neither, CORRUPT; what reading the tables throws.
 */
export function* memMapRanges(
  memory: VirtualMemory,
  vmcoreinfo: Vmcoreinfo,
  pageSize: number,
  structSize: number,
  fromPfn: number,
  maxPfn: number,
): Iterable<MemMapRange> {
  const flat = vmcoreinfo.symbol("mem_map");
  const sections = vmcoreinfo.symbol("mem_section");
  if (sections === undefined) {
    if (flat === undefined)
      throw new DumpError("UNSUPPORTED", "VMCOREINFO names neither mem_section nor mem_map: the page array cannot be found");
    const first = memory.pointer(flat) + BigInt(fromPfn) * BigInt(structSize);
    if (maxPfn > fromPfn) yield { pfn: fromPfn, count: maxPfn - fromPfn, address: asVaddr(BigInt.asUintN(64, first)) };
    return;
  }
  const entrySize = vmcoreinfo.size("mem_section") ?? 16;
  const mapAt = vmcoreinfo.offset("mem_section.section_mem_map") ?? 0;
  const roots = vmcoreinfo.arrayLength("mem_section") ?? 2048;
  if (roots > MAX_ROOTS || entrySize < 8 || entrySize > 128 || mapAt < 0 || mapAt + 8 > entrySize) {
    throw new DumpError(
      "CORRUPT",
      `LENGTH(mem_section) is ${roots}, SIZE(mem_section) ${entrySize} and OFFSET(mem_section.section_mem_map) ${mapAt}`,
    );
  }
  const perRoot = Math.floor(pageSize / entrySize);
  const bits = Number(vmcoreinfo.number("SECTION_SIZE_BITS") ?? BigInt(SECTION_SIZE_BITS));
  const pages = 2 ** bits / pageSize;
  if (!Number.isInteger(bits) || bits > MAX_SECTION_SIZE_BITS || pages < 1)
    throw new DumpError("CORRUPT", `NUMBER(SECTION_SIZE_BITS) is ${bits} with pages of ${pageSize} bytes`);
  // Roots that no frame can be in are not looked at: there are 131072 of them with five levels of page tables.
  const needed = Math.min(roots, Math.ceil(maxPfn / pages / perRoot));
  const firstRoot = Math.min(needed, Math.floor(fromPfn / pages / perRoot));
  const table = memory.fields(sections, needed * memory.wordSize, "mem_section");
  let pending: { pfn: number; count: number; address: bigint } | undefined;
  for (let root = firstRoot; root < needed; root++) {
    const address = table.word(root * memory.wordSize);
    if (address === 0n) continue;
    const entries = memory.fields(asVaddr(address), perRoot * entrySize, "mem_section");
    for (let i = 0; i < perRoot; i++) {
      const value = entries.word(i * entrySize + mapAt);
      const start = (root * perRoot + i) * pages;
      const pfn = Math.max(start, fromPfn);
      const end = Math.min(start + pages, maxPfn);
      const map = value & ~SECTION_FLAGS;
      if ((value & SECTION_HAS_MEM_MAP) === 0n || map === 0n || pfn >= end) continue;
      // The pointer is kept minus what its own first frame adds.
      const first = BigInt.asUintN(64, map + BigInt(pfn) * BigInt(structSize));
      const count = end - pfn;
      if (
        pending &&
        pending.pfn + pending.count === pfn &&
        BigInt.asUintN(64, pending.address + BigInt(pending.count * structSize)) === first
      )
        pending.count += count;
      else {
        if (pending) yield { ...pending, address: asVaddr(pending.address) };
        pending = { pfn, count, address: first };
      }
    }
  }
  if (pending) yield { ...pending, address: asVaddr(pending.address) };
}
