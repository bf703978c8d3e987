import { decodeLatin1, encodeLatin1 } from "../latin1.ts";
import type { Port } from "../port.ts";
import type { FrontendSink, RunningFrontend } from "./frontend.ts";

const PIECE = 65536;
/** What util-linux script(1) puts before and behind a session's output. */
const FIRST = /^Script started on [^\n]*\n/;
const LAST = /\n?\nScript done on [^\n]*\n$/;

/** Takes the output of one session of script(1) from a FIFO. @throws PortError where it cannot be read. */
export function startTypescriptFrontend(port: Port, fifo: string, sink: FrontendSink): RunningFrontend {
  const fd = port.open(fifo, "read-write");
  let begun = false;
  const stop = port.poll(
    fd,
    new Uint8Array(PIECE),
    (bytes) => {
      let text = decodeLatin1(bytes);
      if (!begun) text = text.replace(FIRST, "");
      begun = true;
      text = text.replace(LAST, "\n");
      if (text !== "") sink.text(encodeLatin1(text));
    },
    (error) => sink.ended(error?.message ?? `${fifo} ended`),
  );
  return {
    about: "the output of one command",
    stop: () => {
      stop();
      port.close(fd);
      return [];
    },
  };
}
