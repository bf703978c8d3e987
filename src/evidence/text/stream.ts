import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { DumpError } from "../../bytes/index.ts";
import { readStats, reason } from "../../format/index.ts";

/** Bytes from the first to the last, once: a file, a pipe, standard input. */
export interface ByteStream {
  /** What to call it in messages. */
  readonly name: string;
  /** Fills the beginning of `into` and returns how much of it; 0 at the end. @throws IO */
  read(into: Uint8Array): number;
  /** Safe to call twice. */
  close(): void;
}

/** Standard input, where `path` is `-`. */
const STDIN = 0;

/** Opens a file or pipe to be read once. @throws IO naming the path. */
export function openByteStream(path: string): ByteStream {
  const name = path === "-" ? "standard input" : path;
  let fd = STDIN;
  try {
    if (path !== "-") fd = openSync(path, "r");
    if (fstatSync(fd).isDirectory()) throw new DumpError("IO", `${name} is a directory, a log is wanted`);
  } catch (error) {
    if (fd > STDIN) closeSync(fd);
    if (error instanceof DumpError) throw error;
    throw new DumpError("IO", `cannot open ${name}: ${reason(error)}`);
  }
  return {
    name,
    read: (into) => {
      for (;;) {
        try {
          const got = readSync(fd, into, 0, into.length, null);
          readStats.calls++;
          readStats.bytes += got;
          return got;
        } catch (error) {
          const { code } = error as NodeJS.ErrnoException;
          if (code === "EOF") return 0;
          // A terminal or pipe that somebody made non-blocking: wait and ask again.
          if (code !== "EAGAIN") throw new DumpError("IO", `reading ${name} failed: ${reason(error)}`);
          Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20);
        }
      }
    },
    close: () => {
      if (fd > STDIN) closeSync(fd);
      fd = STDIN;
    },
  };
}

/** Bytes that are in memory already. */
export function bytesStream(bytes: Uint8Array, name = "memory"): ByteStream {
  let at = 0;
  return {
    name,
    read: (into) => {
      const part = bytes.subarray(at, at + into.length);
      into.set(part);
      at += part.length;
      return part.length;
    },
    close: () => {},
  };
}
