import { DumpError } from "../../bytes/index.ts";
import { type RecordType, typeId, typeName } from "../record.ts";
import type { ZoneSlot } from "../slot.ts";

/*
 * pstore/zone, under pstore/blk and mtdpstore (linux:fs/pstore/zone.c). One zone (struct psz_buffer; `datalen` and `start`
 * stand the other way round than in ramoops):
 *
 *   0    u32 sig      PSZ_SIG XOR pstore_type_id
 *   4    s32 datalen  valid bytes
 *   8    s32 start    where the next byte of the ring goes; may equal the capacity
 *   12   data
 *
 * In dmesg zones data begins with struct psz_kmsg_header, whose size depends on the machine:
 *
 *         64 bits and 32 bits that align s64 to 8      i386
 *   magic      u32   0                                 0
 *   tv_sec     s64   8                                 4
 *   tv_nsec    long  16                                12
 *   compressed u8    24                                16
 *   counter    u32   28                                20
 *   reason     u32   32                                24
 *   (sizeof)         40                                28
 */

export const PSZ_SIG: number = 0x43474244;
export const PSZ_HEADER_SIZE: number = 12;
export const SIG: number = 0;
export const DATALEN: number = 4;
export const START: number = 8;
export const PSTORE_KMSG_HEADER_MAGIC: number = 0x4dfc3ae5;

/** Every zone is a whole number of sectors. */
export const SECTOR_SIZE: number = 512;
/** The kernel uses no more of a device (linux:fs/pstore/zone.c:register_pstore_zone). */
export const MAX_DEVICE: number = 128 * 1024 * 1024;

/** The parameters of pstore/zone, in bytes; `totalSize` is the device's. */
export interface PszSizes {
  readonly totalSize: number;
  readonly kmsgSize: number;
  readonly pmsgSize: number;
  readonly consoleSize: number;
  readonly ftraceSize: number;
  /** Of the 2023 series, and of our recorder; no released kernel has it. */
  readonly ttySize: number;
}

/** Where a device's zones lie. */
export interface PszLayout {
  /** Ascending by offset. */
  readonly slots: readonly ZoneSlot[];
  readonly littleEndian: boolean;
}

/** The type that a zone's signature names, or undefined where it is none. */
export function typeOfSignature(sig: number): RecordType | undefined {
  const id = (sig ^ PSZ_SIG) >>> 0;
  return id < 16 ? typeName(id) : undefined;
}

/** Signature of a type's zones. */
export function signatureOf(type: RecordType): number {
  return (PSZ_SIG ^ typeId(type)) >>> 0;
}

/**
 * The zones of a device, ascending (linux:fs/pstore/zone.c:psz_alloc_zones; the tty zone is the 2023 series').
 *
 * @param cpus possible CPUs of the writer: each has an ftrace zone.
 * @throws BAD_ARGUMENT where the kernel would refuse the sizes.
 */
export function pszZones(sizes: PszSizes, cpus: number): ZoneSlot[] {
  const totalSize = Math.min(sizes.totalSize, MAX_DEVICE);
  const named = { kmsg_size: sizes.kmsgSize, pmsg_size: sizes.pmsgSize, console_size: sizes.consoleSize, tty_size: sizes.ttySize };
  for (const [name, size] of Object.entries(named)) {
    if (!(size >= 0) || size % SECTOR_SIZE !== 0) {
      throw new DumpError("BAD_ARGUMENT", `${name} is ${size}; it must be a multiple of ${SECTOR_SIZE} bytes`);
    }
  }
  const slots: ZoneSlot[] = [];
  let offset = 0;
  const add = (type: RecordType, size: number, count: number): void => {
    for (let index = 0; index < count; index++, offset += size) slots.push({ type, index, offset, size });
    if (offset > totalSize) throw new DumpError("BAD_ARGUMENT", `the device has ${totalSize} bytes, zones up to ${type} need ${offset}`);
  };
  if (sizes.pmsgSize > 0) add("pmsg", sizes.pmsgSize, 1);
  if (sizes.consoleSize > 0) add("console", sizes.consoleSize, 1);
  if (sizes.ttySize > 0) add("tty", sizes.ttySize, 1);
  const share = Math.floor(sizes.ftraceSize / Math.max(1, cpus));
  if (share > PSZ_HEADER_SIZE) add("ftrace", share, Math.floor(sizes.ftraceSize / share));
  // What the kernel leaves for dmesg is counted from the sizes, not from where the ftrace zones ended.
  const rest = totalSize - sizes.pmsgSize - sizes.consoleSize - sizes.ttySize - sizes.ftraceSize;
  if (sizes.kmsgSize > 0 && rest > 0) add("dmesg", sizes.kmsgSize, Math.floor(rest / sizes.kmsgSize));
  if (slots.length === 0) throw new DumpError("BAD_ARGUMENT", "all sizes are 0: kmsg_size, pmsg_size, console_size, ftrace_size, tty_size");
  return slots;
}
