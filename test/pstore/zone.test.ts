import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { MemorySource } from "../../src/bytes/index.ts";
import { decodeLatin1 } from "../../src/bytes/latin1.ts";
import { decompressPayload } from "../../src/pstore/payload.ts";
import { recordFileBytes, recordFileName } from "../../src/pstore/record.ts";
import { describeSlots } from "../../src/pstore/slot.ts";
import { completePszLayout, inferPszLayouts } from "../../src/pstore/zone/infer.ts";
import { pszZones } from "../../src/pstore/zone/layout.ts";
import { type PszContent, readPsz } from "../../src/pstore/zone/read.ts";
import { evidence, factsOf, kernelView } from "./evidence.ts";

const BLK = "pstore-blk-lz4";
const SIZES = { totalSize: 0x200000, kmsgSize: 0x10000, pmsgSize: 0x10000, consoleSize: 0x10000, ftraceSize: 0, ttySize: 0 };

const files = (content: PszContent): Record<string, unknown> =>
  Object.fromEntries(content.records.filter((r) => r.state === "kept").map((r) => [recordFileName(r), factsOf(recordFileBytes(r))]));

describe("a pstore_blk device of a crashed kernel", () => {
  test("every file of the kernel's view, byte for byte, sizes inferred", () => {
    const source = new MemorySource(evidence(BLK));
    const [guess] = inferPszLayouts(source);
    expect(describeSlots(guess!.slots)).toBe("pmsg 64 KiB, console 64 KiB, 30 dmesg of 64 KiB");
    expect(files(readPsz(source, guess!, decompressPayload))).toEqual(kernelView(BLK));
  });

  test("every file of the kernel's view, byte for byte, sizes given", () => {
    const source = new MemorySource(evidence(BLK));
    expect(files(readPsz(source, completePszLayout(source, SIZES)[0]!, decompressPayload))).toEqual(kernelView(BLK));
  });

  test("a record that was erased is carved with its reason and time", () => {
    const device = evidence(BLK);
    // datalen of the first dmesg zone: what the kernel sets to 0 when its file is removed.
    device.fill(0, 0x20000 + 4, 0x20000 + 8);
    const source = new MemorySource(device);
    const { records } = readPsz(source, inferPszLayouts(source)[0]!, decompressPayload);
    const carved = records.find((record) => record.type === "dmesg" && record.state === "carved")!;
    expect(recordFileName(carved)).toBe("dmesg-pstore_blk-0.carved");
    expect(carved).toMatchObject({ reason: "Oops", count: 1 });
    expect(decodeLatin1(carved.content)).toContain("BUG: kernel NULL pointer dereference");
  });

  test("a record alone has the default size, and others are offered", () => {
    const device = evidence(BLK);
    device.fill(0, 0x30000);
    const guesses = inferPszLayouts(new MemorySource(device));
    expect(describeSlots(guesses[0]!.slots)).toBe("pmsg 64 KiB, console 64 KiB, 30 dmesg of 64 KiB");
    expect(guesses.length).toBeGreaterThan(1);
  });
});

/** A dmesg zone as a kernel of that machine would write it. */
function kmsgZone(machine: "64" | "i386", littleEndian: boolean, text: string, size = 4096): Uint8Array {
  const zone = new Uint8Array(size);
  const view = new DataView(zone.buffer);
  const header = machine === "64" ? 40 : 28;
  const [sec, nsec, comp, count, reason] = machine === "64" ? [8, 16, 24, 28, 32] : [4, 12, 16, 20, 24];
  view.setUint32(0, 0x43474244, littleEndian);
  view.setUint32(4, header + text.length, littleEndian);
  view.setUint32(12, 0x4dfc3ae5, littleEndian);
  view.setBigInt64(12 + sec!, 1700000000n, littleEndian);
  view.setUint32(12 + nsec! + (machine === "64" && !littleEndian ? 4 : 0), 5, littleEndian);
  zone[12 + comp!] = 0;
  view.setUint32(12 + count!, 3, littleEndian);
  view.setUint32(12 + reason!, 1, littleEndian);
  zone.set(Buffer.from(text), 12 + header);
  return zone;
}

describe("pstore/zone", () => {
  test.each([
    ["64", true],
    ["64", false],
    ["i386", true],
  ] as const)("uncompressed records of a machine of kind %s, little-endian %s, begin with the kernel's line", (machine, littleEndian) => {
    const source = new MemorySource(kmsgZone(machine, littleEndian, "Panic#3 Part1\nthe end of the world"));
    const slots = [{ type: "dmesg" as const, index: 0, offset: 0, size: 4096 }];
    const { records } = readPsz(source, { slots, littleEndian }, decompressPayload, "mtdpstore");
    expect(records[0]).toMatchObject({ reason: "Panic", count: 3, part: 1, time: { seconds: 1700000000 } });
    expect(recordFileName(records[0]!)).toBe("dmesg-mtdpstore-0");
    expect(decodeLatin1(records[0]!.content)).toBe("Panic: Total 3 times\nPanic#3 Part1\nthe end of the world");
  });

  test("the places of the zones are the kernel's", () => {
    const slots = pszZones({ ...SIZES, ftraceSize: 0x10000 }, 3);
    expect(slots.filter((slot) => slot.type === "ftrace").map((slot) => [slot.offset, slot.size])).toEqual([
      [0x20000, 21845],
      [0x20000 + 21845, 21845],
      [0x20000 + 2 * 21845, 21845],
    ]);
    expect(slots.filter((slot) => slot.type === "dmesg").length).toBe(29);
  });

  test("sizes that a kernel refuses are refused", () => {
    expect(() => pszZones({ ...SIZES, kmsgSize: 1000 }, 1)).toThrow("kmsg_size is 1000; it must be a multiple of 512 bytes");
    expect(() => pszZones({ ...SIZES, totalSize: 4096 }, 1)).toThrow("the device has 4096 bytes");
  });

  test("any damage to a device gives an answer", () => {
    const device = evidence(BLK).slice(0, 0x50000);
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.oneof(fc.nat(0x4ffff), fc.nat(64), fc.integer({ min: 0x20000, max: 0x20040 })), fc.nat(255)), {
          maxLength: 30,
        }),
        (hits) => {
          const bytes = device.slice();
          for (const [at, value] of hits) bytes[at] = value;
          const source = new MemorySource(bytes);
          for (const guess of inferPszLayouts(source).slice(0, 3)) readPsz(source, guess, decompressPayload);
        },
      ),
      { numRuns: 60 },
    );
  });
});
