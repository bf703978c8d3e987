import { asVaddr, type Fields, type Vaddr } from "../bytes/index.ts";

/** Names of x86-64 registers in the order of struct pt_regs and of pr_reg (linux:arch/x86/include/asm/ptrace.h). */
export const PT_REGS: readonly string[] = [
  "r15",
  "r14",
  "r13",
  "r12",
  "bp",
  "bx",
  "r11",
  "r10",
  "r9",
  "r8",
  "ax",
  "cx",
  "dx",
  "si",
  "di",
  "orig_ax",
  "ip",
  "cs",
  "flags",
  "sp",
  "ss",
];
/** sizeof(struct pt_regs). */
export const PT_REGS_SIZE = 168;
/** What follows them in struct user_regs_struct of a PRSTATUS note. */
const USER_REGS_TAIL: readonly string[] = ["fs_base", "gs_base", "ds", "es", "fs", "gs"];
/** Offset of pr_reg in struct elf_prstatus, x86-64 (formats.md 4.3). */
const PR_REG = 112;
const PR_PID = 32;
/** Size of an x86-64 elf_prstatus. */
export const PRSTATUS_SIZE = 336;

/** Register values by their kernel names: `ip`, `sp`, `ax`, `r8`, `flags`, `cs`, … */
export type Registers = ReadonlyMap<string, bigint>;

/** A PRSTATUS note, decoded. */
export interface Prstatus {
  /** Pid of the task that ran there, 0 for idle; QEMU writes the CPU number plus one. */
  readonly pid: number;
  readonly registers: Registers;
}

/** Registers of a struct pt_regs. */
export function parsePtRegs(fields: Fields): Registers {
  return new Map(PT_REGS.map((name, i) => [name, fields.u64(i * 8)]));
}

/** Decodes an x86-64 PRSTATUS note. @throws CORRUPT when it is shorter than one. */
export function parsePrstatus(fields: Fields): Prstatus {
  const names = [...PT_REGS, ...USER_REGS_TAIL];
  return {
    pid: fields.s32(PR_PID),
    registers: new Map(names.map((name, i) => [name, fields.u64(PR_REG + i * 8)])),
  };
}

/** A register as an address; 0 when it is not among them. */
export function registerAddress(registers: Registers, name: string): Vaddr {
  return asVaddr(registers.get(name) ?? 0n);
}

/** True when the registers are of user mode (privilege level 3 in cs). */
export function isUserMode(registers: Registers): boolean {
  return ((registers.get("cs") ?? 0n) & 3n) === 3n;
}
