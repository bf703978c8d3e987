/** Writes small kdump-compressed files of every header version, word size and byte order; knows nothing of the reader. */
import { deflateSync, zstdCompressSync } from "node:zlib";

export type KdumpCodec = "raw" | "zlib" | "lzo" | "snappy" | "zstd";

export interface KdumpRecipe {
  /** 1 to 6; 6 by default. */
  readonly version?: number;
  readonly wordSize?: 4 | 8;
  readonly littleEndian?: boolean;
  /** 32-bit only: i386 packs 64-bit fields to 4 bytes, ARM aligns them to 8. */
  readonly aligned?: boolean;
  readonly signature?: "KDUMP   " | "DISKDUMP";
  readonly blockSize?: number;
  readonly maxMapnr: number;
  readonly pages: readonly KdumpPage[];
  /** RAM that was left out. */
  readonly excluded?: readonly number[];
  /** This file's part of a split set: [start, end). */
  readonly split?: readonly [start: number, end: number];
  readonly notes?: Uint8Array;
  readonly vmcoreinfo?: string;
  readonly eraseinfo?: string;
  readonly status?: number;
  /** One bitmap for both purposes, as very old dumps have it. */
  readonly singleBitmap?: boolean;
  readonly machine?: string;
}

export interface KdumpPage {
  readonly pfn: number;
  readonly bytes: Uint8Array;
  readonly codec?: KdumpCodec;
  /** Overrides of the descriptor, to make it wrong. */
  readonly size?: number;
  readonly flags?: number;
  readonly offset?: number;
  /** Stored data as they are. */
  readonly data?: Uint8Array;
}

const FLAGS: Readonly<Record<KdumpCodec, number>> = { raw: 0, zlib: 1, lzo: 2, snappy: 4, zstd: 0x20 };

function pack(page: KdumpPage): Uint8Array {
  if (page.data) return page.data;
  switch (page.codec ?? "raw") {
    case "zlib":
      return deflateSync(page.bytes);
    case "zstd":
      return zstdCompressSync(page.bytes);
    case "lzo":
      return lzoPeriodic(page.bytes);
    case "snappy":
      return snappyPeriodic(page.bytes);
    default:
      return page.bytes;
  }
}

/** Shortest period of the bytes: the writers below store one period and a copy of it over the rest. */
function periodOf(bytes: Uint8Array): number {
  for (let period = 4; period < 200; period++) {
    let at = period;
    while (at < bytes.length && bytes[at] === bytes[at - period]) at++;
    if (at === bytes.length) return period;
  }
  throw new Error("only pages that repeat themselves are compressed here");
}

/** A snappy block: length as varint, one literal, copies of at most 64 bytes with 16-bit offsets. */
function snappyPeriodic(bytes: Uint8Array): Uint8Array {
  const period = periodOf(bytes);
  const out: number[] = [];
  let length = bytes.length;
  for (; length >= 0x80; length >>= 7) out.push((length & 0x7f) | 0x80);
  out.push(length, 60 << 2, period - 1, ...bytes.subarray(0, period));
  for (let at = period; at < bytes.length; at += 64) out.push((Math.min(64, bytes.length - at) - 1) * 4 + 2, period & 0xff, period >> 8);
  return Uint8Array.from(out);
}

/** An LZO1X stream: a literal run, one long match, the end marker. */
function lzoPeriodic(bytes: Uint8Array): Uint8Array {
  const period = periodOf(bytes);
  const out: number[] = [period + 17, ...bytes.subarray(0, period), 0x20];
  let rest = bytes.length - period - 2 - 31;
  for (; rest > 255; rest -= 255) out.push(0);
  const distance = (period - 1) << 2;
  out.push(rest, distance & 0xff, distance >> 8, 0x11, 0, 0);
  return Uint8Array.from(out);
}

export function writeKdump(recipe: KdumpRecipe): Uint8Array {
  const version = recipe.version ?? 6;
  const wide = (recipe.wordSize ?? 8) === 8;
  const le = recipe.littleEndian ?? true;
  const block = recipe.blockSize ?? 4096;
  const notes = recipe.notes ?? new Uint8Array();
  const vmcoreinfo = Buffer.from(recipe.vmcoreinfo ?? "", "latin1");
  const isKdump = (recipe.signature ?? "KDUMP   ") === "KDUMP   ";
  const subSize = wide ? 104 : recipe.aligned ? 96 : 80;
  const subBlocks = Math.ceil((subSize + notes.length + vmcoreinfo.length) / block);
  const bitmapBlocks = Math.ceil(recipe.maxMapnr / 8 / block);
  const bitmapAt = (1 + subBlocks) * block;
  const secondAt = recipe.singleBitmap ? bitmapAt : bitmapAt + bitmapBlocks * block;
  const descriptorsAt = secondAt + bitmapBlocks * block;
  const [start, end] = recipe.split ?? [0, recipe.maxMapnr];
  const own = recipe.pages.filter((page) => page.pfn >= start && page.pfn < end).sort((a, b) => a.pfn - b.pfn);
  const packed = own.map(pack);
  const eraseinfo = Buffer.from(recipe.eraseinfo ?? "", "latin1");
  const dataAt = descriptorsAt + own.length * 24;
  const bytes = new Uint8Array(dataAt + packed.reduce((sum, data) => sum + data.length, 0) + eraseinfo.length);
  const view = new DataView(bytes.buffer);
  const text = (at: number, value: string): void => bytes.set(Buffer.from(value, "latin1"), at);
  const u32 = (at: number, value: number): void => view.setUint32(at, value, le);
  const u64 = (at: number, value: number): void => view.setBigUint64(at, BigInt(value), le);
  const word = wide ? u64 : u32;

  text(0, recipe.signature ?? "KDUMP   ");
  u32(8, version);
  text(12, "Linux");
  text(12 + 65, "host");
  text(12 + 130, "1.2.3");
  text(12 + 260, recipe.machine ?? (wide ? "x86_64" : "i686"));
  const after = wide ? 424 : 412;
  u32(after, recipe.status ?? 0);
  u32(after + 4, block);
  u32(after + 8, subBlocks);
  u32(after + 12, recipe.singleBitmap ? bitmapBlocks : 2 * bitmapBlocks);
  u32(after + 16, recipe.maxMapnr);
  u32(after + 36, 1);

  const sub = block;
  const notesAt = sub + subSize;
  if (isKdump) {
    word(sub, 0x1000000);
    const level = wide ? 8 : 4;
    if (version >= 1) u32(sub + level, 31);
    if (version >= 2) {
      u32(sub + level + 4, recipe.split ? 1 : 0);
      word(sub + level + 8, start);
      word(sub + level + 8 + (wide ? 8 : 4), end);
    }
    // Offsets of the fields from version 3 on: 64-bit; 32-bit packed; 32-bit aligned.
    const at = wide
      ? [32, 40, 48, 56, 64, 72, 80, 88, 96]
      : recipe.aligned
        ? [24, 32, 40, 48, 56, 64, 72, 80, 88]
        : [20, 28, 32, 40, 44, 52, 56, 64, 72];
    if (version >= 3 && vmcoreinfo.length > 0) {
      u64(sub + at[0]!, notesAt + notes.length);
      word(sub + at[1]!, vmcoreinfo.length);
    }
    if (version >= 4 && notes.length > 0) {
      u64(sub + at[2]!, notesAt);
      word(sub + at[3]!, notes.length);
    }
    if (version >= 5 && eraseinfo.length > 0) {
      u64(sub + at[4]!, bytes.length - eraseinfo.length);
      word(sub + at[5]!, eraseinfo.length);
    }
    if (version >= 6) {
      u64(sub + at[6]!, start);
      u64(sub + at[7]!, end);
      u64(sub + at[8]!, recipe.maxMapnr);
    }
    bytes.set(notes, notesAt);
    bytes.set(vmcoreinfo, notesAt + notes.length);
  }
  const setBit = (at: number, pfn: number): void => {
    bytes[at + (pfn >> 3)]! |= 1 << (pfn & 7);
  };
  for (const pfn of [...recipe.pages.map((page) => page.pfn), ...(recipe.excluded ?? [])]) setBit(bitmapAt, pfn);
  for (const page of recipe.pages) setBit(secondAt, page.pfn);
  let at = dataAt;
  own.forEach((page, i) => {
    const data = packed[i]!;
    const descriptor = descriptorsAt + i * 24;
    u64(descriptor, page.offset ?? at);
    u32(descriptor + 8, page.size ?? data.length);
    u32(descriptor + 12, page.flags ?? FLAGS[page.codec ?? "raw"]);
    bytes.set(data, at);
    at += data.length;
  });
  bytes.set(eraseinfo, bytes.length - eraseinfo.length);
  return bytes;
}
