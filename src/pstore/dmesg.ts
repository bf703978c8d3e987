import { decodeLatin1 } from "../bytes/index.ts";
import type { RecordTime } from "./record.ts";

/** First line of a ramoops dmesg record, parsed. */
export interface RecordHeader {
  /** Bytes of the line with its line end: where the payload begins. */
  readonly length: number;
  readonly time: RecordTime;
  /** From the type letter; kernels before 3.13 had none and did not compress. */
  readonly compressed: boolean;
}

const LONGEST_HEADER = 48;

/**
 * Parses `====SECONDS.MICROSECONDS-C` or `-D` and the line end; also the form without letter of kernels before 3.13, whose
 * microseconds are not padded (linux:fs/pstore/ram.c:ramoops_read_kmsg_hdr). Undefined where it is neither.
 */
export function parseRecordHeader(bytes: Uint8Array): RecordHeader | undefined {
  const match = /^====(-?\d{1,19})\.(\d{1,10})(?:-([A-Z]))?\n/.exec(decodeLatin1(bytes.subarray(0, LONGEST_HEADER)));
  if (!match) return undefined;
  const seconds = Number(match[1]);
  const nanoseconds = Number(match[2]) * 1000;
  if (!Number.isSafeInteger(seconds) || nanoseconds >= 1e9) return undefined;
  return { length: match[0].length, time: { seconds, nanoseconds }, compressed: match[3] === "C" };
}

/** The line that {@link parseRecordHeader} reads, as kernels since 3.13 write it for plain text. */
export function formatRecordHeader(time: RecordTime): string {
  return `====${time.seconds}.${String(Math.floor(time.nanoseconds / 1000)).padStart(6, "0")}-D\n`;
}
