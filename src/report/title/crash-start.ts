import { bootBanner, cleanLine, type ConsoleLine, parseConsoleLine } from "./console-line.ts";
import { type LinePlace, type LogLines, LOG_START } from "./log-lines.ts";
import { matchPattern } from "./line-pattern.ts";
import {
  BOOT_BANNER,
  CONTINUATIONS,
  HEADER_GROUPS,
  type HeaderGroup,
  LAST_RESORT_GROUPS,
  PANICS_THAT_FOLLOW,
  REPLAY_NOTE,
  type Rule,
} from "./rules.ts";

/** A line that starts a crash report, as far as the line alone can tell. */
export interface CrashStart {
  readonly place: LinePlace;
  readonly group: HeaderGroup;
  /**
   * - `rule`: a rule knows the header, or the kernel's own trace or panic stands below it.
   * - `last-resort`: one of our own additions knows it.
   * - `program`: a program died.
   * - `words`: the kernel started a line with the words ("WARNING:", "INFO:" ...), no rule knows what follows
   *   them, and nothing happened after.
   */
  readonly standing: "rule" | "last-resort" | "program" | "words";
  /** How many boots the log showed before, by their banners. */
  readonly boot: number;
  /** The banner of its boot, without the head; undefined where the log begins later. */
  readonly banner: string | undefined;
  /** It is of a kernel that was to save another's memory. */
  readonly capture: boolean;
}

/** How many lines a header may take where a task's name has line feeds in it. */
export const WRAPPED_LINES = 3;

const allGroups = [...HEADER_GROUPS, ...LAST_RESORT_GROUPS];

/**
 * The pre-filter: a log without a crash is read by this one expression and by nothing else. Literals only, so that
 * the engine looks at each character about once.
 */
const ANY_HEADER = new RegExp([BOOT_BANNER, ...allGroups.map((group) => group.header)].map(escapeLiteral).join("|"), "g");

const TRACE = /Call [Tt]race:|Backtrace:/g;

function escapeLiteral(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|]/g, String.raw`\$&`);
}

function isExcepted(group: HeaderGroup, line: string): boolean {
  return group.except?.some((except) => (typeof except === "string" ? line.includes(except) : except.test(line))) === true;
}

/** The first group, in the table's order, whose header the line has. */
export function headerGroup(line: string): HeaderGroup | undefined {
  return HEADER_GROUPS.find((group) => line.includes(group.header) && !isExcepted(group, line));
}

/** True for a line that another report might start with. Cheaper than {@link headerGroup} for most lines. */
export function mayBeHeader(line: string): boolean {
  ANY_HEADER.lastIndex = 0;
  return ANY_HEADER.test(line);
}

/** True for a header that does not end the report before it. */
export function isContinuation(line: string): boolean {
  return CONTINUATIONS.some((words) => line.includes(words));
}

/** True for a header that is no crash of its own where there was one before it. */
function isConsequence(line: string): boolean {
  return isContinuation(line) && (!line.includes("Kernel panic") || PANICS_THAT_FOLLOW.test(line));
}

/** True for a line after which printk says that it repeats itself: the same header is going to come again. */
export function isReplayed(log: LogLines, place: LinePlace): boolean {
  const next = log.next(place);
  return next !== undefined && log.read(next).includes(REPLAY_NOTE);
}

/** Columns at which `words` stand in `line`. */
export function* occurrences(line: string, words: string): Generator<number> {
  for (let at = line.indexOf(words); at !== -1; at = line.indexOf(words, at + 1)) {
    yield at;
  }
}

/** The text that a rule's header pattern is tried on: the line, and for some rules the lines after it too. */
export function headerText(rule: Rule, lines: readonly string[], at: number): string {
  return rule.mayWrap === true ? lines.slice(at, at + WRAPPED_LINES).join("\n") : (lines[at] ?? "");
}

/** Yields the lines that may start a crash, in order. The log is read as far as the caller asks for more. */
export function* crashStarts(log: LogLines): Generator<CrashStart> {
  const traces = new NextTrace(log);
  let crashSinceBoot = false;
  let pending: Candidate | undefined;
  let boot = 0;
  let banner: string | undefined;
  let capture = false;
  let place = log.find(LOG_START, ANY_HEADER);
  while (place !== undefined) {
    log.hold(pending?.place ?? place);
    const candidate = candidateAt(log, place, { boot, banner, capture });
    if (candidate === undefined) {
      const words = bootBanner(lineAt(log, place));
      if (words !== undefined) {
        crashSinceBoot = false;
        boot += banner === undefined && !log.spokeBefore(place) ? 0 : 1;
        banner = words;
        capture = isCaptureKernel(log, place);
      }
    } else {
      if (pending !== undefined) {
        const start = settle(pending, traces, candidate);
        pending = undefined;
        if (start !== undefined) {
          crashSinceBoot ||= start.standing === "rule";
          yield start;
        }
      }
      if (candidate.group.boot === true) {
        // A reboot, where a kernel printed something before. After a crash the next boot is expected.
        if (log.spokeBefore(place) && !crashSinceBoot) {
          yield { ...candidate, standing: "rule" };
        }
        crashSinceBoot = false;
      } else if (!crashSinceBoot || !isConsequence(candidate.line.text)) {
        if (candidate.standing === "words") {
          pending = candidate;
        } else {
          crashSinceBoot ||= candidate.standing === "rule";
          yield candidate;
        }
      }
    }
    let next: LinePlace | undefined;
    if (pending !== undefined) {
      // What could speak for it comes soon or not at all.
      log.hold(pending.place);
      next = findAfter(log, place, ANY_HEADER, pending.place.line + NEAR_LINES);
      if (next === undefined) {
        const start = settle(pending, traces, undefined);
        pending = undefined;
        if (start !== undefined) {
          crashSinceBoot ||= start.standing === "rule";
          yield start;
        }
      }
    }
    if (next === undefined) {
      log.hold(undefined);
      next = findAfter(log, place, ANY_HEADER);
    }
    place = next;
  }
}

interface Candidate extends CrashStart {
  readonly line: ConsoleLine;
}

/**
 * Decides about a line that has no more than the words, now that the next candidate is known. The kernel meant
 * it where a trace or a panic comes soon. Otherwise it has to look like the kernel's, at least: "app[1]: INFO: ok"
 * and "Spectre V2: WARNING: ..." are nobody's crash.
 */
function settle(pending: Candidate, traces: NextTrace, next: Candidate | undefined): CrashStart | undefined {
  const serious =
    traces.follows(pending, next) || (next !== undefined && isNear(pending.place, next.place) && isConsequence(next.line.text));
  if (serious) {
    return { ...pending, standing: "rule" };
  }
  const { context, text } = pending.line;
  const { header } = pending.group;
  // lockdep frames its headlines in brackets.
  const startsLine = text.startsWith(header) || text.startsWith(`[ ${header}`);
  return context !== "" && startsLine ? pending : undefined;
}

/** A trace or a panic that belongs to a header stands within so many lines of it. */
const NEAR_LINES = 40;

function isNear(header: LinePlace, other: LinePlace): boolean {
  return other.line - header.line <= NEAR_LINES;
}

/** Finds the trace after a header; reads each line once or twice, however many headers ask. */
class NextTrace {
  readonly #log: LogLines;
  #next: LinePlace | undefined;
  /** Between the last header that asked and this line there is none but `#next`. */
  #searched = -1;

  constructor(log: LogLines) {
    this.#log = log;
  }

  /** True where a trace follows `header` soon, before `other`, and printed in the same way. */
  follows(header: Candidate, other: Candidate | undefined): boolean {
    const { line } = header.place;
    if (this.#next === undefined || this.#next.line <= line) {
      this.#next = line + NEAR_LINES <= this.#searched ? undefined : findAfter(this.#log, header.place, TRACE, line + 2 * NEAR_LINES);
      this.#searched = Math.max(this.#searched, line + 2 * NEAR_LINES);
    }
    return (
      this.#next !== undefined &&
      isNear(header.place, this.#next) &&
      (other === undefined || this.#next.line < other.place.line) &&
      lineAt(this.#log, this.#next).context === header.line.context
    );
  }
}

function findAfter(log: LogLines, place: LinePlace, pattern: RegExp, lastLine?: number): LinePlace | undefined {
  const next = log.next(place);
  return next === undefined ? undefined : log.find(next, pattern, lastLine);
}

function lineAt(log: LogLines, place: LinePlace): ConsoleLine {
  return parseConsoleLine(cleanLine(log.read(place)));
}

/** The command line follows the first words within so many lines: at once on x86, behind the memory's on arm64. */
const COMMAND_LINE_WITHIN = 64;

/** Whether the kernel whose first words are at `place` was told where another's memory is. */
function isCaptureKernel(log: LogLines, place: LinePlace): boolean {
  let next = log.next(place);
  for (let i = 0; next !== undefined && i < COMMAND_LINE_WITHIN; i++, next = log.next(next)) {
    const line = log.read(next);
    if (line.includes(BOOT_BANNER)) return false;
    if (line.includes("ommand line: ")) return line.includes(" elfcorehdr=");
  }
  return false;
}

function candidateAt(log: LogLines, place: LinePlace, of: Pick<CrashStart, "boot" | "banner" | "capture">): Candidate | undefined {
  const raw = cleanLine(log.read(place));
  const line = parseConsoleLine(raw);
  const known = headerGroup(raw);
  const group = known ?? LAST_RESORT_GROUPS.find((other) => raw.includes(other.header));
  if (group === undefined || isReplayed(log, place)) {
    return undefined;
  }
  if (group.program === true && !line.text.startsWith(group.header)) {
    return undefined;
  }
  const lines = textsFrom(log, place, WRAPPED_LINES);
  const fits = group.rules.some((rule) => {
    const text = headerText(rule, lines, 0);
    for (const column of occurrences(line.text, group.header)) {
      if (matchPattern(rule.line, text, column) !== undefined) {
        return true;
      }
    }
    return false;
  });
  if (known === undefined) {
    return fits ? { place, group, line, standing: "last-resort", ...of } : undefined;
  }
  const standing = !fits ? "words" : group.program === true ? "program" : "rule";
  return { place, group, line, standing, ...of };
}

function textsFrom(log: LogLines, from: LinePlace, count: number): string[] {
  const texts: string[] = [];
  for (let place: LinePlace | undefined = from; place !== undefined && texts.length < count; place = log.next(place)) {
    texts.push(lineAt(log, place).text);
  }
  return texts;
}
