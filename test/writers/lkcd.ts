import { deflateSync } from "node:zlib";
import { type PagePattern, pagePattern } from "./page-pattern.ts";

/**
 * Makes tiny LKCD dumps from recipes. Written from the format description alone, not from src/format/lkcd: a layout
 * that is wrong in one of the two shows.
 */
export interface LkcdRecipe {
  /** 1 to 10. */
  readonly version: number;
  readonly littleEndian?: boolean;
  readonly wordSize?: 4 | 8;
  /** dh_page_size. */
  readonly pageSize?: number;
  /** Size of the pages in the stream where it is not dh_page_size. */
  readonly dumpPageSize?: number;
  readonly compress?: "none" | "rle" | "gzip";
  /** Value of dh_dump_compress where it is to lie. */
  readonly dhDumpCompress?: number;
  readonly pages: readonly LkcdPage[];
  /** How the stream ends: end record (default), end record that says truncated, nothing. */
  readonly end?: "end" | "truncated" | "none";
  /** Bytes before the header, as on a dump device. */
  readonly deviceOffset?: number;
  /** Added to every dp_address (version 1 on i386). */
  readonly kernelBase?: number;
  /** MCLX: dp_address is a frame number; `cache` puts the page header cache behind the dump header. */
  readonly mclx?: "v0" | "cache";
  readonly machine?: string;
  readonly panicString?: string;
  readonly currentTask?: bigint;
  readonly numPages?: number;
  readonly dumpLevel?: number;
  readonly magic?: bigint;
  /** Where the first page record goes; 65536, or what version 9 states. */
  readonly firstPage?: number;
  readonly bufferSize?: number;
  readonly arch?: ArchRecipe;
}

export interface LkcdPage {
  readonly pfn: number;
  readonly pattern?: PagePattern;
  /** The page itself, in place of a pattern. */
  readonly bytes?: Uint8Array;
  /** Default: compress where it shrinks, as the kernel does. `empty` is the raw record of size 0. */
  readonly how?: "auto" | "raw" | "compressed" | "empty";
  /** Overrides of the record, to make it wrong. */
  readonly size?: number;
  readonly flags?: number;
  readonly address?: bigint;
  /** The stored data as it is, already compressed. */
  readonly data?: Uint8Array;
}

export interface ArchRecipe {
  /** NR_CPUS of the kernel: room in the arrays. */
  readonly nrCpus: number;
  readonly numCpus: number;
  readonly dumpingCpu: number;
  /** Register i of CPU c is `registerBase + c * 0x1000 + i`. */
  readonly registerBase: bigint;
  /** i386 of versions 2 and 3: no arrays. */
  readonly old?: boolean;
  readonly version?: number;
  readonly kernelAddr?: bigint;
}

const MAGIC = 0xa8190173618f23edn;

/** Growing bytes with the dump's endianness. */
class Bytes {
  readonly view: DataView;
  readonly bytes: Uint8Array;
  readonly le: boolean;

  constructor(size: number, le: boolean) {
    this.bytes = new Uint8Array(size);
    this.view = new DataView(this.bytes.buffer);
    this.le = le;
  }

  u32(at: number, value: number): void {
    this.view.setUint32(at, value, this.le);
  }

  u64(at: number, value: bigint): void {
    this.view.setBigUint64(at, BigInt.asUintN(64, value), this.le);
  }

  word(at: number, value: bigint, size: 4 | 8): void {
    if (size === 8) this.u64(at, value);
    else this.u32(at, Number(BigInt.asUintN(32, value)));
  }

  text(at: number, value: string): void {
    this.bytes.set(Buffer.from(value, "latin1"), at);
  }
}

/** The kernel's run-length encoder (dump_rle.c), with no limit on the output. `extra` 0 gives runs of n, not n + 1. */
export function encodeRle(plain: Uint8Array, extra: 0 | 1 = 1): Uint8Array {
  const out: number[] = [];
  for (let i = 0; i < plain.length;) {
    const value = plain[i]!;
    let run = 1;
    while (run < 255 + extra && plain[i + run] === value) run++;
    if (run === 1) out.push(...(value === 0 ? [0, 0] : [value]));
    else if (run === 2 && value !== 0) out.push(value, value);
    else out.push(0, run - extra, value);
    i += run;
  }
  return Uint8Array.from(out);
}

/** Version 4 is not known: here it is like 3 with RLE, and like 5 otherwise. */
function hasCompressField(recipe: LkcdRecipe): boolean {
  return recipe.version >= 5 || (recipe.version === 4 && recipe.compress !== "rle");
}

function dumpHeader(recipe: LkcdRecipe): Bytes {
  const { version } = recipe;
  const le = recipe.littleEndian ?? true;
  const word = recipe.wordSize ?? 8;
  const packed = version >= 8;
  const machine = recipe.machine ?? (word === 8 ? (le ? "x86_64" : "ppc64") : le ? "i686" : "ppc");
  const header = new Bytes(1024, le);
  header.u64(0, recipe.magic ?? MAGIC);
  header.u32(8, version | (recipe.mclx ? 0x8000_0000 : 0) | (recipe.mclx === "cache" ? 0x4000_0000 : 0));
  header.u32(16, recipe.dumpLevel ?? 8);
  header.u32(20, recipe.pageSize ?? 4096);
  header.u64(24, 0x20000n);
  header.u64(32, word === 8 ? 0xffff810000000000n : 0xc0000000n);
  header.u64(40, packed ? MAGIC : 0x8000000n);

  // The C structure, member by member, so that its offsets are not copied from anywhere.
  let at = 48;
  const align = (to: number): void => {
    if (!packed) at = Math.ceil(at / to) * to;
  };
  const timeWord = packed ? 8 : word;
  if (version === 1) {
    header.u32(at, 0xc1234560);
    header.u32(at + 4, 0xc0105678);
    at += 8;
  }
  header.u32(at, recipe.numPages ?? recipe.pages.length);
  at += 4;
  header.text(at, recipe.panicString ?? "Oops: 0002");
  at += 256;
  align(timeWord);
  header.word(at, 1100000000n, timeWord);
  header.word(at + timeWord, 250000n, timeWord);
  at += 2 * timeWord;
  for (const text of ["Linux", "testhost", "2.4.18-lkcd", "#1 SMP Fri Jan 22 14:02:42 UTC 2003", machine, "(none)"]) {
    header.text(at, text);
    at += 65;
  }
  if (version === 1) {
    align(word);
    at += word === 4 ? 60 : 168;
  }
  align(timeWord);
  header.word(at, recipe.currentTask ?? 0xc1230000n, timeWord);
  at += timeWord;
  if (hasCompressField(recipe)) {
    header.u32(at, recipe.dhDumpCompress ?? { none: 0, rle: 1, gzip: 2 }[recipe.compress ?? "none"]);
    header.u32(at + 4, 0x8000_0000);
    header.u32(at + 8, 0x303);
    at += 12;
  }
  if (version >= 9) {
    header.u64(at, BigInt(recipe.bufferSize ?? recipe.firstPage ?? 65536));
    at += 8;
  }
  align(timeWord);
  header.u32(12, at);
  return header;
}

const REGISTER_COUNTS: Record<string, { words: number; word: 4 | 8; tail: number }> = {
  i686: { words: 15, word: 4, tail: 0 },
  x86_64: { words: 21, word: 8, tail: 0 },
  ppc64: { words: 44, word: 8, tail: 0 },
  ia64: { words: 44, word: 8, tail: 96 },
};

function archHeader(recipe: LkcdRecipe, arch: ArchRecipe, machine: string): Uint8Array {
  const le = recipe.littleEndian ?? true;
  const { words, word, tail } = REGISTER_COUNTS[machine]!;
  const bytes = new Bytes(65536, le);
  const registers = (at: number, cpu: number): number => {
    for (let i = 0; i < words; i++) bytes.word(at + i * word, arch.registerBase + BigInt(cpu) * 0x1000n + BigInt(i), word);
    return at + words * word + tail;
  };
  const version = arch.version ?? (machine === "x86_64" ? 2 : 5);
  bytes.u64(0, 0xdeaddeadn);
  bytes.u32(8, version);
  let at = 16;
  if (machine === "i686") {
    bytes.u32(16, 0xc1230f00);
    bytes.u32(20, 0xc0100000);
    at = 24;
  }
  if (machine === "ia64") {
    if (version >= 5) {
      bytes.u64(at, arch.kernelAddr ?? 0n);
      at += 8;
    }
    at += 8;
  }
  at = registers(at, arch.dumpingCpu);
  if (machine === "ia64") at += 24;
  if (!arch.old) {
    bytes.u32(at, arch.numCpus);
    bytes.u32(at + 4, arch.dumpingCpu);
    at += 8;
    for (let cpu = 0; cpu < arch.nrCpus; cpu++) at = cpu < arch.numCpus ? registers(at, cpu) : at + words * word + tail;
    for (const base of [0x10000000n, 0x20000000n, 0x30000000n]) {
      for (let cpu = 0; cpu < arch.nrCpus; cpu++) {
        if (cpu < arch.numCpus) bytes.word(at, base + BigInt(cpu) * 0x4000n, word);
        at += word;
      }
    }
  }
  bytes.u32(12, at);
  return bytes.bytes.subarray(0, at);
}

function record(recipe: LkcdRecipe, page: LkcdPage): Uint8Array {
  const pageSize = recipe.dumpPageSize ?? recipe.pageSize ?? 4096;
  const plain = page.bytes ?? pagePattern(page.pattern ?? "text", page.pfn, pageSize);
  const compress = hasCompressField(recipe) ? (recipe.compress ?? "none") : "rle";
  let data = plain;
  let flags = 1;
  const how = page.how ?? "auto";
  if (how === "empty") data = new Uint8Array(0);
  else if (how !== "raw" && compress !== "none") {
    const packed = compress === "rle" ? encodeRle(plain) : deflateSync(plain, { level: 9 });
    if (packed.length < plain.length || how === "compressed") {
      data = packed;
      flags = 2;
    }
  }
  data = page.data ?? data;
  if (recipe.mclx) flags |= 0x8000_0000;
  const out = new Bytes(16 + data.length, recipe.littleEndian ?? true);
  const address = recipe.mclx ? BigInt(page.pfn) : BigInt(page.pfn) * BigInt(pageSize) + BigInt(recipe.kernelBase ?? 0);
  out.u64(0, page.address ?? address);
  out.u32(8, page.size ?? data.length);
  out.u32(12, page.flags ?? flags);
  out.bytes.set(data, 16);
  return out.bytes;
}

/** Builds the dump. */
export function writeLkcd(recipe: LkcdRecipe): Uint8Array {
  const le = recipe.littleEndian ?? true;
  const word = recipe.wordSize ?? 8;
  const header = dumpHeader(recipe);
  const firstPage = recipe.firstPage ?? 65536;
  const front = new Uint8Array(firstPage);
  const headerSize = header.view.getUint32(12, le);
  front.set(header.bytes.subarray(0, Math.min(1024, firstPage)));
  if (recipe.arch) {
    const machine = recipe.machine ?? (word === 8 ? (le ? "x86_64" : "ppc64") : "i686");
    const at = headerSize + (recipe.mclx === "cache" ? 32768 : 0);
    front.set(archHeader(recipe, recipe.arch, machine).subarray(0, firstPage - at), at);
  }
  const parts: Uint8Array[] = [new Uint8Array(recipe.deviceOffset ?? 0), front, ...recipe.pages.map((page) => record(recipe, page))];
  if (recipe.end !== "none") {
    const end = new Bytes(16, le);
    end.u64(0, 0x6d6d6d6d6d6d6d6dn);
    end.u32(12, recipe.end === "truncated" ? 12 : 4);
    parts.push(end.bytes, new Uint8Array(500).fill(0x6d));
  }
  return Buffer.concat(parts);
}
