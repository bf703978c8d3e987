/** The log's lines and their levels, made once; levels of lines are worked out when somebody looks. */
import { incident, levels, report, timeline } from "./data.ts";

export const lines: readonly string[] = timeline.length === 0 ? splitLines(report.log.text) : timeline.map(joinedLine);

/** As a console would show it. */
function joinedLine({ time, text }: { readonly time: number | null; readonly text: string }): string {
  return typeof time === "number" ? `[${time.toFixed(6).padStart(12)}] ${text}` : text;
}

/** Marks of the sources that have room beside a line; all beyond share one. */
export const MARKED = 10;

export function markOf(source: number): string {
  return source < 26 ? String.fromCharCode(97 + source) : "+";
}

/** Which sources have a line, a column each. */
export function marksOf(index: number): string {
  const sources = timeline[index]?.sources ?? [];
  const total = incident?.sources.length ?? 0;
  let marks = "";
  for (let source = 0; source < Math.min(total, MARKED); source++) marks += sources.includes(source) ? markOf(source) : "\u00b7";
  return total <= MARKED ? marks : `${marks}${sources.some((source) => source >= MARKED) ? "+" : "\u00b7"}`;
}

/** Places in the list of conflicts, by line. */
export const conflictAt: ReadonlyMap<number, number> = new Map((incident?.conflicts ?? []).map(({ line }, i) => [line, i]));

/** Any source. */
export const ALL = -1;
/** Lines that sources have differently. */
export const DIFFERING = -2;

function isOf(index: number, source: number): boolean {
  return source === ALL || (source === DIFFERING ? conflictAt.has(index) : timeline[index]?.sources.includes(source) === true);
}

function splitLines(text: string): string[] {
  if (text === "") return [];
  const split = text.split("\n");
  if (split.at(-1) === "") split.pop();
  return split;
}

/** True where the kernel's own levels are known; else they are guessed from the words. */
export const exactLevels: boolean = levels.length === lines.length && lines.length > 0;

const CRITICAL =
  /Kernel panic|\bBUG:|\bOops\b|general protection fault|Unable to handle kernel|double fault|kernel BUG at|KASAN: |KFENCE: /;
const ERROR = /\berror\b|\bfail(?:ed|ure)?\b|\bI\/O error|call trace:|hung_task|blocked for more than|detected stall|lockup/i;
const WARNING = /WARNING:|\bwarn(?:ing)?\b|INFO: |unable to|not found|invalid|timed out|\btaint/i;

/** 0 (emergency) to 7 (debug), as in `dmesg`. */
export function levelOf(index: number): number {
  if (exactLevels) {
    const digit = levels.charCodeAt(index) - 48;
    if (digit >= 0 && digit <= 7) return digit;
  }
  const line = lines[index] ?? "";
  const prefix = /^<(\d{1,3})>/.exec(line);
  if (prefix) return Number(prefix[1]) & 7;
  // Megabytes in a line are no message.
  const start = line.length > 400 ? line.slice(0, 400) : line;
  if (CRITICAL.test(start)) return 2;
  if (ERROR.test(start)) return 3;
  return WARNING.test(start) ? 4 : 6;
}

export const LEVEL_NAMES: readonly string[] = ["emergency", "alert", "critical", "error", "warning", "notice", "info", "debug"];

/** Indexes of the lines that contain `text` (lower-case) at level `level` or worse and are of `source`; null for all. */
export function filterLines(text: string, level: number, source: number): readonly number[] | null {
  if (text === "" && level >= 7 && source === ALL) return null;
  const found: number[] = [];
  for (let i = 0; i < lines.length; i++) {
    if (text !== "" && !lines[i]!.toLowerCase().includes(text)) continue;
    if (level < 7 && levelOf(i) > level) continue;
    if (!isOf(i, source)) continue;
    found.push(i);
  }
  return found;
}

/** Place of the first number in an ascending list that is not less than `value`. */
export function lowerBound(list: readonly number[], value: number): number {
  let low = 0;
  let high = list.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (list[middle]! < value) low = middle + 1;
    else high = middle;
  }
  return low;
}
