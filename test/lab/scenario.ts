import { execFile } from "node:child_process";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import {
  type Capture,
  captureCrash,
  crashWay,
  type CrashWay,
  type CrashWayId,
  defaultCacheFolder,
  fetchKernel,
  isLabUnavailable,
  type KernelSeries,
  type ReservedRegion,
  VARIED_LOAD,
} from "../../src/lab/index.ts";
import type { Report } from "../../src/report/model.ts";

/** A crash to be tried: which kernel, and how it dies. */
export interface Scenario {
  readonly series: KernelSeries;
  readonly way: CrashWayId;
  readonly region?: ReservedRegion;
  /** Shell lines of the guest before it dies. */
  readonly before?: readonly string[];
}

/** What a scenario gave, or why this machine could not run it. */
export type Outcome =
  | { readonly skipped: string }
  | { readonly skipped?: undefined; readonly way: CrashWay; readonly capture: Capture; readonly report: Report; readonly exitCode: number };

const PROJECT = join(import.meta.dirname, "../..");

/** Folder of a scenario's dump and console; {@link removeScenario} takes it away. */
function folderOf(scenario: Scenario): string {
  return join(defaultCacheFolder(), "run", `${scenario.series}-${scenario.way}`);
}

/**
 * Crashes the kernel, then asks the product about the dump. Only a machine that cannot run a lab at all (a program or a package
 * missing) makes it a skip; it says so in one line.
 */
export async function runScenario(scenario: Scenario): Promise<Outcome> {
  const options = { cache: defaultCacheFolder(), progress: (message: string): void => console.info(`lab: ${message}`) };
  const way = crashWay(scenario.way);
  try {
    const kernel = await fetchKernel(scenario.series, options);
    const capture = await captureCrash({ ...options, ...scenario, kernel, way, folder: folderOf(scenario), load: VARIED_LOAD });
    const { report, exitCode, seconds } = await runReport(capture.vmcore);
    const stages = capture.stages.map((stage) => `${stage.name} ${(stage.atMs / 1000).toFixed(1)} s`).join(", ");
    console.info(`lab: ${kernel.release} ${way.id}: ${stages}; ${capture.vmcoreBytes} bytes, reported in ${seconds.toFixed(2)} s`);
    return { way, capture, report, exitCode };
  } catch (error) {
    if (!isLabUnavailable(error)) throw error;
    console.warn(`lab: skipped ${scenario.series} ${scenario.way}: ${error.message}`);
    return { skipped: error.message };
  }
}

/** Removes a scenario's dump. Not called after a failure: the dump is what one wants to look at then. */
export async function removeScenario(scenario: Scenario): Promise<void> {
  await rm(folderOf(scenario), { recursive: true, force: true });
}

/** Runs the command-line tool as a user would: the built one. */
function runReport(vmcore: string): Promise<{ report: Report; exitCode: number; seconds: number }> {
  const start = performance.now();
  return new Promise((resolve, reject) => {
    const args = [join(PROJECT, "bin/lastwords.js"), "report", "--json", vmcore];
    execFile(process.execPath, args, { maxBuffer: 1 << 30 }, (error, stdout, stderr) => {
      const exitCode = error === null ? 0 : Number(error.code);
      try {
        const report = JSON.parse(stdout) as Report;
        resolve({ report, exitCode, seconds: (performance.now() - start) / 1000 });
      } catch (problem) {
        reject(new Error(`lastwords report ended with ${exitCode}: ${stderr.slice(-2000)}`, { cause: problem }));
      }
    });
  });
}
