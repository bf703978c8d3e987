import { exitCode, exitMeaning, type ExitName } from "./exit-code.ts";
import {
  commandNames,
  commandTable,
  groups,
  optionSetTable,
  optionSetTitle,
  program,
  type CommandEntry,
  type CommandName,
  type GroupName,
  type OperandEntry,
  type OptionEntry,
  type OptionSetName,
} from "./table.ts";
import { displayWidth, noPaint, wrap, type Paint } from "./terminal.ts";

// The pieces that help, man pages and the reference have in common.

/** A named list of options, as help texts show them. */
export interface OptionSection {
  readonly title: string;
  readonly options: readonly (readonly [long: string, option: OptionEntry])[];
}

/** The options of a command: its own, then those of the sets it shares. Empty sections are left out. */
export function optionSections(name: CommandName): OptionSection[] {
  const entry = commandTable[name];
  const sets: readonly OptionSetName[] = [...entry.uses, "common"];
  return [
    { title: "Options", options: Object.entries(entry.options) },
    ...sets.map((set) => ({ title: optionSetTitle[set], options: Object.entries(optionSetTable[set]) })),
  ].filter((section) => section.options.length > 0);
}

/** `FILE...`, `[COMMAND]`. */
export function operandUsage(operand: OperandEntry): string {
  const name = operand.optional === true ? `[${operand.name}]` : operand.name;
  return operand.repeat === true ? `${name}...` : name;
}

/** `--length SIZE`. */
export function optionUsage(long: string, option: OptionEntry): string {
  return option.type === "flag" ? `--${long}` : `--${long} ${option.value ?? "VALUE"}`;
}

/** The pieces of a command's synopsis behind its name; each is to stay on one line. */
export function synopsis(name: CommandName): string[] {
  const entry = commandTable[name];
  const parts = Object.values(entry.operands).map(operandUsage);
  for (const [long, option] of Object.entries(entry.options)) {
    if (option.required === true) parts.push(optionUsage(long, option));
  }
  for (const rule of entry.rules) {
    if (rule.kind === "exactly-one") parts.push(`(${rule.options.map((long) => optionUsage(long, entry.options[long]!)).join(" | ")})`);
  }
  parts.push("[OPTION]...");
  return parts;
}

/** What an option of a command does, its default, and what it cannot do without or together with. Sentences with backticks. */
export function optionText(name: CommandName, long: string, option: OptionEntry): string {
  let text = option.about;
  if (option.repeat === true) text += " May be repeated.";
  if (option.default !== undefined) text += ` Default: \`${option.default}\`.`;
  for (const rule of commandTable[name].rules) {
    if (rule.kind === "needs") {
      if (rule.option === long) text += ` Only with \`--${rule.needs}\`.`;
    } else if (rule.kind === "at-most-one" && rule.options.includes(long)) {
      const others = rule.options.filter((other) => other !== long).map((other) => `\`--${other}\``);
      text += ` Not with ${others.join(" or ")}.`;
    }
  }
  return text;
}

/** The statuses of a command with their meaning, in order. */
export function exitList(name: CommandName): (readonly [code: number, meaning: string])[] {
  const entry = commandTable[name];
  const names: readonly ExitName[] = [...entry.exits, "usage", "interrupted"];
  return names.map((exit) => [exitCode[exit], entry.exitMeaning?.[exit] ?? exitMeaning[exit]] as const).sort(([a], [b]) => a - b);
}

/** The half sentence of the table as a whole one. */
export function sentence(summary: string): string {
  return summary.charAt(0).toUpperCase() + summary.slice(1) + ".";
}

/** Commands of a group, in the table's order. */
export function commandsIn(group: GroupName): CommandName[] {
  return commandNames.filter((name) => commandTable[name].group === group);
}

/** The first example of each command people begin with. */
export function mainExamples(): CommandEntry["examples"] {
  return (["report", "dmesg", "bt"] as const).flatMap((name) => commandTable[name].examples.slice(0, 1));
}

// Text for a terminal.

/** Columns before the text of an option or operand. */
const TEXT_AT = 26;

/**
 * The help of one command.
 *
 * @param width columns to wrap at, 80 where there is no terminal.
 */
export function commandHelp(name: CommandName, width = 80, paint: Paint = noPaint): string {
  const entry = commandTable[name];
  const heading = (text: string): string => `\n${paint("heading", `${text}:`)}\n`;
  let text = `${wrap(sentence(entry.summary), width)}\n`;

  const start = `${program.name} ${name} `;
  text += heading("Usage") + `  ${start}${joinParts(synopsis(name), width, start.length + 2)}\n`;
  if (entry.aliases !== undefined) text += `  Also: ${entry.aliases.map((alias) => `${program.name} ${alias}`).join(", ")}\n`;

  for (const paragraph of entry.description) text += `\n${wrap(markup(paragraph, paint), width)}\n`;

  const operands = Object.values(entry.operands);
  if (operands.length > 0) text += heading("Arguments");
  for (const operand of operands) text += item(operand.name, markup(operand.about, paint), width, paint);

  for (const section of optionSections(name)) {
    text += heading(section.title);
    for (const [long, option] of section.options) {
      const short = option.short === undefined ? "    " : `-${option.short}, `;
      text += item(short + optionUsage(long, option), markup(optionText(name, long, option), paint), width, paint);
    }
  }

  text += heading("Examples");
  for (const example of entry.examples) {
    text += `  ${paint("dim", `# ${example.about.replaceAll("`", "")}`)}\n  ${example.run}\n`;
  }

  text += heading("Exit status");
  for (const [code, meaning] of exitList(name)) text += `  ${String(code).padStart(3)}  ${wrap(markup(meaning, paint), width, 7)}\n`;

  if (entry.seeAlso.length > 0)
    text += `\n${paint("heading", "See also:")} ${wrap(entry.seeAlso.map(seeAlsoText).join(", "), width, 10)}\n`;
  return text;
}

function seeAlsoText(name: string): string {
  return Object.hasOwn(commandTable, name) ? `lastwords help ${name}` : name;
}

/** The help of the whole program. */
export function overview(width = 80, paint: Paint = noPaint): string {
  let text = `${wrap(sentence(program.summary), width)}\n\n`;
  text += `${paint("heading", "Usage:")} ${program.name} COMMAND [ARGUMENT]... [OPTION]...\n`;
  for (const paragraph of program.description) text += `\n${wrap(markup(paragraph, paint), width)}\n`;
  for (const group of Object.keys(groups) as GroupName[]) {
    text += `\n${paint("heading", `${groups[group]}:`)}\n`;
    for (const name of commandsIn(group)) {
      text += `  ${paint("name", name)}${" ".repeat(14 - name.length)}${wrap(commandTable[name].summary, width, 16)}\n`;
    }
  }
  text += `\n${paint("heading", "Examples:")}\n`;
  for (const example of mainExamples()) {
    text += `  ${paint("dim", `# ${example.about.replaceAll("`", "")}`)}\n  ${example.run}\n`;
  }
  text += `\n${wrap("'lastwords help COMMAND' explains a command, 'lastwords --version' prints the version.", width)}\n`;
  return text;
}

/** What a bare `lastwords` prints. */
export function shortHelp(): string {
  return `Usage: ${program.name} COMMAND [ARGUMENT]... [OPTION]...
Explains a crash dump:  ${program.name} report vmcore
Lists all commands:     ${program.name} help
`;
}

/** A name in the left column and its text in the right one, or below where the name is long. */
function item(name: string, about: string, width: number, paint: Paint): string {
  const left = `  ${name}`;
  const wrapped = wrap(about, width, TEXT_AT);
  const start = displayWidth(left) + 2 > TEXT_AT ? `\n${" ".repeat(TEXT_AT)}` : " ".repeat(TEXT_AT - displayWidth(left));
  return `  ${paint("name", name)}${start}${wrapped}\n`;
}

/** {@link wrap} at the joints only: a non-breaking space holds each piece together. */
function joinParts(parts: readonly string[], width: number, indent: number): string {
  return wrap(parts.map((part) => part.replaceAll(" ", "\u00a0")).join(" "), width, indent).replaceAll("\u00a0", " ");
}

/** Paints what stands in backticks, and drops them. */
function markup(text: string, paint: Paint): string {
  return text.replace(/`([^`]*)`/g, (_, literal: string) => paint("name", literal));
}
