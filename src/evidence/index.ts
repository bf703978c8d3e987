export { collectEvidence, type Evidence, type EvidencePiece, type PieceKind } from "./collect.ts";
