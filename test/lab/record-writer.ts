import * as std from "std";
import { encodeLatin1 } from "../../src/bytes/latin1.ts";
import { openBackend } from "../../src/pstore/backend/open.ts";
import { readText } from "../../src/pstore/port.ts";
import { parseConfigured } from "../../src/pstore/record-config.ts";
import { quickjsPort } from "../../src/recorder/quickjs-port.ts";

/*
 * Stores dmesg records through the recorder's backends, on QuickJS: `qjs --module BUNDLE SECONDS REASON FILE BACKEND...`. In life they
 * come from a capture kernel's vmcore frontend.
 */

declare const scriptArgs: readonly string[];

const [, seconds, reason, file, ...backends] = scriptArgs;
const port = quickjsPort();
const text = encodeLatin1(readText(port, file!, 2 ** 20)!);
for (const spec of backends) {
  const { name, words } = parseConfigured("backend", spec);
  const backend = openBackend(port, name, new Map([...words].filter(([word]) => word !== "frontends")), new Set());
  backend.writeRecord!({ type: "dmesg", time: { seconds: Number(seconds), nanoseconds: 123_000_000 }, text, reason: reason! });
  backend.close();
}
std.exit(0);
