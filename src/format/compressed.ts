import { closeSync, mkdtempSync, openSync, rmSync, statfsSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ByteSource, DumpError } from "../bytes/index.ts";
import { nodeZlib } from "../codec/index.ts";
import type { DumpProblem, OpenOptions } from "./dump.ts";
import { FileSource } from "./file-source.ts";

/** Whole-file compression around a dump. */
export type Compression = "gzip" | "zstd";

/** The compression that the first bytes announce, if any. */
export function isCompressed(head: Uint8Array): Compression | undefined {
  if (head[0] === 0x1f && head[1] === 0x8b && head[2] === 8) return "gzip";
  // Frame magic 0xFD2FB528, or a skippable frame 0x184D2A5? that seekable files may begin with.
  if (head[0] === 0x28 && head[1] === 0xb5 && head[2] === 0x2f && head[3] === 0xfd) return "zstd";
  if ((head[0]! & 0xf0) === 0x50 && head[1] === 0x2a && head[2] === 0x4d && head[3] === 0x18) return "zstd";
  return undefined;
}

const READ_SIZE = 1024 * 1024;
/** Left free on the temporary file system. */
const RESERVE = 64 * 1024 * 1024;

/**
 * Unpacks into an unlinked temporary file: neither gzip nor plain zstd can be entered in the middle, and a dump is read
 * at many places. Runs of zeros become holes. A stream that breaks off keeps what came before, with a problem.
 *
 * @throws LIMIT when the temporary file system is too small, IO when it refuses.
 */
export async function unpackToTemporary(
  source: ByteSource,
  kind: Compression,
  options: OpenOptions,
): Promise<{ source: ByteSource; problems: DumpProblem[] }> {
  // Loaded here, since few dumps are packed.
  const { Readable, Writable } = process.getBuiltinModule("node:stream");
  const { pipeline } = process.getBuiltinModule("node:stream/promises");
  const { createGunzip, createZstdDecompress } = nodeZlib();
  const directory = mkdtempSync(join(tmpdir(), "lastwords-"));
  const path = join(directory, "unpacked");
  const fd = openSync(path, "w", 0o600);
  const problems: DumpProblem[] = [];
  let written = 0;
  try {
    const room = statfsSync(directory);
    const free = room.bavail * room.bsize - RESERVE;
    let read = 0;
    const input = Readable.from(
      (function* chunks() {
        for (;;) {
          const chunk = Buffer.allocUnsafe(READ_SIZE);
          const got = source.read(read, chunk);
          if (got === 0) return;
          read += got;
          options.onProgress?.(`unpacking ${kind}`, read, source.size);
          yield chunk.subarray(0, got);
        }
      })(),
      { objectMode: false },
    );
    const output = new Writable({
      write(chunk: Buffer, _encoding, done) {
        if (written + chunk.length > free) {
          done(
            new DumpError(
              "LIMIT",
              `unpacking ${source.name} needs more than the ${free} bytes that are free in ${tmpdir()}; set TMPDIR to a larger file system, or unpack it yourself`,
            ),
          );
          return;
        }
        try {
          if (!isZero(chunk)) writeSync(fd, chunk, 0, chunk.length, written);
          written += chunk.length;
          done();
        } catch (error) {
          done(error as Error);
        }
      },
    });
    try {
      await pipeline(input, kind === "gzip" ? createGunzip() : createZstdDecompress(), output);
    } catch (error) {
      if (error instanceof DumpError) throw error;
      const message = error instanceof Error ? error.message : String(error);
      if ((error as NodeJS.ErrnoException).syscall !== undefined)
        throw new DumpError("IO", `unpacking ${source.name}: ${message}`, { cause: error });
      const code = /unexpected end/i.test(message) ? "TRUNCATED" : "CORRUPT";
      if (written === 0)
        throw new DumpError(code, `${source.name} begins like ${kind} and nothing of it can be unpacked: ${message}`, { cause: error });
      problems.push({ code, message: `${source.name} (${kind}) breaks off after ${written} unpacked bytes: ${message}` });
    }
    return { source: new TemporarySource(path, written, source.name), problems };
  } finally {
    closeSync(fd);
    // The open descriptor of TemporarySource keeps the bytes; nothing is left behind even on a kill.
    rmSync(directory, { recursive: true, force: true });
  }
}

/** The unpacked file under the name the user gave, with the holes at its end. */
class TemporarySource implements ByteSource {
  readonly name: string;
  readonly size: number;
  readonly #file: FileSource;

  constructor(path: string, size: number, name: string) {
    this.#file = new FileSource(path);
    this.size = size;
    this.name = name;
  }

  read(offset: number, into: Uint8Array): number {
    const wanted = Math.max(0, Math.min(into.length, this.size - offset));
    const got = this.#file.read(offset, into.subarray(0, wanted));
    into.fill(0, got, wanted);
    return wanted;
  }

  close(): void {
    this.#file.close();
  }
}

function isZero(chunk: Buffer): boolean {
  for (let i = 0; i < chunk.length; i++) if (chunk[i] !== 0) return false;
  return true;
}
