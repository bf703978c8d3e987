export { type PageCodec, codecByName, type CodecName } from "./codec.ts";
export { decompressRleNCopies } from "./rle.ts";
