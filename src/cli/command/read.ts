import { asPaddr, asVaddr, type DumpError, isDumpError } from "../../bytes/index.ts";
import { PhysicalMemory } from "../../memory/index.ts";
import { exitCodeOf, exitCode } from "../exit-code.ts";
import { hexdumpLines } from "../hexdump.ts";
import { openDumpOf, openKernel, recordStats } from "../open-kernel.ts";
import type { Args, Context } from "../table.ts";

/** Printed piece by piece, so that a terabyte needs no memory; a multiple of the 16 bytes of a line. */
const PIECE = 64 * 1024;

/** `lastwords read FILE... (--physical A | --virtual A) --length N`. */
export async function run(context: Context, args: Args<"read">): Promise<number> {
  const opened = await openDumpOf(context, args, args.files);
  try {
    const kernel = args.virtual === undefined ? undefined : openKernel(context, args, opened);
    const physical = kernel?.physical ?? new PhysicalMemory(opened.dump);
    physical.zeroExcluded = args.zeroExcluded;
    const start = args.virtual ?? BigInt(args.physical!);
    const json: string[] = [];
    let done = 0;
    let failure: DumpError | undefined;
    while (done < args.length && !failure) {
      // Up to the end of the page first: an unreadable page costs nothing before it.
      const at = start + BigInt(done);
      const pageLeft = physical.pageSize - Number(at % BigInt(physical.pageSize));
      const bytes = new Uint8Array(Math.min(PIECE, args.length - done));
      let got = 0;
      while (got < bytes.length) {
        const count = Math.min(bytes.length - got, got === 0 ? pageLeft : physical.pageSize);
        const part = bytes.subarray(got, got + count);
        try {
          if (kernel) kernel.memory.read(asVaddr(at + BigInt(got)), part);
          else physical.read(asPaddr(Number(at) + got), part);
        } catch (error) {
          if (!isDumpError(error)) throw error;
          failure = error;
          break;
        }
        got += count;
      }
      const whole = bytes.subarray(0, got);
      if (args.json) json.push(Buffer.from(whole).toString("hex"));
      else if (args.raw) context.out.write(whole);
      else printHex(context, whole, at, done + got >= args.length || failure !== undefined);
      done += got;
    }
    if (args.json)
      context.out.write(
        `${JSON.stringify({ schema: "lastwords-read-1", address: `0x${start.toString(16)}`, length: done, hex: json.join("") })}\n`,
      );
    recordStats(context, args.files, 0);
    if (physical.zeroFilled > 0)
      context.note(`${physical.zeroFilled} excluded page${physical.zeroFilled === 1 ? " is" : "s are"} shown as zeroes`);
    if (!failure) return exitCode.good;
    if (done === 0) throw failure;
    context.note(`${failure.message}; ${done} of ${args.length} bytes were printed`);
    return exitCodeOf(failure);
  } finally {
    opened.dump.close();
  }
}

/** The address line at the end belongs behind the last piece only. */
function printHex(context: Context, bytes: Uint8Array, address: bigint, last: boolean): void {
  let held: string | undefined;
  for (const line of hexdumpLines(bytes, { address })) {
    if (held !== undefined) context.out.line(held);
    held = line;
  }
  if (held !== undefined && last) context.out.line(held);
}
