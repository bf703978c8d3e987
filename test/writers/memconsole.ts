/**
 * Writes memory as the consoles in it leave it: the proposal of 2009 by its own code's steps, Google's EBDA, coreboot's table. Knows
 * nothing of the readers.
 */

export interface ChangliRecipe {
  readonly wordSize?: 4 | 8;
  /** Virtual address of the region. */
  readonly base?: bigint;
  /** Bytes that were there before. */
  readonly fill?: number;
}

/** Region of the 2009 console after its messages. */
export function changliRegion(size: number, messages: readonly string[], recipe: ChangliRecipe = {}): Uint8Array {
  const { wordSize = 8, base = wordSize === 8 ? 0xffff_8880_3ff0_0000n : 0xf7f0_0000n, fill = 0 } = recipe;
  const bytes = Buffer.alloc(size, fill);
  const head = wordSize === 8 ? 16 : 8;
  const room = Math.min(size - head, 4096);
  let at = 0;
  let valid = 0;
  for (const message of messages) {
    for (const char of message) {
      bytes[head + at] = char.charCodeAt(0);
      at = at + 1 === room ? 0 : at + 1;
      if (valid < room) valid++;
    }
  }
  const pointer = base + BigInt(head + at);
  if (wordSize === 8) bytes.writeBigUInt64LE(pointer, 0);
  else bytes.writeUInt32LE(Number(pointer), 0);
  bytes.writeUInt32LE(valid, wordSize);
  return new Uint8Array(bytes);
}

/** What the 2009 kernel with the region at `base` shows of it: undefined where it would empty it. 64-bit. */
export function changliText(bytes: Uint8Array, size: number, base: bigint): string | undefined {
  const region = Buffer.from(bytes);
  const room = Math.min(size - 16, 4096);
  const place = Number(BigInt.asIntN(64, region.readBigUInt64LE(0) - base - 16n));
  const valid = region.readUInt32LE(8);
  if (place < 0 || place >= room || valid > room || (valid < room && place !== valid)) return undefined;
  const ring = region.toString("latin1", 16, 16 + room);
  return valid < room ? ring.slice(0, valid) : ring.slice(place) + ring.slice(0, place);
}

export interface GoogleRecipe {
  readonly version: 1 | 2;
  readonly text: string;
  /** Of the header in the EBDA. */
  readonly at?: number;
  readonly start?: number;
  readonly end?: number;
  readonly size?: number;
  readonly enabled?: number;
  readonly wrapped?: number;
}

/** 1 MiB of physical memory with an EBDA of 1 KiB at 0x9fc00 and the console's buffer at 0x60001. */
export function googleMemory({
  version,
  text,
  at = 77,
  start = 0,
  end = start + text.length,
  size = 4096,
  enabled = 1,
  wrapped = 0,
}: GoogleRecipe): Uint8Array {
  const bytes = Buffer.alloc(1024 * 1024);
  const buffer = 0x60001;
  bytes.writeUInt16LE(0x9fc0, 0x40e);
  bytes[0x9fc00] = 1;
  const header = 0x9fc00 + at;
  if (version === 1) {
    bytes.writeUInt32LE(0xdeadbabe, header);
    bytes[header + 4] = enabled;
    bytes.writeUInt32LE(buffer, header + 5);
    bytes.writeUInt16LE(start, header + 9);
    bytes.writeUInt16LE(end, header + 11);
    bytes.writeUInt16LE(text.length, header + 13);
    bytes[header + 15] = wrapped;
    bytes.write(text, buffer, "latin1");
  } else {
    bytes.write("MCON", header, "latin1");
    bytes.writeUInt32LE(buffer, header + 4);
    bytes.writeUInt16LE(size, header + 8);
    bytes.writeUInt16LE(start, header + 10);
    bytes.writeUInt16LE(end, header + 12);
    bytes.write(text, buffer + start, "latin1");
  }
  return new Uint8Array(bytes);
}

/** A cbmem console: the ring's bytes as they lie, and the cursor word. */
export function cbmemConsole(body: string, cursor: number, wrapped = false, size: number = body.length): Uint8Array {
  const bytes = Buffer.alloc(8 + body.length);
  bytes.writeUInt32LE(size, 0);
  bytes.writeUInt32LE((cursor | (wrapped ? 0x80000000 : 0)) >>> 0, 4);
  bytes.write(body, 8, "latin1");
  return new Uint8Array(bytes);
}

function ipChecksum(bytes: Uint8Array): number {
  let sum = 0;
  for (const [i, byte] of bytes.entries()) {
    sum += i & 1 ? byte << 8 : byte;
    if (sum > 0xffff) sum -= 0xffff;
  }
  return sum ^ 0xffff;
}

/** A coreboot table of entries: tag, and what is behind its size. */
export function corebootTable(entries: readonly (readonly [tag: number, payload: Uint8Array])[]): Uint8Array {
  const parts = entries.map(([tag, payload]) => {
    const entry = Buffer.alloc(8 + payload.length);
    entry.writeUInt32LE(tag, 0);
    entry.writeUInt32LE(entry.length, 4);
    entry.set(payload, 8);
    return entry;
  });
  const table = Buffer.concat(parts);
  const header = Buffer.alloc(24);
  header.write("LBIO", 0, "latin1");
  header.writeUInt32LE(24, 4);
  header.writeUInt32LE(table.length, 12);
  header.writeUInt32LE(ipChecksum(table), 16);
  header.writeUInt32LE(entries.length, 20);
  header.writeUInt32LE(ipChecksum(header), 8);
  return new Uint8Array(Buffer.concat([header, table]));
}

/** A physical address as an entry's payload. */
export function address64(address: number): Uint8Array {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(address));
  return new Uint8Array(bytes);
}
