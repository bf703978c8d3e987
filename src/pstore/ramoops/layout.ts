import { DumpError } from "../../bytes/index.ts";
import type { RecordType } from "../record.ts";
import { describeSlots, type ZoneSlot } from "../slot.ts";

/*
 * One zone (linux:fs/pstore/ram_core.c:struct persistent_ram_buffer), everything in the byte order of the machine:
 *
 *   0    u32 sig      PERSISTENT_RAM_SIG, XOR the writer's version for ftrace zones
 *   4    u32 start    where the next byte of the ring goes
 *   8    u32 size     valid bytes
 *   12   data[capacity]
 *        parity of each block of 128 data bytes, ecc_size bytes each    } with ECC only
 *        parity of the 12 header bytes                                  }
 */

/** "DBGC" as it lies in memory of a little-endian machine. */
export const PERSISTENT_RAM_SIG: number = 0x43474244;
export const ZONE_HEADER_SIZE: number = 12;
export const SIG: number = 0;
export const START: number = 4;
export const SIZE: number = 8;

/** Data bytes that one group of parity bytes is for. */
export const ECC_BLOCK_SIZE: number = 128;
/** `ecc=1` means this many parity bytes (linux:fs/pstore/ram.c:ramoops_register_dummy). */
export const DEFAULT_ECC_SIZE: number = 16;
/** A region larger than this is somebody's mistake: ramoops regions are a few MiB. */
export const MAX_REGION: number = 256 * 1024 * 1024;
/** More CPUs than any kernel is built for. */
const MAX_FTRACE_ZONES = 8192;

/** Where things lie within one zone; all offsets in bytes from its start. */
export interface ZoneGeometry {
  /** Bytes of the zone. */
  readonly size: number;
  /** Parity bytes of a block; 0 without ECC. */
  readonly eccSize: number;
  /** Bytes of the ring. */
  readonly capacity: number;
  readonly eccBlocks: number;
  /** Of the parity of block 0; block i has it `i * eccSize` later. */
  readonly parityAt: number;
  readonly headerParityAt: number;
}

/**
 * How a zone splits into header, ring and parity (linux:fs/pstore/ram_core.c:persistent_ram_init_ecc).
 *
 * @param size bytes of the zone; @param eccSize parity bytes a block, 0 for no ECC, at most 127.
 * @throws BAD_ARGUMENT when nothing would be left for data.
 */
export function zoneGeometry(size: number, eccSize: number): ZoneGeometry {
  const room = size - ZONE_HEADER_SIZE;
  const eccBlocks = eccSize === 0 ? 0 : Math.max(0, Math.ceil((room - eccSize) / (ECC_BLOCK_SIZE + eccSize)));
  const eccTotal = eccSize === 0 ? 0 : (eccBlocks + 1) * eccSize;
  if (room <= 0 || eccTotal >= room) {
    throw new DumpError("BAD_ARGUMENT", `a ramoops zone of ${size} bytes has no room for data with ${eccSize} ECC bytes a block`);
  }
  const capacity = room - eccTotal;
  const parityAt = ZONE_HEADER_SIZE + capacity;
  return { size, eccSize, capacity, eccBlocks, parityAt, headerParityAt: parityAt + eccBlocks * eccSize };
}

/** ramoops' parameters, in bytes; names as in linux:Documentation/admin-guide/ramoops.rst, in camel case. */
export interface RamoopsSizes {
  readonly memSize: number;
  readonly recordSize: number;
  readonly consoleSize: number;
  readonly ftraceSize: number;
  readonly pmsgSize: number;
  /** Of the 2023 series, and of our recorder; no released kernel has it. */
  readonly ttySize: number;
  /** Parity bytes a block; 0 without ECC. The parameter's 1 is 16 here. */
  readonly eccSize: number;
}

/**
 * Order of the zones behind dmesg and console. `pmsg-first` since linux commit "pstore: Move pmsg init earlier" (6.2),
 * `ftrace-first` from 4.0 to 6.1. The tty zone stands before ftrace in the first and last in the second.
 */
export type ZoneOrder = "pmsg-first" | "ftrace-first";

/** Rounds down to a power of two; 0 stays 0 (linux:fs/pstore/ram.c:ramoops_probe does so with every size but the region's). */
export function powerOfTwoBelow(size: number): number {
  return size < 1 ? 0 : 2 ** Math.floor(Math.log2(size));
}

/** How a region is read: its zones and how they are coded. */
export interface RamoopsLayout {
  /** Ascending by offset. */
  readonly slots: readonly ZoneSlot[];
  /** Parity bytes a block; 0 without ECC. */
  readonly eccSize: number;
  readonly littleEndian: boolean;
}

/**
 * The zones of a region, ascending (linux:fs/pstore/ram.c:ramoops_probe, ramoops_init_przs).
 *
 * @param ftraceZones possible CPUs of the writer, or 1 where its ftrace zone is not per CPU.
 * @throws BAD_ARGUMENT where the kernel would refuse the sizes: none at all, or more than the region has.
 */
export function ramoopsZones(sizes: RamoopsSizes, order: ZoneOrder, ftraceZones: number): ZoneSlot[] {
  const { memSize } = sizes;
  if (!(memSize > 0 && memSize <= MAX_REGION))
    throw new DumpError("BAD_ARGUMENT", `mem_size is ${memSize}; 1 to ${MAX_REGION} bytes can be read`);
  const [record, consoleSize, ftrace, pmsg, tty] = [
    sizes.recordSize,
    sizes.consoleSize,
    sizes.ftraceSize,
    sizes.pmsgSize,
    sizes.ttySize,
  ].map(powerOfTwoBelow) as [number, number, number, number, number];
  const dmesgTotal = memSize - consoleSize - ftrace - pmsg - tty;
  if (dmesgTotal < 0) {
    throw new DumpError(
      "BAD_ARGUMENT",
      `mem_size is ${memSize}, the zones need console ${consoleSize}, ftrace ${ftrace}, pmsg ${pmsg} and tty ${tty}`,
    );
  }
  const slots: ZoneSlot[] = [];
  let offset = 0;
  const add = (type: RecordType, total: number, count: number): void => {
    if (total === 0 || count === 0) return;
    const size = evenBelow(Math.floor(total / count));
    // A zone that cannot hold its header is no zone; the kernel would not have probed.
    if (size <= ZONE_HEADER_SIZE) throw new DumpError("BAD_ARGUMENT", `${count} ${type} zones of ${size} bytes cannot hold anything`);
    for (let index = 0; index < count; index++) slots.push({ type, index, offset: offset + index * size, size });
    offset += size * count;
  };
  add("dmesg", dmesgTotal, record === 0 ? 0 : Math.floor(dmesgTotal / record));
  // Without dmesg zones the rest still begins at the region's start.
  add("console", consoleSize, 1);
  const cpus = Math.max(1, Math.min(ftraceZones, MAX_FTRACE_ZONES));
  if (order === "ftrace-first") add("ftrace", ftrace, cpus);
  add("pmsg", pmsg, 1);
  add("tty", tty, 1);
  if (order === "pmsg-first") add("ftrace", ftrace, cpus);
  if (slots.length === 0)
    throw new DumpError("BAD_ARGUMENT", "all sizes are 0: record_size, console_size, ftrace_size, pmsg_size, tty_size");
  return slots;
}

/**
 * The zones as our recorder places them: tty at the region's end, all others as {@link ramoopsZones} does in what is left. A kernel
 * without a tty frontend that is told `mem_size` less `tty_size` so finds every zone that it knows where it looks for it.
 *
 * @throws as {@link ramoopsZones}.
 */
export function recorderZones(sizes: RamoopsSizes, order: ZoneOrder, ftraceZones: number): ZoneSlot[] {
  const ttySize = powerOfTwoBelow(sizes.ttySize);
  if (ttySize === 0) return ramoopsZones(sizes, order, ftraceZones);
  const memSize = sizes.memSize - ttySize;
  const others = sizes.recordSize + sizes.consoleSize + sizes.ftraceSize + sizes.pmsgSize > 0;
  const slots = others ? ramoopsZones({ ...sizes, memSize, ttySize: 0 }, order, ftraceZones) : [];
  if (memSize < 0 || ttySize <= ZONE_HEADER_SIZE)
    throw new DumpError("BAD_ARGUMENT", `mem_size is ${sizes.memSize}, the tty zone alone needs ${ttySize}`);
  return [...slots, { type: "tty", index: 0, offset: memSize, size: ttySize }];
}

function evenBelow(size: number): number {
  return size - (size % 2);
}

/** A layout in words: `30 dmesg of 32 KiB, console 32 KiB, pmsg 16 KiB, ECC 16`. */
export function describeLayout({ slots, eccSize }: Pick<RamoopsLayout, "slots" | "eccSize">): string {
  return `${describeSlots(slots)}, ${eccSize > 0 ? `ECC ${eccSize}` : "no ECC"}`;
}
