/**
 * The process that collectors run in, so that one which hangs or dies can be killed: imports modules one after the other, lets them
 * register, collects. Started by `collectors.ts`, which also keeps the time.
 */
import { pathToFileURL } from "node:url";
import { type CollectorTask, writeFrame } from "./collector-frame.ts";
import { allocateData, noteSize } from "./note.ts";
import { DeviceDumps, reasonOf, tooMuch } from "./registry.ts";

const task = JSON.parse(process.argv[2]!) as CollectorTask;
let left = task.budget;

let onIdle: (error: Error) => void = () => {};
process.on("beforeExit", () => {
  onIdle(new Error("it waits for something that will not happen"));
  setImmediate(() => {}); // or else Node ends before the next one has begun
});

/** Awaits what a collector gave; rejects when nothing is left in this process that could ever settle it. */
async function settled<T>(work: T | Promise<T>): Promise<T> {
  const idle = new Promise<never>((_resolve, reject) => {
    onIdle = reject;
  });
  return await Promise.race([work, idle]);
}

for (const [module, path] of task.modules.entries()) {
  writeFrame({ type: "registering", module });
  const dumps = new DeviceDumps(task.pageSize);
  try {
    const { register } = (await settled(import(pathToFileURL(path).href))) as { register?: (dumps: DeviceDumps) => void | Promise<void> };
    if (typeof register !== "function") throw new TypeError("it does not export a function register(dumps)");
    await settled(register(dumps));
  } catch (error) {
    writeFrame({ type: "unregistered", module, reason: reasonOf(error) });
    // What it had registered by then is still asked for: it may be all that there is.
  }
  for (const [dump, request] of dumps.requests.entries()) {
    if (module === 0 && dump < task.skip) continue;
    const { name, size } = request;
    writeFrame({ type: "collecting", module, dump, name });
    try {
      const length = noteSize(size, task.pageSize);
      if (length > left) throw tooMuch(length, left);
      const data = allocateData(size, task.pageSize);
      await settled(request.collect(data));
      left -= length;
      writeFrame({ type: "collected", name }, data);
    } catch (error) {
      writeFrame({ type: "lost", name, reason: reasonOf(error) });
    }
  }
}
writeFrame({ type: "done" });
// A collector may have left timers and sockets behind.
process.exit(0);
