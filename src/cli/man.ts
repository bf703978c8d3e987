import { exitCode, exitMeaning, type ExitName } from "./exit-code.ts";
import { commandsIn, exitList, mainExamples, operandUsage, optionSections, optionText, sentence } from "./help.ts";
import {
  commandTable,
  groups,
  program,
  type CommandEntry,
  type CommandName,
  type GroupName,
  type OperandEntry,
  type OptionEntry,
} from "./table.ts";

/** Said at the head of every generated page. */
const HEAD = '.\\" Generated from src/cli/table.ts by tools/generate.ts; do not edit.\n';

/** Section 1 page of one command, in roff with the man macros. */
export function commandPage(name: CommandName, version: string): string {
  const entry = commandTable[name];
  let page = `${HEAD}${title(`${program.name}-${name}`, version)}`;
  page += `.SH NAME\n${literalText(`${program.name}-${name}`)} \\- ${prose(entry.summary)}\n`;
  page += `.SH SYNOPSIS\n${synopsisLine(name)}`;

  page += `.SH DESCRIPTION\n${prose(sentence(entry.summary))}\n`;
  for (const paragraph of entry.description) page += `.PP\n${prose(paragraph)}\n`;
  if (entry.aliases !== undefined) {
    page += `.PP\n${prose(`The command may also be called ${entry.aliases.map((alias) => `\`${program.name} ${alias}\``).join(" or ")}.`)}\n`;
  }

  const operands = Object.values(entry.operands);
  if (operands.length > 0) page += ".SH ARGUMENTS\n";
  for (const operand of operands) page += `.TP\n${italic(operand.name)}\n${prose(operand.about)}\n`;
  page += ".SH OPTIONS\n";
  for (const section of optionSections(name)) {
    // The command's own options stand under the section's heading itself.
    if (section.title !== "Options") page += `.SS ${prose(section.title)}\n`;
    for (const [long, option] of section.options) {
      const short = option.short === undefined ? "" : `${bold(`-${option.short}`)}, `;
      page += `.TP\n${short}${optionMarkup(long, option)}\n${prose(optionText(name, long, option))}\n`;
    }
  }

  page += examples(entry.examples);
  page += ".SH EXIT STATUS\n";
  for (const [code, meaning] of exitList(name)) page += `.TP\n${bold(String(code))}\n${prose(meaning)}\n`;
  page += seeAlso([
    program.name,
    ...entry.seeAlso.map((other) => (Object.hasOwn(commandTable, other) ? `${program.name}-${other}` : other)),
  ]);
  return page;
}

/** Section 1 page of the program: its commands, exit statuses and environment. */
export function programPage(version: string): string {
  let page = `${HEAD}${title(program.name, version)}`;
  page += `.SH NAME\n${program.name} \\- ${prose(program.summary)}\n`;
  page += `.SH SYNOPSIS\n.nh\n.ad l\n${bold(program.name)} ${italic("COMMAND")} [${italic("ARGUMENT")}]... [${italic("OPTION")}]...\n`;
  page += `.br\n${bold(program.name)} ${bold("help")} [${italic("COMMAND")}]\n.ad b\n.hy\n`;
  page += `.SH DESCRIPTION\n${program.description.map(prose).join("\n.PP\n")}\n`;
  page += ".SH COMMANDS\n";
  for (const group of Object.keys(groups) as GroupName[]) {
    page += `.SS ${prose(groups[group])}\n`;
    for (const name of commandsIn(group))
      page += `.TP\n.BR ${literalText(`${program.name}-${name}`)} (1)\n${prose(sentence(commandTable[name].summary))}\n`;
  }
  page += `.SH OPTIONS\nOptions follow the command; each command has its own page. Without a command there are:\n`;
  page += `.TP\n${bold("-h")}, ${bold("--help")}\n${prose("List the commands.")}\n`;
  page += `.TP\n${bold("-V")}, ${bold("--version")}\n${prose("Print the version.")}\n`;
  page += examples(mainExamples());
  page += ".SH EXIT STATUS\n";
  for (const exit of Object.keys(exitCode) as ExitName[]) page += `.TP\n${bold(String(exitCode[exit]))}\n${prose(exitMeaning[exit])}\n`;
  page += ".SH ENVIRONMENT\n";
  for (const [name, about] of Object.entries(program.environment)) page += `.TP\n${bold(name)}\n${prose(about)}\n`;
  page += seeAlso([...commandsIn("explain").map((name) => `${program.name}-${name}`), ...program.seeAlso]);
  return page;
}

// No date: the pages must come out the same on every day.
function title(name: string, version: string): string {
  return `.TH ${literalText(name.toUpperCase())} 1 "" "${program.name} ${literalText(version)}" "User Commands"\n`;
}

function synopsisLine(name: CommandName): string {
  const entry = commandTable[name];
  const parts = [bold(`${program.name} ${name}`), ...Object.values(entry.operands).map(operandMarkup)];
  for (const [long, option] of Object.entries(entry.options)) {
    if (option.required === true) parts.push(optionMarkup(long, option));
  }
  for (const rule of entry.rules) {
    if (rule.kind === "exactly-one")
      parts.push(`(${rule.options.map((long) => optionMarkup(long, entry.options[long]!)).join("\\ |\\ ")})`);
  }
  parts.push(`[${italic("OPTION")}]...`);
  return `.nh\n.ad l\n${parts.join(" ")}\n.ad b\n.hy\n`;
}

/** As {@link operandUsage}, the name in italics; the dots and brackets upright. */
function operandMarkup(operand: OperandEntry): string {
  return operandUsage(operand).replace(operand.name, italic(operand.name));
}

function optionMarkup(long: string, option: OptionEntry): string {
  return option.type === "flag" ? bold(`--${long}`) : `${bold(`--${long}`)}\\ ${italic(option.value ?? "VALUE")}`;
}

function examples(list: CommandEntry["examples"]): string {
  const texts = list.map(({ about, run }) => `${prose(about)}:\n.PP\n.RS 4\n.EX\n${guard(literalText(run))}\n.EE\n.RE\n`);
  return `.SH EXAMPLES\n${texts.join(".PP\n")}`;
}

/** `crash(8)` and names without a section, which are in 1. */
function seeAlso(names: readonly string[]): string {
  const references = names.map((name) => {
    const match = /^(.*)\((\d)\)$/.exec(name);
    return [match?.[1] ?? name, match?.[2] ?? "1"] as const;
  });
  return `.SH SEE ALSO\n${references.map(([name, section], i) => `.BR ${literalText(name)} (${section})${i < references.length - 1 ? "," : ""}\n`).join("")}`;
}

function bold(text: string): string {
  return `\\fB${literalText(text)}\\fR`;
}

function italic(text: string): string {
  return `\\fI${literalText(text)}\\fR`;
}

/** A sentence, its backticked words in bold. */
function prose(text: string): string {
  const marked = text
    .split("`")
    .map((part, i) => (i % 2 === 0 ? escape(part) : bold(part)))
    .join("");
  return guard(marked);
}

/** What is typed as it stands: plain minus, quote, caret and tilde, so that it can be copied out of the page. */
function literalText(text: string): string {
  return escape(text).replaceAll("-", "\\-").replaceAll("'", "\\(aq").replaceAll("^", "\\(ha").replaceAll("~", "\\(ti");
}

function escape(text: string): string {
  return text.replaceAll("\\", "\\e");
}

/** A dot or quote at the start of a line would be a request. */
function guard(line: string): string {
  return line.startsWith(".") || line.startsWith("'") ? `\\&${line}` : line;
}
