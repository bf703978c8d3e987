import { closeSync, openSync, writeSync } from "node:fs";
import { isMainThread, parentPort } from "node:worker_threads";
import { type DumpFile, openDump, reason } from "../../format/index.ts";
import { type Chunk, ChunkWorker, type PageSink } from "./chunk.ts";
import type { SaveCodec } from "./compress.ts";

/*
 * One thread of `save`. It opens the dump for itself, takes chunk after chunk from the shared table, and writes to the file itself: only
 * counters and problems go back.
 */

/** What a worker starts with. Buffers are shared. */
export interface WorkerStart {
  readonly paths: readonly string[];
  readonly rawBase: number | undefined;
  /** File to write to; undefined where data go to the main thread. */
  readonly output: string | undefined;
  readonly codec: SaveCodec;
  readonly pageSize: number;
  readonly kept: SharedArrayBuffer;
  readonly base: number;
  readonly descriptorsAt: number;
  readonly zeroPageAt: number;
  readonly shared: SharedState;
}

/** What threads share besides the bitmap. */
export interface SharedState {
  /** from, to and rank of each chunk, as doubles. */
  readonly chunks: SharedArrayBuffer;
  /** 32-bit counters, see {@link CONTROL}. */
  readonly control: SharedArrayBuffer;
  /** One 64-bit number: where the next data go. */
  readonly end: SharedArrayBuffer;
}

/** Indexes of the shared counters: the next chunk, whether to stop, sums, and bytes on their way to the main thread. */
export const CONTROL: Readonly<Record<"next" | "stop" | "pages" | "zeros" | "unreadable" | "inFlight", number>> = {
  next: 0,
  stop: 1,
  pages: 2,
  zeros: 3,
  unreadable: 4,
  inFlight: 5,
};

/** What a worker says at its end. */
export type WorkerEnd =
  | { readonly kind: "done"; readonly problem: string | undefined }
  | { readonly kind: "failed"; readonly during: "opening" | "writing"; readonly message: string; readonly code: string | undefined }
  | { readonly kind: "data"; readonly offset: number; readonly bytes: Uint8Array };

/** Takes room in the file from the counter that all threads share. */
export function allocator(end: SharedArrayBuffer): (length: number) => number {
  const next = new BigInt64Array(end);
  return (length) => Number(Atomics.add(next, 0, BigInt(length)));
}

function fileSink(fd: number, end: SharedArrayBuffer): PageSink {
  return {
    allocate: allocator(end),
    write(offset, bytes) {
      for (let done = 0; done < bytes.length;) done += writeSync(fd, bytes, done, bytes.length - done, offset + done);
    },
  };
}

/** Bytes on their way to the main thread at most: its output may be slow, and a message has no other bound. */
const MOST_IN_FLIGHT = 8 * 1024 * 1024;

/** Sends everything to the main thread, and waits when that has enough. */
function messageSink(say: (message: WorkerEnd) => void, shared: SharedState): PageSink {
  const control = new Int32Array(shared.control);
  return {
    allocate: allocator(shared.end),
    write(offset, bytes) {
      for (;;) {
        const inFlight = Atomics.load(control, CONTROL.inFlight);
        if (inFlight <= MOST_IN_FLIGHT || Atomics.load(control, CONTROL.stop) !== 0) break;
        Atomics.wait(control, CONTROL.inFlight, inFlight, 1000);
      }
      Atomics.add(control, CONTROL.inFlight, bytes.length);
      // The buffer is used again before the message has arrived.
      say({ kind: "data", offset, bytes: bytes.slice() });
    },
  };
}

/** Stores chunks until there are no more, or another thread has failed. Yields after each. */
export function* storeChunks(worker: ChunkWorker, shared: SharedState, problems: string[]): Iterable<Chunk> {
  const control = new Int32Array(shared.control);
  const chunks = new Float64Array(shared.chunks);
  for (;;) {
    if (Atomics.load(control, CONTROL.stop) !== 0) return;
    const index = Atomics.add(control, CONTROL.next, 1) * 3;
    if (index >= chunks.length) return;
    const chunk: Chunk = { from: chunks[index]!, to: chunks[index + 1]!, rank: chunks[index + 2]! };
    const result = worker.store(chunk);
    Atomics.add(control, CONTROL.pages, result.pages);
    Atomics.add(control, CONTROL.zeros, result.zeros);
    Atomics.add(control, CONTROL.unreadable, result.unreadable);
    if (result.firstProblem !== undefined && problems.length === 0) problems.push(result.firstProblem);
    yield chunk;
  }
}

function storeInFile(dump: DumpFile, start: WorkerStart, path: string): string[] {
  const fd = openSync(path, "r+");
  try {
    return store(dump, start, fileSink(fd, start.shared.end));
  } finally {
    closeSync(fd);
  }
}

/** Stores this thread's share; answers what could not be read. */
function store(dump: DumpFile, start: WorkerStart, sink: PageSink): string[] {
  const worker = new ChunkWorker(dump, { ...start, kept: new Uint8Array(start.kept) }, sink);
  const problems: string[] = [];
  for (const _ of storeChunks(worker, start.shared, problems));
  return problems;
}

async function main(start: WorkerStart): Promise<void> {
  const { shared } = start;
  const say = (message: WorkerEnd): void => parentPort!.postMessage(message);
  let during: "opening" | "writing" = "opening";
  try {
    const { dump } = await openDump(start.paths, start.rawBase === undefined ? {} : { rawBase: start.rawBase });
    try {
      during = "writing";
      const problems = start.output === undefined ? store(dump, start, messageSink(say, shared)) : storeInFile(dump, start, start.output);
      say({ kind: "done", problem: problems[0] });
    } finally {
      dump.close();
    }
  } catch (error) {
    // The others need not go on.
    Atomics.store(new Int32Array(shared.control), CONTROL.stop, 1);
    const { code } = error as NodeJS.ErrnoException;
    say({ kind: "failed", during, message: reason(error), code });
  }
}

// The start comes later than the thread: until then it loads what it needs. It waits for another one when it is done: to end takes a
// thread a while, and there may be a next window.
if (!isMainThread) parentPort!.on("message", (start: WorkerStart) => void main(start));
