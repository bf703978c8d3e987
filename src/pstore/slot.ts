import type { RecordType } from "./record.ts";

/** One zone's place: offset from the storage's start. */
export interface ZoneSlot {
  readonly type: RecordType;
  /** Number among the zones of its type. */
  readonly index: number;
  readonly offset: number;
  readonly size: number;
}

/** Zones in words: `pmsg 64 KiB, console 64 KiB, 30 dmesg of 64 KiB`. */
export function describeSlots(slots: readonly ZoneSlot[]): string {
  const groups: { type: RecordType; size: number; count: number }[] = [];
  for (const { type, size } of slots) {
    const last = groups.at(-1);
    if (last?.type === type && last.size === size) last.count++;
    else groups.push({ type, size, count: 1 });
  }
  return groups
    .map(({ type, size, count }) => (count > 1 || type === "dmesg" ? `${count} ${type} of ${inWords(size)}` : `${type} ${inWords(size)}`))
    .join(", ");
}

function inWords(size: number): string {
  return size % 1024 === 0 ? `${size / 1024} KiB` : `${size} bytes`;
}
