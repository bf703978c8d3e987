import { DumpError } from "./error.ts";

/** Bytes at offsets: a file, a slice of one, memory. Parsers take this and never a path. */
export interface ByteSource {
  /** What to call it in messages: a file name as the user gave it. */
  readonly name: string;
  /** Length in bytes. */
  readonly size: number;
  /**
   * Fills `into` from `offset`. Returns the bytes copied, which is less than `into.length` only where the source
   * ends; 0 at or beyond the end. Throws `IO` when the system refuses.
   */
  read(offset: number, into: Uint8Array): number;
  /** Releases what is held; safe to call twice. */
  close(): void;
}

/**
 * Reads exactly `length` bytes at `offset` into a fresh array.
 *
 * @param what names the thing in the error ("kdump header").
 * @param limit upper bound on `length`: it often comes from the file itself.
 * @throws TRUNCATED when the source ends first, CORRUPT on a negative or unsafe offset, LIMIT over `limit`.
 */
export function readExactly(
  source: ByteSource,
  offset: number,
  length: number,
  what: string,
  limit: number = 64 * 1024 * 1024,
): Uint8Array {
  if (!Number.isSafeInteger(offset) || offset < 0 || !Number.isSafeInteger(length) || length < 0) {
    throw new DumpError("CORRUPT", `${what}: offset ${offset} and length ${length} do not describe bytes of a file`, { at: offset });
  }
  if (length > limit) {
    throw new DumpError("LIMIT", `${what} is ${length} bytes long, the limit is ${limit}`, { at: offset });
  }
  // Compare before allocating: the length is the file's claim, the size is a fact.
  if (offset + length > source.size) {
    throw new DumpError("TRUNCATED", `${what} needs bytes ${offset} to ${offset + length}, ${source.name} has ${source.size}`, {
      at: offset,
    });
  }
  const into = new Uint8Array(length);
  const got = source.read(offset, into);
  if (got !== length) {
    throw new DumpError("TRUNCATED", `${what} needs ${length} bytes at ${offset}, got ${got}`, { at: offset });
  }
  return into;
}

/** A source over bytes in memory; used by tests and for decompressed parts. */
export class MemorySource implements ByteSource {
  readonly name: string;
  readonly bytes: Uint8Array;

  constructor(bytes: Uint8Array, name = "memory") {
    this.bytes = bytes;
    this.name = name;
  }

  get size(): number {
    return this.bytes.length;
  }

  read(offset: number, into: Uint8Array): number {
    if (offset < 0 || offset >= this.bytes.length) return 0;
    const part = this.bytes.subarray(offset, offset + into.length);
    into.set(part);
    return part.length;
  }

  close(): void {}
}

/** A window `[start, start + size)` of another source; closing it closes nothing. */
export class SliceSource implements ByteSource {
  readonly name: string;
  readonly size: number;
  readonly #source: ByteSource;
  readonly #start: number;

  constructor(source: ByteSource, start: number, size: number = Math.max(0, source.size - start), name: string = source.name) {
    this.#source = source;
    this.#start = start;
    this.size = size;
    this.name = name;
  }

  read(offset: number, into: Uint8Array): number {
    if (offset < 0 || offset >= this.size) return 0;
    const wanted = Math.min(into.length, this.size - offset);
    return this.#source.read(this.#start + offset, wanted === into.length ? into : into.subarray(0, wanted));
  }

  close(): void {}
}
