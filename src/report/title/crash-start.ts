import { cleanLine, type ConsoleLine, parseConsoleLine } from "./console-line.ts";
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
}

/** How many lines a header may take where a task's name has line feeds in it. */
export const WRAPPED_LINES = 3;

const allGroups = [...HEADER_GROUPS, ...LAST_RESORT_GROUPS];

/**
 * The pre-filter: a log without a crash is read by this one expression and by nothing else. Literals only, so that
 * the engine looks at each character about once.
 */
const ANY_HEADER = new RegExp([BOOT_BANNER, ...allGroups.map((group) => group.header)].map(escapeLiteral).join("|"), "g");

const PRINTK_TIME = /\[ *\d+\.\d+\]/g;
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
  const boots = new BootWatch(log);
  const traces = new NextTrace(log);
  let crashSinceBoot = false;
  let pending: Candidate | undefined;
  for (let place = log.find(LOG_START, ANY_HEADER); place !== undefined; place = findAfter(log, place, ANY_HEADER)) {
    const candidate = candidateAt(log, place);
    if (candidate === undefined) {
      if (lineAt(log, place).text.startsWith(BOOT_BANNER)) {
        crashSinceBoot = false;
      }
      continue;
    }
    if (pending !== undefined) {
      const start = settle(pending, traces, candidate);
      pending = undefined;
      if (start !== undefined) {
        crashSinceBoot ||= start.standing === "rule";
        yield start;
      }
    }
    if (candidate.group.boot === true) {
      // After a crash the next boot is expected.
      if (boots.isReboot(place) && !crashSinceBoot) {
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
  const last = pending === undefined ? undefined : settle(pending, traces, undefined);
  if (last !== undefined) {
    yield last;
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

/** Finds the trace after a header; reads the log once, however many headers ask. */
class NextTrace {
  readonly #log: LogLines;
  #next: LinePlace | undefined = LOG_START;

  constructor(log: LogLines) {
    this.#log = log;
  }

  /** True where a trace follows `header` soon, before `other`, and printed in the same way. */
  follows(header: Candidate, other: Candidate | undefined): boolean {
    if (this.#next !== undefined && this.#next.line <= header.place.line) {
      this.#next = findAfter(this.#log, header.place, TRACE);
    }
    return (
      this.#next !== undefined &&
      isNear(header.place, this.#next) &&
      (other === undefined || this.#next.line < other.place.line) &&
      lineAt(this.#log, this.#next).context === header.line.context
    );
  }
}

/** Tells a reboot from the boot that a log begins with. */
class BootWatch {
  readonly #log: LogLines;
  /** The first line that a kernel printed; the log is searched for it once, and only if anyone asks. */
  #firstLine: number | undefined;

  constructor(log: LogLines) {
    this.#log = log;
  }

  /** True where a kernel printed something before `place`. */
  isReboot(place: LinePlace): boolean {
    this.#firstLine ??= this.#log.find(LOG_START, PRINTK_TIME)?.line ?? Infinity;
    return this.#firstLine < place.line;
  }
}

function findAfter(log: LogLines, place: LinePlace, pattern: RegExp): LinePlace | undefined {
  const next = log.next(place);
  return next === undefined ? undefined : log.find(next, pattern);
}

function lineAt(log: LogLines, place: LinePlace): ConsoleLine {
  return parseConsoleLine(cleanLine(log.read(place)));
}

function candidateAt(log: LogLines, place: LinePlace): Candidate | undefined {
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
    return fits ? { place, group, line, standing: "last-resort" } : undefined;
  }
  const standing = !fits ? "words" : group.program === true ? "program" : "rule";
  return { place, group, line, standing };
}

function textsFrom(log: LogLines, from: LinePlace, count: number): string[] {
  const texts: string[] = [];
  for (let place: LinePlace | undefined = from; place !== undefined && texts.length < count; place = log.next(place)) {
    texts.push(lineAt(log, place).text);
  }
  return texts;
}
