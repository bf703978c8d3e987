import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { MappedMemory } from "./mapped.ts";
import { MemoryFile, parseIomem, ramParameters, reusableMemory, subtract } from "./memory.ts";

const CAPTURE = `00000000-00000fff : Reserved
00001000-0009fbff : System RAM
000a0000-000bffff : PCI Bus 0000:00
2c000000-45fffbff : System RAM
  2d000000-2e0025b1 : Kernel code
45fffc00-45ffffff : System RAM
46000000-47fc1fff : RAM buffer
47fc2000-47ffffff : Reserved
`;

/** A file can be mapped as the device can, within its size. */
describe("memory that is mapped", () => {
  const path = join(mkdtempSync(join(tmpdir(), "lastwords-mapped-")), "memory");
  afterAll(() => rmSync(dirname(path), { recursive: true }));

  test("any bytes can be read and written", () => {
    const bytes = Buffer.alloc(3 * 0x10_0000 + 4096, 0x11);
    for (let i = 0; i < bytes.length; i += 997) bytes[i] = i & 255;
    writeFileSync(path, bytes);
    const fd = openSync(path, "r+");
    const memory = MappedMemory.open(fd, true)!;
    for (const [at, length] of [
      [0, 1],
      [4095, 2],
      [0x10_0000 - 3, 70_000],
      [5, 0x10_0000],
      [bytes.length - 4096, 4096],
    ] as const) {
      const into = new Uint8Array(length);
      expect(memory.read(at, into)).toBe(true);
      expect(Buffer.compare(into, bytes.subarray(at, at + length))).toBe(0);
      const written = Buffer.alloc(length, at & 255);
      expect(memory.write(at, written)).toBe(true);
      bytes.set(written, at);
    }
    memory.close();
    memory.close();
    closeSync(fd);
    expect(Buffer.compare(readFileSync(path), bytes)).toBe(0);
  });

  test("what may not be mapped is told", () => {
    writeFileSync(path, Buffer.alloc(4096));
    const fd = openSync(path, "r");
    const memory = MappedMemory.open(fd, true)!;
    expect(memory.read(0, new Uint8Array(8))).toBe(false);
    expect(memory.write(0, new Uint8Array(8))).toBe(false);
    memory.close();
    closeSync(fd);
  });

  test("a file itself is read and written without", () => {
    writeFileSync(path, Buffer.alloc(8192));
    const memory = new MemoryFile(path, "r+");
    memory.write(4090, Uint8Array.of(1, 2, 3, 4, 5, 6, 7));
    const into = new Uint8Array(8);
    memory.read(4090, into);
    expect([...into]).toEqual([1, 2, 3, 4, 5, 6, 7, 0]);
    expect([memory.reaches(4096), memory.reaches(8192)]).toEqual([true, false]);
    memory.close();
    const readOnly = new MemoryFile(path, "r");
    expect(() => readOnly.write(0, Uint8Array.of(1))).toThrow(/cannot write memory at 0x0/);
    readOnly.close();
  });
});

describe("whose memory is where", () => {
  test("/proc/iomem of a capture kernel", () => {
    const map = parseIomem(CAPTURE)!;
    expect(map.ram).toEqual([
      { start: 0x1000, end: 0x9fc00 },
      { start: 0x2c000000, end: 0x45fffc00 },
    ]);
    expect(map.reserved).toEqual([
      { start: 0, end: 0x1000 },
      { start: 0x47fc2000, end: 0x48000000 },
    ]);
    // Low memory is the capture kernel's too; above its own, /dev/mem does not reach.
    const old = [
      { start: 0x1000, end: 0x9f000 },
      { start: 0x100000, end: 0x2c000000 },
      { start: 0x46000000, end: 0x47fc2000 },
    ];
    // The first page of the second MiB keeps them apart from the firmware's.
    expect(reusableMemory(old, map, () => false)).toEqual([{ start: 0x101000, end: 0x2c000000 }]);
    // But where it can be mapped.
    const asked: number[] = [];
    const mapped = reusableMemory(old, map, (paddr) => asked.push(paddr) > 0);
    expect(mapped).toEqual([
      { start: 0x101000, end: 0x2c000000 },
      { start: 0x46000000, end: 0x47fc2000 },
    ]);
    expect(asked).toEqual([0x47fc1000]);
  });

  test("addresses that are hidden tell nothing", () => {
    expect(parseIomem("00000000-00000000 : System RAM\n00000000-00000000 : Reserved\n")).toBeUndefined();
    expect(parseIomem("")).toBeUndefined();
  });

  test("the old kernel's RAM as parameters", () => {
    const old = [
      { start: 0x1000, end: 0x9f000 },
      { start: 0x100000, end: 0x2a000000 },
      { start: 0x46000000, end: 0x46100000 },
      { start: 0x1_0000_0000, end: 0x1_8000_0000 },
    ];
    expect(ramParameters(old)).toEqual(["memmap=0x29f00000@0x100000", "memmap=0x80000000@0x100000000"]);
  });

  test("what is left consists of whole pages", () => {
    expect(subtract([{ start: 100, end: 0x10100 }], [{ start: 0x4100, end: 0x5001 }])).toEqual([
      { start: 0x1000, end: 0x4000 },
      { start: 0x6000, end: 0x10000 },
    ]);
    expect(subtract([{ start: 0, end: 0x1000 }], [{ start: 0, end: 0x2000 }])).toEqual([]);
  });
});
