import { open } from "node:fs/promises";
import { LabError } from "../lab/index.ts";

/** Bytes of the image by which it is found in memory, and bytes that are written over. */
const SAMPLE = 256;

/**
 * Writes over a part of the loaded capture kernel, as a stray write or a device's DMA would: in the file that is the machine's RAM.
 * Its initramfs is what is hit; purgatory, which has to find it out, stays whole.
 * @param ram path of a file whose first byte is physical address 0.
 * @param range physical addresses of the reserved memory, both inclusive.
 * @param initramfs what was loaded there.
 * @throws LabError GUEST when it does not lie in that range.
 */
export async function corruptImage(ram: string, range: readonly [from: number, to: number], initramfs: Uint8Array): Promise<void> {
  const middle = Math.floor(initramfs.length / 2);
  const sample = initramfs.subarray(middle, middle + SAMPLE);
  const [from, to] = range;
  await using file = await open(ram, "r+");
  const memory = Buffer.alloc(to - from + 1);
  const { bytesRead } = await file.read(memory, 0, memory.length, from);
  const at = memory.subarray(0, bytesRead).indexOf(sample);
  if (at < 0) throw new LabError("GUEST", "the loaded capture kernel is not where the guest says that it is");
  await file.write(Buffer.alloc(SAMPLE), 0, SAMPLE, from + at);
}
