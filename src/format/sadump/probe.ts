import { type ByteSource, Fields } from "../../bytes/index.ts";
import {
  MAX_BLOCK_SIZE,
  MEDIA_HEADER_SIZE,
  PART_HEADER_SIZE,
  parseMediaHeader,
  parsePartHeader,
  SADUMP_DEFAULT_BLOCK_SIZE,
  SADUMP_SIGNATURE,
} from "./layout.ts";

/** Where the partition header is. */
export interface SadumpPlace {
  /** 0, or the size of the media header's block in a media backup. */
  readonly partHeader: number;
}

export function hasSignature(bytes: Uint8Array, offset: number): boolean {
  return offset + 8 <= bytes.length && Buffer.from(bytes.buffer, bytes.byteOffset + offset, 8).toString("latin1") === SADUMP_SIGNATURE;
}

/**
 * Finds the partition header (its two signature words are the dump header's eight characters): at the start, or one
 * block on behind a media header that names the same system and disk set.
 *
 * @throws IO only.
 */
export function findPartHeader(source: ByteSource): SadumpPlace | undefined {
  const bytes = new Uint8Array(PART_HEADER_SIZE);
  if (source.read(0, bytes) < bytes.length) return undefined;
  if (hasSignature(bytes, 0)) return { partHeader: 0 };
  const media = parseMediaHeader(new Fields(bytes.slice(0, MEDIA_HEADER_SIZE), true));
  for (let block = SADUMP_DEFAULT_BLOCK_SIZE; block <= MAX_BLOCK_SIZE; block *= 2) {
    if (source.read(block, bytes) < bytes.length) return undefined;
    if (!hasSignature(bytes, 0)) continue;
    const part = parsePartHeader(new Fields(bytes, true));
    if (part.sadump_id === media.sadump_id && part.disk_set_id === media.disk_set_id) return { partHeader: block };
  }
  return undefined;
}

/** True when it is a sadump volume or media backup. */
export function probeSadump(source: ByteSource): boolean {
  try {
    return findPartHeader(source) !== undefined;
  } catch {
    return false;
  }
}
