import type { DumpFile } from "../../format/index.ts";
import { DUMP_LEVEL_ALL_RAM, DUMP_LEVEL_KERN, DUMP_LEVEL_USED } from "../../format/lkcd/write.ts";
import { EXCLUDE_CACHE, EXCLUDE_CACHE_PRIVATE, EXCLUDE_FREE, EXCLUDE_USER } from "../page-class/classify.ts";
import { Selector } from "../save/select.ts";
import { PAGE_SIZE } from "./layout.ts";
import type { MemoryRange } from "./page-list.ts";
import type { PageOrder } from "./stage1.ts";

/** The old kernel's pages by how much they matter. */
export interface CriticalOrder extends PageOrder {
  /** Frames that the dump has, as ranges. */
  readonly ranges: readonly MemoryRange[];
  /** Pages that must not be touched: poisoned, or given back to a hypervisor. */
  readonly untouchable: number;
  /** Why all pages count as the kernel's; undefined where they do not. */
  readonly unknown: string | undefined;
}

/**
 * Sorts the pages of a dump into passes as the seed orders them, the least critical first: unused, user, cache, kernel. A kernel whose
 * page array cannot be read is one pass.
 */
export function criticalOrder(dump: DumpFile): CriticalOrder {
  const bytes = Math.ceil(dump.maxPfn / 8);
  const present = new Uint8Array(bytes);
  let unknown: string | undefined;
  const kernel = new Uint8Array(bytes);
  new Selector(dump, 0).run(0, dump.maxPfn, present, kernel);
  /** Of the pages that the dump has, those that this level leaves out. */
  const left = (level: number): Uint8Array => {
    const kept = new Uint8Array(bytes);
    const selector = new Selector(dump, level);
    selector.run(0, dump.maxPfn, present, kept);
    unknown ??= selector.keptMore;
    for (let i = 0; i < bytes; i++) kept[i] = kernel[i]! & ~kept[i]!;
    return kept;
  };
  const unused = left(EXCLUDE_FREE);
  const cache = left(EXCLUDE_CACHE | EXCLUDE_CACHE_PRIVATE);
  const user = left(EXCLUDE_USER);
  let untouchable = 0;
  for (let i = 0; i < bytes; i++) {
    // Poisoned and offline pages are left out at every level, so they are in all three.
    const bad = unused[i]! & cache[i]! & user[i]!;
    for (let bits = bad; bits !== 0; bits &= bits - 1) untouchable++;
    kernel[i]! &= ~(unused[i]! | cache[i]! | user[i]!);
    unused[i]! &= ~bad;
    cache[i]! &= ~bad;
    user[i]! &= ~bad;
  }
  const all = new Uint8Array(bytes);
  for (let i = 0; i < bytes; i++) all[i] = unused[i]! | cache[i]! | user[i]! | kernel[i]!;
  const pass = (name: string, level: number, bits: Uint8Array): PageOrder["passes"][number] => ({
    name,
    level,
    pfns: { [Symbol.iterator]: () => frames(bits) },
  });
  return {
    passes: [
      pass("unused", DUMP_LEVEL_ALL_RAM, unused),
      pass("user", DUMP_LEVEL_USED, user),
      pass("cache", DUMP_LEVEL_USED, cache),
      pass("kernel", DUMP_LEVEL_KERN, kernel),
    ],
    ranges: rangesOf(all),
    untouchable,
    unknown,
  };
}

function* frames(bits: Uint8Array): Generator<number> {
  for (let i = 0; i < bits.length; i++) for (let byte = bits[i]!, pfn = i * 8; byte !== 0; byte >>>= 1, pfn++) if (byte & 1) yield pfn;
}

function rangesOf(bits: Uint8Array): MemoryRange[] {
  const ranges: { start: number; end: number }[] = [];
  for (const pfn of frames(bits)) {
    const last = ranges.at(-1);
    if (last?.end === pfn * PAGE_SIZE) last.end += PAGE_SIZE;
    else ranges.push({ start: pfn * PAGE_SIZE, end: (pfn + 1) * PAGE_SIZE });
  }
  return ranges;
}
