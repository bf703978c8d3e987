import { open } from "node:fs/promises";
import { LabError } from "./error.ts";

const PAGE_SIZE = 4096;

/**
 * The exact size of an ELF64 vmcore at the beginning of a larger file (a raw disk), from its program headers: the end of the
 * last segment, rounded up to a page as fs/proc/vmcore.c lays it out. In bytes.
 * @throws LabError GUEST when no vmcore is there.
 */
export async function vmcoreSize(path: string): Promise<number> {
  await using file = await open(path, "r");
  const header = Buffer.alloc(64);
  await file.read(header, 0, 64, 0);
  if (header.readUInt32BE(0) !== 0x7f454c46 || header[4] !== 2) {
    throw new LabError("GUEST", `${path} does not begin with an ELF64 header: the capture kernel saved no vmcore`);
  }
  const e_phoff = Number(header.readBigUInt64LE(32));
  const e_phnum = header.readUInt16LE(56);
  const headers = Buffer.alloc(56 * e_phnum);
  await file.read(headers, 0, headers.length, e_phoff);
  let end = 0;
  for (let at = 0; at < headers.length; at += 56) {
    const p_offset = Number(headers.readBigUInt64LE(at + 8));
    const p_filesz = Number(headers.readBigUInt64LE(at + 32));
    end = Math.max(end, p_offset + p_filesz);
  }
  return Math.ceil(end / PAGE_SIZE) * PAGE_SIZE;
}
