import { closeSync, fstatSync, fsync, fsyncSync, ftruncateSync, openSync, renameSync, rmSync, writeSync } from "node:fs";
import { dirname } from "node:path";
import { promisify } from "node:util";
import { DumpError } from "../../bytes/index.ts";
import { reason } from "../../format/index.ts";
import { flattenedEnd, flattenedHead, flattenedPiece } from "../../format/flattened/write.ts";

/** Where a dump is written to: at any place in any order. Every method throws IO, naming the output. */
export interface Output {
  readonly name: string;
  /** Path that other threads may open; undefined where all must go through this object. */
  readonly path: string | undefined;
  write(offset: number, bytes: Uint8Array): void;
  /** Resolves when what was written until now is safe on its medium, the file's name too. At once where the output cannot do that. */
  sync(): Promise<void>;
  /** Ends with the file at this size, safe on its medium when this resolves. */
  finish(size: number): Promise<void>;
  /** Gives up: what is there stays. Safe to call after {@link finish}. */
  close(): void;
}

/** A full medium, as other errors of the system: its code is in the cause. */
export function isFull(error: unknown): boolean {
  const cause = error instanceof DumpError ? (error.cause as NodeJS.ErrnoException | undefined) : undefined;
  return cause?.code === "ENOSPC" || cause?.code === "EDQUOT" || cause?.code === "EFBIG";
}

function writingFailed(name: string, error: unknown): DumpError {
  const why = reason(error);
  // The code is for isFull; the words are said already.
  const cause = Object.assign(new Error(why), { code: (error as NodeJS.ErrnoException).code });
  return new DumpError("IO", `writing ${name} failed: ${why}`, { cause });
}

function attempt<T>(name: string, action: () => T): T {
  try {
    return action();
  } catch (error) {
    throw writingFailed(name, error);
  }
}

const fsyncLater = promisify(fsync);

function writeAll(fd: number, bytes: Uint8Array, offset: number | null): void {
  for (let done = 0; done < bytes.length;) {
    try {
      done += writeSync(fd, bytes, done, bytes.length - done, offset === null ? null : offset + done);
    } catch (error) {
      // A pipe of another process may be non-blocking: wait until it takes more.
      if ((error as NodeJS.ErrnoException).code !== "EAGAIN") throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
    }
  }
}

/** Makes names in a folder safe; not every file system has that. */
export function syncFolder(folder: string): void {
  try {
    const fd = openSync(folder, "r");
    try {
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
  } catch {
    // The files are safe, their names as far as this file system goes.
  }
}

/**
 * Writes a small file under another name first: what is there already is replaced by the whole new file or not at all, and is safe on its
 * medium when this returns, save for its name ({@link syncFolder}).
 *
 * @throws what the system says.
 */
export function writeWhole(path: string, bytes: Uint8Array): void {
  const incomplete = `${path}-incomplete`;
  try {
    const fd = openSync(incomplete, "w", 0o600);
    try {
      writeAll(fd, bytes, 0);
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    renameSync(incomplete, path);
  } catch (error) {
    rmSync(incomplete, { force: true });
    throw error;
  }
}

/** A new file. @throws IO where it is there already, unless it is to be replaced. */
export function fileOutput(path: string, replace: boolean): Output & { readonly fd: number } {
  const fd = attempt(path, () => openSync(path, replace ? "w+" : "wx+", 0o600));
  let open = true;
  let named = false;
  return {
    name: path,
    path,
    fd,
    write: (offset, bytes) => attempt(path, () => writeAll(fd, bytes, offset)),
    async sync() {
      try {
        await fsyncLater(fd);
      } catch (error) {
        throw writingFailed(path, error);
      }
      if (named) return;
      named = true;
      syncFolder(dirname(path));
    },
    async finish(size) {
      attempt(path, () => ftruncateSync(fd, size));
      await this.sync();
    },
    close() {
      if (open) closeSync(fd);
      open = false;
    },
  };
}

/** A flattened stream to a descriptor that cannot be sought: makedumpfile's -F. */
export function flattenedOutput(fd: number, name: string): Output {
  attempt(name, () => writeAll(fd, flattenedHead(), null));
  return {
    name,
    path: undefined,
    write: (offset, bytes) =>
      attempt(name, () => {
        if (bytes.length === 0) return;
        writeAll(fd, flattenedPiece(offset, bytes.length), null);
        writeAll(fd, bytes, null);
      }),
    sync: () => Promise.resolve(),
    finish: async () =>
      attempt(name, () => {
        writeAll(fd, flattenedEnd(), null);
        if (fstatSync(fd).isFile()) fsyncSync(fd);
      }),
    close: () => {},
  };
}
