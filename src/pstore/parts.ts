import { encodeLatin1 } from "../bytes/index.ts";
import { parseReasonLine } from "./reason.ts";
import type { PstoreRecord, RecordTime } from "./record.ts";

/** One dump of the log, of all the records that it was split into. */
export interface JoinedDump {
  readonly backend: string;
  readonly reason?: string;
  readonly count?: number;
  /** When the dump began: the earliest of its parts. */
  readonly time?: RecordTime;
  /**
   * The log, oldest line first. Its first line is the reason's (`Panic#1 Part1`) where the dump has one; those of the parts are
   * taken out, so that what they interrupt is one text. Nothing marks where a part is missing: see `missing`.
   */
  readonly text: Uint8Array;
  /** The records, oldest text first: descending part. */
  readonly parts: readonly PstoreRecord[];
  /**
   * Parts, ascending, below the highest one found that are not there or could not be decompressed. Whether there were higher ones
   * nothing says: the kernel stops at `kmsg_bytes`.
   */
  readonly missing: readonly number[];
}

/**
 * Parts of a dump each have a time of their own (linux:fs/pstore/platform.c:pstore_record_init) and firmware may need a second to
 * store one. A longer pause than this between two is a reboot.
 */
const LONGEST_PAUSE = 30;
/** A dump of 1 MiB in variables of 1 KiB has this many parts; higher numbers are damage. */
const MAX_PARTS = 1024;

interface Group {
  readonly records: Map<number, PstoreRecord>;
  reason: string | undefined;
  last: number;
}

/**
 * Joins dmesg records that are parts of one dump: same backend, state, reason and count, no part twice, and times that follow each
 * other. Count alone will not do, for every boot begins at 1. A record without count or part is a dump by itself.
 *
 * @returns dumps by time, those without one first, else in the records' order.
 */
export function joinParts(records: readonly PstoreRecord[]): readonly JoinedDump[] {
  const dumps: JoinedDump[] = [];
  const buckets = new Map<string, PstoreRecord[]>();
  for (const record of records) {
    if (record.type !== "dmesg") continue;
    const { count, part } = record;
    if (count === undefined || part === undefined || part < 1 || part > MAX_PARTS) dumps.push(joinedOf([record]));
    else {
      // What could not be decompressed does not say its reason, and is still part of the dump.
      const key = `${record.backend} ${record.state} ${count}`;
      const bucket = buckets.get(key);
      if (bucket) bucket.push(record);
      else buckets.set(key, [record]);
    }
  }
  for (const bucket of buckets.values()) {
    // Part 1 is written first.
    bucket.sort((a, b) => secondsOf(a) - secondsOf(b) || a.part! - b.part!);
    // Only groups that a pause has not ended yet; each holds a part at most once.
    let open: Group[] = [];
    const groups: Group[] = [];
    for (const record of bucket) {
      const now = secondsOf(record);
      open = open.filter(({ last }) => now - last <= LONGEST_PAUSE);
      const { reason } = record;
      const group = open.findLast(
        (candidate) =>
          !candidate.records.has(record.part!) && (reason === undefined || candidate.reason === undefined || reason === candidate.reason),
      );
      if (group) {
        group.records.set(record.part!, record);
        group.reason ??= reason;
        group.last = now;
      } else {
        const fresh: Group = { records: new Map([[record.part!, record]]), reason, last: now };
        open.push(fresh);
        groups.push(fresh);
        // More at once are copies of one part, or hostile; the search above must stay short.
        if (open.length > 64) open.shift();
      }
    }
    for (const group of groups) dumps.push(joinedOf([...group.records.values()].sort((a, b) => b.part! - a.part!)));
  }
  return dumps.sort((a, b) => order(a.time) - order(b.time));
}

function secondsOf(record: PstoreRecord): number {
  return record.time?.seconds ?? 0;
}

function order(time: RecordTime | undefined): number {
  return time ? time.seconds + time.nanoseconds / 1e9 : -Infinity;
}

/** @param parts by descending part. */
function joinedOf(parts: readonly PstoreRecord[]): JoinedDump {
  const pieces: Uint8Array[] = [];
  const readable = parts.filter(({ compression }) => compression !== "unknown");
  const known = parts.find(({ reason }) => reason !== undefined);
  const newest = readable.at(-1);
  const headed = newest && parseReasonLine(newest.content);
  if (headed) pieces.push(encodeLatin1(`${headed.reason}#${headed.count} Part${headed.part}\n`));
  for (const { content } of readable) {
    const text = withoutReasonLine(content);
    if (text.length === 0) continue;
    // A part may be cut within a line; the next one begins a new one all the same.
    const before = pieces.at(-1);
    if (before && before.at(-1) !== 10) pieces.push(Uint8Array.of(10));
    pieces.push(text);
  }
  const text = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    text.set(piece, at);
    at += piece.length;
  }
  const there = new Set(readable.map(({ part }) => part));
  const highest = parts[0]!.part ?? 0;
  const missing: number[] = [];
  if (highest <= MAX_PARTS) for (let part = 1; part <= highest; part++) if (!there.has(part)) missing.push(part);
  const count = parts[0]!.count;
  const time = parts.map((part) => part.time).reduce((a, b) => (a === undefined || (b !== undefined && order(b) < order(a)) ? b : a));
  return {
    backend: parts[0]!.backend,
    ...(known?.reason === undefined ? {} : { reason: known.reason }),
    ...(count === undefined ? {} : { count }),
    ...(time === undefined ? {} : { time }),
    text,
    parts,
    missing,
  };
}

/** The content behind its `Panic#1 Part2` line, where it has one. */
function withoutReasonLine(content: Uint8Array): Uint8Array {
  return parseReasonLine(content) ? content.subarray(content.indexOf(10) + 1) : content;
}
