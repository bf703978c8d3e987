import { asPfn, type ByteSource, DumpError, Fields, hex, lastAtOrBelow, MAX_PADDR, type Pfn, readExactly } from "../../bytes/index.ts";
import type { DumpFile, DumpProblem, ElfNote, FormatProbe, InfoSection, PageState } from "../dump.ts";
import {
  DUMP_ELF_INCOMPLETE,
  ELF32,
  ELF64,
  ELFCLASS32,
  ELFCLASS64,
  ELFDATA2LSB,
  ELFDATA2MSB,
  ELFMAG,
  type ElfLayout,
  ET_CORE,
  MACHINES,
  PN_XNUM,
  PT_LOAD,
  PT_NOTE,
} from "./layout.ts";
import { MAX_NOTE_AREA, parseNotes, vmcoreinfoOf } from "./note.ts";

/** makedumpfile splits memory into many ranges on a large, fragmented machine; this many is 56 MB of headers. */
const MAX_PROGRAM_HEADERS = 1_000_000;
/** Target page size of a core that does not say it; VMCOREINFO's PAGESIZE wins. */
const DEFAULT_PAGE_SIZE = 4096;

interface Segment {
  readonly offset: number;
  readonly vaddr: bigint;
  readonly paddr: number;
  readonly filesz: number;
  readonly memsz: number;
}

/** An ELF core file: `/proc/vmcore` or a copy, makedumpfile -E, QEMU's dump-guest-memory. */
class ElfDump implements DumpFile {
  readonly format = "elf";
  readonly pageSize: number;
  readonly littleEndian: boolean;
  readonly wordSize: 4 | 8;
  readonly arch: string | undefined;
  readonly maxPfn: number;
  readonly notes: readonly ElfNote[];
  readonly vmcoreinfo: string | undefined;
  readonly problems: DumpProblem[] = [];
  readonly #source: ByteSource;
  readonly #header: Fields;
  readonly #layout: ElfLayout;
  readonly #loads: Segment[] = [];
  readonly #phnum: number;
  /** Disjoint stored ranges sorted by address: start, end (exclusive), file offset of start. */
  readonly #starts: Float64Array;
  readonly #ends: Float64Array;
  readonly #offsets: Float64Array;
  /** Ranges that p_memsz covers and p_filesz does not, sorted by start: what makedumpfile -E left out. */
  readonly #excluded: { start: number; end: number }[] = [];
  /** The loads sorted by address. */
  readonly #ordered: readonly Segment[];

  constructor(source: ByteSource) {
    this.#source = source;
    const ident = readExactly(source, 0, 16, "ELF identification");
    if (ident[4] !== ELFCLASS32 && ident[4] !== ELFCLASS64)
      throw new DumpError("UNSUPPORTED", `EI_CLASS is ${ident[4]}, 1 (32-bit) or 2 (64-bit) is known`);
    if (ident[5] !== ELFDATA2LSB && ident[5] !== ELFDATA2MSB)
      throw new DumpError("UNSUPPORTED", `EI_DATA is ${ident[5]}, 1 (little) or 2 (big endian) is known`);
    this.wordSize = ident[4] === ELFCLASS64 ? 8 : 4;
    this.littleEndian = ident[5] === ELFDATA2LSB;
    this.#layout = this.wordSize === 8 ? ELF64 : ELF32;
    const layout = this.#layout;
    this.#header = new Fields(readExactly(source, 0, layout.ehsize, "ELF header"), this.littleEndian, this.wordSize, "ELF header");
    const type = this.#header.u16(16);
    if (type !== ET_CORE)
      throw new DumpError(
        "UNSUPPORTED",
        `${source.name} is an ELF file of type ${type}, a core has type ${ET_CORE}${type === 2 || type === 3 ? " (a vmlinux is given with --vmlinux)" : ""}`,
      );
    this.arch = MACHINES[this.#header.u16(18)];
    this.#phnum = this.#realPhnum();
    this.notes = this.#readProgramHeaders();
    this.vmcoreinfo = vmcoreinfoOf(this.notes);
    const pageSize = Number(/^PAGESIZE=(\d+)$/m.exec(this.vmcoreinfo ?? "")?.[1] ?? DEFAULT_PAGE_SIZE);
    this.pageSize = pageSize >= 512 && pageSize <= 1 << 20 && (pageSize & (pageSize - 1)) === 0 ? pageSize : DEFAULT_PAGE_SIZE;

    const disjoint = disjointStored(this.#loads);
    this.#starts = Float64Array.from(disjoint, (range) => range.start);
    this.#ends = Float64Array.from(disjoint, (range) => range.end);
    this.#offsets = Float64Array.from(disjoint, (range) => range.offset);
    let top = 0;
    let beyond = 0;
    for (const load of this.#loads) {
      top = Math.max(top, load.paddr + load.memsz);
      if (load.memsz > load.filesz) this.#excluded.push({ start: load.paddr + load.filesz, end: load.paddr + load.memsz });
      beyond += Math.max(0, Math.min(load.filesz, load.offset + load.filesz - source.size));
    }
    this.#excluded.sort((a, b) => a.start - b.start);
    this.#ordered = this.#loads.toSorted((a, b) => a.paddr - b.paddr);
    this.maxPfn = Math.ceil(top / this.pageSize);
    if (beyond > 0)
      this.problems.push({
        code: "TRUNCATED",
        message: `the program headers promise ${beyond} bytes after the end of the file (${source.size} bytes)`,
      });
    if (this.#loads.length === 0)
      this.problems.push({ code: "NOT_STORED", message: "no PT_LOAD program header: the file holds no memory" });
    if (this.#header.u32(layout.e_flags) & DUMP_ELF_INCOMPLETE)
      this.problems.push({ code: "TRUNCATED", message: "e_flags says that the writer ran out of space" });
  }

  #realPhnum(): number {
    const layout = this.#layout;
    const phnum = this.#header.u16(layout.e_phnum);
    if (phnum !== PN_XNUM) return phnum;
    const shoff = this.#header.wordn(layout.e_shoff);
    if (shoff === 0) return phnum;
    return new Fields(readExactly(this.#source, shoff, layout.sh_info + 4, "section header 0"), this.littleEndian).u32(layout.sh_info);
  }

  #readProgramHeaders(): ElfNote[] {
    const layout = this.#layout;
    const phentsize = this.#header.u16(layout.e_phentsize);
    if (this.#phnum > 0 && phentsize < layout.phentsize)
      throw new DumpError("CORRUPT", `e_phentsize is ${phentsize}, a program header needs ${layout.phentsize}`);
    if (this.#phnum > MAX_PROGRAM_HEADERS) throw new DumpError("LIMIT", `e_phnum is ${this.#phnum}, the limit is ${MAX_PROGRAM_HEADERS}`);
    const phoff = this.#header.wordn(layout.e_phoff);
    let count = this.#phnum;
    if (phoff + count * phentsize > this.#source.size) {
      const fits = Math.max(0, Math.floor((this.#source.size - phoff) / Math.max(1, phentsize)));
      this.problems.push({ code: "TRUNCATED", message: `e_phnum is ${count}, the file has room for ${fits} program headers` });
      count = Math.min(count, fits);
    }
    const table = new Fields(
      readExactly(this.#source, phoff, count * phentsize, "program headers"),
      this.littleEndian,
      this.wordSize,
      "program headers",
    );
    const notes: ElfNote[] = [];
    for (let i = 0; i < count; i++) {
      const at = i * phentsize;
      const type = table.u32(at);
      if (type !== PT_LOAD && type !== PT_NOTE) continue;
      const offset = table.wordn(at + layout.p_offset);
      const filesz = table.wordn(at + layout.p_filesz);
      if (type === PT_NOTE) notes.push(...this.#readNotes(offset, filesz));
      else {
        const segment = {
          offset,
          vaddr: table.word(at + layout.p_vaddr),
          paddr: table.wordn(at + layout.p_paddr),
          filesz,
          memsz: Math.max(filesz, table.wordn(at + layout.p_memsz)),
        };
        // /proc/kcore and some tools write -1 where there is no physical address.
        if (segment.paddr + segment.memsz > MAX_PADDR || !Number.isSafeInteger(offset + filesz)) {
          this.problems.push({
            code: "CORRUPT",
            message: `program header ${i} has p_paddr ${hex(segment.paddr)} and p_memsz ${hex(segment.memsz)}, beyond any physical memory`,
          });
        } else if (segment.memsz > 0) this.#loads.push(segment);
      }
    }
    return notes;
  }

  #readNotes(offset: number, filesz: number): ElfNote[] {
    const length = Math.min(filesz, Math.max(0, this.#source.size - offset));
    if (length < filesz)
      this.problems.push({ code: "TRUNCATED", message: `the notes need ${filesz} bytes at ${offset}, the file has ${length} of them` });
    if (length > MAX_NOTE_AREA) {
      this.problems.push({ code: "LIMIT", message: `the note area is ${length} bytes long, the limit is ${MAX_NOTE_AREA}` });
      return [];
    }
    return parseNotes(readExactly(this.#source, offset, length, "ELF notes", MAX_NOTE_AREA), offset, this.littleEndian, this.problems);
  }

  get segments(): { vaddr: bigint; paddr: number; size: number }[] {
    return this.#loads.map(({ vaddr, paddr, memsz }) => ({ vaddr, paddr, size: memsz }));
  }

  /** Index of the stored range that holds `address`, or -1. */
  #find(address: number): number {
    const index = lastAtOrBelow(this.#starts, address);
    return index >= 0 && address < this.#ends[index]! ? index : -1;
  }

  pageState(pfn: Pfn): PageState {
    const start = pfn * this.pageSize;
    const index = lastAtOrBelow(this.#starts, start + this.pageSize - 1);
    if (index >= 0 && this.#ends[index]! > start) return "stored";
    return this.#excluded.some((range) => range.start < start + this.pageSize && range.end > start) ? "excluded" : "absent";
  }

  readPage(pfn: Pfn, into: Uint8Array): void {
    const start = pfn * this.pageSize;
    const end = start + this.pageSize;
    let address = start;
    let stored = false;
    // Ranges need not begin or end on page boundaries (the first 4 KiB, reserved areas): stitch the page together.
    while (address < end) {
      const index = this.#find(address);
      if (index < 0) {
        const next = lastAtOrBelow(this.#starts, address) + 1;
        const until = Math.min(end, next < this.#starts.length ? this.#starts[next]! : end);
        into.fill(0, address - start, until - start);
        address = until;
        continue;
      }
      const until = Math.min(end, this.#ends[index]!);
      const offset = this.#offsets[index]! + (address - this.#starts[index]!);
      const part = address === start && until === end ? into : into.subarray(address - start, until - start);
      if (this.#source.read(offset, part) < part.length) {
        throw new DumpError("TRUNCATED", `page at ${hex(start)} would be at file offset ${offset}, the file ends at ${this.#source.size}`, {
          at: start,
        });
      }
      stored = true;
      address = until;
    }
    if (stored) return;
    if (this.pageState(pfn) === "excluded")
      throw new DumpError("EXCLUDED", `page at ${hex(start)} was left out of the dump (p_filesz is less than p_memsz there)`, {
        at: start,
      });
    throw new DumpError("NOT_STORED", `page at ${hex(start)} is in no PT_LOAD of the dump`, { at: start });
  }

  storedRanges(): Iterable<readonly [number, number]> | undefined {
    // makedumpfile -E leaves pages out.
    return this.#excluded.length > 0 ? undefined : this.#ranges();
  }

  *#ranges(): Iterable<readonly [number, number]> {
    let from = -1;
    let to = -1;
    for (let i = 0; i < this.#starts.length; i++) {
      const first = Math.floor(this.#starts[i]! / this.pageSize);
      // A header may promise what the file does not have.
      const inFile = this.#starts[i]! + Math.max(0, this.#source.size - this.#offsets[i]!);
      const last = Math.ceil(Math.min(this.#ends[i]!, inFile) / this.pageSize);
      if (last <= first) continue;
      if (first <= to && from >= 0) {
        to = Math.max(to, last);
        continue;
      }
      if (from >= 0) yield [from, to];
      [from, to] = [first, last];
    }
    if (from >= 0) yield [from, to];
  }

  readRun(pfn: Pfn, count: number, into: Uint8Array): number {
    const start = pfn * this.pageSize;
    const index = this.#find(start);
    if (index < 0) return 0;
    const pages = Math.min(count, Math.floor((this.#ends[index]! - start) / this.pageSize));
    if (pages === 0) return 0;
    const offset = this.#offsets[index]! + (start - this.#starts[index]!);
    const got = this.#source.read(offset, into.subarray(0, pages * this.pageSize));
    return Math.floor(got / this.pageSize);
  }

  nextStored(pfn: Pfn): Pfn | undefined {
    let from = pfn * this.pageSize;
    let index = Math.max(0, lastAtOrBelow(this.#starts, from + this.pageSize - 1));
    for (; index < this.#starts.length; index++) {
      // A header may promise terabytes that the file does not have: a scan must not walk through them.
      const inFile = this.#starts[index]! + Math.max(0, this.#source.size - this.#offsets[index]!);
      const end = Math.min(this.#ends[index]!, inFile);
      from = Math.max(from, this.#starts[index]!);
      if (from < end) return asPfn(Math.floor(from / this.pageSize));
    }
    return undefined;
  }

  *ramRanges(pfn: Pfn): Iterable<readonly [number, number]> {
    for (const { paddr, memsz } of this.#ordered) {
      const to = Math.ceil((paddr + memsz) / this.pageSize);
      if (to > pfn) yield [Math.floor(paddr / this.pageSize), to];
    }
  }

  info(): InfoSection[] {
    const header = this.#header;
    return [
      {
        title: "ELF header",
        fields: [
          ["class", this.wordSize === 8 ? "ELF64" : "ELF32"],
          ["data", this.littleEndian ? "little endian" : "big endian"],
          ["e_machine", `${header.u16(18)} (${this.arch ?? "unknown"})`],
          ["e_phoff", header.wordn(this.#layout.e_phoff)],
          ["e_phnum", this.#phnum],
          ["e_flags", hex(header.u32(this.#layout.e_flags))],
        ],
      },
      ...this.#loads.map((load, i): InfoSection => ({
        title: `PT_LOAD ${i}`,
        fields: [
          ["p_paddr", hex(load.paddr)],
          ["p_vaddr", hex(load.vaddr)],
          ["p_offset", load.offset],
          ["p_filesz", load.filesz],
          ["p_memsz", load.memsz],
        ],
      })),
    ];
  }

  close(): void {
    this.#source.close();
  }
}

/** Sorts the loads by address and cuts what an earlier one already covers (the kernel text is in RAM's range, too). */
function disjointStored(loads: readonly Segment[]): { start: number; end: number; offset: number }[] {
  const sorted = loads.filter((load) => load.filesz > 0).sort((a, b) => a.paddr - b.paddr);
  const ranges: { start: number; end: number; offset: number }[] = [];
  let covered = 0;
  for (const load of sorted) {
    const start = Math.max(load.paddr, covered);
    const end = load.paddr + load.filesz;
    if (end <= start) continue;
    ranges.push({ start, end, offset: load.offset + (start - load.paddr) });
    covered = end;
  }
  return ranges;
}

/** ELF core files. */
export const elfFormat: FormatProbe = {
  format: "elf",
  probe: (head) => ELFMAG.every((byte, i) => head[i] === byte),
  open: ([source]) => new ElfDump(source!),
};
