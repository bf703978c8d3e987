import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { describe, expect, test } from "vitest";
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

describe("a few bytes in one page", () => {
  test.each([
    ["by a mapping", "0"],
    ["by write(), without node:ffi", "1"],
  ])("%s", (_, without) => {
    const path = join(mkdtempSync(join(tmpdir(), "lastwords-poke-")), "memory");
    const bytes = Buffer.alloc(3 * 4096, 0x11);
    writeFileSync(path, bytes);
    const had = process.env["LASTWORDS_NO_FFI"];
    process.env["LASTWORDS_NO_FFI"] = without;
    try {
      const memory = new MemoryFile(path, "r+");
      memory.poke(4096 + 7, Uint8Array.of(0xeb, 0xfd));
      memory.poke(2 * 4096 + 4095, Uint8Array.of(0xf4));
      // Over the end of a page.
      memory.poke(4095, Uint8Array.of(1, 2));
      memory.close();
      const readOnly = new MemoryFile(path, "r");
      expect(() => readOnly.poke(0, Uint8Array.of(1))).toThrow(/cannot write memory at 0x0/);
      readOnly.close();
    } finally {
      if (had === undefined) delete process.env["LASTWORDS_NO_FFI"];
      else process.env["LASTWORDS_NO_FFI"] = had;
    }
    for (const [at, value] of [
      [4095, 1],
      [4096, 2],
      [4096 + 7, 0xeb],
      [4096 + 8, 0xfd],
      [2 * 4096 + 4095, 0xf4],
    ] as const)
      bytes[at] = value;
    expect(Buffer.compare(readFileSync(path), bytes)).toBe(0);
    rmSync(dirname(path), { recursive: true });
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
    expect(reusableMemory(old, map)).toEqual([{ start: 0x101000, end: 0x2c000000 }]);
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
