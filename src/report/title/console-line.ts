/** One console line taken apart. */
export interface ConsoleLine {
  /**
   * Who printed it: `T<pid>` or `C<cpu>` when the kernel tags its lines (`CONFIG_PRINTK_CALLER`), `console` when
   * the line has a time stamp only, the empty string when nothing shows that the kernel printed it. A `syslog `
   * before that where the line went through a logger: on a console that shows both, it is a repetition.
   */
  readonly context: string;
  /** What was printed, without the head. */
  readonly text: string;
  /** A stack frame that the unwinder itself does not trust (`? func+0x1/0x2`, or `(unreliable)` on powerpc). */
  readonly questionable: boolean;
}

const CONSOLE_CONTEXT = "console";
const LOGGER = "syslog ";

/** True where a context says which task or CPU printed the line. */
export function isTagged(context: string): boolean {
  return /[CT]\d+$/.test(context);
}

/** True where a context is a CPU's: the line was printed in an interrupt. */
export function isCpu(context: string): boolean {
  return /C\d+$/.test(context);
}

// printk's own head. Console drivers print "[   12.345678][  T123] "; dmesg of util-linux 2.40 puts a space
// between the two. A login prompt or a note about dropped messages may stand before it on the same line
// (google/syzkaller:pkg/report/linux.go:consoleOutputRe).
const PRINTK_HEAD = /^(?:\*\* \d+ printk messages dropped \*\* )?(?:.* login: )?(?:<\d+>)?\[ *\d+\.\d+\](?: ?\[ *(?<caller>[CT]\d+)\])? /;
// printk.time=0 together with CONFIG_PRINTK_CALLER.
const CALLER_HEAD = /^(?:<\d+>)?\[ *(?<caller>[CT]\d+)\] /;
// dmesg -T, and crash's `log -T` with the time zone.
const WALL_CLOCK_HEAD =
  /^(?:<\d+>)?\[[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d (?:[A-Z]{1,5} )?\d{4}\](?: \[ *(?<caller>[CT]\d+)\])? /;
// rsyslog, busybox and journalctl in their short formats ("Aug 17 12:34:56 host kernel: "), and RFC 3339 times, from
// syslog with a host and from `dmesg --time-format iso` without.
const SYSLOG_HEAD =
  /^(?:[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d(?:\.\d+)? \S{1,255} (?:kern\.[a-z]+ )?kernel: |\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)? (?:\S{1,255} kernel: )?)/;
// journalctl -o short-monotonic puts the host behind printk's time.
const MONOTONIC_HOST = /^[\w.-]{1,255} kernel: /;
// dmesg -x: "kern  :warn  : ".
const DECODED_HEAD = /^[a-z]+ *:[a-z]+ *: (?=\[)/;
// Records of /dev/kmsg and of the extended netconsole: "6,339,5140900,-,caller=T1;text".
const KMSG_HEAD = /^\d+,\d+,\d+,[^;,]{1,32}(?:,caller=(?<caller>[CT]\d+))?(?:,[^;]{0,64})?;/;

// In x86 traces the mark stands behind the address, where there is one.
const QUESTIONABLE = /(?:\[<[0-9a-f]+>\])? \? /;
const UNRELIABLE = " (unreliable)";

// Control sequences of ISO 6429: colours, and what firmware and pagers leave on a serial line.
// oxlint-disable-next-line no-control-regex
const TERMINAL_SEQUENCE = /\x1b(?:\[[0-?]*[ -/]*[@-~]|[@-Z\\-_c])/g;

/** Takes carriage returns and terminal control sequences out of a line. */
export function cleanLine(line: string): string {
  let clean = line;
  if (clean.includes("\r")) {
    clean = clean.replaceAll("\r", "");
  }
  if (clean.includes("\x1b")) {
    clean = clean.replace(TERMINAL_SEQUENCE, "");
  }
  return clean;
}

/** Takes a line apart that {@link cleanLine} has cleaned. */
export function parseConsoleLine(line: string): ConsoleLine {
  const head = parseHead(line);
  if (head === undefined) {
    return { context: "", text: line, questionable: false };
  }
  const text = line.slice(head.length);
  // The line that leaves an interrupt stack may carry a marked frame and is needed all the same: it is where
  // the interrupted code starts.
  if (!text.includes("<EOI>")) {
    if (QUESTIONABLE.test(text)) {
      return { context: head.context, text: text.slice(text.indexOf(" ? ") + 2), questionable: true };
    }
    if (text.endsWith(UNRELIABLE)) {
      return {
        context: head.context,
        text: text.slice(0, -UNRELIABLE.length),
        questionable: true,
      };
    }
  }
  return { context: head.context, text, questionable: false };
}

interface Head {
  readonly context: string;
  readonly length: number;
}

function parseHead(line: string): Head | undefined {
  const outer = SYSLOG_HEAD.exec(line) ?? DECODED_HEAD.exec(line);
  let skipped = outer?.[0].length ?? 0;
  const logger = outer === null ? "" : LOGGER;
  let context = outer === null ? undefined : logger + CONSOLE_CONTEXT;
  const rest = skipped === 0 ? line : line.slice(skipped);
  const inner = PRINTK_HEAD.exec(rest) ?? WALL_CLOCK_HEAD.exec(rest) ?? CALLER_HEAD.exec(rest) ?? KMSG_HEAD.exec(rest);
  if (inner !== null) {
    skipped += inner[0].length;
    context = logger + (inner.groups?.["caller"] ?? CONSOLE_CONTEXT);
    const host = outer === null ? MONOTONIC_HOST.exec(line.slice(skipped)) : null;
    skipped += host?.[0].length ?? 0;
  }
  return context === undefined ? undefined : { context, length: skipped };
}
