import { hex16 } from "../../bytes/index.ts";
import { type Cpu, readCpus, readPanicCpu, readTasks, type Task, TaskReader } from "../../kernel/index.ts";
import type { Kernel } from "../../kernel/index.ts";
import { frameOf, renderFrames, traceOf } from "../../report/index.ts";
import { exitCode } from "../exit-code.ts";
import { noteMissing, openDumpOf, openKernel, recordStats } from "../open-kernel.ts";
import type { Args, Context } from "../table.ts";
import { escapeLine } from "../terminal.ts";

/** A task to print, with the CPU it ran on. */
interface Wanted {
  readonly task: Task | undefined;
  readonly cpu: Cpu | undefined;
}

/** `lastwords bt FILE... [PID|cpu:N]...`. */
export async function run(context: Context, args: Args<"bt">): Promise<number> {
  const opened = await openDumpOf(context, args, args.files);
  try {
    const kernel = openKernel(context, args, opened);
    const cpus = readCpus(kernel);
    const tasks = kernel.types.btf ? readTasks(kernel) : [];
    const absent: string[] = [];
    const wanted = choose(kernel, args, cpus, tasks, absent);
    const traces = wanted.map(({ task, cpu }) => ({ task, cpu, trace: task ? traceOf(kernel, task, cpu) : traceOf(kernel, NO_TASK, cpu) }));
    recordStats(context, args.files, 0);
    if (args.json) {
      const list = traces.map(({ task, cpu, trace }) => ({
        pid: task?.pid ?? null,
        comm: task?.comm ?? null,
        state: task?.state ?? null,
        cpu: cpu?.cpu ?? task?.cpu ?? null,
        running: cpu !== undefined,
        end: trace.end,
        frames: trace.frames.map(frameOf),
      }));
      context.out.write(`${JSON.stringify({ schema: "lastwords-bt-1", traces: list })}\n`);
    } else {
      traces.forEach(({ task, cpu, trace }, i) => {
        if (i > 0) context.out.line("");
        const name = task ? `PID ${task.pid}  TASK ${hex16(task.address)}  ${task.state}  "${escapeLine(task.comm)}"` : "task not known";
        context.out.line(
          context.out.paint(
            "heading",
            `${name}${cpu ? `  on CPU ${cpu.cpu}` : task?.cpu === undefined ? "" : `  last on CPU ${task.cpu}`}`,
          ),
        );
        for (const line of renderFrames(trace.frames.map(frameOf), { paint: context.out.paint, escape: escapeLine }))
          context.out.line(line);
        if (trace.frames.length === 0)
          context.out.line(trace.end === "no-stack" ? "  (its stack is freed)" : "  (no trace: where it stopped is not known)");
      });
    }
    for (const what of absent) context.note(`the dump has no ${what}`);
    noteMissing(context, kernel);
    if (absent.length > 0 && traces.length === 0) return exitCode["no-evidence"];
    return absent.length > 0 || kernel.missing.length > 0 ? exitCode.partial : exitCode.good;
  } finally {
    opened.dump.close();
  }
}

/** Stands for the task of a CPU of which only the registers are known. */
const NO_TASK: Task = {
  address: 0n as Task["address"],
  pid: -1,
  tgid: -1,
  ppid: undefined,
  comm: "",
  state: "?",
  cpu: undefined,
  kernelThread: false,
  stack: undefined,
  threadSp: undefined,
  lastArrivalNs: undefined,
};

function choose(kernel: Kernel, args: Args<"bt">, cpus: readonly Cpu[], tasks: readonly Task[], absent: string[]): Wanted[] {
  const onCpu = (cpu: Cpu): Wanted => {
    const known = tasks.find((task) => task.address === cpu.current);
    if (known || cpu.current === undefined || !kernel.types.btf) return { task: known, cpu };
    // The idle task of a CPU is in no list.
    return { task: new TaskReader(kernel).read(cpu.current), cpu };
  };
  const ofTask = (task: Task): Wanted => ({ task, cpu: cpus.find((cpu) => cpu.current === task.address) });
  if (args.tasks) return tasks.map(ofTask);
  const wanted: Wanted[] = args.all ? cpus.map(onCpu) : [];
  const pids = [...args.targets.flatMap((target) => (target.kind === "pid" ? [target.pid] : [])), ...args.task];
  const numbers = [...args.targets.flatMap((target) => (target.kind === "cpu" ? [target.cpu] : [])), ...args.cpu];
  for (const pid of pids) {
    // Pid 0 is the idle task of every CPU.
    const found = pid === 0 ? cpus.map(onCpu).filter(({ task }) => task?.pid === 0) : tasks.filter((task) => task.pid === pid).map(ofTask);
    if (found.length === 0) absent.push(`task ${pid}`);
    wanted.push(...found);
  }
  for (const number of numbers) {
    const cpu = cpus.find((c) => c.cpu === number);
    if (cpu) wanted.push(onCpu(cpu));
    else absent.push(`CPU ${number}`);
  }
  if (wanted.length > 0 || absent.length > 0 || args.all) return wanted;
  const panic = readPanicCpu(kernel)?.value;
  const cpu = cpus.find((c) => c.cpu === panic);
  if (cpu) return [onCpu(cpu)];
  return cpus.map(onCpu);
}
