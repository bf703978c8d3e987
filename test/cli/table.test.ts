import { expect, test } from "vitest";

import { camelCase, findCommand, optionsOf, parseCommand } from "../../src/cli/parse.ts";
import { commandNames, commandTable, optionSetTable, program, type CommandEntry, type OptionEntry } from "../../src/cli/table.ts";

// `as const` entries are checked for what they must have, not for what they must not: a misspelt key would be silent.
const COMMAND_KEYS = "aliases description examples exitMeaning exits group load operands options rules seeAlso summary uses".split(" ");
const OPTION_KEYS = "about choices default max min repeat required short type value".split(" ");
const OPERAND_KEYS = "about choices max min name optional repeat type".split(" ");

const each = test.each(commandNames.map((name) => [name, commandTable[name]] as const));

each("%s has no key that nobody reads", (_, entry) => {
  expect(COMMAND_KEYS).toEqual(expect.arrayContaining(Object.keys(entry)));
  for (const option of Object.values(entry.options)) expect(OPTION_KEYS).toEqual(expect.arrayContaining(Object.keys(option)));
  for (const operand of Object.values(entry.operands)) expect(OPERAND_KEYS).toEqual(expect.arrayContaining(Object.keys(operand)));
});

test("shared options have no key that nobody reads", () => {
  for (const set of Object.values(optionSetTable)) {
    for (const option of Object.values(set)) expect(OPTION_KEYS).toEqual(expect.arrayContaining(Object.keys(option)));
  }
});

each("%s names each thing once", (name, entry) => {
  const sets = [entry.options, ...[...entry.uses, "common" as const].map((set) => optionSetTable[set])];
  const longs = sets.flatMap((set) => Object.keys(set));
  const shorts = sets.flatMap((set) => Object.values(set)).flatMap(({ short }) => short ?? []);
  const keys = [...longs.map(camelCase), ...Object.keys(entry.operands)];
  for (const list of [longs, shorts, keys]) expect(new Set(list).size, list.join(" ")).toBe(list.length);
  for (const short of shorts) expect(short).toMatch(/^[a-zA-Z]$/);
  for (const long of longs) expect(long).toMatch(/^[a-z][a-z0-9]*(-[a-z0-9]+)*$/);
  expect(name).toMatch(/^[a-z]+(-[a-z]+)*$/);
});

test("no two commands answer to one word", () => {
  const words = commandNames.flatMap((name) => [name, ...(commandTable[name].aliases ?? [])]);
  expect(new Set(words).size).toBe(words.length);
});

each("%s: values, rules and references make sense", (name, entry) => {
  const options = optionsOf(name);
  for (const [long, option] of Object.entries<OptionEntry>(options)) {
    if (option.type !== "flag") expect(option.value, long).toMatch(/^[A-Z]+$/);
    if (option.type === "choice") expect(option.choices?.length, long).toBeGreaterThan(1);
  }
  for (const rule of entry.rules) {
    for (const option of rule.kind === "needs" ? [rule.option, rule.needs] : rule.options) expect(options, option).toHaveProperty(option);
  }
  for (const reference of entry.seeAlso) {
    if (!/^[a-z.-]+\(\d\)$/.test(reference)) expect(commandTable, reference).toHaveProperty(reference);
  }
  const operands = Object.values(entry.operands);
  operands.forEach((operand, i) => {
    // What the parser can assign without guessing.
    if (operand.repeat === true) expect(operands.slice(i + 1).every((later) => later.type === "target")).toBe(true);
    if (operand.optional === true) expect(operands.slice(i + 1).every((later) => later.optional === true)).toBe(true);
  });
});

each("%s: every example is a command line that parses", (_, entry) => {
  expect(entry.examples.length).toBeGreaterThan(0);
  for (const { run } of entry.examples) {
    // The part that is ours: up to a pipe or a redirection, or inside <( ).
    const ours = /lastwords ([^|<>)]*)/.exec(run);
    expect(ours, run).not.toBeNull();
    const [word = "", ...argv] = ours![1]!.trim().split(/\s+/);
    expect(parseCommand(findCommand(word), argv).help, run).toBe(false);
  }
});

each("%s: texts are plain ASCII sentences", (_, entry) => {
  for (const text of sentences(entry)) {
    expect(text).toMatch(/^[\x20-\x7e]+$/);
    expect(text).toMatch(/^[A-Z0-9`].*\.$/);
    expect(text.split("`").length % 2, `odd backticks: ${text}`).toBe(1);
  }
  expect(entry.summary).toMatch(/^[a-z][\x20-\x7e]*[^.]$/);
  // One line in the list of commands.
  expect(entry.summary.length).toBeLessThanOrEqual(64);
});

test("the texts of the program are plain ASCII sentences", () => {
  for (const text of [...program.description, ...Object.values(program.environment)]) expect(text).toMatch(/^[A-Z][\x20-\x7e]*\.$/);
});

function sentences(entry: CommandEntry): string[] {
  return [
    ...entry.description,
    ...Object.values(entry.operands).map(({ about }) => about),
    ...[entry.options, ...entry.uses.map((set) => optionSetTable[set])].flatMap((set) => Object.values(set).map(({ about }) => about)),
    ...Object.values(entry.exitMeaning ?? {}),
  ];
}
