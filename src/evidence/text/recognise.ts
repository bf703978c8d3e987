import { cleanLine, parseHead, PRINTK_STAMP } from "./head.ts";

/**
 * What a text is:
 * - `console`: lines as a console, dmesg, syslog or the journal's short formats show them.
 * - `kmsg`: records of /dev/kmsg or of netconsole's extended format, which may come in fragments.
 * - `parts`: dumps of pstore's files, a heading before each, the last part first.
 * - `journal-export`, `journal-json`: entries of the journal with all their fields.
 */
export type TextKind = "console" | "kmsg" | "parts" | "journal-export" | "journal-json";

/** How a text is to be read. */
export interface TextForm {
  readonly kind: TextKind;
  readonly encoding: "bytes" | "utf-16le" | "utf-16be";
  /** A collector that is not known wrote something of its own before each line. */
  readonly prefixed: boolean;
}

/** As much of a text's beginning as {@link recogniseText} looks at. */
export const RECOGNISED_HEAD: number = 64 * 1024;
const SAMPLED_LINES = 400;
/** A collector's own words before a line are not longer. */
const MAX_PREFIX = 160;

/** Heading of a part of a dump (linux:fs/pstore/platform.c:pstore_dump). */
export const PART_HEADING: RegExp = /^(?:Panic|Oops|Emergency|Shutdown|Unknown|Restart|Halt|Poweroff)#\d{1,6} Part\d{1,6}$/;
const KMSG_LINE = /^(?:\d+\.[\w.+~-]{1,80},)?\d+,\d+,\d+,[^;,]{1,32}(?:,[^;]{0,80})?;/;
/** json-seq begins with a record separator, json-sse with a field's name. */
// oxlint-disable-next-line no-control-regex
export const JSON_START: RegExp = /^(?:\x1e|data: )?(?=\{)/;
/** Beginning of an unknown collector's line, up to printk's head. */
export const UNKNOWN_PREFIX: RegExp = new RegExp(`^[^\\n]{1,${MAX_PREFIX}}?(?=(?:<\\d>)?${PRINTK_STAMP.source})`);

/** Tells what a text is from its beginning, one character a byte. */
export function recogniseText(head: string): TextForm {
  const encoding = encodingOf(head);
  const text = encoding === "bytes" ? head : decodeWide(head, encoding);
  const lines = text.split("\n", SAMPLED_LINES).map(cleanLine);
  return { kind: kindOf(text, lines), encoding, prefixed: isPrefixed(lines) };
}

/** UTF-16, as some terminal programs and PowerShell save: by the mark, or by the NUL in every second byte. */
function encodingOf(head: string): TextForm["encoding"] {
  if (head.startsWith("\xff\xfe")) return "utf-16le";
  if (head.startsWith("\xfe\xff")) return "utf-16be";
  let even = 0;
  let odd = 0;
  const length = Math.min(head.length, 4096);
  for (let i = 0; i < length; i++) {
    if (head.charCodeAt(i) !== 0) continue;
    if (i % 2 === 0) even++;
    else odd++;
  }
  if (length < 16) return "bytes";
  if (odd > length * 0.4 && even < length * 0.02) return "utf-16le";
  return even > length * 0.4 && odd < length * 0.02 ? "utf-16be" : "bytes";
}

/** UTF-16 as UTF-8, both one character a byte. Half a character at the end is left out. */
export function decodeWide(text: string, encoding: "utf-16le" | "utf-16be"): string {
  const bytes = Buffer.from(text.length % 2 === 0 ? text : text.slice(0, -1), "latin1");
  if (encoding === "utf-16be") bytes.swap16();
  return Buffer.from(bytes.toString("utf16le").replace(/^\ufeff/, "")).toString("latin1");
}

function kindOf(text: string, lines: readonly string[]): TextKind {
  const first = lines.find((line) => line.trim() !== "") ?? "";
  if (PART_HEADING.test(first)) return "parts";
  if (/^[A-Z_][A-Z0-9_]{0,63}=/.test(first) && /^__(?:CURSOR|REALTIME_TIMESTAMP|MONOTONIC_TIMESTAMP)=/m.test(text)) return "journal-export";
  if (JSON_START.test(first) && /"(?:__REALTIME_TIMESTAMP|__CURSOR|_TRANSPORT|_BOOT_ID)"\s*:/.test(text)) return "journal-json";
  const full = lines.filter((line) => line !== "");
  return full.length > 0 && full.filter((line) => KMSG_LINE.test(line)).length * 2 > full.length ? "kmsg" : "console";
}

function isPrefixed(lines: readonly string[]): boolean {
  let known = 0;
  let unknown = 0;
  const shapes = new Map<string, number>();
  for (const line of lines) {
    if (line === "") continue;
    if (parseHead(line) !== undefined) known++;
    else {
      const prefix = UNKNOWN_PREFIX.exec(line)?.[0];
      if (prefix === undefined) continue;
      unknown++;
      // Numbers and names differ from line to line, what stands between them does not.
      const shape = prefix.replace(/[\w.-]+/g, "x").replace(/ +/g, " ");
      shapes.set(shape, (shapes.get(shape) ?? 0) + 1);
    }
  }
  // One line that ran into another happens on any console, and so do two that interleave.
  return unknown >= 3 && unknown > known && Math.max(...shapes.values()) * 2 > unknown;
}
