export type { DumpFile, DumpProblem, ElfNote, FormatProbe, InfoSection, OpenOptions, PageState } from "./dump.ts";
export { openDump, openSources, recognise, type OpenedDump } from "./open.ts";
export { FileSource, readStats, reason, type ReadStats } from "./file-source.ts";
export { NT_VMCOREDD } from "./elf/index.ts";
