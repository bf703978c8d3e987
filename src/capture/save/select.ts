import { asPfn, asVaddr, isDumpError, type Vaddr } from "../../bytes/index.ts";
import type { DumpFile } from "../../format/index.ts";
import { openX86_64, Types, Vmcoreinfo } from "../../kernel/index.ts";
import { PhysicalMemory, VirtualMemory } from "../../memory/index.ts";
import { EXCLUDE_BY_CLASS, type PageClass, PageClassifier } from "../page-class/classify.ts";
import { readPageLayout } from "../page-class/layout.ts";
import { memMapRanges } from "../page-class/mem-map.ts";
import { setBits } from "./bits.ts";

/** Struct pages read at a time. */
const CHUNK = 8192;

/** What was selected, and what had to stay for want of knowledge. */
export interface Selection {
  /** Frames of RAM, whether in the source or left out there already. */
  readonly ramPages: number;
  readonly counts: Readonly<Record<PageClass, number>>;
  /** Why more was kept than the level asks for; undefined where it was not. */
  readonly keptMore: string | undefined;
}

/**
 * Chooses the pages that a dump of this level keeps, all-zero ones aside. A kernel whose page layout is not understood keeps all.
 *
 * @param present bitmap that gets a bit for each frame of RAM. @param kept likewise for each frame to store. Both of maxPfn bits.
 */
export function selectPages(dump: DumpFile, level: number, present: Uint8Array, kept: Uint8Array): Selection {
  const { maxPfn } = dump;
  let ramPages = 0;
  markStored(dump, maxPfn, (from, to) => {
    setBits(present, from, to);
    setBits(kept, from, to);
    ramPages += to - from;
  });
  ramPages += markExcluded(dump, maxPfn, present);
  const none = { free: 0, cache: 0, cachePrivate: 0, user: 0, hwpoison: 0, offline: 0 };
  if ((level & EXCLUDE_BY_CLASS) === 0) return { ramPages, counts: none, keptMore: undefined };
  try {
    const vmcoreinfo = new Vmcoreinfo(dump.vmcoreinfo ?? "");
    const physical = new PhysicalMemory(dump);
    const memory = new VirtualMemory(physical, openX86_64(physical, vmcoreinfo));
    const layout = readPageLayout(vmcoreinfo, new Types(undefined, vmcoreinfo, dump.wordSize));
    const classifier = new PageClassifier(layout, level);
    const bytes = new Uint8Array(CHUNK * layout.size);
    let unread = 0;
    for (const { pfn, count, address } of memMapRanges(memory, vmcoreinfo, dump.pageSize, maxPfn)) {
      for (let at = 0; at < count; at += CHUNK) {
        const pages = Math.min(CHUNK, count - at);
        const into = bytes.subarray(0, pages * layout.size);
        // A section may reach beyond RAM, and its struct pages then are nowhere.
        unread += readStructPages(dump, memory, address + BigInt(at * layout.size), into, layout.size);
        classifier.run(new Uint32Array(bytes.buffer, 0, into.length / 4), pfn + at, pages, kept, 0);
      }
    }
    return {
      ramPages,
      counts: classifier.counts,
      keptMore: unread > 0 && unread * 10 > ramPages ? `${unread} struct pages are not in the source; their pages are kept` : undefined,
    };
  } catch (error) {
    if (!isDumpError(error)) throw error;
    return { ramPages, counts: none, keptMore: error.message };
  }
}

/** The page array is read in pages of this where it is not mapped with larger ones. */
const PAGE = 4096;

/**
 * Reads struct pages; those that are not there come as zeros, which is no class. Returns how many. The kernel maps the array with large
 * pages: what lies together in memory is read together.
 */
function readStructPages(dump: DumpFile, memory: VirtualMemory, address: bigint, into: Uint8Array, size: number): number {
  let unread = 0;
  for (let at = 0; at < into.length;) {
    const from = asVaddr(address + BigInt(at));
    const got = readTogether(dump, memory, from, into.subarray(at));
    if (got > 0) {
      at += got;
      continue;
    }
    const length = Math.min(PAGE - Number(from % BigInt(PAGE)), into.length - at);
    const part = into.subarray(at, at + length);
    if (!memory.tryRead(from, part)) {
      part.fill(0);
      unread += length / size;
    }
    at += length;
  }
  return unread;
}

/** Reads whole frames from `address` on, as far as they lie together in memory and in the file. Returns bytes; 0 where that cannot be. */
function readTogether(dump: DumpFile, memory: VirtualMemory, address: Vaddr, into: Uint8Array): number {
  const { pageSize } = dump;
  const { space } = memory;
  if (!dump.readRun || !space.extent) return 0;
  try {
    const { paddr, bytes } = space.extent(address);
    const pages = Math.floor(Math.min(bytes, into.length) / pageSize);
    if (paddr % pageSize !== 0 || pages === 0) return 0;
    return dump.readRun(asPfn(paddr / pageSize), pages, into.subarray(0, pages * pageSize)) * pageSize;
  } catch (error) {
    if (!isDumpError(error)) throw error;
    return 0;
  }
}

/** Calls back with ranges of stored frames. */
function markStored(dump: DumpFile, maxPfn: number, mark: (from: number, to: number) => void): void {
  const ranges = dump.storedRanges?.();
  if (ranges) {
    for (const [from, to] of ranges) if (from < maxPfn) mark(from, Math.min(to, maxPfn));
    return;
  }
  let start = -1;
  let last = -2;
  for (let pfn = dump.nextStored(asPfn(0)); pfn !== undefined && pfn < maxPfn; pfn = dump.nextStored(asPfn(pfn + 1))) {
    if (pfn !== last + 1) {
      if (start >= 0) mark(start, last + 1);
      start = pfn;
    }
    last = pfn;
  }
  if (start >= 0) mark(start, last + 1);
}

/** RAM that the source's writer left out: it is RAM in the copy too. Returns the frames. */
function markExcluded(dump: DumpFile, maxPfn: number, present: Uint8Array): number {
  if (dump.storedRanges?.()) return 0;
  let count = 0;
  for (let pfn = 0; pfn < maxPfn; pfn++) {
    if ((present[pfn >>> 3]! & (1 << (pfn & 7))) === 0 && dump.pageState(asPfn(pfn)) === "excluded") {
      present[pfn >>> 3]! |= 1 << (pfn & 7);
      count++;
    }
  }
  return count;
}
