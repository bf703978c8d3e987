import { titleCorruption, traceCorruption } from "./corruption.ts";
import { headerText, occurrences } from "./crash-start.ts";
import { FRAME_PREFIXES } from "./frame-lists.ts";
import { type GuiltyFrame, guiltyFrames } from "./guilty-frame.ts";
import { type Captures, findPiece, matchPattern } from "./line-pattern.ts";
import type { ReportLines } from "./report-lines.ts";
import type { HeaderGroup, Rule } from "./rules.ts";
import { traceStack } from "./stack-recipe.ts";

/** What a report says, before volatile parts are taken out. */
export interface Description {
  readonly title: string;
  readonly altTitles: readonly string[];
  /** The rule that named it; undefined where none applied and the title is the header line. */
  readonly rule: Rule | undefined;
  /** The function to blame where the title does not name one. */
  readonly frame: string | undefined;
  readonly corrupted: string | undefined;
}

/** A hostile line may repeat the header without end; a kernel's has it once or twice. */
const MAX_OCCURRENCES = 64;

interface HeaderPlace {
  readonly line: number;
  readonly column: number;
}

/** Names the crash in a report; undefined where the report's lines do not have the group's header. */
export function describe(group: HeaderGroup, report: ReportLines): Description | undefined {
  const lines = report.lines.slice(0, report.usable);
  const headers = findHeaders(group, lines);
  const first = headers[0];
  if (first === undefined) {
    return undefined;
  }
  let known = false;
  for (const header of headers) {
    const candidates = group.rules.filter((rule) => matchPattern(rule.line, headerText(rule, lines, header.line), header.column));
    known ||= candidates.length > 0;
    for (const rule of candidates) {
      const description = applyRule(rule, lines, headers, header);
      if (description !== undefined) {
        return withCorruption(description, report.lines);
      }
    }
    if (known) {
      // A rule for a later line would name another crash.
      break;
    }
  }
  return withCorruption(
    {
      title: (lines[first.line] ?? "").slice(first.column),
      altTitles: [],
      rule: undefined,
      frame: undefined,
      corrupted: known ? "the header is there and the rest of the report is not" : undefined,
    },
    report.lines,
  );
}

function findHeaders(group: HeaderGroup, lines: readonly string[]): HeaderPlace[] {
  const places: HeaderPlace[] = [];
  for (const [line, text] of lines.entries()) {
    for (const column of occurrences(text, group.header)) {
      places.push({ line, column });
      if (places.length >= MAX_OCCURRENCES) {
        return places;
      }
    }
  }
  return places;
}

function applyRule(rule: Rule, lines: readonly string[], headers: readonly HeaderPlace[], header: HeaderPlace): Description | undefined {
  const match =
    rule.needs === undefined
      ? {
          header,
          captures: matchPattern(rule.line, headerText(rule, lines, header.line), header.column) ?? {},
        }
      : findNeeds(rule, lines, headers);
  if (match === undefined) {
    return undefined;
  }
  const stackLines = (): string[] => [(lines[match.header.line] ?? "").slice(match.header.column), ...lines.slice(match.header.line + 1)];
  const guilty = rule.stack === undefined ? undefined : guiltyFrames(rule.stack, stackLines());
  const frames = guilty?.frames ?? [];
  const title = fill(
    rule.title,
    match.captures,
    frames.map((frame) => frame.name),
  );
  const altTitles = new Set<string>();
  for (const names of spellings(frames)) {
    for (const template of [rule.title, ...(rule.alt ?? [])]) {
      altTitles.add(fill(template, match.captures, names));
    }
  }
  altTitles.delete(title);
  let corrupted: string | undefined;
  if (guilty?.complete === false) {
    corrupted = "no frame could be taken from the stack trace";
  } else if (rule.alwaysCorrupted === true) {
    corrupted = "only a part of the report is there";
  }
  return {
    title,
    altTitles: [...altTitles],
    rule,
    frame: frames[0]?.name ?? (rule.prose === true ? traceFrame(stackLines()) : undefined),
    corrupted,
  };
}

/** A panic's title is its caller's sentence; the caller itself is in the trace, if there is one. */
function traceFrame(lines: readonly string[]): string | undefined {
  const { frames, complete } = guiltyFrames(PANIC_STACK, lines);
  return complete ? frames[0]?.name : undefined;
}

const PANIC_STACK = traceStack();

function findNeeds(
  rule: Rule,
  lines: readonly string[],
  headers: readonly HeaderPlace[],
): { readonly header: HeaderPlace; readonly captures: Captures } | undefined {
  const pattern = rule.needs?.line ?? rule.line;
  for (const header of headers) {
    const line = matchPattern(pattern, lines[header.line] ?? "", header.column);
    if (line === undefined) {
      continue;
    }
    const { next, later = [] } = rule.needs ?? {};
    const right = next === undefined ? {} : findPiece(next, lines[header.line + 1] ?? "");
    const rest = findInOrder(later, lines, header.line + 1);
    if (right !== undefined && rest !== undefined) {
      return { header, captures: { ...line, ...right, ...rest } };
    }
  }
  return undefined;
}

function findInOrder(pieces: readonly (string | RegExp)[], lines: readonly string[], from: number): Captures | undefined {
  let captures: Captures = {};
  let next = from;
  for (const piece of pieces) {
    let found: Captures | undefined;
    while (found === undefined) {
      const line = lines[next];
      if (line === undefined) {
        return undefined;
      }
      found = findPiece(piece, line);
      next++;
    }
    captures = { ...captures, ...found };
  }
  return captures;
}

/**
 * How else the frames of one title may be called: by their own names, and with each prefix taken off. Another
 * kernel version or architecture has another of these in its title.
 */
function* spellings(frames: readonly GuiltyFrame[]): Generator<string[]> {
  yield frames.map((frame) => frame.name);
  yield frames.map((frame) => frame.raw);
  for (const prefix of FRAME_PREFIXES) {
    if (frames.some((frame) => frame.raw.startsWith(prefix))) {
      yield frames.map((frame) => (frame.raw.startsWith(prefix) ? frame.raw.slice(prefix.length) : frame.raw));
    }
  }
}

function fill(template: string, captures: Captures, frames: readonly string[]): string {
  return template.replace(/\{(\w+)\}/g, (_, name: string) => {
    const value = name === "frame" ? frames[0] : name === "frame2" ? frames[1] : captures[name];
    return value ?? "";
  });
}

function withCorruption(description: Description, lines: readonly string[]): Description {
  const { rule } = description;
  const corrupted =
    description.corrupted ??
    titleCorruption(description.title) ??
    (rule === undefined || rule.traceless === true ? undefined : traceCorruption(lines));
  return { ...description, corrupted };
}
