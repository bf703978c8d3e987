import { Fields } from "../../bytes/index.ts";
import { DUMP_ASM_MAGIC_NUMBER } from "./layout.ts";

/**
 * The architecture header ("asm header"): dha_magic_number u64 @0, dha_version u32 @8, dha_header_size u32 @12, then
 * what the machine needs. All but the oldest have, for each CPU that the kernel was built for (NR_CPUS), the
 * registers at the crash, the current task and where its stack was copied to.
 *
 * Layouts: crash:lkcd_dump_v8.h (i386, x86_64, ia64), libkdumpfile:tests/lkcd.h (ppc64) and, for the place of
 * dha_kernel_addr, the kernel patch itself: jasonuhl/historical-lkcd:expose-kernel-start-address.patch puts it right
 * after dha_header_size and raises dha_version from 4 to 5 (crash reads it from the end).
 */
interface AsmLayout {
  readonly wordSize: 4 | 8;
  /** struct pt_regs in order; each one word, the rest of `regsSize` is not shown. */
  readonly registers: readonly string[];
  readonly regsSize: number;
  /** Offset of dha_regs. */
  readonly dha_regs: number;
  /** Bytes between dha_regs and dha_smp_num_cpus. */
  readonly gap: number;
  readonly dha_kernel_addr: number | undefined;
}

const I386: AsmLayout = {
  wordSize: 4,
  registers: ["ebx", "ecx", "edx", "esi", "edi", "ebp", "eax", "xds", "xes", "orig_eax", "eip", "xcs", "eflags", "esp", "xss"],
  regsSize: 60,
  dha_regs: 24,
  gap: 0,
  dha_kernel_addr: undefined,
};
const X86_64: AsmLayout = {
  wordSize: 8,
  registers: [
    "r15",
    "r14",
    "r13",
    "r12",
    "rbp",
    "rbx",
    "r11",
    "r10",
    "r9",
    "r8",
    "rax",
    "rcx",
    "rdx",
    "rsi",
    "rdi",
    "orig_rax",
    "rip",
    "cs",
    "eflags",
    "rsp",
    "ss",
  ],
  regsSize: 168,
  dha_regs: 16,
  gap: 0,
  dha_kernel_addr: undefined,
};
const PPC64: AsmLayout = {
  wordSize: 8,
  registers: [
    ...Array.from({ length: 32 }, (_, i) => `gpr${i}`),
    "nip",
    "msr",
    "orig_gpr3",
    "ctr",
    "link",
    "xer",
    "ccr",
    "softe",
    "trap",
    "dar",
    "dsisr",
    "result",
  ],
  regsSize: 352,
  dha_regs: 16,
  gap: 0,
  dha_kernel_addr: undefined,
};
/** dha_pt_regs comes before the registers; dha_rnat, dha_pfs and dha_bspstore after; six 16-byte fp registers in them. */
const IA64_V4: AsmLayout = {
  wordSize: 8,
  registers: [
    "b6",
    "b7",
    "ar_csd",
    "ar_ssd",
    "r8",
    "r9",
    "r10",
    "r11",
    "cr_ipsr",
    "cr_iip",
    "cr_ifs",
    "ar_unat",
    "ar_pfs",
    "ar_rsc",
    "ar_rnat",
    "ar_bspstore",
    "pr",
    "b0",
    "loadrs",
    "r1",
    "r12",
    "r13",
    "ar_fpsr",
    "r15",
    "r14",
    "r2",
    "r3",
    ...Array.from({ length: 16 }, (_, i) => `r${16 + i}`),
    "ar_ccv",
  ],
  regsSize: 448,
  dha_regs: 24,
  gap: 24,
  dha_kernel_addr: undefined,
};
const IA64_V5: AsmLayout = { ...IA64_V4, dha_regs: 32, dha_kernel_addr: 16 };

function asmLayout(machine: string, version: number): AsmLayout | undefined {
  if (/^i[3-6]86$/.test(machine)) return I386;
  if (machine === "x86_64") return X86_64;
  if (machine === "ppc64") return PPC64;
  if (machine === "ia64") return version >= 5 ? IA64_V5 : IA64_V4;
  return undefined;
}

/** One CPU at the crash. */
export interface LkcdCpu {
  /** Index in the header's arrays: the kernel's CPU number. */
  readonly cpu: number;
  /** Name (as in struct pt_regs) and value, in the order of the structure. */
  readonly registers: ReadonlyMap<string, bigint>;
  /** Address of the task_struct that ran there; 0 where the kernel did not fill it. */
  readonly currentTask: bigint;
  /** Where the kernel copied that task's stack before dumping; 0 where it did not. */
  readonly stack: bigint;
  /** Stack pointer within the copy (ia64: struct switch_stack). */
  readonly stackPtr: bigint;
}

/** Parsed architecture header. */
export interface LkcdArchHeader {
  readonly dha_version: number;
  readonly dha_header_size: number;
  /** Registers of the CPU that dumped; undefined for an architecture whose layout is not known. */
  readonly registers: ReadonlyMap<string, bigint> | undefined;
  /** dha_smp_num_cpus; undefined in the oldest headers. */
  readonly numCpus: number | undefined;
  readonly dumpingCpu: number | undefined;
  /** Physical load address of the kernel (ia64). */
  readonly kernelAddr: bigint | undefined;
  /** CPUs that the header describes: at most {@link numCpus}. */
  readonly cpus: readonly LkcdCpu[];
}

function registersAt(fields: Fields, layout: AsmLayout, at: number): ReadonlyMap<string, bigint> {
  const registers = new Map<string, bigint>();
  for (const [i, name] of layout.registers.entries()) registers.set(name, fields.word(at + i * layout.wordSize));
  return registers;
}

/**
 * Parses the architecture header.
 *
 * @param bytes from its start up to the first page record; may be shorter than dha_header_size when the header did not
 *   fit the dump buffer (what jasonuhl/historical-lkcd:scale-dump-buffer-size.patch mends).
 * @param machine utsname.machine of the dump header.
 * @returns undefined where there is no such header. Whatever the bytes, nothing is thrown.
 */
export function parseArchHeader(bytes: Uint8Array, machine: string, littleEndian: boolean): LkcdArchHeader | undefined {
  if (bytes.length < 16) return undefined;
  const head = new Fields(bytes, littleEndian, 8, "architecture header");
  if (head.u64(0) !== DUMP_ASM_MAGIC_NUMBER) return undefined;
  const dha_version = head.u32(8);
  const dha_header_size = head.u32(12);
  const layout = asmLayout(machine, dha_version);
  const known = { dha_version, dha_header_size };
  const nothing: LkcdArchHeader = {
    ...known,
    registers: undefined,
    numCpus: undefined,
    dumpingCpu: undefined,
    kernelAddr: undefined,
    cpus: [],
  };
  if (!layout) return nothing;

  const length = Math.min(bytes.length, dha_header_size);
  const { wordSize, regsSize } = layout;
  const smp = layout.dha_regs + regsSize + layout.gap;
  if (length < layout.dha_regs + regsSize) return nothing;
  const fields = new Fields(bytes.subarray(0, length), littleEndian, wordSize, "architecture header");
  const registers = registersAt(fields, layout, layout.dha_regs);
  const kernelAddr = layout.dha_kernel_addr === undefined ? undefined : fields.u64(layout.dha_kernel_addr);
  // Up to version 2 of the dump format the header ended with the registers.
  if (length < smp + 8) return { ...nothing, registers, kernelAddr };

  const numCpus = fields.u32(smp);
  const dumpingCpu = fields.u32(smp + 4);
  const arrays = smp + 8;
  // dha_kernel_addr of ia64 is before the arrays, so nothing but the arrays is behind them.
  const built = Math.max(0, Math.floor((dha_header_size - arrays) / (regsSize + 3 * wordSize)));
  const cpus: LkcdCpu[] = [];
  const array = (which: number, cpu: number): bigint => {
    const at = arrays + built * (regsSize + which * wordSize) + cpu * wordSize;
    return at + wordSize <= length ? fields.word(at) : 0n;
  };
  for (let cpu = 0; cpu < Math.min(numCpus, built); cpu++) {
    const at = arrays + cpu * regsSize;
    if (at + regsSize > length) break;
    cpus.push({
      cpu,
      registers: registersAt(fields, layout, at),
      currentTask: array(0, cpu),
      stack: array(1, cpu),
      stackPtr: array(2, cpu),
    });
  }
  return { ...known, registers, numCpus, dumpingCpu, kernelAddr, cpus };
}
