import { utf8 } from "../../bytes/index.ts";
import { logText, readLog } from "../../kernel/index.ts";
import { exitCode } from "../exit-code.ts";
import { attempt, openDumpOf, openKernel, recordStats } from "../open-kernel.ts";
import type { Args, Context } from "../table.ts";
import { escapeControl } from "../terminal.ts";

/** `lastwords dmesg FILE...`. */
export async function run(context: Context, args: Args<"dmesg">): Promise<number> {
  const opened = await openDumpOf(context, args, args.files);
  try {
    const kernel = openKernel(context, args, opened);
    const result = attempt(() => readLog(kernel));
    recordStats(context, args.files, 0);
    if ("failure" in result) {
      context.note(`the log cannot be read: ${result.failure.message}`);
      return result.failure.code === "NOT_STORED" || result.failure.code === "EXCLUDED" ? exitCode["no-evidence"] : exitCode.partial;
    }
    const log = result.value;
    if (args.json) {
      const records = log.records.map((record) => ({
        seq: record.seq,
        seconds: record.timeNs === undefined ? null : Number(record.timeNs) / 1e9,
        facility: record.facility,
        level: record.level,
        caller: record.caller === undefined ? null : record.caller & 0x80000000 ? `C${record.caller & 0x7fffffff}` : `T${record.caller}`,
        text: utf8(record.text),
      }));
      context.out.write(`${JSON.stringify({ schema: "lastwords-dmesg-1", format: log.format, lost: log.lost, records })}\n`);
    } else if (args.raw) {
      for (const record of log.records) context.out.write(Buffer.from(`<${record.facility * 8 + record.level}>${record.text}\n`, "latin1"));
    } else {
      for (const line of logText(log).split("\n").slice(0, -1)) context.out.line(escapeControl(line));
    }
    if (log.lost > 0) context.note(`${log.lost} record${log.lost === 1 ? " was" : "s were"} being written or gone when the kernel stopped`);
    return exitCode.good;
  } finally {
    opened.dump.close();
  }
}
