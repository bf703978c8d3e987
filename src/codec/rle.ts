import { DumpError } from "../bytes/index.ts";
import type { PageCodec } from "./codec.ts";

/*
 * LKCD's run-length code (LKCD kernel patch: drivers/dump/dump_rle.c, dump_compress_rle):
 *
 *   b != 0    the byte b
 *   0, 0      one zero byte
 *   0, n, v   a run of v: n + 1 bytes
 *
 * ptesarik/libkdumpfile:src/kdumpfile/lkcd.c (uncompress_rle) takes the run as n bytes; crash and the kernel's writer
 * say n + 1. The second reading is kept for files whose pages only come out whole that way.
 */

function decode(input: Uint8Array, output: Uint8Array, extra: 0 | 1): number {
  const inputEnd = input.length;
  const outputEnd = output.length;
  let ip = 0;
  let op = 0;
  while (ip < inputEnd) {
    const byte = input[ip++]!;
    let run = 1;
    let value = byte;
    if (byte === 0) {
      if (ip >= inputEnd) throw new DumpError("CORRUPT", `rle: run at input byte ${ip - 1} has no count, the input ends at ${inputEnd}`);
      const count = input[ip++]!;
      if (count !== 0) {
        if (ip >= inputEnd) throw new DumpError("CORRUPT", `rle: run at input byte ${ip - 2} has no value, the input ends at ${inputEnd}`);
        value = input[ip++]!;
        run = count + extra;
      }
    }
    if (run > outputEnd - op) {
      throw new DumpError("CORRUPT", `rle: run of ${run} bytes at output byte ${op} leaves the output of ${outputEnd}`);
    }
    if (run < 24) {
      for (let end = op + run; op < end;) output[op++] = value;
    } else {
      output.fill(value, op, op + run);
      op += run;
    }
  }
  return op;
}

/** LKCD's RLE, runs of n + 1 bytes. CORRUPT where a run is cut or leaves the output; an empty input gives 0 bytes. */
export const rle: PageCodec = { name: "rle", decompress: (input, output) => decode(input, output, 1) };

/** The other reading of a run, n bytes: for a page that {@link rle} does not bring to its full size. Errors alike. */
export function decompressRleNCopies(input: Uint8Array, output: Uint8Array): number {
  return decode(input, output, 0);
}
