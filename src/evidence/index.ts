export { collectEvidence, type Evidence, type EvidencePiece, type LogEvidence, type PieceKind } from "./collect.ts";
export {
  type PstoreStorage,
  readStorages,
  type StorageHints,
  type StorageLayout,
  type StorageSet,
  type StorageZone,
} from "./pstore/storage.ts";
export { type CaptureStory, type PstoreStory, storyOf, type TextOf } from "./pstore/story.ts";
export * from "./text/index.ts";
