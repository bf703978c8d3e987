import { type ByteSource, encodeLatin1, isDumpError } from "../../bytes/index.ts";
import { carveText } from "../carve.ts";
import { mergeFtraceLogs } from "../ftrace.ts";
import type { DecompressPayload } from "../payload.ts";
import { parseReasonLine } from "../reason.ts";
import type { PstoreRecord } from "../record.ts";
import type { ZoneSlot } from "../slot.ts";
import { DATALEN, PSTORE_KMSG_HEADER_MAGIC, PSZ_HEADER_SIZE, type PszLayout, SIG, signatureOf, START } from "./layout.ts";

/** What a zone's header says: `erased` has no valid bytes, `foreign` another signature, `invalid` lengths out of bounds. */
export type PszStatus = "valid" | "erased" | "foreign" | "invalid";

/** One zone as it was found. */
export interface PszZoneReport extends ZoneSlot {
  readonly status: PszStatus;
  /** Valid bytes, and bytes there is room for. */
  readonly used: number;
  readonly capacity: number;
}

/** Everything of a device. */
export interface PszContent {
  readonly records: readonly PstoreRecord[];
  readonly zones: readonly PszZoneReport[];
  /** What is wrong with the device as a whole. */
  readonly problems: readonly string[];
}

interface Zone {
  readonly slot: ZoneSlot;
  readonly status: PszStatus;
  readonly start: number;
  readonly datalen: number;
  readonly data: Uint8Array;
}

/**
 * Reads every zone of a pstore/zone device: first what a kernel would show (linux:fs/pstore/zone.c:psz_pstore_read), then
 * what lies in zones that it would skip. Content is what the kernel's file holds, with the line `Oops: Total 1 times` that
 * it puts before uncompressed dmesg records.
 *
 * @param backend name of the driver: `pstore_blk`, `mtdpstore`.
 */
export function readPsz(source: ByteSource, layout: PszLayout, decompress: DecompressPayload, backend: string = "pstore_blk"): PszContent {
  const problems: string[] = [];
  const zones = layout.slots.map((slot) => readZone(source, slot, layout.littleEndian, problems));
  const kept: PstoreRecord[] = [];
  const carved: PstoreRecord[] = [];
  const common = ({ slot }: Zone): Pick<PstoreRecord, "backend" | "type" | "id" | "at"> => ({
    backend,
    type: slot.type,
    id: String(slot.index),
    at: { offset: slot.offset, length: slot.size },
  });
  const carve = (zone: Zone, bytes: Uint8Array, why: string): void => {
    const content = carveText(bytes);
    if (content) carved.push({ ...common(zone), content, compression: "none", state: "carved", problems: [why] });
  };
  for (const zone of zones) {
    const { slot, status, data, datalen } = zone;
    if (slot.type === "ftrace") continue;
    if (slot.type === "dmesg") {
      // The kernel erases a record by its length alone: header and text stay.
      const header = status === "valid" || status === "erased" ? kmsgHeader(data, layout.littleEndian) : undefined;
      if (!header || (status === "valid" && datalen < header.length)) {
        carve(zone, data, status === "valid" ? "the record has no header; a kernel would drop it" : whyCarved(status));
        continue;
      }
      const stored = status === "valid" ? data.subarray(header.length, datalen) : withoutZeros(data.subarray(header.length));
      const payload = header.compressed ? decompress(stored) : { content: stored, compression: "none" as const, problems: [] };
      const text = status === "valid" || header.compressed ? payload.content : (carveText(stored) ?? new Uint8Array());
      const { reason, count } = header;
      (status === "valid" ? kept : carved).push({
        ...common(zone),
        content: header.compressed ? text : join(encodeLatin1(`${reason}: Total ${count} times\n`), text),
        ...(header.compressed ? { stored } : {}),
        compression: payload.compression,
        reason,
        count,
        ...parseReasonLine(text),
        time: header.time,
        state: status === "valid" ? "kept" : "carved",
        problems: [...(status === "valid" ? [] : [whyCarved(status)]), ...payload.problems],
      });
      if (status === "valid")
        carve(zone, data.subarray(datalen), `behind the ${datalen} bytes in use; the zone held a longer record before`);
    } else if (status === "valid") {
      kept.push({ ...common(zone), content: unroll(zone), compression: "none", state: "kept", problems: [] });
      carve(zone, data.subarray(datalen), `behind the ${datalen} bytes in use; the zone was erased before`);
    } else carve(zone, data, whyCarved(status));
  }
  const ftrace = zones.filter(({ slot, status }) => slot.type === "ftrace" && status === "valid");
  if (ftrace.length > 0) {
    kept.push({
      ...common(ftrace[0]!),
      id: "0",
      content: mergeFtraceLogs(ftrace.map(unroll), layout.littleEndian),
      compression: "none",
      state: "kept",
      problems: [],
    });
  }
  return {
    records: [...kept, ...carved],
    zones: zones.map(({ slot, status, datalen, data }) => ({
      ...slot,
      status,
      used: status === "valid" ? datalen : 0,
      capacity: data.length,
    })),
    problems,
  };
}

function readZone(source: ByteSource, slot: ZoneSlot, littleEndian: boolean, problems: string[]): Zone {
  const bytes = new Uint8Array(slot.size);
  try {
    const got = source.read(slot.offset, bytes);
    if (got < slot.size) {
      problems.push(`${slot.type} zone ${slot.index}: ${source.name} has ${got} of its ${slot.size} bytes at offset ${slot.offset}`);
    }
  } catch (error) {
    if (!isDumpError(error)) throw error;
    problems.push(`${slot.type} zone ${slot.index} cannot be read: ${error.message}`);
  }
  const view = new DataView(bytes.buffer);
  const data = bytes.subarray(PSZ_HEADER_SIZE);
  const sig = view.getUint32(SIG, littleEndian);
  const datalen = view.getInt32(DATALEN, littleEndian);
  const start = view.getInt32(START, littleEndian);
  const status = ((): PszStatus => {
    if (sig !== signatureOf(slot.type)) return "foreign";
    if (datalen < 0 || start < 0 || datalen > data.length || start > data.length) return "invalid";
    return datalen === 0 ? "erased" : "valid";
  })();
  return { slot, status, start, datalen, data };
}

/** Ring order to written order (linux:fs/pstore/zone.c:psz_recover_zone); a torn header may name a start behind the end. */
function unroll({ data, start, datalen }: Zone): Uint8Array {
  const seam = Math.min(start, datalen);
  return join(data.subarray(seam, datalen), data.subarray(0, seam));
}

function join(a: Uint8Array, b: Uint8Array): Uint8Array {
  const joined = new Uint8Array(a.length + b.length);
  joined.set(a);
  joined.set(b, a.length);
  return joined;
}

/** The kernel writes a dmesg zone whole, zeros behind the text: where the length is gone, they tell it. */
function withoutZeros(bytes: Uint8Array): Uint8Array {
  let end = bytes.length;
  while (end > 0 && bytes[end - 1] === 0) end--;
  return bytes.subarray(0, end);
}

interface KmsgHeader {
  /** Its size: where the payload begins. */
  readonly length: number;
  readonly time: { readonly seconds: number; readonly nanoseconds: number };
  readonly compressed: boolean;
  readonly count: number;
  readonly reason: string;
}

/** The layouts of struct psz_kmsg_header: 8-byte alignment of s64, and i386's. */
const KMSG_HEADERS = [
  { length: 40, seconds: 8, nanoseconds: 16, compressed: 24, counter: 28, reason: 32 },
  { length: 28, seconds: 4, nanoseconds: 12, compressed: 16, counter: 20, reason: 24 },
] as const;

/** Words of linux:kernel/printk/printk.c:kmsg_dump_reason_str by enum kmsg_dump_reason since 5.8. */
const REASONS = ["Unknown", "Panic", "Oops", "Emergency", "Shutdown"] as const;

/** The sub-header of a dmesg zone, of whichever machine it makes sense as; undefined where it is none. */
function kmsgHeader(data: Uint8Array, littleEndian: boolean): KmsgHeader | undefined {
  if (data.length < 40) return undefined;
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  if (view.getUint32(0, littleEndian) !== PSTORE_KMSG_HEADER_MAGIC) return undefined;
  for (const at of KMSG_HEADERS) {
    const nanoseconds = view.getUint32(at.nanoseconds, littleEndian);
    const compressed = data[at.compressed]!;
    const reason = view.getUint32(at.reason, littleEndian);
    const seconds = Number(view.getBigInt64(at.seconds, littleEndian));
    if (nanoseconds >= 1e9 || compressed > 1 || reason > 16 || !Number.isSafeInteger(seconds)) continue;
    return {
      length: at.length,
      time: { seconds, nanoseconds },
      compressed: compressed === 1,
      count: view.getInt32(at.counter, littleEndian),
      reason: REASONS[reason] ?? "Unknown",
    };
  }
  return undefined;
}

function whyCarved(status: PszStatus): string {
  switch (status) {
    case "erased":
      return "the zone is marked empty; this was left behind when it was erased";
    case "invalid":
      return "the zone's header is out of bounds; order and length of the text are guesses";
    default:
      return "the zone's header is destroyed or was never written; order and length of the text are guesses";
  }
}
