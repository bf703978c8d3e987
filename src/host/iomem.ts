import type { Receipt, Root } from "./root.ts";

export interface Range {
  /** First byte, and the byte after the last. */
  readonly from: number;
  readonly to: number;
  readonly name: string;
  /** 0 for what is in no other. */
  readonly depth: number;
  readonly at: Receipt;
}

export interface IoMemory {
  readonly ranges: readonly Range[];
  /** Without privilege the kernel shows zeros (linux:kernel/resource.c:r_show). */
  readonly hidden: boolean;
}

const PATH = "/proc/iomem";

export function readIoMemory(root: Root): IoMemory | undefined {
  const ranges: Range[] = [];
  for (const { text, at } of root.lines(PATH)) {
    const match = /^( *)([0-9a-f]{1,16})-([0-9a-f]{1,16}) : (.+)$/.exec(text);
    if (!match) continue;
    ranges.push({
      from: Number.parseInt(match[2]!, 16),
      to: Number.parseInt(match[3]!, 16) + 1,
      name: match[4]!.trim(),
      depth: match[1]!.length / 2,
      at,
    });
  }
  return ranges.length === 0 ? undefined : { ranges, hidden: ranges.every((range) => range.from === 0 && range.to === 1) };
}

/**
 * The first range of System RAM that a piece of memory reaches into: there the kernel puts what it likes. Undefined where there is none,
 * and where the whole piece is reserved within it, as arm64 shows it (linux:arch/arm64/kernel/setup.c:reserve_memblock_reserved_regions).
 */
export function systemRamAt(memory: IoMemory, address: number, size: number): Range | undefined {
  const reserved = memory.ranges.some(
    (range) => range.depth > 0 && /^reserved$/i.test(range.name) && range.from <= address && address + size <= range.to,
  );
  if (reserved) return undefined;
  return memory.ranges.find(
    (range) => range.depth === 0 && range.name.startsWith("System RAM") && range.from < address + size && address < range.to,
  );
}
