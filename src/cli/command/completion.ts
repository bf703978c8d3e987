import { completionScript } from "../completion.ts";
import { exitCode } from "../exit-code.ts";
import type { Args, Context } from "../table.ts";

/** `lastwords completion SHELL`. */
export function run({ out }: Context, args: Args<"completion">): number {
  out.write(completionScript(args.shell));
  return exitCode.good;
}
