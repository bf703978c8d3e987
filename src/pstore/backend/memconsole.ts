import { decodeLatin1, DumpError, encodeLatin1 } from "../../bytes/index.ts";
import type { FrontendRecord, StreamName } from "../frontend/frontend.ts";
import { MemconsoleWriter } from "../memconsole/write.ts";
import type { Port } from "../port.ts";
import { parseAmount } from "../spec.ts";
import { type Backend, refuseOtherWords, tailOf } from "./backend.ts";
import { closeQuietly, PortStore, refuseUsedMemory } from "./store.ts";

/**
 * Opens a memconsole of the 2009 proposal: one ring of at most a page, which all streams share. Of a record it keeps the end, in half of
 * the ring.
 *
 * @throws PortError where the system refuses, BAD_ARGUMENT where the words make no region.
 */
export function openMemconsole(port: Port, words: ReadonlyMap<string, string>, streams: ReadonlySet<StreamName>): Backend {
  refuseOtherWords("memconsole", words, ["path", "address", "size", "base"]);
  const path = words.get("path") ?? "/dev/mem";
  const isMemory = path === "/dev/mem";
  const amount = (word: string): number | undefined => {
    const value = words.get(word);
    return value === undefined ? undefined : parseAmount(word, value);
  };
  const address = amount("address") ?? (isMemory ? undefined : 0);
  if (address === undefined) throw new DumpError("BAD_ARGUMENT", "a memconsole backend needs address=, the physical address of its region");
  const size = amount("size") ?? 8192;
  const base = words.get("base");
  if (base !== undefined && !/^(?:0[xX][0-9a-fA-F]{1,16}|\d{1,20})$/.test(base))
    throw new DumpError("BAD_ARGUMENT", `base=${base}: the virtual address of a page is wanted, as 0xffff888006000000`);
  if (isMemory) refuseUsedMemory(port, address, size);
  const fd = port.open(path, "read-write", !isMemory);
  try {
    const writer = new MemconsoleWriter(new PortStore(port, fd, address), size, {
      physicalAddress: address,
      ...(base === undefined ? {} : { base: BigInt(base) }),
    });
    return {
      about: `a ring of ${writer.capacity} bytes at 0x${address.toString(16)} of ${path}`,
      accepts: (stream) => !(stream === "console" && streams.has("kmsg")),
      write: (_stream, bytes) => writer.write(bytes),
      writeRecord: (record: FrontendRecord) => {
        writer.write(encodeLatin1(`-- the kernel that crashed said last (${record.reason}) --\n`));
        writer.write(excerptOf(record.text, Math.floor(writer.capacity / 2)));
      },
      close: () => port.close(fd),
    };
  } catch (error) {
    closeQuietly(port, fd);
    throw error;
  }
}

/** Words that say why a kernel died. */
const LAST_WORDS = /Kernel panic - not syncing|kernel BUG at|BUG: |Oops: |general protection fault|Unable to handle kernel/g;

/**
 * What of a log is worth a few lines: its end, unless that is the registers behind a long trace and the reason stands before. Then from the
 * reason on.
 */
export function excerptOf(log: Uint8Array, room: number): Uint8Array {
  const tail = tailOf(log, room);
  const text = decodeLatin1(log);
  const reason = [...text.matchAll(LAST_WORDS)].at(-1)?.index;
  if (reason === undefined || reason >= log.length - tail.length) return tail;
  const line = text.lastIndexOf("\n", reason) + 1;
  return log.subarray(line, line + room);
}
