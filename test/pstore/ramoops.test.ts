import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { MemorySource } from "../../src/bytes/index.ts";
import { decodeLatin1 } from "../../src/bytes/latin1.ts";
import { decompressPayload } from "../../src/pstore/payload.ts";
import { completeLayout, findRamoopsRegions, findZoneHeads, inferLayouts } from "../../src/pstore/ramoops/infer.ts";
import { describeLayout, type RamoopsSizes, ramoopsZones } from "../../src/pstore/ramoops/layout.ts";
import { type RamoopsContent, readRamoops } from "../../src/pstore/ramoops/read.ts";
import { RamoopsZoneWriter } from "../../src/pstore/ramoops/write.ts";
import { recordFileBytes, recordFileName } from "../../src/pstore/record.ts";
import { evidence, factsOf, kernelView } from "./evidence.ts";

const ECC = "pstore-ramoops-deflate-ecc";
const SIZES: RamoopsSizes = {
  memSize: 0x100000,
  recordSize: 0x8000,
  consoleSize: 0x8000,
  ftraceSize: 0,
  pmsgSize: 0x4000,
  ttySize: 0x4000,
  eccSize: 16,
};

const inferred = (bytes: Uint8Array): RamoopsContent => {
  const source = new MemorySource(bytes);
  return readRamoops(source, inferLayouts(source)[0]!, decompressPayload);
};

const files = (content: RamoopsContent): Record<string, unknown> =>
  Object.fromEntries(
    content.records.filter((record) => record.state === "kept").map((record) => [recordFileName(record), factsOf(recordFileBytes(record))]),
  );

/** Numbers from a seed, so that damage is the same on every run. */
function* random(seed: number): Generator<number, never> {
  for (let state = seed; ;) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    yield state >>> 8;
  }
}

/** Overwrites `count` distinct bytes of each block of 144 (128 data, 16 parity) of every zone, and of each header. */
function damage(region: Uint8Array, count: number): void {
  const numbers = random(2026);
  const next = (below: number): number => numbers.next().value % below;
  const hit = (places: readonly number[]): void => {
    const chosen = new Set<number>();
    while (chosen.size < Math.min(count, places.length)) chosen.add(places[next(places.length)]!);
    for (const at of chosen) region[at] = region[at]! ^ (1 + next(255));
  };
  for (const { offset, size } of ramoopsZones(SIZES, "pmsg-first", 1)) {
    // Written out here from the description, not taken from the code under test.
    const room = size - 12;
    const blocks = Math.ceil((room - 16) / 144);
    const capacity = room - (blocks + 1) * 16;
    const run = (from: number, length: number): number[] => Array.from({ length }, (_, i) => offset + from + i);
    for (let b = 0; b < blocks; b++) {
      hit([...run(12 + b * 128, Math.min(128, capacity - b * 128)), ...run(12 + capacity + b * 16, 16)]);
    }
    hit([...run(0, 12), ...run(12 + capacity + blocks * 16, 16)]);
  }
}

describe("a ramoops region of a crashed kernel", () => {
  test("every file of the kernel's view, byte for byte, sizes inferred", () => {
    const guesses = inferLayouts(new MemorySource(evidence(ECC)));
    expect(describeLayout(guesses[0]!)).toBe("30 dmesg of 32 KiB, console 32 KiB, pmsg 16 KiB, tty 16 KiB, ECC 16");
    expect(files(inferred(evidence(ECC)))).toEqual(kernelView(ECC));
  });

  test("every file of the kernel's view, byte for byte, sizes given", () => {
    const source = new MemorySource(evidence(ECC));
    const layout = completeLayout(source, SIZES, true)[0]!;
    expect(files(readRamoops(source, layout, decompressPayload))).toEqual(kernelView(ECC));
  });

  test("ECC found out where the sizes are given without it", () => {
    const layout = completeLayout(new MemorySource(evidence(ECC)), { ...SIZES, eccSize: 0 }, false)[0]!;
    expect(layout.eccSize).toBe(16);
  });

  test("with 8 bytes of every block destroyed the text is the same, and the count is told", () => {
    const whole = inferred(evidence(ECC));
    const region = evidence(ECC);
    damage(region, 8);
    const mended = inferred(region);
    expect(mended.records.filter((r) => r.state === "kept").map((r) => [recordFileName(r), factsOf(r.content)])).toEqual(
      whole.records.filter((r) => r.state === "kept").map((r) => [recordFileName(r), factsOf(r.content)]),
    );
    for (const { ecc } of mended.records.filter((r) => r.state === "kept")) {
      expect(ecc?.lostBlocks).toBe(0);
      expect(ecc!.corrected).toBeGreaterThan(8);
    }
  });

  test("with more destroyed, what is left is shown and the loss is marked", () => {
    const region = evidence(ECC);
    damage(region, 14);
    const source = new MemorySource(region);
    const content = readRamoops(source, completeLayout(source, SIZES, true)[0]!, decompressPayload);
    const whole = inferred(evidence(ECC)).records.find((record) => record.type === "pmsg" && record.state === "kept")!.content;
    const left = content.records.find((record) => record.type === "pmsg")!.content;
    // 14 of 144 bytes are wrong; what carving drops or the seam displaces is on top.
    expect(decodeLatin1(left).match(/pmsg line \d+/g)!.length).toBeGreaterThan(decodeLatin1(whole).match(/pmsg line \d+/g)!.length / 10);
    for (const record of content.records) expect([record.type, record.problems]).not.toEqual([record.type, []]);
  });

  test("the middle of one zone destroyed: the losses are where the bytes were", () => {
    const region = evidence(ECC);
    const { offset } = ramoopsZones(SIZES, "pmsg-first", 1).find((slot) => slot.type === "console")!;
    region.fill(0xa5, offset + 12 + 1280, offset + 12 + 1280 + 256);
    const record = inferred(region).records.find((r) => r.type === "console" && r.state === "kept")!;
    expect(record.ecc!.lostBlocks).toBe(2);
    expect(record.ecc!.lost.reduce((sum, [, length]) => sum + length, 0)).toBe(256);
    for (const [at, length] of record.ecc!.lost) expect(record.content.subarray(at, at + length).every((byte) => byte === 0xa5)).toBe(true);
  });

  test("first kernel's records from one image, the capture kernel's from the other", () => {
    const text = (name: string, type: string, state: string): string =>
      inferred(evidence(name))
        .records.filter((r) => r.type === type && r.state === state)
        .map((r) => decodeLatin1(r.content))
        .join("\n");
    expect(text("hung-task-after-crash", "console", "kept")).toContain("Kernel panic - not syncing: hung_task: blocked tasks");
    expect(text("hung-task-after-crash", "pmsg", "kept")).toContain("pmsg: app[42] checkpoint 18 written");
    expect(text("hung-task-after-capture", "tty", "kept")).toContain("kdump.sh: mount /dev/sda1 failed: No such device");
    // The capture kernel emptied the zones that the first had filled: what it did not overwrite is still there.
    expect(text("hung-task-after-capture", "console", "carved")).toContain("Kernel panic - not syncing: hung_task: blocked tasks");
    expect(text("hung-task-after-capture", "pmsg", "carved")).toContain("pmsg: app[42] checkpoint 18 written");
  });

  test("found in a larger image, at any multiple of a page", () => {
    for (const at of [0, 0x1000, 0x345000]) {
      const image = new Uint8Array(5 << 20);
      image.set(evidence(ECC), at);
      const source = new MemorySource(image);
      const [region] = findRamoopsRegions(source, findZoneHeads(source));
      expect(region).toMatchObject({ offset: at, size: 0x100000 });
      expect(
        region!.guesses.some((guess) => describeLayout(guess).startsWith("30 dmesg of 32 KiB, console 32 KiB, pmsg 16 KiB, tty")),
      ).toBe(true);
    }
  });
});

describe("regions that nobody wrote", () => {
  test("zeros and noise give no layout", () => {
    expect(inferLayouts(new MemorySource(new Uint8Array(65536)))).toEqual([]);
    const noise = new Uint8Array(65536);
    const numbers = random(7);
    for (let i = 0; i < noise.length; i++) noise[i] = numbers.next().value;
    expect(inferLayouts(new MemorySource(noise))).toEqual([]);
  });

  test("any bytes, and any damage to a region, give an answer", () => {
    const small: RamoopsSizes = { ...SIZES, memSize: 0x8000, recordSize: 0x1000, consoleSize: 0x1000, pmsgSize: 0x1000, ttySize: 0x1000 };
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(0x7fff), fc.nat(255)), { maxLength: 40 }), fc.boolean(), (hits, fresh) => {
        const region = new Uint8Array(0x8000);
        if (!fresh) {
          for (const { offset, size } of ramoopsZones(small, "pmsg-first", 1)) {
            const zone = region.subarray(offset, offset + size);
            const store = {
              read: (at: number, into: Uint8Array) => into.set(zone.subarray(at, at + into.length)),
              write: (at: number, bytes: Uint8Array) => zone.set(bytes, at),
            };
            new RamoopsZoneWriter(store, size, 16).write(new Uint8Array(3000).fill(0x61));
          }
        }
        for (const [at, value] of hits) region[at] = value;
        const source = new MemorySource(region);
        for (const guess of [...inferLayouts(source), ...completeLayout(source, small, false).slice(0, 2)]) {
          const { records } = readRamoops(source, guess, decompressPayload);
          expect(records.reduce((sum, record) => sum + record.content.length, 0)).toBeLessThanOrEqual(2 * region.length);
        }
      }),
      { numRuns: 150 },
    );
  });
});
