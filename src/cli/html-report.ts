import { closeSync, fsyncSync, openSync, readFileSync, realpathSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { DumpError } from "../bytes/index.ts";
import { linesBefore, type LogEvidence } from "../evidence/index.ts";
import type { ElfNote } from "../format/index.ts";
import { type Kernel, logPrefix, orMissing, readLog } from "../kernel/index.ts";
import { deviceData, noteOf, type PageDump, renderHtml, type Report } from "../report/index.ts";
import type { Context } from "./table.ts";

/** Of one device dump, and of all together: a page is mailed and opened on phones. */
const MAX_DUMP = 1024 * 1024;
const MAX_DUMPS = 4 * 1024 * 1024;

/** What the report was made of, for what only a page shows. */
export interface PageSource {
  readonly kernel?: Kernel | undefined;
  readonly notes?: readonly ElfNote[] | undefined;
  /** Where the report's log is not the memory's. */
  readonly log?: Pick<LogEvidence, "skipped" | "open"> | undefined;
}

/**
 * Writes the report as one HTML file to `path`, `-` being standard output. The file is there whole or not at all, and is
 * for its owner alone, as a dump is. `page` is the built page.
 *
 * @throws IO when it cannot be written, UNSUPPORTED when this lastwords was built without the page.
 */
export function writeHtmlReport(context: Context, path: string, report: Report, source: PageSource, page: string = readPage()): void {
  const { kernel, log, notes = [] } = source;
  const levels = kernel && levelsOf(kernel, report);
  // The memory's log, where there is one, is the report's.
  const firstLine = levels === undefined && log && report.log.format === "text" ? 1 + linesBefore(log) : 1;
  const html = renderHtml(report, page, {
    ...(levels === undefined ? {} : { levels }),
    ...(firstLine === 1 ? {} : { firstLine }),
    dumps: dumpsOf(notes),
  });
  if (path === "-") context.out.write(html);
  else writeWhole(context, path, html);
}

/** The built page. The same place from `src/cli` and from `dist/cli`. */
function readPage(): string {
  const path = fileURLToPath(new URL("../../dist/report.html", import.meta.url));
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    throw new DumpError(
      "UNSUPPORTED",
      "this lastwords was built without the page for --html; `npm run build` makes it where vite is installed",
      {
        cause: error,
      },
    );
  }
}

/** One digit for each line of the report's log; undefined where the log is not the memory's. */
function levelsOf(kernel: Kernel, report: Report): string | undefined {
  const log = orMissing([], "levels of the log", "the page guesses them", () => readLog(kernel));
  if (!log) return undefined;
  let levels = "";
  for (const record of log.records) {
    const lines = `${logPrefix(record)}${record.text}`.split("\n").length;
    levels += String(record.level & 7).repeat(lines);
  }
  let lines = 0;
  for (let at = report.log.text.indexOf("\n"); at >= 0; at = report.log.text.indexOf("\n", at + 1)) lines++;
  return lines === levels.length ? levels : undefined;
}

function dumpsOf(notes: readonly ElfNote[]): PageDump[] {
  const dumps: PageDump[] = [];
  let room = MAX_DUMPS;
  notes.forEach((note, index) => {
    if (noteOf(note).device === null || room === 0) return;
    const data = deviceData(note);
    const kept = data.subarray(0, Math.min(MAX_DUMP, room));
    room -= kept.length;
    dumps.push({ note: index, data: Buffer.from(kept.buffer, kept.byteOffset, kept.length).toString("base64"), size: data.length });
  });
  return dumps;
}

function writeWhole(context: Context, path: string, text: string): void {
  const target = targetOf(path);
  try {
    if (target === undefined) {
      // A pipe or a device keeps its place.
      writeFileSync(path, text);
      return;
    }
    const unfinished = join(dirname(target), `.${basename(target)}.${process.pid}.unfinished`);
    const forget = context.cleanUps.add(() => rmSync(unfinished, { force: true }));
    try {
      const fd = openSync(unfinished, "wx", 0o600);
      try {
        writeFileSync(fd, text);
        fsyncSync(fd);
      } finally {
        closeSync(fd);
      }
      renameSync(unfinished, target);
    } catch (error) {
      rmSync(unfinished, { force: true });
      throw error;
    } finally {
      forget();
    }
  } catch (error) {
    throw new DumpError("IO", `cannot write ${path}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
}

/** The file that `path` leads to, through links; undefined where that is no regular file. */
function targetOf(path: string): string | undefined {
  const found = statSync(path, { throwIfNoEntry: false });
  if (found === undefined) return path;
  return found.isFile() ? realpathSync(path) : undefined;
}
