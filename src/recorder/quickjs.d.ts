/*
 * What the port uses of QuickJS's two modules (quickjs-libc.c of 2025-04-26). Node's own "os" has none of these names, so
 * that adding them to it does no harm. Functions answer with a negative error number where the system refuses.
 */

declare module "os" {
  /** A timer; a number or an object, by version. */
  type QuickjsTimer = number | object;
  const O_RDONLY: number;
  const O_WRONLY: number;
  const O_RDWR: number;
  const O_APPEND: number;
  const O_CREAT: number;
  const O_TRUNC: number;
  const S_IFMT: number;
  const S_IFIFO: number;
  const S_IFREG: number;
  const SIGPIPE: number;
  const SIGTERM: number;
  const SIGINT: number;
  /** Sets a handler, called between others; undefined ignores the signal, null gives it its default effect. */
  function signal(signal: number, handler: (() => void) | null | undefined): void;
  function open(path: string, flags: number, mode?: number): number;
  function close(fd: number): number;
  function seek(fd: number, offset: number, whence: number): number;
  function read(fd: number, buffer: ArrayBufferLike, offset: number, length: number): number;
  function write(fd: number, buffer: ArrayBufferLike, offset: number, length: number): number;
  function remove(path: string): number;
  function rename(from: string, to: string): number;
  function mkdir(path: string, mode?: number): number;
  /** Of the fields, those that are used. */
  interface QuickjsStatus {
    readonly mode: number;
    readonly size: number;
  }
  /** The error number is positive here. */
  function lstat(path: string): [status: QuickjsStatus | null, error: number];
  function stat(path: string): [status: QuickjsStatus | null, error: number];
  /** Calls the handler whenever the descriptor can be read; null takes it away. */
  function setReadHandler(fd: number, handler: (() => void) | null): void;
  function setTimeout(action: () => void, milliseconds: number): QuickjsTimer;
  function clearTimeout(timer: QuickjsTimer): void;
  /** Runs a program and waits for it; its exit code, 127 where it is not there, negative for a signal. */
  function exec(args: readonly string[], options?: { readonly stdin?: number; readonly stdout?: number; readonly stderr?: number }): number;
}

declare module "std" {
  const SEEK_SET: number;
  const SEEK_CUR: number;
  const SEEK_END: number;
  function strerror(error: number): string;
  function exit(code: number): never;
  /** Standard error. */
  const err: { puts(text: string): void; flush(): void };
}

/** The script's own path and its arguments. */
declare const scriptArgs: readonly string[];
