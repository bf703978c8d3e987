import { DumpError, encodeLatin1, hex, MAX_PADDR } from "../../bytes/index.ts";
import { FLAG_RAW, type PageBatch, PageKernels } from "../../codec/kernels/kernels.ts";
import {
  DUMP_ASM_MAGIC_NUMBER,
  DUMP_COMPRESS_GZIP,
  DUMP_COMPRESS_NONE,
  DUMP_COMPRESS_RLE,
  DUMP_DH_COMPRESSED,
  DUMP_DH_END,
  DUMP_DH_RAW,
  DUMP_DH_TRUNCATED,
  DUMP_MAGIC_NUMBER,
  DUMP_PAGE_HEADER_SIZE,
  DUMP_PANIC_LEN,
  LKCD_OFFSET_TO_FIRST_PAGE,
  UTSNAME_ENTRY_SZ,
  UTSNAME_FIELDS,
} from "./layout.ts";
import { encodeNoteArea, type StoredNote } from "./notes.ts";

/** Bits of dh_dump_level from version 8 on (LKCD patch: include/linux/dump.h). Each pass of the writer has one of its own. */
export const DUMP_LEVEL_HEADER = 0x1;
export const DUMP_LEVEL_KERN = 0x2;
export const DUMP_LEVEL_USED = 0x4;
export const DUMP_LEVEL_ALL_RAM = 0x8;
/** dh_dump_flags: the dump was kept in memory over a boot. */
export const DUMP_FLAGS_SOFTBOOT = 0x2;

/** The page of the dump, which on x86_64 is the machine's. */
export const LKCD_PAGE_SIZE = 4096;

/** sizeof(struct __dump_header) of version 8, and of version 9 with dh_dump_buffer_size. */
const HEADER_SIZE_V8 = 734;
const HEADER_SIZE_V9 = 742;
/** struct pt_regs of x86_64 in words, and what each CPU takes in the architecture header. */
const REGISTERS = 21;
const CPU_SIZE: number = REGISTERS * 8 + 3 * 8;
const ARCH_FIXED = 192;
/** What the kernel's writer fills the rest of its last buffer with. */
export const PADDING = 0x6d;

/** One CPU for the architecture header. */
export interface LkcdCpuState {
  /** struct pt_regs in its order, r15 to ss; 21 words. */
  readonly registers: readonly bigint[];
  /** Address of its task_struct; 0 where not known. */
  readonly currentTask?: bigint;
}

/** What the headers say. */
export interface LkcdHeaderFields {
  /** dh_dump_level, bits of `DUMP_LEVEL_*`. */
  readonly level: number;
  readonly compress: "none" | "rle" | "gzip";
  readonly utsname: Readonly<Partial<Record<(typeof UTSNAME_FIELDS)[number], string>>>;
  readonly panicString?: string;
  /** Seconds and microseconds since 1970. */
  readonly time?: readonly [seconds: number, microseconds: number];
  readonly currentTask?: bigint;
  /** dh_memory_size, in pages. */
  readonly memoryPages?: number;
  /** dh_memory_start: PAGE_OFFSET of the crashed kernel. */
  readonly memoryStart?: bigint;
  readonly flags?: number;
  readonly cpus?: readonly LkcdCpuState[];
  /** Index in {@link cpus}. */
  readonly dumpingCpu?: number;
  /** ELF notes to be kept behind the architecture header, where LKCD's own readers do not look; see notes.ts. */
  readonly notes?: readonly StoredNote[];
  /** dh_num_pages. */
  readonly pages?: number;
}

const COMPRESS = { none: DUMP_COMPRESS_NONE, rle: DUMP_COMPRESS_RLE, gzip: DUMP_COMPRESS_GZIP } as const;

/**
 * Encodes the dump header and the x86_64 architecture header, up to the first page record: 64 KiB of version 8. Where
 * registers and notes do not fit that, version 9, which states where the first page record is.
 */
export function encodeLkcdHeaders(fields: LkcdHeaderFields): Uint8Array {
  const cpus = fields.cpus ?? [];
  const notes = encodeNoteArea(fields.notes ?? []);
  const archSize = ARCH_FIXED + cpus.length * CPU_SIZE;
  const notesAt = Math.ceil((HEADER_SIZE_V9 + archSize) / 16) * 16;
  const version = notesAt + notes.length <= LKCD_OFFSET_TO_FIRST_PAGE ? 8 : 9;
  const headerSize = version === 8 ? HEADER_SIZE_V8 : HEADER_SIZE_V9;
  const size = Math.ceil((notesAt + notes.length) / LKCD_OFFSET_TO_FIRST_PAGE) * LKCD_OFFSET_TO_FIRST_PAGE;
  const bytes = new Uint8Array(size);
  const view = new DataView(bytes.buffer);
  const text = (at: number, value: string, length: number): void => bytes.set(encodeLatin1(value).subarray(0, length - 1), at);
  const word = (at: number, value: bigint): void => view.setBigUint64(at, BigInt.asUintN(64, value), true);

  word(0, DUMP_MAGIC_NUMBER);
  view.setUint32(8, version, true);
  view.setUint32(12, headerSize, true);
  view.setUint32(16, fields.level, true);
  view.setUint32(20, LKCD_PAGE_SIZE, true);
  word(24, BigInt(fields.memoryPages ?? 0));
  word(32, fields.memoryStart ?? 0n);
  // As the kernels of these versions store it (see LkcdHeader.dh_memory_end).
  word(40, DUMP_MAGIC_NUMBER);
  view.setUint32(48, fields.pages ?? 0, true);
  text(52, fields.panicString ?? "", DUMP_PANIC_LEN);
  word(308, BigInt(Math.floor(fields.time?.[0] ?? 0)));
  word(316, BigInt(Math.floor(fields.time?.[1] ?? 0)));
  const utsname = { sysname: "Linux", machine: "x86_64", ...fields.utsname };
  for (const [i, name] of UTSNAME_FIELDS.entries()) text(324 + i * UTSNAME_ENTRY_SZ, utsname[name] || "(none)", UTSNAME_ENTRY_SZ);
  word(714, fields.currentTask ?? 0n);
  view.setUint32(722, COMPRESS[fields.compress], true);
  view.setUint32(726, fields.flags ?? 0, true);
  if (version === 9) word(734, BigInt(size));

  const arch = headerSize;
  word(arch, DUMP_ASM_MAGIC_NUMBER);
  view.setUint32(arch + 8, 2, true);
  view.setUint32(arch + 12, archSize, true);
  const dumping = fields.dumpingCpu ?? 0;
  const registers = (at: number, cpu: LkcdCpuState | undefined): void => {
    for (let i = 0; i < REGISTERS; i++) word(at + i * 8, cpu?.registers[i] ?? 0n);
  };
  registers(arch + 16, cpus[dumping]);
  view.setUint32(arch + 184, cpus.length, true);
  view.setUint32(arch + 188, dumping, true);
  for (const [i, cpu] of cpus.entries()) {
    registers(arch + ARCH_FIXED + i * REGISTERS * 8, cpu);
    word(arch + ARCH_FIXED + cpus.length * REGISTERS * 8 + i * 8, cpu.currentTask ?? 0n);
  }
  bytes.set(notes, notesAt);
  return bytes;
}

/** The record that ends the stream. */
export function encodeEndRecord(truncated: boolean): Uint8Array {
  const record = new Uint8Array(DUMP_PAGE_HEADER_SIZE);
  new DataView(record.buffer).setUint32(12, truncated ? DUMP_DH_END | DUMP_DH_TRUNCATED : DUMP_DH_END, true);
  return record;
}

const ZERO_PAGE: Buffer = Buffer.alloc(LKCD_PAGE_SIZE);

/** zlib by the kernel that `save` has, a page at a time: a page may be written over as soon as its record is there. */
class PageDeflater {
  readonly #kernels: PageKernels = PageKernels.create();
  readonly #batch: PageBatch = this.#kernels.allocateBatch(LKCD_PAGE_SIZE, 1);
  readonly #source: Uint8Array = this.#kernels.bytes(this.#batch.source, LKCD_PAGE_SIZE);
  readonly #output: Uint8Array = this.#kernels.bytes(this.#batch.output, LKCD_PAGE_SIZE);
  readonly #flags: Uint8Array = this.#kernels.bytes(this.#batch.flags, 1);

  /** Undefined for a page that does not shrink. Valid until the next call. */
  deflate(page: Uint8Array): Uint8Array | undefined {
    this.#source.set(page);
    this.#flags[0] = 0;
    const length = this.#kernels.compress("zlib", this.#batch, 1);
    return this.#flags[0] === FLAG_RAW ? undefined : this.#output.subarray(0, length);
  }
}

/** Makes page records; the returned bytes are valid until the next call. */
export class PageRecordEncoder {
  readonly compress: "none" | "rle" | "gzip";
  readonly #deflater: PageDeflater | undefined;
  readonly #record: Uint8Array = new Uint8Array(DUMP_PAGE_HEADER_SIZE + LKCD_PAGE_SIZE);
  readonly #view: DataView = new DataView(this.#record.buffer);

  constructor(compress: "none" | "rle" | "gzip") {
    this.compress = compress;
    this.#deflater = compress === "gzip" ? new PageDeflater() : undefined;
  }

  /**
   * A page of zeros is a raw record of no bytes; one that does not shrink is stored raw.
   *
   * @param paddr page aligned. @param page exactly 4096 bytes.
   */
  encode(paddr: number, page: Uint8Array): Uint8Array {
    if (!Number.isSafeInteger(paddr) || paddr < 0 || paddr >= MAX_PADDR || paddr % LKCD_PAGE_SIZE !== 0 || page.length !== LKCD_PAGE_SIZE)
      throw new DumpError("BAD_ARGUMENT", `${page.length} bytes at ${hex(paddr)} are no page`, { at: paddr });
    let flags = DUMP_DH_RAW;
    let size = LKCD_PAGE_SIZE;
    if (ZERO_PAGE.compare(page) === 0) size = 0;
    else if (this.#deflater) {
      const packed = this.#deflater.deflate(page);
      if (packed !== undefined) {
        flags = DUMP_DH_COMPRESSED;
        size = packed.length;
        this.#record.set(packed, DUMP_PAGE_HEADER_SIZE);
      }
    } else if (this.compress === "rle") {
      const packed = encodeRun(page, this.#record, DUMP_PAGE_HEADER_SIZE, DUMP_PAGE_HEADER_SIZE + LKCD_PAGE_SIZE - 1);
      if (packed !== undefined) {
        flags = DUMP_DH_COMPRESSED;
        size = packed;
      }
    }
    if (flags === DUMP_DH_RAW && size > 0) this.#record.set(page, DUMP_PAGE_HEADER_SIZE);
    this.#view.setUint32(0, paddr % 0x1_0000_0000, true);
    this.#view.setUint32(4, Math.floor(paddr / 0x1_0000_0000), true);
    this.#view.setUint32(8, size, true);
    this.#view.setUint32(12, flags, true);
    return this.#record.subarray(0, DUMP_PAGE_HEADER_SIZE + size);
  }
}

/** LKCD's run-length code (see src/codec/rle.ts). Bytes written from `from` on; undefined where they would pass `limit`. */
function encodeRun(page: Uint8Array, into: Uint8Array, from: number, limit: number): number | undefined {
  let out = from;
  for (let i = 0; i < page.length;) {
    const value = page[i]!;
    let run = 1;
    while (run < 256 && i + run < page.length && page[i + run] === value) run++;
    if (out + 3 > limit) return undefined;
    if (value !== 0 && run <= 2) {
      into[out++] = value;
      if (run === 2) into[out++] = value;
    } else if (run === 1) {
      into[out++] = 0;
      into[out++] = 0;
    } else {
      into[out++] = 0;
      into[out++] = run - 1;
      into[out++] = value;
    }
    i += run;
  }
  return out - from;
}

/** Where a dump goes to. */
export interface LkcdSink {
  /** Appends; the bytes are the callee's only until it returns. */
  write(bytes: Uint8Array): void;
  /** Overwrites bytes that were written; a stream that cannot do so leaves it out, and dh_num_pages stays 0. */
  rewrite?(offset: number, bytes: Uint8Array): void;
}

/** Writes an LKCD dump of an x86_64 machine, page by page in the caller's order; no page may come twice. */
export class LkcdWriter {
  readonly #sink: LkcdSink;
  readonly #fields: LkcdHeaderFields;
  readonly #encoder: PageRecordEncoder;
  #pages = 0;
  #finished = false;

  constructor(sink: LkcdSink, fields: LkcdHeaderFields) {
    this.#sink = sink;
    this.#fields = fields;
    this.#encoder = new PageRecordEncoder(fields.compress);
    sink.write(encodeLkcdHeaders(fields));
  }

  /** Pages written up to now. */
  get pages(): number {
    return this.#pages;
  }

  /** @throws BAD_ARGUMENT for what is no page, and what the sink throws. */
  writePage(paddr: number, bytes: Uint8Array): void {
    if (this.#finished) throw new DumpError("BAD_ARGUMENT", "the dump is finished, no page can follow");
    this.#sink.write(this.#encoder.encode(paddr, bytes));
    this.#pages++;
  }

  /** @param truncated that pages which should be here are not. */
  finish(truncated = false): void {
    if (this.#finished) return;
    this.#finished = true;
    this.#sink.write(encodeEndRecord(truncated));
    this.#sink.rewrite?.(0, encodeLkcdHeaders({ ...this.#fields, pages: this.#pages }));
  }
}
