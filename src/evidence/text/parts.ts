import type { Pull } from "./pieces.ts";
import { PART_HEADING } from "./recognise.ts";

/** A region holds a few MiB; what has more in one file is taken as it is. */
const MAX_PARTS = 16 * 1024 * 1024;

/**
 * pstore's dmesg files behind one another, as `cat` and systemd-pstore put them: part 1 is the end of the log, the
 * highest its beginning (linux:fs/pstore/platform.c:pstore_dump). Gives them in the order in which the kernel spoke.
 */
export function joinPartsOf(pull: Pull): Pull {
  let text = "";
  let started = false;
  let given = false;
  return () => {
    if (started) return given ? pull() : undefined;
    started = true;
    for (let piece = pull(); piece !== undefined; piece = pull()) {
      text += piece;
      if (text.length > MAX_PARTS) {
        given = true;
        return text;
      }
    }
    return inOrder(text) || undefined;
  };
}

interface Part {
  /** Reason and number of the dump: `Panic#1`. */
  readonly dump: string;
  readonly part: number;
  readonly lines: string[];
}

function inOrder(text: string): string {
  const dumps = new Map<string, Part[]>();
  let current: Part | undefined;
  const before: string[] = [];
  for (const line of text.split("\n")) {
    if (PART_HEADING.test(line.trimEnd())) {
      const [dump = "", part = ""] = line.trimEnd().split(" Part");
      current = { dump, part: Number(part), lines: [] };
      dumps.set(dump, [...(dumps.get(dump) ?? []), current]);
    } else (current?.lines ?? before).push(line);
  }
  const lines = [...before];
  for (const parts of dumps.values()) {
    // A file's last line feed is no line of its own.
    for (const { lines: own } of parts.toSorted((a, b) => b.part - a.part)) lines.push(...(own.at(-1) === "" ? own.slice(0, -1) : own));
  }
  return lines.length === 0 ? "" : `${lines.join("\n")}\n`;
}
