/** ORC tables of all layouts, and the walks that the kernel's stacks need. */
import { describe, expect, test } from "vitest";
import { asPaddr, asVaddr, MemorySource, type Vaddr } from "../../src/bytes/index.ts";
import { openSources } from "../../src/format/index.ts";
import { newOrcEntry, OrcReg, OrcTable, OrcType, type OrcVersion } from "../../src/kernel/orc.ts";
import { guessFrames, unwind, type UnwindContext, type UnwindStart, type Unwound } from "../../src/kernel/unwind.ts";
import { PhysicalMemory, VirtualMemory } from "../../src/memory/index.ts";
import { writeElf } from "../writers/elf.ts";

const BASE = 0xffffffff81000000n;
const TEXT_END = BASE + 0x10000n;
const IPS = BASE + 0x10000n;
const ENTRIES = BASE + 0x12000n;
const STACK = BASE + 0x20000n;
const STACK_TOP = STACK + 0x4000n;
const IRQ_TOP = BASE + 0x30000n;
const SIZE = 0x40000;

/** An entry in our own terms; encoded per version. */
interface Rule {
  /** Offset of the instruction from the start of the text. */
  readonly at: number;
  readonly sp?: number;
  readonly spOffset?: number;
  readonly bp?: number;
  readonly bpOffset?: number;
  readonly type: number;
}

const V4_REGISTERS: Readonly<Record<number, number>> = {
  [OrcReg.UNDEFINED]: 0,
  [OrcReg.AX]: 1,
  [OrcReg.DX]: 2,
  [OrcReg.SP]: 3,
  [OrcReg.BP]: 4,
  [OrcReg.DI]: 5,
  [OrcReg.R10]: 6,
  [OrcReg.R13]: 7,
  [OrcReg.PREV_SP]: 8,
  [OrcReg.SP_INDIRECT]: 9,
  [OrcReg.BP_INDIRECT]: 10,
};

function flagBits(rule: Rule, version: OrcVersion): number {
  const map = (register: number): number => (version === 4 ? V4_REGISTERS[register]! : register);
  const registers = map(rule.sp ?? 0) | (map(rule.bp ?? 0) << 4);
  if (version >= 3) return registers | (rule.type << 8);
  if (rule.type === OrcType.END_OF_STACK) return registers | (1 << (version === 1 ? 10 : 11));
  const type = { [OrcType.CALL]: 0, [OrcType.REGS]: 1, [OrcType.REGS_PARTIAL]: 2, [OrcType.UNDEFINED]: 0 }[rule.type]!;
  // Only 6.3 has the signal bit beside a type.
  const signal = version === 2 && type !== 0 ? 1 << 10 : 0;
  return registers | (type << 8) | signal;
}

class Stacks {
  readonly bytes: Uint8Array = new Uint8Array(SIZE);
  readonly view: DataView = new DataView(this.bytes.buffer);
  readonly context: UnwindContext;
  readonly table: OrcTable;
  readonly memory: VirtualMemory;

  constructor(rules: readonly Rule[], version: OrcVersion, told: boolean) {
    // Filler makes the ordinary entries the many that they are.
    const all: Rule[] = [
      ...rules,
      ...Array.from({ length: 200 }, (_, i) => ({ at: 0x8000 + i * 16, sp: OrcReg.SP, spOffset: 8, type: OrcType.CALL })),
    ].sort((a, b) => a.at - b.at);
    all.forEach((rule, i) => {
      this.view.setInt32(Number(IPS - BASE) + i * 4, Number(BASE + BigInt(rule.at) - (IPS + BigInt(i * 4))), true);
      const at = Number(ENTRIES - BASE) + i * 6;
      this.view.setInt16(at, rule.spOffset ?? 0, true);
      this.view.setInt16(at + 2, rule.bpOffset ?? 0, true);
      this.view.setUint16(at + 4, flagBits(rule, version), true);
    });
    const dump = openSources([new MemorySource(writeElf({ loads: [{ paddr: 0, bytes: this.bytes }] }), "stacks")]);
    // The ELF writer copied the bytes: let the dump see what is written later.
    const live = {
      ...["format", "pageSize", "littleEndian", "wordSize", "arch", "maxPfn", "notes", "vmcoreinfo", "problems"].reduce(
        (o, key) => ({ ...o, [key]: dump[key as "format"] }),
        {},
      ),
      pageState: () => "stored",
      readPage: (pfn: number, into: Uint8Array) => into.set(this.bytes.subarray(pfn * 4096, pfn * 4096 + 4096)),
      nextStored: () => undefined,
      info: () => [],
      close: () => undefined,
    };
    const physical = new PhysicalMemory(live as unknown as typeof dump);
    this.memory = new VirtualMemory(physical, {
      pageShift: 12,
      translate: (address) => {
        if (address < BASE || address >= BASE + BigInt(SIZE)) throw new (class extends Error {})("outside");
        return asPaddr(Number(address - BASE));
      },
    });
    this.table = new OrcTable(this.memory, asVaddr(IPS), asVaddr(ENTRIES), all.length, told ? version : undefined);
    const isText = (ip: Vaddr): boolean => ip >= BASE && ip < TEXT_END;
    this.context = {
      memory: this.memory,
      isText,
      orcFor: (ip) => (isText(ip) ? this.table : undefined),
      functionStart: (ip) => (isText(ip) ? asVaddr(ip & ~0xffn) : undefined),
    };
  }

  word(address: bigint, value: bigint): void {
    this.view.setBigUint64(Number(address - BASE), BigInt.asUintN(64, value), true);
  }

  walk(start: Partial<UnwindStart>): Unwound {
    return unwind(this.context, {
      ip: asVaddr(BASE + 0x10n),
      sp: asVaddr(STACK),
      bp: asVaddr(0n),
      exact: true,
      registers: undefined,
      ...start,
    });
  }
}

const text = (offset: number): bigint => BASE + BigInt(offset);
const ips = (unwound: Unwound): number[] => unwound.frames.map((frame) => Number(frame.ip - BASE));
const END: Rule = { at: 0x7000, type: OrcType.END_OF_STACK };

describe.each([
  [1, true],
  [2, true],
  [3, true],
  [4, true],
  [1, false],
  [2, false],
  [3, false],
  [4, false],
] as const)("ORC version %i (told: %s)", (version, told) => {
  const rules: Rule[] = [
    { at: 0x0, sp: OrcReg.SP, spOffset: 24, type: OrcType.CALL },
    { at: 0x1000, sp: OrcReg.SP, spOffset: 16, bp: OrcReg.PREV_SP, bpOffset: -16, type: OrcType.CALL },
    { at: 0x2000, sp: OrcReg.BP, spOffset: 16, bp: OrcReg.PREV_SP, bpOffset: -16, type: OrcType.CALL },
    { at: 0x3000, sp: OrcReg.SP, spOffset: 0, type: OrcType.REGS },
    { at: 0x4000, sp: OrcReg.SP, spOffset: 0, type: OrcType.REGS_PARTIAL },
    { at: 0x5000, sp: OrcReg.SP_INDIRECT, spOffset: 0, type: OrcType.CALL },
    { at: 0x6000, type: OrcType.UNDEFINED },
    END,
  ];

  test("is told by its entries", () => {
    expect(new Stacks(rules, version, told).table.version).toBe(version);
  });

  test("calls by stack and frame pointer, to the end of the stack", () => {
    const s = new Stacks(rules, version, told);
    s.word(STACK + 16n, text(0x1010));
    s.word(STACK + 24n, STACK + 0x100n);
    s.word(STACK + 32n, text(0x2010));
    s.word(STACK + 0x100n, 0n);
    s.word(STACK + 0x108n, text(0x7010));
    const walk = s.walk({});
    expect(ips(walk)).toEqual([0x10, 0x1010, 0x2010, 0x7010]);
    expect(walk.end).toBe("end");
    expect(walk.frames.every((frame) => frame.reliable)).toBe(true);
    expect(walk.frames.map((frame) => frame.exact)).toEqual([true, false, false, false]);
  });

  test("an exception's registers lead on, to user mode", () => {
    const s = new Stacks(rules, version, told);
    s.word(STACK + 16n, text(0x3010));
    const regs = STACK + 24n;
    s.word(regs + 32n, STACK + 0x200n);
    s.word(regs + 128n, text(0x1000));
    s.word(regs + 136n, 0x10n);
    s.word(regs + 152n, STACK + 0x300n);
    s.word(STACK + 0x308n, text(0x4010));
    // REGS_PARTIAL: the iret frame alone.
    s.word(STACK + 0x310n, 0x401234n);
    s.word(STACK + 0x318n, 0x33n);
    s.word(STACK + 0x328n, 0x7ffc0000n);
    const walk = s.walk({});
    expect(walk.end).toBe("user");
    expect(walk.frames.map((frame) => (frame.user ? "user" : Number(frame.ip - BASE)))).toEqual([0x10, 0x3010, 0x1000, 0x4010, "user"]);
    // Where the exception hit, the address is exact: the function's first byte belongs to it.
    expect(walk.frames[2]).toMatchObject({ exact: true });
    expect(walk.frames[2]!.registers?.get("bp")).toBe(STACK + 0x200n);
    expect(walk.frames[4]!.registers?.get("sp")).toBe(0x7ffc0000n);
  });

  test("from an interrupt's stack back to the task's", () => {
    const s = new Stacks(rules, version, told);
    const sp = IRQ_TOP - 24n;
    s.word(sp + 16n, text(0x5010));
    // The top of the interrupt stack holds the interrupted stack pointer; the return address is below that.
    s.word(IRQ_TOP, STACK + 0x508n);
    s.word(STACK + 0x500n, text(0x7010));
    const walk = s.walk({ sp: asVaddr(sp) });
    expect(ips(walk)).toEqual([0x10, 0x5010, 0x7010]);
    expect(walk.end).toBe("end");
  });
});

describe("where the tables say nothing", () => {
  const rules: Rule[] = [{ at: 0x0, type: OrcType.UNDEFINED }, { at: 0x1000, sp: OrcReg.SP, spOffset: 8, type: OrcType.CALL }, END];

  function calledFrom(s: Stacks, address: bigint, target: bigint): bigint {
    s.bytes[Number(address - BASE) - 5] = 0xe8;
    s.view.setInt32(Number(address - BASE) - 4, Number(target - address), true);
    return address;
  }

  test("the caller is the return address behind a call of this very function", () => {
    const s = new Stacks(rules, 3, true);
    // A stale address of text comes first on the stack; its call goes elsewhere.
    s.word(STACK + 8n, calledFrom(s, text(0x1020), text(0x1000)));
    s.word(STACK + 0x40n, calledFrom(s, text(0x1040), text(0x0)));
    s.word(STACK + 0x48n, text(0x7010));
    const walk = s.walk({ ip: asVaddr(text(0x30)) });
    expect(ips(walk)).toEqual([0x30, 0x1040, 0x7010]);
    expect(walk.end).toBe("end");
    expect(walk.frames.every((frame) => frame.reliable)).toBe(true);
  });

  test("a frame pointer is taken when it leads to text; nothing else ends the walk", () => {
    const s = new Stacks(rules, 3, true);
    s.word(STACK + 0x100n, 0n);
    s.word(STACK + 0x108n, text(0x7010));
    expect(ips(s.walk({ ip: asVaddr(text(0x30)), bp: asVaddr(STACK + 0x100n) }))).toEqual([0x30, 0x7010]);
    const lost = s.walk({ ip: asVaddr(text(0x30)) });
    expect(ips(lost)).toEqual([0x30]);
    expect(lost.end).toBe("no-orc");
  });

  test("a call to NULL returns to what is on top of the stack", () => {
    const s = new Stacks(rules, 3, true);
    s.word(STACK, text(0x1010));
    s.word(STACK + 8n, text(0x7010));
    const walk = s.walk({ ip: asVaddr(0n) });
    expect(walk.frames.map((frame) => frame.ip)).toEqual([0n, text(0x1010), text(0x7010)]);
  });

  test("guesses are addresses of text on the stack, and unreliable", () => {
    const s = new Stacks(rules, 3, true);
    s.word(STACK + 0x20n, text(0x1234));
    s.word(STACK + 0x28n, 0x1234n);
    s.word(STACK + 0x30n, TEXT_END + 0x100n);
    s.word(STACK_TOP - 8n, text(0x4321));
    const guesses = guessFrames(s.context, asVaddr(STACK), asVaddr(STACK_TOP), 10);
    expect(guesses.map((frame) => [Number(frame.ip - BASE), frame.reliable])).toEqual([
      [0x1234, false],
      [0x4321, false],
    ]);
  });

  test("a chain without end is cut", () => {
    const s = new Stacks([{ at: 0, sp: OrcReg.SP, spOffset: 0, type: OrcType.CALL }, END], 3, true);
    s.word(STACK - 8n, text(0x10));
    const walk = s.walk({});
    expect(["loop", "limit"]).toContain(walk.end);
    expect(walk.frames.length).toBeLessThanOrEqual(512);
  });
});

test("a lookup below the first entry finds none", () => {
  const s = new Stacks([{ at: 0x100, sp: OrcReg.SP, spOffset: 8, type: OrcType.CALL }], 3, true);
  const entry = newOrcEntry();
  expect(s.table.find(asVaddr(BASE), entry)).toBe(false);
  expect(s.table.find(asVaddr(BASE + 0x100n), entry)).toBe(true);
  expect(entry).toMatchObject({ sp_reg: OrcReg.SP, sp_offset: 8, type: OrcType.CALL });
});
