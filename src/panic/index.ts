/** An executable model of what happens from `panic()` to the end, and what it leaves behind. */
export { type CaseResult, runCase, type SeedCase, seedCases } from "./cases.ts";
export { describeEvidence, evidenceBit, type EvidenceName, evidenceNames, evidenceText } from "./evidence.ts";
export { type End, type Exploration, explore, type ExploreOptions, type Finding, findings, promises, type Promise_ } from "./explore.ts";
export { type Flow, flow, type FlowStep, formatFlow } from "./explain.ts";
export { type EndKind, type FaultKind, faultKinds, type Move, type Start, type Step, type Variant } from "./model.ts";
export {
  type Outcome,
  type PredictedKind,
  type Prediction,
  predict,
  predictAll,
  predictPanic,
  type WayToDie,
  waysToDie,
} from "./predict.ts";
export {
  type Backend,
  type CaptureOutcome,
  defaultSettings,
  describeSettings,
  type Settings,
  type VariantName,
  variantNames,
} from "./settings.ts";
export { drawFlow } from "./svg.ts";
export { formatFinding, formatSchedule } from "./trace.ts";
export { variantOf, variants } from "./variant/index.ts";
