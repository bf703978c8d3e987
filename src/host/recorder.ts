import { isDumpError } from "../bytes/index.ts";
import { parseRecordConfig, type RecordConfig } from "../pstore/index.ts";
import { parseMemory } from "./amount.ts";
import type { IoMemory } from "./iomem.ts";
import { unitState } from "./kdump.ts";
import { reservedOrNot } from "./ramoops.ts";
import { fileReceipt, type Receipt, type Root } from "./root.ts";

/** lastwords' own recorder, where it is configured. */
export interface RecorderFacts {
  readonly config: RecordConfig | undefined;
  /** What is wrong with the file. */
  readonly problem: string | undefined;
  readonly enabled: boolean;
  readonly unitAt: Receipt;
  /** Memory that it writes to, and whether that is kept from the kernel (as RamoopsFacts.inSystemRam). */
  readonly memory: readonly { readonly name: string; readonly inSystemRam: Receipt | null | undefined; readonly at: Receipt }[];
  readonly at: Receipt;
}

const CONFIG = "/etc/lastwords/record.conf";

export function readRecorder(root: Root, memory: IoMemory | undefined): RecorderFacts | undefined {
  const text = root.text(CONFIG);
  if (text === undefined) return undefined;
  let config: RecordConfig | undefined;
  let problem: string | undefined;
  try {
    config = parseRecordConfig(text, CONFIG);
  } catch (error) {
    if (!isDumpError(error)) throw error;
    problem = error.message;
  }
  const unit = unitState(root, "lastwords-record.service");
  const line = (where: string | undefined): Receipt => {
    const number = /line (\d+)/.exec(where ?? "")?.[1];
    return { path: CONFIG, line: number === undefined ? null : Number(number) };
  };
  return {
    config,
    problem,
    enabled: unit.state === "enabled",
    unitAt: unit.at,
    memory: (config?.backends ?? []).flatMap(({ name, words, where }) => {
      const amount = (word: string): number | undefined => {
        const value = words.get(word);
        return value === undefined ? undefined : parseMemory(value);
      };
      if (words.has("path") || (name !== "ramoops" && name !== "memconsole")) return [];
      const inSystemRam = reservedOrNot(memory, amount("mem_address") ?? amount("address"), amount("mem_size") ?? amount("size") ?? 4096);
      return [{ name, inSystemRam, at: line(where) }];
    }),
    at: problem === undefined ? fileReceipt(CONFIG) : line(problem),
  };
}
