/** The report that `report --html` put into this page. */
import type { CrashReport, IncidentReport, Receipt, Report, TimelineReport } from "../../src/report/model.ts";
import type { PageData, PageDump } from "../../src/report/page-data.ts";

function empty(): Report {
  return {
    schema: "lastwords-report-1",
    tool: { name: "lastwords", version: "" },
    title: "",
    summary: "There is no report in this file.",
    crashes: [],
    evidence: [],
    dump: null,
    kernel: null,
    panic: {
      title: "",
      altTitles: [],
      type: null,
      message: null,
      function: null,
      cpu: null,
      task: null,
      frames: [],
      registers: null,
      code: null,
    },
    cpus: [],
    tasks: [],
    stuck: [],
    memory: null,
    modules: [],
    log: { lines: 0, text: "", format: null, lost: 0, addresses: {} },
    notes: [],
    records: [],
    capture: null,
    incident: null,
    timeline: null,
    missing: [],
    receipts: {},
  };
}

/** What an older or newer lastwords left out is empty. */
function complete<T extends object>(given: unknown, base: T): T {
  if (typeof given !== "object" || given === null) return base;
  const result: Record<string, unknown> = Object.fromEntries(Object.entries(base));
  for (const [name, value] of Object.entries(given)) {
    const usual = result[name];
    // What may be null is null in the base too.
    const fits =
      usual === undefined ||
      usual === null ||
      (typeof value === typeof usual && value !== null && Array.isArray(value) === Array.isArray(usual));
    if (fits) result[name] = value;
  }
  return result as T;
}

function load(): PageData | undefined {
  try {
    const parsed: unknown = JSON.parse(document.getElementById("report-data")?.textContent ?? "null");
    return typeof parsed === "object" && parsed !== null ? (parsed as PageData) : undefined;
  } catch {
    return undefined;
  }
}

const data = load();
const base = empty();
const given: Report = complete(data?.report, base);

export const report: Report = {
  ...given,
  panic: complete(given.panic, base.panic),
  log: complete(given.log, base.log),
};
export const dumps: readonly PageDump[] = data?.dumps ?? [];
/** Which pieces are of the crash; null where one alone tells. */
export const incident: IncidentReport | null =
  report.incident && Array.isArray(report.incident.sources) && Array.isArray(report.incident.boots) ? report.incident : null;

/** The log of all sources; empty where one alone tells. */
export const timeline: readonly TimelineReport[] = incident && Array.isArray(report.timeline) ? report.timeline : [];

/** One digit for each line of the log, `-` where it is not known; empty where the kernel's levels are not known. */
export const levels: string = levelsOf();

function levelsOf(): string {
  if (timeline.length === 0) return data?.levels ?? "";
  const digits = timeline.map(({ level }) => (typeof level === "number" && level >= 0 && level <= 7 ? String(level) : "-")).join("");
  return /[0-7]/.test(digits) ? digits : "";
}

/** Number of the first line that is here: of a very long log there is the end alone. */
export const firstLine: number = timeline.length === 0 && typeof data?.firstLine === "number" && data.firstLine > 1 ? data.firstLine : 1;

/** Where a value comes from, or a value that it is part of. */
export function receiptFor(pointer: string): Receipt | undefined {
  for (let path = pointer; path !== ""; path = path.slice(0, path.lastIndexOf("/"))) {
    const receipt = report.receipts[path];
    if (receipt) return receipt;
  }
  return undefined;
}

/** Crashes, their lines counted as the page's log is; 0 where it does not have the line. */
export const crashes: readonly CrashReport[] = crashesHere();

function crashesHere(): readonly CrashReport[] {
  if (timeline.length === 0) return report.crashes;
  const wanted = new Set(report.crashes.map(({ line }) => line));
  const places = new Map<number, number>();
  for (const [i, { sources, lines }] of timeline.entries()) {
    const line = lines[sources.indexOf(incident!.log ?? -1)];
    if (line !== undefined && wanted.has(line) && !places.has(line)) places.set(line, i + 1);
  }
  return report.crashes.map((crash) => ({ ...crash, line: places.get(crash.line) ?? 0 }));
}

/** Line of the log, counted from 1, in which the crash begins that the report is about. */
export const crashLine: number | null = findCrashLine();

function findCrashLine(): number | null {
  const cause = crashes.find((crash) => crash.cause);
  if (cause) return cause.line > 0 ? cause.line : null;
  if (timeline.length > 0) return null;
  const match = /line (\d+) of the log/.exec(report.receipts["/panic/title"]?.rule ?? "");
  return match ? Number(match[1]) : null;
}
