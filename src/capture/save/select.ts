import { asPfn, asVaddr, DumpError, isDumpError, type Vaddr } from "../../bytes/index.ts";
import type { DumpFile } from "../../format/index.ts";
import { Kernel, openX86_64, Types, Vmcoreinfo } from "../../kernel/index.ts";
import { PhysicalMemory, VirtualMemory } from "../../memory/index.ts";
import { EXCLUDE_BY_CLASS, type PageClass, PageClassifier, PIECE } from "../page-class/classify.ts";
import { type PageLayout, readPageLayout } from "../page-class/layout.ts";
import { memMapRanges } from "../page-class/mem-map.ts";
import { countBits, setBits } from "./bits.ts";

/** Where a block has ended free memory or huge pages go on, as a rule, and then the first struct page decides many: few are read. */
const PROBE = 64;

/**
 * Frames that are looked at together: 256 GiB of 4 KiB pages. All bitmaps in memory are of one window, so that memory does not grow with
 * the dump.
 */
export const WINDOW: number = 2 ** 26;
/** Frames in all: 256 TiB. More than that a header can claim, and no machine has. */
const MAX_FRAMES = 2 ** 36;

/** What is known of the kernel's page array. */
interface PageArray {
  readonly memory: VirtualMemory;
  readonly vmcoreinfo: Vmcoreinfo;
  readonly layout: PageLayout;
  readonly classifier: PageClassifier;
}

/**
 * Chooses the pages that a dump of this level keeps, all-zero ones aside. A kernel whose page layout is not understood keeps all. Windows
 * are to be taken in ascending order.
 */
export class Selector {
  /** Frames of RAM, whether in the source or left out there already. */
  ramPages = 0;
  readonly #dump: DumpFile;
  #array: PageArray | undefined;
  readonly #counts: Record<PageClass, number> = { free: 0, cache: 0, cachePrivate: 0, user: 0, hwpoison: 0, offline: 0 };
  #unread = 0;
  #keptMore: string | undefined;

  /** @throws LIMIT where the dump claims more memory than there is in any machine. */
  constructor(dump: DumpFile, level: number) {
    checkSize(dump);
    this.#dump = dump;
    if ((level & EXCLUDE_BY_CLASS) === 0) return;
    try {
      this.#array = openPageArray(dump, level);
    } catch (error) {
      if (!isDumpError(error)) throw error;
      this.#keptMore = error.message;
    }
  }

  /** Pages left out so far, by reason. */
  get counts(): Readonly<Record<PageClass, number>> {
    return this.#array?.classifier.counts ?? this.#counts;
  }

  /** Why more was kept than the level asks for; undefined where it was not. */
  get keptMore(): string | undefined {
    if (this.#keptMore !== undefined) return this.#keptMore;
    return this.#unread > 0 && this.#unread * 10 > this.ramPages
      ? `${Math.round(this.#unread)} struct pages are not in the source; their pages are kept`
      : undefined;
  }

  /**
   * Looks at frames `[from, to)`.
   *
   * @param present bitmap that gets a bit for each frame of RAM, bit 0 of byte 0 for `from`. @param kept likewise for each to store.
   *   What was in them is forgotten.
   * @returns false where there is no RAM.
   */
  run(from: number, to: number, present: Uint8Array, kept: Uint8Array): boolean {
    const before = this.ramPages;
    present.fill(0);
    kept.fill(0);
    markStored(this.#dump, from, to, (first, end) => {
      setBits(present, first - from, end - from);
      setBits(kept, first - from, end - from);
      this.ramPages += end - first;
    });
    this.ramPages += markExcluded(this.#dump, from, to, present);
    if (this.ramPages === before) return false;
    if (this.#array && this.#keptMore === undefined) this.#classify(this.#array, from, to, kept);
    return true;
  }

  #classify({ memory, vmcoreinfo, layout, classifier }: PageArray, from: number, to: number, kept: Uint8Array): void {
    try {
      for (const { pfn, count, address } of memMapRanges(memory, vmcoreinfo, this.#dump.pageSize, layout.size, from, to)) {
        const end = pfn + count;
        let at = classifier.skip(pfn, end, kept, from);
        let step = PROBE;
        while (at < end) {
          const stop = Math.min(at - (at % step) + step, end);
          const into = classifier.pages.subarray(0, (stop - at) * layout.size);
          // A section may reach beyond RAM, and its struct pages then are nowhere.
          this.#unread += readStructPages(this.#dump, memory, address + BigInt((at - pfn) * layout.size), into, layout.size);
          classifier.run(at, stop - at, kept, from);
          step = classifier.until >= stop ? PROBE : PIECE;
          at = classifier.skip(stop, end, kept, from);
        }
      }
    } catch (error) {
      if (!isDumpError(error)) throw error;
      this.#keptMore = error.message;
    }
  }
}

function checkSize({ maxPfn, pageSize }: DumpFile): void {
  if (maxPfn > MAX_FRAMES)
    throw new DumpError("LIMIT", `the dump claims ${maxPfn} page frames of ${pageSize} bytes, ${MAX_FRAMES} can be saved`);
}

function openPageArray(dump: DumpFile, level: number): PageArray {
  if (dump.arch !== undefined && dump.arch !== "x86_64")
    throw new DumpError("UNSUPPORTED", `pages can be told apart on x86_64 only, the dump is of ${dump.arch}`);
  const quick = dump.vmcoreinfo === undefined ? undefined : openQuick(dump, dump.vmcoreinfo);
  if (quick) return { ...quick, classifier: new PageClassifier(quick.layout, level) };
  // The long way: VMCOREINFO is looked for in memory, and BTF fills in what it does not say.
  const { memory, vmcoreinfo, types } = new Kernel(dump);
  const layout = readPageLayout(vmcoreinfo, types);
  return { memory, vmcoreinfo, layout, classifier: new PageClassifier(layout, level) };
}

/** By VMCOREINFO alone, which is enough nearly always. */
function openQuick(dump: DumpFile, text: string): Omit<PageArray, "classifier"> | undefined {
  const vmcoreinfo = new Vmcoreinfo(text);
  const physical = new PhysicalMemory(dump);
  const memory = new VirtualMemory(physical, openX86_64(physical, vmcoreinfo));
  try {
    return { memory, vmcoreinfo, layout: readPageLayout(vmcoreinfo, new Types(undefined, vmcoreinfo, dump.wordSize)) };
  } catch (error) {
    if (!isDumpError(error)) throw error;
    return undefined;
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
    const from = asVaddr(BigInt.asUintN(64, address + BigInt(at)));
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

/** Calls back with ranges of stored frames within `[start, end)`. */
function markStored(dump: DumpFile, start: number, end: number, mark: (from: number, to: number) => void): void {
  const ranges = dump.storedRanges?.();
  if (ranges) {
    for (const [from, to] of ranges) if (from < end && to > start) mark(Math.max(from, start), Math.min(to, end));
    return;
  }
  let first = -1;
  let last = -2;
  for (let pfn = dump.nextStored(asPfn(start)); pfn !== undefined && pfn < end; pfn = dump.nextStored(asPfn(pfn + 1))) {
    if (pfn !== last + 1) {
      if (first >= 0) mark(first, last + 1);
      first = pfn;
    }
    last = pfn;
  }
  if (first >= 0) mark(first, last + 1);
}

/** RAM that the source's writer left out: it is RAM in the copy too. Returns the frames. */
function markExcluded(dump: DumpFile, start: number, end: number, present: Uint8Array): number {
  const before = countBits(present, 0, end - start);
  if (dump.ramRanges) {
    for (const [from, to] of dump.ramRanges(asPfn(start))) {
      if (from >= end) break;
      setBits(present, Math.max(from, start) - start, Math.min(to, end) - start);
    }
  } else {
    for (let pfn = start; pfn < end; pfn++) {
      if (dump.pageState(asPfn(pfn)) === "excluded") setBits(present, pfn - start, pfn - start + 1);
    }
  }
  return countBits(present, 0, end - start) - before;
}
