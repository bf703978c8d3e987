import type { ByteStream } from "./stream.ts";
import { cleanLine, parseHead } from "./head.ts";
import { type JournalBoot, pullJournalExport, pullJournalJson } from "./journal.ts";
import { joinPartsOf } from "./parts.ts";
import { lineCutter, type Pull, pullChanged } from "./pieces.ts";
import { decodeWide, recogniseText, RECOGNISED_HEAD, type TextForm, UNKNOWN_PREFIX } from "./recognise.ts";
import { utf8 } from "../../bytes/index.ts";

/** A text, recognised, as lines that a kernel's console would show. */
export interface KernelText {
  readonly name: string;
  readonly form: TextForm;
  /** What it begins with, as it is, one character a byte. */
  readonly head: string;
  /** The next piece of the lines, one character a byte, cut anywhere; undefined at the end. @throws IO */
  readonly pull: Pull;
  /** Of a journal, the boots of the lines that were pulled. */
  readonly journal: readonly JournalBoot[];
  close(): void;
}

const PIECE = 64 * 1024;

/**
 * Recognises a text and makes lines of it. Memory does not depend on its length, but for pstore's parts, whose order is
 * turned round: those are read as they are when there are more than 16 MiB of them.
 */
export function openKernelText(stream: ByteStream): KernelText {
  const buffer = Buffer.allocUnsafe(PIECE);
  let head = "";
  // A pipe gives what it has.
  for (let ended = false; head.length < RECOGNISED_HEAD && !ended;) {
    const got = stream.read(buffer.subarray(0, RECOGNISED_HEAD - head.length));
    ended = got === 0;
    head += buffer.toString("latin1", 0, got);
  }
  const form = recogniseText(head);
  let first: string | undefined = head === "" ? undefined : head;
  const raw: Pull = () => {
    if (first !== undefined) {
      const piece = first;
      first = undefined;
      return piece;
    }
    const got = stream.read(buffer);
    return got === 0 ? undefined : buffer.toString("latin1", 0, got);
  };
  const journal: JournalBoot[] = [];
  return { name: stream.name, form, head, pull: pullAs(form, raw, journal), journal, close: () => stream.close() };
}

/** A text that is in memory: one character a byte. */
export function kernelTextOf(text: string, name = "memory"): KernelText {
  const form = recogniseText(text.slice(0, RECOGNISED_HEAD));
  let at = 0;
  const raw: Pull = () => {
    const piece = text.slice(at, at + PIECE);
    at += piece.length;
    return piece === "" ? undefined : piece;
  };
  const journal: JournalBoot[] = [];
  return { name, form, head: text.slice(0, RECOGNISED_HEAD), pull: pullAs(form, raw, journal), journal, close: () => {} };
}

function pullAs(form: TextForm, raw: Pull, journal: JournalBoot[]): Pull {
  const { encoding } = form;
  const bytes = encoding === "bytes" ? raw : pullWide(raw, encoding);
  switch (form.kind) {
    case "journal-export":
      return pullJournalExport(bytes, journal);
    case "journal-json":
      return pullJournalJson(bytes, journal);
    case "parts":
      return joinPartsOf(bytes);
    case "kmsg":
      return pullJoined(bytes);
    case "console":
      return form.prefixed ? pullChanged(bytes, (line) => `${withoutPrefix(line)}\n`) : bytes;
  }
}

function withoutPrefix(line: string): string {
  return parseHead(line) === undefined ? line.replace(UNKNOWN_PREFIX, "") : line;
}

function pullWide(raw: Pull, encoding: "utf-16le" | "utf-16be"): Pull {
  let half = "";
  return () => {
    for (;;) {
      const piece = raw();
      if (piece === undefined) return undefined;
      const whole = half + piece;
      half = whole.length % 2 === 0 ? "" : whole.slice(-1);
      const text = decodeWide(whole, encoding);
      if (text !== "") return text;
    }
  };
}

// netconsole sends a record that is longer than a packet in several, each with the record's head and its own place
// (linux:drivers/net/netconsole.c:send_fragmented_body).
const FRAGMENT = /((?:\d+\.[\w.+~-]{1,80},)?\d+,(\d+),\d+,[^;,]{1,32}(?:,caller=[CT]\d+)?),ncfrag=(\d+)\/(\d+);/;

/** Puts the fragments of netconsole's records together. A record of which one was lost is what did arrive. */
function pullJoined(pull: Pull): Pull {
  let open: { id: string; text: string; left: number } | undefined;
  const close = (): string => {
    const text = open === undefined ? "" : `${open.text}\n`;
    open = undefined;
    return text;
  };
  return pullChanged(
    pull,
    (line) => {
      if (open === undefined && !line.includes(",ncfrag=")) return `${line}\n`;
      let text = "";
      let rest = line;
      // Fragments do not end in a line feed, and what receives them may not add one.
      for (let found = FRAGMENT.exec(rest); ; found = FRAGMENT.exec(rest)) {
        const own = found === null ? rest : rest.slice(0, found.index);
        if (open !== undefined && (own !== "" || found === null)) {
          if (own.length <= open.left && !KMSG_START.test(own)) {
            open.text += own;
            open.left -= own.length;
          } else text += `${close()}${own}\n`;
          if (open !== undefined && open.left <= 0) text += close();
        } else if (own !== "") text += `${own}\n`;
        if (found === null) return text;
        const [whole, head, id, offset, total] = found;
        rest = rest.slice(found.index + whole.length);
        if (open === undefined || open.id !== id) {
          text += close();
          open = { id: id!, text: `${head};`, left: Number(total) };
        }
        open.left = Math.min(open.left, Number(total) - Number(offset));
      }
    },
    close,
  );
}

const KMSG_START = /^(?:\d+\.[\w.+~-]{1,80},)?\d+,\d+,\d+,[^;,]{1,32}/;

/** One line of a kernel's log. */
export interface LogLine {
  /** Zero-based. */
  readonly number: number;
  /** Offset of its first byte in the text; in the lines made of it where the text is a journal, parts or fragments. */
  readonly offset: number;
  /** The line as it is, UTF-8 decoded, at most {@link MAX_SHOWN} bytes of it. */
  readonly raw: string;
  /** The kernel's words: without the head, colours, carriage returns and NULs. */
  readonly text: string;
  /** Seconds since boot. */
  readonly time: number | undefined;
  readonly caller: string | undefined;
  readonly level: number | undefined;
  /** Something shows that a kernel wrote it. */
  readonly kernel: boolean;
}

/** printk's records are shorter: what is longer is a program's. */
export const MAX_SHOWN: number = 4096;
// oxlint-disable-next-line no-control-regex
const NOT_ASCII = /[\x80-\xff]/;

/** The lines of a text, one after the other. */
export function* readLines(text: KernelText): Generator<LogLine> {
  const next = lineCutter(text.pull);
  let number = 0;
  let offset = 0;
  for (let line = next(); line !== undefined; line = next()) {
    yield parseLine(line, number++, offset);
    offset += line.length + 1;
  }
}

/** A line of one character a byte, taken apart. */
export function parseLine(line: string, number: number, offset: number): LogLine {
  const shown = line.length > MAX_SHOWN ? line.slice(0, MAX_SHOWN) : line;
  return dissectLine(NOT_ASCII.test(shown) ? utf8(shown) : shown, number, offset);
}

/** A line whose characters are decoded already. */
export function dissectLine(raw: string, number: number, offset: number): LogLine {
  const clean = cleanLine(raw);
  const head = parseHead(clean);
  return {
    number,
    offset,
    raw,
    text: head === undefined ? clean : clean.slice(head.length),
    time: head?.time,
    caller: head?.caller,
    level: head?.level,
    kernel: head !== undefined,
  };
}
