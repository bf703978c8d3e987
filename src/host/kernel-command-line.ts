import type { Fact, Receipt, Root } from "./root.ts";

/** One word of the kernel's command line. */
export interface Parameter {
  readonly name: string;
  /** Undefined for a word without `=`. */
  readonly value: string | undefined;
}

export interface CommandLine {
  readonly text: string;
  readonly at: Receipt;
  readonly parameters: readonly Parameter[];
}

const PATH = "/proc/cmdline";

/** The running kernel's command line (linux:lib/cmdline.c:next_arg: quotes, and `-` is `_` in names). What follows ` -- ` is init's. */
export function readCommandLine(root: Root): CommandLine | undefined {
  const line = root.value(PATH);
  if (line === undefined) return undefined;
  const parameters: Parameter[] = [];
  for (const [word] of line.value.matchAll(/(?:"[^"]*"?|[^\s"])+/g)) {
    if (word === "--") break;
    const clean = word.replaceAll('"', "");
    const equals = clean.indexOf("=");
    const name = (equals < 0 ? clean : clean.slice(0, equals)).replaceAll("-", "_");
    parameters.push({ name, value: equals < 0 ? undefined : clean.slice(equals + 1) });
  }
  return { text: line.value, at: line.at, parameters };
}

/** All values of a parameter, in order; an empty string for a word without value. */
export function valuesOf(commandLine: CommandLine | undefined, name: string): readonly Fact<string>[] {
  if (commandLine === undefined) return [];
  return commandLine.parameters.filter((each) => each.name === name).map(({ value }) => ({ value: value ?? "", at: commandLine.at }));
}
