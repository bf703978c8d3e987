import { Fields } from "../../bytes/index.ts";
import type { DumpFile } from "../../format/index.ts";
import type { LkcdCpuState } from "../../format/lkcd/write.ts";
import { Kernel, optional, readCpus, readLog, readPanicCpu, readUtsName } from "../../kernel/index.ts";
import type { Stage1Options } from "./stage1.ts";

/** pr_reg in struct elf_prstatus of x86_64, which has struct pt_regs' order (linux:include/uapi/linux/elfcore.h). */
const PR_REG = 112;
const REGISTERS = 21;
const NT_PRSTATUS = 1;

/** What the LKCD header says of a dump: the system's name, the panic, the registers of the CPUs. What is not known is left out. */
export function headerOf(dump: DumpFile): Stage1Options["header"] {
  const kernel = optional(() => new Kernel(dump));
  const known = kernel && optional(() => readCpus(kernel));
  const panicCpu = kernel && optional(() => readPanicCpu(kernel)?.value);
  const notes = dump.notes.filter(
    ({ name, type, desc }) => name === "CORE" && type === NT_PRSTATUS && desc.length >= PR_REG + REGISTERS * 8,
  );
  // A CPU that never answered has no note; the notes are in the order of the CPUs that have one.
  const numbers = known?.filter(({ registers }) => registers !== undefined).map(({ cpu }) => cpu);
  const cpus: LkcdCpuState[] = [];
  for (const [i, { desc }] of notes.entries()) {
    const cpu = numbers?.length === notes.length ? numbers[i]! : i;
    const fields = new Fields(desc, true, 8, "PRSTATUS note");
    const registers = Array.from({ length: REGISTERS }, (_, k) => fields.u64(PR_REG + k * 8));
    while (cpus.length < Math.min(cpu, MAX_CPUS)) cpus.push({ registers: [] });
    cpus[cpu] = { registers, currentTask: known?.find((one) => one.cpu === cpu)?.current ?? 0n };
  }
  const dumpingCpu = panicCpu !== undefined && panicCpu < cpus.length ? panicCpu : 0;
  const log = kernel && optional(() => readLog(kernel).records);
  const panic = log?.findLast(({ text }) => /^(Kernel panic - not syncing: |BUG: |Oops: |general protection fault)/.test(text))?.text;
  const utsname = kernel && optional(() => readUtsName(kernel)?.value);
  const base = kernel?.symbol("page_offset_base");
  const memoryStart = kernel && base !== undefined ? optional(() => kernel.memory.pointer(base)) : undefined;
  const now = Date.now();
  const small = dump.notes.reduce((sum, { desc }) => sum + desc.length + NOTE_OVERHEAD, 0) <= MAX_NOTES;
  return {
    // Device dumps may have many megabytes; without them the rest is small.
    notes: small ? dump.notes : dump.notes.filter(({ desc }) => desc.length <= 65536),
    utsname: { ...utsname, machine: "x86_64" },
    time: [Math.floor(now / 1000), (now % 1000) * 1000],
    memoryPages: dump.maxPfn,
    cpus,
    dumpingCpu,
    ...(panic === undefined ? {} : { panicString: panic.replace("Kernel panic - not syncing: ", "") }),
    ...(memoryStart === undefined ? {} : { memoryStart }),
    ...(cpus[dumpingCpu]?.currentTask === undefined ? {} : { currentTask: cpus[dumpingCpu].currentTask }),
  };
}

const MAX_CPUS = 8192;
/** The reader looks at 4 MiB of headers. */
const MAX_NOTES = 2 * 1024 * 1024;
const NOTE_OVERHEAD = 64;
