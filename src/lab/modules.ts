import { readdir, readFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { gunzipSync, zstdDecompressSync } from "node:zlib";
import { runCommand } from "./command.ts";
import { LabError } from "./error.ts";
import type { LabKernel } from "./kernels.ts";
import { ModuleObject } from "./module-object.ts";

/** A module ready to be loaded. */
export interface LoadableModule {
  /** The kernel's spelling, with `_`. */
  readonly name: string;
  /** Content of the uncompressed `.ko`. */
  readonly bytes: Uint8Array;
}

/**
 * The wanted modules and everything they depend on, each behind what it needs, so that a plain insmod in this order works.
 * Modules that are built into the kernel are left out.
 * @param names file names without suffix; `-` and `_` are the same.
 * @throws LabError INVALID for a module that this kernel does not have.
 */
export async function resolveModules(kernel: LabKernel, names: readonly string[]): Promise<LoadableModule[]> {
  if (names.length === 0) return [];
  const files = await moduleFiles(kernel.modules);
  const builtin = await readFile(join(kernel.modules, "modules.builtin"), "utf8").catch(() => "");
  const builtins = new Set(builtin.split("\n").map(moduleName));
  const order = new Map<string, LoadableModule>();

  const add = async (name: string, path: readonly string[]): Promise<void> => {
    if (order.has(name) || builtins.has(name)) return;
    const file = files.get(name);
    if (file === undefined) throw new LabError("INVALID", `kernel ${kernel.release} has no module ${[...path, name].join(" -> ")}`);
    if (path.includes(name)) throw new LabError("INVALID", `modules depend on each other: ${[...path, name].join(" -> ")}`);
    const bytes = await readModule(file);
    for (const needed of new ModuleObject(bytes).depends()) await add(needed, [...path, name]);
    order.set(name, { name, bytes });
  };
  for (const name of names) await add(moduleName(name), []);
  return [...order.values()];
}

async function moduleFiles(folder: string): Promise<Map<string, string>> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch((error: unknown) => {
    throw new LabError("INVALID", `the modules folder ${folder} cannot be read`, error);
  });
  const files = new Map<string, string>();
  for (const entry of entries) {
    if (entry.isFile() && /\.ko(\.xz|\.zst|\.gz)?$/.test(entry.name)) {
      files.set(moduleName(entry.name), join(entry.parentPath, entry.name));
    }
  }
  return files;
}

/** A module's name as the kernel writes it, from a file name or a user's spelling. */
function moduleName(file: string): string {
  return basename(file)
    .replace(/\.ko(\.\w+)?$/, "")
    .replaceAll("-", "_");
}

async function readModule(file: string): Promise<Uint8Array> {
  const bytes = await readFile(file);
  if (file.endsWith(".xz")) return runCommand("xz", ["-dc"], { input: bytes }); // Node has no xz
  if (file.endsWith(".zst")) return zstdDecompressSync(bytes);
  if (file.endsWith(".gz")) return gunzipSync(bytes);
  return bytes;
}
