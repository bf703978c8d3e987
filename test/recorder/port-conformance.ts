import { decodeLatin1, encodeLatin1 } from "../../src/bytes/latin1.ts";
import { type Port, PortError, readText } from "../../src/pstore/port.ts";

/*
 * One program for every implementation of Port. It uses nothing else, so that it runs where the implementation does.
 */

/** What came of one check. */
export interface PortCheck {
  readonly name: string;
  readonly ok: boolean;
  /** What was seen where it is not ok; else a remark, mostly empty. */
  readonly detail: string;
}

/** What the program finds or leaves in its folder. */
export const PORT_FILES: {
  /** Made beforehand: a file that may not be opened. */
  readonly denied: string;
  /** Left behind: a file made by `create`. */
  readonly created: string;
  /** Left behind: the result of `makeFifo`. */
  readonly fifo: string;
} = { denied: "denied", created: "created", fifo: "fifo" };

/** Longer than any check takes; a hanging one shall fail by its name. */
const DEADLINE = 10_000;

/** Runs all checks, one after another, in a folder that has {@link PORT_FILES}`.denied` only. */
export async function checkPort(port: Port, folder: string): Promise<PortCheck[]> {
  const results: PortCheck[] = [];
  for (const [name, check] of Object.entries(CHECKS)) {
    let callOff = (): void => {};
    const late = new Promise<string>((_resolve, reject) => {
      callOff = port.after(DEADLINE, () => reject(new Error("no answer")));
    });
    try {
      results.push({ name, ok: true, detail: (await Promise.race([check(port, folder), late])) ?? "" });
    } catch (error) {
      results.push({ name, ok: false, detail: error instanceof Error ? `${error.message}\n${error.stack ?? ""}` : String(error) });
    }
    callOff();
  }
  return results;
}

type Check = (port: Port, folder: string) => Promise<string | undefined> | string | undefined;

const CHECKS: Readonly<Record<string, Check>> = {
  "create, write, read"(port, folder) {
    const path = `${folder}/${PORT_FILES.created}`;
    put(port, path, "create", "one two");
    equal(readText(port, path), "one two", "content");
    put(port, path, "create", "3");
    equal(readText(port, path), "3", "content made anew");
    return undefined;
  },
  "append goes to the end"(port, folder) {
    const path = `${folder}/appended`;
    put(port, path, "append", "a");
    put(port, path, "append", "b");
    equal(readText(port, path), "ab", "content");
    return undefined;
  },
  "write keeps what it does not reach"(port, folder) {
    const path = `${folder}/kept`;
    put(port, path, "create", "abcdef");
    put(port, path, "write", "AB");
    const fd = port.open(path, "read-write");
    port.seek(fd, 3);
    port.write(fd, encodeLatin1("D"));
    equal(take(port, fd, 1), "e", "after the byte written");
    port.write(fd, encodeLatin1("F"));
    port.close(fd);
    equal(readText(port, path), "ABcDeF", "content");
    return undefined;
  },
  "durable is O_DSYNC, and the default is not"(port, folder) {
    const path = `${folder}/durable`;
    for (const mode of ["create", "write", "read-write", "append"] as const) {
      const fd = port.open(path, mode, true);
      port.write(fd, encodeLatin1("x"));
      equal(flags(port, fd) & 0o10000, 0o10000, `flag of ${mode}`);
      port.close(fd);
    }
    const fd = port.open(path, "append");
    equal(flags(port, fd) & 0o10000, 0, "flag where it was not asked for");
    port.close(fd);
    equal(readText(port, path), "xx", "content");
    return undefined;
  },
  "seek beyond 4 GiB"(port, folder) {
    const path = `${folder}/sparse`;
    const far = 5 * 2 ** 30 + 3;
    const write = port.open(path, "create");
    port.seek(write, far);
    port.write(write, encodeLatin1("far"));
    port.write(write, encodeLatin1("ther"));
    equal(port.size(write), far + 7, "size while written");
    port.close(write);
    const read = port.open(path, "read");
    equal(port.size(read), far + 7, "size");
    port.seek(read, far - 1);
    equal(take(port, read, 4), "\0far", "there");
    equal(take(port, read, 9), "ther", "further on");
    equal(take(port, read, 9), "", "at the end");
    port.seek(read, far - 2 ** 32);
    equal(take(port, read, 3), "\0\0\0", "4 GiB before");
    port.seek(read, 0);
    equal(take(port, read, 1), "\0", "at the beginning");
    port.close(read);
    port.remove(path);
    return undefined;
  },
  "reads and writes parts of a buffer"(port, folder) {
    const path = `${folder}/part`;
    const fd = port.open(path, "create");
    port.write(fd, encodeLatin1("xxabcdxx").subarray(2, 6));
    port.close(fd);
    const read = port.open(path, "read");
    const buffer = encodeLatin1("........");
    equal(port.read(read, buffer.subarray(3, 5)), 2, "bytes read");
    equal(decodeLatin1(buffer), "...ab...", "buffer");
    port.close(read);
    return undefined;
  },
  "large files"(port, folder) {
    const path = `${folder}/large`;
    const bytes = new Uint8Array(8 * 2 ** 20);
    for (let i = 0; i < bytes.length; i++) bytes[i] = (i * 31) ^ (i >> 8);
    const fd = port.open(path, "create");
    port.write(fd, bytes);
    port.close(fd);
    const read = port.open(path, "read");
    const back = new Uint8Array(bytes.length + 1);
    let length = 0;
    for (let got = 1; got > 0; length += got) got = port.read(read, back.subarray(length));
    port.close(read);
    equal(length, bytes.length, "length");
    for (let i = 0; i < bytes.length; i++) if (bytes[i] !== back[i]) throw new Error(`byte ${i} differs`);
    port.remove(path);
    return undefined;
  },
  "/proc: files without a size"(port) {
    const fd = port.open("/proc/self/smaps", "read");
    equal(port.size(fd), 0, "size");
    port.close(fd);
    const text = readText(port, "/proc/self/smaps", 2 ** 20) ?? "";
    if (text.length < 4096 || !text.includes("[stack]")) throw new Error(`read ${text.length} bytes, not to the stack`);
    return `${text.length} bytes`;
  },
  "errors have codes and name the path"(port, folder) {
    const absent = `${folder}/absent`;
    for (const mode of ["read", "write", "read-write"] as const) refused("ENOENT", absent, () => port.open(absent, mode));
    refused("ENOENT", absent, () => port.remove(absent));
    refused("ENOENT", absent, () => port.rename(absent, `${folder}/elsewhere`));
    refused("ENOENT", `${absent}/file`, () => port.open(`${absent}/file`, "create"));
    refused("EISDIR", folder, () => port.open(folder, "write"));
    const fd = port.open(folder, "read");
    refused("EISDIR", folder, () => port.read(fd, new Uint8Array(1)));
    port.close(fd);
    refused("EACCES", `${folder}/${PORT_FILES.denied}`, () => port.open(`${folder}/${PORT_FILES.denied}`, "read"));
    refused("ENOTDIR", `${folder}/kept/x`, () => port.open(`${folder}/kept/x`, "read"));
    equal(readText(port, absent), undefined, "text of a file that is not there");
    return undefined;
  },
  "makes folders, renames, removes"(port, folder) {
    port.makeFolder(`${folder}/a/b/c`);
    port.makeFolder(`${folder}/a/b/c`);
    port.makeFolder(`${folder}/a/b/`);
    put(port, `${folder}/a/b/c/new`, "create", "new");
    put(port, `${folder}/a/old`, "create", "old");
    port.rename(`${folder}/a/b/c/new`, `${folder}/a/old`);
    equal(readText(port, `${folder}/a/old`), "new", "content after renaming");
    equal(readText(port, `${folder}/a/b/c/new`), undefined, "the old name");
    refused("EEXIST", `${folder}/a/old`, () => port.makeFolder(`${folder}/a/old`));
    refused("ENOTDIR", `${folder}/a/old`, () => port.makeFolder(`${folder}/a/old/x`));
    port.remove(`${folder}/a/old`);
    refused("ENOENT", `${folder}/a/old`, () => port.open(`${folder}/a/old`, "read"));
    return undefined;
  },
  "the clock goes forward, after() waits and can be called off"(port) {
    return new Promise((resolve, reject) => {
      const before = port.clock();
      const seen: string[] = [];
      const off = port.after(10, () => seen.push("called off"));
      port.after(60, () => seen.push("60"));
      port.after(20, () => seen.push("20"));
      port.after(200, () => {
        try {
          const now = port.clock();
          const passed = (now.seconds - before.seconds) * 1000 + (now.nanoseconds - before.nanoseconds) / 1e6;
          equal(seen.join(), "20,60", "order");
          if (passed < 190 || passed > 5000) throw new Error(`200 ms took ${passed} ms`);
          if (now.seconds < 1.7e9 || !Number.isInteger(now.seconds)) throw new Error(`${now.seconds} s`);
          if (!Number.isInteger(now.nanoseconds) || now.nanoseconds < 0 || now.nanoseconds > 999_999_999)
            throw new Error(`${now.nanoseconds} ns`);
          resolve(undefined);
        } catch (error) {
          reject(error);
        }
      });
      off();
    });
  },
  "makes a FIFO once, and tells what is in its place"(port, folder) {
    if (port.makeFifo === undefined) return "not offered";
    port.makeFifo(`${folder}/${PORT_FILES.fifo}`);
    port.makeFifo(`${folder}/${PORT_FILES.fifo}`);
    refused("EEXIST", `${folder}/kept`, () => port.makeFifo?.(`${folder}/kept`));
    try {
      port.makeFifo(`${folder}/absent/fifo`);
    } catch (error) {
      return error instanceof PortError && error.message.includes("absent/fifo") ? undefined : fail(error);
    }
    throw new Error("a FIFO in a folder that is not there");
  },
  async "poll: a FIFO gives what is written, and no end while it is open for both"(port, folder) {
    const { reader, writer } = fifo(port, folder, "polled", "read-write");
    refused("EAGAIN", "polled", () => port.read(reader, new Uint8Array(1)));
    const started = milliseconds(port);
    const polled = poll(port, reader, 100);
    port.write(writer, encodeLatin1("first"));
    await polled.until((text) => text === "first");
    const waited = milliseconds(port) - started;
    await pause(port, 100);
    port.write(writer, encodeLatin1("x".repeat(250)));
    await polled.until((text) => text.length === 255);
    if (polled.longest() > 100) throw new Error(`a piece of ${polled.longest()} bytes does not fit`);
    port.close(writer);
    await pause(port, 100);
    equal(polled.ended(), false, "end");
    polled.stop();
    port.close(reader);
    if (waited > 1000) throw new Error(`the first byte took ${waited} ms`);
    return undefined;
  },
  async "poll: stopped means silent, and can be begun again"(port, folder) {
    const { reader, writer } = fifo(port, folder, "stopped", "read-write");
    const first = poll(port, reader, 10);
    port.write(writer, encodeLatin1("1"));
    await first.until((text) => text === "1");
    first.stop();
    first.stop();
    port.write(writer, encodeLatin1("2"));
    await pause(port, 100);
    equal(first.text(), "1", "after stopping");
    const second = poll(port, reader, 10);
    await second.until((text) => text === "2");
    second.stop();
    equal(second.ended() || first.ended(), false, "end");
    port.write(writer, encodeLatin1("345678"));
    const third = poll(port, reader, 3);
    await third.until((text) => text === "345678");
    third.stop();
    if (third.longest() > 3) throw new Error(`a piece of ${third.longest()} bytes does not fit`);
    port.close(writer);
    port.close(reader);
    return undefined;
  },
  async "poll: may be stopped while it gives bytes"(port, folder) {
    const { reader, writer } = fifo(port, folder, "inside", "read-write");
    port.write(writer, encodeLatin1("abcdef"));
    let text = "";
    const stop = port.poll(
      reader,
      new Uint8Array(2),
      (bytes) => {
        text += decodeLatin1(bytes);
        stop();
        port.close(reader);
      },
      fail,
    );
    await pause(port, 200);
    equal(text, "ab", "text");
    refused("EBADF", "", () => port.close(reader));
    port.close(writer);
    return undefined;
  },
  async "poll: ends once when the last writer of a FIFO is gone"(port, folder) {
    const { reader, writer } = fifo(port, folder, "ended", "read");
    const polled = poll(port, reader, 10);
    port.write(writer, encodeLatin1("last words"));
    port.close(writer);
    await polled.until((text, ended) => ended && text === "last words");
    await pause(port, 50);
    port.close(reader);
    equal(polled.error(), undefined, "error");
    return undefined;
  },
  async "poll: a file to its end, then an error where there is one"(port, folder) {
    put(port, `${folder}/file`, "create", "z".repeat(1000));
    const fd = port.open(`${folder}/file`, "read");
    port.seek(fd, 10);
    const polled = poll(port, fd, 64);
    await polled.until((text, ended) => ended && text.length === 990);
    port.close(fd);
    const directory = port.open(folder, "read");
    const wrong = poll(port, directory, 64);
    await wrong.until((_text, ended) => ended);
    equal(wrong.error()?.code, "EISDIR", "error");
    let passing = 3;
    const patient = poll(port, directory, 64, () => passing-- > 0);
    await patient.until((_text, ended) => ended);
    equal(passing, -1, "errors asked about");
    port.close(directory);
    return undefined;
  },
  async "poll: a busy FIFO does not starve another, nor a timer"(port, folder) {
    const busy = fifo(port, folder, "busy", "read-write");
    const quiet = fifo(port, folder, "quiet", "read-write");
    let rounds = 0;
    const word = encodeLatin1("more");
    const again = (): void => {
      if (++rounds < 100_000) port.write(busy.writer, word);
    };
    const stop = port.poll(busy.reader, new Uint8Array(64), again, fail);
    const polled = poll(port, quiet.reader, 64);
    again();
    await pause(port, 20);
    port.write(quiet.writer, encodeLatin1("heard"));
    await polled.until((text) => text === "heard");
    const needed = rounds;
    stop();
    polled.stop();
    for (const fd of [busy.reader, busy.writer, quiet.reader, quiet.writer]) port.close(fd);
    if (needed >= 100_000) throw new Error("the other was read only when the busy one was done");
    return `${needed} rounds`;
  },
  async "poll: 20 MB/s through a FIFO"(port, folder) {
    const { reader, writer } = fifo(port, folder, "fast", "read-write");
    const piece = new Uint8Array(32768);
    const total = 64 * 2 ** 20;
    const started = milliseconds(port);
    let got = 0;
    await new Promise<void>((resolve, reject) => {
      const stop = port.poll(
        reader,
        new Uint8Array(65536),
        (bytes) => {
          got += bytes.length;
          if (got % piece.length !== 0) return;
          if (got < total) return port.write(writer, piece);
          stop();
          resolve();
        },
        reject,
      );
      port.write(writer, piece);
    });
    const rate = total / 1e6 / ((milliseconds(port) - started) / 1000);
    port.close(reader);
    port.close(writer);
    if (rate < 20) throw new Error(`${rate.toFixed(1)} MB/s`);
    return `${rate.toFixed(0)} MB/s`;
  },
  "a reader that is gone is an error"(port, folder) {
    const { reader, writer } = fifo(port, folder, "gone", "read");
    port.close(reader);
    refused("EPIPE", `${folder}/gone`, () => port.write(writer, encodeLatin1("?")));
    port.close(writer);
    return undefined;
  },
  async "poll: /dev/kmsg gives records"(port) {
    let fd: number;
    try {
      fd = port.open("/dev/kmsg", "read");
    } catch (error) {
      return error instanceof PortError ? error.message : fail(error);
    }
    const polled = poll(port, fd, 8192, (error) => error.code === "EPIPE");
    await polled.until((text) => /^\d+,\d+,\d+,.*;.*\n/.test(text));
    await pause(port, 50);
    equal(polled.ended(), false, "end");
    polled.stop();
    port.close(fd);
    return `${polled.text().length} bytes`;
  },
  "a descriptor that is closed is none"(port, folder) {
    const fd = port.open(`${folder}/kept`, "read");
    port.close(fd);
    refused("EBADF", "", () => port.read(fd, new Uint8Array(1)));
    refused("EBADF", "", () => port.close(fd));
    return undefined;
  },
};

function equal(seen: unknown, expected: unknown, what: string): void {
  if (seen !== expected) throw new Error(`${what}: ${String(seen)}, not ${String(expected)}`);
}

function fail(error?: unknown): never {
  throw error instanceof Error ? error : new Error(`an end that was not expected: ${String(error)}`);
}

function refused(code: string, path: string, action: () => void): void {
  try {
    action();
  } catch (error) {
    if (!(error instanceof PortError)) throw error;
    equal(error.code, code, `code of "${error.message}"`);
    if (!error.message.includes(path)) throw new Error(`"${error.message}" does not name ${path}`, { cause: error });
    return;
  }
  throw new Error(`no error for ${path}, ${code} expected`);
}

function put(port: Port, path: string, mode: "create" | "append" | "write", text: string): void {
  const fd = port.open(path, mode);
  port.write(fd, encodeLatin1(text));
  port.close(fd);
}

function take(port: Port, fd: number, length: number): string {
  const bytes = new Uint8Array(length);
  return decodeLatin1(bytes.subarray(0, port.read(fd, bytes)));
}

/** The flags a descriptor was opened with, as the kernel tells. */
function flags(port: Port, fd: number): number {
  return Number.parseInt(/^flags:\s*(\d+)/m.exec(readText(port, `/proc/self/fdinfo/${fd}`) ?? "")?.[1] ?? "", 8);
}

function fifo(port: Port, folder: string, name: string, mode: "read" | "read-write"): { reader: number; writer: number } {
  if (port.makeFifo === undefined) throw new Error("no makeFifo, so poll cannot be checked");
  port.makeFifo(`${folder}/${name}`);
  const reader = port.open(`${folder}/${name}`, mode);
  return { reader, writer: port.open(`${folder}/${name}`, "write") };
}

function pause(port: Port, time: number): Promise<void> {
  return new Promise((resolve) => port.after(time, resolve));
}

function milliseconds(port: Port): number {
  const { seconds, nanoseconds } = port.clock();
  return seconds * 1000 + nanoseconds / 1e6;
}

/** What a poll has given so far. */
interface Polled {
  text(): string;
  longest(): number;
  ended(): boolean;
  error(): PortError | undefined;
  stop(): void;
  /** Waits for it; the deadline of the check is its own. */
  until(condition: (text: string, ended: boolean) => boolean): Promise<void>;
}

function poll(port: Port, fd: number, size: number, isPassing?: (error: PortError) => boolean): Polled {
  let text = "";
  let longest = 0;
  let ends = 0;
  let problem: PortError | undefined;
  let wake = (): void => {};
  const stop = port.poll(
    fd,
    new Uint8Array(size),
    (bytes) => {
      text += decodeLatin1(bytes);
      longest = Math.max(longest, bytes.length);
      wake();
    },
    (error) => {
      ends++;
      problem = error;
      wake();
    },
    isPassing,
  );
  return {
    text: () => text,
    longest: () => longest,
    ended() {
      if (ends > 1) throw new Error(`${ends} ends`);
      return ends === 1;
    },
    error: () => problem,
    stop,
    until: (condition) =>
      new Promise((resolve) => {
        wake = () => {
          if (condition(text, ends > 0)) resolve();
        };
        wake();
      }),
  };
}
