import { DumpError } from "../../bytes/index.ts";
import type { StreamName } from "../frontend/frontend.ts";
import { type Port, readText } from "../port.ts";
import { describeLayout, recorderZones } from "../ramoops/layout.ts";
import { prepareFtraceZone, RamoopsZoneWriter } from "../ramoops/write.ts";
import { parseRecordHeader } from "../dmesg.ts";
import type { RecordType } from "../record.ts";
import { parseAmount, ramoopsSpec } from "../spec.ts";
import type { Backend } from "./backend.ts";
import { closeQuietly, PortStore, refuseUsedMemory } from "./store.ts";
import { type RecordSlot, type RingWriter, Zones } from "./zones.ts";

/** Words of this backend beside ramoops' own. */
const OWN: readonly string[] = ["path", "order", "cpus"];

/**
 * Opens a ramoops region to write to: in memory behind `/dev/mem`, or in the file that `path` names, which is the region from
 * its `mem_address` (0 unless told) on. The tty zone lies at the very end, so that a kernel told `mem_size` less `tty_size` finds all
 * others where it looks for them.
 *
 * @throws PortError where the system refuses, BAD_ARGUMENT where the words make no region.
 */
export function openRamoops(port: Port, words: ReadonlyMap<string, string>, streams: ReadonlySet<StreamName>): Backend {
  const path = words.get("path") ?? "/dev/mem";
  const isMemory = path === "/dev/mem";
  const spec = ramoopsSpec(new Map([...words].filter(([word]) => !OWN.includes(word))));
  const { sizes } = spec;
  if (spec.memSize === undefined || !sizes || (isMemory && spec.memAddress === undefined)) {
    throw new DumpError(
      "BAD_ARGUMENT",
      "a ramoops backend needs mem_address, mem_size and sizes such as console_size: there is no header that keeps them",
    );
  }
  const address = spec.memAddress ?? 0;
  const order = words.get("order") ?? "pmsg-first";
  if (order !== "pmsg-first" && order !== "ftrace-first") {
    throw new DumpError("BAD_ARGUMENT", `order=${order}: pmsg-first (kernels since 6.2) or ftrace-first (before) is wanted`);
  }
  const slots = recorderZones({ ...sizes, memSize: spec.memSize }, order, parseAmount("cpus", words.get("cpus") ?? "1"));
  if (isMemory) refuseUsedMemory(port, address, spec.memSize);
  const fd = port.open(path, "read-write", !isMemory);
  try {
    const rings = new Map<RecordType, RingWriter>();
    const records: (RecordSlot & { readonly used: number })[] = [];
    for (const { type, offset, size } of slots) {
      const store = new PortStore(port, fd, address + offset);
      if (type === "ftrace") {
        prepareFtraceZone(store, size, sizes.eccSize, versionCode(port));
        continue;
      }
      const writer = new RamoopsZoneWriter(store, size, sizes.eccSize);
      if (type === "dmesg") {
        records.push({
          // A clock that was never set gives times about 0: those records are no empty ones.
          room: writer.geometry.capacity - 48,
          used: writer.size === 0 ? 0 : Math.max(1, parseRecordHeader(writer.peek(48))?.time.seconds ?? 1),
          write: (record, text) => void writer.writeRecord(record.time, text),
        });
      } else rings.set(type, writer);
    }
    // Empty ones first, then the oldest.
    records.sort((a, b) => a.used - b.used);
    const zones = new Zones(rings, records, streams);
    return {
      about: `${describeLayout({ slots, eccSize: sizes.eccSize })} at 0x${address.toString(16)} of ${path}`,
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

/** LINUX_VERSION_CODE of the running kernel, as far as its release tells (Debian's names no patch level). */
function versionCode(port: Port): number {
  const [, major, minor] = /^(\d+)\.(\d+)/.exec(readText(port, "/proc/sys/kernel/osrelease") ?? "") ?? ["", "6", "0"];
  return (Number(major) << 16) | (Number(minor) << 8);
}
