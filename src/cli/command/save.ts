import { existsSync, fstatSync, renameSync, rmSync, statSync } from "node:fs";
import { dirname, resolve } from "node:path";
// One by one, and what is not always needed later: to load all of this room takes a third of the time of a small save.
import type { CheckResult } from "../../capture/check.ts";
import type { SaveCodec } from "../../capture/save/compress.ts";
import { Helpers } from "../../capture/save/helpers.ts";
import { saveKdump, type SaveOptions, type SaveResult } from "../../capture/save/kdump.ts";
import { quickLog, saveLight } from "../../capture/save/light.ts";
import { fileOutput, flattenedOutput, isFull, type Output, syncFolder, writeWhole } from "../../capture/save/output.ts";
import { DumpError, isDumpError } from "../../bytes/index.ts";
import { type DumpFile, FileSource, openDump, openSources, readStats, reason } from "../../format/index.ts";
import { printChecks } from "../check-lines.ts";
import { exitCode } from "../exit-code.ts";
import { UsageError } from "../parse.ts";
import type { Args, Context } from "../table.ts";
import { formatBytes, formatTable } from "../terminal.ts";

/** Levels that --dry-run forecasts where one alone is not asked for. */
const ALL_LEVELS: readonly number[] = [0, 1, 16, 17, 31];

/** `lastwords save VMCORE OUT`. */
export async function run(context: Context, args: Args<"save">): Promise<number> {
  const levels = levelsOf(args.dumpLevel);
  if (args.rearrange) return runRearrange(context, args);
  const [source, ...outputs] = args.paths;
  const wanted = args.flatten || args.dryRun ? 0 : args.split ? 2 : 1;
  if (outputs.length < wanted || (wanted < 2 && outputs.length > wanted)) {
    throw new UsageError(
      wanted === 0
        ? "with -F or --dry-run only the dump is named: nothing is written to a file"
        : args.split
          ? "--split needs the dump and at least two files to write"
          : "save needs the dump and the file to write: lastwords save vmcore out",
    );
  }
  if (args.flatten && args.json) throw new UsageError("-F writes the dump to standard output: --json has no place there");
  if (new Set(outputs.map((path) => resolve(path))).size < outputs.length) throw new UsageError("a file is named twice");
  // First of all: while the dump is opened they load what they need.
  const helpers = args.dryRun || args.dumpDmesg || args.elf || args.lkcd ? undefined : new Helpers(args.numThreads);
  try {
    const opened = await open(context, source!, args);
    const { dump } = opened;
    try {
      const problems = [...opened.problems, ...dump.problems];
      for (const problem of problems) context.note(problem.message);
      if (args.dumpDmesg) return saveDmesg(context, dump, source!, outputs[0]!, args.force);
      if (args.dryRun) return await dryRun(context, dump, args, levels);
      // Each helper would unpack it for itself.
      const packed = opened.containers.some((container) => container !== "flattened");
      const code = await saveAt(context, dump, source!, outputs, args, levels, packed ? undefined : helpers);
      return code === exitCode.good && problems.length > 0 ? exitCode.partial : code;
    } finally {
      dump.close();
      context.stats.bytesRead += readStats.bytes;
    }
  } finally {
    helpers?.close();
  }
}

/**
 * Opens the source. In a capture kernel the hardware is asked first, before anything else touches it: what collectors bring is among the
 * notes from then on.
 */
async function open(
  context: Context,
  source: string,
  args: Args<"save">,
): Promise<{ dump: DumpFile; problems: readonly { message: string }[]; containers: readonly string[] }> {
  const collect = !args.noDeviceDumps && (source === "/proc/vmcore" || args.collectors !== undefined);
  if (!collect || args.dryRun || args.dumpDmesg) {
    return openDump([source], { onProgress: context.progress, ...(args.rawBase === undefined ? {} : { rawBase: args.rawBase }) });
  }
  const { collectDeviceDumps, MergedVmcore, openVmcore } = await import("../../capture/device-dump/index.ts");
  const { dumps, lost } = await collectDeviceDumps(args.collectors === undefined ? {} : { directory: args.collectors });
  for (const { name, reason: why } of lost) context.note(`device dump ${name} is lost: ${why}`);
  if (dumps.length > 0) context.note(`${dumps.length} device dumps were made`);
  return { dump: openSources([new MergedVmcore(openVmcore(source), dumps)]), problems: [], containers: [] };
}

/** Regions of reserved memory that hold records: they are small, and the next kernel may write over them. */
async function reservedRegions(context: Context): Promise<{ suffix: string; what: string; bytes: Uint8Array }[]> {
  const regions: { suffix: string; what: string; bytes: Uint8Array }[] = [];
  try {
    const { readStorages } = await import("../../evidence/index.ts");
    const set = await readStorages(["/dev/mem"], {});
    const memory = new FileSource("/dev/mem", 2 ** 52);
    for (const { backend, address, size } of set.storages) {
      if (address === undefined || size === undefined) continue;
      const bytes = new Uint8Array(size);
      memory.read(address, bytes);
      regions.push({
        suffix: `${backend}-0x${address.toString(16)}.bin`,
        what: `the ${backend} region at 0x${address.toString(16)}`,
        bytes,
      });
    }
    memory.close();
    set.close();
  } catch (error) {
    if (!isDumpError(error)) throw error;
    context.note(`reserved memory is not looked at: ${error.message}`);
  }
  return regions;
}

function levelsOf(text: string): number[] {
  const levels = text.split(",").map((level) => (/^\d{1,2}$/.test(level) ? Number(level) : NaN));
  if (!levels.every((level) => level <= 31)) {
    throw new UsageError(`-d ${text}: a dump level is a number from 0 to 31, or several with commas between`);
  }
  return levels;
}

function codecOf(args: Args<"save">): SaveCodec {
  if (args.lkcd) {
    if (args.lzo || args.snappy || args.zstd)
      throw new UsageError("an LKCD dump is compressed with gzip (-c) or not at all (--uncompressed)");
    return args.uncompressed ? "none" : "zlib";
  }
  if (args.zlib) return "zlib";
  if (args.lzo) return "lzo";
  if (args.snappy) return "snappy";
  return args.uncompressed ? "none" : "zstd";
}

async function saveAt(
  context: Context,
  dump: DumpFile,
  source: string,
  outputs: readonly string[],
  args: Args<"save">,
  levels: readonly number[],
  helpers: Helpers | undefined,
): Promise<number> {
  const codec = codecOf(args);
  const base = outputs[0];
  let unwritten = 0;
  for (const path of outputs) checkTarget(path, args.force, [`${path}-incomplete`], source);
  if (base !== undefined && !args.noLight) {
    const light = saveLight(dump, base, args.paths[0] === "/proc/vmcore" ? await reservedRegions(context) : []);
    unwritten = light.unwritten;
    for (const problem of light.problems) context.note(problem);
    for (const { path, what, size } of light.files) context.note(`${what}: ${path}, ${formatBytes(size)}`);
  }
  const options = (level: number): SaveOptions => ({
    paths: [source],
    ...(args.rawBase === undefined ? {} : { rawBase: args.rawBase }),
    level,
    codec,
    timestamp,
    ...(helpers ? { helpers } : {}),
    onProgress: context.progress,
  });
  // While the medium is busy this thread is not: the copy is looked at then. What comes of it is told at the end.
  let checks: Promise<CheckResult[]> | undefined;
  const onWritten = async (): Promise<void> => {
    // Threads take a while to end, and they are done.
    helpers?.close();
    checks = checkSaved([`${base}-incomplete`]);
    await Promise.allSettled([checks]);
  };
  const timestamp = Math.floor(Date.now() / 1000);
  const started = performance.now();
  let result: SaveResult | undefined;
  let used = levels[0]!;
  for (const [i, level] of levels.entries()) {
    used = level;
    try {
      if (args.flatten)
        result = await withOutput(flattenedOutput(1, "standard output"), (output) => saveKdump(dump, output, options(level)));
      else if (args.split) result = await saveSplit(dump, outputs, options(level));
      else
        result = await saveFile(base!, async (output) => {
          if (args.lkcd) return (await import("../../capture/save/lkcd.ts")).saveLkcd(dump, output, options(level));
          if (!args.elf) return saveKdump(dump, output, { ...options(level), ...(args.noCheck ? {} : { onWritten }) });
          const { saveElf } = await import("../../capture/save/elf.ts");
          return saveElf(dump, output, options(level));
        });
      break;
    } catch (error) {
      const next = levels[i + 1];
      // What is in a stream cannot be taken back.
      if (!isFull(error) || next === undefined || args.flatten) throw kept(error, outputs);
      context.note(`${(error as Error).message}; trying again with dump level ${next}`);
    }
  }
  const seconds = (performance.now() - started) / 1000;
  const code = await report(context, result!, { outputs, args, codec, level: used, seconds, checks });
  return code === exitCode.good && unwritten > 0 ? exitCode.partial : code;
}

/**
 * Refuses to write over what is there, and over the source whatever is said: `save vmcore-incomplete vmcore` is what one types after a
 * full disk.
 *
 * @param written further files that writing `path` begins with.
 */
function checkTarget(path: string, force: boolean, written: readonly string[], source: string | number): void {
  if (!force && existsSync(path)) throw new DumpError("IO", `${path} is there already; -f replaces it`);
  const input = typeof source === "number" ? fstatSync(source) : statSync(source);
  if (!input.isFile()) return;
  for (const file of [path, ...written]) {
    const there = statSync(file, { throwIfNoEntry: false });
    if (there?.ino === input.ino && there.dev === input.dev)
      throw new DumpError("BAD_ARGUMENT", `${file} is the dump itself: give another name`);
  }
}

/** What is said when it went wrong: where what was saved is. */
function kept(error: unknown, outputs: readonly string[]): unknown {
  const files = outputs.map((path) => `${path}-incomplete`).filter((path) => existsSync(path));
  if (!isDumpError(error) || files.length === 0) return error;
  return new DumpError(error.code, `${error.message}; what was saved until then is in ${files.join(", ")}`, { cause: error.cause });
}

async function withOutput(output: Output, save: (output: Output) => Promise<SaveResult>): Promise<SaveResult> {
  try {
    return await save(output);
  } finally {
    output.close();
  }
}

/** Writes under another name and renames at the end, so that a file of that name is always whole. */
async function saveFile(path: string, save: (output: Output) => Promise<SaveResult>): Promise<SaveResult> {
  const incomplete = `${path}-incomplete`;
  try {
    const result = await withOutput(fileOutput(incomplete, true), save);
    renameTo(incomplete, path);
    return result;
  } catch (error) {
    // Refused before the first byte: there is nothing to keep.
    if (existsSync(incomplete) && statSync(incomplete).size === 0) rmSync(incomplete, { force: true });
    throw error;
  }
}

function renameTo(from: string, to: string): void {
  try {
    renameSync(from, to);
  } catch (error) {
    throw new DumpError("IO", `cannot rename ${from} to ${to}: ${reason(error)}`, { cause: error });
  }
  syncFolder(dirname(to));
}

/** One file for each part of memory, with the same bitmaps. They get their names together: parts of two sets do not fit. */
async function saveSplit(dump: DumpFile, outputs: readonly string[], options: SaveOptions): Promise<SaveResult> {
  let all: SaveResult | undefined;
  for (const [i, path] of outputs.entries()) {
    const range: [number, number] = [Math.floor((dump.maxPfn * i) / outputs.length), Math.floor((dump.maxPfn * (i + 1)) / outputs.length)];
    const part = await withOutput(fileOutput(`${path}-incomplete`, true), (output) => saveKdump(dump, output, { ...options, range }));
    all = all
      ? {
          ...part,
          size: all.size + part.size,
          savedPages: all.savedPages + part.savedPages,
          zeroPages: all.zeroPages + part.zeroPages,
          unreadable: all.unreadable + part.unreadable,
          firstProblem: all.firstProblem ?? part.firstProblem,
        }
      : part;
  }
  for (const path of outputs) renameTo(`${path}-incomplete`, path);
  return all!;
}

interface Done {
  readonly outputs: readonly string[];
  readonly args: Args<"save">;
  readonly codec: SaveCodec;
  readonly level: number;
  readonly seconds: number;
  /** What the copy was found to hold already. */
  readonly checks: Promise<readonly CheckResult[]> | undefined;
}

/** Opens what was written, as anybody would. */
async function checkSaved(outputs: readonly string[]): Promise<CheckResult[]> {
  const { checkSteps } = await import("../../capture/check.ts");
  const { dump } = await openDump(outputs, {});
  try {
    const results: CheckResult[] = [];
    for (const result of checkSteps(dump)) {
      results.push(result);
      // The file may have been made safe meanwhile: then its header is due.
      await new Promise((resolve) => setImmediate(resolve));
    }
    return results;
  } finally {
    dump.close();
  }
}

/** Says what was saved, and what is inside. */
async function report(
  context: Context,
  result: SaveResult,
  { outputs, args, codec, level, seconds, checks: found }: Done,
): Promise<number> {
  if (result.keptMore !== undefined) context.note(`MORE PAGES ARE KEPT THAN LEVEL ${level} ASKS FOR: ${result.keptMore}`);
  if (result.unreadable > 0) {
    context.note(
      `${result.unreadable} pages could not be read from the source and are zeros in the copy; the first: ${result.firstProblem}`,
    );
  }
  const checks = args.noCheck || outputs.length === 0 ? [] : await (found ?? checkSaved(outputs));
  if (args.json) {
    const { size, ramPages, savedPages, zeroPages, excluded, unreadable } = result;
    const value = {
      schema: "lastwords-save-1",
      outputs,
      format: args.elf ? "elf" : args.lkcd ? "lkcd" : "kdump",
      codec,
      level,
      size,
      ramPages,
      savedPages,
      zeroPages,
      excluded,
      unreadable,
      keptMore: result.keptMore ?? null,
      seconds,
      checks,
    };
    context.out.write(`${JSON.stringify(value)}\n`);
  } else if (outputs.length > 0) {
    const share = result.ramPages === 0 ? 0 : (result.savedPages / result.ramPages) * 100;
    const packed = codec === "none" ? "uncompressed" : args.lkcd ? "gzip" : codec;
    const how = args.elf ? "ELF" : args.lkcd ? `LKCD, ${packed}` : packed;
    context.out.line(
      `${outputs.join(", ")}: ${formatBytes(result.size)}, ${result.savedPages} of ${result.ramPages} pages (${share.toFixed(1)} %), level ${level}, ${how}, ${seconds.toFixed(2)} s`,
    );
    printChecks(context, checks);
  }
  return result.unreadable > 0 || checks.some(({ ok }) => !ok) ? exitCode.partial : exitCode.good;
}

async function dryRun(context: Context, dump: DumpFile, args: Args<"save">, levels: readonly number[]): Promise<number> {
  const { forecast } = await import("../../capture/save/forecast.ts");
  const codec = codecOf(args);
  const results = forecast(dump, args.dumpLevel === "31" ? ALL_LEVELS : levels, codec, args.numThreads);
  for (const { level, keptMore } of results)
    if (keptMore !== null) context.note(`level ${level} would keep more than it asks for: ${keptMore}`);
  if (args.json) context.out.write(`${JSON.stringify({ schema: "lastwords-save-forecast-1", codec, levels: results })}\n`);
  else {
    const rows = results.map(({ level, pages, size, seconds }) => [
      String(level),
      String(pages),
      formatBytes(size),
      `${seconds.toFixed(1)} s`,
    ]);
    const columns = ["LEVEL", "PAGES", "SIZE", "TIME"].map((header) => ({ header, align: "right" as const }));
    context.out.write(formatTable(columns, rows, { paint: context.out.paint }));
    context.out.line(`with ${codec}, from a sample of the pages`);
  }
  return exitCode.good;
}

function saveDmesg(context: Context, dump: DumpFile, source: string, path: string, force: boolean): number {
  checkTarget(path, force, [`${path}-incomplete`], source);
  const bytes = Buffer.from(quickLog(dump), "utf8");
  try {
    writeWhole(path, bytes);
  } catch (error) {
    throw new DumpError("IO", `cannot write ${path}: ${reason(error)}`, { cause: error });
  }
  syncFolder(dirname(path));
  context.out.line(`${path}: ${formatBytes(bytes.length)}`);
  return exitCode.good;
}

async function runRearrange(context: Context, args: Args<"save">): Promise<number> {
  const [path, ...more] = args.paths;
  if (path === undefined || more.length > 0) throw new UsageError("-R needs the one file to write; the stream comes from standard input");
  checkTarget(path, args.force, [`${path}-incomplete`], 0);
  const incomplete = `${path}-incomplete`;
  const output = fileOutput(incomplete, true);
  const { rearrange } = await import("../../capture/save/rearrange.ts");
  try {
    await rearrange(0, "standard input", output);
  } catch (error) {
    throw kept(error, [path]);
  } finally {
    output.close();
  }
  renameTo(incomplete, path);
  context.out.line(`${path}: ${formatBytes(statSync(path).size)}`);
  if (args.noCheck) return exitCode.good;
  const checks = await checkSaved([path]);
  printChecks(context, checks);
  return checks.some(({ ok }) => !ok) ? exitCode.partial : exitCode.good;
}
