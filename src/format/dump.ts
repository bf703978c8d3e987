import type { ByteSource, Pfn } from "../bytes/index.ts";

/** What the dump holds for one page frame, told without reading its data. */
export type PageState = "stored" | "excluded" | "absent";

/** One ELF note of a dump, with its place. */
export interface ElfNote {
  /** Owner name without the trailing NUL: `CORE`, `VMCOREINFO`, `LINUX`, `QEMU`. */
  readonly name: string;
  /** n_type, 32 bits. */
  readonly type: number;
  readonly desc: Uint8Array;
  /** File offset of the note header in the dump file (after unpacking flattened or compressed containers). */
  readonly offset: number;
}

/** A named list of header fields for `info`; values are shown as they are. */
export interface InfoSection {
  readonly title: string;
  readonly fields: readonly (readonly [name: string, value: string | number | bigint | boolean])[];
}

/** Something wrong or missing that was noticed while opening or reading; never fatal by itself. */
export interface DumpProblem {
  readonly code: "EXCLUDED" | "NOT_STORED" | "TRUNCATED" | "CORRUPT" | "UNSUPPORTED" | "LIMIT";
  readonly message: string;
}

/** Physical memory of a crashed machine as some file format stores it. */
export interface DumpFile {
  /** `elf`, `kdump`, `diskdump`, `lkcd`, `sadump`, `raw`. */
  readonly format: string;
  /** Size of a target page in bytes, a power of two. */
  readonly pageSize: number;
  readonly littleEndian: boolean;
  readonly wordSize: 4 | 8;
  /** The kernel's name of the architecture (`x86_64`, `aarch64`), where the file says it. */
  readonly arch: string | undefined;
  /** One more than the highest page frame number that the dump speaks of. */
  readonly maxPfn: number;
  /** The dump's ELF notes in file order; empty where the format has none. */
  readonly notes: readonly ElfNote[];
  /** VMCOREINFO text where the format carries it other than as a note. */
  readonly vmcoreinfo: string | undefined;
  /** Virtual addresses that the headers give for physical ones (p_vaddr); only in ELF files, and only of some ranges. */
  readonly segments?: readonly { readonly vaddr: bigint; readonly paddr: number; readonly size: number }[];
  /** What was found wrong on opening. Grows while reading where a reader notices more. */
  readonly problems: readonly DumpProblem[];

  /** Whether the page is stored, without touching its data. Cheap; no exception for any pfn. */
  pageState(pfn: Pfn): PageState;

  /**
   * Fills `into` (exactly `pageSize` bytes) with the page.
   *
   * @throws EXCLUDED, NOT_STORED, TRUNCATED, CORRUPT or UNSUPPORTED, with `at` = physical address.
   */
  readPage(pfn: Pfn, into: Uint8Array): void;

  /**
   * The next page frame at or after `pfn` that is stored, or undefined. For scans over the whole dump.
   */
  nextStored(pfn: Pfn): Pfn | undefined;

  /**
   * Ranges `[from, to)` of frames that are RAM, stored or left out, of which a part is at or after `pfn`, in ascending order of `from`; they
   * may overlap. Only of formats that can tell without asking for every frame.
   */
  ramRanges?(pfn: Pfn): Iterable<readonly [from: number, to: number]>;

  /**
   * Fills `into` with up to `count` pages that follow each other, as they lie in the file. Formats that store pages as they are have
   * this, for who reads many.
   *
   * @returns pages read, at least 1; 0 where this very page must be read by {@link readPage}.
   */
  readRun?(pfn: Pfn, count: number, into: Uint8Array): number;

  /**
   * Ranges of stored frames `[from, to)`, ascending; a page stored in part counts. Undefined where pages may have been left out.
   */
  storedRanges?(): Iterable<readonly [from: number, to: number]> | undefined;

  /** Everything in the headers, for `info`. */
  info(): InfoSection[];

  close(): void;
}

/** The verdict of a probe: it never throws and leaves no trace. */
export interface FormatProbe {
  /** Name of the format as in {@link DumpFile.format}. */
  readonly format: string;
  /** True when the first bytes say it is this format. `head` holds up to the first 64 KiB of the source. */
  probe(head: Uint8Array, source: ByteSource): boolean;
  /** Opens it. Throws UNSUPPORTED, CORRUPT or TRUNCATED where not even a part can be used. */
  open(sources: readonly ByteSource[], options: OpenOptions): DumpFile;
}

/** What the user may say about a dump. */
export interface OpenOptions {
  /** Physical address of the first byte of a raw image. */
  readonly rawBase?: number;
  /** Accept a file no probe knows as a raw memory image. */
  readonly raw?: boolean;
  /** Called now and then during long work (index scans, unpacking): a label, bytes done, bytes in all. */
  readonly onProgress?: (label: string, done: number, total: number) => void;
}
