import { type CrashTitle, titlesOfLog } from "./title/index.ts";

/** Crashes of a log further apart than this are not of one cause. */
const CHAIN_SECONDS = 30;
/** A machine may log hundreds of warnings before the one crash that ends it. */
const MAX_CRASHES = 1000;

/**
 * The crash that ended the kernel, of all that its log tells. The last one is the end; those shortly before it led to
 * it, so the first of that chain is the cause. A warning is a cause only when nothing worse follows it.
 */
export function causeOf(text: string): CrashTitle | undefined {
  const crashes = titlesOfLog(text, { limit: MAX_CRASHES });
  if (crashes.length <= 1) return crashes[0];
  const lines = text.split("\n");
  const timeOf = (crash: CrashTitle): number => Number(/^\[\s*(\d+\.\d+)\]/.exec(lines[crash.line] ?? "")?.[1] ?? Number.NaN);
  let first = crashes.length - 1;
  while (first > 0) {
    const gap = timeOf(crashes[first]!) - timeOf(crashes[first - 1]!);
    // Without times the order alone is known: syzkaller's convention is that the first is the cause.
    if (gap > CHAIN_SECONDS) break;
    first--;
  }
  const chain = crashes.slice(first);
  return chain.find((crash) => !crash.title.startsWith("WARNING")) ?? chain[0];
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
