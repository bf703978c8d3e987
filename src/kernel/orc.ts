import { AscendingTable, DumpError, type Vaddr } from "../bytes/index.ts";
import { LazyBytes, type VirtualMemory } from "../memory/index.ts";

/** Base of a CFA or of a saved frame pointer, in one numbering for all versions of the table. */
export const OrcReg = {
  UNDEFINED: 0,
  PREV_SP: 1,
  DX: 2,
  DI: 3,
  BP: 4,
  SP: 5,
  R10: 6,
  R13: 7,
  BP_INDIRECT: 8,
  SP_INDIRECT: 9,
  AX: 10,
} as const;

/** What stands on the stack at an instruction, in one numbering for all versions of the table. */
export const OrcType = { UNDEFINED: 0, END_OF_STACK: 1, CALL: 2, REGS: 3, REGS_PARTIAL: 4 } as const;

/** One decoded entry; reused from lookup to lookup. */
export interface OrcEntry {
  sp_offset: number;
  bp_offset: number;
  sp_reg: number;
  bp_reg: number;
  type: number;
}

/**
 * Layout of the 16 flag bits of an entry (linux:arch/x86/include/asm/orc_types.h; formats.md 8.4):
 * v1 4.14–6.2, v2 6.3, v3 6.4–7.0 and RHEL 9.4, v4 7.1 and later (registers renumbered).
 */
export type OrcVersion = 1 | 2 | 3 | 4;

/** sizeof(struct orc_entry). */
const ENTRY_SIZE = 6;
const MAX_ENTRIES = 8_000_000;

/** First eight hex digits of .orc_header, a hash of the layout that the kernel was built with (drgn:libdrgn/orc_info.c). */
const HEADERS: Readonly<Record<string, OrcVersion>> = { "137c36ad": 4, fe5d32bf: 3, db84aed4: 2 };

/** v4 register number to ours. */
const REGISTERS_V4: readonly number[] = [
  OrcReg.UNDEFINED,
  OrcReg.AX,
  OrcReg.DX,
  OrcReg.SP,
  OrcReg.BP,
  OrcReg.DI,
  OrcReg.R10,
  OrcReg.R13,
  OrcReg.PREV_SP,
  OrcReg.SP_INDIRECT,
  OrcReg.BP_INDIRECT,
];
/** v1 and v2 type number to ours; 0 means CALL there. */
const TYPES_V1: readonly number[] = [OrcType.CALL, OrcType.REGS, OrcType.REGS_PARTIAL, OrcType.UNDEFINED];

/** One ORC table: that of vmlinux, or of a module. */
export class OrcTable {
  readonly count: number;
  readonly version: OrcVersion;
  readonly #ips: LazyBytes;
  readonly #entries: LazyBytes;
  readonly #base: Vaddr;
  readonly #search: AscendingTable;

  /**
   * @param ips address of the table of s32, each relative to its own place, ascending; @param entries of the entries.
   * @param version undefined: decided from the entries.
   */
  constructor(memory: VirtualMemory, ips: Vaddr, entries: Vaddr, count: number, version: OrcVersion | undefined) {
    if (!(count > 0 && count <= MAX_ENTRIES))
      throw new DumpError("CORRUPT", `an ORC table of ${count} entries, 1 to ${MAX_ENTRIES} are sane`);
    this.count = count;
    this.#base = ips;
    this.#search = new AscendingTable(count, (index) => this.#ip(index));
    this.#ips = LazyBytes.ofMemory(memory, ips, count * 4);
    this.#entries = LazyBytes.ofMemory(memory, entries, count * ENTRY_SIZE);
    this.version = version ?? this.#guessVersion();
  }

  /** Distance of entry `index`'s instruction from the start of the ip table. */
  #ip(index: number): number {
    return index * 4 + this.#ips.s32(index * 4);
  }

  /**
   * Decodes the entry that covers `ip` into `into`. False when `ip` is below the first entry.
   * The last entry covers all that follows: callers check that `ip` belongs to this table's text.
   */
  find(ip: Vaddr, into: OrcEntry): boolean {
    const wanted = Number(ip - this.#base);
    if (!Number.isSafeInteger(wanted)) return false;
    const index = this.#search.lastAtOrBelow(wanted);
    if (index < 0) return false;
    this.#decode(index, into);
    return true;
  }

  #decode(index: number, into: OrcEntry): void {
    const at = index * ENTRY_SIZE;
    const bits = this.#entries.u16(at + 4);
    into.sp_offset = this.#entries.s16(at);
    into.bp_offset = this.#entries.s16(at + 2);
    into.sp_reg = bits & 0xf;
    into.bp_reg = (bits >> 4) & 0xf;
    if (this.version === 4) {
      into.sp_reg = REGISTERS_V4[into.sp_reg] ?? OrcReg.UNDEFINED;
      into.bp_reg = REGISTERS_V4[into.bp_reg] ?? OrcReg.UNDEFINED;
    }
    if (this.version >= 3) {
      into.type = (bits >> 8) & 7;
    } else {
      into.type = TYPES_V1[(bits >> 8) & 3]!;
      const end = (bits >> (this.version === 1 ? 10 : 11)) & 1;
      if (into.sp_reg === OrcReg.UNDEFINED) into.type = end ? OrcType.END_OF_STACK : OrcType.UNDEFINED;
    }
  }

  /**
   * Without .orc_header: nearly all entries are plain calls on the stack pointer, and their bits tell the layout.
   * In v4 "sp" is 3, before 5; in v3 CALL is 2, before 0; only v2 has the signal bit 10 together with a type.
   */
  #guessVersion(): OrcVersion {
    const seen = { newSp: 0, call2: 0, call0: 0, signalWithType: 0 };
    // A few runs of neighbours: entries all over the table would read all of it.
    for (let sample = 0; sample < 512; sample++) {
      const index = Math.floor(((sample >> 7) * this.count) / 4) + (sample & 127);
      if (index >= this.count) break;
      const bits = this.#entries.u16(index * ENTRY_SIZE + 4);
      const type = (bits >> 8) & 7;
      if ((bits & 0xf) === 3) seen.newSp++;
      if (type === 2) seen.call2++;
      if (type === 0) seen.call0++;
      if (type === 5 || type === 6) seen.signalWithType++;
    }
    if (seen.call2 > seen.call0) return seen.newSp * 2 > seen.call2 ? 4 : 3;
    return seen.signalWithType > 0 ? 2 : 1;
  }
}

/** The layout that an .orc_header names, or undefined for a hash that is not known. */
export function orcVersionOf(header: Uint8Array): OrcVersion | undefined {
  return HEADERS[Buffer.from(header.subarray(0, 4)).toString("hex")];
}

/** A fresh entry to decode into. */
export function newOrcEntry(): OrcEntry {
  return { sp_offset: 0, bp_offset: 0, sp_reg: 0, bp_reg: 0, type: 0 };
}
