import { DumpError } from "../../bytes/index.ts";
import type { DumpFile } from "../../format/index.ts";
import { LKCD_PAGE_SIZE, LkcdWriter } from "../../format/lkcd/write.ts";
import { EXCLUDE_BY_CLASS, EXCLUDE_USER } from "../page-class/classify.ts";
import { headerOf } from "../softboot/header.ts";
import { nextBit, nextClear } from "./bits.ts";
import { PageReader } from "./chunk.ts";
import type { SaveOptions, SaveResult } from "./kdump.ts";
import type { Output } from "./output.ts";
import { Selector, WINDOW } from "./select.ts";

/** Pages read at a time. */
const RUN = 256;
/** Records are gathered to writes of this: one is a few hundred bytes. */
const GATHERED = 1024 * 1024;
/** dh_dump_level of what is kept: the kernel's pages; also programs' and files'; also unused ones. */
const LEVELS = { kernel: 3, used: 7, all: 15 } as const;

/**
 * Writes an LKCD dump, for tools that take nothing else (and `softboot`'s kind of file without a soft boot). Pages follow each other in one
 * stream, gzip-compressed as LKCD does it, by this thread alone: the format has no place for what others would bring.
 *
 * @throws UNSUPPORTED for what is no x86-64 dump with pages of 4 KiB, IO where the system refuses.
 */
export async function saveLkcd(dump: DumpFile, output: Output, options: SaveOptions): Promise<SaveResult> {
  if (dump.wordSize !== 8 || !dump.littleEndian || dump.pageSize !== LKCD_PAGE_SIZE || (dump.arch ?? "x86_64") !== "x86_64") {
    throw new DumpError("UNSUPPORTED", "an LKCD dump is written of x86-64 machines with pages of 4096 bytes only");
  }
  const { maxPfn, pageSize } = dump;
  const windowSize = options.window ?? WINDOW;
  const present = new Uint8Array(Math.ceil(Math.min(windowSize, maxPfn) / 8));
  const kept = new Uint8Array(present.length);
  const selector = new Selector(dump, options.level);
  const reader = new PageReader(dump);
  const sink = new GatheringSink(output);
  const compress = options.codec === "none" ? "none" : "gzip";
  const writer = new LkcdWriter(sink, { ...headerOf(dump), level: levelOf(options.level), compress });
  const buffer = new Uint8Array(RUN * pageSize);
  let last = performance.now();
  for (let base = 0; base < maxPfn; base += windowSize) {
    const end = Math.min(base + windowSize, maxPfn);
    if (!selector.run(base, end, present, kept)) continue;
    const count = end - base;
    for (let bit = nextBit(kept, 0, count); bit < count; bit = nextBit(kept, bit, count)) {
      const run = Math.min(RUN, nextClear(kept, bit, count) - bit);
      const got = reader.read(base + bit, run, buffer.subarray(0, run * pageSize));
      for (let i = 0; i < got; i++) writer.writePage((base + bit + i) * pageSize, buffer.subarray(i * pageSize, (i + 1) * pageSize));
      bit += got;
      if (performance.now() - last > 50) {
        last = performance.now();
        options.onProgress?.("saving", (base + bit) * pageSize, maxPfn * pageSize);
        await new Promise((resolve) => setImmediate(resolve));
      }
    }
  }
  const { unreadable, firstProblem } = reader.take();
  writer.finish(unreadable > 0);
  await output.finish(sink.flush());
  return {
    size: sink.size,
    ramPages: selector.ramPages,
    savedPages: writer.pages,
    excluded: selector.counts,
    zeroPages: 0,
    keptMore: selector.keptMore,
    unreadable,
    firstProblem,
  };
}

/** Nearest level of LKCD's that promises no page which is not there. */
function levelOf(level: number): number {
  if ((level & EXCLUDE_BY_CLASS) === 0) return LEVELS.all;
  return (level & EXCLUDE_USER) === 0 ? LEVELS.used : LEVELS.kernel;
}

/** Appends in large pieces. */
class GatheringSink {
  readonly #output: Output;
  readonly #gathered: Uint8Array = new Uint8Array(GATHERED);
  #used = 0;
  #written = 0;

  constructor(output: Output) {
    this.#output = output;
  }

  get size(): number {
    return this.#written + this.#used;
  }

  write(bytes: Uint8Array): void {
    if (this.#used + bytes.length > GATHERED) this.flush();
    if (bytes.length > GATHERED) {
      this.#output.write(this.#written, bytes);
      this.#written += bytes.length;
      return;
    }
    this.#gathered.set(bytes, this.#used);
    this.#used += bytes.length;
  }

  rewrite(offset: number, bytes: Uint8Array): void {
    this.flush();
    this.#output.write(offset, bytes);
  }

  /** Returns the bytes written in all. */
  flush(): number {
    this.#output.write(this.#written, this.#gathered.subarray(0, this.#used));
    this.#written += this.#used;
    this.#used = 0;
    return this.#written;
  }
}
