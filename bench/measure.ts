/** Measures whole processes from outside: wall time, peak memory, and whether they did anything. */
import { spawn } from "node:child_process";
import { closeSync, existsSync, fstatSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** One run of one process. */
export interface Run {
  readonly seconds: number;
  /** Largest resident set, in bytes. */
  readonly peakBytes: number;
  /** Bytes on standard output. */
  readonly outputBytes: number;
  readonly stderr: string;
}

/** Several runs of the same command. */
export interface Figures {
  /** Median of the runs. */
  readonly seconds: number;
  readonly fastest: number;
  readonly slowest: number;
  /** The largest of all runs. */
  readonly peakBytes: number;
  readonly outputBytes: number;
  /** Of the last run. */
  readonly stderr: string;
}

/** GNU time; the shell's own `time` knows no memory. */
const GNU_TIME = "/usr/bin/time";
/** makedumpfile without /proc in its root spins for ever. */
const GIVE_UP_MS = 300_000;
const POLL_MS = 2;

/** How peak memory is learnt, for the head of the output: polling may miss what a process allocates in its last moments. */
export const memoryMethod: string = existsSync(GNU_TIME) ? "GNU time" : "polling /proc (no GNU time here)";

/**
 * Runs a command with its output in a temporary file, which costs all alike and shows that they said something.
 *
 * @throws Error when it cannot be started, does not end in five minutes, prints nothing, or ends with a status not in `good`.
 */
export async function measure(command: readonly string[], good: readonly number[] = [0]): Promise<Run> {
  const folder = mkdtempSync(join(tmpdir(), "lastwords-bench-out-"));
  const out = openSync(join(folder, "stdout"), "w");
  try {
    const timed = existsSync(GNU_TIME);
    const argv = timed ? [GNU_TIME, "-q", "-f", "\n@@ %M", ...command] : command;
    const start = performance.now();
    const child = spawn(argv[0]!, argv.slice(1), { stdio: ["ignore", out, "pipe"], timeout: GIVE_UP_MS, killSignal: "SIGKILL" });
    let stderr = "";
    child.stderr!.setEncoding("utf8").on("data", (text: string) => {
      stderr += text;
    });
    let polled = 0;
    const poll = timed ? undefined : setInterval(() => (polled = highWater(child.pid) ?? polled), POLL_MS);
    let seconds = 0;
    const status = await new Promise<number | string>((resolve, reject) => {
      child.on("error", reject);
      child.on("exit", () => {
        seconds = (performance.now() - start) / 1000;
      });
      // After `exit`, when stderr is read to its end.
      child.on("close", (code, signal) => resolve(code ?? signal ?? "?"));
    }).finally(() => clearInterval(poll));
    const outputBytes = fstatSync(out).size;
    const say = `${command.join(" ")}: `;
    if (!good.includes(status as number)) throw new Error(`${say}ended with ${status}: ${lastLine(stderr)}`);
    if (outputBytes === 0) throw new Error(`${say}printed nothing: ${lastLine(stderr)}`);
    const peak = /@@ (\d+)\s*$/.exec(stderr)?.[1];
    return { seconds, peakBytes: peak === undefined ? polled : Number(peak) * 1024, outputBytes, stderr };
  } finally {
    closeSync(out);
    rmSync(folder, { recursive: true, force: true });
  }
}

function lastLine(text: string): string {
  return (
    text
      .replace(/\n@@ \d+\s*$/, "")
      .trim()
      .split("\n")
      .at(-1) ?? ""
  );
}

/** VmHWM only grows, so the last look before the end counts; `chroot` and the like exec, and keep their process id. */
function highWater(pid: number | undefined): number | undefined {
  try {
    const line = /^VmHWM:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, "latin1"))?.[1];
    return line === undefined ? undefined : Number(line) * 1024;
  } catch {
    // It is gone.
    return undefined;
  }
}

/** A command to be compared, or why it cannot be. */
export interface Contender {
  readonly name: string;
  readonly command: readonly string[];
  readonly good?: readonly number[];
}

/**
 * Runs the commands in turn, A B A B …, so that a machine that is busy for a while is so for all of them; the first round
 * only warms the file cache. A command that fails is dropped, and its error is the answer.
 *
 * @param prepare called before each run, outside of its time.
 */
export async function compare(
  contenders: readonly Contender[],
  runs: number,
  prepare = (): void => {},
): Promise<Map<string, Figures | Error>> {
  const results = new Map<string, Run[]>(contenders.map(({ name }) => [name, []]));
  const failed = new Map<string, Error>();
  for (let round = 0; round <= runs; round++) {
    for (const { name, command, good } of contenders) {
      if (failed.has(name)) continue;
      prepare();
      try {
        const run = await measure(command, good);
        if (round > 0) results.get(name)!.push(run);
      } catch (error) {
        failed.set(name, error as Error);
      }
    }
  }
  return new Map([...results].map(([name, list]) => [name, failed.get(name) ?? summarise(list)]));
}

function summarise(runs: readonly Run[]): Figures {
  const seconds = runs.map((run) => run.seconds).sort((a, b) => a - b);
  const middle = seconds.length >> 1;
  return {
    seconds: seconds.length % 2 === 1 ? seconds[middle]! : (seconds[middle - 1]! + seconds[middle]!) / 2,
    fastest: seconds[0]!,
    slowest: seconds.at(-1)!,
    peakBytes: Math.max(...runs.map((run) => run.peakBytes)),
    outputBytes: runs.at(-1)!.outputBytes,
    stderr: runs.at(-1)!.stderr,
  };
}
