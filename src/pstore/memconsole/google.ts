import { type ByteSource, Fields } from "../../bytes/index.ts";
import type { PstoreRecord } from "../record.ts";
import { consoleRecord, readPiece } from "./region.ts";

/*
 * Console of the firmware of Google's servers (linux:drivers/firmware/google/memconsole-x86-legacy.c:struct biosmemcon_ebda). Its
 * header lies somewhere in the extended BIOS data area, at any byte; little-endian, packed:
 *
 *   version 1                      version 2
 *   0   u32 0xdeadbabe             0   u32 "MCON"
 *   4   u8  enabled                4   u32 buffer_addr   physical
 *   5   u32 buffer_addr            8   u16 num_bytes
 *   9   u16 start                  10  u16 start
 *   11  u16 end                    12  u16 end
 *   13  u16 num_chars
 *   15  u8  wrapped
 */
const BIOS_MEMCONSOLE_V1_MAGIC = 0xdead_babe;
const BIOS_MEMCONSOLE_V2_MAGIC = 0x4e4f_434d;
const HEADER_SIZE = 16;
/** The word at this address is the area's segment (linux:arch/x86/include/asm/bios_ebda.h:get_bios_ebda). */
const EBDA_POINTER = 0x40e;
const BACKEND = "google";

/**
 * Reads the firmware's console: what `/sys/firmware/log` shows. The first header counts, as for the kernel; the kernel also asks for
 * a board of Google's, which memory alone does not tell.
 *
 * @param memory physical memory from address 0. @returns one record, or none where there is no such console.
 */
export function readGoogleConsole(memory: ByteSource): readonly PstoreRecord[] {
  const pointer = readPiece(memory, EBDA_POINTER, 2, "the pointer to the EBDA").bytes;
  if (pointer.length < 2) return [];
  const ebda = (pointer[0]! | (pointer[1]! << 8)) * 16;
  const kib = ebda === 0 ? 0 : (readPiece(memory, ebda, 1, "the EBDA").bytes[0] ?? 0);
  // The last header may begin with the area's last byte.
  const area = readPiece(memory, ebda, kib * 1024 + HEADER_SIZE, "the EBDA").bytes;
  const fields = new Fields(area, true, 4, "EBDA");
  for (let at = 0; at < kib * 1024 && at + HEADER_SIZE <= area.length; at++) {
    const signature = fields.u32(at);
    if (signature === BIOS_MEMCONSOLE_V1_MAGIC) return [versionOne(memory, fields, at)];
    if (signature === BIOS_MEMCONSOLE_V2_MAGIC) return [versionTwo(memory, fields, at)];
  }
  return [];
}

function versionOne(memory: ByteSource, fields: Fields, at: number): PstoreRecord {
  const address = fields.u32(at + 5);
  const length = fields.u16(at + 13);
  const problems: string[] = [];
  if (fields.u8(at + 4) === 0) problems.push("the firmware marks its console as not enabled");
  // How large the ring is nothing says, so its order cannot be mended; the kernel does not try either.
  if (fields.u8(at + 15) !== 0) {
    problems.push(`the ring has wrapped: the text begins at ${fields.u16(at + 9)}, and is shown from the buffer's first byte on`);
  }
  return record(memory, address, length, problems);
}

function versionTwo(memory: ByteSource, fields: Fields, at: number): PstoreRecord {
  const address = fields.u32(at + 4);
  const [size, start, end] = [fields.u16(at + 8), fields.u16(at + 10), fields.u16(at + 12)];
  const problems: string[] = [];
  if (end < start || end > size) problems.push(`the text goes from ${start} to ${end} of a buffer of ${size} bytes`);
  return record(memory, address + start, Math.max(0, Math.min(end, Math.max(size, start)) - start), problems);
}

function record(memory: ByteSource, address: number, length: number, problems: string[]): PstoreRecord {
  const { bytes, problem } = readPiece(memory, address, length, "the console's buffer");
  if (problem !== undefined) problems.push(problem);
  return consoleRecord(BACKEND, 0, bytes, { offset: address, length }, problems);
}
