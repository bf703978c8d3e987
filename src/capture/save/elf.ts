import { DumpError, lastAtOrBelow } from "../../bytes/index.ts";
import type { DumpFile } from "../../format/index.ts";
import { ELF64, ELFMAG, ET_CORE, MACHINES, PN_XNUM, PT_LOAD, PT_NOTE } from "../../format/elf/layout.ts";
import { encodeNotes } from "../../format/kdump/write.ts";
import { START_KERNEL_MAP } from "../../memory/index.ts";
import { EXCLUDE_ZERO } from "../page-class/classify.ts";
import { countBits, nextBit, nextClear } from "./bits.ts";
import { PageReader } from "./chunk.ts";
import { notesOf, type SaveOptions, type SaveResult } from "./kdump.ts";
import type { Output } from "./output.ts";
import { Selector, WINDOW } from "./select.ts";

/** Holes of fewer pages are filled with zeros, as makedumpfile -E does: a program header for each would cost more. */
const HOLE_PAGES = 256;
/** Pages read at a time. */
const RUN = 256;
const EM_X86_64 = 62;
/** Readers take no more program headers; that many are 56 MB. */
const MOST_LOADS = 500_000;
/** Of a frame that no segment of the source covers: where x86-64 kernels without KASLR map it. */
const DIRECT_MAP = 0xffff_8880_0000_0000n;

/** One PT_LOAD: frames that follow each other, of which the first `stored` are in the file. */
interface Load {
  readonly pfn: number;
  readonly vaddr: bigint;
  readonly pages: number;
  readonly stored: number;
  /** Of its first byte in the file. */
  offset: number;
}

/**
 * Writes an ELF core file: what crash, gdb and older tools take. Pages left out are PT_LOADs of their own with p_filesz 0; short holes are
 * zeros.
 *
 * @throws IO where the system refuses.
 */
export async function saveElf(dump: DumpFile, output: Output, options: SaveOptions): Promise<SaveResult> {
  if (dump.wordSize !== 8 || !dump.littleEndian)
    throw new DumpError("UNSUPPORTED", "only dumps of 64-bit little-endian machines can be saved yet");
  const { maxPfn, pageSize } = dump;
  const windowSize = options.window ?? WINDOW;
  const present = new Uint8Array(Math.ceil(Math.min(windowSize, maxPfn) / 8));
  const kept = new Uint8Array(present.length);
  const reader = new PageReader(dump);
  let selector = new Selector(dump, options.level);
  const loads: Load[] = [];
  const vaddrOf = vaddrsOf(dump);
  let saved = 0;
  for (let base = 0; base < maxPfn; base += windowSize) {
    const end = Math.min(base + windowSize, maxPfn);
    if (!selector.run(base, end, present, kept)) continue;
    if ((options.level & EXCLUDE_ZERO) !== 0) await dropZeroPages(dump, reader, kept, base, end, options.onProgress);
    saved += countBits(kept, 0, end - base);
    loadsOf(dump, vaddrOf, present, kept, base, end, loads);
  }
  // Pages that could not be read here were zeros, and are holes now: not in what is read below.
  const first = reader.take();
  const { ramPages, counts, keptMore } = selector;
  const notes = encodeNotes(notesOf(dump)).bytes;
  // As many as there will be: their offsets are known when the headers' size is.
  const phnum = loads.length + imageOf(dump, loads).length + 1;
  const headers = ELF64.ehsize + phnum * ELF64.phentsize + (phnum >= PN_XNUM ? 64 : 0);
  const notesAt = headers;
  const dataAt = Math.ceil((notesAt + notes.length) / pageSize) * pageSize;
  let at = dataAt;
  for (const load of loads) {
    load.offset = at;
    at += load.stored * pageSize;
  }
  for (const load of loads) if (load.stored === 0) load.offset = at;
  output.write(0, encodeHeaders(dump, [...imageOf(dump, loads), ...loads], notesAt, notes.length, headers));
  output.write(notesAt, notes);
  await output.sync();
  const buffer = new Uint8Array(RUN * pageSize);
  let last = performance.now();
  let next = 0;
  if (maxPfn > windowSize) selector = new Selector(dump, options.level);
  for (let base = 0; base < maxPfn; base += windowSize) {
    const end = Math.min(base + windowSize, maxPfn);
    if (maxPfn > windowSize && !selector.run(base, end, present, kept)) continue;
    for (; next < loads.length && loads[next]!.pfn < end; next++) {
      const load = loads[next]!;
      for (let done = 0; done < load.stored;) {
        const count = Math.min(RUN, load.stored - done);
        readKept(reader, kept, base, load.pfn + done, count, buffer, pageSize);
        output.write(load.offset + done * pageSize, buffer.subarray(0, count * pageSize));
        done += count;
        if (performance.now() - last > 50) {
          last = performance.now();
          options.onProgress?.("saving", load.offset + done * pageSize - dataAt, at - dataAt);
          await new Promise((resolve) => setImmediate(resolve));
        }
      }
    }
  }
  await output.finish(at);
  const second = reader.take();
  return {
    size: at,
    ramPages,
    savedPages: saved,
    excluded: counts,
    zeroPages: 0,
    keptMore,
    unreadable: first.unreadable + second.unreadable,
    firstProblem: first.firstProblem ?? second.firstProblem,
  };
}

/** Fills the buffer with `count` pages from `pfn` on; those not kept are zeros. */
function readKept(
  reader: PageReader,
  kept: Uint8Array,
  base: number,
  pfn: number,
  count: number,
  buffer: Uint8Array,
  pageSize: number,
): void {
  const start = pfn - base;
  const end = start + count;
  const part = (from: number, to: number): Uint8Array => buffer.subarray((from - start) * pageSize, (to - start) * pageSize);
  for (let at = start; at < end;) {
    const next = nextBit(kept, at, end);
    part(at, next).fill(0);
    const until = nextClear(kept, next, end);
    for (at = next; at < until;) at += reader.read(base + at, until - at, part(at, until));
  }
}

/** Takes the all-zero pages of a window out of those kept. A page that cannot be read would be zeros. */
async function dropZeroPages(
  dump: DumpFile,
  reader: PageReader,
  kept: Uint8Array,
  base: number,
  end: number,
  onProgress: SaveOptions["onProgress"],
): Promise<void> {
  const { pageSize, maxPfn } = dump;
  const buffer = new Uint8Array(RUN * pageSize);
  const words = new BigUint64Array(buffer.buffer);
  const perPage = pageSize / 8;
  const bits = end - base;
  let last = performance.now();
  for (let bit = nextBit(kept, 0, bits); bit < bits; bit = nextBit(kept, bit, bits)) {
    const run = Math.min(RUN, nextClear(kept, bit, bits) - bit);
    const got = reader.read(base + bit, run, buffer.subarray(0, run * pageSize));
    for (let i = 0; i < got; i++) {
      let word = i * perPage;
      const stop = word + perPage;
      while (word < stop && words[word] === 0n) word++;
      if (word === stop) kept[(bit + i) >>> 3]! &= ~(1 << ((bit + i) & 7));
    }
    bit += got;
    if (performance.now() - last > 50) {
      last = performance.now();
      onProgress?.("looking for zero pages", (base + bit) * pageSize, maxPfn * pageSize);
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
}

/** The program headers of a window: the source's ranges, cut where many pages are left out. @throws LIMIT. */
function loadsOf(
  dump: DumpFile,
  vaddrOf: (paddr: number) => bigint,
  present: Uint8Array,
  kept: Uint8Array,
  base: number,
  end: number,
  loads: Load[],
): void {
  const bits = end - base;
  for (let from = nextBit(present, 0, bits); from < bits;) {
    const to = nextClear(present, from, bits);
    for (let at = from; at < to;) {
      const { stored, next } = endOfLoad(kept, at, to);
      // A hole has a header of its own, behind all data: makedumpfile 1.7.8 looks for an offset's segment by p_memsz, not p_filesz.
      for (const [from, to, isStored] of [
        [base + at, base + stored, true],
        [base + stored, base + next, false],
      ] as const) {
        const pages = to - from;
        if (pages > 0) loads.push({ pfn: from, vaddr: vaddrOf(from * dump.pageSize), pages, stored: isStored ? pages : 0, offset: 0 });
      }
      if (loads.length > MOST_LOADS)
        throw new DumpError("LIMIT", `memory is in more than ${MOST_LOADS} pieces: too many for ELF; save it without -E`);
      at = next;
    }
    from = nextBit(present, to, bits);
  }
}

/** Where a segment that begins at `from` ends: what it stores, and, behind a long hole, where the next begins. */
function endOfLoad(kept: Uint8Array, from: number, to: number): { stored: number; next: number } {
  let stored = from;
  for (let at = from; at < to;) {
    const first = nextBit(kept, at, to);
    if (first - at >= HOLE_PAGES || first >= to) return { stored, next: first };
    stored = nextClear(kept, first, to);
    at = stored;
  }
  return { stored, next: to };
}

/**
 * The source's segments of the kernel's image once more, at the image's own addresses and over the same bytes of the file: gdb knows
 * symbols by these, and makedumpfile takes phys_base from them where VMCOREINFO has none.
 */
function imageOf(dump: DumpFile, loads: readonly Load[]): Load[] {
  const { pageSize } = dump;
  const images = (dump.segments ?? []).filter(({ vaddr }) => vaddr >= START_KERNEL_MAP);
  return images.flatMap(({ vaddr, paddr, size }) => {
    const [from, to] = [Math.ceil(paddr / pageSize), Math.floor((paddr + size) / pageSize)];
    return loads.flatMap(({ pfn, stored, offset }): Load[] => {
      const first = Math.max(from, pfn);
      const pages = Math.min(to, pfn + stored) - first;
      if (pages <= 0) return [];
      return [
        { pfn: first, vaddr: vaddr + BigInt(first * pageSize - paddr), pages, stored: pages, offset: offset + (first - pfn) * pageSize },
      ];
    });
  });
}

/** The virtual address that the source gives for a physical one, else that of the usual direct map. */
function vaddrsOf(dump: DumpFile): (paddr: number) => bigint {
  // The kernel's image has an address of its own beside the direct map's; tools expect the latter of plain memory.
  const plain = (dump.segments ?? []).filter(({ vaddr }) => vaddr < START_KERNEL_MAP).sort((a, b) => a.paddr - b.paddr);
  const starts = Float64Array.from(plain, ({ paddr }) => paddr);
  return (paddr) => {
    const segment = plain[lastAtOrBelow(starts, paddr)];
    return BigInt.asUintN(
      64,
      segment && paddr < segment.paddr + segment.size ? segment.vaddr + BigInt(paddr - segment.paddr) : DIRECT_MAP + BigInt(paddr),
    );
  };
}

/** e_machine; x86-64 where the source does not say. */
function machineOf(arch: string | undefined): number {
  const known = Object.entries(MACHINES).find(([, name]) => name === arch)?.[0];
  return known === undefined ? EM_X86_64 : Number(known);
}

function encodeHeaders(dump: DumpFile, loads: readonly Load[], notesAt: number, notesSize: number, size: number): Uint8Array {
  const bytes = new Uint8Array(size);
  const view = new DataView(bytes.buffer);
  const { pageSize } = dump;
  const phnum = loads.length + 1;
  bytes.set(ELFMAG, 0);
  bytes.set([2, 1, 1], 4); // 64 bits, little-endian, version 1
  view.setUint16(16, ET_CORE, true);
  view.setUint16(18, machineOf(dump.arch), true);
  view.setUint32(20, 1, true);
  view.setBigUint64(ELF64.e_phoff, BigInt(ELF64.ehsize), true);
  view.setUint16(52, ELF64.ehsize, true);
  view.setUint16(ELF64.e_phentsize, ELF64.phentsize, true);
  view.setUint16(ELF64.e_phnum, Math.min(phnum, PN_XNUM), true);
  if (phnum >= PN_XNUM) {
    // More headers than the field holds: the number is in the only section header (linux:include/uapi/linux/elf.h).
    const section = ELF64.ehsize + phnum * ELF64.phentsize;
    view.setBigUint64(ELF64.e_shoff, BigInt(section), true);
    view.setUint16(58, 64, true);
    view.setUint16(60, 1, true);
    view.setUint32(section + ELF64.sh_info, phnum, true);
  }
  const header = (
    index: number,
    type: number,
    flags: number,
    values: Readonly<Record<"p_offset" | "p_vaddr" | "p_paddr" | "p_filesz" | "p_memsz", bigint>>,
  ): void => {
    const at = ELF64.ehsize + index * ELF64.phentsize;
    view.setUint32(at, type, true);
    view.setUint32(at + ELF64.p_flags, flags, true);
    for (const [name, value] of Object.entries(values)) view.setBigUint64(at + ELF64[name as keyof typeof values], value, true);
  };
  const notes = BigInt(notesSize);
  header(0, PT_NOTE, 0, { p_offset: BigInt(notesAt), p_vaddr: 0n, p_paddr: 0n, p_filesz: notes, p_memsz: notes });
  for (const [i, load] of loads.entries()) {
    header(i + 1, PT_LOAD, 7, {
      p_offset: BigInt(load.offset),
      p_vaddr: load.vaddr,
      p_paddr: BigInt(load.pfn * pageSize),
      p_filesz: BigInt(load.stored * pageSize),
      p_memsz: BigInt(load.pages * pageSize),
    });
  }
  return bytes;
}
