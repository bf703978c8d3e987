import { alignKeys } from "./align.ts";
import type { SourceLine } from "./text.ts";

/** A line of the timeline while it is put together. */
export interface MergedLine {
  time: number | undefined;
  text: string;
  caller: string | undefined;
  level: number | undefined;
  /** Time of the line, or of what it stands behind; infinite where nothing tells. Orders lines that no text has both of. */
  at: number;
  /** Indexes of the texts that have it, and the line's number in each. */
  readonly sources: number[];
  readonly numbers: number[];
  /** Text that is shown is of the source that is believed more, where they differ. */
  trusted: boolean;
  /** Other readings than {@link text}, each with the sources that have it; not those that are only shorter. */
  readings: { readonly text: string; readonly sources: number[] }[] | undefined;
}

/** One boot's lines of one text. */
export interface MergeSource {
  readonly source: number;
  readonly lines: readonly SourceLine[];
  /** Its text is shown where another differs: memory has what the kernel wrote, a serial line what arrived. */
  readonly trusted: boolean;
}

/**
 * Merges one text into what others have of the same boot. A line that both have is one line; where they differ in it, the
 * fuller is shown, and it is kept as another reading unless it is only cut. The order of each text's lines is kept.
 * `into` is used up.
 *
 * @returns all lines. Time is linear in the number of lines, but for a sort.
 */
export function mergeLines(into: readonly MergedLine[], next: MergeSource): MergedLine[] {
  const { lines, source, trusted } = next;
  const ids = new Map<string, number>();
  const idOf = (time: number | undefined, text: string): number => {
    const key = time === undefined ? text : `${Math.round(time * 1e6)}\n${text}`;
    let id = ids.get(key);
    if (id === undefined) ids.set(key, (id = ids.size));
    return id;
  };
  const a = Int32Array.from(into, ({ time, text }) => idOf(time, text));
  const b = Int32Array.from(lines, ({ time, text }) => idOf(time, text));
  const partner = alignKeys(a, b, ids.size);
  pairUnequal(into, lines, partner);
  const times = effectiveTimes(into, lines, partner);

  const merged: MergedLine[] = [];
  let i = 0;
  /** First of `lines` from the current one on that has a partner. */
  let upTo = 0;
  for (const [j, line] of lines.entries()) {
    for (upTo = Math.max(upTo, j); upTo < lines.length && partner[upTo]! < 0;) upTo++;
    const limit = upTo === lines.length ? into.length : partner[upTo]!;
    if (upTo === j) {
      while (i < limit) merged.push(into[i++]!);
      merged.push(joined(into[i++]!, line, source));
      continue;
    }
    // What only others have comes first while it is not later.
    while (i < limit && into[i]!.at <= times[j]!) merged.push(into[i++]!);
    const { time, text, caller, level, number } = line;
    merged.push({ time, text, caller, level, at: times[j]!, sources: [source], numbers: [number], trusted, readings: undefined });
  }
  while (i < into.length) merged.push(into[i++]!);
  return merged;
}

/** Adds what a text has of a line that is known already. */
function joined(line: MergedLine, { time, text, caller, level, number }: SourceLine, source: number): MergedLine {
  if (line.text !== text || micros(line.time) !== micros(time)) {
    const cut = isCut(line.text, text);
    // Of a line whose head was cut or damaged, the rest of the head is part of the text.
    const headless = time === undefined && line.time !== undefined && text.endsWith(line.text);
    const wasHeadless = time !== undefined && line.time === undefined && line.text.endsWith(text);
    if (cut) {
      if (wasHeadless || (text.length > line.text.length && !headless)) line.text = text;
    } else {
      const known = line.readings?.find((reading) => reading.text === text);
      if (known) known.sources.push(source);
      else {
        line.readings ??= [];
        if (!line.trusted && isFuller(text, line.text)) {
          const others = new Set(line.readings.flatMap(({ sources }) => sources));
          line.readings.push({ text: line.text, sources: line.sources.filter((each) => !others.has(each)) });
          line.text = text;
          line.time = time ?? line.time;
        } else line.readings.push({ text, sources: [source] });
      }
    }
  }
  line.time ??= time;
  line.caller ??= caller;
  line.level ??= level;
  line.sources.push(source);
  line.numbers.push(number);
  return line;
}

function micros(time: number | undefined): number {
  return time === undefined ? -1 : Math.round(time * 1e6);
}

/**
 * The time of each line, or of what it stands behind; before the first that is known, of what it stands before; infinite where
 * nothing of this text tells.
 */
function effectiveTimes(into: readonly MergedLine[], lines: readonly SourceLine[], partner: Int32Array): Float64Array {
  const times = new Float64Array(lines.length);
  let current: number | undefined;
  for (let j = 0; j < lines.length; j++) {
    const known = partner[j]! >= 0 ? into[partner[j]!]!.at : lines[j]!.time;
    if (known !== undefined && current === undefined) times.fill(known, 0, j);
    current = known ?? current;
    times[j] = current ?? Number.POSITIVE_INFINITY;
  }
  return times;
}

/** Lines at one time that are looked at for one that is damaged; places around one without a time. */
const SAME_TIME = 16;
const NEAR = 8;
/** Lines of programs that may stand between a line and the kernel's next. */
const BEFORE = 64;
/** Shorter ones are alike by chance. */
const SHORTEST = 8;
/** Of the pairs of letters of both, this part is in both: two readings of a line, not two lines. */
const ALIKE = 0.7;

/** Finds partners for what is left between lines that are equal: the same line, cut or damaged in one of the texts. */
function pairUnequal(into: readonly MergedLine[], lines: readonly SourceLine[], partner: Int32Array): void {
  let aFrom = 0;
  for (let bFrom = 0; bFrom <= lines.length; bFrom++) {
    let bTo = bFrom;
    while (bTo < lines.length && partner[bTo]! < 0) bTo++;
    const aTo = bTo === lines.length ? into.length : partner[bTo]!;
    if (bTo > bFrom && aTo > aFrom) pairStretch(into, lines, partner, { aFrom, aTo, bFrom, bTo });
    aFrom = aTo + 1;
    bFrom = bTo;
  }
}

interface Stretch {
  readonly aFrom: number;
  readonly aTo: number;
  readonly bFrom: number;
  readonly bTo: number;
}

function pairStretch(into: readonly MergedLine[], lines: readonly SourceLine[], partner: Int32Array, stretch: Stretch): void {
  const { aFrom, aTo, bFrom, bTo } = stretch;
  const byTime = new Map<number, SameTime>();
  const byText = new Map<string, number>();
  for (let i = aFrom; i < aTo; i++) {
    const { time, text } = into[i]!;
    byText.set(text, i);
    if (time === undefined) continue;
    const same = byTime.get(micros(time));
    if (same) same.at.push(i);
    else byTime.set(micros(time), { at: [i], next: 0 });
  }
  let next = aFrom;
  /** Time behind which a line without one stands. */
  let behind = bFrom === 0 ? undefined : into[partner[bFrom - 1]!]!.at;
  for (let j = bFrom; j < bTo; j++) {
    const line = lines[j]!;
    behind = line.time ?? behind;
    const places: number[] = [];
    const near: number[] = [aFrom + (j - bFrom), aTo - (bTo - j)];
    for (let i = next; i < Math.min(next + NEAR, aTo); i++) near.push(i);
    if (line.time !== undefined) {
      places.push(...nextOf(byTime.get(micros(line.time)), next));
      const other = byText.get(line.text);
      // A damaged time stands out of its neighbours' order.
      if (other !== undefined && line.text.length >= SHORTEST && (isOutOfOrder(lines, j) || isOutOfOrder(into, other))) places.push(other);
      places.push(...near.filter((i) => i >= next && i < aTo && into[i]!.time === undefined));
    } else places.push(...near);
    // A ring begins in the middle of a line, which others have before what follows it.
    if (j === 0 && line.time === undefined) for (let i = aTo - 1; i >= Math.max(aFrom, aTo - BEFORE); i--) places.push(i);
    const found = places.find((i) => {
      if (i < next || i >= aTo) return false;
      // Before the clock runs the time says nothing: its place must.
      const placed = line.time !== 0 || i - aFrom === j - bFrom || aTo - i === bTo - j;
      return isSameLine(into[i]!, line, { first: j === 0 || i === 0, behind, placed });
    });
    if (found === undefined) continue;
    partner[j] = found;
    next = found + 1;
  }
}

/** Places of lines of one time, of which those before `next` are passed. */
interface SameTime {
  readonly at: number[];
  next: number;
}

/** The first places from `from` on. Partners ascend: what was passed is looked at no more. */
function nextOf(same: SameTime | undefined, from: number): number[] {
  if (!same) return [];
  while (same.next < same.at.length && same.at[same.next]! < from) same.next++;
  return same.at.slice(same.next, same.next + SAME_TIME);
}

function isOutOfOrder(lines: readonly { readonly time?: number | undefined }[], i: number): boolean {
  const time = lines[i]!.time;
  const before = lines[i - 1]?.time;
  const after = lines[i + 1]?.time;
  return time !== undefined && ((before !== undefined && time < before) || (after !== undefined && time > after));
}

/**
 * Whether both may be the same line. `first`: one of them is the first of its text, where a ring begins in the middle of a line;
 * `behind`: the time of the line that the second stands behind; `placed`: where they stand speaks for it.
 */
function isSameLine(
  a: MergedLine,
  b: SourceLine,
  { first, behind, placed }: { readonly first: boolean; readonly behind: number | undefined; readonly placed: boolean },
): boolean {
  if (a.time !== undefined && b.time !== undefined) {
    if (micros(a.time) !== micros(b.time)) return a.text === b.text;
    return placed && (isCut(a.text, b.text) || likeness(a.text, b.text) >= ALIKE);
  }
  const [short, long] = a.text.length <= b.text.length ? [a, b] : [b, a];
  if (a.time === undefined && b.time === undefined) {
    return short.text.length >= SHORTEST && (isCut(a.text, b.text) || likeness(a.text, b.text) >= ALIKE);
  }
  // Of a record of several lines, dmesg and drgn give the first one the time, consoles all.
  if (a.text === b.text && behind !== undefined && micros(a.at) === micros(behind)) return true;
  // One has lost its time: what is left of its head may stand before the text, or the beginning of the text is lost, too.
  const [timed, bare] = a.time === undefined ? [b, a] : [a, b];
  if (timed === short) return timed.text.length >= SHORTEST && bare.text.endsWith(timed.text) && bare.text.includes("]");
  return first && short.text.length >= 4 && long.text.endsWith(short.text);
}

function isCut(a: string, b: string): boolean {
  const [short, long] = a.length <= b.length ? [a, b] : [b, a];
  return long.startsWith(short) || long.endsWith(short);
}

/** Of two readings, the one with less that a line's noise put there, else the longer. */
function isFuller(a: string, b: string): boolean {
  const damage = damaged(a) - damaged(b);
  return damage === 0 ? a.length > b.length : damage < 0;
}

function damaged(text: string): number {
  // oxlint-disable-next-line no-control-regex
  return text.match(/[\ufffd\0-\x08\x0b-\x1f\x7f-\x9f]/g)?.length ?? 0;
}

const COMPARED = 256;

/** Part of the pairs of neighbouring letters of both that both have, 0 to 1. */
function likeness(a: string, b: string): number {
  const lengthA = Math.min(a.length, COMPARED) - 1;
  const lengthB = Math.min(b.length, COMPARED) - 1;
  if (lengthA < 1 || lengthB < 1) return 0;
  const pairs = new Map<number, number>();
  for (let i = 0; i < lengthA; i++) {
    const pair = a.charCodeAt(i) * 65_536 + a.charCodeAt(i + 1);
    pairs.set(pair, (pairs.get(pair) ?? 0) + 1);
  }
  let common = 0;
  for (let i = 0; i < lengthB; i++) {
    const pair = b.charCodeAt(i) * 65_536 + b.charCodeAt(i + 1);
    const left = pairs.get(pair) ?? 0;
    if (left === 0) continue;
    common++;
    pairs.set(pair, left - 1);
  }
  return (2 * common) / (lengthA + lengthB);
}
