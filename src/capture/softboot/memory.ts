import { closeSync, openSync, readFileSync, readSync, statSync, writeSync } from "node:fs";
import { type ByteSource, DumpError, hex } from "../../bytes/index.ts";
import { reason } from "../../format/index.ts";
import { MAX_MEMORY, PAGE_SIZE } from "./layout.ts";
import { MappedMemory } from "./mapped.ts";
import type { MemoryRange, PhysicalStore } from "./page-list.ts";

/**
 * `/dev/mem`, or a file that plays it: physical addresses are offsets. read() and write() of the device end at the kernel's own last RAM
 * (valid_phys_addr_range, linux:arch/x86/mm/mmap.c), behind it memory is mapped; with STRICT_DEVMEM its System RAM is not given.
 */
export class MemoryFile implements PhysicalStore {
  readonly name: string;
  /** The same as a source; closing it closes nothing. */
  readonly source: ByteSource;
  readonly #fd: number;
  readonly #mapped: MappedMemory | undefined;
  /** From here on read() and write() have been refused. */
  #end = Number.POSITIVE_INFINITY;

  /** @throws IO where it cannot be opened. */
  constructor(path: string, mode: "r" | "r+") {
    this.name = path;
    let size: number;
    try {
      const stat = statSync(path);
      size = stat.isFile() ? stat.size : MAX_MEMORY;
      this.#fd = openSync(path, mode);
      this.#mapped = stat.isFile() ? undefined : MappedMemory.open(this.#fd, mode === "r+");
    } catch (error) {
      throw new DumpError("IO", `cannot open ${path}: ${reason(error)}`);
    }
    this.source = { name: path, size, read: (offset, into) => this.#read(offset, into), close: () => {} };
  }

  #read(offset: number, into: Uint8Array): number {
    let done = 0;
    try {
      while (done < into.length && offset + done < this.#end) {
        const got = readSync(this.#fd, into, done, into.length - done, offset + done);
        if (got === 0) return done;
        done += got;
      }
    } catch (error) {
      this.#refused(error, offset + done, "read");
    }
    if (done < into.length && this.#mapped?.read(offset + done, into.subarray(done)) !== true) throw this.#denied(offset + done, "read");
    return into.length;
  }

  read(paddr: number, into: Uint8Array): void {
    const got = this.#read(paddr, into);
    if (got < into.length) throw new DumpError("IO", `cannot read memory at ${hex(paddr + got)}: it ends there`, { at: paddr });
  }

  write(paddr: number, bytes: Uint8Array): void {
    let done = 0;
    try {
      while (done < bytes.length && paddr + done < this.#end) {
        const count = writeSync(this.#fd, bytes, done, bytes.length - done, paddr + done);
        if (count === 0) throw new DumpError("IO", `cannot write memory at ${hex(paddr + done)}`, { at: paddr });
        done += count;
      }
    } catch (error) {
      this.#refused(error, paddr + done, "write");
    }
    if (done < bytes.length && this.#mapped?.write(paddr + done, bytes.subarray(done)) !== true) throw this.#denied(paddr + done, "write");
  }

  /** Takes EFAULT for the end of what read() and write() give where there is another way; @throws IO for all else. */
  #refused(error: unknown, at: number, what: "read" | "write"): void {
    if (error instanceof DumpError) throw error;
    if ((error as NodeJS.ErrnoException).code !== "EFAULT" || !this.#mapped)
      throw new DumpError("IO", `cannot ${what} memory at ${hex(at)}: ${reason(error)}`, { at });
    this.#end = Math.min(this.#end, at);
  }

  #denied(at: number, what: "read" | "write"): DumpError {
    return new DumpError("IO", `cannot ${what} memory at ${hex(at)}: the kernel does not let it be mapped`, { at });
  }

  /** Whether the page at an address can be had at all. */
  reaches(paddr: number): boolean {
    try {
      this.read(paddr, new Uint8Array(8));
      return true;
    } catch (error) {
      if (error instanceof DumpError) return false;
      throw error;
    }
  }

  close(): void {
    this.#mapped?.close();
    closeSync(this.#fd);
  }
}

/** Which memory is whose, by /proc/iomem. */
export interface MemoryMap {
  /** The running kernel's own. */
  readonly ram: readonly MemoryRange[];
  /** RAM that it was told not to touch. */
  readonly reserved: readonly MemoryRange[];
}

/** Parses /proc/iomem. Undefined where it tells nothing: for all but root its addresses are 0. */
export function parseIomem(text: string): MemoryMap | undefined {
  const ram: MemoryRange[] = [];
  const reserved: MemoryRange[] = [];
  // Lines that are indented are parts of the one above.
  for (const [, from = "", to = "", what = ""] of text.matchAll(/^([0-9a-f]+)-([0-9a-f]+) : (.+)$/gm)) {
    const range = { start: Number.parseInt(from, 16), end: Number.parseInt(to, 16) + 1 };
    if (range.end - range.start < PAGE_SIZE || !Number.isSafeInteger(range.end)) continue;
    if (what === "System RAM") ram.push(range);
    else if (/^reserved$/i.test(what)) reserved.push(range);
  }
  return ram.length > 0 ? { ram, reserved } : undefined;
}

/** This machine's {@link MemoryMap}. @throws IO. */
export function readMemoryMap(path: string = "/proc/iomem"): MemoryMap {
  let text: string;
  try {
    text = readFileSync(path, "latin1");
  } catch (error) {
    throw new DumpError("IO", `cannot read ${path}: ${reason(error)}`);
  }
  const map = parseIomem(text);
  if (!map) throw new DumpError("IO", `${path} does not tell whose memory is where; only root is told`);
  return map;
}

/** `ranges` without `holes`, in whole pages. */
export function subtract(ranges: readonly MemoryRange[], holes: readonly MemoryRange[]): MemoryRange[] {
  let left: MemoryRange[] = ranges.map(({ start, end }) => ({
    start: Math.ceil(start / PAGE_SIZE) * PAGE_SIZE,
    end: Math.floor(end / PAGE_SIZE) * PAGE_SIZE,
  }));
  for (const hole of holes) {
    const from = Math.floor(hole.start / PAGE_SIZE) * PAGE_SIZE;
    const to = Math.ceil(hole.end / PAGE_SIZE) * PAGE_SIZE;
    left = left.flatMap(({ start, end }) => [
      { start, end: Math.min(end, from) },
      { start: Math.max(start, to), end },
    ]);
  }
  return left.filter(({ start, end }) => end > start);
}

/** The first MiB belongs to firmware and start-up code of every kernel: the capture kernel's too, though it was the old kernel's RAM. */
const LOW_MEMORY = 0x10_0000;

/**
 * A page above it is left free, too: the firmware's area below it and memory kept with `memmap=SIZE$ADDRESS` would be one reserved range,
 * which is "busy" as it begins in the first MiB (linux:arch/x86/kernel/e820.c:do_mark_busy), and with IO_STRICT_DEVMEM `/dev/mem` refuses it.
 */
const FIRST_REUSABLE = LOW_MEMORY + PAGE_SIZE;

/**
 * Memory of the old kernel that the capture kernel may write: what the dump has, but not what the capture kernel runs in, nor what
 * `/dev/mem` does not reach.
 * @param reaches whether the page at an address behind the capture kernel's last can be had; asked for the highest.
 */
export function reusableMemory(old: readonly MemoryRange[], own: MemoryMap, reaches: (paddr: number) => boolean): MemoryRange[] {
  const last = Math.max(...own.ram.map(({ end }) => end));
  const highest = Math.max(...old.map(({ end }) => end));
  const reach = highest > last && reaches(highest - PAGE_SIZE) ? highest : last;
  return subtract(old, [...own.ram, { start: 0, end: FIRST_REUSABLE }, { start: reach, end: Number.MAX_SAFE_INTEGER }]);
}

/** Ranges of the old kernel's RAM that are worth a parameter, and how many of them at most: a command line has 2048 bytes. */
const SMALLEST_RAM = 0x100_0000;
const MOST_RAM = 12;

/**
 * `memmap=SIZE@ADDRESS` for the old kernel's RAM. A kernel that the capture kernel starts by kexec is told of the capture kernel's memory
 * only (seen on 6.1); these give it the rest back. Where they overlap a `memmap=SIZE$ADDRESS` that one wins (linux:arch/x86/kernel/e820.c:
 * e820__update_table), in any order.
 */
export function ramParameters(old: readonly MemoryRange[]): string[] {
  const merged: { start: number; end: number }[] = [];
  for (const { start, end } of [...old].sort((a, b) => a.start - b.start)) {
    const last = merged.at(-1);
    // A page that the dump does not have, in the middle of RAM, is poisoned or not there.
    if (last && start <= last.end) last.end = Math.max(last.end, end);
    else merged.push({ start, end });
  }
  return merged
    .map(({ start, end }) => ({ start: Math.max(start, LOW_MEMORY), end }))
    .filter(({ start, end }) => end - start >= SMALLEST_RAM)
    .sort((a, b) => b.end - b.start - (a.end - a.start))
    .slice(0, MOST_RAM)
    .sort((a, b) => a.start - b.start)
    .map(({ start, end }) => `memmap=${hex(end - start)}@${hex(start)}`);
}
