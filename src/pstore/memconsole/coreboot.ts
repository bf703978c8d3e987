import { type ByteSource, decodeLatin1, Fields } from "../../bytes/index.ts";
import type { PstoreRecord } from "../record.ts";
import { consoleRecord, type Piece, readPiece, unroll } from "./region.ts";

/*
 * Console of coreboot (linux:drivers/firmware/google/memconsole-coreboot.c:struct cbmem_cons), little-endian:
 *
 *   0   u32 size     bytes of the ring
 *   4   u32 cursor   bits 0 to 27: where the next byte goes; bit 31: the ring has wrapped
 *   8   the ring
 *
 * It is found through coreboot's table (linux:include/linux/coreboot.h; the low addresses are those of every x86 payload, a kernel
 * gets the address from ACPI). The table's header:
 *
 *   0   char signature[4]  "LBIO"
 *   4   u32 header_bytes, u32 header_checksum, u32 table_bytes, u32 table_checksum, u32 table_entries
 *
 * and behind it entries of u32 tag, u32 size (of all the entry), and what the tag says.
 */
const HEADER_SIZE = 24;
const ENTRY_SIZE = 8;
/** Entry with the physical address of another table, which is the real one. */
const LB_TAG_FORWARD = 0x11;
/** Entry with the physical address of the console. */
const CB_TAG_CBMEM_CONSOLE = 0x17;
const CURSOR_MASK = 0x0fff_ffff;
const CONSOLE_HEADER_SIZE = 8;
/** Tables begin at multiples of this. */
const TABLE_ALIGN = 16;
/** Where tables are looked for: physical address and bytes. */
const PLACES: readonly (readonly [number, number])[] = [
  [0, 0x1000],
  [0xf0000, 0x10000],
];
/** Tables are a few KiB, consoles at most a few hundred. */
const MAX_TABLE = 256 * 1024;
const MAX_CONSOLE = 16 * 1024 * 1024;
/** One is usual; a table that forwards to itself must end. */
const MAX_FORWARDS = 4;
const BACKEND = "cbmem";

/**
 * Reads the console that coreboot's table names: what `/sys/firmware/log` shows.
 *
 * @param memory physical memory from address 0. @returns one record, or none where there is no table or no console in it.
 */
export function readCorebootConsole(memory: ByteSource): readonly PstoreRecord[] {
  for (const [address, length] of PLACES) {
    const problems: string[] = [];
    const console = findConsole(memory, address, length, problems);
    if (console === undefined) continue;
    return [readConsole(memory, console, problems)];
  }
  return [];
}

/**
 * Reads a console alone: a copy of the region that coreboot's table names.
 *
 * @param region from its first byte; it may be longer. @returns one record, or none for fewer bytes than its header has.
 */
export function readCbmemConsole(region: ByteSource): readonly PstoreRecord[] {
  return region.size < CONSOLE_HEADER_SIZE ? [] : [readConsole(region, 0, [])];
}

/** Address of the console named by a table between the two addresses, or by the one that it forwards to. */
function findConsole(memory: ByteSource, address: number, length: number, problems: string[]): number | undefined {
  let [from, room] = [address, length];
  for (let hops = 0; hops <= MAX_FORWARDS; hops++) {
    const table = findTable(memory, from, room);
    if (!table) return undefined;
    problems.push(...table.problems);
    const console = addressIn(table.entries, CB_TAG_CBMEM_CONSOLE);
    if (console !== undefined) return console;
    const forward = addressIn(table.entries, LB_TAG_FORWARD);
    if (forward === undefined) return undefined;
    from = forward;
    room = 0x1000;
  }
  return undefined;
}

interface Table {
  readonly entries: Fields;
  readonly problems: readonly string[];
}

/** The first table whose header is whole. */
function findTable(memory: ByteSource, from: number, room: number): Table | undefined {
  const { bytes } = readPiece(memory, from, room, "memory");
  for (let at = 0; at + HEADER_SIZE <= bytes.length; at += TABLE_ALIGN) {
    if (decodeLatin1(bytes.subarray(at, at + 4)) !== "LBIO") continue;
    const fields = new Fields(bytes.subarray(at, at + HEADER_SIZE), true, 4, "coreboot table");
    const [headerBytes, tableBytes, tableChecksum] = [fields.u32(4), fields.u32(12), fields.u32(16)];
    // The checksum keeps us from the word LBIO in some program; a header of another length cannot be checked in place.
    if (headerBytes !== HEADER_SIZE || tableBytes > MAX_TABLE || checksum(fields.bytes) !== 0) continue;
    const entries: Piece = readPiece(memory, from + at + HEADER_SIZE, tableBytes, "coreboot's table");
    const problems = entries.problem === undefined ? [] : [entries.problem];
    if (entries.problem === undefined && checksum(entries.bytes) !== tableChecksum)
      problems.push("coreboot's table does not have its checksum");
    return { entries: new Fields(entries.bytes, true, 4, "coreboot table"), problems };
  }
  return undefined;
}

/** The checksum of IP: ones' complement of the sum of 16-bit words, with the carries added. */
function checksum(bytes: Uint8Array): number {
  let sum = 0;
  for (let i = 0; i < bytes.length; i++) sum += i % 2 === 0 ? bytes[i]! : bytes[i]! * 256;
  while (sum > 0xffff) sum = (sum % 0x10000) + Math.floor(sum / 0x10000);
  return ~sum & 0xffff;
}

/** The address in the first entry of that tag, where memory can have it. */
function addressIn(entries: Fields, tag: number): number | undefined {
  for (let at = 0; at + ENTRY_SIZE <= entries.length;) {
    const size = entries.u32(at + 4);
    if (size < ENTRY_SIZE || at + size > entries.length) return undefined;
    if (entries.u32(at) === tag && size >= ENTRY_SIZE + 8) {
      const address = entries.u64n(at + ENTRY_SIZE);
      return Number.isSafeInteger(address) ? address : undefined;
    }
    at += size;
  }
  return undefined;
}

function readConsole(memory: ByteSource, address: number, problems: string[]): PstoreRecord {
  const header = readPiece(memory, address, CONSOLE_HEADER_SIZE, "the console's header");
  if (header.bytes.length < CONSOLE_HEADER_SIZE) {
    return consoleRecord(BACKEND, 0, new Uint8Array(), { offset: address, length: 0 }, [...problems, header.problem ?? ""]);
  }
  const fields = new Fields(header.bytes, true, 4, "cbmem console");
  const claimed = fields.u32(0);
  const size = Math.min(claimed, MAX_CONSOLE);
  if (claimed > size) problems.push(`the console's size is ${claimed} bytes; the first ${size} are read`);
  const word = fields.u32(4);
  const cursor = word & CURSOR_MASK;
  const wrapped = word >>> 31 === 1;
  if (!wrapped && cursor > size) problems.push(`the cursor is at ${cursor} of ${size} bytes: the console was full and lost the rest`);
  if (wrapped && cursor > size) problems.push(`the cursor is at ${cursor} of ${size} bytes; the text is shown from the first byte on`);
  const wanted = wrapped ? size : Math.min(cursor, size);
  const { bytes, problem } = readPiece(memory, address + CONSOLE_HEADER_SIZE, wanted, "the console");
  if (problem !== undefined) problems.push(problem);
  // A ring that is not whole has no order to restore.
  const text = wrapped && cursor <= size && bytes.length === size ? unroll(bytes, cursor) : bytes;
  return consoleRecord(BACKEND, 0, text, { offset: address, length: CONSOLE_HEADER_SIZE + wanted }, problems);
}
