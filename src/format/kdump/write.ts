import { DumpError } from "../../bytes/index.ts";
import type { ElfNote } from "../dump.ts";
import { HEADER64, KDUMP_SIGNATURE, SUB64 } from "./layout.ts";

/** Where the parts of a file lie, in bytes from its start. */
export interface KdumpGeometry {
  readonly blockSize: number;
  /** Blocks of the sub header with the notes. */
  readonly subHdrSize: number;
  /** Blocks of both bitmaps together. */
  readonly bitmapBlocks: number;
  readonly bitmap1At: number;
  readonly bitmap2At: number;
  readonly descriptorsAt: number;
}

/** Geometry of a file of so many frames with so many bytes of notes (formats.md 5.1.4). */
export function kdumpGeometry(maxMapnr: number, blockSize: number, notesSize: number): KdumpGeometry {
  const subHdrSize = Math.ceil((SUB64.size + notesSize) / blockSize);
  const bitmapBlocks = 2 * Math.ceil(Math.ceil(maxMapnr / 8) / blockSize);
  const bitmap1At = (1 + subHdrSize) * blockSize;
  const bitmap2At = bitmap1At + (bitmapBlocks / 2) * blockSize;
  return { blockSize, subHdrSize, bitmapBlocks, bitmap1At, bitmap2At, descriptorsAt: bitmap1At + bitmapBlocks * blockSize };
}

/** What the headers say besides the geometry. */
export interface KdumpHeader {
  /** sysname, nodename, release, version, machine, domainname. */
  readonly utsname: readonly string[];
  /** Seconds since 1970. */
  readonly timestamp: number;
  /** DUMP_DH_* bits. */
  readonly status: number;
  readonly maxMapnr: number;
  readonly nrCpus: number;
  readonly physBase: bigint;
  readonly dumpLevel: number;
  /** Frames `[start, end)` of this file where it is one of a set. */
  readonly split?: readonly [start: number, end: number];
  /** ELF notes as {@link encodeNotes} makes them, and where in them the text of VMCOREINFO is. */
  readonly notes: EncodedNotes;
  readonly eraseinfo?: { readonly offset: number; readonly size: number };
}

/**
 * Main header, sub header and notes of a version 6 file, 64-bit little-endian (makedumpfile:makedumpfile.c:
 * write_kdump_header): all that comes before the bitmaps.
 */
export function encodeKdumpHeader(header: KdumpHeader, geometry: KdumpGeometry): Uint8Array {
  const { blockSize } = geometry;
  const { notes } = header;
  const bytes = new Uint8Array(geometry.bitmap1At);
  const view = new DataView(bytes.buffer);
  const text = (at: number, value: string, room: number): void => {
    for (let i = 0; i < Math.min(value.length, room); i++) bytes[at + i] = value.charCodeAt(i);
  };
  text(0, KDUMP_SIGNATURE, 8);
  view.setInt32(8, 6, true);
  for (let i = 0; i < 6; i++) text(12 + i * 65, header.utsname[i] ?? "", 64);
  view.setBigUint64(HEADER64.timestamp, BigInt(header.timestamp), true);
  view.setUint32(HEADER64.status, header.status, true);
  view.setInt32(HEADER64.block_size, blockSize, true);
  view.setInt32(HEADER64.sub_hdr_size, geometry.subHdrSize, true);
  view.setUint32(HEADER64.bitmap_blocks, geometry.bitmapBlocks, true);
  // Readers of this version take the 64-bit field of the sub header; this one is what fits.
  view.setUint32(HEADER64.max_mapnr, Math.min(header.maxMapnr, 0xffff_ffff), true);
  view.setInt32(HEADER64.nr_cpus, header.nrCpus, true);
  const sub = blockSize;
  const notesAt = sub + SUB64.size;
  const word = (at: number, value: number): void => view.setBigUint64(sub + at, BigInt(value), true);
  view.setBigInt64(sub, header.physBase, true);
  view.setInt32(sub + SUB64.dump_level, header.dumpLevel, true);
  view.setInt32(sub + SUB64.split, header.split ? 1 : 0, true);
  const [start, end] = header.split ?? [0, 0];
  word(SUB64.start_pfn, start);
  word(SUB64.end_pfn, end);
  word(SUB64.offset_vmcoreinfo, notes.vmcoreinfoSize === 0 ? 0 : notesAt + notes.vmcoreinfoAt);
  word(SUB64.size_vmcoreinfo, notes.vmcoreinfoSize);
  word(SUB64.offset_note, notes.bytes.length === 0 ? 0 : notesAt);
  word(SUB64.size_note, notes.bytes.length);
  word(SUB64.offset_eraseinfo, header.eraseinfo?.offset ?? 0);
  word(SUB64.size_eraseinfo, header.eraseinfo?.size ?? 0);
  word(SUB64.start_pfn_64, start);
  word(SUB64.end_pfn_64, end);
  word(SUB64.max_mapnr_64, header.maxMapnr);
  bytes.set(notes.bytes, notesAt);
  return bytes;
}

/** ELF notes one behind the other. */
export interface EncodedNotes {
  readonly bytes: Uint8Array;
  /** Offset and size of VMCOREINFO's text in them; size 0 where there is none. */
  readonly vmcoreinfoAt: number;
  readonly vmcoreinfoSize: number;
}

const MAX_NOTES = 512 * 1024 * 1024;

/** Encodes notes with 4-byte alignment of name and content (linux:include/uapi/linux/elf.h:Elf64_Nhdr). @throws LIMIT. */
export function encodeNotes(notes: readonly ElfNote[]): EncodedNotes {
  const pad = (length: number): number => Math.ceil(length / 4) * 4;
  const size = notes.reduce((sum, { name, desc }) => sum + 12 + pad(nameSize(name)) + pad(desc.length), 0);
  if (size > MAX_NOTES) throw new DumpError("LIMIT", `the notes have ${size} bytes, the limit is ${MAX_NOTES}`);
  const bytes = new Uint8Array(size);
  const view = new DataView(bytes.buffer);
  let at = 0;
  let vmcoreinfoAt = 0;
  let vmcoreinfoSize = 0;
  for (const { name, type, desc } of notes) {
    view.setUint32(at, nameSize(name), true);
    view.setUint32(at + 4, desc.length, true);
    view.setUint32(at + 8, type, true);
    at += 12;
    for (let i = 0; i < name.length; i++) bytes[at + i] = name.charCodeAt(i);
    at += pad(nameSize(name));
    bytes.set(desc, at);
    if (name === "VMCOREINFO") {
      vmcoreinfoAt = at;
      vmcoreinfoSize = desc.length;
    }
    at += pad(desc.length);
  }
  return { bytes, vmcoreinfoAt, vmcoreinfoSize };
}

/** With the NUL; a device dump's name field is 8 bytes wide whatever is in it (linux:include/uapi/linux/vmcore.h). */
function nameSize(name: string): number {
  return name === "LINUX" ? 8 : name.length + 1;
}
