// oxlint-disable no-control-regex -- escape sequences are what is tested
// The files made from the command table, as they are checked in, in the hands of those that read them.
import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { describe, expect, test } from "vitest";

import { completionFile, completionScript } from "../../src/cli/completion.ts";
import { commandNames } from "../../src/cli/table.ts";
import { generatedFiles, staleFiles } from "../../tools/generate.ts";
import { scratchFolder } from "../scratch.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));

function installed(program: string): boolean {
  return spawnSync(program, ["--version"]).status === 0;
}

test("checked-in files are what the table gives (else: npm run generate)", () => {
  expect(staleFiles()).toEqual([]);
});

test("the package installs every man page", () => {
  const { man } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { man: string[] };
  const pages = [...generatedFiles().keys()].filter((path) => path.endsWith(".1"));
  expect(man.toSorted()).toEqual(pages.map((path) => `./${path}`).toSorted());
});

describe.skipIf(!installed("groff"))("man pages", () => {
  test.each([...generatedFiles().keys()].filter((path) => path.endsWith(".1")))("%s has no warnings", (path) => {
    const { stderr, stdout } = spawnSync("groff", ["-man", "-Tutf8", "-ww", join(root, path)], { encoding: "utf8" });
    expect(stderr).toBe("");
    // Bold is overstruck: each letter twice.
    expect(stdout.replaceAll(/.\x08/g, "")).toContain("EXAMPLES\n");
  });
});

describe("bash", () => {
  // The words as readline splits them: `=` is a word of its own.
  function complete(...words: string[]): string[] {
    const script = `
      source ${JSON.stringify(join(root, "completions", completionFile.bash))}
      COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
      _lastwords
      (( \${#COMPREPLY[@]} )) && printf '%s\\n' "\${COMPREPLY[@]}"
      true`;
    const result = spawnSync("bash", ["--norc", "-c", script, "bash", "lastwords", ...words], { encoding: "utf8" });
    expect(result).toMatchObject({ status: 0, stderr: "" });
    return result.stdout.split("\n").slice(0, -1);
  }

  test.each<[string[], string[]]>([
    [[""], [...commandNames, "--help", "--version"]],
    [["re"], ["report", "read", "record", "rehearse"]],
    [["read", "--ph"], ["--physical"]],
    [["rd", "--z"], ["--zero-excluded"]],
    [
      ["read", "--color", ""],
      ["auto", "always", "never"],
    ],
    [["read", "--color", "=", "al"], ["always"]],
    [
      ["read", "--color", "="],
      ["auto", "always", "never"],
    ],
    [
      ["help", "c"],
      ["check", "completion"],
    ],
    [
      ["completion", ""],
      ["bash", "zsh", "fish"],
    ],
    // Nothing from us: readline completes files.
    [["bt", "vm"], []],
    [["report", "--btf", "x"], []],
    [["bt", "--", "--al"], []],
    [["bogus", "--"], []],
  ])("lastwords %j", (words, expected) => {
    expect(complete(...words)).toEqual(expected);
  });
});

describe.skipIf(!installed("zsh"))("zsh", () => {
  test("accepts the syntax", () => {
    expect(spawnSync("zsh", ["-n", join(root, "completions", completionFile.zsh)], { encoding: "utf8" })).toMatchObject({
      status: 0,
      stderr: "",
    });
  });

  test("completes when sourced", () => {
    // A pseudo-terminal, since zsh completes only where somebody types.
    const script = `
      zmodload zsh/zpty
      zpty z 'TERM=dumb PS1= zsh -f -i'
      zpty -w z 'autoload -U compinit; compinit -u -D; source ${join(root, "completions", completionFile.zsh)}; print rea""dy'
      zpty -r z out '*ready*'
      zpty -w -n z $'lastwords read --zero\\t'
      zpty -r z out '*--zero-excluded*' && print completed
      zpty -d z`;
    const result = spawnSync("zsh", ["-f", "-c", script], { encoding: "utf8", timeout: 20_000 });
    expect(result.stdout).toContain("completed");
  });
});

describe.skipIf(!installed("fish"))("fish", () => {
  const home = scratchFolder();
  writeFileSync(join(home, "vmcore"), "");

  test.each<[string, string[]]>([
    ["lastwords re", ["read", "record", "rehearse", "report"]],
    ["lastwords read --ph", ["--physical"]],
    ["lastwords rd --z", ["--zero-excluded"]],
    ["lastwords read --color=al", ["--color=always"]],
    ["lastwords bt vm", ["vmcore"]],
    ["lastwords notes --extract vm", []],
    ["lastwords notes --output vm", ["vmcore"]],
    ["lastwords help c", ["check", "completion"]],
    ["lastwords completion ", ["bash", "fish", "zsh"]],
  ])("%s", (line, expected) => {
    const script = `${completionScript("fish")}\ncomplete -C ${JSON.stringify(line)}`;
    const result = spawnSync("fish", ["--no-config", "-c", script], {
      encoding: "utf8",
      cwd: home,
      env: { ...process.env, HOME: home, XDG_CONFIG_HOME: home, XDG_DATA_HOME: home },
    });
    expect(result).toMatchObject({ status: 0, stderr: "" });
    expect(
      result.stdout
        .split("\n")
        .slice(0, -1)
        .map((row) => row.split("\t")[0]),
    ).toEqual(expected);
  });
});
