import type { LogLine } from "./lines.ts";

/** After this the other CPUs' traces are wanted, each printed by its own CPU. */
const ALL_CPU_BACKTRACE = "Sending NMI from CPU";

/**
 * The lines of one report where several CPUs print at once: those whose caller is that of the first line. Where lines
 * carry no caller, nothing tells them apart, and all are given. Lines of an interrupt on the way (`C<cpu>`) are another
 * caller's, unless the report asked the other CPUs for their traces.
 */
export function ofSameCaller<Line extends Pick<LogLine, "caller" | "kernel" | "text">>(lines: Iterable<Line>): Line[] {
  const same: Line[] = [];
  let first: Line | undefined;
  let allCpus = false;
  for (const line of lines) {
    first ??= line;
    const own = line.caller === first.caller && (line.kernel || !first.kernel);
    if (own || (allCpus && line.caller?.startsWith("C") === true)) same.push(line);
    if (own) allCpus ||= line.text.startsWith(ALL_CPU_BACKTRACE);
  }
  return same;
}
