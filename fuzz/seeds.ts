/** What the fuzzer mutates: tiny dumps of every format, and a real crash in several containers. */
import { readFileSync } from "node:fs";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { asPfn, MemorySource } from "../src/bytes/index.ts";
import { openSources } from "../src/format/index.ts";
import { writeElf } from "../test/writers/elf.ts";
import { writeFlattened } from "../test/writers/flattened.ts";
import { writeLkcd } from "../test/writers/lkcd.ts";
import { writeSadump } from "../test/writers/sadump.ts";

/** Something as the files that it consists of. */
export interface Seed {
  readonly name: string;
  readonly files: readonly Uint8Array[];
  /** Bytes at the start of each file where headers are: mutated more often. */
  readonly headerBytes: number;
  /** Where else so many bytes are headers. */
  readonly headers?: readonly number[];
}

/** One dump. */
export interface DumpSeed extends Seed {
  /** Opened through files on disk, because containers are unpacked there. */
  readonly onDisk: boolean;
}

const SAMPLE = "samples/evidence-6.1-oops.vmcore";

/** All seeds; `heavy` ones hold a whole kernel. */
export function makeSeeds(): DumpSeed[] {
  const sample = new Uint8Array(readFileSync(SAMPLE));
  const pages = [1, 2, 5, 9, 64, 65].map((pfn, i) => ({ pfn, pattern: (["text", "fill", "noise", "zero"] as const)[i % 4]! }));
  const seeds: DumpSeed[] = [
    { name: "kdump", files: [sample], headerBytes: 0x5000, onDisk: false },
    { name: "elf", files: [elfOf(sample)], headerBytes: 0x4000, onDisk: false },
    { name: "flattened", files: [flattenedOf(sample)], headerBytes: 0x6000, onDisk: true },
    { name: "gzip", files: [gzipSync(sample.subarray(0, 400_000))], headerBytes: 64, onDisk: true },
    { name: "zstd", files: [zstdCompressSync(sample.subarray(0, 400_000))], headerBytes: 64, onDisk: true },
  ];
  for (const version of [1, 2, 5, 8, 9]) {
    for (const compress of ["none", "rle", "gzip"] as const) {
      for (const littleEndian of [true, false]) {
        seeds.push({
          name: `lkcd v${version} ${compress}`,
          files: [writeLkcd({ version, compress, littleEndian, pages })],
          headerBytes: 1024,
          onDisk: false,
        });
      }
    }
  }
  for (const kind of ["single", "diskset", "media"] as const) {
    seeds.push({ name: `sadump ${kind}`, files: writeSadump({ kind, maxMapnr: 80, pages }), headerBytes: 0x4000, onDisk: false });
  }
  return seeds;
}

/** The sample's pages as an ELF core: one PT_LOAD for each run of neighbours, and the notes. */
function elfOf(sample: Uint8Array): Uint8Array {
  const dump = openSources([new MemorySource(sample, "sample")]);
  const runs: { start: number; count: number }[] = [];
  for (let pfn = dump.nextStored(asPfn(0)); pfn !== undefined; pfn = dump.nextStored(asPfn(pfn + 1))) {
    const last = runs.at(-1);
    if (last && last.start + last.count === pfn) last.count++;
    else runs.push({ start: pfn, count: 1 });
  }
  const loads = runs.map((run) => {
    const bytes = new Uint8Array(run.count * 4096);
    for (let page = 0; page < run.count; page++) dump.readPage(asPfn(run.start + page), bytes.subarray(page * 4096, (page + 1) * 4096));
    return { paddr: run.start * 4096, bytes };
  });
  return writeElf({ loads, notes: dump.notes });
}

/** A flattened stream of the file in pieces of odd sizes, the first piece written twice, as makedumpfile does. */
function flattenedOf(file: Uint8Array): Uint8Array {
  const head = { offset: 0, bytes: file.subarray(0, 464) };
  const pieces = Array.from({ length: Math.ceil(file.length / 31_337) }, (_, i) => ({
    offset: i * 31_337,
    bytes: file.subarray(i * 31_337, (i + 1) * 31_337),
  }));
  return writeFlattened([head, ...pieces, head]);
}
