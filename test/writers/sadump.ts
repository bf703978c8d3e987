import { type PagePattern, pagePattern } from "./page-pattern.ts";

/**
 * Makes tiny sadump volumes from recipes. Written from the format description alone, not from src/format/sadump.
 */
export interface SadumpRecipe {
  readonly kind: "single" | "diskset" | "media";
  readonly headerVersion?: number;
  readonly blockSize?: number;
  readonly maxMapnr: number;
  /** Frames in any order; `exclude`: RAM without a dumpable bit. */
  readonly pages: readonly SadumpPage[];
  /** Disk set: pages on each disk, in order; the rest goes to the last. */
  readonly pagesPerDisk?: readonly number[];
  /** Which entry of vol_info describes disk 2: 0 as crash has it, 1 as libkdumpfile. */
  readonly volInfoOf2?: 0 | 1;
  readonly cpus?: readonly CpuRecipe[];
  /** sequential_num of a media backup. */
  readonly sequentialNum?: number;
  /** Spoils one magic number. */
  readonly badMagic?: boolean;
}

export interface SadumpPage {
  readonly pfn: number;
  readonly pattern?: PagePattern;
  readonly exclude?: boolean;
}

export interface CpuRecipe {
  readonly apicId: number;
  readonly unused?: boolean;
  readonly rip: bigint;
  readonly rsp: bigint;
  readonly cr3: bigint;
  readonly efer: bigint;
  readonly idtBase: bigint;
}

const SYSTEM_ID = "0123456789abcdef0123456789abcdef";
const SET_ID = "00112233445566778899aabbccddeeff";
export const volumeId = (disk: number): string => `a0b0c0d0e0f0a1b1c1d1e1f1a2b2c2${disk.toString(16).padStart(2, "0")}`;

class Block {
  readonly bytes: Uint8Array;
  readonly view: DataView;

  constructor(size: number) {
    this.bytes = new Uint8Array(size);
    this.view = new DataView(this.bytes.buffer);
  }

  u32(at: number, value: number): void {
    this.view.setUint32(at, value, true);
  }

  u64(at: number, value: bigint): void {
    this.view.setBigUint64(at, value, true);
  }

  hex(at: number, digits: string): void {
    this.bytes.set(Buffer.from(digits, "hex"), at);
  }

  text(at: number, text: string): void {
    this.bytes.set(Buffer.from(text, "latin1"), at);
  }

  /** 2024-02-29 23:59:58.000000007, nine hours east. */
  time(at: number): void {
    this.view.setUint16(at, 2024, true);
    this.bytes.set([2, 29, 23, 59, 58, 0], at + 2);
    this.u32(at + 8, 7);
    this.view.setInt16(at + 12, -540, true);
  }
}

function partHeader(recipe: SadumpRecipe, blockSize: number, disk: number, usedDevice: number): Uint8Array {
  const block = new Block(blockSize);
  block.text(0, "sadump\0\0");
  block.u32(8, 1);
  block.u32(12, 60);
  block.u32(16, 1);
  block.u32(20, 1);
  block.hex(88, SYSTEM_ID);
  block.hex(104, SET_ID);
  block.hex(120, volumeId(disk));
  block.time(136);
  block.u32(152, recipe.kind === "diskset" ? disk : 0);
  block.u64(160, BigInt(usedDevice));
  let magic = 0x1234567;
  for (let at = 168; at < blockSize; at += 4) {
    block.u32(at, magic);
    magic = Number(BigInt.asUintN(32, (BigInt(magic) + 7n) * 11n));
  }
  if (recipe.badMagic) block.u32(1000, 0);
  return block.bytes;
}

function subHeader(recipe: SadumpRecipe, blockSize: number): Uint8Array {
  const cpus = recipe.cpus ?? [];
  if (cpus.length === 0) return new Uint8Array(0);
  const size = 4 + cpus.length * (16 + 1024);
  const block = new Block(Math.ceil(size / blockSize) * blockSize);
  block.u32(0, cpus.length * 1024);
  for (const [i, cpu] of cpus.entries()) {
    block.u64(4 + i * 16, BigInt(cpu.apicId));
    block.u64(12 + i * 16, BigInt(1 << i));
    const at = 4 + cpus.length * 16 + i * 1024;
    // Reserved fields of an unused entry hold garbage.
    block.bytes.fill(0x5a, at, at + 464);
    if (cpu.unused) continue;
    block.u32(at + 472, Number(cpu.idtBase >> 32n));
    block.u32(at + 660, Number(cpu.idtBase & 0xffffffffn));
    block.u32(at + 664, 0xfff);
    block.u32(at + 576, 0x3506e0);
    for (const [r, offset] of [796, 804, 812, 820, 828, 836, 844, 852, 860, 868, 876, 884].entries())
      block.u64(at + offset, BigInt(0xf0 + r));
    block.u64(at + 892, cpu.rsp);
    for (const [r, offset] of [900, 908, 916].entries()) block.u64(at + offset, BigInt(0xd0 + r));
    block.u32(at + 940, 0x10);
    block.u64(at + 984, cpu.rip);
    block.u64(at + 992, cpu.efer);
    block.u64(at + 1000, 0x46n);
    block.u64(at + 1008, cpu.cr3);
    block.u64(at + 1016, 0x80050033n);
  }
  return block.bytes;
}

/** Builds the volumes: one, or the disks of the set in order. */
export function writeSadump(recipe: SadumpRecipe): Uint8Array[] {
  const blockSize = recipe.blockSize ?? 4096;
  const version = recipe.headerVersion ?? 1;
  const disks = recipe.kind === "diskset" ? (recipe.pagesPerDisk ?? [1, 1]).length : 1;
  const bitmapBlocks = Math.max(1, Math.ceil(recipe.maxMapnr / 8 / blockSize));
  const bitmap = new Uint8Array(bitmapBlocks * blockSize);
  const dumpable = new Uint8Array(bitmapBlocks * blockSize);
  for (const { pfn, exclude } of recipe.pages) {
    const bit = 128 >> (pfn % 8);
    const byte = Math.floor(pfn / 8);
    bitmap[byte]! |= bit;
    if (!exclude) dumpable[byte]! |= bit;
  }
  const stored = recipe.pages.filter(({ exclude }) => !exclude).toSorted((a, b) => a.pfn - b.pfn);
  const data = stored.map(({ pfn, pattern }) => pagePattern(pattern ?? "text", pfn, blockSize));
  const sub = subHeader(recipe, blockSize);

  const header = new Block(blockSize);
  header.text(0, "sadump\0\0");
  header.u32(8, version);
  header.time(16);
  header.u32(40, blockSize);
  header.u32(48, sub.length / blockSize);
  header.u32(52, bitmapBlocks);
  header.u32(56, bitmapBlocks);
  header.u32(60, version === 0 ? recipe.maxMapnr : 0);
  header.u32(64, version === 0 ? recipe.pages.length : 0);
  header.u32(80, recipe.cpus?.length ?? 1);
  if (version >= 1) {
    header.u64(88, BigInt(recipe.maxMapnr));
    header.u64(96, BigInt(recipe.pages.length));
  }
  const front = [header.bytes, sub, bitmap, dumpable];

  const setHeader = new Block(blockSize);
  setHeader.u32(0, 1);
  setHeader.u32(4, disks);
  setHeader.u64(8, 0x100000n);
  for (let disk = 2; disk <= disks; disk++) {
    const at = 16 + (disk - 2 + (recipe.volInfoOf2 ?? 0)) * 32;
    setHeader.hex(at, volumeId(disk));
    setHeader.u64(at + 16, 0x80000n);
  }

  if (recipe.kind === "media") {
    const media = new Block(blockSize);
    media.hex(0, SYSTEM_ID);
    media.hex(16, SET_ID);
    media.time(32);
    media.bytes[48] = recipe.sequentialNum ?? 1;
    const length = 2 * blockSize + [...front, ...data].reduce((sum, part) => sum + part.length, 0);
    return [Buffer.concat([media.bytes, partHeader(recipe, blockSize, 1, length), ...front, ...data])];
  }
  const perDisk = recipe.kind === "diskset" ? (recipe.pagesPerDisk ?? [1, 1]) : [];
  const volumes: Uint8Array[] = [];
  let next = 0;
  for (let disk = 1; disk <= disks; disk++) {
    const count = disk === disks ? data.length - next : perDisk[disk - 1]!;
    const pages = data.slice(next, next + count);
    next += count;
    const rest = disk === 1 ? (recipe.kind === "diskset" ? [setHeader.bytes, ...front] : front) : [];
    const length = blockSize + [...rest, ...pages].reduce((sum, part) => sum + part.length, 0);
    volumes.push(Buffer.concat([partHeader(recipe, blockSize, disk, length), ...rest, ...pages]));
  }
  return volumes;
}
