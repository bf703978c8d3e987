import { open, readdir, readFile, stat, writeFile } from "node:fs/promises";
import { release as hostRelease } from "node:os";
import { join } from "node:path";
import { DebianArchive, type DebianPackage, type FetchOptions } from "./debian-archive.ts";
import { LabError } from "./error.ts";

/** The series the lab has a kernel of. */
export type KernelSeries = "5.10" | "6.1" | "6.12" | "7.2";

/** A row of the lab's table of kernels. */
export interface KernelSpec {
  readonly series: KernelSeries;
  /** Debian suite that carries it. */
  readonly suite: string;
  /** Name of the image package; group 1 is the kernel's release (`uname -r`). */
  readonly image: RegExp;
}

/** A kernel that can be booted: from Debian's archive, or this host's own. */
export interface LabKernel {
  /** `uname -r`. */
  readonly release: string;
  /** Path of the bzImage. */
  readonly image: string;
  /** Path of the folder `modules/<release>`, the one that has `kernel/` in it. */
  readonly modules: string;
  /** The suite it came from; absent for a kernel that is not of the lab's table. */
  readonly suite?: string;
}

/** Debian's cloud kernels: small, with NVMe and the serial console built in, KEXEC, PROC_VMCORE, BTF and ORC on. */
export const LAB_KERNELS: readonly KernelSpec[] = [
  { series: "5.10", suite: "bullseye", image: /^linux-image-(5\.10\.\d+-\d+-cloud-amd64)$/ },
  { series: "6.1", suite: "bookworm", image: /^linux-image-(6\.1\.\d+-\d+-cloud-amd64)$/ },
  { series: "6.12", suite: "trixie", image: /^linux-image-(6\.12\.\d+\+deb13[\d.]*-cloud-amd64)$/ },
  { series: "7.2", suite: "sid", image: /^linux-image-(7\.2\.\d+\+deb\d+-cloud-amd64)$/ },
];

/** The row of a series. @throws LabError INVALID for a series the lab does not have. */
export function kernelSpec(series: KernelSeries): KernelSpec {
  const spec = LAB_KERNELS.find((row) => row.series === series);
  if (spec !== undefined) return spec;
  const known = LAB_KERNELS.map((row) => row.series).join(", ");
  throw new LabError("INVALID", `the lab has no kernel ${String(series)}; it has ${known}`);
}

/** What {@link fetchKernel} writes beside an unpacked kernel, so that later runs need no network. */
interface Installed {
  readonly series: KernelSeries;
  readonly release: string;
}

/**
 * The newest kernel of a series, from the cache when one is there, else downloaded (20 to 40 MB) and unpacked.
 * @param options `refresh` asks the archive even when the cache has a kernel of the series.
 * @throws LabError UNREACHABLE, saying what could not be had.
 */
export async function fetchKernel(series: KernelSeries, options: FetchOptions & { readonly refresh?: boolean }): Promise<LabKernel> {
  const spec = kernelSpec(series);
  const root = join(options.cache, "kernel");
  const cached = options.refresh === true ? undefined : await findCached(root, series);
  if (cached !== undefined) return describe(spec, join(root, cached), cached);

  const archive = await DebianArchive.open(spec.suite, options);
  const images = await archive.find(spec.image);
  let problem: unknown = new LabError("UNREACHABLE", `Debian ${spec.suite} has no package ${spec.image.source}`);
  // The lists may name a package that the mirror has just dropped: the next older one will do.
  for (const image of images.slice(0, 3)) {
    const release = spec.image.exec(image.name)?.[1] ?? "";
    const folder = join(root, release);
    try {
      await archive.unpack(await parts(archive, image, release), folder);
    } catch (error) {
      if (!(error instanceof LabError) || error.reason !== "UNREACHABLE") throw error;
      problem = error;
      continue;
    }
    const kernel = await describe(spec, folder, release);
    await writeFile(join(folder, "kernel.json"), JSON.stringify({ series, release } satisfies Installed));
    return kernel;
  }
  throw problem;
}

/** The packages an image is made of: since 7.x Debian splits it in linux-base-, linux-binary- and linux-modules-RELEASE. */
async function parts(archive: DebianArchive, image: DebianPackage, release: string): Promise<DebianPackage[]> {
  const found = [image];
  for (const name of image.depends.filter((part) => part.startsWith("linux-") && part.endsWith(`-${release}`))) {
    const [part] = await archive.find(new RegExp(`^${name.replaceAll(/[.+]/g, "\\$&")}$`));
    if (part !== undefined) found.push(part);
  }
  return found;
}

async function findCached(root: string, series: KernelSeries): Promise<string | undefined> {
  const names = await readdir(root).catch(() => [] as string[]);
  const order = new Intl.Collator("en", { numeric: true });
  for (const name of names.toSorted((a, b) => order.compare(b, a))) {
    const text = await readFile(join(root, name, "kernel.json"), "utf8").catch(() => "null");
    if ((JSON.parse(text) as Installed | null)?.series === series) return name;
  }
  return undefined;
}

/** Finds image and modules in an unpacked package; both moved between Debian's releases (usr-merge, linux-binary). */
async function describe(spec: KernelSpec, folder: string, release: string): Promise<LabKernel> {
  const modules = await firstThere([join(folder, "usr/lib/modules", release), join(folder, "lib/modules", release)]);
  const image = await firstThere([join(folder, "boot", `vmlinuz-${release}`), join(modules ?? folder, "vmlinuz")]);
  if (modules === undefined || image === undefined) {
    throw new LabError("INVALID", `${folder} has no ${image === undefined ? "vmlinuz" : "modules folder"} of ${release}`);
  }
  return { release, image, modules, suite: spec.suite };
}

/**
 * The kernel a host runs, for a rehearsal.
 * @param host its release, and the folder that has its files: this host's own where not given.
 * @throws LabError INVALID when its image or modules are not on disk (a container, or an image that root alone may read).
 */
export async function hostKernel(host: { readonly root?: string; readonly release?: string } = {}): Promise<LabKernel> {
  const { root = "/", release = hostRelease() } = host;
  const modules = await firstThere([join(root, "lib/modules", release), join(root, "usr/lib/modules", release)]);
  const image = await firstThere([join(root, "boot", `vmlinuz-${release}`), join(root, "usr/lib/modules", release, "vmlinuz")]);
  if (image === undefined)
    throw new LabError("INVALID", `no image of the kernel ${release} under ${root}: neither in boot nor in usr/lib/modules`);
  if (modules === undefined) throw new LabError("INVALID", `no modules of the kernel ${release} under ${root}`);
  return { release, image, modules };
}

/**
 * A kernel from a file.
 * @param image path of an x86 bzImage.
 * @param modules folder of its modules, the one that has `kernel/` in it; looked for beside the image and on this host where not given.
 * @throws LabError INVALID for a file that is none, or whose modules are not found.
 */
export async function givenKernel(image: string, modules?: string): Promise<LabKernel> {
  const release = await bzImageRelease(image);
  const trees = [join(image, "../.."), "/"];
  const folders =
    modules === undefined
      ? trees.flatMap((tree) => [join(tree, "lib/modules", release), join(tree, "usr/lib/modules", release)])
      : [modules];
  const found = await firstThere(folders);
  if (found === undefined) throw new LabError("INVALID", `no modules of the kernel ${release} in ${folders.join(", ")}`);
  return { release, image, modules: found };
}

/** The release in a bzImage's header (linux:Documentation/arch/x86/boot.rst: `header`, `kernel_version`). */
async function bzImageRelease(image: string): Promise<string> {
  const head = Buffer.alloc(64 * 1024);
  try {
    await using file = await open(image, "r");
    await file.read(head, 0, head.length, 0);
  } catch (error) {
    throw new LabError("INVALID", `the kernel image ${image} cannot be read`, error);
  }
  const at = head.readUInt16LE(0x20e) + 0x200;
  const end = head.indexOf(0, at);
  const release = end < 0 ? undefined : /^\S+/.exec(head.toString("latin1", at, end))?.[0];
  if (head.toString("latin1", 0x202, 0x206) !== "HdrS" || release === undefined)
    throw new LabError("INVALID", `${image} is no x86 bzImage`);
  return release;
}

async function firstThere(paths: readonly string[]): Promise<string | undefined> {
  for (const path of paths) {
    if (
      await stat(path).then(
        () => true,
        () => false,
      )
    )
      return path;
  }
  return undefined;
}
