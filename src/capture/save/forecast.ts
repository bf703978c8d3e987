import { availableParallelism } from "node:os";
import { asPfn, isDumpError } from "../../bytes/index.ts";
import type { DumpFile } from "../../format/index.ts";
import { PAGE_DESC_SIZE } from "../../format/kdump/layout.ts";
import { encodeNotes, kdumpGeometry } from "../../format/kdump/write.ts";
import { countBits, nextBit } from "./bits.ts";
import { BATCH, PageCompressor, type SaveCodec } from "./compress.ts";
import { selectPages } from "./select.ts";

/** What saving at one level would give. */
export interface Forecast {
  readonly level: number;
  readonly pages: number;
  /** Bytes of the file. */
  readonly size: number;
  /** On this machine, with all its CPUs. */
  readonly seconds: number;
  readonly keptMore: string | undefined;
}

/** Batches that are compressed to learn how well and how fast it goes. */
const SAMPLES = 8;

/** Classes the pages as a save would, and compresses a sample of them, taken evenly from all that would be kept. */
export function forecast(
  dump: DumpFile,
  levels: readonly number[],
  codec: SaveCodec,
  threads: number = availableParallelism(),
): Forecast[] {
  const { maxPfn, pageSize } = dump;
  const compressor = new PageCompressor(codec, pageSize);
  const geometry = kdumpGeometry(maxPfn, pageSize, encodeNotes(dump.notes).bytes.length);
  return levels.map((level) => {
    const started = performance.now();
    const present = new Uint8Array(Math.ceil(maxPfn / 8));
    const kept = new Uint8Array(present.length);
    const { keptMore } = selectPages(dump, level, present, kept);
    const pages = countBits(kept, 0, maxPfn);
    const selecting = performance.now() - started;
    let bytes = 0;
    let sampled = 0;
    const compressing = performance.now();
    const samples = pages === 0 ? 0 : SAMPLES;
    for (let i = 0; i < samples; i++) {
      let count = 0;
      for (
        let pfn = nextBit(kept, Math.floor((maxPfn * (i + 0.5)) / SAMPLES), maxPfn);
        pfn < maxPfn && count < BATCH;
        pfn = nextBit(kept, pfn + 1, maxPfn)
      ) {
        try {
          dump.readPage(asPfn(pfn), compressor.source.subarray(count * pageSize, (count + 1) * pageSize));
          count++;
        } catch (error) {
          if (!isDumpError(error)) throw error;
        }
      }
      compressor.findZeros(count);
      bytes += compressor.run(count);
      sampled += count;
    }
    const perPage = sampled === 0 ? 0 : (performance.now() - compressing) / sampled;
    const size = geometry.descriptorsAt + pages * PAGE_DESC_SIZE + pageSize + (sampled === 0 ? 0 : Math.round((bytes / sampled) * pages));
    return { level, pages, size, seconds: (selecting + (perPage * pages) / threads) / 1000, keptMore };
  });
}
