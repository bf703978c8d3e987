import { type ChildProcess, spawn } from "node:child_process";
import { readdirSync, type Stats, statSync } from "node:fs";
import { basename, extname, join } from "node:path";
import type { Readable } from "node:stream";
import { fileURLToPath } from "node:url";
import { DumpError } from "../../bytes/index.ts";
import { reason } from "../../format/file-source.ts";
import { type CollectorMessage, type CollectorTask, FRAME_FD, FrameReader } from "./collector-frame.ts";
import { allocateData, checkName, checkPageSize, DEFAULT_PAGE_SIZE, noteSize } from "./note.ts";
import {
  type CollectedDumps,
  type CollectLimits,
  DEFAULT_MAX_TOTAL_BYTES,
  DEFAULT_TIMEOUT_MS,
  reasonOf,
  timedOut,
  tooMuch,
} from "./registry.ts";

/** Where administrators and packages put collectors. */
export const DEFAULT_COLLECTOR_DIRECTORY = "/etc/lastwords/collectors.d";

/** Collectors of our own, in the order in which they run. */
export const BUILT_IN_COLLECTORS = ["pci-config", "devcoredump", "e1000"] as const;
export type BuiltInCollector = (typeof BUILT_IN_COLLECTORS)[number];

/** The most that is taken of an executable's output. */
export const DEFAULT_MAX_DUMP_BYTES: number = 16 * 1024 * 1024;
/** For all collectors together: a dump of memory that comes ten minutes late may not come at all (watchdogs). */
export const DEFAULT_OVERALL_TIMEOUT_MS = 120_000;
/** For Node to start: 2 s in an emulated machine, much more when memory is tight. */
const START_TIMEOUT_MS = 30_000;
/** How long a killed process may take to go. One in uninterruptible sleep (a dead device) never does; it is left behind. */
const KILL_GRACE_MS = 1000;
/** Dumps of one module: more than any machine has devices. */
const MAX_DUMPS = 8192;
const STDERR_TAIL = 2000;
const MODULE_SUFFIXES: ReadonlySet<string> = new Set([".js", ".mjs", ".ts", ".mts"]);

/** What to collect, and within what bounds. */
export interface CollectOptions extends CollectLimits {
  /** Drop-in directory; one that is not there counts as empty. `undefined` for none. Default {@link DEFAULT_COLLECTOR_DIRECTORY}. */
  readonly directory?: string | undefined;
  /** Default all of {@link BUILT_IN_COLLECTORS}. */
  readonly builtIn?: readonly BuiltInCollector[];
  /** Of the capture kernel. Default 4096. */
  readonly pageSize?: number;
  /** Bytes taken of an executable's output. Default 16 MiB. */
  readonly maxDumpBytes?: number;
  /** For everything. Default 2 minutes. */
  readonly overallTimeoutMs?: number;
}

/**
 * Runs all collectors: the built-in ones, then those of the drop-in directory by name. Never throws for what a collector does: what
 * could not be had is in `lost`.
 *
 * Modules run in a process of their own, which is killed with all its children when a collector exceeds its time; it is started again
 * for the dumps after that one. So even `for (;;) {}` loses one dump.
 *
 * @throws BAD_ARGUMENT for a page size that is none.
 */
export async function collectDeviceDumps(options: CollectOptions = {}): Promise<CollectedDumps> {
  const run = new CollectorRun(options);
  const builtIn = options.builtIn ?? BUILT_IN_COLLECTORS;
  if (builtIn.length > 0) await run.modules(builtIn.map((name) => besideThis(`builtin/${name}`)));
  const directory = "directory" in options ? options.directory : DEFAULT_COLLECTOR_DIRECTORY;
  if (directory !== undefined) {
    for (const collector of listCollectors(directory, run)) {
      if (collector.kind === "module") await run.modules([collector.path]);
      else await run.executable(collector.path);
    }
  }
  return run;
}

interface DropIn {
  readonly kind: "module" | "executable";
  readonly path: string;
}

/** The directory's collectors by name. What is there and cannot run is noted as lost: a forgotten `chmod +x` is not to go unseen. */
function listCollectors(directory: string, into: CollectedDumps): DropIn[] {
  let names: string[];
  try {
    names = readdirSync(directory);
    const problem = openToOthers(statSync(directory));
    if (problem !== undefined) throw new DumpError("BAD_ARGUMENT", `the directory ${problem}`);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") into.lost.push({ name: directory, reason: reason(error) });
    return [];
  }
  const found: DropIn[] = [];
  for (const name of names.sort()) {
    // Editors' and package managers' leftovers, and texts for people.
    if (/^\.|~$|\.(?:md|txt|dpkg-\w+|rpm\w+)$|^README/.test(name)) continue;
    const path = join(directory, name);
    try {
      const stat = statSync(path);
      if (stat.isDirectory()) continue;
      const problem = openToOthers(stat);
      if (problem !== undefined) throw new DumpError("BAD_ARGUMENT", `it ${problem}`);
      if (MODULE_SUFFIXES.has(extname(name))) found.push({ kind: "module", path });
      else if (stat.isFile() && (stat.mode & 0o111) !== 0) found.push({ kind: "executable", path });
      else throw new DumpError("BAD_ARGUMENT", "it is neither a module (.js, .mjs, .ts) nor executable");
    } catch (error) {
      into.lost.push({ name, reason: reason(error) });
    }
  }
  return found;
}

/** Collectors run as root: nobody else may have had a hand in them. */
function openToOthers(stat: Stats): string | undefined {
  if ((stat.mode & 0o022) !== 0) return "may be written by others than its owner (chmod go-w)";
  if (stat.uid !== 0 && stat.uid !== process.geteuid?.()) return `belongs to user ${stat.uid}`;
  return undefined;
}

/** A module beside this one: a .ts in the sources, a .js in what is installed. */
function besideThis(name: string): string {
  return fileURLToPath(new URL(`${name}${extname(import.meta.url)}`, import.meta.url));
}

class CollectorRun implements CollectedDumps {
  readonly dumps: CollectedDumps["dumps"] = [];
  readonly lost: CollectedDumps["lost"] = [];
  readonly #pageSize: number;
  readonly #timeoutMs: number;
  readonly #maxDumpBytes: number;
  readonly #deadline: number;
  readonly #overallMs: number;
  #left: number;

  constructor(options: CollectOptions) {
    this.#pageSize = checkPageSize(options.pageSize ?? DEFAULT_PAGE_SIZE);
    this.#timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
    this.#maxDumpBytes = options.maxDumpBytes ?? DEFAULT_MAX_DUMP_BYTES;
    this.#overallMs = options.overallTimeoutMs ?? DEFAULT_OVERALL_TIMEOUT_MS;
    this.#deadline = performance.now() + this.#overallMs;
    this.#left = options.maxTotalBytes ?? DEFAULT_MAX_TOTAL_BYTES;
  }

  /** Whether there is time; without it, the collector is noted as lost. */
  #hasTime(name: string): boolean {
    if (performance.now() < this.#deadline) return true;
    this.lost.push({ name, reason: `all collectors together took more than ${this.#overallMs / 1000} s` });
    return false;
  }

  #limit(wantedMs: number): number {
    return Math.max(1, Math.min(wantedMs, this.#deadline - performance.now()));
  }

  /** Lets modules register and collects, in as many processes as it takes. */
  async modules(paths: readonly string[]): Promise<void> {
    let module = 0;
    let skip = 0;
    while (module < paths.length) {
      if (!this.#hasTime(nameOf(paths[module]!))) {
        module++;
        continue;
      }
      const end = await this.#process(paths.slice(module), skip);
      if (end === undefined) return;
      // Goes on after the dump that it ended with, or with the next module when it did not get to register.
      skip = end.dump === undefined ? 0 : end.dump + 1;
      module += end.module;
      if (end.dump === undefined || skip >= MAX_DUMPS) {
        module++;
        skip = 0;
      }
    }
  }

  /** One process. @returns where it ended, undefined when it came to the end of its task. */
  async #process(paths: readonly string[], skip: number): Promise<{ module: number; dump: number | undefined } | undefined> {
    const task: CollectorTask = { modules: paths, skip, pageSize: this.#pageSize, budget: this.#left };
    let module = 0;
    let dump: number | undefined;
    let current = nameOf(paths[0]!);
    let done = false;
    const child = new Child([process.execPath, besideThis("collector-child"), JSON.stringify(task)], FRAME_FD);
    const onMessage = (message: CollectorMessage, payload: Uint8Array): void => {
      child.limit(this.#limit(this.#timeoutMs), this.#timeoutMs);
      if (message.type === "done") done = true;
      else if (message.type === "registering") {
        module = message.module;
        dump = undefined;
        current = nameOf(paths[module] ?? "");
      } else if (message.type === "unregistered") {
        // A module that has been started again says it again.
        if (message.module > 0 || skip === 0) this.lost.push({ name: current, reason: message.reason });
      } else if (message.type === "collecting") {
        dump = message.dump;
        current = message.name;
      } else if (message.type === "lost") {
        this.lost.push({ name: current, reason: message.reason });
      } else {
        if (payload.length === 0) throw new DumpError("CORRUPT", "the collector's process sent no data");
        this.dumps.push({ name: checkName(message.name), data: payload });
      }
    };
    const frames = new FrameReader((length) => this.#allocate(length), onMessage);
    child.limit(this.#limit(Math.max(START_TIMEOUT_MS, this.#timeoutMs)), START_TIMEOUT_MS);
    child.onData((chunk) => frames.push(chunk));
    const failure = await child.ended();
    if (done) return undefined;
    this.lost.push({ name: current, reason: failure ?? "its process ended too early" });
    return { module, dump };
  }

  /** Runs a program whose standard output is the dump. One that succeeds and says nothing has nothing to say: no dump, no problem. */
  async executable(path: string): Promise<void> {
    const name = basename(path, extname(path));
    if (!this.#hasTime(name)) return;
    const chunks: Uint8Array[] = [];
    let length = 0;
    let whole = true;
    try {
      checkName(name);
      const child = new Child([path], 1);
      child.limit(this.#limit(this.#timeoutMs), this.#timeoutMs);
      child.onData((chunk) => {
        const part = chunk.subarray(0, this.#maxDumpBytes - length);
        chunks.push(part);
        length += part.length;
        if (part.length === chunk.length) return;
        whole = false;
        child.kill();
      });
      const failure = await child.ended();
      if (failure !== undefined && whole) throw new DumpError("IO", failure);
      if (length === 0) return;
      const data = this.#allocate(length);
      let at = 0;
      for (const chunk of chunks) {
        data.set(chunk, at);
        at += chunk.length;
      }
      this.dumps.push({ name, data });
      if (!whole) this.lost.push({ name, reason: `its output was cut after ${this.#maxDumpBytes} bytes` });
    } catch (error) {
      this.lost.push({ name, reason: reasonOf(error) });
    }
  }

  #allocate(size: number): Uint8Array {
    const length = noteSize(size, this.#pageSize);
    if (length > this.#left) throw tooMuch(length, this.#left);
    this.#left -= length;
    return allocateData(size, this.#pageSize);
  }
}

function nameOf(path: string): string {
  return basename(path);
}

/** A child process with a time limit that can be renewed, one pipe that is listened to, and a certain end. */
class Child {
  readonly #process: ChildProcess;
  readonly #pipe: Readable | undefined;
  readonly #ended: Promise<string | undefined>;
  #timer: NodeJS.Timeout | undefined;
  #stderr = "";
  #failure: string | undefined;
  #finish: () => void = () => {};

  /** @param fd of the child, 1 or 3, that {@link onData} hears. */
  constructor(command: readonly string[], fd: number) {
    const stdio: ("ignore" | "pipe")[] = ["ignore", fd === 1 ? "pipe" : "ignore", "pipe"];
    if (fd > 2) stdio.push("pipe");
    // A session of its own: its children are killed with it.
    const child = spawn(command[0]!, command.slice(1), { stdio, cwd: "/", detached: true });
    this.#process = child;
    this.#pipe = child.stdio[fd] as Readable | undefined;
    child.stderr?.setEncoding("latin1").on("data", (text: string) => (this.#stderr = (this.#stderr + text).slice(-STDERR_TAIL)));
    this.#ended = new Promise((resolve) => {
      this.#finish = (): void => {
        clearTimeout(this.#timer);
        // Grandchildren may hold the pipes, and a process may not die of being killed.
        for (const stream of child.stdio) stream?.destroy();
        child.unref();
        resolve(this.#failure);
      };
      child.on("error", (error) => {
        this.#failure ??= reason(error);
        this.#finish();
      });
      child.on("close", (code, signal) => {
        if (code !== 0) this.#failure ??= this.#howItEnded(code, signal);
        this.#finish();
      });
    });
  }

  #howItEnded(code: number | null, signal: string | null): string {
    // Of a stack trace the line with the error, of other complaints the last one.
    const lines = this.#stderr.trim().split("\n");
    const said = lines.find((line) => /^\w*Error\b/.test(line)) ?? lines.at(-1) ?? "";
    return `its process ended with ${signal ?? `status ${code}`}${said === "" ? "" : `: ${said}`}`;
  }

  /** Renews the time limit. @param saidMs what the reason says, which may be more when all collectors' time is nearly over. */
  limit(ms: number, saidMs: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.kill(reasonOf(timedOut(saidMs))), ms);
  }

  /** What the listener throws ends the process. */
  onData(listener: (chunk: Uint8Array) => void): void {
    this.#pipe?.on("data", (chunk: Uint8Array) => {
      if (this.#failure !== undefined) return;
      try {
        listener(chunk);
      } catch (error) {
        this.kill(reasonOf(error));
      }
    });
  }

  /** Ends it and all its children, for a reason. */
  kill(failure = "it was stopped"): void {
    this.#failure ??= failure;
    const { pid } = this.#process;
    try {
      if (pid !== undefined) process.kill(-pid, "SIGKILL");
    } catch {
      // It has ended by itself.
    }
    clearTimeout(this.#timer);
    this.#timer = setTimeout(this.#finish, KILL_GRACE_MS);
  }

  /** Waits for its end. @returns why it failed, or undefined. Never rejects. */
  ended(): Promise<string | undefined> {
    return this.#ended;
  }
}
