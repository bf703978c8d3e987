// Not through the index: the recorder has no use for the other codecs, which take memory.
import { ReedSolomon } from "../../codec/reed-solomon.ts";
import type { EccReport } from "../record.ts";
import { ECC_BLOCK_SIZE, PERSISTENT_RAM_SIG, SIG, SIZE, START, ZONE_HEADER_SIZE, type ZoneGeometry, zoneGeometry } from "./layout.ts";

/**
 * What a zone's header says, by the kernel's own rules (linux:fs/pstore/ram_core.c:persistent_ram_post_init):
 * `valid`, `empty` (zapped, or never written), `invalid` (size or start out of bounds: the kernel would zap it), `foreign`
 * (another signature: a zone that never was, or one whose header is destroyed).
 */
export type ZoneStatus = "valid" | "empty" | "invalid" | "foreign";

/** A zone with its errors mended as far as the parity goes. */
export interface ZoneContent {
  readonly geometry: ZoneGeometry;
  readonly status: ZoneStatus;
  readonly start: number;
  readonly size: number;
  /** LINUX_VERSION_CODE of the writer, where the signature carries one (ftrace zones); else 0. */
  readonly version: number;
  /** The whole ring, mended, in its physical order: `capacity` bytes. */
  readonly data: Uint8Array;
  /** The text in the order it was written, where `status` is `valid`; else empty. */
  readonly log: Uint8Array;
  /** What the kernel counts: header, and the blocks that hold valid data. Undefined without ECC. */
  readonly ecc: EccReport | undefined;
  /** Offsets in `data` of blocks that could not be mended, whether or not they hold valid data. */
  readonly lostBlocks: readonly number[];
}

const codes = new Map<number, ReedSolomon>();

/** The code of `eccSize` parity bytes, made once. */
export function codeOf(eccSize: number): ReedSolomon {
  let code = codes.get(eccSize);
  if (!code) codes.set(eccSize, (code = new ReedSolomon(eccSize)));
  return code;
}

/** Version code in an ftrace zone's signature: major 3 to 9, minor below 64 (a kernel from 3.6 to the next years); else undefined. */
export function versionOfSignature(sig: number): number | undefined {
  const version = (sig ^ PERSISTENT_RAM_SIG) >>> 0;
  const major = version >>> 16;
  return major >= 3 && major <= 9 && ((version >>> 8) & 0xff) < 64 ? version : undefined;
}

/**
 * Reads one zone.
 *
 * @param zone its bytes; they are not changed. @param eccSize parity bytes a block, 0 without ECC.
 * @throws BAD_ARGUMENT when the zone has no room for data with that ECC.
 */
export function readZone(zone: Uint8Array, eccSize: number, littleEndian: boolean): ZoneContent {
  const geometry = zoneGeometry(zone.length, eccSize);
  const { capacity, parityAt, headerParityAt } = geometry;
  const bytes = zone.slice();
  let corrected = 0;
  let headerLost = false;
  const lostBlocks: number[] = [];
  const mended: number[] = [];
  if (eccSize > 0) {
    const code = codeOf(eccSize);
    const inHeader = code.correct(bytes, 0, ZONE_HEADER_SIZE, headerParityAt);
    if (inHeader < 0) headerLost = true;
    else corrected = inHeader;
    for (let block = 0; block * ECC_BLOCK_SIZE < capacity; block++) {
      const at = block * ECC_BLOCK_SIZE;
      const count = code.correct(bytes, ZONE_HEADER_SIZE + at, Math.min(ECC_BLOCK_SIZE, capacity - at), parityAt + block * eccSize);
      mended.push(Math.max(count, 0));
      if (count < 0) lostBlocks.push(at);
    }
  }
  const view = new DataView(bytes.buffer);
  const sig = view.getUint32(SIG, littleEndian);
  const start = view.getUint32(START, littleEndian);
  const size = view.getUint32(SIZE, littleEndian);
  const version = sig === PERSISTENT_RAM_SIG ? 0 : versionOfSignature(sig);
  const status = ((): ZoneStatus => {
    if (version === undefined) return "foreign";
    if (size === 0 && start === 0) return "empty";
    return size > capacity || start > size ? "invalid" : "valid";
  })();
  const data = bytes.subarray(ZONE_HEADER_SIZE, ZONE_HEADER_SIZE + capacity);
  const log = status === "valid" ? unroll(data, start, size) : new Uint8Array();

  let ecc: EccReport | undefined;
  if (eccSize > 0) {
    // The kernel decodes the blocks that begin below `size`, not those that only an older, longer log reached.
    const used = status === "valid" ? Math.ceil(size / ECC_BLOCK_SIZE) : 0;
    for (let block = 0; block < used; block++) corrected += mended[block]!;
    const lostUsed = lostBlocks.filter((at) => at < used * ECC_BLOCK_SIZE);
    ecc = {
      corrected,
      lostBlocks: lostUsed.length + (headerLost ? 1 : 0),
      lost: lostUsed.flatMap((at) => unrolledRanges(at, Math.min(at + ECC_BLOCK_SIZE, size), start, size)).sort((a, b) => a[0] - b[0]),
    };
  }
  return { geometry, status, start, size, version: version ?? 0, data, log, ecc, lostBlocks };
}

/** Ring order to written order (linux:fs/pstore/ram_core.c:persistent_ram_save_old). */
function unroll(data: Uint8Array, start: number, size: number): Uint8Array {
  const log = new Uint8Array(size);
  log.set(data.subarray(start, size));
  log.set(data.subarray(0, start), size - start);
  return log;
}

/** Where ring bytes `[from, to)` went in the unrolled log: one range, or two when the seam is among them. */
function unrolledRanges(from: number, to: number, start: number, size: number): [number, number][] {
  const ranges: [number, number][] = [];
  if (from < Math.min(to, start)) ranges.push([size - start + from, Math.min(to, start) - from]);
  if (Math.max(from, start) < to) ranges.push([Math.max(from, start) - start, to - Math.max(from, start)]);
  return ranges;
}
