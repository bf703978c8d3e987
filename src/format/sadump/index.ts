import type { DumpFile, FormatProbe } from "../dump.ts";
import type { SadumpCpu } from "./cpu-state.ts";
import { probeSadump } from "./probe.ts";
import { SadumpDump } from "./read.ts";

export type { DescriptorTable, SadumpCpu } from "./cpu-state.ts";
export { SadumpDump } from "./read.ts";

/** sadump: single partition, disk set (all disks in any order), media backup. */
export const sadumpFormat: FormatProbe = {
  format: "sadump",
  probe: (_head, source) => probeSadump(source),
  open: (sources) => new SadumpDump(sources),
};

/** CPU states (registers, CR3, IDT) that a sadump dump carries beside memory; undefined for any other dump. */
export function sadumpCpus(dump: DumpFile): readonly SadumpCpu[] | undefined {
  return dump instanceof SadumpDump ? dump.cpus : undefined;
}
