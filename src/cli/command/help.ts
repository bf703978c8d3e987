import { exitCode } from "../exit-code.ts";
import { commandHelp, overview } from "../help.ts";
import type { Args, Context } from "../table.ts";

/** `lastwords help [COMMAND]`. */
export function run({ out }: Context, args: Args<"help">): number {
  out.write(args.command === undefined ? overview(out.textWidth, out.paint) : commandHelp(args.command, out.textWidth, out.paint));
  return exitCode.good;
}
