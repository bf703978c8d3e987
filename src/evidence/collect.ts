import { readdirSync, statSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { type DumpError, isDumpError, latin1, utf8, DumpError as Failure } from "../bytes/index.ts";
import { parseEfiName, parseRecordName } from "../pstore/index.ts";
import { looksLikeStorage, type PstoreStorage, readStorages, recordFiles, type StorageHints } from "./pstore/storage.ts";
import { type PstoreStory, storyOf } from "./pstore/story.ts";
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
  /** The text of the first log, when there is one. */
  readonly log: { readonly path: string; readonly text: string } | undefined;
  /** What pstore's backends kept, of every place that holds any. */
  readonly pstore: readonly PstoreStorage[];
  /** What their records tell together. */
  readonly story: PstoreStory;
  /** What was looked for in vain, in sentences. */
  readonly notes: readonly string[];
}

const MAX_FILES = 1000;
const MAX_DEPTH = 3;
const HEAD_SIZE = 64 * 1024;
/** The end of a longer log is what matters. */
const MAX_LOG = 64 * 1024 * 1024;

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
    const dump = await openDump(files, options);
    return { pieces: files.map((path) => pieceOf(path, "dump", "raw")), dump, log: undefined, pstore: [], story: storyOf([]), notes: [] };
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
  const logs = chooseLog(pieces.filter((piece) => piece.kind === "log"));
  // A log that somebody saved and that has no crash in it says less than records that have one.
  const log = story.crash && !(logs && LAST_WORDS.test(logs.text)) ? { path: story.crash.source, text: story.crash.text } : logs;
  if (!dump && !log && failure) throw failure;
  return { pieces, dump, log, pstore, story, notes };
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

/** Words of the kernel at its end; a log that has none of them is of another boot, or of the capture kernel. */
const LAST_WORDS = /Kernel panic - not syncing|Oops: |BUG: |kernel BUG at|general protection fault|Unable to handle kernel/;

/** The first log with a crash in it, else the first. */
function chooseLog(pieces: readonly EvidencePiece[]): Evidence["log"] {
  let first: Evidence["log"];
  for (const { path } of pieces) {
    const log = { path, text: readText(path) };
    if (LAST_WORDS.test(log.text)) return log;
    first ??= log;
  }
  return first;
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
  let odd = 0;
  for (const byte of head) if (byte < 9 || (byte > 13 && byte < 32 && byte !== 27)) odd++;
  return odd * 50 <= head.length;
}

function readText(path: string): string {
  const source = new FileSource(path);
  try {
    const start = Math.max(0, source.size - MAX_LOG);
    const bytes = new Uint8Array(source.size - start);
    source.read(start, bytes);
    // A NUL in the middle is no end; a serial console ends lines with carriage returns.
    return utf8(latin1(bytes.map((byte) => (byte === 0 ? 0x20 : byte)))).replaceAll("\r\n", "\n");
  } finally {
    source.close();
  }
}
