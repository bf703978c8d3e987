import { utf8 } from "../../bytes/index.ts";

/** A place in a log: which line, and where to start reading it. */
export interface LinePlace {
  /** Zero-based index of the line. */
  readonly line: number;
  /**
   * Where reading starts: an offset in the text, or a column where the log is a list of lines. The line's start,
   * except in a line too long to be read as a whole.
   */
  readonly from: number;
}

/**
 * A log that can be searched without being cut into lines first: a long log without a crash must cost one
 * pass and no copies.
 */
export interface LogLines {
  /**
   * The first line at or after `place` in which `pattern` (a `g` expression) occurs; where `lastLine` is given, none
   * after that one.
   */
  find(place: LinePlace, pattern: RegExp, lastLine?: number): LinePlace | undefined;
  /** The line at `place`, without its line feed, at most {@link MAX_LINE_READ} characters of it. */
  read(place: LinePlace): string;
  /** The line after `place`. */
  next(place: LinePlace): LinePlace | undefined;
  /** Says that nothing before `place` is going to be asked for; nothing before what is being asked where undefined. */
  hold(place: LinePlace | undefined): void;
  /** True where a kernel printed something, with its time, on a line before `place`. */
  spokeBefore(place: LinePlace): boolean;
  /** True where {@link CONSOLE_LOST} stands anywhere in the log. Reads a stream to its end. */
  isConsoleLost(): boolean;
}

/**
 * More than this of one line is never looked at. printk cuts records near 1 KiB (`PRINTK_MESSAGE_MAX` is 2048),
 * so a longer line is user space's or an attacker's. The expressions that run on a line are linear or quadratic
 * in its length; this bound makes both cheap.
 */
export const MAX_LINE_READ = 2048;

/** The start of every log. */
export const LOG_START: LinePlace = { line: 0, from: 0 };

/** The cloud's console connection broke, most often in the middle of the report. */
export const CONSOLE_LOST: RegExp = /serialport: VM disconnected\./g;

/** Gives access to the lines of a log, be it one text or a list of lines without line feeds. */
export function openLogLines(log: string | readonly string[]): LogLines {
  return typeof log === "string" ? new TextLines(log) : new ListLines(log);
}

/**
 * Where to read a line from in which something was found `at`, so that it is within reach: a program that draws
 * progress bars makes a line of any length, and the kernel prints behind it.
 */
function readableFrom(text: string, lineStart: number, at: number): number {
  if (at - lineStart <= MAX_LINE_READ / 2) {
    return lineStart;
  }
  const carriageReturn = text.lastIndexOf("\r", at);
  return carriageReturn > at - MAX_LINE_READ / 2 ? carriageReturn + 1 : at;
}

const PRINTK_TIME = /\[ *\d+\.\d+\]/g;

/** What both kinds of lines in memory have in common: anything may be asked at any time. */
abstract class HeldLines {
  /** The first line that a kernel printed; searched for once, and only if anyone asks. */
  #firstLine: number | undefined;
  abstract find(place: LinePlace, pattern: RegExp): LinePlace | undefined;

  hold(): void {}

  spokeBefore(place: LinePlace): boolean {
    this.#firstLine ??= this.find(LOG_START, PRINTK_TIME)?.line ?? Infinity;
    return this.#firstLine < place.line;
  }

  isConsoleLost(): boolean {
    return this.find(LOG_START, CONSOLE_LOST) !== undefined;
  }
}

class TextLines extends HeldLines implements LogLines {
  readonly #text: string;

  constructor(text: string) {
    super();
    this.#text = text;
  }

  find(place: LinePlace, pattern: RegExp, lastLine: number = Infinity): LinePlace | undefined {
    const text = this.#text;
    pattern.lastIndex = place.from;
    const found = pattern.exec(text);
    if (found === null) {
      return undefined;
    }
    let { line, from } = place;
    for (;;) {
      const feed = text.indexOf("\n", from);
      if (feed === -1 || feed >= found.index) {
        return { line, from: readableFrom(text, from, found.index) };
      }
      from = feed + 1;
      line++;
      if (line > lastLine) {
        return undefined;
      }
    }
  }

  read(place: LinePlace): string {
    const feed = this.#text.indexOf("\n", place.from);
    const end = feed === -1 ? this.#text.length : feed;
    return this.#text.slice(place.from, Math.min(end, place.from + MAX_LINE_READ));
  }

  next(place: LinePlace): LinePlace | undefined {
    const feed = this.#text.indexOf("\n", place.from);
    return feed === -1 || feed + 1 >= this.#text.length ? undefined : { line: place.line + 1, from: feed + 1 };
  }
}

class ListLines extends HeldLines implements LogLines {
  readonly #lines: readonly string[];
  readonly #count: number;

  constructor(lines: readonly string[]) {
    super();
    this.#lines = lines;
    // What splitting leaves behind the last line feed is no line.
    this.#count = lines.at(-1) === "" ? lines.length - 1 : lines.length;
  }

  find(place: LinePlace, pattern: RegExp, lastLine: number = Infinity): LinePlace | undefined {
    for (let { line } = place; line < this.#count && line <= lastLine; line++) {
      const text = this.#lines[line] ?? "";
      pattern.lastIndex = 0;
      const found = pattern.exec(text);
      if (found !== null) {
        return { line, from: readableFrom(text, 0, found.index) };
      }
    }
    return undefined;
  }

  read(place: LinePlace): string {
    return (this.#lines[place.line] ?? "").slice(place.from, place.from + MAX_LINE_READ);
  }

  next(place: LinePlace): LinePlace | undefined {
    const line = place.line + 1;
    return line < this.#count ? { line, from: 0 } : undefined;
  }
}

/** A pattern's match is never longer than this; two pieces of a stream overlap by as much. */
const OVERLAP = 256;
/** What may be held of a stream: a report of the most lines that are looked at, and then some. */
const MAX_HELD = 8 * 1024 * 1024;
// oxlint-disable-next-line no-control-regex
const NOT_ASCII = /[\x80-\xff]/;

/** Gives access to a log that comes in pieces, one character a byte, cut anywhere. What was read and is not held is gone. */
export function openLogStream(pull: () => string | undefined): LogLines {
  return new StreamLines(pull);
}

class StreamLines implements LogLines {
  readonly #pull: () => string | undefined;
  #text = "";
  /** Offset in the stream of the first character in `#text`. */
  #base = 0;
  #held = Infinity;
  #ended = false;
  #lost = false;
  /** Offset of the first time stamp; Infinity while none was seen. */
  #spoke = Infinity;

  constructor(pull: () => string | undefined) {
    this.#pull = pull;
  }

  hold(place: LinePlace | undefined): void {
    this.#held = place?.from ?? Infinity;
  }

  /**
   * Adds a piece; what is before `keep` and not held may go. False where there is no more, or where what must be kept
   * is too much: then the log ends here for whoever asked.
   */
  #more(keep: number): boolean {
    const from = Math.min(keep, this.#held);
    if (this.#ended || this.#base + this.#text.length - from > MAX_HELD) {
      return false;
    }
    const piece = this.#pull();
    if (piece === undefined) {
      this.#ended = true;
      return false;
    }
    const end = this.#base + this.#text.length;
    const overlap = this.#text.slice(-OVERLAP) + piece;
    if (this.#spoke === Infinity) {
      PRINTK_TIME.lastIndex = 0;
      const found = PRINTK_TIME.exec(overlap);
      if (found !== null) {
        this.#spoke = end - (overlap.length - piece.length) + found.index;
      }
    }
    this.#lost ||= overlap.includes(CONSOLE_LOST.source.replaceAll("\\", ""));
    const drop = Math.max(0, Math.min(from - this.#base, this.#text.length));
    this.#text = this.#text.slice(drop) + piece;
    this.#base += drop;
    return true;
  }

  find(place: LinePlace, pattern: RegExp, lastLine: number = Infinity): LinePlace | undefined {
    let { line, from: lineStart } = place;
    let searched = place.from;
    for (;;) {
      pattern.lastIndex = Math.max(0, searched - this.#base);
      const found = pattern.exec(this.#text);
      const end = found === null ? this.#text.length : found.index;
      // Lines up to the match, or up to where the search is to go on.
      for (let at = lineStart - this.#base; ;) {
        const feed = this.#text.indexOf("\n", at);
        if (feed === -1 || feed >= end) {
          break;
        }
        at = feed + 1;
        lineStart = this.#base + at;
        line++;
        if (line > lastLine) {
          return undefined;
        }
      }
      if (found !== null) {
        const from = readableFrom(this.#text, Math.max(0, lineStart - this.#base), found.index);
        return { line, from: this.#base + from };
      }
      searched = Math.max(lineStart, searched, this.#base + this.#text.length - OVERLAP);
      // Of a long line only the end can matter: the beginning of it was searched.
      lineStart = Math.max(lineStart, searched - MAX_LINE_READ);
      if (!this.#more(lineStart)) {
        return undefined;
      }
    }
  }

  read(place: LinePlace): string {
    for (;;) {
      const from = place.from - this.#base;
      const feed = this.#text.indexOf("\n", from);
      if (feed !== -1 || this.#text.length - from >= MAX_LINE_READ || !this.#more(place.from)) {
        const end = feed === -1 ? this.#text.length : feed;
        const line = this.#text.slice(from, Math.min(end, from + MAX_LINE_READ));
        return NOT_ASCII.test(line) ? utf8(line) : line;
      }
    }
  }

  next(place: LinePlace): LinePlace | undefined {
    let searched = place.from;
    for (;;) {
      const feed = this.#text.indexOf("\n", searched - this.#base);
      if (feed !== -1) {
        const from = this.#base + feed + 1;
        // A line feed at the end ends the last line and starts none.
        return feed + 1 < this.#text.length || this.#more(from) ? { line: place.line + 1, from } : undefined;
      }
      searched = this.#base + this.#text.length;
      if (!this.#more(searched)) {
        return undefined;
      }
    }
  }

  spokeBefore(place: LinePlace): boolean {
    return this.#spoke < place.from;
  }

  isConsoleLost(): boolean {
    this.#held = Infinity;
    while (!this.#lost && this.#more(Infinity)) {
      // Reading is all.
    }
    return this.#lost;
  }
}
