import { isDumpError } from "../bytes/index.ts";
import { codecByName, type CodecName, inflatePart } from "../codec/index.ts";
import { textShare } from "./carve.ts";
import type { Compression } from "./record.ts";

/** What a payload that its backend marks as compressed turned out to hold. */
export interface Payload {
  /** The text; the bytes as they were stored where nothing fits. */
  readonly content: Uint8Array;
  readonly compression: Compression;
  readonly problems: readonly string[];
}

/** {@link decompressPayload}, as readers take it: they run without codecs too. */
export type DecompressPayload = (stored: Uint8Array) => Payload;

/** No kernel's text is longer: kmsg_bytes is 10 KiB by default, and the log buffer bounds it. */
const LIMIT = 1024 * 1024;
/** Kernel text is ASCII but for names of devices and files. */
const PLAUSIBLE = 0.9;
/** Shorter text out of a damaged stream is as likely to be chance. */
const SHORTEST_PART = 32;

/** In the order in which a wrong guess is least likely: zstd has a magic number, deflate and zlib end by themselves. */
const CODECS: readonly (CodecName & Compression)[] = ["zstd", "deflate", "zlib", "lz4", "lzo", "842"];

/**
 * Decompresses a dmesg payload. Which algorithm the kernel used is not stored with it (linux:fs/pstore/platform.c:pstore_compress),
 * so all that any kernel had are tried; the first that gives text, and enough for so many bytes, is taken. A deflate stream that
 * breaks off gives what comes before. Throws nothing.
 */
export function decompressPayload(stored: Uint8Array): Payload {
  const room = new Uint8Array(LIMIT);
  let little: Payload | undefined;
  let part: Payload | undefined;
  for (const name of CODECS) {
    if (name === "zstd" && !startsWith(stored, [0x28, 0xb5, 0x2f, 0xfd])) continue;
    let text: Uint8Array;
    if (name === "deflate" || name === "zlib") {
      // Node's inflate keeps its buffers after an error until the event loop turns: thousands of records would fill the memory.
      const { bytes, complete } = inflatePart(stored, name, LIMIT);
      if (!complete) {
        if (!part && bytes.length >= SHORTEST_PART && textShare(bytes) >= PLAUSIBLE) {
          const problem = `the compressed text is damaged: ${bytes.length} bytes could be read, what follows is lost`;
          part = { content: bytes, compression: name, problems: [problem] };
        }
        continue;
      }
      text = bytes;
    } else {
      try {
        text = room.slice(0, codecByName(name).decompress(stored, room));
      } catch (error) {
        if (!isDumpError(error)) throw error;
        continue;
      }
    }
    if (text.length === 0 || textShare(text) < PLAUSIBLE) continue;
    if (stored.length <= mostCompressed(text.length)) return { content: text, compression: name, problems: [] };
    if (text.length >= SHORTEST_PART) {
      little ??= {
        content: text,
        compression: name,
        problems: [`the ${stored.length} compressed bytes give ${text.length} of text, fewer than they should: it may be cut or wrong`],
      };
    }
  }
  if (little) return little;
  if (part) return part;
  return {
    content: stored,
    compression: "unknown",
    problems: [`marked as compressed, and none of ${CODECS.join(", ")} gives text; the ${stored.length} bytes are kept as they are`],
  };
}

/**
 * Bytes that a text of so many takes at most in any of the algorithms: 842 adds 5 bits to 64 where it finds nothing, the others
 * less and a fixed part. An lz4 block may begin with what in deflate is a letter and the end; its length tells it apart.
 */
function mostCompressed(length: number): number {
  return Math.ceil((length * 9) / 8) + 72;
}

function startsWith(bytes: Uint8Array, magic: readonly number[]): boolean {
  return magic.every((byte, i) => bytes[i] === byte);
}
