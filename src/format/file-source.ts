import { closeSync, openSync, readSync, statSync } from "node:fs";
import { getSystemErrorMessage } from "node:util";
import { type ByteSource, DumpError } from "../bytes/index.ts";

/** Small reads go through blocks of this size; larger ones straight to the system. */
const BLOCK_SIZE = 4096;
/** Reads from this size on (most compressed pages) take no more from the file than they need. */
const DIRECT_SIZE = 512;
/** Blocks kept per file: 512 KiB, enough for headers, bitmaps and the descriptors of one neighbourhood. */
const BLOCK_COUNT = 128;

/** What was read from the system, over all files of this process. For `--stats`. */
export interface ReadStats {
  bytes: number;
  calls: number;
}

/** Counters of every {@link FileSource} of this process. */
export const readStats: ReadStats = { bytes: 0, calls: 0 };

/** A file, block device or `/proc/vmcore` as a byte source, read with pread. Never written to. */
export class FileSource implements ByteSource {
  readonly name: string;
  readonly size: number;
  #fd: number;
  readonly #blocks: Map<number, Uint8Array> = new Map();

  /**
   * @param size of a device that must not be felt for its end: `/dev/mem`, where a read of the wrong place may reach a device.
   * @throws IO when the file cannot be opened or is a directory.
   */
  constructor(path: string, size?: number) {
    this.name = path;
    try {
      // Asked before opening: to open a pipe is to wait for its writer.
      const stat = statSync(path);
      if (stat.isDirectory()) throw new DumpError("IO", `${path} is a directory, a dump file is wanted`);
      if (stat.isFIFO() || stat.isSocket())
        throw new DumpError("IO", `${path} is a pipe; a dump is read at many places, so save it to a file first`);
      this.#fd = openSync(path, "r");
      this.size = size ?? (stat.isFile() ? stat.size : this.#probeSize());
    } catch (error) {
      if (error instanceof DumpError) throw error;
      throw new DumpError("IO", `cannot open ${path}: ${reason(error)}`);
    }
  }

  /** Block devices have no st_size: find the end by reading single bytes, doubling then halving. */
  #probeSize(): number {
    const one = new Uint8Array(1);
    const has = (offset: number): boolean => {
      try {
        return readSync(this.#fd, one, 0, 1, offset) === 1;
      } catch {
        return false;
      }
    };
    if (!has(0)) return 0;
    let low = 0;
    let high = 4096;
    while (high < 2 ** 52 && has(high)) {
      low = high;
      high *= 2;
    }
    while (high - low > 1) {
      const middle = low + Math.floor((high - low) / 2);
      if (has(middle)) low = middle;
      else high = middle;
    }
    return low + 1;
  }

  read(offset: number, into: Uint8Array): number {
    const wanted = Math.min(into.length, this.size - offset);
    if (offset < 0 || wanted <= 0) return 0;
    if (wanted >= DIRECT_SIZE) return this.#pread(offset, into, wanted);
    let done = 0;
    while (done < wanted) {
      const at = offset + done;
      const index = Math.floor(at / BLOCK_SIZE);
      const block = this.#block(index);
      const inBlock = at - index * BLOCK_SIZE;
      const count = Math.min(wanted - done, block.length - inBlock);
      if (count <= 0) break;
      // A loop beats set(subarray) for the handful of bytes that most small reads want.
      if (count <= 32) for (let i = 0; i < count; i++) into[done + i] = block[inBlock + i]!;
      else into.set(block.subarray(inBlock, inBlock + count), done);
      done += count;
    }
    return done;
  }

  #block(index: number): Uint8Array {
    let block = this.#blocks.get(index);
    if (block) return block;
    block = new Uint8Array(BLOCK_SIZE);
    const got = this.#pread(index * BLOCK_SIZE, block, Math.min(BLOCK_SIZE, this.size - index * BLOCK_SIZE));
    if (got < BLOCK_SIZE) block = block.subarray(0, got);
    if (this.#blocks.size >= BLOCK_COUNT) this.#blocks.delete(this.#blocks.keys().next().value!);
    this.#blocks.set(index, block);
    return block;
  }

  #pread(offset: number, into: Uint8Array, length: number): number {
    let done = 0;
    while (done < length) {
      let got: number;
      try {
        got = readSync(this.#fd, into, done, length - done, offset + done);
      } catch (error) {
        throw new DumpError("IO", `reading ${length} bytes at ${offset} of ${this.name} failed: ${reason(error)}`, { at: offset });
      }
      readStats.calls++;
      if (got === 0) break;
      readStats.bytes += got;
      done += got;
    }
    return done;
  }

  close(): void {
    if (this.#fd >= 0) closeSync(this.#fd);
    this.#fd = -1;
    this.#blocks.clear();
  }
}

/** The system's words without the call's details: "no such file or directory". */
export function reason(error: unknown): string {
  const { errno, message } = error as NodeJS.ErrnoException;
  return typeof errno === "number" ? getSystemErrorMessage(errno) : (message ?? String(error));
}
