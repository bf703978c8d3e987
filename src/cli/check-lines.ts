import type { CheckResult } from "../capture/check.ts";
import type { Context } from "./table.ts";
import { escapeLine } from "./terminal.ts";

/** One line for each thing. */
export function printChecks({ out }: Context, results: readonly CheckResult[]): void {
  for (const { what, ok, detail } of results) {
    out.line(`${out.paint(ok ? "good" : "bad", ok ? "ok     " : "MISSING")} ${what.padEnd(11)} ${escapeLine(detail)}`);
  }
}
