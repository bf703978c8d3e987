import type { ChildProcess } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setFlagsFromString } from "node:v8";
import { DumpError } from "../../bytes/index.ts";
import { reason } from "../../format/file-source.ts";
// Not through the index, which loads every reader: what runs for months is kept small.
import { type Port, PortError } from "../../pstore/port.ts";
import { defaultFrontends, parseConfigured, parseRecordConfig } from "../../pstore/record-config.ts";
import { type Configured, isCaptureKernel, Recorder, type Status } from "../../pstore/recorder.ts";
import { nodePort } from "../../recorder/node-port.ts";
import { exitCode } from "../exit-code.ts";
import { version } from "../version.ts";
import type { Args, Context } from "../table.ts";

const CONFIG = "/etc/lastwords/record.conf";

/**
 * A recorder idles beside what people really run: memory counts, and without the optimizing compilers, which take 15 MB when text comes
 * fast, it still keeps up with twice what it must (`npm run bench`).
 */
const SMALL = ["--no-opt", "--no-maglev", "--semi-space-growth-factor=1"];

/** `lastwords record [--check]`, `lastwords record --tty -- COMMAND`. */
export async function run(context: Context, args: Args<"record">): Promise<number> {
  if (args.command.length > 0 && !args.tty)
    throw new DumpError("BAD_ARGUMENT", "a command is run with --tty: lastwords record --tty -- COMMAND");
  if (args.tty && args.command.length === 0) throw new DumpError("BAD_ARGUMENT", "--tty needs a command: lastwords record --tty -- bash");
  for (const flag of SMALL) setFlagsFromString(flag);
  const port = nodePort();
  const { frontends, backends, banner } = configuration(args, port);
  const statuses = new Map<string, Status>();
  let nothingLeft: (() => void) | undefined;
  const onStatus = (status: Status): void => {
    const key = `${status.kind} ${status.name} ${status.index}`;
    const before = statuses.get(key);
    statuses.set(key, status);
    // A backend that stays away is reported once, not every time it is tried.
    if (!args.check && (before?.works !== status.works || before.about !== status.about)) {
      context.note(describe(status));
      // The journal is to have it now, not when we end.
      context.err.flush();
    }
    if (status.kind === "frontend" && !status.works) nothingLeft?.();
  };
  // Registered first: whatever ends us from now on, nothing stays set up.
  let recorder: Recorder | undefined;
  let wrapper: Wrapper | undefined;
  const stop = (): void => {
    for (const problem of recorder?.stop() ?? []) context.note(problem);
    wrapper?.remove();
  };
  const done = context.cleanUps.add(stop);
  try {
    if (args.tty) wrapper = wrapperOf(port);
    recorder = new Recorder(
      port,
      {
        frontends: wrapper ? [...frontends.filter(({ name }) => name !== "tty"), wrapper.frontend] : frontends,
        backends,
        banner,
        version: version(),
        dry: args.check,
      },
      onStatus,
    );
  } catch (error) {
    throw error instanceof PortError ? new DumpError("IO", error.message) : error;
  }
  const running = recorder;
  if (args.check) {
    stop();
    for (const status of statuses.values()) context.out.line(context.out.paint(status.works ? "good" : "bad", describe(status)));
    const works = [...statuses.values()];
    if (works.every((status) => status.works)) return exitCode.good;
    return (["frontend", "backend"] as const).every((kind) => works.some((status) => status.kind === kind && status.works))
      ? exitCode.partial
      : exitCode.failed;
  }
  if (wrapper) {
    const tty = [...statuses.values()].find(({ kind, name }) => kind === "frontend" && name === "tty");
    // Without a reader of its FIFO script(1) would wait for one.
    if (tty?.works !== true) throw new DumpError("IO", `the output cannot be recorded: ${tty?.about}`);
    const code = await wrapper.run(args.command);
    done();
    stop();
    return code;
  }
  // Until a signal: that runs the clean-up, and ends us by itself.
  await new Promise<void>((resolve) => {
    nothingLeft = () => {
      if (running.alive === 0) resolve();
    };
    nothingLeft();
    setInterval(() => {}, 2 ** 30);
  });
  done();
  stop();
  throw new DumpError("IO", "no frontend is left: there is nothing to record");
}

function describe({ kind, name, works, about }: Status): string {
  return `${kind} ${name}: ${works ? "" : "NOT RECORDING: "}${about}`;
}

function configuration(
  args: Args<"record">,
  port: Port,
): { frontends: readonly Configured[]; backends: readonly Configured[]; banner: boolean } {
  const frontends = args.frontend.map((text) => parseConfigured("frontend", text, `--frontend ${text}`));
  const backends = args.backend.map((text) => parseConfigured("backend", text, `--backend ${text}`));
  const text = configText(args.config, backends.length > 0);
  const file = text === undefined ? undefined : parseRecordConfig(text, args.config ?? CONFIG);
  frontends.push(...(file?.frontends ?? []));
  backends.push(...(file?.backends ?? []));
  if (backends.length === 0) {
    throw new DumpError(
      "BAD_ARGUMENT",
      `no backend is configured: give --backend, as in --backend directory:path=/var/log/lastwords, or write ${CONFIG}`,
    );
  }
  return {
    frontends: frontends.length > 0 ? frontends : args.tty ? [] : defaultFrontends(port, isCaptureKernel),
    backends,
    banner: !args.noBanner && (file?.banner ?? true),
  };
}

/** The file that was named; else the common one, where no backend was given and it is there. */
function configText(named: string | undefined, given: boolean): string | undefined {
  if (named === undefined && given) return undefined;
  try {
    return readFileSync(named ?? CONFIG, "utf8");
  } catch (error) {
    if (named === undefined) return undefined;
    throw new DumpError("IO", `cannot read ${named}: ${reason(error)}`);
  }
}

/** Runs one command so that its output comes through a FIFO. */
interface Wrapper {
  readonly frontend: Configured;
  run(command: readonly string[]): Promise<number>;
  remove(): void;
}

/**
 * Runs a command in a pseudo-terminal of util-linux' script(1), whose copy of the output comes here through a FIFO: for kernels without
 * tracefs, and where a single session is to be recorded.
 */
function wrapperOf(port: Port): Wrapper {
  const folder = mkdtempSync(join(tmpdir(), "lastwords-"));
  const fifo = join(folder, "tty");
  try {
    port.makeFifo!(fifo);
  } catch (error) {
    rmSync(folder, { recursive: true, force: true });
    throw error;
  }
  let child: ChildProcess | undefined;
  return {
    frontend: { name: "tty", words: new Map([["typescript", fifo]]) },
    remove: () => {
      // It ends the command with itself. After its own end this does nothing.
      child?.kill();
      rmSync(folder, { recursive: true, force: true });
    },
    run: (command) =>
      new Promise((resolve, reject) => {
        const shell = process.env["SHELL"];
        // script(1) writes the command into the first line of its copy, as it is, and runs it with the user's shell, whatever that is.
        // So it gets another one, always the same line, for the Bourne shell; the command comes in the environment.
        const run = `unset LASTWORDS_RUN; ${shell === undefined ? "unset SHELL" : `SHELL=${quote(shell)}`}; exec ${command.map(quote).join(" ")}`;
        child = process.getBuiltinModule("node:child_process").spawn("script", ["-q", "-e", "-f", "-c", 'eval "$LASTWORDS_RUN"', fifo], {
          stdio: "inherit",
          env: { ...process.env, SHELL: "/bin/sh", LASTWORDS_RUN: run },
        });
        child.on("error", (error) => reject(new DumpError("IO", `cannot run script(1) of util-linux: ${reason(error)}`)));
        child.on("exit", (code) => resolve(code ?? exitCode.failed));
      }),
  };
}

function quote(word: string): string {
  return `'${word.replaceAll("'", "'\\''")}'`;
}
