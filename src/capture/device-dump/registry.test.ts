import { describe, expect, test } from "vitest";
import { DeviceDumps } from "./registry.ts";

describe("the registry of device dumps", () => {
  test("gives each collector zeros of exactly its size, in order", async () => {
    const dumps = new DeviceDumps();
    const seen: number[][] = [];
    for (const size of [1, 4032, 4033, 100_000])
      dumps.addDeviceDump({
        name: `d${size}`,
        size,
        collect: (buffer) => {
          seen.push([buffer.length, buffer.reduce((sum, byte) => sum + byte, 0)]);
          buffer.fill(size & 255);
        },
      });
    const { dumps: collected, lost } = await dumps.collectAll();
    expect(lost).toEqual([]);
    expect(seen).toEqual([
      [1, 0],
      [4032, 0],
      [4033, 0],
      [100_000, 0],
    ]);
    expect(collected.map(({ name, data }) => [name, data.length, data.at(-1)])).toEqual([
      ["d1", 1, 1],
      ["d4032", 4032, 192],
      ["d4033", 4033, 193],
      ["d100000", 100_000, 160],
    ]);
  });

  test("one that throws, rejects or takes too long loses only its own dump", async () => {
    const dumps = new DeviceDumps();
    const collectors: Record<string, (buffer: Uint8Array) => void | Promise<void>> = {
      throws: () => {
        throw new Error("no answer\nat all");
      },
      first: (buffer) => void buffer.fill(1),
      rejects: () => Promise.reject(new Error("firmware is dead")),
      hangs: () => new Promise(() => {}),
      overruns: (buffer) => buffer.set([1, 2, 3], 3),
      last: async (buffer) => {
        await new Promise((resolve) => setTimeout(resolve, 5));
        buffer.fill(2);
      },
    };
    for (const [name, collect] of Object.entries(collectors)) dumps.addDeviceDump({ name, size: 4, collect });
    const { dumps: collected, lost } = await dumps.collectAll({ timeoutMs: 100 });
    expect(collected.map(({ name, data }) => [name, ...data])).toEqual([
      ["first", 1, 1, 1, 1],
      ["last", 2, 2, 2, 2],
    ]);
    expect(lost).toEqual([
      { name: "throws", reason: "no answer" },
      { name: "rejects", reason: "firmware is dead" },
      { name: "hangs", reason: "not done after 0.1 s" },
      { name: "overruns", reason: expect.stringContaining("offset is out of bounds") },
    ]);
  });

  test("refuses what no note can hold", () => {
    const dumps = new DeviceDumps();
    const collect = (): void => {};
    for (const size of [0, -1, 1.5, NaN, 2 ** 32, 0xfffff000])
      expect(() => dumps.addDeviceDump({ name: "x", size, collect })).toThrow(/possible/);
    for (const name of ["", "x".repeat(44)]) expect(() => dumps.addDeviceDump({ name, size: 1, collect })).toThrow(/name/);
    expect(() => dumps.addDeviceDump({ name: "x", size: 1 } as never)).toThrow(/no collect/);
    expect(dumps.requests).toEqual([]);
    expect(() => new DeviceDumps(1000)).toThrow(/page size/);
  });

  test("the sum is bounded, before memory is taken", async () => {
    const dumps = new DeviceDumps();
    for (const size of [4000, 4_000_000_000, 4000]) dumps.addDeviceDump({ name: `d${size}`, size, collect: () => {} });
    const { dumps: collected, lost } = await dumps.collectAll({ maxTotalBytes: 8192 });
    expect(collected).toHaveLength(2);
    expect(lost).toEqual([{ name: "d4000000000", reason: "its note needs 4000002048 bytes, 4096 are left for device dumps" }]);
  });
});
