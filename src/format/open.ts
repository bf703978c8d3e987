import { type ByteSource, DumpError } from "../bytes/index.ts";
import { isCompressed, unpackToTemporary } from "./compressed.ts";
import type { DumpFile, DumpProblem, FormatProbe, OpenOptions } from "./dump.ts";
import { elfFormat } from "./elf/index.ts";
import { FileSource } from "./file-source.ts";
import { FlattenedSource, isFlattened } from "./flattened/index.ts";
import { kdumpFormat } from "./kdump/index.ts";
import { lkcdFormat } from "./lkcd/index.ts";
import { rawFormat } from "./raw/index.ts";
import { sadumpFormat } from "./sadump/index.ts";

/** Tried in this order; the cheap and certain signatures first. */
const FORMATS: readonly FormatProbe[] = [elfFormat, kdumpFormat, lkcdFormat, sadumpFormat];

const HEAD_SIZE = 64 * 1024;

/** A dump with the containers that it came in. */
export interface OpenedDump {
  readonly dump: DumpFile;
  /** Containers from the outside in: `zstd`, `gzip`, `flattened`. */
  readonly containers: readonly string[];
  /** What was wrong with the containers; the dump's own problems are in {@link DumpFile.problems}. */
  readonly problems: readonly DumpProblem[];
}

/**
 * Opens a dump given as one file, or as the several files of a split set or a disk set, in any order.
 * The caller closes {@link OpenedDump.dump}.
 *
 * @throws IO, UNSUPPORTED (no probe knows it; the message says what the file begins with), CORRUPT, TRUNCATED.
 */
export async function openDump(paths: readonly string[], options: OpenOptions = {}): Promise<OpenedDump> {
  if (paths.length === 0) throw new DumpError("BAD_ARGUMENT", "no dump file given");
  const sources: ByteSource[] = [];
  try {
    const containers: string[] = [];
    const problems: DumpProblem[] = [];
    for (const path of paths) sources.push(await unwrap(new FileSource(path), containers, problems, options));
    return { dump: openSources(sources, options), containers: [...new Set(containers)], problems };
  } catch (error) {
    for (const source of sources) source.close();
    throw error;
  }
}

/** Opens sources that are already out of their containers. See {@link openDump}. */
export function openSources(sources: readonly ByteSource[], options: OpenOptions = {}): DumpFile {
  const source = sources[0]!;
  if (options.raw || options.rawBase !== undefined) return rawFormat.open(sources, options);
  const head = new Uint8Array(Math.min(HEAD_SIZE, source.size));
  source.read(0, head);
  if (head.length === 0) throw new DumpError("TRUNCATED", `${source.name} is empty`);
  for (const format of FORMATS) {
    // A media backup or another disk of the set may come first: any source may show the signature.
    if (!format.probe(head, source)) continue;
    if (sources.length > 1 && format.format !== "kdump" && format.format !== "sadump") {
      throw new DumpError("BAD_ARGUMENT", `${source.name} is ${format.format}, which is one file; ${sources.length} were given`);
    }
    return format.open(sources, options);
  }
  throw new DumpError(
    "UNSUPPORTED",
    `${source.name} is no dump format known here (it begins with ${firstBytes(head)}); a raw memory image is opened with --raw-base ADDRESS`,
  );
}

/** The name of the dump format or container that a file begins with, or undefined: for deciding what a file is. */
export function recognise(head: Uint8Array, source: ByteSource): string | undefined {
  return isCompressed(head) ?? (isFlattened(head) ? "flattened" : FORMATS.find((format) => format.probe(head, source))?.format);
}

async function unwrap(file: ByteSource, containers: string[], problems: DumpProblem[], options: OpenOptions): Promise<ByteSource> {
  let source = file;
  // Two layers of compression and a flattened stream is as odd as it gets; more is a bomb.
  for (let depth = 0; depth < 4; depth++) {
    const head = new Uint8Array(Math.min(32, source.size));
    source.read(0, head);
    const kind = isCompressed(head);
    if (kind) {
      const unpacked = await unpackToTemporary(source, kind, options);
      source.close();
      containers.push(kind);
      problems.push(...unpacked.problems);
      source = unpacked.source;
    } else if (isFlattened(head)) {
      const flattened = new FlattenedSource(source, options);
      containers.push("flattened");
      problems.push(...flattened.problems);
      source = flattened;
    } else return source;
  }
  throw new DumpError("LIMIT", `${file.name} is packed in more than four layers`);
}

function firstBytes(head: Uint8Array): string {
  const bytes = head.subarray(0, 8);
  const hex = Buffer.from(bytes).toString("hex").replace(/../g, "$& ").trim();
  const text = Buffer.from(bytes)
    .toString("latin1")
    .replace(/[^\x20-\x7e]/g, ".");
  return `${hex} "${text}"`;
}
