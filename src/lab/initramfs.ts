import { readFile } from "node:fs/promises";
import { basename } from "node:path";
import { promisify } from "node:util";
import { gzip } from "node:zlib";
import { type CpioEntry, encodeCpio } from "./cpio.ts";
import { LabError } from "./error.ts";
import type { LoadableModule } from "./modules.ts";
import { sharedLibraries } from "./tools.ts";

const FOLDER = 0o040755;
const FILE = 0o100644;
const PROGRAM = 0o100755;

/** File in the guest that lists the modules of `/mod` in the order to load them, one `name.ko` a line. */
export const MODULE_ORDER = "/mod/order";

/** A guest's first root file system, put together in memory. */
export class Initramfs {
  readonly #entries: Map<string, CpioEntry> = new Map();

  /** Adds a file at an absolute path, with its folders. A second file at the same path replaces the first. */
  addFile(path: string, data: Uint8Array | string, mode: "file" | "program" = "file"): this {
    if (!path.startsWith("/") || path.split("/").includes("..")) throw new LabError("INVALID", `${path} is no path inside an initramfs`);
    const parts = path.slice(1).split("/");
    for (let i = 1; i < parts.length; i++) this.addFolder(`/${parts.slice(0, i).join("/")}`);
    const bytes = typeof data === "string" ? Buffer.from(data) : data;
    this.#put({ path: parts.join("/"), mode: mode === "file" ? FILE : PROGRAM, data: bytes });
    return this;
  }

  /** Adds an empty folder at an absolute path; its parents must be there or be added by a file. */
  addFolder(path: string): this {
    const entry = { path: path.slice(1), mode: FOLDER, data: new Uint8Array() };
    if (!this.#entries.has(entry.path)) this.#put(entry);
    return this;
  }

  #put(entry: CpioEntry): void {
    this.#entries.set(entry.path, entry);
  }

  /** Adds a program of this machine to `/bin`, and the libraries it needs where it expects them. */
  async addProgram(path: string): Promise<this> {
    this.addFile(`/bin/${basename(path)}`, await readFile(path), "program");
    for (const library of await sharedLibraries(path)) this.addFile(library, await readFile(library), "program");
    return this;
  }

  /** Adds modules to `/mod` and the list of their order, {@link MODULE_ORDER}. */
  addModules(modules: readonly LoadableModule[]): this {
    for (const loadable of modules) this.addFile(`/mod/${loadable.name}.ko`, loadable.bytes);
    return this.addFile(MODULE_ORDER, modules.map((loadable) => `${loadable.name}.ko\n`).join(""));
  }

  /** The gzip-compressed archive, as a kernel takes it. Compressed lightly: the guest unpacks it under emulation. */
  async encode(): Promise<Uint8Array> {
    return promisify(gzip)(encodeCpio([...this.#entries.values()]), { level: 1 });
  }
}
