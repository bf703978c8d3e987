/**
 * Writes everything that follows from the command table: man pages, completion scripts, docs/commands.md.
 *
 *   node tools/generate.ts           write what changed, remove pages of commands that are gone
 *   node tools/generate.ts --check   write nothing; exit 1 and name the files that are not current
 */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

import { completionFile, completionScript, type Shell } from "../src/cli/completion.ts";
import { exitCode, exitMeaning, type ExitName } from "../src/cli/exit-code.ts";
import { commandsIn, exitList, optionSections, optionText, optionUsage, sentence, synopsis } from "../src/cli/help.ts";
import { commandPage, programPage } from "../src/cli/man.ts";
import { commandNames, commandTable, groups, program, type CommandName, type GroupName } from "../src/cli/table.ts";

const root = fileURLToPath(new URL("..", import.meta.url));

/** Folders in which every file is generated. */
const OWNED = ["docs/man", "completions"];

/** Path in the repository, and content, of every generated file. */
export function generatedFiles(): Map<string, string> {
  const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { version: string };
  const files = new Map<string, string>();
  files.set(`docs/man/${program.name}.1`, programPage(version));
  for (const name of commandNames) files.set(`docs/man/${program.name}-${name}.1`, commandPage(name, version));
  for (const shell of Object.keys(completionFile) as Shell[]) files.set(`completions/${completionFile[shell]}`, completionScript(shell));
  files.set("docs/commands.md", reference());
  return files;
}

/** Generated files that are missing, differ, or should not be there (paths in the repository). */
export function staleFiles(): string[] {
  const files = generatedFiles();
  const stale = [...files].filter(([path, text]) => read(path) !== text).map(([path]) => path);
  return [...stale, ...leftOver(files)];
}

function read(path: string): string | undefined {
  try {
    return readFileSync(join(root, path), "utf8");
  } catch {
    return undefined;
  }
}

function leftOver(files: ReadonlyMap<string, string>): string[] {
  return OWNED.flatMap((folder) => {
    mkdirSync(join(root, folder), { recursive: true });
    return readdirSync(join(root, folder))
      .map((name) => `${folder}/${name}`)
      .filter((path) => !files.has(path));
  });
}

/** docs/commands.md. */
function reference(): string {
  let text = `<!-- Generated from src/cli/table.ts by tools/generate.ts; do not edit. -->

# Commands

${program.description.join("\n\n")}

`;
  for (const group of Object.keys(groups) as GroupName[]) {
    text += `**${groups[group]}**\n\n| command | job |\n|---|---|\n`;
    for (const name of commandsIn(group)) text += `| [\`${name}\`](#${name}) | ${cell(commandTable[name].summary)} |\n`;
    text += "\n";
  }
  text += `## Exit statuses\n\n| status | meaning |\n|---|---|\n`;
  for (const name of Object.keys(exitCode) as ExitName[]) text += `| ${exitCode[name]} | ${cell(exitMeaning[name])} |\n`;
  text += `\n## Environment\n\n| variable | meaning |\n|---|---|\n`;
  for (const [name, about] of Object.entries(program.environment)) text += `| \`${name}\` | ${cell(about)} |\n`;
  for (const name of commandNames) text += `\n${commandSection(name)}`;
  return text;
}

function commandSection(name: CommandName): string {
  const entry = commandTable[name];
  let text = `## ${name}\n\n${sentence(entry.summary)}\n\n`;
  text += `\`\`\`\n${program.name} ${name} ${synopsis(name).join(" ")}\n\`\`\`\n`;
  if (entry.aliases !== undefined) text += `\nAlso called ${entry.aliases.map((alias) => `\`${alias}\``).join(", ")}.\n`;
  for (const paragraph of entry.description) text += `\n${paragraph}\n`;
  const operands = Object.values(entry.operands);
  if (operands.length > 0) {
    text += "\n| argument | meaning |\n|---|---|\n";
    for (const operand of operands) text += `| ${cell(operand.name)} | ${cell(operand.about)} |\n`;
  }
  for (const section of optionSections(name)) {
    text += `\n| ${section.title.toLowerCase()} | meaning |\n|---|---|\n`;
    for (const [long, option] of section.options) {
      const short = option.short === undefined ? "" : `\`-${option.short}\`, `;
      text += `| ${short}\`${cell(optionUsage(long, option))}\` | ${cell(optionText(name, long, option))} |\n`;
    }
  }
  text += "\n```sh\n";
  for (const example of entry.examples) text += `# ${example.about.replaceAll("`", "")}\n${example.run}\n`;
  text += "```\n\n| status | meaning |\n|---|---|\n";
  for (const [code, meaning] of exitList(name)) text += `| ${code} | ${cell(meaning)} |\n`;
  return text;
}

/** Text in a cell of a Markdown table. */
function cell(text: string): string {
  return text.replaceAll("|", "\\|");
}

function main(): void {
  if (process.argv.includes("--check")) {
    const stale = staleFiles();
    for (const path of stale) process.stderr.write(`${path} is not what src/cli/table.ts gives; run 'npm run generate'\n`);
    process.exitCode = stale.length > 0 ? 1 : 0;
    return;
  }
  const files = generatedFiles();
  for (const path of leftOver(files)) rmSync(join(root, path), { recursive: true });
  for (const [path, text] of files) {
    if (read(path) === text) continue;
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
    process.stdout.write(`${path}\n`);
  }
}

if (import.meta.main) main();
