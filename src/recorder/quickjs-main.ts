import * as os from "os";
import * as std from "std";
import { isDumpError } from "../bytes/error.ts";
import { readText } from "../pstore/port.ts";
import { defaultFrontends, parseConfigured, parseRecordConfig } from "../pstore/record-config.ts";
import { type Configured, isCaptureKernel, Recorder, type Status } from "../pstore/recorder.ts";
import { quickjsPort } from "./quickjs-port.ts";

/*
 * `lastwords record` for capture kernels, where Node does not fit:
 *
 *   qjs --module lastwords-record.js [--check] [--config FILE] [--frontend NAME[:WORDS]]... [--backend NAME:WORDS]...
 */

declare const LASTWORDS_VERSION: string;

const CONFIG = "/etc/lastwords/record.conf";
const CONFIG_LIMIT = 1024 * 1024;
const port = quickjsPort();

/** Text that has a character for each byte, as UTF-8 where it is that. */
function decodeUtf8(text: string): string {
  try {
    return decodeURIComponent(text.replace(/[%\x80-\xff]/g, (char) => `%${char.charCodeAt(0).toString(16).padStart(2, "0")}`));
  } catch {
    return text;
  }
}

function say(text: string): void {
  std.err.puts(`lastwords: ${text}\n`);
  std.err.flush();
}

function configured(kind: "frontend" | "backend", text: string): Configured {
  return parseConfigured(kind, text, `--${kind} ${text}`);
}

function main(args: readonly string[]): void {
  const frontends: Configured[] = [];
  const backends: Configured[] = [];
  let banner = true;
  let check = false;
  let file: string | undefined;
  for (let i = 0; i < args.length; i++) {
    const value = (): string => {
      const next = args[++i];
      if (next === undefined) throw new Error(`${args[i - 1]} needs a value`);
      return next;
    };
    switch (args[i]) {
      case "--check":
        check = true;
        break;
      case "--no-banner":
        banner = false;
        break;
      case "--config":
        file = value();
        break;
      case "--frontend":
        frontends.push(configured("frontend", value()));
        break;
      case "--backend":
        backends.push(configured("backend", value()));
        break;
      default:
        throw new Error(`there is no option ${args[i]}`);
    }
  }
  // As on Node: who names a backend does not mean the common file.
  const text = file === undefined && backends.length > 0 ? undefined : readText(port, file ?? CONFIG, CONFIG_LIMIT);
  if (text === undefined && file !== undefined) throw new Error(`${file} cannot be read`);
  if (text !== undefined) {
    const config = parseRecordConfig(decodeUtf8(text), file ?? CONFIG);
    frontends.push(...config.frontends);
    backends.push(...config.backends);
    banner &&= config.banner;
  }
  if (backends.length === 0) throw new Error("no backend is configured: give --backend, or a line in the configuration");
  if (frontends.length === 0) frontends.push(...defaultFrontends(port, isCaptureKernel));
  const last = new Map<string, string>();
  const onStatus = (status: Status): void => {
    // A backend that stays away is reported once, not every time it is tried.
    const line = `${status.kind} ${status.name}: ${status.works ? "" : "NOT RECORDING: "}${status.about}`;
    const key = `${status.kind} ${status.index}`;
    if (last.get(key) !== line) say(line);
    last.set(key, line);
    if (status.kind === "frontend" && !status.works) nothingLeft();
  };
  // Not from within the frontend that ends.
  const nothingLeft = (): void => void port.after(0, () => recorder.alive === 0 && end(1));
  const recorder = new Recorder(port, { frontends, backends, banner, version: LASTWORDS_VERSION, dry: check }, onStatus);
  const end = (code: number): never => {
    for (const problem of recorder.stop()) say(problem);
    std.exit(code);
  };
  if (check) end(recorder.works ? 0 : 1);
  if (recorder.alive === 0) nothingLeft();
  for (const signal of [os.SIGTERM, os.SIGINT]) os.signal(signal, () => end(0));
}

try {
  main(scriptArgs.slice(1));
} catch (error) {
  say(isDumpError(error) || error instanceof Error ? error.message : String(error));
  std.exit(2);
}
