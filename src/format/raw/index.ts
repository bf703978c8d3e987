import { DumpError } from "../../bytes/index.ts";
import type { FormatProbe } from "../dump.ts";
import { RawDump } from "./read.ts";

export { RawDump } from "./read.ts";

/** A raw memory image: no probe can tell, so it is opened only where the user says so (raw or rawBase). */
export const rawFormat: FormatProbe = {
  format: "raw",
  probe: () => false,
  open: (sources, options) => {
    const source = sources[0];
    if (!source || sources.length !== 1) throw new DumpError("BAD_ARGUMENT", `a raw image is one file, ${sources.length} were given`);
    if (!options.raw && options.rawBase === undefined)
      throw new DumpError("BAD_ARGUMENT", `${source.name} was not said to be a raw image (raw or rawBase)`);
    return new RawDump(source, options.rawBase ?? 0);
  },
};
