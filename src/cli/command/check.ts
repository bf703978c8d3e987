import { checkDump, type CheckResult } from "../../capture/check.ts";
import { exitCode } from "../exit-code.ts";
import { openDumpOf, recordStats } from "../open-kernel.ts";
import type { Args, Context } from "../table.ts";
import { escapeLine } from "../terminal.ts";

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

/** One line for each thing. */
export function printChecks({ out }: Context, results: readonly CheckResult[]): void {
  for (const { what, ok, detail } of results) {
    out.line(`${out.paint(ok ? "good" : "bad", ok ? "ok     " : "MISSING")} ${what.padEnd(11)} ${escapeLine(detail)}`);
  }
}
