let loaded: typeof import("node:zlib") | undefined;

/** `node:zlib`, loaded at its first use: Node takes 3 ms for it and what it brings along, and many a command needs none of it. */
export function nodeZlib(): typeof import("node:zlib") {
  return (loaded ??= process.getBuiltinModule("node:zlib"));
}
