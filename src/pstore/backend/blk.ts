import { DumpError } from "../../bytes/index.ts";
import type { FrontendRecord, StreamName } from "../frontend/frontend.ts";
import type { Port } from "../port.ts";
import type { RecordType } from "../record.ts";
import { describeSlots } from "../slot.ts";
import { blkSizes } from "../spec.ts";
import { DATALEN, PSTORE_KMSG_HEADER_MAGIC, PSZ_HEADER_SIZE, pszZones, SIG, signatureOf } from "../zone/layout.ts";
import { PszZoneWriter, reasonId, writePszRecord } from "../zone/write.ts";
import type { Backend } from "./backend.ts";
import { closeQuietly, PortStore } from "./store.ts";
import { type RecordSlot, type RingWriter, Zones } from "./zones.ts";

/**
 * Opens a pstore_blk device or file to write to.
 *
 * @throws PortError where the system refuses, BAD_ARGUMENT where the words make no zones.
 */
export function openBlk(port: Port, words: ReadonlyMap<string, string>, streams: ReadonlySet<StreamName>): Backend {
  const path = words.get("blkdev") ?? words.get("path");
  if (path === undefined) throw new DumpError("BAD_ARGUMENT", "a pstore_blk backend needs blkdev=, the device or file");
  const fd = port.open(path, "read-write", true);
  try {
    const sizes = blkSizes(new Map([...words].filter(([word]) => word !== "path")), port.size(fd));
    if (!sizes)
      throw new DumpError(
        "BAD_ARGUMENT",
        "a pstore_blk backend needs sizes such as kmsg_size and console_size: there is no header that keeps them",
      );
    const slots = pszZones(sizes, 1);
    const rings = new Map<RecordType, RingWriter>();
    const records: (RecordSlot & { readonly used: number; readonly index: number })[] = [];
    // Dumps are counted by their reasons (linux:fs/pstore/zone.c:psz_write_kmsg_hdr).
    const counts = new Map<number, number>();
    let last: FrontendRecord | undefined;
    const count = (record: FrontendRecord): number => {
      const reason = reasonId(record.reason);
      if (record !== last && (reason === 1 || reason === 2)) counts.set(reason, (counts.get(reason) ?? 0) + 1);
      last = record;
      return counts.get(reason) ?? 0;
    };
    for (const { type, index, offset, size } of slots) {
      if (type === "ftrace") continue;
      const store = new PortStore(port, fd, offset);
      if (type !== "dmesg") {
        rings.set(type, new PszZoneWriter(store, size, type));
        continue;
      }
      const head = new Uint8Array(PSZ_HEADER_SIZE + 40);
      store.read(0, head);
      const view = new DataView(head.buffer);
      const valid =
        view.getUint32(SIG, true) === signatureOf("dmesg") &&
        view.getInt32(DATALEN, true) > 0 &&
        view.getUint32(PSZ_HEADER_SIZE, true) === PSTORE_KMSG_HEADER_MAGIC;
      const reason = view.getUint32(PSZ_HEADER_SIZE + 32, true);
      if (valid) counts.set(reason, Math.max(counts.get(reason) ?? 0, view.getInt32(PSZ_HEADER_SIZE + 28, true)));
      records.push({
        index,
        used: valid ? Math.max(1, Number(view.getBigInt64(PSZ_HEADER_SIZE + 8, true))) : 0,
        room: size - PSZ_HEADER_SIZE - 40,
        write: (record, text) => void writePszRecord(store, size, { time: record.time, text, reason: record.reason, count: count(record) }),
      });
    }
    records.sort((a, b) => a.used - b.used || a.index - b.index);
    const zones = new Zones(rings, records, streams);
    return {
      about: `${describeSlots(slots)} on ${path}`,
      accepts: (stream) => zones.accepts(stream),
      write: (stream, bytes) => zones.write(stream, bytes),
      ...(records.length > 0 ? { writeRecord: (record) => zones.writeRecord(record) } : {}),
      close: () => port.close(fd),
    };
  } catch (error) {
    closeQuietly(port, fd);
    throw error;
  }
}
