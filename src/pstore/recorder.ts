import { DumpError, encodeLatin1, isDumpError } from "../bytes/index.ts";
import type { Backend } from "./backend/backend.ts";
import { formatBanner } from "./banner.ts";
import { openBackend } from "./backend/open.ts";
import {
  FRONTEND_NAMES,
  type FrontendName,
  type FrontendRecord,
  type FrontendSink,
  type RunningFrontend,
  type StreamName,
} from "./frontend/frontend.ts";
import { startFrontend } from "./frontend/start.ts";
import { type Port, PortError, problemOf, readText } from "./port.ts";

/*
 * Frontends to backends, every one to every one, and none waits for another: a backend that fails is tried again later, and what it
 * missed meanwhile is counted into its log.
 */

/** A frontend or backend as configured: its name and words. */
export interface Configured {
  readonly name: string;
  readonly words: ReadonlyMap<string, string>;
  /** Where it is configured, for errors: `record.conf, line 3`. */
  readonly where?: string;
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
  /** Its place among those configured: there may be several of one name. */
  readonly index: number;
  readonly works: boolean;
  /** What it does, or why it cannot, in words. */
  readonly about: string;
}

/** Backends that fail are tried again after this long at first, then twice as long each time, up to the second (ms). */
const FIRST_RETRY = 1000;
const LONGEST_RETRY = 60_000;
/** Text of one turn is stored together, up to so much. */
const GATHERED = 65536;

/** A piece of a stream; the kernel's messages come with their record. */
interface Chunk {
  readonly bytes: Uint8Array;
  readonly record: Uint8Array | undefined;
}

/** Text of one stream that waits for the end of the turn. Its buffer is used again and again: garbage of megabytes a second would pile up. */
interface Gathered {
  readonly buffer: Uint8Array;
  size: number;
  /** Pieces of the buffer, one for each record and one for what came between them. */
  pieces: { from: number; to: number; readonly record: Uint8Array | undefined }[];
}

/** One backend with what it missed. */
class Target {
  readonly name: string;
  readonly #index: number;
  readonly #port: Port;
  readonly #dry: boolean;
  readonly #where: string;
  readonly #words: ReadonlyMap<string, string>;
  readonly #only: ReadonlySet<string> | undefined;
  readonly #streams: ReadonlySet<StreamName>;
  readonly #onStatus: (status: Status) => void;
  readonly #banner: Uint8Array | undefined;
  readonly #begun: Set<StreamName> = new Set();
  readonly #missed: Map<StreamName, number> = new Map();
  readonly #waitingRecords: FrontendRecord[] = [];
  #backend: Backend | undefined;
  #reason = "";
  #retry: number = FIRST_RETRY;
  /** Whether the last failure has been reported, and no store has succeeded since. */
  #failing = false;
  #closed = false;
  #callOff: (() => void) | undefined;

  /** @throws BAD_ARGUMENT where `frontends=` names one that there is not. */
  constructor(
    port: Port,
    dry: boolean,
    configured: Configured,
    index: number,
    streams: ReadonlySet<StreamName>,
    onStatus: (status: Status) => void,
    banner: Uint8Array | undefined,
  ) {
    // Dry, a backend may set up its zones: nothing comes of it.
    this.#port = dry ? { ...port, write: () => {} } : port;
    this.#dry = dry;
    this.name = configured.name;
    this.#index = index;
    this.#where = configured.where === undefined ? "" : `${configured.where}: `;
    const words = new Map(configured.words);
    const only = words.get("frontends");
    words.delete("frontends");
    this.#words = words;
    this.#only = only === undefined ? undefined : new Set(only.split("+"));
    for (const name of this.#only ?? []) {
      if (!(FRONTEND_NAMES as readonly string[]).includes(name)) {
        const known = FRONTEND_NAMES.join(", ");
        throw new DumpError("BAD_ARGUMENT", `${this.#where}frontends=${only}: there is no frontend '${name}'; there are ${known}`);
      }
    }
    this.#streams = this.#only === undefined ? streams : new Set([...streams].filter((stream) => this.#only!.has(stream)));
    this.#onStatus = onStatus;
    this.#banner = banner;
  }

  /** Whether this backend is to have what that frontend finds. */
  wants(frontend: FrontendName): boolean {
    return this.#only === undefined || this.#only.has(frontend);
  }

  /** The first time. @throws BAD_ARGUMENT where the configuration makes no sense: that does not heal by waiting. */
  open(): void {
    try {
      this.#backend = openBackend(this.#port, this.name, this.#words, this.#streams);
    } catch (error) {
      if (isDumpError(error, "BAD_ARGUMENT")) throw new DumpError("BAD_ARGUMENT", `${this.#where}${error.message}`);
      this.#fail(error);
      return;
    }
    this.#report(true, this.#backend.about);
  }

  /** Tries a backend that failed again. It works when it has taken what it missed, or can be opened where it missed nothing. */
  #reopen(): void {
    this.#attempt(() => {
      const backend = openBackend(this.#port, this.name, this.#words, this.#streams);
      this.#backend = backend;
      for (let record; (record = this.#waitingRecords[0]); this.#waitingRecords.shift()) backend.writeRecord?.(record);
      for (const [stream, count] of this.#missed) {
        if (backend.accepts(stream)) {
          this.#begin(backend, stream);
          backend.write(stream, lostLine(count, "bytes", this.#reason));
        }
        this.#missed.delete(stream);
      }
    });
  }

  write(stream: StreamName, chunks: readonly Chunk[], all: Uint8Array): void {
    if (this.#dry) return;
    const backend = this.#backend;
    // Of a backend that never opened it is not known what it accepts; it is asked when it has.
    if (!backend) return this.#miss(stream, all.length);
    if (!backend.accepts(stream)) return;
    let done = 0;
    this.#attempt(() => {
      this.#begin(backend, stream);
      for (const { bytes, record } of backend.eachRecord === true ? chunks : [{ bytes: all, record: undefined }]) {
        backend.write(stream, bytes, record);
        done += bytes.length;
      }
    });
    if (done < all.length) this.#miss(stream, all.length - done);
  }

  #begin(backend: Backend, stream: StreamName): void {
    if (this.#begun.has(stream)) return;
    if (this.#banner) backend.write(stream, this.#banner);
    this.#begun.add(stream);
  }

  #miss(stream: StreamName, count: number): void {
    this.#missed.set(stream, (this.#missed.get(stream) ?? 0) + count);
  }

  writeRecord(record: FrontendRecord): void {
    if (this.#dry) return;
    const backend = this.#backend;
    if (!backend || !this.#attempt(() => backend.writeRecord?.(record))) this.#waitingRecords.push(record);
  }

  /** Runs a store; a failure closes the backend for a while. */
  #attempt(store: () => void): boolean {
    try {
      store();
    } catch (error) {
      this.#fail(error);
      return false;
    }
    this.#retry = FIRST_RETRY;
    if (this.#failing && this.#backend) this.#report(true, this.#backend.about);
    this.#failing = false;
    return true;
  }

  #fail(error: unknown): void {
    this.#reason = problemOf(error);
    this.#closeQuietly();
    this.#failing = true;
    this.#report(false, this.#reason);
    this.#callOff?.();
    this.#callOff = undefined;
    if (this.#closed) return;
    this.#callOff = this.#port.after(this.#retry, () => {
      this.#callOff = undefined;
      this.#reopen();
    });
    this.#retry = Math.min(LONGEST_RETRY, this.#retry * 2);
  }

  #report(works: boolean, about: string): void {
    this.#onStatus({ kind: "backend", name: this.name, index: this.#index, works, about });
  }

  #closeQuietly(): void {
    const backend = this.#backend;
    this.#backend = undefined;
    try {
      backend?.close();
    } catch {
      // Why it failed before is of more interest.
    }
  }

  close(): void {
    this.#callOff?.();
    this.#callOff = undefined;
    this.#closed = true;
    // The last occasion to say what is missing.
    if (!this.#backend && (this.#missed.size > 0 || this.#waitingRecords.length > 0)) this.#reopen();
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
  readonly #gathered: Map<StreamName, Gathered> = new Map();
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
    const banner = config.banner ? encodeLatin1(bannerOf(port, config.version)) : undefined;
    const dry = config.dry === true;
    refuseDoubles(config.frontends);
    try {
      for (const [index, backend] of config.backends.entries()) {
        const target = new Target(port, dry, backend, index, streams, onStatus, banner);
        this.#targets.push(target);
        target.open();
      }
      for (const [index, frontend] of config.frontends.entries()) this.#start(frontend, index, dry);
    } catch (error) {
      // Who gets this error has no recorder to stop.
      this.stop();
      throw error;
    }
  }

  #start({ name: given, words, where }: Configured, index: number, dry: boolean): void {
    const name = given as FrontendName;
    let ended = false;
    const targets = this.#targets.filter((target) => target.wants(name));
    const stream: StreamName = name === "vmcore" ? "console" : name;
    try {
      const sink: FrontendSink = {
        text: (bytes, record) => this.#gather(stream, bytes, record),
        record: (record) => {
          for (const target of targets) target.writeRecord(record);
        },
        lost: (count, unit, reason) => this.#gather(stream, lostLine(count, unit, reason)),
        ended: (reason) => {
          if (ended) return;
          ended = true;
          this.#alive--;
          this.#onStatus({ kind: "frontend", name, index, works: false, about: reason });
          this.#gather(stream, encodeLatin1(`-- ${name} ended: ${reason} --\n`));
        },
      };
      const running = startFrontend(this.#port, name, words, sink, dry);
      this.#running.push(running);
      this.#alive++;
      this.#onStatus({ kind: "frontend", name, index, works: true, about: running.about });
    } catch (error) {
      if (isDumpError(error, "BAD_ARGUMENT")) {
        throw new DumpError("BAD_ARGUMENT", `${where === undefined ? "" : `${where}: `}${error.message}`);
      }
      this.#onStatus({ kind: "frontend", name, index, works: false, about: problemOf(error) });
    }
  }

  /** Keeps pieces until the turn is over: stores are dear where parity is computed for each, or a device waited for. */
  #gather(stream: StreamName, bytes: Uint8Array, record?: Uint8Array): void {
    let gathered = this.#gathered.get(stream);
    if (!gathered) this.#gathered.set(stream, (gathered = { buffer: new Uint8Array(GATHERED), size: 0, pieces: [] }));
    for (let at = 0; at < bytes.length;) {
      if (gathered.size === GATHERED) this.#flush();
      const part = bytes.subarray(at, at + GATHERED - gathered.size);
      const from = gathered.size;
      gathered.buffer.set(part, from);
      gathered.size += part.length;
      const last = gathered.pieces.at(-1);
      if (last && last.record === undefined && record === undefined) last.to = gathered.size;
      // The caller's buffer is used again. Of a message cut in two, the first part has the record.
      else gathered.pieces.push({ from, to: gathered.size, record: at === 0 ? record?.slice() : undefined });
      at += part.length;
    }
    if (this.#flushing) return;
    this.#flushing = true;
    void Promise.resolve().then(() => this.#flush());
  }

  #flush(): void {
    this.#flushing = false;
    for (const [stream, gathered] of this.#gathered) {
      const { buffer, size } = gathered;
      if (size === 0) continue;
      const chunks = gathered.pieces.map(({ from, to, record }): Chunk => ({ bytes: buffer.subarray(from, to), record }));
      // First: what a backend's failure adds to this stream comes behind it.
      gathered.size = 0;
      gathered.pieces = [];
      for (const target of this.#targets) if (target.wants(stream)) target.write(stream, chunks, buffer.subarray(0, size));
    }
  }

  /** Frontends that run. */
  get alive(): number {
    return this.#alive;
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

/** What two frontends would take from each other. @throws BAD_ARGUMENT. */
function refuseDoubles(frontends: readonly Configured[]): void {
  const seen = new Set<string>();
  for (const { name, where } of frontends) {
    if (seen.has(name) && name !== "pmsg") {
      throw new DumpError("BAD_ARGUMENT", `${where === undefined ? "" : `${where}: `}frontend ${name} is configured twice`);
    }
    seen.add(name);
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
