import { hex16 } from "../bytes/index.ts";

/** Bytes on one line. */
const LINE = 16;

const HEX: readonly string[] = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"));

export interface HexdumpOptions {
  /** Address of the first byte, 0 up to 2^64; printed with 16 digits, wrapping as the machine does. */
  readonly address?: number | bigint;
  /** Print every line, also those that repeat the one before (which else become one `*`). */
  readonly all?: boolean;
}

/**
 * Lines of a hex dump, without line ends, as `hexdump -C` prints them but with addresses of 16 digits, as crash's `rd`:
 * address, 16 bytes in two groups, the ASCII column. The last line is the address behind the last byte.
 */
export function* hexdumpLines(bytes: Uint8Array, options: HexdumpOptions = {}): Generator<string, void, undefined> {
  const start = BigInt(options.address ?? 0);
  let starred = false;
  for (let offset = 0; offset < bytes.length; offset += LINE) {
    if (options.all !== true && offset > 0 && repeats(bytes, offset)) {
      if (!starred) yield "*";
      starred = true;
      continue;
    }
    starred = false;
    const end = Math.min(offset + LINE, bytes.length);
    let line = hex16(start + BigInt(offset)) + " ";
    let ascii = "";
    for (let at = offset; at < offset + LINE; at++) {
      if (at === offset + LINE / 2) line += " ";
      if (at >= end) {
        line += "   ";
        continue;
      }
      const byte = bytes[at]!;
      line += " " + HEX[byte]!;
      ascii += byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : ".";
    }
    yield `${line}  |${ascii}|`;
  }
  if (bytes.length > 0) yield hex16(start + BigInt(bytes.length));
}

/** Whether the full line at `offset` equals the line before it. */
function repeats(bytes: Uint8Array, offset: number): boolean {
  if (offset + LINE > bytes.length) return false;
  for (let at = offset; at < offset + LINE; at++) {
    if (bytes[at] !== bytes[at - LINE]) return false;
  }
  return true;
}
