/** Dumps of machines larger than any disk here: what must not be held in memory is their size, not their content. */
import { closeSync, ftruncateSync, openSync, writeSync } from "node:fs";

const BLOCK = 4096;
const DISK_DUMP_HEADER_VERSION = 6;
const DUMP_LEVEL = 31;

/**
 * Writes a kdump-compressed file (makedumpfile:diskdump_mod.h) of a machine with `tebibytes` of memory, all of it RAM, of
 * which the very last page alone is stored: to find its descriptor a reader has to count the whole second bitmap.
 * Sparse but for the first bitmap, 32 MiB for each TiB.
 *
 * @returns physical address of the stored page.
 */
export function writeHugeDump(path: string, tebibytes: number): number {
  const pages = tebibytes * 2 ** 28;
  const bitmapBytes = pages / 8;
  const head = Buffer.alloc(2 * BLOCK);
  head.write("KDUMP   ", 0, "latin1");
  head.writeInt32LE(DISK_DUMP_HEADER_VERSION, 8);
  // utsname.machine of disk_dump_header.
  head.writeUInt8(0, 12);
  head.write("x86_64", 12 + 4 * 65, "latin1");
  head.writeInt32LE(BLOCK, 428);
  // sub_hdr_size, in blocks.
  head.writeInt32LE(1, 432);
  head.writeUInt32LE((2 * bitmapBytes) / BLOCK, 436);
  // max_mapnr has 32 bits; max_mapnr_64 of the sub header counts since version 6.
  head.writeUInt32LE(Math.min(pages, 0xffffffff), 440);
  head.writeInt32LE(DUMP_LEVEL, BLOCK + 8);
  head.writeBigUInt64LE(BigInt(pages), BLOCK + 96);
  const fd = openSync(path, "w");
  try {
    writeSync(fd, head, 0, head.length, 0);
    const ones = Buffer.alloc(1 << 20, 0xff);
    for (let at = 0; at < bitmapBytes; at += ones.length) writeSync(fd, ones, 0, Math.min(ones.length, bitmapBytes - at), head.length + at);
    const descriptors = head.length + 2 * bitmapBytes;
    writeSync(fd, Buffer.from([0x80]), 0, 1, descriptors - 1);
    const descriptor = Buffer.alloc(24);
    descriptor.writeBigInt64LE(BigInt(descriptors + BLOCK), 0);
    descriptor.writeUInt32LE(BLOCK, 8);
    writeSync(fd, descriptor, 0, descriptor.length, descriptors);
    ftruncateSync(fd, descriptors + 2 * BLOCK);
  } finally {
    closeSync(fd);
  }
  return (pages - 1) * BLOCK;
}
