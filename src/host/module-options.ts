import { type CommandLine } from "./kernel-command-line.ts";
import type { Fact, Receipt, Root } from "./root.ts";

/** The parameters of a module, and where they are from. */
export interface ModuleOptions {
  readonly words: ReadonlyMap<string, Fact<string>>;
  readonly at: Receipt;
}

/** modprobe.d(5): all files of the folders, a name in an earlier folder hides those in later ones. */
const FOLDERS = ["/etc/modprobe.d", "/run/modprobe.d", "/usr/local/lib/modprobe.d", "/usr/lib/modprobe.d", "/lib/modprobe.d"];

/** What is configured for a module: on the kernel's command line, or for modprobe. Undefined where nothing is. */
export function readModuleOptions(root: Root, module: string, commandLine: CommandLine | undefined): ModuleOptions | undefined {
  const words = new Map<string, Fact<string>>();
  let at: Receipt | undefined;
  const seen = new Set<string>();
  for (const folder of FOLDERS) {
    for (const name of root.list(folder)) {
      if (!name.endsWith(".conf") || seen.has(name)) continue;
      seen.add(name);
      for (const line of root.lines(`${folder}/${name}`)) {
        const match = /^\s*options\s+(\S+)\s+(.*)$/.exec(line.text);
        if (match?.[1]!.replaceAll("-", "_") !== module) continue;
        at ??= line.at;
        for (const word of match[2]!.split(/\s+/)) {
          const equals = word.indexOf("=");
          if (equals > 0) words.set(word.slice(0, equals), { value: word.slice(equals + 1), at: line.at });
        }
      }
    }
  }
  for (const { name, value } of commandLine?.parameters ?? []) {
    const dot = name.indexOf(".");
    const own = name === module && module === "netconsole";
    if (value === undefined || (!own && name.slice(0, dot) !== module)) continue;
    at ??= commandLine!.at;
    words.set(own ? "netconsole" : name.slice(dot + 1), { value, at: commandLine!.at });
  }
  return at === undefined ? undefined : { words, at };
}
