import { DumpError } from "../../bytes/index.ts";
import type { FrontendRecord, StreamName } from "../frontend/frontend.ts";
import { type Port, PortError } from "../port.ts";
import { parseAmount } from "../spec.ts";
import type { Backend } from "./backend.ts";

const DEFAULT_SIZE = 16 * 1024 * 1024;
const DEFAULT_FILES = 4;
/** Names that are looked at for a free one. */
const MOST_RECORDS = 10_000;

/**
 * Opens a folder to write to: one file for each stream, `console-directory-0`, which grows to `size` and is then renamed to
 * `console-directory-1` and so on up to `files`; one file for each record. What is in them is kept.
 *
 * @throws PortError where the system refuses, BAD_ARGUMENT without a path.
 */
export function openDirectory(port: Port, words: ReadonlyMap<string, string>, _streams: ReadonlySet<StreamName>): Backend {
  const path = words.get("path");
  if (path === undefined) throw new DumpError("BAD_ARGUMENT", "a directory backend needs path=");
  const most = parseAmount("size", words.get("size") ?? String(DEFAULT_SIZE));
  const files = Math.max(1, parseAmount("files", words.get("files") ?? String(DEFAULT_FILES)));
  port.makeFolder(path);
  const open = new Map<StreamName, { fd: number; size: number }>();
  const nameOf = (stream: StreamName | "dmesg", id: number): string => `${path}/${stream}-directory-${id}`;
  const fileOf = (stream: StreamName): { fd: number; size: number } => {
    let file = open.get(stream);
    if (!file) {
      const fd = port.open(nameOf(stream, 0), "append");
      open.set(stream, (file = { fd, size: port.size(fd) }));
    }
    return file;
  };
  const rotate = (stream: StreamName, file: { fd: number }): void => {
    port.close(file.fd);
    open.delete(stream);
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
      const file = fileOf(stream);
      if (file.size > 0 && file.size + bytes.length > most) {
        rotate(stream, file);
        return this.write(stream, bytes);
      }
      port.write(file.fd, bytes);
      file.size += bytes.length;
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
      for (const { fd } of open.values()) port.close(fd);
      open.clear();
    },
  };
}

/** The first name that no file has. */
function freeName(port: Port, nameOf: (id: number) => string): string {
  for (let id = 0; id < MOST_RECORDS; id++) {
    try {
      port.close(port.open(nameOf(id), "read"));
    } catch (error) {
      if (error instanceof PortError && error.code === "ENOENT") return nameOf(id);
      throw error;
    }
  }
  throw new PortError("EEXIST", `there are ${MOST_RECORDS} records in the folder already`);
}
