import { open } from "node:fs/promises";

/** Bytes of a file (a raw disk, a machine's RAM) from `offset` on; fewer than `size` only where it ends. */
export async function readRange(path: string, offset: number, size: number): Promise<Buffer> {
  await using file = await open(path, "r");
  const { buffer, bytesRead } = await file.read(Buffer.alloc(size), 0, size, offset);
  return buffer.subarray(0, bytesRead);
}
