import { flushCompileCache } from "node:module";
import { collectGarbage, withFfi } from "../node/index.ts";
import { nodeStreamsAreOpen } from "./terminal.ts";

/** What Node writes when it ends in its own way: profiles, coverage, traces. */
const WRITES_AT_ITS_END = /-prof\b|--trace-event|--report/;

/**
 * Ends the process with this status, at once. All that was to be written must have been.
 *
 * `process.exit` ends the threads of V8's platform and waits for them. One that compiles may need a garbage collection then, which the main
 * thread no longer does: of 1200 saves on a busy machine two hung for good (Node 26.10, nodejs/node#54918), and in a capture kernel that is
 * a machine that never comes back. The C library's way waits for nobody. Where there is no node:ffi to call it, or Node has
 * something to do at its end, the collection is done before, so that nobody needs one.
 */
export function end(status: number): never {
  const { NODE_OPTIONS = "", NODE_V8_COVERAGE } = process.env;
  if (!nodeStreamsAreOpen() && NODE_V8_COVERAGE === undefined && !WRITES_AT_ITS_END.test([...process.execArgv, NODE_OPTIONS].join(" "))) {
    flushCompileCache();
    withFfi((ffi) => ffi.dlopen(null, { _exit: { arguments: ["i32"], return: "void" } }).functions["_exit"]!(status));
  }
  collectGarbage();
  process.exit(status);
}
