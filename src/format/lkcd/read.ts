import { asPfn, type ByteSource, DumpError, Fields, hex, isDumpError, MAX_PADDR, type Pfn, readExactly } from "../../bytes/index.ts";
import { codecByName } from "../../codec/index.ts";
import { decompressRleNCopies } from "../../codec/index.ts";
import type { DumpFile, DumpProblem, ElfNote, InfoSection, OpenOptions, PageState } from "../dump.ts";
import { vmcoreinfoOf } from "../elf/index.ts";
import { type LkcdArchHeader, parseArchHeader } from "./arch.ts";
import {
  DUMP_COMPRESS_GZIP,
  DUMP_COMPRESS_NONE,
  DUMP_COMPRESS_RLE,
  DUMP_DH_COMPRESSED,
  DUMP_DH_END,
  DUMP_DH_KNOWN,
  DUMP_DH_RAW,
  DUMP_DH_TEST_PATTERN,
  DUMP_DH_TRUNCATED,
  DUMP_MAGIC_LIVE,
  DUMP_MAGIC_S390,
  DUMP_PAGE_HEADER_SIZE,
  HEADER_READ,
  headerSize,
  LKCD_DUMP_MCLX_V0,
  LKCD_DUMP_MCLX_V1,
  LKCD_OFFSET_TO_FIRST_PAGE,
  LKCD_OFFSET_TO_FIRST_PAGE_64K,
  type LkcdHeader,
  MCLX_V1_PAGE_HEADER_CACHE,
  parseHeader,
  UTSNAME_FIELDS,
} from "./layout.ts";
import { findNotes } from "./notes.ts";
import { MAX_PAGES, MAX_PFN, PageIndex } from "./page-index.ts";
import { findHeader } from "./probe.ts";

/** Largest architecture header that is looked at: 4096 CPUs of ia64 need 1.9 MiB. */
const ARCH_HEADER_LIMIT = 4 * 1024 * 1024;
/**
 * Read-ahead while hopping over page records. Records are about 1.5 KiB apart in a compressed dump, so this serves
 * twenty of them with one system call; smaller costs calls, larger copies page data that nobody wants.
 */
const READ_AHEAD = 32 * 1024;
/** Records that are looked at to tell the dump's page from the kernel's. */
const PAGE_SIZE_SAMPLE = 64;
const PROGRESS_BYTES = 16 * 1024 * 1024;
/** Address that version 1 on i386 gave the first page: PAGE_OFFSET, since addresses were virtual (crash:lkcd_common.c:lkcd_load_dump_page_header). */
const V1_KERNEL_BASE = 0xc000_0000;

const COMPRESSION: Readonly<Record<number, string>> = {
  [DUMP_COMPRESS_NONE]: "none",
  [DUMP_COMPRESS_RLE]: "RLE",
  [DUMP_COMPRESS_GZIP]: "gzip",
};

/** One page record, read through a window over the file. Reused: the fields hold the last record. */
class RecordReader {
  address = 0;
  size = 0;
  flags = 0;
  readonly #source: ByteSource;
  readonly #littleEndian: boolean;
  readonly #window: Uint8Array = new Uint8Array(READ_AHEAD);
  readonly #view: DataView;
  #start = 0;
  #end = 0;

  constructor(source: ByteSource, littleEndian: boolean) {
    this.#source = source;
    this.#littleEndian = littleEndian;
    this.#view = new DataView(this.#window.buffer);
  }

  /** Reads the record at `offset`. False where the file ends before the record does. */
  read(offset: number): boolean {
    if (!(offset >= this.#start && offset + DUMP_PAGE_HEADER_SIZE <= this.#end)) {
      this.#start = offset;
      this.#end = offset + this.#source.read(offset, this.#window);
      if (this.#end - offset < DUMP_PAGE_HEADER_SIZE) return false;
    }
    const at = offset - this.#start;
    const view = this.#view;
    const le = this.#littleEndian;
    this.address = view.getUint32(at + (le ? 4 : 0), le) * 0x1_0000_0000 + view.getUint32(at + (le ? 0 : 4), le);
    this.size = view.getUint32(at + 8, le);
    this.flags = view.getUint32(at + 12, le);
    return true;
  }

  get isEnd(): boolean {
    return (this.flags & DUMP_DH_END) !== 0 && (this.flags & ~DUMP_DH_KNOWN) === 0;
  }

  /** Exactly one of raw and compressed, and no bit that no writer sets. */
  get isPage(): boolean {
    const kind = this.flags & (DUMP_DH_RAW | DUMP_DH_COMPRESSED);
    return (kind === DUMP_DH_RAW || kind === DUMP_DH_COMPRESSED) && (this.flags & (DUMP_DH_END | ~DUMP_DH_KNOWN)) === 0;
  }

  get isZero(): boolean {
    return this.address === 0 && this.size === 0 && this.flags === 0;
  }

  /** dp_address is a page frame number (crash:lkcd_common.c:lkcd_load_dump_page_header). */
  get hasPfn(): boolean {
    return (this.flags & (LKCD_DUMP_MCLX_V0 | LKCD_DUMP_MCLX_V1)) !== 0;
  }
}

/** Counts of what the index scan met. */
interface ScanCounts {
  raw: number;
  compressed: number;
  zero: number;
  testPattern: number;
  mclx: number;
  misplaced: number;
  beyond: number;
}

/** An LKCD dump. */
export class LkcdDump implements DumpFile {
  readonly format = "lkcd";
  readonly pageSize: number;
  readonly littleEndian: boolean;
  readonly wordSize: 4 | 8;
  readonly arch: string | undefined;
  readonly maxPfn: number;
  /** Notes that `lastwords softboot` keeps behind the architecture header; LKCD itself has none. */
  readonly notes: readonly ElfNote[];
  readonly vmcoreinfo: string | undefined;
  readonly problems: DumpProblem[] = [];
  /** The dump header: panic string, current task, system name. */
  readonly header: LkcdHeader;
  /** Registers and current tasks; undefined where the dump has no architecture header. */
  readonly archHeader: LkcdArchHeader | undefined;
  readonly #source: ByteSource;
  /** Offset of the dump header: 0 but on a dump device. */
  readonly #base: number;
  readonly #firstPage: number;
  readonly #index: PageIndex;
  readonly #counts: ScanCounts = { raw: 0, compressed: 0, zero: 0, testPattern: 0, mclx: 0, misplaced: 0, beyond: 0 };
  readonly #record: Uint8Array;
  readonly #recordView: DataView;
  #endOffset: number | undefined;
  #oddRle = false;

  /**
   * Parses the headers and indexes the page records.
   *
   * @throws UNSUPPORTED (version, s390 dump), CORRUPT (page size, no magic number), TRUNCATED (in the header), IO.
   */
  constructor(source: ByteSource, options: OpenOptions = {}, maxPages: number = MAX_PAGES) {
    this.#source = source;
    const place = findHeader(source);
    if (!place) throw new DumpError("UNSUPPORTED", `${source.name} has no LKCD magic number`);
    if (place.magic === DUMP_MAGIC_S390)
      throw new DumpError("UNSUPPORTED", `${source.name} is an s390 stand-alone dump, which is not read yet`);
    this.#base = place.base;
    this.littleEndian = place.littleEndian;
    const bytes = new Uint8Array(HEADER_READ);
    const got = source.read(place.base, bytes);
    this.header = parseHeader(new Fields(bytes, place.littleEndian, 8, "LKCD header"));
    const header = this.header;
    const needed = headerSize(header);
    if (got < needed) {
      throw new DumpError(
        "TRUNCATED",
        `LKCD header of version ${header.version} is ${needed} bytes long, ${source.name} has ${got} of them`,
        { at: place.base },
      );
    }
    this.wordSize = header.wordSize;
    const machine = header.utsname.machine;
    this.arch = machine === "" || !header.utsnameReadable ? undefined : machine.replace(/^i[3-6]86$/, "i386");
    this.#checkHeader();

    const reader = new RecordReader(source, place.littleEndian);
    this.#firstPage = this.#findFirstPage(reader);
    this.archHeader = this.#readArchHeader();
    this.notes = this.#readNotes();
    this.vmcoreinfo = vmcoreinfoOf(this.notes);
    this.pageSize = this.#findPageSize(reader);
    this.#record = new Uint8Array(DUMP_PAGE_HEADER_SIZE + this.pageSize);
    this.#recordView = new DataView(this.#record.buffer);
    this.#index = new PageIndex();
    this.#scan(reader, options, maxPages);
    this.#index.seal();
    this.maxPfn = this.#index.highest + 1;
    this.#reportScan();
  }

  #problem(code: DumpProblem["code"], message: string): void {
    this.problems.push({ code, message });
  }

  #checkHeader(): void {
    const { version, dh_dump_compress, utsnameReadable } = this.header;
    if (version === 4)
      this.#problem("UNSUPPORTED", "dh_version is 4, of which no example is known; read as version 2 or 5 by its header size");
    if (!utsnameReadable) this.#problem("CORRUPT", "utsname in the LKCD header is not readable; the word size is a guess");
    if (COMPRESSION[dh_dump_compress] === undefined) {
      this.#problem(
        "UNSUPPORTED",
        `dh_dump_compress is ${dh_dump_compress}, known are 0 (none), 1 (RLE) and 2 (gzip); compressed pages cannot be read`,
      );
    }
  }

  /**
   * Offset of the first page record. Version 9 says where; before it was 64 KiB, and 256 KiB on kernels with 64 KiB
   * pages. What does not show a page record there is not believed.
   */
  #findFirstPage(reader: RecordReader): number {
    const { version, dh_dump_buffer_size, dh_page_size } = this.header;
    const candidates = [LKCD_OFFSET_TO_FIRST_PAGE, LKCD_OFFSET_TO_FIRST_PAGE_64K];
    if (dh_page_size >= 65536) candidates.reverse();
    const declared = version >= 9 && dh_dump_buffer_size !== undefined ? dh_dump_buffer_size : undefined;
    if (declared !== undefined && declared >= BigInt(headerSize(this.header)) && declared < BigInt(this.#source.size))
      candidates.unshift(Number(declared));
    for (const offset of candidates) {
      if (!reader.read(this.#base + offset) || !(reader.isPage || reader.isEnd)) continue;
      if (declared !== undefined && BigInt(offset) !== declared) {
        this.#problem("CORRUPT", `dh_dump_buffer_size is ${declared}, the first page record is at ${offset}`);
      }
      return this.#base + offset;
    }
    return this.#base + candidates[0]!;
  }

  #readArchHeader(): LkcdArchHeader | undefined {
    const { dh_header_size, dh_version, utsname } = this.header;
    const places = [dh_header_size];
    if (dh_version & LKCD_DUMP_MCLX_V1) places.unshift(dh_header_size + MCLX_V1_PAGE_HEADER_CACHE);
    for (const place of places) {
      const start = this.#base + place;
      const length = Math.min(this.#firstPage, this.#source.size, start + ARCH_HEADER_LIMIT) - start;
      if (length < 16) continue;
      const parsed = parseArchHeader(
        readExactly(this.#source, start, length, "architecture header", ARCH_HEADER_LIMIT),
        utsname.machine,
        this.littleEndian,
      );
      if (!parsed) continue;
      if (parsed.dha_header_size > length) {
        this.#problem(
          "TRUNCATED",
          `dha_header_size is ${parsed.dha_header_size}, there are ${length} bytes up to the first page record; the last CPUs are missing`,
        );
      } else if (parsed.numCpus !== undefined && parsed.numCpus > parsed.cpus.length) {
        this.#problem(
          "CORRUPT",
          `dha_smp_num_cpus is ${parsed.numCpus}, dha_header_size ${parsed.dha_header_size} has room for ${parsed.cpus.length}`,
        );
      }
      return parsed;
    }
    return undefined;
  }

  #readNotes(): readonly ElfNote[] {
    if (!this.archHeader) return [];
    const start = this.#base + this.header.dh_header_size + this.archHeader.dha_header_size;
    const length = Math.min(this.#firstPage, this.#source.size, start + ARCH_HEADER_LIMIT) - start;
    if (length < 16) return [];
    return findNotes(readExactly(this.#source, start, length, "notes", ARCH_HEADER_LIMIT), start, this.littleEndian, this.problems);
  }

  /**
   * Kernels of versions 7 and 8 saved pages of 4 KiB whatever their own page was, and stored their own in
   * dh_page_size (DUMP_PAGE_SIZE in include/linux/dump.h); addresses that are no multiple of it tell.
   */
  #findPageSize(reader: RecordReader): number {
    const { dh_page_size } = this.header;
    if (dh_page_size === 4096) return dh_page_size;
    let at = this.#firstPage;
    for (let i = 0; i < PAGE_SIZE_SAMPLE && reader.read(at) && reader.isPage; i++) {
      if (!reader.hasPfn && reader.address % dh_page_size !== 0 && reader.address % 4096 === 0 && reader.size <= 4096) return 4096;
      at += DUMP_PAGE_HEADER_SIZE + reader.size;
    }
    return dh_page_size;
  }

  /** Hops from record to record and notes where each page is; page data is not looked at. */
  #scan(reader: RecordReader, options: OpenOptions, maxPages: number): void {
    const fileSize = this.#source.size;
    const counts = this.#counts;
    const headerOnly = this.header.dh_dump_level === 1;
    let at = this.#firstPage;
    let kernelBase = 0;
    let reported = at;
    for (let count = 0; ; count++) {
      if (at - reported >= PROGRESS_BYTES) {
        reported = at;
        options.onProgress?.("indexing page records", at, fileSize);
      }
      if (!reader.read(at)) {
        if (count > 0 || !headerOnly) {
          this.#problem(
            "TRUNCATED",
            `page records stop at offset ${at} without an end record: ${this.#source.name} ends at ${fileSize}; ${count} pages came before`,
          );
        }
        break;
      }
      if (reader.isEnd) {
        if (reader.flags & DUMP_DH_TRUNCATED) {
          this.#problem("TRUNCATED", `the end record at offset ${at} says that the writer ran out of space after ${count} pages`);
        }
        this.#endOffset = at;
        break;
      }
      if (!reader.isPage) {
        if (count === 0 && headerOnly) break;
        if (reader.isZero)
          this.#problem("TRUNCATED", `page records stop at offset ${at} without an end record: zeros follow; ${count} pages came before`);
        else
          this.#problem(
            "CORRUPT",
            `what is at offset ${at} is no page record: dp_flags is ${hex(reader.flags)}, dp_size ${reader.size}; ${count} pages came before`,
          );
        break;
      }
      if (count >= maxPages) {
        this.#problem("LIMIT", `more than ${maxPages} page records; those from offset ${at} on are left out`);
        break;
      }
      const { address, size, flags, hasPfn } = reader;
      const data = at + DUMP_PAGE_HEADER_SIZE;
      if (size > this.pageSize && !this.#continuesAfter(reader, data + size)) {
        this.#problem(
          "CORRUPT",
          `dp_size is ${size} at offset ${at}, a page has ${this.pageSize}, and no record follows it; ${count} pages came before`,
        );
        break;
      }
      if (count === 0 && this.header.version === 1 && !hasPfn && address === V1_KERNEL_BASE) kernelBase = V1_KERNEL_BASE;
      const pfn = hasPfn ? address : (address - kernelBase) / this.pageSize;
      if (!Number.isInteger(pfn) || pfn < 0 || pfn * this.pageSize >= MAX_PADDR) counts.misplaced++;
      else if (pfn > MAX_PFN) counts.beyond++;
      else this.#index.add(pfn, at);
      if (hasPfn) counts.mclx++;
      if (flags & DUMP_DH_TEST_PATTERN) counts.testPattern++;
      if (flags & DUMP_DH_COMPRESSED) counts.compressed++;
      else if (size === 0) counts.zero++;
      else counts.raw++;
      if (data + size > fileSize) {
        this.#problem(
          "TRUNCATED",
          `the page record at offset ${at} has ${size} bytes of data, ${this.#source.name} ends at ${fileSize}; ${count} pages came before`,
        );
        break;
      }
      at = data + size;
    }
    options.onProgress?.("indexing page records", fileSize, fileSize);
  }

  /** Whether what is at `offset` looks like the record after an oversized page: then only that page is bad. */
  #continuesAfter(reader: RecordReader, offset: number): boolean {
    const { address, size, flags } = reader;
    const continues = offset === this.#source.size || (reader.read(offset) && (reader.isEnd || reader.isPage));
    reader.address = address;
    reader.size = size;
    reader.flags = flags;
    return continues;
  }

  #reportScan(): void {
    const { duplicates, firstDuplicate } = this.#index;
    if (firstDuplicate) {
      this.#problem(
        "CORRUPT",
        `${duplicates} page records repeat an address; the first of each is used (physical address ${hex(firstDuplicate.pfn * this.pageSize)}: ` +
          `offset ${firstDuplicate.used}, not ${firstDuplicate.ignored})`,
      );
    }
    const { misplaced, beyond, testPattern } = this.#counts;
    if (misplaced > 0)
      this.#problem("CORRUPT", `${misplaced} page records have an address that is no page of any machine; they are left out`);
    if (beyond > 0) this.#problem("LIMIT", `${beyond} page records have a frame number over ${hex(MAX_PFN)}; they are left out`);
    if (testPattern > 0) this.#problem("CORRUPT", `${testPattern} pages hold a test pattern instead of memory, by their dp_flags`);
    // The end record may be counted in dh_num_pages; a lower number is an old one, the header is not updated at every page.
    const found = this.#counts.raw + this.#counts.compressed + this.#counts.zero;
    if (this.#endOffset !== undefined && this.header.dh_num_pages > found + 1) {
      this.#problem(
        "TRUNCATED",
        `dh_num_pages is ${this.header.dh_num_pages}, there are ${found} page records up to the end record at offset ${this.#endOffset}`,
      );
    }
  }

  pageState(pfn: Pfn): PageState {
    return this.#index.has(pfn) ? "stored" : "absent";
  }

  readPage(pfn: Pfn, into: Uint8Array): void {
    const address = pfn * this.pageSize;
    if (into.length !== this.pageSize)
      throw new DumpError("BAD_ARGUMENT", `a page has ${this.pageSize} bytes, the buffer ${into.length}`, { at: address });
    const offset = this.#index.offset(pfn);
    if (offset === undefined) {
      throw new DumpError(
        "NOT_STORED",
        `page at ${hex(address)} is not in the dump (dh_dump_level is ${hex(this.header.dh_dump_level)}; LKCD does not say whether it was RAM)`,
        { at: address },
      );
    }
    const got = this.#source.read(offset, this.#record);
    const size = this.#recordView.getUint32(8, this.littleEndian);
    const flags = this.#recordView.getUint32(12, this.littleEndian);
    const raw = (flags & DUMP_DH_RAW) !== 0;
    if (raw && size === 0) {
      into.fill(0);
      return;
    }
    if (size > this.pageSize || (raw ? size !== this.pageSize : size === 0)) {
      throw new DumpError(
        "CORRUPT",
        `page at ${hex(address)}: dp_size is ${size} at offset ${offset}, a ${raw ? "raw" : "compressed"} page has ${raw ? "" : "1 to "}${this.pageSize} bytes`,
        { at: address },
      );
    }
    if (got < DUMP_PAGE_HEADER_SIZE + size) {
      throw new DumpError(
        "TRUNCATED",
        `page at ${hex(address)}: ${size} bytes of data follow offset ${offset}, ${this.#source.name} ends at ${this.#source.size}`,
        { at: address },
      );
    }
    const data = this.#record.subarray(DUMP_PAGE_HEADER_SIZE, DUMP_PAGE_HEADER_SIZE + size);
    if (raw) into.set(data);
    else this.#decompress(data, into, address, offset);
  }

  #decompress(data: Uint8Array, into: Uint8Array, address: number, offset: number): void {
    const compress = this.header.dh_dump_compress;
    if (compress === DUMP_COMPRESS_NONE) {
      throw new DumpError("CORRUPT", `page at ${hex(address)} is compressed by its dp_flags at offset ${offset}, dh_dump_compress is 0`, {
        at: address,
      });
    }
    if (compress !== DUMP_COMPRESS_RLE && compress !== DUMP_COMPRESS_GZIP) {
      throw new DumpError(
        "UNSUPPORTED",
        `page at ${hex(address)} is compressed, dh_dump_compress is ${compress}; known are 1 (RLE) and 2 (gzip)`,
        { at: address },
      );
    }
    let length: number;
    let cause: unknown;
    try {
      length = codecByName(compress === DUMP_COMPRESS_RLE ? "rle" : "zlib").decompress(data, into);
    } catch (error) {
      if (!isDumpError(error)) throw error;
      cause = error;
      length = -1;
    }
    if (length === this.pageSize) return;
    if (compress === DUMP_COMPRESS_RLE && this.#isOddRle(data, into)) return;
    const result = cause instanceof Error ? cause.message : `${length} bytes come out, a page has ${this.pageSize}`;
    throw new DumpError("CORRUPT", `page at ${hex(address)} does not decompress from ${data.length} bytes at offset ${offset}: ${result}`, {
      at: address,
      cause,
    });
  }

  /** Tries runs of n bytes instead of n + 1, which some tools write; only a result of exactly a page counts. */
  #isOddRle(data: Uint8Array, into: Uint8Array): boolean {
    try {
      if (decompressRleNCopies(data, into) !== this.pageSize) return false;
    } catch (error) {
      if (!isDumpError(error)) throw error;
      return false;
    }
    if (!this.#oddRle) this.#problem("CORRUPT", "RLE runs of this dump are of n bytes where the kernel writes n + 1; read so");
    this.#oddRle = true;
    return true;
  }

  nextStored(pfn: Pfn): Pfn | undefined {
    const next = this.#index.next(pfn);
    return next === undefined ? undefined : asPfn(next);
  }

  info(): InfoSection[] {
    const { header, archHeader } = this;
    const [seconds, microseconds] = header.dh_time;
    const compression = `${header.dh_dump_compress} (${COMPRESSION[header.dh_dump_compress] ?? "unknown"})`;
    const counts = this.#counts;
    const fields: [string, string | number | bigint | boolean][] = [
      ["dh_magic_number", hex(header.dh_magic_number) + (header.dh_magic_number === DUMP_MAGIC_LIVE ? " (live)" : "")],
      ["dh_version", header.dh_version === header.version ? header.version : `${hex(header.dh_version)} (version ${header.version}, MCLX)`],
      ["dh_header_size", header.dh_header_size],
      ["dh_dump_level", `${hex(header.dh_dump_level)} (${levelWords(header.dh_dump_level, header.version)})`],
      ["dh_page_size", header.dh_page_size],
      ["dh_memory_size", header.dh_memory_size],
      ["dh_memory_start", hex(header.dh_memory_start)],
      ["dh_memory_end", hex(header.dh_memory_end)],
      ["dh_num_pages", header.dh_num_pages],
      ["dh_panic_string", header.dh_panic_string.trimEnd()],
      ["dh_time", utc(seconds, microseconds)],
      ...UTSNAME_FIELDS.map((name): [string, string] => [`utsname.${name}`, header.utsname[name]]),
    ];
    if (header.dh_current_task !== undefined) fields.push(["dh_current_task", hex(header.dh_current_task)]);
    fields.push(["dh_dump_compress", header.dh_dump_flags === undefined ? `${compression}, implied by the version` : compression]);
    if (header.dh_dump_flags !== undefined)
      fields.push(["dh_dump_flags", `${hex(header.dh_dump_flags)} (${flagWords(header.dh_dump_flags)})`]);
    if (header.dh_dump_device !== undefined) fields.push(["dh_dump_device", hex(header.dh_dump_device)]);
    if (header.dh_dump_buffer_size !== undefined) fields.push(["dh_dump_buffer_size", header.dh_dump_buffer_size]);
    fields.push(
      ["offset of the header", this.#base],
      ["offset of the first page record", this.#firstPage],
      ["offset of the end record", this.#endOffset ?? "none"],
      ["size of a stored page", this.pageSize],
      ["pages stored", this.#index.length],
      ["records compressed, raw, zero", `${counts.compressed}, ${counts.raw}, ${counts.zero}`],
    );
    if (counts.mclx > 0) fields.push(["records with a frame number", counts.mclx]);
    const sections: InfoSection[] = [{ title: "LKCD header", fields }];
    if (archHeader) {
      const arch: [string, string | number | bigint][] = [
        ["dha_version", archHeader.dha_version],
        ["dha_header_size", archHeader.dha_header_size],
      ];
      if (archHeader.numCpus !== undefined) arch.push(["dha_smp_num_cpus", archHeader.numCpus]);
      if (archHeader.dumpingCpu !== undefined) arch.push(["dha_dumping_cpu", archHeader.dumpingCpu]);
      if (archHeader.kernelAddr !== undefined) arch.push(["dha_kernel_addr", hex(archHeader.kernelAddr)]);
      for (const [name, value] of archHeader.registers ?? []) arch.push([name, hex(value)]);
      sections.push({ title: "LKCD architecture header", fields: arch });
      for (const { cpu, registers, currentTask, stack, stackPtr } of archHeader.cpus) {
        sections.push({
          title: `CPU ${cpu}`,
          fields: [
            ["dha_smp_current_task", hex(currentTask)],
            ["dha_stack", hex(stack)],
            ["dha_stack_ptr", hex(stackPtr)],
            ...[...registers].map(([name, value]): [string, string] => [name, hex(value)]),
          ],
        });
      }
    }
    return sections;
  }

  close(): void {
    this.#source.close();
  }
}

/** Names of include/linux/dump.h; versions 1 to 3 number the levels 0 to 4 instead (include/linux/vmdump.h). */
function levelWords(level: number, version: number): string {
  if (version <= 3) return ["none", "header", "kernel", "used", "all"][level] ?? "unknown";
  const words = [
    [1, "header"],
    [2, "kernel"],
    [4, "used"],
    [8, "all RAM"],
    [0x10, "all"],
  ] as const;
  return (
    words
      .filter(([bit]) => level & bit)
      .map(([, word]) => word)
      .join(", ") || "none"
  );
}

function flagWords(flags: number): string {
  const words = [
    [0x1, "nondisruptive"],
    [0x2, "softboot"],
    [0x8000_0000, "to disk"],
    [0x4000_0000, "to network"],
  ] as const;
  return (
    words
      .filter(([bit]) => flags & bit)
      .map(([, word]) => word)
      .join(", ") || "none"
  );
}

function utc(seconds: bigint, microseconds: bigint): string {
  const date = new Date(seconds < 8_640_000_000_000n ? Number(seconds) * 1000 : Number.NaN);
  const text = `${seconds}.${String(microseconds).padStart(6, "0")}`;
  return Number.isNaN(date.getTime()) ? text : `${text} (${date.toISOString().replace(".000Z", "Z")})`;
}
