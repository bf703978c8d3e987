import { parseHead } from "../../evidence/text/index.ts";

export { cleanLine } from "../../evidence/text/index.ts";

/** One console line taken apart. */
export interface ConsoleLine {
  /**
   * Who printed it: `T<pid>` or `C<cpu>` when the kernel tags its lines (`CONFIG_PRINTK_CALLER`), `console` when
   * the line has a time stamp only, the empty string when nothing shows that the kernel printed it. A `syslog `
   * before that where the line went through a logger: on a console that shows both, it is a repetition.
   */
  readonly context: string;
  /** What was printed, without the head. */
  readonly text: string;
  /** A stack frame that the unwinder itself does not trust (`? func+0x1/0x2`, or `(unreliable)` on powerpc). */
  readonly questionable: boolean;
}

const CONSOLE_CONTEXT = "console";
const LOGGER = "syslog ";

/** True where a context says which task or CPU printed the line. */
export function isTagged(context: string): boolean {
  return /[CT]\d+$/.test(context);
}

/** True where a context is a CPU's: the line was printed in an interrupt. */
export function isCpu(context: string): boolean {
  return /C\d+$/.test(context);
}

// In x86 traces the mark stands behind the address, where there is one.
const QUESTIONABLE = /(?:\[<[0-9a-f]+>\])? \? /;
const UNRELIABLE = " (unreliable)";

/** Takes a line apart that `cleanLine` has cleaned. */
export function parseConsoleLine(line: string): ConsoleLine {
  const head = parseHead(line);
  if (head === undefined) {
    return { context: "", text: line, questionable: false };
  }
  const context = (head.logger ? LOGGER : "") + (head.caller ?? CONSOLE_CONTEXT);
  const text = line.slice(head.length);
  // The line that leaves an interrupt stack may carry a marked frame and is needed all the same: it is where
  // the interrupted code starts.
  if (!text.includes("<EOI>")) {
    if (QUESTIONABLE.test(text)) {
      return { context, text: text.slice(text.indexOf(" ? ") + 2), questionable: true };
    }
    if (text.endsWith(UNRELIABLE)) {
      return { context, text: text.slice(0, -UNRELIABLE.length), questionable: true };
    }
  }
  return { context, text, questionable: false };
}

const BOOT_BANNER = "Linux version ";
/** Firmware leaves its last words on the line that the kernel's first ones stand on. */
const BANNER_BEHIND = /\[ *0\.0+\](?:\[ *[CT]\d+\])? (Linux version .*)$/;

/** The first words of a kernel, where the line has them: a boot begins. */
export function bootBanner({ text }: ConsoleLine): string | undefined {
  if (text.startsWith(BOOT_BANNER)) {
    return text;
  }
  return text.includes(BOOT_BANNER) ? BANNER_BEHIND.exec(text)?.[1] : undefined;
}
