import { type ByteSource, decodeLatin1, isDumpError } from "../../bytes/index.ts";
import { isText } from "../carve.ts";
import { parseRecordHeader } from "../dmesg.ts";
import type { RecordType } from "../record.ts";
import type { ZoneSlot } from "../slot.ts";
import {
  DEFAULT_ECC_SIZE,
  ECC_BLOCK_SIZE,
  MAX_REGION,
  PERSISTENT_RAM_SIG,
  powerOfTwoBelow,
  type RamoopsLayout,
  type RamoopsSizes,
  ramoopsZones,
  recorderZones,
  ZONE_HEADER_SIZE,
  zoneGeometry,
  type ZoneOrder,
} from "./layout.ts";
import { codeOf, versionOfSignature } from "./zone.ts";

/*
 * A region says nowhere how it is divided. What it has are the zones' headers: a signature, and with ECC a parity at the end
 * of each zone that fits no other length. So the zones are found first, one behind the other, and named afterwards: dmesg
 * zones are the row of equal ones at the beginning, ftrace zones have a signature of their own, the others come in the
 * order in which kernels place them.
 */

/** A way to read a region, with what speaks for it. */
export interface LayoutGuess extends RamoopsLayout {
  /** How well it fits: more is better; below 1 nothing in the region confirms it. */
  readonly score: number;
  /** What speaks for it, as a sentence. */
  readonly reason: string;
}

/** ECC sizes in the order in which they are tried: the default first, then what people choose, then none. */
const ECC_SIZES: readonly number[] = [DEFAULT_ECC_SIZE, 8, 32, 4, 64, 24, 12, 20, 40, 48, 0];
/** Numbers of ftrace zones tried: one for each possible CPU of the writer. */
const CPU_COUNTS: readonly number[] = [
  1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 18, 20, 24, 28, 32, 36, 40, 44, 48, 52, 56, 64, 72, 80, 88, 96, 104, 112, 120, 128, 160, 192, 224,
  240, 256, 320, 384, 448, 512,
];
/** Zones are not smaller or larger than this; the kernel's default is 4 KiB. */
const SMALLEST_ZONE = 512;
const LARGEST_ZONE = 16 * 1024 * 1024;
/** More zones than a region of the largest size has with records of 4 KiB. */
const MAX_ZONES = MAX_REGION / 4096;

/** A zone's header, as found. */
export interface ZoneHead {
  readonly offset: number;
  readonly start: number;
  readonly size: number;
  readonly littleEndian: boolean;
  /** ftrace zones carry their writer's version in the signature. */
  readonly ftrace: boolean;
  /** The first data bytes. */
  readonly text: Uint8Array;
}

/** A zone: where it begins and ends. `head` is absent where it is damaged beyond mending. */
interface FoundZone {
  readonly offset: number;
  readonly size: number;
  readonly head: ZoneHead | undefined;
}

/** Of a zone's text: enough for a whole line of the kernel's, wherever the first byte of a ring that wrapped falls. */
const HEAD_TEXT = 256;
const BLOCK = 1024 * 1024;

/**
 * Every place of `[from, to)` where a zone's header stands undamaged, ftrace zones aside: the signature, and bounds that agree
 * with each other. The kernel's own code has the signature as a constant too; what follows there is no header.
 */
export function findZoneHeads(source: ByteSource, from = 0, to: number = source.size): ZoneHead[] {
  const heads: ZoneHead[] = [];
  const block = new Uint8Array(BLOCK + ZONE_HEADER_SIZE + HEAD_TEXT);
  for (let at = from; at < to && heads.length < MAX_ZONES; at += BLOCK) {
    const length = Math.min(block.length, to - at);
    const window = block.subarray(0, length);
    scanForHeads(window.subarray(0, readQuietly(source, at, window)), at, Math.min(BLOCK, length), heads);
  }
  return heads;
}

/** A source that knows its holes, such as the memory in a dump. */
export interface SparseSource extends ByteSource {
  /** Whether anything of `[from, from + length)` is there. */
  holds?(from: number, length: number): boolean;
}

const PAGE = 4096;

/**
 * Heads of a large image, as {@link findZoneHeads} gives them. Regions begin at a page (memory is reserved by pages): all of the image
 * is looked at page by page only, and byte by byte where that finds something.
 */
export function findZoneHeadsInImage(source: SparseSource, onProgress?: (done: number, total: number) => void): ZoneHead[] {
  const heads: ZoneHead[] = [];
  const block = new Uint8Array(BLOCK);
  const words = new Uint32Array(block.buffer);
  let scanned = 0;
  for (let at = 0; at < source.size && heads.length < MAX_ZONES; at += BLOCK) {
    if ((at / BLOCK) % 64 === 0) onProgress?.(at, source.size);
    if (source.holds && !source.holds(at, BLOCK)) continue;
    const got = readQuietly(source, at, block);
    for (let page = 0; page < got; page += PAGE) {
      // Both byte orders, in the order of the machine that this runs on.
      const word = words[page / 4];
      if (word !== PERSISTENT_RAM_SIG && word !== SWAPPED_SIG) continue;
      const from = Math.max(scanned, at + page);
      const to = Math.min(source.size, at + page + LARGEST_ZONE);
      if (from < to) heads.push(...findZoneHeads(source, from, to));
      scanned = Math.max(scanned, to);
    }
  }
  return heads;
}

/** {@link PERSISTENT_RAM_SIG} as the other byte order has it. */
const SWAPPED_SIG = 0x44424743;

/** Bytes read; 0 where the source has a hole there. */
function readQuietly(source: ByteSource, at: number, into: Uint8Array): number {
  try {
    return source.read(at, into);
  } catch (error) {
    if (!isDumpError(error)) throw error;
    return 0;
  }
}

/**
 * Adds the heads that begin in the first `limit` bytes of a piece of a larger image.
 *
 * @param bytes the piece, with some bytes of what follows. @param base offset of the piece in the image.
 */
export function scanForHeads(bytes: Uint8Array, base: number, limit: number, heads: ZoneHead[]): void {
  // 0x47 ("G") is in the middle of "DBGC" and, the other way round, of "CGBD"; indexOf of one byte is the engine's memchr.
  for (let g = bytes.indexOf(0x47); g >= 0 && g < limit + 2; g = bytes.indexOf(0x47, g + 1)) {
    const littleEndian = bytes[g - 1] === 0x42;
    if (
      littleEndian
        ? bytes[g - 2] !== 0x44 || bytes[g + 1] !== 0x43
        : bytes[g - 1] !== 0x43 || bytes[g + 1] !== 0x42 || bytes[g + 2] !== 0x44
    ) {
      continue;
    }
    const at = littleEndian ? g - 2 : g - 1;
    if (at >= limit || (base + at) % 2 !== 0) continue;
    const head = headOf(bytes.subarray(at, at + ZONE_HEADER_SIZE + HEAD_TEXT), base + at, littleEndian);
    if (head) heads.push(head);
  }
}

/** The header at the start of these bytes, or undefined where it is none or impossible. */
function headOf(bytes: Uint8Array, offset: number, littleEndian: boolean): ZoneHead | undefined {
  if (bytes.length < ZONE_HEADER_SIZE) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const sig = view.getUint32(0, littleEndian);
  const ftrace = sig !== 0x43474244;
  if (ftrace && versionOfSignature(sig) === undefined) return undefined;
  const start = view.getUint32(4, littleEndian);
  const size = view.getUint32(8, littleEndian);
  if (start > size || size > LARGEST_ZONE) return undefined;
  return { offset, start, size, littleEndian, ftrace, text: bytes.slice(ZONE_HEADER_SIZE) };
}

/** A header with the number of its bytes, parity included, that had to be mended. */
interface FittingHead {
  readonly head: ZoneHead;
  readonly errors: number;
}

/**
 * The header at `offset` if there can be a zone of `size` bytes there: with ECC, if the end of such a zone is the header's parity
 * but for what can be mended; without, if the header's fields fit the size.
 */
function headFor(source: ByteSource, offset: number, size: number, eccSize: number, littleEndian: boolean): FittingHead | undefined {
  if (size < ZONE_HEADER_SIZE + 3 * eccSize + 1) return undefined;
  const bytes = new Uint8Array(ZONE_HEADER_SIZE + HEAD_TEXT);
  const got = readQuietly(source, offset, bytes);
  if (got < ZONE_HEADER_SIZE) return undefined;
  let errors = 0;
  if (eccSize > 0) {
    const codeword = new Uint8Array(ZONE_HEADER_SIZE + eccSize);
    codeword.set(bytes.subarray(0, ZONE_HEADER_SIZE));
    if (readQuietly(source, offset + size - eccSize, codeword.subarray(ZONE_HEADER_SIZE)) < eccSize) return undefined;
    errors = codeOf(eccSize).correct(codeword, 0, ZONE_HEADER_SIZE, ZONE_HEADER_SIZE);
    if (errors < 0) return undefined;
    bytes.set(codeword.subarray(0, ZONE_HEADER_SIZE));
  }
  const head = headOf(bytes.subarray(0, got), offset, littleEndian);
  return head && head.size <= zoneGeometry(size, eccSize).capacity ? { head, errors } : undefined;
}

/** Whether there is a header at `offset`, of a zone of any size. */
function isHead(source: ByteSource, offset: number, littleEndian: boolean): boolean {
  const bytes = new Uint8Array(ZONE_HEADER_SIZE);
  return headOf(bytes.subarray(0, readQuietly(source, offset, bytes)), offset, littleEndian) !== undefined;
}

/** What is searched, and how. */
interface Search {
  readonly source: ByteSource;
  /** One past the last byte that a zone may have. */
  readonly end: number;
  readonly eccSize: number;
  readonly littleEndian: boolean;
  /** Undamaged heads, ascending. */
  readonly heads: readonly ZoneHead[];
}

/**
 * Whether a zone that ends at `offset` is the last. The kernel divides what is left for dmesg evenly and rounds each zone's
 * size down to an even number: up to two bytes for each stay unused behind them all.
 */
function reachesEnd({ end, heads }: Search, offset: number): boolean {
  return offset <= end && end - offset < Math.max(1, 2 * heads.length);
}

/** Sizes that a zone at `offset` can have: a power of two, as the one before, up to the next undamaged head, the rest. */
function zoneSizes({ end, heads }: Search, offset: number, previous: number): number[] {
  const most = Math.min(end - offset, LARGEST_ZONE);
  const next = heads.find((head) => head.offset > offset)?.offset ?? offset;
  const sizes = new Set([previous, next - offset, end - offset]);
  for (let size = powerOfTwoBelow(most); size >= SMALLEST_ZONE; size /= 2) sizes.add(size);
  return [...sizes].filter((size) => size > ZONE_HEADER_SIZE && size <= most).sort((a, b) => a - b);
}

/** Sizes of a CPU's share of the ftrace zones. */
function shareSizes({ end }: Search, offset: number): number[] {
  const sizes = new Set<number>();
  for (let total = powerOfTwoBelow(Math.min(end - offset, LARGEST_ZONE)); total >= SMALLEST_ZONE; total /= 2) {
    for (const cpus of CPU_COUNTS) {
      const share = Math.floor(total / cpus);
      if (share >= SMALLEST_ZONE) sizes.add(share - (share % 2));
    }
  }
  return [...sizes].sort((a, b) => a - b);
}

/** Below this many parity bytes a size fits now and then by chance. */
const TELLING_ECC = 8;

/**
 * The zone at `offset`. A header fits the parity of a later zone too when the two differ in no more bytes than can be mended, so
 * the smallest size is taken; where parity is short, the one with the fewest errors.
 */
function zoneAt(search: Search, offset: number, previous: number): FoundZone | undefined {
  const { source, eccSize, littleEndian } = search;
  const fits: { readonly zone: FoundZone; readonly errors: number }[] = [];
  const attempt = (sizes: readonly number[], wanted: (head: ZoneHead) => boolean): void => {
    for (const size of sizes) {
      const fitting = headFor(source, offset, size, eccSize, littleEndian);
      if (!fitting || !wanted(fitting.head)) continue;
      if (eccSize === 0) {
        // Without parity a header says nothing of its zone's end: only another header, or the region's end, does.
        if (!reachesEnd(search, offset + size) && !isHead(source, offset + size, littleEndian)) continue;
        fits.push({ zone: { offset, size, head: fitting.head }, errors: 0 });
        continue;
      }
      const { errors, text } = firstBlock(source, offset, size, eccSize);
      // A first block beyond mending is no proof against the size, and none for it.
      const total = fitting.errors + (errors < 0 ? ECC_BLOCK_SIZE : errors);
      fits.push({ zone: { offset, size, head: text ? { ...fitting.head, text } : fitting.head }, errors: total });
    }
  };
  attempt(zoneSizes(search, offset, previous), () => true);
  // Hundreds of sizes: not where nothing speaks for function traces, but that all headers may be damaged with the usual parity.
  const mayBeTrace =
    fits.length === 0
      ? eccSize === DEFAULT_ECC_SIZE || search.heads.some((head) => head.ftrace)
      : fits.some(({ zone }) => zone.head?.ftrace);
  if (mayBeTrace) attempt(shareSizes(search, offset), (head) => head.ftrace);
  const rank = ({ errors }: { errors: number }): number =>
    eccSize > 0 && eccSize < TELLING_ECC ? errors : errors >= ECC_BLOCK_SIZE ? 1 : 0;
  fits.sort((a, b) => rank(a) - rank(b) || a.zone.size - b.zone.size);
  return fits[0]?.zone;
}

/** Errors in a zone's first data block if it has this size, negative where they cannot be mended; and the text once mended. */
function firstBlock(source: ByteSource, offset: number, size: number, eccSize: number): { errors: number; text: Uint8Array | undefined } {
  const { capacity, parityAt } = zoneGeometry(size, eccSize);
  const data = Math.min(ECC_BLOCK_SIZE, capacity);
  const block = new Uint8Array(data + eccSize);
  readQuietly(source, offset + ZONE_HEADER_SIZE, block.subarray(0, data));
  readQuietly(source, offset + parityAt, block.subarray(data));
  const errors = codeOf(eccSize).correct(block, 0, data, data);
  return { errors, text: errors > 0 ? block.slice(0, Math.min(HEAD_TEXT, data)) : undefined };
}

/**
 * The zones from `start` on, one behind the other, as far as headers and their parities carry. One zone whose header cannot be
 * mended is passed over where one follows that can be read.
 */
function chainZones(search: Search, start: number): FoundZone[] {
  const zones: FoundZone[] = [];
  let previous = 0;
  for (let offset = start; (zones.length === 0 || !reachesEnd(search, offset)) && zones.length < MAX_ZONES;) {
    offset += gapAt(search, offset, zones.length);
    const zone = zoneAt(search, offset, previous) ?? zoneAfterGap(search, offset, previous) ?? damagedZone(search, offset, previous);
    if (!zone) break;
    zones.push(zone);
    previous = zone.size;
    offset = zone.offset + zone.size;
  }
  return zones;
}

/**
 * Bytes that stay unused at `offset`, behind so many zones: what is left of dmesg's share ({@link reachesEnd}) lies before the tty zone
 * of our recorder, at the region's end. The zeros of so small a gap would be mended to that zone's header.
 */
function gapAt({ source, littleEndian, heads }: Search, offset: number, zones: number): number {
  const next = heads.find((head) => head.offset >= offset);
  if (!next || next.offset - offset >= Math.min(2 * zones, SMALLEST_ZONE) || isHead(source, offset, littleEndian)) return 0;
  return next.offset - offset;
}

/**
 * The zone at the next page: where dmesg zones do not fill what is theirs, our recorder's tty zone does not follow at once.
 * Without parity anything might be one.
 */
function zoneAfterGap(search: Search, offset: number, previous: number): FoundZone | undefined {
  const page = Math.ceil(offset / PAGE) * PAGE;
  return search.eccSize > 0 && page > offset && page < search.end ? zoneAt(search, page, previous) : undefined;
}

/** Whether a zone's first block has a parity that fits, and is not simply empty. */
function hasParity({ source, eccSize }: Search, offset: number, size: number): boolean {
  if (size < ZONE_HEADER_SIZE + 3 * eccSize + 1) return false;
  const first = new Uint8Array(ECC_BLOCK_SIZE);
  readQuietly(source, offset + ZONE_HEADER_SIZE, first);
  return first.some((byte) => byte !== 0) && firstBlock(source, offset, size, eccSize).errors >= 0;
}

function damagedZone(search: Search, offset: number, previous: number): FoundZone | undefined {
  // The last zone of a region is as long as the rest; of memory that is reserved for more than that, its parity tells.
  const last = (size: number): boolean => previous > 0 && (search.eccSize === 0 || hasParity(search, offset, size));
  for (const size of [previous, ...zoneSizes(search, offset, previous)]) {
    if (size === 0 || offset + size > search.end) continue;
    if (offset + size === search.end ? last(size) : zoneAt(search, offset + size, size)) return { offset, size, head: undefined };
  }
  return undefined;
}

/**
 * Guesses the layout of a region whose extent is known: best first, empty where it holds no header at all.
 *
 * @param source the region from its first byte to its last.
 */
export function inferLayouts(source: ByteSource): LayoutGuess[] {
  const heads = findZoneHeads(source);
  const guesses: LayoutGuess[] = [];
  const bigEndian = heads.filter((head) => !head.littleEndian).length;
  const littleEndian = bigEndian * 2 <= heads.length;
  const own = heads.filter((head) => head.littleEndian === littleEndian);
  for (const eccSize of ECC_SIZES) {
    const search: Search = { source, end: source.size, eccSize, littleEndian, heads: own };
    const found = nameZones(chainZones(search, 0), source.size, eccSize, littleEndian);
    guesses.push(...found);
    // With ECC even headers that were all hit are found; a parity that fits several zones is no chance.
    if (eccSize > 0 && found.some((guess) => guess.slots.length > 1)) break;
  }
  return rank(guesses);
}

/**
 * Orders, CPU counts and ECC of a region whose sizes are known, best first; the first is to be used. `memSize` of the sizes is
 * the region's extent.
 *
 * @param eccGiven false to find out whether there is ECC, and how much.
 * @throws BAD_ARGUMENT where the kernel would refuse the sizes.
 */
export function completeLayout(source: ByteSource, sizes: RamoopsSizes, eccGiven: boolean): LayoutGuess[] {
  const guesses: LayoutGuess[] = [];
  for (const { slots, cpus } of waysToPlace(sizes)) {
    const readings = (eccGiven ? [sizes.eccSize] : ECC_SIZES).flatMap((eccSize) =>
      [true, false].map((littleEndian) => ({ eccSize, littleEndian, fits: countFitting(source, slots, eccSize, littleEndian) })),
    );
    // The first of equals: ECC before none, because a parity fits no zone by chance and a header alone fits any.
    const best = readings.reduce((a, b) => (b.fits > a.fits ? b : a));
    guesses.push({
      slots,
      eccSize: best.eccSize,
      littleEndian: best.littleEndian,
      // Of CPU counts that explain the same headers the smallest is enough.
      score: best.fits - cpus / 1024,
      reason: `${best.fits} of ${slots.length} zones have a header where these sizes put them`,
    });
  }
  return rank(guesses);
}

/** The zones that sizes make: a kernel's in both orders, and our recorder's, whose tty zone lies elsewhere. */
function* waysToPlace(sizes: RamoopsSizes): Iterable<{ slots: ZoneSlot[]; cpus: number }> {
  const hasFtrace = sizes.ftraceSize > 0;
  for (const place of sizes.ttySize > 0 ? [ramoopsZones, recorderZones] : [ramoopsZones]) {
    for (const order of (hasFtrace ? ["pmsg-first", "ftrace-first"] : ["pmsg-first"]) satisfies ZoneOrder[]) {
      for (const cpus of hasFtrace ? CPU_COUNTS : [1]) {
        try {
          yield { slots: place(sizes, order, cpus), cpus };
        } catch (error) {
          // The share of one of many CPUs may be too small; with one CPU the sizes are simply wrong.
          if (cpus === 1 || !isDumpError(error)) throw error;
        }
      }
    }
  }
}

function countFitting(source: ByteSource, slots: readonly ZoneSlot[], eccSize: number, littleEndian: boolean): number {
  return slots.filter((slot) => headFor(source, slot.offset, slot.size, eccSize, littleEndian)?.head.ftrace === (slot.type === "ftrace"))
    .length;
}

function rank(guesses: LayoutGuess[]): LayoutGuess[] {
  return guesses.sort((a, b) => b.score - a.score);
}

type RingType = "console" | "pmsg" | "tty";

/** What the zones behind dmesg can be, stock kernels' first. */
const REST: readonly (readonly (readonly RingType[])[])[] = [
  [[]],
  [["console"], ["pmsg"]],
  [
    ["console", "pmsg"],
    ["console", "tty"],
  ],
  [["console", "pmsg", "tty"]],
];

/** The ways to name zones that were found: which of the equal ones at the beginning are dmesg, and what the others are. */
function nameZones(zones: readonly FoundZone[], end: number, eccSize: number, littleEndian: boolean): LayoutGuess[] {
  const rings = zones.filter((zone) => zone.head?.ftrace !== true);
  if (rings.every((zone) => zone.head === undefined)) return [];
  let equal = 0;
  while (equal < rings.length && rings[equal]!.size === rings[0]!.size) equal++;
  const guesses: LayoutGuess[] = [];
  for (let dmesg = equal; dmesg >= Math.max(0, rings.length - 3); dmesg--) {
    const records = rings.slice(0, dmesg);
    const odd = records.filter(({ head }) => head !== undefined && head.size > 0 && parseRecordHeader(head.text) === undefined).length;
    for (const types of REST[rings.length - dmesg] ?? []) {
      const rest = rings.slice(dmesg);
      const counts = new Map<RecordType, number>();
      const slots = zones.map((zone): ZoneSlot => {
        const type = zone.head?.ftrace ? "ftrace" : (types[rings.indexOf(zone) - dmesg] ?? "dmesg");
        const index = counts.get(type) ?? 0;
        counts.set(type, index + 1);
        return { type, index, offset: zone.offset, size: zone.size };
      });
      const filled = records.filter(({ head }) => head !== undefined && head.size > 0).length;
      const texts = rest.map((zone, i) => textScore(types[i]!, zone.head));
      // The kernel rounds their sizes down to powers of two; only dmesg zones share what is left.
      const uneven = rest.filter((zone) => powerOfTwoBelow(zone.size) !== zone.size).length;
      const last = zones.at(-1)!;
      // As in reachesEnd().
      const fills = end - last.offset - last.size < Math.max(1, 2 * dmesg);
      const signs = [
        filled > odd ? `${filled - odd} records begin with their header line` : "",
        eccSize > 0 ? `the headers' parity fits ecc=${eccSize}` : "",
        texts.includes(3) ? "the console zone holds kernel messages" : "",
        fills ? "they fill the region" : "",
      ].filter((sign) => sign !== "");
      guesses.push({
        slots,
        eccSize,
        littleEndian,
        score:
          zones.length + filled * 2 + texts.reduce((sum, score) => sum + score, 0) + (eccSize > 0 ? 8 : 0) + (fills ? 4 : 0) - uneven * 2,
        reason: `${zones.length} zone${zones.length === 1 ? "" : "s"} found by their headers${signs.length > 0 ? `: ${signs.join(", ")}` : ""}`,
      });
    }
  }
  return guesses;
}

/** How well a zone's text fits what it would be. */
function textScore(type: RingType, head: ZoneHead | undefined): number {
  if (!head || head.size === 0) return 0;
  if (parseRecordHeader(head.text)) return -4;
  return looksLikePrintk(head) ? (type === "console" ? 3 : -1) : type === "console" ? -2 : 0;
}

/** Whether the text has lines as the console prints them: `[    1.234567]` somewhere at the beginning. */
function looksLikePrintk(head: ZoneHead): boolean {
  return /\[ *\d+\.\d{6}\]/.test(decodeLatin1(head.text.filter(isText)));
}

/** A region found in a larger image. */
export interface FoundRegion {
  /** Offset of its first byte in the source, and how many bytes its zones cover. */
  readonly offset: number;
  readonly size: number;
  /** Best first; offsets of their slots count from the region's first byte. Never empty. */
  readonly guesses: readonly LayoutGuess[];
}

/** What a region is found by must score at least this: two zones, or one with a parity or the words of a kernel. */
const BELIEVED = 4;

/**
 * Finds ramoops regions in a larger image of which nothing is known, by their zones' headers, best first. With ECC the last
 * zone's parity tells where each ends; without, the power of two that its text needs and that makes the region round.
 *
 * @param heads of the whole image, ascending ({@link findZoneHeads}).
 */
export function findRamoopsRegions(source: ByteSource, heads: readonly ZoneHead[]): FoundRegion[] {
  const regions: FoundRegion[] = [];
  let covered = 0;
  for (const head of heads) {
    if (head.offset < covered) continue;
    const row = rowFrom(heads, head);
    const guesses = ECC_SIZES.flatMap((eccSize) => {
      if (eccSize === 0) return guessWithoutEcc(source, row);
      // Nothing says where the region ends: a last zone that is damaged cannot be told from what follows.
      const zones = chainZones({ source, end: source.size, eccSize, littleEndian: head.littleEndian, heads: row }, head.offset);
      while (zones.length > 0 && !zones.at(-1)!.head) zones.pop();
      return nameZones(zones, endOf(zones), eccSize, head.littleEndian);
    });
    const best = rank(guesses)[0];
    if (!best || best.score < BELIEVED) continue;
    const last = best.slots.at(-1)!;
    covered = last.offset + last.size;
    regions.push({ offset: head.offset, size: covered - head.offset, guesses: guesses.map((guess) => moved(guess, head.offset)) });
  }
  return regions.sort((a, b) => b.guesses[0]!.score - a.guesses[0]!.score);
}

function endOf(zones: readonly FoundZone[]): number {
  const last = zones.at(-1);
  return last ? last.offset + last.size : 0;
}

function moved(guess: LayoutGuess, by: number): LayoutGuess {
  return { ...guess, slots: guess.slots.map((slot) => ({ ...slot, offset: slot.offset - by })) };
}

/** The heads from this one on that can belong to the same region. */
function rowFrom(heads: readonly ZoneHead[], first: ZoneHead): ZoneHead[] {
  const row: ZoneHead[] = [first];
  for (const head of heads.slice(heads.indexOf(first) + 1)) {
    if (head.offset - row.at(-1)!.offset > LARGEST_ZONE || head.offset - first.offset > MAX_REGION) break;
    if (head.littleEndian === first.littleEndian) row.push(head);
  }
  return row;
}

/** Layouts of a row of heads without ECC, with every size that its last zone can have. */
function guessWithoutEcc(source: ByteSource, row: readonly ZoneHead[]): LayoutGuess[] {
  const first = row[0]!;
  const last = row.at(-1)!;
  const guesses: LayoutGuess[] = [];
  for (let size = 4096; size <= LARGEST_ZONE && last.offset + size <= source.size; size *= 2) {
    const room = size - ZONE_HEADER_SIZE;
    if (last.size > room) continue;
    const end = last.offset + size;
    const zones = row.map((head, i) => ({ offset: head.offset, size: (row[i + 1]?.offset ?? end) - head.offset, head }));
    const memSize = end - first.offset;
    // People reserve round numbers, and a ring that wrapped is exactly full.
    const round = Number.isInteger(Math.log2(memSize)) ? 3 : 0;
    const full = last.size === room ? 4 : 0;
    guesses.push(
      ...nameZones(zones, end, 0, first.littleEndian).map((guess) => ({
        ...guess,
        score: guess.score - 4 + round + full - Math.log2(size) / 64,
      })),
    );
  }
  return guesses;
}
