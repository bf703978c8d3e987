import { type Port, PortError, problemOf } from "../port.ts";
import { drain } from "./drain.ts";
import type { FrontendSink, RunningFrontend } from "./frontend.ts";

function isThere(port: Port, path: string): boolean {
  try {
    port.close(port.open(path, "read"));
    return true;
  } catch (error) {
    if (!(error instanceof PortError)) throw error;
    return false;
  }
}

/** Where programs write to. */
export interface PmsgOptions {
  readonly fifo: string;
  /** Unix stream socket; left out where the system cannot. */
  readonly socket: string;
  /** Only to see whether it works: nothing is taken from a recorder that runs, neither text nor its FIFO. */
  readonly check?: boolean;
}

const PIECE = 65536;

/**
 * A FIFO, and where the port has them a Unix socket, that every program may write messages to: what /dev/pmsg0 is on kernels that
 * have it. Opened for reading and writing, the FIFO does not end when its last writer closes it.
 *
 * @throws PortError where neither can be had.
 */
export function startPmsgFrontend(port: Port, { fifo, socket, check = false }: PmsgOptions, sink: FrontendSink): RunningFrontend {
  const stops: (() => void)[] = [];
  const places: string[] = [];
  const problems: string[] = [];
  const folder = (path: string): void => {
    const slash = path.lastIndexOf("/");
    if (slash > 0) port.makeFolder(path.slice(0, slash));
  };
  try {
    folder(fifo);
    const was = check && isThere(port, fifo);
    port.makeFifo?.(fifo);
    const fd = port.open(fifo, "read-write");
    const into = new Uint8Array(PIECE);
    const text = (bytes: Uint8Array): void => sink.text(bytes);
    const stop = check
      ? undefined
      : port.poll(fd, into, text, (error) => {
          const problem = error?.message ?? `${fifo} ended`;
          if (places.length > 1) sink.lost(undefined, "messages", problem);
          else sink.ended(problem);
        });
    places.push(fifo);
    stops.push(() => {
      stop?.();
      if (!check) drain(port, fd, into, text);
      port.close(fd);
      if (!was) port.remove(fifo);
    });
  } catch (error) {
    if (!(error instanceof PortError)) throw error;
    problems.push(error.message);
  }
  if (port.listen) {
    try {
      folder(socket);
      const end = port.listen(
        socket,
        (bytes) => sink.text(bytes),
        (error) => sink.lost(undefined, "messages", error.message),
      );
      places.push(socket);
      stops.push(end);
    } catch (error) {
      if (!(error instanceof PortError)) throw error;
      problems.push(error.message);
    }
  }
  if (places.length === 0) throw new PortError("ENODEV", problems.join("; "));
  return {
    about: `what programs write to ${places.join(" and ")}${problems.length > 0 ? ` (${problems.join("; ")})` : ""}`,
    stop: () => {
      const left: string[] = [];
      for (const stop of stops) {
        try {
          stop();
        } catch (error) {
          left.push(problemOf(error));
        }
      }
      return left;
    },
  };
}
