import { DumpError, decodeLatin1, encodeLatin1 } from "../../bytes/index.ts";
import type { FrontendRecord, StreamName } from "../frontend/frontend.ts";
import { type Port, PortError } from "../port.ts";
import { parseAmount } from "../spec.ts";
import { type Backend, refuseOtherWords } from "./backend.ts";

/** Where netconsole sends to unless told (linux:Documentation/networking/netconsole.rst). */
const DEFAULT_PORT = 6666;
/** Bytes of a datagram (linux:drivers/net/netconsole.c:MAX_PRINT_CHUNK). */
const MAX_CHUNK = 1000;
/** Facility user, level informational: what programs' text counts as. */
const USER_INFO = 14;
/** A line without end is sent in pieces of this. */
const LONGEST_LINE = 8192;

/**
 * Sends everything as netconsole does in its extended format: one message a datagram, `PRIORITY,SEQUENCE,MICROSECONDS,FLAGS;TEXT`, in
 * fragments with `,ncfrag=OFFSET/LENGTH` where it is longer than 1000 bytes (linux:drivers/net/netconsole.c:send_ext_msg_udp).
 * The kernel's messages go as they are; lines of ttys and programs get numbers of their own and the stream's name before the text.
 *
 * @throws PortError where there are no sockets (QuickJS), BAD_ARGUMENT without a host.
 */
export function openUdp(port: Port, words: ReadonlyMap<string, string>, streams: ReadonlySet<StreamName>): Backend {
  refuseOtherWords("udp", words, ["host", "port"]);
  const host = words.get("host");
  if (host === undefined) throw new DumpError("BAD_ARGUMENT", "a udp backend needs host=, and port= where it is not 6666");
  const to = parseAmount("port", words.get("port") ?? String(DEFAULT_PORT));
  if (to < 1 || to > 65535) throw new DumpError("BAD_ARGUMENT", `port=${to}: 1 to 65535 is wanted`);
  if (!port.datagrams) throw new PortError("ENOSYS", `${port.name} has no sockets: a udp backend works on Node only`);
  let failure: PortError | undefined;
  let failed = 0;
  const socket = port.datagrams(host, to, (error) => {
    failure = error;
    failed++;
  });
  const rests = new Map<StreamName, string>();
  let sequence = 0;
  const sendMessage = (message: string): void => {
    for (const datagram of fragments(message)) socket.send(encodeLatin1(datagram));
  };
  const sendLine = (label: string, line: string): void => {
    const { seconds, nanoseconds } = port.clock();
    const micros = seconds * 1e6 + Math.floor(nanoseconds / 1000);
    // oxlint-disable-next-line no-control-regex
    const text = line.replace(/[\0-\x1f\\\x7f-\xff]/g, (char) => `\\x${char.charCodeAt(0).toString(16).padStart(2, "0")}`);
    sendMessage(`${USER_INFO},${sequence++},${micros},-;${label}: ${text}\n`);
  };
  return {
    about: `datagrams to ${host} port ${to}, netconsole's extended format`,
    eachRecord: true,
    accepts: (stream) => !(stream === "console" && streams.has("kmsg")),
    write(stream, bytes, record) {
      // An error arrives later than the call that it is about; it ends what comes next.
      if (failure) throw new PortError(failure.code, `${failure.message}; ${failed} datagrams before did not go out`);
      if (record) return sendMessage(decodeLatin1(record));
      const lines = ((rests.get(stream) ?? "") + decodeLatin1(bytes)).split("\n");
      let rest = lines.pop()!;
      for (const line of lines) sendLine(stream, line.replace(/\r$/, ""));
      for (; rest.length > LONGEST_LINE; rest = rest.slice(LONGEST_LINE)) sendLine(stream, rest.slice(0, LONGEST_LINE));
      rests.set(stream, rest);
    },
    writeRecord({ text }: FrontendRecord) {
      for (const line of decodeLatin1(text).split("\n")) if (line !== "") sendLine("vmcore", line);
    },
    close() {
      for (const [stream, rest] of rests) if (rest !== "" && !failure) sendLine(stream, rest);
      socket.close();
    },
  };
}

/** A message as netconsole cuts it: the header in each fragment, so that each can be read alone. */
export function fragments(message: string): string[] {
  const semicolon = message.indexOf(";");
  if (message.length <= MAX_CHUNK || semicolon < 0) return [message];
  const header = message.slice(0, semicolon);
  const body = message.slice(semicolon + 1);
  const pieces: string[] = [];
  for (let at = 0; at < body.length;) {
    const whole = `${header},ncfrag=${at}/${body.length};`;
    // Of a header that leaves no room the kernel makes nothing at all; its beginning is better than that.
    if (whole.length >= MAX_CHUNK) return [message.slice(0, MAX_CHUNK)];
    const piece = body.slice(at, at + MAX_CHUNK - whole.length);
    pieces.push(whole + piece);
    at += piece.length;
  }
  return pieces;
}
