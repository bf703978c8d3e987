import { DumpError } from "./error.ts";
import { decodeLatin1 } from "./latin1.ts";

/**
 * Fixed-layout fields over a byte array: offsets in bytes, the dump's endianness and word size chosen once.
 * Every accessor throws `CORRUPT` when it would reach outside (a short header is the file's fault, not a RangeError).
 */
export class Fields {
  readonly bytes: Uint8Array;
  readonly littleEndian: boolean;
  /** Size of C `unsigned long` of the crashed machine: 4 or 8. */
  readonly wordSize: 4 | 8;
  readonly #view: DataView;
  readonly #what: string;

  constructor(bytes: Uint8Array, littleEndian: boolean, wordSize: 4 | 8 = 8, what = "structure") {
    this.bytes = bytes;
    this.littleEndian = littleEndian;
    this.wordSize = wordSize;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#what = what;
  }

  get length(): number {
    return this.bytes.length;
  }

  #check(offset: number, size: number): void {
    if (!(offset >= 0 && offset + size <= this.bytes.length)) {
      throw new DumpError("CORRUPT", `${this.#what}: a field at ${offset} of ${size} bytes does not fit its ${this.bytes.length} bytes`, {
        at: offset,
      });
    }
  }

  u8(offset: number): number {
    this.#check(offset, 1);
    return this.#view.getUint8(offset);
  }

  u16(offset: number): number {
    this.#check(offset, 2);
    return this.#view.getUint16(offset, this.littleEndian);
  }

  u32(offset: number): number {
    this.#check(offset, 4);
    return this.#view.getUint32(offset, this.littleEndian);
  }

  s32(offset: number): number {
    this.#check(offset, 4);
    return this.#view.getInt32(offset, this.littleEndian);
  }

  u64(offset: number): bigint {
    this.#check(offset, 8);
    return this.#view.getBigUint64(offset, this.littleEndian);
  }

  s64(offset: number): bigint {
    this.#check(offset, 8);
    return this.#view.getBigInt64(offset, this.littleEndian);
  }

  /** u64 as a number; above 2^53 the result is rounded, so compare it with a limit before use. */
  u64n(offset: number): number {
    this.#check(offset, 8);
    const low = this.#view.getUint32(offset + (this.littleEndian ? 0 : 4), this.littleEndian);
    const high = this.#view.getUint32(offset + (this.littleEndian ? 4 : 0), this.littleEndian);
    return high * 0x1_0000_0000 + low;
  }

  /** Unsigned word of the crashed machine as a number (see {@link u64n} for large values). */
  wordn(offset: number): number {
    return this.wordSize === 8 ? this.u64n(offset) : this.u32(offset);
  }

  /** Unsigned word of the crashed machine. */
  word(offset: number): bigint {
    return this.wordSize === 8 ? this.u64(offset) : BigInt(this.u32(offset));
  }

  /** Text of at most `length` bytes up to the first NUL; bytes are taken as Latin-1. */
  text(offset: number, length: number): string {
    this.#check(offset, length);
    return latin1(this.bytes.subarray(offset, offset + length));
  }
}

/** Decodes up to the first NUL; one byte, one character, so that hostile bytes never throw. */
export function latin1(bytes: Uint8Array): string {
  let end = bytes.indexOf(0);
  if (end < 0) end = bytes.length;
  // The recorder runs where there is no Buffer.
  if (typeof Buffer === "undefined") return decodeLatin1(bytes.subarray(0, end));
  return Buffer.from(bytes.buffer, bytes.byteOffset, end).toString("latin1");
}

/**
 * Text of the crashed machine for people and JSON: the bytes (one a character, as {@link latin1} gives them) read as
 * UTF-8, which kernels and programs write; what is not UTF-8 becomes U+FFFD.
 */
export function utf8(text: string): string {
  for (let i = 0; i < text.length; i++) {
    if (text.charCodeAt(i) >= 0x80) return Buffer.from(text, "latin1").toString("utf8");
  }
  return text;
}
