import { DumpError } from "../../bytes/index.ts";
import type { Port } from "../port.ts";
import { parseAmount } from "../spec.ts";
import { FRONTEND_NAMES, type FrontendName, type FrontendSink, type RunningFrontend } from "./frontend.ts";
import { startKmsgFrontend } from "./kmsg.ts";
import { startPmsgFrontend } from "./pmsg.ts";
import { hasTtyInstance, startTtyFrontend, TTY_TRACEFS } from "./tty.ts";
import { ttyNameOffset } from "./tty-name.ts";
import { startTypescriptFrontend } from "./typescript.ts";
import { startVmcoreFrontend } from "./vmcore.ts";

/** Words that each frontend takes. */
const WORDS: Readonly<Record<FrontendName, readonly string[]>> = {
  kmsg: ["since", "path"],
  console: ["since", "path"],
  tty: ["tracefs", "buffer", "input", "typescript"],
  pmsg: ["fifo", "socket"],
  vmcore: ["path"],
};

/**
 * Starts the frontend of that name.
 *
 * @param check only to see whether it works: what a running recorder has is left alone.
 * @throws BAD_ARGUMENT for a name or word that there is not, PortError or DumpError where the system does not let it.
 */
export function startFrontend(
  port: Port,
  name: string,
  words: ReadonlyMap<string, string>,
  sink: FrontendSink,
  check = false,
): RunningFrontend {
  if (!FRONTEND_NAMES.includes(name as FrontendName)) {
    throw new DumpError("BAD_ARGUMENT", `there is no frontend ${name}; there are ${FRONTEND_NAMES.join(", ")}`);
  }
  const known = WORDS[name as FrontendName];
  for (const word of words.keys()) {
    if (!known.includes(word)) throw new DumpError("BAD_ARGUMENT", `frontend ${name} has no '${word}='; it has ${known.join(", ")}`);
  }
  switch (name as FrontendName) {
    case "kmsg":
    case "console":
      return startKmsgFrontend(
        port,
        { console: name === "console", fromNow: choice(words, "since", "boot", "now") === "now", ...given("path", words.get("path")) },
        sink,
      );
    case "pmsg":
      return startPmsgFrontend(
        port,
        { fifo: words.get("fifo") ?? "/run/lastwords/pmsg", socket: words.get("socket") ?? "/run/lastwords/pmsg.socket", check },
        sink,
      );
    case "vmcore":
      return startVmcoreFrontend(port, sink, words.get("path"));
    case "tty":
      return startTty(port, words, sink, check);
  }
}

function startTty(port: Port, words: ReadonlyMap<string, string>, sink: FrontendSink, check: boolean): RunningFrontend {
  const typescript = words.get("typescript");
  if (typescript !== undefined) return startTypescriptFrontend(port, typescript, sink);
  const masters = choice(words, "input", "no", "yes") === "yes";
  const tracefs = words.get("tracefs");
  const buffer = parseAmount("buffer", words.get("buffer") ?? "1M");
  // To try it would end what a running recorder has set up; one that was killed left it so, and the next takes it over.
  const instance = check && (tracefs === undefined ? TTY_TRACEFS : [tracefs]).find((one) => hasTtyInstance(port, one));
  if (typeof instance === "string") return { about: `not tried: a recorder has the trace instance in ${instance} already`, stop: () => [] };
  const running = startTtyFrontend(
    port,
    {
      masters,
      bufferKiB: Math.ceil(buffer / 1024),
      ...(tracefs === undefined ? {} : { tracefs: [tracefs] }),
      // Who wants it all need not tell ttys apart, and to find out how takes megabytes that a capture kernel has not.
      ...(masters ? {} : { nameOffset: () => ttyNameOffset(port) }),
    },
    {
      onBytes: (bytes) => sink.text(bytes),
      onLost: (count, unit, reason) => sink.lost(count, unit, reason),
      onEnd: (error) => sink.ended(error.message),
    },
  );
  const parts = ["every write to a tty"];
  if (running.fetch === "string") parts.push("up to its first NUL");
  // What is typed into a terminal window goes through a tty too, passwords included.
  if (masters) parts.push("and what is typed into pseudo-terminals");
  else if (!running.named) parts.push("and, since this kernel does not tell ttys apart, what is typed into pseudo-terminals");
  return { about: parts.join(", "), stop: () => running.stop() };
}

function choice<A extends string, B extends string>(words: ReadonlyMap<string, string>, word: string, first: A, second: B): A | B {
  const value = words.get(word) ?? first;
  if (value === first || value === second) return value as A | B;
  throw new DumpError("BAD_ARGUMENT", `${word}=${value}: ${first} or ${second} is wanted`);
}

function given<K extends string>(key: K, value: string | undefined): Partial<Record<K, string>> {
  return value === undefined ? {} : ({ [key]: value } as Record<K, string>);
}
