/** Writes flattened streams (makedumpfile -F): pieces of a file in any order. All integers are big-endian. */

export interface Segment {
  /** Place in the rearranged file. */
  readonly offset: number | bigint;
  readonly bytes: Uint8Array;
  /** Size in its header where that is to lie. */
  readonly size?: number | bigint;
}

/** @param end whether the end marker is written. */
export function writeFlattened(segments: readonly Segment[], end = true): Uint8Array {
  const head = Buffer.alloc(4096);
  head.write("makedumpfile\0\0\0\0", 0, "latin1");
  head.writeBigInt64BE(1n, 16);
  head.writeBigInt64BE(1n, 24);
  const parts: Buffer[] = [head];
  for (const segment of segments) {
    const header = Buffer.alloc(16);
    header.writeBigInt64BE(BigInt(segment.offset), 0);
    header.writeBigInt64BE(BigInt(segment.size ?? segment.bytes.length), 8);
    parts.push(header, Buffer.from(segment.bytes));
  }
  if (end) parts.push(Buffer.alloc(16, 0xff));
  return Buffer.concat(parts);
}
