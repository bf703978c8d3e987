import * as std from "std";
import { encodeLatin1 } from "../../src/bytes/latin1.ts";
import { quickjsPort } from "../../src/recorder/quickjs-port.ts";
import { checkPort } from "./port-conformance.ts";

/* The conformance program on QuickJS: `qjs --module BUNDLE FOLDER` writes the results to FOLDER/results.json. */

declare const scriptArgs: readonly string[];

const folder = scriptArgs[1] ?? ".";
const port = quickjsPort();
void checkPort(port, folder).then((results) => {
  const fd = port.open(`${folder}/results.json`, "create");
  // One character a byte: whatever is not ASCII is escaped.
  const text = JSON.stringify(results).replaceAll(/[^ -~]/g, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`);
  port.write(fd, encodeLatin1(text));
  port.close(fd);
  std.exit(0);
});
