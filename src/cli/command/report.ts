import { collectEvidence } from "../../evidence/index.ts";
import type { Kernel } from "../../kernel/index.ts";
import { buildReport, renderReport, type Report } from "../../report/index.ts";
import { exitCode } from "../exit-code.ts";
import { writeHtmlReport } from "../html-report.ts";
import { storageHints } from "../storage-hints.ts";
import { givenSymbols, openOptions, recordStats, tryKernel } from "../open-kernel.ts";
import type { Args, Context } from "../table.ts";
import { escapeLine } from "../terminal.ts";
import { version } from "../version.ts";

/** `lastwords report PATH...`. */
export async function run(context: Context, args: Args<"report">): Promise<number> {
  const evidence = await collectEvidence(args.paths, openOptions(context, args), storageHints(args));
  for (const note of evidence.notes) context.note(note);
  try {
    let kernel: Kernel | undefined;
    let kernelFailure: Report["missing"][number] | undefined;
    const opened = evidence.dump;
    if (opened) {
      const result = tryKernel(context, args, opened);
      if ("value" in result) kernel = result.value;
      else {
        const { code, message } = result.failure;
        kernelFailure = {
          what: "the kernel in the dump",
          code,
          reason: message,
          consequence: "only the headers of the dump and what other files say can be reported",
        };
      }
    }
    const symbolAt = opened ? undefined : givenSymbols(context, args);
    const report = buildReport({ evidence, kernel, kernelFailure, version: version(), ...(symbolAt ? { symbolAt } : {}) });
    if (args.html !== undefined) writeHtmlReport(context, args.html, report, { kernel, notes: opened?.dump.notes, log: evidence.log });
    else if (args.json) context.out.write(`${JSON.stringify(report)}\n`);
    else context.out.write(renderReport(report, { paint: context.out.paint, escape: escapeLine, logLines: args.logLines }));
    recordStats(
      context,
      args.paths,
      evidence.pieces.reduce((sum, piece) => sum + (piece.kind === "dump" ? piece.size : 0), 0),
    );
    return statusOf(report, kernel !== undefined);
  } finally {
    evidence.dump?.dump.close();
  }
}

/** Neither a kernel nor a crash found is 4, a part missing 3; a dump whose kernel is not understood is 5. */
function statusOf(report: Report, understood: boolean): number {
  const found = understood || report.panic.type !== null || report.panic.message !== null;
  if (!found) return report.missing.some((entry) => entry.code === "UNSUPPORTED") ? exitCode.unsupported : exitCode["no-evidence"];
  return report.missing.length > 0 ? exitCode.partial : exitCode.good;
}
