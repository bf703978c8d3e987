import { DumpError } from "../bytes/index.ts";
import type { PageCodec } from "./codec.ts";
import { nodeZlib } from "./node-zlib.ts";

/**
 * Largest window that a frame may ask for, as a power of two: 8 MiB, the bound that RFC 8878 advises decoders to
 * accept. A frame of one page declares its size as window; the library's default would let each ask for 128 MiB.
 */
const WINDOW_LOG_MAX = 23;

/**
 * Decompresses zstd frames, as `ZSTD_compressCCtx` writes one per page (makedumpfile -z).
 *
 * @returns bytes written, at most `output.length`.
 * @throws CORRUPT on a malformed or cut frame, a wrong checksum, a window over 8 MiB, or more data than fits.
 */
function decompress(input: Uint8Array, output: Uint8Array): number {
  const { constants, zstdDecompressSync } = nodeZlib();
  let plain: Uint8Array;
  try {
    plain = zstdDecompressSync(input, {
      maxOutputLength: Math.max(1, output.length),
      chunkSize: output.length + 64,
      params: { [constants.ZSTD_d_windowLogMax]: WINDOW_LOG_MAX },
    });
  } catch (error) {
    throw new DumpError(
      "CORRUPT",
      `zstd: ${input.length} bytes do not decompress to at most ${output.length}: ${(error as Error).message}`,
      { cause: error },
    );
  }
  if (plain.length > output.length) {
    throw new DumpError("CORRUPT", `zstd: ${input.length} bytes decompress to ${plain.length}, there is room for ${output.length}`);
  }
  output.set(plain);
  return plain.length;
}

/** zstd frames through `node:zlib`; see `decompress` above for its errors. */
export const zstd: PageCodec = { name: "zstd", decompress };
