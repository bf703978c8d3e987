/*
 * How saving a dump went, by what the programs of a capture kernel wrote.
 */

/** A line by which a script says that something did not work. */
const FAILURE =
  /\b(?:fail(?:ed|ure|s)?|errors?|cannot|can't|could ?n[o']t|unable to|no such (?:file|device)|not found|no space left|timed? ?out|timeout|refused|denied|unreachable|read-only file system)\b/i;
/** A line by which one says that the dump is there. */
const SUCCESS =
  /\bdumpfile is saved\b|\bsaving vmcore complete\b|\bsaved (?:the )?(?:vmcore|dump)\b|\bvmcore (?:was )?saved\b|\bkdump: saved\b/i;

/** A failure that is about the dump, beside which others of a whole boot's programs do not count. */
const ABOUT_DUMP = /kdump|vmcore|makedumpfile|dump/i;
/** What a script gives up for, a program said so many lines before at most. */
const CAUSE_WITHIN = 4;

/** What lines of programs say of the dump: that it is there, or why it is not; undefined where they say neither. */
export function outcomeOf(lines: readonly string[]): { readonly outcome: "failed" | "saved"; readonly line: string } | undefined {
  const saved = lines.find((line) => SUCCESS.test(line));
  if (saved !== undefined) return { outcome: "saved", line: saved };
  const about = lines.findIndex((line) => FAILURE.test(line) && ABOUT_DUMP.test(line));
  const line = lines.find((failure, i) => FAILURE.test(failure) && i >= about - CAUSE_WITHIN);
  return line === undefined ? undefined : { outcome: "failed", line };
}
