import { DumpError } from "../bytes/index.ts";
import type { PageCodec } from "./codec.ts";
import { inflateInto } from "./inflate.ts";
import { nodeZlib } from "./node-zlib.ts";

/**
 * Inflates one raw deflate stream: no header, no checksum. Bytes after the stream's end are ignored.
 *
 * @returns bytes written, at most `output.length`.
 * @throws CORRUPT on a malformed or cut stream, or more data than fits.
 */
function decompress(input: Uint8Array, output: Uint8Array): number {
  let plain: Uint8Array;
  try {
    plain = nodeZlib().inflateRawSync(input, { maxOutputLength: Math.max(1, output.length) });
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
 * Inflates as far as a cut or damaged stream goes, at most `limit` bytes. A zlib stream is complete with its checksum only.
 *
 * What comes out before the first damaged byte is right. Damage is noticed only where it breaks the stream's grammar, so the
 * last bytes given may be wrong.
 */
export function inflatePart(input: Uint8Array, kind: "deflate" | "zlib", limit: number): InflatedPart {
  const head = kind === "zlib" ? 2 : 0;
  if (kind === "zlib" && !isZlibHeader(input)) return { bytes: new Uint8Array(), complete: false };
  // Most are a few times their input: a buffer of the limit only where that is not enough.
  let room = new Uint8Array(Math.min(limit, input.length * 8));
  let result = inflateInto(input.subarray(head), room);
  if (result.end === "full" && room.length < limit) {
    room = new Uint8Array(limit);
    result = inflateInto(input.subarray(head), room);
  }
  const bytes = room.slice(0, result.length);
  const complete = result.end === "complete" && (kind === "deflate" || hasAdler(input, head + result.consumed, bytes));
  return { bytes, complete };
}

/** The two bytes before a zlib stream (RFC 1950): method 8, a window of at most 32 KiB, no dictionary, a multiple of 31. */
function isZlibHeader(input: Uint8Array): boolean {
  const [method = 0, flags = 0] = input;
  return (method & 15) === 8 && method >> 4 <= 7 && (flags & 0x20) === 0 && (method * 256 + flags) % 31 === 0;
}

const ADLER_BASE = 65521;

/** Whether the Adler-32 checksum of the text stands at `at`. */
function hasAdler(input: Uint8Array, at: number, text: Uint8Array): boolean {
  if (at + 4 > input.length) return false;
  let a = 1;
  let b = 0;
  for (const byte of text) {
    a = (a + byte) % ADLER_BASE;
    b = (b + a) % ADLER_BASE;
  }
  return new DataView(input.buffer, input.byteOffset + at, 4).getUint32(0) === b * 65536 + a;
}
