/**
 * Titles out of long logs: how fast, and in how much memory. `node bench/log.ts [--log PATH] [--gigabytes N] [--check]`;
 * the log is the evidence folder's console of debian-6.12-oom where none is given.
 */
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { kernelTextOf, readLines } from "../src/evidence/index.ts";
import { measure } from "./measure.ts";

/** What we promise for logs. */
export const LOG_LIMITS: { readonly megabytesPerSecond: number; readonly peakMB: number } = { megabytesPerSecond: 50, peakMB: 400 };
const RUNS = 3;

/** Figures of one command on one log. */
export interface LogFigures {
  readonly what: string;
  readonly megabytesPerSecond: number;
  /** 0 where no process of its own was measured. */
  readonly peakMB: number;
}

/**
 * Measures `title` and `report` on logs of so many bytes: one in which only the last of many boots crashed, one in which
 * each did. They lie in the temporary folder meanwhile.
 */
export async function benchLogs(lastwords: readonly string[], log: string, bytes: number): Promise<LogFigures[]> {
  const text = readFileSync(log);
  const crash = text.indexOf("Kernel panic");
  const calm = text.subarray(0, text.lastIndexOf("\n", crash < 0 ? text.length : crash / 2) + 1);
  const figures: LogFigures[] = [{ what: "lines taken apart, in this process", megabytesPerSecond: lineRate(calm), peakMB: 0 }];
  const folder = mkdtempSync(join(tmpdir(), "lastwords-bench-log-"));
  try {
    for (const [name, unit] of [
      ["one crash at the end", calm],
      ["a crash in every boot", text],
    ] as const) {
      const path = join(folder, "log");
      const size = repeat(path, unit, bytes, text);
      for (const args of [["title"], ["title", "--all"], ["report", "--json"]]) {
        const runs = [];
        for (let i = 0; i < RUNS; i++) runs.push(await measure([...lastwords, ...args, path], [0, 3]));
        const seconds = runs.map((run) => run.seconds).sort((a, b) => a - b)[RUNS >> 1]!;
        const peakMB = Math.max(...runs.map((run) => run.peakBytes)) / 1e6;
        figures.push({ what: `${args.join(" ")}, ${name}`, megabytesPerSecond: size / 1e6 / seconds, peakMB });
      }
      rmSync(path);
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  return figures;
}

/** Writes `unit` again and again, then `last`; returns the size. */
function repeat(path: string, unit: Uint8Array, bytes: number, last: Uint8Array): number {
  const fd = openSync(path, "w");
  try {
    const block = Buffer.concat(Array.from({ length: Math.max(1, Math.ceil(4e6 / unit.length)) }, () => unit));
    let size = 0;
    while (size < bytes) size += writeSync(fd, block);
    return size + writeSync(fd, last);
  } finally {
    closeSync(fd);
  }
}

function lineRate(unit: Buffer): number {
  const text = unit.toString("latin1").repeat(Math.ceil(50e6 / unit.length));
  const start = performance.now();
  let lines = 0;
  for (const line of readLines(kernelTextOf(text))) lines += line.kernel ? 1 : 0;
  if (lines === 0) throw new Error("the log has no line of a kernel");
  return text.length / 1e3 / (performance.now() - start);
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      log: { type: "string", default: "../shared/evidence/debian-6.12-oom/console.log" },
      gigabytes: { type: "string", default: "1" },
      check: { type: "boolean", default: false },
    },
  });
  const figures = await benchLogs([process.execPath, resolve("bin/lastwords.js")], values.log, Number(values.gigabytes) * 1e9);
  let met = true;
  for (const { what, megabytesPerSecond, peakMB } of figures) {
    const good = megabytesPerSecond >= LOG_LIMITS.megabytesPerSecond && peakMB <= LOG_LIMITS.peakMB;
    met &&= good;
    const peak = peakMB === 0 ? "" : `, peak ${peakMB.toFixed(0)} MB`;
    process.stdout.write(`${good ? "met   " : "missed"}  ${what.padEnd(40)} ${megabytesPerSecond.toFixed(0).padStart(5)} MB/s${peak}\n`);
  }
  if (values.check && !met) process.exitCode = 1;
}
