import { readdirSync, statSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { type DumpError, isDumpError, utf8, DumpError as Failure } from "../bytes/index.ts";
import { parseEfiName, parseRecordName } from "../pstore/index.ts";
import { looksLikeStorage, type PstoreStorage, readStorages, recordFiles, type StorageHints } from "./pstore/storage.ts";
import { residentInDump, residentInFile, residentInMemory, type OpenedResident } from "../capture/softboot/index.ts";
import { type PstoreStory, storyOf, type TextOf } from "./pstore/story.ts";
import { LAST_WORDS } from "./incident/index.ts";
import { type JournalBoot, type KernelText, kernelTextOf, openByteStream, openKernelText, recogniseText } from "./text/index.ts";
import { type DumpProblem, FileSource, openDump, type OpenedDump, type OpenOptions, reason, recognise } from "../format/index.ts";

/** What a file turned out to be. */
export type PieceKind = "dump" | "log" | "pstore" | "other";

/** One file that was given, or found in a folder that was given. */
export interface EvidencePiece {
  readonly path: string;
  readonly kind: PieceKind;
  /** Name of the dump format, `text`, or what the file begins with. */
  readonly format: string;
  readonly size: number;
  /** `unusable`: nothing could be had from it. */
  health: "good" | "partial" | "unusable";
  /** Why it is not good, in sentences. */
  readonly details: string[];
}

/** Everything the given paths hold about one crash. */
export interface Evidence {
  readonly pieces: readonly EvidencePiece[];
  /** The memory image, when one of the pieces is one. */
  readonly dump: OpenedDump | undefined;
  /** The log in which the crash is looked for, when there is one. */
  readonly log: LogEvidence | undefined;
  /** All log files, that one among them; each is read when it is asked for. */
  readonly logs: readonly LogFile[];
  /** What pstore's backends kept, of every place that holds any. */
  readonly pstore: readonly PstoreStorage[];
  /** What their records tell together. */
  readonly story: PstoreStory;
  /** What was looked for in vain, in sentences. */
  readonly notes: readonly string[];
}

/** A log file. */
export interface LogFile {
  readonly path: string;
  /** @throws IO */
  readonly read: () => LogEvidence;
}

/** A log file, or what pstore's records tell. */
export interface LogEvidence {
  readonly path: string;
  /** Its end, as a console would show it; all of it, where it is no longer than 8 MiB. */
  readonly text: string;
  /** Bytes before `text`; 0 where not given. */
  readonly skipped?: number;
  /** Opens all of it, to be read once; `text` is all where not given. The caller closes it. @throws IO */
  readonly open?: () => KernelText;
  /** Of a journal, the boots of its lines. */
  readonly journal?: readonly JournalBoot[];
}

const MAX_FILES = 1000;
const MAX_DEPTH = 3;
const HEAD_SIZE = 64 * 1024;
/** Of a longer log the end is kept; crashes are looked for in all of it. */
const MAX_LOG = 8 * 1024 * 1024;

/**
 * Finds out what the paths hold and opens the memory image among them. Folders are searched three levels deep.
 * The caller closes `dump`.
 *
 * @throws IO when a path that was named cannot be read; what opening throws when the only dump cannot be opened.
 */
export async function collectEvidence(paths: readonly string[], options: OpenOptions, hints: StorageHints = {}): Promise<Evidence> {
  const files: string[] = [];
  for (const path of paths) addFiles(path, files, 0);
  if (options.raw || options.rawBase !== undefined) {
    const image = await openDump(files, options);
    const pieces = files.map((path) => pieceOf(path, "dump", "raw"));
    // What a soft boot left in it is the crash; the image is of a machine that runs.
    const resident = residentInDump(image.dump, files[0]!);
    if (resident) noteResident(pieces[0]!, resident);
    const dump = resident ?? image;
    return { pieces, dump, log: undefined, logs: [], pstore: [], story: storyOf([]), notes: [] };
  }
  const pieces = files.map((path) => classify(path, hints));
  const { storages: pstore, notes } = await storagesOf(pieces, hints, options);
  const story = storyOf(pstore);
  const dumps = pieces.filter((piece) => piece.kind === "dump");
  let dump: OpenedDump | undefined;
  let failure: DumpError | undefined;
  // Parts of a split set are opened together; of several whole dumps the first that opens is taken.
  const attempts = dumps.length > 1 ? [dumps, ...dumps.map((piece) => [piece])] : [dumps];
  for (const attempt of attempts) {
    if (attempt.length === 0 || dump) continue;
    try {
      dump = await openDump(
        attempt.map((piece) => piece.path),
        options,
      );
      for (const piece of dumps) if (!attempt.includes(piece)) piece.details.push("another dump of the same folder was taken");
      for (const problem of [...dump.problems, ...dump.dump.problems]) noteProblem(attempt, problem);
    } catch (error) {
      if (!isDumpError(error)) throw error;
      failure = error;
      if (attempt.length === 1) {
        attempt[0]!.health = "unusable";
        attempt[0]!.details.push(error.message);
      }
    }
  }
  for (const piece of pieces) {
    if (dump) break;
    const resident =
      piece.format === "memory"
        ? residentInMemory()
        : piece.kind === "other" && piece.size >= SMALLEST_IMAGE
          ? residentInFile(piece.path)
          : undefined;
    if (resident) {
      dump = resident;
      noteResident(piece, resident);
    }
  }
  const logPieces = pieces.filter((piece) => piece.kind === "log");
  const chosen = chooseLog(logPieces);
  // A log that somebody saved and that has no crash in it says less than records that have one.
  const log = story.crash && !(chosen && LAST_WORDS.test(chosen.text)) ? recordedLog(story.crash) : chosen;
  if (!dump && !log && failure) throw failure;
  const logs = logPieces.map(({ path }): LogFile => ({ path, read: () => (chosen?.path === path ? chosen : readLog({ path }, [])) }));
  return { pieces, dump, log, logs, pstore, story, notes };
}

/** Storages in the pieces that may hold some; pieces that do not are what they were. */
async function storagesOf(
  pieces: EvidencePiece[],
  hints: StorageHints,
  options: OpenOptions,
): Promise<{ storages: PstoreStorage[]; notes: string[] }> {
  const storages: PstoreStorage[] = [];
  const notes: string[] = [];
  const byFolder = new Map<string, string[]>();
  for (const piece of pieces) {
    if (piece.kind !== "pstore") continue;
    if (piece.format === "record") byFolder.set(dirname(piece.path), [...(byFolder.get(dirname(piece.path)) ?? []), piece.path]);
    else {
      const set = await readStorages([piece.path], hints, options);
      set.close();
      storages.push(...set.storages);
      notes.push(...set.notes);
      piece.health = set.storages.length === 0 ? "unusable" : set.storages.some(({ problems }) => problems.length > 0) ? "partial" : "good";
      piece.details.push(...set.notes, ...set.storages.map(describeStorage));
    }
  }
  for (const [folder, files] of byFolder) storages.push(...recordFiles(files, folder));
  return { storages, notes };
}

function describeStorage({ backend, layout, records, problems }: PstoreStorage): string {
  const count = `${records.length} record${records.length === 1 ? "" : "s"}`;
  return [`${backend}, ${count}`, ...(layout ? [layout.layout] : []), ...problems].join("; ");
}

/** A file of no format is searched for a resident dump from this size on. */
const SMALLEST_IMAGE = 1024 * 1024;

function noteResident(piece: EvidencePiece, { resident }: OpenedResident): void {
  piece.health = resident.problems.length > 0 ? "partial" : "good";
  piece.details.splice(
    0,
    piece.details.length,
    `holds a dump that a soft boot left at 0x${resident.address.toString(16)}, which is reported`,
    ...resident.problems.map(({ message }) => message),
  );
}

/** The first log with a crash in it, else the first. */
function chooseLog(pieces: readonly EvidencePiece[]): LogEvidence | undefined {
  let first: LogEvidence | undefined;
  for (const piece of pieces) {
    const log = readLog(piece, piece.details);
    if (LAST_WORDS.test(log.text)) return log;
    first ??= log;
  }
  return first;
}

function recordedLog({ source, text }: TextOf): LogEvidence {
  return { path: source, text, skipped: 0, open: () => kernelTextOf(Buffer.from(text).toString("latin1"), source) };
}

/** What is to be said of the file goes into `details`. */
function readLog({ path }: { readonly path: string }, details: string[]): LogEvidence {
  const open = (): KernelText => openKernelText(openByteStream(path));
  const opened = open();
  try {
    const { form } = opened;
    const what = FORM_NAMES[form.kind] + (form.prefixed ? " with a head of its own before each line" : "");
    if (form.encoding !== "bytes") details.push(`${what}, ${form.encoding.toUpperCase()}`);
    else if (form.kind !== "console" || form.prefixed) details.push(what);
    const plain = form.kind === "console" && form.encoding === "bytes" && !form.prefixed;
    const { tail, skipped } = plain ? endOf(path) : tailOf(opened);
    if (skipped > 0)
      details.push(`text, ${statSync(path).size} bytes, the last ${tail.length} of which are in the report; all of it was searched`);
    // A NUL in the middle is no end; a serial console ends lines with carriage returns.
    return { path, text: utf8(tail.replaceAll("\0", " ")).replaceAll("\r\n", "\n"), skipped, open, journal: opened.journal };
  } finally {
    opened.close();
  }
}

const FORM_NAMES = {
  console: "text",
  kmsg: "records of netconsole or /dev/kmsg",
  parts: "parts of pstore's dumps",
  "journal-export": "the journal, as journalctl -o export writes it",
  "journal-json": "the journal, as journalctl -o json writes it",
} as const satisfies Record<KernelText["form"]["kind"], string>;

/** Lines before the part of a log that is kept. @throws IO */
export function linesBefore({ skipped, open }: Pick<LogEvidence, "skipped" | "open">): number {
  if (!skipped || !open) return 0;
  const text = open();
  try {
    let lines = 0;
    let rest = skipped;
    for (let piece = text.pull(); piece !== undefined && rest > 0; piece = text.pull()) {
      for (let at = piece.indexOf("\n"); at >= 0 && at < rest; at = piece.indexOf("\n", at + 1)) lines++;
      rest -= piece.length;
    }
    return lines;
  } finally {
    text.close();
  }
}

/** The end of a file, from the beginning of a line. */
function endOf(path: string): { tail: string; skipped: number } {
  const source = new FileSource(path);
  try {
    const start = Math.max(0, source.size - MAX_LOG);
    const bytes = Buffer.allocUnsafe(source.size - start);
    const all = bytes.toString("latin1", 0, source.read(start, bytes));
    const from = start === 0 ? 0 : all.indexOf("\n") + 1;
    return { tail: from === 0 ? all : all.slice(from), skipped: start + from };
  } finally {
    source.close();
  }
}

/** The end of a text, from the beginning of a line. */
function tailOf(text: KernelText): { tail: string; skipped: number } {
  const pieces: string[] = [];
  let size = 0;
  let skipped = 0;
  for (let piece = text.pull(); piece !== undefined; piece = text.pull()) {
    pieces.push(piece);
    size += piece.length;
    while (size - pieces[0]!.length >= MAX_LOG) {
      skipped += pieces[0]!.length;
      size -= pieces.shift()!.length;
    }
  }
  const all = pieces.join("");
  const from = skipped === 0 && all.length <= MAX_LOG ? 0 : all.indexOf("\n", all.length - MAX_LOG) + 1;
  return { tail: from === 0 ? all : all.slice(from), skipped: skipped + from };
}

function noteProblem(pieces: readonly EvidencePiece[], problem: DumpProblem): void {
  const piece = pieces.find((p) => problem.message.includes(p.path)) ?? pieces[0]!;
  if (piece.health === "good") piece.health = "partial";
  piece.details.push(problem.message);
}

function addFiles(path: string, files: string[], depth: number): void {
  let stat;
  try {
    stat = statSync(path);
  } catch (error) {
    throw new Failure("IO", `cannot open ${path}: ${reason(error)}`);
  }
  if (!stat.isDirectory()) {
    // Within a folder only files are evidence; a device or pipe is read when it is named itself.
    if (depth === 0 || stat.isFile()) files.push(path);
    return;
  }
  if (depth >= MAX_DEPTH) return;
  for (const name of readdirSync(path).sort()) {
    if (files.length >= MAX_FILES) return;
    addFiles(join(path, name), files, depth + 1);
  }
}

function classify(path: string, hints: StorageHints): EvidencePiece {
  const name = basename(path);
  if (parseRecordName(name) || parseEfiName(name)) return { ...pieceOf(path, "pstore", "record") };
  // Memory has no size that may be asked for, and the storage's own reader knows what of it may be read.
  if (isMemoryDevice(path)) return pieceOf(path, "pstore", "memory", 0);
  const source = new FileSource(path);
  try {
    const head = new Uint8Array(Math.min(HEAD_SIZE, source.size));
    source.read(0, head);
    const format = recognise(head, source);
    if (format !== undefined) return pieceOf(path, "dump", format, source.size);
    if (head.length === 0) return { ...pieceOf(path, "other", "empty", 0), health: "unusable", details: ["the file is empty"] };
    if (hints.ramoops || hints.memconsole || looksLikeStorage(source)) return pieceOf(path, "pstore", "storage", source.size);
    if (looksLikeText(head)) return pieceOf(path, "log", "text", source.size);
    // The beginning of a region may be a zone that was never written, or one that is damaged.
    return source.size <= MAX_SEARCHED && source.size >= SMALLEST_SEARCHED
      ? pieceOf(path, "pstore", "storage", source.size)
      : { ...pieceOf(path, "other", "unknown", source.size), health: "unusable", details: ["no format known here"] };
  } finally {
    source.close();
  }
}

/** Files of no known format are searched for zones up to this size, and from this on. */
const MAX_SEARCHED = 64 * 1024 * 1024;
const SMALLEST_SEARCHED = 4096;

/** Whether a path is memory itself. */
function isMemoryDevice(path: string): boolean {
  return path === "/dev/mem";
}

function pieceOf(path: string, kind: PieceKind, format: string, size: number = statSync(path).size): EvidencePiece {
  return { path, kind, format, size, health: "good", details: [] };
}

/** Mostly printable, tabs, line ends and escape sequences; NULs happen in console captures, rarely. */
function looksLikeText(head: Uint8Array): boolean {
  // A text in UTF-16 is half NULs.
  if (recogniseText(Buffer.from(head.subarray(0, 4096)).toString("latin1")).encoding !== "bytes") return true;
  let odd = 0;
  for (const byte of head) if (byte < 9 || (byte > 13 && byte < 32 && byte !== 27)) odd++;
  return odd * 50 <= head.length;
}
