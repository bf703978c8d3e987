import { DumpError } from "../bytes/index.ts";
import type { PageCodec } from "./codec.ts";
import { nodeZlib } from "./node-zlib.ts";

/**
 * Inflates one zlib stream (with the two-byte header; not gzip, not raw deflate). Bytes after the stream's checksum are
 * ignored, as `uncompress()` of the C library does.
 *
 * @returns bytes written, at most `output.length`.
 * @throws CORRUPT on a malformed or cut stream, a wrong checksum, or more data than fits.
 */
function decompress(input: Uint8Array, output: Uint8Array): number {
  let plain: Uint8Array;
  try {
    // One chunk that is never quite full: a full one makes node allocate and ask for the next.
    plain = nodeZlib().inflateSync(input, { maxOutputLength: Math.max(1, output.length), chunkSize: output.length + 64 });
  } catch (error) {
    throw new DumpError("CORRUPT", `zlib: ${input.length} bytes do not inflate to at most ${output.length}: ${(error as Error).message}`, {
      cause: error,
    });
  }
  if (plain.length > output.length) {
    throw new DumpError("CORRUPT", `zlib: ${input.length} bytes inflate to ${plain.length}, there is room for ${output.length}`);
  }
  output.set(plain);
  return plain.length;
}

/** zlib streams through `node:zlib`; see `decompress` above for its errors. */
export const zlib: PageCodec = { name: "zlib", decompress };
