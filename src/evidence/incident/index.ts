export { type BootPart, bootsOf, LAST_WORDS, PROGRAM } from "./boots.ts";
export {
  buildIncident,
  type Incident,
  type IncidentAnchor,
  type IncidentBoot,
  type JoinedPart,
  type OtherPart,
  type TimelineLine,
} from "./incident.ts";
export { type MergedLine, mergeLines, type MergeSource } from "./merge.ts";
export { type BootFacts, type IncidentText, linesOfLog, linesOfText, NO_FACTS, type SourceLine, timeOfRecord } from "./text.ts";
