import type { ByteSource } from "../../bytes/index.ts";
import { carveText, textShare } from "../carve.ts";
import type { PstoreRecord } from "../record.ts";
import { consoleRecord, readPiece, unroll } from "./region.ts";

/*
 * The memory console that Changli Gao proposed in June 2009 on the kernel's mailing list ("memconsole: a virtual console to record
 * the Oops message"): whole pages of low memory, taken by the boot parameter `memconsole=BYTES`.
 *
 *   32-bit  64-bit
 *   0       0       char *buf_ptr      virtual address of where the next byte goes
 *   4       8       unsigned buf_len   valid bytes
 *   8       16      the ring           what is left of the region, at most a page
 *
 * There is no magic number. At boot the ring counts where buf_ptr points into it, buf_len is not above its size and, unless it is
 * full, buf_ptr is buf_len behind its beginning. The address itself is the dead kernel's. As the region begins with a page, the
 * pointer's place in the ring does not depend on it, and any kernel's ring can be read.
 */

export const BACKEND: string = "memconsole";
export const PAGE_SIZE: number = 4096;
/** Offset of `buf_ptr`. */
export const BUF_PTR: number = 0;

/** Bytes before the ring: the pointer, the length and, with 64 bits, four bytes that align the structure. */
export function headerSize(wordSize: 4 | 8): number {
  return 2 * wordSize;
}

/** Offset of `buf_len`, which has four bytes. */
export function lengthOffset(wordSize: 4 | 8): number {
  return wordSize;
}

/** Bytes of the ring of a region. 0 or less where the header does not fit. */
export function ringSize(regionSize: number, wordSize: 4 | 8): number {
  return Math.min(regionSize - headerSize(wordSize), PAGE_SIZE);
}

/** A header that follows the rule. */
export interface ChangliHeader {
  /** Virtual address of the region's first byte, as its kernel had it: a page's. */
  readonly base: bigint;
  /** Where in the ring the next byte goes. */
  readonly position: number;
  /** Valid bytes. */
  readonly length: number;
}

/** Parses a header by the rule above; undefined where it does not follow it. @param ring bytes of the ring. */
export function parseHeader(region: Uint8Array, ring: number, wordSize: 4 | 8, littleEndian = true): ChangliHeader | undefined {
  const header = headerSize(wordSize);
  if (ring <= 0 || region.length < header) return undefined;
  const view = new DataView(region.buffer, region.byteOffset, region.byteLength);
  const pointer = wordSize === 8 ? view.getBigUint64(BUF_PTR, littleEndian) : BigInt(view.getUint32(BUF_PTR, littleEndian));
  const length = view.getUint32(lengthOffset(wordSize), littleEndian);
  // The ring is no larger than a page, so this is the place in it whatever page the region begins with.
  const position = Number((pointer - BigInt(header)) & BigInt(PAGE_SIZE - 1));
  const base = pointer - BigInt(header + position);
  if (base < 0n || length > ring || position >= ring || (length < ring && position !== length)) return undefined;
  return { base, position, length };
}

/**
 * The text of a ring in the order it was written.
 *
 * A full ring whose last bytes are NULs has never been full: it is one that {@link MemconsoleWriter} was about to move the pointer
 * of (see there). Its text lies from the beginning to those NULs.
 */
export function ringText(ring: Uint8Array, { position, length }: Pick<ChangliHeader, "position" | "length">): Uint8Array {
  if (length < ring.length) return ring.slice(0, length);
  const end = endOfText(ring);
  return end < ring.length && end >= position ? ring.slice(0, end) : unroll(ring, position);
}

/** Offset behind the last byte that is not NUL. */
export function endOfText(ring: Uint8Array): number {
  let end = ring.length;
  while (end > 0 && ring[end - 1] === 0) end--;
  return end;
}

/** How a region is read. */
export interface ChangliOptions {
  /** Bytes of a pointer; both are tried where it is not given. */
  readonly wordSize?: 4 | 8;
  /** Little-endian unless told. */
  readonly littleEndian?: boolean;
}

/** Lowest addresses that a kernel's lowmem may have: the upper half, and the lowest PAGE_OFFSET of a 32-bit kernel. */
const LOWEST: Readonly<Record<4 | 8, bigint>> = { 4: 0x4000_0000n, 8: 0xffff_8000_0000_0000n };

/**
 * Reads one region: what `/proc/memconsole` would have shown; where the header does not follow the rule, the text that can be found,
 * marked as carved. Nothing for an empty ring.
 *
 * @param source the region, from its first byte; its size decides the ring's. What it cannot give is said in the record's problems.
 */
export function readChangli(source: ByteSource, options: ChangliOptions = {}): readonly PstoreRecord[] {
  const { bytes, problem } = readPiece(source, 0, Math.min(source.size, PAGE_SIZE + headerSize(8)), "the region");
  const problems = problem === undefined ? [] : [problem];
  const at = { offset: 0, length: source.size };
  for (const wordSize of options.wordSize === undefined ? ([8, 4] as const) : [options.wordSize]) {
    const size = ringSize(source.size, wordSize);
    const header = parseHeader(bytes, size, wordSize, options.littleEndian);
    // With the word size guessed the address must be a kernel's: one size's length is the other's half of a pointer.
    if (!header || (options.wordSize === undefined && header.base < LOWEST[wordSize])) continue;
    const ring = bytes.subarray(headerSize(wordSize), headerSize(wordSize) + size);
    if (ring.length < size) break;
    const text = ringText(ring, header);
    return text.length === 0 ? [] : [consoleRecord(BACKEND, 0, text, at, problems)];
  }
  const text = carveText(bytes.subarray(headerSize(options.wordSize ?? 4)));
  const why = "buf_ptr and buf_len contradict each other; a kernel would empty the ring, and the text's order is a guess";
  return text ? [consoleRecord(BACKEND, 0, text, at, problem === undefined ? [why] : [problem], "carved")] : [];
}

/** A region that was found, for {@link readChangli}. */
export interface ChangliRegion {
  /** Of its first byte in the source. */
  readonly offset: number;
  /** Bytes of the smallest region that it can be: one page or two. */
  readonly size: number;
  readonly wordSize: 4 | 8;
  /** Virtual address of its first byte, as its kernel had it. */
  readonly base: bigint;
  /** Valid bytes. */
  readonly length: number;
}

/** Bytes that are looked through at a time. */
const WINDOW = 1024 * 1024;
/** Less text is as likely to be chance. */
const SHORTEST = 16;
/** A console's text is ASCII but for names of devices and files. */
const PLAUSIBLE = 0.95;
/** A machine has one, and stale copies of it; more is a bad guess repeated. */
const MAX_REGIONS = 64;

/**
 * Looks for regions in memory, at every page: a header that follows the rule with an address that can be a kernel's, and text in the
 * ring. Empty rings are not found. Little-endian. At most 64.
 *
 * @param source memory; its offset 0 is the beginning of a page. What cannot be read is passed over.
 */
export function findChangli(source: ByteSource): ChangliRegion[] {
  const regions: ChangliRegion[] = [];
  for (let at = 0; at < source.size && regions.length < MAX_REGIONS; at += WINDOW) {
    // A ring of a whole page reaches a header's length into the page behind.
    const window = readPiece(source, at, Math.min(WINDOW + PAGE_SIZE, source.size - at), "memory").bytes;
    for (let page = 0; page < Math.min(WINDOW, window.length) && regions.length < MAX_REGIONS; page += PAGE_SIZE) {
      const region = regionAt(window.subarray(page, page + PAGE_SIZE + headerSize(8)));
      if (region) regions.push({ ...region, offset: at + page });
    }
  }
  return regions;
}

function regionAt(bytes: Uint8Array): Omit<ChangliRegion, "offset"> | undefined {
  for (const wordSize of [8, 4] as const) {
    const start = headerSize(wordSize);
    if (bytes.length < start + SHORTEST) continue;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const length = view.getUint32(lengthOffset(wordSize), true);
    if (length < SHORTEST || length > PAGE_SIZE || (wordSize === 8 && view.getUint32(4, true) < 0xffff_8000)) continue;
    // A region of one page has a ring that is shorter by the header. Where both fit, the text is the same.
    for (const size of [PAGE_SIZE, 2 * PAGE_SIZE]) {
      const ring = bytes.subarray(start, start + ringSize(size, wordSize));
      const header = parseHeader(bytes, ringSize(size, wordSize), wordSize);
      if (!header || header.base < LOWEST[wordSize] || ring.length < length) continue;
      const text = ring.length < ringSize(size, wordSize) ? ring.subarray(0, length) : ringText(ring, header);
      if (text.length >= SHORTEST && textShare(text) >= PLAUSIBLE) return { size, wordSize, base: header.base, length };
    }
  }
  return undefined;
}
