import { DumpError } from "../bytes/index.ts";
import type { PageCodec } from "./codec.ts";

/*
 * Snappy raw block decoder, written from google/snappy:format_description.txt.
 *
 * A block is the uncompressed length (varint, 32 bits) and then elements. The low two bits of an element's tag:
 *
 *   0  literals: length - 1 in the tag's upper six bits; 60..63 there mean 1..4 little-endian bytes hold it
 *   1  copy of 4..11 bytes, distance 11 bits (3 in the tag, 8 in the next byte)
 *   2  copy of 1..64 bytes, distance 16 bits
 *   3  copy of 1..64 bytes, distance 32 bits
 */

/** Copies shorter than this are done byte by byte; measured on kernel pages, 16 to 128 make no difference. */
const BULK_COPY = 32;

function corrupt(what: string, ip: number, op: number, input: Uint8Array, output: Uint8Array): DumpError {
  return new DumpError("CORRUPT", `snappy: ${what} at input byte ${ip} of ${input.length}, output byte ${op} of ${output.length}`);
}

/**
 * Decompresses one raw block (no framing), as `snappy_compress` writes it (makedumpfile -p).
 *
 * @returns bytes written, at most `output.length`; always the length that the block declares.
 * @throws CORRUPT where an element leaves the input or the output, looks behind the first byte, or the declared
 * length is not met. Bytes of `output` may have been written by then.
 */
function decompress(input: Uint8Array, output: Uint8Array): number {
  const inputEnd = input.length;
  let ip = 0;
  let op = 0;

  let declared = 0;
  for (let scale = 1; ; scale *= 128) {
    if (ip >= inputEnd) throw corrupt("declared length leaves the input", ip, op, input, output);
    if (ip >= 5) throw corrupt("declared length has more than 5 bytes", ip, op, input, output);
    const byte = input[ip++]!;
    declared += (byte & 127) * scale;
    if (byte < 128) break;
  }
  if (declared > output.length) throw corrupt(`declared length ${declared} does not fit`, ip, op, input, output);
  // The declared length binds, not the room: an element beyond it is malformed even where the page has space.
  const outputEnd = declared;

  while (ip < inputEnd) {
    const tag = input[ip++]!;
    const kind = tag & 3;
    let length: number;
    let distance: number;

    if (kind === 0) {
      length = (tag >> 2) + 1;
      if (length > 60) {
        const bytes = length - 60;
        if (bytes > inputEnd - ip) throw corrupt("literal length leaves the input", ip, op, input, output);
        length = 1;
        for (let i = 0, scale = 1; i < bytes; i++, scale *= 256) length += input[ip++]! * scale;
      }
      if (length > inputEnd - ip) throw corrupt(`run of ${length} literals leaves the input`, ip, op, input, output);
      if (length > outputEnd - op) throw corrupt(`run of ${length} literals leaves the output`, ip, op, input, output);
      for (let i = 0; i < length; i++) output[op++] = input[ip++]!;
      continue;
    }
    if (kind === 1) {
      if (inputEnd - ip < 1) throw corrupt("copy distance leaves the input", ip, op, input, output);
      length = ((tag >> 2) & 7) + 4;
      distance = ((tag >> 5) << 8) | input[ip++]!;
    } else if (kind === 2) {
      if (inputEnd - ip < 2) throw corrupt("copy distance leaves the input", ip, op, input, output);
      length = (tag >> 2) + 1;
      distance = input[ip]! | (input[ip + 1]! << 8);
      ip += 2;
    } else {
      if (inputEnd - ip < 4) throw corrupt("copy distance leaves the input", ip, op, input, output);
      length = (tag >> 2) + 1;
      distance = input[ip]! + input[ip + 1]! * 0x100 + input[ip + 2]! * 0x1_0000 + input[ip + 3]! * 0x100_0000;
      ip += 4;
    }

    if (distance === 0 || distance > op) throw corrupt(`copy looks ${distance} bytes back`, ip, op, input, output);
    if (length > outputEnd - op) throw corrupt(`copy of ${length} bytes leaves the output`, ip, op, input, output);
    const end = op + length;
    if (length >= BULK_COPY && distance >= length) {
      output.copyWithin(op, op - distance, end - distance);
      op = end;
    } else {
      for (let from = op - distance; op < end;) output[op++] = output[from++]!;
    }
  }

  if (op !== declared) throw corrupt(`declared length is ${declared}, the elements give ${op}`, ip, op, input, output);
  return op;
}

/** Snappy raw block; see `decompress` above for its errors. */
export const snappy: PageCodec = { name: "snappy", decompress };
