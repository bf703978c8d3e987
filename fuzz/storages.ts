/**
 * What the fuzzer mutates of pstore: storages of every backend, real ones and small written ones, and compressed payloads. Readers
 * of storages must give an answer to any bytes; a DumpError may come out of codecs only, and where a file is opened as a dump.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { deflateRawSync, deflateSync, zstdDecompressSync } from "node:zlib";
import { type ByteSource, isDumpError, MemorySource } from "../src/bytes/index.ts";
import { codecByName, type CodecName, inflatePart } from "../src/codec/index.ts";
import { readStorages } from "../src/evidence/index.ts";
import {
  completeLayout,
  decompressPayload,
  findChangli,
  findRamoopsRegions,
  findZoneHeads,
  findZoneHeadsInImage,
  formatFtrace,
  inferLayouts,
  inferPszLayouts,
  joinParts,
  type PstoreRecord,
  readCbmemConsole,
  readChangli,
  readCorebootConsole,
  readEfiVariables,
  readErstRecords,
  readGoogleConsole,
  readMtdoops,
  readPsz,
  readRamoops,
  recordFileBytes,
  recordFileName,
  recordOfFile,
} from "../src/pstore/index.ts";
import { type RamoopsSizes, ramoopsZones } from "../src/pstore/ramoops/layout.ts";
import { RamoopsZoneWriter } from "../src/pstore/ramoops/write.ts";
import { efiVariable } from "../test/writers/efi.ts";
import { cperRecord, DMESG_Z, erstStore, MCE } from "../test/writers/erst.ts";
import { writeLz4 } from "../test/writers/lz4.ts";
import { address64, cbmemConsole, changliRegion, corebootTable, googleMemory } from "../test/writers/memconsole.ts";
import { mtdoopsDevice } from "../test/writers/mtdoops.ts";
import { writeSw842 } from "../test/writers/sw842.ts";
import type { Seed } from "./seeds.ts";
import type { Outcome } from "./target.ts";

/** One storage, or what is of the like. */
export interface StorageSeed extends Seed {
  /** Reads it: the records, or undefined where codecs refused it. */
  readonly read: (files: readonly Uint8Array[]) => readonly PstoreRecord[] | undefined;
  /** Whether it is also read as a file of which nothing is known. */
  readonly asFile: boolean;
}

/** No payload decompresses to more. */
const LARGEST_CONTENT = 1024 * 1024;
const LOG = `Panic#1 Part1\n${Array.from({ length: 80 }, (_, i) => `<4>[   12.${String(i).padStart(6, "0")}] CPU: ${i % 4} text ${i * 7919}\n`).join("")}`;
const EFI_NAMES = ["dump-type0-1-1-1700000000-C", "dump-type0-2-1-1700000000-D", "dump-type0-1-1357000000"];

/** Runs one case. @throws whatever a reader lets out: a bug. */
export async function runStorage(seed: StorageSeed, files: readonly Uint8Array[]): Promise<Outcome> {
  const records = seed.read(files);
  for (const record of records ?? []) check(record, files);
  joinParts(records ?? []);
  if (seed.asFile) await readAsFile(files[0]!);
  return records && records.length > 0 ? "report" : "error";
}

function check(record: PstoreRecord, files: readonly Uint8Array[]): void {
  const size = files.reduce((sum, file) => sum + file.length, 0);
  const name = recordFileName(record);
  if (!/^[a-z-]+-\w+-\d+(\.enc\.z)?(\.carved)?$/.test(name)) throw new Error(`a record is called ${JSON.stringify(name)}`);
  if (record.content.length > Math.max(LARGEST_CONTENT + 256, size))
    throw new Error(`${name} has ${record.content.length} bytes out of ${size}`);
  // What firmware says of its console may lie beyond the end.
  const { offset, length } = record.at;
  if (![offset, length].every((value) => Number.isSafeInteger(value) && value >= 0))
    throw new Error(`${name} is ${length} bytes at ${offset}`);
  const { time } = record;
  if (time && !(Number.isSafeInteger(time.seconds) && time.nanoseconds >= 0 && time.nanoseconds < 1e9))
    throw new Error(`${name} has time ${JSON.stringify(time)}`);
  for (const [at, lost] of record.ecc?.lost ?? []) if (at < 0 || lost <= 0) throw new Error(`${name} lost ${lost} at ${at}`);
  recordFileBytes(record);
  if (record.type === "ftrace") formatFtrace(record.content, true);
}

async function readAsFile(bytes: Uint8Array): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "lastwords-fuzz-"));
  try {
    const path = join(folder, "storage");
    writeFileSync(path, bytes);
    const set = await readStorages([path], {});
    set.close();
  } catch (error) {
    // Mutated, it may begin like a dump.
    if (!isDumpError(error)) throw error;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

// -------------------------------------------------------------------------------------------------------------- seeds

export function makeStorageSeeds(): StorageSeed[] {
  const every = (size: number, step: number): number[] => Array.from({ length: Math.floor(size / step) }, (_, i) => i * step);
  const seeds: StorageSeed[] = [];
  for (const name of ["pstore-ramoops-deflate-ecc", "hung-task-after-capture"]) {
    const region = evidence(name);
    seeds.push(storage(`ramoops ${name}`, region, 12, every(region.length, 16384), ramoops));
  }
  for (const eccSize of [0, 4, 16]) {
    const sizes = { ...SMALL, eccSize };
    const region = writeRegion(sizes);
    const headers = ramoopsZones(sizes, "pmsg-first", 2).flatMap(({ offset, size }) => [offset, offset + size - eccSize]);
    seeds.push(storage(`ramoops ecc=${eccSize}`, region, 16, headers, ramoops));
    const image = new Uint8Array(3 * region.length);
    image.set(region, region.length);
    const moved = headers.map((offset) => offset + region.length);
    seeds.push(storage(`image with ramoops ecc=${eccSize}`, image, 16, moved, ramoopsImage));
  }
  const device = evidence("pstore-blk-lz4").slice(0, 0x60000);
  seeds.push(storage("zone", device, 52, every(device.length, 65536), zone));
  seeds.push(...erstSeeds(), ...consoleSeeds(), efiSeed(), directorySeed());
  for (const version of [1, 2] as const) {
    for (const littleEndian of [true, false]) {
      const pages = [7, 8, 9].map((seq, i) => ({
        page: i,
        seq,
        version,
        text: LOG.slice(0, 3000),
        nanoseconds: 1_700_000_000_000_000_000n,
      }));
      const bytes = mtdoopsDevice(65536, 4096, pages, littleEndian);
      const headers = every(bytes.length, 4096);
      seeds.push(storage(`mtdoops v${version} ${littleEndian ? "le" : "be"}`, bytes, 16, headers, (source) => readMtdoops(source).records));
    }
  }
  for (const [name, stream] of streams()) seeds.push(codecSeed(name, stream));
  return seeds;
}

function storage(
  name: string,
  bytes: Uint8Array,
  headerBytes: number,
  headers: readonly number[],
  read: (source: ByteSource) => readonly PstoreRecord[],
): StorageSeed {
  return { name, files: [bytes], headerBytes, headers, asFile: true, read: ([file]) => read(new MemorySource(file!, "case")) };
}

function evidence(name: string): Uint8Array {
  return new Uint8Array(zstdDecompressSync(readFileSync(`test/evidence/${name}.zst`)));
}

const SMALL: Omit<RamoopsSizes, "eccSize"> = {
  memSize: 0x10000,
  recordSize: 0x2000,
  consoleSize: 0x2000,
  ftraceSize: 0x2000,
  pmsgSize: 0x1000,
  ttySize: 0x1000,
};

function writeRegion(sizes: RamoopsSizes): Uint8Array {
  const region = new Uint8Array(sizes.memSize);
  for (const { type, index, offset, size } of ramoopsZones(sizes, "pmsg-first", 2)) {
    const bytes = region.subarray(offset, offset + size);
    if (type === "ftrace") {
      new DataView(region.buffer).setUint32(offset, 0x43474244 ^ 2, true);
      continue;
    }
    const store = {
      read: (at: number, into: Uint8Array) => into.set(bytes.subarray(at, at + into.length)),
      write: (at: number, content: Uint8Array) => bytes.set(content, at),
    };
    const writer = new RamoopsZoneWriter(store, size, sizes.eccSize);
    if (type === "dmesg") {
      const packed = index % 2 === 1;
      const head = Buffer.from(`====1700000000.00000${index}-${packed ? "C" : "D"}\n`);
      writer.write(new Uint8Array(Buffer.concat([head, packed ? deflateRawSync(LOG) : Buffer.from(LOG).subarray(0, 4000)])));
    } else for (let i = 0; i < 3; i++) writer.write(new Uint8Array(Buffer.from(LOG)));
  }
  return region;
}

function ramoops(source: ByteSource): readonly PstoreRecord[] {
  const guesses = inferLayouts(source);
  for (const { slots } of guesses) {
    for (const { offset, size } of slots) {
      if (offset < 0 || size <= 0 || offset + size > source.size) throw new Error(`a zone of ${size} bytes at ${offset} of ${source.size}`);
    }
  }
  for (const eccGiven of [true, false]) {
    const given = completeLayout(source, { ...SMALL, eccSize: 16 }, eccGiven)[0];
    if (given) readRamoops(source, given, decompressPayload);
  }
  return guesses[0] ? readRamoops(source, guesses[0], decompressPayload).records : [];
}

function ramoopsImage(source: ByteSource): readonly PstoreRecord[] {
  const regions = findRamoopsRegions(source, findZoneHeads(source));
  findRamoopsRegions(source, findZoneHeadsInImage(source));
  const best = regions[0];
  if (!best) return [];
  if (best.offset < 0 || best.size <= 0 || best.offset + best.size > source.size)
    throw new Error(`a region of ${best.size} bytes at ${best.offset}`);
  const bytes = new Uint8Array(best.size);
  source.read(best.offset, bytes);
  return readRamoops(new MemorySource(bytes, "region"), best.guesses[0]!, decompressPayload).records;
}

function zone(source: ByteSource): readonly PstoreRecord[] {
  const guesses = inferPszLayouts(source).slice(0, 3);
  return guesses.map((guess) => readPsz(source, guess, decompressPayload).records)[0] ?? [];
}

function erstSeeds(): StorageSeed[] {
  const records = [
    cperRecord({ id: 1n, data: Buffer.from(LOG) }),
    cperRecord({ id: 2n, data: deflateSync(LOG), section: DMESG_Z }),
    cperRecord({ id: 3n, data: Buffer.alloc(200, 7), section: MCE }),
  ];
  const store = erstStore({ slots: 8, records: records.map((bytes, i) => ({ bytes, id: BigInt(i + 1), cleared: i === 2 })) });
  const row = Buffer.concat(records);
  const starts = [0, records[0]!.length, records[0]!.length + records[1]!.length];
  const read = (source: ByteSource): readonly PstoreRecord[] => readErstRecords(source, decompressPayload).records;
  return [
    storage("erst records", new Uint8Array(row), 200, starts, read),
    storage("erst store", store, 200, [0, 8192, 16384, 24576], read),
  ];
}

function consoleSeeds(): StorageSeed[] {
  const ring = LOG.slice(0, 3000);
  const changli = (wordSize: 4 | 8): Uint8Array => changliRegion(4096, [LOG, LOG], { wordSize });
  const google = ([1, 2] as const).map((version) => googleMemory({ version, text: ring }));
  const cbmem = cbmemConsole(ring, 1000, true);
  const memory = new Uint8Array(0x20000);
  memory.set(corebootTable([[0x17, address64(0x8000)]]), 0x500);
  memory.set(cbmem, 0x8000);
  const found = (source: ByteSource): readonly PstoreRecord[] => {
    for (const { offset, size } of findChangli(source))
      if (offset < 0 || offset >= source.size || size <= 0) throw new Error(`a console of ${size} bytes at ${offset}`);
    return readChangli(source);
  };
  return [
    ...([4, 8] as const).map((wordSize) => storage(`memconsole ${wordSize * 8}`, changli(wordSize), 16, [0], found)),
    ...google.map((bytes, i) => storage(`google v${i + 1}`, bytes, 16, [0x40e, 0x9fc00, 0x60000], (source) => readGoogleConsole(source))),
    storage("cbmem", cbmem, 8, [0], (source) => readCbmemConsole(source)),
    storage("coreboot", memory, 48, [0x500, 0x8000], (source) => readCorebootConsole(source)),
  ];
}

function efiSeed(): StorageSeed {
  const contents = [deflateRawSync(LOG), Buffer.from(LOG), Buffer.from(LOG)];
  return {
    name: "efi",
    files: EFI_NAMES.map((name, i) => efiVariable({ name, data: contents[i]! }).bytes),
    headerBytes: 64,
    asFile: false,
    read: (files) =>
      readEfiVariables(
        files.map((bytes, i) => ({ name: EFI_NAMES[i]!, bytes })),
        decompressPayload,
      ),
  };
}

function directorySeed(): StorageSeed {
  const names = ["dmesg-ramoops-0", "dmesg-erst-1.enc.z", "pmsg-ramoops-0"];
  const notice = "\nECC: 5 Corrected bytes, 1 unrecoverable blocks\n";
  return {
    name: "directory",
    files: [Buffer.from(LOG + notice), deflateSync(LOG), Buffer.from(LOG + notice)].map((bytes) => new Uint8Array(bytes)),
    headerBytes: 32,
    asFile: false,
    read: (files) => files.flatMap((bytes, i) => recordOfFile(names[i]!, bytes, undefined, decompressPayload) ?? []),
  };
}

// ------------------------------------------------------------------------------------------------------------- codecs

function streams(): (readonly [name: CodecName, stream: Uint8Array])[] {
  const text = new Uint8Array(Buffer.from(LOG));
  const source = new MemorySource(evidence("pstore-blk-lz4"));
  const real = readPsz(source, inferPszLayouts(source)[0]!, decompressPayload).records.find(({ stored }) => stored !== undefined)!.stored!;
  return [
    ["lz4", real],
    ["lz4", writeLz4(text)],
    ["842", writeSw842(text)],
    ["deflate", deflateRawSync(text)],
    ["zlib", deflateSync(text)],
  ];
}

function codecSeed(name: CodecName, stream: Uint8Array): StorageSeed {
  const room = new Uint8Array(65536);
  return {
    name: `codec ${name}`,
    files: [stream],
    headerBytes: 256,
    asFile: false,
    read: ([input]) => {
      // These take anything.
      const { content } = decompressPayload(input!);
      for (const kind of ["deflate", "zlib"] as const) {
        const { bytes } = inflatePart(input!, kind, 4096);
        if (bytes.length > 4096) throw new Error(`${bytes.length} bytes where 4096 are the limit`);
      }
      try {
        const length = codecByName(name).decompress(input!, room);
        if (!(length >= 0 && length <= room.length)) throw new Error(`${name} gives ${length} bytes`);
      } catch (error) {
        if (!isDumpError(error)) throw error;
        return undefined;
      }
      return [
        {
          backend: "codec",
          type: "dmesg",
          id: "0",
          content,
          compression: "none",
          state: "kept",
          at: { offset: 0, length: 0 },
          problems: [],
        },
      ];
    },
  };
}
