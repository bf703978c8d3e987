/** What this host is set up to keep of a crash. */
export { type HostFacts, readHost } from "./facts.ts";
export { type Finding, findProblems, type Problem, type Rule, rules, severities, type Severity } from "./findings.ts";
export { fixPlan } from "./fix-plan.ts";
export { type Cell, type Change, evidenceMatrix, type Matrix, type Row } from "./matrix.ts";
export { type Fact, type Receipt, Root } from "./root.ts";
export { settingsOf } from "./settings.ts";
