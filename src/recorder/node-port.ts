import type { lookup } from "node:dns";
import {
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  renameSync,
  rmdirSync,
  type Stats,
  unlinkSync,
  writeSync,
} from "node:fs";
import type { Server, Socket } from "node:net";
import { getSystemErrorMessage } from "node:util";
import { type OpenMode, type Port, PortError } from "../pstore/port.ts";

/** Modules of Node that not every recorder needs: each is a megabyte or two of memory. */
const net = (): typeof import("node:net") => process.getBuiltinModule("node:net");
const dns = (): typeof import("node:dns") => process.getBuiltinModule("node:dns");
const dgram = (): typeof import("node:dgram") => process.getBuiltinModule("node:dgram");
const childProcess = (): typeof import("node:child_process") => process.getBuiltinModule("node:child_process");

/*
 * No descriptor blocks here. Node reads a blocking one in its thread pool, where nothing can call the read off: with one
 * pending on a quiet FIFO or /dev/kmsg, process.exit() waits for that thread forever. So all are opened non-blocking;
 * FIFOs go into Node's event loop, and what it does not take (character devices, tracefs) is asked again and again.
 */

const { O_APPEND, O_CREAT, O_DSYNC, O_NONBLOCK, O_RDONLY, O_RDWR, O_TRUNC, O_WRONLY } = constants;

/** A writer waits: it wants its bytes out, and O_NONBLOCK would refuse a FIFO that nobody reads yet. */
const FLAGS: Readonly<Record<OpenMode, number>> = {
  read: O_RDONLY | O_NONBLOCK,
  write: O_WRONLY,
  "read-write": O_RDWR | O_NONBLOCK,
  append: O_WRONLY | O_CREAT | O_APPEND,
  create: O_WRONLY | O_CREAT | O_TRUNC,
};

/** How long a quiet descriptor is left alone, in ms: at first, and at most. An EAGAIN costs 3 us, so this is next to no load. */
const FIRST_WAIT = 1;
const LONGEST_WAIT = 8;
/** Reads in a row from one descriptor before the others have their turn. */
const READS_IN_A_ROW = 256;
/** Writers of one socket; each costs a descriptor, and everybody may connect. */
const MOST_CONNECTIONS = 256;

/** What is known of a descriptor beside its number. */
interface Descriptor {
  readonly path: string;
  readonly stats: Stats;
  /** Node has no lseek: after the first seek, every read and write says where. */
  position: number | null;
  /** Once Node's event loop reads it, it is its own to close. */
  stream?: FifoReader;
}

/** The system through Node. */
export function nodePort(): Port {
  const descriptors = new Map<number, Descriptor>();
  const lookUp = (fd: number): Descriptor => {
    const found = descriptors.get(fd);
    if (found === undefined) throw new PortError("EBADF", `descriptor ${fd} is not open`);
    return found;
  };
  const read = (fd: number, file: Descriptor, into: Uint8Array): number => {
    const got = readSync(fd, into, 0, into.length, file.position);
    if (file.position !== null) file.position += got;
    return got;
  };
  return {
    name: "node",
    open(path, mode, durable = false) {
      const fd = attempt("open", path, () => openSync(path, FLAGS[mode] | (durable ? O_DSYNC : 0), 0o600));
      descriptors.set(fd, { path, stats: fstatSync(fd), position: null });
      return fd;
    },
    close(fd) {
      const file = lookUp(fd);
      descriptors.delete(fd);
      if (file.stream === undefined) attempt("close", file.path, () => closeSync(fd));
      else file.stream.close();
    },
    read(fd, into) {
      const file = lookUp(fd);
      return attempt("read", file.path, () => read(fd, file, into));
    },
    write(fd, bytes) {
      const file = lookUp(fd);
      for (let done = 0; done < bytes.length;) {
        const put = attempt("write", file.path, () => writeSync(fd, bytes, done, bytes.length - done, file.position));
        if (put === 0) throw portError("ENOSPC", "write", file.path, "it takes no more"); // else this would go on forever
        if (file.position !== null) file.position += put;
        done += put;
      }
    },
    seek(fd, offset) {
      const file = lookUp(fd);
      if (file.stats.isFIFO() || file.stats.isSocket()) throw portError("ESPIPE", "seek", file.path, "it has no positions");
      file.position = offset;
    },
    size: (fd) => sizeOf(fd, lookUp(fd)),
    poll(fd, into, onBytes, onEnd, isPassing) {
      const file = lookUp(fd);
      if (!file.stats.isFIFO() && !file.stats.isSocket())
        return askAgain(() => read(fd, file, into), file.path, into, onBytes, onEnd, isPassing);
      file.stream ??= new FifoReader(fd, file.path, into.length);
      return file.stream.start({ longest: into.length, onBytes, onEnd });
    },
    clock() {
      const now = Date.now();
      return { seconds: Math.floor(now / 1000), nanoseconds: (now % 1000) * 1e6 };
    },
    after(milliseconds, action) {
      const timer = setTimeout(action, milliseconds);
      return () => clearTimeout(timer);
    },
    makeFolder(path) {
      attempt("make folder", path, () => mkdirSync(path, { recursive: true }));
    },
    rename(from, to) {
      attempt("rename", from, () => renameSync(from, to));
    },
    remove(path) {
      attempt("remove", path, () => unlinkSync(path));
    },
    removeFolder(path) {
      attempt("remove folder", path, () => rmdirSync(path));
    },
    makeFifo,
    listen,
    datagrams,
  };
}

/** Does it; what the system refuses comes out as a {@link PortError}. */
function attempt<T>(verb: string, path: string, action: () => T): T {
  try {
    return action();
  } catch (error) {
    throw isSystemError(error) ? fromSystem(verb, path, error) : error;
  }
}

function isSystemError(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && "errno" in error && "code" in error;
}

function fromSystem(verb: string, path: string, error: NodeJS.ErrnoException): PortError {
  // A name that cannot be resolved has no number.
  const reason = typeof error.errno === "number" ? getSystemErrorMessage(error.errno) : error.message;
  return portError(error.code ?? "EIO", verb, path, reason);
}

function portError(code: string, verb: string, path: string, reason: string): PortError {
  return new PortError(code, `cannot ${verb} ${path}: ${reason}`);
}

/** Reads what is there, then waits a little, longer each time. The other descriptors have their turn in between. */
function askAgain(
  read: () => number,
  path: string,
  into: Uint8Array,
  onBytes: (bytes: Uint8Array) => void,
  onEnd: (error?: PortError) => void,
  isPassing: ((error: PortError) => boolean) | undefined,
): () => void {
  let stopped = false;
  let wait = FIRST_WAIT;
  let timer: NodeJS.Timeout | undefined;
  let soon: NodeJS.Immediate | undefined;
  const turn = (): void => {
    for (let i = 0; i < READS_IN_A_ROW; i++) {
      let got: number;
      try {
        got = read();
      } catch (error) {
        if (!isSystemError(error)) throw error;
        if (error.code === "EAGAIN") {
          timer = setTimeout(turn, wait);
          wait = Math.min(wait * 2, LONGEST_WAIT);
          return;
        }
        const problem = fromSystem("read", path, error);
        if (isPassing?.(problem) === true) continue;
        stopped = true;
        return onEnd(problem);
      }
      if (got === 0) {
        stopped = true;
        return onEnd();
      }
      wait = FIRST_WAIT;
      onBytes(into.subarray(0, got));
      if (stopped) return;
    }
    soon = setImmediate(turn);
  };
  soon = setImmediate(turn);
  return () => {
    stopped = true;
    clearTimeout(timer);
    clearImmediate(soon);
  };
}

/** Who reads a FIFO at the moment. */
interface Reading {
  readonly longest: number;
  readonly onBytes: (bytes: Uint8Array) => void;
  readonly onEnd: (error?: PortError) => void;
}

/** A FIFO in Node's event loop: the kernel says when there is something, and nothing is asked in between. */
class FifoReader {
  readonly #socket: Socket;
  #reading: Reading | undefined;
  /** What was read and not taken, because a reader stopped in the middle of it or takes less at a time. */
  #rest: Uint8Array = new Uint8Array();
  #end: { readonly error?: PortError } | undefined;

  /** @param length of the buffer. It is the socket's own, for a socket does not change it between one reader and the next. */
  constructor(fd: number, path: string, length: number) {
    // Half open: else the socket would close the descriptor on its own at the end, and its number may be another file's
    // by the time the caller closes it.
    this.#socket = new (net().Socket)({
      fd,
      allowHalfOpen: true,
      onread: { buffer: new Uint8Array(length), callback: (length, bytes) => this.#take(bytes.subarray(0, length)) },
    });
    this.#socket.pause();
    this.#socket.on("end", () => this.#finish({}));
    this.#socket.on("error", (error: NodeJS.ErrnoException) => this.#finish({ error: fromSystem("read", path, error) }));
  }

  start(reading: Reading): () => void {
    this.#reading = reading;
    setImmediate(() => {
      if (this.#reading !== reading || !this.#take(this.#rest)) return;
      if (this.#end === undefined) this.#socket.resume();
      else this.#tell();
    });
    return () => {
      if (this.#reading !== reading) return;
      this.#reading = undefined;
      this.#socket.pause();
    };
  }

  close(): void {
    this.#reading = undefined;
    this.#socket.destroy();
  }

  /** Returns whether more is wanted. */
  #take(bytes: Uint8Array): boolean {
    let at = 0;
    while (at < bytes.length && this.#reading !== undefined) {
      const piece = bytes.subarray(at, at + this.#reading.longest);
      at += piece.length;
      this.#reading.onBytes(piece);
    }
    this.#rest = bytes.slice(at);
    return this.#reading !== undefined;
  }

  #finish(end: { readonly error?: PortError }): void {
    this.#end ??= end;
    this.#tell();
  }

  #tell(): void {
    const reading = this.#reading;
    this.#reading = undefined;
    reading?.onEnd(this.#end?.error);
  }
}

/** Devices have no length in their inode; the kernel tells it in sysfs, of disks in sectors and of flash in bytes. */
function sizeOf(fd: number, file: Descriptor): number {
  const { stats } = file;
  if (!stats.isBlockDevice() && !stats.isCharacterDevice()) return attempt("measure", file.path, () => fstatSync(fd)).size;
  const major = ((stats.rdev >>> 8) & 0xfff) + Math.floor(stats.rdev / 2 ** 44) * 0x1000;
  const minor = (stats.rdev & 0xff) + (Math.floor(stats.rdev / 2 ** 20) % 2 ** 24) * 0x100;
  const [kind, unit] = stats.isBlockDevice() ? ["block", 512] : ["char", 1];
  try {
    return Number(readFileSync(`/sys/dev/${kind}/${major}:${minor}/size`, "utf8")) * unit;
  } catch {
    throw portError("EINVAL", "measure", file.path, "the device has no size");
  }
}

/** Node cannot make a FIFO itself. The program is the system's, and sets the mode whatever the umask says. */
function makeFifo(path: string): void {
  const there = lstatSync(path, { throwIfNoEntry: false });
  if (there?.isFIFO() === true) return;
  if (there !== undefined) throw portError("EEXIST", "make FIFO", path, "something else is there");
  const child = childProcess().spawnSync("mkfifo", ["-m", "0622", path], { encoding: "utf8" });
  if (child.error !== undefined)
    throw portError((child.error as NodeJS.ErrnoException).code ?? "EIO", "make FIFO", path, "mkfifo does not run");
  if (child.status !== 0) throw portError("EIO", "make FIFO", path, child.stderr.trim());
}

function listen(path: string, onBytes: (bytes: Uint8Array) => void, onEnd: (error: PortError) => void): () => void {
  const open = new Set<Socket>();
  const server: Server = net().createServer((socket) => {
    open.add(socket);
    socket.on("data", onBytes);
    socket.on("error", () => {}); // a writer that died; what it wrote has arrived
    socket.on("close", () => open.delete(socket));
  });
  server.maxConnections = MOST_CONNECTIONS;
  let ended = false;
  const fail = (error: NodeJS.ErrnoException): void => {
    if (!ended) onEnd(fromSystem("listen at", path, error));
    ended = true;
  };
  const begin = (): void => {
    server.listen({ path, writableAll: true });
  };
  server.once("error", (error: NodeJS.ErrnoException) => {
    server.on("error", fail);
    if (error.code !== "EADDRINUSE") return fail(error);
    // A recorder that was killed leaves its socket behind: only one where somebody answers is in use.
    const probe = net().createConnection(path, () => {
      probe.destroy();
      fail(error);
    });
    probe.on("error", (answer: NodeJS.ErrnoException) => {
      if (ended) return;
      if (answer.code !== "ECONNREFUSED") return fail(error);
      try {
        unlinkSync(path);
        begin();
      } catch (problem) {
        fail(isSystemError(problem) ? problem : error);
      }
    });
  });
  begin();
  return () => {
    ended = true;
    server.close(); // removes the socket's file
    for (const socket of open) {
      drainSocket(socket, onBytes);
      socket.destroy();
    }
  };
}

/** What has arrived and waits for its turn. Node does not tell a socket's descriptor officially; without it nothing is read. */
function drainSocket(socket: Socket, onBytes: (bytes: Uint8Array) => void): void {
  const fd = (socket as unknown as { readonly _handle?: { readonly fd?: number } | null })._handle?.fd;
  if (fd === undefined || fd < 0) return;
  const into = new Uint8Array(65536);
  try {
    // At most what a socket's buffer may hold: who writes on and on must not keep us from stopping.
    for (let i = 0; i < 1024; i++) {
      const got = readSync(fd, into);
      if (got === 0) return;
      onBytes(into.subarray(0, got));
    }
  } catch (error) {
    if (!isSystemError(error)) throw error;
  }
}

function datagrams(host: string, port: number, onError: (error: PortError) => void): { send(bytes: Uint8Array): void; close(): void } {
  let address = net().isIP(host) === 0 ? undefined : host;
  // Answered at once, a datagram goes out before send() returns, and close() or the process's end loses none.
  const find: typeof lookup = ((name: string, options: object, done: (error: Error | null, address: string, family: number) => void) => {
    if (net().isIP(name) !== 0) return done(null, name, net().isIP(name));
    if (address !== undefined) return done(null, address, 4);
    dns().lookup(name, { ...options, all: false }, (error, found, family) => {
      if (!error) address = found;
      done(error, found, family);
    });
  }) as typeof lookup;
  const socket = dgram().createSocket({ type: net().isIPv6(host) ? "udp6" : "udp4", lookup: find });
  let closed = false;
  let waiting = 0;
  let ended = false;
  const end = (): void => {
    if (!ended) socket.close();
    ended = true;
  };
  const fail = (error: Error): void => {
    if (!closed) onError(fromSystem("send to", `${host} port ${port}`, error));
  };
  socket.on("error", fail);
  return {
    send(bytes) {
      // A copy: it goes out after the address has been looked up, and the caller's buffer is its own again by then.
      if (closed) return;
      waiting++;
      socket.send(Uint8Array.from(bytes), port, host, (error) => {
        waiting--;
        if (error) fail(error);
        if (closed && waiting === 0) end();
      });
    },
    close() {
      if (closed) return;
      closed = true;
      // A name that is being looked up still has datagrams behind it.
      if (waiting === 0 || address !== undefined) end();
    },
  };
}
