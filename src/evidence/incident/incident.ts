import { type BootPart, bootsOf } from "./boots.ts";
import { addPart, type BootGroup, forgetLines, newGroup, sameBoot } from "./join.ts";
import { type MergedLine, mergeLines } from "./merge.ts";
import type { BootFacts, IncidentText } from "./text.ts";

/** The pieces of one crash, joined. */
export interface Incident {
  /** The kernel that crashed, then the one that was to save its memory, where anything is left of it. */
  readonly boots: readonly IncidentBoot[];
  readonly texts: readonly IncidentText[];
  /** Parts of texts that are of other boots or other machines. */
  readonly others: readonly OtherPart[];
  /** All lines of its boots, each once; undefined where one text alone tells. */
  readonly timeline: readonly TimelineLine[] | undefined;
}

/** One boot of the incident. */
export interface IncidentBoot {
  readonly role: "crashed" | "capture";
  readonly facts: BootFacts;
  /** Seconds since boot of its earliest and latest line. */
  readonly first: number | undefined;
  readonly last: number | undefined;
  readonly parts: readonly JoinedPart[];
}

/** What a text has of a boot, and why it is of that boot. */
export interface JoinedPart extends BootPart {
  readonly why: string;
}

/** What a text has of a boot that is not of the incident. */
export interface OtherPart extends BootPart {
  readonly why: string;
}

/** A line with the boot that it is of. */
export interface TimelineLine extends MergedLine {
  readonly boot: number;
}

/** How the incident is found among the boots of all texts. */
export interface IncidentAnchor {
  /** Index of the text that the report is about. */
  readonly text: number;
  /** Line of it in which the crash begins, from 1; undefined where there is none, or it is before what is kept of the text. */
  readonly line: number | undefined;
}

/** Boots of all texts together; of more, those that come last in the order of the texts are left out. */
const MAX_PARTS = 400;

/**
 * Joins texts to one incident: the boot that the anchor is in, and that of the capture kernel behind it.
 *
 * Never throws. Time is linear in the number of lines times the number of boots in all texts; lines are shared with the texts.
 */
export function buildIncident(texts: readonly IncidentText[], anchor: IncidentAnchor): Incident {
  const parts = texts.flatMap((text, source) =>
    text.kind === "program record" ? programPart(text, source) : bootsOf(text, source, texts.length > 1),
  );
  const left = new Set(parts.slice(0, MAX_PARTS));
  const start = anchorPart([...left], anchor);
  if (start === undefined) return { boots: [], texts, others: [], timeline: undefined };
  left.delete(start);
  const why = new Map<BootPart, string>([[start, "the crash is in it"]]);
  const crashed = newGroup();
  addPart(crashed, start);
  grow(crashed, left, why);
  const captureStart = start.facts.capture === true ? undefined : captureOf(crashed, left, texts);
  const capture = captureStart && newGroup();
  if (capture && captureStart) {
    left.delete(captureStart);
    why.set(captureStart, follows(crashed, captureStart) ? "it follows the crash" : "of a capture kernel");
    addPart(capture, captureStart);
    grow(capture, left, why);
  }
  const groups = capture ? [crashed, capture] : [crashed];
  byStorage(groups, left, texts, why);

  const boots = groups.map((group, i): IncidentBoot => ({
    role: i === 0 && group.facts.capture !== true ? "crashed" : "capture",
    facts: group.facts,
    first: group.first,
    last: group.last,
    parts: group.parts.map((part) => ({ ...part, why: why.get(part)! })),
  }));
  const others = othersOf(parts, left, groups, texts);
  for (const group of groups) forgetLines(group);
  const told = new Set(groups.flatMap(({ parts: own }) => own.filter(({ count }) => count > 0).map(({ source }) => source)));
  return {
    boots,
    texts,
    others,
    timeline:
      told.size < 2 ? undefined : groups.flatMap((group, boot) => timelineOf(group, texts).map((line) => Object.assign(line, { boot }))),
  };
}

/** What programs wrote has no boots of its own: nothing but its record tells. */
function programPart({ lines, facts }: IncidentText, source: number): BootPart[] {
  const all = [...lines];
  if (all.length === 0) return [];
  return [
    {
      source,
      boot: 0,
      lines: all,
      count: all.length,
      firstLine: all[0]!.number,
      lastLine: all.at(-1)!.number,
      kernel: false,
      facts,
      first: undefined,
      last: undefined,
      crashed: false,
      whole: false,
    },
  ];
}

function anchorPart(parts: readonly BootPart[], { text, line }: IncidentAnchor): BootPart | undefined {
  const own = parts.filter(({ source }) => source === text);
  const holding = line === undefined ? undefined : own.find(({ firstLine, lastLine }) => line >= firstLine && line <= lastLine);
  const notCapture = own.filter(({ facts }) => facts.capture !== true);
  return holding ?? notCapture.findLast(({ crashed }) => crashed) ?? notCapture.at(-1) ?? own.at(-1);
}

/** Chains of texts, each of which only overlaps the one before, are not longer. */
const MAX_ROUNDS = 4;

/** Takes in all parts that are of the group's boot; one that joins may tell of the next. */
function grow(group: BootGroup, left: Set<BootPart>, why: Map<BootPart, string>): void {
  let joined = true;
  for (let round = 0; joined && round < MAX_ROUNDS; round++) {
    joined = false;
    for (const part of left) {
      const verdict = sameBoot(group, part);
      if (verdict.same !== true) continue;
      left.delete(part);
      why.set(part, verdict.why);
      addPart(group, part);
      joined = true;
    }
  }
}

/** The capture kernel's part that comes next in a text that has the crash; else one that no other crash may claim. */
function captureOf(crashed: BootGroup, left: ReadonlySet<BootPart>, texts: readonly IncidentText[]): BootPart | undefined {
  // What programs wrote finds its place by the kernel's own text, where there is that.
  const rank = ({ kernel, whole }: BootPart): number => (whole ? 2 : 0) + (kernel ? 1 : 0);
  const candidates = [...left].filter(({ facts }) => facts.capture === true).sort((a, b) => rank(a) - rank(b));
  const next = candidates.find((part) => follows(crashed, part));
  if (next) return next;
  const crashTime = crashed.facts.started === undefined ? undefined : crashed.facts.started + (crashed.last ?? 0);
  const possible = candidates.filter(({ facts }) => {
    if (crashTime === undefined || facts.started === undefined) return true;
    // It boots within a minute or so; clocks may be off by more.
    return Math.abs(facts.started - crashTime) < CAPTURE_SECONDS;
  });
  // Those that follow another crash, in their text or in a region that outlives kernels, are that crash's.
  const crashes = [...left].filter((part) => part.crashed && part.facts.capture !== true);
  const placeOf = ({ source }: BootPart): string | undefined => texts[source]!.storage?.source;
  const own = new Set(crashed.parts.map(placeOf));
  const free = possible.filter(
    (part) =>
      !crashes.some(
        (other) =>
          (other.source === part.source && other.boot === part.boot - 1) ||
          (placeOf(part) !== undefined && placeOf(other) === placeOf(part) && !own.has(placeOf(part))),
      ),
  );
  return free.at(-1);
}

const CAPTURE_SECONDS = 3600;

function follows(crashed: BootGroup, part: BootPart): boolean {
  return crashed.parts.some(({ source, boot }) => source === part.source && boot === part.boot - 1);
}

/** Records of one storage are of one kernel, where nothing in them says otherwise. */
function byStorage(groups: readonly BootGroup[], left: Set<BootPart>, texts: readonly IncidentText[], why: Map<BootPart, string>): void {
  for (const part of left) {
    const { storage, kind } = texts[part.source]!;
    if (storage === undefined || kind !== "program record") continue;
    const group = groups.find(
      ({ parts, facts }) =>
        parts.some(({ source }) => isSameStorage(texts[source]!.storage, storage)) &&
        (part.facts.capture === undefined || facts.capture === undefined || part.facts.capture === facts.capture) &&
        (part.facts.release === undefined || facts.release === undefined || part.facts.release === facts.release),
    );
    if (!group) continue;
    left.delete(part);
    why.set(part, "kept beside its console");
    addPart(group, part);
  }
}

function isSameStorage(a: IncidentText["storage"], b: IncidentText["storage"]): boolean {
  return a !== undefined && b !== undefined && a.source === b.source && a.kept === b.kept;
}

function othersOf(
  parts: readonly BootPart[],
  left: ReadonlySet<BootPart>,
  groups: readonly BootGroup[],
  texts: readonly IncidentText[],
): OtherPart[] {
  const [crashed, capture] = groups;
  return parts
    .filter((part, i) => left.has(part) || i >= MAX_PARTS)
    .filter((part) => part.kernel || part.whole || texts[part.source]!.kind !== "log file")
    .map((part) => {
      const verdict = sameBoot(part.facts.capture === true && capture ? capture : crashed!, part);
      const last = [...groups].reverse().find((group) => group.parts.some(({ source }) => source === part.source));
      const after = last?.parts.some(({ source, boot }) => source === part.source && boot < part.boot) === true;
      return { ...part, why: after && verdict.same !== true && part.whole ? `booted afterwards; ${verdict.why}` : verdict.why };
    });
}

/** The lines of a boot, each once. Memory's come first, then the fullest text. */
function timelineOf(group: BootGroup, texts: readonly IncidentText[]): MergedLine[] {
  const rank = ({ source }: { readonly source: number }): number =>
    texts[source]!.kind === "memory" ? 0 : texts[source]!.kind === "program record" ? 2 : 1;
  // Where a boot id holds a text's parts together, its lines are one row.
  const rows = Map.groupBy(
    group.parts.toSorted((a, b) => a.boot - b.boot),
    ({ source }) => source,
  );
  const ordered = [...rows]
    .map(([source, parts]) => ({ source, lines: parts.length === 1 ? parts[0]!.lines : parts.flatMap(({ lines }) => lines) }))
    .sort((a, b) => rank(a) - rank(b) || b.lines.length - a.lines.length);
  let merged: MergedLine[] = [];
  for (const { source, lines } of ordered) merged = mergeLines(merged, { source, lines, trusted: texts[source]!.kind === "memory" });
  return merged;
}
