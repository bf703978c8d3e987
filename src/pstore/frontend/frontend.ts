import type { RecordTime, RecordType } from "../record.ts";

/** Streams that a recorder keeps; the zone that each goes to has its name, `kmsg` shares the console's. */
export type StreamName = "kmsg" | "console" | "tty" | "pmsg";

/** Frontends by name; `vmcore` makes records and no stream. */
export type FrontendName = StreamName | "vmcore";

export const FRONTEND_NAMES: readonly FrontendName[] = ["kmsg", "console", "tty", "pmsg", "vmcore"];

/** Takes what a frontend finds. It throws nothing. */
export interface FrontendSink {
  /**
   * Text as a ring keeps it.
   *
   * @param bytes valid during the call. @param record the same in the format of /dev/kmsg, where it came from there.
   */
  text(bytes: Uint8Array, record?: Uint8Array): void;
  /** A whole record, such as the log of the kernel that crashed. */
  record(record: FrontendRecord): void;
  /** Something did not arrive. @param count undefined where nobody counted. */
  lost(count: number | undefined, unit: string, reason: string): void;
  /** The frontend ended by itself and has cleaned up. */
  ended(reason: string): void;
}

/** A record as a kernel's dmesg dumper would write it. */
export interface FrontendRecord {
  readonly type: RecordType;
  readonly time: RecordTime;
  readonly text: Uint8Array;
  readonly reason: string;
}

/** A running frontend. */
export interface RunningFrontend {
  /** What it does, in words, for `--check`. */
  readonly about: string;
  /** Hands on what is pending and undoes all that was set up. Returns what could not be undone, in sentences. */
  stop(): readonly string[];
}
