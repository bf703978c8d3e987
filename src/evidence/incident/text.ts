/*
 * The texts of an incident as lines: what the memory's log, log files and pstore's records have in common.
 */
import type { KernelLog, LogRecord } from "../../kernel/index.ts";
import { utf8 } from "../../bytes/index.ts";
import { dissectLine, type JournalBoot, PRINTK_STAMP } from "../text/index.ts";

/** A line of one text. */
export interface SourceLine {
  /** Its place in the text, from 1. */
  readonly number: number;
  /** Seconds since boot, from printk. */
  readonly time: number | undefined;
  /** The words, without head, colours, carriage returns and what is blank at the end. */
  readonly text: string;
  /** `T<pid>` or `C<cpu>`. */
  readonly caller: string | undefined;
  /** 0 (emergency) to 7 (debug). */
  readonly level: number | undefined;
  /** Something shows that a kernel wrote it, not a program. */
  readonly kernel: boolean;
}

/** What a kernel says of itself, or is known of it from elsewhere. */
export interface BootFacts {
  readonly release: string | undefined;
  /** `uname -v`: number and time of the build. */
  readonly build: string | undefined;
  /** Of vmlinux, in hex. */
  readonly buildId: string | undefined;
  /** Of this boot, 32 hex digits. */
  readonly bootId: string | undefined;
  readonly commandLine: string | undefined;
  /** True for a kernel that was to save another's memory; undefined where nothing tells. */
  readonly capture: boolean | undefined;
  /** Seconds since 1970 at which its clock began. */
  readonly started: number | undefined;
  /** What {@link started} comes from, in words. */
  readonly startedBy: string | undefined;
}

/** Nothing is known of it. */
export const NO_FACTS: BootFacts = {
  release: undefined,
  build: undefined,
  buildId: undefined,
  bootId: undefined,
  commandLine: undefined,
  capture: undefined,
  started: undefined,
  startedBy: undefined,
};

/** One text with what is known of it besides its lines. */
export interface IncidentText {
  /** Memory's own log, a file, a record of pstore's console or dmesg, a record of what programs wrote (tty, pmsg). */
  readonly kind: "memory" | "log file" | "record" | "program record";
  /** The path; of a record its name and where it is. */
  readonly name: string;
  /** Of a long text, the end. May be gone through once only. */
  readonly lines: Iterable<SourceLine>;
  /** Lines before those, where the text is longer. */
  readonly skipped: number;
  /** What is known of the kernel that wrote all of it. */
  readonly facts: BootFacts;
  /** Where a record is kept, and whether it is one that a kernel would show: those of one place and state are of one kernel. */
  readonly storage: { readonly source: string; readonly kept: boolean } | undefined;
  /** Where entries of the journal say which boot they are of. */
  readonly journal: readonly JournalBoot[];
}

/** Of one text: a log of more lines is taken from its end. */
export const MAX_LINES = 200_000;

/** Lines of a text that is decoded already, made as they are asked for. `skipped`: lines before it, which are not given. */
export function linesOfText(text: string, skipped = 0): { readonly lines: Generator<SourceLine>; readonly skipped: number } {
  let from = text.length;
  if (text.endsWith("\n")) from--;
  let count = 0;
  // From the end, so that a text of nothing but line feeds costs no more than any other.
  while (from >= 0 && count < MAX_LINES) {
    from = from === 0 ? -1 : text.lastIndexOf("\n", from - 1);
    count++;
  }
  let before = skipped;
  for (let at = from < 0 ? -1 : text.indexOf("\n"); at >= 0 && at <= from; at = text.indexOf("\n", at + 1)) before++;
  return { lines: cutLines(text, from + 1, before + 1), skipped: before };
}

function* cutLines(text: string, from: number, first: number): Generator<SourceLine> {
  const lines: SourceLine[] = [];
  let number = first;
  for (let at = from; at < text.length; number++) {
    const feed = text.indexOf("\n", at);
    const end = feed < 0 ? text.length : feed;
    addLine(text.slice(at, end), number, lines);
    yield* lines;
    lines.length = 0;
    at = end + 1;
  }
}

/** Longer ones are a program's; what is beyond is not compared, nor shown. */
const MAX_TEXT = 4096;

function addLine(raw: string, number: number, lines: SourceLine[]): void {
  let rest = raw.length > MAX_TEXT ? raw.slice(0, MAX_TEXT) : raw;
  // Where two CPUs print at once, or a line feed is lost, one line holds two records.
  for (let parts = 0; parts < 16; parts++) {
    const { text, time, caller, level, kernel } = dissectLine(rest, 0, 0);
    const at = kernel && text.includes("]") ? (PRINTK_STAMP.exec(text)?.index ?? 0) : 0;
    lines.push({ number, time, text: plain(at > 0 ? text.slice(0, at) : text), caller, level, kernel });
    if (at <= 0) return;
    rest = text.slice(at);
  }
}

/** Printk's extended format writes what is not printable as `\x09`. */
const ESCAPED = /\\x([0-9a-f]{2})/g;

function plain(text: string): string {
  const whole = text.includes("\\x")
    ? text.replace(ESCAPED, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 16)))
    : text;
  return whole.trimEnd();
}

/** Lines of the log in a dump, numbered as its text is; made as they are asked for. */
export function linesOfLog(log: KernelLog): { readonly lines: Generator<SourceLine>; readonly skipped: number } {
  let count = 0;
  for (const { text } of log.records) for (let at = 0; at >= 0; at = text.indexOf("\n", at) + 1 || -1) count++;
  const skipped = Math.max(0, count - MAX_LINES);
  return { lines: logLines(log, skipped), skipped };
}

function* logLines(log: KernelLog, skipped: number): Generator<SourceLine> {
  let number = 0;
  for (const record of log.records) {
    const time = timeOfRecord(record);
    const caller =
      record.caller === undefined ? undefined : record.caller & 0x8000_0000 ? `C${record.caller & 0x7fff_ffff}` : `T${record.caller}`;
    for (const part of utf8(record.text).split("\n")) {
      number++;
      if (number <= skipped) continue;
      if (time === undefined) {
        const lines: SourceLine[] = [];
        addLine(part, number, lines);
        yield* lines;
      } else yield { number, time, text: plain(part.slice(0, MAX_TEXT)), caller, level: record.level & 7, kernel: true };
    }
  }
}

/** Seconds since boot, as printk prints them; undefined where the log keeps no times. */
export function timeOfRecord(record: LogRecord | undefined): number | undefined {
  return record?.timeNs === undefined ? undefined : Number(record.timeNs / 1000n) / 1e6;
}
