import { decodeLatin1, encodeLatin1 } from "../../bytes/index.ts";
import type { Port } from "../port.ts";
import { drain } from "./drain.ts";
import type { FrontendSink, RunningFrontend } from "./frontend.ts";

const PIECE = 65536;
/** What util-linux script(1) puts before and behind a session's output, also with -q. */
const FIRST = "Script started on ";
const LAST_OPENING = "\nScript done on ";
const LAST = /\nScript done on [^\n]*\n$/;
/** Longer than such a line. */
const LONGEST = 1024;
/** A write that was begun is whole after this. */
const WHOLE_LINE_MS = 50;

/** Takes the output of one session of script(1) from a FIFO. @throws PortError where it cannot be read. */
export function startTypescriptFrontend(port: Port, fifo: string, sink: FrontendSink): RunningFrontend {
  const fd = port.open(fifo, "read-write");
  const into = new Uint8Array(PIECE);
  let begun = false;
  // What may be the first line, or the last, waits until it is whole.
  let held = "";
  const say = (text: string): void => {
    if (text !== "") sink.text(encodeLatin1(text));
  };
  let callOff: (() => void) | undefined;
  const letGo = (): void => {
    callOff = undefined;
    say(held);
    held = "";
  };
  const take = (bytes: Uint8Array): void => {
    held += decodeLatin1(bytes);
    if (!begun) {
      const isFirst = held.startsWith(FIRST.slice(0, held.length));
      const end = held.indexOf("\n");
      if (isFirst && end < 0 && held.length < LONGEST) return;
      begun = true;
      if (isFirst && end >= 0) held = held.slice(end + 1);
    }
    const last = lastLine(held);
    say(held.slice(0, last));
    held = held.slice(last);
    callOff?.();
    callOff = undefined;
    // script(1) writes its last line at once: a line end that stays alone is the command's, and is not kept back.
    if (held !== "" && LAST_OPENING.startsWith(held)) callOff = port.after(WHOLE_LINE_MS, letGo);
  };
  const stop = port.poll(fd, into, take, (error) => sink.ended(error?.message ?? `${fifo} ended`));
  return {
    about: "the output of one command",
    stop: () => {
      stop();
      callOff?.();
      drain(port, fd, into, take);
      callOff?.();
      say(held.replace(LAST, ""));
      held = "";
      port.close(fd);
      return [];
    },
  };
}

/** Where the last line of script(1) begins, or what may become one; the text's length where there is none. */
function lastLine(text: string): number {
  // Its own line end may be there already, and would do alone: the first place that does is meant.
  let found = text.length;
  for (let at = text.length; at > 0 && text.length - at <= LONGEST;) {
    at = text.lastIndexOf("\n", at - 1);
    if (at < 0) break;
    const rest = text.slice(at);
    const end = rest.indexOf("\n", 1);
    const opens = LAST_OPENING.startsWith(rest) || rest.startsWith(LAST_OPENING);
    if (opens && (end < 0 || end === rest.length - 1)) found = at;
  }
  return found;
}
