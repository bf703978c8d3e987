import { randomBytes } from "node:crypto";
import { crc32 } from "node:zlib";
import { asPfn, DumpError, hex, isDumpError } from "../../bytes/index.ts";
import type { DumpFile } from "../../format/index.ts";
import {
  DUMP_FLAGS_SOFTBOOT,
  DUMP_LEVEL_ALL_RAM,
  DUMP_LEVEL_KERN,
  DUMP_LEVEL_USED,
  encodeEndRecord,
  encodeLkcdHeaders,
  type LkcdHeaderFields,
  PADDING,
  PageRecordEncoder,
} from "../../format/lkcd/write.ts";
import { encodeConfigBlock, hasMagic, MAX_MEMORY, MAX_PASSES, NO_RECORD, PAGE_SIZE, type PassRecord, type TableEntry } from "./layout.ts";
import { listPages, type MemoryRange, type PhysicalStore, writePageList } from "./page-list.ts";
import { FrameSet } from "./page-pool.ts";

/** Pages that are saved together, and left out together. */
export interface PagePass {
  /** `unused`, `cache`, `user`, `kernel`. At most 15 characters. */
  readonly name: string;
  /** Its bits of dh_dump_level. */
  readonly level: number;
  /** Frame numbers, in any order; no two passes have a frame in common. */
  readonly pfns: Iterable<number>;
}

/** Which pages there are, the least critical pass first. */
export interface PageOrder {
  readonly passes: readonly PagePass[];
}

/** What stage 1 works with. */
export interface Stage1Options {
  /** The old kernel's memory: `/proc/vmcore`. It changes under the reader: pages that were saved are written over. */
  readonly dump: DumpFile;
  readonly store: PhysicalStore;
  /** Without it all pages are one pass, which is left out as a whole or not at all. */
  readonly order?: PageOrder;
  /** Memory that nobody uses: all of it may be written from the beginning. */
  readonly region?: readonly MemoryRange[];
  /** Memory of the old kernel that may be written as soon as what is in it was saved or is not wanted. */
  readonly reuse?: readonly MemoryRange[];
  /** Pages that are not as the old kernel left them, by frame number, with what was in them. */
  readonly changed?: ReadonlyMap<number, Uint8Array>;
  /** Told of each page that was saved: true where it must stay as it is all the same. */
  readonly keep?: (page: Uint8Array) => boolean;
  /** Bits of dh_dump_level that are wanted. Default all. */
  readonly level?: number;
  /** What the LKCD header says; level, flags and number of pages are filled in. */
  readonly header: Omit<LkcdHeaderFields, "level" | "compress" | "flags" | "pages">;
  /** Pages of our own memory that hold what has no place yet: the bootstrap pages. Default 1024. */
  readonly bootstrapPages?: number;
  /** Where the pages are to be put together: in this number of ranges at most, if memory allows. Default 3. */
  readonly maxRanges?: number;
  /** Pages are put together above this address, if memory allows; the next kernel needs what is below. Default 64 MiB. */
  readonly above?: number;
  readonly onProgress?: (label: string, done: number, total: number) => void;
}

/** What became of one pass. */
export interface PassResult {
  readonly name: string;
  readonly level: number;
  /** Pages of the old kernel in the dump; 0 where the pass was left out. */
  readonly pages: number;
  readonly outcome: "saved" | "truncated" | "not wanted" | "left out";
}

export interface Stage1Result {
  /** Physical address of the config block, for `crashdump=`. */
  readonly crashdump: number;
  /** `memmap=SIZE$ADDRESS` for each range that the next kernel must not touch. */
  readonly memmap: readonly string[];
  readonly ranges: readonly MemoryRange[];
  /** Bits of dh_dump_level that the dump has. */
  readonly level: number;
  readonly wantedLevel: number;
  readonly truncated: boolean;
  readonly pagesSaved: number;
  /** Pages that the dump promised and could not give. */
  readonly pagesUnreadable: number;
  /** Pages of memory that the resident dump takes, lists and all. */
  readonly pagesUsed: number;
  readonly pagesMoved: number;
  readonly passes: readonly PassResult[];
  /** Where the level was lowered or the dump cut, in sentences. */
  readonly notes: readonly string[];
}

/** Physical pages of one run of the stream: parallel arrays, 18 bytes a page, since the capture kernel is small. */
class Run {
  length = 0;
  records = 0;
  pfns: Uint32Array = new Uint32Array(256);
  crcs: Uint32Array = new Uint32Array(256);
  /** Four numbers a page: first record, bytes used, where the last record that ends in it ends, records that end in it. */
  numbers: Uint16Array = new Uint16Array(1024);

  /** @returns index of the new page, which has no frame yet. */
  add(crc: number, firstRecord: number, used: number, lastEnd: number, ended: number): number {
    if (this.length === this.pfns.length) {
      const grow = <T extends Uint32Array | Uint16Array>(array: T, make: (size: number) => T): T => {
        const larger = make(array.length * 2);
        larger.set(array);
        return larger;
      };
      this.pfns = grow(this.pfns, (size) => new Uint32Array(size));
      this.crcs = grow(this.crcs, (size) => new Uint32Array(size));
      this.numbers = grow(this.numbers, (size) => new Uint16Array(size));
    }
    this.crcs[this.length] = crc;
    this.numbers.set([firstRecord, used, lastEnd, ended], this.length * 4);
    return this.length++;
  }

  entry(index: number): TableEntry {
    const at = index * 4;
    return { pfn: this.pfns[index]!, crc: this.crcs[index]!, firstRecord: this.numbers[at]!, used: this.numbers[at + 1]! };
  }
}

/** Puts a stream of records together to pages. */
class PageBuilder {
  readonly #done: (page: Uint8Array, firstRecord: number, used: number, lastEnd: number, ended: number) => void;
  readonly #page: Uint8Array = new Uint8Array(PAGE_SIZE);
  #used = 0;
  #first: number = NO_RECORD;
  #lastEnd = 0;
  #ended = 0;

  constructor(done: (page: Uint8Array, firstRecord: number, used: number, lastEnd: number, ended: number) => void) {
    this.#done = done;
  }

  append(record: Uint8Array): void {
    if (this.#first === NO_RECORD) this.#first = this.#used;
    for (let at = 0; at < record.length;) {
      const part = record.subarray(at, at + PAGE_SIZE - this.#used);
      this.#page.set(part, this.#used);
      this.#used += part.length;
      at += part.length;
      if (at === record.length) {
        this.#lastEnd = this.#used;
        this.#ended++;
      }
      if (this.#used === PAGE_SIZE) this.#give();
    }
  }

  /** Fills the page up; the next record begins a new one. */
  flush(): void {
    if (this.#used === 0) return;
    this.#page.fill(PADDING, this.#used);
    this.#give();
  }

  #give(): void {
    this.#done(this.#page, this.#first, this.#used, this.#lastEnd, this.#ended);
    this.#used = 0;
    this.#first = NO_RECORD;
    this.#lastEnd = 0;
    this.#ended = 0;
  }
}

interface Pending {
  readonly run: Run;
  readonly index: number;
  readonly page: Uint8Array;
}

interface Pass {
  readonly pass: PagePass;
  readonly run: Run;
  outcome: PassResult["outcome"];
  started: boolean;
}

/** Stage 1 of the soft boot, see {@link saveToMemory}. */
class Stage1 {
  readonly #options: Stage1Options;
  readonly #pool: FrameSet;
  readonly #seen: FrameSet;
  readonly #reuse: readonly MemoryRange[];
  readonly #passes: Pass[] = [];
  readonly #pending: Pending[] = [];
  readonly #encoder: PageRecordEncoder = new PageRecordEncoder("gzip");
  readonly #bootstrap: number;
  readonly #notes: string[] = [];
  readonly #headerPages: number;
  /** Data pages that have a place. */
  #placed = 0;
  #truncated = false;
  #unreadable = 0;

  constructor(options: Stage1Options) {
    this.#options = options;
    const { dump, region = [], reuse = [] } = options;
    if (dump.pageSize !== PAGE_SIZE)
      throw new DumpError("UNSUPPORTED", `pages of ${dump.pageSize} bytes; a soft boot is for pages of ${PAGE_SIZE}`);
    const highest = Math.max(dump.maxPfn * PAGE_SIZE, ...region.map(({ end }) => end));
    if (highest > MAX_MEMORY)
      throw new DumpError("LIMIT", `memory goes up to ${hex(highest)}, the limit of a soft boot is ${hex(MAX_MEMORY)}`);
    this.#pool = new FrameSet(Math.ceil(highest / PAGE_SIZE));
    this.#seen = new FrameSet(dump.maxPfn);
    this.#reuse = reuse;
    this.#bootstrap = options.bootstrapPages ?? 1024;
    for (const range of region) this.#pool.addRange(range);
    this.#headerPages = encodeLkcdHeaders({ ...options.header, level: 0, compress: "gzip" }).length / PAGE_SIZE;
  }

  run(): Stage1Result {
    const { dump, order, level: wantedLevel = 0xffff_ffff } = this.#options;
    this.#clearOldBlocks();
    const passes = order?.passes ?? [
      { name: "memory", level: DUMP_LEVEL_KERN | DUMP_LEVEL_USED | DUMP_LEVEL_ALL_RAM, pfns: storedPages(dump) },
    ];
    if (passes.length === 0 || passes.length > MAX_PASSES)
      throw new DumpError("BAD_ARGUMENT", `${passes.length} passes; 1 to ${MAX_PASSES} are possible`);
    for (const pass of passes)
      this.#passes.push({ pass, run: new Run(), outcome: (pass.level & wantedLevel) === 0 ? "not wanted" : "saved", started: false });
    // Pages that are not wanted can be used at once, and are read by nobody: all of them come before the first that is.
    for (const pass of this.#passes) if (pass.outcome === "not wanted") for (const pfn of pass.pass.pfns) this.#free(pfn);
    for (const pass of this.#passes) if (pass.outcome === "saved") this.#save(pass);
    while (this.#pending.length > 0 && !this.#flush()) this.#lower();
    return this.#finish(wantedLevel);
  }

  /** A dump that an earlier crash left in the region must not be found in place of ours. */
  #clearOldBlocks(): void {
    const page = new Uint8Array(PAGE_SIZE);
    for (const { start, end } of this.#options.region ?? []) {
      for (let at = Math.ceil(start / PAGE_SIZE) * PAGE_SIZE; at + PAGE_SIZE <= end; at += PAGE_SIZE) {
        this.#options.store.read(at, page);
        if (hasMagic(page)) this.#options.store.write(at, new Uint8Array(PAGE_SIZE));
      }
    }
  }

  /** What is in the page is safe, or of no use: it may be written over, if it is where we may write. */
  #free(pfn: number): void {
    const at = pfn * PAGE_SIZE;
    if (this.#seen.add(pfn) && this.#reuse.some(({ start, end }) => at >= start && at + PAGE_SIZE <= end)) this.#pool.add(pfn);
  }

  #save(pass: Pass): void {
    const { dump, changed, keep, onProgress } = this.#options;
    pass.started = true;
    const builder = new PageBuilder((page, firstRecord, used, lastEnd, ended) => {
      const index = pass.run.add(crc32(page), firstRecord, used, lastEnd, ended);
      this.#pending.push({ run: pass.run, index, page: page.slice() });
    });
    const page = new Uint8Array(PAGE_SIZE);
    for (const pfn of pass.pass.pfns) {
      if (this.#truncated) break;
      if (pfn >= this.#seen.maxPfn || this.#seen.has(pfn)) continue;
      if (pass.outcome === "saved") {
        try {
          const was = changed?.get(pfn);
          if (was === undefined) dump.readPage(asPfn(pfn), page);
          else page.set(was);
        } catch (error) {
          if (!isDumpError(error)) throw error;
          this.#seen.add(pfn);
          if (error.code !== "NOT_STORED" && error.code !== "EXCLUDED") this.#unreadable++;
          continue;
        }
        builder.append(this.#encoder.encode(pfn * PAGE_SIZE, page));
        pass.run.records++;
        if ((pass.run.records & 0xfff) === 0)
          onProgress?.(`saving ${pass.pass.name} pages`, this.#seen.count * PAGE_SIZE, dump.maxPfn * PAGE_SIZE);
        if (keep?.(page) === true) {
          this.#seen.add(pfn);
          continue;
        }
      }
      this.#free(pfn);
      while (this.#pending.length > 0 && !this.#flush() && this.#pending.length > this.#bootstrap) this.#lower();
    }
    if (pass.outcome === "saved") builder.flush();
    while (!this.#flush() && this.#pending.length > this.#bootstrap) this.#lower();
  }

  /** Pages that must stay free for what comes when all data is placed. */
  #reserve(placed: number): number {
    const own = this.#headerPages + 1;
    return own + listPages(placed + own).total + 1;
  }

  /** Gives places to what waits for one. True when nothing waits any more. */
  #flush(): boolean {
    let done = 0;
    for (const { run, index, page } of this.#pending) {
      if (this.#pool.count <= this.#reserve(this.#placed + 1)) break;
      const pfn = this.#pool.take()!;
      this.#options.store.write(pfn * PAGE_SIZE, page);
      run.pfns[index] = pfn;
      this.#placed++;
      done++;
    }
    this.#pending.splice(0, done);
    return this.#pending.length === 0;
  }

  /** There is no room: gives up the least critical pass that is in the dump; of the last, what has no place. */
  #lower(): void {
    const saved = this.#passes.filter(({ outcome, run }) => outcome === "saved" && run.length > 0);
    const least = saved[0];
    if (!least) return;
    const later = this.#passes.slice(this.#passes.indexOf(least) + 1);
    if (later.some(({ outcome, run, started }) => outcome === "saved" && (run.length > 0 || !started))) {
      const waiting = new Set(this.#pending.filter(({ run }) => run === least.run).map(({ index }) => index));
      for (let i = 0; i < least.run.length; i++) {
        if (waiting.has(i)) continue;
        this.#pool.add(least.run.pfns[i]!);
        this.#placed--;
      }
      const rest = this.#pending.filter(({ run }) => run !== least.run);
      this.#pending.splice(0, this.#pending.length, ...rest);
      this.#notes.push(`memory does not compress well enough: the ${least.pass.name} pages are left out`);
      least.outcome = "left out";
      least.run.length = 0;
      least.run.records = 0;
      return;
    }
    // The stream ends behind the last record that is whole.
    const { run } = least;
    run.length -= this.#pending.length;
    this.#pending.splice(0);
    while (run.length > 0 && run.numbers[(run.length - 1) * 4 + 2] === 0) {
      run.length--;
      this.#placed--;
      this.#pool.add(run.pfns[run.length]!);
    }
    const last = run.length - 1;
    if (last >= 0) {
      const end = run.numbers[last * 4 + 2]!;
      run.numbers[last * 4 + 1] = end;
      // No record begins behind the end; where none begins before it either, none does.
      if (run.numbers[last * 4]! >= end) run.numbers[last * 4] = NO_RECORD;
      const page = new Uint8Array(PAGE_SIZE);
      const at = run.pfns[last]! * PAGE_SIZE;
      this.#options.store.read(at, page);
      page.fill(PADDING, end);
      this.#options.store.write(at, page);
      run.crcs[last] = crc32(page);
    }
    run.records = 0;
    for (let i = 0; i < run.length; i++) run.records += run.numbers[i * 4 + 3]!;
    least.outcome = "truncated";
    this.#truncated = true;
    this.#notes.push(`there is no room for all of the ${least.pass.name} pages: the dump is cut after ${run.records} pages`);
  }

  #finish(wantedLevel: number): Stage1Result {
    const { header, store, maxRanges = 3, above = 64 * 1024 * 1024, onProgress } = this.#options;
    const kept = this.#passes.filter(({ run }) => run.length > 0);
    const level = kept.reduce((bits, { pass }) => bits | pass.level, 0);
    const records = kept.reduce((sum, { run }) => sum + run.records, 0);

    const head = new Run();
    const end = new Run();
    const fixed: Pending[] = [];
    const add = (run: Run, page: Uint8Array, firstRecord: number, used: number): void => {
      fixed.push({ run, page, index: run.add(crc32(page), firstRecord, used, 0, 0) });
    };
    const headers = encodeLkcdHeaders({ ...header, level, compress: "gzip", flags: DUMP_FLAGS_SOFTBOOT, pages: records });
    for (let at = 0; at < headers.length; at += PAGE_SIZE) add(head, headers.slice(at, at + PAGE_SIZE), NO_RECORD, PAGE_SIZE);
    const last = new Uint8Array(PAGE_SIZE).fill(PADDING);
    const endRecord = encodeEndRecord(this.#truncated);
    last.set(endRecord);
    add(end, last, 0, endRecord.length);
    for (const { run, index, page } of fixed) {
      const pfn = this.#pool.take();
      if (pfn === undefined) throw this.#noRoom();
      store.write(pfn * PAGE_SIZE, page);
      run.pfns[index] = pfn;
    }

    const runs = [head, ...kept.map(({ run }) => run), end];
    const pages = runs.reduce((sum, run) => sum + run.length, 0);
    const total = pages + listPages(pages).total + 1;
    const ranges = chooseRanges(this.#slots(runs), total, maxRanges, Math.ceil(above / PAGE_SIZE));
    if (!ranges) throw this.#noRoom();
    const { block, free, moved } = this.#compact(runs, ranges, onProgress);

    const starts: number[] = [];
    let first = 0;
    for (const run of runs) {
      starts.push(first);
      first += run.length;
    }
    let at = 0;
    const entryAt = (index: number): TableEntry => {
      while (index < starts[at]!) at--;
      while (at + 1 < runs.length && index >= starts[at + 1]!) at++;
      return runs[at]!.entry(index - starts[at]!);
    };
    const id = randomBytes(4).readUInt32LE(0);
    const { root, tableRoot } = writePageList(store, id, pages, entryAt, free);
    const passes: PassRecord[] = kept.map(({ pass, run }, i) => ({
      name: pass.name,
      level: pass.level,
      first: starts[i + 1]!,
      pages: run.length,
      records: run.records,
    }));
    const extension = {
      id,
      pages,
      tableRoot,
      tablePages: listPages(pages).table,
      records,
      wantedLevel,
      truncated: this.#truncated,
      passes,
    };
    // Last of all: until now there is nothing that could be taken for a dump.
    store.write(block * PAGE_SIZE, encodeConfigBlock({ root, level, flags: DUMP_FLAGS_SOFTBOOT, extension }));

    return {
      crashdump: block * PAGE_SIZE,
      memmap: ranges.map(({ start, end }) => `memmap=${hex(end - start)}$${hex(start)}`),
      ranges,
      level,
      wantedLevel,
      truncated: this.#truncated,
      pagesSaved: records,
      pagesUnreadable: this.#unreadable,
      pagesUsed: total,
      pagesMoved: moved,
      passes: this.#passes.map(({ pass, run, outcome }) => ({ name: pass.name, level: pass.level, pages: run.records, outcome })),
      notes: this.#notes,
    };
  }

  #noRoom(): DumpError {
    return new DumpError(
      "LIMIT",
      `there is no memory for a dump: ${this.#pool.count} pages may be written; reserve a region, or allow the old kernel's pages to be reused`,
    );
  }

  /** Everything that may hold a page of the dump when it is complete. */
  #slots(runs: readonly Run[]): FrameSet {
    const slots = this.#pool.copy();
    for (const run of runs) for (let i = 0; i < run.length; i++) slots.add(run.pfns[i]!);
    return slots;
  }

  /**
   * Moves all pages of the stream into the ranges. The first page of the first range becomes the config block's.
   *
   * @returns frames of the config block and for the lists.
   */
  #compact(
    runs: readonly Run[],
    ranges: readonly MemoryRange[],
    onProgress: Stage1Options["onProgress"],
  ): { block: number; free: number[]; moved: number } {
    const { store } = this.#options;
    const block = ranges[0]!.start / PAGE_SIZE;
    const inside = new FrameSet(this.#pool.maxPfn);
    for (const range of ranges) inside.addRange(range);
    inside.delete(block);
    const free = inside.copy();
    for (const run of runs) for (let i = 0; i < run.length; i++) free.delete(run.pfns[i]!);
    const page = new Uint8Array(PAGE_SIZE);
    let moved = 0;
    for (const run of runs) {
      for (let i = 0; i < run.length; i++) {
        const from = run.pfns[i]!;
        if (inside.has(from)) continue;
        const to = free.take()!;
        store.read(from * PAGE_SIZE, page);
        if (crc32(page) !== run.crcs[i])
          throw new DumpError("IO", `the page at ${hex(from * PAGE_SIZE)} did not keep what was written: it is not ours to use`, {
            at: from * PAGE_SIZE,
          });
        store.write(to * PAGE_SIZE, page);
        run.pfns[i] = to;
        if ((++moved & 0xfff) === 0) onProgress?.("putting pages together", moved * PAGE_SIZE, (moved + free.count) * PAGE_SIZE);
      }
    }
    const left: number[] = [];
    for (let pfn = free.take(); pfn !== undefined; pfn = free.take()) left.push(pfn);
    return { block, free: left.sort((a, b) => a - b), moved };
  }
}

/** Ranges of exactly `total` pages in all, few of them and from `above` on where that can be. Undefined where there are not as many. */
function chooseRanges(slots: FrameSet, total: number, maxRanges: number, above: number): MemoryRange[] | undefined {
  const all = [...slots.runs()];
  const high = all.flatMap(({ start, length }) => {
    const from = Math.max(start, above);
    return start + length > from ? [{ start: from, length: start + length - from }] : [];
  });
  let most: MemoryRange[] | undefined;
  for (const runs of [high, all]) {
    const ranges = cover(runs, total);
    if (ranges && ranges.length <= maxRanges) return ranges;
    if (ranges && (!most || ranges.length < most.length)) most = ranges;
  }
  return most;
}

/** The lowest run that holds everything; else the longest ones. */
function cover(runs: readonly { start: number; length: number }[], total: number): MemoryRange[] | undefined {
  const range = (start: number, length: number): MemoryRange => ({ start: start * PAGE_SIZE, end: (start + length) * PAGE_SIZE });
  const whole = runs.find(({ length }) => length >= total);
  if (whole) return [range(whole.start, total)];
  const ranges: MemoryRange[] = [];
  let left = total;
  for (const { start, length } of [...runs].sort((a, b) => b.length - a.length)) {
    const part = Math.min(left, length);
    ranges.push(range(start, part));
    left -= part;
    if (left === 0) return ranges.sort((a, b) => a.start - b.start);
  }
  return undefined;
}

/** All pages of a dump in ascending order. */
export function* storedPages(dump: DumpFile): Iterable<number> {
  for (let pfn = dump.nextStored(asPfn(0)); pfn !== undefined; pfn = dump.nextStored(asPfn(pfn + 1))) yield pfn;
}

/**
 * Stage 1, in the capture kernel: compresses the old kernel's memory into memory, the config block last. Pages go first to what is free from
 * the beginning (the region, pages of passes that are not wanted), then to pages that have been saved. Where that is not enough the least
 * critical pass is given up, with the memory that it took; at last only the pages that fitted are kept, and the dump says that it is cut.
 *
 * Once this has begun the old kernel's memory is not what it was, also where it fails.
 *
 * @throws LIMIT where not even a beginning fits, UNSUPPORTED, IO of the store.
 */
export function saveToMemory(options: Stage1Options): Stage1Result {
  return new Stage1(options).run();
}
