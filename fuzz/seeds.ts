/** What the fuzzer mutates: tiny dumps of every format, and a real crash in several containers. */
import { readFileSync } from "node:fs";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { asPfn, MemorySource } from "../src/bytes/index.ts";
import { openSources } from "../src/format/index.ts";
import { writeLkcd } from "../test/writers/lkcd.ts";
import { writeSadump } from "../test/writers/sadump.ts";

/** One dump as the files that it consists of. */
export interface Seed {
  readonly name: string;
  readonly files: readonly Uint8Array[];
  /** Bytes at the start of each file where headers are: mutated more often. */
  readonly headerBytes: number;
  /** Opened through files on disk, because containers are unpacked there. */
  readonly onDisk: boolean;
}

const SAMPLE = "samples/evidence-6.1-oops.vmcore";

/** All seeds; `heavy` ones hold a whole kernel. */
export function makeSeeds(): Seed[] {
  const sample = new Uint8Array(readFileSync(SAMPLE));
  const pages = [1, 2, 5, 9, 64, 65].map((pfn, i) => ({ pfn, pattern: (["text", "fill", "noise", "zero"] as const)[i % 4]! }));
  const seeds: Seed[] = [
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
  const notes = Buffer.concat(
    dump.notes.flatMap((note) => {
      const name = Buffer.from(`${note.name}\0`, "latin1");
      const head = Buffer.alloc(12);
      head.writeUInt32LE(name.length, 0);
      head.writeUInt32LE(note.desc.length, 4);
      head.writeUInt32LE(note.type, 8);
      return [head, name, Buffer.alloc(-name.length & 3), Buffer.from(note.desc), Buffer.alloc(-note.desc.length & 3)];
    }),
  );
  const headers = 64 + 56 * (runs.length + 1);
  const head = Buffer.alloc(headers);
  head.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  head.writeUInt16LE(4, 16);
  head.writeUInt16LE(62, 18);
  head.writeUInt32LE(1, 20);
  head.writeBigUInt64LE(64n, 32);
  head.writeUInt16LE(64, 52);
  head.writeUInt16LE(56, 54);
  head.writeUInt16LE(runs.length + 1, 56);
  const phdr = (index: number, type: number, offset: number, paddr: number, size: number): void => {
    const at = 64 + 56 * index;
    head.writeUInt32LE(type, at);
    head.writeBigUInt64LE(BigInt(offset), at + 8);
    head.writeBigUInt64LE(BigInt(paddr), at + 24);
    head.writeBigUInt64LE(BigInt(size), at + 32);
    head.writeBigUInt64LE(BigInt(size), at + 40);
  };
  phdr(0, 4, headers, 0, notes.length);
  let at = headers + notes.length;
  const data: Buffer[] = [];
  runs.forEach((run, i) => {
    const bytes = Buffer.alloc(run.count * 4096);
    for (let page = 0; page < run.count; page++) dump.readPage(asPfn(run.start + page), bytes.subarray(page * 4096, (page + 1) * 4096));
    phdr(i + 1, 1, at, run.start * 4096, bytes.length);
    data.push(bytes);
    at += bytes.length;
  });
  return Buffer.concat([head, notes, ...data]);
}

/** A flattened stream of the file in pieces of odd sizes, the first piece written twice, as makedumpfile does. */
function flattenedOf(file: Uint8Array): Uint8Array {
  const head = Buffer.alloc(4096);
  head.write("makedumpfile\0\0\0\0", 0, "latin1");
  head.writeBigInt64BE(1n, 16);
  head.writeBigInt64BE(1n, 24);
  const parts: Buffer[] = [head];
  const segment = (start: number, end: number): void => {
    const header = Buffer.alloc(16);
    header.writeBigInt64BE(BigInt(start), 0);
    header.writeBigInt64BE(BigInt(end - start), 8);
    parts.push(header, Buffer.from(file.subarray(start, end)));
  };
  segment(0, 464);
  for (let at = 0; at < file.length; at += 31_337) segment(at, Math.min(file.length, at + 31_337));
  segment(0, 464);
  parts.push(Buffer.alloc(16, 0xff));
  return Buffer.concat(parts);
}
