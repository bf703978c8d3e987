import { crc32 } from "node:zlib";
import { type ByteSource, DumpError, hex, isDumpError, MAX_PADDR } from "../../bytes/index.ts";
import type { DumpProblem } from "../../format/index.ts";
import { encodeEndRecord, encodeLkcdHeaders, type LkcdSink } from "../../format/lkcd/write.ts";
import { type ConfigBlock, hasMagic, MAX_MEMORY, NO_RECORD, PAGE_SIZE, parseConfigBlock, physicalAddress } from "./layout.ts";
import { type MemoryRange, type PageList, type PhysicalStore, readPageList } from "./page-list.ts";

/** Bytes of the LKCD stream `[start, end)`, all of them whole records that are there. */
interface Segment {
  readonly start: number;
  readonly end: number;
  /** Number of the pass, in the order of the stream. */
  readonly pass: number;
}

/** A dump that was left in memory. */
export interface ResidentDump {
  /** Physical address of the config block. */
  readonly address: number;
  readonly config: ConfigBlock;
  /** The LKCD stream without what is damaged: the LKCD reader opens it. Its pages are the memory's: it ends with them. */
  readonly stream: ByteSource;
  /** Page records that are there. */
  readonly records: number;
  /** What is torn, overwritten or missing. Empty for a dump that is as it was written. */
  readonly problems: readonly DumpProblem[];
  /** Whether the writer said that it left pages out for want of room. */
  readonly truncated: boolean;
  /** Every page that it takes: the config block, lists and data. */
  readonly frames: readonly number[];
  /** Bytes that {@link writeOut} writes. */
  readonly size: number;
  /** Writes the dump with the pass that matters most first. What the sink throws passes. */
  writeOut(sink: LkcdSink, onProgress?: (label: string, done: number, total: number) => void): void;
}

export interface FindOptions {
  /** Value of `crashdump=`; without it the image is searched for the magic at the beginning of each page. */
  readonly crashdump?: number | bigint;
  /** Where pages of the dump can be. Default: everywhere in the source. */
  readonly ranges?: readonly MemoryRange[];
  readonly onProgress?: (label: string, done: number, total: number) => void;
}

/** First page record of the versions that are written here and were written by the seed. */
const FIRST_RECORD = 65536;
/** More CPUs than x86_64 can have. */
const MAX_HEADERS: number = 4 * 1024 * 1024;
const RECORD_HEADER = 16;
const RAW = 0x1;
const COMPRESSED = 0x2;
const END = 0x4;
/** Records that must follow one another for a place to be taken for the beginning of one. */
const CHAIN = 4;
/** A search for the next record looks no further than the pages of a map. */
const SEARCH: number = 513 * PAGE_SIZE;
const CHUNK = 1024 * 1024;

/** Parses the value of `crashdump=` as the kernel's memparse does: decimal, `0x` or octal, with K, M, G. Virtual addresses too. */
export function parseCrashdump(commandLine: string): number | undefined {
  const match = /(?:^|\s)crashdump=(0[xX][0-9a-fA-F]+|\d+)([KMGkmg]?)(?=\s|$)/.exec(commandLine);
  if (!match) return undefined;
  const [, digits = "", unit = ""] = match;
  const octal = /^0[0-7]+$/.test(digits);
  if (!octal && /^0\d/.test(digits)) return undefined;
  const value = (octal ? BigInt(`0o${digits.slice(1)}`) : BigInt(digits)) << BigInt({ k: 10, m: 20, g: 30 }[unit.toLowerCase()] ?? 0);
  // The default of the seed's kernel: there is none.
  return value === 0xdeadbeefn ? undefined : physicalAddress(value);
}

/**
 * Finds a dump that LKCD's scheme left in memory, checks all of it and exposes it.
 *
 * @param source physical memory by address: an image that begins at 0, `/dev/mem`, a PhysicalSource.
 * @returns undefined where there is none, or its config block leads nowhere. Damage is in {@link ResidentDump.problems}.
 */
export function findResidentDump(source: ByteSource, options: FindOptions = {}): ResidentDump | undefined {
  if (options.crashdump !== undefined) {
    const address = typeof options.crashdump === "bigint" ? physicalAddress(options.crashdump) : options.crashdump;
    return address === undefined ? undefined : openAt(source, address, options);
  }
  let best: ResidentDump | undefined;
  for (const address of configBlocks(source, options)) {
    const found = openAt(source, address, options);
    // A copy of the page that the block was made in leads to the same pages, or to none.
    if (found && found.records > 0 && (!best || found.problems.length < best.problems.length)) best = found;
    if (best && best.problems.length === 0) break;
  }
  return best;
}

function* configBlocks(source: ByteSource, options: FindOptions): Iterable<number> {
  const chunk = new Uint8Array(CHUNK);
  for (const { start, end } of options.ranges ?? [{ start: 0, end: source.size }]) {
    for (let at = Math.ceil(start / PAGE_SIZE) * PAGE_SIZE; at + PAGE_SIZE <= end; at += CHUNK) {
      let got = 0;
      try {
        got = source.read(at, chunk.subarray(0, Math.min(CHUNK, end - at)));
      } catch (error) {
        if (!isDumpError(error)) throw error;
      }
      for (let i = 0; i + PAGE_SIZE <= got; i += PAGE_SIZE) if (hasMagic(chunk.subarray(i, i + PAGE_SIZE))) yield at + i;
      options.onProgress?.("searching for a resident dump", at, end);
    }
  }
}

function openAt(source: ByteSource, address: number, options: FindOptions): ResidentDump | undefined {
  if (!(address >= 0 && address < MAX_MEMORY) || address % PAGE_SIZE !== 0) return undefined;
  const read = (paddr: number, into: Uint8Array): boolean => {
    try {
      return source.read(paddr, into) === into.length;
    } catch (error) {
      if (!isDumpError(error)) throw error;
      return false;
    }
  };
  const page = new Uint8Array(PAGE_SIZE);
  const config = read(address, page) ? parseConfigBlock(page) : undefined;
  if (!config) return undefined;
  const ranges = options.ranges ?? [{ start: 0, end: Math.min(source.size, MAX_PADDR) }];
  const list = readPageList(read, address, config, ranges);
  if (list.pfns.length === 0) return undefined;
  return new Resident(read, source.name, address, config, list, options);
}

class Resident implements ResidentDump {
  readonly address: number;
  readonly config: ConfigBlock;
  readonly problems: DumpProblem[] = [];
  readonly truncated: boolean;
  readonly frames: readonly number[];
  readonly stream: ByteSource;
  readonly size: number;
  records = 0;
  readonly #read: (paddr: number, into: Uint8Array) => boolean;
  readonly #list: PageList;
  readonly #bad: Uint8Array;
  readonly #segments: Segment[] = [];
  readonly #head: Uint8Array;
  #end: Uint8Array;
  readonly #page: Uint8Array = new Uint8Array(PAGE_SIZE);
  #loaded = -1;

  constructor(
    read: (paddr: number, into: Uint8Array) => boolean,
    name: string,
    address: number,
    config: ConfigBlock,
    list: PageList,
    options: FindOptions,
  ) {
    this.#read = read;
    this.#list = list;
    this.address = address;
    this.config = config;
    this.truncated = config.extension?.truncated === true && config.intact;
    this.problems.push(...list.problems);
    if (!config.intact)
      this.problems.unshift({ code: "CORRUPT", message: `the config block at ${hex(address)} does not have its checksum` });
    this.#bad = new Uint8Array(list.pfns.length);
    this.#check(options);
    this.#end = encodeEndRecord(true);
    this.#walk(options);
    this.#head = this.#headers();
    const size = this.#segments.reduce((sum, { start, end }) => sum + end - start, 0);
    this.size = this.#head.length + size + this.#end.length;
    this.frames = [Math.floor(address / PAGE_SIZE), ...list.own, ...list.pfns.filter((pfn) => pfn !== undefined)];
    this.stream = this.#source(`${name} at ${hex(address)}`, this.#segments);
  }

  /** Compares every page with its checksum, where there is one. */
  #check({ onProgress }: FindOptions): void {
    const { pfns, entries } = this.#list;
    let damaged = 0;
    let missing = 0;
    for (const [i, pfn] of pfns.entries()) {
      const entry = entries[i];
      if (pfn === undefined) {
        this.#bad[i] = 1;
        missing++;
      } else if (!this.#read(pfn * PAGE_SIZE, this.#page) || (entry && crc32(this.#page) !== entry.crc)) {
        this.#bad[i] = 1;
        damaged++;
      }
      if ((i & 0x3ff) === 0) onProgress?.("checking the resident dump", i * PAGE_SIZE, pfns.length * PAGE_SIZE);
    }
    this.#loaded = -1;
    const all = pfns.length;
    if (missing > 0) this.problems.push({ code: "CORRUPT", message: `${missing} of ${all} pages of the dump cannot be found` });
    if (damaged > 0) this.problems.push({ code: "CORRUPT", message: `${damaged} of ${all} pages of the dump were written over` });
  }

  /** Bytes of the stream at `offset`; false where a page of them is not there. */
  #bytes(offset: number, into: Uint8Array): boolean {
    for (let done = 0; done < into.length;) {
      const index = Math.floor((offset + done) / PAGE_SIZE);
      const inPage = offset + done - index * PAGE_SIZE;
      const count = Math.min(into.length - done, PAGE_SIZE - inPage);
      if (index >= this.#bad.length || this.#bad[index] !== 0) return false;
      if (this.#loaded !== index) {
        this.#loaded = -1;
        if (!this.#read(this.#list.pfns[index]! * PAGE_SIZE, this.#page)) return false;
        this.#loaded = index;
      }
      into.set(this.#page.subarray(inPage, inPage + count), done);
      done += count;
    }
    return true;
  }

  readonly #header: Uint8Array = new Uint8Array(RECORD_HEADER);
  readonly #view: DataView = new DataView(this.#header.buffer);

  /** Where the record at `offset` ends; "end" for the end record, undefined where there is none. */
  #recordAt(offset: number): number | "end" | undefined {
    if (!this.#bytes(offset, this.#header)) return undefined;
    const address = this.#view.getUint32(4, true) * 0x1_0000_0000 + this.#view.getUint32(0, true);
    const size = this.#view.getUint32(8, true);
    const flags = this.#view.getUint32(12, true);
    if ((flags & END) !== 0) return size === 0 && (flags & ~0xc) === 0 ? "end" : undefined;
    if ((flags !== RAW && flags !== COMPRESSED) || size > PAGE_SIZE || address % PAGE_SIZE !== 0 || address >= MAX_PADDR) return undefined;
    if (flags === RAW ? size !== 0 && size !== PAGE_SIZE : size === 0) return undefined;
    const end = offset + RECORD_HEADER + size;
    for (let index = Math.floor(offset / PAGE_SIZE); index * PAGE_SIZE < end; index++) {
      if (index >= this.#bad.length || this.#bad[index] !== 0) return undefined;
      // Behind what a page has in use there is filler, or the beginning of a record that was given up.
      const used = this.#list.entries[index]?.used ?? PAGE_SIZE;
      if (Math.min(PAGE_SIZE, end - index * PAGE_SIZE) > used) return undefined;
    }
    return end;
  }

  /** Where the page records begin: version 9 says it, others do so at 64 KiB. */
  #firstRecord(): number {
    const bytes = new Uint8Array(8);
    const view = new DataView(bytes.buffer);
    if (!this.#bytes(8, bytes) || (view.getUint32(0, true) & 0xf) < 9 || !this.#bytes(734, bytes)) return FIRST_RECORD;
    const size = view.getBigUint64(0, true);
    return size > 0n && size <= BigInt(MAX_HEADERS) && size % BigInt(PAGE_SIZE) === 0n ? Number(size) : FIRST_RECORD;
  }

  /** Goes from record to record and notes what is whole; where there is none, the next place is looked for. */
  #walk({ onProgress }: FindOptions): void {
    const { entries } = this.#list;
    const total = this.#bad.length * PAGE_SIZE;
    const passes = this.config.intact ? (this.config.extension?.passes ?? []) : [];
    let pass = 0;
    const passOf = (offset: number): number => {
      const page = offset / PAGE_SIZE;
      const index = passes.findIndex(({ first, pages }) => page >= first && page < first + pages);
      return index < 0 ? pass : index;
    };
    let ended = false;
    let start = this.#firstRecord();
    let at = start;
    const close = (): void => {
      if (at > start) this.#segments.push({ start, end: at, pass });
    };
    let steps = 0;
    pass = passOf(at);
    while (at < total) {
      const next = this.#recordAt(at);
      if (next === "end") {
        ended = true;
        this.#end = this.#header.slice();
        break;
      }
      if (next !== undefined) {
        this.records++;
        at = next;
        if ((++steps & 0x3fff) === 0) onProgress?.("walking the records of the resident dump", at, total);
        // A pass that fills its last page needs no filler; it is another one all the same.
        if (at % PAGE_SIZE === 0 && passes.length > 0 && passOf(at) !== pass) {
          close();
          start = at;
          pass = passOf(at);
        }
        continue;
      }
      close();
      const index = Math.floor(at / PAGE_SIZE);
      const entry = entries[index];
      const isFiller = this.#bad[index] === 0 && (entry ? at - index * PAGE_SIZE >= entry.used : this.#isFiller(at, index));
      const found = this.#resume(at);
      if (found === undefined) {
        at = total;
        start = at;
        break;
      }
      at = found;
      start = at;
      // Behind a filler another pass begins.
      if (passes.length > 0) pass = passOf(at);
      else if (isFiller) pass++;
    }
    close();
    if (!ended) this.problems.push({ code: "TRUNCATED", message: "the resident dump has no end record" });
    const expected = this.config.intact ? this.config.extension?.records : undefined;
    if (expected !== undefined && this.records < expected)
      this.problems.push({
        code: "CORRUPT",
        message: `${expected - this.records} of ${expected} pages of the crashed kernel are lost with them`,
      });
    // A dump with holes must not pass for a whole one; one that was put together again is whole.
    if (this.problems.length > 0 && !(ended && expected !== undefined && this.records >= expected)) this.#end = encodeEndRecord(true);
  }

  /** Without a table: whether the rest of the page holds one byte only. */
  #isFiller(at: number, index: number): boolean {
    const rest = new Uint8Array((index + 1) * PAGE_SIZE - at);
    return this.#bytes(at, rest) && rest.every((byte) => byte === rest[0]);
  }

  /** The first record behind `at` that can be found. */
  #resume(at: number): number | undefined {
    const { entries } = this.#list;
    for (let index = Math.floor(at / PAGE_SIZE) + (at % PAGE_SIZE === 0 ? 0 : 1); index < this.#bad.length; index++) {
      if (this.#bad[index] !== 0) continue;
      const offset = index * PAGE_SIZE;
      const entry = entries[index];
      if (entry) {
        if (entry.firstRecord === NO_RECORD) continue;
        const place = offset + entry.firstRecord;
        if (entry.firstRecord < PAGE_SIZE && place > at && this.#recordAt(place) !== undefined) return place;
        continue;
      }
      if (offset > at && this.#isChain(offset)) return offset;
      for (let place = Math.max(offset, at + 1); place < Math.min(offset + PAGE_SIZE, at + SEARCH); place++)
        if (this.#isChain(place)) return place;
    }
    // The end record's page is in the table without a record.
    const last = (this.#bad.length - 1) * PAGE_SIZE;
    return last > at && this.#bad[this.#bad.length - 1] === 0 && this.#recordAt(last) === "end" ? last : undefined;
  }

  #isChain(offset: number): boolean {
    let at = offset;
    for (let i = 0; i < CHAIN; i++) {
      const next = this.#recordAt(at);
      if (next === undefined) return i > 1 && (this.#bad[Math.floor(at / PAGE_SIZE)] !== 0 || at % PAGE_SIZE !== 0) && this.#endsHere(at);
      if (next === "end") return true;
      at = next;
    }
    return true;
  }

  /** Whether the records may well end at `at`: before a hole, or before filler. */
  #endsHere(at: number): boolean {
    const index = Math.floor(at / PAGE_SIZE);
    if (index >= this.#bad.length || this.#bad[index] !== 0) return true;
    if (index + 1 < this.#bad.length && this.#bad[index + 1] !== 0) return true;
    return this.#isFiller(at, index);
  }

  /** The dump's headers, or new ones that say little where they are damaged. */
  #headers(): Uint8Array {
    const head = new Uint8Array(this.#firstRecord());
    const magic = 0xa8190173618f23edn;
    if (this.#bytes(0, head.subarray(0, PAGE_SIZE)) && new DataView(head.buffer).getBigUint64(0, true) === magic) {
      // Behind the first page there are only more CPUs.
      for (let at = PAGE_SIZE; at < head.length; at += PAGE_SIZE)
        if (!this.#bytes(at, head.subarray(at, at + PAGE_SIZE))) head.fill(0, at, at + PAGE_SIZE);
      return head;
    }
    this.problems.push({
      code: "CORRUPT",
      message: "the LKCD header of the resident dump is gone: the system's name and the registers with it",
    });
    return encodeLkcdHeaders({ level: this.config.level, compress: "gzip", utsname: {}, flags: this.config.flags, pages: this.records });
  }

  #source(name: string, segments: readonly Segment[]): ByteSource {
    const starts: number[] = [];
    let size = this.#head.length;
    for (const { start, end } of segments) {
      starts.push(size);
      size += end - start;
    }
    const records = size;
    size += this.#end.length;
    const piece = (offset: number, into: Uint8Array): number => {
      const copy = (from: Uint8Array, at: number): number => {
        const part = from.subarray(at, at + into.length);
        into.set(part);
        return part.length;
      };
      if (offset < this.#head.length) return copy(this.#head, offset);
      if (offset >= records) return copy(this.#end, offset - records);
      let low = 0;
      let high = starts.length;
      while (high - low > 1) {
        const middle = (low + high) >> 1;
        if (starts[middle]! <= offset) low = middle;
        else high = middle;
      }
      const { start, end } = segments[low]!;
      const at = start + offset - starts[low]!;
      const part = into.subarray(0, Math.min(into.length, end - at));
      if (!this.#bytes(at, part))
        throw new DumpError("IO", `the resident dump at ${hex(this.address)} cannot be read any more`, { at: this.address });
      return part.length;
    };
    return {
      name,
      size,
      read: (offset, into) => {
        const wanted = Math.min(into.length, size - offset);
        if (offset < 0 || wanted <= 0) return 0;
        for (let done = 0; done < wanted;) done += piece(offset + done, into.subarray(done, wanted));
        return wanted;
      },
      close: () => {},
    };
  }

  writeOut(sink: LkcdSink, onProgress?: (label: string, done: number, total: number) => void): void {
    const order = this.#segments.map((segment, i) => ({ segment, i })).sort((a, b) => b.segment.pass - a.segment.pass || a.i - b.i);
    const source = this.#source(
      this.stream.name,
      order.map(({ segment }) => segment),
    );
    const chunk = new Uint8Array(CHUNK);
    for (let at = 0; at < source.size;) {
      const got = source.read(at, chunk);
      sink.write(chunk.subarray(0, got));
      at += got;
      onProgress?.("writing the dump", at, source.size);
    }
  }
}

/**
 * Clears the pages of a resident dump, the config block first: it is not found again. Memory that `memmap=` keeps from the kernel stays so
 * until the next boot.
 */
export function clearResidentDump(dump: ResidentDump, store: PhysicalStore): void {
  const zeros = new Uint8Array(PAGE_SIZE);
  for (const pfn of dump.frames) store.write(pfn * PAGE_SIZE, zeros);
}
