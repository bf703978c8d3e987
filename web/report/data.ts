/** The report that `report --html` put into this page. */
import type { CrashReport, Receipt, Report } from "../../src/report/model.ts";
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
/** One digit for each line of the log, `-` where it is not known; empty where the kernel's levels are not known. */
export const levels: string = data?.levels ?? "";

/** Number of the first line that is here: of a very long log there is the end alone. */
export const firstLine: number = typeof data?.firstLine === "number" && data.firstLine > 1 ? data.firstLine : 1;

/** Where a value comes from, or a value that it is part of. */
export function receiptFor(pointer: string): Receipt | undefined {
  for (let path = pointer; path !== ""; path = path.slice(0, path.lastIndexOf("/"))) {
    const receipt = report.receipts[path];
    if (receipt) return receipt;
  }
  return undefined;
}

export const crashes: readonly CrashReport[] = report.crashes;

/** Line of the log, counted from 1, in which the crash begins that the report is about. */
export const crashLine: number | null = findCrashLine();

function findCrashLine(): number | null {
  const cause = crashes.find((crash) => crash.cause);
  if (cause) return cause.line;
  const match = /line (\d+) of the log/.exec(report.receipts["/panic/title"]?.rule ?? "");
  return match ? Number(match[1]) : null;
}
