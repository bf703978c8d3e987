import type { Fields } from "../../bytes/index.ts";
import { APIC_STATE_SIZE, SMRAM_CPU_STATE_SIZE } from "./layout.ts";

/**
 * The sub header: u32 size of all CPU states together, then struct sadump_apic_state for each CPU, then struct
 * sadump_smram_cpu_state for each: what the firmware's system management mode saved when it took over.
 * Offsets from crash:sadump.h.
 */
const REGISTERS_AT = 796;
const REGISTERS = ["r15", "r14", "r13", "r12", "r11", "r10", "r9", "r8", "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi"] as const;
/** 32-bit fields: name and offset. */
const SEGMENTS = [
  ["es", 936],
  ["cs", 940],
  ["ss", 944],
  ["ds", 948],
  ["fs", 952],
  ["gs", 956],
  ["ldtr", 960],
  ["tr", 964],
] as const;

/** Base and limit of a descriptor table. */
export interface DescriptorTable {
  readonly base: bigint;
  readonly limit: number;
}

/** One CPU when the firmware stopped it. */
export interface SadumpCpu {
  /** Index of the state. crash takes it for the APIC id (crash:sadump.c:sadump_get_smram_cpu_state). */
  readonly index: number;
  /** The APIC id that the table before the states has at the same index. */
  readonly apicId: bigint;
  readonly ldr: bigint;
  /** rax to r15, rip, rflags, and the segment selectors cs ss ds es fs gs ldtr tr. */
  readonly registers: ReadonlyMap<string, bigint>;
  readonly cr0: bigint;
  readonly cr3: bigint;
  readonly cr4: bigint;
  readonly dr6: bigint;
  readonly dr7: bigint;
  readonly efer: bigint;
  readonly idt: DescriptorTable;
  readonly gdt: DescriptorTable;
}

/** How many states of which size the sub header holds, checked against its length. */
export interface CpuStateTable {
  readonly count: number;
  /** Bytes from one state to the next. */
  readonly stride: number;
  /** Offset of the first state in the sub header. */
  readonly states: number;
  /** States that fit the sub header; less than `count` when it was cut or the counts are wrong. */
  readonly available: number;
}

/**
 * Works out the table.
 *
 * @param length bytes of the sub header that are there.
 * @returns undefined where the sub header holds no states of a known size.
 */
export function cpuStateTable(fields: Fields, nr_cpus: number, length: number): CpuStateTable | undefined {
  if (nr_cpus === 0 || length < 4) return undefined;
  const stride = Math.floor(fields.u32(0) / nr_cpus);
  if (stride < SMRAM_CPU_STATE_SIZE) return undefined;
  const states = 4 + nr_cpus * APIC_STATE_SIZE;
  const available = Math.max(0, Math.min(nr_cpus, Math.floor((length - states) / stride)));
  return { count: nr_cpus, stride, states, available };
}

/** Parses state `index`, which must be below {@link CpuStateTable.available}. */
export function parseCpuState(fields: Fields, table: CpuStateTable, index: number): SadumpCpu {
  const at = table.states + index * table.stride;
  const pair = (lower: number, upper: number): bigint => (BigInt(fields.u32(at + upper)) << 32n) | BigInt(fields.u32(at + lower));
  const registers = new Map<string, bigint>();
  for (const [i, name] of REGISTERS.entries()) registers.set(name, fields.u64(at + REGISTERS_AT + i * 8));
  registers.set("rip", fields.u64(at + 984));
  registers.set("rflags", fields.u64(at + 1000));
  for (const [name, offset] of SEGMENTS) registers.set(name, BigInt(fields.u32(at + offset)));
  return {
    index,
    apicId: fields.u64(4 + index * APIC_STATE_SIZE),
    ldr: fields.u64(4 + index * APIC_STATE_SIZE + 8),
    registers,
    cr0: fields.u64(at + 1016),
    cr3: fields.u64(at + 1008),
    cr4: BigInt(fields.u32(at + 576)),
    dr6: fields.u64(at + 976),
    dr7: fields.u64(at + 968),
    efer: fields.u64(at + 992),
    idt: { base: pair(660, 472), limit: fields.u32(at + 664) },
    gdt: { base: pair(652, 464), limit: fields.u32(at + 656) },
  };
}

/** False for an entry of an APIC id that no CPU has: reserved fields may hold anything, these are 0. */
export function isUsed(cpu: SadumpCpu): boolean {
  return cpu.cr0 !== 0n || cpu.cr3 !== 0n || cpu.registers.get("rip") !== 0n || cpu.registers.get("rflags") !== 0n;
}
