import { mkdir, mkdtemp, readdir, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { runCommand } from "./command.ts";
import { DebianArchive, type FetchOptions } from "./debian-archive.ts";
import { LabError } from "./error.ts";
import type { LabKernel } from "./kernels.ts";

/**
 * The debug `vmlinux` of one of the lab's kernels, for peers that cannot do without (crash, drgn); the project itself never needs it.
 * About 300 MB to download and 600 MB on disk, kept in the cache.
 * @returns path of the file.
 * @throws LabError UNREACHABLE when the archive has none: mirrors drop debug packages earlier than the kernels.
 */
export async function fetchDebugVmlinux(kernel: LabKernel, options: FetchOptions): Promise<string> {
  const file = join(options.cache, "debug", `vmlinux-${kernel.release}`);
  if (
    await stat(file).then(
      () => true,
      () => false,
    )
  )
    return file;
  if (kernel.suite === undefined)
    throw new LabError("INVALID", `${kernel.release} is not a kernel of the lab, its debug package is unknown`);
  const archive = await DebianArchive.open(kernel.suite, options);
  const name = `linux-image-${kernel.release}-dbg`;
  const [found] = await archive.find(new RegExp(`^${name.replaceAll(/[.+]/g, "\\$&")}$`));
  if (found === undefined) throw new LabError("UNREACHABLE", `Debian ${kernel.suite} has no package ${name}`);
  await mkdir(join(options.cache, "debug"), { recursive: true });
  const work = await mkdtemp(join(options.cache, "debug", "work-"));
  try {
    // All of the package is unpacked: its modules' debug data is large, and dpkg-deb knows every compression it may have.
    await archive.unpack([found], join(work, "root"));
    // Debian keeps it under usr/lib/debug, with links of the same name elsewhere that lead out of the package.
    const entries = await readdir(join(work, "root"), { recursive: true, withFileTypes: true });
    const vmlinux = entries.find((entry) => entry.isFile() && /^vmlinux(-.*)?$/.test(entry.name));
    if (vmlinux === undefined) throw new LabError("UNREACHABLE", `${name} has no vmlinux in it`);
    await rename(join(vmlinux.parentPath, vmlinux.name), file);
    return file;
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

/** Whether a peer program is on this machine, and its first line about itself. */
export async function peerVersion(program: string, args: readonly string[] = ["--version"]): Promise<string | undefined> {
  try {
    return (await runCommand(program, args)).toString("utf8").trim().split("\n")[0];
  } catch {
    return undefined;
  }
}
