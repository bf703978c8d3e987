import { asPfn, type ByteSource, DumpError, Fields, hex, type Pfn, readExactly } from "../../bytes/index.ts";
import type { DumpFile, DumpProblem, ElfNote, InfoSection, PageState } from "../dump.ts";
import { FileBitmap } from "../kdump/index.ts";
import { BitReversedSource } from "./bit-reversed-source.ts";
import { type CpuStateTable, cpuStateTable, isUsed, parseCpuState, type SadumpCpu } from "./cpu-state.ts";
import {
  DISK_SET_HEADER_SIZE,
  type DiskSetHeader,
  DUMP_HEADER_SIZE,
  DUMP_HEADER_SIZE_V0,
  type DumpHeader,
  EFER_LMA,
  MAGICNUM_OFFSET,
  MAX_BLOCK_SIZE,
  MEDIA_HEADER_SIZE,
  type MediaHeader,
  parseDiskSetHeader,
  parseDumpHeader,
  parseMediaHeader,
  parsePartHeader,
  PART_HEADER_SIZE,
  type PartHeader,
  SADUMP_DEFAULT_BLOCK_SIZE,
  SADUMP_MAX_DISK_SET_NUM,
} from "./layout.ts";
import { findPartHeader, hasSignature } from "./probe.ts";

/** 2^40 page frames of 4 KiB are 4 PiB: more is damage. */
const MAX_MAPNR = 2 ** 40;
/** A disk set header has 16 entries of 32 bytes; it is one block in practice. */
const MAX_DISK_SET_HEADER = 1024 * 1024;
/** 32768 CPUs. */
const MAX_SUB_HEADER = 64 * 1024 * 1024;
const MAX_CPUS = 32768;

/** One volume: a single partition, a media backup, or a disk of a set. */
interface Volume {
  readonly source: ByteSource;
  /** Offset of the partition header: 0, or one block in a media backup. */
  readonly base: number;
  readonly part: PartHeader;
  readonly media: MediaHeader | undefined;
  /** As the magic numbers tell it; undefined where they are damaged. */
  readonly blockSize: number | undefined;
}

/** Pages of one volume: blocks [first, first + count) of the whole. */
interface PageArea {
  readonly volume: Volume;
  readonly dataOffset: number;
  readonly first: number;
  readonly count: number;
}

/** A sadump dump. */
export class SadumpDump implements DumpFile {
  readonly format = "sadump";
  readonly pageSize: number;
  readonly littleEndian = true;
  readonly wordSize: 4 | 8;
  readonly arch: string | undefined;
  readonly maxPfn: number;
  readonly notes: readonly ElfNote[] = [];
  readonly vmcoreinfo: string | undefined = undefined;
  readonly problems: DumpProblem[] = [];
  readonly header: DumpHeader;
  /** CPUs that were in use when the firmware stopped the machine; empty where the dump has no states. */
  readonly cpus: readonly SadumpCpu[];
  readonly #sources: readonly ByteSource[];
  readonly #volumes: readonly Volume[];
  readonly #diskSet: DiskSetHeader | undefined;
  readonly #areas: readonly PageArea[];
  /** Number of the first disk of the set that was not given, and the first block that may be on it. */
  readonly #missing: { readonly disk: number; readonly block: number } | undefined;
  readonly #ram: FileBitmap;
  readonly #dumpable: FileBitmap;
  /** Frames whose bit in the dumpable bitmap is in the file. */
  readonly #knownPfns: number;
  /** The frame after the one read last, and its block when it has one. */
  #nextPfn = -1;
  #nextBlock = 0;

  /**
   * Parses the headers of one volume, or of the disks of one set in any order.
   *
   * @throws BAD_ARGUMENT when the sources do not belong together or disk 1 is not among them, UNSUPPORTED, CORRUPT,
   *   TRUNCATED, IO.
   */
  constructor(sources: readonly ByteSource[]) {
    this.#sources = sources;
    const volumes = orderVolumes(sources.map(openVolume));
    this.#volumes = volumes;
    const first = volumes[0]!;
    const headers = readHeaders(first, this.problems);
    this.header = headers.dump;
    this.#diskSet = headers.diskSet;
    const { sub_hdr_size, bitmap_blocks, dumpable_bitmap_blocks } = headers.dump;
    const blockSize = headers.blockSize;
    this.pageSize = blockSize;
    this.#checkSet();

    const subAt = headers.end;
    const ramAt = subAt + sub_hdr_size * blockSize;
    const dumpableAt = ramAt + bitmap_blocks * blockSize;
    const dataAt = dumpableAt + dumpable_bitmap_blocks * blockSize;
    const size = first.source.size;
    if (bitmap_blocks === 0 || dumpable_bitmap_blocks === 0 || !Number.isSafeInteger(dataAt)) {
      throw new DumpError(
        "CORRUPT",
        `sadump header: bitmap_blocks is ${bitmap_blocks}, dumpable_bitmap_blocks ${dumpable_bitmap_blocks}, sub_hdr_size ${sub_hdr_size}`,
      );
    }
    if (ramAt >= size)
      throw new DumpError("TRUNCATED", `sadump bitmap begins at ${ramAt}, ${first.source.name} ends at ${size}`, { at: ramAt });
    this.maxPfn = this.#maxMapnr(Math.min(bitmap_blocks, dumpable_bitmap_blocks) * blockSize * 8);
    // Bits beyond the end of the file are not looked at: a claim of 2^40 frames must not cost a walk over them.
    const bitsFrom = (offset: number): number => Math.min(this.maxPfn, Math.max(0, (size - offset) * 8));
    this.#ram = new FileBitmap(new BitReversedSource(first.source, dumpableAt), ramAt, bitsFrom(ramAt));
    this.#dumpable = new FileBitmap(new BitReversedSource(first.source, dataAt), dumpableAt, bitsFrom(dumpableAt));
    this.#knownPfns = this.#dumpable.bits;
    if (this.#knownPfns < this.maxPfn) {
      this.problems.push({
        code: "TRUNCATED",
        message: `the dumpable bitmap is at ${dumpableAt}, ${first.source.name} ends at ${size}: page frames from ${hex(this.#knownPfns)} on are unknown`,
      });
    }
    const areas = this.#findAreas(dataAt);
    this.#areas = areas.areas;
    this.#missing = areas.missing;

    this.cpus = this.#readCpus(subAt, sub_hdr_size * blockSize);
    const longMode = this.cpus.some((cpu) => (cpu.efer & EFER_LMA) !== 0n);
    this.arch = this.cpus.length === 0 ? undefined : longMode ? "x86_64" : "i386";
    this.wordSize = this.arch === "i386" ? 4 : 8;
  }

  #problem(code: DumpProblem["code"], message: string): void {
    this.problems.push({ code, message });
  }

  /** What crash and makedumpfile compare between disks; the ids that make a set are checked by {@link orderVolumes}. */
  #checkSet(): void {
    const diskSet = this.#diskSet;
    if (!diskSet) return;
    const [first, ...others] = this.#volumes;
    for (const { part, source } of others) {
      if (part.set_disk_set > diskSet.disk_num) {
        throw new DumpError("BAD_ARGUMENT", `${source.name} is disk ${part.set_disk_set}, disk_num of the set is ${diskSet.disk_num}`);
      }
      // crash and makedumpfile: entry 0 is disk 2; libkdumpfile: entry 0 is disk 1. Either is accepted.
      const expected = [diskSet.vol_info[part.set_disk_set - 2]?.id, diskSet.vol_info[part.set_disk_set - 1]?.id];
      if (!expected.includes(part.vol_id)) {
        this.#problem(
          "CORRUPT",
          `vol_id of ${source.name} is ${part.vol_id}, the disk set header has ${expected[0] ?? "none"} for disk ${part.set_disk_set}`,
        );
      }
      if (part.time_stamp !== first!.part.time_stamp) {
        this.#problem("CORRUPT", `time_stamp of ${source.name} is ${part.time_stamp}, that of disk 1 ${first!.part.time_stamp}`);
      }
    }
  }

  #maxMapnr(bits: number): number {
    const { header_version, max_mapnr, max_mapnr_64 } = this.header;
    if (header_version > 1) this.#problem("UNSUPPORTED", `header_version is ${header_version}, 0 and 1 are known; read as 1`);
    const declared = header_version === 0 ? max_mapnr : max_mapnr_64;
    if (declared > MAX_MAPNR) throw new DumpError("CORRUPT", `max_mapnr is ${declared}, more pages than any machine has (${MAX_MAPNR})`);
    if (declared <= bits) return declared;
    this.#problem("CORRUPT", `max_mapnr is ${declared}, the bitmaps have ${bits} bits; page frames beyond are left out`);
    return bits;
  }

  /**
   * Page areas in order. Of a disk set, an area is as long as used_device says (crash:sadump.c:lookup_diskset); how
   * much was on a disk that is missing is not known, so nothing behind it can be found.
   */
  #findAreas(dataAt: number): { areas: PageArea[]; missing: { disk: number; block: number } | undefined } {
    const blockSize = this.pageSize;
    const diskSet = this.#diskSet;
    const [first, ...others] = this.#volumes;
    if (!diskSet) return { areas: [{ volume: first!, dataOffset: dataAt, first: 0, count: Number.POSITIVE_INFINITY }], missing: undefined };
    const areas: PageArea[] = [];
    let block = 0;
    for (let disk = 1; disk <= diskSet.disk_num; disk++) {
      const volume = disk === 1 ? first! : others.find(({ part }) => part.set_disk_set === disk);
      if (!volume) {
        this.#problem(
          "TRUNCATED",
          `disk ${disk} of ${diskSet.disk_num} of the set was not given: its pages and those of later disks cannot be read`,
        );
        return { areas, missing: { disk, block } };
      }
      const dataOffset = disk === 1 ? dataAt : blockSize;
      const bytes = volume.part.used_device - dataOffset;
      if (!(bytes >= 0) || bytes % blockSize !== 0 || !Number.isSafeInteger(bytes)) {
        this.#problem(
          "CORRUPT",
          `used_device of ${volume.source.name} is ${volume.part.used_device}: less than its headers (${dataOffset}) or no multiple of the block size ${blockSize}`,
        );
      }
      const count = Math.max(0, Math.floor(bytes / blockSize));
      areas.push({ volume, dataOffset, first: block, count });
      block += count;
    }
    return { areas, missing: undefined };
  }

  #readCpus(at: number, length: number): SadumpCpu[] {
    const { nr_cpus } = this.header;
    const source = this.#volumes[0]!.source;
    if (length === 0) return [];
    if (nr_cpus > MAX_CPUS || length > MAX_SUB_HEADER) {
      this.#problem(
        "LIMIT",
        `nr_cpus is ${nr_cpus} and the sub header has ${length} bytes; up to ${MAX_CPUS} CPUs in ${MAX_SUB_HEADER} bytes are read`,
      );
      return [];
    }
    const there = Math.max(0, Math.min(length, source.size - at));
    const fields = new Fields(readExactly(source, at, there, "sadump sub header", MAX_SUB_HEADER), true, 8, "sadump sub header");
    const table: CpuStateTable | undefined = cpuStateTable(fields, nr_cpus, there);
    if (!table) {
      const size = there >= 4 ? fields.u32(0) : 0;
      this.#problem("UNSUPPORTED", `the sub header has ${size} bytes of CPU states for nr_cpus ${nr_cpus}; states of 1024 bytes are known`);
      return [];
    }
    if (table.available < table.count) {
      this.#problem(
        "CORRUPT",
        `nr_cpus is ${table.count}, the sub header of ${there} bytes has room for ${table.available} states of ${table.stride} bytes`,
      );
    }
    const cpus: SadumpCpu[] = [];
    for (let index = 0; index < table.available; index++) {
      const cpu = parseCpuState(fields, table, index);
      if (isUsed(cpu)) cpus.push(cpu);
    }
    return cpus;
  }

  pageState(pfn: Pfn): PageState {
    if (this.#dumpable.has(pfn)) return "stored";
    return this.#ram.has(pfn) && pfn < this.#knownPfns ? "excluded" : "absent";
  }

  readPage(pfn: Pfn, into: Uint8Array): void {
    const address = pfn * this.pageSize;
    if (into.length !== this.pageSize)
      throw new DumpError("BAD_ARGUMENT", `a page has ${this.pageSize} bytes, the buffer ${into.length}`, { at: address });
    if (!this.#dumpable.has(pfn)) {
      if (pfn >= this.#knownPfns && pfn < this.maxPfn && (this.#ram.has(pfn) || pfn >= this.#ram.bits)) {
        throw new DumpError(
          "TRUNCATED",
          `page at ${hex(address)}: its bit in the dumpable bitmap is beyond the end of ${this.#volumes[0]!.source.name}`,
          { at: address },
        );
      }
      if (this.#ram.has(pfn))
        throw new DumpError("EXCLUDED", `page at ${hex(address)} is RAM and was left out of the dump`, { at: address });
      throw new DumpError("NOT_STORED", `page at ${hex(address)} is not RAM of the dumped machine`, { at: address });
    }
    // The page after the last one read needs no counting: a scan would count each chunk of the bitmap 32768 times.
    const block = pfn === this.#nextPfn ? this.#nextBlock : this.#dumpable.rank(pfn);
    this.#nextPfn = pfn + 1;
    this.#nextBlock = block + 1;
    const area = this.#areas.find(({ first, count }) => block < first + count);
    if (!area) {
      const why = this.#missing
        ? `disk ${this.#missing.disk} of the set, which was not given`
        : "a disk set whose used_device fields leave no room for it";
      throw new DumpError("TRUNCATED", `page at ${hex(address)} is block ${block} and on ${why}`, { at: address });
    }
    const { source } = area.volume;
    const offset = area.dataOffset + (block - area.first) * this.pageSize;
    if (source.read(offset, into) < this.pageSize) {
      throw new DumpError(
        "TRUNCATED",
        `page at ${hex(address)} is block ${block} at offset ${offset}, ${source.name} ends at ${source.size}`,
        { at: address },
      );
    }
  }

  nextStored(pfn: Pfn): Pfn | undefined {
    const next = this.#dumpable.next(pfn);
    return next === undefined ? undefined : asPfn(next);
  }

  info(): InfoSection[] {
    const sections: InfoSection[] = [];
    const several = this.#volumes.length > 1;
    for (const { part, media, source } of this.#volumes) {
      if (media) sections.push({ title: "sadump media header", fields: Object.entries(media) });
      sections.push({
        title: several ? `sadump partition header of ${source.name}` : "sadump partition header",
        fields: Object.entries(part),
      });
    }
    const diskSet = this.#diskSet;
    if (diskSet) {
      sections.push({
        title: "sadump disk set header",
        fields: [
          ["disk_set_header_size", diskSet.disk_set_header_size],
          ["disk_num", diskSet.disk_num],
          ["disk_set_size", diskSet.disk_set_size],
          ...diskSet.vol_info.map((volume, i): [string, string] => [
            `vol_info[${i}]`,
            `id ${volume.id}, vol_size ${volume.vol_size}, status ${volume.status}, cache_size ${volume.cache_size}`,
          ]),
        ],
      });
    }
    sections.push({
      title: "sadump header",
      fields: [...Object.entries(this.header), ["pages of RAM", this.#ram.count()], ["pages stored", this.#dumpable.count()]],
    });
    for (const cpu of this.cpus) {
      sections.push({
        title: `CPU state ${cpu.index}`,
        fields: [
          ["ApicId", cpu.apicId],
          ["Ldr", cpu.ldr],
          ...[...cpu.registers].map(([name, value]): [string, string] => [name, hex(value)]),
          ["cr0", hex(cpu.cr0)],
          ["cr3", hex(cpu.cr3)],
          ["cr4", hex(cpu.cr4)],
          ["efer", hex(cpu.efer)],
          ["dr6", hex(cpu.dr6)],
          ["dr7", hex(cpu.dr7)],
          ["idt", `${hex(cpu.idt.base)} limit ${hex(cpu.idt.limit)}`],
          ["gdt", `${hex(cpu.gdt.base)} limit ${hex(cpu.gdt.limit)}`],
        ],
      });
    }
    return sections;
  }

  close(): void {
    for (const source of this.#sources) source.close();
  }
}

function isBlockSize(size: number): boolean {
  return size >= SADUMP_DEFAULT_BLOCK_SIZE && size <= MAX_BLOCK_SIZE && (size & (size - 1)) === 0;
}

/**
 * The magic numbers fill the partition header's block, each made from the one before: where the chain breaks, the
 * block ends (libkdumpfile:src/kdumpfile/sadump.c:verify_magic_number).
 *
 * @returns the block size, or undefined where the chain breaks elsewhere.
 */
function magicBlockSize(source: ByteSource, partHeader: number): number | undefined {
  const bytes = new Uint8Array(MAX_BLOCK_SIZE + 4);
  const length = source.read(partHeader, bytes);
  const view = new DataView(bytes.buffer);
  let at = MAGICNUM_OFFSET;
  if (at + 4 > length) return undefined;
  let expected = view.getUint32(at, true);
  while (at + 4 <= length && view.getUint32(at, true) === expected) {
    expected = Math.imul(expected + 7, 11) >>> 0;
    at += 4;
  }
  return isBlockSize(at) ? at : undefined;
}

function openVolume(source: ByteSource): Volume {
  const place = findPartHeader(source);
  if (!place) throw new DumpError("UNSUPPORTED", `${source.name} has no sadump partition header`);
  const base = place.partHeader;
  const part = parsePartHeader(
    new Fields(readExactly(source, base, PART_HEADER_SIZE, "sadump partition header"), true, 8, "sadump partition header"),
  );
  let media: MediaHeader | undefined;
  if (base > 0) {
    media = parseMediaHeader(new Fields(readExactly(source, 0, MEDIA_HEADER_SIZE, "sadump media header"), true, 8, "sadump media header"));
    // crash wants 1 on the first medium; libkdumpfile's test files have 0. What later media hold is not known.
    if (media.sequential_num > 1) {
      throw new DumpError(
        "UNSUPPORTED",
        `${source.name} is medium ${media.sequential_num} of a media backup; the first is needed, and later ones cannot be read`,
      );
    }
  }
  return { source, base, part, media, blockSize: magicBlockSize(source, base) };
}

/** Puts the disks of a set in order and refuses what does not belong together. */
function orderVolumes(volumes: Volume[]): Volume[] {
  if (volumes.length === 0) throw new DumpError("BAD_ARGUMENT", "no sadump volume given");
  if (volumes.length === 1 && (volumes[0]!.media || volumes[0]!.part.set_disk_set === 0)) return volumes;
  const ordered = volumes.toSorted((a, b) => a.part.set_disk_set - b.part.set_disk_set);
  const first = ordered[0]!;
  for (const [i, { source, part, media }] of ordered.entries()) {
    if (media) throw new DumpError("UNSUPPORTED", `${source.name} is a media backup; one that spans several files cannot be read`);
    if (part.set_disk_set === 0)
      throw new DumpError("BAD_ARGUMENT", `${source.name} is a single partition (set_disk_set is 0), ${volumes.length} files were given`);
    if (part.set_disk_set > SADUMP_MAX_DISK_SET_NUM) {
      throw new DumpError(
        "CORRUPT",
        `set_disk_set of ${source.name} is ${part.set_disk_set}, a set has at most ${SADUMP_MAX_DISK_SET_NUM} disks`,
      );
    }
    if (part.sadump_id !== first.part.sadump_id || part.disk_set_id !== first.part.disk_set_id) {
      throw new DumpError(
        "BAD_ARGUMENT",
        `${source.name} and ${first.source.name} are not of one disk set: sadump_id ${part.sadump_id} and ${first.part.sadump_id}, ` +
          `disk_set_id ${part.disk_set_id} and ${first.part.disk_set_id}`,
      );
    }
    if (i > 0 && part.set_disk_set === ordered[i - 1]!.part.set_disk_set) {
      throw new DumpError(
        "BAD_ARGUMENT",
        `${source.name} and ${ordered[i - 1]!.source.name} are both disk ${part.set_disk_set} of the set`,
      );
    }
  }
  if (first.part.set_disk_set !== 1) {
    throw new DumpError(
      "BAD_ARGUMENT",
      `disk 1 of the set holds the headers and was not given; the first one given is disk ${first.part.set_disk_set} (${first.source.name})`,
    );
  }
  return ordered;
}

interface Headers {
  readonly blockSize: number;
  readonly diskSet: DiskSetHeader | undefined;
  readonly dump: DumpHeader;
  /** Offset behind the dump header's block: the sub header. */
  readonly end: number;
}

/** Reads the disk set header where there is one, and the dump header. */
function readHeaders(volume: Volume, problems: DumpProblem[]): Headers {
  const { source, base, part, media } = volume;
  const inSet = !media && part.set_disk_set === 1;
  let cause: unknown;
  // Damaged magic numbers do not say where the block ends: then the dump header's own block_size must confirm a guess.
  const guesses: number[] = [];
  if (volume.blockSize !== undefined) guesses.push(volume.blockSize);
  else for (let size = SADUMP_DEFAULT_BLOCK_SIZE; size <= MAX_BLOCK_SIZE; size *= 2) guesses.push(size);
  for (const blockSize of guesses) {
    try {
      const headers = headersAt(source, base + blockSize, blockSize, inSet);
      if (volume.blockSize === undefined)
        problems.push({
          code: "CORRUPT",
          message: `magicnum of ${source.name} is damaged; block_size ${blockSize} is taken from the dump header`,
        });
      return headers;
    } catch (error) {
      cause ??= error;
    }
  }
  throw cause;
}

function headersAt(source: ByteSource, start: number, blockSize: number, inSet: boolean): Headers {
  let at = start;
  let diskSet: DiskSetHeader | undefined;
  if (inSet) {
    const blocks = new Fields(readExactly(source, at, 4, "disk_set_header_size"), true).u32(0);
    const length = blocks * blockSize;
    if (blocks === 0 || length > MAX_DISK_SET_HEADER) {
      throw new DumpError(
        "CORRUPT",
        `disk_set_header_size is ${blocks} blocks of ${blockSize}, ${MAX_DISK_SET_HEADER} bytes are the limit`,
        { at },
      );
    }
    diskSet = parseDiskSetHeader(
      new Fields(
        readExactly(source, at, Math.max(length, DISK_SET_HEADER_SIZE), "sadump disk set header"),
        true,
        8,
        "sadump disk set header",
      ),
    );
    if (diskSet.disk_num < 1 || diskSet.disk_num > SADUMP_MAX_DISK_SET_NUM) {
      throw new DumpError("CORRUPT", `disk_num is ${diskSet.disk_num}, a set has 1 to ${SADUMP_MAX_DISK_SET_NUM} disks`, { at: at + 4 });
    }
    at += length;
  }
  const bytes = new Uint8Array(DUMP_HEADER_SIZE);
  const got = source.read(at, bytes);
  if (got < DUMP_HEADER_SIZE_V0)
    throw new DumpError("TRUNCATED", `sadump header is at ${at}, ${source.name} ends at ${source.size}`, { at });
  if (!hasSignature(bytes, 0)) throw new DumpError("CORRUPT", `sadump header should be at ${at}, its signature is not there`, { at });
  const dump = parseDumpHeader(new Fields(bytes, true, 8, "sadump header"));
  if (dump.block_size !== blockSize)
    throw new DumpError("CORRUPT", `block_size is ${dump.block_size}, the headers are ${blockSize} bytes apart`, { at: at + 40 });
  return { blockSize, diskSet, dump, end: at + blockSize };
}
