import { decodeLatin1, utf8 } from "../../bytes/index.ts";
import { joinParts, type PstoreRecord, recordFileName, splitByBanner } from "../../pstore/index.ts";
import { outcomeOf } from "./outcome.ts";
import type { PstoreStorage } from "./storage.ts";

/*
 * What records tell together: why the kernel crashed, and how the one that was to save its memory fared.
 */

/** A text with where it is from. */
export interface TextOf {
  /** Name of the record and of the storage's source. */
  readonly source: string;
  readonly text: string;
}

/** What the capture kernel left. */
export interface CaptureStory {
  /** Release of the capture kernel, where something names it. */
  readonly release: string | undefined;
  readonly outcome: "failed" | "saved" | "unknown";
  /** The line that says so, and the record that it is from. */
  readonly reason: { readonly line: string; readonly record: string } | undefined;
  /** Everything on its ttys. */
  readonly tty: TextOf | undefined;
  /** Its console. */
  readonly console: TextOf | undefined;
}

/** What {@link storyOf} finds. */
export interface PstoreStory {
  /** The log in which the crash is to be looked for. */
  readonly crash: TextOf | undefined;
  readonly capture: CaptureStory | undefined;
}

/** Words of a kernel at its end. */
const LAST_WORDS =
  /Kernel panic - not syncing|Oops: |BUG: |kernel BUG at|general protection fault|Unable to handle kernel|sysrq: Trigger a crash/;
const PANIC = /Kernel panic - not syncing/;
/** Signs of a capture kernel in its own words: its command line, and scripts that save dumps. */
const CAPTURE_KERNEL = /\belfcorehdr=|\bkdump[\w.-]*: |makedumpfile|vmcore-dmesg|\/proc\/vmcore/;
/** Looks through what storages hold. */
export function storyOf(storages: readonly PstoreStorage[]): PstoreStory {
  const pieces = storages.flatMap(recordTextsOf);
  return { crash: crashOf(pieces), capture: captureOf(pieces) };
}

/** Text of one kernel in one record, or in the records of one dump of the log. */
export interface RecordText extends TextOf {
  readonly type: PstoreRecord["type"];
  readonly kept: boolean;
  /** Undefined where neither a banner nor the text tells. */
  readonly capture: boolean | undefined;
  readonly release: string | undefined;
  /** First letters of its boot id, where its writer tells. */
  readonly boot: string | undefined;
  /** Seconds since 1970; 0 where the record has no time. */
  readonly time: number;
}

/** The texts in a storage's records: dumps of the log, then consoles, ttys and what programs gave to pmsg. */
export function recordTextsOf(storage: PstoreStorage): RecordText[] {
  const where = storage.address === undefined ? storage.source : `${storage.source} at 0x${storage.address.toString(16)}`;
  const dumps = joinParts(storage.records).map(({ text, parts, time }): RecordText => {
    const first = parts.at(-1)!;
    return {
      source: `${recordFileName(first)} in ${where}`,
      // Dumpers write the level before each line, consoles do not.
      text: textOf(text).replace(/^<\d{1,3}>/gm, ""),
      type: "dmesg",
      kept: first.state === "kept",
      // A dump is of the kernel that crashed, whoever wrote it.
      capture: false,
      release: undefined,
      boot: undefined,
      time: time?.seconds ?? 0,
    };
  });
  const streams = storage.records
    .filter(({ type }) => type === "console" || type === "tty" || type === "pmsg")
    .flatMap((record) =>
      splitByBanner(textOf(record.content)).map(({ banner, text }): RecordText => ({
        source: `${recordFileName(record)} in ${where}`,
        text,
        type: record.type,
        kept: record.state === "kept",
        capture: banner?.capture ?? (CAPTURE_KERNEL.test(text) ? true : undefined),
        release: banner?.release ?? /Linux version (\S+)/.exec(text)?.[1],
        boot: banner?.boot,
        time: record.time?.seconds ?? 0,
      })),
    );
  return [...dumps, ...streams];
}

function textOf(bytes: Uint8Array): string {
  return utf8(decodeLatin1(bytes).replaceAll("\0", " ")).replaceAll("\r\n", "\n");
}

/** The best text: a panic before anything else, a dump before a console, what a kernel would show before what was carved. */
function crashOf(pieces: readonly RecordText[]): TextOf | undefined {
  const rank = ({ text, type, kept, capture }: RecordText): number =>
    (PANIC.test(text) ? 16 : LAST_WORDS.test(text) ? 8 : 0) + (capture === true ? 0 : 4) + (type === "dmesg" ? 2 : 0) + (kept ? 1 : 0);
  const candidates = pieces
    .filter(
      ({ type, text, capture }) =>
        (type === "dmesg" || type === "console" || LAST_WORDS.test(text)) && (capture !== true || LAST_WORDS.test(text)),
    )
    .toSorted((a, b) => rank(b) - rank(a) || b.time - a.time);
  const [best] = candidates;
  return best && { source: best.source, text: best.text };
}

function captureOf(pieces: readonly RecordText[]): CaptureStory | undefined {
  const console = pieces.find(({ type, capture, kept }) => type === "console" && capture === true && kept);
  const hasConsole = console !== undefined;
  // Where the console is a capture kernel's, ttys beside it of which nothing is said are its, too.
  const tty = pieces.findLast(
    ({ type, capture, kept }) => type === "tty" && kept && (capture === true || (capture === undefined && hasConsole)),
  );
  if (!tty && !console) return undefined;
  // Scripts write to a tty; on a ring that all share it is among the console's lines.
  const spoken = [tty, console].filter((piece) => piece !== undefined);
  let outcome: CaptureStory["outcome"] = "unknown";
  let reason: CaptureStory["reason"];
  for (const piece of spoken) {
    const lines = piece.text.split("\n").map((line) => line.trim());
    const own = piece === tty ? lines : lines.filter((line) => !/^\[ *\d+\.\d+\]/.test(line));
    const found = outcomeOf(own);
    if (!found) continue;
    outcome = found.outcome;
    reason = { line: found.line, record: piece.source };
    break;
  }
  return {
    release: tty?.release ?? console?.release,
    outcome,
    reason,
    tty: tty && { source: tty.source, text: tty.text },
    console: console && { source: console.source, text: console.text },
  };
}
