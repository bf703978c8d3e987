/**
 * Names a crash from its console log, in syzkaller's convention: the same crash gets the same title from any
 * run, and the title can be looked up on its dashboards. Pure; no I/O.
 *
 * The way of a log: `crash-start` finds header lines · `report-lines` collects what belongs to one · `describe`
 * picks the rule (`rules`) and fills its templates with the guilty function (`guilty-frame`, `frame-lists`) ·
 * `normalise` takes out what changes from run to run · `corruption` says whether to trust it.
 */
import { cleanLine } from "./console-line.ts";
import { type CrashStart, crashStarts } from "./crash-start.ts";
import { type CrashType, crashType } from "./crash-type.ts";
import { describe } from "./describe.ts";
import { LOG_START, type LogLines, openLogLines } from "./log-lines.ts";
import { frameInTitle, normaliseTitle, printable } from "./normalise.ts";
import { reportLines } from "./report-lines.ts";
import { CONSOLE_LOST } from "./rules.ts";

export type { CrashType } from "./crash-type.ts";

/** One crash in a log, named. */
export interface CrashTitle {
  /** For instance `KASAN: use-after-free Read in tty_release`. At most 120 characters of printable ASCII. */
  readonly title: string;
  /**
   * What the same crash may be called elsewhere (`bad-access in tty_release`): two crashes that share a title or
   * an alternative are one bug. Sorted, without doubles and without the title itself.
   */
  readonly altTitles: readonly string[];
  /** The kind of crash. */
  readonly type: CrashType;
  /**
   * The function to blame; undefined where the kind has none, the word `corrupted`, as in the title, where the
   * stack should have shown one and does not.
   */
  readonly frame: string | undefined;
  /** Why the report, and with it the title, cannot be trusted; false where it can. */
  readonly corrupted: false | string;
  /** Zero-based index of the report's first line. */
  readonly line: number;
  /** Zero-based index of the last line that reads as part of the report; not less than `line`. */
  readonly endLine: number;
  /** Which rule of the table named it; undefined where the title is the header line as it stands. */
  readonly rule: string | undefined;
}

/** Options of {@link titleOfLog} and {@link titlesOfLog}. */
export interface TitleOptions {
  /** The most crashes that {@link titlesOfLog} gives, 1 to 1000; 16 by default. */
  readonly limit?: number;
}

const DEFAULT_LIMIT = 16;
const MAX_LIMIT = 1000;

/**
 * Names the first crash in a kernel log: the one that caused those after it.
 *
 * @param log The text, lines separated by line feeds, or the lines. Time stamps, callers, syslog heads, carriage
 *   returns and terminal colours may be there or not.
 * @returns undefined where the log has no crash.
 */
export function titleOfLog(log: string | readonly string[]): CrashTitle | undefined {
  return titlesOfLog(log, { limit: 1 })[0];
}

/**
 * Names the crashes in a kernel log in the order of their first lines. What a crash leads to in the same boot
 * (the panic after an oops) is part of it.
 *
 * @throws RangeError where the limit is not one.
 */
export function titlesOfLog(log: string | readonly string[], options: TitleOptions = {}): CrashTitle[] {
  const limit = options.limit ?? DEFAULT_LIMIT;
  if (!Number.isInteger(limit) || limit < 1 || limit > MAX_LIMIT) {
    throw new RangeError(`limit is ${limit}, it must be 1 to ${MAX_LIMIT}`);
  }
  const lines = openLogLines(log);
  const starts = chooseStarts(crashStarts(lines), limit);
  if (starts.length === 0) {
    return [];
  }
  const consoleLost = lines.find(LOG_START, CONSOLE_LOST);
  return starts.map((start) => nameCrash(lines, start, consoleLost !== undefined));
}

/**
 * A header that a rule knows stands above one that has only the words, wherever it comes: on a real console the
 * first "WARNING:" is seldom the reason for the last panic.
 */
function chooseStarts(starts: Iterable<CrashStart>, limit: number): CrashStart[] {
  const byStanding: Record<CrashStart["standing"], CrashStart[]> = {
    rule: [],
    "last-resort": [],
    program: [],
    words: [],
  };
  for (const start of starts) {
    const same = byStanding[start.standing];
    if (same.length < limit) {
      same.push(start);
    }
    if (byStanding.rule.length >= limit) {
      break;
    }
  }
  for (const standing of ["rule", "last-resort", "program", "words"] as const) {
    if (byStanding[standing].length > 0) {
      return byStanding[standing];
    }
  }
  return [];
}

function nameCrash(log: LogLines, start: CrashStart, consoleLost: boolean): CrashTitle {
  const report = reportLines(log, start.place);
  const header = cleanLine(log.read(start.place));
  const description =
    describe(start.group, report) ??
    // The header stands in what was taken for the line's head.
    describe(start.group, { ...report, lines: [header], usable: 1 });
  const title = normaliseTitle(description?.title ?? header);
  const altTitles = new Set(description?.altTitles.map((alt) => normaliseTitle(alt)));
  altTitles.delete(title);
  const named = description?.rule !== undefined && description.rule.prose !== true;
  const frame = description?.frame === undefined ? undefined : printable(description.frame);
  return {
    title,
    altTitles: [...altTitles].toSorted(),
    type: crashType(title),
    frame: named ? (frameInTitle(title) ?? frame) : frame,
    corrupted: consoleLost ? "the console was disconnected" : (description?.corrupted ?? false),
    line: start.place.line,
    endLine: report.endLine,
    rule: description?.rule?.id,
  };
}
