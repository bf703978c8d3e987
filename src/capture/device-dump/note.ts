import { DumpError } from "../../bytes/index.ts";
import { NT_VMCOREDD } from "../../format/elf/note.ts";

/*
 * The note of a device dump, as the kernel builds it (linux:include/uapi/linux/vmcore.h:vmcoredd_header, filled by
 * linux:fs/proc/vmcore.c:vmcoredd_write_header):
 *
 *     0   n_namesz u32 = 8, n_descsz u32 = total - 20, n_type u32 = 0x700
 *     12  name[8] = "LINUX"
 *     20  dump_name[44], NUL padded
 *     64  the device's bytes, then zeros up to a whole page
 *
 * Its size is a multiple of the page, so that every note begins on a page and can be mapped. The length of the data is lost.
 */

/** sizeof(struct vmcoredd_header), in bytes. */
export const VMCOREDD_HEADER_SIZE = 64;
/** VMCOREDD_MAX_NAME_BYTES: dump_name with its NUL. */
export const VMCOREDD_MAX_NAME_BYTES = 44;
const NAME_OFFSET = 12;
const DUMP_NAME_OFFSET = 20;
/** Smallest page of any architecture with a /proc/vmcore. */
export const DEFAULT_PAGE_SIZE = 4096;
const MAX_PAGE_SIZE = 1 << 20;

/** What a device said, under a name. */
export interface DeviceDump {
  /** 1 to 43 bytes of UTF-8 without control characters. */
  readonly name: string;
  readonly data: Uint8Array;
}

/** Bytes of the whole note of `size` bytes of data. */
export function noteSize(size: number, pageSize: number): number {
  return Math.ceil((VMCOREDD_HEADER_SIZE + size) / pageSize) * pageSize;
}

/** The most data one note can hold: n_descsz is a u32. */
export function maxDumpSize(pageSize: number): number {
  return Math.floor(0xffff_ffff / pageSize) * pageSize - VMCOREDD_HEADER_SIZE;
}

/** @throws BAD_ARGUMENT unless it is a power of two, 4096 to 1 MiB. */
export function checkPageSize(pageSize: number): number {
  if (!(pageSize >= DEFAULT_PAGE_SIZE && pageSize <= MAX_PAGE_SIZE && Number.isInteger(Math.log2(pageSize))))
    throw new DumpError("BAD_ARGUMENT", `page size ${pageSize} is not a power of two from ${DEFAULT_PAGE_SIZE} to ${MAX_PAGE_SIZE}`);
  return pageSize;
}

/** @throws BAD_ARGUMENT for a name that does not fit dump_name, is empty, or would not survive a terminal. */
export function checkName(name: string): string {
  const length = Buffer.byteLength(name);
  if (length === 0) throw new DumpError("BAD_ARGUMENT", "a device dump needs a name");
  if (length >= VMCOREDD_MAX_NAME_BYTES)
    throw new DumpError(
      "BAD_ARGUMENT",
      `the name ${JSON.stringify(name)} is ${length} bytes long, a device dump's has at most ${VMCOREDD_MAX_NAME_BYTES - 1}`,
    );
  // eslint-disable-next-line no-control-regex
  if (/[\0-\x1f\x7f]/.test(name)) throw new DumpError("BAD_ARGUMENT", `the name ${JSON.stringify(name)} has control characters`);
  return name;
}

/** @throws BAD_ARGUMENT for a size that no note can hold. */
export function checkSize(size: number, pageSize: number): number {
  const limit = maxDumpSize(pageSize);
  if (!(Number.isInteger(size) && size >= 1 && size <= limit))
    throw new DumpError("BAD_ARGUMENT", `a device dump of ${size} bytes: 1 to ${limit} are possible`);
  return size;
}

/**
 * Zeros for `size` bytes of data, with room for the note's header before them and its padding behind, so that {@link encodeNote}
 * need not copy them: a capture kernel has little memory.
 */
export function allocateData(size: number, pageSize: number): Uint8Array {
  return new Uint8Array(new ArrayBuffer(noteSize(size, pageSize)), VMCOREDD_HEADER_SIZE, size);
}

/**
 * The whole note, a multiple of `pageSize` long. Data out of {@link allocateData} (same page size) are used where they are; others
 * are copied.
 *
 * @throws BAD_ARGUMENT for a name or size that do not fit.
 */
export function encodeNote(dump: DeviceDump, pageSize: number = DEFAULT_PAGE_SIZE, littleEndian = true): Uint8Array {
  checkPageSize(pageSize);
  checkName(dump.name);
  const { data } = dump;
  checkSize(data.length, pageSize);
  const total = noteSize(data.length, pageSize);
  const inPlace = data.byteOffset === VMCOREDD_HEADER_SIZE && data.buffer.byteLength === total;
  const note = inPlace ? new Uint8Array(data.buffer) : new Uint8Array(total);
  note.fill(0, 0, VMCOREDD_HEADER_SIZE);
  if (inPlace) note.fill(0, VMCOREDD_HEADER_SIZE + data.length);
  else note.set(data, VMCOREDD_HEADER_SIZE);
  const view = new DataView(note.buffer);
  view.setUint32(0, DUMP_NAME_OFFSET - NAME_OFFSET, littleEndian);
  view.setUint32(4, total - DUMP_NAME_OFFSET, littleEndian);
  view.setUint32(8, NT_VMCOREDD, littleEndian);
  note.set(Buffer.from("LINUX", "latin1"), NAME_OFFSET);
  note.set(Buffer.from(dump.name), DUMP_NAME_OFFSET);
  return note;
}
