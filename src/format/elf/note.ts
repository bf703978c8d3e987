import { decodeLatin1, DumpError, Fields } from "../../bytes/index.ts";
import type { DumpProblem, ElfNote } from "../dump.ts";

/** Owner name of notes that the kernel makes for device dumps, and their type (linux:include/uapi/linux/vmcore.h). */
export const NT_VMCOREDD = 0x700;
/** A whole note area of a machine with thousands of CPUs and device dumps of megabytes stays under this. */
export const MAX_NOTE_AREA: number = 256 * 1024 * 1024;
const MAX_NOTES = 1_000_000;

/**
 * Splits a note area: n_namesz, n_descsz, n_type (u32 each), name and desc each padded to 4, in both classes
 * (linux:fs/proc/vmcore.c:update_note_header_size_elf64). A header of zeros ends it. A note that claims more than the
 * area holds ends the walk with a problem; the notes before it are kept.
 *
 * @param base file offset of `area`, for {@link ElfNote.offset}.
 */
export function parseNotes(area: Uint8Array, base: number, littleEndian: boolean, problems: DumpProblem[]): ElfNote[] {
  const fields = new Fields(area, littleEndian, 8, "ELF notes");
  const notes: ElfNote[] = [];
  let at = 0;
  while (at + 12 <= area.length) {
    const namesz = fields.u32(at);
    const descsz = fields.u32(at + 4);
    const type = fields.u32(at + 8);
    if (namesz === 0 && descsz === 0) break;
    const descAt = at + 12 + pad4(namesz);
    if (descAt + descsz > area.length) {
      problems.push({
        code: "CORRUPT",
        message: `note at file offset ${base + at} claims ${namesz} bytes of name and ${descsz} of content, its area has ${area.length - at - 12} left`,
      });
      break;
    }
    if (notes.length >= MAX_NOTES) throw new DumpError("LIMIT", `more than ${MAX_NOTES} ELF notes`, { at: base + at });
    notes.push({ name: fields.text(at + 12, namesz), type, desc: area.subarray(descAt, descAt + descsz), offset: base + at });
    at = descAt + pad4(descsz);
  }
  return notes;
}

function pad4(size: number): number {
  return Math.ceil(size / 4) * 4;
}

/** The VMCOREINFO text among the notes (owner `VMCOREINFO`), or undefined. */
export function vmcoreinfoOf(notes: readonly ElfNote[]): string | undefined {
  const note = notes.find((n) => n.name === "VMCOREINFO");
  return note && decodeLatin1(note.desc).replace(/\0+$/, "");
}
