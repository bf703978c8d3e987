import { asPfn, DumpError, isDumpError } from "../../bytes/index.ts";
import type { DumpFile } from "../../format/index.ts";
import { ELF64, ELFMAG, ET_CORE, PN_XNUM, PT_LOAD, PT_NOTE } from "../../format/elf/layout.ts";
import { encodeNotes } from "../../format/kdump/write.ts";
import { EXCLUDE_ZERO } from "../page-class/classify.ts";
import { nextBit, nextClear } from "./bits.ts";
import type { SaveOptions, SaveResult } from "./kdump.ts";
import type { Output } from "./output.ts";
import { selectPages } from "./select.ts";

/** Holes of fewer pages are filled with zeros, as makedumpfile -E does: a program header for each would cost more. */
const HOLE_PAGES = 256;
/** Pages read at a time. */
const RUN = 256;
const EM_X86_64 = 62;
/** Of a frame that no segment of the source covers: where x86-64 kernels without KASLR map it. */
const DIRECT_MAP = 0xffff_8880_0000_0000n;

/** One PT_LOAD: frames that follow each other, of which the first `stored` are in the file. */
interface Load {
  readonly pfn: number;
  readonly vaddr: bigint;
  readonly pages: number;
  readonly stored: number;
  /** Bytes of memory before the first frame and after the last that do not belong: ranges need not be whole pages. */
  offset: number;
}

/**
 * Writes an ELF core file: what crash, gdb and older tools take. Pages left out are holes between or at the end of PT_LOADs (p_filesz less
 * than p_memsz); within a segment short ones are zeros.
 *
 * @throws IO where the system refuses.
 */
export async function saveElf(dump: DumpFile, output: Output, options: SaveOptions): Promise<SaveResult> {
  if (dump.wordSize !== 8 || !dump.littleEndian)
    throw new DumpError("UNSUPPORTED", "only dumps of 64-bit little-endian machines can be saved yet");
  const { maxPfn, pageSize } = dump;
  const present = new Uint8Array(Math.ceil(maxPfn / 8));
  const kept = new Uint8Array(present.length);
  const selection = selectPages(dump, options.level, present, kept);
  const problems = { unreadable: 0, first: undefined as string | undefined };
  if ((options.level & EXCLUDE_ZERO) !== 0) dropZeroPages(dump, kept, problems);
  const loads = loadsOf(dump, present, kept);
  const notes = encodeNotes(dump.notes).bytes;
  const phnum = loads.length + 1;
  const headers = ELF64.ehsize + phnum * ELF64.phentsize + (phnum >= PN_XNUM ? 64 : 0);
  const notesAt = headers;
  let at = Math.ceil((notesAt + notes.length) / pageSize) * pageSize;
  let saved = 0;
  for (const load of loads) {
    load.offset = at;
    at += load.stored * pageSize;
  }
  output.write(0, encodeHeaders(dump, loads, notesAt, notes.length, headers));
  output.write(notesAt, notes);
  const buffer = new Uint8Array(RUN * pageSize);
  let last = performance.now();
  for (const load of loads) {
    for (let done = 0; done < load.stored;) {
      const count = Math.min(RUN, load.stored - done);
      saved += readKept(dump, kept, load.pfn + done, count, buffer, problems);
      output.write(load.offset + done * pageSize, buffer.subarray(0, count * pageSize));
      done += count;
      if (performance.now() - last > 50) {
        last = performance.now();
        options.onProgress?.("saving", load.offset + done * pageSize, at);
        await new Promise((resolve) => setImmediate(resolve));
      }
    }
  }
  output.finish(at);
  return {
    size: at,
    ramPages: selection.ramPages,
    savedPages: saved,
    excluded: selection.counts,
    zeroPages: 0,
    keptMore: selection.keptMore,
    unreadable: problems.unreadable,
    firstProblem: problems.first,
  };
}

interface Problems {
  unreadable: number;
  first: string | undefined;
}

/** Fills the buffer with `count` pages from `pfn` on; those not kept are zeros. Returns how many were kept. */
function readKept(dump: DumpFile, kept: Uint8Array, pfn: number, count: number, buffer: Uint8Array, problems: Problems): number {
  const { pageSize } = dump;
  let saved = 0;
  for (let at = pfn; at < pfn + count;) {
    const next = nextBit(kept, at, pfn + count);
    if (next > at) buffer.fill(0, (at - pfn) * pageSize, (next - pfn) * pageSize);
    at = next;
    if (at >= pfn + count) break;
    const run = nextClear(kept, at, pfn + count) - at;
    const got = readRun(dump, at, run, buffer.subarray((at - pfn) * pageSize, (at - pfn + run) * pageSize), problems);
    saved += got;
    at += got;
  }
  return saved;
}

/** Reads up to `count` pages, at least one; one that cannot be read comes as zeros and is counted. */
function readRun(dump: DumpFile, pfn: number, count: number, into: Uint8Array, problems: Problems): number {
  try {
    const got = dump.readRun?.(asPfn(pfn), count, into) ?? 0;
    if (got > 0) return got;
    dump.readPage(asPfn(pfn), into.subarray(0, dump.pageSize));
  } catch (error) {
    if (!isDumpError(error)) throw error;
    problems.unreadable++;
    problems.first ??= `page frame 0x${pfn.toString(16)}: ${error.message}`;
    into.fill(0, 0, dump.pageSize);
  }
  return 1;
}

function dropZeroPages(dump: DumpFile, kept: Uint8Array, problems: Problems): void {
  const { pageSize, maxPfn } = dump;
  const buffer = new Uint8Array(RUN * pageSize);
  const words = new Float64Array(buffer.buffer);
  const perPage = pageSize / 8;
  for (let pfn = nextBit(kept, 0, maxPfn); pfn < maxPfn; pfn = nextBit(kept, pfn, maxPfn)) {
    const run = Math.min(RUN, nextClear(kept, pfn, maxPfn) - pfn);
    const got = readRun(dump, pfn, run, buffer.subarray(0, run * pageSize), problems);
    for (let i = 0; i < got; i++) {
      let word = i * perPage;
      const end = word + perPage;
      // -0 and NaN are not 0 in this comparison's sense only where bytes are set; Object.is would be slower.
      while (word < end && words[word] === 0 && !Object.is(words[word], -0)) word++;
      if (word === end) kept[(pfn + i) >>> 3]! &= ~(1 << ((pfn + i) & 7));
    }
    pfn += got;
  }
}

/** The program headers: the source's ranges, cut where many pages are left out. */
function loadsOf(dump: DumpFile, present: Uint8Array, kept: Uint8Array): Load[] {
  const { maxPfn, pageSize } = dump;
  const loads: Load[] = [];
  for (let from = nextBit(present, 0, maxPfn); from < maxPfn;) {
    const to = nextClear(present, from, maxPfn);
    for (let at = from; at < to;) {
      const end = endOfLoad(kept, at, to);
      loads.push({ pfn: at, vaddr: vaddrOf(dump, at * pageSize), pages: end.next - at, stored: end.stored - at, offset: 0 });
      at = end.next;
    }
    from = nextBit(present, to, maxPfn);
  }
  return loads;
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

/** The virtual address that the source gives for a physical one, else that of the usual direct map. */
function vaddrOf(dump: DumpFile, paddr: number): bigint {
  // The kernel's image has an address of its own beside the direct map's; tools expect the latter of plain memory.
  const segments = dump.segments?.filter((segment) => paddr >= segment.paddr && paddr < segment.paddr + segment.size) ?? [];
  const segment = segments.find(({ vaddr }) => vaddr < 0xffff_ffff_8000_0000n) ?? segments[0];
  return segment ? BigInt.asUintN(64, segment.vaddr + BigInt(paddr - segment.paddr)) : DIRECT_MAP + BigInt(paddr);
}

function encodeHeaders(dump: DumpFile, loads: readonly Load[], notesAt: number, notesSize: number, size: number): Uint8Array {
  const bytes = new Uint8Array(size);
  const view = new DataView(bytes.buffer);
  const { pageSize } = dump;
  const phnum = loads.length + 1;
  bytes.set(ELFMAG, 0);
  bytes.set([2, 1, 1], 4); // 64 bits, little-endian, version 1
  view.setUint16(16, ET_CORE, true);
  view.setUint16(18, EM_X86_64, true);
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
