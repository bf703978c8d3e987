/** The way through a panic under given settings, as a list and as text. */
import { describeEvidence, evidenceBit, type EvidenceName, evidenceNames, evidenceText } from "./evidence.ts";
import { Machine, PC_MASK, type Step, type Variant } from "./model.ts";
import { describeSettings, type Settings } from "./settings.ts";
import { wrap } from "./trace.ts";

export interface FlowStep {
  readonly step: Step;
  /** What this step adds. */
  readonly gains: readonly EvidenceName[];
  /** What comes later, and is lost if nothing comes after this step. */
  readonly atStake: readonly EvidenceName[];
  /** Where it goes on if a lock is taken. */
  readonly otherwise?: string;
}

export interface Flow {
  readonly variant: Variant;
  readonly settings: Settings;
  readonly entry: "panic" | "oops";
  readonly steps: readonly FlowStep[];
  /** Everything there is at the end. */
  readonly evidence: readonly EvidenceName[];
  readonly end: string;
}

/** A hundred is more than any table has; a flow that is longer goes in circles. */
const LONGEST = 100;

/** One CPU, no faults: the steps that are walked, in order. */
export function flow(variant: Variant, settings: Settings, entry: "panic" | "oops" = "panic"): Flow {
  const machine = new Machine(variant, settings, { cpus: 1, faults: 0, start: { panics: [0], by: entry } });
  let state = machine.initial();
  const walked: { step: Step; word: number }[] = [];
  while (walked.length < LONGEST) {
    let next: Uint32Array | undefined;
    const step = machine.step(state[0]! & PC_MASK);
    machine.successors(
      state,
      0,
      () => {
        next ??= machine.into.slice();
      },
      false,
    );
    if (step !== undefined && (next !== undefined || step.effect.do !== "reboot")) walked.push({ step, word: (next ?? state)[1]! });
    if (next === undefined) break;
    state = next;
  }
  const all = state[1]!;
  let before = 0;
  const steps = walked.map(({ step, word }): FlowStep => {
    const gains = evidenceNames(word & ~before);
    before = word;
    const locked = step.effect.do === "try" || step.effect.do === "claim" ? step.otherwise : undefined;
    return { step, gains, atStake: evidenceNames(all & ~word), ...(locked === undefined ? {} : { otherwise: locked }) };
  });
  return { variant, settings, entry, steps, evidence: evidenceNames(all), end: machine.end(state, 0) };
}

/** Steps that only look, and see what is known already, say nothing to a reader. */
export function isQuiet(one: FlowStep): boolean {
  return one.step.effect.do === "ask" && one.gains.length === 0;
}

/** The flow in lines of at most `width` characters. */
export function formatFlow(the: Flow, width = 100): string {
  const lines = [
    `${the.variant.title}: from ${the.entry === "panic" ? "panic()" : "an oops that kills the kernel"} to the end`,
    ...wrap(the.variant.about, width),
    ...wrap(`settings: ${describeSettings(the.settings)}`, width),
    "at stake: what is still to come, and lost if it ends there",
    "",
  ];
  let stake = "";
  let number = 0;
  for (const one of the.steps) {
    if (isQuiet(one)) continue;
    number++;
    lines.push(`${String(number).padStart(3)}  ${one.step.name}`);
    const detail = (label: string, text: string): void => {
      const [head = "", ...rest] = wrap(text, width - 17);
      lines.push(`       ${label.padEnd(10)}${head}`, ...rest.map((line) => `${" ".repeat(17)}${line}`));
    };
    detail("is", one.step.cites);
    if (one.step.needs !== "nothing") detail("needs", one.step.needs);
    if (one.otherwise !== undefined) detail("else", `goes on at "${one.otherwise}"`);
    if (one.gains.length > 0) detail("leaves", one.gains.map((name) => evidenceText[name]).join(", "));
    const now = one.atStake.map((name) => evidenceText[name]).join(", ");
    if (now !== stake && now !== "") detail("at stake", now);
    stake = now;
  }
  const evidence = the.evidence.reduce((word, name) => word | evidenceBit[name], 0);
  lines.push("", ...wrap(`end: ${the.end}; there is: ${describeEvidence(evidence)}`, width), "");
  return lines.join("\n");
}
