/*
 * A log on its way: pieces of text, one character a byte, cut anywhere. No step keeps more of it than one line, and of
 * a line that never ends no more than a bound.
 */

/** Gives the next piece, not empty; undefined at the end. */
export type Pull = () => string | undefined;

/** Longer lines are cut into several: printk's have 1 KiB, a journal's entry with a binary field some hundred. */
export const MAX_LINE: number = 1024 * 1024;

/** Lines without their line feeds, one at a time. A last line without one counts; an empty one after the last does not. */
export function lineCutter(pull: Pull): () => string | undefined {
  let text = "";
  let at = 0;
  let ended = false;
  return () => {
    for (;;) {
      const feed = text.indexOf("\n", at);
      if (feed !== -1) {
        const line = text.slice(at, feed);
        at = feed + 1;
        return line;
      }
      const rest = text.length - at;
      if (rest >= MAX_LINE || (ended && rest > 0)) {
        const line = text.slice(at, at + MAX_LINE);
        at += line.length;
        return line;
      }
      if (ended) return undefined;
      const more = pull();
      if (more === undefined) ended = true;
      else {
        text = text.slice(at) + more;
        at = 0;
      }
    }
  };
}

/** Enough text at a time that the steps after it do not count. */
const BATCH = 256 * 1024;

/** Runs lines through `change`, which answers with text, line feeds included, or with nothing. `end` has the last word. */
export function pullChanged(pull: Pull, change: (line: string) => string, end: () => string = () => ""): Pull {
  const next = lineCutter(pull);
  let ended = false;
  return () => {
    const batch: string[] = [];
    let size = 0;
    while (!ended && size < BATCH) {
      const line = next();
      ended = line === undefined;
      const text = line === undefined ? end() : change(line);
      if (text === "") continue;
      size += text.length;
      batch.push(text);
    }
    return size === 0 ? undefined : batch.join("");
  };
}
