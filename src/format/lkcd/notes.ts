import { nodeZlib } from "../../codec/index.ts";
import type { DumpProblem, ElfNote } from "../dump.ts";
import { parseNotes } from "../elf/index.ts";

/**
 * ELF notes in an LKCD dump. LKCD has no place for them; a dump without VMCOREINFO tells less of today's kernels. They are put behind the
 * architecture header, in the room up to the first page record that LKCD's readers pass over: "LWNOTES1" in bytes, length of the notes
 * u32, their crc u32, then the notes as in a PT_NOTE segment. At an offset that is a multiple of 16.
 */
const NOTES_MAGIC = 0x3153_4554_4f4e_574cn;
const NOTES_HEADER = 16;

/** A note to be stored. */
export interface StoredNote {
  readonly name: string;
  readonly type: number;
  readonly desc: Uint8Array;
}

const pad4 = (size: number): number => Math.ceil(size / 4) * 4;

/** The notes with their header; empty where there are none. */
export function encodeNoteArea(notes: readonly StoredNote[]): Uint8Array {
  if (notes.length === 0) return new Uint8Array();
  const size = notes.reduce((sum, { name, desc }) => sum + 12 + pad4(name.length + 1) + pad4(desc.length), 0);
  const bytes = new Uint8Array(NOTES_HEADER + size);
  const view = new DataView(bytes.buffer);
  let at = NOTES_HEADER;
  for (const { name, type, desc } of notes) {
    view.setUint32(at, name.length + 1, true);
    view.setUint32(at + 4, desc.length, true);
    view.setUint32(at + 8, type, true);
    bytes.set(Buffer.from(name, "latin1"), at + 12);
    bytes.set(desc, at + 12 + pad4(name.length + 1));
    at += 12 + pad4(name.length + 1) + pad4(desc.length);
  }
  view.setBigUint64(0, NOTES_MAGIC, true);
  view.setUint32(8, size, true);
  view.setUint32(12, nodeZlib().crc32(bytes.subarray(NOTES_HEADER)), true);
  return bytes;
}

/**
 * The notes in the bytes between the architecture header and the first page record.
 *
 * @param base file offset of `room`.
 */
export function findNotes(room: Uint8Array, base: number, littleEndian: boolean, problems: DumpProblem[]): ElfNote[] {
  if (!littleEndian) return [];
  const view = new DataView(room.buffer, room.byteOffset, room.byteLength);
  for (let at = (16 - (base % 16)) % 16; at + NOTES_HEADER <= room.length; at += 16) {
    if (view.getUint32(at, true) === 0 || view.getBigUint64(at, true) !== NOTES_MAGIC) continue;
    const start = at + NOTES_HEADER;
    const size = view.getUint32(at + 8, true);
    const area = room.subarray(start, start + size);
    if (area.length < size || nodeZlib().crc32(area) !== view.getUint32(at + 12, true)) {
      problems.push({ code: "CORRUPT", message: `the notes at offset ${base + at} do not have their checksum; they are left out` });
      return [];
    }
    return parseNotes(area, base + start, true, problems);
  }
  return [];
}
