/** Opens a dump and its kernel as the options common to all dump commands say. */
import { readFileSync } from "node:fs";
import { DumpError, isDumpError } from "../bytes/index.ts";
import { openDump, type OpenedDump, type OpenOptions, readStats } from "../format/index.ts";
import { Kernel, type KernelOptions, parseSystemMap, readVmlinux } from "../kernel/index.ts";
import type { Context, DumpArgs } from "./table.ts";

/** What formats are opened with. */
export function openOptions(context: Context, args: DumpArgs): OpenOptions {
  return { onProgress: context.progress, ...(args.rawBase === undefined ? {} : { rawBase: args.rawBase }) };
}

/** Opens the dump alone. @throws as {@link openDump}. */
export async function openDumpOf(context: Context, args: DumpArgs, files: readonly string[]): Promise<OpenedDump> {
  const opened = await openDump(files, openOptions(context, args));
  for (const problem of [...opened.problems, ...opened.dump.problems]) context.note(problem.message);
  return opened;
}

/** The files that the user gave beside the dump, read. @throws IO or CORRUPT naming the file. */
export function kernelOptions(context: Context, args: DumpArgs): KernelOptions {
  const vmlinux = args.vmlinux === undefined ? undefined : readVmlinux(readGiven(args.vmlinux), args.vmlinux);
  const btf = args.btf === undefined ? vmlinux?.btf : btfOf(readGiven(args.btf), args.btf);
  const symbols = args.symbols === undefined ? vmlinux?.symbols : parseSystemMap(readGiven(args.symbols).toString("latin1"), args.symbols);
  return { onProgress: context.progress, ...(btf === undefined ? {} : { btf }), ...(symbols === undefined ? {} : { symbols }) };
}

/** A raw blob begins with the magic of BTF; anything else must be an ELF file with a .BTF section. */
function btfOf(bytes: Buffer, path: string): Uint8Array {
  if (bytes[0] === 0x9f && bytes[1] === 0xeb) return bytes;
  if (bytes[0] === 0xeb && bytes[1] === 0x9f) return bytes;
  const btf = readVmlinux(bytes, path).btf;
  if (!btf) throw new DumpError("UNSUPPORTED", `${path} has no .BTF section`);
  return btf;
}

function readGiven(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    throw new DumpError("IO", `cannot read ${path}: ${error instanceof Error ? error.message : error}`, { cause: error });
  }
}

/** Opens the kernel in a dump. @throws what {@link Kernel} throws. */
export function openKernel(context: Context, args: DumpArgs, opened: OpenedDump): Kernel {
  return new Kernel(opened.dump, kernelOptions(context, args));
}

/** Fills in what `--stats` prints. */
export function recordStats(context: Context, paths: readonly string[], sizes: number): void {
  context.stats.bytesRead += readStats.bytes;
  if (sizes > 0)
    context.stats.set(
      "share of the file",
      `${((readStats.bytes / sizes) * 100).toFixed(1)} % of ${sizes} bytes in ${paths.length} file${paths.length === 1 ? "" : "s"}`,
    );
}

/** The part of a command's result that says what was missing, on stderr. */
export function noteMissing(context: Context, kernel: Kernel): void {
  for (const entry of kernel.missing) context.note(`${entry.what}: ${entry.reason}; ${entry.consequence}`);
}

/** Runs `get`; answers its failure as a value, where it is one that a report can go on after. */
export function attempt<T>(get: () => T): { value: T } | { failure: DumpError } {
  try {
    return { value: get() };
  } catch (error) {
    if (!isDumpError(error)) throw error;
    return { failure: error };
  }
}
