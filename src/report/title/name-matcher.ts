import type { NameList } from "./frame-lists.ts";

/** Tells whether a function's name is on a list. */
export type NameMatcher = (name: string) => boolean;

/** Compiles lists in the notation of {@link NameList}. */
export function nameMatcher(...lists: readonly NameList[]): NameMatcher {
  const whole = new Set<string>();
  const starts: string[] = [];
  const ends: string[] = [];
  const parts: string[] = [];
  const shapes: RegExp[] = [];
  for (const entry of lists.flat()) {
    if (typeof entry !== "string") {
      shapes.push(entry);
    } else if (entry.startsWith("^") && entry.endsWith("$")) {
      whole.add(entry.slice(1, -1));
    } else if (entry.startsWith("^")) {
      starts.push(entry.slice(1));
    } else if (entry.endsWith("$")) {
      ends.push(entry.slice(0, -1));
    } else {
      parts.push(entry);
    }
  }
  return (name) =>
    whole.has(name) ||
    parts.some((part) => name.includes(part)) ||
    starts.some((start) => name.startsWith(start)) ||
    ends.some((end) => name.endsWith(end)) ||
    shapes.some((shape) => shape.test(name));
}
