import { BootCounter, readBanner } from "../text/index.ts";
import { type BootFacts, type IncidentText, NO_FACTS, type SourceLine } from "./text.ts";

/** What one text has of one boot. */
export interface BootPart {
  /** Index of the text. */
  readonly source: number;
  /** Number of the boot in the text, from 0. */
  readonly boot: number;
  /** All its lines; of a text that is not to be merged only programs' and panics. */
  readonly lines: readonly SourceLine[];
  /** How many it has, and the numbers of the first and the last. */
  readonly count: number;
  readonly firstLine: number;
  readonly lastLine: number;
  /** One of them at least is a kernel's. */
  readonly kernel: boolean;
  readonly facts: BootFacts;
  /** Seconds since boot of the earliest and the latest line. */
  readonly first: number | undefined;
  readonly last: number | undefined;
  /** Words of a kernel at its end are in it. */
  readonly crashed: boolean;
  /** The kernel's first words are in it. */
  readonly whole: boolean;
}

/** Words of a kernel at its end; a text without them is of another boot, or of the capture kernel. */
export const LAST_WORDS: RegExp =
  /Kernel panic - not syncing|Oops: |BUG: |kernel BUG at|general protection fault|Unable to handle kernel|Internal error: |PANIC: double fault|INFO: (?:task|rcu_)|hard LOCKUP on cpu|sysrq: Trigger a crash/;

/** A message that a program wrote through /dev/kmsg, of those that a capture kernel runs. */
export const PROGRAM: RegExp = /^(?:kdump|dracut|systemd|makedumpfile|vmcore|crash|init)[\w.@-]*(?:\[\d+\])?: /;

/** A text that is cut into more boots than this is not of a console. */
const MAX_BOOTS = 200;

/** Lines that are kept of a boot that is not to be merged. */
const KEPT_LINES = 20_000;

/**
 * Cuts a text into boots. What stands before a kernel's first words (firmware, a boot loader) is left out. Without `merge` no
 * more is kept of it than the capture kernel's end needs: memory does not follow from the length of the text.
 */
export function bootsOf(text: IncidentText, source: number, merge: boolean): BootPart[] {
  const parts: BootPart[] = [];
  const counter = new BootCounter();
  let part = new PartReader(text.facts);
  let boots = 0;
  let entry = -1;
  const close = (): void => {
    if (part.count > 0) parts.push(part.part(source, boots++));
    // A log of many boots: the last ones are what somebody looks for.
    if (parts.length > 2 * MAX_BOOTS) parts.splice(0, MAX_BOOTS);
    part = new PartReader(text.facts);
  };
  for (const { line, damaged } of judgedTimes(text.lines)) {
    const time = damaged ? undefined : line.time;
    let begins = counter.see({ text: line.text, time });
    for (let next = text.journal[entry + 1]; next !== undefined && line.number >= next.line; next = text.journal[entry + 1]) {
      entry++;
      begins = true;
    }
    if (begins) close();
    if (part.count === 0 && entry >= 0) part.seeJournal(text.journal[entry]!);
    part.see(line, time, { merge, firmware: text.kind === "log file" && boots === 0 });
  }
  close();
  return parts.slice(-MAX_BOOTS);
}

/** Noise on a serial line makes 77.96 of 7.96: a time that neither the one before nor the one after agrees with. */
const JUMP_SECONDS = 10;

/** Lines without a time that may stand between two of which one is judged by the other. */
const MAX_HELD = 1000;

/** Lines in their order, each with whether its time is noise. */
function* judgedTimes(lines: Iterable<SourceLine>): Generator<{ readonly line: SourceLine; readonly damaged: boolean }> {
  let previous: number | undefined;
  /** A line whose time jumps, and those without a time behind it. */
  let held: SourceLine[] = [];
  for (const line of lines) {
    const { time, text } = line;
    if (held.length > 0) {
      if (time === undefined && held.length < MAX_HELD) {
        held.push(line);
        continue;
      }
      const own = held[0]!.time!;
      const damaged = time !== undefined && previous !== undefined && isNoise(own, previous, time) && !text.startsWith(BANNER);
      if (!damaged) previous = own;
      for (const [i, each] of held.entries()) yield { line: each, damaged: damaged && i === 0 };
      held = [];
    }
    const jumps = time !== undefined && previous !== undefined && Math.abs(time - previous) > JUMP_SECONDS;
    if (jumps && !text.startsWith(BANNER)) held.push(line);
    else {
      previous = time ?? previous;
      yield { line, damaged: false };
    }
  }
  for (const line of held) yield { line, damaged: false };
}

function isNoise(own: number, before: number, after: number): boolean {
  return own > before ? own > after + JUMP_SECONDS && after >= before - JUMP_SECONDS : own < after - JUMP_SECONDS && after >= before;
}

const BANNER = "Linux version ";

/** `rtc_cmos 00:04: setting system clock to 2026-11-21T01:47:34 UTC (1795225654)` */
const CLOCK = /setting system clock to .{1,40}\((\d{9,11})\)/;
const COMMAND_LINE = /^(?:Kernel command|Command) line: (.*)$/;
const KERNEL = / (?:Not tainted|Tainted: [A-Z ]+?) +(\d+\.\d+\S{0,100})(?: |$)/;
const BUILD_ID = / ([0-9a-f]{40})(?= |$)/;
/** What programs of a capture kernel write; a kernel that has one loaded says `Kdump: loaded`. */
const SAVES = /makedumpfile|vmcore-dmesg|\/proc\/vmcore\b|\bkdump\[\d+\]: saving|kdump: saving/;

class PartReader {
  readonly #given: BootFacts;
  #release: string | undefined;
  #build: string | undefined;
  #buildId: string | undefined;
  #bootId: string | undefined;
  #commandLine: string | undefined;
  #started: { readonly seconds: number; readonly by: string } | undefined;
  #saves = false;
  #loaded = false;
  #crashed = false;
  #whole = false;
  #first: number | undefined;
  #last: number | undefined;
  #lines: SourceLine[] = [];
  #firstLine = 0;
  #lastLine = 0;
  #kernel = false;
  /** Lines so far. */
  count = 0;

  constructor(given: BootFacts) {
    this.#given = given;
  }

  seeJournal(entry: { readonly bootId: string | undefined; readonly started: number | undefined }): void {
    this.#bootId ??= entry.bootId;
    if (entry.started !== undefined) this.#started ??= { seconds: entry.started, by: "clock of the journal" };
  }

  see(line: SourceLine, time: number | undefined, { merge, firmware }: { readonly merge: boolean; readonly firmware: boolean }): void {
    const { text } = line;
    if (firmware && this.count > 0 && !this.#kernel && text.startsWith(BANNER)) {
      this.#lines = [];
      this.count = 0;
    }
    if (this.count === 0) this.#firstLine = line.number;
    this.#lastLine = line.number;
    this.#kernel ||= line.kernel;
    this.count++;
    if (merge || ((!line.kernel || text.startsWith("Kernel panic") || PROGRAM.test(text)) && this.#lines.length < KEPT_LINES))
      this.#lines.push(line);
    if (time !== undefined) {
      if (this.#first === undefined || time < this.#first) this.#first = time;
      if (this.#last === undefined || time > this.#last) this.#last = time;
    }
    if (LAST_WORDS.test(text)) this.#crashed = true;
    if (text.startsWith(BANNER)) {
      const { release, version } = readBanner(text);
      this.#release ??= release;
      this.#build ??= version;
      this.#whole = true;
    } else if (text.includes("ommand line: ")) this.#commandLine ??= COMMAND_LINE.exec(text)?.[1]?.trim();
    else if (text.includes("ainted")) {
      this.#release ??= KERNEL.exec(text)?.[1];
      this.#buildId ??= BUILD_ID.exec(text)?.[1];
      if (text.includes("Kdump: loaded")) this.#loaded = true;
    } else if (text.includes("setting system clock")) {
      const clock = CLOCK.exec(text)?.[1];
      if (clock !== undefined && time !== undefined) this.#started ??= { seconds: Number(clock) - time, by: "real-time clock" };
    } else if (!this.#saves && SAVES.test(text)) this.#saves = true;
  }

  part(source: number, boot: number): BootPart {
    const given = this.#given;
    const commandLine = given.commandLine ?? this.#commandLine;
    const capture =
      commandLine !== undefined
        ? /(?:^|\s)elfcorehdr=/.test(commandLine)
        : (given.capture ?? (this.#loaded ? false : this.#saves && !this.#crashed ? true : undefined));
    return {
      source,
      boot,
      lines: this.#lines,
      count: this.count,
      firstLine: this.#firstLine,
      lastLine: this.#lastLine,
      kernel: this.#kernel,
      facts: {
        release: given.release ?? this.#release,
        build: given.build ?? this.#build,
        buildId: given.buildId ?? this.#buildId,
        bootId: given.bootId ?? this.#bootId,
        commandLine,
        capture,
        started: given.started ?? this.#started?.seconds,
        startedBy: given.startedBy ?? this.#started?.by,
      },
      first: this.#first,
      last: this.#last,
      crashed: this.#crashed,
      whole: this.#whole,
    };
  }
}

/** What is known of a boot from either; the first of two that differ. */
export function joinFacts(a: BootFacts, b: BootFacts): BootFacts {
  const joined: Record<string, unknown> = { ...NO_FACTS };
  for (const name of Object.keys(NO_FACTS) as (keyof BootFacts)[]) joined[name] = a[name] ?? b[name];
  // A time and where it is from stay together.
  return { ...(joined as unknown as BootFacts), startedBy: a.started === undefined ? b.startedBy : a.startedBy };
}
