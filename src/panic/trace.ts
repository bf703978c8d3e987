/** A schedule, a column per CPU that takes part. */
import { evidenceText, type EvidenceName } from "./evidence.ts";
import { type Finding, promises } from "./explore.ts";
import type { Move, Variant } from "./model.ts";
import { describeSettings, type Settings } from "./settings.ts";

const END_TEXT = {
  rebooted: "the machine reboots",
  captured: "the capture kernel reboots the machine",
  halted: "stays in panic's last loop, as panic_timeout=0 asks",
  hung: "hangs",
  deadlock: "deadlock: every CPU waits, is stopped, or knows nothing of the panic",
  running: "goes on from here",
} as const;

/** The finding under a head of three lines. `width` is that of a column. */
export function formatFinding(finding: Finding, variant: Variant, settings: Settings, width = 44): string {
  const faults = finding.faults.length === 0 ? "none" : finding.faults.join(", then ");
  const evidence = finding.evidence.map((name) => evidenceText[name]);
  const lost = lostEvidence(finding, settings);
  return [
    `${variant.title}: broken: ${promises[finding.promise]}`,
    `settings: ${describeSettings(settings)}`,
    `faults:   ${faults}`,
    "",
    formatSchedule(finding.schedule, width, finding.forcedCpu),
    `end:      ${END_TEXT[finding.end]}`,
    `has:      ${evidence.length === 0 ? "nothing" : evidence.join(", ")}`,
    ...(lost === "" ? [] : [`lost:     ${lost}`]),
    "",
  ].join("\n");
}

function lostEvidence(finding: Finding, settings: Settings): string {
  const has = new Set<EvidenceName>(finding.evidence);
  if (finding.end === "running") return "";
  const lost: string[] = [];
  settings.backends.forEach((backend, index) => {
    const kept = index === 0 ? has.has("recordA") || has.has("oopsA") : has.has("recordB") || has.has("oopsB");
    if (!kept) lost.push(`a record in ${backend.name}`);
  });
  if (settings.crashImage !== "absent" && !has.has("vmcore")) lost.push("vmcore");
  return lost.join(", ");
}

/** The moves in rows, each in its CPU's column; `!` marks a fault, `*` what comes from outside of the CPU's own code. */
export function formatSchedule(schedule: readonly Move[], width = 44, forcedCpu?: number): string {
  const cpus = Math.max(2, ...schedule.map((move) => move.cpu + 1));
  const cells = (texts: readonly string[]): string => texts.map((text) => text.padEnd(width)).join(" | ");
  const row = (number: string, texts: readonly string[]): string => `${number.padStart(3)} | ${cells(texts)}`.trimEnd();
  const lines = [
    row(
      "",
      Array.from({ length: cpus }, (_, cpu) => `CPU ${"XYZW"[cpu] ?? cpu}${cpu === forcedCpu ? " (panic_force_cpu)" : ""}`),
    ),
    `----+-${Array.from({ length: cpus }, () => "-".repeat(width)).join("-+-")}`,
  ];
  schedule.forEach((move, index) => {
    const mark = move.kind === "fault" ? "! " : move.kind === "event" ? "* " : "  ";
    wrap(move.text, width - 2).forEach((text, line) => {
      const texts = Array.from({ length: cpus }, (_, cpu) => (cpu === move.cpu ? `${line === 0 ? mark : "  "}${text}` : ""));
      lines.push(row(line === 0 ? String(index + 1) : "", texts));
    });
  });
  return lines.join("\n");
}

/** Words into lines of at most `width` characters. */
export function wrap(text: string, width: number): readonly string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else line = line === "" ? word : `${line} ${word}`;
  }
  lines.push(line);
  return lines;
}
