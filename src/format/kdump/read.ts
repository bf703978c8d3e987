import { asPfn, type ByteSource, DumpError, Fields, hex, isDumpError, latin1, type Pfn, readExactly } from "../../bytes/index.ts";
import { codecByName, type PageCodec } from "../../codec/index.ts";
import type { DumpFile, DumpProblem, ElfNote, FormatProbe, InfoSection, PageState } from "../dump.ts";
import { MAX_NOTE_AREA, parseNotes, vmcoreinfoOf } from "../elf/index.ts";
import { checkBitmap, FileBitmap } from "./bitmap.ts";
import {
  DISKDUMP_SIGNATURE,
  DUMP_DH_COMPRESSED_INCOMPLETE,
  DUMP_DH_COMPRESSED_LZO,
  DUMP_DH_COMPRESSED_SNAPPY,
  DUMP_DH_COMPRESSED_ZLIB,
  DUMP_DH_COMPRESSED_ZSTD,
  DUMP_DH_EXCLUDED_VMEMMAP,
  HEADER32,
  HEADER64,
  type HeaderLayout,
  KDUMP_SIGNATURE,
  PAGE_DESC_SIZE,
  parseSubHeader,
  SUB_HEADER_MAX,
  type SubHeader,
} from "./layout.ts";

/** 2^40 page frames of 4 KiB are 4 PiB: more is damage. */
const MAX_MAPNR = 2 ** 40;
const VMCOREINFO_LIMIT = 1024 * 1024;
const UTSNAME_FIELDS = ["sysname", "nodename", "release", "version", "machine", "domainname"] as const;

/** One file of a (possibly split) dump. */
interface Part {
  readonly source: ByteSource;
  readonly header: Fields;
  readonly layout: HeaderLayout;
  readonly signature: string;
  readonly version: number;
  readonly blockSize: number;
  readonly sub: SubHeader;
  readonly maxMapnr: number;
  readonly ram: FileBitmap;
  readonly stored: FileBitmap;
  readonly descriptors: number;
  /** Page frames [start, end) whose data this file holds. */
  readonly start: number;
  readonly end: number;
  /** Set bits of `stored` below `start`: descriptors are counted from there. */
  base: number | undefined;
}

class KdumpDump implements DumpFile {
  readonly format: string;
  readonly pageSize: number;
  readonly littleEndian: boolean;
  readonly wordSize: 4 | 8;
  readonly arch: string | undefined;
  readonly maxPfn: number;
  readonly notes: readonly ElfNote[];
  readonly vmcoreinfo: string | undefined;
  readonly problems: DumpProblem[] = [];
  readonly #parts: Part[];
  readonly #first: Part;
  readonly #desc: Uint8Array = new Uint8Array(PAGE_DESC_SIZE);
  readonly #descFields: DataView;
  readonly #packed: Uint8Array;
  /** Last page data that several descriptors shared: all zero pages of a dump are one. */
  #eraseinfo: string | undefined;

  constructor(sources: readonly ByteSource[]) {
    this.#parts = sources.map((source) => openPart(source, this.problems)).sort((a, b) => a.start - b.start);
    this.#first = this.#parts[0]!;
    const first = this.#first;
    this.format = first.signature === DISKDUMP_SIGNATURE ? "diskdump" : "kdump";
    this.pageSize = first.blockSize;
    this.littleEndian = first.header.littleEndian;
    this.wordSize = first.header.wordSize;
    const machine = first.header.text(12 + 65 * 4, 65);
    this.arch = machine === "" ? undefined : machine;
    this.maxPfn = first.maxMapnr;
    this.#packed = new Uint8Array(this.pageSize);
    this.#descFields = new DataView(this.#desc.buffer);
    this.#checkSet();
    this.notes = this.#readNotes();
    this.vmcoreinfo = vmcoreinfoOf(this.notes) ?? this.#text("vmcoreinfo", first.sub.offset_vmcoreinfo, first.sub.size_vmcoreinfo);
    this.#eraseinfo = this.#text("eraseinfo", first.sub.offset_eraseinfo, first.sub.size_eraseinfo);
    for (const part of this.#parts) {
      if (part.header.u32(part.layout.status) & DUMP_DH_COMPRESSED_INCOMPLETE) {
        this.problems.push({
          code: "TRUNCATED",
          message: `${part.source.name} says that its writer ran out of space (status has the incomplete flag)`,
        });
      }
    }
  }

  /** A split set must be of one dump and complete; what is missing is a problem, not an error. */
  #checkSet(): void {
    const first = this.#first;
    for (const part of this.#parts.slice(1)) {
      const differs =
        part.blockSize !== first.blockSize ||
        part.maxMapnr !== first.maxMapnr ||
        part.header.littleEndian !== first.header.littleEndian ||
        latin1(part.header.bytes.subarray(12, 402)) !== latin1(first.header.bytes.subarray(12, 402));
      if (differs)
        throw new DumpError(
          "BAD_ARGUMENT",
          `${part.source.name} and ${first.source.name} are not parts of one dump: block size, max_mapnr or utsname differ`,
        );
    }
    if (first.sub.split === 0 && this.#parts.length > 1)
      throw new DumpError("BAD_ARGUMENT", `${first.source.name} is a whole dump, not a part of a split set; give one file`);
    let next = 0;
    for (const part of first.sub.split ? this.#parts : []) {
      if (part.start > next)
        this.problems.push({
          code: "NOT_STORED",
          message: `page frames ${hex(next)} to ${hex(part.start)} are in a part of the split dump that was not given`,
        });
      next = Math.max(next, part.end);
    }
    if (first.sub.split && next < this.maxPfn)
      this.problems.push({
        code: "NOT_STORED",
        message: `page frames ${hex(next)} to ${hex(this.maxPfn)} are in a part of the split dump that was not given`,
      });
  }

  #readNotes(): ElfNote[] {
    const { offset_note, size_note } = this.#first.sub;
    if (size_note === 0) return [];
    const source = this.#first.source;
    const length = Math.min(size_note, Math.max(0, source.size - offset_note));
    if (length < size_note)
      this.problems.push({ code: "TRUNCATED", message: `size_note is ${size_note} at ${offset_note}, the file has ${length} of them` });
    if (length > MAX_NOTE_AREA || !Number.isSafeInteger(offset_note)) {
      this.problems.push({ code: "CORRUPT", message: `size_note is ${size_note} at offset ${offset_note}` });
      return [];
    }
    return parseNotes(readExactly(source, offset_note, length, "notes", MAX_NOTE_AREA), offset_note, this.littleEndian, this.problems);
  }

  #text(what: string, offset: number, size: number): string | undefined {
    if (size === 0) return undefined;
    try {
      return latin1(readExactly(this.#first.source, offset, size, what, VMCOREINFO_LIMIT));
    } catch (error) {
      if (!isDumpError(error)) throw error;
      this.problems.push({ code: "CORRUPT", message: `${what} cannot be read: ${error.message}` });
      return undefined;
    }
  }

  #partOf(pfn: number): Part | undefined {
    if (this.#parts.length === 1) return this.#first;
    return this.#parts.find((part) => pfn >= part.start && pfn < part.end);
  }

  pageState(pfn: Pfn): PageState {
    const part = this.#partOf(pfn);
    if (part && pfn < part.maxMapnr && part.stored.has(pfn)) return "stored";
    return pfn < this.maxPfn && this.#first.ram.has(pfn) ? "excluded" : "absent";
  }

  readPage(pfn: Pfn, into: Uint8Array): void {
    const address = pfn * this.pageSize;
    const part = this.#partOf(pfn);
    if (!part)
      throw new DumpError("NOT_STORED", `page at ${hex(address)} is in a part of the split dump that was not given`, { at: address });
    if (pfn >= part.maxMapnr || !part.stored.has(pfn)) {
      if (this.pageState(pfn) === "excluded") {
        throw new DumpError("EXCLUDED", `page at ${hex(address)} was left out of the dump (dump level ${part.sub.dump_level})`, {
          at: address,
        });
      }
      throw new DumpError("NOT_STORED", `page at ${hex(address)} is not RAM of the dumped machine`, { at: address });
    }
    part.base ??= part.stored.rank(part.start);
    const index = part.stored.rank(pfn) - part.base;
    const at = part.descriptors + index * PAGE_DESC_SIZE;
    if (part.source.read(at, this.#desc) < PAGE_DESC_SIZE) {
      throw new DumpError(
        "TRUNCATED",
        `descriptor ${index} of the page at ${hex(address)} would be at file offset ${at}, the file ends at ${part.source.size}`,
        { at: address },
      );
    }
    this.#readData(part, address, into);
  }

  #readData(part: Part, address: number, into: Uint8Array): void {
    const view = this.#descFields;
    const le = this.littleEndian;
    const offset = Number(view.getBigInt64(0, le));
    const size = view.getUint32(8, le);
    const flags = view.getUint32(12, le);
    if (offset === 0)
      throw new DumpError("TRUNCATED", `the descriptor of the page at ${hex(address)} is empty: the writer stopped before it`, {
        at: address,
      });
    if (size === 0 || size > this.pageSize || offset < 0) {
      throw new DumpError(
        "CORRUPT",
        `the descriptor of the page at ${hex(address)} has offset ${offset} and size ${size}, a page is at most ${this.pageSize}`,
        { at: address },
      );
    }
    if (offset + size > part.source.size) {
      throw new DumpError(
        "TRUNCATED",
        `data of the page at ${hex(address)} are at file offset ${offset}, the file ends at ${part.source.size}`,
        { at: address },
      );
    }
    const codec = codecOf(flags);
    if (codec === null)
      throw new DumpError("UNSUPPORTED", `the descriptor of the page at ${hex(address)} has flags ${hex(flags)}: no known compression`, {
        at: address,
      });
    if (codec === undefined) {
      if (size !== this.pageSize)
        throw new DumpError("CORRUPT", `the page at ${hex(address)} is stored raw in ${size} bytes, a page has ${this.pageSize}`, {
          at: address,
        });
      part.source.read(offset, into);
      return;
    }
    const packed = this.#packed.subarray(0, size);
    part.source.read(offset, packed);
    let length: number;
    try {
      length = codec.decompress(packed, into);
    } catch (error) {
      throw new DumpError(
        "CORRUPT",
        `the page at ${hex(address)} (${size} bytes of ${codec.name} at file offset ${offset}) does not decompress: ${error instanceof Error ? error.message : error}`,
        { at: address, cause: error },
      );
    }
    if (length !== this.pageSize)
      throw new DumpError("CORRUPT", `the page at ${hex(address)} decompresses to ${length} bytes, a page has ${this.pageSize}`, {
        at: address,
      });
  }

  nextStored(pfn: Pfn): Pfn | undefined {
    for (const part of this.#parts) {
      if (pfn >= part.end) continue;
      const next = part.stored.next(Math.max(pfn, part.start));
      if (next !== undefined && next < part.end) return asPfn(next);
    }
    return undefined;
  }

  *ramRanges(pfn: Pfn): Iterable<readonly [number, number]> {
    const { ram } = this.#first;
    for (let from = ram.next(pfn); from !== undefined;) {
      let to = from + 1;
      while (ram.has(to)) to++;
      yield [from, to];
      from = ram.next(to);
    }
  }

  info(): InfoSection[] {
    const sections: InfoSection[] = [];
    for (const part of this.#parts) {
      const { header, layout, sub } = part;
      const status = header.u32(layout.status);
      const stamp = layout.timestamp;
      const seconds = header.wordn(stamp);
      sections.push({
        title: this.#parts.length > 1 ? `kdump header of ${part.source.name}` : "kdump header",
        fields: [
          ["signature", part.signature],
          ["header_version", part.version],
          ...UTSNAME_FIELDS.map((name, i) => [`utsname.${name}`, header.text(12 + 65 * i, 65)] as const),
          ["timestamp", seconds === 0 ? 0 : `${seconds} (${utc(seconds)})`],
          ["status", `${hex(status)} (${statusWords(status)})`],
          ["block_size", part.blockSize],
          ["sub_hdr_size", header.s32(layout.sub_hdr_size)],
          ["bitmap_blocks", header.u32(layout.bitmap_blocks)],
          ["max_mapnr", header.u32(layout.max_mapnr)],
          ["total_ram_blocks", header.u32(layout.total_ram_blocks)],
          ["device_blocks", header.u32(layout.device_blocks)],
          ["written_blocks", header.u32(layout.written_blocks)],
          ["current_cpu", header.u32(layout.current_cpu)],
          ["nr_cpus", header.s32(layout.nr_cpus)],
        ],
      });
      if (this.format === "diskdump") continue;
      sections.push({
        title: "kdump sub header",
        fields: [
          ["phys_base", hex(sub.phys_base)],
          ["dump_level", sub.dump_level],
          ["split", sub.split],
          ["start_pfn", sub.start_pfn],
          ["end_pfn", sub.end_pfn],
          ["offset_vmcoreinfo", sub.offset_vmcoreinfo],
          ["size_vmcoreinfo", sub.size_vmcoreinfo],
          ["offset_note", sub.offset_note],
          ["size_note", sub.size_note],
          ["offset_eraseinfo", sub.offset_eraseinfo],
          ["size_eraseinfo", sub.size_eraseinfo],
          ["max_mapnr_64", sub.max_mapnr_64],
          ["pages of RAM", part.ram.count()],
          ["pages stored", part.stored.rank(part.end) - part.stored.rank(part.start)],
        ],
      });
    }
    if (this.#eraseinfo !== undefined) {
      sections.push({
        title: "eraseinfo",
        fields: this.#eraseinfo
          .split("\n")
          .filter((line) => line !== "")
          .map((line, i) => [`${i}`, line] as const),
      });
    }
    return sections;
  }

  close(): void {
    for (const part of this.#parts) part.source.close();
  }
}

/** The codec of a page_desc.flags; undefined for raw, null for flags nobody knows. */
function codecOf(flags: number): PageCodec | undefined | null {
  switch (flags & 0x27) {
    case 0:
      return flags === 0 ? undefined : null;
    case DUMP_DH_COMPRESSED_ZLIB:
      return codecByName("zlib");
    case DUMP_DH_COMPRESSED_LZO:
      return codecByName("lzo");
    case DUMP_DH_COMPRESSED_SNAPPY:
      return codecByName("snappy");
    case DUMP_DH_COMPRESSED_ZSTD:
      return codecByName("zstd");
    default:
      return null;
  }
}

function statusWords(status: number): string {
  const words = [
    [DUMP_DH_COMPRESSED_ZLIB, "zlib"],
    [DUMP_DH_COMPRESSED_LZO, "lzo"],
    [DUMP_DH_COMPRESSED_SNAPPY, "snappy"],
    [DUMP_DH_COMPRESSED_ZSTD, "zstd"],
    [DUMP_DH_COMPRESSED_INCOMPLETE, "incomplete"],
    [DUMP_DH_EXCLUDED_VMEMMAP, "vmemmap excluded"],
  ] as const;
  return (
    words
      .filter(([bit]) => status & bit)
      .map(([, word]) => word)
      .join(", ") || "raw"
  );
}

function utc(seconds: number): string {
  const date = new Date(seconds * 1000);
  return Number.isNaN(date.getTime()) ? "no date" : date.toISOString().replace(".000Z", "Z");
}

/**
 * Byte order and word size are nowhere in the file: take the combination under which the header makes sense
 * (formats.md 5.1.1; crash:diskdump.c:read_dump_header knows its own machine and need not ask).
 */
function detect(head: Uint8Array, signature: string): { fields: Fields; layout: HeaderLayout } {
  const smallest = signature === KDUMP_SIGNATURE ? 4096 : 512;
  let best: { fields: Fields; layout: HeaderLayout; score: number } | undefined;
  for (const littleEndian of [true, false]) {
    for (const wordSize of [8, 4] as const) {
      const layout = wordSize === 8 ? HEADER64 : HEADER32;
      const fields = new Fields(head, littleEndian, wordSize, "kdump header");
      const version = fields.s32(8);
      const blockSize = fields.s32(layout.block_size);
      if (version < 0 || version > 16 || blockSize < smallest || blockSize > 1 << 20 || (blockSize & (blockSize - 1)) !== 0) continue;
      const machine = fields.text(12 + 65 * 4, 65);
      const wide = /64|s390x|alpha/.test(machine);
      let score = 1;
      if (fields.u32(layout.bitmap_blocks) * blockSize * 8 >= fields.u32(layout.max_mapnr)) score += 1;
      if (machine !== "" && wide === (wordSize === 8)) score += 2;
      if (fields.s32(layout.nr_cpus) >= 0 && fields.s32(layout.nr_cpus) < 65536) score += 1;
      if (!best || score > best.score) best = { fields, layout, score };
    }
  }
  if (!best) throw new DumpError("CORRUPT", "kdump header: block_size and header_version make sense in no byte order and word size");
  return best;
}

function openPart(source: ByteSource, problems: DumpProblem[]): Part {
  const head = readExactly(source, 0, HEADER64.size, "kdump header");
  const signature = Buffer.from(head.buffer, head.byteOffset, 8).toString("latin1");
  const { fields, layout } = detect(head, signature);
  const version = fields.s32(8);
  const blockSize = fields.s32(layout.block_size);
  const subBlocks = fields.s32(layout.sub_hdr_size);
  const bitmapBlocks = fields.u32(layout.bitmap_blocks);
  if (version > 6) problems.push({ code: "UNSUPPORTED", message: `header_version is ${version}, versions to 6 are known; read as 6` });
  if (subBlocks < 0 || (1 + subBlocks) * blockSize > source.size) {
    throw new DumpError("TRUNCATED", `sub_hdr_size is ${subBlocks} blocks of ${blockSize}, the file has ${source.size} bytes`);
  }
  let sub: SubHeader;
  if (signature === KDUMP_SIGNATURE) {
    const bytes = new Uint8Array(SUB_HEADER_MAX);
    source.read(blockSize, bytes);
    sub = parseSubHeader(new Fields(bytes, fields.littleEndian, fields.wordSize, "kdump sub header"), version, blockSize, source.size);
  } else {
    sub = parseSubHeader(new Fields(new Uint8Array(SUB_HEADER_MAX), true), 0, blockSize, source.size);
  }
  const maxMapnr = version >= 6 && sub.max_mapnr_64 > 0 ? sub.max_mapnr_64 : fields.u32(layout.max_mapnr);
  if (maxMapnr > MAX_MAPNR) throw new DumpError("CORRUPT", `max_mapnr is ${maxMapnr}, more pages than any machine has (${MAX_MAPNR})`);
  const perBitmap = Math.ceil(maxMapnr / 8 / blockSize);
  const bitmapAt = (1 + subBlocks) * blockSize;
  // Very old full dumps have one bitmap for both purposes.
  const single = bitmapBlocks < 2 * perBitmap;
  if (single && bitmapBlocks < perBitmap) {
    throw new DumpError("CORRUPT", `bitmap_blocks is ${bitmapBlocks}, ${maxMapnr} page frames need ${perBitmap} blocks of ${blockSize}`);
  }
  const secondAt = single ? bitmapAt : bitmapAt + (bitmapBlocks / 2) * blockSize;
  checkBitmap(source, bitmapAt, maxMapnr);
  const descriptors = (1 + subBlocks + bitmapBlocks) * blockSize;
  const inRange = sub.split !== 0;
  if (inRange && sub.end_pfn < sub.start_pfn) throw new DumpError("CORRUPT", `start_pfn is ${sub.start_pfn}, end_pfn ${sub.end_pfn}`);
  if (descriptors > source.size)
    problems.push({ code: "TRUNCATED", message: `page descriptors begin at ${descriptors}, the file ends at ${source.size}` });
  return {
    source,
    header: fields,
    layout,
    signature,
    version,
    blockSize,
    sub,
    maxMapnr,
    descriptors,
    ram: new FileBitmap(source, bitmapAt, maxMapnr),
    stored: new FileBitmap(source, secondAt, maxMapnr),
    start: inRange ? sub.start_pfn : 0,
    end: inRange ? Math.min(sub.end_pfn, maxMapnr) : maxMapnr,
    base: undefined,
  };
}

/** Kdump-compressed files (makedumpfile, QEMU) and their ancestor diskdump. */
export const kdumpFormat: FormatProbe = {
  format: "kdump",
  probe: (head) => {
    const signature = Buffer.from(head.buffer, head.byteOffset, Math.min(8, head.length)).toString("latin1");
    return signature === KDUMP_SIGNATURE || signature === DISKDUMP_SIGNATURE;
  },
  open: (sources) => new KdumpDump(sources),
};
