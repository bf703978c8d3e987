import { decodeLatin1, encodeLatin1 } from "../../bytes/index.ts";
import { type Port, PortError, readText } from "../port.ts";
import { drain } from "./drain.ts";
import type { FrontendSink, RunningFrontend } from "./frontend.ts";

/*
 * The kernel's log through /dev/kmsg (linux:Documentation/ABI/testing/dev-kmsg). One read gives one record:
 *
 *   PRIORITY,SEQUENCE,MICROSECONDS,FLAGS[,caller=T1];TEXT\n[ KEY=VALUE\n ...]
 *
 * TEXT has bytes that are not printable as \xHH, line ends among them.
 */

/** One record of /dev/kmsg. */
export interface KmsgRecord {
  readonly facility: number;
  /** 0 to 7. */
  readonly level: number;
  readonly seq: number;
  readonly microseconds: number;
  /** `T1` or `C0`, where the kernel was built with PRINTK_CALLER. */
  readonly caller: string | undefined;
  /** Decoded: one character a byte. */
  readonly text: string;
}

/** Parses a record; undefined where it is none. */
export function parseKmsg(record: string): KmsgRecord | undefined {
  const semicolon = record.indexOf(";");
  if (semicolon < 0) return undefined;
  const [priority, seq, microseconds, ...rest] = record.slice(0, semicolon).split(",");
  if (!/^\d{1,10}$/.test(priority!) || !/^\d{1,16}$/.test(seq ?? "") || !/^\d{1,16}$/.test(microseconds ?? "")) return undefined;
  if (!Number.isSafeInteger(Number(seq)) || !Number.isSafeInteger(Number(microseconds))) return undefined;
  const end = record.indexOf("\n", semicolon);
  const text = record.slice(semicolon + 1, end < 0 ? record.length : end);
  return {
    facility: Math.floor(Number(priority) / 8),
    level: Number(priority) % 8,
    seq: Number(seq),
    microseconds: Number(microseconds),
    caller: rest.find((field) => /^caller=[TC]\d{1,10}$/.test(field))?.slice("caller=".length),
    text: text.replace(/\\x([0-9a-f]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16))),
  };
}

/**
 * A record as the kernel's consoles print it, which is what its own pstore keeps: the same prefix before each line
 * (linux:kernel/printk/printk.c:record_print_text, print_time, print_caller).
 *
 * @param withTime the kernel's parameter printk.time.
 */
export function consoleText({ microseconds, caller, text }: KmsgRecord, withTime: boolean): string {
  let prefix = "";
  if (withTime) {
    const seconds = Math.floor(microseconds / 1e6);
    prefix += `[${String(seconds).padStart(5)}.${String(microseconds - seconds * 1e6).padStart(6, "0")}]`;
  }
  if (caller !== undefined) prefix += `[${caller.padStart(6)}]`;
  if (prefix !== "") prefix += " ";
  return `${prefix}${text.replaceAll("\n", `\n${prefix}`)}\n`;
}

/** How the frontend is set up. */
export interface KmsgOptions {
  /** Only what the console log level lets through. */
  readonly console: boolean;
  /** Only messages from now on; otherwise all that the kernel still has, from its boot. */
  readonly fromNow: boolean;
  readonly path?: string;
}

/** Largest record: 1024 bytes of text escaped fourfold, and its dictionary (linux:kernel/printk/internal.h:PRINTK_MESSAGE_MAX). */
const LARGEST = 8192;
/** How often the log level is looked up, in ms: it may change while we run. */
const LEVEL_AGE = 1000;

/**
 * Starts to read the kernel's log.
 *
 * @throws PortError where /dev/kmsg cannot be read.
 */
export function startKmsgFrontend(port: Port, options: KmsgOptions, sink: FrontendSink): RunningFrontend {
  const path = options.path ?? "/dev/kmsg";
  const fd = port.open(path, "read");
  const withTime = (readText(port, "/sys/module/printk/parameters/time") ?? "Y").trim() !== "N";
  let levelRead = Number.NEGATIVE_INFINITY;
  let level = Number.POSITIVE_INFINITY;
  const passes = (record: KmsgRecord): boolean => {
    if (!options.console) return true;
    const { seconds, nanoseconds } = port.clock();
    const now = seconds * 1000 + nanoseconds / 1e6;
    // A clock that was set back must not stop the looking up.
    if (Math.abs(now - levelRead) > LEVEL_AGE) {
      levelRead = now;
      level = consoleLevel(port);
    }
    return record.level < level;
  };
  let next = -1;
  let open = true;
  const close = (): void => {
    // Once: the number may be another file's by now.
    if (open) port.close(fd);
    open = false;
  };
  const into = new Uint8Array(LARGEST);
  // What was overwritten before we came to it is counted by the sequence numbers.
  const isPassing = (error: PortError): boolean => error.code === "EPIPE";
  const take =
    (old: boolean) =>
    (bytes: Uint8Array): void => {
      const record = parseKmsg(decodeLatin1(bytes));
      if (!record) return sink.lost(1, "messages", `${path} gave a record that is none`);
      if (!old && next >= 0 && record.seq > next) sink.lost(record.seq - next, "messages", "the kernel's log buffer overran");
      next = record.seq + 1;
      if (!old && passes(record)) sink.text(encodeLatin1(consoleText(record, withTime)), bytes);
    };
  // By their times old messages cannot be told: the kernel's log does not count while the machine sleeps, other clocks do.
  if (options.fromNow) drain(port, fd, into, take(true), isPassing);
  const stop = port.poll(
    fd,
    into,
    take(false),
    (error) => {
      close();
      sink.ended(error?.message ?? `${path} ended`);
    },
    isPassing,
  );
  return {
    about:
      options.console && Number.isFinite(consoleLevel(port))
        ? `messages below console log level ${consoleLevel(port)}`
        : "all messages of the kernel",
    stop: () => {
      stop();
      try {
        if (open) drain(port, fd, into, take(false), isPassing);
        close();
      } catch (error) {
        if (!(error instanceof PortError)) throw error;
      }
      return [];
    },
  };
}

/** Messages below this level go to consoles (linux:kernel/printk/printk.c:suppress_message_printing). */
export function consoleLevel(port: Port): number {
  const ignore = readText(port, "/sys/module/printk/parameters/ignore_loglevel");
  if (ignore?.trim() === "Y") return Number.POSITIVE_INFINITY;
  const level = /^\d+/.exec(readText(port, "/proc/sys/kernel/printk") ?? "");
  return level ? Number(level[0]) : Number.POSITIVE_INFINITY;
}
