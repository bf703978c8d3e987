import { type KernelText, parseHead, type TextFacts, readFacts, cleanLine } from "../evidence/index.ts";
import { crashesOfText, type LoggedCrash } from "./title/index.ts";

/** Crashes of a log further apart than this are not of one cause. */
const CHAIN_SECONDS = 30;
/** A clock that goes back by more than what late lines explain is another boot's. */
const DISORDER_SECONDS = 10;
/** A machine may log thousands of warnings before the one crash that ends it. */
const KEEP = { first: 100, last: 400, context: 400 } as const;

/** A crash that a log tells of, with its place in time. */
export interface CrashInLog extends LoggedCrash {
  /** Seconds since boot; undefined where the log has no times. */
  readonly time: number | undefined;
}

/** Everything that a log tells of crashes. */
export interface CrashStory {
  readonly crashes: readonly CrashInLog[];
  /** Crashes in the middle of a long list, which are not in it. */
  readonly left: number;
  /** The one of them that led to the end. */
  readonly cause: CrashInLog | undefined;
  /** What its text tells besides the title. */
  readonly facts: TextFacts | undefined;
}

/** Reads a whole log, in memory that does not depend on its length. The caller closes it. */
export function readCrashes(text: KernelText): CrashStory {
  const { crashes: found, left } = crashesOfText(text.pull, KEEP);
  const crashes: CrashInLog[] = [];
  let boot = 0;
  let previous: CrashInLog | undefined;
  for (const crash of found) {
    const time = parseHead(cleanLine(crash.lines[0] ?? ""))?.time;
    const wentBack = previous?.time !== undefined && time !== undefined && time < previous.time - DISORDER_SECONDS;
    // Where the next boot's first words are lost, its clock still tells.
    if (previous !== undefined && wentBack && crash.boot + boot === previous.boot) boot++;
    previous = { ...crash, boot: crash.boot + boot, time };
    crashes.push(previous);
  }
  const cause = causeOf(crashes);
  return { crashes, left, cause, facts: cause && readFacts(cause.lines) };
}

/**
 * The crash that ended the kernel, of all that its log tells. Of several boots the last one with more than warnings
 * counts, but what a capture kernel came to is no cause of what it was started for. The last crash is the end; those shortly before it led to it, so the first of that chain is the cause. A
 * warning is a cause only when nothing worse follows it.
 */
function causeOf(all: readonly CrashInLog[]): CrashInLog | undefined {
  const isWarning = ({ crash }: CrashInLog): boolean => crash.title.startsWith("WARNING");
  const last = all.findLast((crash) => !isWarning(crash) && !crash.capture);
  const boot = (last ?? all.findLast((crash) => !isWarning(crash)) ?? all.at(-1))?.boot;
  const crashes = all.filter((crash) => crash.boot === boot);
  let first = crashes.length - 1;
  while (first > 0) {
    const gap = (crashes[first]!.time ?? Number.NaN) - (crashes[first - 1]!.time ?? Number.NaN);
    // Without times the order alone is known: syzkaller's convention is that the first is the cause.
    if (gap > CHAIN_SECONDS) break;
    first--;
  }
  const chain = crashes.slice(Math.max(0, first));
  return chain.find((crash) => !isWarning(crash)) ?? chain[0];
}

/** The kernel's own words for the end of one boot of several, from the lines of its crashes. */
export function lastWordsOf({ crashes, cause }: CrashStory): string | undefined {
  const lines = crashes
    .filter((crash) => cause && crash.boot === cause.boot && crash.crash.line >= cause.crash.line)
    .flatMap(({ lines }) => lines);
  return messageOf(lines.map((line) => cleanLine(line)).join("\n"));
}

const PANIC = /Kernel panic - not syncing: (.*)$/;
const FAULT =
  /(BUG: .*|Oops: .*|general protection fault.*|double fault.*|kernel BUG at .*|Unable to handle kernel .*|divide error: .*|invalid opcode: .*|stack segment: .*)$/;

/** The kernel's own words for the end: the panic's message, else the line of the fault. */
export function messageOf(text: string): string | undefined {
  let fault: string | undefined;
  let panic: string | undefined;
  for (const line of text.split("\n")) {
    // Cheap test first: logs have hundreds of thousands of lines.
    if (line.includes("Kernel panic")) panic = PANIC.exec(line)?.[1]?.trim() ?? panic;
    else if (fault === undefined && !line.includes("]  ?"))
      fault = FAULT.exec(line)?.[1]
        ?.trim()
        .replace(/(!) \]$/, "$1");
  }
  return panic ?? fault;
}

/** Line that every trace of the kernel has (linux:lib/dump_stack.c:dump_stack_print_info). */
const WHO = /CPU: (\d+) (?:UID: \d+ )?PID: (\d+) Comm: (.*?) +(?:Kdump: |Not tainted|Tainted: )/;

/** The CPU and task that the log names after line `from`: what is left where memory does not tell. */
export function whoOf(text: string, from: number): { cpu: number; pid: number; comm: string } | undefined {
  const lines = text.split("\n");
  for (let i = Math.max(0, from); i < lines.length; i++) {
    const line = lines[i]!;
    if (!line.includes("Comm: ")) continue;
    const match = WHO.exec(line);
    if (match) return { cpu: Number(match[1]), pid: Number(match[2]), comm: match[3]! };
  }
  return undefined;
}
