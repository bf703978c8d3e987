import { type Ffi, withFfi } from "../../node/index.ts";

/*
 * node:zlib makes a context for every call, which costs as much as compressing a page does, and memory that is freed late. Node's binary
 * has the library's functions as symbols, and node:ffi can call them.
 */

const LEVEL = 1;

/**
 * A zstd compressor for pages within `source` into `output`, which must not move: views of shared or WebAssembly memory.
 *
 * @returns a function that answers the compressed size, 0 where it would not fit; undefined where this Node has no node:ffi.
 */
export function openNativeZstd(source: Uint8Array, output: Uint8Array): ((page: Uint8Array, into: Uint8Array) => number) | undefined {
  if (!(source.buffer instanceof SharedArrayBuffer)) return undefined;
  return withFfi((ffi) => {
    // Optimized code would call the functions directly, and its compiler reads their signatures in a thread of its own, even while the
    // thread that they belong to ends and frees them: of a hundred saves one died of that (Node 26.10). This way costs nothing measurable.
    process.getBuiltinModule("node:v8").setFlagsFromString("--no-turbo-fast-api-calls");
    const { functions } = ffi.dlopen(null, {
      ZSTD_createCCtx: { arguments: [], return: "pointer" },
      ZSTD_compressCCtx: { arguments: ["pointer", "pointer", "u64", "pointer", "u64", "i32"], return: "u64" },
    });
    const compress = functions["ZSTD_compressCCtx"]!;
    const context = functions["ZSTD_createCCtx"]!();
    if (context === 0n) return undefined;
    const { from, to } = places(ffi, source, output);
    return (page, into) => {
      const size = compress(
        context,
        to + BigInt(into.byteOffset),
        BigInt(into.length),
        from + BigInt(page.byteOffset),
        BigInt(page.length),
        LEVEL,
      );
      // Errors are sizes near 2^64; the only one that can happen is that the page does not fit.
      return Number(size) >= into.length ? 0 : Number(size);
    };
  });
}

/** Addresses of the beginning of the two views' memories. */
function places(ffi: Ffi, source: Uint8Array, output: Uint8Array): { from: bigint; to: bigint } {
  return { from: ffi.getRawPointer(source) - BigInt(source.byteOffset), to: ffi.getRawPointer(output) - BigInt(output.byteOffset) };
}
