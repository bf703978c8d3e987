import { optionsOf } from "./parse.ts";
import { commandNames, commandTable, program, type CommandName, type OperandEntry, type OptionEntry } from "./table.ts";

export type Shell = "bash" | "zsh" | "fish";

/** The completion script of a shell, to be sourced or installed where {@link completionFile} says. */
export function completionScript(shell: Shell): string {
  switch (shell) {
    case "bash":
      return bashScript();
    case "zsh":
      return zshScript();
    case "fish":
      return fishScript();
  }
}

/** File name under which the shell finds the script in its folder of completions. */
export const completionFile: Readonly<Record<Shell, string>> = {
  bash: `${program.name}.bash`,
  zsh: `_${program.name}`,
  fish: `${program.name}.fish`,
};

const HEAD = `# Completion of ${program.name}. Generated from src/cli/table.ts by tools/generate.ts; do not edit.\n`;

/** What can be completed for a value: files, one of some words, or nothing. */
function wordsFor(entry: OptionEntry | OperandEntry): readonly string[] | "files" | "nothing" {
  if (entry.type === "file") return "files";
  if (entry.type === "choice") return entry.choices ?? [];
  if (entry.type === "command") return commandNames;
  return "nothing";
}

/** The operand that completion offers: targets (numbers) cannot be guessed, so it is the first. */
function operandOf(name: CommandName): OperandEntry | undefined {
  return Object.values(commandTable[name].operands)[0];
}

/** Names that select a command. */
function namesOf(name: CommandName): readonly string[] {
  return [name, ...(commandTable[name].aliases ?? [])];
}

/** The first clause of an option's text: one line in a menu. */
function brief(about: string): string {
  return about
    .replaceAll("`", "")
    .split(/[:;.(](?:\s|$)|\s\(/)[0]!
    .trim();
}

/** Single-quoted for a POSIX shell. */
function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

// ---------------------------------------------------------------------------------------------------------------- bash

// Words, not a dependency on the package bash-completion, which minimal systems lack. Where files are wanted, COMPREPLY
// stays empty and `-o default` lets readline complete: it alone quotes names such as those of kdump's folders, which
// have colons, correctly.
function bashScript(): string {
  const cases = commandNames.map((name) => {
    const options = Object.entries(optionsOf(name));
    const words = options.flatMap(([long, option]) => [`--${long}`, ...(option.short === undefined ? [] : [`-${option.short}`])]);
    const values = new Map<string, string[]>();
    for (const [long, option] of options) {
      if (option.type === "flag") continue;
      const key = bashWords(wordsFor(option));
      values.set(key, [...(values.get(key) ?? []), `--${long}`, ...(option.short === undefined ? [] : [`-${option.short}`])]);
    }
    const operand = operandOf(name);
    let text = `    ${namesOf(name).join("|")})\n`;
    text += `      options=${quote(words.join(" "))}\n`;
    text += `      operand=${quote(operand === undefined ? "" : bashWords(wordsFor(operand)))}\n`;
    text += `      case $previous in\n`;
    for (const [key, names] of values) text += `        ${names.join("|")}) value=${quote(key)} ;;\n`;
    return `${text}      esac\n      ;;\n`;
  });
  return `${HEAD}
_lastwords() {
  local current=\${COMP_WORDS[COMP_CWORD]} previous=\${COMP_WORDS[COMP_CWORD - 1]}
  local options='' operand='' value=none words='' i
  COMPREPLY=()

  # Readline breaks --color=al into three words.
  if [[ $current == '=' ]]; then
    current=''
  elif [[ $previous == '=' ]] && ((COMP_CWORD > 2)); then
    previous=\${COMP_WORDS[COMP_CWORD - 2]}
  fi

  if ((COMP_CWORD == 1)); then
    words=${quote([...commandNames, "--help", "--version"].join(" "))}
    compopt +o default 2>/dev/null
    COMPREPLY=($(compgen -W "$words" -- "$current"))
    return
  fi

  # Behind -- there are no options.
  for ((i = 2; i < COMP_CWORD; i++)); do
    [[ \${COMP_WORDS[i]} == -- ]] && previous='' current=\${current/#-/./-}
  done

  case \${COMP_WORDS[1]} in
${cases.join("")}    *) return ;;
  esac

  if [[ $value != none ]]; then
    words=$value
  elif [[ $current == -* ]]; then
    words=$options
  else
    words=$operand
  fi
  [[ $words == files ]] && return
  compopt +o default 2>/dev/null
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}

complete -o default -F _lastwords ${program.name}
`;
}

function bashWords(words: readonly string[] | "files" | "nothing"): string {
  return typeof words === "string" ? (words === "files" ? "files" : "") : words.join(" ");
}

// ----------------------------------------------------------------------------------------------------------------- zsh

function zshScript(): string {
  const list = commandNames.map((name) => `        ${quote(`${name}:${commandTable[name].summary.replaceAll(":", "\\:")}`)}\n`).join("");
  const cases = commandNames.map((name) => {
    const specs = Object.entries(optionsOf(name)).flatMap(([long, option]) => zshSpecs(name, long, option));
    for (const operand of Object.values(commandTable[name].operands).slice(0, 1)) {
      specs.push(quote(`${operand.repeat === true ? "*" : "1"}:${operand.name}:${zshAction(wordsFor(operand))}`));
    }
    return `        ${namesOf(name).join("|")})\n          _arguments -s -S ${specs.map((spec) => `\\\n            ${spec}`).join(" ")}\n          ;;\n`;
  });
  return `#compdef ${program.name}
${HEAD}
_lastwords() {
  local curcontext=$curcontext state line
  local -a commands
  typeset -A opt_args

  _arguments -C \\
    '(- 1 *)'{-h,--help}'[List the commands]' \\
    '(- 1 *)'{-V,--version}'[Print the version]' \\
    '1: :->command' \\
    '*:: :->argument'

  case $state in
    command)
      commands=(
${list}      )
      _describe -t commands command commands
      ;;
    argument)
      case $words[1] in
${cases.join("")}      esac
      ;;
  esac
}

# Autoloaded from $fpath this file is the function; sourced, it registers it.
if [[ $funcstack[1] == _lastwords ]]; then
  _lastwords "$@"
else
  compdef _lastwords ${program.name}
fi
`;
}

function zshSpecs(name: CommandName, long: string, option: OptionEntry): string[] {
  const flags = option.short === undefined ? [`--${long}`] : [`-${option.short}`, `--${long}`];
  const excluded = new Set<string>(option.repeat === true ? [] : flags);
  for (const rule of commandTable[name].rules) {
    if (rule.kind === "needs" || !rule.options.includes(long)) continue;
    for (const other of rule.options) {
      if (other === long) continue;
      excluded.add(`--${other}`);
      const { short } = optionsOf(name)[other]!;
      if (short !== undefined) excluded.add(`-${short}`);
    }
  }
  const before = long === "help" ? "(- *)" : option.repeat === true ? "*" : `(${[...excluded].join(" ")})`;
  const description = brief(option.about).replace(/[[\]\\:]/g, "\\$&");
  const value = option.type === "flag" ? "" : `:${option.value ?? "VALUE"}:${zshAction(wordsFor(option))}`;
  return flags.map((flag) => {
    // `=` lets the value follow in the same word or the next; short options take it either way with `+`.
    const joint = option.type === "flag" ? "" : flag.startsWith("--") ? "=" : "+";
    return quote(`${before}${flag}${joint}[${description}]${value}`);
  });
}

function zshAction(words: readonly string[] | "files" | "nothing"): string {
  return typeof words === "string" ? (words === "files" ? "_files" : " ") : `(${words.join(" ")})`;
}

// ---------------------------------------------------------------------------------------------------------------- fish

function fishScript(): string {
  const command = `complete -c ${program.name}`;
  let text = `${HEAD}
function __lastwords_no_command
    test (count (commandline -opc)) -eq 1
end

function __lastwords_command
    set -l words (commandline -opc)
    test (count $words) -ge 2; and contains -- $words[2] $argv
end

${command} -f
${command} -n __lastwords_no_command -s h -l help -d 'List the commands'
${command} -n __lastwords_no_command -s V -l version -d 'Print the version'
`;
  for (const name of commandNames) {
    text += `${command} -n __lastwords_no_command -a ${name} -d ${fishQuote(commandTable[name].summary)}\n`;
  }
  for (const name of commandNames) {
    const when = `${command} -n '__lastwords_command ${namesOf(name).join(" ")}'`;
    text += "\n";
    for (const operand of Object.values(commandTable[name].operands).slice(0, 1)) {
      const words = wordsFor(operand);
      if (words === "files") text += `${when} -F\n`;
      else if (words !== "nothing") text += `${when} -a ${fishQuote(words.join(" "))}\n`;
    }
    for (const [long, option] of Object.entries(optionsOf(name))) {
      const short = option.short === undefined ? "" : `-s ${option.short} `;
      const words = option.type === "flag" ? undefined : wordsFor(option);
      const value =
        words === undefined ? "" : words === "files" ? "-r -F " : words === "nothing" ? "-x " : `-x -a ${fishQuote(words.join(" "))} `;
      text += `${when} ${short}-l ${long} ${value}-d ${fishQuote(brief(option.about))}\n`;
    }
  }
  return text;
}

/** Single-quoted for fish, where a backslash escapes in quotes too. */
function fishQuote(text: string): string {
  return `'${text.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;
}
