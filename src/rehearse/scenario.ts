/** One way to die, in one machine: started, followed to its end, and what it left behind taken out of its memory and disk. */
import { mkdir, mkdtemp, readFile, rename, rm, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import {
  breakFunction,
  type GuestTools,
  Initramfs,
  LabError,
  type LabKernel,
  type LabProgress,
  type LoadableModule,
  Machine,
  type MachineOptions,
  readRange,
  resolveModules,
  TRIGGER_LINE,
  VMCORE_DISK,
  vmcoreSize,
} from "../lab/index.ts";
import type { Settings } from "../panic/index.ts";
import { corruptImage } from "./corrupt.ts";
import { captureInit, firstCommandLine, firstInit, lines, RAMOOPS_MODULE, REGION_ADDRESS, REGION_SIZES } from "./guest.ts";
import type { CaptureMemory, MachineEnd, RehearsedStage } from "./model.ts";
import { says } from "./console.ts";
import type { HostAct, RehearsalWay } from "./way.ts";

/** What the machines of a rehearsal have in common. */
export interface MachineSetup {
  readonly kernel: LabKernel;
  readonly tools: GuestTools;
  readonly settings: Settings;
  /** Below 3 GiB: there RAM is one piece from address 0 on. */
  readonly memoryMiB: number;
  /** 2 to 4. */
  readonly cpus: number;
  readonly crashkernelMiB: number;
  /** Content of an initramfs that the capture kernel has to carry, besides the rehearsal's. */
  readonly initramfs: Uint8Array | undefined;
  /** Folder for what the machines need while they run. */
  readonly work: string;
  readonly signal?: AbortSignal | undefined;
  /** Told of what takes longer than it should. */
  readonly progress?: LabProgress;
}

/** What a machine left behind. */
export interface Remains {
  /** All of its serial line. */
  readonly console: string;
  /** The ramoops region, as it lay in RAM at the end. */
  readonly region: Uint8Array;
  /** Path of what the capture kernel wrote to its disk; absent where it wrote no vmcore. */
  readonly vmcore: string | undefined;
  readonly stages: readonly RehearsedStage[];
  readonly end: MachineEnd;
  readonly seconds: number;
  readonly memory: CaptureMemory | null;
}

const MIB = 1024 * 1024;
/** How often a machine is looked at. */
const GLANCE_MS = 200;
/** So long without a word after its death, a machine stands still: no step of the way takes half as long. */
const QUIET_MS = 20_000;
/** And so much longer for each MiB that the capture kernel carries: it is summed up and unpacked in silence. */
const QUIET_PER_MIB_MS = 500;
/** The same before: hung tasks and lockups are noticed in silence. */
const PATIENCE_MS = 60_000;
/** For all of it. A machine is done in a third of that. */
const LIMIT_MS = 240_000;

/**
 * Lets a machine die and brings back what is left.
 * @param folder for `console.log`, `ramoops.bin` and `vmcore`; made when missing. On the file system of {@link MachineSetup.work}.
 * @param onStage called when a stage is reached.
 * @throws LabError GUEST or TIMEOUT where the guest did something else than asked, the console is then in the folder; INVALID for a
 *   kernel that has not the modules for it; MISSING_TOOL without QEMU.
 */
export async function runScenario(
  setup: MachineSetup,
  way: RehearsalWay,
  folder: string,
  onStage: (stage: RehearsedStage) => void,
): Promise<Remains> {
  await mkdir(folder, { recursive: true });
  const work = await mkdtemp(join(setup.work, "machine-"));
  try {
    const capture = await captureInitramfs(setup, way);
    const initramfs = join(work, "initramfs.gz");
    await writeFile(initramfs, await firstInitramfs(setup, way, capture));
    const ram = join(work, "ram");
    const disk = join(work, "vmcore.raw");
    for (const [path, size] of [[ram, setup.memoryMiB * MIB] as const, [disk, (setup.memoryMiB + 64) * MIB] as const]) {
      await writeFile(path, "", { mode: 0o600 });
      await truncate(path, size); // sparse
    }
    const options: MachineOptions = {
      kernel: setup.kernel.image,
      initramfs,
      append: firstCommandLine(setup.settings, setup.crashkernelMiB),
      memoryMiB: setup.memoryMiB,
      cpus: setup.cpus,
      disks: way.capture === "no target" ? [] : [{ path: disk, serial: VMCORE_DISK }],
      // RAM as a file: it can be written to from outside, and what a warm reset would leave can be read when QEMU has ended.
      extra: ["-object", `memory-backend-file,id=ram,size=${setup.memoryMiB}M,share=on,mem-path=${ram}`, "-machine", "memory-backend=ram"],
      timeoutMs: LIMIT_MS,
      signal: setup.signal,
      consoleFile: join(folder, "console.log"),
      progress: setup.progress,
    };
    await using machine = await Machine.boot(options, lines.first);
    const followed = await follow(
      machine,
      way,
      QUIET_MS + (capture.length / MIB) * QUIET_PER_MIB_MS,
      (act) => doAct(act, machine, setup, ram, capture),
      onStage,
    );
    const region = await readRange(ram, REGION_ADDRESS, REGION_SIZES.memSize);
    await writeFile(join(folder, "ramoops.bin"), region);
    const size = await vmcoreSize(disk).catch((error: unknown) => {
      if (error instanceof LabError) return 0;
      throw error;
    });
    const vmcore = size === 0 ? undefined : join(folder, "vmcore");
    if (vmcore !== undefined) {
      // One that says to be longer than its disk is cut short.
      if (size < (setup.memoryMiB + 64) * MIB) await truncate(disk, size);
      await rename(disk, vmcore);
    }
    return { console: machine.console, region, vmcore, ...followed, memory: memoryOf(machine.console, setup, capture.length) };
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

/** Goes with a machine to its end. */
async function follow(
  machine: Machine,
  way: RehearsalWay,
  quietMs: number,
  act: (act: HostAct) => Promise<void>,
  onStage: (stage: RehearsedStage) => void,
): Promise<{ stages: RehearsedStage[]; end: MachineEnd; seconds: number }> {
  const stages: RehearsedStage[] = [];
  const reached = (name: RehearsedStage["name"]): boolean => stages.some((stage) => stage.name === name);
  const waiting = new RegExp(`^${TRIGGER_LINE}$`, "m");
  const looks: readonly (readonly [RehearsedStage["name"], (text: string) => boolean])[] = [
    ["first kernel", (text) => lines.first.test(text)],
    ["ready to die", (text) => lines.ready.test(text)],
    ["died", (text) => way.says !== undefined && says(text, way.says)],
    ["capture kernel", (text) => lines.capture.test(text)],
    ["saved", (text) => lines.saved.test(text)],
  ];
  const ended = machine.exited().then(
    () => ({ error: undefined }),
    (error: unknown) => ({ error }),
  );
  const done = (end: MachineEnd): { stages: RehearsedStage[]; end: MachineEnd; seconds: number } => ({
    stages,
    end,
    seconds: Math.round(machine.elapsedMs / 100) / 10,
  });
  let acted = way.host === undefined;
  let length = 0;
  let spokeAt = machine.elapsedMs;
  for (;;) {
    const over = await Promise.race([ended, pause(GLANCE_MS)]);
    const { console: text, elapsedMs } = machine;
    if (text.length !== length) {
      length = text.length;
      spokeAt = elapsedMs;
      for (const [name, look] of looks) {
        if (reached(name) || !look(text)) continue;
        const stage = { name, atMs: Math.round(elapsedMs) };
        stages.push(stage);
        onStage(stage);
      }
    }
    const failure = lines.failed.exec(text)?.[1];
    if (failure !== undefined) throw new LabError("GUEST", `the guest says: ${failure}; ${tail(machine)}`);
    if (over !== undefined) {
      if (over.error !== undefined) throw over.error;
      if (!reached("ready to die")) throw new LabError("GUEST", `the machine ended before its time; ${tail(machine)}`);
      return done("reset");
    }
    if (!acted && waiting.test(text)) {
      acted = true;
      await act(way.host!);
    }
    if (lines.alive.test(text)) {
      const end = done("went on");
      await machine.kill();
      return end;
    }
    const quiet = elapsedMs - spokeAt;
    if (quiet > (reached("died") ? quietMs : PATIENCE_MS)) {
      if (!reached("ready to die")) throw new LabError("TIMEOUT", `the guest does not come up; ${tail(machine)}`);
      const end = done("stood still");
      await machine.kill();
      return end;
    }
  }
}

async function doAct(act: HostAct, machine: Machine, setup: MachineSetup, ram: string, capture: Uint8Array): Promise<void> {
  switch (act) {
    case "nmi":
      await machine.command("inject-nmi");
      return;
    case "reset":
      // QEMU ends, and may do so before it has answered.
      await machine.command("system_reset").catch(() => {});
      return;
    case "corrupt the crash image, then sysrq": {
      const range = lines.crashKernel.exec(machine.console);
      if (range !== null) await corruptImage(ram, [Number.parseInt(range[1]!, 16), Number.parseInt(range[2]!, 16)], capture);
      else if (setup.settings.crashImage !== "absent") throw new LabError("GUEST", "the guest does not say where its capture kernel is");
      await machine.sendSysrq("c");
    }
  }
}

/** The capture kernel's initramfs: the rehearsal's, behind the one that it has to carry. */
async function captureInitramfs(setup: MachineSetup, way: RehearsalWay): Promise<Uint8Array> {
  const own = new Initramfs();
  // Zeros: next to nothing while packed, all of the reserved memory when unpacked. First, so that nothing behind it has room.
  if (way.capture === "too little memory") own.addFile("/ballast", new Uint8Array(setup.crashkernelMiB * MIB));
  own
    .addModules(await resolveModules(setup.kernel, ["nvme"]))
    .addFile("/bin/busybox", await readFile(setup.tools.busybox), "program")
    .addFile("/init", captureInit(), "program");
  const encoded = await own.encode();
  if (setup.initramfs === undefined) return encoded;
  // Archives may follow each other, with zeros between them up to a multiple of 4 (linux:init/initramfs.c:unpack_to_rootfs).
  const given = setup.initramfs;
  return Buffer.concat([given, Buffer.alloc((4 - (given.length % 4)) % 4), encoded]);
}

async function firstInitramfs(setup: MachineSetup, way: RehearsalWay, capture: Uint8Array): Promise<Uint8Array> {
  const { kernel, settings } = setup;
  const ramoops = settings.backends.some((backend) => backend.name === "ramoops");
  const all = await resolveModules(kernel, [...way.modules, ...(ramoops ? ["ramoops"] : [])]);
  if (way.broken !== undefined && !all.some(({ name }) => name === way.broken!.module))
    throw new LabError("INVALID", `${way.broken.module} is built into ${kernel.release}; only a module can be broken`);
  const breakIt = (loadable: LoadableModule): LoadableModule =>
    loadable.name === way.broken?.module
      ? { name: loadable.name, bytes: breakFunction(loadable.bytes, way.broken.symbol, way.broken.how) }
      : loadable;
  const first = new Initramfs()
    .addModules(all.filter(({ name }) => name !== "ramoops").map(breakIt))
    .addFile("/bin/busybox", await readFile(setup.tools.busybox), "program")
    .addFile("/init", firstInit(way, settings), "program");
  const module = all.find(({ name }) => name === "ramoops");
  if (module !== undefined) first.addFile(RAMOOPS_MODULE, module.bytes);
  if (settings.crashImage !== "absent") {
    first.addFile("/boot/vmlinuz", await readFile(kernel.image)).addFile("/boot/initramfs", capture);
    await first.addProgram(setup.tools.kexec);
  }
  return first.encode();
}

/** From the capture kernel's own samples. */
function memoryOf(console: string, setup: MachineSetup, packedBytes: number): CaptureMemory | null {
  const samples = [...console.matchAll(lines.memory)].map((match) => Number(match[2]) * 1024);
  const [first] = samples;
  if (first === undefined) return null;
  const reserved = setup.crashkernelMiB * MIB;
  // What is not available is in use, by the kernel itself too. When init runs, the packed initramfs is already gone.
  return { reserved, peak: reserved - Math.min(...samples, first - packedBytes) };
}

function tail(machine: Machine): string {
  return `its console ends with:\n${machine.consoleTail()}`;
}

function pause(milliseconds: number): Promise<undefined> {
  return new Promise((resolve) => setTimeout(() => resolve(undefined), milliseconds));
}
