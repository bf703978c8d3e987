/*
 * Makes streams of the kernel's software 842 from the description in linux:lib/842/842.h alone, not from src/codec/sw842.ts.
 * The rings that indexes refer to are kept here as what they are, three arrays of values; the reader computes places.
 */

/** Templates by their number, as the description writes them. */
const TEMPLATES = [
  "D8",
  "D4 D2 I2",
  "D4 I2 D2",
  "D4 I2 I2",
  "D4 I4",
  "D2 I2 D4",
  "D2 I2 D2 I2",
  "D2 I2 I2 D2",
  "D2 I2 I2 I2",
  "D2 I2 I4",
  "I2 D2 D4",
  "I2 D4 I2",
  "I2 D2 I2 D2",
  "I2 D2 I2 I2",
  "I2 D2 I4",
  "I2 I2 D4",
  "I2 I2 D2 I2",
  "I2 I2 I2 D2",
  "I2 I2 I2 I2",
  "I2 I2 I4",
  "I4 D4",
  "I4 D2 I2",
  "I4 I2 D2",
  "I4 I2 I2",
  "I4 I4",
  "I8",
] as const;

const INDEX_BITS: Readonly<Record<number, number>> = { 2: 8, 4: 9, 8: 8 };

/** Bits in a row, the highest of a byte first. */
export class BitWriter {
  private readonly bits: number[] = [];

  /** Appends the low `count` bits of a value, the highest first. */
  put(value: bigint | number, count: number): this {
    for (let i = count - 1; i >= 0; i--) this.bits.push(Number((BigInt(value) >> BigInt(i)) & 1n));
    return this;
  }

  get length(): number {
    return this.bits.length;
  }

  /** What was put, filled up with zero bits to a multiple of so many bytes. */
  bytes(multiple = 1): Uint8Array {
    const bytes = new Uint8Array(Math.ceil(this.bits.length / 8 / multiple) * multiple);
    for (const [i, bit] of this.bits.entries()) bytes[i >> 3]! |= bit << (7 - (i & 7));
    return bytes;
  }
}

/** CRC32 with the highest bit first, from 0 and not inverted at the end. */
export function crc32be(plain: Uint8Array): number {
  let crc = 0;
  for (const byte of plain) {
    for (let bit = 7; bit >= 0; bit--) {
      const out = (crc >>> 31) ^ ((byte >> bit) & 1);
      crc = ((crc << 1) ^ (out === 1 ? 0x04c11db7 : 0)) >>> 0;
    }
  }
  return crc;
}

/** Which of the templates that fit is written; a place in the list, which has the shortest first. */
export type PickTemplate = (fitting: number) => number;

/** Compresses as one 842 stream, filled up to a multiple of 8 bytes as the kernel does. */
export function writeSw842(plain: Uint8Array, pick: PickTemplate = () => 0): Uint8Array {
  const out = new BitWriter();
  const rings: Readonly<Record<number, (string | undefined)[]>> = {
    2: Array<string | undefined>(256).fill(undefined),
    4: Array<string | undefined>(512).fill(undefined),
    8: Array<string | undefined>(256).fill(undefined),
  };
  const data = Buffer.from(plain);
  const whole = data.length - (data.length % 8);
  const group = (at: number): string => data.toString("hex", at, at + 8);
  for (let at = 0; at < whole;) {
    const start = at;
    if (at > 0 && group(at) === group(at - 8)) {
      while (at < whole && at - start < 64 * 8 && group(at) === group(start - 8)) at += 8;
      out.put(0x1b, 5).put((at - start) / 8 - 1, 6);
    } else {
      at += 8;
      if (group(start) === "0".repeat(16)) out.put(0x1c, 5);
      else putTemplate(out, data.subarray(start, at), rings, pick);
    }
    for (let i = start; i < at; i += 8) {
      for (const size of [2, 4, 8]) {
        const ring = rings[size]!;
        for (let j = i; j < i + 8; j += size) ring[(j / size) % ring.length] = data.toString("hex", j, j + size);
      }
    }
  }
  const rest = data.subarray(whole);
  if (rest.length > 0) {
    out.put(0x1d, 5).put(rest.length, 3);
    for (const byte of rest) out.put(byte, 8);
  }
  out.put(0x1e, 5).put(crc32be(plain), 32);
  return out.bytes(8);
}

function putTemplate(
  out: BitWriter,
  bytes: Buffer,
  rings: Readonly<Record<number, readonly (string | undefined)[]>>,
  pick: PickTemplate,
): void {
  const fitting: { readonly bits: number; readonly put: () => void }[] = [];
  for (const [code, template] of TEMPLATES.entries()) {
    const parts: [value: bigint | number, count: number][] = [[code, 5]];
    let at = 0;
    for (const part of template.split(" ")) {
      const size = Number(part[1]);
      const value = bytes.toString("hex", at, at + size);
      at += size;
      parts.push(part[0] === "D" ? [BigInt(`0x${value}`), size * 8] : [rings[size]!.indexOf(value), INDEX_BITS[size]!]);
    }
    if (parts.some(([value]) => value === -1)) continue;
    fitting.push({
      bits: parts.reduce((sum, [, count]) => sum + count, 0),
      put: () => {
        for (const [value, count] of parts) out.put(value, count);
      },
    });
  }
  fitting.sort((a, b) => a.bits - b.bits);
  fitting[pick(fitting.length)]!.put();
}
