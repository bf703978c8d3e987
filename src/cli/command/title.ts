import { isDumpError, MemorySource } from "../../bytes/index.ts";
import { openByteStream, openKernelText } from "../../evidence/index.ts";
import { recognise } from "../../format/index.ts";
import { type CrashTitle, crashesOfText } from "../../report/index.ts";
import { exitCode, exitCodeOf } from "../exit-code.ts";
import { recordStats } from "../open-kernel.ts";
import type { Args, Context } from "../table.ts";
import { escapeLine } from "../terminal.ts";

/** Crashes that `--all` prints and `--json` lists, of one log. */
const MAX_CRASHES = 1000;

/** What `--json` prints for one log, on a line of its own. */
interface TitleLine {
  readonly schema: "lastwords-title-1";
  readonly path: string;
  readonly title: string | null;
  readonly altTitles: readonly string[];
  readonly type: string | null;
  readonly function: string | null;
  readonly corrupted: boolean;
  readonly corruptedReason: string | null;
  readonly line: number | null;
  readonly rule: string | null;
  readonly crashes: readonly { readonly title: string; readonly type: string; readonly line: number; readonly boot: number }[];
}

/** `lastwords title LOG...`: one line for each log, as soon as it is read. */
export function run(context: Context, args: Args<"title">): number {
  let found = 0;
  let failure: number | undefined;
  for (const path of args.logs) {
    try {
      found += title(context, args, path) ? 1 : 0;
    } catch (error) {
      if (!isDumpError(error)) throw error;
      // The next log may be readable. The first reason decides the status.
      failure ??= exitCodeOf(error);
      context.err.line(`lastwords: ${escapeLine(error.message)}`);
    }
    context.out.flush();
  }
  recordStats(context, args.logs, 0);
  return failure ?? (found > 0 ? exitCode.good : exitCode["no-evidence"]);
}

/** Prints the line of one log; true where it has a crash. @throws IO, UNSUPPORTED for a dump. */
function title({ out, note }: Context, args: Args<"title">, path: string): boolean {
  const text = openKernelText(openByteStream(path));
  try {
    const format = recognise(Buffer.from(text.head, "latin1"), new MemorySource(Buffer.from(text.head, "latin1"), text.name));
    if (format !== undefined) note(`${path} looks like a dump (${format}); \`lastwords report\` names the crash in it`);
    const { crashes, left } = crashesOfText(text.pull, {
      first: args.all || args.json ? MAX_CRASHES : 1,
      last: 0,
      context: 0,
    });
    const [first] = crashes;
    if (first === undefined) note(`${path} tells of no crash`);
    if (left > 0) note(`${path} has ${left} more crashes than are listed`);
    if (args.json) out.write(`${JSON.stringify(lineOf(path, first?.crash, crashes))}\n`);
    else if (args.all) for (const { crash } of crashes) out.write(`${escapeLine(path)}\t${crash.title}\n`);
    else out.write(`${escapeLine(path)}\t${first?.crash.title ?? ""}\n`);
    return first !== undefined;
  } finally {
    text.close();
  }
}

function lineOf(
  path: string,
  crash: CrashTitle | undefined,
  all: readonly { readonly crash: CrashTitle; readonly boot: number }[],
): TitleLine {
  const corrupted = crash === undefined || crash.corrupted === false ? null : crash.corrupted;
  return {
    schema: "lastwords-title-1",
    path,
    title: crash?.title ?? null,
    altTitles: crash?.altTitles ?? [],
    type: crash?.type ?? null,
    // The rules say "corrupted" where a trace should have named a function and does not.
    function: crash?.frame === undefined || crash.frame === "corrupted" ? null : crash.frame,
    corrupted: corrupted !== null,
    corruptedReason: corrupted,
    line: crash === undefined ? null : crash.line + 1,
    rule: crash?.rule ?? null,
    crashes: all.map(({ crash: { title, type, line }, boot }) => ({ title, type, line: line + 1, boot: boot + 1 })),
  };
}
