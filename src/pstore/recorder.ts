import { isDumpError } from "../bytes/index.ts";
import type { Backend } from "./backend/backend.ts";
import { formatBanner } from "./banner.ts";
import { openBackend } from "./backend/open.ts";
import type { FrontendName, FrontendRecord, RunningFrontend, StreamName } from "./frontend/frontend.ts";
import { startFrontend } from "./frontend/start.ts";
import { encodeLatin1 } from "./latin1.ts";
import { type Port, PortError, problemOf, readText } from "./port.ts";

/*
 * Frontends to backends, every one to every one, and none waits for another: a backend that fails is tried again later, and what it
 * missed meanwhile is counted into its log.
 */

/** A frontend or backend as configured: its name and words. */
export interface Configured {
  readonly name: string;
  readonly words: ReadonlyMap<string, string>;
}

export interface RecorderConfig {
  readonly frontends: readonly Configured[];
  readonly backends: readonly Configured[];
  /** A line at the beginning of each stream that says who writes, in which kernel. */
  readonly banner: boolean;
  readonly version: string;
  /** Try everything and store nothing. */
  readonly dry?: boolean;
}

/** State of one frontend or backend, for `--check` and the journal. */
export interface Status {
  readonly kind: "frontend" | "backend";
  readonly name: string;
  readonly works: boolean;
  /** What it does, or why it cannot, in words. */
  readonly about: string;
}

/** Backends that fail are tried again after this long at first, then twice as long each time, up to the second (ms). */
const FIRST_RETRY = 1000;
const LONGEST_RETRY = 60_000;
/** Text of one turn is stored together, up to so much. */
const GATHERED = 65536;

/** One backend with what it missed. */
class Target {
  readonly name: string;
  readonly #port: Port;
  readonly #words: ReadonlyMap<string, string>;
  readonly #only: ReadonlySet<string> | undefined;
  readonly #streams: ReadonlySet<StreamName>;
  readonly #onStatus: (status: Status) => void;
  readonly #bannerFor: (stream: StreamName) => Uint8Array | undefined;
  readonly #begun: Set<StreamName> = new Set();
  readonly #missed: Map<StreamName, number> = new Map();
  #waitingRecords: FrontendRecord[] = [];
  #backend: Backend | undefined;
  #reason = "";
  #retry: number = FIRST_RETRY;
  #callOff: (() => void) | undefined;

  constructor(
    port: Port,
    configured: Configured,
    streams: ReadonlySet<StreamName>,
    onStatus: (status: Status) => void,
    bannerFor: (stream: StreamName) => Uint8Array | undefined,
  ) {
    this.#port = port;
    this.name = configured.name;
    const words = new Map(configured.words);
    const only = words.get("frontends");
    words.delete("frontends");
    this.#words = words;
    this.#only = only === undefined ? undefined : new Set(only.split("+"));
    this.#streams = streams;
    this.#onStatus = onStatus;
    this.#bannerFor = bannerFor;
  }

  /** Whether this backend is to have what that frontend finds. */
  wants(frontend: FrontendName): boolean {
    return this.#only === undefined || this.#only.has(frontend);
  }

  /** @throws BAD_ARGUMENT where the configuration makes no sense: that does not heal by waiting. */
  open(): void {
    try {
      const streams = this.#only === undefined ? this.#streams : new Set([...this.#streams].filter((stream) => this.#only!.has(stream)));
      const backend = openBackend(this.#port, this.name, this.#words, streams);
      this.#backend = backend;
      this.#retry = FIRST_RETRY;
      this.#onStatus({ kind: "backend", name: this.name, works: true, about: backend.about });
    } catch (error) {
      if (isDumpError(error, "BAD_ARGUMENT")) throw error;
      this.#fail(error);
      return;
    }
    this.#attempt(() => {
      for (const record of this.#waitingRecords.splice(0)) this.#backend!.writeRecord?.(record);
      for (const [stream, count] of this.#missed) this.#backend!.write(stream, lostLine(count, "bytes", this.#reason));
      this.#missed.clear();
    });
  }

  write(stream: StreamName, bytes: Uint8Array, record: Uint8Array | undefined): void {
    if (!this.#backend) {
      // Of a backend that never opened it is not known what it accepts; it is asked when it has.
      this.#missed.set(stream, (this.#missed.get(stream) ?? 0) + bytes.length);
      return;
    }
    const backend = this.#backend;
    if (!backend.accepts(stream)) return;
    const done = this.#attempt(() => {
      if (!this.#begun.has(stream)) {
        this.#begun.add(stream);
        const banner = this.#bannerFor(stream);
        if (banner) backend.write(stream, banner);
      }
      backend.write(stream, bytes, record);
    });
    if (!done) this.#missed.set(stream, (this.#missed.get(stream) ?? 0) + bytes.length);
  }

  writeRecord(record: FrontendRecord): void {
    const backend = this.#backend;
    if (!backend) this.#waitingRecords.push(record);
    else if (backend.writeRecord) this.#attempt(() => backend.writeRecord!(record));
  }

  /** Runs a store; a failure closes the backend for a while. */
  #attempt(store: () => void): boolean {
    try {
      store();
      return true;
    } catch (error) {
      this.#fail(error);
      return false;
    }
  }

  #fail(error: unknown): void {
    this.#reason = problemOf(error);
    this.#onStatus({ kind: "backend", name: this.name, works: false, about: this.#reason });
    this.#closeQuietly();
    this.#callOff?.();
    this.#callOff = this.#port.after(this.#retry, () => {
      this.#callOff = undefined;
      this.open();
    });
    this.#retry = Math.min(LONGEST_RETRY, this.#retry * 2);
  }

  #closeQuietly(): void {
    try {
      this.#backend?.close();
    } catch (error) {
      this.#reason = problemOf(error);
    }
    this.#backend = undefined;
  }

  close(): void {
    this.#callOff?.();
    this.#callOff = undefined;
    this.#closeQuietly();
  }

  get works(): boolean {
    return this.#backend !== undefined;
  }
}

/** A line in the log about what is not there. */
export function lostLine(count: number | undefined, unit: string, reason: string): Uint8Array {
  const amount = count === undefined ? `some ${unit}` : `${count} ${count === 1 ? unit.replace(/s$/, "") : unit}`;
  return encodeLatin1(`-- ${amount} lost: ${reason.replaceAll("\n", " ")} --\n`);
}

/** Runs frontends into backends. */
export class Recorder {
  readonly #port: Port;
  readonly #targets: Target[] = [];
  readonly #running: RunningFrontend[] = [];
  readonly #gathered: Map<StreamName, { chunks: Uint8Array[]; size: number }> = new Map();
  readonly #onStatus: (status: Status) => void;
  #flushing = false;
  #stopped = false;
  #alive = 0;

  /**
   * Opens every backend and starts every frontend. One that cannot be had is reported and left out (frontends) or tried again (backends).
   *
   * @throws BAD_ARGUMENT where the configuration makes no sense.
   */
  constructor(port: Port, config: RecorderConfig, onStatus: (status: Status) => void) {
    this.#port = port;
    this.#onStatus = onStatus;
    const streams = new Set(config.frontends.map(({ name }) => name).filter((name): name is StreamName => name !== "vmcore"));
    const line = config.banner ? bannerOf(port, config.version) : undefined;
    const store: Port = config.dry === true ? { ...port, write: () => {} } : port;
    for (const backend of config.backends) {
      const target = new Target(store, backend, streams, onStatus, () => (line === undefined ? undefined : encodeLatin1(line)));
      this.#targets.push(target);
      target.open();
    }
    for (const { name, words } of config.frontends) this.#start(name as FrontendName, words);
  }

  #start(name: FrontendName, words: ReadonlyMap<string, string>): void {
    const targets = this.#targets.filter((target) => target.wants(name));
    const stream: StreamName = name === "vmcore" ? "console" : name;
    try {
      const running = startFrontend(this.#port, name, words, {
        // Messages of the kernel keep their bounds, for backends that send each by itself; others come in pieces of any size.
        text: (bytes, record) => {
          if (record === undefined) return this.#gather(stream, bytes);
          for (const target of targets) target.write(stream, bytes, record);
        },
        record: (record) => {
          for (const target of targets) target.writeRecord(record);
        },
        lost: (count, unit, reason) => this.#gather(stream, lostLine(count, unit, reason)),
        ended: (reason) => {
          this.#alive--;
          this.#onStatus({ kind: "frontend", name, works: false, about: reason });
          this.#gather(stream, encodeLatin1(`-- ${name} ended: ${reason} --\n`));
        },
      });
      this.#running.push(running);
      this.#alive++;
      this.#onStatus({ kind: "frontend", name, works: true, about: running.about });
    } catch (error) {
      if (isDumpError(error, "BAD_ARGUMENT")) throw error;
      this.#onStatus({ kind: "frontend", name, works: false, about: problemOf(error) });
    }
  }

  /** Keeps pieces until the turn is over: stores are dear where parity is computed for each. */
  #gather(stream: StreamName, bytes: Uint8Array): void {
    let gathered = this.#gathered.get(stream);
    if (!gathered) this.#gathered.set(stream, (gathered = { chunks: [], size: 0 }));
    // The caller's buffer is used again.
    gathered.chunks.push(bytes.slice());
    gathered.size += bytes.length;
    if (gathered.size >= GATHERED) return this.#flush();
    if (this.#flushing) return;
    this.#flushing = true;
    void Promise.resolve().then(() => this.#flush());
  }

  #flush(): void {
    this.#flushing = false;
    for (const [stream, { chunks, size }] of this.#gathered) {
      const all = chunks.length === 1 ? chunks[0]! : new Uint8Array(size);
      if (chunks.length > 1) {
        let at = 0;
        for (const chunk of chunks) {
          all.set(chunk, at);
          at += chunk.length;
        }
      }
      for (const target of this.#targets) if (target.wants(stream)) target.write(stream, all, undefined);
    }
    this.#gathered.clear();
  }

  /** Whether anything is recorded anywhere. */
  get works(): boolean {
    return this.#alive > 0 && this.#targets.some((target) => target.works);
  }

  /** Stops everything in order: no byte that a frontend has is left out. Returns what could not be undone, in sentences. */
  stop(): readonly string[] {
    if (this.#stopped) return [];
    this.#stopped = true;
    const left = this.#running.flatMap((running) => {
      try {
        return running.stop();
      } catch (error) {
        return [problemOf(error)];
      }
    });
    this.#flush();
    for (const target of this.#targets) target.close();
    return left;
  }
}

/** {@link formatBanner} for the kernel that runs. */
export function bannerOf(port: Port, version: string): string {
  return formatBanner({
    version,
    release: (readText(port, "/proc/sys/kernel/osrelease") ?? "unknown").trim(),
    capture: isCaptureKernel(port),
    boot: (readText(port, "/proc/sys/kernel/random/boot_id") ?? "").trim().slice(0, 8),
    seconds: port.clock().seconds,
  });
}

/** Whether this kernel was started to save another's memory. */
export function isCaptureKernel(port: Port): boolean {
  if (/(?:^|\s)elfcorehdr=/.test(readText(port, "/proc/cmdline") ?? "")) return true;
  try {
    port.close(port.open("/proc/vmcore", "read"));
    return true;
  } catch (error) {
    if (!(error instanceof PortError)) throw error;
    return false;
  }
}
