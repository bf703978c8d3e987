import { availableParallelism } from "node:os";
import { asPfn, isDumpError } from "../../bytes/index.ts";
import type { DumpFile } from "../../format/index.ts";
import { PAGE_DESC_SIZE } from "../../format/kdump/layout.ts";
import { encodeNotes, kdumpGeometry } from "../../format/kdump/write.ts";
import { countBits, nextBit } from "./bits.ts";
import { PageCompressor, type SaveCodec } from "./compress.ts";
import { notesOf } from "./kdump.ts";
import { Selector, WINDOW } from "./select.ts";

/** What saving at one level would give. */
export interface Forecast {
  readonly level: number;
  readonly pages: number;
  /** Bytes of the file. */
  readonly size: number;
  /** On this machine, with all its CPUs. */
  readonly seconds: number;
  /** Why more would be kept than the level asks for. */
  readonly keptMore: string | null;
}

/** Places of memory where pages are compressed to learn how well and how fast it goes, and pages at each. */
const SAMPLES = 96;
const SAMPLE_PAGES = 16;

/** Classes the pages as a save would, and compresses a sample of them, taken evenly from all that would be kept. */
export function forecast(
  dump: DumpFile,
  levels: readonly number[],
  codec: SaveCodec,
  threads: number = availableParallelism(),
): Forecast[] {
  const { maxPfn, pageSize } = dump;
  const compressor = new PageCompressor(codec, pageSize);
  const geometry = kdumpGeometry(maxPfn, pageSize, encodeNotes(notesOf(dump)).bytes.length);
  const bitmap = new Uint8Array(Math.ceil(Math.min(WINDOW, maxPfn) / 8));
  const kept = new Uint8Array(bitmap.length);
  const windows = Math.ceil(maxPfn / WINDOW);
  const samples = Math.max(1, Math.ceil(SAMPLES / Math.max(1, windows)));
  return levels.map((level) => {
    const selector = new Selector(dump, level);
    let pages = 0;
    let bytes = 0;
    let sampled = 0;
    let selecting = 0;
    let compressing = 0;
    for (let base = 0; base < maxPfn; base += WINDOW) {
      const end = Math.min(base + WINDOW, maxPfn);
      let since = performance.now();
      const any = selector.run(base, end, bitmap, kept);
      const here = any ? countBits(kept, 0, end - base) : 0;
      selecting += performance.now() - since;
      pages += here;
      since = performance.now();
      for (const bit of places(kept, end - base, here, samples)) {
        const count = sample(dump, compressor, kept, base, bit, end - base);
        compressor.findZeros(count);
        bytes += compressor.run(count);
        sampled += count;
      }
      compressing += performance.now() - since;
    }
    const perPage = sampled === 0 ? 0 : compressing / sampled;
    const size = geometry.descriptorsAt + pages * PAGE_DESC_SIZE + pageSize + (sampled === 0 ? 0 : Math.round((bytes / sampled) * pages));
    return { level, pages, size, seconds: (selecting + (perPage * pages) / threads) / 1000, keptMore: selector.keptMore ?? null };
  });
}

/** Bits spread evenly over those that are set: memory is not as evenly used as it is numbered. */
function* places(kept: Uint8Array, bits: number, set: number, count: number): Iterable<number> {
  let seen = 0;
  let next = 0;
  for (let at = 0; at < bits; at += 8) {
    seen += countBits(kept, at, Math.min(at + 8, bits));
    if (seen <= next) continue;
    yield at;
    next += Math.max(SAMPLE_PAGES, set / count);
  }
}

/** Reads kept pages from a bit on. Returns how many. */
function sample(dump: DumpFile, { source }: PageCompressor, kept: Uint8Array, base: number, from: number, bits: number): number {
  const { pageSize } = dump;
  let count = 0;
  for (let bit = nextBit(kept, from, bits); bit < bits && count < SAMPLE_PAGES; bit = nextBit(kept, bit + 1, bits)) {
    try {
      dump.readPage(asPfn(base + bit), source.subarray(count * pageSize, (count + 1) * pageSize));
      count++;
    } catch (error) {
      if (!isDumpError(error)) throw error;
    }
  }
  return count;
}
