import { encodeLatin1 } from "../latin1.ts";
import { type Port, PortError, readText } from "../port.ts";
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
  const match = /^(\d{1,10}),(\d{1,16}),(\d{1,16}),[^;]*?(?:,caller=([TC]\d{1,10}))?(?:,[^;]*)?;([^\n]*)/.exec(record);
  if (!match) return undefined;
  const priority = Number(match[1]);
  return {
    facility: Math.floor(priority / 8),
    level: priority % 8,
    seq: Number(match[2]),
    microseconds: Number(match[3]),
    caller: match[4],
    text: match[5]!.replace(/\\x([0-9a-f]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16))),
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
  const uptime = Number((readText(port, "/proc/uptime") ?? "0").split(" ")[0]) * 1e6;
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
  const stop = port.poll(
    fd,
    new Uint8Array(LARGEST),
    (bytes) => {
      let raw = "";
      for (const byte of bytes) raw += String.fromCharCode(byte);
      const record = parseKmsg(raw);
      if (!record) return sink.lost(1, "messages", `${path} gave a record that is none`);
      if (next >= 0 && record.seq > next) sink.lost(record.seq - next, "messages", "the kernel's log buffer overran");
      next = record.seq + 1;
      if (options.fromNow && record.microseconds < uptime) return;
      if (passes(record)) sink.text(encodeLatin1(consoleText(record, withTime)), bytes);
    },
    (error) => {
      port.close(fd);
      sink.ended(error?.message ?? `${path} ended`);
    },
    // What was overwritten before we came to it is counted by the sequence numbers.
    (error) => error.code === "EPIPE",
  );
  return {
    about: options.console ? `messages below console log level ${consoleLevel(port)}` : "all messages of the kernel",
    stop: () => {
      stop();
      try {
        port.close(fd);
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
  const level = Number((readText(port, "/proc/sys/kernel/printk") ?? "").trim().split(/\s+/)[0]);
  return Number.isInteger(level) && level > 0 ? level : Number.POSITIVE_INFINITY;
}
