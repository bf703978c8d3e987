/*
 * The journal, as `journalctl -o export` and `-o json` (and json-seq, json-sse, json-pretty) write it
 * (systemd:docs/JOURNAL_EXPORT_FORMATS.md). What the kernel said is made lines again, as a console shows them.
 */
import { utf8 } from "../../bytes/index.ts";
import { MAX_LINE, type Pull, pullChanged } from "./pieces.ts";
import { JSON_START } from "./recognise.ts";

/** What is taken of an entry. */
interface Entry {
  message?: string;
  transport?: string;
  identifier?: string;
  priority?: string;
  /** Microseconds since boot at which the kernel wrote the record. */
  source?: string;
  /** The same at which the journal received it: later, by seconds at boot. */
  received?: string;
  /** Microseconds since 1970 at which it did. */
  realtime?: string;
  boot?: string;
}

/** Where lines made of a journal's entries begin to be of a boot. */
export interface JournalBoot {
  /** The first line, from 1. */
  readonly line: number;
  /** 32 hex digits; undefined where entries do not say. */
  readonly bootId: string | undefined;
  /** Seconds since 1970 at which its clock began. */
  readonly started: number | undefined;
}

/** A journal of more boots than anybody keeps. */
const MAX_BOOTS = 10_000;

/** Notes the boots of the entries that become lines. */
class BootNotes {
  readonly #boots: JournalBoot[];
  #lines = 0;
  #id: string | undefined;

  constructor(boots: JournalBoot[]) {
    this.#boots = boots;
  }

  /** The entry's lines. */
  take(entry: Entry): string {
    const text = linesOf(entry);
    if (text === "") return text;
    const { boot = "" } = entry;
    const id = /^[0-9a-f]{32}$/.test(boot) ? boot : undefined;
    if ((id !== this.#id || this.#boots.length === 0) && this.#boots.length < MAX_BOOTS) {
      const started = (Number(entry.realtime) - Number(entry.received)) / 1e6;
      this.#boots.push({ line: this.#lines + 1, bootId: id, started: Number.isFinite(started) && started > 0 ? started : undefined });
      this.#id = id;
    }
    for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", at + 1)) this.#lines++;
    return text;
  }
}

const FIELDS: Readonly<Record<string, keyof Entry>> = {
  MESSAGE: "message",
  _TRANSPORT: "transport",
  SYSLOG_IDENTIFIER: "identifier",
  PRIORITY: "priority",
  _SOURCE_MONOTONIC_TIMESTAMP: "source",
  __MONOTONIC_TIMESTAMP: "received",
  __REALTIME_TIMESTAMP: "realtime",
  _BOOT_ID: "boot",
};
const LONGEST_FIELD = 27;

/** The entry as lines of a console; empty where the kernel did not write it. */
function linesOf(entry: Entry): string {
  const { message, transport, identifier } = entry;
  if (message === undefined || !(transport === "kernel" || (transport === undefined && identifier === "kernel"))) return "";
  const usec = Number(entry.source ?? entry.received);
  const level = /^[0-7]$/.test(entry.priority ?? "") ? `<${entry.priority}>` : "";
  const time = Number.isFinite(usec) && usec >= 0 ? `[${(usec / 1e6).toFixed(6).padStart(12)}] ` : "";
  let text = "";
  for (const line of message.split("\n")) text += `${level}${time}${line}\n`;
  return text;
}

/** Kernel lines of `journalctl -o export`. The boots that they are of are added to `boots` as they are pulled. */
export function pullJournalExport(pull: Pull, boots: JournalBoot[] = []): Pull {
  const notes = new BootNotes(boots);
  let entry: Entry = {};
  /** The field whose bytes are being read, after its name and its length. */
  let binary: { name: keyof Entry | undefined; left: number; text: string; header: string } | undefined;
  const flush = (): string => {
    const text = notes.take(entry);
    entry = {};
    return text;
  };
  const next = cutFields(pull);
  // The format is lines but for binary fields: those are taken by length.
  function* texts(): Generator<string> {
    for (;;) {
      if (binary !== undefined) {
        const wanted = binary.header.length < 8 ? 8 - binary.header.length : binary.left;
        const bytes = next.take(Math.min(wanted, MAX_LINE));
        if (bytes === "") break;
        if (binary.header.length < 8) {
          binary.header += bytes;
          if (binary.header.length === 8) binary.left = lengthOf(binary.header);
        } else {
          binary.left -= bytes.length;
          if (binary.name !== undefined && binary.text.length < MAX_LINE) binary.text += bytes;
        }
        if (binary.header.length === 8 && binary.left === 0) {
          if (binary.name !== undefined) entry[binary.name] ??= binary.text;
          binary = undefined;
          // The line feed behind it.
          next.take(1);
        }
        continue;
      }
      const line = next.line();
      if (line === undefined) break;
      if (line === "") {
        const text = flush();
        if (text !== "") yield text;
        continue;
      }
      const equals = line.indexOf("=");
      if (equals === -1) {
        binary = { name: FIELDS[line], left: 0, text: "", header: "" };
        continue;
      }
      if (equals > LONGEST_FIELD) continue;
      const name = FIELDS[line.slice(0, equals)];
      if (name !== undefined) entry[name] ??= line.slice(equals + 1);
    }
    const text = flush();
    if (text !== "") yield text;
  }
  const all = texts();
  return () => {
    let batch = "";
    while (batch.length < 65_536) {
      const { value, done } = all.next();
      if (done === true) break;
      batch += value;
    }
    return batch === "" ? undefined : batch;
  };
}

/** Little-endian, 64 bits; what no field is as long as ends the reading. */
function lengthOf(header: string): number {
  let length = 0;
  for (let i = 7; i >= 0; i--) length = length * 256 + header.charCodeAt(i);
  return length;
}

/** Lines and counted bytes out of one stream. */
function cutFields(pull: Pull): { line: () => string | undefined; take: (count: number) => string } {
  let text = "";
  let at = 0;
  const more = (): boolean => {
    const piece = pull();
    if (piece === undefined) return false;
    text = text.slice(at) + piece;
    at = 0;
    return true;
  };
  return {
    line: () => {
      for (;;) {
        const feed = text.indexOf("\n", at);
        if (feed !== -1 || text.length - at >= MAX_LINE) {
          const end = feed === -1 ? at + MAX_LINE : feed;
          const line = text.slice(at, end);
          at = feed === -1 ? end : feed + 1;
          return line;
        }
        if (!more()) {
          const line = text.slice(at);
          at = text.length;
          return line === "" ? undefined : line;
        }
      }
    },
    take: (count) => {
      if (at >= text.length && !more()) return "";
      const part = text.slice(at, at + count);
      at += part.length;
      return part;
    },
  };
}

/** Kernel lines of `journalctl -o json` and its kin: one object a line, or pretty ones over several; `boots` as there. */
export function pullJournalJson(pull: Pull, boots: JournalBoot[] = []): Pull {
  const notes = new BootNotes(boots);
  let pretty: string[] | undefined;
  let size = 0;
  return pullChanged(pull, (line) => {
    const text = line.replace(JSON_START, "").trimEnd();
    if (text === "{") {
      pretty = [];
      size = 0;
    }
    if (pretty === undefined) return text.startsWith("{") ? notes.take(parseEntry(text)) : "";
    size += text.length;
    if (size <= MAX_LINE) pretty.push(text);
    if (text !== "}") return "";
    const whole = pretty.join("\n");
    pretty = undefined;
    return notes.take(parseEntry(whole));
  });
}

/** An object's fields; none of them where it is cut or is no object. */
function parseEntry(text: string): Entry {
  // Most entries are not the kernel's; to look for two words is cheaper than to parse.
  if (!text.includes('"kernel"')) return {};
  let value: unknown;
  try {
    value = JSON.parse(utf8(text));
  } catch {
    return {};
  }
  if (typeof value !== "object" || value === null) return {};
  const entry: Entry = {};
  for (const [field, name] of Object.entries(FIELDS)) {
    const content = (value as Record<string, unknown>)[field];
    if (typeof content === "string") entry[name] = Buffer.from(content).toString("latin1");
    // Text that is not UTF-8 is an array of bytes; a field given twice an array of texts.
    else if (Array.isArray(content)) entry[name] = contentOf(content);
  }
  return entry;
}

function contentOf(content: readonly unknown[]): string {
  if (typeof content[0] === "string") return Buffer.from(content[0]).toString("latin1");
  return Buffer.from(content.map((byte) => (typeof byte === "number" ? byte : 0))).toString("latin1");
}
