import { DumpError } from "../../bytes/index.ts";
import type { StreamName } from "../frontend/frontend.ts";
import type { Port } from "../port.ts";
import { describeLayout, ramoopsZones, type ZoneOrder } from "../ramoops/layout.ts";
import { RamoopsZoneWriter } from "../ramoops/write.ts";
import { parseRecordHeader } from "../dmesg.ts";
import type { RecordType } from "../record.ts";
import { parseAmount, ramoopsSpec } from "../spec.ts";
import type { Backend } from "./backend.ts";
import { PortStore, refuseUsedMemory } from "./store.ts";
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
  const slots = writableZones({ ...sizes, memSize: spec.memSize }, order, parseAmount("cpus", words.get("cpus") ?? "1"));
  if (isMemory) refuseUsedMemory(port, address, spec.memSize);
  const fd = port.open(path, "read-write", !isMemory);
  try {
    const rings = new Map<RecordType, RingWriter>();
    const records: (RecordSlot & { readonly used: number })[] = [];
    for (const { type, offset, size } of slots) {
      if (type === "ftrace") continue;
      const writer = new RamoopsZoneWriter(new PortStore(port, fd, address + offset), size, sizes.eccSize);
      if (type === "dmesg") {
        records.push({
          room: writer.geometry.capacity - 48,
          used: writer.size === 0 ? 0 : (parseRecordHeader(writer.peek(48))?.time.seconds ?? 1),
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
    port.close(fd);
    throw error;
  }
}

/** The zones as {@link ramoopsZones} places them for all but tty, which has the region's end. */
function writableZones(sizes: Parameters<typeof ramoopsZones>[0], order: ZoneOrder, cpus: number): ReturnType<typeof ramoopsZones> {
  if (sizes.ttySize === 0) return ramoopsZones(sizes, order, cpus);
  // The kernel of the 2023 series has it behind pmsg: the same place unless ftrace follows.
  const ttySize = 2 ** Math.floor(Math.log2(sizes.ttySize));
  const memSize = sizes.memSize - ttySize;
  const others = sizes.recordSize + sizes.consoleSize + sizes.ftraceSize + sizes.pmsgSize > 0 && memSize > 0;
  const slots = others ? ramoopsZones({ ...sizes, memSize, ttySize: 0 }, order, cpus) : [];
  return [...slots, { type: "tty", index: 0, offset: memSize, size: ttySize }];
}
