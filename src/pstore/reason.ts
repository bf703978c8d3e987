import { decodeLatin1 } from "../bytes/index.ts";

/** First line of a dump's text. */
export interface ReasonLine {
  readonly reason: string;
  readonly count: number;
  readonly part: number;
}

/** Parses `Panic#1 Part1` at the beginning of a dmesg payload (linux:fs/pstore/platform.c:pstore_dump). Undefined where it is not there. */
export function parseReasonLine(content: Uint8Array): ReasonLine | undefined {
  const match = /^([A-Z][A-Za-z]{2,15})#(\d{1,9}) Part(\d{1,9})\n/.exec(decodeLatin1(content.subarray(0, 64)));
  return match ? { reason: match[1]!, count: Number(match[2]), part: Number(match[3]) } : undefined;
}
