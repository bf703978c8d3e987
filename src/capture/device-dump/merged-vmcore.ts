import { type ByteSource, DumpError, Fields, lastAtOrBelow, readExactly } from "../../bytes/index.ts";
import { FileSource } from "../../format/file-source.ts";
import {
  ELF32,
  ELF64,
  ELFCLASS32,
  ELFCLASS64,
  ELFDATA2LSB,
  ELFDATA2MSB,
  ELFMAG,
  type ElfLayout,
  ET_CORE,
  PN_XNUM,
  PT_NOTE,
} from "../../format/elf/layout.ts";
import { checkPageSize, DEFAULT_PAGE_SIZE, type DeviceDump, encodeNote } from "./note.ts";

const MAX_PROGRAM_HEADERS = 1_000_000;
/** Notes looked at for VMCOREINFO; a machine with the most CPUs Linux knows (8192) has that many and a few. */
const MAX_NOTES_WALKED = 20_000;
const MAX_VMCOREINFO = 64 * 1024;
const PT_NULL = 0;
const P_ALIGN: Readonly<Record<4 | 8, number>> = { 4: 28, 8: 48 };

interface ElfCore {
  readonly layout: ElfLayout;
  readonly littleEndian: boolean;
  readonly wordSize: 4 | 8;
  /** Copies of the file's header and of its table of program headers, for patching. */
  readonly ehdr: Uint8Array;
  readonly table: Uint8Array;
  readonly phoff: number;
  readonly phentsize: number;
  readonly phnum: number;
  /** Section header 0, which holds the real e_phnum where that does not fit; 0 without one. */
  readonly shoff: number;
}

/** A range of the original file whose bytes are replaced. */
interface Overlay {
  readonly at: number;
  readonly bytes: Uint8Array;
}

/** How to merge. */
export interface MergeOptions {
  /** Of the capture kernel. Default: PAGESIZE of the vmcore's VMCOREINFO (the crashed kernel's, as a rule the same), else 4096. */
  readonly pageSize?: number;
}

/**
 * An ELF vmcore with device dumps as its first notes, as the kernel shows them (linux:fs/proc/vmcore.c:__read_vmcore,
 * vmcoredd_update_program_headers): the notes go in where the first PT_NOTE begins, that program header grows, and all that lies
 * behind moves on by whole pages. Nothing of the vmcore is copied but its headers. Device dumps of the kernel's own stay, after ours.
 *
 * Ours come first because what follows may end in zeros, which readers take for the end of the notes.
 */
export class MergedVmcore implements ByteSource {
  readonly name: string;
  readonly size: number;
  readonly pageSize: number;
  /** File offset of the note segment, where the inserted notes begin. */
  readonly noteOffset: number;
  /** Bytes of the note segment (p_filesz): inserted and original notes. */
  readonly noteSize: number;
  /** Bytes by which the vmcore grew. */
  readonly insertedSize: number;
  readonly #source: ByteSource;
  readonly #overlays: readonly Overlay[];
  readonly #pieces: readonly Uint8Array[];
  /** Where each piece begins in the inserted bytes. */
  readonly #starts: Float64Array;

  /**
   * @param source an ELF core of either class and byte order, with notes. Closed with this.
   * @param dumps in the order in which they shall appear.
   * @throws CORRUPT, UNSUPPORTED or TRUNCATED for a file whose headers do not allow it, LIMIT where 32-bit offsets overflow,
   *   BAD_ARGUMENT for a dump that no note can hold.
   */
  constructor(source: ByteSource, dumps: readonly DeviceDump[], options: MergeOptions = {}) {
    this.#source = source;
    this.name = source.name;
    const core = readCore(source);
    const segment = findNotes(core, source);
    this.pageSize = checkPageSize(options.pageSize ?? pageSizeOf(source, segment.offset, segment.filesz, core.littleEndian));
    this.#pieces = dumps.map((dump) => encodeNote(dump, this.pageSize, core.littleEndian));
    this.#starts = new Float64Array(dumps.length);
    let inserted = 0;
    this.#pieces.forEach((piece, i) => {
      this.#starts[i] = inserted;
      inserted += piece.length;
    });
    this.insertedSize = inserted;
    this.noteOffset = segment.offset;
    this.noteSize = segment.filesz + inserted;
    this.size = source.size + inserted;
    if (inserted > 0) patch(core, segment, inserted);
    this.#overlays = [
      { at: 0, bytes: core.ehdr },
      { at: core.phoff, bytes: core.table },
    ];
  }

  read(offset: number, into: Uint8Array): number {
    if (!(offset >= 0)) return 0;
    const wanted = Math.min(into.length, this.size - offset);
    const end = this.noteOffset + this.insertedSize;
    let done = 0;
    while (done < wanted) {
      const at = offset + done;
      let part: Uint8Array;
      if (at < this.noteOffset) {
        part = into.subarray(done, Math.min(wanted, this.noteOffset - offset));
        if (this.#readOriginal(at, part) < part.length) return done;
      } else if (at < end) {
        const inserted = at - this.noteOffset;
        const index = lastAtOrBelow(this.#starts, inserted);
        const from = inserted - this.#starts[index]!;
        part = this.#pieces[index]!.subarray(from, from + wanted - done);
        into.set(part, done);
      } else {
        part = into.subarray(done, wanted);
        return done + this.#readOriginal(at - this.insertedSize, part);
      }
      done += part.length;
    }
    return done;
  }

  /** Reads what was at an offset before the notes were inserted, with the headers as they are now. */
  #readOriginal(at: number, into: Uint8Array): number {
    const got = this.#source.read(at, into);
    for (const overlay of this.#overlays) {
      const from = Math.max(at, overlay.at);
      const to = Math.min(at + got, overlay.at + overlay.bytes.length);
      if (from < to) into.set(overlay.bytes.subarray(from - overlay.at, to - overlay.at), from - at);
    }
    return got;
  }

  /**
   * The counterpart of mmap: whole pages of the note segment.
   *
   * @param offset from the beginning of the segment, a multiple of the page size.
   * @param length in bytes; rounded up to whole pages and cut at the segment's last page.
   * @returns a view of the dump's own memory where one device dump holds the range, else a copy. What lies between the end of the
   *   notes and the end of the last page is zero. To be read, not written. Shorter, or empty, at the segment's end.
   * @throws BAD_ARGUMENT for an offset inside a page, LIMIT above 256 MiB.
   */
  noteView(offset: number, length: number): Uint8Array {
    const { pageSize } = this;
    if (!(Number.isSafeInteger(offset) && offset >= 0 && offset % pageSize === 0 && length >= 0))
      throw new DumpError("BAD_ARGUMENT", `a view of ${length} bytes at ${offset} does not begin on a page of ${pageSize} bytes`, {
        at: offset,
      });
    const pages = Math.ceil(this.noteSize / pageSize) * pageSize;
    const end = Math.min(pages, offset + Math.ceil(length / pageSize) * pageSize);
    if (end <= offset) return new Uint8Array();
    const index = lastAtOrBelow(this.#starts, offset);
    if (index >= 0) {
      const piece = this.#pieces[index]!;
      const from = offset - this.#starts[index]!;
      if (from < piece.length && end - this.#starts[index]! <= piece.length) return piece.subarray(from, end - this.#starts[index]!);
    }
    if (end - offset > 256 * 1024 * 1024)
      throw new DumpError("LIMIT", `a view of ${end - offset} bytes over several notes; ask for it in parts`, { at: offset });
    const view = new Uint8Array(end - offset);
    this.read(this.noteOffset + offset, view.subarray(0, Math.min(end, this.noteSize) - offset));
    return view;
  }

  close(): void {
    this.#source.close();
  }
}

/**
 * Opens a vmcore. Of `/proc/vmcore` the size is taken from its own program headers: stat() goes on telling the size from before a
 * driver added a device dump, if anybody had looked at the file by then (seen on 6.1).
 */
export function openVmcore(path = "/proc/vmcore"): FileSource {
  const source = new FileSource(path);
  if (!path.startsWith("/proc/")) return source;
  try {
    const size = sizeByHeaders(source);
    if (size <= source.size || !Number.isSafeInteger(size)) return source;
    source.close();
    return new FileSource(path, size);
  } catch (error) {
    source.close();
    throw error;
  }
}

/** Where the last range of an ELF core ends, by its program headers. In bytes. */
export function sizeByHeaders(source: ByteSource): number {
  const { layout, littleEndian, wordSize, table, phentsize, phnum } = readCore(source);
  const fields = new Fields(table, littleEndian, wordSize, "program headers");
  let end = 0;
  for (let i = 0; i < phnum; i++) {
    const at = i * phentsize;
    end = Math.max(end, fields.wordn(at + layout.p_offset) + fields.wordn(at + layout.p_filesz));
  }
  return end;
}

function readCore(source: ByteSource): ElfCore {
  const ident = readExactly(source, 0, 16, "ELF identification");
  if (!ELFMAG.every((byte, i) => ident[i] === byte))
    throw new DumpError("UNSUPPORTED", `${source.name} is no ELF file; device dumps are merged into /proc/vmcore or an ELF copy of it`);
  if ((ident[4] !== ELFCLASS32 && ident[4] !== ELFCLASS64) || (ident[5] !== ELFDATA2LSB && ident[5] !== ELFDATA2MSB))
    throw new DumpError("UNSUPPORTED", `EI_CLASS is ${ident[4]} and EI_DATA ${ident[5]}, 1 and 2 are known of both`);
  const wordSize = ident[4] === ELFCLASS64 ? 8 : 4;
  const littleEndian = ident[5] === ELFDATA2LSB;
  const layout = wordSize === 8 ? ELF64 : ELF32;
  const ehdr = readExactly(source, 0, layout.ehsize, "ELF header");
  const header = new Fields(ehdr, littleEndian, wordSize, "ELF header");
  if (header.u16(16) !== ET_CORE) throw new DumpError("UNSUPPORTED", `${source.name} has e_type ${header.u16(16)}, a core has ${ET_CORE}`);
  const shoff = header.wordn(layout.e_shoff);
  let phnum = header.u16(layout.e_phnum);
  if (phnum === PN_XNUM && shoff !== 0)
    phnum = new Fields(readExactly(source, shoff, layout.sh_info + 4, "section header 0"), littleEndian).u32(layout.sh_info);
  if (phnum > MAX_PROGRAM_HEADERS) throw new DumpError("LIMIT", `e_phnum is ${phnum}, the limit is ${MAX_PROGRAM_HEADERS}`);
  const phentsize = header.u16(layout.e_phentsize);
  if (phentsize < layout.phentsize)
    throw new DumpError("CORRUPT", `e_phentsize is ${phentsize}, a program header needs ${layout.phentsize}`);
  const phoff = header.wordn(layout.e_phoff);
  if (phoff < layout.ehsize) throw new DumpError("CORRUPT", `e_phoff is ${phoff}, inside the ELF header of ${layout.ehsize} bytes`);
  const table = readExactly(source, phoff, phnum * phentsize, "program headers");
  return { layout, littleEndian, wordSize, ehdr, table, phoff, phentsize, phnum, shoff };
}

interface NoteSegment {
  readonly index: number;
  readonly offset: number;
  readonly filesz: number;
}

/** The first PT_NOTE, checked to be a place where bytes can be inserted. */
function findNotes(core: ElfCore, source: ByteSource): NoteSegment {
  const { layout, phentsize, phnum } = core;
  const fields = new Fields(core.table, core.littleEndian, core.wordSize, "program headers");
  let found: NoteSegment | undefined;
  for (let i = 0; i < phnum && found === undefined; i++) {
    const at = i * phentsize;
    if (fields.u32(at) !== PT_NOTE) continue;
    const align = fields.wordn(at + P_ALIGN[core.wordSize]);
    // Notes padded to 8 have their content elsewhere; the kernel's are padded to 4, whatever p_align is (0, later 4).
    if (align > 4) throw new DumpError("UNSUPPORTED", `p_align of the notes is ${align}; device dumps can be added to notes padded to 4`);
    found = { index: i, offset: fields.wordn(at + layout.p_offset), filesz: fields.wordn(at + layout.p_filesz) };
  }
  if (found === undefined) throw new DumpError("UNSUPPORTED", `${source.name} has no PT_NOTE for device dumps to go into`);
  const { offset } = found;
  const tableEnd = core.phoff + core.table.length;
  if (offset > source.size)
    throw new DumpError("TRUNCATED", `the notes are at ${offset}, the file has ${source.size} bytes`, { at: offset });
  if (!Number.isSafeInteger(found.filesz)) throw new DumpError("CORRUPT", `the notes have ${found.filesz} bytes`, { at: offset });
  const inSection = core.shoff > 0 && offset > core.shoff && offset < core.shoff + layout.sh_info + 4;
  if (offset < layout.ehsize || (offset > core.phoff && offset < tableEnd) || inSection)
    throw new DumpError("CORRUPT", `the notes are at ${offset}, inside the file's headers`, { at: offset });
  for (let i = 0; i < phnum; i++) {
    const at = i * phentsize;
    const start = fields.wordn(at + layout.p_offset);
    const filesz = fields.wordn(at + layout.p_filesz);
    if (fields.u32(at) !== PT_NULL && start < offset && start + filesz > offset)
      throw new DumpError(
        "CORRUPT",
        `program header ${i} spans bytes ${start} to ${start + filesz}, the notes begin inside, at ${offset}`,
        {
          at: offset,
        },
      );
  }
  return found;
}

/** Brings the headers up to date with `inserted` more bytes at the notes' beginning. */
function patch(core: ElfCore, segment: NoteSegment, inserted: number): void {
  const { layout, phentsize, wordSize, littleEndian } = core;
  const grow = (bytes: Uint8Array, at: number, what: string): void => {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    if (wordSize === 8) {
      const value = view.getBigUint64(at, littleEndian) + BigInt(inserted);
      if (value >= 1n << 63n) throw new DumpError("CORRUPT", `${what} would become ${value}`);
      view.setBigUint64(at, value, littleEndian);
    } else {
      const value = view.getUint32(at, littleEndian) + inserted;
      if (value > 0xffff_ffff) throw new DumpError("LIMIT", `${what} would become ${value}, an ELF32 file has 32 bits for it`);
      view.setUint32(at, value, littleEndian);
    }
  };
  const fields = new Fields(core.table, littleEndian, wordSize, "program headers");
  for (let i = 0; i < core.phnum; i++) {
    const at = i * phentsize;
    if (fields.u32(at) === PT_NULL) continue;
    if (i === segment.index) {
      grow(core.table, at + layout.p_filesz, "p_filesz of the notes");
      // Cores of processes have 0 there: notes are no memory. The kernel makes it p_filesz.
      if (fields.wordn(at + layout.p_memsz) !== 0) grow(core.table, at + layout.p_memsz, "p_memsz of the notes");
    } else if (fields.wordn(at + layout.p_offset) >= segment.offset)
      grow(core.table, at + layout.p_offset, `p_offset of program header ${i}`);
  }
  if (core.phoff >= segment.offset) grow(core.ehdr, layout.e_phoff, "e_phoff");
  if (core.shoff >= segment.offset) grow(core.ehdr, layout.e_shoff, "e_shoff");
}

/** PAGESIZE of the VMCOREINFO note. Walks from header to header: device dumps of the kernel's own may be tens of megabytes. */
function pageSizeOf(source: ByteSource, offset: number, filesz: number, littleEndian: boolean): number {
  const end = Math.min(source.size, offset + filesz);
  let at = offset;
  for (let i = 0; i < MAX_NOTES_WALKED && at + 12 <= end; i++) {
    const header = new Fields(readExactly(source, at, 12, "note header"), littleEndian);
    const namesz = header.u32(0);
    const descsz = header.u32(4);
    const descAt = at + 12 + Math.ceil(namesz / 4) * 4;
    if ((namesz === 0 && descsz === 0) || descAt + descsz > end) break;
    if (namesz === 11 && new Fields(readExactly(source, at + 12, 11, "note name"), littleEndian).text(0, 11) === "VMCOREINFO") {
      const text = Buffer.from(readExactly(source, descAt, Math.min(descsz, MAX_VMCOREINFO), "VMCOREINFO")).toString("latin1");
      const pageSize = Number(/^PAGESIZE=(\d+)$/m.exec(text)?.[1]);
      if (pageSize >= DEFAULT_PAGE_SIZE && pageSize <= 1 << 20 && Number.isInteger(Math.log2(pageSize))) return pageSize;
      break;
    }
    at = descAt + Math.ceil(descsz / 4) * 4;
  }
  return DEFAULT_PAGE_SIZE;
}
