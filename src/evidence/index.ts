export {
  collectEvidence,
  type Evidence,
  type EvidencePiece,
  linesBefore,
  type LogEvidence,
  type LogFile,
  type PieceKind,
} from "./collect.ts";
export * from "./incident/index.ts";
export {
  type PstoreStorage,
  readStorages,
  type StorageHints,
  type StorageLayout,
  type StorageSet,
  type StorageZone,
} from "./pstore/storage.ts";
export { outcomeOf } from "./pstore/outcome.ts";
export { type CaptureStory, type PstoreStory, type RecordText, recordTextsOf, storyOf, type TextOf } from "./pstore/story.ts";
export * from "./text/index.ts";
