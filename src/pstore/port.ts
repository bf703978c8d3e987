import type { RecordTime } from "./record.ts";

/*
 * The recorder's only way to the system. It runs on Node and, where a capture kernel has no room for that, on QuickJS:
 * everything else in this folder is plain language. Whatever one of the two cannot do is optional here, and who needs it
 * says so and fails alone.
 */

/** How a file is opened. `write` and `read-write` do not create; `append` and `create` do, with mode 0600. */
export type OpenMode = "read" | "write" | "read-write" | "append" | "create";

/** What the system answered; `code` is its name for it (`ENOENT`, `EPIPE`). */
export class PortError extends Error {
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.name = "PortError";
    this.code = code;
  }
}

/** Whatever was thrown, as a sentence. */
export function problemOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** What the recorder asks of the system. Every method throws {@link PortError} where the system refuses. */
export interface Port {
  /** `node` or `quickjs`. */
  readonly name: string;
  /**
   * Opens a file or device; returns a descriptor. To read does not wait, neither here for a FIFO's writer nor in {@link read}.
   *
   * @param durable each write is on the medium before it returns (O_DSYNC).
   */
  open(path: string, mode: OpenMode, durable?: boolean): number;
  close(fd: number): void;
  /** Reads at the descriptor's position; returns the bytes read, 0 at the end. EAGAIN where there may be some later. */
  read(fd: number, into: Uint8Array): number;
  /** Writes all of it at the descriptor's position. */
  write(fd: number, bytes: Uint8Array): void;
  /** Sets the descriptor's position, in bytes from the beginning, up to 2^53. */
  seek(fd: number, offset: number): void;
  /** Size in bytes of a file or block device. */
  size(fd: number): number;
  /**
   * Waits for bytes on a descriptor that may block, and reads them: calls `onBytes` with each piece (valid during the call), or
   * `onEnd` once, with the error where there is one. An error of which `isPassing` says true does not end it.
   *
   * @returns stops it; the descriptor may be closed then.
   */
  poll(
    fd: number,
    into: Uint8Array,
    onBytes: (bytes: Uint8Array) => void,
    onEnd: (error?: PortError) => void,
    isPassing?: (error: PortError) => boolean,
  ): () => void;
  /** Wall clock. */
  clock(): RecordTime;
  /** Calls back once, after at least so many milliseconds. Returns how to call it off. */
  after(milliseconds: number, action: () => void): () => void;
  /** Makes a folder, with those above it; no error where it is there. */
  makeFolder(path: string): void;
  /** Renames a file over another. */
  rename(from: string, to: string): void;
  remove(path: string): void;
  /** Removes a folder; what counts as empty is for its file system to say. */
  removeFolder?(path: string): void;
  /** Makes a FIFO that everybody may write to; no error where one is there. */
  makeFifo?(path: string): void;
  /** Listens on a Unix stream socket that everybody may connect to; calls back with what arrives. Returns how to end it. */
  listen?(path: string, onBytes: (bytes: Uint8Array) => void, onEnd: (error: PortError) => void): () => void;
  /** A way to send datagrams to an address; errors go to `onError`. */
  datagrams?(host: string, port: number, onError: (error: PortError) => void): { send(bytes: Uint8Array): void; close(): void };
}

/** Reads a small file whole, as text; undefined where it is not there or cannot be read. Files of /proc have no size: read to the end. */
export function readText(port: Port, path: string, limit = 65536): string | undefined {
  let fd: number;
  try {
    fd = port.open(path, "read");
  } catch (error) {
    if (error instanceof PortError) return undefined;
    throw error;
  }
  try {
    const piece = new Uint8Array(4096);
    let text = "";
    while (text.length < limit) {
      const got = port.read(fd, piece);
      if (got === 0) break;
      text += String.fromCharCode(...piece.subarray(0, got));
    }
    return text;
  } catch (error) {
    if (error instanceof PortError) return undefined;
    throw error;
  } finally {
    port.close(fd);
  }
}
