import type { Fact, Root } from "./root.ts";

/** Assignments of a file that shells source (`/etc/default/*`, `/etc/sysconfig/*`); the last one of a name counts. */
export function readShellConfig(root: Root, path: string): ReadonlyMap<string, Fact<string>> | undefined {
  if (!root.exists(path)) return undefined;
  const found = new Map<string, Fact<string>>();
  for (const { text, at } of root.lines(path)) {
    const match = /^\s*(?:export\s+)?([A-Za-z_]\w*)=(.*)$/.exec(text);
    if (match) found.set(match[1]!, { value: shellWord(match[2]!), at });
  }
  return found;
}

/** The first word: quotes taken off, a remark behind it too. Nothing is expanded. */
function shellWord(text: string): string {
  let word = "";
  let rest = text;
  while (rest !== "" && !/^[\s;]/.test(rest)) {
    const part = /^"((?:[^"\\]|\\.)*)"?|^'([^']*)'?|^\\(.)|^([^\s;"'\\]+)/s.exec(rest);
    if (!part || part[0] === "") break;
    word += part[1]?.replace(/\\(["\\$`])/g, "$1") ?? part[2] ?? part[3] ?? part[4] ?? "";
    rest = rest.slice(part[0].length);
  }
  return word;
}

/** What scripts take for yes. */
export function isTrue(value: string): boolean {
  return /^(?:1|y|yes|true|on)$/i.test(value);
}
