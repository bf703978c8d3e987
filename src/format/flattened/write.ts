import { MAKEDUMPFILE_SIGNATURE, MAX_SIZE_MDF_HEADER, TYPE_FLAT_HEADER, VERSION_FLAT_HEADER } from "./layout.ts";

/** The head of a flattened stream (makedumpfile:makedumpfile.c:write_start_flat_header), 4096 bytes. */
export function flattenedHead(): Uint8Array {
  const bytes = new Uint8Array(MAX_SIZE_MDF_HEADER);
  const view = new DataView(bytes.buffer);
  for (let i = 0; i < MAKEDUMPFILE_SIGNATURE.length; i++) bytes[i] = MAKEDUMPFILE_SIGNATURE.charCodeAt(i);
  view.setBigInt64(16, BigInt(TYPE_FLAT_HEADER));
  view.setBigInt64(24, BigInt(VERSION_FLAT_HEADER));
  return bytes;
}

/** What stands before each piece: its place in the rearranged file, and its length. Big-endian whatever the machine is. */
export function flattenedPiece(offset: number, length: number): Uint8Array {
  const bytes = new Uint8Array(16);
  const view = new DataView(bytes.buffer);
  view.setBigInt64(0, BigInt(offset));
  view.setBigInt64(8, BigInt(length));
  return bytes;
}

/** The end of the stream. */
export function flattenedEnd(): Uint8Array {
  return new Uint8Array(16).fill(0xff);
}
