import { constants, inflateRawSync, inflateSync } from "node:zlib";
import { DumpError } from "../bytes/index.ts";
import type { PageCodec } from "./codec.ts";

/**
 * Inflates one raw deflate stream: no header, no checksum. Bytes after the stream's end are ignored.
 *
 * @returns bytes written, at most `output.length`.
 * @throws CORRUPT on a malformed or cut stream, or more data than fits.
 */
function decompress(input: Uint8Array, output: Uint8Array): number {
  let plain: Uint8Array;
  try {
    plain = inflateRawSync(input, { maxOutputLength: Math.max(1, output.length) });
  } catch (error) {
    throw new DumpError(
      "CORRUPT",
      `deflate: ${input.length} bytes do not inflate to at most ${output.length}: ${(error as Error).message}`,
      {
        cause: error,
      },
    );
  }
  // Node's limit is 1 at least: one byte may come where there is no room.
  if (plain.length > output.length) {
    throw new DumpError("CORRUPT", `deflate: ${input.length} bytes inflate to ${plain.length}, there is room for ${output.length}`);
  }
  output.set(plain);
  return plain.length;
}

/** Raw deflate through `node:zlib`; see `decompress` above for its errors. */
export const deflate: PageCodec = { name: "deflate", decompress };

/** What a damaged stream still gives. */
export interface InflatedPart {
  readonly bytes: Uint8Array;
  /** True where the stream came to its end. */
  readonly complete: boolean;
}

/**
 * Inflates as far as a cut or damaged stream goes, at most `limit` bytes. Node gives nothing of a stream in which it meets an
 * error, so the longest beginning of the input without one is searched for: some twenty attempts.
 *
 * What comes out before the first damaged byte is right. Damage is noticed only where it breaks the stream's grammar, so the
 * last bytes given may be wrong.
 */
export function inflatePart(input: Uint8Array, kind: "deflate" | "zlib", limit: number): InflatedPart {
  const inflate = kind === "deflate" ? inflateRawSync : inflateSync;
  const attempt = (length: number, finishFlush: number): Uint8Array | undefined => {
    try {
      return inflate(input.subarray(0, length), { finishFlush, maxOutputLength: limit });
    } catch {
      return undefined;
    }
  };
  const whole = attempt(input.length, constants.Z_FINISH);
  if (whole) return { bytes: whole, complete: true };
  // An input of `good` bytes inflates without an error, one of `bad` bytes does not.
  let good = 0;
  let bad = input.length + 1;
  let bytes: Uint8Array = new Uint8Array();
  while (bad - good > 1) {
    const middle = good + Math.ceil((bad - good) / 2);
    const part = middle <= input.length ? attempt(middle, constants.Z_SYNC_FLUSH) : undefined;
    if (part) {
      good = middle;
      bytes = part;
    } else bad = middle;
  }
  return { bytes, complete: false };
}
