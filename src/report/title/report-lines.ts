import { bootBanner, cleanLine, isCpu, isTagged, parseConsoleLine } from "./console-line.ts";
import { headerGroup, isContinuation, isReplayed, mayBeHeader } from "./crash-start.ts";
import type { LinePlace, LogLines } from "./log-lines.ts";
import { TRACED_MESSAGES } from "./rules.ts";

/** The lines of one report, taken out of a log in which several CPUs and user space write at once. */
export interface ReportLines {
  /** Without console heads, the header line first. */
  readonly lines: readonly string[];
  /**
   * How many of `lines`, from the first, a title may be read from. Where lines do not say who printed them, all
   * that comes after the start of another report may belong to that one.
   */
  readonly usable: number;
  /** Index in the log of the last line that reads as part of this report. */
  readonly endLine: number;
  /** How many lines of the log were read. */
  readonly scanned: number;
}

/** No report is this long; with a line's bound this bounds the memory that one takes. */
const MAX_SCANNED_LINES = 10_000;
/** Once another report has begun, or after so many lines of others, what belongs to this one has been seen. */
const QUIET_LINES = 1000;

/**
 * With panic_on_warn, a second trace of the same stack follows under "Kernel panic". It is left out where the
 * report before it had this many lines; a shorter one may have got its stack only there. KMSAN's reports are
 * shorter (google/syzkaller:pkg/report/linux.go:reportMinLines).
 */
const MIN_REPORT_LINES = 22;
const MIN_KMSAN_LINES = 16;

const TAINT_NOTE = "Disabling lock debugging due to kernel taint";
const ALL_CPU_BACKTRACE = "Sending NMI from CPU";
const SECOND_TRACES = [
  "Kernel panic - not syncing",
  // Printing an oops takes locks in an order that lockdep does not like.
  "WARNING: possible circular locking dependency detected",
];

/** What reports consist of; anything else may be in between. */
const REPORT_FURNITURE =
  /^\s*(?:\[<?[0-9a-f]+>?\]|[\w.$]+\+0x[0-9a-f]|<\/?[A-Z]+>|[A-Z][A-Z0-9]{1,4} ?: |[xr]\d+ ?: |RIP|pc |lr |sp |Code: |Call [Tt]race|Modules linked in|---\[|={8}|-{8}|CPU: |Hardware name|Workqueue|Kernel panic|Kernel Offset|Memory state|>?[0-9a-f]{16}[: ]|Backtrace)/;

/** Collects the report whose header is at `start`, from no more than `limit` lines. */
export function reportLines(log: LogLines, start: LinePlace, limit: number = MAX_SCANNED_LINES): ReportLines {
  const lines: string[] = [];
  let usable = 0;
  let endLine = start.line;
  let context = "";
  let minLines = MIN_REPORT_LINES;
  let seen = 0;
  let otherReport = false;
  let allCpus = false;
  let skipping = false;
  let scanned = 0;
  let lastOwn = 0;
  for (
    let place: LinePlace | undefined = start;
    place !== undefined && scanned < limit && scanned - lastOwn < QUIET_LINES;
    place = log.next(place), scanned++
  ) {
    const line = cleanLine(log.read(place));
    const parsed = parseConsoleLine(line);
    if (scanned === 0) {
      context = parsed.context;
      minLines = line.includes("BUG: KMSAN:") ? MIN_KMSAN_LINES : MIN_REPORT_LINES;
    } else {
      if (bootBanner(parsed) !== undefined) {
        // What the next kernel says has nothing to do with it.
        break;
      }
      otherReport ||= startsOtherReport(log, place, line);
      const foreign = parsed.context !== context && !(allCpus && isCpu(parsed.context));
      if (parsed.questionable || foreign) {
        continue;
      }
    }
    seen++;
    let skipped = skipping;
    if (line.includes(TAINT_NOTE)) {
      skipped = true;
    } else if (line.includes(ALL_CPU_BACKTRACE)) {
      // The culprit's trace comes from another CPU.
      allCpus = true;
    } else if (seen > minLines && SECOND_TRACES.some((words) => line.includes(words))) {
      skipping = true;
      skipped = true;
    }
    if (!otherReport && (scanned === 0 || REPORT_FURNITURE.test(parsed.text))) {
      endLine = place.line;
    }
    if (skipped && scanned > 0) {
      continue;
    }
    lines.push(parsed.text);
    if (!otherReport || isTagged(context)) {
      usable = lines.length;
      lastOwn = scanned;
    }
  }
  return { lines, usable, endLine, scanned };
}

function startsOtherReport(log: LogLines, place: LinePlace, line: string): boolean {
  if (TRACED_MESSAGES.some((words) => line.includes(words))) {
    return true;
  }
  return mayBeHeader(line) && headerGroup(line) !== undefined && !isContinuation(line) && !isReplayed(log, place);
}
