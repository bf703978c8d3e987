import { writeSync } from "node:fs";
import { DumpError } from "../../bytes/index.ts";

/*
 * What a collector's process tells the one that started it, on a descriptor of its own: u32 length of the JSON, u32 length of the
 * payload (both little endian), JSON, payload. Written synchronously, so that a dump is out before the next collector may hang.
 */

/** Descriptor in the collector's process; 1 and 2 belong to what the collectors print. */
export const FRAME_FD = 3;
const HEAD_SIZE = 8;
const MAX_JSON = 64 * 1024;

/** Step by step, so that it is known who hung. `module` counts the modules given, `dump` the dumps that one registered. */
export type CollectorMessage =
  | { readonly type: "registering"; readonly module: number }
  | { readonly type: "unregistered"; readonly module: number; readonly reason: string }
  | { readonly type: "collecting"; readonly module: number; readonly dump: number; readonly name: string }
  | { readonly type: "lost"; readonly name: string; readonly reason: string }
  | { readonly type: "collected"; readonly name: string }
  | { readonly type: "done" };

/** What a collector's process is started with, as JSON in its only argument. */
export interface CollectorTask {
  readonly modules: readonly string[];
  /** Dumps of the first module that are not to be tried (again). */
  readonly skip: number;
  readonly pageSize: number;
  /** Bytes of notes that may still be made. */
  readonly budget: number;
}

/** Writes one frame to {@link FRAME_FD}. */
export function writeFrame(message: CollectorMessage, payload: Uint8Array = new Uint8Array()): void {
  const json = Buffer.from(JSON.stringify(message));
  const head = Buffer.alloc(HEAD_SIZE);
  head.writeUInt32LE(json.length, 0);
  head.writeUInt32LE(payload.length, 4);
  for (const part of [head, json, payload]) {
    for (let done = 0; done < part.length;) done += writeSync(FRAME_FD, part, done);
  }
}

/** Takes frames apart as they arrive. The other side may be out of its mind: every length is checked before memory is taken. */
export class FrameReader {
  readonly #allocate: (length: number) => Uint8Array;
  readonly #onFrame: (message: CollectorMessage, payload: Uint8Array) => void;
  #head = Buffer.alloc(HEAD_SIZE);
  #json: Buffer | undefined;
  #payload: Uint8Array | undefined;
  #payloadLength = 0;
  /** Bytes of the current part that have arrived. */
  #have = 0;

  /** @param allocate gives memory for a payload, or throws when it is too large. */
  constructor(allocate: (length: number) => Uint8Array, onFrame: (message: CollectorMessage, payload: Uint8Array) => void) {
    this.#allocate = allocate;
    this.#onFrame = onFrame;
  }

  /** @throws CORRUPT for what is no frame, and what `allocate` throws. */
  push(chunk: Uint8Array): void {
    let rest = chunk;
    // A part may be empty: go on until the current one needs bytes that are not there.
    for (;;) {
      const part = this.#payload ?? this.#json ?? this.#head;
      const taken = rest.subarray(0, part.length - this.#have);
      part.set(taken, this.#have);
      this.#have += taken.length;
      rest = rest.subarray(taken.length);
      if (this.#have < part.length) return;
      this.#have = 0;
      this.#next();
    }
  }

  #next(): void {
    if (this.#json === undefined) {
      const length = this.#head.readUInt32LE(0);
      if (length > MAX_JSON) throw new DumpError("CORRUPT", "the collector's process wrote something else than frames");
      this.#payloadLength = this.#head.readUInt32LE(4);
      this.#json = Buffer.alloc(length);
    } else if (this.#payload === undefined) {
      this.#payload = this.#payloadLength === 0 ? new Uint8Array() : this.#allocate(this.#payloadLength);
    } else {
      const payload = this.#payload;
      const message = parse(this.#json);
      this.#json = undefined;
      this.#payload = undefined;
      this.#onFrame(message, payload);
    }
  }
}

function parse(json: Buffer): CollectorMessage {
  try {
    const message = JSON.parse(json.toString()) as CollectorMessage;
    if (typeof message?.type === "string") return message;
  } catch {
    // said below
  }
  throw new DumpError("CORRUPT", "the collector's process wrote something else than frames");
}
