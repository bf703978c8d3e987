import { DumpError } from "../bytes/index.ts";

/*
 * Reed-Solomon over bytes as the kernel's rslib is set up by ramoops (linux:fs/pstore/ram_core.c:persistent_ram_init_ecc):
 * field polynomial x^8 + x^4 + x^3 + x^2 + 1 (0x11d), roots alpha^0 to alpha^(nroots-1). It is the code that QR codes use.
 *
 * A codeword is the message, its first byte the highest power, followed by `nroots` parity bytes: the remainder of
 * message(x) * x^nroots divided by the generator. Up to floor(nroots / 2) wrong bytes anywhere in a codeword can be mended.
 *
 * Names in the decoder follow the literature: syndromes, the error locator found by Berlekamp and Massey's algorithm,
 * Chien's search for its roots, Forney's formula for the values.
 */

/** alpha^i for i in 0..509: twice around, so that sums of two logarithms need no reduction. */
const EXP: Uint8Array = new Uint8Array(510);
const LOG: Uint8Array = new Uint8Array(256);
for (let i = 0, x = 1; i < 255; i++) {
  EXP[i] = x;
  EXP[i + 255] = x;
  LOG[x] = i;
  x <<= 1;
  if (x > 255) x ^= 0x11d;
}

function multiply(a: number, b: number): number {
  return a === 0 || b === 0 ? 0 : EXP[LOG[a]! + LOG[b]!]!;
}

/** The code with a given number of parity bytes. Holds tables of 256 * nroots bytes; make one and keep it. Not reentrant. */
export class ReedSolomon {
  /** Parity bytes of a codeword. */
  readonly nroots: number;
  /** Multiples of the generator's lower coefficients, highest power first: row f is f * g. */
  readonly #rows: Uint8Array;
  /** The same as four 32-bit words a row, for the common nroots of 16. */
  readonly #words: Int32Array | undefined;
  readonly #remainder: Uint8Array;

  /** @param nroots 1 to 127 inclusive: ramoops adds them to blocks of 128. @throws BAD_ARGUMENT outside. */
  constructor(nroots: number) {
    if (!Number.isInteger(nroots) || nroots < 1 || nroots > 127) {
      throw new DumpError("BAD_ARGUMENT", `a Reed-Solomon code has 1 to 127 parity bytes here, not ${nroots}`);
    }
    this.nroots = nroots;
    this.#remainder = new Uint8Array(nroots);
    let generator = Uint8Array.of(1);
    for (let root = 0; root < nroots; root++) {
      const next = new Uint8Array(generator.length + 1);
      for (let i = 0; i < generator.length; i++) {
        next[i]! ^= generator[i]!;
        next[i + 1]! ^= multiply(generator[i]!, EXP[root]!);
      }
      generator = next;
    }
    this.#rows = new Uint8Array(256 * nroots);
    for (let f = 1; f < 256; f++) for (let j = 0; j < nroots; j++) this.#rows[f * nroots + j] = multiply(f, generator[j + 1]!);
    if (nroots === 16) {
      const view = new DataView(this.#rows.buffer);
      this.#words = Int32Array.from({ length: 1024 }, (_, i) => view.getUint32(i * 4, false));
    }
  }

  /**
   * Writes the parity of `data[offset, offset + length)` to `parity[at, at + nroots)`. The bytes must not overlap.
   * `length` is at most 255 - nroots; that is the caller's to keep.
   */
  encode(data: Uint8Array, offset: number, length: number, parity: Uint8Array, at: number): void {
    if (this.#words) this.#encode16(data, offset, length, parity, at, this.#words);
    else this.#encodeAny(data, offset, length, parity, at);
  }

  #encode16(data: Uint8Array, offset: number, length: number, parity: Uint8Array, at: number, words: Int32Array): void {
    let a = 0;
    let b = 0;
    let c = 0;
    let d = 0;
    for (let i = offset; i < offset + length; i++) {
      const row = ((a >>> 24) ^ data[i]!) << 2;
      a = ((a << 8) | (b >>> 24)) ^ words[row]!;
      b = ((b << 8) | (c >>> 24)) ^ words[row + 1]!;
      c = ((c << 8) | (d >>> 24)) ^ words[row + 2]!;
      d = (d << 8) ^ words[row + 3]!;
    }
    for (let shift = 24, j = at; shift >= 0; shift -= 8, j++) {
      parity[j] = a >>> shift;
      parity[j + 4] = b >>> shift;
      parity[j + 8] = c >>> shift;
      parity[j + 12] = d >>> shift;
    }
  }

  #encodeAny(data: Uint8Array, offset: number, length: number, parity: Uint8Array, at: number): void {
    const last = at + this.nroots - 1;
    parity.fill(0, at, last + 1);
    for (let i = offset; i < offset + length; i++) {
      let row = (parity[at]! ^ data[i]!) * this.nroots;
      for (let j = at; j < last; j++) parity[j] = parity[j + 1]! ^ this.#rows[row++]!;
      parity[last] = this.#rows[row]!;
    }
  }

  /**
   * Mends the codeword of message `bytes[offset, offset + length)` and parity `bytes[parityAt, parityAt + nroots)` in place.
   *
   * @returns the number of bytes that were wrong (those of the parity count, as in linux:lib/reed_solomon/decode_rs.c), or
   * -1 when there are more than can be mended; then nothing is changed.
   */
  correct(bytes: Uint8Array, offset: number, length: number, parityAt: number): number {
    const { nroots } = this;
    // The difference between the parity there and the one that fits the message is what the errors leave modulo the
    // generator, so it has their syndromes: for an intact block this one cheap pass is all.
    const remainder = this.#remainder;
    this.encode(bytes, offset, length, remainder, 0);
    let differs = false;
    for (let j = 0; j < nroots; j++) {
      remainder[j]! ^= bytes[parityAt + j]!;
      if (remainder[j] !== 0) differs = true;
    }
    if (!differs) return 0;

    const syndromes = new Uint8Array(nroots);
    for (let root = 0; root < nroots; root++) {
      let sum = 0;
      for (let j = 0; j < nroots; j++) sum = multiply(sum, EXP[root]!) ^ remainder[j]!;
      syndromes[root] = sum;
    }
    const locator = findLocator(syndromes);
    const errors = locator.length - 1;
    if (errors * 2 > nroots) return -1;

    const size = length + nroots;
    const places: number[] = [];
    for (let power = 0; power < size && places.length < errors; power++) {
      // A root at alpha^-power: an error in the coefficient of x^power.
      if (evaluate(locator, (255 - power) % 255) === 0) places.push(power);
    }
    // Roots that lie in the part cut off from a shortened code: not a codeword with few errors.
    if (places.length !== errors) return -1;

    // Evaluator: syndromes * locator modulo x^nroots, lowest power first; the derivative has the odd terms of the locator.
    const evaluator = new Uint8Array(errors);
    for (let i = 0; i < errors; i++) for (let j = 0; j <= i; j++) evaluator[i]! ^= multiply(syndromes[i - j]!, locator[j]!);
    const values = places.map((power) => {
      const inverse = (255 - power) % 255;
      let derivative = 0;
      for (let i = 1; i <= errors; i += 2) derivative ^= multiply(locator[i]!, EXP[(inverse * (i - 1)) % 255]!);
      if (derivative === 0) return 0;
      // fcr is 0, which leaves one factor X over (Forney: Y = X^(1 - fcr) * evaluator(1/X) / derivative(1/X)).
      return multiply(EXP[power % 255]!, divide(evaluate(evaluator, inverse), derivative));
    });
    if (values.includes(0)) return -1;
    for (let i = 0; i < errors; i++) {
      const index = size - 1 - places[i]!;
      const at = index < length ? offset + index : parityAt + index - length;
      bytes[at]! ^= values[i]!;
    }
    return errors;
  }
}

function divide(a: number, b: number): number {
  return a === 0 ? 0 : EXP[LOG[a]! + 255 - LOG[b]!]!;
}

/** Value at alpha^exponent of a polynomial given lowest power first. */
function evaluate(polynomial: Uint8Array, exponent: number): number {
  let sum = 0;
  for (let i = 0; i < polynomial.length; i++) {
    if (polynomial[i] !== 0) sum ^= EXP[(LOG[polynomial[i]!]! + exponent * i) % 255]!;
  }
  return sum;
}

/** Berlekamp-Massey: the shortest error locator that explains the syndromes, lowest power first, constant term 1. */
function findLocator(syndromes: Uint8Array): Uint8Array {
  const room = syndromes.length + 1;
  let locator = new Uint8Array(room);
  let previous = new Uint8Array(room);
  locator[0] = 1;
  previous[0] = 1;
  let degree = 0;
  let gap = 1;
  let lastDiscrepancy = 1;
  for (let n = 0; n < syndromes.length; n++) {
    let discrepancy = syndromes[n]!;
    for (let i = 1; i <= degree; i++) discrepancy ^= multiply(locator[i]!, syndromes[n - i]!);
    if (discrepancy === 0) {
      gap++;
      continue;
    }
    const factor = divide(discrepancy, lastDiscrepancy);
    const next = locator.slice();
    for (let i = 0; i + gap < room; i++) next[i + gap]! ^= multiply(factor, previous[i]!);
    if (2 * degree <= n) {
      degree = n + 1 - degree;
      previous = locator;
      lastDiscrepancy = discrepancy;
      gap = 1;
    } else gap++;
    locator = next;
  }
  return locator.subarray(0, degree + 1);
}
