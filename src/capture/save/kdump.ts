import { asVaddr, DumpError, isDumpError, latin1 } from "../../bytes/index.ts";
import { type DumpFile, type ElfNote, reason } from "../../format/index.ts";
import { DUMP_DH_COMPRESSED_INCOMPLETE, PAGE_DESC_SIZE } from "../../format/kdump/layout.ts";
import { encodeKdumpHeader, encodeNotes, kdumpGeometry, type KdumpHeader } from "../../format/kdump/write.ts";
import { openX86_64, Vmcoreinfo } from "../../kernel/index.ts";
import { PhysicalMemory, VirtualMemory } from "../../memory/index.ts";
import type { PageClass } from "../page-class/classify.ts";
import { countBits, nextBit } from "./bits.ts";
import { ChunkWorker } from "./chunk.ts";
import { CODEC_FLAG, type SaveCodec } from "./compress.ts";
import { Helpers } from "./helpers.ts";
import type { Output } from "./output.ts";
import { Selector, WINDOW } from "./select.ts";
import { allocator, CONTROL, type SharedState, storeChunks, type WorkerEnd, type WorkerStart } from "./worker.ts";

/** What is to be saved how. */
export interface SaveOptions {
  /** Files of the source, as they were opened; threads open them again. */
  readonly paths: readonly string[];
  readonly rawBase?: number;
  /** makedumpfile's dump level, 0 to 31. */
  readonly level: number;
  readonly codec: SaveCodec;
  /** Threads that help; without, this one does all. */
  readonly helpers?: Helpers;
  /** Frames `[from, to)` of this file where it is one of a set (makedumpfile's --split). */
  readonly range?: readonly [from: number, to: number];
  /** Seconds since 1970 for the header; now unless given. Files of a set have the same. */
  readonly timestamp?: number;
  /** Frames that are looked at together, a multiple of 8; for tests. */
  readonly window?: number;
  readonly onProgress?: (label: string, done: number, total: number) => void;
  /** Called when all is written to a file, and waited for, while the file is made safe on its medium and its header said to be complete. */
  readonly onWritten?: () => Promise<void>;
}

/** What was saved. */
export interface SaveResult {
  /** Bytes of the file. */
  readonly size: number;
  readonly ramPages: number;
  readonly savedPages: number;
  /** Pages left out, by reason. */
  readonly excluded: Readonly<Record<PageClass, number>>;
  /** All-zero pages among those saved: they share one. */
  readonly zeroPages: number;
  /** Why more was kept than asked for. */
  readonly keptMore: string | undefined;
  /** Pages that could not be read from the source and are zeros in the copy; the first of them, in words. */
  readonly unreadable: number;
  readonly firstProblem: string | undefined;
}

/** Kept pages of a chunk: enough that threads seldom meet, few enough that they end together. */
const CHUNK_PAGES = 1024;
/** For fewer pages a thread takes longer to start than to be of use. */
const WORTH_A_THREAD = 3000;
/** After so much the medium gets its part while pages are still compressed: at the end there would be nothing to do beside it. */
const SYNC_AFTER = 64 * 1024 * 1024;

/**
 * Writes a kdump-compressed file, version 6. Until all is there the header says that it is incomplete, and descriptors of pages that are
 * not there yet are zero, which readers take for missing.
 *
 * @throws IO where the system refuses: then what is complete stays in the output.
 */
export async function saveKdump(dump: DumpFile, output: Output, options: SaveOptions): Promise<SaveResult> {
  if (dump.wordSize !== 8 || !dump.littleEndian)
    throw new DumpError("UNSUPPORTED", "only dumps of 64-bit little-endian machines can be saved yet");
  checkPageSize(dump);
  const { maxPfn, pageSize } = dump;
  const notes = encodeNotes(notesOf(dump));
  const geometry = kdumpGeometry(maxPfn, pageSize, notes.bytes.length);
  const header: KdumpHeader = {
    utsname: utsnameOf(dump),
    timestamp: options.timestamp ?? Math.floor(Date.now() / 1000),
    // A stream has its own end; and who reads one as it is (crash) takes the first header, not the last.
    status: CODEC_FLAG[options.codec] | (output.path === undefined ? 0 : DUMP_DH_COMPRESSED_INCOMPLETE),
    maxMapnr: maxPfn,
    nrCpus: dump.notes.filter((note) => note.name === "CORE" && note.type === 1).length,
    physBase: physBaseOf(dump),
    dumpLevel: options.level,
    ...(options.range ? { split: options.range } : {}),
    notes,
  };
  let selector = new Selector(dump, options.level);
  output.write(0, encodeKdumpHeader(header, geometry));
  const range = options.range ?? ([0, maxPfn] as const);
  const windowSize = options.window ?? WINDOW;
  const present = new Uint8Array(Math.ceil(Math.min(windowSize, maxPfn) / 8));
  const keptBuffer = new SharedArrayBuffer(present.length);
  const kept = new Uint8Array(keptBuffer);
  let pages = 0;
  for (let base = 0; base < maxPfn; base += windowSize) {
    const end = Math.min(base + windowSize, maxPfn);
    // A window without RAM stays a hole in the file.
    if (!selector.run(base, end, present, kept)) continue;
    const bytes = Math.ceil((end - base) / 8);
    output.write(geometry.bitmap1At + base / 8, present.subarray(0, bytes));
    output.write(geometry.bitmap2At + base / 8, kept.subarray(0, bytes));
    pages += countBits(kept, ...clip(range, base, end));
  }
  const zeroPageAt = geometry.descriptorsAt + pages * PAGE_DESC_SIZE;
  output.write(zeroPageAt, new Uint8Array(pageSize));
  // Once this is done it can be opened, whatever happens. The first pages need not wait for it.
  const begun = output.sync();
  // It is awaited below; to fail before that is no accident.
  begun.catch(() => {});
  const { ramPages, counts, keptMore } = selector;
  const sums: Sums = { total: pages, pages: 0, zeros: 0, unreadable: 0, firstProblem: undefined, end: zeroPageAt + pageSize };
  const helpers = options.helpers ?? new Helpers(1);
  try {
    if (maxPfn > windowSize) selector = new Selector(dump, options.level);
    for (let base = 0; base < maxPfn; base += windowSize) {
      const end = Math.min(base + windowSize, maxPfn);
      // Of one window all is there still; of several, all over again: two bitmaps of all memory would be too large.
      if (maxPfn > windowSize && !selector.run(base, end, present, kept)) continue;
      const chunks = chunksOf(kept, clip(range, base, end), sums.pages);
      if (chunks.length === 0) continue;
      const threads = new Threads(dump, output, {
        ...options,
        helpers,
        kept: keptBuffer,
        base,
        chunks,
        descriptorsAt: geometry.descriptorsAt,
        zeroPageAt,
        sums,
      });
      await threads.run();
    }
  } finally {
    if (!options.helpers) helpers.close();
    await begun;
  }
  if (sums.pages !== pages) throw new DumpError("IO", `${output.name}: ${sums.pages} of ${pages} pages were written`);
  if (output.path !== undefined) {
    // All is safe before the header says so.
    const safe = output.sync();
    const looked = options.onWritten?.();
    try {
      await safe;
      output.write(0, encodeKdumpHeader({ ...header, status: CODEC_FLAG[options.codec] }, geometry).subarray(0, pageSize));
      await output.finish(sums.end);
    } finally {
      await looked;
    }
  } else await output.finish(sums.end);
  return {
    size: sums.end,
    ramPages,
    savedPages: pages,
    excluded: counts,
    zeroPages: sums.zeros,
    keptMore,
    unreadable: sums.unreadable,
    firstProblem: sums.firstProblem,
  };
}

/** Of a file, over all its windows. */
interface Sums {
  /** Pages to store. */
  readonly total: number;
  pages: number;
  zeros: number;
  unreadable: number;
  firstProblem: string | undefined;
  /** Where the next data go. */
  end: number;
}

/** The part of a range of frames in the window `[base, end)`, as bits of its bitmap. */
function clip([from, to]: readonly [from: number, to: number], base: number, end: number): [from: number, to: number] {
  const first = Math.min(Math.max(from, base), end);
  return [first - base, Math.max(first, Math.min(to, end)) - base];
}

/** What the page kernels take; a kdump file has no other. */
function checkPageSize({ pageSize }: DumpFile): void {
  if (pageSize < 4096 || pageSize > 65536) throw new DumpError("UNSUPPORTED", `pages of ${pageSize} bytes cannot be saved`);
}

/** What the threads of one file have in common. */
interface Work extends SaveOptions {
  readonly helpers: Helpers;
  readonly kept: SharedArrayBuffer;
  /** Frame of the bitmap's bit 0. */
  readonly base: number;
  readonly chunks: Float64Array;
  readonly descriptorsAt: number;
  readonly zeroPageAt: number;
  readonly sums: Sums;
}

/** This thread and its helpers, which begin while it is at work already. */
class Threads {
  readonly #dump: DumpFile;
  readonly #output: Output;
  readonly #work: Work;
  readonly #shared: SharedState;
  readonly #control: Int32Array;
  readonly #ends: Promise<void>[] = [];
  #failure: DumpError | undefined;
  /** Until there it is on the medium, or on its way. */
  #syncedTo: number;
  #syncing: Promise<void> | undefined;

  constructor(dump: DumpFile, output: Output, work: Work) {
    this.#dump = dump;
    this.#output = output;
    this.#work = work;
    this.#shared = {
      chunks: work.chunks.buffer as SharedArrayBuffer,
      control: new SharedArrayBuffer(8 * 4),
      end: new SharedArrayBuffer(8),
    };
    this.#control = new Int32Array(this.#shared.control);
    new BigInt64Array(this.#shared.end)[0] = BigInt(work.sums.end);
    this.#syncedTo = work.sums.end;
    const { helpers } = work;
    const wanted = Math.min(helpers.threads, Math.ceil(((work.chunks.length / 3) * CHUNK_PAGES) / WORTH_A_THREAD));
    // Of an output that only this thread can write to it is the writer, and others do the rest.
    for (let i = output.path === undefined ? 0 : 1; i < Math.max(1, wanted); i++) this.#start(helpers);
  }

  #start(helpers: Helpers): void {
    const { paths, rawBase, codec, kept, base, descriptorsAt, zeroPageAt } = this.#work;
    const { pageSize } = this.#dump;
    const start: WorkerStart = {
      paths,
      rawBase,
      output: this.#output.path,
      codec,
      pageSize,
      kept,
      base,
      descriptorsAt,
      zeroPageAt,
      shared: this.#shared,
    };
    const worker = helpers.take();
    this.#ends.push(
      new Promise((resolve) => {
        worker.on("message", (message: WorkerEnd) => {
          if (message.kind === "data") return this.#take(message.offset, message.bytes);
          if (message.kind === "failed") this.#fail(failureOf(message, this.#output.name, paths));
          else this.#work.sums.firstProblem ??= message.problem;
          helpers.give(worker);
          resolve();
        });
        worker.on("error", (error: Error) => {
          this.#fail(new DumpError("IO", `writing ${this.#output.name} failed: ${error.message}`, { cause: error }));
          resolve();
        });
        worker.on("exit", () => {
          this.#fail(new DumpError("IO", `writing ${this.#output.name} failed: a thread ended before its work was done`));
          resolve();
        });
        worker.postMessage(start);
      }),
    );
  }

  #fail(error: DumpError): void {
    this.#failure ??= error;
    Atomics.store(this.#control, CONTROL.stop, 1);
    Atomics.notify(this.#control, CONTROL.inFlight);
  }

  /** Writes what a helper sent. */
  #take(offset: number, bytes: Uint8Array): void {
    try {
      if (!this.#failure) this.#output.write(offset, bytes);
    } catch (error) {
      if (!isDumpError(error)) throw error;
      this.#fail(error);
    }
    Atomics.sub(this.#control, CONTROL.inFlight, bytes.length);
    Atomics.notify(this.#control, CONTROL.inFlight);
    this.#progress();
  }

  #progress(): void {
    const { pageSize } = this.#dump;
    const { sums, onProgress } = this.#work;
    onProgress?.("saving", (sums.pages + this.#control[CONTROL.pages]!) * pageSize, sums.total * pageSize);
  }

  /** This thread's share. */
  async #share(problems: string[]): Promise<void> {
    const { codec, kept, base, descriptorsAt, zeroPageAt } = this.#work;
    const job = { codec, pageSize: this.#dump.pageSize, kept: new Uint8Array(kept), base, descriptorsAt, zeroPageAt };
    const write = (offset: number, bytes: Uint8Array): void => this.#output.write(offset, bytes);
    const worker = new ChunkWorker(this.#dump, job, { allocate: allocator(this.#shared.end), write });
    let last = performance.now();
    for (const _ of storeChunks(worker, this.#shared, problems)) {
      const now = performance.now();
      // A turn of the event loop is for messages, signals and progress; it costs little, and still not nothing.
      if (now - last < 50) continue;
      last = now;
      this.#progress();
      this.#sync();
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  /** Sends what is written on its way to the medium, where that is enough and nothing is on its way. */
  #sync(): void {
    const end = this.#end();
    if (this.#syncing !== undefined || end - this.#syncedTo < SYNC_AFTER) return;
    this.#syncedTo = end;
    this.#syncing = this.#output.sync().then(
      () => (this.#syncing = undefined),
      (error: unknown) => this.#fail(error as DumpError),
    );
  }

  /** Where the next data go. */
  #end(): number {
    return Number(Atomics.load(new BigInt64Array(this.#shared.end), 0));
  }

  /** Stores all pages of the window and adds to the sums. @throws IO where any thread could not go on. */
  async run(): Promise<void> {
    const problems: string[] = [];
    try {
      if (this.#output.path !== undefined) await this.#share(problems);
    } catch (error) {
      // Whatever it is: the helpers must not go on, and end before the file is closed.
      this.#fail(
        isDumpError(error) ? error : new DumpError("IO", `writing ${this.#output.name} failed: ${reason(error)}`, { cause: error }),
      );
    }
    await Promise.all(this.#ends);
    await this.#syncing;
    if (this.#failure) throw this.#failure;
    const { sums } = this.#work;
    sums.pages += this.#control[CONTROL.pages]!;
    sums.zeros += this.#control[CONTROL.zeros]!;
    sums.unreadable += this.#control[CONTROL.unreadable]!;
    sums.firstProblem ??= problems[0];
    sums.end = this.#end();
  }
}

/** What a helper says of its end, as an error with the system's code in its cause. */
function failureOf({ during, message, code }: WorkerEnd & { kind: "failed" }, output: string, paths: readonly string[]): DumpError {
  const cause = Object.assign(new Error(message), { code });
  return new DumpError("IO", during === "opening" ? `${paths.join(", ")}: ${message}` : `writing ${output} failed: ${message}`, { cause });
}

/** Cuts the kept bits of `[start, end)` into chunks, in shared memory; the first page has number `rank`. */
function chunksOf(kept: Uint8Array, [start, end]: readonly [from: number, to: number], rank: number): Float64Array {
  const list: number[] = [];
  let pages = rank;
  let from = nextBit(kept, start, end);
  while (from < end) {
    let to = from;
    let count = 0;
    while (to < end && count < CHUNK_PAGES) {
      const step = Math.min(end, to + 512);
      count += countBits(kept, to, step);
      to = step;
    }
    list.push(from, to, pages);
    pages += count;
    from = nextBit(kept, to, end);
  }
  const table = new Float64Array(new SharedArrayBuffer(list.length * 8));
  table.set(list);
  return table;
}

/** The notes, and VMCOREINFO as one of them where the source has it elsewhere. */
export function notesOf(dump: DumpFile): readonly ElfNote[] {
  const { notes, vmcoreinfo } = dump;
  if (vmcoreinfo === undefined || notes.some(({ name }) => name === "VMCOREINFO")) return notes;
  return [...notes, { name: "VMCOREINFO", type: 0, desc: Buffer.from(vmcoreinfo, "latin1"), offset: 0 }];
}

function physBaseOf(dump: DumpFile): bigint {
  const value = /^NUMBER\(phys_base\)=(-?\d{1,19})$/m.exec(dump.vmcoreinfo ?? "")?.[1];
  return value === undefined ? 0n : BigInt(value);
}

/** Bytes of each string of struct new_utsname (linux:include/uapi/linux/utsname.h). */
const UTS_FIELD = 65;

/**
 * What the kernel says of itself: libkdumpfile takes a header with an empty name, release, version or machine for no header at all. Where
 * memory does not tell, VMCOREINFO's release and stand-ins.
 */
function utsnameOf(dump: DumpFile): string[] {
  const info = new Vmcoreinfo(dump.vmcoreinfo ?? "");
  const fallback = ["Linux", "(none)", info.get("OSRELEASE") ?? "unknown", "unknown", dump.arch ?? "x86_64", "(none)"];
  const symbol = info.symbol("init_uts_ns");
  const offset = info.offset("uts_namespace.name");
  if (symbol === undefined || offset === undefined) return fallback;
  try {
    const physical = new PhysicalMemory(dump);
    const memory = new VirtualMemory(physical, openX86_64(physical, info));
    const bytes = memory.bytes(asVaddr(BigInt.asUintN(64, symbol + BigInt(offset))), 6 * UTS_FIELD);
    return fallback.map((value, i) => {
      const field = latin1(bytes.subarray(i * UTS_FIELD, (i + 1) * UTS_FIELD));
      const text = field.slice(0, Math.max(0, field.indexOf("\0")));
      return /^[\x20-\x7e]+$/.test(text) ? text : value;
    });
  } catch (error) {
    if (!isDumpError(error)) throw error;
    return fallback;
  }
}
