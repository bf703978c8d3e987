import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";

/** Unless more are asked for: each takes 10 MB and more, and memory is what a capture kernel lacks. */
const MOST_THREADS = 3;

/**
 * Threads that wait for work. To start one takes longer than many a dump: they are started before it is known what there is to do, and
 * load their code meanwhile.
 */
export class Helpers {
  readonly #idle: Worker[] = [];
  /** How many were asked for, with the one that calls. */
  readonly threads: number;

  /** @param threads in all, with the one that calls. */
  constructor(threads: number = Math.min(MOST_THREADS, availableParallelism())) {
    this.threads = threads;
    for (let i = 1; i < threads; i++) this.#idle.push(startWorker());
  }

  /** A thread that waits for its start message; a new one where none is left. Whoever takes it gives it back, unless it came to an end. */
  take(): Worker {
    const worker = this.#idle.pop() ?? startWorker();
    worker.ref();
    return worker;
  }

  /** Takes back a thread that is done: it waits for the next part. */
  give(worker: Worker): void {
    worker.removeAllListeners();
    worker.unref();
    this.#idle.push(worker);
  }

  /** Ends those that wait. */
  close(): void {
    for (const worker of this.#idle.splice(0)) void worker.terminate();
  }
}

function startWorker(): Worker {
  // Sources run as they are under test.
  const file = import.meta.url.endsWith(".ts") ? "worker.ts" : "worker.js";
  // It says what it has to say in messages. To pass its streams on, Node would open our own, which takes 4 ms and makes pipes non-blocking.
  const worker = new Worker(new URL(file, import.meta.url), { stdout: true, stderr: true });
  worker.unref();
  return worker;
}
