import { crc32 } from "node:zlib";
import { Fields } from "../../bytes/index.ts";

/**
 * A dump that stays in memory over a boot: LKCD's `memdev` (LKML, 6 February 2003, "Using kexec for crash dumps in LKCD", against
 * 2.5.59: drivers/dump/dump_memdev.c, include/linux/dumpdev.h), with the offsets that a compiler gives it on x86_64.
 *
 * ```
 * config block   magic, struct dump_memdev, struct dump_config, ...     crashdump= is its address
 *   └ root ─► indirect map: 511 frame numbers of direct maps, virtual address of the next indirect map or 0
 *               └► direct map: 512 frame numbers of data pages, 0 behind the last
 *                    └► data page k, bytes 4096 k to 4096 k + 4095 of the LKCD stream
 * ```
 *
 * The stream: headers, then one run of pages for each pass, least critical first, each beginning at a page, then the end record.
 *
 * The seed's layout has no checksum. Ours is in two places that its readers do not look at: an extension at {@link EXTENSION} of the
 * config block's page, behind the structures that the seed keeps there, with a checksum of that page; and the *page table*, pages of
 * their own, chained from the extension, with the frame number and checksum of every data page (see {@link TABLE_MAGIC}). The table is
 * a second copy of the maps: where a map is torn, it says what was there.
 */

/** dump_config_block.magic. */
export const DUMP_MAGIC_LIVE = 0xa8190173618f23cdn;
export const PAGE_SIZE = 4096;
/** Words in a map page. */
export const MAP_ENTRIES: number = PAGE_SIZE / 8;
/** Of an indirect map, the last word is the address of the next. */
export const INDIRECT_ENTRIES: number = MAP_ENTRIES - 1;

/** Offsets in the config block (x86_64). The ones behind `config` are copies of structures with pointers; they are left 0. */
export const CONFIG = {
  magic: 0,
  /** memdev.ddev.type_name, 32 bytes. */
  type_name: 8,
  /** memdev.ddev.device_id, u32. */
  device_id: 40,
  curr_offset: 72,
  /** memdev.indirect_map_root: virtual address. */
  indirect_map_root: 80,
  nr_free: 88,
  /** Bytes of the stream's space. */
  last_offset: 120,
  /** Where the last page of the stream begins. */
  last_used_offset: 128,
  /** config.level, config.flags: u32 each. */
  config_level: 144,
  config_flags: 148,
} as const;

/** device_id of a memdev. */
export const MEMDEV_ID = 0x14;
export const MEMDEV_NAME = "memdev";

/** Pointers are written in the direct map of an x86_64 kernel without KASLR (linux:Documentation/arch/x86/x86_64/mm.rst). */
export const PAGE_OFFSET = 0xffff_8880_0000_0000n;
/** Where kernels had it, 4 and 5 levels, since 2.5; 0: a plain physical address. No two are nearer than the memory they map. */
const PAGE_OFFSETS = [PAGE_OFFSET, 0xff11_0000_0000_0000n, 0xffff_8800_0000_0000n, 0xffff_8100_0000_0000n, 0x100_0000_0000n, 0n] as const;
/** No machine that LKCD's scheme is used on has more: 1 TiB. */
export const MAX_MEMORY: number = 2 ** 40;

export function virtualAddress(paddr: number): bigint {
  return PAGE_OFFSET + BigInt(paddr);
}

/** Physical address of a pointer into a direct map, or undefined. */
export function physicalAddress(pointer: bigint): number | undefined {
  for (const base of PAGE_OFFSETS) if (pointer >= base && pointer - base < BigInt(MAX_MEMORY)) return Number(pointer - base);
  return undefined;
}

/** Offset of our extension in the config block's page. */
export const EXTENSION = 3072;
/** "LWSOFTB1" in bytes. */
const EXTENSION_MAGIC = 0x3142_5446_4f53_574cn;
const EXTENSION_VERSION = 1;
/** As many as the seed's filter_table has entries. */
export const MAX_PASSES = 6;
const PASS_AT: number = EXTENSION + 96;
const PASS_SIZE = 40;
const PASS_NAME = 16;

/** One pass of the stream. */
export interface PassRecord {
  readonly name: string;
  /** Bit of dh_dump_level. */
  readonly level: number;
  /** Logical pages `[first, first + pages)` of the stream. */
  readonly first: number;
  readonly pages: number;
  /** Page records in it. */
  readonly records: number;
}

/** What the extension adds. */
export interface Extension {
  /** Also in each page of the table, so that pages of an older dump are not taken for this one's. */
  readonly id: number;
  /** Logical pages of the stream. */
  readonly pages: number;
  /** Physical address of the first page of the table. */
  readonly tableRoot: number;
  readonly tablePages: number;
  /** Records in all passes. */
  readonly records: number;
  /** Bits that were asked for; config.level has those that fitted. */
  readonly wantedLevel: number;
  /** The last pass does not have all its pages. */
  readonly truncated: boolean;
  readonly passes: readonly PassRecord[];
}

/** Parsed config block. */
export interface ConfigBlock {
  /** Physical address of the first indirect map; undefined where the pointer is none. */
  readonly root: number | undefined;
  readonly lastOffset: number;
  readonly lastUsedOffset: number;
  readonly level: number;
  readonly flags: number;
  /** Undefined where there is none: a dump that LKCD itself left. */
  readonly extension: Extension | undefined;
  /** False where there is an extension and its checksum is not that of the page. */
  readonly intact: boolean;
}

/** Fields of {@link ConfigBlock} to be written. */
export interface ConfigFields {
  readonly root: number;
  readonly level: number;
  readonly flags: number;
  readonly extension: Extension;
}

/** The whole page of the config block. */
export function encodeConfigBlock({ root, level, flags, extension }: ConfigFields): Uint8Array {
  const page = new Uint8Array(PAGE_SIZE);
  const view = new DataView(page.buffer);
  const word = (at: number, value: number | bigint): void => view.setBigUint64(at, BigInt(value), true);
  word(CONFIG.magic, DUMP_MAGIC_LIVE);
  page.set(Buffer.from(MEMDEV_NAME), CONFIG.type_name);
  view.setUint32(CONFIG.device_id, MEMDEV_ID, true);
  word(CONFIG.indirect_map_root, virtualAddress(root));
  word(CONFIG.last_offset, extension.pages * PAGE_SIZE);
  word(CONFIG.last_used_offset, Math.max(0, extension.pages - 1) * PAGE_SIZE);
  view.setUint32(CONFIG.config_level, level, true);
  view.setUint32(CONFIG.config_flags, flags, true);
  word(EXTENSION, EXTENSION_MAGIC);
  view.setUint32(EXTENSION + 8, EXTENSION_VERSION, true);
  view.setUint32(EXTENSION + 16, extension.id, true);
  view.setUint32(EXTENSION + 20, PAGE_SIZE, true);
  word(EXTENSION + 24, extension.pages);
  word(EXTENSION + 32, extension.tableRoot);
  word(EXTENSION + 40, extension.tablePages);
  word(EXTENSION + 48, extension.records);
  view.setUint32(EXTENSION + 56, extension.wantedLevel, true);
  view.setUint32(EXTENSION + 60, extension.truncated ? 1 : 0, true);
  view.setUint32(EXTENSION + 64, extension.passes.length, true);
  for (const [i, pass] of extension.passes.entries()) {
    const at = PASS_AT + i * PASS_SIZE;
    page.set(Buffer.from(pass.name, "latin1").subarray(0, PASS_NAME - 1), at);
    view.setUint32(at + 16, pass.level, true);
    view.setUint32(at + 20, pass.first, true);
    view.setUint32(at + 24, pass.pages, true);
    word(at + 32, pass.records);
  }
  view.setUint32(EXTENSION + 12, crc32(page), true);
  return page;
}

/** Whether a page begins as a config block does. */
export function hasMagic(page: Uint8Array): boolean {
  return (
    page[0] === 0xcd &&
    page[1] === 0x23 &&
    page[7] === 0xa8 &&
    new DataView(page.buffer, page.byteOffset, 8).getBigUint64(0, true) === DUMP_MAGIC_LIVE
  );
}

/** @returns undefined where there is no magic or no pages; nothing is thrown, whatever the bytes. */
export function parseConfigBlock(page: Uint8Array): ConfigBlock | undefined {
  if (page.length !== PAGE_SIZE || !hasMagic(page)) return undefined;
  const fields = new Fields(page, true, 8, "config block");
  const lastOffset = fields.u64n(CONFIG.last_offset);
  const lastUsedOffset = fields.u64n(CONFIG.last_used_offset);
  const pointer = physicalAddress(fields.u64(CONFIG.indirect_map_root));
  let intact = true;
  let extension: Extension | undefined;
  if (fields.u64(EXTENSION) === EXTENSION_MAGIC && fields.u32(EXTENSION + 8) === EXTENSION_VERSION) {
    const copy = page.slice();
    copy.fill(0, EXTENSION + 12, EXTENSION + 16);
    intact = crc32(copy) === fields.u32(EXTENSION + 12);
    const passes: PassRecord[] = [];
    for (let i = 0; i < Math.min(MAX_PASSES, fields.u32(EXTENSION + 64)); i++) {
      const at = PASS_AT + i * PASS_SIZE;
      passes.push({
        name: fields.text(at, PASS_NAME),
        level: fields.u32(at + 16),
        first: fields.u32(at + 20),
        pages: fields.u32(at + 24),
        records: fields.u64n(at + 32),
      });
    }
    extension = {
      id: fields.u32(EXTENSION + 16),
      pages: fields.u64n(EXTENSION + 24),
      tableRoot: fields.u64n(EXTENSION + 32),
      tablePages: fields.u64n(EXTENSION + 40),
      records: fields.u64n(EXTENSION + 48),
      wantedLevel: fields.u32(EXTENSION + 56),
      truncated: fields.u32(EXTENSION + 60) === 1,
      passes,
    };
  }
  return {
    root: pointer !== undefined && pointer % PAGE_SIZE === 0 ? pointer : undefined,
    lastOffset,
    lastUsedOffset,
    level: fields.u32(CONFIG.config_level),
    flags: fields.u32(CONFIG.config_flags),
    extension,
    intact,
  };
}

/**
 * First bytes of a page of the table, "LWSTABL1": magic u64, physical address of the next such page or 0 u64, id u32, index of its first
 * entry u32, number of entries u32, crc u32 of the page with this field 0; then the entries: frame number u64, crc u32 of the data page,
 * offset of the first record that begins in it u16 ({@link NO_RECORD}), bytes that are in use u16.
 */
export const TABLE_MAGIC = 0x314c_4241_5453_574cn;
const TABLE_HEADER = 32;
const TABLE_ENTRY = 16;
/** Entries in a page of the table. */
export const TABLE_ENTRIES: number = (PAGE_SIZE - TABLE_HEADER) / TABLE_ENTRY;
export const NO_RECORD = 0xffff;

/** What the table knows of one data page. */
export interface TableEntry {
  readonly pfn: number;
  readonly crc: number;
  readonly firstRecord: number;
  readonly used: number;
}

export function encodeTablePage(id: number, first: number, next: number, entries: readonly TableEntry[]): Uint8Array {
  const page = new Uint8Array(PAGE_SIZE);
  const view = new DataView(page.buffer);
  view.setBigUint64(0, TABLE_MAGIC, true);
  view.setBigUint64(8, BigInt(next), true);
  view.setUint32(16, id, true);
  view.setUint32(20, first, true);
  view.setUint32(24, entries.length, true);
  for (const [i, entry] of entries.entries()) {
    const at = TABLE_HEADER + i * TABLE_ENTRY;
    view.setBigUint64(at, BigInt(entry.pfn), true);
    view.setUint32(at + 8, entry.crc, true);
    view.setUint16(at + 12, entry.firstRecord, true);
    view.setUint16(at + 14, entry.used, true);
  }
  view.setUint32(28, crc32(page), true);
  return page;
}

/** @returns undefined where the page is none of this dump's table, or was changed since it was written. */
export function parseTablePage(page: Uint8Array, id: number): { first: number; next: number; entries: TableEntry[] } | undefined {
  const fields = new Fields(page, true, 8, "page table");
  const count = fields.u32(24);
  const first = fields.u32(20);
  if (fields.u64(0) !== TABLE_MAGIC || fields.u32(16) !== id || first % TABLE_ENTRIES !== 0 || count === 0 || count > TABLE_ENTRIES)
    return undefined;
  const copy = page.slice();
  copy.fill(0, 28, 32);
  if (crc32(copy) !== fields.u32(28)) return undefined;
  const entries: TableEntry[] = [];
  for (let i = 0; i < count; i++) {
    const at = TABLE_HEADER + i * TABLE_ENTRY;
    entries.push({ pfn: fields.u64n(at), crc: fields.u32(at + 8), firstRecord: fields.u16(at + 12), used: fields.u16(at + 14) });
  }
  return { first, next: fields.u64n(8), entries };
}
