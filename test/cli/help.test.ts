// oxlint-disable no-control-regex -- escape sequences are what is tested
import { describe, expect, test } from "vitest";

import { commandHelp, overview } from "../../src/cli/help.ts";
import { commandNames, commandTable } from "../../src/cli/table.ts";
import { displayWidth } from "../../src/cli/terminal.ts";

// `vitest -u` rewrites the golden files.
describe("golden", () => {
  test("overview", async () => {
    await expect(overview()).toMatchFileSnapshot("golden/help.txt");
  });

  test.each(commandNames)("%s", async (name) => {
    await expect(commandHelp(name)).toMatchFileSnapshot(`golden/help-${name}.txt`);
  });
});

test.each([60, 80])("help fits %i columns", (width) => {
  for (const text of [overview(width), ...commandNames.map((name) => commandHelp(name, width))]) {
    for (const line of text.split("\n")) {
      // Command lines are not broken, so that they can be copied.
      if (width === 80 || !/^ {2}(lastwords|source) /.test(line)) expect(displayWidth(line), line).toBeLessThanOrEqual(width);
      expect(line).toBe(line.trimEnd());
    }
  }
});

test("help begins with a sentence", () => {
  for (const name of commandNames) expect(commandHelp(name)).toMatch(/^[A-Z][^\n]*\.\n\nUsage:\n {2}lastwords /);
});

test("the overview names every command", () => {
  for (const name of commandNames) expect(overview()).toContain(`  ${name} `);
});

test("colour changes nothing but colour", () => {
  const paint = (_: string, text: string): string => `\x1b[1m${text}\x1b[22m`;
  for (const name of commandNames) {
    expect(commandHelp(name, 80, paint).replaceAll(/\x1b\[\d+m/g, "")).toBe(commandHelp(name));
    expect(commandTable[name].summary).not.toContain("`");
  }
  expect(overview(80, paint).replaceAll(/\x1b\[\d+m/g, "")).toBe(overview());
});
