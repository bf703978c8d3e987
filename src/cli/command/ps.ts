import { hex16 } from "../../bytes/index.ts";
import { readCpus, readTasks } from "../../kernel/index.ts";
import { exitCode } from "../exit-code.ts";
import { noteMissing, openDumpOf, openKernel, recordStats } from "../open-kernel.ts";
import type { Args, Context } from "../table.ts";
import { escapeLine, formatTable } from "../terminal.ts";

/** `lastwords ps FILE...`. */
export async function run(context: Context, args: Args<"ps">): Promise<number> {
  const opened = await openDumpOf(context, args, args.files);
  try {
    const kernel = openKernel(context, args, opened);
    const running = new Set(readCpus(kernel).map((cpu) => cpu.current));
    const tasks = readTasks(kernel);
    recordStats(context, args.files, 0);
    if (args.json) {
      const list = tasks.map((task) => ({
        pid: task.pid,
        tgid: task.tgid,
        ppid: task.ppid ?? null,
        comm: task.comm,
        state: task.state,
        cpu: task.cpu ?? null,
        address: `0x${hex16(task.address)}`,
        kernelThread: task.kernelThread,
        running: running.has(task.address),
      }));
      context.out.write(`${JSON.stringify({ schema: "lastwords-ps-1", tasks: list })}\n`);
    } else {
      const rows = tasks.map((task) => [
        running.has(task.address) ? ">" : "",
        String(task.pid),
        task.ppid === undefined ? "?" : String(task.ppid),
        task.cpu === undefined ? "?" : String(task.cpu),
        hex16(task.address),
        task.state,
        task.kernelThread ? `[${escapeLine(task.comm)}]` : escapeLine(task.comm),
      ]);
      context.out.write(
        formatTable(
          [
            { header: "" },
            { header: "PID", align: "right" },
            { header: "PPID", align: "right" },
            { header: "CPU", align: "right" },
            { header: "TASK" },
            { header: "ST" },
            { header: "COMM" },
          ],
          rows,
        ),
      );
    }
    noteMissing(context, kernel);
    return kernel.missing.length > 0 ? exitCode.partial : exitCode.good;
  } finally {
    opened.dump.close();
  }
}
