import { fstatSync, writeSync } from "node:fs";
import { stripVTControlCharacters, styleText } from "node:util";

/** The variables of an environment, as in `process.env`. */
export type Environment = Readonly<Record<string, string | undefined>>;

export type ColorWhen = "auto" | "always" | "never";

/** What a piece of text is; how that looks is decided in one place, here. */
export type Style = "heading" | "name" | "good" | "warning" | "bad" | "dim";

const looks = {
  heading: "bold",
  name: "cyan",
  good: "green",
  warning: "yellow",
  bad: "red",
  dim: "gray",
} as const satisfies Record<Style, Parameters<typeof styleText>[0]>;

/** Styles a text, or returns it as it is. */
export type Paint = (style: Style, text: string) => string;

/** The {@link Paint} for places without colour. */
export function noPaint(_style: Style, text: string): string {
  return text;
}

/** Where the bytes of an {@link Output} go. */
export interface Sink {
  readonly terminal: boolean;
  /** Width of the terminal in characters; undefined where there is none. */
  readonly columns: number | undefined;
  /** Takes all of `bytes` before it returns. @throws ClosedPipe when nobody reads any more. */
  write(bytes: Uint8Array): void;
}

/** The reader of a pipe went away (`lastwords dmesg vmcore | head`). Not a failure: `main` ends quietly with status 0. */
export class ClosedPipe extends Error {
  constructor() {
    super("nobody reads this output any more");
    this.name = "ClosedPipe";
  }
}

/**
 * A file descriptor, written synchronously. The streams of `process.stdout` are asynchronous on pipes: an exit right
 * after a large write would lose the tail.
 */
export class FdSink implements Sink {
  readonly terminal: boolean;
  readonly #fd: number;
  readonly #env: Environment;

  constructor(fd: number, env: Environment = process.env) {
    this.#fd = fd;
    this.#env = env;
    this.terminal = isTerminal(fd);
  }

  get columns(): number | undefined {
    if (!this.terminal) return undefined;
    const stated = Number(this.#env["COLUMNS"]);
    if (Number.isInteger(stated) && stated > 0) return stated;
    streamsAreOpen = true;
    const columns: number | undefined = (this.#fd === 2 ? process.stderr : process.stdout).columns;
    // A serial console reports 0 columns.
    return columns !== undefined && columns > 0 ? columns : 80;
  }

  write(bytes: Uint8Array): void {
    let rest = bytes;
    let wait = 1;
    while (rest.length > 0) {
      try {
        const written = writeSync(this.#fd, rest);
        rest = rest.subarray(written);
        if (written > 0) wait = 1;
      } catch (error) {
        const code = (error as NodeJS.ErrnoException).code;
        if (code === "EPIPE") throw new ClosedPipe();
        // Somebody else (ssh, a parent Node) made the pipe non-blocking and it is full: wait for its reader.
        if (code !== "EAGAIN") throw error;
        Atomics.wait(sleeper(), 0, 0, wait);
        wait = Math.min(wait * 2, 50);
      }
    }
  }
}

let sleepCell: Int32Array | undefined;

function sleeper(): Int32Array {
  sleepCell ??= new Int32Array(new SharedArrayBuffer(4));
  return sleepCell;
}

let streamsAreOpen = false;

/** Whether a terminal was asked for its width by Node's streams: Node may have made it non-blocking, and undoes that only at its own end. */
export function nodeStreamsAreOpen(): boolean {
  return streamsAreOpen;
}

/** Major number of /dev/null and its like (linux:Documentation/admin-guide/devices.txt). */
const MEMORY_DEVICES = 1;

function isTerminal(fd: number): boolean {
  try {
    // `fstat` answers for files, pipes and /dev/null. `node:tty` is loaded only behind it, since it brings the network code with it.
    const status = fstatSync(fd);
    return status.isCharacterDevice() && status.rdev >> 8 !== MEMORY_DEVICES && process.getBuiltinModule("node:tty").isatty(fd);
  } catch {
    return false;
  }
}

/** Bytes held back before they are written, where the output is not a terminal. */
const BUFFER_SIZE = 64 * 1024;

export interface OutputOptions {
  readonly env?: Environment;
  /** Errors of writing are dropped: for stderr, where there is nobody left to tell. */
  readonly lossy?: boolean;
}

/**
 * Text for people or bytes for programs, on stdout or stderr. Buffered unless it is a terminal; what was written is
 * out after {@link flush}, which `main` calls at the end of every command.
 */
export class Output {
  /** Called before anything is written to a terminal: progress wipes its line there. */
  beforeWrite: (() => void) | undefined;
  readonly #sink: Sink;
  readonly #env: Environment;
  readonly #lossy: boolean;
  #colored: boolean;
  #parts: Uint8Array[] = [];
  #text = "";
  #held = 0;
  #closed = false;

  constructor(sink: Sink, options: OutputOptions = {}) {
    this.#sink = sink;
    this.#env = options.env ?? process.env;
    this.#lossy = options.lossy ?? false;
    this.#colored = decideColor("auto", sink.terminal, this.#env);
  }

  get terminal(): boolean {
    return this.#sink.terminal;
  }

  /** Width to cut tables at: the terminal's; undefined (no limit) for files and pipes. */
  get columns(): number | undefined {
    return this.#sink.columns;
  }

  /** Width to wrap prose at: 80 columns, or less where the terminal is narrower. */
  get textWidth(): number {
    return Math.max(40, Math.min(80, this.columns ?? 80));
  }

  get colored(): boolean {
    return this.#colored;
  }

  /** Applies `--color`. */
  setColor(when: ColorWhen): void {
    this.#colored = decideColor(when, this.#sink.terminal, this.#env);
  }

  /** Styles `text` where this output is coloured. Bound, so that it can be handed on as a {@link Paint}. */
  readonly paint: Paint = (style, text) => (this.#colored && text !== "" ? styleText(looks[style], text, { validateStream: false }) : text);

  /**
   * Writes text or bytes as they are. Text that came out of a dump belongs through {@link escapeControl} first.
   *
   * @throws ClosedPipe when the reader went away. Let it pass: it ends the command.
   */
  write(data: string | Uint8Array): void {
    if (this.#closed) {
      if (this.#lossy) return;
      throw new ClosedPipe();
    }
    if (typeof data === "string") {
      this.#text += data;
    } else {
      this.#textToParts();
      // A copy: callers reuse their page buffers.
      this.#parts.push(data.slice());
      this.#held += data.length;
    }
    if (this.terminal || this.#held + this.#text.length >= BUFFER_SIZE) this.flush();
  }

  /** Writes text and a line end. */
  line(text = ""): void {
    this.write(text + "\n");
  }

  /** Writes out what is held back. */
  flush(): void {
    this.#textToParts();
    if (this.#parts.length === 0) return;
    const parts = this.#parts;
    this.#parts = [];
    this.#held = 0;
    if (this.terminal) this.beforeWrite?.();
    try {
      this.#sink.write(parts.length === 1 ? parts[0]! : Buffer.concat(parts));
    } catch (error) {
      // Held-back text is not tried again: after a full disk or a closed pipe it would only fail a second time.
      this.#closed = true;
      if (!this.#lossy) throw error;
    }
  }

  #textToParts(): void {
    if (this.#text === "") return;
    const bytes = Buffer.from(this.#text, "utf8");
    this.#text = "";
    this.#parts.push(bytes);
    this.#held += bytes.length;
  }
}

/** `--color` beats the environment; FORCE_COLOR beats NO_COLOR, as in Node itself. */
function decideColor(when: ColorWhen, terminal: boolean, env: Environment): boolean {
  if (when !== "auto") return when === "always";
  const force = env["FORCE_COLOR"];
  if (force !== undefined) return force !== "0" && force !== "false";
  if ((env["NO_COLOR"] ?? "") !== "") return false;
  return terminal && env["TERM"] !== "dumb";
}

// C0 and C1 controls except tab and line feed, and the characters that reorder text on screen.
// oxlint-disable-next-line no-control-regex
const UNSAFE = /[\0-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;

/**
 * Makes text from a dump safe for a terminal: control characters become `\x1b`, as in util-linux dmesg. A crashed
 * machine wrote them, and an escape sequence can retitle, recolour or answer back. Tabs and line feeds stay.
 */
export function escapeControl(text: string): string {
  return text.replace(UNSAFE, (character) => {
    const code = character.charCodeAt(0);
    return code < 0x100 ? "\\x" + code.toString(16).padStart(2, "0") : "\\u" + code.toString(16);
  });
}

/** {@link escapeControl} for what must stay on one line: a name with a line feed could forge a line of the output. */
export function escapeLine(text: string): string {
  return escapeControl(text).replaceAll("\n", "\\x0a").replaceAll("\t", "\\x09");
}

/** Columns that a text takes on a terminal, without its escape sequences. Wide characters count two. */
export function displayWidth(text: string): number {
  // Nearly all text is printable ASCII.
  if (/^[\x20-\x7e]*$/.test(text)) return text.length;
  let width = 0;
  for (const character of stripVTControlCharacters(text)) {
    const code = character.codePointAt(0)!;
    // Marks and format characters (joiners, variation selectors) take no room of their own.
    if (/^[\p{M}\p{Cf}]/u.test(character)) continue;
    width += isWide(code) ? 2 : 1;
  }
  return width;
}

/** East Asian wide and emoji blocks, coarsely: enough to keep a table straight. */
function isWide(code: number): boolean {
  return (
    (code >= 0x1100 && code <= 0x115f) ||
    (code >= 0x2e80 && code <= 0xa4cf) ||
    (code >= 0xac00 && code <= 0xd7a3) ||
    (code >= 0xf900 && code <= 0xfaff) ||
    (code >= 0xfe30 && code <= 0xfe6f) ||
    (code >= 0xff00 && code <= 0xff60) ||
    (code >= 0xffe0 && code <= 0xffe6) ||
    (code >= 0x1f300 && code <= 0x1f64f) ||
    (code >= 0x1f900 && code <= 0x1f9ff) ||
    (code >= 0x20000 && code <= 0x3fffd)
  );
}

/** Breaks prose at spaces into lines of at most `width` columns, `indent` spaces before each line but the first. */
export function wrap(text: string, width: number, indent = 0): string {
  const room = Math.max(20, width - indent);
  const lines: string[] = [];
  let line = "";
  let used = 0;
  for (const word of text.split(" ")) {
    const size = displayWidth(word);
    if (line !== "" && used + 1 + size > room) {
      lines.push(line);
      line = "";
      used = 0;
    }
    used += line === "" ? size : size + 1;
    line = line === "" ? word : `${line} ${word}`;
  }
  lines.push(line);
  return lines.join("\n" + " ".repeat(indent));
}

/** One column of a table. */
export interface Column {
  readonly header: string;
  readonly align?: "left" | "right";
  /** This column is cut, with an ellipsis, where the table would be wider than the terminal. */
  readonly shrink?: boolean;
}

export interface TableOptions {
  /** Width to keep to; see {@link Output.columns}. */
  readonly width?: number | undefined;
  readonly paint?: Paint;
  /** Spaces before each line. */
  readonly indent?: number;
}

/** Aligns rows under headers, two spaces between columns, no trailing spaces. Cells may be painted. Ends with a line feed. */
export function formatTable(columns: readonly Column[], rows: readonly (readonly string[])[], options: TableOptions = {}): string {
  const { width, paint = noPaint, indent = 0 } = options;
  const widths = columns.map((column) => displayWidth(column.header));
  for (const row of rows) {
    for (let i = 0; i < columns.length; i++) widths[i] = Math.max(widths[i]!, displayWidth(row[i] ?? ""));
  }
  if (width !== undefined) {
    const total = indent + widths.reduce((sum, each) => sum + each + 2, -2);
    const shrink = columns.findIndex((column) => column.shrink === true);
    if (total > width && shrink >= 0) widths[shrink] = Math.max(4, widths[shrink]! - (total - width));
  }
  const last = columns.length - 1;
  const margin = " ".repeat(indent);
  const format = (cells: readonly string[]): string => {
    let line = margin;
    columns.forEach((column, i) => {
      const cell = cut(cells[i] ?? "", widths[i]!);
      const padding = " ".repeat(Math.max(0, widths[i]! - displayWidth(cell)));
      line += column.align === "right" ? padding + cell : i === last ? cell : cell + padding;
      if (i !== last) line += "  ";
    });
    return line.trimEnd() + "\n";
  };
  let text = paint("heading", format(columns.map((column) => column.header)).trimEnd()) + "\n";
  for (const row of rows) text += format(row);
  return text;
}

/** Cuts a cell to `width` columns; a cut cell loses its paint, since half an escape sequence would stain the rest. */
function cut(cell: string, width: number): string {
  if (displayWidth(cell) <= width) return cell;
  let kept = "";
  let used = 0;
  for (const character of stripVTControlCharacters(cell)) {
    used += displayWidth(character);
    if (used > width - 1) break;
    kept += character;
  }
  return kept + "…";
}

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"] as const;

/** Bytes in powers of 1024, three significant digits at least (`1.21 GiB`, `512 B`). */
export function formatBytes(bytes: number): string {
  let value = bytes;
  let unit = 0;
  // 1023.5 and above would print as 1024 of the smaller unit.
  while (value >= 1023.5 && unit < UNITS.length - 1) {
    value /= 1024;
    unit++;
  }
  const digits = unit === 0 || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
  return `${value.toFixed(digits)} ${UNITS[unit]!}`;
}

/** A time span as `m:ss` or `h:mm:ss`. */
export function formatClock(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  const two = (value: number): string => String(value).padStart(2, "0");
  const minutes = Math.floor(whole / 60) % 60;
  const hours = Math.floor(whole / 3600);
  return hours > 0 ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
}
