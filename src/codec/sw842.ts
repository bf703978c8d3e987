import { DumpError } from "../bytes/index.ts";
import type { PageCodec } from "./codec.ts";

/*
 * The kernel's software 842 (linux:lib/842/842_decompress.c, linux:lib/842/842.h). A stream of bits, the highest of a byte
 * first, read as a row of operations of 5 bits with their arguments:
 *
 *   0..25   template: 8 bytes, made of the two to four parts below or one of 8 bytes
 *   27      repeat: 6 bits n; the last 8 bytes once more, n + 1 times
 *   28      8 zero bytes
 *   29      short data: 3 bits n, 1 to 7; n bytes. What is left of data whose length is no multiple of 8
 *   30      end: 32 bits of CRC follow; the rest is padding and not looked at
 *
 * A template's part is data (16, 32 or 64 bits as they are) or an index: 8, 9 or 8 bits that say where 2, 4 or 8 bytes were
 * written before. An index counts in units of its part, in a ring of 512, 2048 or 2048 bytes that the output fills again
 * and again: it means the newest byte that has this place in the ring. Of the output, only whole groups of 8 bytes are in it.
 *
 * The CRC is linux:lib/crc32.c:crc32_be of the output, from 0: polynomial 0x04c11db7, highest bit first, not inverted.
 * Kernels have it since 4.4, which is before pstore knew 842: no payload is without.
 */

const REPEAT = 27;
const ZEROS = 28;
const SHORT_DATA = 29;
const END = 30;

/** The parts of each template in order: their bytes, negative where it is an index. */
const TEMPLATES: readonly (readonly number[])[] = [
  [8],
  [4, 2, -2],
  [4, -2, 2],
  [4, -2, -2],
  [4, -4],
  [2, -2, 4],
  [2, -2, 2, -2],
  [2, -2, -2, 2],
  [2, -2, -2, -2],
  [2, -2, -4],
  [-2, 2, 4],
  [-2, 4, -2],
  [-2, 2, -2, 2],
  [-2, 2, -2, -2],
  [-2, 2, -4],
  [-2, -2, 4],
  [-2, -2, 2, -2],
  [-2, -2, -2, 2],
  [-2, -2, -2, -2],
  [-2, -2, -4],
  [-4, 4],
  [-4, 2, -2],
  [-4, -2, 2],
  [-4, -2, -2],
  [-4, -4],
  [-8],
];

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte << 24;
  for (let bit = 0; bit < 8; bit++) crc = (crc << 1) ^ (crc < 0 ? 0x04c11db7 : 0);
  return crc >>> 0;
});

function crc32be(bytes: Uint8Array): number {
  let crc = 0;
  for (const byte of bytes) crc = (crc << 8) ^ CRC_TABLE[(crc >>> 24) ^ byte]!;
  return crc >>> 0;
}

/**
 * Decompresses one 842 stream. What follows its CRC is ignored, as the kernel does.
 *
 * @returns bytes written, at most `output.length`.
 * @throws CORRUPT where the stream leaves the input or the output, has an operation that does not exist, refers to what is not
 * written yet, or gives data that its CRC does not fit. Bytes of `output` may have been written by then.
 */
function decompress(input: Uint8Array, output: Uint8Array): number {
  let bit = 0;
  let op = 0;
  const corrupt = (what: string): DumpError =>
    new DumpError("CORRUPT", `842: ${what} at input bit ${bit} of ${input.length * 8}, output byte ${op} of ${output.length}`);
  /** The next `count` bits, 32 at most. */
  const bits = (count: number): number => {
    if (count > input.length * 8 - bit) throw corrupt(`${count} bits leave the input`);
    let value = 0;
    for (let left = count; left > 0;) {
      const part = Math.min(left, 8 - (bit & 7));
      value = (value << part) | ((input[bit >> 3]! >> (8 - (bit & 7) - part)) & (0xff >> (8 - part)));
      bit += part;
      left -= part;
    }
    return value >>> 0;
  };
  const need = (bytes: number): void => {
    if (bytes > output.length - op) throw corrupt(`${bytes} bytes leave the output`);
  };
  const literals = (count: number): void => {
    for (const end = op + count; op < end; op++) output[op] = bits(8);
  };
  const indexed = (size: number): void => {
    const places = size === 4 ? 512 : 256;
    const ring = places * size;
    let from = bits(size === 4 ? 9 : 8) * size;
    const whole = op - (op % 8);
    if (whole > ring) {
      const lap = whole - (whole % ring);
      from += from < whole - lap ? lap : lap - ring;
    }
    if (from + size > whole) throw corrupt(`an index refers to byte ${from}`);
    output.copyWithin(op, from, from + size);
    op += size;
  };

  for (;;) {
    const code = bits(5);
    if (code === END) break;
    const template = TEMPLATES[code];
    if (template) {
      need(8);
      for (const part of template) {
        if (part > 0) literals(part);
        else indexed(-part);
      }
    } else if (code === REPEAT) {
      const length = (bits(6) + 1) * 8;
      if (op < 8) throw corrupt("a repeat has no 8 bytes before it");
      need(length);
      for (const end = op + length; op < end; op += 8) output.copyWithin(op, op - 8, op);
    } else if (code === ZEROS) {
      need(8);
      output.fill(0, op, op + 8);
      op += 8;
    } else if (code === SHORT_DATA) {
      const length = bits(3);
      if (length === 0) throw corrupt("short data of no bytes");
      need(length);
      literals(length);
    } else throw corrupt(`there is no operation ${code}`);
  }
  const stored = bits(32);
  const crc = crc32be(output.subarray(0, op));
  if (stored !== crc) throw corrupt(`the data has CRC ${hex(crc)} and should have ${hex(stored)}`);
  return op;
}

function hex(crc: number): string {
  return `0x${crc.toString(16).padStart(8, "0")}`;
}

/** The kernel's software 842; see `decompress` above for its errors. */
export const sw842: PageCodec = { name: "842", decompress };
