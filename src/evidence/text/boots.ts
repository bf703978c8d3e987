import type { LogLine } from "./lines.ts";

/** The first words of every kernel. */
const BANNER = "Linux version ";
/** Lines of several CPUs may come late by so much, in seconds. */
const DISORDER = 10;

/**
 * Tells in which boot a line is: a kernel's first words begin one, and so does a clock that goes back, where the first
 * words are lost. Lines are to be given in order.
 */
export class BootCounter {
  /** Number of the boot that the last line given belongs to, from 0. */
  boot = 0;
  /** The kernel's first words of this boot; undefined where the text begins later. */
  banner: string | undefined;
  #time: number | undefined;

  /** Gives a line; answers true where a boot begins with it. */
  see(line: Pick<LogLine, "text" | "time">): boolean {
    const { text, time } = line;
    const isBanner = text.startsWith(BANNER);
    const wentBack = time !== undefined && this.#time !== undefined && time < this.#time - DISORDER;
    // A console with printk's time off before the banner knows of no earlier boot, either.
    const begins = this.#time !== undefined || this.banner !== undefined ? isBanner || wentBack : false;
    if (time !== undefined) this.#time = begins ? time : Math.max(time, this.#time ?? 0);
    if (begins) {
      this.boot++;
      this.banner = undefined;
    }
    if (isBanner) this.banner = text;
    return begins;
  }
}
