import { DumpError } from "../bytes/index.ts";
import { deflate } from "./deflate.ts";
import { lz4 } from "./lz4.ts";
import { lzo } from "./lzo.ts";
import { rle } from "./rle.ts";
import { snappy } from "./snappy.ts";
import { sw842 } from "./sw842.ts";
import { zlib } from "./zlib.ts";
import { zstd } from "./zstd.ts";

/** One way of compressing a page. Stateless; safe to share. */
export interface PageCodec {
  readonly name: CodecName;
  /**
   * Decompresses all of `input` into `output`, which is as long as the page must be. Never writes past it.
   *
   * @returns bytes written; the caller compares with the page size.
   * @throws CORRUPT on malformed input, or when the result would not fit `output`.
   */
  decompress(input: Uint8Array, output: Uint8Array): number;
}

export type CodecName = "zlib" | "deflate" | "lzo" | "lz4" | "snappy" | "zstd" | "rle" | "842";

const CODECS: Readonly<Record<CodecName, PageCodec>> = { zlib, deflate, lzo, lz4, snappy, zstd, rle, "842": sw842 };

/** The codec of that name. Throws UNSUPPORTED for a name we do not have. */
export function codecByName(name: string): PageCodec {
  const codec = Object.hasOwn(CODECS, name) ? CODECS[name as CodecName] : undefined;
  if (!codec) throw new DumpError("UNSUPPORTED", `no codec called ${name}; there are ${Object.keys(CODECS).join(", ")}`);
  return codec;
}
