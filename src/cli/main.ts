import { existsSync } from "node:fs";
import { getSystemErrorMessage } from "node:util";

import { isDumpError } from "../bytes/index.ts";
import { end } from "./end.ts";
import { exitCode, exitCodeOf } from "./exit-code.ts";
import { findCommand, parseCommand, UsageError } from "./parse.ts";
import { Progress } from "./progress.ts";
import { commandTable, program, type CommandEntry, type CommandName, type Context } from "./table.ts";
import { ClosedPipe, escapeControl, FdSink, formatBytes, Output, type ColorWhen, type Environment } from "./terminal.ts";
import { version } from "./version.ts";

/** What `main` has of the world; tests give it another one. */
export interface World {
  readonly out: Output;
  readonly err: Output;
  readonly env: Environment;
  /** Imports a command; as the table says where not given. */
  readonly load?: (name: CommandName) => ReturnType<CommandEntry["load"]>;
}

/** Signals that end a program and leave it time to tidy up. */
const ENDINGS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/**
 * What must be undone when a command ends before it is done: temporary files and folders removed, a terminal put back.
 * All of it runs, newest first, when the command ends in any way: return, error, `process.exit`, Ctrl-C.
 *
 * While the registry is empty a signal simply ends the process. While it is not, Node has to deliver the signal, and
 * can do so only between turns of the event loop: code that holds a clean-up must not compute for long without an
 * `await` that lets go (a timer or I/O, not a settled promise).
 */
export class CleanUps {
  readonly #actions = new Set<() => void>();

  /**
   * Registers an action, synchronous and quick. Returns how to take it back, once the file has got its final name.
   * Errors of the action are dropped.
   */
  add(action: () => void): () => void {
    // A wrapper, so that the same function may be registered twice.
    const entry = (): void => action();
    if (this.#actions.size === 0) this.#listen();
    this.#actions.add(entry);
    return () => {
      if (this.#actions.delete(entry) && this.#actions.size === 0) this.#unlisten();
    };
  }

  /** Runs everything and forgets it. */
  readonly run = (): void => {
    const actions = [...this.#actions].reverse();
    this.#actions.clear();
    for (const action of actions) {
      try {
        action();
      } catch {
        // The reason why the command ends is of more interest, and the next action still has to run.
      }
    }
    this.#unlisten();
  };

  readonly #onSignal = (signal: NodeJS.Signals): void => {
    this.run();
    // With the listeners gone this ends us by the signal itself. The shell sees 128 + its number (130 after Ctrl-C) and
    // stops a loop around us, which it would not do for a plain exit with that number.
    process.kill(process.pid, signal);
  };

  #listen(): void {
    for (const signal of ENDINGS) process.on(signal, this.#onSignal);
    process.on("exit", this.run);
  }

  #unlisten(): void {
    for (const signal of ENDINGS) process.off(signal, this.#onSignal);
    process.off("exit", this.run);
  }
}

/** The figures of `--stats`. */
export class Stats {
  /** Bytes read from files; whoever reads adds. */
  bytesRead = 0;
  readonly #more = new Map<string, string>();

  /** A further line; a later value of the same name replaces the earlier one. */
  set(name: string, text: string): void {
    this.#more.set(name, text);
  }

  /** Lines `stats: name  value`, with the time since the process began and its largest resident memory. */
  format(): string {
    const usage = process.resourceUsage();
    const seconds = (microseconds: number): string => (microseconds / 1e6).toFixed(2);
    const rows: (readonly [string, string])[] = [
      ["read", `${formatBytes(this.bytesRead)} (${this.bytesRead} bytes)`],
      ...this.#more,
      ["time", `${(performance.now() / 1000).toFixed(2)} s (user ${seconds(usage.userCPUTime)}, system ${seconds(usage.systemCPUTime)})`],
      ["memory", `${formatBytes(usage.maxRSS * 1024)} at most`],
    ];
    const width = Math.max(...rows.map(([name]) => name.length));
    return rows.map(([name, value]) => `stats: ${name.padEnd(width)}  ${value}\n`).join("");
  }
}

/**
 * Runs one command line (without `node` and the script) and returns the exit status; prints errors itself, and throws
 * nothing. Both outputs are flushed on return.
 */
export async function main(argv: readonly string[], world: World = processWorld()): Promise<number> {
  const { out, err } = world;
  const cleanUps = new CleanUps();
  let progress: Progress | undefined;
  try {
    const word = argv[0];
    if (word === undefined) {
      const { shortHelp } = await import("./help.ts");
      err.write(shortHelp());
      return exitCode.usage;
    }
    if (word === "-V" || word === "--version") {
      out.line(`${program.name} ${version()}`);
      out.flush();
      return exitCode.good;
    }
    if (word === "-h" || word === "--help") {
      const { overview } = await import("./help.ts");
      out.write(overview(out.textWidth, out.paint));
      out.flush();
      return exitCode.good;
    }
    if (word.startsWith("-") && word !== "-") {
      throw new UsageError(`there is no option '${word}' before the command; options follow it, as in 'lastwords report --json vmcore'`);
    }

    const name = findName(word);
    const { help, values } = parseCommand(name, argv.slice(1));
    if (help) {
      const { commandHelp } = await import("./help.ts");
      out.write(commandHelp(name, out.textWidth, out.paint));
      out.flush();
      return exitCode.good;
    }

    const quiet = values["quiet"] === true;
    for (const output of [out, err]) output.setColor(values["color"] as ColorWhen);
    const line = new Progress(err, { quiet });
    progress = line;
    out.beforeWrite = line.makeRoom;
    err.beforeWrite = line.makeRoom;
    const stats = new Stats();
    const context: Context = {
      out,
      err,
      env: world.env,
      quiet,
      note: (text) => {
        if (!quiet) err.line(`${program.name}: ${escapeControl(text)}`);
      },
      progress: line.update,
      cleanUps,
      stats,
    };
    const command = await (world.load?.(name) ?? commandTable[name].load());
    // The table's types tie `load` to the arguments; only the way through `commandTable` loses that.
    const code = await command.run(context, values as never);
    line.clear();
    out.flush();
    if (values["stats"] === true) err.write(stats.format());
    return code;
  } catch (error) {
    // The reader of a pipe has seen enough: what it read was right.
    if (error instanceof ClosedPipe) return exitCode.good;
    progress?.clear();
    flushQuietly(out);
    err.write(describeError(error, world.env, err));
    return exitCodeOf(error);
  } finally {
    cleanUps.run();
    flushQuietly(err);
  }
}

/** Runs the process's own command line and ends the process. */
export async function run(): Promise<never> {
  const code = await main(process.argv.slice(2));
  // Not `process.exitCode`: a worker or a socket left over must not keep a finished command alive.
  end(code);
}

function processWorld(): World {
  return { out: new Output(new FdSink(1)), err: new Output(new FdSink(2), { lossy: true }), env: process.env };
}

/** Partial results of a command that failed are results; but its error matters more than one of writing them. */
function flushQuietly(output: Output): void {
  try {
    output.flush();
  } catch {
    // See above.
  }
}

/** {@link findCommand}, for people who name a dump and nothing else. */
function findName(word: string): CommandName {
  try {
    return findCommand(word);
  } catch (error) {
    if (!existsSync(word)) throw error;
    throw new UsageError(`'${word}' is a file, and a command must come first`, undefined, `try 'lastwords report ${word}'`);
  }
}

/** Text for stderr: one line for the error, one for what caused it where that says more, one for a hint. */
function describeError(error: unknown, env: Environment, { paint }: Output): string {
  const label = paint("bad", `${program.name}:`);
  if (env["LASTWORDS_DEBUG"] === "1" && error instanceof Error) return `${label} ${stackOf(error)}\n`;
  if (error instanceof UsageError) return `${label} ${escapeControl(error.message)}\n${paint("dim", error.hint)}\n`;

  const messages: string[] = [];
  // The depth guards against a chain that bites its tail.
  for (let link: unknown = error, depth = 0; link !== undefined && link !== null && depth < 8; depth++) {
    const message = messageOf(link);
    // Many errors quote their cause already.
    if (message !== "" && !messages.some((known) => known.includes(message))) messages.push(message);
    link = link instanceof Error ? link.cause : undefined;
  }
  const [first = "unknown error", ...causes] = messages.map((message) => escapeControl(message));
  const expected = isDumpError(error) || isSystemError(error);
  let text = `${label} ${expected ? "" : "internal error: "}${first}\n`;
  if (causes.length > 0) text += `  because: ${causes.join(": ")}\n`;
  if (!expected) text += `${paint("dim", "this is a fault of lastwords; LASTWORDS_DEBUG=1 shows where, for a bug report")}\n`;
  return text;
}

function messageOf(error: unknown): string {
  if (isSystemError(error)) {
    // "no such file or directory" instead of "ENOENT: no such file or directory, open 'vmcore'".
    const reason = error.errno === undefined ? error.message : getSystemErrorMessage(error.errno);
    return error.path === undefined ? (error.syscall === "write" ? `cannot write: ${reason}` : reason) : `${error.path}: ${reason}`;
  }
  return error instanceof Error ? error.message : String(error);
}

function isSystemError(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && typeof (error as NodeJS.ErrnoException).syscall === "string";
}

function stackOf(error: Error): string {
  let text = "";
  for (let link: unknown = error, depth = 0; link instanceof Error && depth < 8; link = link.cause, depth++) {
    text += (depth === 0 ? "" : "\ncaused by: ") + (link.stack ?? link.message);
  }
  return text;
}
