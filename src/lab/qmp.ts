import type { Duplex } from "node:stream";
import { LabError } from "./error.ts";

interface Reply {
  readonly QMP?: unknown;
  readonly id?: number;
  readonly return?: unknown;
  readonly error?: { readonly desc: string };
  readonly event?: string;
  readonly data?: Readonly<Record<string, unknown>>;
}

/** The client's end of QEMU's machine protocol: one JSON object a line, replies matched by id. */
export class QmpClient {
  readonly #stream: Duplex;
  readonly #pending: Map<number, { resolve: (value: unknown) => void; reject: (error: Error) => void }> = new Map();
  readonly #onEvent: (name: string, data: Readonly<Record<string, unknown>>) => void;
  #text = "";
  #lastId = 0;
  /** Resolves when QEMU has greeted and accepts commands, rejects when the stream ends before. */
  readonly ready: Promise<void>;
  #greeted: () => void = () => {};
  #unheard: (error: Error) => void = () => {};

  constructor(stream: Duplex, onEvent: (name: string, data: Readonly<Record<string, unknown>>) => void) {
    this.#stream = stream;
    this.#onEvent = onEvent;
    const greeting = new Promise<void>((resolve, reject) => {
      this.#greeted = resolve;
      this.#unheard = reject;
    });
    this.ready = greeting.then(async () => void (await this.execute("qmp_capabilities", {})));
    this.ready.catch(() => {}); // whoever awaits it hears of it
    stream.setEncoding("utf8");
    stream.on("data", (text: string) => this.#read(text));
    stream.on("error", () => this.#end());
    stream.on("close", () => this.#end());
  }

  #read(text: string): void {
    this.#text += text;
    const lines = this.#text.split("\n");
    this.#text = lines.pop() ?? "";
    for (const line of lines.filter((candidate) => candidate.trim() !== "")) {
      const reply = JSON.parse(line) as Reply;
      if (reply.QMP !== undefined) this.#greeted();
      if (reply.event !== undefined) this.#onEvent(reply.event, reply.data ?? {});
      const pending = this.#pending.get(reply.id ?? -1);
      if (pending === undefined) continue;
      this.#pending.delete(reply.id ?? -1);
      if (reply.error === undefined) pending.resolve(reply.return);
      else pending.reject(new LabError("GUEST", `QEMU says: ${reply.error.desc}`));
    }
  }

  #end(): void {
    this.#unheard(new LabError("GUEST", "the machine ended before it greeted"));
    for (const pending of this.#pending.values()) pending.reject(new LabError("GUEST", "the machine ended before it answered"));
    this.#pending.clear();
  }

  /** Sends a command and gives what it returns. @throws LabError GUEST with QEMU's own words. */
  execute(name: string, args: Readonly<Record<string, unknown>>): Promise<unknown> {
    const id = ++this.#lastId;
    return new Promise((resolve, reject) => {
      if (this.#stream.destroyed) return reject(new LabError("GUEST", "the machine has ended"));
      this.#pending.set(id, { resolve, reject });
      this.#stream.write(`${JSON.stringify({ execute: name, arguments: args, id })}\n`);
    });
  }
}
