/** Storages of pstore to measure reading on: a real region, and a real dump with that region in it. */
import { closeSync, copyFileSync, constants, openSync, readFileSync, readSync, statSync, writeFileSync, writeSync } from "node:fs";
import { zstdDecompressSync } from "node:zlib";

/** Region of 1 MiB of a crashed kernel, with ECC: three dumps of the log, a console, pmsg and tty. */
const REGION = "test/evidence/pstore-ramoops-deflate-ecc.zst";
const MIB = 1024 * 1024;
const PT_LOAD = 1;

export function writeRegion(path: string): void {
  writeFileSync(path, zstdDecompressSync(readFileSync(REGION)));
}

/**
 * Copies a 64-bit ELF dump and puts the region over the last whole MiB of its last segment: nothing in its headers tells, and all of
 * its memory is looked through before the region is met.
 *
 * @returns physical address of the region, or undefined where the dump is no such ELF file.
 */
export function writeDumpWithRegion(dump: string, path: string): number | undefined {
  const place = lastPlace(dump);
  if (place === undefined) return undefined;
  copyFileSync(dump, path, constants.COPYFILE_FICLONE);
  const fd = openSync(path, "r+");
  try {
    writeSync(fd, zstdDecompressSync(readFileSync(REGION)), 0, MIB, place.offset);
  } finally {
    closeSync(fd);
  }
  return place.paddr;
}

/** Where in the file, and in memory, the last MiB of the segment with the highest addresses begins. */
function lastPlace(dump: string): { offset: number; paddr: number } | undefined {
  const head = Buffer.alloc(Math.min(MIB, statSync(dump).size));
  const fd = openSync(dump, "r");
  try {
    readSync(fd, head, 0, head.length, 0);
  } finally {
    closeSync(fd);
  }
  if (head.toString("latin1", 0, 4) !== "\x7fELF" || head[4] !== 2 || head[5] !== 1) return undefined;
  const table = Number(head.readBigUInt64LE(32));
  let found: { offset: number; paddr: number } | undefined;
  for (let i = 0; i < head.readUInt16LE(56); i++) {
    const at = table + i * 56;
    const [offset, paddr, size] = [8, 24, 32].map((field) => Number(head.readBigUInt64LE(at + field))) as [number, number, number];
    if (head.readUInt32LE(at) !== PT_LOAD || size < 2 * MIB) continue;
    const start = Math.floor((paddr + size - MIB) / MIB) * MIB;
    if (!found || start > found.paddr) found = { offset: offset + start - paddr, paddr: start };
  }
  return found;
}
