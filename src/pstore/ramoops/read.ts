import { type ByteSource, isDumpError } from "../../bytes/index.ts";
import { carveText } from "../carve.ts";
import { parseRecordHeader } from "../dmesg.ts";
import { mergeFtraceLogs } from "../ftrace.ts";
import type { DecompressPayload } from "../payload.ts";
import { parseReasonLine } from "../reason.ts";
import type { EccReport, PstoreRecord } from "../record.ts";
import type { ZoneSlot } from "../slot.ts";
import type { RamoopsLayout } from "./layout.ts";
import { readZone, type ZoneContent, type ZoneStatus } from "./zone.ts";

/** One zone as it was found, for the table that `pstore ls` prints. */
export interface ZoneReport extends ZoneSlot {
  readonly status: ZoneStatus;
  /** Valid bytes, and bytes there is room for. */
  readonly used: number;
  readonly capacity: number;
  readonly ecc: EccReport | undefined;
}

/** Everything of a region. */
export interface RamoopsContent {
  readonly records: readonly PstoreRecord[];
  readonly zones: readonly ZoneReport[];
  /** What is wrong with the region as a whole: parts that could not be read. */
  readonly problems: readonly string[];
}

const BACKEND = "ramoops";

/**
 * Reads every zone of a region: what a kernel with ramoops would show, in its order (linux:fs/pstore/ram.c:ramoops_pstore_read),
 * and after it the text that zapping left behind.
 *
 * @param source the region, from its first byte; what it cannot give counts as zeros and is said.
 * @throws BAD_ARGUMENT where the layout is impossible.
 */
export function readRamoops(source: ByteSource, layout: RamoopsLayout, decompress: DecompressPayload): RamoopsContent {
  const { littleEndian } = layout;
  const problems: string[] = [];
  const zones = layout.slots.map((slot) => ({ slot, content: readZone(bytesOf(source, slot, problems), layout.eccSize, littleEndian) }));
  const kept: PstoreRecord[] = [];
  const carved: PstoreRecord[] = [];
  for (const { slot, content } of zones) {
    if (slot.type === "ftrace") continue;
    const record = slot.type === "dmesg" ? dmesgRecord(slot, content, decompress) : ringRecord(slot, content);
    if (record?.state === "kept") kept.push(record);
    else if (record) carved.push(record);
    // Text behind the valid bytes is of a longer log before.
    if (record?.state === "kept" && content.size < content.geometry.capacity) {
      const old = carveText(content.data.subarray(content.size));
      if (old) carved.push(carvedRecord(slot, old, [`behind the ${content.size} bytes in use; the zone was emptied at an earlier boot`]));
    }
  }
  const ftrace = ftraceRecord(
    zones.filter(({ slot }) => slot.type === "ftrace"),
    littleEndian,
  );
  if (ftrace) kept.push(ftrace);
  return {
    records: [...kept, ...carved],
    zones: zones.map(({ slot, content }) => ({
      ...slot,
      status: content.status,
      used: content.status === "valid" ? content.size : 0,
      capacity: content.geometry.capacity,
      ecc: content.ecc,
    })),
    problems,
  };
}

function bytesOf(source: ByteSource, slot: ZoneSlot, problems: string[]): Uint8Array {
  const bytes = new Uint8Array(slot.size);
  const name = `${slot.type} zone ${slot.index}`;
  try {
    const got = source.read(slot.offset, bytes);
    if (got < slot.size) problems.push(`${name}: ${source.name} has ${got} of its ${slot.size} bytes at offset ${slot.offset}`);
  } catch (error) {
    if (!isDumpError(error)) throw error;
    problems.push(`${name} cannot be read: ${error.message}`);
  }
  return bytes;
}

/** The kernel's notice, which it appends to the file (linux:fs/pstore/ram_core.c:persistent_ram_ecc_string). */
function noticeOf(ecc: EccReport): string {
  return ecc.corrected === 0 && ecc.lostBlocks === 0
    ? "\nECC: No errors detected\n"
    : `\nECC: ${ecc.corrected} Corrected bytes, ${ecc.lostBlocks} unrecoverable blocks\n`;
}

function place(slot: ZoneSlot): PstoreRecord["at"] {
  return { offset: slot.offset, length: slot.size };
}

function eccOf(ecc: EccReport | undefined): Pick<PstoreRecord, "ecc" | "notice"> {
  return ecc === undefined ? {} : { ecc, notice: noticeOf(ecc) };
}

/** Ranges that could not be mended, in words. */
function lossesOf(ecc: EccReport | undefined): string[] {
  return (ecc?.lost ?? []).map(([offset, length]) => `bytes ${offset} to ${offset + length - 1} have more errors than ECC can mend`);
}

function ringRecord(slot: ZoneSlot, content: ZoneContent): PstoreRecord | undefined {
  if (content.status === "valid") {
    return {
      backend: BACKEND,
      type: slot.type,
      id: String(slot.index),
      content: content.log,
      compression: "none",
      ...eccOf(content.ecc),
      state: "kept",
      at: place(slot),
      problems: lossesOf(content.ecc),
    };
  }
  const text = carveText(content.data);
  return text && carvedRecord(slot, text, [whyCarved(content.status)]);
}

function dmesgRecord(slot: ZoneSlot, content: ZoneContent, decompress: DecompressPayload): PstoreRecord | undefined {
  const kept = content.status === "valid";
  const bytes = kept ? content.log : content.data;
  const header = parseRecordHeader(bytes);
  if (!header) {
    const text = carveText(bytes);
    const why = kept ? "the record has no header line; a kernel would drop it" : whyCarved(content.status);
    return text && carvedRecord(slot, text, [why]);
  }
  const stored = bytes.subarray(header.length);
  const problems = kept ? lossesOf(content.ecc) : [whyCarved(content.status)];
  const payload = header.compressed ? decompress(stored) : { content: stored, compression: "none" as const, problems: [] };
  // The length of a record that was zapped is not known: plain text ends where text ends.
  const text = kept || header.compressed ? payload.content : (carveText(stored) ?? new Uint8Array());
  const reason = parseReasonLine(text);
  return {
    backend: BACKEND,
    type: "dmesg",
    id: String(slot.index),
    content: text,
    ...(header.compressed ? { stored } : {}),
    compression: payload.compression,
    ...reason,
    time: header.time,
    ...(kept ? eccOf(content.ecc) : {}),
    state: kept ? "kept" : "carved",
    at: place(slot),
    problems: [...problems, ...payload.problems],
  };
}

/** All CPUs' zones make one record, number 0, with their errors added up. */
function ftraceRecord(zones: readonly { slot: ZoneSlot; content: ZoneContent }[], littleEndian: boolean): PstoreRecord | undefined {
  const valid = zones.filter(({ content }) => content.status === "valid");
  if (valid.length === 0) return undefined;
  const first = zones[0]!.slot;
  const ecc = valid.some(({ content }) => content.ecc)
    ? {
        corrected: valid.reduce((sum, { content }) => sum + (content.ecc?.corrected ?? 0), 0),
        lostBlocks: valid.reduce((sum, { content }) => sum + (content.ecc?.lostBlocks ?? 0), 0),
        lost: [],
      }
    : undefined;
  return {
    backend: BACKEND,
    type: "ftrace",
    id: "0",
    content: mergeFtraceLogs(
      valid.map(({ content }) => content.log),
      littleEndian,
    ),
    compression: "none",
    ...eccOf(ecc),
    state: "kept",
    at: { offset: first.offset, length: zones.reduce((sum, { slot }) => sum + slot.size, 0) },
    problems: ecc && ecc.lostBlocks > 0 ? [`${ecc.lostBlocks} blocks have more errors than ECC can mend`] : [],
  };
}

function whyCarved(status: ZoneStatus): string {
  switch (status) {
    case "empty":
      return "the zone is marked empty; this was left behind when it was emptied";
    case "invalid":
      return "the zone's header is out of bounds; order and length of the text are guesses";
    default:
      return "the zone's header is destroyed or was never written; order and length of the text are guesses";
  }
}

function carvedRecord(slot: ZoneSlot, content: Uint8Array, problems: readonly string[]): PstoreRecord {
  return {
    backend: BACKEND,
    type: slot.type,
    id: String(slot.index),
    content,
    compression: "none",
    state: "carved",
    at: place(slot),
    problems,
  };
}
