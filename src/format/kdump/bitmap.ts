import { type ByteSource, DumpError } from "../../bytes/index.ts";

const CHUNK = 4096;
const CHUNK_BITS = CHUNK * 8;
const CACHED_CHUNKS = 32;

/**
 * A bitmap in the file, one bit a page frame, least significant bit first, read in 4 KiB chunks with a small cache:
 * the bitmap of a 16 TiB machine is 512 MiB and must not be held.
 */
export class FileBitmap {
  /** Number of valid bits. */
  readonly bits: number;
  readonly #source: ByteSource;
  readonly #offset: number;
  readonly #cache: Map<number, Uint8Array> = new Map();
  /** #before[i] = set bits in chunks 0..i-1; filled from the front as far as anyone asked. */
  #before: Float64Array;
  #known = 0;
  #lastIndex = -1;
  #last: Uint8Array | undefined;

  constructor(source: ByteSource, offset: number, bits: number) {
    this.#source = source;
    this.#offset = offset;
    // A tiny file may claim 2^40 pages: only bits that are there are walked.
    this.bits = Math.min(bits, Math.max(0, source.size - offset) * 8);
    this.#before = new Float64Array(64);
  }

  #chunk(index: number): Uint8Array {
    if (index === this.#lastIndex) return this.#last!;
    let chunk = this.#cache.get(index);
    if (!chunk) {
      // The oldest chunk's bytes are used again: counting a bitmap of gigabytes must leave no garbage behind.
      chunk = this.#cache.size >= CACHED_CHUNKS ? this.#evict() : new Uint8Array(CHUNK);
      const got = this.#source.read(this.#offset + index * CHUNK, chunk);
      // Bits past the end of a truncated file are 0: "not stored" is the careful answer.
      if (got < CHUNK) chunk.fill(0, got);
      const over = (index + 1) * CHUNK_BITS - this.bits;
      if (over > 0) clearTail(chunk, CHUNK_BITS - over);
      this.#cache.set(index, chunk);
    }
    this.#lastIndex = index;
    this.#last = chunk;
    return chunk;
  }

  #evict(): Uint8Array {
    const oldest = this.#cache.keys().next().value!;
    const chunk = this.#cache.get(oldest)!;
    this.#cache.delete(oldest);
    return chunk;
  }

  /** True when the bit is set; false beyond the end. */
  has(bit: number): boolean {
    if (!(bit >= 0 && bit < this.bits)) return false;
    const index = Math.floor(bit / CHUNK_BITS);
    const inChunk = bit - index * CHUNK_BITS;
    return (this.#chunk(index)[inChunk >> 3]! & (1 << (inChunk & 7))) !== 0;
  }

  /** Number of set bits below `bit`. Reads the bitmap up to there once. */
  rank(bit: number): number {
    const limited = Math.min(Math.max(0, bit), this.bits);
    const index = Math.floor(limited / CHUNK_BITS);
    const inChunk = limited - index * CHUNK_BITS;
    const before = this.#countBefore(index);
    return inChunk === 0 ? before : before + popcount(this.#chunk(index), inChunk);
  }

  #countBefore(index: number): number {
    if (index + 1 > this.#before.length) {
      const grown = new Float64Array(Math.max(index + 1, this.#before.length * 2));
      grown.set(this.#before);
      this.#before = grown;
    }
    while (this.#known < index) {
      this.#before[this.#known + 1] = this.#before[this.#known]! + popcount(this.#chunk(this.#known), CHUNK_BITS);
      this.#known++;
    }
    return this.#before[index]!;
  }

  /** The first set bit at or after `bit`, or undefined. */
  next(bit: number): number | undefined {
    let at = Math.max(0, bit);
    while (at < this.bits) {
      const index = Math.floor(at / CHUNK_BITS);
      const chunk = this.#chunk(index);
      let inChunk = at - index * CHUNK_BITS;
      const words = new Uint32Array(chunk.buffer, chunk.byteOffset, CHUNK / 4);
      while (inChunk < CHUNK_BITS) {
        // Long runs of zeros are passed 32 bits at a time.
        if ((inChunk & 31) === 0 && words[inChunk >> 5] === 0) {
          inChunk += 32;
          continue;
        }
        const byte = chunk[inChunk >> 3]! >> (inChunk & 7);
        if (byte !== 0) {
          const found = index * CHUNK_BITS + inChunk + (31 - Math.clz32(byte & -byte));
          return found < this.bits ? found : undefined;
        }
        inChunk = (inChunk | 7) + 1;
      }
      at = (index + 1) * CHUNK_BITS;
    }
    return undefined;
  }

  /** Set bits in all. */
  count(): number {
    return this.rank(this.bits);
  }
}

function clearTail(chunk: Uint8Array, validBits: number): void {
  const from = validBits >> 3;
  if (validBits & 7) chunk[from] = chunk[from]! & ((1 << (validBits & 7)) - 1);
  chunk.fill(0, validBits & 7 ? from + 1 : from);
}

/** Set bits among the first `bits` of `bytes`. */
function popcount(bytes: Uint8Array, bits: number): number {
  const words = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length >> 2);
  const whole = bits >> 5;
  let count = 0;
  for (let i = 0; i < whole; i++) {
    let v = words[i]!;
    v -= (v >>> 1) & 0x55555555;
    v = (v & 0x33333333) + ((v >>> 2) & 0x33333333);
    count += (((v + (v >>> 4)) & 0x0f0f0f0f) * 0x01010101) >>> 24;
  }
  for (let bit = whole * 32; bit < bits; bit++) count += (bytes[bit >> 3]! >> (bit & 7)) & 1;
  return count;
}

/** Refuses a bitmap that the file cannot hold, before anything is allocated by its size. */
export function checkBitmap(source: ByteSource, offset: number, bits: number): void {
  if (!Number.isSafeInteger(offset + bits)) throw new DumpError("CORRUPT", `a bitmap of ${bits} bits at ${offset} cannot be in a file`);
  if (offset >= source.size)
    throw new DumpError("TRUNCATED", `the bitmap begins at ${offset}, ${source.name} ends at ${source.size}`, { at: offset });
}
