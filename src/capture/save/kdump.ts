import { DumpError, isDumpError } from "../../bytes/index.ts";
import type { DumpFile } from "../../format/index.ts";
import { DUMP_DH_COMPRESSED_INCOMPLETE, PAGE_DESC_SIZE } from "../../format/kdump/layout.ts";
import { encodeKdumpHeader, encodeNotes, kdumpGeometry, type KdumpHeader } from "../../format/kdump/write.ts";
import type { PageClass } from "../page-class/classify.ts";
import { countBits, nextBit } from "./bits.ts";
import { ChunkWorker } from "./chunk.ts";
import { CODEC_FLAG, type SaveCodec } from "./compress.ts";
import { selectPages } from "./select.ts";
import { Helpers } from "./helpers.ts";
import type { Output } from "./output.ts";
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
  readonly onProgress?: (label: string, done: number, total: number) => void;
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

/**
 * Writes a kdump-compressed file, version 6. Until all is there the header says that it is incomplete, and descriptors of pages that are
 * not there yet are zero, which readers take for missing.
 *
 * @throws IO where the system refuses: then what is complete stays in the output.
 */
export async function saveKdump(dump: DumpFile, output: Output, options: SaveOptions): Promise<SaveResult> {
  if (dump.wordSize !== 8 || !dump.littleEndian)
    throw new DumpError("UNSUPPORTED", "only dumps of 64-bit little-endian machines can be saved yet");
  const { maxPfn, pageSize } = dump;
  const present = new Uint8Array(Math.ceil(maxPfn / 8));
  const keptBuffer = new SharedArrayBuffer(present.length);
  const kept = new Uint8Array(keptBuffer);
  const selection = selectPages(dump, options.level, present, kept);
  const notes = encodeNotes(dump.notes);
  const geometry = kdumpGeometry(maxPfn, pageSize, notes.bytes.length);
  const header: KdumpHeader = {
    utsname: utsnameOf(dump),
    timestamp: Math.floor(Date.now() / 1000),
    status: CODEC_FLAG[options.codec] | DUMP_DH_COMPRESSED_INCOMPLETE,
    maxMapnr: maxPfn,
    nrCpus: dump.notes.filter((note) => note.name === "CORE" && note.type === 1).length,
    physBase: physBaseOf(dump),
    dumpLevel: options.level,
    ...(options.range ? { split: options.range } : {}),
    notes,
  };
  output.write(0, encodeKdumpHeader(header, geometry));
  output.write(geometry.bitmap1At, present);
  output.write(geometry.bitmap2At, kept);
  const { table, pages } = chunksOf(kept, ...(options.range ?? [0, maxPfn]));
  const zeroPageAt = geometry.descriptorsAt + pages * PAGE_DESC_SIZE;
  output.write(zeroPageAt, new Uint8Array(pageSize));
  const threads = new Threads(dump, output, {
    ...options,
    kept: keptBuffer,
    chunks: table,
    pages,
    descriptorsAt: geometry.descriptorsAt,
    zeroPageAt,
  });
  const { zeros, size, unreadable, firstProblem } = await threads.run();
  output.write(0, encodeKdumpHeader({ ...header, status: CODEC_FLAG[options.codec] }, geometry).subarray(0, pageSize));
  output.finish(size);
  return {
    size,
    ramPages: selection.ramPages,
    savedPages: pages,
    excluded: selection.counts,
    zeroPages: zeros,
    keptMore: selection.keptMore,
    unreadable,
    firstProblem,
  };
}

/** What the threads of one file have in common. */
interface Work extends SaveOptions {
  readonly kept: SharedArrayBuffer;
  readonly chunks: Float64Array;
  readonly pages: number;
  readonly descriptorsAt: number;
  readonly zeroPageAt: number;
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
  #problem: string | undefined;

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
    new BigInt64Array(this.#shared.end)[0] = BigInt(work.zeroPageAt + dump.pageSize);
    const helpers = work.helpers ?? new Helpers(1);
    const wanted = Math.min(helpers.threads, Math.ceil(work.pages / WORTH_A_THREAD));
    // Of an output that only this thread can write to it is the writer, and others do the rest.
    for (let i = output.path === undefined ? 0 : 1; i < Math.max(1, wanted); i++) this.#start(helpers);
  }

  #start(helpers: Helpers): void {
    const { paths, rawBase, codec, kept, descriptorsAt, zeroPageAt } = this.#work;
    const { pageSize } = this.#dump;
    const start: WorkerStart = {
      paths,
      rawBase,
      output: this.#output.path,
      codec,
      pageSize,
      kept,
      descriptorsAt,
      zeroPageAt,
      shared: this.#shared,
    };
    const worker = helpers.take();
    this.#ends.push(
      new Promise((resolve) => {
        worker.on("message", (message: WorkerEnd) => {
          if (message.kind === "failed")
            this.#fail(new DumpError("IO", `writing ${this.#output.name} failed: ${message.message}`, { cause: message }));
          else if (message.kind === "data") return this.#take(message.offset, message.bytes);
          else this.#problem ??= message.problem;
          // Its end is of no interest any more, and takes a while.
          worker.unref();
          resolve();
        });
        worker.on("error", (error: Error) => {
          this.#fail(new DumpError("IO", `writing ${this.#output.name} failed: ${error.message}`, { cause: error }));
          resolve();
        });
        worker.on("exit", () => resolve());
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
    this.#work.onProgress?.("saving", this.#control[CONTROL.pages]! * pageSize, this.#work.pages * pageSize);
  }

  /** This thread's share. */
  async #share(problems: string[]): Promise<void> {
    const { codec, kept, descriptorsAt, zeroPageAt } = this.#work;
    const job = { codec, pageSize: this.#dump.pageSize, kept: new Uint8Array(kept), descriptorsAt, zeroPageAt };
    const write = (offset: number, bytes: Uint8Array): void => this.#output.write(offset, bytes);
    const worker = new ChunkWorker(this.#dump, job, { allocate: allocator(this.#shared.end), write });
    let last = performance.now();
    for (const _ of storeChunks(worker, this.#shared, problems)) {
      const now = performance.now();
      // A turn of the event loop is for messages, signals and progress; it costs little, and still not nothing.
      if (now - last < 50) continue;
      last = now;
      this.#progress();
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  /** Stores all pages. @throws IO where any thread could not go on. */
  async run(): Promise<{ zeros: number; size: number; unreadable: number; firstProblem: string | undefined }> {
    const problems: string[] = [];
    try {
      if (this.#output.path !== undefined) await this.#share(problems);
    } catch (error) {
      if (!isDumpError(error)) throw error;
      this.#fail(error);
    }
    await Promise.all(this.#ends);
    if (this.#failure) throw this.#failure;
    return {
      zeros: this.#control[CONTROL.zeros]!,
      size: Number(new BigInt64Array(this.#shared.end)[0]),
      unreadable: this.#control[CONTROL.unreadable]!,
      firstProblem: problems[0] ?? this.#problem,
    };
  }
}

/** Cuts the kept frames of `[start, maxPfn)` into chunks. */
function chunksOf(kept: Uint8Array, start: number, maxPfn: number): { table: Float64Array; pages: number } {
  const list: number[] = [];
  let pages = 0;
  let from = nextBit(kept, start, maxPfn);
  while (from < maxPfn) {
    let to = from;
    let count = 0;
    while (to < maxPfn && count < CHUNK_PAGES) {
      const step = Math.min(maxPfn, to + 512);
      count += countBits(kept, to, step);
      to = step;
      if (count === 0) break;
    }
    if (count > 0) list.push(from, to, pages);
    pages += count;
    from = nextBit(kept, to, maxPfn);
  }
  const table = new Float64Array(new SharedArrayBuffer(list.length * 8));
  table.set(list);
  return { table, pages };
}

function physBaseOf(dump: DumpFile): bigint {
  const value = /^NUMBER\(phys_base\)=(-?\d{1,19})$/m.exec(dump.vmcoreinfo ?? "")?.[1];
  return value === undefined ? 0n : BigInt(value);
}

/** As far as VMCOREINFO tells; the rest is in the kernel's memory, which crash reads itself. */
function utsnameOf(dump: DumpFile): string[] {
  const release = /^OSRELEASE=(.*)$/m.exec(dump.vmcoreinfo ?? "")?.[1] ?? "";
  return ["Linux", "", release, "", dump.arch ?? "", ""];
}
