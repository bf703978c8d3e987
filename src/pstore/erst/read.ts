import { type ByteSource, decodeLatin1, Fields } from "../../bytes/index.ts";
import type { DecompressPayload, Payload } from "../payload.ts";
import { parseReasonLine } from "../reason.ts";
import type { PstoreRecord, RecordType } from "../record.ts";
import {
  CPER_CREATOR_PSTORE,
  CPER_HEADER_SIZE,
  CPER_SECTION_TYPE_DMESG,
  CPER_SECTION_TYPE_DMESG_Z,
  CPER_SECTION_TYPE_MCE,
  CPER_SIG,
  CPER_SIG_END,
  CPER_VALID_TIMESTAMP,
  CREATOR_ID,
  DATA_OFFSET,
  ERST_STORE_MAGIC,
  ERST_STORE_VERSION,
  formatGuid,
  MAX_RECORD,
  RECORD_ID,
  RECORD_LENGTH,
  SECTION_COUNT,
  SECTION_LENGTH,
  SECTION_OFFSET,
  SECTION_TYPE,
  SIGNATURE_END,
  STORE_MAP,
  STORE_RECORD_COUNT,
  STORE_RECORD_SIZE,
  STORE_STORAGE_OFFSET,
  STORE_VERSION,
  TIMESTAMP,
  VALIDATION_BITS,
} from "./layout.ts";

/** What a file of error records holds. */
export interface ErstContent {
  /** In the file's order; records of slots that were cleared behind those that were not. */
  readonly records: readonly PstoreRecord[];
  /** Records that somebody else than pstore wrote, which a kernel skips. */
  readonly foreign: number;
  /** What is wrong with the file as a whole. */
  readonly problems: readonly string[];
}

const BACKEND = "erst";
/** A store of 64 MiB has as many slots of QEMU's default size. More are not read, and it is said. */
const MAX_RECORDS = 8192;
/** Slots that are looked at, with a record in them or not; QEMU's files have a few hundred. */
const MAX_SLOTS = 65_536;
/** Slots without the record that the map promises; after these they are only counted. */
const MAX_NAMED = 16;
/** Bytes that are looked through at a time. */
const WINDOW = 64 * 1024;
/** From the signature to the end of `signature_end`. */
const SIGNATURE_SIZE = 10;
/** End of the year 9999. */
const LATEST = 253_402_300_799;

/**
 * Reads error records: one alone, several one behind the other, with anything between them, or the file behind QEMU's ERST device.
 * Memory for one record at a time, besides what is returned.
 *
 * @throws what the source throws; nothing on account of what it holds.
 */
export function readErstRecords(source: ByteSource, decompress: DecompressPayload): ErstContent {
  const reader = new Reader(source, decompress);
  const head = bytesAt(source, 0, STORE_MAP);
  if (decodeLatin1(head.subarray(0, ERST_STORE_MAGIC.length)) === ERST_STORE_MAGIC) readStore(source, head, reader);
  else reader.readAll(0);
  return reader.content();
}

/** As many bytes from there as the source has, at most `length`. */
function bytesAt(source: ByteSource, offset: number, length: number): Uint8Array {
  const bytes = new Uint8Array(Math.max(0, Math.min(length, source.size - offset)));
  return bytes.subarray(0, source.read(offset, bytes));
}

/** QEMU's file: the map says which slots count. */
function readStore(source: ByteSource, head: Uint8Array, reader: Reader): void {
  const wrong = storeProblem(source, head);
  if (wrong !== undefined) {
    // The records have signatures of their own.
    reader.problems.push(`${wrong}; records are searched for instead`);
    reader.readAll(head.length);
    return;
  }
  const fields = new Fields(head, true, 8, "ERST store header");
  const recordSize = fields.u32(STORE_RECORD_SIZE);
  const storageOffset = fields.u32(STORE_STORAGE_OFFSET);
  const slots = Math.floor(source.size / recordSize);
  // The map ends where the records begin, whatever the file's size says.
  const first = storageOffset / recordSize;
  const mapped = Math.min(slots, Math.floor((storageOffset - STORE_MAP) / 8), first + MAX_SLOTS);
  if (mapped < slots) reader.problems.push(`ids of ${mapped} slots can be read, ${source.name} has ${slots}`);
  if (source.size % recordSize !== 0)
    reader.problems.push(`the last ${source.size % recordSize} bytes are less than a slot of ${recordSize}`);
  const cleared: number[] = [];
  let count = 0;
  let lost = 0;
  // The map is read in pieces: of a large file with small slots it is large.
  for (let from = first; from < mapped; from += WINDOW / 8) {
    const map = bytesAt(source, STORE_MAP + from * 8, Math.min(WINDOW, (mapped - from) * 8));
    const ids = new Fields(map, true, 8, "ERST store map");
    for (let i = 0; i * 8 + 8 <= map.length; i++) {
      const id = ids.u64(i * 8);
      const slot = from + i;
      if (id === 0n) {
        if (cleared.length < MAX_RECORDS) cleared.push(slot);
        continue;
      }
      count++;
      if (!reader.readSlot(slot * recordSize, recordSize, id) && ++lost <= MAX_NAMED) {
        reader.problems.push(`slot ${slot} should hold record ${id}, and there is none`);
      }
      if (reader.full) return;
    }
  }
  if (lost > MAX_NAMED) reader.problems.push(`${lost} slots in all should hold a record and do not`);
  const claimed = fields.u32(STORE_RECORD_COUNT);
  if (claimed !== count) reader.problems.push(`the header counts ${claimed} records, the map has ${count}`);
  for (const slot of cleared) {
    reader.readSlot(slot * recordSize, recordSize, 0n);
    if (reader.full) return;
  }
}

/** Why the header is none that QEMU would take; undefined where it would (qemu:hw/acpi/erst.c:check_erst_backend_storage). */
function storeProblem(source: ByteSource, head: Uint8Array): string | undefined {
  if (head.length < STORE_MAP) return `${source.name} ends within the header of an ERST store`;
  const fields = new Fields(head, true, 8, "ERST store header");
  const version = fields.u16(STORE_VERSION);
  if (version !== ERST_STORE_VERSION) return `the ERST store's version is ${version}, ${ERST_STORE_VERSION} is known`;
  const size = fields.u32(STORE_RECORD_SIZE);
  if (size < 4096 || (size & (size - 1)) !== 0 || size > source.size) {
    return `the ERST store's record_size is ${size}: no power of two from 4096 to the file's ${source.size} bytes`;
  }
  const offset = fields.u32(STORE_STORAGE_OFFSET);
  if (offset === 0 || offset % size !== 0) return `the ERST store's storage_offset is ${offset}: no multiple of its record_size, ${size}`;
  return undefined;
}

class Reader {
  readonly problems: string[] = [];
  readonly #source: ByteSource;
  readonly #decompress: DecompressPayload;
  readonly #kept: PstoreRecord[] = [];
  readonly #carved: PstoreRecord[] = [];
  readonly #ids = new Set<string>();
  #foreign = 0;
  #seen = 0;

  constructor(source: ByteSource, decompress: DecompressPayload) {
    this.#source = source;
    this.#decompress = decompress;
  }

  /** No more records are read. */
  get full(): boolean {
    return this.#seen >= MAX_RECORDS;
  }

  content(): ErstContent {
    const problems = this.full ? [...this.problems, `${MAX_RECORDS} records were read; what may follow them is not`] : this.problems;
    return { records: [...this.#kept, ...this.#carved], foreign: this.#foreign, problems };
  }

  /** Finds records by their signatures from `from` to the end. */
  readAll(from: number): void {
    let at = from;
    while (!this.full) {
      const found = this.#find(at, this.#source.size);
      if (found === undefined) return;
      const header = bytesAt(this.#source, found, DATA_OFFSET);
      if (header.length < CPER_HEADER_SIZE) {
        this.problems.push(`the record at ${found} ends after ${header.length} bytes, within its header`);
        return;
      }
      const length = new Fields(header, true).u32(RECORD_LENGTH);
      const trusted = length >= CPER_HEADER_SIZE && length <= MAX_RECORD && found + length <= this.#source.size;
      // A length that cannot be ends at the next record: to read up to the file's end each time would take for ever.
      const end = trusted
        ? found + length
        : Math.min(found + MAX_RECORD, this.#find(found + CPER_HEADER_SIZE, this.#source.size) ?? this.#source.size);
      this.#read(found, bytesAt(this.#source, found, end - found), "kept", []);
      at = end;
    }
  }

  /**
   * Reads the record of one slot.
   *
   * @param id what the map says; 0 for a slot that was cleared. @returns false where there is no record.
   */
  readSlot(offset: number, size: number, id: bigint): boolean {
    const header = bytesAt(this.#source, offset, CPER_HEADER_SIZE);
    if (header.length < CPER_HEADER_SIZE || !isSignature(header, 0)) return false;
    const fields = new Fields(header, true);
    const problems: string[] = [];
    const own = fields.u64(RECORD_ID);
    if (id === 0n) problems.push("its slot is marked free; the record was cleared and its bytes were left behind");
    else if (own !== id) problems.push(`the map calls it ${id}, the record itself ${own}`);
    // Behind the record a slot is filled with ones.
    const length = fields.u32(RECORD_LENGTH);
    const room = Math.min(size, MAX_RECORD);
    const bytes = bytesAt(this.#source, offset, length >= CPER_HEADER_SIZE && length <= room ? length : room);
    this.#read(offset, bytes, id === 0n ? "carved" : "kept", problems);
    return true;
  }

  /** Offset of the first signature at or behind `from`, below `to`. */
  #find(from: number, to: number): number | undefined {
    for (let at = from; at + SIGNATURE_SIZE <= to; at += WINDOW - SIGNATURE_SIZE + 1) {
      const window = bytesAt(this.#source, at, Math.min(WINDOW, to - at));
      for (let i = window.indexOf(CPER_SIG[0]!); i >= 0; i = window.indexOf(CPER_SIG[0]!, i + 1)) if (isSignature(window, i)) return at + i;
      // A source that gives less than its size has nothing behind.
      if (window.length < Math.min(WINDOW, to - at)) return undefined;
    }
    return undefined;
  }

  /** @param bytes the record, from its signature to where it ends or has to. */
  #read(offset: number, bytes: Uint8Array, state: PstoreRecord["state"], problems: string[]): void {
    this.#seen++;
    const fields = new Fields(bytes, true, 8, "error record");
    if (formatGuid(bytes.subarray(CREATOR_ID, CREATOR_ID + 16)) !== CPER_CREATOR_PSTORE) {
      if (state === "kept") this.#foreign++;
      return;
    }
    const id = String(fields.u64(RECORD_ID));
    const where = `record ${id} at ${offset}`;
    const length = fields.u32(RECORD_LENGTH);
    if (bytes.length < DATA_OFFSET) {
      this.problems.push(`${where} has ${bytes.length} bytes; its headers alone are ${DATA_OFFSET}`);
      return;
    }
    const section = formatGuid(bytes.subarray(SECTION_TYPE, SECTION_TYPE + 16));
    const type = sectionTypes.get(section);
    if (type === undefined) {
      this.problems.push(`${where} has a section of type ${section}, which no kernel writes`);
      return;
    }
    if (length !== bytes.length) problems.push(`record_length is ${length}, and ${bytes.length} bytes are there`);
    const sections = fields.u16(SECTION_COUNT);
    const [at, size] = [fields.u32(SECTION_OFFSET), fields.u32(SECTION_LENGTH)];
    // The kernel takes all that is behind the headers; the section says the same unless it is damaged.
    if (sections !== 1 || at !== DATA_OFFSET || at + size !== length) {
      problems.push(
        `${sections} sections, the first of ${size} bytes at ${at}; a kernel writes one of ${length - DATA_OFFSET} at ${DATA_OFFSET}`,
      );
    }
    if (state === "kept" && this.#ids.has(`${type} ${id}`))
      problems.push(`another record has the number ${id}; a kernel shows one of them`);
    if (state === "kept") this.#ids.add(`${type} ${id}`);
    const seconds = fields.u32(VALIDATION_BITS) & CPER_VALID_TIMESTAMP ? fields.u64n(TIMESTAMP) : 0;
    if (seconds > LATEST) problems.push(`the time is ${seconds} seconds after 1970, which is no date`);
    const stored = bytes.slice(DATA_OFFSET);
    const compressed = section === CPER_SECTION_TYPE_DMESG_Z;
    const payload: Payload = compressed ? this.#decompress(stored) : { content: stored, compression: "none", problems: [] };
    (state === "kept" ? this.#kept : this.#carved).push({
      backend: BACKEND,
      type,
      id,
      content: payload.content,
      ...(compressed ? { stored } : {}),
      compression: payload.compression,
      ...(type === "dmesg" ? parseReasonLine(payload.content) : {}),
      ...(seconds > 0 && seconds <= LATEST ? { time: { seconds, nanoseconds: 0 } } : {}),
      state,
      at: { offset, length: bytes.length },
      problems: [...problems, ...payload.problems],
    });
  }
}

const sectionTypes: ReadonlyMap<string, RecordType> = new Map([
  [CPER_SECTION_TYPE_DMESG, "dmesg"],
  [CPER_SECTION_TYPE_DMESG_Z, "dmesg"],
  [CPER_SECTION_TYPE_MCE, "mce"],
]);

function isSignature(bytes: Uint8Array, at: number): boolean {
  if (at + SIGNATURE_SIZE > bytes.length) return false;
  for (let i = 0; i < CPER_SIG.length; i++) if (bytes[at + i] !== CPER_SIG[i]) return false;
  for (let i = SIGNATURE_END; i < SIGNATURE_SIZE; i++) if (bytes[at + i] !== (CPER_SIG_END & 0xff)) return false;
  return true;
}
