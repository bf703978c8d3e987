import type { OpenMode, Port, PortError } from "../../src/pstore/port.ts";
import { nodePort } from "../../src/recorder/node-port.ts";

/** Node's port with the faults that real systems have seldom, files that others would need root for, and a clock that is turned by hand. */
export class FaultyPort {
  /** What a file that is read has, by path; everything else is real. */
  readonly files: Map<string, string> = new Map();
  /** Errors by operation and path: `write /tmp/x`. */
  readonly faults: Map<string, PortError> = new Map();
  readonly opened: string[] = [];
  /** Descriptors that are open. */
  readonly open: Map<number, string> = new Map();
  /** Timers that were set: how long each waits. */
  readonly waits: number[] = [];
  #now = 1_700_000_000_000;
  #timers: { readonly at: number; readonly action: () => void }[] = [];
  readonly port: Port;

  constructor() {
    const real = nodePort();
    const fake = new Map<number, { text: string; at: number }>();
    let next = 1_000_000;
    const check = (operation: string, path: string | undefined): void => {
      const fault = this.faults.get(`${operation} ${path}`);
      if (fault) throw fault;
    };
    this.port = {
      ...real,
      open: (path: string, mode: OpenMode, durable?: boolean) => {
        check("open", path);
        this.opened.push(`${mode} ${path}`);
        const text = mode === "read" ? this.files.get(path) : undefined;
        const fd = text === undefined ? real.open(path, mode, durable) : next++;
        if (text !== undefined) fake.set(fd, { text, at: 0 });
        this.open.set(fd, path);
        return fd;
      },
      close: (fd) => {
        const path = this.open.get(fd);
        if (path === undefined) throw new Error(`descriptor ${fd} is closed that is not open`);
        this.open.delete(fd);
        if (!fake.delete(fd)) real.close(fd);
        check("close", path);
      },
      read: (fd, into) => {
        const file = fake.get(fd);
        check("read", this.open.get(fd));
        if (!file) return real.read(fd, into);
        const piece = Buffer.from(file.text.slice(file.at, file.at + into.length), "latin1");
        file.at += piece.length;
        into.set(piece);
        return piece.length;
      },
      write: (fd, bytes) => {
        check("write", this.open.get(fd));
        real.write(fd, bytes);
      },
      clock: () => ({ seconds: Math.floor(this.#now / 1000), nanoseconds: (this.#now % 1000) * 1e6 }),
      after: (milliseconds, action) => {
        this.waits.push(milliseconds);
        const timer = { at: this.#now + milliseconds, action };
        this.#timers.push(timer);
        return () => (this.#timers = this.#timers.filter((other) => other !== timer));
      },
    };
  }

  /** Lets time go by. */
  pass(milliseconds: number): void {
    const end = this.#now + milliseconds;
    for (;;) {
      const [first] = this.#timers.filter(({ at }) => at <= end).sort((a, b) => a.at - b.at);
      if (!first) break;
      this.#timers = this.#timers.filter((other) => other !== first);
      this.#now = first.at;
      first.action();
    }
    this.#now = end;
  }

  get pending(): number {
    return this.#timers.length;
  }
}
