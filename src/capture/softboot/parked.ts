import { asPfn, asVaddr, DumpError, hex } from "../../bytes/index.ts";
import type { DumpFile } from "../../format/index.ts";
import { Kernel, optional, perCpu, readPanicCpu, topPageTable } from "../../kernel/index.ts";
import { START_KERNEL_MAP } from "../../memory/index.ts";
import { PAGE_SIZE } from "./layout.ts";
import type { MemoryRange, PhysicalStore } from "./page-list.ts";

/**
 * What the CPUs that did not panic still run on. An NMI has sent them into the old kernel's `crash_nmi_callback`
 * (linux:arch/x86/kernel/reboot.c): one `hlt`, then `pause` without end for whom the `hlt` did not hold. QEMU's software emulation wakes the
 * boot CPU from it now and then. Who is awake, or wakes, while that memory is written over runs wild: it writes anywhere, or takes a triple
 * fault, which resets the machine (seen with 6.1).
 *
 * They need the code, the root of the page tables that they were on, and what is under it on the way to the code, which is in the image
 * (linux:arch/x86/kernel/head_64.S: level3_kernel_pgt, level2_kernel_pgt). The stack they do not need once {@link halts} are written.
 */
export interface ParkedCpus {
  /** Physical memory of the old kernel's image; empty where that is not known. */
  readonly image: readonly MemoryRange[];
  /** To be written over the code that they are in: who wakes from a `hlt` finds another one. */
  readonly halts: readonly Halt[];
  /**
   * The boot CPU where it is one of them: the panic was on another, on which all kernels run from there on. The next kernel must leave it
   * alone, since a boot CPU answers an INIT with a reset of the machine; so it stays where it is.
   */
  readonly bootCpu: BootCpu | undefined;
  /**
   * Whether a page is the root of page tables: all of them have the same last entry, which leads to the image (linux:arch/x86/mm/pgtable.c:
   * pgd_ctor). Never true where the kernel's own root cannot be read.
   */
  readonly isRoot: (page: Uint8Array) => boolean;
}

/** What is known of the boot CPU. */
export interface BootCpu {
  readonly apicId: number | undefined;
  /** The page that its CR3 has. */
  readonly root: MemoryRange | undefined;
}

/** Machine code for a physical address, within one page. */
export interface Halt {
  readonly paddr: number;
  readonly bytes: Uint8Array;
}

/** Finds out what {@link ParkedCpus} are on. To be called before memory is written. */
export function parkedCpus(dump: DumpFile): ParkedCpus {
  const kernel = optional(() => new Kernel(dump));
  const last = kernel && optional(() => lastEntry(kernel));
  const isRoot = (page: Uint8Array): boolean => last !== undefined && sameFrame(page.subarray(PAGE_SIZE - 8, PAGE_SIZE), last);
  const panicked = kernel && optional(() => readPanicCpu(kernel)?.value);
  // CPU 0 is the one that booted. One that is not known is not taken for parked.
  const isParked = panicked !== undefined && panicked !== 0;
  return {
    image: imageOf(dump, kernel),
    halts: kernel === undefined ? [] : HALTS.flatMap((rule) => optional(() => haltOf(kernel, rule)) ?? []),
    bootCpu: isParked ? { apicId: optional(() => bootApicId(kernel!)), root: optional(() => bootRoot(kernel!, isRoot)) } : undefined,
    isRoot,
  };
}

/**
 * Writes the {@link ParkedCpus.halts}.
 * @param onRefused told of each that cannot be written.
 * @returns the pages that they are in, by frame number, as they were before.
 */
export function haltParked(
  { halts }: ParkedCpus,
  dump: DumpFile,
  store: PhysicalStore,
  onRefused: (error: DumpError) => void,
): Map<number, Uint8Array> {
  const before = new Map<number, Uint8Array>();
  for (const { paddr, bytes } of halts) {
    const pfn = Math.floor(paddr / PAGE_SIZE);
    try {
      if (!before.has(pfn)) {
        const page = new Uint8Array(PAGE_SIZE);
        dump.readPage(asPfn(pfn), page);
        before.set(pfn, page);
      }
      store.write(paddr, bytes);
    } catch (error) {
      if (!(error instanceof DumpError)) throw error;
      onRefused(error);
    }
  }
  return before;
}

/**
 * For the next kernel, where the boot CPU is parked: `disable_cpu_apicid=` (linux:arch/x86/kernel/apic/apic.c; kernels from 6.9 on find out
 * for themselves), and what it sits on stays. Other CPUs are fetched by an INIT as the kernel starts.
 */
export function parkedParameters({ bootCpu, image }: ParkedCpus): string[] {
  if (!bootCpu) return [];
  const { root } = bootCpu;
  const ranges = root && !image.some(({ start, end }) => root.start >= start && root.end <= end) ? [...image, root] : image;
  const disable = bootCpu.apicId === undefined ? [] : [`disable_cpu_apicid=${bootCpu.apicId}`];
  return [...disable, ...ranges.map(({ start, end }) => `memmap=${hex(end - start)}$${hex(start)}`)];
}

interface HaltRule {
  readonly symbol: string;
  /** Bytes of the function that are searched. */
  readonly length: number;
  /** What is there, bytes in alternatives, and where in it what is written. */
  readonly find: readonly (readonly number[])[];
  readonly at: number;
  readonly write: readonly number[];
}

const HALTS: readonly HaltRule[] = [
  // hlt; ret or jmp to the return thunk. Behind the hlt: jmp back to it.
  { symbol: "native_halt", length: 32, find: [[0xf4], [0xc3, 0xe9]], at: 1, write: [0xeb, 0xfd] },
  // pause; jmp back to it. A hlt in place of the pause, whose second byte is a nop without its prefix.
  { symbol: "crash_nmi_callback", length: 256, find: [[0xf3], [0x90], [0xeb], [0xfc]], at: 0, write: [0xf4] },
];

/** Undefined where the code is not as any known kernel has it. */
function haltOf(kernel: Kernel, { symbol, length, find, at, write }: HaltRule): Halt | undefined {
  const address = kernel.symbol(symbol);
  if (address === undefined) return undefined;
  const code = kernel.memory.bytes(address, length);
  for (let i = 0; i + find.length <= length; i++) {
    if (!find.every((bytes, k) => bytes.includes(code[i + k]!))) continue;
    const paddr = kernel.memory.translate(asVaddr(address + BigInt(i + at)));
    return (paddr % PAGE_SIZE) + write.length <= PAGE_SIZE ? { paddr, bytes: Uint8Array.from(write) } : undefined;
  }
  return undefined;
}

/** The root that the boot CPU's CR3 has: that of the mm it runs in, its own or a borrowed one (linux:arch/x86/include/asm/tlbflush.h). */
function bootRoot(kernel: Kernel, isRoot: ParkedCpus["isRoot"]): MemoryRange | undefined {
  const state = perCpu(kernel, kernel.requireSymbol("cpu_tlbstate"), 0);
  const mm = kernel.memory.pointer(asVaddr(state + BigInt(kernel.types.offset("tlb_state", "loaded_mm"))));
  const pgd = kernel.memory.pointer(asVaddr(mm + BigInt(kernel.types.offset("mm_struct", "pgd"))));
  const start = kernel.memory.translate(pgd);
  return isRoot(kernel.physical.page(asPfn(start / PAGE_SIZE))) ? { start, end: start + PAGE_SIZE } : undefined;
}

/** By the dump's own segments, which /proc/vmcore always has; else by symbols. */
function imageOf(dump: DumpFile, kernel: Kernel | undefined): MemoryRange[] {
  const whole = (start: number, size: number): MemoryRange => ({
    start: Math.floor(start / PAGE_SIZE) * PAGE_SIZE,
    end: Math.ceil((start + size) / PAGE_SIZE) * PAGE_SIZE,
  });
  const segments = (dump.segments ?? []).filter(({ vaddr }) => vaddr >= START_KERNEL_MAP);
  if (segments.length > 0) return segments.map(({ paddr, size }) => whole(paddr, size));
  const start = kernel?.symbol("_text") ?? kernel?.symbol("_stext");
  const end = kernel?.symbol("_end");
  const physBase = kernel?.vmcoreinfo.number("phys_base");
  if (start === undefined || end === undefined || physBase === undefined || end <= start) return [];
  return [whole(Number(start - START_KERNEL_MAP + physBase), Number(end - start))];
}

function lastEntry(kernel: Kernel): Uint8Array {
  const top = topPageTable(kernel.vmcoreinfo);
  return kernel.physical.page(asPfn(top / PAGE_SIZE)).slice(PAGE_SIZE - 8, PAGE_SIZE);
}

/** Two entries of page tables, present and with the same bits 12 to 51, whatever their flags. */
function sameFrame(a: Uint8Array, b: Uint8Array): boolean {
  if ((a[0]! & b[0]! & 1) === 0 || a[1]! >>> 4 !== b[1]! >>> 4 || (a[6]! & 15) !== (b[6]! & 15)) return false;
  return a[2] === b[2] && a[3] === b[3] && a[4] === b[4] && a[5] === b[5];
}

function bootApicId(kernel: Kernel): number | undefined {
  const address = kernel.requireSymbol("boot_cpu_data");
  const place = kernel.types.findAny("cpuinfo_x86", "topo.initial_apicid", "initial_apicid");
  if (!place) return undefined;
  const id = kernel.memory.fields(address, place.offset + 4, "boot_cpu_data");
  return place.size === 2 ? id.u16(place.offset) : id.u32(place.offset);
}
