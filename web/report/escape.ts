/**
 * What must be seen rather than obeyed: control characters, marks that reorder or hide text, invisible letters, halves
 * of surrogate pairs. Tabs pass.
 */
const UNSAFE =
  // oxlint-disable-next-line no-control-regex, no-misleading-character-class
  /[\0-\x08\x0a-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb\ud800-\udfff\u{e0000}-\u{e0fff}]/gu;

function escapeOne(character: string): string {
  const code = character.codePointAt(0)!;
  if (code < 0x100) return `\\x${code.toString(16).padStart(2, "0")}`;
  return code < 0x10000 ? `\\u${code.toString(16).padStart(4, "0")}` : `\\u{${code.toString(16)}}`;
}

/** The text with what is unsafe spelled out: for attributes, titles and files. */
export function visible(text: string): string {
  return text.replace(UNSAFE, escapeOne);
}

export interface Piece {
  readonly text: string;
  /** `escape`: spelled out. `mark`: what was searched for. */
  readonly kind: "text" | "escape" | "mark";
}

/** A text in pieces to be shown one behind the other. `mark` is lower-case; empty where nothing is searched. */
export function piecesOf(text: string, mark: string): readonly Piece[] {
  const pieces: Piece[] = [];
  const lower = mark === "" ? "" : text.toLowerCase();
  // A few letters change their length in lower case: then nothing can be pointed at.
  const marked = mark !== "" && lower.length === text.length;
  let at = 0;
  while (at < text.length) {
    const found = marked ? lower.indexOf(mark, at) : -1;
    addEscaped(text.slice(at, found < 0 ? undefined : found), pieces);
    if (found < 0) break;
    at = found + mark.length;
    pieces.push({ text: visible(text.slice(found, at)), kind: "mark" });
  }
  return pieces;
}

function addEscaped(text: string, pieces: Piece[]): void {
  let at = 0;
  for (const match of text.matchAll(UNSAFE)) {
    if (match.index > at) pieces.push({ text: text.slice(at, match.index), kind: "text" });
    pieces.push({ text: escapeOne(match[0]), kind: "escape" });
    at = match.index + match[0].length;
  }
  if (at < text.length) pieces.push({ text: text.slice(at), kind: "text" });
}
