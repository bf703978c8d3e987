import type { ByteSource } from "../../bytes/index.ts";
import { DUMP_MAGIC_LIVE, DUMP_MAGIC_NUMBER, DUMP_MAGIC_S390, LKCD_DUMP_VERSION_NUMBER_MASK } from "./layout.ts";

/** Where the dump header can be on a dump device, after the swap header of the largest page size. */
const DEVICE_OFFSETS = [4096, 8192, 16384, 32768, 65536] as const;

/** What the first bytes say. */
export interface LkcdPlace {
  /** Offset of the dump header. */
  readonly base: number;
  readonly littleEndian: boolean;
  readonly magic: bigint;
}

function magicAt(bytes: Uint8Array): { littleEndian: boolean; magic: bigint } | undefined {
  if (bytes.length < 8) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, 8);
  for (const littleEndian of [true, false]) {
    const magic = view.getBigUint64(0, littleEndian);
    if (magic === DUMP_MAGIC_NUMBER || magic === DUMP_MAGIC_LIVE || magic === DUMP_MAGIC_S390) return { littleEndian, magic };
  }
  return undefined;
}

/**
 * Finds the dump header: at the start of a saved dump, or behind the swap header of a dump device.
 *
 * @returns undefined where there is none.
 * @throws IO only.
 */
export function findHeader(source: ByteSource): LkcdPlace | undefined {
  const bytes = new Uint8Array(24);
  const first = magicAt(bytes.subarray(0, source.read(0, bytes)));
  if (first) return { base: 0, ...first };
  for (const base of DEVICE_OFFSETS) {
    if (source.read(base, bytes) < bytes.length) return undefined;
    const found = magicAt(bytes);
    if (!found || found.magic !== DUMP_MAGIC_NUMBER) continue;
    // Eight bytes in the middle of something else are weak: the version and the page size must make sense too.
    const view = new DataView(bytes.buffer);
    const version = view.getUint32(8, found.littleEndian) & LKCD_DUMP_VERSION_NUMBER_MASK;
    const pageSize = view.getUint32(20, found.littleEndian);
    if (version >= 1 && version <= 10 && pageSize >= 4096 && pageSize <= 1 << 20 && (pageSize & (pageSize - 1)) === 0)
      return { base, ...found };
  }
  return undefined;
}

/** True when it is an LKCD dump, or the s390 stand-alone dump that shares its magic number's first digits. */
export function probeLkcd(source: ByteSource): boolean {
  try {
    return findHeader(source) !== undefined;
  } catch {
    return false;
  }
}
