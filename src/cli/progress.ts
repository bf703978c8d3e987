import { formatBytes, formatClock, type Output } from "./terminal.ts";

/** The callback of long work, as in `src/format/dump.ts`: a label, bytes done, bytes in all (0 = not known). */
export type OnProgress = (label: string, done: number, total: number) => void;

export interface ProgressOptions {
  readonly quiet?: boolean;
  /** A clock in milliseconds. */
  readonly now?: () => number;
}

/** Work shorter than this says nothing. */
const PATIENCE = 1000;
/** The line on a terminal is drawn this often at most. */
const REDRAW = 100;

/**
 * Progress on stderr for anything that takes over a second: one line, redrawn in place, on a terminal; elsewhere (a
 * log, a serial console under a capture kernel) one line for each stage, as soon as it proves to be long.
 *
 * A stage ends when the label changes, when `done` falls back, or at {@link clear}.
 */
export class Progress {
  readonly #err: Output;
  readonly #quiet: boolean;
  readonly #now: () => number;
  #label: string | undefined;
  #started = 0;
  #startedAt = 0;
  #done = 0;
  #due = Infinity;
  #drawn = false;
  #drawing = false;

  constructor(err: Output, options: ProgressOptions = {}) {
    this.#err = err;
    this.#quiet = options.quiet ?? false;
    this.#now = options.now ?? (() => performance.now());
  }

  /** Bound, so that it can be handed to readers as it is. A call costs one look at the clock. */
  readonly update: OnProgress = (label, done, total) => {
    if (this.#quiet) return;
    const now = this.#now();
    if (label !== this.#label || done < this.#done) {
      this.clear();
      this.#label = label;
      this.#started = now;
      this.#startedAt = done;
      this.#due = now + PATIENCE;
    }
    this.#done = done;
    if (now < this.#due) return;
    // A stage that has just ended needs no more line.
    if (total > 0 && done >= total && !this.#drawn) return;
    if (this.#err.terminal) {
      this.#due = now + REDRAW;
      this.#draw(`\r${this.#describe(label, done, total, now)}\x1b[K`);
      this.#drawn = true;
    } else {
      this.#due = Infinity;
      this.#draw(`lastwords: ${this.#describe(label, done, total, now)}\n`);
    }
  };

  /** Wipes the line. The next {@link update} begins a new stage. */
  clear(): void {
    // Our own drawing passes through the same output.
    if (this.#drawing) return;
    if (this.#drawn) this.#draw("\r\x1b[K");
    this.#drawn = false;
    this.#label = undefined;
    this.#done = 0;
  }

  /** Wipes the line for other text on the same terminal; the stage goes on and the line comes back. */
  readonly makeRoom = (): void => {
    if (this.#drawing || !this.#drawn) return;
    this.#draw("\r\x1b[K");
    this.#drawn = false;
  };

  #draw(text: string): void {
    this.#drawing = true;
    try {
      this.#err.write(text);
      this.#err.flush();
    } finally {
      this.#drawing = false;
    }
  }

  #describe(label: string, done: number, total: number, now: number): string {
    const seconds = (now - this.#started) / 1000;
    const rate = (done - this.#startedAt) / seconds;
    const known = total > 0 && Number.isFinite(total);
    const parts = [known ? `${Math.min(100, Math.floor((done / total) * 100))} % of ${formatBytes(total)}` : formatBytes(done)];
    if (rate > 0) {
      parts.push(`${formatBytes(rate)}/s`);
      if (known) parts.push(`${formatClock(Math.max(0, total - done) / rate)} left`);
    }
    return this.#fit(`${label}: ${parts.join(", ")}`);
  }

  /** A line that wraps cannot be redrawn in place. */
  #fit(text: string): string {
    const columns = this.#err.columns;
    return columns === undefined || text.length < columns ? text : text.slice(0, Math.max(0, columns - 1));
  }
}
