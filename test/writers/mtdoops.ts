/** Writes a flash partition as mtdoops leaves it; knows nothing of the reader. */

export interface MtdoopsPage {
  /** Number of the record's place. */
  readonly page: number;
  readonly seq: number;
  readonly version: 1 | 2;
  readonly text: string;
  /** Wall clock; version 2 only. */
  readonly nanoseconds?: bigint;
}

export function mtdoopsDevice(size: number, recordSize: number, pages: readonly MtdoopsPage[], littleEndian = true): Uint8Array {
  const bytes = new Uint8Array(size).fill(0xff);
  const view = new DataView(bytes.buffer);
  for (const { page, seq, version, text, nanoseconds = 0n } of pages) {
    const at = page * recordSize;
    view.setUint32(at, seq, littleEndian);
    view.setUint32(at + 4, version === 1 ? 0x5d005d00 : 0x5d005e00, littleEndian);
    if (version === 2) view.setBigInt64(at + 8, nanoseconds, littleEndian);
    bytes.set(Buffer.from(text, "latin1").subarray(0, recordSize - (version === 1 ? 8 : 16)), at + (version === 1 ? 8 : 16));
  }
  return bytes;
}
