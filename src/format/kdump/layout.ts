import type { Fields } from "../../bytes/index.ts";

/**
 * Kdump-compressed files ("diskdump family"). Field names as in makedumpfile:diskdump_mod.h (struct disk_dump_header,
 * struct kdump_sub_header, struct page_desc); offsets in bytes.
 */
export const KDUMP_SIGNATURE = "KDUMP   ";
export const DISKDUMP_SIGNATURE = "DISKDUMP";

export const DUMP_DH_COMPRESSED_ZLIB = 0x1;
export const DUMP_DH_COMPRESSED_LZO = 0x2;
export const DUMP_DH_COMPRESSED_SNAPPY = 0x4;
export const DUMP_DH_COMPRESSED_INCOMPLETE = 0x8;
export const DUMP_DH_EXCLUDED_VMEMMAP = 0x10;
export const DUMP_DH_COMPRESSED_ZSTD = 0x20;

/** sizeof(struct page_desc): offset s64, size u32, flags u32, page_flags u64. */
export const PAGE_DESC_SIZE = 24;

/** struct disk_dump_header after utsname, for one word size. */
export interface HeaderLayout {
  readonly timestamp: number;
  readonly status: number;
  readonly block_size: number;
  readonly sub_hdr_size: number;
  readonly bitmap_blocks: number;
  readonly max_mapnr: number;
  readonly total_ram_blocks: number;
  readonly device_blocks: number;
  readonly written_blocks: number;
  readonly current_cpu: number;
  readonly nr_cpus: number;
  readonly size: number;
}

export const HEADER64: HeaderLayout = {
  timestamp: 408,
  status: 424,
  block_size: 428,
  sub_hdr_size: 432,
  bitmap_blocks: 436,
  max_mapnr: 440,
  total_ram_blocks: 444,
  device_blocks: 448,
  written_blocks: 452,
  current_cpu: 456,
  nr_cpus: 460,
  size: 464,
};
export const HEADER32: HeaderLayout = {
  timestamp: 404,
  status: 412,
  block_size: 416,
  sub_hdr_size: 420,
  bitmap_blocks: 424,
  max_mapnr: 428,
  total_ram_blocks: 432,
  device_blocks: 436,
  written_blocks: 440,
  current_cpu: 444,
  nr_cpus: 448,
  size: 452,
};

/** Parsed kdump sub header; fields that the version does not have are 0. */
export interface SubHeader {
  readonly phys_base: bigint;
  readonly dump_level: number;
  readonly split: number;
  readonly start_pfn: number;
  readonly end_pfn: number;
  readonly offset_vmcoreinfo: number;
  readonly size_vmcoreinfo: number;
  readonly offset_note: number;
  readonly size_note: number;
  readonly offset_eraseinfo: number;
  readonly size_eraseinfo: number;
  readonly max_mapnr_64: number;
}

export interface SubLayout {
  readonly dump_level: number;
  readonly split: number;
  readonly start_pfn: number;
  readonly end_pfn: number;
  readonly offset_vmcoreinfo: number;
  readonly size_vmcoreinfo: number;
  readonly offset_note: number;
  readonly size_note: number;
  readonly offset_eraseinfo: number;
  readonly size_eraseinfo: number;
  readonly start_pfn_64: number;
  readonly end_pfn_64: number;
  readonly max_mapnr_64: number;
  readonly size: number;
}

export const SUB64: SubLayout = {
  dump_level: 8,
  split: 12,
  start_pfn: 16,
  end_pfn: 24,
  offset_vmcoreinfo: 32,
  size_vmcoreinfo: 40,
  offset_note: 48,
  size_note: 56,
  offset_eraseinfo: 64,
  size_eraseinfo: 72,
  start_pfn_64: 80,
  end_pfn_64: 88,
  max_mapnr_64: 96,
  size: 104,
};
/** i386 packs s64 fields to 4 bytes. */
const SUB32_PACKED: SubLayout = {
  dump_level: 4,
  split: 8,
  start_pfn: 12,
  end_pfn: 16,
  offset_vmcoreinfo: 20,
  size_vmcoreinfo: 28,
  offset_note: 32,
  size_note: 40,
  offset_eraseinfo: 44,
  size_eraseinfo: 52,
  start_pfn_64: 56,
  end_pfn_64: 64,
  max_mapnr_64: 72,
  size: 80,
};
/** ARM, MIPS and PPC32 align them to 8. */
const SUB32_ALIGNED: SubLayout = {
  dump_level: 4,
  split: 8,
  start_pfn: 12,
  end_pfn: 16,
  offset_vmcoreinfo: 24,
  size_vmcoreinfo: 32,
  offset_note: 40,
  size_note: 48,
  offset_eraseinfo: 56,
  size_eraseinfo: 64,
  start_pfn_64: 72,
  end_pfn_64: 80,
  max_mapnr_64: 88,
  size: 96,
};

/** sizeof(struct kdump_sub_header) is at most this. */
export const SUB_HEADER_MAX = 104;

/**
 * Parses the sub header of a given header version; a field newer than the version is 0.
 *
 * @param fileSize tells the two 32-bit packings apart: offset_vmcoreinfo must point after block 1 and into the file
 *   (formats.md 5.1.2; libkdumpfile:src/kdumpfile/diskdump.c reaches the same by trying both).
 */
export function parseSubHeader(fields: Fields, version: number, blockSize: number, fileSize: number): SubHeader {
  let layout = SUB64;
  if (fields.wordSize === 4) {
    const offset = fields.u64n(SUB32_PACKED.offset_vmcoreinfo);
    const size = fields.u32(SUB32_PACKED.size_vmcoreinfo);
    const plausible = (offset === 0 && size === 0) || (offset > blockSize && offset + size <= fileSize);
    layout = version < 3 || plausible ? SUB32_PACKED : SUB32_ALIGNED;
  }
  const from = (first: number, read: () => number): number => (version >= first ? read() : 0);
  return {
    phys_base: fields.wordSize === 8 ? fields.s64(0) : BigInt(fields.s32(0)),
    dump_level: from(1, () => fields.s32(layout.dump_level)),
    split: from(2, () => fields.s32(layout.split)),
    start_pfn: version >= 6 ? fields.u64n(layout.start_pfn_64) : from(2, () => fields.wordn(layout.start_pfn)),
    end_pfn: version >= 6 ? fields.u64n(layout.end_pfn_64) : from(2, () => fields.wordn(layout.end_pfn)),
    offset_vmcoreinfo: from(3, () => fields.u64n(layout.offset_vmcoreinfo)),
    size_vmcoreinfo: from(3, () => fields.wordn(layout.size_vmcoreinfo)),
    offset_note: from(4, () => fields.u64n(layout.offset_note)),
    size_note: from(4, () => fields.wordn(layout.size_note)),
    offset_eraseinfo: from(5, () => fields.u64n(layout.offset_eraseinfo)),
    size_eraseinfo: from(5, () => fields.wordn(layout.size_eraseinfo)),
    max_mapnr_64: from(6, () => fields.u64n(layout.max_mapnr_64)),
  };
}
