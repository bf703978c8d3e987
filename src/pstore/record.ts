/*
 * What a backend's storage holds, in one shape for all of them. The names are those of the kernel's own pstore file
 * system (linux:fs/pstore/inode.c:pstore_mkfile, linux:include/linux/pstore.h), so that what is extracted can be
 * compared with what a kernel would have shown.
 */

/** `pstore_type_id` in order; the index is the number that efi variables and pstore/zone signatures carry. */
const TYPE_NAMES = ["dmesg", "mce", "console", "ftrace", "rtas", "powerpc-ofw", "powerpc-common", "pmsg", "powerpc-opal", "tty"] as const;

/** Kind of a record, under the name that files begin with. `tty` is the 2023 series', no released kernel has it. */
export type RecordType = (typeof TYPE_NAMES)[number];

/** Name of a `pstore_type_id`, or undefined for a number that no kernel uses. */
export function typeName(id: number): RecordType | undefined {
  return TYPE_NAMES[id];
}

/** `pstore_type_id` of a name. */
export function typeId(type: RecordType): number {
  return TYPE_NAMES.indexOf(type);
}

/** The type that a word names, or undefined. */
export function recordType(word: string): RecordType | undefined {
  return TYPE_NAMES.find((name) => name === word);
}

/** Wall clock (UTC) of a record, as the crashed machine set it. */
export interface RecordTime {
  /** Seconds since 1970. */
  readonly seconds: number;
  /** 0 to 999,999,999. */
  readonly nanoseconds: number;
}

/** What Reed-Solomon decoding found in the bytes that a record was read from. */
export interface EccReport {
  /** Bytes that were wrong and are right now, header included. */
  readonly corrected: number;
  /** Blocks with more wrong bytes than the parity can mend; they are shown as they are. */
  readonly lostBlocks: number;
  /** Where such blocks ended up in the record's content (before decompression): offset and length, ascending. */
  readonly lost: readonly (readonly [offset: number, length: number])[];
}

/** How a payload was stored. `unknown`: marked compressed and nothing fits; the content is the raw bytes. */
export type Compression = "none" | "deflate" | "zlib" | "lzo" | "lz4" | "842" | "zstd" | "unknown";

/** One record of one backend. */
export interface PstoreRecord {
  /** As the kernel calls the backend: `ramoops`, `pstore_blk`, `efi_pstore`, `erst`; ours: `memconsole`, `google`, `cbmem`, `mtdoops`. */
  readonly backend: string;
  readonly type: RecordType;
  /** Decimal number at the end of the kernel's file name; unique within backend and type unless the storage is corrupt. */
  readonly id: string;
  /** What the kernel's file holds, without the ECC notice: text where it is text, ftrace records as they are. */
  readonly content: Uint8Array;
  /** Payload as stored, where `content` was made from it by decompression. */
  readonly stored?: Uint8Array;
  readonly compression: Compression;
  /** `Panic`, `Oops` ...: why the kernel wrote a dmesg record. */
  readonly reason?: string;
  /** Number of the dump in its boot, and part of it: part 1 is the newest text. */
  readonly count?: number;
  readonly part?: number;
  readonly time?: RecordTime;
  readonly ecc?: EccReport;
  /** Sentence that the kernel appends to its file when the zone has ECC. */
  readonly notice?: string;
  /**
   * `kept`: a kernel would show it. `carved`: text that is no longer part of any record (the zone was zapped or its
   * header is gone); its beginning and its order are guesses.
   */
  readonly state: "kept" | "carved";
  /** Where in the source: byte offset and length of the zone, variable or file. */
  readonly at: { readonly offset: number; readonly length: number };
  /** What is wrong with it, in sentences. */
  readonly problems: readonly string[];
}

/** Name of the record's file in the kernel's pstore file system; carved ones get `.carved` behind it. */
export function recordFileName(record: PstoreRecord): string {
  const name = `${record.type}-${record.backend}-${record.id}`;
  if (record.state === "carved") return `${name}.carved`;
  return record.compression === "unknown" ? `${name}.enc.z` : name;
}

/** Bytes of the record's file in the kernel's pstore file system: the content and, where the kernel appends one, the ECC notice. */
export function recordFileBytes(record: PstoreRecord): Uint8Array {
  if (record.notice === undefined) return record.content;
  const notice = Uint8Array.from(record.notice, (char) => char.charCodeAt(0));
  const bytes = new Uint8Array(record.content.length + notice.length);
  bytes.set(record.content);
  bytes.set(notice, record.content.length);
  return bytes;
}
