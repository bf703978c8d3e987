/*
 * The incident in the report for people: which pieces are of this crash, where they differ, and the end of what all of them
 * hold together.
 */
import type { IncidentBootReport, IncidentReport, Report, TimelineReport } from "./model.ts";
import type { RenderOptions } from "./text.ts";

const MAX_SOURCES = 26;
const MAX_CONFLICTS = 10;
const MAX_OTHERS = 20;

/** A letter for each source; all beyond the alphabet share one mark. */
function markOf(source: number): string {
  return source < MAX_SOURCES ? String.fromCharCode(97 + source) : "+";
}

/** Sources, boots, conflicts and what is of other boots; nothing where one piece alone tells of one boot. */
export function renderIncident(
  { incident }: Report,
  { paint, escape }: RenderOptions,
  out: string[],
  heading: (text: string) => void,
): void {
  if (!incident || (incident.sources.length < 2 && incident.boots.length < 2 && incident.others.length === 0)) return;
  heading(`Sources of this crash (${incident.sources.length})`);
  for (const boot of incident.boots)
    out.push(`  ${boot.role === "crashed" ? "crashed kernel" : "capture kernel"}  ${escape(describeBoot(boot))}`);
  for (const [i, source] of incident.sources.slice(0, MAX_SOURCES).entries()) {
    const whose = incident.boots.length < 2 ? "" : `, of ${whoseOf(source.boots, incident)}`;
    const only = incident.sources.length < 2 ? "" : `, ${source.only} only there`;
    const detail = `${count(source.lines, "line")}${only}${whose}; ${source.joined}`;
    out.push(`  ${paint("name", markOf(i))}  ${escape(source.source)} ${paint("dim", `(${escape(detail)})`)}`);
  }
  if (incident.sources.length > MAX_SOURCES) out.push(paint("dim", `  +  and ${incident.sources.length - MAX_SOURCES} more`));
  renderConflicts(incident, paint, escape, out);
  if (incident.others.length === 0) return;
  out.push(paint("dim", "  not of this crash:"));
  for (const { source, firstLine, lastLine, release, started, reason } of incident.others.slice(0, MAX_OTHERS)) {
    const lines = firstLine === null ? "" : `, lines ${firstLine} to ${lastLine}`;
    const kernel = [release === null ? "" : `Linux ${release}`, started === null ? "" : `booted ${plainTime(started)}`].filter(
      (text) => text !== "",
    );
    out.push(`  -  ${escape(`${source}${lines}`)} ${paint("dim", `(${escape([...kernel, reason].join("; "))})`)}`);
  }
  if (incident.others.length > MAX_OTHERS) out.push(paint("dim", `  -  and ${incident.others.length - MAX_OTHERS} more`));
}

function describeBoot({ release, build, bootId, started, firstTime, lastTime }: IncidentBootReport): string {
  return [
    [release ?? "release not known", build ?? ""].filter((text) => text !== "").join(" "),
    started === null ? "" : `booted ${plainTime(started)}`,
    bootId === null ? "" : `boot ${bootId}`,
    firstTime === null || lastTime === null ? "" : `${firstTime.toFixed(3)} to ${lastTime.toFixed(3)} s`,
  ]
    .filter((text) => text !== "")
    .join(", ");
}

function whoseOf(boots: readonly number[], incident: IncidentReport): string {
  return boots.length > 1 ? "both kernels" : `the ${incident.boots[boots[0]!]!.role} kernel`;
}

function renderConflicts(
  { conflicts, conflictsLeft }: IncidentReport,
  paint: RenderOptions["paint"],
  escape: RenderOptions["escape"],
  out: string[],
): void {
  if (conflicts.length === 0) return;
  const all = conflicts.length + conflictsLeft;
  out.push(
    `  ${paint("warning", `sources differ in ${count(all, "line")}`)}${all > MAX_CONFLICTS ? paint("dim", `, the last ${MAX_CONFLICTS} of ${conflicts.length}:`) : ":"}`,
  );
  // The crash is at the end.
  for (const { time, readings } of conflicts.slice(-MAX_CONFLICTS)) {
    for (const [i, { text, sources }] of readings.entries()) {
      const head = i === 0 ? timeOf(time) : " ".repeat(timeOf(time).length);
      out.push(`     ${head} ${paint("name", sources.map(markOf).join(""))} ${escape(text)}`);
    }
  }
}

/** The last lines of the crashed kernel, each with the marks of its sources. */
export function renderTimeline(
  timeline: readonly TimelineReport[],
  { incident }: Report,
  { paint, escape, logLines }: RenderOptions,
  names: (line: string) => string,
  out: string[],
  heading: (text: string) => void,
): void {
  const crashed = timeline.filter(({ boot }) => boot === 0);
  const shown = crashed.slice(-logLines);
  if (shown.length === 0) return;
  const later = timeline.length - crashed.length;
  heading(
    `Log of all sources (last ${shown.length} of ${crashed.length} lines${later === 0 ? "" : `, before ${later} of the capture kernel`})`,
  );
  const width = Math.min(incident?.sources.length ?? 0, MAX_SOURCES);
  for (const { time, text, sources } of shown) {
    const marks = Array.from({ length: width }, (_, i) => (sources.includes(i) ? markOf(i) : ".")).join("");
    out.push(`  ${paint("dim", marks)} ${time === null ? "" : `${timeOf(time)} `}${escape(text)}${names(text)}`);
  }
}

/** As the kernel prints it. */
function timeOf(time: number | null): string {
  return time === null ? "" : `[${time.toFixed(6).padStart(12)}]`;
}

function plainTime(iso: string): string {
  return iso.replace("T", " ").replace("Z", " UTC");
}

function count(number: number, what: string): string {
  return `${number} ${what}${number === 1 ? "" : "s"}`;
}
