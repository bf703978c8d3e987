/** Bits set in each byte. */
const POPCOUNT: Uint8Array = Uint8Array.from({ length: 256 }, (_, byte) => {
  let count = 0;
  for (let rest = byte; rest > 0; rest &= rest - 1) count++;
  return count;
});

/** Bits set among `[from, to)` of a bitmap, bit 0 of byte 0 first. */
export function countBits(bits: Uint8Array, from: number, to: number): number {
  let count = 0;
  let at = from;
  for (; at < to && (at & 7) !== 0; at++) count += (bits[at >>> 3]! >>> (at & 7)) & 1;
  for (; at + 8 <= to; at += 8) count += POPCOUNT[bits[at >>> 3]!]!;
  for (; at < to; at++) count += (bits[at >>> 3]! >>> (at & 7)) & 1;
  return count;
}

/** Index of the first set bit at or after `from`, or `to` where there is none below it. */
export function nextBit(bits: Uint8Array, from: number, to: number): number {
  let at = from;
  while (at < to) {
    const byte = bits[at >>> 3]! >>> (at & 7);
    if (byte !== 0) return Math.min(to, at + 31 - Math.clz32(byte & -byte));
    at = (at | 7) + 1;
  }
  return to;
}

/** Index of the first clear bit at or after `from`, or `to`. */
export function nextClear(bits: Uint8Array, from: number, to: number): number {
  let at = from;
  while (at < to) {
    const byte = (~bits[at >>> 3]! & 0xff) >>> (at & 7);
    if (byte !== 0) return Math.min(to, at + 31 - Math.clz32(byte & -byte));
    at = (at | 7) + 1;
  }
  return to;
}

/** Sets bits `[from, to)`. */
export function setBits(bits: Uint8Array, from: number, to: number): void {
  let at = from;
  for (; at < to && (at & 7) !== 0; at++) bits[at >>> 3]! |= 1 << (at & 7);
  const whole = to - ((to - at) % 8);
  if (whole > at) {
    bits.fill(0xff, at >>> 3, whole >>> 3);
    at = whole;
  }
  for (; at < to; at++) bits[at >>> 3]! |= 1 << (at & 7);
}
