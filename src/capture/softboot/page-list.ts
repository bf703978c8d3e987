import { DumpError, hex } from "../../bytes/index.ts";
import type { DumpProblem } from "../../format/index.ts";
import {
  type ConfigBlock,
  encodeTablePage,
  INDIRECT_ENTRIES,
  MAP_ENTRIES,
  MAX_MEMORY,
  PAGE_SIZE,
  parseTablePage,
  physicalAddress,
  TABLE_ENTRIES,
  type TableEntry,
  virtualAddress,
} from "./layout.ts";

/** Physical memory that can be written: `/dev/mem`, or a buffer in tests. Addresses and lengths are those of whole pages. */
export interface PhysicalStore {
  /** Fills `into` with the bytes at a physical address. @throws IO where they cannot be had. */
  read(paddr: number, into: Uint8Array): void;
  /** @throws IO where they cannot be put there. */
  write(paddr: number, bytes: Uint8Array): void;
}

/** Physical addresses `[start, end)`. */
export interface MemoryRange {
  readonly start: number;
  readonly end: number;
}

/** Pages that a list of so many data pages takes for itself. */
export function listPages(dataPages: number): { direct: number; indirect: number; table: number; total: number } {
  const direct = Math.ceil(dataPages / MAP_ENTRIES);
  const indirect = Math.max(1, Math.ceil(direct / INDIRECT_ENTRIES));
  const table = Math.ceil(dataPages / TABLE_ENTRIES);
  return { direct, indirect, table, total: direct + indirect + table };
}

/**
 * Writes the maps and the table for data pages that are in place.
 *
 * @param count data pages; `entryAt(i)` is page i of the stream.
 * @param free frame numbers for the list's own pages: {@link listPages} of them.
 * @returns physical addresses of the first indirect map and of the table.
 */
export function writePageList(
  store: PhysicalStore,
  id: number,
  count: number,
  entryAt: (index: number) => TableEntry,
  free: readonly number[],
): { root: number; tableRoot: number } {
  const { direct, indirect, table, total } = listPages(count);
  if (free.length < total) throw new DumpError("BAD_ARGUMENT", `the page list takes ${total} pages, ${free.length} were given`);
  const directPfns = free.slice(indirect, indirect + direct);
  const tablePfns = free.slice(indirect + direct, total);
  const page = new Uint8Array(PAGE_SIZE);
  const view = new DataView(page.buffer);
  // From the leaves to the root: what is cut off leads nowhere.
  for (let i = 0; i < table; i++) {
    const next = tablePfns[i + 1];
    const from = i * TABLE_ENTRIES;
    const part = Array.from({ length: Math.min(TABLE_ENTRIES, count - from) }, (_, k) => entryAt(from + k));
    store.write(tablePfns[i]! * PAGE_SIZE, encodeTablePage(id, from, next === undefined ? 0 : next * PAGE_SIZE, part));
  }
  for (let i = 0; i < direct; i++) {
    page.fill(0);
    for (let k = 0; k < MAP_ENTRIES && i * MAP_ENTRIES + k < count; k++)
      view.setBigUint64(k * 8, BigInt(entryAt(i * MAP_ENTRIES + k).pfn), true);
    store.write(directPfns[i]! * PAGE_SIZE, page);
  }
  for (let i = indirect - 1; i >= 0; i--) {
    page.fill(0);
    for (let k = 0; k < INDIRECT_ENTRIES && i * INDIRECT_ENTRIES + k < direct; k++)
      view.setBigUint64(k * 8, BigInt(directPfns[i * INDIRECT_ENTRIES + k]!), true);
    if (i + 1 < indirect) view.setBigUint64(INDIRECT_ENTRIES * 8, virtualAddress(free[i + 1]! * PAGE_SIZE), true);
    store.write(free[i]! * PAGE_SIZE, page);
  }
  return { root: free[0]! * PAGE_SIZE, tableRoot: (tablePfns[0] ?? 0) * PAGE_SIZE };
}

/** A page list as it was found. */
export interface PageList {
  /** Frame of each page of the stream; undefined where nothing says it any more. */
  readonly pfns: readonly (number | undefined)[];
  /** What the table knows of each page; undefined where there is no table or that part of it is gone. */
  readonly entries: readonly (TableEntry | undefined)[];
  /** Frames of the list itself. */
  readonly own: readonly number[];
  readonly problems: readonly DumpProblem[];
}

/** A list that claims more pages is taken for damaged: 64 GiB of compressed dump. */
const MAX_PAGES: number = 2 ** 24;

/** Pages that are looked at for the next one of the table where its chain is broken. */
const TABLE_SEARCH = 65536;

/** Frames in one piece of {@link Frames}. */
const PIECE = 32768;

/** Collects frames, refusing those that cannot be. A bitmap in pieces: a Set ends at 2^24. */
class Frames {
  readonly #pieces: Map<number, Uint8Array> = new Map();
  readonly #ranges: readonly MemoryRange[];

  constructor(ranges: readonly MemoryRange[], first: number) {
    this.#ranges = ranges;
    this.#piece(first)[(first % PIECE) >>> 3]! |= 1 << (first & 7);
  }

  /** Whether the frame is within memory and was not named before; from now on it was. */
  take(pfn: number): boolean {
    const at = pfn * PAGE_SIZE;
    if (!(at > 0 && at < MAX_MEMORY) || !this.#ranges.some(({ start, end }) => at >= start && at + PAGE_SIZE <= end)) return false;
    const piece = this.#piece(pfn);
    const index = (pfn % PIECE) >>> 3;
    const bit = 1 << (pfn & 7);
    if ((piece[index]! & bit) !== 0) return false;
    piece[index]! |= bit;
    return true;
  }

  give(pfn: number): void {
    this.#piece(pfn)[(pfn % PIECE) >>> 3]! &= ~(1 << (pfn & 7));
  }

  #piece(pfn: number): Uint8Array {
    const number = Math.floor(pfn / PIECE);
    let piece = this.#pieces.get(number);
    if (!piece) this.#pieces.set(number, (piece = new Uint8Array(PIECE / 8)));
    return piece;
  }
}

/**
 * Reads the maps and the table. Every frame must lie in `ranges` and be named once, so that there are no loops; the number of pages is
 * bounded. Where maps and table disagree the table is believed, which has checksums.
 *
 * @param address of the config block. @param read fills a page; false where it cannot be had.
 */
export function readPageList(
  read: (paddr: number, into: Uint8Array) => boolean,
  address: number,
  config: ConfigBlock,
  ranges: readonly MemoryRange[],
): PageList {
  const problems: DumpProblem[] = [];
  const problem = (code: DumpProblem["code"], message: string): void => void problems.push({ code, message });
  const { extension } = config;
  // last_used_offset is where the final write began; the dump may reach up to last_offset.
  let claimed = Math.ceil(config.lastOffset / PAGE_SIZE);
  if (extension && config.intact) claimed = extension.pages;
  else if (!(claimed > 0 && claimed <= MAX_PAGES) && extension && extension.pages > 0 && extension.pages <= MAX_PAGES)
    claimed = extension.pages;
  if (!(claimed >= 0 && claimed <= MAX_PAGES)) {
    problem("CORRUPT", `the config block at ${hex(address)} claims a dump of ${config.lastOffset} bytes`);
    claimed = MAX_PAGES;
  }
  const own: number[] = [];
  const page = new Uint8Array(PAGE_SIZE);
  const view = new DataView(page.buffer);
  const words = (at: number): bigint => view.getBigUint64(at * 8, true);

  // The table first: its frames are certain, and a map's that clash with them are not.
  const frames = new Frames(ranges, Math.floor(address / PAGE_SIZE));
  const entries: (TableEntry | undefined)[] = [];
  if (extension) {
    let at = extension.tableRoot;
    /** The table's page at `address`, if it is one and has not been seen. */
    const tablePage = (address: number): ReturnType<typeof parseTablePage> => {
      if (address % PAGE_SIZE !== 0 || !frames.take(address / PAGE_SIZE)) return undefined;
      const parsed = read(address, page) ? parseTablePage(page, extension.id) : undefined;
      if (!parsed || parsed.first < entries.length || parsed.first >= claimed) {
        frames.give(address / PAGE_SIZE);
        return undefined;
      }
      return parsed;
    };
    while (at !== 0 && entries.length < claimed) {
      let parsed = tablePage(at);
      if (!parsed || parsed.first !== entries.length) {
        const damaged = at;
        // The chain is broken; its pages lie one behind the other, but for the gaps between ranges.
        for (let tries = 0; !parsed && tries < Math.min(TABLE_SEARCH, extension.tablePages); tries++) parsed = tablePage((at += PAGE_SIZE));
        const known = Math.min(claimed, parsed?.first ?? claimed);
        problem(
          "CORRUPT",
          `the table of pages is damaged at ${hex(damaged)}: the ${known - entries.length} pages from ${entries.length} on have no checksum`,
        );
        if (!parsed) break;
        while (entries.length < known) entries.push(undefined);
      }
      own.push(at / PAGE_SIZE);
      entries.push(...parsed.entries);
      at = parsed.next;
    }
  }
  if (entries.length > claimed) entries.length = claimed;
  for (const [i, entry] of entries.entries()) {
    if (entry && !frames.take(entry.pfn)) {
      problem("CORRUPT", `the table of pages names frame ${hex(entry.pfn)} for page ${i}, which cannot be`);
      entries[i] = undefined;
    }
  }

  const pfns: (number | undefined)[] = entries.map((entry) => entry?.pfn);
  let different = 0;
  let differentMaps = 0;
  let bad = 0;
  /** Takes over a direct map's words; false where a word tells that the dump ends here. */
  const takeDirect = (first: number): boolean => {
    let changed = 0;
    for (let k = 0; k < MAP_ENTRIES && first + k < claimed; k++) {
      const value = words(k);
      const index = first + k;
      const known = entries[index]?.pfn;
      if (known !== undefined) {
        if (value !== BigInt(known)) changed++;
        continue;
      }
      if (value === 0n && !extension) return false;
      const pfn = value < 0x1_0000_0000n ? Number(value) : 0;
      const fine = frames.take(pfn);
      pfns[index] = fine ? pfn : undefined;
      if (!fine) bad++;
    }
    if (changed > 0) differentMaps++;
    different += changed;
    return true;
  };
  let lost = 0;
  let map = config.root;
  let index = 0;
  const indirect = new Uint8Array(PAGE_SIZE);
  const indirectView = new DataView(indirect.buffer);
  walk: while (index < claimed) {
    if (map === undefined || map === 0 || map % PAGE_SIZE !== 0 || !frames.take(map / PAGE_SIZE) || !read(map, indirect)) {
      problem(
        "CORRUPT",
        map === undefined || map === 0
          ? `the maps end at page ${index} of ${claimed}`
          : `the indirect map for the pages from ${index} on cannot be at ${hex(map)}`,
      );
      break;
    }
    own.push(map / PAGE_SIZE);
    for (let i = 0; i < INDIRECT_ENTRIES && index < claimed; i++) {
      const value = indirectView.getBigUint64(i * 8, true);
      if (value === 0n && !extension) {
        // The end of a list whose length was not certain.
        if (config.lastOffset !== index * PAGE_SIZE) problem("TRUNCATED", `the maps end at page ${index} of ${claimed}`);
        claimed = index;
        break walk;
      }
      const pfn = value < 0x1_0000_0000n ? Number(value) : 0;
      if (frames.take(pfn) && read(pfn * PAGE_SIZE, page)) {
        own.push(pfn);
        if (!takeDirect(index)) {
          while (pfns.length > index && pfns.at(-1) === undefined) pfns.pop();
          claimed = pfns.length;
          break walk;
        }
      } else {
        lost++;
        for (let k = index; k < Math.min(claimed, index + MAP_ENTRIES); k++) pfns[k] ??= undefined;
      }
      index += MAP_ENTRIES;
    }
    const next = indirectView.getBigUint64(INDIRECT_ENTRIES * 8, true);
    map = next === 0n ? undefined : physicalAddress(next);
  }
  // A hostile length must not make a list of holes.
  const known = Math.max(pfns.length, entries.length);
  pfns.length = Math.min(claimed, known);
  entries.length = pfns.length;
  if (known < claimed && !(extension === undefined && problems.length > 0))
    problem("TRUNCATED", `${claimed - known} of ${claimed} pages are in no map`);
  if (lost > 0) problem("CORRUPT", `${lost} direct map${lost === 1 ? "" : "s"} cannot be where the indirect maps say`);
  if (different > 0)
    problem(
      "CORRUPT",
      `${differentMaps} direct map${differentMaps === 1 ? "" : "s"} changed in ${different} words; the table of pages says what was there`,
    );
  if (bad > 0) problem("CORRUPT", `${bad} words of the direct maps name no page of this dump`);
  return { pfns, entries: Array.from({ length: pfns.length }, (_, i) => entries[i]), own, problems };
}
