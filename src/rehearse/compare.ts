/** What the model said against what the machine showed. */
import { type Outcome, predict, predictPanic, type Settings, type VariantName } from "../panic/index.ts";
import type { RehearsedCell, RehearsedWay, Seen, SeenEvidence, Verdict } from "./model.ts";
import type { RehearsalWay } from "./way.ts";

/**
 * Whether the machine may do what it did, if the model is right. `kept` is a promise: all of it must be there. `lost` and
 * `not-configured` say that nothing is. `partly` says that it hangs on the schedule, or on who resets the machine: one run can show
 * any of it.
 */
export function agrees(expected: Outcome, seen: Seen): boolean {
  switch (expected) {
    case "kept":
      return seen === "kept";
    case "partly":
      return true;
    case "lost":
    case "not-configured":
      return seen === "lost";
  }
}

/** The model's answer for a way, beside what was seen. Kinds that were not looked for count as lost. */
export function compare(way: RehearsalWay, settings: Settings, variant: VariantName, evidence: readonly SeenEvidence[]): RehearsedCell[] {
  const asked = way.model(settings);
  const predictions = asked === "panic" ? predictPanic(settings, variant) : predict(settings, asked, variant);
  return predictions.map(({ kind, outcome, why }) => {
    const found = evidence.find((each) => each.kind === kind) ?? { kind, seen: "lost", detail: "nothing" };
    return { ...found, expected: outcome, why, agrees: agrees(outcome, found.seen) };
  });
}

/** Counts, and says it in a sentence. */
export function verdictOf(ways: readonly RehearsedWay[]): Verdict {
  const cells = ways.flatMap((way) => way.cells);
  const promises = cells.filter((cell) => cell.expected === "kept");
  const promised = promises.length;
  const kept = promises.filter((cell) => cell.agrees).length;
  const disagreeing = cells.filter((cell) => !cell.agrees).length;
  const failed = ways.filter((way) => way.failure !== null).length;
  const rehearsed = ways.length - failed;
  const parts = [
    rehearsed === 0
      ? "Nothing could be rehearsed."
      : kept < promised
        ? `${promised - kept} of ${promised} promises were broken in ${count(rehearsed, "way")} to die.`
        : `What was promised was kept: ${count(promised, "promise")} in ${count(rehearsed, "way")} to die.`,
    ...(rehearsed === 0
      ? []
      : [
          disagreeing === 0
            ? "The model agrees in every cell."
            : `The model disagrees in ${disagreeing} of ${count(cells.length, "cell")}.`,
        ]),
    ...(failed > 0 && rehearsed > 0 ? [`${count(failed, "way")} could not be rehearsed.`] : []),
  ];
  return { text: parts.join(" "), promised, kept, disagreeing, failed };
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}
