import * as os from "os";
import * as std from "std";
import { type OpenMode, type Port, PortError } from "../pstore/port.ts";

/** Flags that QuickJS passes on but has no names for, as on every architecture Debian has. */
const O_NONBLOCK = 0o4000;
const O_DSYNC = 0o10000;

/** As on Node: readers do not block, also in `open`; writers may. */
const FLAGS: Readonly<Record<OpenMode, number>> = {
  read: os.O_RDONLY | O_NONBLOCK,
  write: os.O_WRONLY,
  "read-write": os.O_RDWR | O_NONBLOCK,
  append: os.O_WRONLY | os.O_CREAT | os.O_APPEND,
  create: os.O_WRONLY | os.O_CREAT | os.O_TRUNC,
};

/** Linux's error numbers; QuickJS knows the names of a few only. */
const ERROR_NAMES: ReadonlyMap<number, string> = new Map(
  (
    "EPERM ENOENT ESRCH EINTR EIO ENXIO E2BIG ENOEXEC EBADF ECHILD EAGAIN ENOMEM EACCES EFAULT ENOTBLK EBUSY EEXIST EXDEV " +
    "ENODEV ENOTDIR EISDIR EINVAL ENFILE EMFILE ENOTTY ETXTBSY EFBIG ENOSPC ESPIPE EROFS EMLINK EPIPE EDOM ERANGE EDEADLK " +
    "ENAMETOOLONG ENOLCK ENOSYS ENOTEMPTY ELOOP"
  )
    .split(" ")
    .map((name, index) => [index + 1, name]),
);
const EINTR = 4;
const EEXIST = 17;
const ENOENT = 2;

/** The system through QuickJS, which has no sockets. */
export function quickjsPort(): Port {
  os.signal(os.SIGPIPE, undefined); // as on Node: a reader that went away is an error, not the end
  const paths = new Map<number, string>();
  const pathOf = (fd: number): string => paths.get(fd) ?? `descriptor ${fd}`;
  const read = (fd: number, into: Uint8Array): number =>
    attempt("read", pathOf(fd), () => os.read(fd, into.buffer, into.byteOffset, into.byteLength));
  return {
    name: "quickjs",
    open(path, mode, durable = false) {
      const fd = attempt("open", path, () => os.open(path, FLAGS[mode] | (durable ? O_DSYNC : 0), 0o600));
      paths.set(fd, path);
      return fd;
    },
    close(fd) {
      const path = pathOf(fd);
      paths.delete(fd);
      attempt("close", path, () => os.close(fd));
    },
    read,
    write(fd, bytes) {
      for (let done = 0; done < bytes.length;) {
        const at = bytes.byteOffset + done;
        const put = attempt("write", pathOf(fd), () => os.write(fd, bytes.buffer, at, bytes.length - done));
        if (put === 0) throw portError("ENOSPC", "write", pathOf(fd), "it takes no more"); // else this would go on forever
        done += put;
      }
    },
    seek(fd, offset) {
      attempt("seek", pathOf(fd), () => os.seek(fd, offset, std.SEEK_SET));
    },
    size(fd) {
      const path = pathOf(fd);
      const [status] = os.stat(`/proc/self/fd/${fd}`);
      // Files of /proc cannot be sought to their end.
      if (status !== null && (status.mode & os.S_IFMT) === os.S_IFREG && status.size === 0) return 0;
      const position = attempt("measure", path, () => os.seek(fd, 0, std.SEEK_CUR));
      const size = attempt("measure", path, () => os.seek(fd, 0, std.SEEK_END));
      attempt("measure", path, () => os.seek(fd, position, std.SEEK_SET));
      return size;
    },
    poll(fd, into, onBytes, onEnd, isPassing) {
      let stopped = false;
      const stop = (): void => {
        // Once only: the number may be another file's later, with a handler of its own.
        if (!stopped) os.setReadHandler(fd, null);
        stopped = true;
      };
      const turn = (): void => {
        let got: number;
        try {
          got = read(fd, into);
        } catch (error) {
          if (!(error instanceof PortError)) throw error;
          if (error.code === "EAGAIN" || isPassing?.(error) === true) return;
          stop();
          return onEnd(error);
        }
        if (got === 0) {
          stop();
          return onEnd();
        }
        // QuickJS calls the first handler that is ready, in the order they were set: go to the end of the queue.
        os.setReadHandler(fd, null);
        os.setReadHandler(fd, turn);
        onBytes(into.subarray(0, got));
      };
      os.setReadHandler(fd, turn);
      return stop;
    },
    clock() {
      const now = Date.now();
      return { seconds: Math.floor(now / 1000), nanoseconds: (now % 1000) * 1e6 };
    },
    after(milliseconds, action) {
      const timer = os.setTimeout(action, milliseconds);
      return () => os.clearTimeout(timer);
    },
    makeFolder,
    rename(from, to) {
      attempt("rename", from, () => os.rename(from, to));
    },
    remove(path) {
      attempt("remove", path, () => os.remove(path));
    },
    // The C library's remove() takes folders too.
    removeFolder(path) {
      attempt("remove folder", path, () => os.remove(path));
    },
    makeFifo,
  };
}

/** Does it, again where a signal came in between. What the system refuses comes out as a {@link PortError}. */
function attempt(verb: string, path: string, action: () => number): number {
  for (;;) {
    const result = action();
    if (result >= 0) return result;
    if (result !== -EINTR) throw portError(ERROR_NAMES.get(-result) ?? `E${-result}`, verb, path, std.strerror(-result));
  }
}

function portError(code: string, verb: string, path: string, reason: string): PortError {
  return new PortError(code, `cannot ${verb} ${path}: ${reason}`);
}

function makeFolder(path: string): void {
  let result = os.mkdir(path);
  const parent = path.replace(/\/+[^/]*\/*$/, "");
  if (result === -ENOENT && parent !== "" && parent !== path) {
    makeFolder(parent);
    result = os.mkdir(path);
  }
  // A folder through a link is one too.
  if (result === -EEXIST && os.stat(`${path}/.`)[0] !== null) return;
  attempt("make folder", path, () => result);
}

/** QuickJS cannot make a FIFO itself; the program is busybox's in a capture kernel. */
function makeFifo(path: string): void {
  const [there] = os.lstat(path);
  if (there !== null) {
    if ((there.mode & os.S_IFMT) === os.S_IFIFO) return;
    throw portError("EEXIST", "make FIFO", path, "something else is there");
  }
  const status = os.exec(["mkfifo", "-m", "0622", path]);
  if (status === 127) throw portError("ENOENT", "make FIFO", path, "mkfifo does not run");
  if (status !== 0) throw portError("EIO", "make FIFO", path, `mkfifo ended with ${status}`);
}
