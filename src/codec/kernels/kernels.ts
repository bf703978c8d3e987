/*
 * What `lastwords save` does to every page, in WebAssembly: asc/page.ts holds the kernels, this file loads them and
 * checks what callers hand in. Everything lies in one shared memory, so that a worker gets pages without a copy.
 */
import { readFileSync } from "node:fs";

/** The part of WebAssembly that is used here; the compiler's lib without the browser's has none. */
declare global {
  namespace WebAssembly {
    interface MemoryDescriptor {
      /** Pages of 64 KiB. */
      initial: number;
      maximum?: number;
      shared?: boolean;
    }
    class Memory {
      constructor(descriptor: MemoryDescriptor);
      readonly buffer: ArrayBufferLike;
      grow(delta: number): number;
    }
    /** Opaque. An interface, as vite's types declare it, too. */
    interface Module {}
    const Module: new (bytes: Uint8Array) => Module;
    class Instance {
      constructor(module: Module, imports: Record<string, Record<string, unknown>>);
      readonly exports: Record<string, unknown>;
    }
  }
}

/** Bytes that must belong to a region behind its end: copies go 16 bytes at a time. `allocate` adds them. */
export const SLACK = 16;

/** In a page's flag: all zero. Set by `zeroPages`; the compressors skip such a page and give it a length of 0. */
export const FLAG_ZERO = 1;
/** In a page's flag: it did not shrink and is stored as it is. Set by the compressors. */
export const FLAG_RAW = 2;

/** Longest input and output of a decompressor, bytes. */
export const MAX_BLOCK = 0x100_0000;

/** Scratch of the compressors for pages of a size, bytes: zlib's keeps all matches until it has made its code. */
function tableBytes(pageSize: number): number {
  return Math.max(0x8000, 0x4000 + 3 * pageSize);
}

/** Wasm memory comes in units of this, bytes. */
const WASM_PAGE = 0x1_0000;

/** What the module declares: no shared memory may have more. */
const MAX_WASM_PAGES = 0x1_0000;

/** The first bytes of the memory: a u32, where the next region begins. Regions begin on a cache line. */
const HEADER_BYTES = 64;

/** What can be compressed and decompressed; the page formats are those of `PageCodec` with the same name. */
export type KernelCodec = "lzo" | "snappy" | "lz4";
/** What pages can be compressed to: node:zlib inflates, but takes four times as long to deflate a page as this. */
export type KernelCompressor = KernelCodec | "zlib";

/**
 * The regions that a batch of pages needs, as offsets in the memory, bytes. Plain data: it can be posted to a worker
 * along with the memory. Only one thread may work on a batch at a time.
 */
export interface PageBatch {
  /** Bytes; a power of two, 4096 to 65536. */
  readonly pageSize: number;
  /** Pages that there is room for. */
  readonly pages: number;
  /** The pages, one after the other. */
  readonly source: number;
  /** What the compressor makes of them, without gaps; a batch never takes more than its pages do. */
  readonly output: number;
  /** A u32 per page: bytes in the output. */
  readonly lengths: number;
  /** A byte per page: FLAG_ZERO, FLAG_RAW or 0. */
  readonly flags: number;
  /** The compressor's scratch. */
  readonly table: number;
}

/** The regions that a piece of a kernel's page array needs, as offsets in the memory, bytes; its rules begin with `structSize`. */
export interface ArrayPiece {
  /** Bytes of a struct page. */
  readonly structSize: number;
  /** Struct pages that there is room for. */
  readonly pages: number;
  readonly source: number;
  /** A bit per page; it may begin at any bit of the first byte. */
  readonly kept: number;
  /** See asc/classify.ts. */
  readonly rules: number;
}

/** What asc/classify.ts knows of the dumped kernel, and what it counts, bytes. */
export const RULES_BYTES = 168;

type Decompress = (src: number, length: number, dst: number, capacity: number) => number;

/** As asc/page.ts numbers them. */
const COMPRESSORS: Readonly<Record<KernelCompressor, number>> = { lzo: 0, snappy: 1, lz4: 2, zlib: 3 };

interface Exports {
  zeroPages(src: number, n: number, pageSize: number, flags: number): number;
  compressBatch(
    codec: number,
    src: number,
    n: number,
    pageSize: number,
    dst: number,
    lengths: number,
    flags: number,
    table: number,
  ): number;
  lzoDecompress: Decompress;
  snappyDecompress: Decompress;
  lz4Decompress: Decompress;
  classify(pages: number, count: number, first: number, kept: number, bit: number, rules: number): number;
  clearBits(bits: number, from: number, to: number): number;
}

let compiled: WebAssembly.Module | undefined;

/**
 * The kernels on one memory. An instance holds no state of its own: any number may share a memory, one per worker,
 * as long as each works on its own batch. All offsets are in bytes and below 4 GiB.
 */
export class PageKernels {
  readonly memory: WebAssembly.Memory;
  readonly #exports: Exports;

  private constructor(memory: WebAssembly.Memory, exports: Exports) {
    this.memory = memory;
    this.#exports = exports;
  }

  /**
   * Loads the kernels, at once; the module is compiled once in a thread.
   *
   * @param memory a shared memory that other `PageKernels` made, or that nobody uses yet; without it, a new one of
   * 64 KiB that `allocate` grows to 4 GiB at most.
   * @throws TypeError when the memory is not shared.
   */
  static create(memory?: WebAssembly.Memory): PageKernels {
    const shared = memory ?? new WebAssembly.Memory({ initial: 1, maximum: MAX_WASM_PAGES, shared: true });
    if (!(shared.buffer instanceof SharedArrayBuffer)) throw new TypeError("page kernels: the memory must be shared");
    compiled ??= new WebAssembly.Module(readFileSync(new URL("page.wasm", import.meta.url)));
    const instance = new WebAssembly.Instance(compiled, { env: { memory: shared } });
    return new PageKernels(shared, instance.exports as unknown as Exports);
  }

  /**
   * Takes a region of the memory for good; grows the memory where needed. Any thread may call it at any time.
   *
   * @param length bytes; SLACK more are taken behind them.
   * @returns its offset, a multiple of 64. Its bytes are zero.
   * @throws RangeError when the memory's maximum does not allow it.
   */
  allocate(length: number): number {
    if (!Number.isSafeInteger(length) || length < 0) throw new RangeError(`page kernels: cannot allocate ${length} bytes`);
    const header = new Uint32Array(this.memory.buffer, 0, 1);
    for (;;) {
      const was = Atomics.load(header, 0);
      const offset = was === 0 ? HEADER_BYTES : was;
      const end = Math.ceil((offset + length + SLACK) / HEADER_BYTES) * HEADER_BYTES;
      // The offset after the last region must fit the header, too.
      if (end > 0xffff_ffff) throw new RangeError(`page kernels: ${length} bytes more do not fit into 4 GiB`);
      // First grow, then take: what fails must not leave a region behind. Two threads that grow at once get more than they need.
      const missing = Math.ceil((end - this.memory.buffer.byteLength) / WASM_PAGE);
      if (missing > 0) this.memory.grow(missing);
      if (Atomics.compareExchange(header, 0, was, end) === was) return offset;
    }
  }

  /**
   * Takes the regions of a batch.
   *
   * @param pageSize bytes; a power of two, 4096 to 65536.
   * @param pages room for so many, 1 to 65536. From 64 on, the cost of a call and a message no longer shows.
   * @throws RangeError for other sizes, or when the memory's maximum does not allow it.
   */
  allocateBatch(pageSize: number, pages: number): PageBatch {
    checkPageSize(pageSize);
    if (!Number.isInteger(pages) || pages < 1 || pages > 0x1_0000) {
      throw new RangeError(`page kernels: ${pages} pages; a batch has 1 to 65536`);
    }
    const source = this.allocate(pages * pageSize);
    const output = this.allocate(pages * pageSize);
    const lengths = this.allocate(pages * 4);
    const flags = this.allocate(pages);
    const table = this.allocate(tableBytes(pageSize));
    return { pageSize, pages, source, output, lengths, flags, table };
  }

  /**
   * The bytes of a region; stays valid when the memory grows.
   *
   * @throws RangeError when it is not in the memory.
   */
  bytes(offset: number, length: number): Uint8Array {
    return new Uint8Array(this.memory.buffer, offset, length);
  }

  /** The lengths of a batch's first `count` pages in its output, bytes; see `PageBatch.lengths`. */
  lengths(batch: PageBatch, count: number): Uint32Array {
    return new Uint32Array(this.memory.buffer, batch.lengths, count);
  }

  /**
   * Sets the flags of a batch's first `count` pages to FLAG_ZERO or 0.
   *
   * @returns the number of zero pages.
   * @throws RangeError when the batch does not have so many pages, or is not in the memory.
   */
  zeroPages(batch: PageBatch, count: number): number {
    this.#checkBatch(batch, count);
    return this.#exports.zeroPages(batch.source, count, batch.pageSize, batch.flags);
  }

  /**
   * Compresses a batch's first `count` pages one by one into its output. A page whose flag is not 0 before is skipped
   * (so call `zeroPages` or clear the flags first); one that does not shrink is stored as it is and flagged FLAG_RAW.
   * What comes out depends on the page alone, not on its neighbours or the worker.
   *
   * @returns bytes of output, at most `count` times the page size.
   * @throws RangeError when the batch does not have so many pages, or is not in the memory.
   */
  compress(codec: KernelCompressor, batch: PageBatch, count: number): number {
    this.#checkBatch(batch, count);
    const { source, pageSize, output, lengths, flags, table } = batch;
    return this.#exports.compressBatch(COMPRESSORS[codec], source, count, pageSize, output, lengths, flags, table) >>> 0;
  }

  /**
   * Decompresses one page, or whatever a stream of that format holds: accepts and refuses what `PageCodec.decompress`
   * does, never writes outside of [output, output + capacity + SLACK).
   *
   * @param input offset of the stream; SLACK bytes behind its end must be in the memory, of whatever content.
   * @param length bytes of the stream, at most MAX_BLOCK.
   * @param capacity bytes of room, at most MAX_BLOCK, and SLACK behind them which may be overwritten.
   * @returns bytes written; negative when the stream is malformed or its result would not fit.
   * @throws RangeError when a region is not in the memory or longer than MAX_BLOCK.
   */
  decompress(codec: KernelCodec, input: number, length: number, output: number, capacity: number): number {
    this.#checkRegion(input, length);
    this.#checkRegion(output, capacity);
    if (length > MAX_BLOCK || capacity > MAX_BLOCK) throw new RangeError(`page kernels: more than ${MAX_BLOCK} bytes at once`);
    return this.#decompressor(codec)(input, length, output, capacity);
  }

  /** Takes the regions of a piece of the page array. @throws RangeError when the memory's maximum does not allow it. */
  allocatePiece(structSize: number, pages: number): ArrayPiece {
    const source = this.allocate(structSize * pages);
    return { structSize, pages, source, kept: this.allocate(pages / 8 + 1), rules: this.allocate(RULES_BYTES) };
  }

  /**
   * Clears the bits of those pages among a piece's first `count` that its rules leave out.
   *
   * @param first frame of the first page, or what is left of it modulo 2^18. @param bit of the piece's bitmap for that page, 0 to 7.
   * @returns where the last block of pages ends that was left out, in pages from the first; 0 where there is none.
   * @throws RangeError when the piece does not have so many pages, or is not in the memory.
   */
  classify(piece: ArrayPiece, count: number, first: number, bit: number): number {
    const { structSize, pages, source, kept, rules } = piece;
    this.#checkBits(piece, bit, count);
    this.#checkRegion(source, structSize * pages);
    this.#checkRegion(rules, RULES_BYTES);
    return this.#exports.classify(source, count, first, kept, bit, rules) >>> 0;
  }

  /** Clears `count` of a piece's bits from `bit` on, 0 to 7. Returns how many were set. @throws RangeError when it does not have so many. */
  clearBits(piece: ArrayPiece, bit: number, count: number): number {
    this.#checkBits(piece, bit, count);
    return this.#exports.clearBits(piece.kept, bit, bit + count) >>> 0;
  }

  #checkBits({ pages, kept }: ArrayPiece, bit: number, count: number): void {
    if (!Number.isInteger(count) || count < 0 || count > pages || bit < 0 || bit > 7) {
      throw new RangeError(`page kernels: ${count} struct pages from bit ${bit} on, of a piece of ${pages}`);
    }
    this.#checkRegion(kept, pages / 8 + 1);
  }

  #decompressor(codec: KernelCodec): Decompress {
    if (codec === "lzo") return this.#exports.lzoDecompress;
    return codec === "snappy" ? this.#exports.snappyDecompress : this.#exports.lz4Decompress;
  }

  #checkBatch(batch: PageBatch, count: number): void {
    checkPageSize(batch.pageSize);
    if (!Number.isInteger(count) || count < 0 || count > batch.pages) {
      throw new RangeError(`page kernels: ${count} pages of a batch of ${batch.pages}`);
    }
    this.#checkRegion(batch.source, count * batch.pageSize);
    this.#checkRegion(batch.output, count * batch.pageSize);
    this.#checkRegion(batch.lengths, count * 4);
    if (batch.lengths % 4 !== 0) throw new RangeError(`page kernels: lengths at ${batch.lengths} are not aligned`);
    this.#checkRegion(batch.flags, count);
    this.#checkRegion(batch.table, tableBytes(batch.pageSize));
  }

  /** A region and SLACK must be in the memory, behind the header. */
  #checkRegion(offset: number, length: number): void {
    const end = offset + length + SLACK;
    if (Number.isInteger(offset) && Number.isInteger(length) && offset >= HEADER_BYTES && length >= 0) {
      if (end <= this.memory.buffer.byteLength) return;
    }
    throw new RangeError(`page kernels: ${length} bytes at ${offset} are not in the memory of ${this.memory.buffer.byteLength}`);
  }
}

function checkPageSize(pageSize: number): void {
  if (pageSize >= 0x1000 && pageSize <= 0x1_0000 && (pageSize & (pageSize - 1)) === 0) return;
  throw new RangeError(`page kernels: page size ${pageSize}; it is a power of two from 4096 to 65536`);
}
