import { BootCounter, readBanner } from "../text/index.ts";
import { type BootFacts, type IncidentText, NO_FACTS, type SourceLine } from "./text.ts";

/** What one text has of one boot. */
export interface BootPart {
  /** Index of the text. */
  readonly source: number;
  /** Number of the boot in the text, from 0. */
  readonly boot: number;
  readonly lines: readonly SourceLine[];
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

/** A text that is cut into more boots than this is not of a console. */
const MAX_BOOTS = 200;

/** Cuts a text into boots. What stands before a kernel's first words (firmware, a boot loader) is left out. */
export function bootsOf(text: IncidentText, source: number): BootPart[] {
  const parts: BootPart[] = [];
  const counter = new BootCounter();
  let reader = new FactReader(text.facts);
  let lines: SourceLine[] = [];
  let entry = -1;
  const close = (): void => {
    // A log of many boots: the last ones are what somebody looks for.
    if (lines.length > 0) parts.push(reader.part(source, parts.length, lines));
    lines = [];
    reader = new FactReader(text.facts);
  };
  const damaged = damagedTimes(text.lines);
  for (const [i, given] of text.lines.entries()) {
    const line = damaged.has(i) ? { ...given, time: undefined } : given;
    let begins = counter.see(line);
    for (let next = text.journal[entry + 1]; next !== undefined && line.number >= next.line; next = text.journal[entry + 1]) {
      entry++;
      begins = true;
    }
    if (begins) close();
    if (lines.length === 0 && entry >= 0) reader.seeJournal(text.journal[entry]!);
    if (reader.see(line) === "banner" && text.kind === "log file" && parts.length === 0) lines = lines.filter(({ kernel }) => kernel);
    lines.push(given);
  }
  close();
  return parts.slice(-MAX_BOOTS);
}

/** Noise on a serial line makes 77.96 of 7.96: a time that neither the one before nor the one after agrees with. */
const JUMP_SECONDS = 10;

function damagedTimes(lines: readonly SourceLine[]): Set<number> {
  const damaged = new Set<number>();
  let previous: number | undefined;
  let current = -1;
  for (const [i, { time, text }] of lines.entries()) {
    if (time === undefined) continue;
    const own = current < 0 ? undefined : lines[current]!.time!;
    if (own !== undefined && previous !== undefined) {
      const up = own > previous + JUMP_SECONDS && own > time + JUMP_SECONDS && time >= previous - JUMP_SECONDS;
      const down = own < previous - JUMP_SECONDS && own < time - JUMP_SECONDS && time >= previous;
      if ((up || down) && !text.startsWith("Linux version ") && !lines[current]!.text.startsWith("Linux version ")) damaged.add(current);
      else previous = own;
    } else previous = own;
    current = i;
  }
  return damaged;
}

/** `rtc_cmos 00:04: setting system clock to 2026-11-21T01:47:34 UTC (1795225654)` */
const CLOCK = /setting system clock to .{1,40}\((\d{9,11})\)/;
const COMMAND_LINE = /^(?:Kernel command|Command) line: (.*)$/;
const KERNEL = / (?:Not tainted|Tainted: [A-Z ]+?) +(\d+\.\d+\S{0,100})(?: |$)/;
const BUILD_ID = / ([0-9a-f]{40})(?= |$)/;
/** What programs of a capture kernel write; a kernel that has one loaded says `Kdump: loaded`. */
const SAVES = /makedumpfile|vmcore-dmesg|\/proc\/vmcore\b|\bkdump\[\d+\]: saving|kdump: saving/;

class FactReader {
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

  constructor(given: BootFacts) {
    this.#given = given;
  }

  seeJournal(entry: { readonly bootId: string | undefined; readonly started: number | undefined }): void {
    this.#bootId ??= entry.bootId;
    if (entry.started !== undefined) this.#started ??= { seconds: entry.started, by: "clock of the journal" };
  }

  see({ text, time }: SourceLine): "banner" | undefined {
    if (time !== undefined) {
      if (this.#first === undefined || time < this.#first) this.#first = time;
      if (this.#last === undefined || time > this.#last) this.#last = time;
    }
    if (LAST_WORDS.test(text)) this.#crashed = true;
    if (text.startsWith("Linux version ")) {
      const { release, version } = readBanner(text);
      this.#release ??= release;
      this.#build ??= version;
      this.#whole = true;
      return "banner";
    }
    if (text.includes("ommand line: ")) this.#commandLine ??= COMMAND_LINE.exec(text)?.[1]?.trim();
    else if (text.includes("ainted")) {
      this.#release ??= KERNEL.exec(text)?.[1];
      this.#buildId ??= BUILD_ID.exec(text)?.[1];
      if (text.includes("Kdump: loaded")) this.#loaded = true;
    } else if (text.includes("setting system clock")) {
      const clock = CLOCK.exec(text)?.[1];
      if (clock !== undefined && time !== undefined) this.#started ??= { seconds: Number(clock) - time, by: "real-time clock" };
    } else if (!this.#saves && SAVES.test(text)) this.#saves = true;
    return undefined;
  }

  part(source: number, boot: number, lines: readonly SourceLine[]): BootPart {
    const given = this.#given;
    const commandLine = given.commandLine ?? this.#commandLine;
    const capture =
      commandLine !== undefined
        ? /(?:^|\s)elfcorehdr=/.test(commandLine)
        : (given.capture ?? (this.#loaded ? false : this.#saves && !this.#crashed ? true : undefined));
    return {
      source,
      boot,
      lines,
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
