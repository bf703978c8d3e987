import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { join, resolve } from "node:path";

/**
 * Where downloaded kernels and tools are kept: `LASTWORDS_LAB_CACHE`; in a checkout its `.cache/lab` (this file is two folders
 * below it, both as source and when built); else, installed, in the user's cache.
 */
export function defaultCacheFolder(): string {
  const chosen = process.env["LASTWORDS_LAB_CACHE"];
  if (chosen !== undefined && chosen !== "") return resolve(chosen);
  const project = join(import.meta.dirname, "..", "..");
  // Packages hold no sources, and may not be written to.
  if (existsSync(join(project, "src"))) return join(project, ".cache", "lab");
  const { XDG_CACHE_HOME } = process.env;
  const user = XDG_CACHE_HOME === undefined || XDG_CACHE_HOME === "" ? join(homedir(), ".cache") : XDG_CACHE_HOME;
  return join(user, "lastwords", "lab");
}
