/**
 * Regions as kernels really divide them: dmesg's share seldom is a multiple of `record_size`, so its zones have odd sizes and some
 * bytes stay unused. Found again from the bytes alone; what stock kernels do is in test/lab/pstore-both-ways.test.ts.
 */
import { expect, test } from "vitest";
import { MemorySource } from "../../src/bytes/index.ts";
import { inferLayouts } from "../../src/pstore/ramoops/infer.ts";
import { ramoopsZones, recorderZones, type ZoneOrder } from "../../src/pstore/ramoops/layout.ts";
import type { ZoneSlot } from "../../src/pstore/slot.ts";
import { prepareFtraceZone, RamoopsZoneWriter, type ZoneStore } from "../../src/pstore/ramoops/write.ts";

const text = (value: string): Uint8Array => Buffer.from(value, "latin1");

function storeIn(memory: Uint8Array, base: number): ZoneStore {
  return {
    read: (offset, into) => into.set(memory.subarray(base + offset, base + offset + into.length)),
    write: (offset, bytes) => memory.set(bytes, base + offset),
  };
}

/** record, console, ftrace, pmsg, tty size, all in a region of 512 KiB. */
const SIZES = [
  [0x8000, 0x4000, 0x2000, 0x4000, 0],
  [0x4000, 0x2_0000, 0x1000, 0x8000, 0],
  [0x4000, 0x4000, 0x4000, 0x2000, 0],
  [0x8000, 0x1_0000, 0x2000, 0x1000, 0],
  [0x8000, 0x4000, 0x1000, 0x4000, 0x8000],
] as const;

const CASES = SIZES.flatMap((sizes) =>
  (["ftrace-first", "pmsg-first"] as const).flatMap((order) => [0, 16].map((eccSize) => [sizes, order, eccSize] as const)),
);

test.each(CASES)("%j, %s, ecc %d", ([recordSize, consoleSize, ftraceSize, pmsgSize, ttySize], order: ZoneOrder, eccSize) => {
  const memSize = 0x8_0000;
  const sizes = { memSize, recordSize, consoleSize, ftraceSize, pmsgSize, ttySize, eccSize };
  const slots = (ttySize > 0 ? recorderZones : ramoopsZones)(sizes, order, 2);
  const memory = new Uint8Array(memSize);
  for (const { type, index, offset, size } of slots) {
    if (type === "ftrace") {
      prepareFtraceZone(storeIn(memory, offset), size, eccSize, 0x060100);
      continue;
    }
    const writer = new RamoopsZoneWriter(storeIn(memory, offset), size, eccSize);
    // More records than one that are full, and a console whose first byte is in the middle of a line.
    if (type === "dmesg" && index < 3)
      writer.writeRecord({ seconds: 1_700_000_000 + index, nanoseconds: 1000 }, text("x".repeat(writer.geometry.capacity)));
    if (type === "console")
      for (let i = 0; i < 3000; i++) writer.write(text(`[${(i / 100).toFixed(6).padStart(12)}] usb 1-1: a message of the kernel\n`));
    if (type === "pmsg") writer.write(text("a program says something that is no message of the kernel\n".repeat(400)));
    if (type === "tty") writer.write(text("kdump.sh: cannot save\n"));
  }
  const [best] = inferLayouts(new MemorySource(memory, "region"));
  expect(best!.eccSize).toBe(eccSize);
  // Without parity nothing tells the unused bytes before our tty zone from the zone that they follow.
  const place = ({ size, ...rest }: ZoneSlot): object => (eccSize === 0 && ttySize > 0 ? rest : { ...rest, size });
  expect(best!.slots.map(place)).toEqual(slots.map(place));
});
