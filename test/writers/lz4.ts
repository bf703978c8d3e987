/*
 * Makes LZ4 blocks from lz4:doc/lz4_Block_format.md alone, not from src/codec/lz4.ts: greedy, with the newest earlier place of
 * four bytes as the only candidate. Matches end 5 bytes before the end and begin 12 before it, as the format asks.
 */

/** One sequence to write: literals, then a match unless it is the last. */
export interface Lz4Sequence {
  readonly literals: Uint8Array;
  readonly match?: { readonly distance: number; readonly length: number };
}

/** The block that these sequences make, right or wrong; a match of less than 4 bytes cannot be written. */
export function lz4Block(sequences: readonly Lz4Sequence[]): Uint8Array {
  const out: number[] = [];
  const more = (length: number): void => {
    if (length < 15) return;
    for (length -= 15; length >= 255; length -= 255) out.push(255);
    out.push(length);
  };
  for (const { literals, match } of sequences) {
    const extra = match ? match.length - 4 : 0;
    out.push((Math.min(literals.length, 15) << 4) | Math.min(extra, 15));
    more(literals.length);
    for (const byte of literals) out.push(byte);
    if (!match) continue;
    out.push(match.distance & 255, match.distance >> 8);
    more(extra);
  }
  return Uint8Array.from(out);
}

/** Compresses as one LZ4 block. */
export function writeLz4(plain: Uint8Array): Uint8Array {
  const sequences: Lz4Sequence[] = [];
  const newest = new Map<string, number>();
  const key = (at: number): string => plain.subarray(at, at + 4).join();
  let literalsFrom = 0;
  for (let at = 0; at <= plain.length - 12;) {
    const from = newest.get(key(at));
    newest.set(key(at), at);
    if (from === undefined || at - from > 65535) {
      at++;
      continue;
    }
    let length = 4;
    while (at + length < plain.length - 5 && plain[from + length] === plain[at + length]) length++;
    sequences.push({ literals: plain.subarray(literalsFrom, at), match: { distance: at - from, length } });
    for (let i = at + 1; i < at + length; i++) newest.set(key(i), i);
    at += length;
    literalsFrom = at;
  }
  sequences.push({ literals: plain.subarray(literalsFrom) });
  return lz4Block(sequences);
}
