import { decodeLatin1 } from "../bytes/index.ts";
import type { DecompressPayload } from "./payload.ts";
import { parseReasonLine } from "./reason.ts";
import { type EccReport, type PstoreRecord, type RecordTime, recordType, type RecordType } from "./record.ts";

/*
 * Files of the kernel's pstore file system, mounted or copied away: systemd-pstore, kdump tools and people keep their names,
 * TYPE-BACKEND-NUMBER (linux:fs/pstore/inode.c:pstore_mkfile).
 */

/** What the name of a file says. */
export interface RecordName {
  readonly type: RecordType;
  readonly backend: string;
  readonly id: string;
  /** `.enc.z`: the kernel could not decompress it. */
  readonly compressed: boolean;
  /** Written by `pstore extract`: no kernel would have shown it. */
  readonly carved: boolean;
}

/** Parses `dmesg-efi_pstore-170000000001001`, `console-ramoops-0`, `dmesg-erst-….enc.z`; undefined where it is no such name. */
export function parseRecordName(name: string): RecordName | undefined {
  // Types with a dash in them come before what they begin with.
  const match = /^(powerpc-(?:ofw|common|opal)|[a-z]+)-([A-Za-z][\w-]*?)-(\d{1,20})(\.enc\.z)?(\.carved)?$/.exec(name);
  const type = match && (recordType(match[1]!) ?? OLD_NAMES.get(match[1]!));
  return type ? { type, backend: match[2]!, id: match[3]!, compressed: match[4] !== undefined, carved: match[5] !== undefined } : undefined;
}

/** The kernel calls them so in file names, by types' names where those have a dash. */
const OLD_NAMES: ReadonlyMap<string, RecordType> = new Map([
  ["powerpc", "powerpc-common"],
  ["unknown", "dmesg"],
]);

/**
 * The record in a file of that name; undefined where the name is no record's. The ECC notice is taken off the text again.
 *
 * @param time the file's mtime: the kernel sets it to the record's.
 */
export function recordOfFile(
  name: string,
  bytes: Uint8Array,
  time: RecordTime | undefined,
  decompress: DecompressPayload,
): PstoreRecord | undefined {
  const parsed = parseRecordName(name);
  if (!parsed) return undefined;
  const notice = noticeAt(bytes);
  const stored = bytes.subarray(0, bytes.length - (notice?.text.length ?? 0));
  const payload = parsed.compressed ? decompress(stored) : { content: stored, compression: "none" as const, problems: [] };
  const reason = parsed.type === "dmesg" ? parseReasonLine(payload.content) : undefined;
  return {
    backend: parsed.backend,
    type: parsed.type,
    id: parsed.id,
    content: payload.content,
    ...(parsed.compressed ? { stored } : {}),
    compression: payload.compression,
    ...reason,
    ...(time ? { time } : {}),
    ...(notice ? { ecc: notice.ecc, notice: notice.text } : {}),
    state: parsed.carved ? "carved" : "kept",
    at: { offset: 0, length: bytes.length },
    problems: [
      ...payload.problems,
      ...(notice && notice.ecc.lostBlocks > 0 ? [`${notice.ecc.lostBlocks} blocks have more errors than ECC could mend`] : []),
    ],
  };
}

/** The line that the kernel appends where a zone has ECC (linux:fs/pstore/ram_core.c:persistent_ram_ecc_string). */
function noticeAt(bytes: Uint8Array): { text: string; ecc: EccReport } | undefined {
  const tail = decodeLatin1(bytes.subarray(Math.max(0, bytes.length - 80)));
  const match = /\nECC: (?:No errors detected|(\d+) Corrected bytes, (\d+) unrecoverable blocks)\n$/.exec(tail);
  return match ? { text: match[0], ecc: { corrected: Number(match[1] ?? 0), lostBlocks: Number(match[2] ?? 0), lost: [] } } : undefined;
}
