import { hex16 } from "../../bytes/index.ts";
import { describeTaint } from "../../kernel/index.ts";
import { exitCode } from "../exit-code.ts";
import { noteMissing, openDumpOf, openKernel, recordStats } from "../open-kernel.ts";
import type { Args, Context } from "../table.ts";
import { escapeLine, formatTable } from "../terminal.ts";

/** `lastwords mod FILE...`. */
export async function run(context: Context, args: Args<"mod">): Promise<number> {
  const opened = await openDumpOf(context, args, args.files);
  try {
    const kernel = openKernel(context, args, opened);
    const modules = kernel.modules();
    recordStats(context, args.files, 0);
    if (args.json) {
      const list = modules.map((module) => ({
        name: module.name,
        address: `0x${hex16(module.address)}`,
        size: module.size,
        state: module.state,
        taint: describeTaint(module.taints).letters,
        version: module.version ?? null,
        srcversion: module.srcversion ?? null,
        usedBy: module.usedBy(),
        ranges: module.ranges.map((range) => ({ start: `0x${hex16(range.start)}`, end: `0x${hex16(range.end)}`, text: range.text })),
      }));
      context.out.write(`${JSON.stringify({ schema: "lastwords-mod-1", modules: list })}\n`);
    } else {
      const rows = modules.map((module) => [
        hex16(module.address),
        hex16(module.ranges[0]?.start ?? module.address),
        String(module.size),
        module.state,
        describeTaint(module.taints).letters || "-",
        escapeLine(module.name),
        escapeLine(module.usedBy().join(",")),
      ]);
      context.out.write(
        formatTable(
          [
            { header: "MODULE" },
            { header: "BASE" },
            { header: "SIZE", align: "right" },
            { header: "STATE" },
            { header: "TAINT" },
            { header: "NAME" },
            { header: "USED BY" },
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
