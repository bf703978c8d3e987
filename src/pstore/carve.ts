/** Shorter runs of text are as likely to be chance. */
const SHORTEST = 16;
/** Bytes that are no text and still do not end a run: a damaged character or two in a line. */
const TOLERATED = 2;

/** Whether a byte occurs in logs: printable, tab, line ends, escape, and everything above 0x7f (UTF-8). */
export function isText(byte: number): boolean {
  return byte >= 0x20 ? byte !== 0x7f : byte === 9 || byte === 10 || byte === 13 || byte === 27;
}

/** Share of bytes of a text that {@link isText} knows and that are ASCII, 0 to 1; 1 for no bytes. */
export function textShare(bytes: Uint8Array): number {
  let count = 0;
  for (const byte of bytes) if (byte < 0x7f && isText(byte)) count++;
  return bytes.length === 0 ? 1 : count / bytes.length;
}

/**
 * The text among bytes that nothing describes any more: runs of at least 16 text bytes, mostly ASCII, in their order,
 * with a line end between two that were not adjacent. Undefined where there is none.
 */
export function carveText(bytes: Uint8Array): Uint8Array | undefined {
  const runs: Uint8Array[] = [];
  let start = -1;
  let odd = 0;
  for (let i = 0; i <= bytes.length; i++) {
    const text = i < bytes.length && isText(bytes[i]!);
    if (text) {
      if (start < 0) start = i;
      odd = 0;
    } else if (start >= 0 && (++odd > TOLERATED || i === bytes.length)) {
      const run = bytes.subarray(start, i - odd + 1);
      if (run.length >= SHORTEST && textShare(run) >= 0.7) runs.push(run);
      start = -1;
      odd = 0;
    }
  }
  if (runs.length === 0) return undefined;
  const carved = new Uint8Array(runs.reduce((sum, run) => sum + run.length + 1, -1));
  let at = 0;
  for (const run of runs) {
    if (at > 0) carved[at++] = 10;
    carved.set(run, at);
    at += run.length;
  }
  return carved;
}
