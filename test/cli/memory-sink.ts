import { main, type World } from "../../src/cli/main.ts";
import { ClosedPipe, Output, type Environment, type Sink } from "../../src/cli/terminal.ts";

/** Collects what an `Output` writes; may play a terminal, a reader that leaves, or a full disk. */
export class MemorySink implements Sink {
  terminal = false;
  columns: number | undefined;
  /** Bytes after which writing fails. */
  room: number = Infinity;
  failure: () => Error = () => new ClosedPipe();
  readonly writes: Buffer[] = [];

  write(bytes: Uint8Array): void {
    this.room -= bytes.length;
    if (this.room < 0) throw this.failure();
    this.writes.push(Buffer.from(bytes));
  }

  get text(): string {
    return Buffer.concat(this.writes).toString("utf8");
  }
}

export interface Result {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

export interface Setting {
  readonly env?: Environment;
  readonly load?: World["load"];
  readonly out?: MemorySink;
  readonly err?: MemorySink;
}

/** Runs a command line in this process. */
export async function runMain(argv: readonly string[], setting: Setting = {}): Promise<Result> {
  const { env = {}, load, out = new MemorySink(), err = new MemorySink() } = setting;
  const code = await main(argv, {
    out: new Output(out, { env }),
    err: new Output(err, { env, lossy: true }),
    env,
    ...(load === undefined ? {} : { load }),
  });
  return { code, out: out.text, err: err.text };
}
