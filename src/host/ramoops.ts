import { parseMemory } from "./amount.ts";
import { type IoMemory, systemRamAt } from "./iomem.ts";
import type { CommandLine } from "./kernel-command-line.ts";
import { readModuleOptions } from "./module-options.ts";
import type { Receipt, Root } from "./root.ts";

/** A region of ramoops: as the loaded module has it, or as it is configured. */
export interface RamoopsFacts {
  readonly loaded: boolean;
  readonly address: number | undefined;
  readonly size: number | undefined;
  /** Bytes of its zones; undefined where nothing is said. */
  readonly recordSize: number | undefined;
  readonly consoleSize: number | undefined;
  readonly ecc: number | undefined;
  /** Given by name: the kernel itself has reserved it (`reserve_mem=`). */
  readonly named: boolean;
  /** The System RAM that it lies in, where nobody has reserved it; null where it is reserved, undefined where that cannot be told. */
  readonly inSystemRam: Receipt | null | undefined;
  readonly at: Receipt;
}

const FOLDER = "/sys/module/ramoops/parameters";

export function readRamoops(root: Root, commandLine: CommandLine | undefined, memory: IoMemory | undefined): RamoopsFacts | undefined {
  const running = root.number(`${FOLDER}/mem_size`);
  const loaded = root.exists("/sys/module/ramoops");
  if (running !== undefined && running.value > 0) {
    const number = (word: string): number | undefined => root.number(`${FOLDER}/${word}`)?.value;
    return finish(
      {
        loaded: true,
        address: number("mem_address"),
        size: running.value,
        recordSize: number("record_size"),
        consoleSize: number("console_size"),
        ecc: number("ecc"),
        named: /[^\s(]/.test(root.value(`${FOLDER}/mem_name`)?.value.replace("(null)", "") ?? ""),
        at: running.at,
      },
      memory,
    );
  }
  const options = readModuleOptions(root, "ramoops", commandLine);
  const named = options?.words.has("mem_name") === true;
  if (options === undefined || (!options.words.has("mem_size") && !named)) return undefined;
  const amount = (word: string): number | undefined => {
    const text = options.words.get(word)?.value;
    return text === undefined ? undefined : parseMemory(text);
  };
  return finish(
    {
      loaded,
      address: amount("mem_address"),
      size: amount("mem_size"),
      recordSize: amount("record_size"),
      consoleSize: amount("console_size"),
      ecc: amount("ecc") ?? 0,
      named,
      at: (options.words.get("mem_address") ?? options.words.get("mem_size"))?.at ?? options.at,
    },
    memory,
  );
}

function finish(region: Omit<RamoopsFacts, "inSystemRam">, memory: IoMemory | undefined): RamoopsFacts {
  return { ...region, inSystemRam: region.named ? null : reservedOrNot(memory, region.address, region.size) };
}

/** As {@link RamoopsFacts.inSystemRam}, for any region. */
export function reservedOrNot(
  memory: IoMemory | undefined,
  address: number | undefined,
  size: number | undefined,
): Receipt | null | undefined {
  if (memory === undefined || memory.hidden || address === undefined || size === undefined || size <= 0) return undefined;
  return systemRamAt(memory, address, size)?.at ?? null;
}
