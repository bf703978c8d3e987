import { MIB, quoteWord, sayBytes } from "./amount.ts";
import { bootWords, enable, install, rebuild, reload, reserve, setSysctl } from "./command.ts";
import { netconsoleWorks, NETCONSOLE_AT } from "./console.ts";
import { defaultReserve, forecastReserve } from "./crashkernel.ts";
import type { HostFacts } from "./facts.ts";
import { versionOfImage } from "./kdump.ts";
import { mediumOf } from "./pstore.ts";
import { fileReceipt, type Receipt } from "./root.ts";
import type { SysctlName } from "./sysctl.ts";
import { forecastDump } from "./target.ts";

export type Severity = "error" | "warning" | "info";
export const severities: readonly Severity[] = ["error", "warning", "info"];

/** What a rule found. */
export interface Problem {
  /** One sentence that names this host's own values. */
  readonly text: string;
  /** Where they were read. */
  readonly sources: readonly Receipt[];
}

/** One way in which a host can fail to keep evidence. */
export interface Rule {
  /** Stable: scripts name findings by it. */
  readonly id: string;
  /** `error`: evidence that is configured will not come to be. `warning`: it may not, or is exposed. `info`: worth knowing. */
  readonly severity: Severity;
  /** What the loss is. */
  readonly why: string;
  readonly check: (facts: HostFacts) => Problem | undefined;
  /** Commands, for root; `#` before what people must do. */
  readonly fix: (facts: HostFacts) => readonly string[];
}

export interface Finding {
  readonly id: string;
  readonly severity: Severity;
  readonly text: string;
  readonly why: string;
  readonly fix: readonly string[];
  readonly sources: readonly Receipt[];
}

/** All that there is to find, worst first, in the rules' order. */
export function findProblems(facts: HostFacts): Finding[] {
  const found = rules.flatMap((rule): Finding[] => {
    const problem = rule.check(facts);
    return problem === undefined
      ? []
      : [{ id: rule.id, severity: rule.severity, text: problem.text, why: rule.why, fix: rule.fix(facts), sources: problem.sources }];
  });
  return found.sort((a, b) => severities.indexOf(a.severity) - severities.indexOf(b.severity));
}

/** How much to reserve, in MiB: what is forecast, at least the default, in steps of 64. */
export function advisedReserve(facts: HostFacts): number {
  const file = facts.kdump?.initramfs?.file;
  const bytes = Math.max(file === undefined ? 0 : forecastReserve(file), defaultReserve(facts.system.memory?.value ?? 0));
  return Math.ceil(bytes / (64 * MIB)) * 64;
}

/** Less than this part of the forecast cannot work; more may. */
const TOO_SMALL = 0.5;
/** A record of efi_pstore's default 10 KiB, what the kernel leaves alone on x86 (efi_query_variable_store: 5 KiB), and names. */
const EFI_ROOM = 32 * 1024;
const VOLATILE = new Set(["tmpfs", "ramfs", "overlay", "squashfs", "devtmpfs", "zram"]);

/** How a reservation compares; undefined where one of both is not known. */
function reserveRatio(facts: HostFacts): { readonly ratio: number; readonly problem: Problem } | undefined {
  const { reserved } = facts.crashKernel;
  const initramfs = facts.kdump?.initramfs;
  if (reserved === undefined || reserved.value <= 0 || initramfs?.file === undefined) return undefined;
  const forecast = forecastReserve(initramfs.file);
  return {
    ratio: reserved.value / forecast,
    problem: {
      text: `${sayBytes(reserved.value)} are reserved for the capture kernel; with an initramfs of ${sayBytes(initramfs.file.size)} it needs about ${sayBytes(forecast)}.`,
      sources: [reserved.at, fileReceipt(initramfs.path)],
    },
  };
}

const running = (facts: HostFacts, name: SysctlName): number | undefined => facts.sysctls.running.get(name)?.value;
const at = (facts: HostFacts, ...names: readonly SysctlName[]): Receipt[] =>
  names.flatMap((name) => facts.sysctls.running.get(name)?.at ?? []);

/** Kdump is there, and is wanted. */
const wanted = (facts: HostFacts): boolean => facts.kdump?.enabled.value === true;
const loaded = (facts: HostFacts): boolean => facts.crashKernel.loaded?.value === true;
const activeWatchdog = (facts: HostFacts): boolean => facts.watchdog.devices.some((device) => device.active);
const localTarget = (facts: HostFacts): boolean => facts.kdump !== undefined && facts.kdump.target.kind !== "network";

/** The table. Each has a test that it fires on its fault, and on nothing else (test/host/doctor.test.ts). */
export const rules: readonly Rule[] = [
  // ------------------------------------------------------------------------------------------------------------- nothing
  {
    id: "no-evidence",
    severity: "error",
    why: "Whatever ends this kernel, nothing will tell of it.",
    check: (facts) =>
      facts.running &&
      facts.kdump === undefined &&
      !loaded(facts) &&
      facts.pstore.backend === undefined &&
      facts.consoles.serial.length === 0 &&
      !netconsoleWorks(facts.consoles)
        ? {
            text: "There is no kdump, no pstore backend and no console that leaves the machine.",
            sources: [...(facts.pstore.noneAt ? [facts.pstore.noneAt] : []), facts.commandLine!.at],
          }
        : undefined,
    fix: install,
  },
  {
    id: "no-kdump",
    severity: "info",
    why: "Only the kernel's last messages can be kept: no memory, no tasks, no call traces of the other CPUs.",
    check: (facts) =>
      facts.running && facts.kdump === undefined && !loaded(facts)
        ? {
            text: "No kdump is configured.",
            sources: [facts.crashKernel.loaded?.at ?? fileReceipt("/sys/kernel/kexec_crash_loaded")],
          }
        : undefined,
    fix: install,
  },
  {
    id: "configuration-only",
    severity: "info",
    why: "What the kernel itself says (reserved memory, what is loaded, running values) is not looked at.",
    check: (facts) =>
      facts.anything && !facts.running
        ? { text: "The files of a running kernel are not here, only configuration.", sources: [fileReceipt("/proc/cmdline")] }
        : undefined,
    fix: () => ["# copy /proc and /sys files too, or run it on the host"],
  },
  {
    id: "not-readable",
    severity: "info",
    why: "What they say is taken as not known.",
    check: (facts) => {
      const hidden = facts.memory?.hidden === true ? ["/proc/iomem"] : [];
      const paths = [...facts.unreadable, ...hidden];
      if (paths.length === 0) return undefined;
      const more = paths.length > 3 ? ` and ${paths.length - 3} more` : "";
      return { text: `Not readable without privilege: ${paths.slice(0, 3).join(", ")}${more}.`, sources: paths.map(fileReceipt) };
    },
    fix: () => ["sudo lastwords doctor"],
  },
  // --------------------------------------------------------------------------------------------------- the crash kernel
  {
    id: "kdump-disabled",
    severity: "error",
    why: "It is installed, and does nothing: no dump will be taken.",
    check: ({ kdump }) =>
      kdump !== undefined && !kdump.enabled.value
        ? {
            text: `kdump is switched off${kdump.flavor === "debian" ? " (USE_KDUMP)" : ": kdump.service is not enabled"}.`,
            sources: [kdump.enabled.at],
          }
        : undefined,
    fix: enable,
  },
  {
    id: "kexec-unsupported",
    severity: "error",
    why: "Without it no capture kernel can be loaded.",
    check: (facts) =>
      facts.running && wanted(facts) && facts.crashKernel.loaded === undefined && facts.crashKernel.reserved === undefined
        ? { text: "This kernel has no kexec for crashes.", sources: [fileReceipt("/sys/kernel/kexec_crash_loaded")] }
        : undefined,
    fix: () => ["# boot a kernel with CONFIG_CRASH_DUMP and CONFIG_KEXEC_FILE"],
  },
  {
    id: "crashkernel-missing",
    severity: "error",
    why: "Without reserved memory no capture kernel can be loaded.",
    check: (facts) =>
      facts.running && wanted(facts) && facts.crashKernel.asked.length === 0 && facts.crashKernel.reserved?.value === 0
        ? {
            text: "kdump is on, and the kernel was booted without crashkernel=.",
            sources: [facts.commandLine!.at, facts.crashKernel.reserved.at],
          }
        : undefined,
    fix: (facts) => reserve(facts, advisedReserve(facts)),
  },
  {
    id: "crashkernel-range",
    severity: "error",
    why: "Without reserved memory no capture kernel can be loaded.",
    check: ({ crashKernel, system }) =>
      crashKernel.asked.length > 0 && crashKernel.wanted === 0 && crashKernel.reserved?.value === 0
        ? {
            text: `crashkernel=${crashKernel.asked.at(-1)!.value} reserves nothing on a machine of ${sayBytes(system.memory?.value ?? 0)}.`,
            sources: [crashKernel.asked.at(-1)!.at, ...(system.memory ? [system.memory.at] : []), crashKernel.reserved.at],
          }
        : undefined,
    fix: (facts) => reserve(facts, advisedReserve(facts)),
  },
  {
    id: "crashkernel-not-reserved",
    severity: "error",
    why: "Without reserved memory no capture kernel can be loaded.",
    check: ({ crashKernel }) =>
      crashKernel.asked.length > 0 && crashKernel.wanted !== 0 && crashKernel.reserved?.value === 0
        ? {
            text: `crashkernel=${crashKernel.asked.at(-1)!.value} was asked for, and the kernel reserved nothing: no free range was large enough, or the word is not understood.`,
            sources: [crashKernel.asked.at(-1)!.at, crashKernel.reserved.at],
          }
        : undefined,
    fix: (facts) => ["# dmesg | grep -i crashkernel says why", ...reserve(facts, advisedReserve(facts))],
  },
  {
    id: "crashkernel-too-small",
    severity: "error",
    why: "The capture kernel runs out of memory before it has saved anything, and the dump is lost.",
    check: (facts) => {
      const compared = reserveRatio(facts);
      return compared !== undefined && compared.ratio < TOO_SMALL ? compared.problem : undefined;
    },
    fix: (facts) => reserve(facts, advisedReserve(facts)),
  },
  {
    id: "crashkernel-small",
    severity: "warning",
    why: "The capture kernel may run out of memory, and the dump is lost then.",
    check: (facts) => {
      const compared = reserveRatio(facts);
      return compared !== undefined && compared.ratio >= TOO_SMALL && compared.ratio < 1 ? compared.problem : undefined;
    },
    fix: (facts) => reserve(facts, advisedReserve(facts)),
  },
  {
    id: "capture-kernel-missing",
    severity: "error",
    why: "At the next boot no capture kernel will be loaded.",
    check: (facts) => missing(facts, "kernel"),
    fix: (facts) =>
      facts.flavor === "debian" ? rebuild(facts) : ["# install the kernel package that is configured for kdump", ...reload(facts)],
  },
  {
    id: "capture-initramfs-missing",
    severity: "error",
    why: "The capture kernel has nothing to boot into, and saves nothing.",
    check: (facts) => missing(facts, "initramfs"),
    fix: rebuild,
  },
  {
    id: "capture-version-mismatch",
    severity: "error",
    why: "The initramfs has modules of another kernel: the capture kernel finds neither disk nor network.",
    check: ({ kdump }) => {
      if (kdump?.kernel.file === undefined || kdump.initramfs?.file === undefined) return undefined;
      const kernel = versionOfImage(kdump.kernel.file.path);
      const initramfs = versionOfImage(kdump.initramfs.file.path);
      if (kernel === undefined || initramfs === undefined || kernel === initramfs) return undefined;
      return {
        text: `The capture kernel is ${kernel}, and its initramfs is for ${initramfs}.`,
        sources: [fileReceipt(kdump.kernel.path), fileReceipt(kdump.initramfs.path)],
      };
    },
    fix: rebuild,
  },
  {
    id: "capture-initramfs-stale",
    severity: "warning",
    why: "The kernel was replaced since: modules in the initramfs may not fit it.",
    check: ({ kdump }) =>
      kdump?.kernel.file !== undefined && kdump.initramfs?.file !== undefined && kdump.initramfs.file.mtimeMs < kdump.kernel.file.mtimeMs
        ? {
            text: "The capture initramfs is older than its kernel.",
            sources: [fileReceipt(kdump.initramfs.path), fileReceipt(kdump.kernel.path)],
          }
        : undefined,
    fix: rebuild,
  },
  {
    id: "capture-initramfs-old-configuration",
    severity: "warning",
    why: "The initramfs holds a copy of the configuration: until it is built anew, dumps go where the old one says.",
    check: ({ kdump }) =>
      kdump?.configFile !== undefined && kdump.initramfs?.file !== undefined && kdump.initramfs.file.mtimeMs < kdump.configFile.mtimeMs
        ? {
            text: `The capture initramfs is older than ${kdump.config}.`,
            sources: [fileReceipt(kdump.initramfs.path), fileReceipt(kdump.config)],
          }
        : undefined,
    fix: rebuild,
  },
  {
    id: "kexec-load-disabled",
    severity: "error",
    why: "Until the next boot nothing can be loaded.",
    check: ({ crashKernel }) =>
      crashKernel.loadDisabled?.value === 1 && crashKernel.loaded?.value === false
        ? {
            text: "kernel.kexec_load_disabled is 1, and no capture kernel was loaded before.",
            sources: [crashKernel.loadDisabled.at, crashKernel.loaded.at],
          }
        : undefined,
    fix: () => ["# take kexec_load_disabled from /etc/sysctl.conf and /etc/sysctl.d, or let it be set after kdump has loaded", "reboot"],
  },
  {
    id: "lockdown-kexec",
    severity: "error",
    why: "A locked-down kernel takes signed images only, through kexec_file_load: loading fails.",
    check: ({ lockdown, kdump }) => {
      // kdump-config adds -s by itself under secure boot, SUSE's load.sh calls with -a.
      if (lockdown === undefined || lockdown.value === "none" || kdump?.flavor !== "fedora") return undefined;
      const options = kdump.kexecOptions;
      if (options !== undefined && /(?:^|\s)(?:-[sa]|--kexec-file-syscall|--kexec-syscall-auto)(?:\s|$)/.test(options.value))
        return undefined;
      return {
        text: `The kernel is locked down (${lockdown.value}), and kexec is not told -s.`,
        sources: [lockdown.at, options?.at ?? fileReceipt("/etc/sysconfig/kdump")],
      };
    },
    fix: () => [`sed -i 's/^KEXEC_ARGS=.*/KEXEC_ARGS="-s"/' /etc/sysconfig/kdump`, "kdumpctl restart"],
  },
  {
    id: "crash-kernel-not-loaded",
    severity: "error",
    why: "A panic now leaves no dump.",
    check: (facts) => {
      const { loaded: fact, reserved, loadDisabled } = facts.crashKernel;
      // What keeps it from being loaded is named by itself.
      const named =
        missing(facts, "kernel") !== undefined ||
        missing(facts, "initramfs") !== undefined ||
        loadDisabled?.value === 1 ||
        rule("lockdown-kexec").check(facts) !== undefined;
      const expected = facts.kdump === undefined ? (reserved?.value ?? 0) > 0 : wanted(facts) && (reserved?.value ?? 1) > 0;
      return expected && fact?.value === false && !named
        ? { text: "Memory is reserved, and no capture kernel is loaded.", sources: [fact.at, ...(reserved ? [reserved.at] : [])] }
        : undefined;
    },
    fix: reload,
  },
  // ------------------------------------------------------------------------------------------------------------- panics
  {
    id: "oops-goes-on",
    severity: "warning",
    why: "A bug kills a task, and the kernel goes on with what it left: locks held, data half changed. No dump tells of the moment.",
    check: (facts) =>
      running(facts, "kernel.panic_on_oops") === 0 && loaded(facts)
        ? { text: "kernel.panic_on_oops is 0: an oops in a task does not start kdump.", sources: at(facts, "kernel.panic_on_oops") }
        : undefined,
    fix: () => setSysctl("kernel.panic_on_oops", 1),
  },
  {
    id: "panic-stands-still",
    severity: "warning",
    why: "Nobody resets the machine after a panic; switching it off by hand empties its RAM, records in it too.",
    check: (facts) =>
      facts.running && running(facts, "kernel.panic") === 0 && !loaded(facts) && !activeWatchdog(facts) && !wanted(facts)
        ? { text: "kernel.panic is 0, and there is neither a capture kernel nor a watchdog.", sources: at(facts, "kernel.panic") }
        : undefined,
    fix: () => setSysctl("kernel.panic", 10),
  },
  {
    id: "sysctl-differs",
    severity: "warning",
    why: "After the next boot the machine behaves otherwise than now, or does not now as was meant.",
    check: ({ sysctls }) => {
      const different = [...sysctls.configured].filter(([name, fact]) => {
        const now = sysctls.running.get(name);
        return now !== undefined && now.value !== fact.value;
      });
      if (different.length === 0) return undefined;
      const text = different
        .map(([name, fact]) => `${name} is ${sysctls.running.get(name)!.value}, and configured as ${fact.value}`)
        .join("; ");
      return { text: `${text}.`, sources: different.flatMap(([name, fact]) => [sysctls.running.get(name)!.at, fact.at]) };
    },
    fix: () => ["sysctl --system"],
  },
  {
    id: "hangs-unwatched",
    severity: "warning",
    why: "A machine that hangs stands still until somebody resets it, and leaves nothing of why.",
    check: (facts) => {
      const names = ["kernel.softlockup_panic", "kernel.hardlockup_panic", "kernel.hung_task_panic"] as const;
      const known = names.filter((name) => facts.sysctls.running.has(name));
      return known.length > 0 && known.every((name) => running(facts, name) === 0) && !activeWatchdog(facts)
        ? {
            text: "No lockup or hung task ends in a panic, and no watchdog device is fed.",
            sources: [...at(facts, ...names), ...facts.watchdog.devices.map((device) => device.at)],
          }
        : undefined;
    },
    fix: () => [...setSysctl("kernel.softlockup_panic", 1), ...setSysctl("kernel.hardlockup_panic", 1)],
  },
  {
    id: "hard-lockups-unwatched",
    severity: "warning",
    why: "A CPU that spins with interrupts off is never noticed.",
    check: (facts) =>
      running(facts, "kernel.hardlockup_panic") === 1 && running(facts, "kernel.nmi_watchdog") === 0
        ? {
            text: "kernel.hardlockup_panic is 1, and the detector is off (kernel.nmi_watchdog is 0).",
            sources: at(facts, "kernel.hardlockup_panic", "kernel.nmi_watchdog"),
          }
        : undefined,
    fix: () => setSysctl("kernel.nmi_watchdog", 1),
  },
  {
    id: "nmi-ignored",
    severity: "info",
    why: "A machine that hangs can be made to dump by its management controller's NMI, if the kernel panics on it.",
    check: (facts) =>
      running(facts, "kernel.unknown_nmi_panic") === 0 && loaded(facts)
        ? { text: "kernel.unknown_nmi_panic is 0: an NMI from outside is only noted.", sources: at(facts, "kernel.unknown_nmi_panic") }
        : undefined,
    fix: () => setSysctl("kernel.unknown_nmi_panic", 1),
  },
  // ------------------------------------------------------------------------------------------------------------- pstore
  {
    id: "records-after-kdump",
    severity: "info",
    why: "When the capture kernel fails, there is no record either. With the parameter there are both, and kdump is a little less sure.",
    check: ({ pstore, crashKernel }) =>
      pstore.backend !== undefined && crashKernel.loaded?.value === true && pstore.postNotifiers?.value === false
        ? {
            text: `kdump starts before the record is written to ${pstore.backend.value}: crash_kexec_post_notifiers is off.`,
            sources: [pstore.postNotifiers.at, pstore.backend.at],
          }
        : undefined,
    fix: (facts) => [
      "echo Y > /sys/module/kernel/parameters/crash_kexec_post_notifiers",
      ...bootWords(facts, "crash_kexec_post_notifiers"),
    ],
  },
  {
    id: "no-pstore-backend",
    severity: "info",
    why: "The kernel's last messages have nowhere to go that outlives it, besides a dump.",
    check: ({ pstore, running: alive, ramoops }) =>
      alive && pstore.backend === undefined && pstore.noneAt !== undefined && ramoops === undefined
        ? { text: "No pstore backend is registered.", sources: [pstore.noneAt] }
        : undefined,
    fix: (facts) =>
      facts.efi === undefined
        ? [
            "# reserve memory and give it to ramoops, or give a partition to pstore_blk: linux Documentation/admin-guide/ramoops.rst, pstore-blk.rst",
          ]
        : [...bootWords(facts, "efi_pstore.pstore_disable=0"), "modprobe efi_pstore pstore_disable=0"],
  },
  {
    id: "ramoops-not-loaded",
    severity: "warning",
    why: "Nothing is written to the region.",
    check: ({ ramoops, pstore, running: alive }) =>
      alive && ramoops !== undefined && !ramoops.loaded && pstore.backend === undefined
        ? { text: "ramoops is configured, and not loaded.", sources: [ramoops.at, fileReceipt("/sys/module/ramoops")] }
        : undefined,
    fix: () => ["echo ramoops > /etc/modules-load.d/ramoops.conf", "modprobe ramoops"],
  },
  {
    id: "pstore-other-backend",
    severity: "warning",
    why: "pstore takes one backend at a time, and the other one came first: the region stays empty.",
    check: ({ ramoops, pstore }) =>
      ramoops !== undefined && pstore.backend !== undefined && pstore.backend.value !== "ramoops"
        ? { text: `ramoops is configured, and pstore's backend is ${pstore.backend.value}.`, sources: [ramoops.at, pstore.backend.at] }
        : undefined,
    fix: (facts) => bootWords(facts, "pstore.backend=ramoops"),
  },
  {
    id: "ramoops-not-reserved",
    severity: "error",
    why: "The next kernel uses this memory as any other: records are overwritten, or the driver refuses it.",
    check: ({ ramoops }) =>
      ramoops?.inSystemRam != null
        ? {
            text: `ramoops' region, ${sayBytes(ramoops.size!)} at 0x${ramoops.address!.toString(16)}, is in System RAM: nobody has reserved it.`,
            sources: [ramoops.at, ramoops.inSystemRam],
          }
        : undefined,
    fix: (facts) => bootWords(facts, `memmap=0x${facts.ramoops!.size!.toString(16)}$0x${facts.ramoops!.address!.toString(16)}`),
  },
  {
    id: "ramoops-no-ecc",
    severity: "info",
    why: "A bit that falls over in a reset spoils a compressed record; with ECC it is put right.",
    check: ({ ramoops }) => (ramoops?.ecc === 0 ? { text: "ramoops runs without ECC.", sources: [ramoops.at] } : undefined),
    fix: (facts) => bootWords(facts, "ramoops.ecc=1"),
  },
  {
    id: "pstore-not-mounted",
    severity: "warning",
    why: "Records are there after a crash, and nobody sees them.",
    check: ({ pstore }) =>
      pstore.backend !== undefined && pstore.mounted === undefined
        ? { text: "pstore has a backend, and is not mounted.", sources: [pstore.backend.at, fileReceipt("/proc/mounts")] }
        : undefined,
    fix: () => ["mount -t pstore pstore /sys/fs/pstore"],
  },
  {
    id: "pstore-not-archived",
    severity: "warning",
    why: "Records stay where they are until the storage is full; then new ones are dropped, or old ones overwritten.",
    check: ({ pstore, archive }) => {
      if (pstore.backend === undefined || pstore.mounted === undefined || archive.archived) return undefined;
      const waiting = pstore.records.length === 0 ? "" : `, and ${pstore.records.length} lie there`;
      return {
        text: `Nobody archives pstore's records${waiting}: ${archive.why}.`,
        sources: [archive.at, ...pstore.records.slice(0, 3).map(fileReceipt)],
      };
    },
    fix: ({ archive }) => {
      if (archive.at.line !== null) {
        return [`sed -i 's/^ *Storage *=.*/Storage=external/' ${quoteWord(archive.at.path)}`, "systemctl start systemd-pstore.service"];
      }
      if (archive.state === "absent") return ["# install systemd-pstore, or copy /sys/fs/pstore away at boot and remove what was copied"];
      return [
        ...(archive.state === "masked" ? ["systemctl unmask systemd-pstore.service"] : []),
        "systemctl enable --now systemd-pstore.service",
      ];
    },
  },
  {
    id: "efi-space-low",
    severity: "warning",
    why: "A record that does not fit is not written; and firmware that runs full may not boot any more.",
    check: ({ efi, pstore }) => {
      if (efi?.space === undefined || !/efi/.test(pstore.backend?.value ?? "") || efi.space.free >= EFI_ROOM) return undefined;
      const old = efi.records.length === 0 ? "" : `; ${efi.records.length} are records of older crashes`;
      return {
        text: `${sayBytes(efi.space.free)} are free for EFI variables, and a crash needs up to ${sayBytes(EFI_ROOM)}${old}.`,
        sources: [efi.space.at, ...efi.records.slice(0, 3).map(fileReceipt)],
      };
    },
    fix: () => ["lastwords pstore extract -o /var/lib/lastwords/pstore /sys/fs/pstore && rm /sys/fs/pstore/*"],
  },
  {
    id: "always-kmsg-dump",
    severity: "warning",
    why: "Flash of firmware wears out, and records of reboots push out those of crashes.",
    check: ({ pstore }) =>
      pstore.always?.value === true && pstore.backend !== undefined && mediumOf(pstore.backend.value) === "firmware"
        ? {
            text: `Every reboot and shutdown is recorded in ${pstore.backend.value} (printk.always_kmsg_dump).`,
            sources: [pstore.always.at, pstore.backend.at],
          }
        : undefined,
    fix: () => [
      "echo N > /sys/module/printk/parameters/always_kmsg_dump",
      "# and take printk.always_kmsg_dump from the kernel command line, where it is there",
    ],
  },
  // ------------------------------------------------------------------------------------------------ consoles, watchdogs
  {
    id: "netconsole-not-active",
    severity: "warning",
    why: "Nothing is sent.",
    check: (facts) => {
      const { consoles } = facts;
      const off = consoles.targets.filter((target) => !target.enabled);
      if (!facts.running || netconsoleWorks(facts.consoles) || (consoles.netconsole === undefined && off.length === 0)) return undefined;
      const why = off.length > 0 ? "its target is off" : "it is not loaded";
      return {
        text: `netconsole is configured, and ${why}.`,
        sources: [
          ...(consoles.netconsole ? [consoles.netconsole.at] : []),
          ...(off.length > 0 ? off.map((target) => target.at) : [NETCONSOLE_AT]),
        ],
      };
    },
    fix: ({ consoles }) => {
      const off = consoles.targets.filter((target) => !target.enabled);
      return off.length > 0
        ? off.map((target) => `echo 1 > ${quoteWord(`/sys/kernel/config/netconsole/${target.name}/enabled`)}`)
        : ["echo netconsole > /etc/modules-load.d/netconsole.conf", "modprobe netconsole"];
    },
  },
  {
    id: "watchdog-idle",
    severity: "info",
    why: "A watchdog that is fed resets a machine that hangs so hard that no panic comes; RAM keeps its contents then.",
    check: ({ watchdog }) =>
      watchdog.devices.length > 0 && watchdog.devices.every((device) => !device.active)
        ? {
            text: `Nobody feeds the watchdog device${watchdog.devices[0]!.identity === "" ? "" : ` (${watchdog.devices[0]!.identity})`}.`,
            sources: watchdog.devices.map((device) => device.at),
          }
        : undefined,
    fix: () => [
      "mkdir -p /etc/systemd/system.conf.d",
      "printf '[Manager]\\nRuntimeWatchdogSec=60\\n' > /etc/systemd/system.conf.d/lastwords.conf",
      "systemctl daemon-reexec",
    ],
  },
  // ------------------------------------------------------------------------------------------------------------- target
  {
    id: "target-missing",
    severity: "error",
    why: "The capture kernel finds no place to save to, and the dump is lost.",
    check: ({ kdump, target }) => {
      if (kdump === undefined || target === undefined) return undefined;
      if (target.deviceKnown === false)
        return { text: `There is no ${kdump.target.device!}, and dumps go there.`, sources: [kdump.target.at] };
      // Debian and SUSE make the folder; kdump-utils refuses.
      const needed =
        kdump.flavor === "fedora" && (kdump.target.kind === "path" || target.mount !== undefined) && kdump.target.kind !== "raw";
      return needed && target.folder === undefined
        ? { text: `There is no folder ${kdump.target.folder}, and dumps go there.`, sources: [kdump.target.at] }
        : undefined;
    },
    fix: ({ kdump, target }) =>
      target?.deviceKnown === false
        ? [`# name a device that is there in ${kdump!.config}; lsblk -f lists them`]
        : [
            `mkdir -p -m 700 ${quoteWord((target?.mount?.point ?? "/") === "/" ? kdump!.target.folder : `${kdump!.target.kind === "path" ? "" : target!.mount!.point}${kdump!.target.folder}`)}`,
          ],
  },
  {
    id: "target-not-mounted",
    severity: "error",
    why: "Dumps go to the file system below, or nowhere; what is mounted later hides them.",
    check: (facts) => {
      const { target, kdump } = facts;
      if (target?.wanted === undefined || !facts.running || kdump?.target.kind !== "path") return undefined;
      if (
        target.wanted.options.includes("noauto") ||
        target.wanted.type === "autofs" ||
        target.wanted.options.includes("x-systemd.automount")
      )
        return undefined;
      return target.wanted.point.length > (target.mount?.point.length ?? 0)
        ? {
            text: `Dumps go to ${kdump.target.folder}, and ${target.wanted.point} is not mounted.`,
            sources: [target.wanted.at, target.mount?.at ?? fileReceipt("/proc/mounts"), kdump.target.at],
          }
        : undefined;
    },
    fix: ({ target }) => [`mount ${quoteWord(target!.wanted!.point)}`],
  },
  {
    id: "target-volatile",
    severity: "error",
    why: "The dump is written to memory, and gone with the reboot that follows.",
    check: ({ target, kdump }) =>
      target?.mount !== undefined && VOLATILE.has(target.mount.type)
        ? { text: `Dumps go to ${kdump!.target.folder}, which is on ${target.mount.type}.`, sources: [target.mount.at, kdump!.target.at] }
        : undefined,
    fix: ({ kdump }) => [`# name a folder on a disk in ${kdump!.config}`],
  },
  {
    id: "target-read-only",
    severity: "error",
    why: "Nothing can be saved there.",
    check: ({ target, kdump }) =>
      target?.mount?.options.includes("ro") === true && !VOLATILE.has(target.mount.type)
        ? {
            text: `Dumps go to ${kdump!.target.folder}, and ${target.mount.point} is mounted read-only.`,
            sources: [target.mount.at, kdump!.target.at],
          }
        : undefined,
    fix: ({ target }) => [`mount -o remount,rw ${quoteWord(target!.mount!.point)}`, "# and take ro from its line in /etc/fstab"],
  },
  {
    id: "target-space",
    severity: "warning",
    why: "A dump that does not fit is cut short or deleted.",
    check: ({ target, kdump, system }) => {
      const forecast = kdump && forecastDump(kdump.dumpLevel?.value, system.memory, system.kernelMemory);
      if (target?.space === undefined || forecast === undefined) return undefined;
      const needed = forecast + (kdump!.keepFree?.value ?? 0);
      return target.space.free < needed
        ? {
            text: `${sayBytes(target.space.free)} are free for dumps, and one of level ${kdump!.dumpLevel?.value ?? 0} may need up to ${sayBytes(needed)}.`,
            sources: [target.space.at, kdump!.dumpLevel?.at ?? kdump!.target.at, ...(system.kernelMemory ? [system.kernelMemory.at] : [])],
          }
        : undefined;
    },
    fix: ({ kdump }) => [
      `# remove old dumps from ${quoteWord(kdump!.target.folder)}, or name a folder on a larger file system in ${kdump!.config}`,
    ],
  },
  {
    id: "target-encrypted",
    severity: "info",
    why: "The capture kernel must unlock it, which needs the passphrase or a key, and with argon2 up to 1 GiB more memory.",
    check: ({ target, kdump }) =>
      target?.encrypted === undefined
        ? undefined
        : {
            text: `Dumps go to ${kdump!.target.folder}, which is on an encrypted device.`,
            sources: [target.encrypted, ...(target.mount ? [target.mount.at] : [])],
          },
    fix: () => ["# save to another device or over the network, or prove it: lastwords rehearse"],
  },
  {
    id: "target-key-missing",
    severity: "error",
    why: "The capture kernel cannot log in to the host that it should save to.",
    check: ({ target, kdump }) =>
      target?.key?.there === false
        ? {
            text: `Dumps go to ${kdump!.target.device!} over ssh, and there is no key ${target.key.path}.`,
            sources: [kdump!.target.at, fileReceipt(target.key.path)],
          }
        : undefined,
    fix: ({ flavor }) =>
      flavor === "debian" ? ["kdump-config propagate"] : flavor === "fedora" ? ["kdumpctl propagate", "kdumpctl restart"] : ["ssh-keygen"],
  },
  {
    id: "target-writable",
    severity: "warning",
    why: "Anybody can take dumps away, or put there what an investigator will open.",
    check: ({ target, kdump }) =>
      target?.folder !== undefined && localTarget({ kdump } as HostFacts) && (target.folder.mode & 0o1002) === 0o002
        ? {
            text: `Everybody may write to ${kdump!.target.folder} (mode ${target.folder.mode.toString(8)}).`,
            sources: [fileReceipt(kdump!.target.folder)],
          }
        : undefined,
    fix: ({ kdump }) => [`chmod o-rwx ${quoteWord(kdump!.target.folder)}`],
  },
  {
    id: "dumps-readable",
    severity: "warning",
    why: "A dump holds what was in memory: keys, passwords, everybody's data.",
    check: ({ target }) =>
      target === undefined || target.open.length === 0
        ? undefined
        : {
            text: `Everybody may read ${target.open.length === 1 ? target.open[0]! : `${target.open.length} dumps`}.`,
            sources: target.open.slice(0, 10).map(fileReceipt),
          },
    fix: ({ target }) => target!.open.map((path) => `chmod 600 ${quoteWord(path)}`),
  },
  // ------------------------------------------------------------------------------------------------ afterwards, recorder
  {
    id: "no-btf",
    severity: "warning",
    why: "`lastwords report` reads a dump by the types in it. Without them there are the log and the registers' traces only.",
    check: ({ btf, running: alive }) =>
      alive && btf?.value === false ? { text: "This kernel has no BTF.", sources: [btf.at] } : undefined,
    fix: () => ["# boot a kernel with CONFIG_DEBUG_INFO_BTF, or keep its vmlinux for `report --vmlinux`"],
  },
  {
    id: "recorder-configuration",
    severity: "error",
    why: "The recorder does not start.",
    check: ({ recorder }) => (recorder?.problem === undefined ? undefined : { text: `${recorder.problem}.`, sources: [recorder.at] }),
    fix: () => ["lastwords record --check"],
  },
  {
    id: "recorder-not-enabled",
    severity: "warning",
    why: "Nothing is recorded.",
    check: ({ recorder }) =>
      recorder !== undefined && !recorder.enabled
        ? { text: "The recorder is configured, and lastwords-record.service is not enabled.", sources: [recorder.unitAt, recorder.at] }
        : undefined,
    fix: () => ["systemctl enable --now lastwords-record.service"],
  },
  {
    id: "recorder-not-reserved",
    severity: "error",
    why: "Text is written over the kernel's own memory, or /dev/mem refuses it.",
    check: ({ recorder }) => {
      const bad = recorder?.memory.filter((each) => each.inSystemRam != null) ?? [];
      return bad.length === 0
        ? undefined
        : {
            text: `The recorder's ${bad[0]!.name} region is in System RAM: nobody has reserved it.`,
            sources: bad.flatMap((each) => [each.at, each.inSystemRam!]),
          };
    },
    fix: () => ["# reserve it: memmap=SIZE$ADDRESS on the kernel command line"],
  },
  {
    id: "recorder-locked-out",
    severity: "error",
    why: "A locked-down kernel has no /dev/mem: the recorder cannot write to memory.",
    check: ({ recorder, lockdown }) =>
      recorder !== undefined && recorder.memory.length > 0 && lockdown !== undefined && lockdown.value !== "none"
        ? {
            text: `The recorder writes through /dev/mem, and the kernel is locked down (${lockdown.value}).`,
            sources: [recorder.memory[0]!.at, lockdown.at],
          }
        : undefined,
    fix: () => ["# give the recorder a partition (pstore_blk), a folder or a host (udp) instead"],
  },
];

function rule(id: string): Rule {
  return rules.find((each) => each.id === id)!;
}

/** A file of kdump that is not there. Memory has the old one, until the next boot. */
function missing(facts: HostFacts, what: "kernel" | "initramfs"): Problem | undefined {
  const { kdump } = facts;
  const needed = kdump?.[what];
  // A configuration without the rest of the host says nothing of /boot.
  if (kdump === undefined || !kdump.enabled.value || needed === undefined || needed.file !== undefined || !facts.running) return undefined;
  return {
    text: `There is no capture ${what} at ${needed.path}.`,
    sources: needed.at.path === needed.path ? [needed.at] : [needed.at, fileReceipt(needed.path)],
  };
}
