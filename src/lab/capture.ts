import { mkdir, mkdtemp, readFile, rename, rm, stat, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { breakFunction, type CrashWay, TRIGGER_LINE } from "./crash.ts";
import type { FetchOptions } from "./debian-archive.ts";
import { LabError } from "./error.ts";
import { type Facts, parseFacts } from "./facts.ts";
import { captureInit, FACTS_DISK, firstInit, type GuestLoad, NO_LOAD, REGION_OFFSET, VMCORE_DISK } from "./guest.ts";
import { Initramfs } from "./initramfs.ts";
import type { LabKernel } from "./kernels.ts";
import { type LoadableModule, resolveModules } from "./modules.ts";
import { Machine, type MachineOptions } from "./qemu.ts";
import { readRange } from "./read-range.ts";
import { guestTools } from "./tools.ts";
import { vmcoreSize } from "./vmcore-size.ts";

/**
 * A range of physical memory kept out of the kernel's hands (`memmap=SIZE$ADDRESS`), in bytes, page aligned.
 *
 * It must lie below the memory that the first kernel sets aside for the capture kernel, which takes the highest that fits:
 * read() of `/dev/mem` ends at the reading kernel's own last RAM (valid_phys_addr_range, arch/x86/mm/mmap.c) with EFAULT.
 * Low addresses like 0x6000000 always do.
 */
export interface ReservedRegion {
  readonly address: number;
  readonly size: number;
}

/** What shall happen. */
export interface CaptureOptions extends FetchOptions {
  readonly kernel: LabKernel;
  readonly way: CrashWay;
  /** Folder for the results; made when missing. A capture of 640 MiB of RAM takes about 500 MB there. */
  readonly folder: string;
  /** Default 640. */
  readonly memoryMiB?: number;
  /** Default 2. */
  readonly cpus?: number;
  /** MiB for the capture kernel. Default 192. */
  readonly crashkernelMiB?: number;
  readonly load?: GuestLoad;
  /** Reserved in the first kernel and saved by the capture kernel. */
  readonly region?: ReservedRegion;
  /** Appended to the first kernel's command line. */
  readonly append?: string;
  /** Appended to the capture kernel's command line. */
  readonly captureAppend?: string;
  /** Shell lines for the first kernel, before it tells its facts. */
  readonly before?: readonly string[];
  /** Shell lines for the capture kernel, before and after it saves the vmcore. */
  readonly captureBefore?: readonly string[];
  readonly captureAfter?: readonly string[];
  /** For the whole run of the machine. Default 5 minutes. */
  readonly timeoutMs?: number;
}

/** A moment of a run, in milliseconds since the machine was started. */
export interface Stage {
  readonly name: "first kernel" | "about to crash" | "capture kernel" | "saved" | "off";
  readonly atMs: number;
}

/** What came back from a crash. */
export interface Capture {
  /** Path of the ELF vmcore, of exactly {@link vmcoreBytes} bytes. */
  readonly vmcore: string;
  readonly vmcoreBytes: number;
  /** All console text: the kernel that died, then the capture kernel. Also in the folder, as `console.log`. */
  readonly console: string;
  /** The part of the kernel that died, up to where the capture kernel begins. */
  readonly crashConsole: string;
  /** What the guest said about itself. */
  readonly facts: Facts;
  /** Bytes of the reserved region as the capture kernel found it. */
  readonly region?: Uint8Array;
  readonly stages: readonly Stage[];
}

/**
 * Boots a kernel in QEMU, lets it die in the given way and brings back what its capture kernel saved. Takes 20 to 60 seconds
 * on two CPUs.
 * @throws LabError MISSING_TOOL or UNREACHABLE when this machine cannot do it, GUEST or TIMEOUT when the guest did not do it; the
 *   console is then in the folder.
 */
export async function captureCrash(options: CaptureOptions): Promise<Capture> {
  const { folder, way, kernel } = options;
  const memoryMiB = options.memoryMiB ?? 640;
  checkRegion(options.region);
  await mkdir(folder, { recursive: true });
  const work = await mkdtemp(join(folder, "work-"));
  try {
    const initramfs = join(work, "initramfs.gz");
    await writeFile(initramfs, await firstInitramfs(options));
    const vmcoreDisk = join(work, "vmcore.raw");
    const factsDisk = join(work, "facts.raw");
    await writeFile(vmcoreDisk, "");
    await truncate(vmcoreDisk, (memoryMiB + 64) * 1024 * 1024); // sparse; more than all RAM and the headers
    await writeFile(factsDisk, "");
    await truncate(factsDisk, REGION_OFFSET + roundUp(options.region?.size ?? 0, 1024 * 1024));

    options.progress?.(`crashing ${kernel.release}: ${way.what}`);
    const machineOptions: MachineOptions = {
      kernel: kernel.image,
      initramfs,
      append: commandLine(options),
      memoryMiB,
      cpus: options.cpus ?? 2,
      disks: [
        { path: vmcoreDisk, serial: VMCORE_DISK },
        { path: factsDisk, serial: FACTS_DISK },
      ],
      ...(options.timeoutMs === undefined ? {} : { timeoutMs: options.timeoutMs }),
      signal: options.signal,
      consoleFile: join(folder, "console.log"),
      progress: options.progress,
    };
    await using machine = await Machine.boot(machineOptions, /^lastwords-lab: /m);
    const stages = await follow(machine, way);

    const vmcoreBytes = await vmcoreSize(vmcoreDisk);
    if (vmcoreBytes > (await stat(vmcoreDisk)).size)
      throw new LabError("GUEST", `the vmcore says it has ${vmcoreBytes} bytes, more than the guest's memory`);
    await truncate(vmcoreDisk, vmcoreBytes);
    const vmcore = join(folder, "vmcore");
    await rename(vmcoreDisk, vmcore);
    const facts = parseFacts((await readRange(factsDisk, 0, REGION_OFFSET)).toString("utf8"));
    if (facts === undefined) throw new LabError("GUEST", "the guest did not finish telling its facts");
    const { region } = options;
    return {
      vmcore,
      vmcoreBytes,
      console: machine.console,
      crashConsole: splitConsole(machine.console),
      facts,
      stages,
      ...(region === undefined ? {} : { region: await readRange(factsDisk, REGION_OFFSET, region.size) }),
    };
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

/** Goes with the machine from stage to stage until it has ended by itself. */
async function follow(machine: Machine, way: CrashWay): Promise<Stage[]> {
  const stages: Stage[] = [];
  const reach = async (name: Stage["name"], line: string, timeoutMs: number): Promise<void> => {
    const [said = ""] = await machine.waitFor(new RegExp(`^lastwords-lab: (?:failed: .*|${line}.*)\n`, "m"), timeoutMs);
    const failure = /lastwords-lab: failed: .*/.exec(machine.console)?.[0];
    if (failure !== undefined || said.includes("failed:")) {
      throw new LabError("GUEST", `${failure ?? said}; its console ends with:\n${machine.consoleTail()}`);
    }
    stages.push({ name, atMs: Math.round(machine.elapsedMs) });
  };
  await reach("first kernel", "first kernel", 120_000);
  await reach("about to crash", "about to crash", 120_000);
  if (way.host !== undefined) {
    await machine.waitFor(new RegExp(`^${TRIGGER_LINE}\n`, "m"), 60_000);
    await way.host(machine);
  }
  await reach("capture kernel", "capture kernel", 180_000);
  await reach("saved", "saved", 300_000);
  await machine.exited();
  stages.push({ name: "off", atMs: Math.round(machine.elapsedMs) });
  return stages;
}

async function firstInitramfs(options: CaptureOptions): Promise<Uint8Array> {
  const { kernel, way } = options;
  const load = options.load ?? NO_LOAD;
  const tools = await guestTools(options);
  // The disks are NVMe: built into Debian's cloud kernels, a module in most others.
  const capture = new Initramfs()
    .addModules(await resolveModules(kernel, ["nvme"]))
    .addFile("/bin/busybox", await readFile(tools.busybox), "program")
    .addFile(
      "/init",
      captureInit({ before: options.captureBefore ?? [], after: options.captureAfter ?? [], region: options.region }),
      "program",
    );
  let modules = await resolveModules(kernel, ["nvme", ...load.modules, ...way.modules]);
  if (way.broken !== undefined) modules = modules.map((loadable) => broken(loadable, way));
  const init = firstInit({ way, load, before: options.before ?? [], captureAppend: options.captureAppend ?? "" });
  const first = new Initramfs()
    .addModules(modules)
    .addFile("/bin/busybox", await readFile(tools.busybox), "program")
    .addFile("/boot/vmlinuz", await readFile(kernel.image))
    .addFile("/boot/initramfs", await capture.encode())
    .addFile("/init", init, "program");
  await first.addProgram(tools.kexec);
  return first.encode();
}

function broken(loadable: LoadableModule, way: CrashWay): LoadableModule {
  if (loadable.name !== way.broken?.module) return loadable;
  return { name: loadable.name, bytes: breakFunction(loadable.bytes, way.broken.symbol) };
}

function commandLine(options: CaptureOptions): string {
  const parts = [`panic=1 crashkernel=${options.crashkernelMiB ?? 192}M`];
  const { region } = options;
  if (region !== undefined) parts.push(`memmap=0x${region.size.toString(16)}$0x${region.address.toString(16)}`);
  if (options.append !== undefined) parts.push(options.append);
  return parts.join(" ");
}

function checkRegion(region: ReservedRegion | undefined): void {
  if (region !== undefined && (region.address % 4096 !== 0 || region.size % 4096 !== 0 || region.size === 0)) {
    throw new LabError("INVALID", `region ${region.size} bytes at ${region.address} does not consist of whole pages`);
  }
}

/** The capture kernel begins where a kernel introduces itself for the second time. */
function splitConsole(text: string): string {
  const first = text.indexOf("Linux version ");
  const second = text.indexOf("Linux version ", first + 1);
  if (first < 0 || second < 0) return text;
  return text.slice(0, text.lastIndexOf("\n", second) + 1);
}

function roundUp(value: number, unit: number): number {
  return Math.ceil(value / unit) * unit;
}
