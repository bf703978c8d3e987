import { checkDump } from "../../capture/check.ts";
import { printChecks } from "../check-lines.ts";
import { exitCode } from "../exit-code.ts";
import { openDumpOf, recordStats } from "../open-kernel.ts";
import type { Args, Context } from "../table.ts";

/** `lastwords check FILE...`. */
export async function run(context: Context, args: Args<"check">): Promise<number> {
  const { dump, problems } = await openDumpOf(context, args, args.files);
  try {
    const results = checkDump(dump);
    recordStats(context, args.files, 0);
    if (args.json) context.out.write(`${JSON.stringify({ schema: "lastwords-check-1", results })}\n`);
    else printChecks(context, results);
    return results.every(({ ok }) => ok) && problems.length + dump.problems.length === 0 ? exitCode.good : exitCode.partial;
  } finally {
    dump.close();
  }
}
