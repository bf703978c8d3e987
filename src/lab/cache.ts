import { join, resolve } from "node:path";

/**
 * Where downloaded kernels and tools are kept: `LASTWORDS_LAB_CACHE`, or `.cache/lab` in the project's folder
 * (this file is two folders below it, both as source and when built).
 */
export function defaultCacheFolder(): string {
  const chosen = process.env["LASTWORDS_LAB_CACHE"];
  if (chosen !== undefined && chosen !== "") return resolve(chosen);
  return join(import.meta.dirname, "..", "..", ".cache", "lab");
}
