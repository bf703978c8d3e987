import { DumpError } from "../bytes/index.ts";
import { BACKEND_KINDS } from "./backend/open.ts";
import { FRONTEND_NAMES, type FrontendName } from "./frontend/frontend.ts";
import type { Port } from "./port.ts";
import type { Configured } from "./recorder.ts";
import { parseWords } from "./spec.ts";

/** What is to be recorded where, as configured. */
export interface RecordConfig {
  readonly frontends: readonly Configured[];
  readonly backends: readonly Configured[];
  readonly banner: boolean;
}

/** `tty`, or `ramoops:mem_address=0x6000000,mem_size=1M`. @throws BAD_ARGUMENT for an unknown name. */
export function parseConfigured(kind: "frontend" | "backend", text: string, where?: string): Configured {
  const colon = text.search(/[:\s]/);
  const name = (colon < 0 ? text : text.slice(0, colon)).trim();
  const known: readonly string[] = kind === "frontend" ? FRONTEND_NAMES : BACKEND_KINDS;
  if (!known.includes(name)) throw new DumpError("BAD_ARGUMENT", `there is no ${kind} '${name}'; there are ${known.join(", ")}`);
  return { name, words: parseWords(colon < 0 ? "" : text.slice(colon + 1)), ...(where === undefined ? {} : { where }) };
}

/**
 * A configuration file: `frontend NAME WORDS`, `backend NAME WORDS` and `banner yes|no`, one a line, `#` before remarks.
 *
 * @throws BAD_ARGUMENT naming the line.
 */
export function parseRecordConfig(text: string, name: string): RecordConfig {
  const frontends: Configured[] = [];
  const backends: Configured[] = [];
  let banner = true;
  for (const [i, raw] of text.split("\n").entries()) {
    const line = raw.replace(/(?:^|\s)#.*/, "").trim();
    if (line === "") continue;
    const [, word, rest] = /^(\S+)\s*(.*)$/s.exec(line)!;
    try {
      if (word === "frontend") frontends.push(parseConfigured("frontend", rest!, `${name}, line ${i + 1}`));
      else if (word === "backend") backends.push(parseConfigured("backend", rest!, `${name}, line ${i + 1}`));
      else if (word === "banner" && /^(?:yes|no)$/.test(rest!)) banner = rest === "yes";
      else throw new DumpError("BAD_ARGUMENT", `'${line}' is neither 'frontend NAME ...', 'backend NAME ...' nor 'banner yes|no'`);
    } catch (error) {
      throw error instanceof DumpError ? new DumpError("BAD_ARGUMENT", `${name}, line ${i + 1}: ${error.message}`) : error;
    }
  }
  return { frontends, backends, banner };
}

/** What is recorded where nobody says: the console, ttys, programs, and in a capture kernel the log of the one that crashed. */
export function defaultFrontends(port: Port, isCapture: (port: Port) => boolean): Configured[] {
  const names: FrontendName[] = ["console", "tty", "pmsg", ...(isCapture(port) ? (["vmcore"] as const) : [])];
  return names.map((name) => ({ name, words: new Map() }));
}
