import { join } from "node:path";
import { rm } from "node:fs/promises";
import { isLabUnavailable, LabError } from "../lab/index.ts";
import type { VariantName } from "../panic/index.ts";
import { titleOfLog } from "../report/index.ts";
import { compare, verdictOf } from "./compare.ts";
import type { NotShown, Rehearsal, RehearsedStage, RehearsedWay } from "./model.ts";
import { type MachineSetup, runScenario } from "./scenario.ts";
import { seenEvidence } from "./seen.ts";
import { type WayName, wayOf } from "./way.ts";

/** What is to be rehearsed. */
export interface RehearsalPlan extends MachineSetup {
  readonly ways: readonly WayName[];
  readonly variant: VariantName;
  readonly notShown: readonly NotShown[];
  /** Where console, region and vmcore stay, in a folder for each way; without it they go with the machine. */
  readonly keep: string | undefined;
  /** A stage of a way is reached. */
  readonly onStage: (way: WayName, stage: RehearsedStage) => void;
  /** A way has come to its end. */
  readonly onWay?: (way: RehearsedWay) => void;
}

/**
 * Lets a kernel die in each of the ways, one machine after the other, and compares what is left with what the model says. A guest that
 * does something else than asked, or a kernel that has not the modules for it, costs its own way only.
 * @throws LabError MISSING_TOOL without QEMU; what the signal aborts with.
 */
export async function rehearse(plan: RehearsalPlan): Promise<Rehearsal> {
  const done: RehearsedWay[] = [];
  for (const name of plan.ways) {
    const way = await rehearseWay(plan, name);
    done.push(way);
    plan.onWay?.(way);
  }
  const { kernel, variant, settings, notShown } = plan;
  return { release: kernel.release, variant, settings, ways: done, notShown, verdict: verdictOf(done) };
}

async function rehearseWay(plan: RehearsalPlan, name: WayName): Promise<RehearsedWay> {
  const way = wayOf(name);
  const folder = join(plan.keep ?? plan.work, name);
  const head = { way: name, about: way.about, model: way.model(plan.settings), folder: plan.keep === undefined ? null : folder };
  const stages: RehearsedStage[] = [];
  try {
    const remains = await runScenario(plan, way, folder, (stage) => {
      stages.push(stage);
      plan.onStage(name, stage);
    });
    const cells = compare(way, plan.settings, plan.variant, await seenEvidence(way, plan.settings, remains));
    return {
      ...head,
      cells,
      stages,
      seconds: remains.seconds,
      end: remains.end,
      title: titleOfLog(remains.console)?.title ?? null,
      memory: remains.memory,
      failure: null,
    };
  } catch (error) {
    // A program that is missing is missing for every way.
    const everyWay: boolean = isLabUnavailable(error);
    if (!(error instanceof LabError) || everyWay) throw error;
    return { ...head, cells: [], stages, seconds: null, end: null, title: null, memory: null, failure: error.message };
  } finally {
    if (plan.keep === undefined) await rm(folder, { recursive: true, force: true });
  }
}
