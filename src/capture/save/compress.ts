import { nodeZlib } from "../../codec/index.ts";
import {
  DUMP_DH_COMPRESSED_LZO,
  DUMP_DH_COMPRESSED_SNAPPY,
  DUMP_DH_COMPRESSED_ZLIB,
  DUMP_DH_COMPRESSED_ZSTD,
} from "../../format/kdump/layout.ts";
import { type PageBatch, PageKernels } from "../../codec/kernels/kernels.ts";
import { collectGarbage } from "../../node/index.ts";
import { openNativeZstd } from "./native.ts";

/** Ways to store a page. */
export type SaveCodec = "none" | "zlib" | "lzo" | "snappy" | "zstd";

/** Flag of a page descriptor, and of the header's status, for each. */
export const CODEC_FLAG: Readonly<Record<SaveCodec, number>> = {
  none: 0,
  zlib: DUMP_DH_COMPRESSED_ZLIB,
  lzo: DUMP_DH_COMPRESSED_LZO,
  snappy: DUMP_DH_COMPRESSED_SNAPPY,
  zstd: DUMP_DH_COMPRESSED_ZSTD,
};

/** Pages of a batch: enough to make a call's cost vanish, few enough to stay in a CPU's cache. */
export const BATCH = 128;

/**
 * Compresses batches of pages. `source` is filled by the caller; {@link run} leaves the pages' data one behind the other in `output`,
 * and in `lengths` how much each took: the page size where it did not shrink and is stored as it is.
 */
export class PageCompressor {
  /** Room for {@link BATCH} pages. */
  readonly source: Uint8Array;
  readonly output: Uint8Array;
  readonly lengths: Uint32Array;
  /** 1 for an all-zero page, after {@link findZeros}. */
  readonly zeros: Uint8Array;
  readonly #kernels: PageKernels;
  readonly #batch: PageBatch;
  readonly #compressOne: ((page: number, at: number) => number) | undefined;
  readonly #codec: SaveCodec;
  readonly #pageSize: number;

  constructor(codec: SaveCodec, pageSize: number) {
    this.#codec = codec;
    this.#pageSize = pageSize;
    this.#kernels = PageKernels.create();
    const batch = this.#kernels.allocateBatch(pageSize, BATCH);
    this.#batch = batch;
    this.source = this.#kernels.bytes(batch.source, BATCH * pageSize);
    this.output = this.#kernels.bytes(batch.output, BATCH * pageSize);
    this.lengths = this.#kernels.lengths(batch, BATCH);
    this.zeros = this.#kernels.bytes(batch.flags, BATCH);
    this.#compressOne = codec === "zstd" ? zstdInto(this.source, this.output, pageSize) : undefined;
  }

  /** Marks all-zero pages among the first `count`; returns how many there are. */
  findZeros(count: number): number {
    return this.#kernels.zeroPages(this.#batch, count);
  }

  /** Compresses the first `count` pages, those marked in `zeros` aside, which take 0 bytes. Returns the bytes in `output`. */
  run(count: number): number {
    const size = this.#pageSize;
    switch (this.#codec) {
      case "lzo":
      case "snappy":
      case "zlib":
        return this.#kernels.compress(this.#codec, this.#batch, count);
      case "none": {
        let at = 0;
        for (let i = 0; i < count; i++) {
          const length = this.zeros[i] === 1 ? 0 : size;
          if (length > 0) this.output.set(this.source.subarray(i * size, (i + 1) * size), at);
          this.lengths[i] = length;
          at += length;
        }
        return at;
      }
      default: {
        const compress = this.#compressOne!;
        let at = 0;
        for (let i = 0; i < count; i++) {
          let length = 0;
          if (this.zeros[i] !== 1) {
            length = compress(i, at);
            if (length === 0) {
              this.output.set(this.source.subarray(i * size, (i + 1) * size), at);
              length = size;
            }
          }
          this.lengths[i] = length;
          at += length;
        }
        return at;
      }
    }
  }
}

/**
 * node:zlib allocates a context and a buffer for each call outside of the heap, and V8, which sees little of them, collects them late:
 * 190 MB at the end of a dump, in a capture kernel that has not much more. Asked to collect after so many calls it is 117 MB, for a
 * tenth of the time more.
 */
const COLLECT_AFTER = 1024;
let calls = 0;

function collectSometimes(): void {
  if (++calls % COLLECT_AFTER === 0) collectGarbage();
}

/** zstd level 1: the library inside the node binary, called directly with one context, where that can be; else node:zlib. */
function zstdInto(source: Uint8Array, output: Uint8Array, pageSize: number): (page: number, at: number) => number {
  const native = openNativeZstd(source, output, pageSize);
  if (native) return native;
  const { constants, zstdCompressSync } = nodeZlib();
  return (page, at) => {
    collectSometimes();
    const packed = zstdCompressSync(source.subarray(page * pageSize, (page + 1) * pageSize), {
      chunkSize: pageSize + 64,
      pledgedSrcSize: pageSize,
      params: { [constants.ZSTD_c_compressionLevel]: 1 },
    });
    if (packed.length >= pageSize) return 0;
    output.set(packed, at);
    return packed.length;
  };
}
