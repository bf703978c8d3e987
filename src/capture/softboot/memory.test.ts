import { describe, expect, test } from "vitest";
import { parseIomem, ramParameters, reusableMemory, subtract } from "./memory.ts";

const CAPTURE = `00000000-00000fff : Reserved
00001000-0009fbff : System RAM
000a0000-000bffff : PCI Bus 0000:00
2c000000-45fffbff : System RAM
  2d000000-2e0025b1 : Kernel code
45fffc00-45ffffff : System RAM
46000000-47fc1fff : RAM buffer
47fc2000-47ffffff : Reserved
`;

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
