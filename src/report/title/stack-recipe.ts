import type { NameList } from "./frame-lists.ts";
import { FUNC, PC, shape } from "./line-pattern.ts";

/**
 * One step on the way to the guilty frame. An expression: go on to the next line that it matches; what its
 * groups capture are frames too. `frames`: collect frames until the next step's line, the next trace or the end.
 */
export type StackStep = RegExp | "frames";

/** How to find the guilty frame in the lines of one report. */
export interface StackRecipe {
  readonly steps: readonly StackStep[];
  /** Tried where `steps` found no frame. */
  readonly otherwise?: readonly StackStep[];
  /** Functions skipped in addition to the ones that are skipped always. */
  readonly skip?: NameList;
  /** Which of the remaining frames is guilty, where it is not the first. */
  readonly choose?: "stall" | "hang";
}

/** The line with the program counter: RIP, NIP, pc, on every architecture. With no symbol it captures nothing. */
export const PROGRAM_COUNTER: RegExp = shape`(?:IP|NIP|pc |PC is at):? (?:(?:[0-9]+:)?(?:${PC} +){0,2}${FUNC}|(?:[0-9]+:)?0x[0-9a-f]+|(?:[0-9]+:)?${PC} +\[< *\(null\)>\] +\(null\)|[0-9]+: +\(null\))`;

/** The headline of a trace. */
export const CALL_TRACE: RegExp = /Call [Tt]race:|Backtrace:/;

/** Lines that start a trace, each to be followed by at least one frame in a complete report. */
export const TRACE_STARTS: readonly TraceStart[] = [
  { line: /Call [Tt]race/ },
  { line: /Allocated:/ },
  { line: /Allocated by task [0-9]+:/ },
  { line: /Freed:/ },
  { line: /Freed by task [0-9]+:/ },
  // kmemleak's, and not lockdep's "stack backtrace:", which has "Call Trace:" on the next line.
  { line: /[^k] backtrace(?: \(crc [0-9A-Fa-f]*\))?:/ },
  { line: /Backtrace:/ },
  { line: /Uninit was stored to memory at/ },
  // show_regs() of riscv ends with this and dumps the stack without a headline, or prints no stack at all.
  { line: /status: [0-9a-f]{16} badaddr: [0-9a-f]{16} cause: [0-9a-f]{16}/, mayBeEmpty: true },
];

/** A line that starts a trace. */
export interface TraceStart {
  readonly line: RegExp;
  /** The trace may be missing in a complete report. */
  readonly mayBeEmpty?: true;
}

/** Lines with a frame; the groups capture function names. */
export const FRAME_LINES: readonly RegExp[] = [
  shape`^ *(?:${PC} ){0,2}${FUNC}`,
  // 32-bit arm prints callee and caller. Both are needed: the top frame's own address is in LR, which has no line.
  shape`^ *${PC} \(([a-zA-Z0-9_.]+)\) from ${PC} \(${FUNC}`,
];

/**
 * A trace of fault injection in the middle of a report: the two were printed at once, and frames of the one
 * cannot be told from frames of the other.
 */
export const INTERMIXED_LINE: RegExp = /^(?: \[<?(?:0x)?[0-9a-f]+>?\])? should_fail(?:slab)?(?:\.[a-z0-9.]+)?\+0x/;

/** The program counter, then the trace under it: the usual oops. */
export function oopsStack(options: RecipeOptions = {}): StackRecipe {
  return { steps: [PROGRAM_COUNTER, CALL_TRACE, "frames"], ...options };
}

/** A trace under its headline. */
export function traceStack(options: RecipeOptions = {}): StackRecipe {
  return { steps: [CALL_TRACE, "frames"], ...options };
}

/** Only the program counter: the trace of such a fault is worthless or missing. */
export const PROGRAM_COUNTER_ONLY: StackRecipe = { steps: [PROGRAM_COUNTER] };

/**
 * A WARNING is a trap on newer kernels, and the stack that matters starts at the trapped instruction (powerpc
 * marks it `--- interrupt:`); older kernels print a plain trace.
 */
export function warningStack(...skip: NameList): StackRecipe {
  return {
    steps: [new RegExp(`${PROGRAM_COUNTER.source}|${shape`--- interrupt: [0-9]+ at ${FUNC}`.source}`), "frames"],
    otherwise: [CALL_TRACE, "frames"],
    skip,
  };
}

/** What {@link oopsStack} and {@link traceStack} leave open. */
export interface RecipeOptions {
  readonly skip?: NameList;
  readonly choose?: "stall" | "hang";
}
