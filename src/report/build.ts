import { asVaddr, hex, hex16, latin1, type Vaddr } from "../bytes/index.ts";
import {
  cleanLine,
  type Evidence,
  kernelTextOf,
  type LogEvidence,
  parseHead,
  type PstoreStorage,
  rawAddresses,
  readBanner,
  type TextFacts,
  type TextFrame,
} from "../evidence/index.ts";
import { type ElfNote, NT_VMCOREDD } from "../format/index.ts";
import {
  type Backtrace,
  backtraceFromRegisters,
  backtraceOfSleeper,
  backtraceWithoutRegisters,
  type Cpu,
  describeTaint,
  type Frame,
  type Kernel,
  type KernelLog,
  type MemoryTotals,
  logText,
  type Missing,
  type Module,
  orMissing,
  pointsAt,
  readClocks,
  readCommandLine,
  readCpus,
  readLog,
  readMemoryTotals,
  readPanicCpu,
  readSettings,
  readTaint,
  readTasks,
  readUptime,
  readUtsName,
  type Registers,
  runQueueClock,
  type Sourced,
  type Task,
  TaskReader,
} from "../kernel/index.ts";
import { recordFileName } from "../pstore/index.ts";
import { type CrashStory, lastWordsOf, messageOf, readCrashes, whoOf } from "./cause.ts";
import { disassembleAround } from "./disassemble.ts";
import { captureOf, incidentOf, joinIncident } from "./incident.ts";
import type {
  CpuReport,
  CrashReport,
  EvidenceReport,
  FrameReport,
  KernelReport,
  LogReport,
  MissingReport,
  ModuleReport,
  NoteReport,
  PanicReport,
  Receipt,
  RecordReport,
  Report,
  StuckReport,
  TaskReport,
} from "./model.ts";
import { PANIC_PATH, summarise } from "./summary.ts";

/** What {@link buildReport} works on. */
export interface ReportInput {
  readonly evidence: Evidence;
  /** The kernel in the dump; undefined when there is no dump, or it cannot be understood ({@link kernelFailure} says why). */
  readonly kernel: Kernel | undefined;
  readonly kernelFailure: MissingReport | undefined;
  readonly version: string;
  /** Names a link-time address of vmlinux, where symbols were given and no dump. */
  readonly symbolAt?: (address: bigint) => { readonly name: string; readonly offset: number } | undefined;
}

/** A task with its trace. */
export interface TracedTask {
  readonly task: Task;
  readonly trace: Backtrace;
  /** The CPU that it was running on. */
  readonly running: Cpu | undefined;
}

/** Puts together all that the evidence tells. Never throws for what is missing: that is listed. */
export function buildReport(input: ReportInput): Report {
  const { kernel, evidence } = input;
  const receipts: Record<string, Receipt> = {};
  const missing: Missing[] = kernel?.missing ?? [];
  const dump = evidence.dump?.dump;

  const log = kernel && orMissing(missing, "kernel log", "what the kernel said is not known", () => readLog(kernel));
  const text = log ? logText(log) : (evidence.log?.text ?? "");
  const system = kernel ? readSystem(kernel, log) : undefined;
  const cpus = kernel?.types.btf || kernel?.dump.notes.length ? readCpus(kernel) : [];
  const tasks = kernel?.types.btf ? traceTasks(kernel, cpus) : [];
  const modules = kernel?.types.btf ? kernel.modules() : [];

  const story = crashStoryOf(log ? { path: "memory", text } : evidence.log);
  const companion = log && evidence.log ? companionOf(kernel!, evidence.log, story) : undefined;
  const names = namerOf(input, story);
  const panic = panicOf(kernel, cpus, tasks, { text, story, names, skipped: log ? 0 : (evidence.log?.skipped ?? 0) }, receipts);
  const addresses = addressesOf(text, [story, companion?.difference === undefined ? companion?.story : undefined], names);
  const kernelReport = kernel ? kernelOf(kernel, system!, receipts) : kernelOfText(story, text, receipts);
  const joined = joinIncident({
    evidence,
    memory: kernel && log && kernelReport ? { kernel, log, facts: kernelReport } : undefined,
    crashLine: story.cause && story.cause.crash.line + 1,
  });
  const report: Omit<Report, "summary"> = {
    schema: "lastwords-report-1",
    tool: { name: "lastwords", version: input.version },
    title: panic.title,
    crashes: crashesOf(story),
    evidence: [],
    dump: dump
      ? {
          format: dump.format,
          containers: evidence.dump!.containers,
          arch: dump.arch ?? null,
          pageSize: dump.pageSize,
          maxPfn: dump.maxPfn,
        }
      : null,
    kernel: kernelReport,
    panic,
    cpus: cpus.map((cpu) => cpuOf(kernel!, cpu, tasks)),
    tasks: tasks.map((traced) => taskOf(traced)),
    stuck: kernel?.types.btf ? stuckOf(kernel, tasks, cpus) : stuckOfText(story, receipts),
    memory: system?.memory ? receipt(receipts, "/memory", system.memory, memoryOf(system.memory.value)) : null,
    modules: kernel?.types.btf ? modules.map(moduleOf) : modulesOfText(story, receipts),
    log: { ...logOf(log, text), addresses },
    notes: dump ? dump.notes.map((note) => noteOf(note)) : [],
    records: evidence.pstore.flatMap(recordsOf),
    capture: captureOf(evidence, joined.incident),
    ...incidentOf(joined, log ? `memory (${log.format})` : evidence.log?.path, receipts),
    missing: [],
    receipts,
  };
  if (log) receipts["/log/text"] = { confidence: "exact", rule: `printk ${log.format}` };
  const lines: Report = {
    ...report,
    // Reading modules' tables above may have added to it.
    missing: [...(input.kernelFailure ? [input.kernelFailure] : []), ...mergeMissing(missing), ...dumpProblems(evidence)],
    evidence: evidenceOf(input, log, report, companion),
    summary: "",
  };
  return { ...lines, summary: summarise(lines) };
}

/** What the log tells of crashes; nothing where there is no log. */
function crashStoryOf(log: LogEvidence | undefined): CrashStory {
  if (!log || (log.text === "" && log.open === undefined)) return { crashes: [], left: 0, cause: undefined, facts: undefined };
  // The reader wants one character a byte.
  const text = log.open?.() ?? kernelTextOf(Buffer.from(log.text).toString("latin1"), log.path);
  try {
    return readCrashes(text);
  } finally {
    text.close();
  }
}

function crashesOf(story: CrashStory): CrashReport[] {
  return story.crashes.map(({ crash, boot, time }) => ({
    title: crash.title,
    altTitles: crash.altTitles,
    type: crash.type,
    function: crash.frame === undefined || crash.frame === "corrupted" ? null : crash.frame,
    corrupted: crash.corrupted === false ? null : crash.corrupted,
    line: crash.line + 1,
    boot: boot + 1,
    time: time ?? null,
    cause: crash === story.cause?.crash,
  }));
}

/** A log file beside a dump that has a log of its own: is it of the same kernel, and does it tell the same? */
interface Companion {
  readonly log: LogEvidence;
  readonly story: CrashStory;
  /** How it differs, in words; undefined where it is of the same kernel, as far as both tell. */
  readonly difference: string | undefined;
  readonly detail: string;
}

function companionOf(kernel: Kernel, log: LogEvidence, own: CrashStory): Companion {
  const story = crashStoryOf(log);
  const { release, buildId } = identityOf(story, log.text);
  const info = kernel.vmcoreinfo;
  const ownRelease = info.get("OSRELEASE") ?? readUtsName(kernel)?.value.release;
  const ownBuildId = info.get("BUILD-ID");
  const differences = [
    release !== undefined && ownRelease !== undefined && release !== ownRelease ? `is of Linux ${release}, the dump of ${ownRelease}` : "",
    buildId !== undefined && ownBuildId !== undefined && buildId !== ownBuildId ? `has build ID ${buildId}, the dump ${ownBuildId}` : "",
  ].filter((text) => text !== "");
  const title = story.cause?.crash.title;
  const told =
    title === undefined
      ? "it tells of no crash"
      : title === own.cause?.crash.title
        ? "it tells of the same crash"
        : `the crash that it tells of is "${title}"`;
  // Without a crash it may well be the capture kernel's, and nobody is misled.
  const difference = differences.length === 0 || title === undefined ? undefined : differences.join(" and ");
  const whose =
    difference !== undefined
      ? `of another kernel than the dump: it ${difference}`
      : release === undefined
        ? ""
        : differences.length === 0
          ? "of the dump's kernel"
          : `of Linux ${release}`;
  return { log, story, difference, detail: whose === "" ? told : `${whose}; ${told}` };
}

/** Which kernel wrote a log: by the lines of its crash, else by its first words. */
function identityOf({ cause, facts }: CrashStory, text: string): { release: string | undefined; buildId: string | undefined } {
  const banner = cause?.banner ?? /^.*?(Linux version [^\n]*)/m.exec(text)?.[1];
  return { release: facts?.release ?? (banner === undefined ? undefined : readBanner(banner).release), buildId: facts?.buildId };
}

/** Names addresses that a log has; undefined where nothing can. */
type Namer = (address: bigint) => { readonly name: string; readonly offset: number; readonly module?: string | undefined } | undefined;

function namerOf({ kernel, symbolAt }: ReportInput, { facts }: CrashStory): Namer | undefined {
  if (kernel) return (address) => kernel.find(asVaddr(address));
  const slide = facts?.kaslrOffset ?? 0n;
  return symbolAt && ((address) => symbolAt(address - slide));
}

/** Lines of the log's end in which addresses are looked up, besides those of its crashes. */
const NAMED_LINES = 500;

function addressesOf(text: string, stories: readonly (CrashStory | undefined)[], names: Namer | undefined): Record<string, string> {
  if (!names) return {};
  const lines = stories.flatMap((story) => story?.cause?.lines ?? []);
  const named: Record<string, string> = {};
  for (const address of rawAddresses([...lines, ...lastLines(text, NAMED_LINES)])) {
    const place = names(address);
    if (place)
      named[`0x${hex16(address)}`] =
        `${place.name}+0x${place.offset.toString(16)}${place.module === undefined ? "" : ` [${place.module}]`}`;
  }
  return named;
}

function lastLines(text: string, count: number): string[] {
  let from = text.length;
  for (let i = 0; i <= count && from > 0; i++) from = text.lastIndexOf("\n", from - 1);
  return text.slice(from + 1).split("\n");
}

/** The kernel as its last words describe it: what there is without a dump. */
function kernelOfText(story: CrashStory, text: string, receipts: Record<string, Receipt>): KernelReport | null {
  const { cause, facts } = story;
  if (!cause || !facts) return null;
  const banner = cause.banner === undefined ? undefined : readBanner(cause.banner);
  const release = facts.release ?? banner?.release;
  const last = story.crashes.findLast((crash) => crash.boot === cause.boot) ?? cause;
  const uptime = last.lines.reduce((time, line) => parseHead(cleanLine(line))?.time ?? time, last.time);
  const commandLine = /(?:Kernel command|Command) line: (.*)$/m.exec(text)?.[1]?.trim();
  if (release === undefined && facts.taint === undefined && uptime === undefined) return null;
  const read = (pointer: string, value: unknown, rule: string): void => {
    if (value !== undefined) receipts[pointer] = { confidence: "decoded", rule };
  };
  read("/kernel/release", release, facts.release === undefined ? "first line of the log" : "line of the trace that names the task");
  read("/kernel/version", facts.version ?? banner?.version, "kernel log");
  read("/kernel/buildId", facts.buildId, "line of the trace that names the task");
  read("/kernel/uptimeSeconds", uptime, "time of the last line of the crash");
  read("/kernel/commandLine", commandLine, "kernel log");
  const taint = facts.taint === undefined ? undefined : taintOfLetters(facts.taint);
  read("/kernel/taint", taint, "line of the trace that names the task");
  return {
    release: release ?? null,
    version: banner?.version ?? facts.version ?? null,
    machine: facts.machine ?? null,
    nodename: null,
    buildId: facts.buildId ?? null,
    commandLine: commandLine ?? null,
    kaslrOffset: facts.kaslrOffset === undefined ? null : hex(facts.kaslrOffset),
    uptimeSeconds: uptime ?? null,
    crashTime: null,
    taint: taint ?? null,
    settings: {},
  };
}

/** Bits of the letters that the kernel prints; `G` says that the bit of `P` is not set. */
function taintOfLetters(letters: string): KernelReport["taint"] {
  let mask = 0n;
  for (let bit = 0n; bit < 64n; bit++) {
    const letter = describeTaint(1n << bit).letters;
    if (letter !== "?" && letters.includes(letter)) mask |= 1n << bit;
  }
  return { mask: hex(mask), ...describeTaint(mask) };
}

function modulesOfText({ facts }: CrashStory, receipts: Record<string, Receipt>): ModuleReport[] {
  if (!facts || facts.modules.length === 0) return [];
  receipts["/modules"] = { confidence: "decoded", rule: "kernel log, Modules linked in" };
  return facts.modules.map(({ name, taint }) => ({
    name,
    address: null,
    size: null,
    state: taint.includes("+") ? "coming" : taint.includes("-") ? "going" : "live",
    taint: taint.replace(/[+-]/g, ""),
    version: null,
  }));
}

function stuckOfText({ facts }: CrashStory, receipts: Record<string, Receipt>): StuckReport[] {
  if (!facts?.hung) return [];
  const { pid, comm, seconds, frames } = facts.hung;
  receipts["/stuck"] = { confidence: "decoded", rule: "kernel log, INFO: task ... blocked" };
  const waitsIn = frames.find(({ symbol, reliable }) => reliable && symbol !== undefined && !WAIT_NOISE.test(symbol));
  return [{ pid, comm, seconds, waitsIn: waitsIn?.symbol ?? null }];
}

function frameOfText(frame: TextFrame, names: Namer | undefined): FrameReport {
  const place = frame.symbol === undefined && frame.address !== undefined && !frame.user ? names?.(frame.address) : undefined;
  return {
    symbol: frame.symbol ?? place?.name ?? null,
    offset: frame.offset ?? place?.offset ?? null,
    address: frame.address === undefined ? null : `0x${hex16(frame.address)}`,
    reliable: frame.reliable,
    module: frame.module ?? place?.module ?? null,
    user: frame.user,
  };
}

function registersOfText(facts: TextFacts): PanicReport["registers"] {
  if (facts.registers.size === 0) return null;
  return Object.fromEntries([...facts.registers].map(([name, value]) => [name, { value: `0x${hex16(value)}`, pointsAt: null }]));
}

interface SystemFacts {
  readonly uts: ReturnType<typeof readUtsName>;
  readonly commandLine: ReturnType<typeof readCommandLine>;
  readonly taint: ReturnType<typeof readTaint>;
  readonly uptime: ReturnType<typeof readUptime>;
  readonly crashSeconds: number | undefined;
  readonly clocks: ReturnType<typeof readClocks>;
  readonly settings: ReturnType<typeof readSettings>;
  readonly memory: ReturnType<typeof readMemoryTotals>;
}

function readSystem(kernel: Kernel, log: KernelLog | undefined): SystemFacts {
  const last = log?.records.at(-1);
  const uptime = readUptime(kernel, last?.timeNs === undefined ? undefined : Number(last.timeNs) / 1e9);
  const crashTime = kernel.vmcoreinfo.get("CRASHTIME");
  return {
    uts: readUtsName(kernel),
    commandLine: readCommandLine(kernel),
    taint: readTaint(kernel),
    uptime,
    crashSeconds: crashTime !== undefined && /^\d{1,12}$/.test(crashTime) ? Number(crashTime) : undefined,
    // At a panic the log and CRASHTIME tell; a dump of a running machine needs its clocks.
    clocks: uptime === undefined ? readClocks(kernel) : undefined,
    settings: readSettings(kernel),
    memory: readMemoryTotals(kernel),
  };
}

/** Reads all tasks and the trace of each; those that were running are traced from their CPU's registers. */
export function traceTasks(kernel: Kernel, cpus: readonly Cpu[]): TracedTask[] {
  const tasks = readTasks(kernel);
  const running = new Map(cpus.filter((cpu) => cpu.current !== undefined).map((cpu) => [cpu.current, cpu]));
  return tasks.map((task) => {
    const cpu = running.get(task.address);
    return { task, running: cpu, trace: traceOf(kernel, task, cpu) };
  });
}

/** The trace of a task, given the CPU it runs on, if it does. */
export function traceOf(kernel: Kernel, task: Task, cpu: Cpu | undefined): Backtrace {
  if (cpu?.registers) return backtraceFromRegisters(kernel, cpu.registers, task);
  return cpu ? backtraceWithoutRegisters(kernel, task) : backtraceOfSleeper(kernel, task);
}

function receipt<T>(receipts: Record<string, Receipt>, pointer: string, source: Sourced<unknown>, value: T): T {
  receipts[pointer] = {
    confidence: source.confidence,
    rule: source.rule,
    ...(source.address === undefined ? {} : { address: address(source.address) }),
  };
  return value;
}

function address(value: Vaddr): string {
  return `0x${hex16(value)}`;
}

function kernelOf(kernel: Kernel, system: SystemFacts, receipts: Record<string, Receipt>): KernelReport {
  const info = kernel.vmcoreinfo;
  const { uts, taint, uptime, clocks } = system;
  const release = info.get("OSRELEASE");
  if (release !== undefined) receipts["/kernel/release"] = { confidence: "exact", rule: `OSRELEASE of ${kernel.vmcoreinfoSource}` };
  else if (uts) receipt(receipts, "/kernel/release", uts, undefined);
  const seconds = system.crashSeconds ?? clocks?.value.wallSeconds;
  if (uptime ?? clocks) receipt(receipts, "/kernel/uptimeSeconds", (uptime ?? clocks)!, undefined);
  if (system.crashSeconds !== undefined)
    receipts["/kernel/crashTime"] = { confidence: "exact", rule: `CRASHTIME of ${kernel.vmcoreinfoSource}` };
  else if (clocks) receipt(receipts, "/kernel/crashTime", clocks, undefined);
  if (uts) receipt(receipts, "/kernel/version", uts, undefined);
  if (system.commandLine) receipt(receipts, "/kernel/commandLine", system.commandLine, undefined);
  if (taint) receipt(receipts, "/kernel/taint", taint, undefined);
  for (const [name, setting] of system.settings) receipt(receipts, `/kernel/settings/${name}`, setting, undefined);
  const words = taint && describeTaint(taint.value);
  return {
    release: release ?? uts?.value.release ?? null,
    version: uts?.value.version ?? null,
    machine: uts?.value.machine ?? kernel.dump.arch ?? null,
    nodename: uts?.value.nodename ?? null,
    buildId: info.get("BUILD-ID") ?? null,
    commandLine: system.commandLine?.value ?? null,
    kaslrOffset: hex(info.kernelOffset),
    uptimeSeconds: uptime?.value ?? clocks?.value.uptimeSeconds ?? null,
    crashTime: seconds === undefined ? null : new Date(seconds * 1000).toISOString().replace(".000Z", "Z"),
    taint: taint && words ? { mask: hex(taint.value), letters: words.letters, words: words.words } : null,
    settings: Object.fromEntries([...system.settings].map(([name, setting]) => [name, setting.value])),
  };
}

function memoryOf(totals: MemoryTotals): Report["memory"] {
  return {
    total: totals.total,
    free: totals.free ?? null,
    fileCache: totals.fileCache ?? null,
    anonymous: totals.anonymous ?? null,
    slabReclaimable: totals.slabReclaimable ?? null,
    slabUnreclaimable: totals.slabUnreclaimable ?? null,
    swapTotal: totals.swapTotal ?? null,
    swapFree: totals.swapFree ?? null,
  };
}

/** A frame as the report shows it. */
export function frameOf(frame: Frame): FrameReport {
  return {
    symbol: frame.symbol ?? null,
    offset: frame.offset ?? null,
    address: address(frame.address),
    reliable: frame.reliable,
    module: frame.module ?? null,
    user: frame.user,
  };
}

function taskOf({ task, trace, running }: TracedTask): TaskReport {
  return {
    pid: task.pid,
    comm: task.comm,
    tgid: task.tgid,
    ppid: task.ppid ?? null,
    state: task.state,
    cpu: task.cpu ?? null,
    address: address(task.address),
    kernelThread: task.kernelThread,
    running: running !== undefined,
    frames: trace.frames.map(frameOf),
    end: trace.end,
  };
}

/** What ran on a CPU. Idle tasks (pid 0) are not in the task list and are read here. */
function currentOf(kernel: Kernel, cpu: Cpu, tasks: readonly TracedTask[]): { task: Task | undefined; trace: Backtrace } {
  const known = tasks.find((traced) => traced.task.address === cpu.current);
  if (known) return known;
  const task =
    cpu.current === undefined || !kernel.types.btf
      ? undefined
      : orMissing(kernel.missing, `task of CPU ${cpu.cpu}`, "what ran there is not known", () => new TaskReader(kernel).read(cpu.current!));
  if (cpu.registers) return { task, trace: backtraceFromRegisters(kernel, cpu.registers, task) };
  return { task, trace: task ? backtraceWithoutRegisters(kernel, task) : { frames: [], end: "no-start" } };
}

function cpuOf(kernel: Kernel, cpu: Cpu, tasks: readonly TracedTask[]): CpuReport {
  const { task, trace } = currentOf(kernel, cpu, tasks);
  return {
    cpu: cpu.cpu,
    task: task ? { pid: task.pid, comm: task.comm } : null,
    frames: trace.frames.map(frameOf),
    registers: cpu.registers ? "note" : "none",
    end: trace.end,
  };
}

/** Registers that never hold an address. */
const NO_ADDRESS: ReadonlySet<string> = new Set(["flags", "orig_ax", "cs", "ss", "ds", "es", "fs", "gs"]);

/** Entry code of exceptions (not of interrupts): registers saved there are those of the fault. */
const EXCEPTION_ENTRY =
  /^(asm_)?exc_|^(async_)?page_fault$|^general_protection$|^invalid_op$|^divide_error$|^double_fault$|^error_entry$|^do_trap|^die$|^oops_end$/;

function panicOf(
  kernel: Kernel | undefined,
  cpus: readonly Cpu[],
  tasks: readonly TracedTask[],
  told: { readonly text: string; readonly story: CrashStory; readonly names: Namer | undefined; readonly skipped: number },
  receipts: Record<string, Receipt>,
): PanicReport {
  const { text, story, names, skipped } = told;
  const { facts } = story;
  const cause = story.cause?.crash;
  // Another boot's panic is nobody's last words here.
  const single = skipped === 0 && story.crashes.every(({ boot }) => boot === story.cause?.boot);
  const message = (single ? messageOf(text) : lastWordsOf(story)) ?? null;
  if (cause)
    receipts["/panic/title"] = {
      confidence: "decoded",
      rule: `title rule ${cause.rule ?? "header line as it stands"}, line ${cause.line + 1} of the log`,
    };
  if (message !== null) receipts["/panic/message"] = { confidence: "exact", rule: "kernel log" };
  const found = kernel && panicCpu(kernel, cpus, tasks, receipts);
  const current = found && currentOf(kernel, found, tasks);
  const who = current?.task ? undefined : (factsWho(facts) ?? (single ? whoOf(text, cause?.line ?? 0) : undefined));
  if (who) {
    if (!found && who.cpu !== undefined) receipts["/panic/cpu"] = { confidence: "decoded", rule: "kernel log" };
    receipts["/panic/task"] = { confidence: "decoded", rule: "kernel log" };
  }
  const title =
    cause?.title ??
    (message === null
      ? found
        ? "kernel panic"
        : text === ""
          ? "no evidence of a crash"
          : "no crash in the log"
      : `kernel panic: ${message}`);
  const fault = current && faultRegisters(current.trace, found.registers);
  const allTasks = tasks.map((traced) => traced.task);
  const traced = current !== undefined && current.trace.frames.length > 0;
  const spoken = !traced && facts !== undefined && facts.frames.length > 0 ? facts : undefined;
  if (spoken) receipts["/panic/frames"] = { confidence: "decoded", rule: "kernel log" };
  const printed = kernel && fault ? null : facts && registersOfText(facts);
  if (printed) receipts["/panic/registers"] = { confidence: "exact", rule: "kernel log" };
  return {
    title,
    altTitles: cause?.altTitles ?? [],
    type: cause?.type ?? null,
    message,
    // The title rules say "corrupted" where a trace should have named a function and does not.
    function: cause?.frame === undefined || cause.frame === "corrupted" ? null : cause.frame,
    cpu: found?.cpu ?? who?.cpu ?? null,
    task: current?.task
      ? { pid: current.task.pid, comm: current.task.comm, address: address(current.task.address) }
      : who
        ? { pid: who.pid, comm: who.comm, address: null }
        : null,
    frames: spoken ? spoken.frames.map((frame) => frameOfText(frame, names)) : (current?.trace.frames.map(frameOf) ?? []),
    registers:
      kernel && fault
        ? Object.fromEntries(
            [...fault].map(([name, value]) => [
              name,
              { value: `0x${hex16(value)}`, pointsAt: NO_ADDRESS.has(name) ? null : (pointsAt(kernel, value, allTasks) ?? null) },
            ]),
          )
        : (printed ?? null),
    code: kernel && fault ? faultingCode(kernel, fault) : null,
  };
}

/** Who the lines of the crash themselves name. */
function factsWho(facts: TextFacts | undefined): { cpu: number | undefined; pid: number; comm: string } | undefined {
  return facts?.pid === undefined || facts.comm === undefined ? undefined : { cpu: facts.cpu, pid: facts.pid, comm: facts.comm };
}

/** The CPU in panic_cpu; for an oops that took kdump at once, the one whose trace says so. */
function panicCpu(kernel: Kernel, cpus: readonly Cpu[], tasks: readonly TracedTask[], receipts: Record<string, Receipt>): Cpu | undefined {
  const number = readPanicCpu(kernel);
  const named = number && cpus.find((cpu) => cpu.cpu === number.value);
  if (number && named) {
    receipt(receipts, "/panic/cpu", number, undefined);
    return named;
  }
  const ends = new Set(["__crash_kexec", "crash_kexec", "panic", "vpanic", "oops_end", "die"]);
  const guessed = cpus.find((cpu) =>
    currentOf(kernel, cpu, tasks).trace.frames.some((frame) => frame.symbol !== undefined && ends.has(frame.symbol)),
  );
  if (guessed) receipts["/panic/cpu"] = { confidence: "heuristic", rule: "its trace ends in the panic path" };
  return guessed;
}

/** Registers of the fault: those an exception saved, if the trace passes one, else those the CPU had at the end. */
function faultRegisters(trace: Backtrace, own: Registers | undefined): Registers | undefined {
  const saved = trace.frames.findIndex((frame) => frame.registers !== undefined && !frame.user && frame.registers.has("ax"));
  if (saved > 0) {
    const above = trace.frames.slice(0, saved);
    if (above.some((frame) => frame.symbol !== undefined && EXCEPTION_ENTRY.test(frame.symbol))) return trace.frames[saved]!.registers;
  }
  return own;
}

/** The code at the fault. Where the kernel itself decided to panic, the code is that of the panic path: not worth a look. */
function faultingCode(kernel: Kernel, registers: Registers): PanicReport["code"] {
  const ip = asVaddr(registers.get("ip") ?? 0n);
  const name = kernel.find(ip)?.name;
  if (((registers.get("cs") ?? 0n) & 3n) !== 0n || (name !== undefined && PANIC_PATH.test(name))) return null;
  return disassembleAround(kernel, ip);
}

/** Scheduler and wait functions, which every sleeper is in and which say nothing. */
const WAIT_NOISE =
  /^(__schedule|schedule.*|__wait_.*|wait_for_.*|io_schedule.*|preempt_schedule.*|__mutex_lock.*|rwsem_down_.*|__down.*|usleep_range.*|msleep.*|prepare_to_wait.*|do_wait_for_common|bit_wait.*|out_of_line_wait.*)$/;

function stuckOf(kernel: Kernel | undefined, tasks: readonly TracedTask[], cpus: readonly Cpu[]): StuckReport[] {
  const waiting = tasks.filter(({ task }) => task.state === "D");
  if (!kernel || waiting.length === 0) return [];
  // The clock of an idle CPU stands still: the latest is the time of the crash.
  let now = 0n;
  for (const { cpu } of cpus) {
    const clock = runQueueClock(kernel, cpu) ?? 0n;
    if (clock > now) now = clock;
  }
  return waiting
    .map(({ task, trace }) => {
      const arrival = task.lastArrivalNs;
      const waitsIn = trace.frames.find((frame) => frame.symbol !== undefined && !WAIT_NOISE.test(frame.symbol));
      const seconds = arrival !== undefined && arrival > 0n && now > arrival ? Number((now - arrival) / 1_000_000n) / 1000 : null;
      return { pid: task.pid, comm: task.comm, seconds, waitsIn: waitsIn?.symbol ?? null };
    })
    .sort((a, b) => (b.seconds ?? 0) - (a.seconds ?? 0));
}

function moduleOf(module: Module): ModuleReport {
  return {
    name: module.name,
    address: address(module.address),
    size: module.size,
    state: module.state,
    taint: describeTaint(module.taints).letters,
    version: module.version ?? null,
  };
}

function logOf(log: KernelLog | undefined, text: string): Omit<LogReport, "addresses"> {
  let lines = 0;
  for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", at + 1)) lines++;
  return { lines, text, format: log?.format ?? (text === "" ? null : "text"), lost: log?.lost ?? 0 };
}

const CORE_TYPES: Readonly<Record<number, string>> = {
  1: "registers of a CPU (PRSTATUS)",
  2: "floating point registers",
  3: "process information",
  4: "task structure",
  6: "auxiliary vector",
};
/** dump_name of struct vmcoredd_header: 44 bytes before the data (linux:include/uapi/linux/vmcore.h). */
const DEVICE_NAME_LENGTH = 44;

function recordsOf(storage: PstoreStorage): RecordReport[] {
  return storage.records.map((record) => ({
    name: recordFileName(record),
    backend: storage.backend,
    source: storage.source,
    size: record.content.length,
    time: record.time && Math.abs(record.time.seconds) < 8.64e12 ? new Date(record.time.seconds * 1000).toISOString() : null,
    state: record.state,
    problems: record.problems,
  }));
}

/** A note of a dump, in words. */
export function noteOf(note: ElfNote): NoteReport {
  const isDevice = note.name === "LINUX" && note.type === NT_VMCOREDD && note.desc.length >= DEVICE_NAME_LENGTH;
  const device = isDevice ? latin1(note.desc.subarray(0, DEVICE_NAME_LENGTH)) : null;
  let what = "unknown";
  if (device !== null) what = "device dump";
  else if (note.name === "CORE") what = CORE_TYPES[note.type] ?? "unknown";
  else if (note.name === "VMCOREINFO") what = "addresses and layouts that the kernel exports";
  else if (note.name === "QEMU") what = "registers of a virtual CPU (QEMU)";
  else if (note.name === "ERASEINFO") what = "what was erased from the dump";
  else if (note.name === "VMCOREINFO_XEN") what = "addresses and layouts of Xen";
  return { name: note.name, type: note.type, size: note.desc.length, offset: note.offset, what, device };
}

/** Bytes of a device dump after its name. */
export function deviceData(note: ElfNote): Uint8Array {
  return note.desc.subarray(DEVICE_NAME_LENGTH);
}

function dumpProblems(evidence: Evidence): MissingReport[] {
  const problems = evidence.dump ? [...evidence.dump.problems, ...evidence.dump.dump.problems] : [];
  return problems.map((problem) => ({
    what: "part of the dump",
    code: problem.code,
    reason: problem.message,
    consequence: "what lay there is not in this report",
  }));
}

/** The same reason for many things is said once. */
function mergeMissing(missing: readonly Missing[]): MissingReport[] {
  const merged = new Map<string, { what: string[]; entry: Missing }>();
  for (const entry of missing) {
    const key = `${entry.code} ${entry.reason} ${entry.consequence}`;
    const same = merged.get(key);
    if (!same) merged.set(key, { what: [entry.what], entry });
    else if (!same.what.includes(entry.what)) same.what.push(entry.what);
  }
  return [...merged.values()].map(({ what, entry }) => ({
    what: what.length > 3 ? `${what[0]} and ${what.length - 1} more` : what.join(", "),
    code: entry.code,
    reason: entry.reason,
    consequence: entry.consequence,
  }));
}

function evidenceOf(
  input: ReportInput,
  log: KernelLog | undefined,
  report: Omit<Report, "summary">,
  companion: Companion | undefined,
): EvidenceReport[] {
  const { evidence, kernel } = input;
  const list: EvidenceReport[] = evidence.pieces.map((piece) => {
    const other = companion?.log.path === piece.path ? companion : undefined;
    return {
      kind: piece.kind === "log" ? "log file" : piece.kind,
      source: piece.path,
      health: other?.difference !== undefined ? "partial" : piece.health,
      detail: [piece.details.join("; ") || `${piece.format}, ${piece.size} bytes`, ...(other ? [other.detail] : [])].join("; "),
    };
  });
  if (log) {
    list.push({
      kind: "kernel log",
      source: `memory (${log.format})`,
      health: log.lost > 0 ? "partial" : "good",
      detail: `${log.records.length} records${log.lost > 0 ? `, ${log.lost} being written or gone` : ""}`,
    });
  }
  if (kernel) {
    const { symbolsSource, typesSource } = kernel;
    list.push({
      kind: "symbols",
      source: symbolsSource,
      health: kernel.vmlinuxSymbols ? "good" : "unusable",
      detail: symbolsDetail(kernel),
    });
    list.push({
      kind: "types",
      source: typesSource,
      health: kernel.types.btf ? "good" : "unusable",
      detail: kernel.types.btf ? "BTF" : "no BTF",
    });
    const noted = report.cpus.filter((cpu) => cpu.registers === "note").length;
    if (report.cpus.length > 0) {
      list.push({
        kind: "registers",
        source: "notes of the dump",
        health: noted === report.cpus.length ? "good" : noted > 0 ? "partial" : "unusable",
        detail: `${noted} of ${report.cpus.length} CPUs answered`,
      });
    }
  }
  for (const note of report.notes) {
    if (note.device !== null)
      list.push({ kind: "device dump", source: note.device, health: "good", detail: `${note.size - DEVICE_NAME_LENGTH} bytes` });
  }
  return list;
}

function symbolsDetail(kernel: Kernel): string {
  const count = (kernel.vmlinuxSymbols as { count?: number } | undefined)?.count;
  return count === undefined ? (kernel.vmlinuxSymbols ? "given" : "none") : `${count} symbols`;
}
