import { asPfn, isDumpError } from "../../bytes/index.ts";
import type { DumpFile } from "../../format/index.ts";
import { PAGE_DESC_SIZE } from "../../format/kdump/layout.ts";
import { nextBit, nextClear } from "./bits.ts";
import { BATCH, CODEC_FLAG, PageCompressor, type SaveCodec } from "./compress.ts";

/** Pages to be done together by one thread: bits `[from, to)` of the window that are kept, the first of them number `rank` among all. */
export interface Chunk {
  readonly from: number;
  readonly to: number;
  readonly rank: number;
}

/** Where the pages' data go. */
export interface PageSink {
  /** Takes `length` bytes of room in the file, for data that {@link write} brings. */
  allocate(length: number): number;
  write(offset: number, bytes: Uint8Array): void;
}

/** What is the same for all chunks of a file. */
export interface PageJob {
  readonly codec: SaveCodec;
  readonly pageSize: number;
  /** Bitmap of frames to be stored, and the frame of its bit 0. */
  readonly kept: Uint8Array;
  readonly base: number;
  /** Offset of the first page's descriptor in the file. */
  readonly descriptorsAt: number;
  /** Offset of the page that all all-zero ones share. */
  readonly zeroPageAt: number;
}

/** What was done. */
export interface ChunkResult {
  pages: number;
  zeros: number;
  /** Pages that could not be read; they are stored as zeros and told. */
  unreadable: number;
  firstProblem: string | undefined;
}

/** Reads, compresses and stores pages; one for each thread. */
export class ChunkWorker {
  readonly #job: PageJob;
  readonly #sink: PageSink;
  readonly #compressor: PageCompressor;
  readonly #descriptors: Uint8Array = new Uint8Array(BATCH * PAGE_DESC_SIZE);
  readonly #view: DataView = new DataView(this.#descriptors.buffer);
  readonly #reader: PageReader;

  constructor(dump: DumpFile, job: PageJob, sink: PageSink) {
    this.#job = job;
    this.#sink = sink;
    this.#compressor = new PageCompressor(job.codec, job.pageSize);
    this.#reader = new PageReader(dump);
  }

  /** Stores the chunk's pages and their descriptors. @throws what the sink throws. */
  store({ from, to, rank }: Chunk): ChunkResult {
    const { pageSize, codec, descriptorsAt, zeroPageAt } = this.#job;
    const { output, lengths, zeros } = this.#compressor;
    const flag = CODEC_FLAG[codec];
    const result: ChunkResult = { pages: 0, zeros: 0, unreadable: 0, firstProblem: undefined };
    let next = rank;
    this.#batches(from, to, (count) => {
      result.zeros += this.#compressor.findZeros(count);
      const length = this.#compressor.run(count);
      let at = length === 0 ? 0 : this.#sink.allocate(length);
      if (length > 0) this.#sink.write(at, output.subarray(0, length));
      for (let i = 0; i < count; i++) {
        const size = lengths[i]!;
        const isZero = zeros[i] === 1;
        this.#descriptor(i, isZero ? zeroPageAt : at, isZero ? pageSize : size, isZero || size === pageSize ? 0 : flag);
        if (!isZero) at += size;
      }
      this.#sink.write(descriptorsAt + next * PAGE_DESC_SIZE, this.#descriptors.subarray(0, count * PAGE_DESC_SIZE));
      next += count;
      result.pages += count;
    });
    const { unreadable, firstProblem } = this.#reader.take();
    return { ...result, unreadable, firstProblem };
  }

  /** page_flags, the last eight bytes, are always 0. */
  #descriptor(index: number, offset: number, size: number, flags: number): void {
    const at = index * PAGE_DESC_SIZE;
    this.#view.setUint32(at, offset % 2 ** 32, true);
    this.#view.setUint32(at + 4, Math.floor(offset / 2 ** 32), true);
    this.#view.setUint32(at + 8, size, true);
    this.#view.setUint32(at + 12, flags, true);
  }

  /** Reads the kept pages of `[from, to)`, a batch at a time. */
  #batches(from: number, to: number, take: (count: number) => void): void {
    const { kept, base, pageSize } = this.#job;
    const { source } = this.#compressor;
    let count = 0;
    for (let bit = nextBit(kept, from, to); bit < to;) {
      const run = Math.min(nextClear(kept, bit, to) - bit, BATCH - count);
      const got = this.#reader.read(base + bit, run, source.subarray(count * pageSize, (count + run) * pageSize));
      count += got;
      bit = nextBit(kept, bit + got, to);
      if (count === BATCH) {
        take(count);
        count = 0;
      }
    }
    if (count > 0) take(count);
  }
}

/** Reads pages that follow each other together where the format can, and goes on where one cannot be read. */
export class PageReader {
  readonly #dump: DumpFile;
  /** Frames below this are read one by one: reading them together failed, and which is the bad one is not known. */
  #singly = 0;
  #unreadable = 0;
  #firstProblem: string | undefined;

  constructor(dump: DumpFile) {
    this.#dump = dump;
  }

  /** Reads up to `count` pages, at least one; one that cannot be read comes as zeros and is counted. Returns how many. */
  read(pfn: number, count: number, into: Uint8Array): number {
    const page = into.subarray(0, this.#dump.pageSize);
    if (this.#dump.readRun && pfn >= this.#singly) {
      try {
        const got = this.#dump.readRun(asPfn(pfn), count, into);
        if (got > 0) return got;
      } catch (error) {
        if (!isDumpError(error)) throw error;
        this.#singly = pfn + count;
      }
    }
    try {
      this.#dump.readPage(asPfn(pfn), page);
    } catch (error) {
      if (!isDumpError(error)) throw error;
      this.#unreadable++;
      this.#firstProblem ??= `page frame 0x${pfn.toString(16)}: ${error.message}`;
      page.fill(0);
    }
    return 1;
  }

  /** What could not be read since the last call. */
  take(): { unreadable: number; firstProblem: string | undefined } {
    const taken = { unreadable: this.#unreadable, firstProblem: this.#firstProblem };
    this.#unreadable = 0;
    this.#firstProblem = undefined;
    return taken;
  }
}
