import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DumpError } from "../../bytes/index.ts";
import { reason } from "../../format/index.ts";
import { findProblems, type HostFacts, readHost, Root, settingsOf } from "../../host/index.ts";
import {
  defaultCacheFolder,
  fetchKernel,
  givenKernel,
  guestTools,
  hostKernel,
  type KernelSeries,
  LabError,
  type LabKernel,
} from "../../lab/index.ts";
import { describeSettings, type Settings, variantOf } from "../../panic/index.ts";
import {
  applySetting,
  goodSettings,
  hasPstoreConsole,
  machineSettings,
  type RehearsedCell,
  type RehearsedWay,
  type Rehearsal,
  rehearse,
  type WayName,
  wayNames,
  ways,
} from "../../rehearse/index.ts";
import { headOf, outcomeLooks } from "../evidence-table.ts";
import { exitCode } from "../exit-code.ts";
import type { Context } from "../table.ts";
import { escapeLine, formatBytes, formatTable } from "../terminal.ts";

/** The arguments, as the table has them. */
export interface RehearseArgs {
  readonly ways: readonly WayName[];
  readonly list: boolean;
  readonly root: string | undefined;
  readonly series: KernelSeries | undefined;
  readonly kernel: string | undefined;
  readonly modules: string | undefined;
  readonly initramfs: string | undefined;
  readonly set: readonly string[];
  readonly crashkernel: number | undefined;
  readonly memory: number | undefined;
  readonly cpus: number;
  readonly keep: string | undefined;
  readonly json: boolean;
}

const MIB = 1024 * 1024;
/** What a capture kernel of Debian's and the rehearsal's initramfs are content with. */
const DEFAULT_CRASHKERNEL = 128 * MIB;
/** RAM of a machine beyond twice the reserved memory: that is found whole wherever the kernel's own place (KASLR) and the region split RAM. */
const MORE_MEMORY = 224 * MIB;

/** `lastwords rehearse [WAY]...`. */
export async function run(context: Context, args: RehearseArgs): Promise<number> {
  if (args.list) return list(context);
  const host = args.root !== undefined || (args.series === undefined && args.kernel === undefined) ? readHostAt(args.root) : undefined;
  // Asked for first: a wrong word must not cost a download.
  const wanted = args.set.reduce(applySetting, host === undefined ? goodSettings : settingsOf(host, findProblems(host)));
  const initramfs = args.initramfs === undefined ? hostInitramfs(context, args, host) : read(args.initramfs);
  const kernel = await chooseKernel(context, args, host);
  const tools = await guestTools({ cache: defaultCacheFolder(), progress: context.note });
  const { settings, notShown } = machineSettings(wanted, await hasPstoreConsole(kernel));
  const crashkernel = args.crashkernel ?? (host?.crashKernel.reserved?.value || DEFAULT_CRASHKERNEL);
  const memory = args.memory ?? 2 * crashkernel + MORE_MEMORY;
  checkMemory(memory, crashkernel);

  const { keep } = args;
  const abort = new AbortController();
  const work = workFolder(keep);
  const forget = context.cleanUps.add(() => {
    abort.abort(new DumpError("IO", "interrupted"));
    rmSync(work, { recursive: true, force: true });
  });
  try {
    const machine = { memoryMiB: Math.ceil(memory / MIB), cpus: args.cpus, crashkernelMiB: Math.ceil(crashkernel / MIB) };
    const result = await rehearse({
      ...machine,
      kernel,
      tools,
      settings,
      notShown,
      initramfs,
      variant: variantOf(kernel.release),
      ways: args.ways.length === 0 ? wayNames : wayNames.filter((name) => args.ways.includes(name)),
      work,
      keep,
      signal: abort.signal,
      progress: (message) => say(context, message),
      onStage: (way, { name, atMs }) => say(context, `${way}: ${name} after ${(atMs / 1000).toFixed(1)} s`),
      onWay: ({ way, failure, seconds, end }) =>
        say(context, failure === null ? `${way}: ${end} after ${seconds?.toFixed(1)} s` : `${way}: ${failure}`),
    });
    const json = `${JSON.stringify(toJson(result, args, kernel, machine, host))}\n`;
    if (keep !== undefined) writeFileSync(join(keep, "rehearsal.json"), json);
    if (args.json) context.out.write(json);
    else printRehearsal(context, result);
    return statusOf(result);
  } finally {
    forget();
    rmSync(work, { recursive: true, force: true });
  }
}

/** Progress is of use while there is some. */
function say({ note, err }: Context, text: string): void {
  note(text);
  err.flush();
}

/** By what was promised, then by what could not be found out. */
function statusOf({ verdict }: Rehearsal): number {
  if (verdict.kept < verdict.promised) return exitCode["no-evidence"];
  return verdict.failed > 0 || verdict.disagreeing > 0 ? exitCode.partial : exitCode.good;
}

function list({ out }: Context): number {
  const rows = ways.map(({ name, about }) => [name, about]);
  out.write(formatTable([{ header: "WAY" }, { header: "WHAT HAPPENS" }], rows, { paint: out.paint }));
  return exitCode.good;
}

function readHostAt(root: string | undefined): HostFacts {
  const host = readHost(new Root(root ?? "/"));
  if (!host.anything) throw new DumpError("BAD_ARGUMENT", `${root ?? "/"} holds neither /etc nor /proc nor /sys of a host`);
  return host;
}

async function chooseKernel(context: Context, args: RehearseArgs, host: HostFacts | undefined): Promise<LabKernel> {
  if (args.series !== undefined) return fetchKernel(args.series, { cache: defaultCacheFolder(), progress: context.note });
  if (args.kernel !== undefined) return givenKernel(args.kernel, args.modules);
  const release = host?.system.release?.value;
  try {
    return await hostKernel({ root: args.root ?? "/", ...(release === undefined ? {} : { release }) });
  } catch (error) {
    if (!(error instanceof LabError)) throw error;
    throw new DumpError("BAD_ARGUMENT", `${error.message}; --kernel FILE names one, --series 6.1 takes Debian's`, { cause: error });
  }
}

function read(path: string): Uint8Array {
  try {
    return readFileSync(path);
  } catch (error) {
    throw new DumpError("IO", `cannot read ${path}: ${reason(error)}`, { cause: error });
  }
}

/** The host's own capture initramfs, for the host's own kernel: it is the larger part of what a capture kernel needs memory for. */
function hostInitramfs({ note }: Context, args: RehearseArgs, host: HostFacts | undefined): Uint8Array | undefined {
  const file = host?.kdump?.initramfs?.file;
  if (file === undefined || args.series !== undefined || args.kernel !== undefined) return undefined;
  const path = join(args.root ?? "/", file.path);
  try {
    const bytes = readFileSync(path);
    note(`the capture kernel carries ${path}`);
    return bytes;
  } catch (error) {
    note(`the capture kernel's own initramfs is left out: cannot read ${path}: ${reason(error)}`);
    return undefined;
  }
}

function checkMemory(memory: number, crashkernel: number): void {
  if (memory < crashkernel + MORE_MEMORY)
    throw new DumpError(
      "BAD_ARGUMENT",
      `with ${formatBytes(crashkernel)} for the capture kernel the machine needs at least ${formatBytes(crashkernel + MORE_MEMORY)}`,
    );
  // Above, x86's RAM is in two pieces.
  if (memory > 3072 * MIB)
    throw new DumpError(
      "BAD_ARGUMENT",
      `a machine of ${formatBytes(memory)} is not rehearsed with; --crashkernel says how much is reserved`,
    );
}

/** On the file system of what is kept, so that it is moved and not copied. */
function workFolder(keep: string | undefined): string {
  try {
    if (keep !== undefined) mkdirSync(keep, { recursive: true });
    return mkdtempSync(join(keep ?? tmpdir(), "lastwords-rehearse-"));
  } catch (error) {
    throw new DumpError("IO", `cannot write to ${keep ?? tmpdir()}: ${reason(error)}`, { cause: error });
  }
}

// --------------------------------------------------------------------------------------------------------------- text

/** The verdict, the matrix, what is not as expected, and what was not shown. */
export function printRehearsal({ out }: Pick<Context, "out">, result: Rehearsal): void {
  const { verdict, settings, release } = result;
  out.line(out.paint(verdict.kept < verdict.promised || verdict.failed > 0 ? "bad" : "good", verdict.text));
  out.line(`${escapeLine(release)}: ${describeMachine(settings)}`);
  const rehearsed = result.ways.filter((way) => way.failure === null);
  if (rehearsed.length > 0) {
    out.line("");
    out.line(out.paint("heading", "Expected by the model | seen in the machine; times in seconds"));
    printTable({ out }, rehearsed);
  }
  const wrong = rehearsed.flatMap((way) => way.cells.filter((cell) => !cell.agrees).map((cell) => ({ way, cell })));
  for (const { way, cell } of wrong) {
    out.line("");
    out.line(out.paint("bad", `${way.way}, ${escapeLine(cell.kind)}: ${cell.expected} was expected, ${cell.seen} was seen`));
    out.line(`  the model:   ${escapeLine(cell.why)}`);
    out.line(`  the machine: ${escapeLine(cell.detail)}`);
  }
  for (const { way, failure } of result.ways) {
    if (failure === null) continue;
    out.line("");
    out.line(out.paint("bad", `${way} could not be rehearsed`));
    for (const line of failure.split("\n")) out.line(`  ${escapeLine(line)}`);
  }
  out.line("");
  out.line(out.paint("heading", "What a virtual machine does not show"));
  for (const { what, why } of result.notShown) out.line(`  ${what}: ${why}`);
}

function describeMachine(settings: Settings): string {
  const flags = [
    settings.panicOnOops ? "" : "panic_on_oops=0",
    settings.panicOnNmi ? "" : "unknown_nmi_panic=0",
    settings.watchdog.softLockupPanics ? "" : "softlockup_panic=0",
  ].filter((text) => text !== "");
  return [describeSettings(settings), ...flags].join("; ");
}

/** A column for each kind that anything is said of, then the times. */
function printTable({ out }: Pick<Context, "out">, rehearsed: readonly RehearsedWay[]): void {
  const kinds = [...new Set(rehearsed.flatMap((way) => way.cells.map((cell) => cell.kind)))].filter((kind) =>
    rehearsed.some((way) => way.cells.some((cell) => cell.kind === kind && !(cell.expected === "not-configured" && cell.agrees))),
  );
  const at = (way: RehearsedWay, name: string): string => {
    const stage = way.stages.find((each) => each.name === name);
    return stage === undefined ? "-" : (stage.atMs / 1000).toFixed(1);
  };
  const right = { align: "right" } as const;
  const columns = [
    { header: "WAY" },
    ...kinds.map((kind) => ({ header: headOf(kind) })),
    { header: "DIED", ...right },
    { header: "CAPTURE", ...right },
    { header: "SAVED", ...right },
    { header: "END", ...right },
    { header: "PEAK", ...right },
    { header: "" },
  ];
  const rows = rehearsed.map((way) => [
    way.way,
    ...kinds.map((kind) => {
      const cell = way.cells.find((each) => each.kind === kind);
      return cell === undefined ? "-" : describeCell({ out }, cell);
    }),
    at(way, "died"),
    at(way, "capture kernel"),
    at(way, "saved"),
    way.seconds?.toFixed(1) ?? "-",
    way.memory === null ? "-" : formatBytes(way.memory.peak),
    way.end ?? "",
  ]);
  out.write(formatTable(columns, rows, { paint: out.paint }));
}

function describeCell({ out }: Pick<Context, "out">, { expected, seen, agrees }: RehearsedCell): string {
  if (expected === "not-configured" && agrees) return out.paint("dim", "-");
  const text = `${expected === "not-configured" ? "-" : expected}|${seen}`;
  return agrees ? out.paint(outcomeLooks[seen], text) : out.paint("bad", `${text} !`);
}

// --------------------------------------------------------------------------------------------------------------- JSON

function toJson(
  result: Rehearsal,
  args: RehearseArgs,
  kernel: LabKernel,
  machine: { readonly memoryMiB: number; readonly cpus: number; readonly crashkernelMiB: number },
  host: HostFacts | undefined,
): unknown {
  return {
    schema: "lastwords-rehearsal-1",
    root: host === undefined ? null : (args.root ?? "/"),
    kernel: { release: result.release, image: kernel.image, variant: result.variant },
    machine: { memory: machine.memoryMiB * MIB, cpus: machine.cpus, crashkernel: machine.crashkernelMiB * MIB },
    settings: result.settings,
    verdict: result.verdict,
    ways: result.ways,
    notShown: result.notShown,
  };
}
