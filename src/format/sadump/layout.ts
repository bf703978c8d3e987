import type { Fields } from "../../bytes/index.ts";

/**
 * sadump: Fujitsu's stand-alone dump, written by the firmware of PRIMERGY and PRIMEQUEST machines. x86, little-endian,
 * no documentation from its maker.
 *
 * ```
 * single partition   partition header, dump header, sub header, bitmap, dumpable bitmap, pages
 * disk set, disk 1   partition header, disk set header, dump header, sub header, bitmap, dumpable bitmap, pages
 * disk set, others   partition header, pages
 * media backup       media header, then as a single partition
 * ```
 *
 * Everything is in blocks of block_size bytes, which is the page size too. Pages are raw, one block each, in the order
 * of the bits in the dumpable bitmap; of a disk set, the page areas follow one another as one.
 *
 * Field names as in crash:sadump.h and makedumpfile:sadump_mod.h; libkdumpfile:src/kdumpfile/sadump.c describes the
 * three kinds. Offsets in bytes.
 */
export const SADUMP_SIGNATURE = "sadump\0\0";
/** Smallest block: the partition header with its 982 magic numbers fills it. */
export const SADUMP_DEFAULT_BLOCK_SIZE = 4096;
export const MAX_BLOCK_SIZE = 65536;
/** Offset of magicnum[] in the partition header. */
export const MAGICNUM_OFFSET = 168;
/** Bytes of the partition header before the magic numbers. */
export const PART_HEADER_SIZE = 168;
export const SADUMP_MAX_DISK_SET_NUM = 16;
/** sizeof(struct sadump_header) without the fields of version 1, and with them. */
export const DUMP_HEADER_SIZE_V0 = 84;
export const DUMP_HEADER_SIZE = 120;
/** sizeof(struct sadump_apic_state). */
export const APIC_STATE_SIZE = 16;
/** sizeof(struct sadump_smram_cpu_state). */
export const SMRAM_CPU_STATE_SIZE = 1024;
/** efi_time_t.timezone when nobody set it. */
export const EFI_UNSPECIFIED_TIMEZONE = 2047;
/** IA32_EFER.LMA: the CPU was in long mode. */
export const EFER_LMA: bigint = 1n << 10n;

/** 32 hex digits in the order of the bytes, grouped as crash prints them (crash:sadump.c:guid_to_str). */
export function guidText(fields: Fields, offset: number): string {
  let digits = "";
  for (let i = 0; i < 16; i++)
    digits += fields
      .u8(offset + i)
      .toString(16)
      .padStart(2, "0");
  return digits.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

function two(value: number): string {
  return String(value).padStart(2, "0");
}

/** efi_time_t as text: the local time as it stands, with the zone in minutes (local = UTC - timezone). */
export function efiTimeText(fields: Fields, offset: number): string {
  const timezone = (fields.u16(offset + 12) << 16) >> 16;
  const date = `${String(fields.u16(offset)).padStart(4, "0")}-${two(fields.u8(offset + 2))}-${two(fields.u8(offset + 3))}`;
  const time = `${two(fields.u8(offset + 4))}:${two(fields.u8(offset + 5))}:${two(fields.u8(offset + 6))}`;
  const zone = timezone === EFI_UNSPECIFIED_TIMEZONE ? "zone unknown" : `zone ${timezone} min`;
  return `${date} ${time}.${String(fields.u32(offset + 8)).padStart(9, "0")} (${zone})`;
}

/** struct sadump_part_header. */
export interface PartHeader {
  readonly enable: number;
  readonly reboot: number;
  readonly compress: number;
  readonly recycle: number;
  /** System, disk set and volume, as text: compared and shown. */
  readonly sadump_id: string;
  readonly disk_set_id: string;
  readonly vol_id: string;
  readonly time_stamp: string;
  /** 0: a single partition; 1 to 16: number of the disk in its set. */
  readonly set_disk_set: number;
  /** Bytes used on this volume, headers included. */
  readonly used_device: number;
}

export function parsePartHeader(fields: Fields): PartHeader {
  return {
    enable: fields.u32(8),
    reboot: fields.u32(12),
    compress: fields.u32(16),
    recycle: fields.u32(20),
    sadump_id: guidText(fields, 88),
    disk_set_id: guidText(fields, 104),
    vol_id: guidText(fields, 120),
    time_stamp: efiTimeText(fields, 136),
    set_disk_set: fields.u32(152),
    used_device: fields.u64n(160),
  };
}

/** struct sadump_media_header. */
export interface MediaHeader {
  readonly sadump_id: string;
  readonly disk_set_id: string;
  readonly time_stamp: string;
  /** 1 on the first medium; 0 has been seen too. */
  readonly sequential_num: number;
  readonly term_cord: number;
  readonly disk_set_header_size: number;
  readonly disks_in_use: number;
}

/** sizeof(struct sadump_media_header) without its padding. */
export const MEDIA_HEADER_SIZE = 52;

export function parseMediaHeader(fields: Fields): MediaHeader {
  return {
    sadump_id: guidText(fields, 0),
    disk_set_id: guidText(fields, 16),
    time_stamp: efiTimeText(fields, 32),
    sequential_num: fields.u8(48),
    term_cord: fields.u8(49),
    disk_set_header_size: fields.u8(50),
    disks_in_use: fields.u8(51),
  };
}

/** struct sadump_disk_set_header; `vol_info` as far as the header has room. */
export interface DiskSetHeader {
  /** Blocks. */
  readonly disk_set_header_size: number;
  readonly disk_num: number;
  readonly disk_set_size: bigint;
  readonly vol_info: readonly { readonly id: string; readonly vol_size: bigint; readonly status: number; readonly cache_size: number }[];
}

/** Bytes before vol_info[], and of each of its entries. */
export const DISK_SET_HEADER_SIZE = 16;
export const VOLUME_INFO_SIZE = 32;

/** @param fields the whole header, as many blocks as its first field says. */
export function parseDiskSetHeader(fields: Fields): DiskSetHeader {
  const disk_num = fields.u32(4);
  const room = Math.floor((fields.length - DISK_SET_HEADER_SIZE) / VOLUME_INFO_SIZE);
  const vol_info = [];
  for (let i = 0; i < Math.min(disk_num, SADUMP_MAX_DISK_SET_NUM, room); i++) {
    const at = DISK_SET_HEADER_SIZE + i * VOLUME_INFO_SIZE;
    vol_info.push({
      id: guidText(fields, at),
      vol_size: fields.u64(at + 16),
      status: fields.u32(at + 24),
      cache_size: fields.u32(at + 28),
    });
  }
  return { disk_set_header_size: fields.u32(0), disk_num, disk_set_size: fields.u64(8), vol_info };
}

/** struct sadump_header. The 64-bit fields are 0 in version 0. */
export interface DumpHeader {
  readonly header_version: number;
  readonly timestamp: string;
  readonly status: number;
  readonly compress: number;
  readonly block_size: number;
  readonly extra_hdr_size: number;
  readonly sub_hdr_size: number;
  readonly bitmap_blocks: number;
  readonly dumpable_bitmap_blocks: number;
  readonly max_mapnr: number;
  readonly total_ram_blocks: number;
  readonly device_blocks: number;
  readonly written_blocks: number;
  readonly current_cpu: number;
  readonly nr_cpus: number;
  readonly max_mapnr_64: number;
  readonly total_ram_blocks_64: number;
  readonly device_blocks_64: number;
  readonly written_blocks_64: number;
}

export function parseDumpHeader(fields: Fields): DumpHeader {
  const header_version = fields.u32(8);
  const wide = (offset: number): number => (header_version >= 1 ? fields.u64n(offset) : 0);
  return {
    header_version,
    timestamp: efiTimeText(fields, 16),
    status: fields.u32(32),
    compress: fields.u32(36),
    block_size: fields.u32(40),
    extra_hdr_size: fields.u32(44),
    sub_hdr_size: fields.u32(48),
    bitmap_blocks: fields.u32(52),
    dumpable_bitmap_blocks: fields.u32(56),
    max_mapnr: fields.u32(60),
    total_ram_blocks: fields.u32(64),
    device_blocks: fields.u32(68),
    written_blocks: fields.u32(72),
    current_cpu: fields.u32(76),
    nr_cpus: fields.u32(80),
    max_mapnr_64: wide(88),
    total_ram_blocks_64: wide(96),
    device_blocks_64: wide(104),
    written_blocks_64: wide(112),
  };
}
