/** Opens a dump and its kernel as the options common to all dump commands say. */
import { DumpError, isDumpError, latin1, readExactly } from "../bytes/index.ts";
import { FileSource, openDump, type OpenedDump, type OpenOptions, readStats } from "../format/index.ts";
import { Kernel, type KernelOptions, parseSystemMap, readVmlinux } from "../kernel/index.ts";
import type { Context, DumpArgs } from "./table.ts";

/** A System.map or BTF blob is a few megabytes. */
const MAX_GIVEN = 64 * 1024 * 1024;

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

/** The files that the user gave beside the dump, read. @throws IO, UNSUPPORTED or CORRUPT naming the file. */
export function kernelOptions(context: Context, args: DumpArgs): KernelOptions {
  const vmlinux = args.vmlinux === undefined ? undefined : vmlinuxOf(args.vmlinux);
  const btf = args.btf === undefined ? vmlinux?.btf : btfOf(args.btf);
  const symbols = args.symbols === undefined ? vmlinux?.symbols : parseSystemMap(latin1(contentOf(args.symbols)), args.symbols);
  return { onProgress: context.progress, ...(btf === undefined ? {} : { btf }), ...(symbols === undefined ? {} : { symbols }) };
}

/**
 * Names link-time addresses by the vmlinux or System.map that the user gave, for logs without a dump; undefined where
 * none was given. @throws as {@link kernelOptions}.
 */
export function givenSymbols(
  context: Context,
  args: DumpArgs,
): ((address: bigint) => { name: string; offset: number } | undefined) | undefined {
  const given = kernelOptions(context, args).symbols;
  if (given === undefined) return undefined;
  const symbols = [...given]
    .filter(({ type }) => type !== "A" && type !== "a")
    .sort((a, b) => (a.address < b.address ? -1 : a.address > b.address ? 1 : 0));
  return (address) => {
    let low = 0;
    let high = symbols.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (symbols[middle]!.address <= address) low = middle + 1;
      else high = middle;
    }
    const below = symbols[low - 1];
    const offset = below === undefined ? 0n : address - below.address;
    // The last symbol's function has no end that a table knows.
    return below === undefined || (low === symbols.length && offset > 0x1000n) ? undefined : { name: below.name, offset: Number(offset) };
  };
}

function vmlinuxOf(path: string): ReturnType<typeof readVmlinux> {
  const source = new FileSource(path);
  try {
    return readVmlinux(source);
  } finally {
    source.close();
  }
}

/** A raw blob begins with the magic of BTF, in either byte order; anything else must be an ELF file with a .BTF section. */
function btfOf(path: string): Uint8Array {
  const source = new FileSource(path);
  try {
    const magic = new Uint8Array(2);
    source.read(0, magic);
    if ((magic[0] === 0x9f && magic[1] === 0xeb) || (magic[0] === 0xeb && magic[1] === 0x9f))
      return readExactly(source, 0, source.size, path, MAX_GIVEN);
    const { btf } = readVmlinux(source);
    if (!btf) throw new DumpError("UNSUPPORTED", `${path} has no .BTF section`);
    return btf;
  } finally {
    source.close();
  }
}

function contentOf(path: string): Uint8Array {
  const source = new FileSource(path);
  try {
    return readExactly(source, 0, source.size, path, MAX_GIVEN);
  } finally {
    source.close();
  }
}

/** Opens the kernel in a dump. @throws what {@link Kernel} throws, and what a wrong file of the user's throws. */
export function openKernel(context: Context, args: DumpArgs, opened: OpenedDump): Kernel {
  return new Kernel(opened.dump, kernelOptions(context, args));
}

/** As {@link openKernel}, with the failure as a value: a report can go on. A wrong file of the user's is thrown all the same. */
export function tryKernel(context: Context, args: DumpArgs, opened: OpenedDump): { value: Kernel } | { failure: DumpError } {
  const options = kernelOptions(context, args);
  return attempt(() => new Kernel(opened.dump, options));
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
