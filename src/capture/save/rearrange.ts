import { readSync } from "node:fs";
import { DumpError } from "../../bytes/index.ts";
import { reason } from "../../format/index.ts";
import { MAKEDUMPFILE_SIGNATURE, MAX_SIZE_MDF_HEADER } from "../../format/flattened/layout.ts";
import type { Output } from "./output.ts";

const PIECE = 1024 * 1024;

/**
 * Writes the dump inside a flattened stream that can only be read from its beginning to its end: makedumpfile's -R.
 *
 * @param fd to read from. @returns bytes of the dump. @throws TRUNCATED where the stream ends before its end marker (what was there is in
 *   the output), CORRUPT where it is none.
 */
export async function rearrange(fd: number, name: string, output: Output): Promise<number> {
  const read = (into: Uint8Array): number => {
    let done = 0;
    while (done < into.length) {
      let got: number;
      try {
        got = readSync(fd, into, done, into.length - done, null);
      } catch (error) {
        const { code } = error as NodeJS.ErrnoException;
        if (code === "EOF") break;
        if (code === "EAGAIN") {
          // A pipe that another process made non-blocking.
          Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
          continue;
        }
        throw new DumpError("IO", `reading ${name} failed: ${reason(error)}`, { cause: error });
      }
      if (got === 0) break;
      done += got;
    }
    return done;
  };
  const head = new Uint8Array(MAX_SIZE_MDF_HEADER);
  const got = read(head);
  const signature = [...MAKEDUMPFILE_SIGNATURE].every((char, i) => head[i] === char.charCodeAt(0));
  if (got < head.length || !signature)
    throw new DumpError("CORRUPT", `${name} is no flattened dump: it does not begin with "makedumpfile"`);
  const header = new Uint8Array(16);
  const view = new DataView(header.buffer);
  const piece = new Uint8Array(PIECE);
  let size = 0;
  for (;;) {
    const length = read(header);
    if (length < header.length) throw new DumpError("TRUNCATED", `${name} ends after ${size} bytes of the dump, without its end marker`);
    const offset = view.getBigInt64(0);
    const count = view.getBigInt64(8);
    if (offset === -1n && count === -1n) break;
    if (offset < 0n || count < 0n || offset + count > BigInt(Number.MAX_SAFE_INTEGER)) {
      throw new DumpError("CORRUPT", `${name} has a piece of ${count} bytes for offset ${offset}`);
    }
    for (let done = 0; done < Number(count);) {
      const part = piece.subarray(0, Math.min(PIECE, Number(count) - done));
      const received = read(part);
      output.write(Number(offset) + done, part.subarray(0, received));
      done += received;
      size = Math.max(size, Number(offset) + done);
      if (received < part.length) throw new DumpError("TRUNCATED", `${name} ends within a piece of ${count} bytes for offset ${offset}`);
    }
  }
  await output.finish(size);
  return size;
}
