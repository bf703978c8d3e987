/** Kernels that die in QEMU, to see whether the model of the panic path is right about what is left of them. */
export { agrees, compare, verdictOf } from "./compare.ts";
export { hasPstoreConsole } from "./kernel.ts";
export type {
  CaptureMemory,
  MachineEnd,
  NotShown,
  RehearsedCell,
  RehearsedStage,
  RehearsedWay,
  Rehearsal,
  Seen,
  SeenEvidence,
  Verdict,
} from "./model.ts";
export { rehearse, type RehearsalPlan } from "./rehearse.ts";
export { applySetting, goodSettings, machineSettings, type MachineSettings, settableNames } from "./settings.ts";
export { type ModelWay, type RehearsalWay, type WayName, wayNames, wayOf, ways } from "./way.ts";
