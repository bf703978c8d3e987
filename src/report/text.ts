import { renderIncident, renderTimeline } from "./incident-text.ts";
import type { CpuReport, FrameReport, Report } from "./model.ts";
import { describeSeconds } from "./summary.ts";

/** How the text is to look; the caller knows the terminal. */
export interface RenderOptions {
  /** Styles a piece of text, or returns it as it is. */
  readonly paint: (style: "heading" | "name" | "good" | "warning" | "bad" | "dim", text: string) => string;
  /** Makes text of the dump harmless for a terminal: control characters, bidi marks. */
  readonly escape: (text: string) => string;
  /** Lines of the log's end to show. */
  readonly logLines: number;
}

/** Frames of other CPUs and of stuck tasks to show before cutting. */
const BRIEF_FRAMES = 12;
const MAX_STUCK = 20;
/** Registers in the order in which the kernel prints them. */
const REGISTER_ORDER = [
  "ip",
  "sp",
  "flags",
  "ax",
  "bx",
  "cx",
  "dx",
  "si",
  "di",
  "bp",
  "r8",
  "r9",
  "r10",
  "r11",
  "r12",
  "r13",
  "r14",
  "r15",
  "orig_ax",
  "cs",
  "ss",
  "cr0",
  "cr2",
  "cr3",
  "cr4",
  "pc",
  "pstate",
  ...Array.from({ length: 31 }, (_, i) => `x${i}`),
];

/** The report for people: what happened first, then the evidence for it, then what is missing. */
export function renderReport(report: Report, given: RenderOptions): string {
  // A task's name with a line feed must not look like a line of the report.
  const options = { ...given, escape: (text: string) => given.escape(text).replaceAll("\n", "\\x0a") };
  const { paint, escape } = options;
  const out: string[] = [];
  const heading = (text: string): void => void out.push("", paint("heading", text));

  out.push(paint("heading", escape(report.title)), escape(report.summary));
  renderFacts(report, options, out);
  renderCrashes(report, options, out, heading);

  const { panic } = report;
  if (panic.frames.length > 0) {
    heading(
      `Call trace${panic.task ? ` of ${escape(panic.task.comm)} (pid ${panic.task.pid})` : ""}${panic.cpu === null ? "" : ` on CPU ${panic.cpu}`}`,
    );
    out.push(...renderFrames(panic.frames, options));
  }
  if (panic.registers) {
    heading("Registers");
    const present = REGISTER_ORDER.filter((name) => name in panic.registers!);
    for (const name of present) {
      const register = panic.registers[name]!;
      const hint = register.pointsAt === null ? "" : `  ${paint("dim", escape(register.pointsAt))}`;
      out.push(`  ${name.padStart(7)}  ${register.value.slice(2)}${hint}`);
    }
  }
  if (panic.code) {
    heading(`Code${panic.code.function === null ? "" : ` of ${escape(panic.code.function)}`}`);
    for (const line of panic.code.instructions) {
      const text = `${line.current ? "=>" : "  "} ${line.address.slice(2)}  ${line.bytes.padEnd(30)} ${escape(line.text)}`;
      out.push(line.current ? paint("warning", text) : text);
    }
  }
  renderCapture(report, options, out, heading);
  renderCpus(report, options, out, heading);
  renderStuck(report, options, out, heading);
  renderModules(report, options, out, heading);
  if (report.timeline && options.logLines > 0)
    renderTimeline(report.timeline, report, options, (line) => namesIn(line, report, options), out, heading);
  else if (report.log.lines > 0 && options.logLines > 0) {
    const lines = report.log.text.split("\n").slice(0, -1);
    const shown = lines.slice(-options.logLines);
    heading(`Kernel log (last ${shown.length} of ${lines.length} lines)`);
    for (const line of shown) out.push(`  ${escape(line)}${namesIn(line, report, options)}`);
  }
  renderRecords(report, options, out, heading);
  renderIncident(report, options, out, heading);
  heading("Evidence");
  for (const piece of report.evidence) {
    const style = piece.health === "good" ? "good" : piece.health === "partial" ? "warning" : "bad";
    out.push(`  ${paint(style, piece.health.padEnd(8))} ${piece.kind}: ${escape(piece.source)} (${escape(piece.detail)})`);
  }
  if (report.missing.length > 0) {
    heading("Missing");
    for (const entry of report.missing) {
      out.push(`  ${paint("warning", escape(entry.what))}: ${escape(entry.reason)}`);
      out.push(paint("dim", `    so: ${escape(entry.consequence)}`));
    }
  }
  return `${out.join("\n")}\n`;
}

/** Crashes to show of a long list: the first ones, those around the cause, the last. */
const MAX_CRASHES = 10;

/** One crash is the title; where the log tells of more, all of them are named. */
function renderCrashes({ crashes }: Report, { paint, escape }: RenderOptions, out: string[], heading: (text: string) => void): void {
  if (crashes.length < 2) return;
  heading(`Crashes in the log (${crashes.length})`);
  const cause = crashes.findIndex((crash) => crash.cause);
  const boots = crashes.at(-1)!.boot > 1;
  let cut = false;
  for (const [i, crash] of crashes.entries()) {
    if (crashes.length > 2 * MAX_CRASHES && i >= MAX_CRASHES && i < crashes.length - MAX_CRASHES && i !== cause) {
      if (!cut) out.push(paint("dim", "     ..."));
      cut = true;
      continue;
    }
    cut = false;
    const place = [
      `line ${crash.line}`,
      ...(crash.time === null ? [] : [`at ${crash.time.toFixed(3)} s`]),
      ...(boots ? [`boot ${crash.boot}`] : []),
      ...(crash.corrupted === null ? [] : [`not whole: ${crash.corrupted}`]),
    ].join(", ");
    const title = escape(crash.title);
    out.push(`  ${crash.cause ? "=>" : "  "} ${crash.cause ? paint("bad", title) : title} ${paint("dim", `(${escape(place)})`)}`);
  }
}

/** Names of the addresses in a line of the log that have none there. */
function namesIn(line: string, { log }: Report, { paint, escape }: RenderOptions): string {
  if (!line.includes("ffff")) return "";
  const names = [...line.matchAll(/ffff[0-9a-f]{12}/g)]
    .map(([digits]) => log.addresses[`0x${digits}`])
    .filter((name) => name !== undefined);
  return names.length === 0 ? "" : paint("dim", `  = ${escape([...new Set(names)].join(", "))}`);
}

/** Lines of the capture kernel's ttys to show: scripts are brief. */
const CAPTURE_LINES = 15;

function renderCapture({ capture }: Report, { paint, escape }: RenderOptions, out: string[], heading: (text: string) => void): void {
  if (!capture) return;
  const outcome = { failed: "the dump was not saved", saved: "the dump was saved", unknown: "whether the dump was saved is not known" };
  heading(`Capture kernel${capture.kernel === null ? "" : ` ${escape(capture.kernel)}`}: ${outcome[capture.outcome]}`);
  if (capture.reason !== null) {
    out.push(`  ${paint(capture.outcome === "saved" ? "good" : "bad", escape(capture.reason))}`);
    if (capture.source !== null) out.push(paint("dim", `    from ${escape(capture.source)}`));
  }
  const lines = capture.tty.split("\n").filter((line) => line.trim() !== "");
  const shown = lines.slice(-CAPTURE_LINES);
  if (shown.length > 0) out.push(paint("dim", `  last ${shown.length} of ${lines.length} lines on its ttys`));
  for (const line of shown) out.push(`  ${escape(line)}`);
}

/** Records of a full region are many; the command `pstore` lists them all. */
const MAX_RECORDS = 20;

function renderRecords({ records }: Report, { paint, escape }: RenderOptions, out: string[], heading: (text: string) => void): void {
  if (records.length === 0) return;
  heading(`Records that outlived the crash (${records.length})`);
  for (const record of records.slice(0, MAX_RECORDS)) {
    const time = record.time === null ? "" : `, ${record.time.slice(0, 19).replace("T", " ")} UTC`;
    const problems = record.problems.length === 0 ? "" : paint("warning", `; ${escape(record.problems.join("; "))}`);
    out.push(`  ${escape(record.name)}: ${record.size} bytes${time}${problems}`);
  }
  if (records.length > MAX_RECORDS)
    out.push(paint("dim", `  ... and ${records.length - MAX_RECORDS} more; lastwords pstore ls lists them`));
}

/** What the evidence list says of a log that is not of the dump's kernel. */
const OTHER_KERNEL = "of another kernel than the dump";

function renderFacts(report: Report, options: RenderOptions, out: string[]): void {
  const { paint, escape } = options;
  const { kernel, panic, memory } = report;
  // One empty line before the first fact, none where there are no facts.
  let first = true;
  const fact = (name: string, text: string): void => {
    if (first) out.push("");
    first = false;
    out.push(`${paint("dim", name.padEnd(10))} ${text}`);
  };
  if (panic.message !== null) fact("message", escape(panic.message));
  if (kernel) {
    fact("kernel", escape([kernel.release, kernel.version, kernel.machine].filter((part) => part !== null).join(" ")));
    if (kernel.nodename !== null) fact("host", escape(kernel.nodename));
    const times = [
      kernel.crashTime === null ? "" : kernel.crashTime.replace("T", " ").replace("Z", " UTC"),
      kernel.uptimeSeconds === null ? "" : `up ${describeSeconds(kernel.uptimeSeconds)}`,
    ].filter((part) => part !== "");
    if (times.length > 0) fact("time", times.join(", "));
    if (kernel.commandLine !== null) fact("booted", escape(kernel.commandLine));
    if (kernel.taint) fact("tainted", kernel.taint.words.length === 0 ? "no" : `${kernel.taint.letters}: ${kernel.taint.words.join("; ")}`);
    const settings = Object.entries(kernel.settings).filter(([, value]) => value !== 0);
    if (settings.length > 0) fact("settings", settings.map(([name, value]) => `${name}=${value}`).join(" "));
  }
  if (memory) {
    const parts = [`${bytes(memory.total)} in all`];
    if (memory.free !== null) parts.push(`${bytes(memory.free)} free`);
    if (memory.fileCache !== null) parts.push(`${bytes(memory.fileCache)} file cache`);
    if (memory.anonymous !== null) parts.push(`${bytes(memory.anonymous)} anonymous`);
    if (memory.slabUnreclaimable !== null) parts.push(`${bytes((memory.slabReclaimable ?? 0) + memory.slabUnreclaimable)} slab`);
    if (memory.swapTotal !== null && memory.swapTotal > 0)
      parts.push(`${bytes(memory.swapFree ?? 0)} of ${bytes(memory.swapTotal)} swap free`);
    fact("memory", parts.join(", "));
  }
  if (report.tasks.length > 0) {
    const counts = new Map<string, number>();
    for (const task of report.tasks) counts.set(task.state, (counts.get(task.state) ?? 0) + 1);
    fact(
      "tasks",
      `${report.tasks.length} (${[...counts]
        .sort()
        .map(([state, count]) => `${count} ${state}`)
        .join(", ")}), ${report.cpus.length} CPUs`,
    );
  }
  for (const { kind, source, detail } of report.evidence) {
    if (kind === "log file" && detail.includes(OTHER_KERNEL)) fact("beware", paint("warning", escape(`${source}: ${detail}`)));
  }
  if (report.dump) {
    const containers = report.dump.containers.length === 0 ? "" : ` in ${report.dump.containers.join(", ")}`;
    fact("dump", `${report.dump.format}${containers}`);
  }
}

/** `  #0 name+0x1f`, a `?` before guesses. */
export function renderFrames(frames: readonly FrameReport[], options: Pick<RenderOptions, "paint" | "escape">, indent = "  "): string[] {
  return frames.map((frame, i) => {
    const name =
      frame.symbol === null
        ? frame.user
          ? options.paint("dim", `user space${frame.address === null ? "" : ` at ${frame.address}`}`)
          : (frame.address ?? "?")
        : `${options.paint("name", options.escape(frame.symbol))}${frame.offset === null ? "" : `+0x${frame.offset.toString(16)}`}${frame.module === null ? "" : ` [${options.escape(frame.module)}]`}`;
    return `${indent}${`#${i}`.padStart(3)} ${frame.reliable ? "" : "? "}${name}`;
  });
}

function renderCpus(report: Report, options: RenderOptions, out: string[], heading: (text: string) => void): void {
  const others = report.cpus.filter((cpu) => cpu.cpu !== report.panic.cpu);
  if (others.length === 0) return;
  heading(report.panic.cpu === null ? "CPUs" : "Other CPUs");
  // Idle CPUs are all alike.
  const idle = others.filter((cpu) => cpu.task?.pid === 0);
  for (const cpu of others) {
    if (idle.includes(cpu)) continue;
    out.push(`  CPU ${cpu.cpu}: ${describeCpu(cpu, options)}`);
    const frames = cpu.frames.slice(0, BRIEF_FRAMES);
    out.push(...renderFrames(frames, options, "    "));
    if (cpu.frames.length > frames.length) out.push(`        and ${cpu.frames.length - frames.length} more`);
  }
  if (idle.length > 0) out.push(`  CPU ${idle.map((cpu) => cpu.cpu).join(", ")}: idle`);
}

function describeCpu(cpu: CpuReport, options: RenderOptions): string {
  const task = cpu.task ? `${options.escape(cpu.task.comm)} (pid ${cpu.task.pid})` : "task not known";
  return cpu.registers === "none" ? `${task}, ${options.paint("warning", "did not answer: no registers in the dump")}` : task;
}

function renderStuck(report: Report, options: RenderOptions, out: string[], heading: (text: string) => void): void {
  if (report.stuck.length === 0) return;
  heading("Tasks that wait uninterruptibly (D)");
  for (const task of report.stuck.slice(0, MAX_STUCK)) {
    const time = task.seconds === null ? "" : `, for ${describeSeconds(task.seconds)}`;
    out.push(
      `  ${options.escape(task.comm)} (pid ${task.pid})${time}${task.waitsIn === null ? "" : `, in ${options.escape(task.waitsIn)}`}`,
    );
  }
  if (report.stuck.length > MAX_STUCK) out.push(`  and ${report.stuck.length - MAX_STUCK} more`);
}

function renderModules(report: Report, options: RenderOptions, out: string[], heading: (text: string) => void): void {
  if (report.modules.length === 0) return;
  heading(`Modules (${report.modules.length})`);
  const names = report.modules.map((module) => `${options.escape(module.name)}${module.taint === "" ? "" : `(${module.taint})`}`);
  let line = " ";
  for (const name of names) {
    if (line.length + name.length + 1 > 100) {
      out.push(line);
      line = " ";
    }
    line += ` ${name}`;
  }
  out.push(line);
  const tainting = report.modules.filter((module) => module.taint !== "");
  if (tainting.length > 0)
    out.push(
      `  ${options.paint("warning", `${tainting.length} of them are not of this kernel's build: ${tainting.map((module) => options.escape(module.name)).join(", ")}`)}`,
    );
}

/** `512 MiB`: the way free(1) counts. */
function bytes(count: number): string {
  const units = ["bytes", "KiB", "MiB", "GiB", "TiB"];
  let value = count;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${unit === 0 ? value : value < 10 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
}
