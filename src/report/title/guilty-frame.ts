import {
  FRAME_PREFIXES,
  HANG_BUCKETS,
  HANG_SKIPPED_FRAMES,
  SKIPPED_FRAMES,
  STALL_ANCHOR_THAT_ANSWERS,
  STALL_ANCHORS,
} from "./frame-lists.ts";
import { type NameMatcher, nameMatcher } from "./name-matcher.ts";
import { demangleRustName } from "./rust-name.ts";
import { FRAME_LINES, INTERMIXED_LINE, type StackRecipe, type StackStep, TRACE_STARTS } from "./stack-recipe.ts";

/** The function that a trace points at. */
export interface GuiltyFrame {
  /** The name for the title. */
  readonly name: string;
  /** The frame's own name, before prefixes were taken off or a bucket named it. */
  readonly raw: string;
}

/** What a recipe made of a report. */
export interface GuiltyFrames {
  /** One for every trace that the recipe reads; {@link NO_FRAME} where a trace had no frame to blame. */
  readonly frames: readonly GuiltyFrame[];
  /** Every trace had a frame, and no other trace was mixed in. */
  readonly complete: boolean;
}

/** The name in a title whose function could not be found. */
export const NO_FRAME = "corrupted";

/** Follows `recipe` through the lines of a report, the header line first. */
export function guiltyFrames(recipe: StackRecipe, lines: readonly string[]): GuiltyFrames {
  const isSkipped = skipMatcher(recipe);
  const found = followSteps(recipe.steps, recipe, lines, isSkipped);
  return found.complete || recipe.otherwise === undefined ? found : followSteps(recipe.otherwise, recipe, lines, isSkipped);
}

const alwaysSkipped = Object.values(SKIPPED_FRAMES);
const skipMatchers = new WeakMap<StackRecipe, NameMatcher>();

function skipMatcher(recipe: StackRecipe): NameMatcher {
  let matcher = skipMatchers.get(recipe);
  if (matcher === undefined) {
    matcher = nameMatcher(...alwaysSkipped, recipe.skip ?? []);
    skipMatchers.set(recipe, matcher);
  }
  return matcher;
}

function isTraceStart(line: string): boolean {
  return TRACE_STARTS.some((start) => start.line.test(line));
}

/**
 * Steps share one position: a step that finds nothing uses up all lines, and those after it find nothing either.
 * Frames add up over the steps (the program counter first, then the trace) until the recipe asks for a second
 * trace or ends; then the guilty one of them is chosen.
 */
function followSteps(steps: readonly StackStep[], recipe: StackRecipe, lines: readonly string[], isSkipped: NameMatcher): GuiltyFrames {
  const chosen: GuiltyFrame[] = [];
  let names: string[] = [];
  let complete = true;
  let traces = 0;
  let next = 0;

  const collect = (captured: readonly (string | undefined)[]): void => {
    for (const name of captured) {
      if (name !== undefined) {
        const readable = demangleRustName(name);
        if (!isSkipped(readable)) {
          names.push(readable);
        }
      }
    }
  };
  const choose = (): void => {
    const frame = chooseFrame(names, recipe.choose);
    complete &&= frame !== undefined;
    chosen.push(frame ?? { name: NO_FRAME, raw: NO_FRAME });
    names = [];
  };

  for (let index = 0; index < steps.length; index++) {
    const step = steps[index];
    if (step === undefined) {
      break;
    }
    if (step === "frames") {
      if (traces > 0) {
        choose();
      }
      traces++;
    }
    const after = steps[index + 1];
    while (next < lines.length) {
      const line = lines[next] ?? "";
      next++;
      if (INTERMIXED_LINE.test(line)) {
        complete = false;
        break;
      }
      if (step !== "frames") {
        const found = step.exec(line);
        if (found !== null) {
          collect(found.slice(1));
          break;
        }
        continue;
      }
      if (isTraceStart(line)) {
        break;
      }
      if (after instanceof RegExp) {
        const found = after.exec(line);
        if (found !== null) {
          // The trace ends in the line that the next step wants, which is thereby done.
          collect(found.slice(1));
          index++;
          break;
        }
      }
      for (const shape of FRAME_LINES) {
        const found = shape.exec(line);
        if (found !== null) {
          collect(found.slice(1));
          break;
        }
      }
    }
  }
  choose();
  return { frames: chosen, complete };
}

function chooseFrame(raw: readonly string[], choose: StackRecipe["choose"]): GuiltyFrame | undefined {
  const names = raw.map(withoutPrefix);
  const choice = choose === "stall" ? chooseStalled(names) : choose === "hang" ? chooseHung(names) : { name: names[0], at: 0 };
  const own = raw[choice?.at ?? 0];
  // A name that was nothing but a prefix is no name.
  return choice?.name === undefined || choice.name === "" || own === undefined ? undefined : { name: choice.name, raw: own };
}

/** The shortest name that taking off one of the known prefixes leaves. */
function withoutPrefix(name: string): string {
  let shortest = name;
  for (const prefix of FRAME_PREFIXES) {
    if (name.startsWith(prefix) && name.length - prefix.length < shortest.length) {
      shortest = name.slice(prefix.length);
    }
  }
  return shortest;
}

interface Choice {
  readonly name: string | undefined;
  readonly at: number;
}

const isStallAnchor = nameMatcher(...Object.values(STALL_ANCHORS));

/** The function that the first dispatcher called. A trace that no dispatcher ends was cut. */
function chooseStalled(names: readonly string[]): Choice | undefined {
  const anchor = names.findIndex((name) => isStallAnchor(name));
  if (anchor === -1) {
    return undefined;
  }
  if (names[anchor]?.includes(STALL_ANCHOR_THAT_ANSWERS) === true) {
    return { name: STALL_ANCHOR_THAT_ANSWERS, at: anchor };
  }
  const at = Math.max(anchor - 1, 0);
  return { name: names[at], at };
}

const isHangSkipped = nameMatcher(HANG_SKIPPED_FRAMES);

/** A bucket where the trace has one, else the first function that does more than wait. */
function chooseHung(names: readonly string[]): Choice | undefined {
  for (const [at, name] of names.entries()) {
    const bucket = HANG_BUCKETS.find(([frame]) => name.includes(frame));
    if (bucket !== undefined) {
      return { name: bucket[1] === "" ? name : bucket[1], at };
    }
  }
  const at = names.findIndex((name) => !isHangSkipped(name));
  return at === -1 ? undefined : { name: names[at], at };
}
