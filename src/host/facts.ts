import { readBtf } from "./btf.ts";
import { type ConsoleFacts, readConsoles } from "./console.ts";
import { type CrashKernelFacts, readCrashKernel } from "./crashkernel.ts";
import { type EfiFacts, readEfi } from "./efi.ts";
import { type IoMemory, readIoMemory } from "./iomem.ts";
import { readDebianKdump } from "./kdump-debian.ts";
import { readFedoraKdump } from "./kdump-fedora.ts";
import { readSuseKdump } from "./kdump-suse.ts";
import type { Flavor, KdumpFacts } from "./kdump.ts";
import { type CommandLine, readCommandLine } from "./kernel-command-line.ts";
import { readLockdown } from "./lockdown.ts";
import { type PstoreFacts, readPstore } from "./pstore.ts";
import { type RamoopsFacts, readRamoops } from "./ramoops.ts";
import { type RecorderFacts, readRecorder } from "./recorder.ts";
import type { Fact, Root } from "./root.ts";
import { readSysctls, type Sysctls } from "./sysctl.ts";
import { readSystem, type SystemFacts } from "./system.ts";
import { type ArchiveFacts, readArchive } from "./systemd-pstore.ts";
import { readTarget, type TargetFacts } from "./target.ts";
import { readWatchdog, type WatchdogFacts } from "./watchdog.ts";

/** All that is known of a host. */
export interface HostFacts {
  /** The files of a running kernel are there (/proc, /sys): else nothing that they would say is missed. */
  readonly running: boolean;
  /** Something of a host is there at all. */
  readonly anything: boolean;
  readonly system: SystemFacts;
  readonly flavor: Flavor | undefined;
  readonly commandLine: CommandLine | undefined;
  readonly memory: IoMemory | undefined;
  readonly crashKernel: CrashKernelFacts;
  readonly kdump: KdumpFacts | undefined;
  readonly target: TargetFacts | undefined;
  readonly sysctls: Sysctls;
  readonly pstore: PstoreFacts;
  readonly archive: ArchiveFacts;
  readonly efi: EfiFacts | undefined;
  readonly ramoops: RamoopsFacts | undefined;
  readonly consoles: ConsoleFacts;
  readonly watchdog: WatchdogFacts;
  readonly lockdown: Fact<string> | undefined;
  readonly btf: Fact<boolean> | undefined;
  readonly recorder: RecorderFacts | undefined;
  /** What was refused. */
  readonly unreadable: readonly string[];
}

/** Reads everything. Never throws for what a file holds. */
export function readHost(root: Root): HostFacts {
  const system = readSystem(root);
  const release = system.release?.value;
  const commandLine = readCommandLine(root);
  const memory = readIoMemory(root);
  const kdump = readFedoraKdump(root, release) ?? readDebianKdump(root, release) ?? readSuseKdump(root, release);
  return {
    running: commandLine !== undefined && root.exists("/sys/kernel"),
    anything: commandLine !== undefined || root.exists("/etc") || root.exists("/sys/kernel"),
    system,
    flavor: kdump?.flavor ?? flavorOf(root),
    commandLine,
    memory,
    crashKernel: readCrashKernel(root, commandLine, system, memory),
    kdump,
    target: kdump && readTarget(root, kdump),
    sysctls: readSysctls(root),
    pstore: readPstore(root),
    archive: readArchive(root),
    efi: readEfi(root),
    ramoops: readRamoops(root, commandLine, memory),
    consoles: readConsoles(root, commandLine),
    watchdog: readWatchdog(root),
    lockdown: readLockdown(root),
    btf: readBtf(root),
    recorder: readRecorder(root, memory),
    unreadable: root.unreadable,
  };
}

/** By os-release, where no kdump is configured. */
function flavorOf(root: Root): Flavor | undefined {
  const text = root.text("/etc/os-release") ?? root.text("/usr/lib/os-release") ?? "";
  const ids = [...text.matchAll(/^ID(?:_LIKE)?="?([^"\n]*)"?$/gm)].flatMap((match) => match[1]!.split(/\s+/));
  if (ids.some((id) => id === "debian" || id === "ubuntu")) return "debian";
  if (ids.some((id) => id === "fedora" || id === "rhel")) return "fedora";
  return ids.some((id) => /^(?:suse|sles|opensuse)/.test(id)) ? "suse" : undefined;
}
