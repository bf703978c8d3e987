import { access, readFile } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { ownSuite, readAptSources } from "./apt-source.ts";
import { runCommand } from "./command.ts";
import { DebianArchive, type FetchOptions } from "./debian-archive.ts";
import { LabError } from "./error.ts";

/** Programs of this machine, or of its Debian suite, that go into a guest. */
export interface GuestTools {
  /** A busybox that needs no library. */
  readonly busybox: string;
  readonly kexec: string;
}

/**
 * Finds the programs a guest needs: the machine's own where it has them, else out of the machine's Debian suite, unpacked into
 * the cache and not installed.
 * @throws LabError UNREACHABLE when one is neither here nor to be had, naming the package.
 */
export async function guestTools(options: FetchOptions): Promise<GuestTools> {
  return {
    busybox: (await findStatic("busybox")) ?? (await fetchTool("busybox-static", ["usr/bin/busybox", "bin/busybox"], options)),
    kexec: (await findProgram("kexec")) ?? (await fetchTool("kexec-tools", ["usr/sbin/kexec", "sbin/kexec"], options)),
  };
}

/** Path of a program of this machine; the administrator's folders are looked at for every user. */
export async function findProgram(name: string): Promise<string | undefined> {
  const folders = [...(process.env["PATH"] ?? "").split(delimiter), "/usr/sbin", "/sbin", "/usr/bin", "/bin"];
  for (const folder of folders.filter((candidate) => candidate !== "")) {
    const path = join(folder, name);
    if (
      await access(path).then(
        () => true,
        () => false,
      )
    )
      return path;
  }
  return undefined;
}

/** Debian's plain busybox package has a dynamic one of the same name. */
async function findStatic(name: string): Promise<string | undefined> {
  const path = await findProgram(name);
  return path !== undefined && (await sharedLibraries(path)).length === 0 ? path : undefined;
}

async function fetchTool(packageName: string, paths: readonly string[], options: FetchOptions): Promise<string> {
  const folder = join(options.cache, "tool", packageName);
  const find = async (): Promise<string | undefined> => {
    for (const path of paths) {
      const file = join(folder, path);
      if (
        await access(file).then(
          () => true,
          () => false,
        )
      )
        return file;
    }
    return undefined;
  };
  const cached = await find();
  if (cached !== undefined) return cached;
  let problem: unknown;
  try {
    const archive = await DebianArchive.open(ownSuite(await readAptSources()), options);
    const [found] = await archive.find(new RegExp(`^${packageName}$`));
    if (found !== undefined) await archive.unpack([found], folder);
    const file = await find();
    if (file !== undefined) return file;
  } catch (error) {
    if (!(error instanceof LabError)) throw error;
    problem = error;
  }
  throw new LabError("UNREACHABLE", `${packageName} is neither installed nor to be downloaded (apt-get install ${packageName})`, problem);
}

/**
 * Paths of the shared libraries of a program and of its loader, as this machine resolves them. Empty for a static program.
 * @throws Error for a program whose libraries are not all here.
 */
export async function sharedLibraries(program: string): Promise<string[]> {
  if (!hasInterpreter(await readFile(program))) return []; // ldd calls such a program an error
  const text = (await runCommand("ldd", [program])).toString("utf8");
  const absent = /^\s*(\S+) => not found/m.exec(text)?.[1];
  if (absent !== undefined) throw new LabError("MISSING_TOOL", `${program} needs ${absent}, which is not installed`);
  return [...text.matchAll(/(?:=>\s+|^\s*)(\/\S+)/gm)].map((match) => match[1] ?? "");
}

/** Whether an ELF64 file has a PT_INTERP program header. Other files (scripts) count as having none. */
function hasInterpreter(bytes: Buffer): boolean {
  if (bytes.length < 64 || bytes.readUInt32BE(0) !== 0x7f454c46) return false;
  const e_phoff = Number(bytes.readBigUInt64LE(32));
  const e_phnum = bytes.readUInt16LE(56);
  for (let i = 0; i < e_phnum; i++) if (bytes.readUInt32LE(e_phoff + 56 * i) === 3) return true;
  return false;
}
