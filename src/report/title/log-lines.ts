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
  /** The first line at or after `place` in which `pattern` (a `g` expression) occurs. */
  find(place: LinePlace, pattern: RegExp): LinePlace | undefined;
  /** The line at `place`, without its line feed, at most {@link MAX_LINE_READ} characters of it. */
  read(place: LinePlace): string;
  /** The line after `place`. */
  next(place: LinePlace): LinePlace | undefined;
}

/**
 * More than this of one line is never looked at. printk cuts records near 1 KiB (`PRINTK_MESSAGE_MAX` is 2048),
 * so a longer line is user space's or an attacker's. The expressions that run on a line are linear or quadratic
 * in its length; this bound makes both cheap.
 */
export const MAX_LINE_READ = 2048;

/** The start of every log. */
export const LOG_START: LinePlace = { line: 0, from: 0 };

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

class TextLines implements LogLines {
  readonly #text: string;

  constructor(text: string) {
    this.#text = text;
  }

  find(place: LinePlace, pattern: RegExp): LinePlace | undefined {
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

class ListLines implements LogLines {
  readonly #lines: readonly string[];
  readonly #count: number;

  constructor(lines: readonly string[]) {
    this.#lines = lines;
    // What splitting leaves behind the last line feed is no line.
    this.#count = lines.at(-1) === "" ? lines.length - 1 : lines.length;
  }

  find(place: LinePlace, pattern: RegExp): LinePlace | undefined {
    for (let { line } = place; line < this.#count; line++) {
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
