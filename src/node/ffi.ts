/*
 * node:ffi calls functions of the node binary and of the C library under it. It is there from Node 26 on, and experimental: whatever goes
 * wrong, what it is used for is done without it.
 */

/** The part of node:ffi that is used here. */
export interface Ffi {
  /** The functions of the running program, by their C types. */
  dlopen(path: null, functions: Readonly<Record<string, { arguments: readonly string[]; return: string }>>): Library;
  /** Where the view's first byte is. Only views of shared or WebAssembly memory stay there. */
  getRawPointer(view: ArrayBufferView): bigint;
}

export interface Library {
  readonly functions: Readonly<Record<string, (...args: readonly (bigint | number)[]) => bigint | number>>;
}

/**
 * Functions that are called often. Optimized code would call them directly, and its compiler reads their signatures in a thread of its own, even
 * while whoever they belong to ends and frees them: of a hundred saves one died of that (Node 26.10). This way costs nothing measurable.
 */
export function openHot(ffi: Ffi, functions: Parameters<Ffi["dlopen"]>[1]): Library["functions"] {
  process.getBuiltinModule("node:v8").setFlagsFromString("--no-turbo-fast-api-calls");
  return ffi.dlopen(null, functions).functions;
}

/** Calls `use` with node:ffi; undefined where that is not to be had, is switched off with LASTWORDS_NO_FFI=1, or fails. */
export function withFfi<T>(use: (ffi: Ffi) => T | undefined): T | undefined {
  if (process.env["LASTWORDS_NO_FFI"] === "1") return undefined;
  const emit = process.emitWarning;
  try {
    // It warns that it is experimental, on every run; the user cannot do anything about it.
    process.emitWarning = () => {};
    return use(process.getBuiltinModule("node:ffi") as Ffi);
  } catch {
    return undefined;
  } finally {
    process.emitWarning = emit;
  }
}
