import { DumpError } from "../../bytes/index.ts";
import type { FrontendRecord, StreamName } from "../frontend/frontend.ts";
import { type Port, PortError } from "../port.ts";
import { parseAmount } from "../spec.ts";
import { type Backend, refuseOtherWords } from "./backend.ts";

const DEFAULT_SIZE = 16 * 1024 * 1024;
const DEFAULT_FILES = 4;
const LEAST_SIZE = 1024;
const MOST_FILES = 1000;
/** How often, in seconds, it is looked whether a file is still there. */
const LOOK_INTERVAL = 1;
/** Names that are looked at for a free one. */
const MOST_RECORDS = 10_000;

/**
 * Opens a folder to write to: one file for each stream, `console-directory-0`, which grows to `size` and is then renamed to
 * `console-directory-1` and so on up to `files`; one file for each record. What is in them is kept.
 *
 * @throws PortError where the system refuses, BAD_ARGUMENT without a path.
 */
export function openDirectory(port: Port, words: ReadonlyMap<string, string>, _streams: ReadonlySet<StreamName>): Backend {
  refuseOtherWords("directory", words, ["path", "size", "files"]);
  const path = words.get("path");
  if (path === undefined) throw new DumpError("BAD_ARGUMENT", "a directory backend needs path=");
  const most = parseAmount("size", words.get("size") ?? String(DEFAULT_SIZE));
  if (most < LEAST_SIZE) throw new DumpError("BAD_ARGUMENT", `size=${most}: files of at least ${LEAST_SIZE} bytes are wanted`);
  const files = parseAmount("files", words.get("files") ?? String(DEFAULT_FILES));
  if (files < 1 || files > MOST_FILES) throw new DumpError("BAD_ARGUMENT", `files=${files}: 1 to ${MOST_FILES} is wanted`);
  port.makeFolder(path);
  const open = new Map<StreamName, { fd: number; size: number; looked: number }>();
  const nameOf = (stream: StreamName | "dmesg", id: number): string => `${path}/${stream}-directory-${id}`;
  const fileOf = (stream: StreamName): { fd: number; size: number } => {
    const now = port.clock().seconds;
    let file = open.get(stream);
    if (file && Math.abs(now - file.looked) >= LOOK_INTERVAL) {
      file.looked = now;
      // What goes into a file that somebody removed is gone without an error.
      if (!isThere(port, nameOf(stream, 0))) {
        open.delete(stream);
        port.close(file.fd);
        file = undefined;
        port.makeFolder(path);
      }
    }
    if (!file) {
      const fd = port.open(nameOf(stream, 0), "append");
      open.set(stream, (file = { fd, size: 0, looked: now }));
      file.size = port.size(fd);
    }
    return file;
  };
  const rotate = (stream: StreamName, file: { fd: number }): void => {
    open.delete(stream);
    port.close(file.fd);
    for (let id = files - 2; id >= 0; id--) {
      try {
        port.rename(nameOf(stream, id), nameOf(stream, id + 1));
      } catch (error) {
        // Not that many yet.
        if (!(error instanceof PortError && error.code === "ENOENT")) throw error;
      }
    }
    // With one file alone there is nothing to rename to: it begins anew.
    if (files === 1) port.remove(nameOf(stream, 0));
  };
  // Now, not at the first byte: who asks wants to know whether it can be written.
  const probe = `${path}/.lastwords`;
  port.close(port.open(probe, "create"));
  port.remove(probe);
  return {
    about: `files of at most ${most} bytes, ${files} of each kind, in ${path}`,
    accepts: () => true,
    write(stream, bytes) {
      for (let rest = bytes; rest.length > 0;) {
        const file = fileOf(stream);
        if (file.size > 0 && file.size + rest.length > most) {
          rotate(stream, file);
          continue;
        }
        const piece = rest.subarray(0, most);
        port.write(file.fd, piece);
        file.size += piece.length;
        rest = rest.subarray(piece.length);
      }
    },
    writeRecord(record: FrontendRecord) {
      const fd = port.open(
        freeName(port, (id) => nameOf("dmesg", id)),
        "create",
      );
      try {
        port.write(fd, record.text);
      } finally {
        port.close(fd);
      }
    },
    close() {
      const fds = [...open.values()].map(({ fd }) => fd);
      open.clear();
      let problem: unknown;
      for (const fd of fds) {
        try {
          port.close(fd);
        } catch (error) {
          problem = error;
        }
      }
      if (problem !== undefined) throw problem;
    },
  };
}

function isThere(port: Port, path: string): boolean {
  try {
    port.close(port.open(path, "read"));
    return true;
  } catch (error) {
    if (error instanceof PortError && error.code === "ENOENT") return false;
    throw error;
  }
}

/** The first name that no file has. */
function freeName(port: Port, nameOf: (id: number) => string): string {
  for (let id = 0; id < MOST_RECORDS; id++) {
    if (!isThere(port, nameOf(id))) return nameOf(id);
  }
  throw new PortError("EEXIST", `there are ${MOST_RECORDS} records in the folder already`);
}
