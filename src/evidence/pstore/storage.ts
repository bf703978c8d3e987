import { readdirSync, readFileSync, statSync } from "node:fs";
import { basename, join } from "node:path";
import { type ByteSource, DumpError, hex, isDumpError, latin1, SliceSource } from "../../bytes/index.ts";
import { type DumpFile, FileSource, openDump, type OpenOptions, reason, recognise } from "../../format/index.ts";
import { Kernel } from "../../kernel/index.ts";
import { PhysicalSource } from "../../memory/index.ts";
import {
  blkSizes,
  completeLayout,
  completePszLayout,
  decompressPayload,
  describeLayout,
  describeSlots,
  findChangli,
  findRamoopsRegions,
  findZoneHeads,
  findZoneHeadsInImage,
  inferLayouts,
  inferPszLayouts,
  type LayoutGuess,
  MAX_REGION,
  parseEfiName,
  parseRecordName,
  PERSISTENT_RAM_SIG,
  type PstoreRecord,
  type PszGuess,
  ramoopsSpec,
  readChangli,
  readCbmemConsole,
  readCorebootConsole,
  readEfiVariables,
  readErstRecords,
  readGoogleConsole,
  readMtdoops,
  readPsz,
  readRamoops,
  recordOfFile,
  type SparseSource,
} from "../../pstore/index.ts";
import { type Parameters, parametersOfHost, parametersOfKernel } from "./parameters.ts";

/** A zone for people: what `pstore ls --zones` prints. */
export interface StorageZone {
  readonly type: string;
  readonly index: number;
  /** From the storage's first byte. */
  readonly offset: number;
  readonly size: number;
  readonly status: string;
  /** Valid bytes, and bytes there is room for. */
  readonly used: number;
  readonly capacity: number;
}

/** A way to divide a storage into zones, in words, and what speaks for it. */
export interface StorageLayout {
  readonly layout: string;
  readonly reason: string;
}

/** One backend's storage, read. */
export interface PstoreStorage {
  /** `ramoops`, `pstore_blk`, `efi_pstore`, `erst`, `memconsole` …; of a folder of records, what their names say. */
  readonly backend: string;
  /** File, device or folder that it was read from. */
  readonly source: string;
  /** Where in the source: a physical address in memory, an offset in a file; undefined for folders. */
  readonly address: number | undefined;
  readonly size: number | undefined;
  /** How it was read, and why; undefined where the format leaves no choice. */
  readonly layout: StorageLayout | undefined;
  /** Other ways that fit less, best first. */
  readonly alternatives: readonly StorageLayout[];
  readonly zones: readonly StorageZone[];
  readonly records: readonly PstoreRecord[];
  /** In sentences. */
  readonly problems: readonly string[];
  /** Byte order of ftrace records. */
  readonly littleEndian: boolean;
  /** The kernel whose memory it was found in, for symbols. Owned by {@link StorageSet}. */
  readonly kernel: Kernel | undefined;
}

/** What the user says about where to look. */
export interface StorageHints {
  /** Words of `--ramoops`. */
  readonly ramoops?: ReadonlyMap<string, string>;
  /** Words of `--blk`. */
  readonly blk?: ReadonlyMap<string, string>;
  /** `--memconsole`: address and size. */
  readonly memconsole?: { readonly address: number; readonly size: number };
  /** Which backend the file is of, where it cannot be told. */
  readonly backend?: "ramoops" | "pstore_blk" | "erst" | "mtdoops" | "cbmem";
  /** Where /dev/mem, /proc and /sys are; `/` unless told. */
  readonly root?: string;
}

/** Storages, with what must be closed after use. */
export interface StorageSet {
  readonly storages: readonly PstoreStorage[];
  /** What was looked for in vain, in sentences. */
  readonly notes: readonly string[];
  close(): void;
}

const MAX_FILES = 10_000;
const MAX_DEPTH = 4;
/** No record's file is larger. */
const MAX_FILE = 64 * 1024 * 1024;
/** Where the words of `--ramoops` are from. */
const GIVEN = "the command line";
/** Images above this are looked through page by page first. */
const SMALL = 32 * 1024 * 1024;

/**
 * Reads every storage of pstore's kind that the paths hold: region images, devices, memory images and dumps, `/dev/mem`, folders of
 * records or efivarfs.
 *
 * @throws IO where a path cannot be read, BAD_ARGUMENT where the hints make no sense.
 */
export async function readStorages(paths: readonly string[], hints: StorageHints, options: OpenOptions = {}): Promise<StorageSet> {
  const closing: { close(): void }[] = [];
  const storages: PstoreStorage[] = [];
  const notes: string[] = [];
  const close = (): void => {
    for (const thing of closing.splice(0)) thing.close();
  };
  try {
    for (const path of paths) {
      let stat;
      try {
        stat = statSync(path);
      } catch (error) {
        throw new DumpError("IO", `cannot open ${path}: ${reason(error)}`);
      }
      if (stat.isDirectory()) storages.push(...readFolder(path, notes));
      else storages.push(...(await readFile(path, hints, options, closing, notes)));
    }
    return { storages, notes, close };
  } catch (error) {
    close();
    throw error;
  }
}

// -------------------------------------------------------------------------------------------------------------- files

async function readFile(
  path: string,
  hints: StorageHints,
  options: OpenOptions,
  closing: { close(): void }[],
  notes: string[],
): Promise<PstoreStorage[]> {
  const name = basename(path);
  if (path === join(hints.root ?? "/", "dev/mem")) return readDevMem(path, hints, notes);
  const source = new FileSource(path);
  closing.push(source);
  if (parseRecordName(name) || parseEfiName(name)) return recordFiles([path], undefined);
  const head = new Uint8Array(Math.min(65536, source.size));
  source.read(0, head);
  if (hints.backend === undefined && (options.rawBase !== undefined || recognise(head, source) !== undefined)) {
    const { dump } = await openDump([path], options);
    closing.push(dump);
    return readMemory(dump, path, hints, options, notes);
  }
  return readImage(source, hints, options, notes);
}

/** A file that is no dump: a region, a device, or memory without any header. */
function readImage(source: ByteSource, hints: StorageHints, options: OpenOptions, notes: string[]): PstoreStorage[] {
  const found: PstoreStorage[] = [];
  if (source.size === 0) {
    notes.push(`${source.name} is empty`);
    return [];
  }
  if (hints.memconsole) found.push(memconsole(source, hints.memconsole.address, hints.memconsole.size));
  if (hints.ramoops || hints.backend === "ramoops") {
    const region = ramoopsAt(source, { words: hints.ramoops ?? new Map<string, string>(), from: GIVEN }, 0);
    if (!region) notes.push(isZero(source) ? allZero(source) : `${source.name}: no zone of ramoops`);
    return [...found, ...(region ? [region] : [])];
  }
  if (hints.blk || hints.backend === "pstore_blk") {
    const device = blkDevice(source, hints.blk);
    return [...found, ...(device ? [device] : [])];
  }
  if (hints.memconsole) return found;
  if (hints.backend === "erst" || isErst(source)) return [plain(source, "erst", readErstRecords(source, decompressPayload))];
  if (hints.backend === "mtdoops") return [plain(source, "mtdoops", readMtdoops(source))];
  if (hints.backend === "cbmem") return [plain(source, "cbmem", { records: readCbmemConsole(source), problems: [] })];

  const blk = inferPszLayouts(source)[0];
  // A ramoops zone of dmesg has the very signature of a pstore_blk one: only the others tell them apart.
  if (blk && isBlk(source, blk)) {
    const device = blkDevice(source, undefined);
    if (device) return [device];
  }
  if (source.size <= MAX_REGION) {
    const whole = inferLayouts(source);
    if (whole[0] && whole[0].score >= 4 && beginsRegion(findZoneHeads(source), whole[0])) return [ramoopsStorage(source, source, 0, whole)];
  }
  const regions = regionsIn(source, options);
  if (regions.length > 0) return regions;
  const mtdoops = readMtdoops(source);
  if (mtdoops.records.length > 0) return [plain(source, "mtdoops", mtdoops)];
  const consoles = consolesIn(source);
  if (consoles.length > 0) return consoles;
  notes.push(
    isZero(source)
      ? allZero(source)
      : `${source.name}: no zone, record or console of any backend; if you know where it is, give its place and sizes (--ramoops, --blk, --memconsole)`,
  );
  return [];
}

/**
 * Whether the source is the region. A chain of zones may also begin with one that has no header and hides a region deep in an image:
 * then it accounts for few of the headers.
 */
function beginsRegion(heads: readonly { readonly offset: number }[], guess: LayoutGuess): boolean {
  const slots = new Set(guess.slots.map((slot) => slot.offset));
  return slots.has(0) && (heads[0]?.offset === 0 || heads.filter((head) => slots.has(head.offset)).length * 2 >= heads.length);
}

function allZero(source: ByteSource): string {
  return `${source.name}: all of its ${source.size} bytes are 0: nothing was ever written there, or the memory did not survive the reboot`;
}

function isBlk(source: ByteSource, guess: PszGuess): boolean {
  if (guess.slots.some((slot) => slot.type !== "dmesg" && slot.type !== "ftrace")) return true;
  const first = guess.slots.find((slot) => slot.type === "dmesg");
  const bytes = new Uint8Array(4);
  return (
    first !== undefined &&
    source.read(first.offset + 12, bytes) === 4 &&
    new DataView(bytes.buffer).getUint32(0, guess.littleEndian) === 0x4dfc3ae5
  );
}

function isErst(source: ByteSource): boolean {
  const head = new Uint8Array(8);
  source.read(0, head);
  const text = latin1(head);
  return text.startsWith("CPER") || text === "ERSTSTOR";
}

function isZero(source: ByteSource): boolean {
  const block = new Uint8Array(1024 * 1024);
  for (let at = 0; at < source.size; at += block.length) {
    const got = source.read(at, block);
    for (let i = 0; i < got; i++) if (block[i] !== 0) return false;
  }
  return true;
}

function plain(
  source: ByteSource,
  backend: string,
  content: { readonly records: readonly PstoreRecord[]; readonly problems: readonly string[] },
  address: number | undefined = 0,
): PstoreStorage {
  return {
    backend,
    source: source.name,
    address,
    size: source.size,
    layout: undefined,
    alternatives: [],
    zones: [],
    records: content.records,
    problems: content.problems,
    littleEndian: true,
    kernel: undefined,
  };
}

// -------------------------------------------------------------------------------------------------- regions in memory

/** Memory of a crashed machine: where its kernel says the region is, else wherever zones are found. */
function readMemory(dump: DumpFile, path: string, hints: StorageHints, options: OpenOptions, notes: string[]): PstoreStorage[] {
  const memory = new PhysicalSource(dump, path);
  const found: PstoreStorage[] = [];
  if (hints.memconsole) found.push(memconsole(memory, hints.memconsole.address, hints.memconsole.size));
  let kernel: Kernel | undefined;
  try {
    kernel = new Kernel(dump, options.onProgress ? { onProgress: options.onProgress } : {});
  } catch (error) {
    if (!isDumpError(error)) throw error;
  }
  const named = hints.ramoops ? [{ words: hints.ramoops, from: GIVEN }] : kernel ? parametersOfKernel(kernel) : [];
  const regions = regionsNamed(memory, named, notes, (from, length) => memory.holds(from, length));
  found.push(...(regions.length > 0 || hints.ramoops ? regions : regionsIn(memory, options)));
  if (!hints.ramoops) found.push(...consolesIn(memory, false));
  if (found.length === 0)
    notes.push(`${path}: no region of any backend in the memory that this dump holds; dumps of System RAM leave reserved memory out`);
  return found.map((storage) => ({ ...storage, kernel }));
}

/** `/dev/mem`: only memory that somebody reserved is looked at, since other addresses may be devices. */
function readDevMem(path: string, hints: StorageHints, notes: string[]): PstoreStorage[] {
  const parameters = hints.ramoops ? [{ words: hints.ramoops, from: GIVEN }] : parametersOfHost(hints.root);
  // Of no size that could be asked for; only named places are read.
  const memory = new FileSource(path, 2 ** 52);
  try {
    const found = hints.memconsole ? [memconsole(memory, hints.memconsole.address, hints.memconsole.size)] : [];
    if (hints.ramoops || !hints.memconsole) found.push(...regionsNamed(memory, parameters, notes));
    if (found.length === 0 && !hints.ramoops) {
      notes.push(
        parameters.length === 0
          ? `${path}: nothing says where a region could be: no ramoops parameters, no memmap= and no reserved memory between System RAM; name it with --ramoops mem_address=…,mem_size=…`
          : `${path}: no zone in the ${parameters.length} reserved ranges that this machine knows`,
      );
    }
    return found;
  } finally {
    memory.close();
  }
}

/** Regions at the places that parameters name. A place without sizes is searched. */
function regionsNamed(
  memory: ByteSource,
  parameters: readonly Parameters[],
  notes: string[],
  holds: (from: number, length: number) => boolean = () => true,
): PstoreStorage[] {
  const found: PstoreStorage[] = [];
  const taken: [number, number][] = [];
  for (const parameter of parameters) {
    let spec;
    try {
      spec = ramoopsSpec(parameter.words);
    } catch (error) {
      // What the user wrote is the user's to mend; what a kernel was told may be wrong, and other places are left.
      if (!isDumpError(error) || parameter.from === GIVEN) throw error;
      notes.push(`${parameter.from}: ${error.message}`);
      continue;
    }
    const { memAddress, memSize } = spec;
    if (memAddress === undefined || memSize === undefined) {
      notes.push(`${parameter.from} gives ${memSize === undefined ? "no mem_size" : "no mem_address"}: a region of ramoops needs both`);
      continue;
    }
    // The same region by another source, or a hole around one that is read already.
    if (taken.some(([from, to]) => memAddress < to && memAddress + memSize > from)) continue;
    if (memSize > MAX_REGION || memSize === 0) continue;
    if (!holds(memAddress, memSize)) {
      notes.push(`${parameter.from}: the region at ${hex(memAddress)}, ${memSize} bytes, is not in this dump`);
      continue;
    }
    const copy = copyOf(memory, memAddress, memSize, notes);
    if (!copy) continue;
    let region;
    try {
      region = ramoopsAt(copy, parameter, memAddress);
    } catch (error) {
      // Sizes that the kernel would refuse.
      if (!isDumpError(error) || parameter.from === GIVEN) throw error;
      notes.push(`${parameter.from}: ${error.message}`);
      region = ramoopsAt(copy, { ...parameter, words: new Map() }, memAddress);
    }
    if (region) found.push(region);
    // A hole may hold more than one thing.
    const start = region?.address === undefined ? 0 : region.address - memAddress;
    const end = region?.size === undefined ? 0 : start + region.size;
    const consoles = findChangli(copy).filter(({ offset, size }) => offset + size <= start || offset >= end);
    for (const { offset, size } of consoles.slice(0, 1)) found.push(memconsole(memory, memAddress + offset, size));
    if (region || consoles.length > 0) taken.push([memAddress, memAddress + memSize]);
  }
  return found;
}

/** A region is read once: memory behind /dev/mem is slow, and may change. */
function copyOf(memory: ByteSource, address: number, size: number, notes: string[]): ByteSource | undefined {
  try {
    const bytes = new Uint8Array(size);
    const got = memory.read(address, bytes);
    if (got < size) notes.push(`${memory.name}: ${got} of the ${size} bytes at ${hex(address)} could be read`);
    return got === 0 ? undefined : new BytesAt(bytes, memory.name);
  } catch (error) {
    if (!isDumpError(error)) throw error;
    notes.push(`${memory.name}: ${error.message}`);
    return undefined;
  }
}

class BytesAt implements ByteSource {
  readonly name: string;
  readonly size: number;
  readonly #bytes: Uint8Array;

  constructor(bytes: Uint8Array, name: string) {
    this.#bytes = bytes;
    this.name = name;
    this.size = bytes.length;
  }

  read(offset: number, into: Uint8Array): number {
    const part = this.#bytes.subarray(offset, offset + into.length);
    into.set(part);
    return part.length;
  }

  close(): void {}
}

/** The region that the words describe; `source` is its bytes alone where `memory` is its address. */
function ramoopsAt(source: ByteSource, { words, from }: Parameters, address: number): PstoreStorage | undefined {
  const spec = ramoopsSpec(words);
  // In a file the address is one of memory: the file is the region, unless it is longer and holds that offset.
  const inside =
    address === 0 && spec.memAddress !== undefined && spec.memSize !== undefined && spec.memAddress + spec.memSize <= source.size;
  const start = inside ? spec.memAddress! : 0;
  const memSize = Math.min(spec.memSize ?? source.size, source.size - start);
  const region = new SliceSource(source, start, memSize);
  const guesses: LayoutGuess[] = [];
  if (spec.sizes) {
    guesses.push(
      // The sizes divide the region that there was, of which a copy may be cut short.
      ...completeLayout(region, { ...spec.sizes, memSize: Math.max(memSize, regionSize(spec.memSize)) }, spec.eccGiven).map((guess) => ({
        ...guess,
        // Sizes that were said are believed before any that look better.
        score: guess.score + (guess.score >= 1 ? 1000 : 0),
        reason: `sizes from ${from}: ${guess.reason}`,
      })),
    );
  }
  const heads = findZoneHeads(region);
  guesses.push(...inferLayouts(region).filter((guess) => beginsRegion(heads, guess)));
  guesses.sort((a, b) => b.score - a.score);
  if (!guesses[0] || guesses[0].score < 1) {
    const all = findRamoopsRegions(region, heads);
    // An address without a size may be one in this file.
    const found = all.find(({ offset }) => address + start + offset === spec.memAddress) ?? all[0];
    if (!found) return undefined;
    return ramoopsStorage(new SliceSource(region, found.offset, found.size), source, address + start + found.offset, found.guesses);
  }
  return ramoopsStorage(region, source, address + start, guesses);
}

function regionSize(memSize: number | undefined): number {
  return memSize !== undefined && memSize <= MAX_REGION ? memSize : 0;
}

/** Regions of which nothing is known but the bytes. */
function regionsIn(source: SparseSource, { onProgress }: OpenOptions): PstoreStorage[] {
  const report = onProgress && ((done: number, total: number) => onProgress("searching for ramoops zones", done, total));
  const heads = source.size <= SMALL ? findZoneHeads(source) : findZoneHeadsInImage(source, report);
  if (heads.length === 0) return [];
  return findRamoopsRegions(source, heads)
    .slice(0, 16)
    .map(({ offset, size, guesses }) =>
      ramoopsStorage(
        new SliceSource(source, offset, size),
        source,
        offset,
        guesses.toSorted((a, b) => b.score - a.score),
      ),
    );
}

/** @param guesses best first, at least one. */
function ramoopsStorage(region: ByteSource, source: ByteSource, address: number, guesses: readonly LayoutGuess[]): PstoreStorage {
  const [best, ...others] = guesses as [LayoutGuess, ...LayoutGuess[]];
  const content = readRamoops(region, best, decompressPayload);
  const layout = describeLayout(best);
  // Memory that is reserved may be more than the region.
  const last = best.slots.at(-1)!;
  return {
    backend: "ramoops",
    source: source.name,
    address,
    size: Math.min(region.size, last.offset + last.size),
    layout: { layout, reason: best.reason },
    alternatives: distinct(
      layout,
      others.map((guess) => ({ layout: describeLayout(guess), reason: guess.reason })),
    ),
    zones: content.zones,
    records: content.records,
    problems: content.problems,
    littleEndian: best.littleEndian,
    kernel: undefined,
  };
}

/** A handful of other layouts, each once. */
function distinct(chosen: string, others: readonly StorageLayout[]): StorageLayout[] {
  const seen = new Set([chosen]);
  return others.filter(({ layout }) => !seen.has(layout) && seen.add(layout)).slice(0, 5);
}

// ------------------------------------------------------------------------------------------------------ other storage

function blkDevice(source: ByteSource, words: ReadonlyMap<string, string> | undefined): PstoreStorage | undefined {
  const sizes = words && blkSizes(words, source.size);
  const guesses = [
    ...(sizes ? completePszLayout(source, sizes).map((guess) => ({ ...guess, score: guess.score + (guess.score >= 1 ? 1000 : 0) })) : []),
    ...inferPszLayouts(source),
  ].sort((a, b) => b.score - a.score);
  const [best, ...others] = guesses;
  if (!best) return undefined;
  const content = readPsz(source, best, decompressPayload);
  const layout = describeSlots(best.slots);
  return {
    ...plain(source, "pstore_blk", content),
    layout: { layout, reason: best.reason },
    alternatives: distinct(
      layout,
      others.map((guess) => ({ layout: describeSlots(guess.slots), reason: guess.reason })),
    ),
    zones: content.zones,
    littleEndian: best.littleEndian,
  };
}

function memconsole(source: ByteSource, address: number, size: number): PstoreStorage {
  const region = new SliceSource(source, address, Math.min(size, Math.max(0, source.size - address)));
  const records = readChangli(region);
  const problems = records.length === 0 ? [`no valid memconsole at ${hex(address)}`] : [];
  return { ...plain(region, "memconsole", { records, problems }, address) };
}

/** Consoles that firmware or the 2009 proposal keep in memory. `all` also where only their consistency tells. */
function consolesIn(source: ByteSource, all: boolean = true): PstoreStorage[] {
  const found: PstoreStorage[] = [];
  const coreboot = readCorebootConsole(source);
  if (coreboot.length > 0) found.push(plain(source, "cbmem", { records: coreboot, problems: [] }, undefined));
  const google = readGoogleConsole(source);
  if (google.length > 0) found.push(plain(source, "google", { records: google, problems: [] }, undefined));
  if (all && source.size <= MAX_REGION) {
    for (const region of findChangli(source).slice(0, 4)) {
      found.push({
        ...memconsole(source, region.offset, region.size),
        layout: {
          layout: `${region.wordSize * 8}-bit header, ring of ${Math.min(region.size - region.wordSize * 2, 4096)} bytes`,
          reason: "pointer and length agree with each other and with the text; the format has no signature",
        },
      });
    }
  }
  return found;
}

// ------------------------------------------------------------------------------------------------------------ folders

/** Records that lie about in a folder and those below, as pstore, efivarfs and archives of them do. */
function readFolder(path: string, notes: string[]): PstoreStorage[] {
  const byFolder = new Map<string, string[]>();
  let count = 0;
  const walk = (folder: string, depth: number): void => {
    for (const entry of readdirSync(folder, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1))) {
      if (count >= MAX_FILES) return;
      const full = join(folder, entry.name);
      if (entry.isDirectory() && depth < MAX_DEPTH) walk(full, depth + 1);
      else if (entry.isFile() && (parseRecordName(entry.name) || parseEfiName(entry.name))) {
        count++;
        byFolder.set(folder, [...(byFolder.get(folder) ?? []), full]);
      }
    }
  };
  try {
    walk(path, 0);
  } catch (error) {
    throw new DumpError("IO", `cannot read ${path}: ${reason(error)}`);
  }
  if (count >= MAX_FILES) notes.push(`${path}: more than ${MAX_FILES} records; the rest is not read`);
  if (count === 0) notes.push(`${path}: no file is named like a record (console-ramoops-0, dump-type0-1-…)`);
  return [...byFolder].flatMap(([folder, files]) => recordFiles(files, folder));
}

/** Files of records, one storage for each backend that their names give. */
export function recordFiles(files: readonly string[], folder: string | undefined): PstoreStorage[] {
  const records: PstoreRecord[] = [];
  const variables: { name: string; bytes: Uint8Array }[] = [];
  const problems: string[] = [];
  for (const file of files) {
    const name = basename(file);
    try {
      const stat = statSync(file);
      if (stat.size > MAX_FILE) throw new DumpError("LIMIT", `${file} has ${stat.size} bytes, a record at most ${MAX_FILE}`);
      const bytes = new Uint8Array(readFileSync(file));
      if (parseEfiName(name)) variables.push({ name, bytes });
      else {
        const seconds = Math.floor(stat.mtimeMs / 1000);
        const time = { seconds, nanoseconds: Math.round((stat.mtimeMs - seconds * 1000) * 1e6) };
        const record = recordOfFile(name, bytes, time, decompressPayload);
        if (record) records.push(record);
      }
    } catch (error) {
      problems.push(isDumpError(error) ? error.message : `cannot read ${file}: ${reason(error)}`);
    }
  }
  records.push(...readEfiVariables(variables, decompressPayload));
  const backends = new Map<string, PstoreRecord[]>();
  for (const record of records) backends.set(record.backend, [...(backends.get(record.backend) ?? []), record]);
  const source = folder ?? files[0]!;
  return [...backends].map(([backend, own], i) => ({
    backend,
    source,
    address: undefined,
    size: undefined,
    layout: undefined,
    alternatives: [],
    zones: [],
    records: own,
    problems: i === 0 ? problems : [],
    littleEndian: true,
    kernel: undefined,
  }));
}

/** Whether a file looks like a storage, by its first bytes: cheap, for who sorts many files. */
export function looksLikeStorage(source: ByteSource): boolean {
  if (isErst(source)) return true;
  const word = new Uint8Array(4);
  if (source.read(0, word) < 4) return false;
  const view = new DataView(word.buffer);
  // pstore_blk's signatures differ from ramoops' in the four low bits.
  return [true, false].some((littleEndian) => (view.getUint32(0, littleEndian) ^ PERSISTENT_RAM_SIG) >>> 0 < 16);
}
