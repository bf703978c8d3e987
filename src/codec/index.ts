export { type PageCodec, codecByName, type CodecName } from "./codec.ts";
export { decompressRleNCopies } from "./rle.ts";
export { sw842 } from "./sw842.ts";
export { nodeZlib } from "./node-zlib.ts";
export { ReedSolomon } from "./reed-solomon.ts";
export { inflatePart, type InflatedPart } from "./deflate.ts";
