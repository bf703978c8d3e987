import { DumpError } from "../bytes/index.ts";
import type { PageCodec } from "./codec.ts";

/*
 * LZO1X decoder, written from the description of the stream in linux:Documentation/staging/lzo.rst.
 *
 * A stream is a row of instructions. Each is one byte `t`, perhaps more length bytes and one or two distance bytes;
 * the two lowest bits of the last distance byte say how many literals (0 to 3) follow the match at once. That number
 * is also the `state` in which the next instruction byte below 16 is read:
 *
 *   t          state  meaning
 *   0..15      0      literals: t + 3, or 18 + 255 per zero byte + last byte when t is 0
 *   0..15      1..3   match of 2 bytes, distance 1 + (t >> 2) + 4 * b
 *   0..15      4      match of 3 bytes, distance 2049 + (t >> 2) + 4 * b (after a run of four or more literals)
 *   16..31            match of 2 + (t & 7 or 7 + extension), distance 16384 + ...; distance 16384 itself ends the stream
 *   32..63            match of 2 + (t & 31 or 31 + extension), distance 1 + 14 bits
 *   64..255           match of 1 + (t >> 5), distance 1 + 11 bits
 *
 * The first byte alone is different: above 17 it is a run of t - 17 literals.
 */

/** Copies shorter than this are done byte by byte; measured on kernel pages, 16 to 128 make no difference. */
const BULK_COPY = 32;

function corrupt(what: string, ip: number, op: number, input: Uint8Array, output: Uint8Array): DumpError {
  return new DumpError("CORRUPT", `lzo: ${what} at input byte ${ip} of ${input.length}, output byte ${op} of ${output.length}`);
}

/**
 * Decompresses one LZO1X stream, as `lzo1x_1_compress` writes it (makedumpfile -l, ramoops before 6.6).
 *
 * @returns bytes written, at most `output.length`.
 * @throws CORRUPT where the stream leaves the input or the output, looks behind the first byte, lacks its end mark or
 * goes on after it. Bytes of `output` may have been written by then.
 */
function decompress(input: Uint8Array, output: Uint8Array): number {
  const inputEnd = input.length;
  const outputEnd = output.length;
  let ip = 0;
  let op = 0;
  let state = 0;

  if (inputEnd < 3) throw corrupt("stream is shorter than its end mark of 3 bytes", ip, op, input, output);
  const first = input[0]!;
  if (first > 17) {
    const run = first - 17;
    ip = 1;
    if (run > inputEnd - ip) throw corrupt(`run of ${run} literals leaves the input`, ip, op, input, output);
    if (run > outputEnd) throw corrupt(`run of ${run} literals leaves the output`, ip, op, input, output);
    for (let i = 0; i < run; i++) output[op++] = input[ip++]!;
    state = run < 4 ? run : 4;
  }

  for (;;) {
    // Every instruction that is not the last is followed by the end mark's 3 bytes, so 3 bytes are always there; the
    // shortest instruction is 2 (opcode and distance), and this one check covers opcode and either distance form
    // that has no length extension.
    if (inputEnd - ip < 3) throw corrupt("end mark is missing", ip, op, input, output);
    const t = input[ip++]!;
    let distance: number;
    let length: number;

    if (t >= 64) {
      length = (t >> 5) + 1;
      distance = 1 + ((t >> 2) & 7) + (input[ip++]! << 3);
      state = t & 3;
    } else if (t >= 16) {
      const mask = t >= 32 ? 31 : 7;
      length = t & mask;
      if (length === 0) {
        let byte = input[ip++]!;
        while (byte === 0) {
          length += 255;
          if (ip >= inputEnd) throw corrupt("match length leaves the input", ip, op, input, output);
          byte = input[ip++]!;
        }
        length += mask + byte;
        if (inputEnd - ip < 2) throw corrupt("match distance leaves the input", ip, op, input, output);
      }
      length += 2;
      const low = input[ip]!;
      distance = (low >> 2) | (input[ip + 1]! << 6);
      ip += 2;
      state = low & 3;
      if (t >= 32) {
        distance += 1;
      } else {
        distance += (t & 8) << 11;
        if (distance === 0) {
          if (length !== 3 || state !== 0) throw corrupt("end mark is malformed", ip, op, input, output);
          if (ip !== inputEnd) throw corrupt(`${inputEnd - ip} bytes follow the end mark`, ip, op, input, output);
          return op;
        }
        distance += 0x4000;
      }
    } else if (state === 0) {
      let run = t;
      if (run === 0) {
        let byte = input[ip++]!;
        while (byte === 0) {
          run += 255;
          if (ip >= inputEnd) throw corrupt("literal length leaves the input", ip, op, input, output);
          byte = input[ip++]!;
        }
        run += 15 + byte;
      }
      run += 3;
      if (run > inputEnd - ip) throw corrupt(`run of ${run} literals leaves the input`, ip, op, input, output);
      if (run > outputEnd - op) throw corrupt(`run of ${run} literals leaves the output`, ip, op, input, output);
      for (let i = 0; i < run; i++) output[op++] = input[ip++]!;
      state = 4;
      continue;
    } else {
      const byte = input[ip++]!;
      distance = 1 + (t >> 2) + (byte << 2);
      length = 2;
      if (state === 4) {
        distance += 0x800;
        length = 3;
      }
      state = t & 3;
    }

    if (distance > op) throw corrupt(`match looks ${distance} bytes back`, ip, op, input, output);
    if (length > outputEnd - op) throw corrupt(`match of ${length} bytes leaves the output`, ip, op, input, output);
    const end = op + length;
    if (length < BULK_COPY) {
      for (let from = op - distance; op < end;) output[op++] = output[from++]!;
    } else if (distance === 1) {
      output.fill(output[op - 1]!, op, end);
      op = end;
    } else {
      // A match may overlap what it writes: then the period doubles with every copy.
      const from = op - distance;
      while (op < end) {
        const period = op - from;
        const part = period < end - op ? period : end - op;
        output.copyWithin(op, from, from + part);
        op += part;
      }
    }

    if (state !== 0) {
      if (state > inputEnd - ip) throw corrupt(`${state} literals leave the input`, ip, op, input, output);
      if (state > outputEnd - op) throw corrupt(`${state} literals leave the output`, ip, op, input, output);
      output[op++] = input[ip++]!;
      if (state > 1) output[op++] = input[ip++]!;
      if (state > 2) output[op++] = input[ip++]!;
    }
  }
}

/** LZO1X; see `decompress` above for its errors. */
export const lzo: PageCodec = { name: "lzo", decompress };
