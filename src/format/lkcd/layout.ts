import { DumpError, type Fields } from "../../bytes/index.ts";

/**
 * LKCD (Linux Kernel Crash Dump) files, versions 1 to 10.
 *
 * ```
 * base + 0              dump header                     dh_header_size bytes
 *      + dh_header_size architecture header             registers, one set a CPU
 *      + first page     page record, data, page record, data ... end record
 * ```
 *
 * `base` is 0 in a saved dump. On the dump device itself the swap header comes first: one page in the older
 * patches, 64 KiB in the newer ones (DUMP_HEADER_OFFSET).
 *
 * Field names as in the LKCD kernel patches (include/linux/dump.h, include/linux/vmdump.h). Layouts from there and
 * crash:lkcd_{vmdump_v1,vmdump_v2_v3,dump_v5,dump_v7,dump_v8}.h; libkdumpfile:src/kdumpfile/lkcd.c tells 32 from 64
 * bit as {@link headerLayout} does. Offsets in bytes.
 */
export const DUMP_MAGIC_NUMBER = 0xa8190173618f23edn;
/** A dump that was taken of a running system, and the image that a softboot left in memory. */
export const DUMP_MAGIC_LIVE = 0xa8190173618f23cdn;
/** s390-tools' stand-alone dump: the same first eight bytes but for one, and another format. */
export const DUMP_MAGIC_S390 = 0xa8190173618f23fdn;
/** dha_magic_number of every architecture. */
export const DUMP_ASM_MAGIC_NUMBER = 0xdeaddeadn;

/** Low bits of dh_version. */
export const LKCD_DUMP_VERSION_NUMBER_MASK = 0xf;
/** Mission Critical Linux: page records carry a frame number. In dh_version and in dp_flags. */
export const LKCD_DUMP_MCLX_V0 = 0x8000_0000;
/** Mission Critical Linux: a cache of page record offsets lies between the two headers. */
export const LKCD_DUMP_MCLX_V1 = 0x4000_0000;
/** sizeof(u64) times MCLX_PAGE_HEADERS (4096). */
export const MCLX_V1_PAGE_HEADER_CACHE: number = 8 * 4096;

export const DUMP_PANIC_LEN = 0x100;
/** Where the first page record is in versions before 9, and the 256 KiB that kernels with 64 KiB pages used. */
export const LKCD_OFFSET_TO_FIRST_PAGE = 65536;
export const LKCD_OFFSET_TO_FIRST_PAGE_64K = 262144;

export const DUMP_COMPRESS_NONE = 0;
export const DUMP_COMPRESS_RLE = 1;
export const DUMP_COMPRESS_GZIP = 2;

/** struct __dump_page: dp_address u64, dp_size u32, dp_flags u32. */
export const DUMP_PAGE_HEADER_SIZE = 16;
export const DUMP_DH_RAW = 0x1;
export const DUMP_DH_COMPRESSED = 0x2;
export const DUMP_DH_END = 0x4;
export const DUMP_DH_TRUNCATED = 0x8;
export const DUMP_DH_TEST_PATTERN = 0x10;
export const DUMP_DH_NOT_USED = 0x20;
/** Every bit that some writer sets; as an unsigned number. */
export const DUMP_DH_KNOWN = 0xc000_003f;

export const UTSNAME_FIELDS = ["sysname", "nodename", "release", "version", "machine", "domainname"] as const;
/** __NEW_UTS_LEN + 1. */
export const UTSNAME_ENTRY_SZ = 65;

/** Offsets of the dump header after dh_memory_end, for one group of versions and one word size. */
interface HeaderLayout {
  readonly dh_num_pages: number;
  readonly dh_panic_string: number;
  readonly dh_time: number;
  readonly dh_utsname: number;
  /** Undefined where struct pt_regs of an unknown machine lies before it. */
  readonly dh_current_task: number | undefined;
  /** dh_dump_compress, dh_dump_flags and dh_dump_device follow one another; undefined before they were there. */
  readonly dh_dump_compress: number | undefined;
  readonly dh_dump_buffer_size: number | undefined;
  /** Size of the words in dh_time and dh_current_task. */
  readonly word: 4 | 8;
  /** Bytes needed for all of the above. */
  readonly size: number;
}

const V1_32: HeaderLayout = {
  dh_num_pages: 56,
  dh_panic_string: 60,
  dh_time: 316,
  dh_utsname: 324,
  dh_current_task: 776,
  dh_dump_compress: undefined,
  dh_dump_buffer_size: undefined,
  word: 4,
  size: 780,
};
const V1_64: HeaderLayout = {
  dh_num_pages: 56,
  dh_panic_string: 60,
  dh_time: 320,
  dh_utsname: 336,
  dh_current_task: undefined,
  dh_dump_compress: undefined,
  dh_dump_buffer_size: undefined,
  word: 8,
  size: 728,
};
const V2_32: HeaderLayout = {
  dh_num_pages: 48,
  dh_panic_string: 52,
  dh_time: 308,
  dh_utsname: 316,
  dh_current_task: 708,
  dh_dump_compress: undefined,
  dh_dump_buffer_size: undefined,
  word: 4,
  size: 712,
};
const V2_64: HeaderLayout = {
  dh_num_pages: 48,
  dh_panic_string: 52,
  dh_time: 312,
  dh_utsname: 328,
  dh_current_task: 720,
  dh_dump_compress: undefined,
  dh_dump_buffer_size: undefined,
  word: 8,
  size: 728,
};
const V5_32: HeaderLayout = { ...V2_32, dh_dump_compress: 712, size: 724 };
const V5_64: HeaderLayout = { ...V2_64, dh_dump_compress: 728, size: 740 };
/** From version 8 the header is packed and its words are 64 bits on every machine. */
const V8: HeaderLayout = {
  dh_num_pages: 48,
  dh_panic_string: 52,
  dh_time: 308,
  dh_utsname: 324,
  dh_current_task: 714,
  dh_dump_compress: 722,
  dh_dump_buffer_size: undefined,
  word: 8,
  size: 734,
};
const V9: HeaderLayout = { ...V8, dh_dump_buffer_size: 734, size: 742 };

/** Enough bytes to hold any dump header. */
export const HEADER_READ = 1024;

/** Parsed dump header. Fields that the version does not have are undefined. */
export interface LkcdHeader {
  readonly dh_magic_number: bigint;
  /** All 32 bits; see {@link version}. */
  readonly dh_version: number;
  readonly dh_header_size: number;
  readonly dh_dump_level: number;
  readonly dh_page_size: number;
  /** In pages from version 5 on, and not reliable. */
  readonly dh_memory_size: bigint;
  /** PAGE_OFFSET of the crashed kernel. */
  readonly dh_memory_start: bigint;
  /** Version 8 kernels store the magic number here. */
  readonly dh_memory_end: bigint;
  /** Records written when the header was last updated; some kernels count the end record too. */
  readonly dh_num_pages: number;
  readonly dh_panic_string: string;
  /** Seconds and microseconds since 1970. */
  readonly dh_time: readonly [seconds: bigint, microseconds: bigint];
  readonly utsname: Readonly<Record<(typeof UTSNAME_FIELDS)[number], string>>;
  /** Address of the task_struct that was current on the dumping CPU. */
  readonly dh_current_task: bigint | undefined;
  readonly dh_dump_compress: number;
  readonly dh_dump_flags: number | undefined;
  readonly dh_dump_device: number | undefined;
  readonly dh_dump_buffer_size: bigint | undefined;
  /** 1 to 10. */
  readonly version: number;
  /** Word size of the crashed machine. */
  readonly wordSize: 4 | 8;
  /** False where no layout gives a readable system name: word size and later fields are then guesses. */
  readonly utsnameReadable: boolean;
}

/** Printable text that ends within its field and is not empty. */
function isName(fields: Fields, at: number): boolean {
  const text = fields.text(at, UTSNAME_ENTRY_SZ);
  return text.length > 0 && text.length < UTSNAME_ENTRY_SZ && /^[\x20-\x7e]+$/.test(text);
}

/** 2: says Linux; 1: readable; 0: not a utsname. */
function utsnameScore(fields: Fields, at: number): number {
  if (!isName(fields, at) || !isName(fields, at + 2 * UTSNAME_ENTRY_SZ) || !isName(fields, at + 4 * UTSNAME_ENTRY_SZ)) return 0;
  return fields.text(at, UTSNAME_ENTRY_SZ) === "Linux" ? 2 : 1;
}

/** The header does not state its word size before version 8: the place of the system name does. */
function headerLayout(fields: Fields, version: number, headerSize: number): HeaderLayout {
  if (version >= 8) return version >= 9 ? V9 : V8;
  const [narrow, wide] = version === 1 ? [V1_32, V1_64] : [V2_32, V2_64];
  const narrowScore = utsnameScore(fields, narrow.dh_utsname);
  const wideScore = utsnameScore(fields, wide.dh_utsname);
  // Neither is readable: the header's own size is all that is left.
  const isWide = narrowScore === wideScore ? headerSize >= wide.size && headerSize !== V5_32.size : wideScore > narrowScore;
  const older = isWide ? wide : narrow;
  const newer = isWide ? V5_64 : V5_32;
  // Nobody has seen version 4: it is taken as 5 when its header has room for what 5 added.
  return version >= 5 || (version === 4 && headerSize >= newer.size) ? newer : older;
}

/**
 * Parses the dump header.
 *
 * @param fields at least {@link HEADER_READ} bytes from the header's start, zero-filled where the file is shorter.
 * @throws UNSUPPORTED for a version that is not 1 to 10, CORRUPT for an impossible page size.
 */
export function parseHeader(fields: Fields): LkcdHeader {
  const dh_version = fields.u32(8);
  const version = dh_version & LKCD_DUMP_VERSION_NUMBER_MASK;
  const rest = dh_version & ~(LKCD_DUMP_VERSION_NUMBER_MASK | LKCD_DUMP_MCLX_V0 | LKCD_DUMP_MCLX_V1);
  if (version < 1 || version > 10 || rest !== 0) {
    throw new DumpError("UNSUPPORTED", `dh_version is 0x${dh_version.toString(16)}, versions 1 to 10 are known`, { at: 8 });
  }
  const dh_header_size = fields.u32(12);
  const dh_page_size = fields.u32(20);
  if (dh_page_size < 4096 || dh_page_size > 1 << 20 || (dh_page_size & (dh_page_size - 1)) !== 0) {
    throw new DumpError("CORRUPT", `dh_page_size is ${dh_page_size}, a page is a power of two from 4096 to ${1 << 20}`, { at: 20 });
  }
  const layout = headerLayout(fields, version, dh_header_size);
  const word = (at: number): bigint => (layout.word === 8 ? fields.u64(at) : BigInt(fields.u32(at)));
  const uts = (index: number): string => fields.text(layout.dh_utsname + UTSNAME_ENTRY_SZ * index, UTSNAME_ENTRY_SZ);
  const utsname = { sysname: uts(0), nodename: uts(1), release: uts(2), version: uts(3), machine: uts(4), domainname: uts(5) };
  const dh_memory_start = fields.u64(32);

  let taskAt = layout.dh_current_task;
  // Version 1 has the registers before it, of a size that depends on the machine; the task is the last member.
  if (taskAt === undefined && dh_header_size % 8 === 0 && dh_header_size >= layout.size + 8 && dh_header_size <= HEADER_READ) {
    taskAt = dh_header_size - 8;
  }
  const compressAt = layout.dh_dump_compress;
  let wordSize = layout.word;
  if (version >= 8) {
    wordSize = utsname.machine === "" ? (dh_memory_start >= 0x1_0000_0000n ? 8 : 4) : /64|s390x|alpha/.test(utsname.machine) ? 8 : 4;
  }
  return {
    dh_magic_number: fields.u64(0),
    dh_version,
    dh_header_size,
    dh_dump_level: fields.u32(16),
    dh_page_size,
    dh_memory_size: fields.u64(24),
    dh_memory_start,
    dh_memory_end: fields.u64(40),
    dh_num_pages: fields.u32(layout.dh_num_pages),
    dh_panic_string: fields.text(layout.dh_panic_string, DUMP_PANIC_LEN),
    dh_time: [word(layout.dh_time), word(layout.dh_time + layout.word)],
    utsname,
    dh_current_task: taskAt === undefined ? undefined : word(taskAt),
    // Versions without the field compress by RLE (crash:lkcd_v1.c, lkcd_v2_v3.c).
    dh_dump_compress: compressAt === undefined ? DUMP_COMPRESS_RLE : fields.u32(compressAt),
    dh_dump_flags: compressAt === undefined ? undefined : fields.u32(compressAt + 4),
    dh_dump_device: compressAt === undefined ? undefined : fields.u32(compressAt + 8),
    dh_dump_buffer_size: layout.dh_dump_buffer_size === undefined ? undefined : fields.u64(layout.dh_dump_buffer_size),
    version,
    wordSize,
    utsnameReadable: utsnameScore(fields, layout.dh_utsname) > 0,
  };
}

/** Bytes that the dump header of this version takes at least. */
export function headerSize(header: LkcdHeader): number {
  if (header.version >= 8) return header.version >= 9 ? V9.size : V8.size;
  if (header.version === 1) return header.wordSize === 8 ? V1_64.size : V1_32.size;
  const withCompress = header.dh_dump_flags !== undefined;
  if (header.wordSize === 8) return withCompress ? V5_64.size : V2_64.size;
  return withCompress ? V5_32.size : V2_32.size;
}
