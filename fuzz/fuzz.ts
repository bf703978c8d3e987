import { type ChildProcess, fork } from "node:child_process";
import { availableParallelism } from "node:os";
import { fileURLToPath } from "node:url";
import type { Message } from "./worker.ts";

/** What is fuzzed: dumps with the whole report, or storages of pstore's backends and their codecs. */
export const targets = ["dumps", "storages"] as const;
export type Target = (typeof targets)[number];

/** What a run of the fuzzer found. */
export interface FuzzResult {
  readonly cases: number;
  readonly outcomes: Readonly<Record<string, number>>;
  /** Each names the seed and case by which it is told again. */
  readonly failures: readonly string[];
  /** Largest resident set of a worker, in bytes. */
  readonly peakRss: number;
}

const HANG_MS = 30_000;
/** Starting a process and making the seeds. */
const START_MS = 30_000;
const RSS_LIMIT = 512 * 1024 * 1024;

/**
 * Runs `count` cases of `seed` on all cores, each core in processes of its own: a case over five seconds is a hang, its
 * process is killed and the next case goes on in a new one. `only` runs a single case.
 */
export async function fuzz(
  seed: number,
  count: number,
  only?: number,
  onProgress?: (done: number) => void,
  target: Target = "dumps",
): Promise<FuzzResult> {
  const failures: string[] = [];
  const outcomes: Record<string, number> = {};
  let peakRss = 0;
  let cases = 0;
  const lanes = only === undefined ? Math.max(1, Math.min(4, availableParallelism())) : 1;

  const lane = async (first: number, step: number, end: number): Promise<void> => {
    for (let next = first; next < end;) {
      next = await new Promise<number>((resolve) => {
        const child = fork(fileURLToPath(new URL("worker.ts", import.meta.url)), [target, ...[seed, next, step, end].map(String)], {
          stdio: ["ignore", "ignore", "inherit", "ipc"],
        });
        let current = next;
        let name = "";
        let timer = watch(child, START_MS);
        let finished = false;
        child.on("message", (message: Message) => {
          clearTimeout(timer);
          timer = watch(child, START_MS);
          current = message.index;
          if (message.kind === "start") {
            name = message.seed;
            clearTimeout(timer);
            timer = watch(child, HANG_MS);
            return;
          }
          cases++;
          finished = message.index + step >= end;
          if (message.kind === "failed") failures.push(`${describe(target, seed, message.index, message.seed)}\n${message.error}`);
          else {
            outcomes[message.outcome] = (outcomes[message.outcome] ?? 0) + 1;
            if (message.rss > peakRss) peakRss = message.rss;
            if (message.rss > RSS_LIMIT)
              failures.push(`${describe(target, seed, message.index, name)}\n${message.rss} bytes resident, the limit is ${RSS_LIMIT}`);
          }
          if (cases % 100 === 0) onProgress?.(cases);
        });
        child.on("exit", (code, signal) => {
          clearTimeout(timer);
          if (finished) return resolve(end);
          cases++;
          failures.push(
            `${describe(target, seed, current, name)}\n${signal === "SIGKILL" ? `no answer in ${HANG_MS} ms` : `the process ended with ${signal ?? code}`}`,
          );
          resolve(current + step);
        });
      });
    }
  };
  if (only !== undefined) await lane(only, 1, only + 1);
  else await Promise.all(Array.from({ length: lanes }, (_, i) => lane(i, lanes, count)));
  return { cases, outcomes, failures, peakRss };
}

function watch(child: ChildProcess, limit: number): NodeJS.Timeout {
  return setTimeout(() => child.kill("SIGKILL"), limit);
}

function describe(target: Target, seed: number, index: number, name: string): string {
  return `case ${index} (${name}): node fuzz/run.ts --target ${target} --seed ${seed} --case ${index}`;
}
