import { openHot, withFfi } from "../../node/index.ts";

/*
 * node:zlib makes a context for every call, which costs as much as compressing a page does, and memory that is freed late. Node's binary
 * has the library's functions as symbols, and node:ffi can call them.
 */

const LEVEL = 1;

/**
 * A zstd compressor for the pages that `source` is made of, into `output`; neither may move: views of shared or WebAssembly memory.
 *
 * @returns a function of a page's number and the place in `output` that it is to go to, which has room for a page there; it answers the
 *   compressed size, 0 where that is not below the page's. Undefined where this Node has no node:ffi.
 */
export function openNativeZstd(
  source: Uint8Array,
  output: Uint8Array,
  pageSize: number,
): ((page: number, at: number) => number) | undefined {
  if (!(source.buffer instanceof SharedArrayBuffer)) return undefined;
  return withFfi((ffi) => {
    const functions = openHot(ffi, {
      ZSTD_createCCtx: { arguments: [], return: "pointer" },
      // A size_t: below 2^31 here, but for errors, which are close to 2^64. As an i32 they are negative, and no bigint is made.
      ZSTD_compressCCtx: { arguments: ["pointer", "pointer", "u64", "pointer", "u64", "i32"], return: "i32" },
    });
    const compress = functions["ZSTD_compressCCtx"]!;
    const context = functions["ZSTD_createCCtx"]!();
    if (context === 0n) return undefined;
    const room = BigInt(pageSize);
    const to = ffi.getRawPointer(output);
    const from = ffi.getRawPointer(source);
    const pages = Array.from({ length: source.length / pageSize }, (_, i) => from + BigInt(i * pageSize));
    return (page, at) => {
      const size = Number(compress(context, to + BigInt(at), room, pages[page]!, room, LEVEL));
      // The only error that can happen is that the page does not fit.
      return size > 0 && size < pageSize ? size : 0;
    };
  });
}
