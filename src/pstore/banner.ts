/*
 * The line that the recorder begins each stream with. Rings outlive kernels: text of several stands in one, and a reader wants to
 * know where one ends and whose the next is.
 */

/** Who writes, in which kernel. */
export interface Banner {
  /** Of lastwords. */
  readonly version: string;
  /** Release of the kernel that runs. */
  readonly release: string;
  /** Whether it was started to save another's memory. */
  readonly capture: boolean;
  /** First letters of /proc/sys/kernel/random/boot_id. */
  readonly boot: string;
  /** Wall clock in seconds. */
  readonly seconds: number;
}

/** The line, with its line end. */
export function formatBanner({ version, release, capture, boot, seconds }: Banner): string {
  const time = new Date(seconds * 1000).toISOString().slice(0, 19);
  return `-- lastwords ${version}: Linux ${release}, ${capture ? "capture kernel, " : ""}boot ${boot}, ${time}Z --\n`;
}

/** Text of one kernel in a ring. */
export interface Segment {
  /** Undefined before the first banner: whose text that is nothing says. */
  readonly banner: Omit<Banner, "version" | "seconds"> | undefined;
  readonly text: string;
}

const LINE = /^-- lastwords \S{1,40}: Linux (\S{1,100}), (capture kernel, )?boot (\S{0,40}), [0-9T:Z+-]{1,40} --\r?$/gm;

/** Cuts a text at its banners, which are left out. Segments without text are, too. */
export function splitByBanner(text: string): Segment[] {
  const segments: Segment[] = [];
  let banner: Segment["banner"];
  let from = 0;
  const add = (to: number): void => {
    const part = text.slice(from, to);
    if (part.trim() === "") return;
    const last = segments.at(-1);
    // Streams that share a ring each begin with their banner.
    if (last?.banner && banner && last.banner.boot === banner.boot) segments[segments.length - 1] = { banner, text: last.text + part };
    else segments.push({ banner, text: part });
  };
  for (const match of text.matchAll(LINE)) {
    add(match.index);
    banner = { release: match[1]!, capture: match[2] !== undefined, boot: match[3]! };
    from = Math.min(text.length, match.index + match[0].length + 1);
  }
  add(text.length);
  return segments;
}
