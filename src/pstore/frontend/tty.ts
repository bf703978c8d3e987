import { encodeLatin1 } from "../../bytes/index.ts";
import { type Port, PortError, problemOf, readText } from "../port.ts";
import { type EventField, type EventFormat, parseEventFormat, readField } from "./event-format.ts";
import { type PageFormat, parsePageFormat, parseTracePage } from "./ring-buffer.ts";

/*
 * What programs write to ttys, on stock kernels: kprobes on the line discipline's write (linux:drivers/tty/n_tty.c:n_tty_write)
 * in a tracefs instance of our own. It is called with a kernel copy of at most 2048 bytes of what the program wrote
 * (linux:drivers/tty/tty_io.c:iterate_tty_write), so an event is a piece of a write.
 *
 * The copy is fetched as arrays of u64, 64 to an array at most, because the fetch type `string` is not exact: it stops at the
 * first NUL; it goes on behind the piece, which no NUL ends, through whatever lies there; and a string that a page of the ring
 * cannot hold is no event, and counted nowhere: of 400 full pieces 5.10 kept 200, 6.1 kept 320, 7.2 kept 220. To spend no 2 KiB
 * of ring on every newline there are probes of three sizes at the same place, and a filter leaves a piece to the smallest that
 * holds it. Array fetches and `$arg` came with Linux 4.20; before that `string` it is, and what the count says is missing is
 * told.
 *
 * What is typed comes this way too: a terminal program writes it to the master side of a pty. That is no output, and may be a
 * password. Kernels since 6.4 can tell the tty's name by BTF, and masters are left out there.
 */

/** How the frontend is set up. */
export interface TtyOptions {
  /** Folders in which tracefs may be. */
  readonly tracefs?: readonly string[];
  /** Ring of each CPU. It takes up what is written while the recorder does not run. Default 1024. */
  readonly bufferKiB?: number;
  /** How long an event of one CPU waits for older ones of others. Default 20. */
  readonly windowMs?: number;
  /** Records what is written to the masters of ptys, too: what is typed. Default false; known from the name only. */
  readonly masters?: boolean;
  /** Finds out where `struct tty_struct` has `name`, for kernels that cannot tell it themselves. */
  readonly nameOffset?: () => number | undefined;
}

/** What was lost: whole writes (pieces of at most 2 KiB), or bytes within them. */
export type LossUnit = "writes" | "bytes";

/** Takes what the frontend finds. Must not write to a tty for every call: that would be recorded, and so on without end. */
export interface TtySink {
  /** Bytes in the order in which they were written. */
  onBytes(bytes: Uint8Array): void;
  /** @param count undefined where nobody counted. */
  onLost(count: number | undefined, unit: LossUnit, reason: string): void;
  /** The frontend has ended of itself, and has cleaned up. */
  onEnd(error: PortError): void;
}

/** A running frontend. */
export interface TtyFrontend {
  /** How writes are fetched. */
  readonly fetch: "exact" | "string";
  /** Whether the kernel tells the ttys' names, so that masters of ptys can be left out. */
  readonly named: boolean;
  /** Hands on what is pending and undoes all that was set up. Returns what could not be undone, as sentences. */
  stop(): readonly string[];
}

const GROUP = "lastwords";
const SYMBOL = "n_tty_write";
const TRACEFS: readonly string[] = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"];
const ONLINE = "/sys/devices/system/cpu/online";
/** How often CPUs that came are looked for. */
const CPU_INTERVAL_MS = 10_000;
/** How long a ring is left alone that gave nothing where a refusal was due. */
const EMPTY_WAIT_MS = 8;
/** So often in a row it may, when all is to be read. */
const EMPTY_READS = 3;
/** Waiting bytes beyond this are handed on at once, in the order they have. */
const PENDING_LIMIT = 256 * 1024;
/** No kernel has more. */
const CPU_LIMIT = 8192;

/** A kprobe of ours. */
interface Probe {
  readonly name: string;
  /** As in `kprobe_events`, behind the symbol. */
  readonly fetch: string;
  /** Sizes of pieces that this probe is for. */
  readonly above: number;
  readonly upTo: number;
}

/** Probes that do the work together. */
interface ProbeSet {
  readonly fetch: "exact" | "string";
  readonly named: boolean;
  readonly probes: readonly Probe[];
}

function probeText(probe: Probe): string {
  return `p:${GROUP}/${probe.name} ${SYMBOL} ${probe.fetch}`;
}

/** Ways to probe, the best first; a kernel refuses one that it does not know with EINVAL. */
export function probeSets(nameOffset?: number): readonly ProbeSet[] {
  const names = nameOffset === undefined ? ["name=tty->name:string ", ""] : [`name=+${nameOffset}($arg1):string `, ""];
  const exact = names.map((name): ProbeSet => {
    const probe = (event: string, above: number, upTo: number): Probe => {
      let fetch = `nr=$arg4:u64 ${name}`;
      for (let at = 0; at < upTo; at += 512) fetch += `bytes${at}=+${at}($arg3):u64[${Math.min(64, upTo / 8)}] `;
      return { name: event, fetch: fetch.trimEnd(), above, upTo };
    };
    const probes = [probe("tty_write_64", 0, 64), probe("tty_write_512", 64, 512), probe("tty_write_2048", 512, 2048)];
    return { fetch: "exact", named: name !== "", probes };
  });
  // n_tty_write(tty, file, buf, nr): registers of x86-64 and of arm64.
  const registers = [
    ["%dx", "%cx"],
    ["%x2", "%x3"],
  ];
  const string = registers.map(([buf, nr]): ProbeSet => {
    const probe: Probe = { name: "tty_write", fetch: `nr=${nr}:u64 buf=+0(${buf}):string`, above: 0, upTo: Number.POSITIVE_INFINITY };
    return { fetch: "string", named: false, probes: [probe] };
  });
  return [...exact, ...string];
}

/** All of them in the order in which to try. Where the name is takes a while to find out, so it is asked only when needed. */
function* waysToProbe(nameOffset: (() => number | undefined) | undefined): Iterable<ProbeSet> {
  const [best, ...others] = probeSets();
  yield best!;
  const offset = nameOffset?.();
  if (offset !== undefined) yield probeSets(offset)[0]!;
  yield* others;
}

/** Text handed on at a time at most. */
const PIECE = 65536;

/** An event that waits; its text is in the merger's store. */
interface Waiting {
  readonly high: number;
  readonly low: number;
  readonly at: number;
  readonly length: number;
}

/**
 * Events of several CPUs in the order of their times. Their text is kept in one store that is used again: pieces of memory for each
 * would be garbage of megabytes a second.
 */
export class TimeMerger {
  readonly #port: Port;
  readonly #windowMs: number;
  readonly #onBytes: (bytes: Uint8Array) => void;
  #pending: Waiting[] = [];
  #store: Uint8Array = new Uint8Array(PIECE);
  /** Bytes of the store that are taken. */
  #used = 0;
  readonly #piece: Uint8Array = new Uint8Array(PIECE);
  /** What is not newer than this goes when the timer fires. */
  #markHigh = 0;
  #markLow = 0;
  #callOff: (() => void) | undefined;

  /**
   * @param windowMs how much later than an event an older one may arrive; 0 does not wait.
   * @param onBytes gets pieces that are valid during the call.
   */
  constructor(port: Port, windowMs: number, onBytes: (bytes: Uint8Array) => void) {
    this.#port = port;
    this.#windowMs = windowMs;
    this.#onBytes = onBytes;
  }

  /** Takes an event; the bytes may change afterwards. */
  push(high: number, low: number, bytes: Uint8Array): void {
    if (this.#used + bytes.length > this.#store.length) {
      const larger = new Uint8Array(Math.max(2 * this.#store.length, this.#used + bytes.length));
      larger.set(this.#store.subarray(0, this.#used));
      this.#store = larger;
    }
    this.#store.set(bytes, this.#used);
    this.#pending.push({ high, low, at: this.#used, length: bytes.length });
    this.#used += bytes.length;
  }

  /**
   * To be called when all that arrived together has been pushed. From then on the window runs: when it is over, all goes that
   * is not newer than the newest event of now, in order with what came of other CPUs meanwhile. So an event waits for two
   * windows at most, no clock but the events' own is asked, and what arrives later than a window is out of order but not lost.
   */
  settle(): void {
    if (this.#pending.length === 0) return;
    if (this.#windowMs === 0 || this.#used > PENDING_LIMIT) return this.flush();
    if (this.#callOff !== undefined) return;
    this.#markHigh = 0;
    this.#markLow = 0;
    for (const { high, low } of this.#pending) {
      if (high > this.#markHigh || (high === this.#markHigh && low > this.#markLow)) {
        this.#markHigh = high;
        this.#markLow = low;
      }
    }
    this.#callOff = this.#port.after(this.#windowMs, () => {
      this.#callOff = undefined;
      this.#release(this.#markHigh, this.#markLow);
      this.settle();
    });
  }

  /** Hands on everything. */
  flush(): void {
    this.#callOff?.();
    this.#callOff = undefined;
    this.#release(0xffffffff, 0xffffffff);
  }

  #release(markHigh: number, markLow: number): void {
    // Stable: events of one time stay as they came, and those of one CPU come in their order.
    this.#pending.sort((a, b) => a.high - b.high || a.low - b.low);
    const found = this.#pending.findIndex(({ high, low }) => high > markHigh || (high === markHigh && low > markLow));
    const count = found === -1 ? this.#pending.length : found;
    let filled = 0;
    for (let i = 0; i < count; i++) {
      const { at, length } = this.#pending[i]!;
      for (let done = 0; done < length;) {
        const part = this.#store.subarray(at + done, at + Math.min(length, done + PIECE - filled));
        this.#piece.set(part, filled);
        filled += part.length;
        done += part.length;
        if (filled < PIECE) continue;
        this.#onBytes(this.#piece);
        filled = 0;
      }
    }
    if (filled > 0) this.#onBytes(this.#piece.subarray(0, filled));
    this.#keep(count);
  }

  /** Moves what waits on to the beginning of the store. */
  #keep(from: number): void {
    const rest = this.#pending.slice(from);
    // By place, so that nothing is overwritten before it has been moved.
    const byPlace = rest.map((_, i) => i).sort((a, b) => rest[a]!.at - rest[b]!.at);
    let used = 0;
    for (const i of byPlace) {
      const { high, low, at, length } = rest[i]!;
      this.#store.copyWithin(used, at, at + length);
      rest[i] = { high, low, at: used, length };
      used += length;
    }
    this.#pending = rest;
    this.#used = used;
  }
}

/** What is needed to take an event of a probe apart. */
interface KnownEvent {
  readonly probe: Probe;
  readonly nr: EventField;
  readonly name: EventField | undefined;
  /** The arrays, which follow each other, or the string's reference. */
  readonly content: EventField;
}

const STOPPED_AT_NUL = "a write has a NUL byte, or more bytes than this kernel's string fetch gives";
const TOO_LONG = "a write is longer than the probe fetches";
const OVERWRITTEN = "the trace ring was full";

/** Takes the events out of pages: what was written, and what is missing. */
export class TtyWriteReader {
  readonly #page: PageFormat;
  readonly #events: ReadonlyMap<number, KnownEvent>;
  readonly #typeField: EventField;
  readonly #masters: boolean;
  readonly #onWrite: (high: number, low: number, bytes: Uint8Array) => void;
  readonly #onLost: (count: number | undefined, unit: LossUnit, reason: string) => void;
  #bytes: Uint8Array = new Uint8Array();
  #view: DataView = new DataView(this.#bytes.buffer);

  /** @throws PortError where a format lacks a field. @param formats of the probes, in their order. */
  constructor(
    page: PageFormat,
    set: ProbeSet,
    formats: readonly (EventFormat | undefined)[],
    masters: boolean,
    onWrite: (high: number, low: number, bytes: Uint8Array) => void,
    onLost: (count: number | undefined, unit: LossUnit, reason: string) => void,
  ) {
    this.#page = page;
    this.#masters = masters;
    this.#onWrite = onWrite;
    this.#onLost = onLost;
    const events = new Map<number, KnownEvent>();
    let typeField: EventField | undefined;
    for (const [i, probe] of set.probes.entries()) {
      const format = formats[i];
      const type = format?.fields.get("common_type");
      const nr = format?.fields.get("nr");
      const content = format?.fields.get(set.fetch === "exact" ? "bytes0" : "buf");
      if (
        format === undefined ||
        type === undefined ||
        nr === undefined ||
        content === undefined ||
        content.dataLoc !== (set.fetch === "string")
      ) {
        throw new PortError("EINVAL", `the format of the trace event ${GROUP}/${probe.name} is not understood`);
      }
      typeField ??= type;
      events.set(format.id, { probe, nr, content, name: format.fields.get("name") });
    }
    if (typeField === undefined) throw new PortError("EINVAL", "no probes");
    this.#typeField = typeField;
    this.#events = events;
  }

  /** Reads a page; it may change afterwards. */
  read(page: Uint8Array): void {
    this.#bytes = page;
    this.#view = new DataView(page.buffer, page.byteOffset, page.byteLength);
    const { lost, problem } = parseTracePage(page, this.#page, this.#onEvent);
    if (lost !== 0) this.#onLost(lost, "writes", OVERWRITTEN);
    if (problem !== undefined) this.#onLost(undefined, "writes", problem);
  }

  readonly #onEvent = (high: number, low: number, at: number, length: number): void => {
    const type = readField(this.#view, at, length, this.#typeField);
    const event = type === undefined ? undefined : this.#events.get(type);
    // An instance may be asked by others for other events, and may still have those of probes that are gone.
    if (event === undefined) return;
    const nr = readField(this.#view, at, length, event.nr);
    if (nr === undefined || nr <= event.probe.above) return;
    // Where the kernel did not take the filter every probe has every write.
    if (nr > event.probe.upTo && event.probe.upTo < 2048) return;
    if (!this.#masters && this.#isMaster(event, at, length)) return;
    const { content } = event;
    if (content.dataLoc) return this.#onString(high, low, at, length, nr, content);
    const bytes = Math.min(nr, event.probe.upTo, length - content.offset);
    if (bytes < nr) this.#onLost(nr - bytes, "bytes", TOO_LONG);
    if (bytes > 0) this.#onWrite(high, low, this.#bytes.subarray(at + content.offset, at + content.offset + bytes));
  };

  #onString(high: number, low: number, at: number, length: number, nr: number, field: EventField): void {
    const text = this.#textOf(at, length, field);
    const bytes = Math.min(nr, text.length);
    if (bytes < nr) this.#onLost(nr - bytes, "bytes", STOPPED_AT_NUL);
    if (bytes > 0) this.#onWrite(high, low, text.subarray(0, bytes));
  }

  /** What a reference refers to, up to the NUL and within the event. */
  #textOf(at: number, length: number, field: EventField): Uint8Array {
    const loc = readField(this.#view, at, length, field) ?? 0;
    const from = Math.min(loc & 0xffff, length);
    const text = this.#bytes.subarray(at + from, at + Math.min(from + (loc >>> 16), length));
    const nul = text.indexOf(0);
    return nul === -1 ? text : text.subarray(0, nul);
  }

  /** Masters are called `ptm0`, and of BSD's ptys `ptya0` (linux:drivers/tty/pty.c:unix98_pty_init, legacy_pty_init). */
  #isMaster(event: KnownEvent, at: number, length: number): boolean {
    if (event.name === undefined) return false;
    const name = this.#textOf(at, length, event.name);
    return name[0] === 0x70 && name[1] === 0x74 && (name[2] === 0x6d || name[2] === 0x79);
  }
}

/**
 * Starts to record. Nothing is left behind when it throws.
 *
 * @throws PortError with a sentence that says what this kernel lacks or refuses.
 */
export function startTtyFrontend(port: Port, options: TtyOptions, sink: TtySink): TtyFrontend {
  return new Frontend(port, options, sink);
}

/** Who reads a CPU's ring. */
interface CpuReader {
  readonly fd: number;
  readonly into: Uint8Array;
  stop: () => void;
}

class Frontend implements TtyFrontend {
  readonly #port: Port;
  readonly #sink: TtySink;
  readonly #tracefs: string;
  readonly #instance: string;
  readonly #set: ProbeSet;
  readonly #page: PageFormat;
  readonly #reader: TtyWriteReader;
  readonly #merger: TimeMerger;
  readonly #readers: Map<number, CpuReader> = new Map();
  /** Sums, so that many small losses are one report. */
  readonly #losses: Map<string, { count: number | undefined; readonly unit: LossUnit }> = new Map();
  #callOffCpus: (() => void) | undefined;
  #callOffLosses: (() => void) | undefined;
  #stopped = false;

  constructor(port: Port, options: TtyOptions, sink: TtySink) {
    this.#port = port;
    this.#sink = sink;
    this.#tracefs = findTracefs(port, options.tracefs ?? TRACEFS);
    this.#instance = `${this.#tracefs}/instances/${GROUP}`;
    try {
      port.makeFolder(this.#instance);
    } catch (error) {
      throw new PortError(codeOf(error), `the trace instance ${this.#instance} cannot be made: ${problemOf(error)}`);
    }
    try {
      this.#set = this.#addProbes(options.nameOffset);
      this.#setUpInstance(options.bufferKiB ?? 1024);
      const page = parsePageFormat(this.#text("events/header_page"), this.#text("events/header_event"));
      if (page === undefined) throw new PortError("EINVAL", "the format of this kernel's trace pages is not understood");
      this.#page = page;
      const cpus = this.#cpus();
      // One CPU's events are in order; with one CPU there is nobody to wait for.
      this.#merger = new TimeMerger(port, cpus.length > 1 ? (options.windowMs ?? 20) : 0, (bytes) => sink.onBytes(bytes));
      this.#reader = new TtyWriteReader(
        page,
        this.#set,
        this.#set.probes.map((probe) => parseEventFormat(this.#text(`events/${GROUP}/${probe.name}/format`))),
        options.masters ?? false,
        (high, low, bytes) => this.#merger.push(high, low, bytes),
        (count, unit, reason) => this.#lose(count, unit, reason),
      );
      for (const cpu of cpus) this.#openCpu(cpu);
      for (const probe of this.#set.probes) this.#write(`events/${GROUP}/${probe.name}/enable`, "1");
      if (cpus.length > 1) this.#watchCpus();
    } catch (error) {
      this.#undo();
      throw error;
    }
  }

  get fetch(): "exact" | "string" {
    return this.#set.fetch;
  }

  get named(): boolean {
    return this.#set.named;
  }

  stop(): readonly string[] {
    if (this.#stopped) return [];
    this.#drain();
    const problems = this.#undo();
    this.#merger.flush();
    this.#reportLosses();
    return problems;
  }

  /** Reads what is in the rings and was not yet asked for. Descriptors do not block: at the end they refuse with EAGAIN. */
  #drain(): void {
    for (const { name } of this.#set.probes) this.#try(`events/${GROUP}/${name}/enable`, "0");
    for (const { fd, into, stop } of this.#readers.values()) {
      stop();
      try {
        for (let empty = 0; empty < EMPTY_READS;) {
          const got = this.#port.read(fd, into);
          if (got === 0) empty++;
          else this.#reader.read(into.subarray(0, got));
        }
      } catch (error) {
        if (!(error instanceof PortError)) throw error;
      }
    }
  }

  /** Probes that are there from a recorder that died are taken over: the ring may hold what was written since. */
  #addProbes(nameOffset: (() => number | undefined) | undefined): ProbeSet {
    const present = this.#presentProbes();
    if (present.size > 0) {
      for (const set of waysToProbe(nameOffset)) if (set.probes.every((probe) => present.has(probeText(probe)))) return set;
      this.#removeProbes();
    }
    let refusal: unknown;
    for (const set of waysToProbe(nameOffset)) {
      try {
        for (const probe of set.probes) this.#command(probeText(probe));
        return set;
      } catch (error) {
        this.#removeProbes();
        refusal = error;
        // Whatever else it is, other words do not help.
        if (codeOf(error) !== "EINVAL") break;
      }
    }
    // A missing symbol is ENOENT on 6.1, and EINVAL like everything else on 7.2; kernels since 5.2 log which it was.
    const said = readText(this.#port, `${this.#tracefs}/error_log`)
      ?.match(/(?<=trace_kprobe: error: ).*/g)
      ?.at(-1);
    const why = said === undefined ? "" : ` (${said})`;
    throw new PortError(codeOf(refusal), `the kernel refuses a probe on ${SYMBOL}: ${problemOf(refusal)}${why}`);
  }

  #presentProbes(): ReadonlySet<string> {
    const text = readText(this.#port, `${this.#tracefs}/kprobe_events`, 1024 * 1024) ?? "";
    return new Set(text.split("\n").filter((line) => line.startsWith(`p:${GROUP}/tty_write`)));
  }

  /** A probe is removed by name only, and only when no instance has it enabled. Returns what could not be. */
  #removeProbes(): string[] {
    const problems: string[] = [];
    for (const line of this.#presentProbes()) {
      const name = line.slice(`p:${GROUP}/`.length).split(" ", 1)[0] ?? "";
      this.#try(`events/${GROUP}/${name}/enable`, "0");
      try {
        this.#command(`-:${GROUP}/${name}`);
      } catch (error) {
        problems.push(`the probe ${GROUP}/${name} cannot be removed: ${problemOf(error)}`);
      }
    }
    return problems;
  }

  /** One command a write: each is carried out, or refused, when it is written. The mode must not truncate: that removes all probes. */
  #command(text: string): void {
    writeFile(this.#port, `${this.#tracefs}/kprobe_events`, `${text}\n`, "append");
  }

  #setUpInstance(bufferKiB: number): void {
    // CPUs' local clocks may differ. Writing a clock empties the ring, even when it is the same one.
    if (!this.#text("trace_clock").includes("[global]")) this.#try("trace_clock", "global");
    this.#try("buffer_size_kb", String(bufferKiB));
    // Wake readers for every event, not when the ring is half full; before 5.0 they always were.
    this.#try("buffer_percent", "0");
    // The newest stay, and the kernel counts the others.
    this.#try("options/overwrite", "1");
    this.#try("options/record-cmd", "0");
    for (const { name, above, upTo } of this.#set.probes) {
      if (upTo === Number.POSITIVE_INFINITY) continue;
      // Without the filter all is the same, at a price: the reader drops what is not the probe's.
      this.#try(`events/${GROUP}/${name}/filter`, upTo < 2048 ? `nr > ${above} && nr <= ${upTo}` : `nr > ${above}`);
    }
    this.#try("tracing_on", "1");
  }

  #cpus(): readonly number[] {
    const cpus = parseCpuList(readText(this.#port, ONLINE) ?? "");
    return cpus.length === 0 ? [0] : cpus;
  }

  #openCpu(cpu: number): void {
    const fd = this.#port.open(`${this.#instance}/per_cpu/cpu${cpu}/trace_pipe_raw`, "read");
    // A read gives one page, if there is room for it (linux:kernel/trace/trace.c:tracing_buffers_read).
    const reader: CpuReader = { fd, into: new Uint8Array(this.#page.pageSize), stop: () => {} };
    this.#readers.set(cpu, reader);
    this.#poll(reader);
  }

  #poll(reader: CpuReader): void {
    reader.stop = this.#port.poll(
      reader.fd,
      reader.into,
      (bytes) => {
        this.#reader.read(bytes);
        this.#merger.settle();
      },
      (error) => {
        if (error !== undefined) return this.#fail(error);
        // No end: 6.12 and 7.2 give nothing, and no EAGAIN, for an empty ring that has been read before.
        reader.stop = this.#port.after(EMPTY_WAIT_MS, () => this.#poll(reader));
      },
    );
  }

  #watchCpus(): void {
    this.#callOffCpus = this.#port.after(CPU_INTERVAL_MS, () => {
      try {
        for (const cpu of this.#cpus()) if (!this.#readers.has(cpu)) this.#openCpu(cpu);
      } catch (error) {
        this.#lose(undefined, "writes", `a CPU's trace cannot be read: ${problemOf(error)}`);
      }
      this.#watchCpus();
    });
  }

  #lose(count: number | undefined, unit: LossUnit, reason: string): void {
    const sum = this.#losses.get(reason);
    if (sum === undefined) this.#losses.set(reason, { count, unit });
    else sum.count = sum.count === undefined || count === undefined ? undefined : sum.count + count;
    this.#callOffLosses ??= this.#port.after(1000, () => this.#reportLosses());
  }

  #reportLosses(): void {
    this.#callOffLosses?.();
    this.#callOffLosses = undefined;
    for (const [reason, { count, unit }] of this.#losses) this.#sink.onLost(count, unit, reason);
    this.#losses.clear();
  }

  #fail(error: PortError): void {
    if (this.#stopped) return;
    this.stop();
    this.#sink.onEnd(error);
  }

  #undo(): string[] {
    this.#stopped = true;
    this.#callOffCpus?.();
    const problems: string[] = [];
    const attempt = (what: string, action: () => void): void => {
      try {
        action();
      } catch (error) {
        problems.push(`${what}: ${problemOf(error)}`);
      }
    };
    const port = this.#port;
    for (const [cpu, { fd, stop }] of this.#readers) {
      stop();
      attempt(`the trace of CPU ${cpu} cannot be closed`, () => port.close(fd));
    }
    this.#readers.clear();
    problems.push(...this.#removeProbes());
    if (port.removeFolder === undefined) problems.push(`the trace instance ${this.#instance} stays: ${port.name} cannot remove folders`);
    else attempt(`the trace instance ${this.#instance} cannot be removed`, () => port.removeFolder?.(this.#instance));
    return problems;
  }

  #text(path: string): string {
    return readText(this.#port, `${this.#instance}/${path}`) ?? "";
  }

  #write(path: string, text: string): void {
    writeFile(this.#port, `${this.#instance}/${path}`, text, "write");
  }

  /** For what an older kernel may not have, and what works without. */
  #try(path: string, text: string): void {
    try {
      this.#write(path, text);
    } catch (error) {
      if (!(error instanceof PortError)) throw error;
    }
  }
}

function writeFile(port: Port, path: string, text: string, mode: "append" | "write"): void {
  const fd = port.open(path, mode);
  try {
    port.write(fd, encodeLatin1(text));
  } finally {
    port.close(fd);
  }
}

function codeOf(error: unknown): string {
  return error instanceof PortError ? error.code : "EIO";
}

/** Where tracefs may be. */
export const TTY_TRACEFS: readonly string[] = TRACEFS;

/** Whether a recorder has its instance in that tracefs, running or killed. */
export function hasTtyInstance(port: Port, tracefs: string): boolean {
  return readText(port, `${tracefs}/instances/${GROUP}/trace_clock`) !== undefined;
}

/** The folder with `kprobe_events`. @throws PortError that says why there is none. */
function findTracefs(port: Port, folders: readonly string[]): string {
  for (const folder of folders) {
    try {
      port.close(port.open(`${folder}/kprobe_events`, "read"));
      return folder;
    } catch (error) {
      const code = codeOf(error);
      if (code === "EPERM" || code === "EACCES") {
        throw new PortError(
          code,
          `${folder}/kprobe_events may not be opened: it needs root, and a kernel not locked down for confidentiality`,
        );
      }
      if (readText(port, `${folder}/trace_clock`) !== undefined) {
        throw new PortError(code, `${folder} has no kprobe_events: this kernel was built without CONFIG_KPROBE_EVENTS`);
      }
    }
  }
  throw new PortError(
    "ENOENT",
    `no tracefs in ${folders.join(" or ")}: mount it with "mount -t tracefs tracefs ${folders[0] ?? TRACEFS[0]}"`,
  );
}

/** Numbers of a list like `0-3,8`. What is not one is left out. */
export function parseCpuList(text: string): readonly number[] {
  const cpus: number[] = [];
  for (const range of text.trim().split(",")) {
    const match = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(range);
    if (!match) continue;
    const last = Math.min(Number(match[2] ?? match[1]), CPU_LIMIT - 1);
    for (let cpu = Number(match[1]); cpu <= last; cpu++) cpus.push(cpu);
  }
  return cpus;
}
