/** The parts that this report has, in their order. */
import { dumps, incident, report, timeline } from "./data.ts";
import { lines } from "./log-lines.ts";
import { overlay } from "./state.ts";
import { count } from "./words.ts";

export interface SectionEntry {
  readonly id: string;
  readonly title: string;
  /** Key after `g`. */
  readonly key: string;
  readonly count: string;
}

function listSections(): SectionEntry[] {
  const { panic } = report;
  const number = (value: number): string => (value > 0 ? count(value) : "");
  const all: readonly (SectionEntry & { readonly there: boolean })[] = [
    { id: "evidence", title: "Evidence", key: "e", count: number(report.evidence.length), there: report.evidence.length > 0 },
    { id: "missing", title: "Missing", key: "x", count: number(report.missing.length), there: report.missing.length > 0 },
    { id: "finding", title: "Finding", key: "f", count: "", there: panic.title !== "" },
    { id: "capture", title: "Capture kernel", key: "a", count: "", there: report.capture !== null },
    { id: "trace", title: "Call trace", key: "b", count: number(panic.frames.length), there: panic.frames.length > 0 },
    { id: "registers", title: "Registers", key: "r", count: "", there: panic.registers !== null },
    { id: "code", title: "Code", key: "d", count: "", there: panic.code !== null },
    {
      id: "sources",
      title: "Sources",
      key: "u",
      count: number(incident?.sources.length ?? 0),
      there: incident !== null && (incident.sources.length > 1 || incident.boots.length > 1 || incident.others.length > 0),
    },
    { id: "log", title: timeline.length > 0 ? "Log of all" : "Kernel log", key: "l", count: number(lines.length), there: lines.length > 0 },
    { id: "cpus", title: "CPUs", key: "c", count: number(report.cpus.length), there: report.cpus.length > 0 },
    { id: "stuck", title: "Stuck tasks", key: "s", count: number(report.stuck.length), there: report.stuck.length > 0 },
    { id: "tasks", title: "Tasks", key: "t", count: number(report.tasks.length), there: report.tasks.length > 0 },
    { id: "memory", title: "Memory", key: "m", count: "", there: report.memory !== null },
    { id: "facts", title: "Kernel", key: "k", count: "", there: report.kernel !== null || report.dump !== null },
    { id: "modules", title: "Modules", key: "o", count: number(report.modules.length), there: report.modules.length > 0 },
    { id: "records", title: "Records", key: "p", count: number(report.records.length), there: report.records.length > 0 },
    {
      id: "notes",
      title: dumps.length > 0 ? "Device dumps" : "Notes",
      key: "n",
      count: number(dumps.length > 0 ? dumps.length : report.notes.length),
      there: report.notes.length > 0,
    },
  ];
  return all.filter((section) => section.there);
}

export const sections: readonly SectionEntry[] = listSections();

export function goToSection(id: string): void {
  overlay.value = null;
  // After the dialog has given the focus back.
  requestAnimationFrame(() => {
    document.getElementById(id)?.scrollIntoView({ block: "start" });
    document.getElementById(`${id}-title`)?.focus({ preventScroll: true });
  });
}
