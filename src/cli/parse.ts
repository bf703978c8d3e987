import { parseArgs, type ParseArgsOptionsConfig } from "node:util";

import { asPaddr, asVaddr, MAX_PADDR } from "../bytes/index.ts";
import {
  commandNames,
  commandTable,
  optionSetTable,
  type CommandName,
  type OperandEntry,
  type OptionEntry,
  type OptionRule,
  type OptionSetName,
  type Target,
  type ValueEntry,
  type ValueType,
} from "./table.ts";

/** The command line is wrong. The message is a sentence without full stop; the hint is where to read on. */
export class UsageError extends Error {
  readonly hint: string;

  constructor(message: string, command?: CommandName, hint: string = `try 'lastwords help${command === undefined ? "" : ` ${command}`}'`) {
    super(message);
    this.name = "UsageError";
    this.hint = hint;
  }
}

/** A parsed command line behind the command's name. */
export interface Parsed {
  /** `-h` or `--help` was given: nothing else was checked, and {@link values} is empty. */
  readonly help: boolean;
  /** By the names of `Args` in table.ts. */
  readonly values: Readonly<Record<string, unknown>>;
}

/** Options of a command with those of the sets it uses, its own first. */
export function optionsOf(name: CommandName): Readonly<Record<string, OptionEntry>> {
  const entry = commandTable[name];
  const sets: readonly OptionSetName[] = [...entry.uses, "common"];
  return Object.assign({}, entry.options, ...sets.map((set) => optionSetTable[set])) as Record<string, OptionEntry>;
}

/** The command that a word names, by name or alias. @throws UsageError with a suggestion. */
export function findCommand(word: string): CommandName {
  if (Object.hasOwn(commandTable, word)) return word as CommandName;
  for (const name of commandNames) {
    if (commandTable[name].aliases?.includes(word) === true) return name;
  }
  const words = commandNames.flatMap((name) => [name, ...(commandTable[name].aliases ?? [])]);
  throw new UsageError(`there is no command '${word}'${suggestion(nearest(word, words))}`);
}

/**
 * Parses what follows the command's name: options anywhere, clustered short flags (`-qa`), `--name=value`, `--` before
 * operands that begin with a dash.
 *
 * @throws UsageError on anything the table does not know or allow.
 */
export function parseCommand(name: CommandName, argv: readonly string[]): Parsed {
  const options = optionsOf(name);
  const operands: string[] = [];
  const given = new Map<string, unknown[]>();
  // parseArgs only splits: its own errors name no neighbour and end in advice on `--` that fits few cases.
  const { tokens } = parseArgs({ args: [...argv], options: splitConfig(options), strict: false, allowPositionals: true, tokens: true });

  if (tokens.some((token) => token.kind === "option" && token.name === "help" && token.value === undefined))
    return { help: true, values: {} };

  for (const token of tokens) {
    if (token.kind === "positional") operands.push(token.value);
    if (token.kind !== "option") continue;
    const option = Object.hasOwn(options, token.name) ? options[token.name] : undefined;
    if (option === undefined) {
      const near = token.rawName.startsWith("--") ? nearest(token.name, Object.keys(options)) : undefined;
      throw new UsageError(`there is no option '${token.rawName}'${suggestion(near === undefined ? undefined : `--${near}`)}`, name);
    }
    const values = given.get(token.name) ?? [];
    given.set(token.name, values);
    if (option.type === "flag") {
      if (token.value !== undefined) throw new UsageError(`'${token.rawName}' takes no value, but '${token.value}' is given`, name);
      values.push(true);
      continue;
    }
    const shown = option.value ?? "VALUE";
    if (token.value === undefined) throw new UsageError(`'${token.rawName}' needs a value: ${token.rawName} ${shown}`, name);
    if (token.inlineValue !== true && token.value.length > 1 && token.value.startsWith("-")) {
      throw new UsageError(
        `'${token.rawName}' needs a value, and '${token.value}' looks like an option (if it is meant: ${optionWith(token.rawName, token.value)})`,
        name,
      );
    }
    values.push(parseValue(option.type, option, token.value, `'${token.rawName}'`, name));
  }

  for (const rule of commandTable[name].rules) checkRule(rule, given, name);
  const values: Record<string, unknown> = {};
  for (const [long, option] of Object.entries(options)) {
    const all = given.get(long);
    if (all === undefined && option.required === true) throw new UsageError(`'--${long} ${option.value ?? "VALUE"}' must be given`, name);
    values[camelCase(long)] = option.repeat === true ? (all ?? []) : (all?.at(-1) ?? (option.type === "flag" ? false : option.default));
  }
  Object.assign(values, assignOperands(name, operands));
  return { help: false, values };
}

/** `raw-base` as in `args.rawBase`. */
export function camelCase(name: string): string {
  return name.replace(/-(.)/g, (_, letter: string) => letter.toUpperCase());
}

function splitConfig(options: Readonly<Record<string, OptionEntry>>): ParseArgsOptionsConfig {
  const config: ParseArgsOptionsConfig = {};
  for (const [long, option] of Object.entries(options)) {
    config[long] = {
      type: option.type === "flag" ? "boolean" : "string",
      multiple: true,
      ...(option.short === undefined ? {} : { short: option.short }),
    };
  }
  return config;
}

function optionWith(rawName: string, value: string): string {
  return rawName.startsWith("--") ? `${rawName}=${value}` : `${rawName}${value}`;
}

function checkRule(rule: OptionRule, given: ReadonlyMap<string, unknown>, name: CommandName): void {
  if (rule.kind === "needs") {
    if (given.has(rule.option) && !given.has(rule.needs))
      throw new UsageError(`'--${rule.option}' is of use only with '--${rule.needs}'`, name);
    return;
  }
  const present = rule.options.filter((option) => given.has(option));
  if (present.length > 1) throw new UsageError(`${quoteList(present, "and")} exclude each other`, name);
  if (present.length === 0 && rule.kind === "exactly-one")
    throw new UsageError(`one of ${quoteList(rule.options, "and")} must be given`, name);
}

function quoteList(options: readonly string[], word: string): string {
  const quoted = options.map((option) => `'--${option}'`);
  return quoted.length < 2 ? quoted.join("") : `${quoted.slice(0, -1).join(", ")} ${word} ${quoted.at(-1)!}`;
}

function assignOperands(name: CommandName, words: readonly string[]): Record<string, unknown> {
  const entries: (readonly [string, OperandEntry])[] = Object.entries(commandTable[name].operands);
  const values: Record<string, unknown> = {};
  let end = words.length;
  const last = entries.at(-1);

  // Targets come last and are known by their look; the dump before them may repeat, so they are taken from the end.
  if (entries.length > 1 && last !== undefined && last[1].type === "target") {
    entries.pop();
    const needed = entries.filter(([, entry]) => entry.optional !== true).length;
    const most = last[1].repeat === true ? Infinity : 1;
    const targets: Target[] = [];
    while (end > needed && targets.length < most) {
      const target = parseTarget(words[end - 1]!);
      if (target === undefined) break;
      targets.unshift(target);
      end--;
    }
    values[last[0]] = last[1].repeat === true ? targets : targets[0];
  }

  let at = 0;
  for (const [key, entry] of entries) {
    const stop = entry.repeat === true ? end : Math.min(at + 1, end);
    if (stop <= at && entry.optional !== true) throw new UsageError(`${entry.name} is missing: ${lowerFirst(entry.about)}`, name);
    const parsed = words.slice(at, stop).map((word) => parseValue(entry.type, entry, word, entry.name, name));
    values[key] = entry.repeat === true ? parsed : parsed[0];
    at = Math.max(at, stop);
  }
  if (at < end) throw new UsageError(`'${words[at]!}' is one argument too many`, name);
  return values;
}

/** The start of a sentence in the midst of one; the full stop goes too. */
function lowerFirst(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1).replace(/\.$/, "").replaceAll("`", "'");
}

function parseValue(type: ValueType, entry: ValueEntry, text: string, what: string, name: CommandName): unknown {
  const refuse = (expected: string): never => {
    throw new UsageError(`${what} takes ${expected}, not '${text}'`, name);
  };
  switch (type) {
    case "string":
    case "file":
      return text === "" ? refuse(type === "file" ? "the name of a file" : "a text") : text;
    case "int": {
      const { min = 0, max = Number.MAX_SAFE_INTEGER } = entry;
      const value = /^\d+$/.test(text) ? Number(text) : NaN;
      return value >= min && value <= max ? value : refuse(`a whole number${range(min, max)}`);
    }
    case "size": {
      const { min = 0, max = Number.MAX_SAFE_INTEGER } = entry;
      const value = parseSize(text);
      return value !== undefined && value >= min && value <= max ? value : refuse(`a size such as 512, 0x200, 4K or 1G${range(min, max)}`);
    }
    case "paddr": {
      const value = parseAddress(text);
      if (value === undefined) return refuse("a physical address such as 1000 or 0x1000 (hexadecimal), or 0d4096");
      return value < BigInt(MAX_PADDR) ? asPaddr(Number(value)) : refuse("a physical address below 2^52");
    }
    case "vaddr": {
      const value = parseAddress(text);
      return value === undefined ? refuse("a virtual address such as ffffffff82a00000 (hexadecimal)") : asVaddr(value);
    }
    case "choice": {
      const choices = entry.choices ?? [];
      return choices.includes(text) ? text : refuse(choices.map((choice) => `'${choice}'`).join(" or "));
    }
    case "target":
      return parseTarget(text) ?? refuse("a process id or 'cpu:N'");
    case "command":
      return findCommand(text);
  }
}

function range(min: number, max: number): string {
  if (max < Number.MAX_SAFE_INTEGER) return ` from ${min} to ${max}`;
  return min > 0 ? ` of ${min} or more` : "";
}

/**
 * An address: hexadecimal with or without `0x`, decimal after `0d`; below 2^64. Undefined when it is none. `0d1f` is
 * none: taken as hexadecimal it would surprise whoever mistyped a decimal one (`0x0d1f` says it clearly).
 */
export function parseAddress(text: string): bigint | undefined {
  const match = /^(?:0d(?<decimal>[0-9]+)|(?!0d)(?:0x)?(?<hex>[0-9a-f]+))$/i.exec(text);
  if (match === null) return undefined;
  const { decimal, hex } = match.groups!;
  // Leading zeroes aside, no address of 64 bits has more digits; BigInt() of a megabyte of them would take its time.
  if ((decimal ?? hex!).replace(/^0+/, "").length > 20) return undefined;
  const value = decimal === undefined ? BigInt(`0x${hex!}`) : BigInt(decimal);
  return value < 1n << 64n ? value : undefined;
}

const SCALE: Readonly<Record<string, number>> = { "": 1, k: 1024, m: 1024 ** 2, g: 1024 ** 3, t: 1024 ** 4 };

/** A size in bytes: decimal or `0x` hexadecimal, then K, M, G or T (also KiB…) for powers of 1024. Undefined when it is none. */
export function parseSize(text: string): number | undefined {
  const match = /^(0x[0-9a-f]+|[0-9]+)(?:([kmgt])(?:ib)?)?$/i.exec(text);
  if (match === null) return undefined;
  const value = Number(match[1]!) * SCALE[(match[2] ?? "").toLowerCase()]!;
  return Number.isSafeInteger(value) ? value : undefined;
}

/** `1234` or `cpu:3`. Undefined when it is neither. */
export function parseTarget(text: string): Target | undefined {
  const match = /^(cpu:)?([0-9]{1,10})$/.exec(text);
  if (match === null) return undefined;
  const number = Number(match[2]!);
  if (match[1] !== undefined) return number <= 65_535 ? { kind: "cpu", cpu: number } : undefined;
  return number <= 0x7fff_ffff ? { kind: "pid", pid: number } : undefined;
}

function suggestion(near: string | undefined): string {
  return near === undefined ? "" : `, did you mean '${near}'?`;
}

/** The candidate that `word` was probably meant to be: few slips of the finger away, or begun with it. */
export function nearest(word: string, candidates: readonly string[]): string | undefined {
  let best: string | undefined;
  // One slip in three letters, three at most.
  let least = Math.min(3, Math.max(1, Math.floor(word.length / 3))) + 1;
  for (const candidate of candidates) {
    const distance = editDistance(word, candidate);
    if (distance < least) {
      best = candidate;
      least = distance;
    }
  }
  if (best !== undefined || word.length < 2) return best;
  const begun = candidates.filter((candidate) => candidate.startsWith(word));
  return begun.length === 1 ? begun[0] : undefined;
}

/** Insertions, deletions, replacements and swaps of neighbours. Long words are far from everything. */
function editDistance(a: string, b: string): number {
  if (a.length > 32 || b.length > 32) return Infinity;
  const rows: number[][] = [Array.from({ length: b.length + 1 }, (_, j) => j)];
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1];
      let value = Math.min(rows[i - 1]![j]! + 1, row[j - 1]! + 1, rows[i - 1]![j - 1]! + (same ? 0 : 1));
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) value = Math.min(value, rows[i - 2]![j - 2]! + 1);
      row.push(value);
    }
    rows.push(row);
  }
  return rows[a.length]![b.length]!;
}
