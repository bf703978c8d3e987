/*
 * What stands before a kernel's words on a line. One pass takes off what the collector wrote (syslog, journal, a
 * terminal server's clock) and what printk wrote; nothing here looks at the words themselves.
 */

/** The head of one line. */
export interface LineHead {
  /** Characters of it: the text starts here. */
  readonly length: number;
  /** Seconds since boot, from printk. */
  readonly time: number | undefined;
  /** `T<pid>` or `C<cpu>`, of kernels built with `CONFIG_PRINTK_CALLER`. */
  readonly caller: string | undefined;
  /** syslog's level, 0 (emergency) to 7 (debug), where the line carries it. */
  readonly level: number | undefined;
  /** The line went through a logger, which wrote a head of its own. */
  readonly logger: boolean;
}

// printk's own head. Console drivers print "[   12.345678][  T123] "; dmesg of util-linux 2.40 puts a space
// between the two. A login prompt or a note about dropped messages may stand before it on the same line
// (google/syzkaller:pkg/report/linux.go:consoleOutputRe). Some captures drop the ESC of firmware's sequences and keep
// the rest of them ("[2J[    0.000000] Linux version").
const PRINTK_HEAD =
  /^(?:\[\??[\d;]{1,12}[A-Za-z]){0,4}(?:\*\* \d+ printk messages dropped \*\* )?(?:.* login: )?(?:<(?<level>\d+)>)?\[ *(?<time>\d+\.\d+)\](?: ?\[ *(?<caller>[CT]\d+)\])? /;
// printk.time=0 together with CONFIG_PRINTK_CALLER.
const CALLER_HEAD = /^(?:<(?<level>\d+)>)?\[ *(?<caller>[CT]\d+)\] /;
// dmesg -T, and crash's `log -T` with the time zone.
const WALL_CLOCK_HEAD =
  /^(?:<(?<level>\d+)>)?\[[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d (?:[A-Z]{1,5} )?\d{4}\](?: \[ *(?<caller>[CT]\d+)\])? /;
// Records of /dev/kmsg and of the extended netconsole: "6,339,5140900,-,caller=T1;text"; with the release before it
// since kernel commit c1aa770f48fd ("netconsole: Append kernel version to message").
const KMSG_HEAD = /^(?:\d+\.[\w.+~-]{1,80},)?(?<level>\d+),\d+,(?<usec>\d+),[^;,]{1,32}(?:,caller=(?<caller>[CT]\d+))?(?:,[^;]{0,64})?;/;

/** What collectors write before the kernel's line, each with the words by which a kernel's line is known. */
const LOGGERS: readonly RegExp[] = [
  // rsyslog, busybox and journalctl -o short ("Aug 17 12:34:56 host kernel: "); a syslog server that netconsole sends
  // to has no program's name, just printk's head.
  /^(?:<\d{1,3}>)?[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d(?:\.\d+)? \S{1,255} (?:(?:kern\.[a-z]+ )?kernel: |(?=(?:<\d>)?\[ *\d+\.\d{6}\]))/,
  // RFC 3339 times, from syslog with a host and from `dmesg --time-format iso` or a console's logger without.
  /^\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)? (?:\S{1,255} kernel: )?/,
  // journalctl -o short-full: "Thu 2026-08-17 12:34:56 UTC host kernel: ".
  /^[A-Z][a-z]{2} \d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)? [A-Z0-9+:-]{1,6} \S{1,255} kernel: /,
  // journalctl -o short-unix and -o short-delta.
  /^\d{9,11}\.\d{6} \S{1,255} kernel: /,
  /^\[ *\d+\.\d+ <[ >\d.]{1,24}\] \S{1,255} kernel: /,
  // RFC 5424: "<6>1 2026-08-17T12:34:56Z host kernel - - - text".
  /^<\d{1,3}>1 \S{1,64} \S{1,255} kernel \S{1,128} \S{1,64} (?:-|\[[^\]]{0,256}\]) /,
  // Terminal servers and minicom: a time in brackets before printk's.
  /^\[(?:[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d )?(?:\d{4}-\d\d-\d\d )?\d\d:\d\d:\d\d(?:[.,]\d{1,6})?(?: \d{4})?\] ?(?=(?:<\d>)?\[ *\d+\.\d)/,
  // dmesg -x: "kern  :warn  : ".
  /^[a-z]+ *:[a-z]+ *: (?=\[)/,
];
// journalctl -o short-monotonic puts the host behind printk's time.
const MONOTONIC_HOST = /^[\w.-]{1,255} kernel: /;

const SPACE = 0x20;
const BRACKET = 0x5b;
const ANGLE = 0x3c;

/** The head of a line without carriage returns and terminal sequences; undefined where nothing shows a kernel's line. */
export function parseHead(line: string): LineHead | undefined {
  const first = line.charCodeAt(0);
  // Most lines of most logs start like this; the others cost more.
  let inner = first === BRACKET || first === ANGLE ? PRINTK_HEAD.exec(line) : null;
  let skipped = 0;
  let logger = false;
  if (inner === null) {
    const outer = loggerOf(line, first);
    skipped = outer?.length ?? 0;
    logger = outer !== undefined;
    const rest = skipped === 0 ? line : line.slice(skipped);
    inner = innerHead(rest);
  }
  if (inner === null) return logger ? { length: skipped, time: undefined, caller: undefined, level: undefined, logger } : undefined;
  let length = skipped + inner[0].length;
  if (!logger && line.includes(" kernel: ", length)) length += MONOTONIC_HOST.exec(line.slice(length, length + 270))?.[0].length ?? 0;
  const groups = inner.groups!;
  const { time, usec, level } = groups;
  return {
    length,
    time: time !== undefined ? Number(time) : usec !== undefined ? Number(usec) / 1e6 : undefined,
    caller: groups["caller"],
    level: level === undefined ? undefined : Number(level) & 7,
    logger,
  };
}

function innerHead(rest: string): RegExpExecArray | null {
  const first = rest.charCodeAt(0);
  if (first === BRACKET || first === ANGLE) return PRINTK_HEAD.exec(rest) ?? WALL_CLOCK_HEAD.exec(rest) ?? CALLER_HEAD.exec(rest);
  if (first >= 0x30 && first <= 0x39) return KMSG_HEAD.exec(rest) ?? promptHead(rest);
  return promptHead(rest);
}

function promptHead(rest: string): RegExpExecArray | null {
  return rest.startsWith("** ") || rest.includes(" login: ") ? PRINTK_HEAD.exec(rest) : null;
}

function loggerOf(line: string, first: number): string | undefined {
  if (first === SPACE || Number.isNaN(first)) return undefined;
  for (const shape of LOGGERS) {
    const found = shape.exec(line);
    if (found !== null) return found[0];
  }
  return undefined;
}

// Control sequences of ISO 6429: colours, and what firmware and pagers leave on a serial line.
// oxlint-disable-next-line no-control-regex
const TERMINAL_SEQUENCE = /\x1b(?:\[[0-?]*[ -/]*[@-~]|[@-Z\\-_c])/g;

/** Takes carriage returns, NULs and terminal control sequences out of a line. */
export function cleanLine(line: string): string {
  let clean = line;
  if (clean.includes("\r")) clean = clean.replaceAll("\r", "");
  if (clean.includes("\0")) clean = clean.replaceAll("\0", "");
  if (clean.includes("\x1b")) clean = clean.replace(TERMINAL_SEQUENCE, "");
  return clean;
}

/** Shape of printk's time as a search for it needs it: with microseconds, which every kernel prints. */
export const PRINTK_STAMP: RegExp = /\[ *\d+\.\d{6}\]/;
