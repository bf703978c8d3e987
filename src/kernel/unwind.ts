import { asVaddr, isDumpError, type Vaddr } from "../bytes/index.ts";
import type { VirtualMemory } from "../memory/index.ts";
import { newOrcEntry, type OrcEntry, OrcReg, type OrcTable, OrcType } from "./orc.ts";
import { isUserMode, parsePtRegs, PT_REGS_SIZE, registerAddress, type Registers } from "./registers.ts";

/** One step of a call chain, innermost first. */
export interface RawFrame {
  /** Instruction: exact for the first frame and at exceptions, else the return address. */
  readonly ip: Vaddr;
  /** Stack pointer at that point. */
  readonly sp: Vaddr;
  /** True when `ip` is where the CPU was, not a return address: symbols are looked up without going back one byte. */
  readonly exact: boolean;
  /** False for what was found by scanning the stack or past a gap in the unwind tables. */
  readonly reliable: boolean;
  /** Registers saved by an exception or interrupt at this frame, or of user mode. */
  readonly registers: Registers | undefined;
  /** True for the last frame, in user mode. */
  readonly user: boolean;
}

/** Why a walk ended. */
export type UnwindEnd = "user" | "end" | "no-orc" | "unreadable" | "limit" | "loop";

export interface Unwound {
  readonly frames: readonly RawFrame[];
  readonly end: UnwindEnd;
  /** Stack pointer where the walk stopped: guesses go on from there. */
  readonly sp: Vaddr;
}

const MAX_FRAMES = 512;
/** No function of the kernel may use more stack (CONFIG_FRAME_WARN is 2048; leave room for realignment). */
const MAX_FRAME_SIZE = 8192n;
/** iret frame within pt_regs: ip, cs, flags, sp, ss. */
const IRET_OFFSET = 128n;

/** What the unwinder asks of the kernel. */
export interface UnwindContext {
  readonly memory: VirtualMemory;
  /** The ORC table that covers an address of kernel or module text, or undefined. */
  orcFor(ip: Vaddr): OrcTable | undefined;
  /** True for an address of kernel or module text. */
  isText(ip: Vaddr): boolean;
  /** Start of the function that holds `ip`, or undefined. */
  functionStart(ip: Vaddr): Vaddr | undefined;
}

/** Where a walk starts. */
export interface UnwindStart {
  readonly ip: Vaddr;
  readonly sp: Vaddr;
  readonly bp: Vaddr;
  readonly exact: boolean;
  readonly registers: Registers | undefined;
}

/**
 * Walks a stack by ORC as the kernel does (linux:arch/x86/kernel/unwind_orc.c:unwind_next_frame; formats.md 8.4):
 * across IRQ, NMI and exception stacks (a saved pt_regs or the pointer at an IRQ stack's top leads to the next one)
 * down to user mode. Where no entry covers an instruction the frame pointer is tried and what follows is unreliable.
 */
export function unwind(context: UnwindContext, start: UnwindStart): Unwound {
  const { memory } = context;
  const frames: RawFrame[] = [];
  const entry: OrcEntry = newOrcEntry();
  let { ip, sp, bp, exact } = start;
  /** Registers known at this frame: of the start, or of a full pt_regs; a call makes them unknown. */
  let known: Registers | undefined = start.registers;
  let shown: Registers | undefined;
  let reliable = true;

  const finish = (end: UnwindEnd): Unwound => {
    // A chain that went over a gap and still arrived exactly at the bottom of the stack was right all the way.
    const arrived = end === "user" || end === "end";
    return { frames: arrived && !reliable ? frames.map((frame) => ({ ...frame, reliable: true })) : frames, end, sp };
  };
  try {
    while (frames.length < MAX_FRAMES) {
      frames.push({ ip, sp, exact, reliable, registers: shown, user: false });
      shown = undefined;

      const at = exact ? ip : asVaddr(ip - 1n);
      const table = context.orcFor(at);
      const covered = table?.find(at, entry) ?? false;
      if (covered && entry.type === OrcType.END_OF_STACK) return finish("end");
      if (!covered || entry.type === OrcType.UNDEFINED) {
        // objtool skips functions marked STACK_FRAME_NON_STANDARD; __crash_kexec, in which every kdump ends, is one.
        const caller = findCallSite(context, at, sp);
        if (caller) {
          ip = caller.ip;
          sp = caller.sp;
          bp = caller.bp ?? bp;
          exact = false;
          known = undefined;
          // Within the tables' text one such step is sure; a stack without any tables is not.
          if (!table) reliable = false;
          continue;
        }
        reliable = false;
        if (exact && !context.isText(at)) {
          // A call to NULL or to garbage: the return address is on top of the stack (null_orc_entry).
          setEntry(entry, OrcReg.SP, 8, OrcReg.UNDEFINED, 0);
        } else if (hasFramePointer(context, sp, bp)) {
          // orc_fp_entry: code without tables (BPF, trampolines) may keep a frame pointer.
          setEntry(entry, OrcReg.BP, 16, OrcReg.PREV_SP, -16);
        } else return finish("no-orc");
      }
      const cfa = cfaOf(memory, entry, sp, bp, known);
      if (cfa === undefined) return finish("no-orc");
      const before = { ip, sp };
      const bpBefore = bp;
      switch (entry.type) {
        case OrcType.CALL:
          ip = memory.pointer(asVaddr(cfa - 8n));
          sp = cfa;
          exact = false;
          known = undefined;
          break;
        case OrcType.REGS: {
          const registers = parsePtRegs(memory.fields(cfa, PT_REGS_SIZE, "pt_regs"));
          ip = registerAddress(registers, "ip");
          sp = registerAddress(registers, "sp");
          exact = true;
          known = registers;
          shown = registers;
          break;
        }
        default: {
          const partial = parsePtRegs(memory.fields(asVaddr(cfa - IRET_OFFSET), PT_REGS_SIZE, "pt_regs"));
          ip = registerAddress(partial, "ip");
          sp = registerAddress(partial, "sp");
          exact = true;
          // Only the iret part is there; the callee-saved registers are those of before, if any.
          shown = new Map(["ip", "cs", "flags", "sp", "ss"].map((name) => [name, partial.get(name)!]));
          break;
        }
      }
      switch (entry.bp_reg) {
        case OrcReg.PREV_SP:
          bp = memory.pointer(asVaddr(cfa + BigInt(entry.bp_offset)));
          break;
        case OrcReg.BP:
          bp = memory.pointer(asVaddr(bpBefore + BigInt(entry.bp_offset)));
          break;
        default:
          if (entry.type === OrcType.REGS) bp = registerAddress(known!, "bp");
      }
      if (shown && isUserMode(shown)) {
        frames.push({ ip, sp, exact: true, reliable, registers: shown, user: true });
        return finish("user");
      }
      // Without tables only an address of text can be a caller.
      if (!reliable && !context.isText(asVaddr(ip - 1n))) {
        sp = before.sp;
        return finish("no-orc");
      }
      // Within one stack the walk goes up; a new stack is entered only through saved registers.
      if (
        entry.type === OrcType.CALL &&
        entry.sp_reg !== OrcReg.SP_INDIRECT &&
        entry.sp_reg !== OrcReg.BP_INDIRECT &&
        sp <= before.sp &&
        ip === before.ip
      )
        return finish("loop");
      if (ip === 0n) return finish("end");
    }
    return finish("limit");
  } catch (error) {
    if (!isDumpError(error)) throw error;
    return finish("unreadable");
  }
}

/**
 * Finds who called a function that has no unwind entry: the first return address above `sp` whose call instruction
 * (e8 rel32) goes to the start of this very function. Where the function's prologue pushes the frame pointer its saved
 * value is fetched, too.
 */
function findCallSite(context: UnwindContext, ip: Vaddr, sp: Vaddr): { ip: Vaddr; sp: Vaddr; bp: Vaddr | undefined } | undefined {
  const { memory } = context;
  const start = context.functionStart(ip);
  if (start === undefined) return undefined;
  const call = new Uint8Array(5);
  const view = new DataView(call.buffer);
  for (let at = (sp + 7n) & ~7n; at < sp + MAX_FRAME_SIZE; at += 8n) {
    const word = new Uint8Array(8);
    if (!memory.tryRead(asVaddr(at), word)) return undefined;
    const ra = asVaddr(new DataView(word.buffer).getBigUint64(0, true));
    if (!context.isText(asVaddr(ra - 1n)) || !memory.tryRead(asVaddr(ra - 5n), call)) continue;
    if (call[0] !== 0xe8 || asVaddr(ra + BigInt(view.getInt32(1, true))) !== start) continue;
    const saved = savedFramePointer(memory, start);
    return { ip: ra, sp: asVaddr(at + 8n), bp: saved === undefined ? undefined : memory.pointer(asVaddr(at - BigInt(saved))) };
  }
  return undefined;
}

/**
 * Distance below the return address at which a function's prologue saves rbp, from its first instructions: endbr64,
 * the patchable call or nop of ftrace, then pushes. Undefined where it does not push rbp there.
 */
function savedFramePointer(memory: VirtualMemory, start: Vaddr): number | undefined {
  const code = new Uint8Array(32);
  if (!memory.tryRead(start, code)) return undefined;
  let at = 0;
  if (code[0] === 0xf3 && code[1] === 0x0f && code[2] === 0x1e && code[3] === 0xfa) at = 4;
  if (code[at] === 0xe8 || (code[at] === 0x0f && code[at + 1] === 0x1f)) at += 5;
  for (let distance = 8; at < code.length - 1; distance += 8) {
    if (code[at] === 0x55) return distance;
    if (code[at]! >= 0x50 && code[at]! <= 0x57) at += 1;
    else if (code[at] === 0x41 && code[at + 1]! >= 0x50 && code[at + 1]! <= 0x57) at += 2;
    else return undefined;
  }
  return undefined;
}

/** Whether `bp` points to a saved frame pointer and a return address into text, a little above `sp`. */
function hasFramePointer(context: UnwindContext, sp: Vaddr, bp: Vaddr): boolean {
  if (bp < sp || bp - sp > MAX_FRAME_SIZE || (bp & 7n) !== 0n) return false;
  return context.isText(asVaddr(context.memory.pointer(asVaddr(bp + 8n)) - 1n));
}

function setEntry(entry: OrcEntry, spReg: number, spOffset: number, bpReg: number, bpOffset: number): void {
  entry.sp_reg = spReg;
  entry.sp_offset = spOffset;
  entry.bp_reg = bpReg;
  entry.bp_offset = bpOffset;
  entry.type = OrcType.CALL;
}

/** The canonical frame address: the stack pointer before the call. Undefined when its base register is not known. */
function cfaOf(memory: VirtualMemory, entry: OrcEntry, sp: Vaddr, bp: Vaddr, known: Registers | undefined): Vaddr | undefined {
  const offset = BigInt(entry.sp_offset);
  const register = (name: string): Vaddr | undefined => (known?.has(name) ? registerAddress(known, name) : undefined);
  switch (entry.sp_reg) {
    case OrcReg.SP:
      return asVaddr(sp + offset);
    case OrcReg.BP:
      return asVaddr(bp + offset);
    case OrcReg.SP_INDIRECT:
      // Since 5.12 the offset is added after the load (linux aafeb14e9da2); before, offset was always 0 here or the
      // load was at sp + offset. An IRQ stack's top holds the pointer, so the load decides.
      return asVaddr(memory.pointer(sp) + offset);
    case OrcReg.BP_INDIRECT:
      return memory.pointer(asVaddr(bp + offset));
    case OrcReg.R10:
      return register("r10");
    case OrcReg.R13:
      return register("r13");
    case OrcReg.DI:
      return register("di");
    case OrcReg.DX:
      return register("dx");
    case OrcReg.AX:
      return register("ax");
    default:
      return undefined;
  }
}

/**
 * Every word between `from` and `to` that could be a return address into text: what a stack still shows where the
 * tables end. All of it is a guess.
 *
 * @param limit most frames to return.
 */
export function guessFrames(context: UnwindContext, from: Vaddr, to: Vaddr, limit: number): RawFrame[] {
  const frames: RawFrame[] = [];
  const length = Number(to - from);
  if (!(length > 0 && length <= 1 << 20)) return frames;
  const bytes = new Uint8Array(length);
  // Page by page, so that one missing page does not hide the rest.
  for (let at = 0; at < length; at += 4096)
    context.memory.tryRead(asVaddr(from + BigInt(at)), bytes.subarray(at, Math.min(length, at + 4096)));
  const view = new DataView(bytes.buffer);
  for (let at = 0; at + 8 <= length && frames.length < limit; at += 8) {
    // Kernel addresses have all upper bits set: two cheap tests before a bigint is made.
    if (view.getUint32(at + 4, true) !== 0xffffffff) continue;
    const ip = asVaddr(view.getBigUint64(at, true));
    if (context.isText(asVaddr(ip - 1n))) {
      frames.push({ ip, sp: asVaddr(from + BigInt(at) + 8n), exact: false, reliable: false, registers: undefined, user: false });
    }
  }
  return frames;
}
