/** A task as the guest's own kernel described it in `/proc` just before the crash. */
export interface FactTask {
  readonly pid: number;
  /** As `/proc/PID/stat` has it: a worker's with what it works on behind a `-`, a kernel thread's not cut to 15 characters. */
  readonly comm: string;
  /** The kernel's letter: R S D T t X Z I. */
  readonly state: string;
  readonly ppid: number;
  /** PF_KTHREAD. */
  readonly kernelThread: boolean;
  /** `starttime` in clock ticks since boot. */
  readonly startTicks: bigint;
  /** The kernel's own backtrace (`/proc/PID/stack`), innermost first; empty for what was running. */
  readonly stack: readonly FactFrame[];
  /** Whether a second look about a second later found the same task. */
  readonly longLived: boolean;
}

/** One line of `/proc/PID/stack`. */
export interface FactFrame {
  readonly symbol: string;
  /** Of the return address, in bytes from the symbol. */
  readonly offset: number;
  readonly module?: string;
}

/** What a guest said about itself before it died. */
export interface Facts {
  /** `uname -r`. */
  readonly release: string;
  /** `/proc/cmdline`, trimmed. */
  readonly cmdline: string;
  /** First number of `/proc/uptime`, seconds. */
  readonly uptime: number;
  /** Names from `/proc/modules`, in its order (newest first). */
  readonly modules: readonly string[];
  readonly tasks: readonly FactTask[];
}

/**
 * Shell lines that define `facts`, which prints everything {@link parseFacts} reads. It runs in the shell itself,
 * so that looking adds no task but the short-lived readers, which the second look sorts out.
 */
export const FACTS_SCRIPT: string = String.raw`
facts() {
  echo "@release"; uname -r
  echo "@cmdline"; cat /proc/cmdline
  echo "@uptime"; cat /proc/uptime
  echo "@modules"; cat /proc/modules
  for p in /proc/[0-9]*; do echo "@task"; cat $p/stat $p/stack 2>/dev/null; done
  sleep 1
  echo "@again"; cat /proc/[0-9]*/stat 2>/dev/null
  echo "@end"
}`;

/** Reads what `facts` printed. `undefined` when it is not complete. */
export function parseFacts(text: string): Facts | undefined {
  const sections = text.split(/^@/m);
  if (!sections.some((section) => section.startsWith("end\n"))) return undefined;
  const body = (name: string): string => sections.find((section) => section.startsWith(`${name}\n`))?.slice(name.length + 1) ?? "";
  const again = new Set(lines(body("again")).map((line) => identity(parseStat(line))));
  const tasks: FactTask[] = [];
  for (const section of sections.filter((candidate) => candidate.startsWith("task\n"))) {
    const [stat, ...stack] = lines(section.slice("task\n".length));
    const task = stat === undefined ? undefined : parseStat(stat);
    if (task === undefined) continue; // gone between the listing and the look
    tasks.push({ ...task, stack: stack.flatMap(parseStackLine), longLived: again.has(identity(task)) });
  }
  return {
    release: body("release").trim(),
    cmdline: body("cmdline").trim(),
    uptime: Number(body("uptime").split(" ")[0]),
    modules: lines(body("modules")).map((line) => line.split(" ")[0] ?? ""),
    tasks,
  };
}

type StatTask = Omit<FactTask, "stack" | "longLived">;

/** proc_pid_stat(5): comm stands in parentheses and may itself hold some. */
function parseStat(line: string): StatTask | undefined {
  const match = /^(\d+) \((.*)\) (\S) (.*)$/.exec(line);
  if (match === null) return undefined;
  const rest = (match[4] ?? "").split(" "); // from field 4, ppid
  const flags = Number(rest[5]); // field 9
  return {
    pid: Number(match[1]),
    comm: match[2] ?? "",
    state: match[3] ?? "",
    ppid: Number(rest[0]),
    kernelThread: (flags & 0x20_0000) !== 0,
    startTicks: BigInt(rest[18] ?? 0), // field 22
  };
}

function parseStackLine(line: string): FactFrame[] {
  const match = /^\[<0>\] (\S+)\+0x([0-9a-f]+)\/0x[0-9a-f]+(?: \[([^\]]+)\])?/.exec(line);
  if (match === null) return [];
  const frame = { symbol: match[1] ?? "", offset: Number.parseInt(match[2] ?? "", 16) };
  return [match[3] === undefined ? frame : { ...frame, module: match[3] }];
}

function identity(task: StatTask | undefined): string {
  return task === undefined ? "" : `${task.pid} ${task.startTicks}`;
}

function lines(text: string): string[] {
  return text.split("\n").filter((line) => line !== "");
}
