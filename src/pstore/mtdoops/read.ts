import { type ByteSource, Fields } from "../../bytes/index.ts";
import type { PstoreRecord, RecordTime } from "../record.ts";

/*
 * Dumps that mtdoops kept on raw flash (linux:drivers/mtd/mtdoops.c:struct mtdoops_hdr): a record in every `record_size` bytes, in
 * the byte order of the machine.
 *
 *   0   u32 seq        all ones: the page is free
 *   4   u32 magic      one a version
 *   8   s64 timestamp  version 2 only: wall clock in nanoseconds
 *   8 or 16            text; behind it the flash's own 0xff
 */
const MTDOOPS_KERNMSG_MAGIC_V1 = 0x5d00_5d00;
const MTDOOPS_KERNMSG_MAGIC_V2 = 0x5d00_5e00;
const HEADER_SIZE: Readonly<Record<1 | 2, number>> = { 1: 8, 2: 16 };
const FREE = 0xffff_ffff;
/** `record_size` is a multiple of this, and this unless told. */
const PAGE = 4096;
/** The driver refuses devices of more than 8 MiB; images of whole chips are larger. */
const MAX_DEVICE = 64 * 1024 * 1024;
const MAX_RECORD = 8 * 1024 * 1024;
const BACKEND = "mtdoops";

/** How a device is read. */
export interface MtdoopsOptions {
  /** The driver's parameter of that name, in bytes, a multiple of 4096; where it is not given, what the headers' distances allow. */
  readonly recordSize?: number;
}

/** What a device holds. */
export interface MtdoopsContent {
  /** The newest last. */
  readonly records: readonly PstoreRecord[];
  readonly problems: readonly string[];
}

interface Header {
  readonly offset: number;
  readonly seq: number;
  readonly version: 1 | 2;
  readonly time?: RecordTime;
  readonly problem?: string;
}

/**
 * Reads the records of a device, of either version and byte order. Record numbers are the driver's sequence numbers.
 *
 * @throws what the source throws; nothing on account of what it holds.
 */
export function readMtdoops(source: ByteSource, options: MtdoopsOptions = {}): MtdoopsContent {
  const problems: string[] = [];
  const size = Math.min(source.size, MAX_DEVICE);
  if (source.size > size) problems.push(`${source.name} has ${source.size} bytes; the first ${size} are read`);
  const asked = options.recordSize;
  const usable = asked !== undefined && asked >= PAGE && asked <= MAX_RECORD && asked % PAGE === 0;
  if (asked !== undefined && !usable)
    problems.push(`record_size is ${asked}: no multiple of ${PAGE} up to ${MAX_RECORD}; it is taken from the headers`);
  const headers = findHeaders(source, size, usable ? asked : PAGE);
  if (headers.length === 0) return { records: [], problems };
  const recordSize = usable ? asked : recordSizeOf(headers, size);
  const seen = new Set<number>();
  return {
    records: inOrder(headers).map((header) => readRecord(source, header, Math.min(recordSize, size - header.offset), seen)),
    problems,
  };
}

function findHeaders(source: ByteSource, size: number, step: number): Header[] {
  const headers: Header[] = [];
  const bytes = new Uint8Array(HEADER_SIZE[2]);
  for (let offset = 0; offset + HEADER_SIZE[1] <= size; offset += step) {
    const got = source.read(offset, bytes);
    for (const littleEndian of [true, false]) {
      const header = parseHeader(bytes.subarray(0, got), offset, littleEndian);
      if (header) headers.push(header);
    }
  }
  return headers;
}

function parseHeader(bytes: Uint8Array, offset: number, littleEndian: boolean): Header | undefined {
  if (bytes.length < HEADER_SIZE[1]) return undefined;
  const fields = new Fields(bytes, littleEndian, 4, "mtdoops header");
  const seq = fields.u32(0);
  const magic = fields.u32(4);
  if (seq === FREE) return undefined;
  if (magic === MTDOOPS_KERNMSG_MAGIC_V1) return { offset, seq, version: 1 };
  if (magic !== MTDOOPS_KERNMSG_MAGIC_V2 || bytes.length < HEADER_SIZE[2]) return undefined;
  const nanoseconds = fields.s64(8);
  // A clock that was never set counts from 1970; before that there is none.
  if (nanoseconds < 0n) return { offset, seq, version: 2, problem: `the time is ${nanoseconds} ns, before 1970` };
  return {
    offset,
    seq,
    version: 2,
    time: { seconds: Number(nanoseconds / 1_000_000_000n), nanoseconds: Number(nanoseconds % 1_000_000_000n) },
  };
}

/**
 * Largest size that puts every header at the beginning of a record. It may be a multiple of the real one where pages between are
 * free; those are all ones and are trimmed.
 */
function recordSizeOf(headers: readonly Header[], size: number): number {
  let common = size - (size % PAGE);
  for (const { offset } of headers) common = gcd(common, offset);
  return Math.max(PAGE, Math.min(common, MAX_RECORD));
}

function gcd(a: number, b: number): number {
  while (b > 0) [a, b] = [b, a % b];
  return a;
}

/** Oldest first. Numbers wrap at 2^32: where there are very small and very large ones, the small are newer, as the driver has it. */
function inOrder(headers: readonly Header[]): Header[] {
  const wrapped = headers.some(({ seq }) => seq < 0x4000_0000) && headers.some(({ seq }) => seq > 0xc000_0000);
  const rank = ({ seq }: Header): number => (wrapped && seq < 0x8000_0000 ? seq + 0x1_0000_0000 : seq);
  return headers.toSorted((a, b) => rank(a) - rank(b) || a.offset - b.offset);
}

function readRecord(source: ByteSource, { offset, seq, version, time, problem }: Header, length: number, seen: Set<number>): PstoreRecord {
  const problems = problem === undefined ? [] : [problem];
  if (seen.has(seq)) problems.push(`another record has the number ${seq}`);
  seen.add(seq);
  const header = HEADER_SIZE[version];
  const bytes = new Uint8Array(Math.max(0, length - header));
  const got = source.read(offset + header, bytes);
  if (got < bytes.length) problems.push(`${source.name} has ${got} of its ${bytes.length} bytes`);
  let end = got;
  while (end > 0 && bytes[end - 1] === 0xff) end--;
  return {
    backend: BACKEND,
    type: "dmesg",
    id: String(seq),
    content: bytes.slice(0, end),
    compression: "none",
    ...(time ? { time } : {}),
    state: "kept",
    at: { offset, length },
    problems,
  };
}
