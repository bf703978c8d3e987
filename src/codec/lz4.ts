import { DumpError } from "../bytes/index.ts";
import type { PageCodec } from "./codec.ts";

/*
 * A raw LZ4 block (lz4:doc/lz4_Block_format.md), no frame and no size: a row of sequences
 *
 *   token    high 4 bits: number of literals; low 4 bits: length of the match minus 4; 15 means more bytes follow, 255 each
 *            until one below
 *   literals
 *   offset   u16 little-endian, 1 to 65535 bytes back; absent in the last sequence, which is literals only
 */

function corrupt(what: string, ip: number, op: number, input: Uint8Array, output: Uint8Array): DumpError {
  return new DumpError("CORRUPT", `lz4: ${what} at input byte ${ip} of ${input.length}, output byte ${op} of ${output.length}`);
}

/**
 * Decompresses one LZ4 block.
 *
 * @returns bytes written, at most `output.length`.
 * @throws CORRUPT where the block leaves the input or the output, looks behind the first byte, or ends inside a sequence.
 */
function decompress(input: Uint8Array, output: Uint8Array): number {
  let ip = 0;
  let op = 0;
  const moreLength = (start: number): number => {
    let length = start;
    for (;;) {
      if (ip >= input.length) throw corrupt("a length leaves the input", ip, op, input, output);
      const byte = input[ip++]!;
      length += byte;
      if (byte < 255) return length;
    }
  };
  if (input.length === 0) throw corrupt("the block is empty", ip, op, input, output);
  for (;;) {
    if (ip >= input.length) throw corrupt("the block ends with a match", ip, op, input, output);
    const token = input[ip++]!;
    const literals = token >> 4 === 15 ? moreLength(15) : token >> 4;
    if (literals > input.length - ip) throw corrupt(`${literals} literals leave the input`, ip, op, input, output);
    if (literals > output.length - op) throw corrupt(`${literals} literals leave the output`, ip, op, input, output);
    output.set(input.subarray(ip, ip + literals), op);
    ip += literals;
    op += literals;
    if (ip === input.length) return op;
    if (input.length - ip < 2) throw corrupt("a match's offset leaves the input", ip, op, input, output);
    const distance = input[ip]! | (input[ip + 1]! << 8);
    ip += 2;
    const length = ((token & 15) === 15 ? moreLength(15) : token & 15) + 4;
    if (distance === 0 || distance > op) throw corrupt(`a match looks ${distance} bytes back`, ip, op, input, output);
    if (length > output.length - op) throw corrupt(`a match of ${length} bytes leaves the output`, ip, op, input, output);
    for (const end = op + length; op < end; op++) output[op] = output[op - distance]!;
  }
}

/** LZ4 blocks; see `decompress` above for its errors. */
export const lz4: PageCodec = { name: "lz4", decompress };
