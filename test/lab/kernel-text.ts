/** What a dying kernel printed about where it was: read from its own text, as the oracle for the report. */
export interface DeathText {
  /** The line that says why, without time stamp. */
  readonly says: string;
  readonly cpu: number;
  readonly pid: number;
  readonly comm: string;
  /** Frames the kernel was sure of, innermost first, with those in interrupted contexts; return addresses but for `RIP:` lines. */
  readonly frames: readonly TextFrame[];
}

export interface TextFrame {
  readonly symbol: string;
  readonly offset: number;
  readonly module: string | null;
}

/** A kernel's lines on a console, with their time stamps; what user space wrote between them is left out. */
export function kernelLines(text: string): string[] {
  // User space may have written a line's beginning before the kernel spoke: the kernel's line starts at its time stamp.
  return text.split("\n").flatMap((line) => /\[ *\d+\.\d{6}\].*$/.exec(line)?.[0] ?? []);
}

/** Finds the death in a kernel's text. @throws Error when a part is not there. */
export function parseDeath(text: string, says: RegExp): DeathText {
  const lines = kernelLines(text).map((line) => line.replace(/^\[ *\d+\.\d{6}\] ?/, ""));
  const start = lines.findIndex((line) => says.test(line));
  if (start < 0) throw new Error(`no line of the kernel matches ${says.source}`);
  const rest = lines.slice(start);
  const who = rest
    .map((line) => /^CPU: (\d+) (?:UID: \d+ )?PID: (\d+) Comm: (.+?) (?:Kdump: loaded )?(?:Not tainted|Tainted: )/.exec(line))
    .find((match) => match !== null);
  if (who === undefined) throw new Error("the kernel does not say on which CPU and in which task it died");
  return { says: rest[0] ?? "", cpu: Number(who[1]), pid: Number(who[2]), comm: who[3] ?? "", frames: parseTrace(rest) };
}

/** The first call trace, with the exception's own RIP before it where there is one. */
function parseTrace(lines: readonly string[]): TextFrame[] {
  const begin = lines.findIndex((line) => line === "Call Trace:");
  if (begin < 0) throw new Error("the kernel printed no call trace");
  const frames = lines.slice(0, begin).flatMap(parseRip).slice(0, 1);
  for (const line of lines.slice(begin + 1)) {
    const frame = /^ (\? )?([^\s+]+)\+0x([0-9a-f]+)\/0x[0-9a-f]+(?: \[([^\]]+)\])?$/.exec(line);
    if (frame !== null) {
      if (frame[1] !== undefined) continue; // "?": found on the stack, not walked through
      frames.push({ symbol: frame[2] ?? "", offset: Number.parseInt(frame[3] ?? "", 16), module: frame[4] ?? null });
    } else if (line.startsWith("RIP: ")) {
      if (line.startsWith("RIP: 0033")) break; // user space: the end of the kernel's part
      frames.push(...parseRip(line));
    } else if (!/^ ?<\/?[A-Z]+>$|^(Code|RSP|RAX|RDX|RBP|R10|R13|FS|CS|CR2|PKRU):/.test(line.replace(/^ +/, ""))) break;
  }
  return frames;
}

function parseRip(line: string): TextFrame[] {
  const match = /^RIP: 0010:([^\s+]+)\+0x([0-9a-f]+)\/0x[0-9a-f]+(?: \[([^\]]+)\])?/.exec(line);
  return match === null ? [] : [{ symbol: match[1] ?? "", offset: Number.parseInt(match[2] ?? "", 16), module: match[3] ?? null }];
}

/** Functions marked `__sched`, which `/proc/PID/stack` leaves out wherever they are (in_sched_functions). */
export function isSchedulerFunction(symbol: string): boolean {
  return /^(_*schedule(_.*)?|do_nanosleep|io_schedule.*|preempt_schedule.*|__percpu_down_read|percpu_down_write|_*mutex_lock.*|_*down(_read|_write|_killable|_interruptible|_timeout)*|rwsem_down_.*|_*wait_for_common|wait_for_completion.*|_*wait_on_bit.*|__cond_resched.*|rt_mutex_.*)$/.test(
    symbol,
  );
}
