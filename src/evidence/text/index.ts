export { BootCounter } from "./boots.ts";
export { rawAddresses, readBanner, readFacts, type TextFacts, type TextFrame, type TextModule } from "./facts.ts";
export { cleanLine, type LineHead, parseHead, PRINTK_STAMP } from "./head.ts";
export { ofSameCaller } from "./interleave.ts";
export type { JournalBoot } from "./journal.ts";
export { dissectLine, type KernelText, kernelTextOf, type LogLine, MAX_SHOWN, openKernelText, parseLine, readLines } from "./lines.ts";
export type { Pull } from "./pieces.ts";
export { PART_HEADING, recogniseText, type TextForm, type TextKind } from "./recognise.ts";
export { type ByteStream, bytesStream, openByteStream } from "./stream.ts";
