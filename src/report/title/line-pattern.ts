/**
 * What a line must look like: pieces that follow each other in the line, with anything between them. The first
 * piece stands exactly where the search says, each later one is looked for behind the one before it. Written
 * this way, and not as one expression full of `.*`, a pattern takes linear time on any line: where every piece
 * takes its first place, no other choice could make a later piece fit.
 */
export type LinePattern = readonly (string | RegExp)[];

/** What the named groups of a pattern captured. */
export type Captures = Readonly<Record<string, string>>;

/** A program counter as traces print it: `[<ffffffff81234567>]`, `[0xc0123456]`. */
export const PC: string = String.raw`\[<?(?:0x)?[0-9a-f]+>?\]`;
/** A function with an offset or a compiler's suffix behind it; captures the name as a frame. */
export const FUNC: string = String.raw`([a-zA-Z0-9_]+)[.+]`;
/** The same, captured by name for use in a title. */
export const NAMED_FUNC: string = String.raw`(?<fn>[a-zA-Z0-9_]+)[.+]`;
/** A place in a source file: `mm/slub.c:123`. */
export const SRC: string = String.raw`[a-zA-Z0-9_/.-]+\.[a-z]+:[0-9]+`;

/** Builds an expression from parts such as {@link FUNC}. */
export function shape(strings: TemplateStringsArray, ...parts: readonly string[]): RegExp {
  return new RegExp(String.raw(strings, ...parts));
}

// The table's expressions carry no flags, so that they read as what they are; searching from a column needs one.
const sticky = new WeakMap<RegExp, RegExp>();
const global = new WeakMap<RegExp, RegExp>();

function withFlag(made: WeakMap<RegExp, RegExp>, pattern: RegExp, flag: string): RegExp {
  let flagged = made.get(pattern);
  if (flagged === undefined) {
    flagged = new RegExp(pattern.source, pattern.flags + flag);
    made.set(pattern, flagged);
  }
  return flagged;
}

/** Matches `pattern` in `line` with its first piece exactly at `column`; captures, or undefined where it does not fit. */
export function matchPattern(pattern: LinePattern, line: string, column: number): Captures | undefined {
  let captures: Record<string, string> = {};
  let at = column;
  for (const [index, piece] of pattern.entries()) {
    if (typeof piece === "string") {
      const found = index === 0 ? (line.startsWith(piece, at) ? at : -1) : line.indexOf(piece, at);
      if (found === -1) {
        return undefined;
      }
      at = found + piece.length;
      continue;
    }
    const expression = index === 0 ? withFlag(sticky, piece, "y") : withFlag(global, piece, "g");
    expression.lastIndex = at;
    const found = expression.exec(line);
    if (found === null) {
      return undefined;
    }
    at = found.index + found[0].length;
    captures = { ...captures, ...definedGroups(found) };
  }
  return captures;
}

/** Looks for one piece anywhere in `line`. */
export function findPiece(piece: string | RegExp, line: string): Captures | undefined {
  if (typeof piece === "string") {
    return line.includes(piece) ? {} : undefined;
  }
  const found = piece.exec(line);
  return found === null ? undefined : definedGroups(found);
}

function definedGroups(found: RegExpExecArray): Record<string, string> {
  const groups: Record<string, string> = {};
  for (const [name, value] of Object.entries(found.groups ?? {})) {
    if (value !== undefined) {
      groups[name] = value;
    }
  }
  return groups;
}
