import { FRAME_LINES, TRACE_STARTS } from "./stack-recipe.ts";

/** A trace's first frame comes this soon, or not at all. */
const FRAME_WITHIN_LINES = 15;

/** A time stamp in the middle of a title: two lines ran into each other. */
const TIME_STAMP = /\[ *[0-9]+\.[0-9]+\]/;

const NO_STACK = "(stack is not available)";

/** Says why a title cannot be trusted, from the title alone. */
export function titleCorruption(title: string): string | undefined {
  return TIME_STAMP.test(title) ? "there is a time stamp inside the title" : undefined;
}

/**
 * Says why a report whose kind has a stack trace is not complete. Every kind of trace that a report starts
 * must have a frame right below its headline, and there must be one at all
 * (google/syzkaller:pkg/report/linux.go:isCorrupted).
 */
export function traceCorruption(lines: readonly string[]): string | undefined {
  let traces = 0;
  for (const start of TRACE_STARTS) {
    const at = lines.findIndex((line) => start.line.test(line));
    if (at === -1) {
      continue;
    }
    if (lines.length - at < 3) {
      return "a call trace is cut off";
    }
    if (hasFrame(lines, at + 1)) {
      traces++;
    } else if (start.mayBeEmpty !== true) {
      return "there are no frames in a stack trace";
    }
  }
  return traces === 0 ? "there is no stack trace in the report" : undefined;
}

function hasFrame(lines: readonly string[], from: number): boolean {
  for (const line of lines.slice(from, from + FRAME_WITHIN_LINES)) {
    if (TRACE_STARTS.some((start) => start.line.test(line))) {
      return false;
    }
    if (line.includes(NO_STACK) || FRAME_LINES.some((shape) => shape.test(line))) {
      return true;
    }
  }
  return false;
}
