/** How far a deflate stream could be read. */
export type InflateEnd = "complete" | "cut" | "damaged" | "full";

export interface Inflated {
  /** Bytes written. */
  readonly length: number;
  readonly end: InflateEnd;
  /** Bytes of the input up to the stream's end, where it is complete. */
  readonly consumed: number;
}

const MAX_BITS = 15;
const END_OF_BLOCK = 256;
/** RFC 1951, 3.2.5: lengths and distances by code, and their extra bits. */
const LENGTHS = Uint16Array.of(
  3,
  4,
  5,
  6,
  7,
  8,
  9,
  10,
  11,
  13,
  15,
  17,
  19,
  23,
  27,
  31,
  35,
  43,
  51,
  59,
  67,
  83,
  99,
  115,
  131,
  163,
  195,
  227,
  258,
);
const LENGTH_BITS = Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0);
const DISTANCES = Uint16Array.from({ length: 30 }, (_, i) => (i < 4 ? i + 1 : (2 + (i & 1)) * 2 ** ((i >> 1) - 1) + 1));
const DISTANCE_BITS = Uint8Array.from({ length: 30 }, (_, i) => (i < 4 ? 0 : (i >> 1) - 1));
/** 3.2.7: the order in which the lengths of the code length code stand. */
const CODE_ORDER = Uint8Array.of(16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15);

/** A canonical Huffman code: how many codes of each length, and the symbols in their order. */
interface Code {
  readonly counts: Uint16Array;
  readonly symbols: Uint16Array;
  /** Codes that no symbol has; negative where there are more symbols than codes. */
  readonly left: number;
}

function codeOf(lengths: Uint8Array): Code {
  const counts = new Uint16Array(MAX_BITS + 1);
  for (const length of lengths) counts[length]!++;
  counts[0] = 0;
  const offsets = new Uint16Array(MAX_BITS + 2);
  let left = 1;
  for (let bits = 1; bits <= MAX_BITS; bits++) {
    offsets[bits + 1] = offsets[bits]! + counts[bits]!;
    left = left * 2 - counts[bits]!;
    if (left < 0) break;
  }
  const symbols = new Uint16Array(lengths.length);
  for (const [symbol, length] of lengths.entries()) if (length > 0) symbols[offsets[length]!++] = symbol;
  return { counts, symbols, left };
}

/** Whether zlib takes the code: complete, or of a single symbol of one bit where that is allowed. */
function isSound({ counts, left }: Code, single: boolean): boolean {
  if (left === 0) return true;
  return single && left > 0 && counts.every((count, bits) => (bits === 1 ? count <= 1 : count === 0));
}

const FIXED_LITERALS = codeOf(Uint8Array.from({ length: 288 }, (_, i) => (i < 144 ? 8 : i < 256 ? 9 : i < 280 ? 7 : 8)));
const FIXED_DISTANCES = codeOf(new Uint8Array(30).fill(5));

/**
 * Inflates raw deflate (RFC 1951) as far as it goes, in one pass: unlike node's, what comes before an error is kept, and nothing is held
 * after one until the event loop turns.
 */
export function inflateInto(input: Uint8Array, output: Uint8Array): Inflated {
  let at = 0;
  let held = 0;
  let heldBits = 0;
  let length = 0;
  const stop = (end: InflateEnd): Inflated => ({ length, end, consumed: at - (heldBits >> 3) });

  /** The next bits, lowest first; -1 where the input ends. At most 13. */
  const bits = (count: number): number => {
    while (heldBits < count) {
      if (at >= input.length) return -1;
      held |= input[at++]! << heldBits;
      heldBits += 8;
    }
    const value = held & ((1 << count) - 1);
    held >>>= count;
    heldBits -= count;
    return value;
  };
  /** The next symbol; -1 where the input ends, -2 for a code that no symbol has. */
  const symbol = ({ counts, symbols }: Code): number => {
    let code = 0;
    let first = 0;
    let index = 0;
    for (let size = 1; size <= MAX_BITS; size++) {
      const bit = bits(1);
      if (bit < 0) return -1;
      code |= bit;
      const count = counts[size]!;
      if (code - count < first) return symbols[index + code - first]!;
      index += count;
      first = (first + count) << 1;
      code <<= 1;
    }
    return -2;
  };
  const failed = (value: number): Inflated => stop(value === -1 ? "cut" : "damaged");

  for (let last = 0; last === 0;) {
    last = bits(1);
    const kind = last < 0 ? -1 : bits(2);
    if (kind < 0) return stop("cut");
    if (kind === 3) return stop("damaged");
    if (kind === 0) {
      // Back to whole bytes.
      at -= heldBits >> 3;
      held = heldBits = 0;
      if (at + 4 > input.length) return stop("cut");
      const size = input[at]! | (input[at + 1]! << 8);
      if ((size ^ 0xffff) !== (input[at + 2]! | (input[at + 3]! << 8))) return stop("damaged");
      at += 4;
      const piece = input.subarray(at, at + Math.min(size, output.length - length));
      output.set(piece, length);
      length += piece.length;
      at += piece.length;
      if (piece.length < size) return stop(at >= input.length ? "cut" : "full");
      continue;
    }
    let literals = FIXED_LITERALS;
    let distances = FIXED_DISTANCES;
    if (kind === 2) {
      const [literalCount, distanceCount, codeCount] = [bits(5), bits(5), bits(4)];
      if (codeCount < 0) return stop("cut");
      if (literalCount > 29 || distanceCount > 29) return stop("damaged");
      const codeLengths = new Uint8Array(19);
      for (let i = 0; i < codeCount + 4; i++) {
        const value = bits(3);
        if (value < 0) return stop("cut");
        codeLengths[CODE_ORDER[i]!] = value;
      }
      const codeCode = codeOf(codeLengths);
      if (!isSound(codeCode, false)) return stop("damaged");
      const lengths = new Uint8Array(literalCount + 257 + distanceCount + 1);
      for (let i = 0; i < lengths.length;) {
        const value = symbol(codeCode);
        if (value < 0) return failed(value);
        if (value < 16) {
          lengths[i++] = value;
          continue;
        }
        const more = bits(value === 16 ? 2 : value === 17 ? 3 : 7);
        if (more < 0) return stop("cut");
        const repeat = more + (value === 18 ? 11 : 3);
        if ((value === 16 && i === 0) || i + repeat > lengths.length) return stop("damaged");
        lengths.fill(value === 16 ? lengths[i - 1]! : 0, i, i + repeat);
        i += repeat;
      }
      if (lengths[END_OF_BLOCK] === 0) return stop("damaged");
      literals = codeOf(lengths.subarray(0, literalCount + 257));
      distances = codeOf(lengths.subarray(literalCount + 257));
      if (!isSound(literals, true) || !isSound(distances, true)) return stop("damaged");
    }
    for (;;) {
      const value = symbol(literals);
      if (value === END_OF_BLOCK) break;
      if (value < 0) return failed(value);
      if (value < END_OF_BLOCK) {
        if (length === output.length) return stop("full");
        output[length++] = value;
        continue;
      }
      if (value > 285) return stop("damaged");
      const longer = bits(LENGTH_BITS[value - 257]!);
      if (longer < 0) return stop("cut");
      const place = symbol(distances);
      if (place < 0) return failed(place);
      if (place > 29) return stop("damaged");
      const further = bits(DISTANCE_BITS[place]!);
      if (further < 0) return stop("cut");
      const distance = DISTANCES[place]! + further;
      if (distance > length) return stop("damaged");
      const size = Math.min(LENGTHS[value - 257]! + longer, output.length - length);
      for (let i = 0; i < size; i++, length++) output[length] = output[length - distance]!;
      if (size < LENGTHS[value - 257]! + longer) return stop("full");
    }
  }
  return stop("complete");
}
