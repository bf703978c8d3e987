import { type ByteSource, isDumpError } from "../../bytes/index.ts";
import type { PstoreRecord } from "../record.ts";

/** Bytes of memory, as many as could be had. */
export interface Piece {
  readonly bytes: Uint8Array;
  /** Why there are fewer than asked for. */
  readonly problem?: string;
}

/** Reads `length` bytes of `source`, or as many of them as it has: memory images have holes, and firmware's pointers may be damaged. */
export function readPiece(source: ByteSource, offset: number, length: number, what: string): Piece {
  const room = Math.max(0, Math.min(length, source.size - offset));
  const bytes = new Uint8Array(room);
  try {
    const got = room === 0 ? 0 : source.read(offset, bytes);
    if (got === length) return { bytes };
    return { bytes: bytes.subarray(0, got), problem: `${what} has ${length} bytes at ${offset}, ${source.name} has ${got} of them` };
  } catch (error) {
    if (!isDumpError(error)) throw error;
    return { bytes: new Uint8Array(), problem: `${what} cannot be read: ${error.message}` };
  }
}

/** A ring's text in the order it was written: from `start` to the end, then from the beginning. */
export function unroll(ring: Uint8Array, start: number): Uint8Array {
  const text = new Uint8Array(ring.length);
  text.set(ring.subarray(start));
  text.set(ring.subarray(0, start), ring.length - start);
  return text;
}

/** A console record of one of the memory consoles. */
export function consoleRecord(
  backend: string,
  id: number,
  content: Uint8Array,
  at: PstoreRecord["at"],
  problems: readonly string[],
  state: PstoreRecord["state"] = "kept",
): PstoreRecord {
  return { backend, type: "console", id: String(id), content, compression: "none", state, at, problems };
}
