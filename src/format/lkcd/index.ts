import { DumpError } from "../../bytes/index.ts";
import type { DumpFile, FormatProbe } from "../dump.ts";
import type { LkcdArchHeader } from "./arch.ts";
import { probeLkcd } from "./probe.ts";
import { LkcdDump } from "./read.ts";

export type { LkcdArchHeader, LkcdCpu } from "./arch.ts";
export type { LkcdHeader } from "./layout.ts";
export { LkcdDump } from "./read.ts";

/** LKCD dumps, saved or still on the dump device. */
export const lkcdFormat: FormatProbe = {
  format: "lkcd",
  probe: (_head, source) => probeLkcd(source),
  open: (sources, options) => {
    const source = sources[0];
    if (!source || sources.length !== 1) throw new DumpError("BAD_ARGUMENT", `an LKCD dump is one file, ${sources.length} were given`);
    return new LkcdDump(source, options);
  },
};

/** Registers and current tasks that an LKCD dump carries beside memory; undefined for any other dump. */
export function lkcdArchHeader(dump: DumpFile): LkcdArchHeader | undefined {
  return dump instanceof LkcdDump ? dump.archHeader : undefined;
}
