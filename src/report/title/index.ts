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
import { type LinePlace, type LogLines, openLogLines, openLogStream } from "./log-lines.ts";
import { frameInTitle, normaliseTitle, printable } from "./normalise.ts";
import { reportLines } from "./report-lines.ts";

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
  return collectCrashes(openLogLines(log), { first: limit, last: 0, context: 0 }).crashes.map(({ crash }) => crash);
}

/** A crash with what a report on it needs of the log, which is gone when the report is made. */
export interface LoggedCrash {
  readonly crash: CrashTitle;
  /** Offset of its first line in the text, in bytes. */
  readonly offset: number;
  /** Number of the boot that it happened in, 0 for the one that the log begins in. */
  readonly boot: number;
  /** The kernel's words on its version at that boot, where the log has them. */
  readonly banner: string | undefined;
  /** It is of a kernel that was to save another's memory, by its command line. */
  readonly capture: boolean;
  /** Its lines as they are in the log, no more than asked for. */
  readonly lines: readonly string[];
}

/** What {@link crashesOfText} is to keep. */
export interface CrashOptions {
  /** So many crashes from the first one on ... */
  readonly first: number;
  /** ... and so many up to the last one; with 0 the rest of the log is not searched. */
  readonly last: number;
  /** How many lines of each crash to keep. */
  readonly context: number;
}

/**
 * Names the crashes in a log that comes in pieces, one character a byte, cut anywhere, in memory that does not depend
 * on its length. Otherwise as {@link titlesOfLog}. `left` counts the crashes that were neither first nor last.
 */
export function crashesOfText(
  pull: () => string | undefined,
  options: CrashOptions,
): { readonly crashes: readonly LoggedCrash[]; readonly left: number } {
  return collectCrashes(openLogStream(pull), options);
}

/**
 * A header that a rule knows stands above one that has only the words, wherever it comes: on a real console the
 * first "WARNING:" is seldom the reason for the last panic.
 */
const STANDINGS = ["rule", "last-resort", "program", "words"] as const satisfies readonly CrashStart["standing"][];

/**
 * A log may be nothing but headers, each with the report of a thousand lines that all others have, too. Up to so many
 * times the log's lines are read in all for reports as long as they are, then for short ones, then none.
 */
const WHOLE_REPORTS = 4;
const SHORT_REPORTS = 8;
const SHORT_REPORT = 60;
const SPARE_LINES = 100_000;

function collectCrashes(log: LogLines, { first, last, context }: CrashOptions): { crashes: LoggedCrash[]; left: number } {
  let crashes: LoggedCrash[] = [];
  let best: number = STANDINGS.length;
  let left = 0;
  let scanned = 0;
  for (const start of crashStarts(log)) {
    const standing = STANDINGS.indexOf(start.standing);
    if (standing > best) {
      continue;
    }
    if (standing < best) {
      best = standing;
      crashes = [];
      left = 0;
    }
    if (crashes.length >= first && last === 0) {
      left++;
      continue;
    }
    const limit = scanned < WHOLE_REPORTS * (start.place.line + SPARE_LINES) ? undefined : SHORT_REPORT;
    if (limit !== undefined && scanned >= SHORT_REPORTS * (start.place.line + SPARE_LINES)) {
      left++;
      continue;
    }
    const named = nameCrash(log, start, context, limit);
    scanned += named.scanned;
    crashes.push(named.logged);
    if (crashes.length > first + last) {
      crashes.splice(first, 1);
      left++;
    }
    if (best === 0 && last === 0 && crashes.length >= first) {
      break;
    }
  }
  if (crashes.length > 0 && log.isConsoleLost()) {
    crashes = crashes.map((logged) => ({ ...logged, crash: { ...logged.crash, corrupted: "the console was disconnected" } }));
  }
  return { crashes, left };
}

function nameCrash(log: LogLines, start: CrashStart, context: number, limit?: number): { logged: LoggedCrash; scanned: number } {
  const report = reportLines(log, start.place, limit);
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
  const logged: LoggedCrash = {
    crash: {
      title,
      altTitles: [...altTitles].toSorted(),
      type: crashType(title),
      frame: named ? (frameInTitle(title) ?? frame) : frame,
      corrupted: description?.corrupted ?? false,
      line: start.place.line,
      endLine: report.endLine,
      rule: description?.rule?.id,
    },
    offset: start.place.from,
    boot: start.boot,
    banner: start.banner === undefined ? undefined : own(start.banner),
    capture: start.capture,
    lines: linesFrom(log, start.place, Math.min(context, report.endLine - start.place.line + 1)),
  };
  return { logged, scanned: report.scanned };
}

function linesFrom(log: LogLines, from: LinePlace, count: number): string[] {
  const lines: string[] = [];
  for (let place: LinePlace | undefined = from; place !== undefined && lines.length < count; place = log.next(place)) {
    lines.push(own(log.read(place)));
  }
  return lines;
}

/** A copy: a slice of the log would keep all of that piece in memory. */
function own(text: string): string {
  return Buffer.from(text).toString();
}
