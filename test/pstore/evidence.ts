import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { zstdDecompressSync } from "node:zlib";

const FOLDER = join(import.meta.dirname, "../evidence");

/** Bytes of one of the storages in test/evidence, a fresh copy. */
export function evidence(name: string): Uint8Array {
  return new Uint8Array(zstdDecompressSync(readFileSync(join(FOLDER, `${name}.zst`))));
}

/** What the kernel's pstore file system showed of it: length and hash by file name. */
export function kernelView(name: string): Record<string, FileFacts> {
  return (JSON.parse(readFileSync(join(FOLDER, "kernel-view.json"), "utf8")) as Record<string, Record<string, FileFacts>>)[name]!;
}

export interface FileFacts {
  readonly length: number;
  readonly sha256: string;
}

export function factsOf(bytes: Uint8Array): FileFacts {
  return { length: bytes.length, sha256: createHash("sha256").update(bytes).digest("hex") };
}
