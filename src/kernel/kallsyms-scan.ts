import { asVaddr, type Vaddr } from "../bytes/index.ts";
import type { VirtualMemory } from "../memory/index.ts";
import type { KallsymsTables } from "./kallsyms.ts";

const CHUNK = 256 * 1024;
/** Token texts are short; the whole table of 256 has been 600 to 1,500 bytes in every kernel seen. */
const MAX_TOKEN_TABLE = 4096;
const MAX_TOKEN = 64;

/** What {@link scanForKallsyms} found; the encoding is chosen by {@link import("./kallsyms.ts").openKallsyms}. */
export type ScannedTables = Omit<KallsymsTables, "encoding" | "longNames">;

/**
 * Finds the kallsyms tables in the kernel image where VMCOREINFO does not name them (before 6.0).
 *
 * token_index is the landmark: 256 ascending u16 beginning with 0, each the place of a short NUL-terminated string in
 * token_table right before it. The other tables follow from the order in which scripts/kallsyms.c writes them:
 * up to 6.3 `offsets, relative_base, num_syms, names, markers, [seqs], token_table, token_index`;
 * from 6.4 `num_syms, names, markers, token_table, token_index, offsets, relative_base, seqs` (formats.md 8.1.1).
 *
 * @param from first virtual address to search, 8-aligned; @param to end (exclusive). Unreadable parts are passed over.
 */
export function scanForKallsyms(memory: VirtualMemory, from: Vaddr, to: Vaddr): ScannedTables | undefined {
  const buffer = new Uint8Array(CHUNK + 512);
  const words = new Uint16Array(buffer.buffer);
  for (let at = from; at < to; at = asVaddr(at + BigInt(CHUNK))) {
    const length = readPages(memory, at, buffer);
    // The tables are 8-aligned in every 64-bit kernel.
    for (let i = 0; i + 256 <= length >> 1; i += 4) {
      if (words[i] !== 0) continue;
      const first = words[i + 1]!;
      if (first < 2 || first > MAX_TOKEN || !ascends(words, i)) continue;
      const tables = tablesAround(memory, asVaddr(at + BigInt(i * 2)));
      if (tables) return tables;
    }
  }
  return undefined;
}

/** Fills what can be read; pages that cannot are zeros. Returns the bytes to look at. */
function readPages(memory: VirtualMemory, at: Vaddr, into: Uint8Array): number {
  into.fill(0);
  for (let offset = 0; offset < into.length;) {
    // Up to the end of the page, so that a missing page does not take its neighbour along.
    const end = Math.min(into.length, offset + 4096 - Number((at + BigInt(offset)) & 0xfffn));
    memory.tryRead(asVaddr(at + BigInt(offset)), into.subarray(offset, end));
    offset = end;
  }
  return into.length;
}

function ascends(words: Uint16Array, at: number): boolean {
  for (let i = 1; i < 256; i++) {
    const step = words[at + i]! - words[at + i - 1]!;
    if (step < 2 || step > MAX_TOKEN) return false;
  }
  return words[at + 255]! < MAX_TOKEN_TABLE;
}

function tablesAround(memory: VirtualMemory, tokenIndex: Vaddr): ScannedTables | undefined {
  const index = new Uint8Array(512);
  if (!memory.tryRead(tokenIndex, index)) return undefined;
  const places = new Uint16Array(index.buffer);
  const last = places[255]!;
  // token_table ends with the last token's NUL and padding to 8 before token_index.
  const text = new Uint8Array(last + MAX_TOKEN + 16);
  if (!memory.tryRead(asVaddr(tokenIndex - BigInt(text.length)), text)) return undefined;
  for (let size = roundUp8(last + 2); size <= text.length; size += 8) {
    const start = text.length - size;
    if (!places.every((place, i) => i === 0 || text[start + place - 1] === 0)) continue;
    if (text[start] === 0 || places.some((place) => text[start + place]! < 0x20 || text[start + place]! > 0x7e)) continue;
    const found = beforeTokens(memory, asVaddr(tokenIndex - BigInt(size)), tokenIndex);
    if (found) return found;
  }
  return undefined;
}

/** Walks back over the markers, which ascend from 0, then looks for the start of the names before them. */
function beforeTokens(memory: VirtualMemory, tokenTable: Vaddr, tokenIndex: Vaddr): ScannedTables | undefined {
  const span = 64 * 1024;
  const before = new Uint8Array(span);
  readPages(memory, asVaddr(tokenTable - BigInt(span)), before);
  const view = new DataView(before.buffer);
  let at = span - 4;
  if (view.getUint32(at, memory.littleEndian) === 0) at -= 4;
  const lastMarker = view.getUint32(at, memory.littleEndian);
  let value = lastMarker;
  let count = 1;
  while (value !== 0) {
    at -= 4;
    if (at < 0) return undefined;
    const previous = view.getUint32(at, memory.littleEndian);
    if (previous >= value || value - previous > 256 * 514) return undefined;
    value = previous;
    count++;
  }
  if (count < 8) return undefined;
  const firstMarkers: number[] = [];
  for (let i = 0; i < 2; i++) firstMarkers.push(view.getUint32(at + 4 * i, memory.littleEndian));
  const markers = tokenTable - BigInt(span - at);
  const names = findNames(memory, asVaddr(markers), lastMarker, count, firstMarkers[1]!);
  if (!names) return undefined;
  return beside(memory, names, tokenTable, tokenIndex);
}

function findNames(
  memory: VirtualMemory,
  markers: Vaddr,
  lastMarker: number,
  markerCount: number,
  secondMarker: number,
): { names: Vaddr; num_syms: number } | undefined {
  // The last block of 256 names or fewer lies between the last marker and the markers themselves.
  const slack = 256 * 130;
  const earliest = markers - BigInt(lastMarker + slack);
  const window = new Uint8Array(slack + secondMarker + 1024);
  // It begins somewhere in the table before, of which a filtered dump may lack pages.
  readPages(memory, asVaddr(earliest), window);
  const view = new DataView(window.buffer);
  for (let at = 8 + Number(-earliest & 7n); at + secondMarker < window.length; at += 8) {
    const numSyms = view.getUint32(at - 8, memory.littleEndian);
    if (Math.ceil(numSyms / 256) !== markerCount || view.getUint32(at - 4, memory.littleEndian) !== 0) continue;
    for (const longNames of [true, false]) {
      let position = at;
      for (let i = 0; i < 256 && position < window.length; i++) {
        let length = window[position]!;
        position++;
        if (longNames && length & 0x80) length = (length & 0x7f) | (window[position++]! << 7);
        position += length;
      }
      if (position - at === secondMarker) return { names: asVaddr(earliest + BigInt(at)), num_syms: numSyms };
    }
  }
  return undefined;
}

/** offsets and relative_base: before num_syms in the old order, after token_index in the new. */
function beside(
  memory: VirtualMemory,
  found: { names: Vaddr; num_syms: number },
  token_table: Vaddr,
  token_index: Vaddr,
): ScannedTables | undefined {
  const size = roundUp8(found.num_syms * 4);
  const word = new Uint8Array(8);
  const view = new DataView(word.buffer);
  const candidates = [
    { base: found.names - 16n, offsets: found.names - 16n - BigInt(size) },
    { base: token_index + 512n + BigInt(size), offsets: token_index + 512n },
  ];
  for (const { base, offsets } of candidates) {
    if (!memory.tryRead(asVaddr(base), word)) continue;
    const relative_base = view.getBigUint64(0, memory.littleEndian);
    // A kernel address, at the start of a page or close to it: the image's first byte.
    if (relative_base >> 47n !== 0x1ffffn && relative_base >> 56n !== 0xffn) continue;
    if ((relative_base & 0xfffn) !== 0n) continue;
    return { ...found, token_table, token_index, offsets: asVaddr(offsets), relative_base };
  }
  // 7.0 and later have no base: entries are relative to their own place.
  return { ...found, token_table, token_index, offsets: asVaddr(token_index + 512n), relative_base: 0n };
}

function roundUp8(size: number): number {
  return Math.ceil(size / 8) * 8;
}
