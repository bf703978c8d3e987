import { type ByteSource, isDumpError } from "../../bytes/index.ts";
import type { RecordType } from "../record.ts";
import type { ZoneSlot } from "../slot.ts";
import {
  DATALEN,
  MAX_DEVICE,
  PSZ_HEADER_SIZE,
  type PszLayout,
  type PszSizes,
  pszZones,
  SECTOR_SIZE,
  SIG,
  START,
  typeOfSignature,
} from "./layout.ts";

/*
 * The sizes of pstore/blk's zones are nowhere on the device. Every zone that was written begins with a signature that
 * names its type, at a multiple of 512 bytes, and the order of the types is fixed: that is what is gone by.
 */

/** A way to read a device, with what speaks for it. */
export interface PszGuess extends PszLayout {
  /** How well it fits: more is better; below 1 nothing on the device confirms it. */
  readonly score: number;
  readonly reason: string;
}

/** A zone's header as found. */
interface Head {
  readonly offset: number;
  readonly type: RecordType;
  readonly littleEndian: boolean;
  readonly datalen: number;
}

/** The order of types on a device. */
const ORDER: readonly RecordType[] = ["pmsg", "console", "tty", "ftrace", "dmesg"];
/** dmesg zones are tried in these sizes where only one was ever written; the kernel's default first. */
const KMSG_SIZES: readonly number[] = [65536, 32768, 16384, 131072, 8192, 4096, 262144, 524288, 1048576];
const BLOCK = 1024 * 1024;

function findHeads(source: ByteSource): Head[] {
  const heads: Head[] = [];
  const end = Math.min(source.size, MAX_DEVICE);
  const block = new Uint8Array(Math.min(BLOCK, end));
  for (let base = 0; base < end; base += BLOCK) {
    const got = readQuietly(source, base, block.subarray(0, Math.min(BLOCK, end - base)));
    const view = new DataView(block.buffer, 0, got);
    for (let at = 0; at + PSZ_HEADER_SIZE <= got; at += SECTOR_SIZE) {
      // "CG" in the middle of the signature, whichever way round.
      if (block[at + 2] !== 0x47 && block[at + 1] !== 0x47) continue;
      for (const littleEndian of [true, false]) {
        const type = typeOfSignature(view.getUint32(at + SIG, littleEndian));
        const datalen = view.getInt32(at + DATALEN, littleEndian);
        const start = view.getInt32(at + START, littleEndian);
        if (type && ORDER.includes(type) && datalen >= 0 && start >= 0 && datalen < end && start < end) {
          heads.push({ offset: base + at, type, littleEndian, datalen });
        }
      }
    }
  }
  return heads;
}

function readQuietly(source: ByteSource, at: number, into: Uint8Array): number {
  try {
    return source.read(at, into);
  } catch (error) {
    if (!isDumpError(error)) throw error;
    return 0;
  }
}

/** Layouts that fit the signatures found on a device, best first; none where there is no signature. */
export function inferPszLayouts(source: ByteSource): PszGuess[] {
  const all = findHeads(source);
  const littleEndian = all.filter((head) => head.littleEndian).length * 2 >= all.length;
  const heads = inOrder(all.filter((head) => head.littleEndian === littleEndian));
  if (heads.length === 0) return [];
  const end = Math.min(source.size, MAX_DEVICE);
  const rings = heads.filter((head) => head.type !== "dmesg");
  const dmesg = heads.filter((head) => head.type === "dmesg");
  const slots: ZoneSlot[] = [];
  const counts = new Map<RecordType, number>();
  for (const [i, head] of rings.entries()) {
    const next = heads[i + 1]?.offset ?? end;
    const index = counts.get(head.type) ?? 0;
    counts.set(head.type, index + 1);
    slots.push({ type: head.type, index, offset: head.offset, size: next - head.offset });
  }
  const guesses: PszGuess[] = [];
  const first = dmesg[0];
  if (!first) guesses.push(guess(slots, littleEndian, heads.length, "no dmesg zone was ever written"));
  else {
    for (const { size, reason, weight } of kmsgSizes(dmesg, end)) {
      const count = Math.floor((end - first.offset) / size);
      const zones = Array.from({ length: count }, (_, index): ZoneSlot => ({
        type: "dmesg",
        index,
        offset: first.offset + index * size,
        size,
      }));
      guesses.push(guess([...slots, ...zones], littleEndian, heads.length + weight, reason));
    }
  }
  return guesses.sort((a, b) => b.score - a.score);
}

function guess(slots: readonly ZoneSlot[], littleEndian: boolean, score: number, reason: string): PszGuess {
  return { slots, littleEndian, score, reason: `zones found by their signatures: ${reason}` };
}

/** Sizes that dmesg zones at these places can have. */
function kmsgSizes(dmesg: readonly Head[], end: number): { size: number; reason: string; weight: number }[] {
  const first = dmesg[0]!.offset;
  const longest = Math.max(...dmesg.map((head) => head.datalen)) + PSZ_HEADER_SIZE;
  const spacing = dmesg.reduce((step, head) => gcd(step, head.offset - first), 0);
  if (spacing > 0) return [{ size: spacing, reason: `${dmesg.length} records lie multiples of ${spacing} bytes apart`, weight: 2 }];
  const sizes = KMSG_SIZES.filter((size) => size >= longest && first + size <= end);
  // One record alone: nothing behind it says how long its zone is. Its text ends where its length says in any of them.
  return sizes.length === 0
    ? [{ size: end - first, reason: "the only record's zone reaches to the end", weight: 0 }]
    : sizes.map((size, i) => ({
        size,
        reason: `one record only: kmsg_size ${size / 1024} KiB is ${i === 0 ? "likely" : "possible"}`,
        weight: -i / 16,
      }));
}

/** The heads whose types are in the order of a device: others are old text, or of an older layout. */
function inOrder(heads: readonly Head[]): Head[] {
  const kept: Head[] = [];
  for (const head of heads) {
    const last = kept.at(-1);
    if (last && ORDER.indexOf(head.type) < ORDER.indexOf(last.type)) continue;
    // Only ftrace and dmesg have more than one zone.
    if (last?.type === head.type && ORDER.indexOf(head.type) < 3) continue;
    kept.push(head);
  }
  return kept;
}

function gcd(a: number, b: number): number {
  while (b > 0) [a, b] = [b, a % b];
  return a;
}

/** Numbers of CPUs tried for the ftrace zones. */
const CPU_COUNTS: readonly number[] = [1, 2, 3, 4, 6, 8, 12, 16, 20, 24, 28, 32, 40, 48, 56, 64, 72, 80, 96, 112, 128, 192, 256, 384, 512];

/**
 * Layouts for sizes that are known, best first: byte order and number of CPUs remain to be found.
 *
 * @throws BAD_ARGUMENT where the kernel would refuse the sizes.
 */
export function completePszLayout(source: ByteSource, sizes: PszSizes): PszGuess[] {
  const heads = findHeads(source);
  return (sizes.ftraceSize > 0 ? CPU_COUNTS : [1])
    .flatMap((cpus) =>
      [true, false].map((littleEndian): PszGuess => {
        const slots = pszZones(sizes, cpus);
        const own = new Map(heads.filter((head) => head.littleEndian === littleEndian).map((head) => [head.offset, head.type]));
        const fits = slots.filter((slot) => own.get(slot.offset) === slot.type).length;
        const reason = `${fits} of ${slots.length} zones have a signature where these sizes put them`;
        return { slots, littleEndian, score: fits - cpus / 1024, reason };
      }),
    )
    .sort((a, b) => b.score - a.score);
}
