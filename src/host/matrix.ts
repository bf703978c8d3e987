import {
  type Outcome,
  predictAll,
  type Prediction,
  type Settings,
  type VariantName,
  variantOf,
  type WayToDie,
  waysToDie,
} from "../panic/index.ts";
import { bootWords, install, rebuild, reload, reserve, setSysctl } from "./command.ts";
import { MIB } from "./amount.ts";
import type { HostFacts } from "./facts.ts";
import { advisedReserve, type Finding } from "./findings.ts";
import { settingsOf } from "./settings.ts";

/** One change of a host. */
export interface Change {
  /** Half a sentence in the imperative. */
  readonly text: string;
  readonly commands: readonly string[];
}

export interface Cell {
  readonly kind: string;
  readonly outcome: Outcome;
  readonly why: string;
  /** The one change after which the model says more; null where no single one helps. */
  readonly fix: Change | null;
}

export interface Row {
  readonly way: WayToDie;
  readonly about: string;
  readonly cells: readonly Cell[];
}

/** What would be left of each way to die. */
export interface Matrix {
  readonly settings: Settings;
  /** Kernel of the model that comes nearest to this host's. */
  readonly variant: VariantName;
  readonly kinds: readonly string[];
  readonly rows: readonly Row[];
}

/** A change, and what it does to what the model is asked with; undefined where it is made already. */
interface Candidate {
  readonly change: Change;
  readonly apply: (settings: Settings) => Settings | undefined;
}

const WORTH: Readonly<Record<Outcome, number>> = { "not-configured": 0, lost: 0, partly: 1, kept: 2 };

/**
 * Asks the model for every way to die, and for every cell that is not kept tries the changes one by one: the first that
 * keeps it, else the first that makes it better.
 */
export function evidenceMatrix(facts: HostFacts, findings: readonly Finding[]): Matrix {
  const settings = settingsOf(facts, findings);
  const variant = variantOf(facts.system.release?.value ?? "");
  const now = predictAll(settings, variant);
  const tried = candidates(facts).flatMap(({ change, apply }) => {
    const changed = apply(settings);
    return changed === undefined ? [] : [{ change, after: predictAll(changed, variant) }];
  });
  const ways = Object.keys(waysToDie) as WayToDie[];
  const fixOf = (way: WayToDie, cell: Prediction): Change | null => {
    if (cell.outcome === "kept") return null;
    const prevention =
      cell.outcome === "lost" && /^(?:vmcore|device dumps|record in .*)$/s.test(cell.kind)
        ? prevent(facts, settings, way, cell.kind)
        : undefined;
    if (prevention !== undefined) return prevention;
    let better: { change: Change; worth: number } | undefined;
    for (const { change, after } of tried) {
      const worth = worthOf(after[way], cell.kind);
      if (worth > (better?.worth ?? WORTH[cell.outcome])) better = { change, worth };
    }
    return better?.change ?? null;
  };
  return {
    settings,
    variant,
    kinds: now[ways[0]!].map((cell) => cell.kind),
    rows: ways.map((way) => ({ way, about: waysToDie[way], cells: now[way].map((cell) => ({ ...cell, fix: fixOf(way, cell) })) })),
  };
}

/** Ways that suppose a failure of what should keep evidence: what would keep that failure from happening. */
function prevent(facts: HostFacts, settings: Settings, way: WayToDie, kind: string): Change | undefined {
  if (way === "hang without watchdog") {
    const { softLockupPanics, hardLockupPanics } = settings.watchdog;
    return softLockupPanics && hardLockupPanics
      ? {
          text: "send the machine an NMI from its management controller (kernel.unknown_nmi_panic=1)",
          commands: settings.panicOnNmi ? [] : setSysctl("kernel.unknown_nmi_panic", 1),
        }
      : lockupPanics();
  }
  if (kind.startsWith("record in ")) return undefined;
  if (way === "capture kernel out of memory") {
    const mebibytes = Math.max(advisedReserve(facts), Math.ceil((2 * (facts.crashKernel.reserved?.value ?? 0)) / (64 * MIB)) * 64);
    return { text: `reserve more memory (crashkernel=${mebibytes}M)`, commands: reserve(facts, mebibytes) };
  }
  if (way !== "target disk missing" || facts.kdump === undefined) return undefined;
  return facts.kdump.flavor === "fedora" && facts.kdump.target.kind !== "path"
    ? {
        text: "let kdump save to the root file system instead (failure_action dump_to_rootfs)",
        commands: ["echo 'failure_action dump_to_rootfs' >> /etc/kdump.conf", ...rebuild(facts)],
      }
    : {
        text: "save to a file system that is always there, or over the network",
        commands: [`# in ${facts.kdump.config}`, ...rebuild(facts)],
      };
}

/** Of several backends' records the best: `record in pstore` is what the kind is called while there is none. */
function worthOf(predictions: readonly Prediction[], kind: string): number {
  const same = predictions.filter((each) => each.kind === kind);
  const these = same.length > 0 ? same : predictions.filter((each) => each.kind.startsWith("record in ") && kind.startsWith("record in "));
  return Math.max(0, ...these.map((each) => WORTH[each.outcome]));
}

function lockupPanics(): Change {
  return {
    text: "set kernel.softlockup_panic=1 and kernel.hardlockup_panic=1, with kernel.nmi_watchdog=1",
    commands: ["kernel.softlockup_panic", "kernel.hardlockup_panic", "kernel.nmi_watchdog"].flatMap((name) => setSysctl(name, 1)),
  };
}

/** Cheapest first. */
function candidates(facts: HostFacts): Candidate[] {
  const { flavor } = facts;
  const zone = facts.ramoops?.address === undefined ? "" : `ramoops.console_size=0x10000`;
  return [
    {
      change: { text: "set kernel.panic_on_oops=1", commands: setSysctl("kernel.panic_on_oops", 1) },
      apply: (is) => (is.panicOnOops ? undefined : { ...is, panicOnOops: true }),
    },
    {
      change: lockupPanics(),
      apply: (is) =>
        is.watchdog.softLockupPanics && is.watchdog.hardLockupPanics
          ? undefined
          : { ...is, watchdog: { ...is.watchdog, softLockupPanics: true, hardLockupPanics: true } },
    },
    {
      change: { text: "set kernel.unknown_nmi_panic=1", commands: setSysctl("kernel.unknown_nmi_panic", 1) },
      apply: (is) => (is.panicOnNmi ? undefined : { ...is, panicOnNmi: true }),
    },
    {
      change: { text: "set kernel.panic=10", commands: setSysctl("kernel.panic", 10) },
      apply: (is) => (is.panicTimeout === 0 ? { ...is, panicTimeout: 10 } : undefined),
    },
    {
      change: { text: "boot with crash_kexec_post_notifiers", commands: bootWords(facts, "crash_kexec_post_notifiers") },
      apply: (is) => (is.postNotifiers ? undefined : { ...is, postNotifiers: true }),
    },
    {
      change: {
        text: "let systemd feed the watchdog device (RuntimeWatchdogSec=)",
        commands: [
          "mkdir -p /etc/systemd/system.conf.d",
          "printf '[Manager]\\nRuntimeWatchdogSec=60\\n' > /etc/systemd/system.conf.d/lastwords.conf",
          "systemctl daemon-reexec",
        ],
      },
      apply: (is) =>
        is.watchdog.device || facts.watchdog.devices.length === 0 ? undefined : { ...is, watchdog: { ...is.watchdog, device: true } },
    },
    {
      change:
        facts.kdump === undefined
          ? { text: "install kdump", commands: install(facts) }
          : facts.crashKernel.reserved?.value === 0
            ? { text: "reserve memory and load a capture kernel", commands: reserve(facts, advisedReserve(facts)) }
            : { text: "load a capture kernel", commands: reload(facts) },
      apply: (is) =>
        is.crashImage === "absent" ? { ...is, crashImage: "loaded", panicOnOops: is.panicOnOops || flavor === "debian" } : undefined,
      // kdump-config sets panic_on_oops when it loads.
    },
    {
      change: { text: "reserve more memory for the capture kernel", commands: reserve(facts, advisedReserve(facts)) },
      apply: (is) => (is.capture === "out-of-memory" ? { ...is, capture: "works" } : undefined),
    },
    {
      change: {
        text: "give dumps a place that is there and can be written to",
        commands: [`# in ${facts.kdump?.config ?? "kdump's configuration"}`, ...rebuild(facts)],
      },
      apply: (is) => (is.capture === "no-target" ? { ...is, capture: "works" } : undefined),
    },
    {
      change: { text: "build the capture initramfs for its kernel", commands: rebuild(facts) },
      apply: (is) => (is.capture === "hangs" ? { ...is, capture: "works" } : undefined),
    },
    {
      change: {
        text: "give netconsole a host to send to, or boot with console=ttyS0",
        commands: [
          "echo 'options netconsole netconsole=@/eth0,@10.0.0.1/' > /etc/modprobe.d/netconsole.conf",
          "echo netconsole > /etc/modules-load.d/netconsole.conf",
          "modprobe netconsole",
        ],
      },
      apply: (is) => (is.serialConsole ? undefined : { ...is, serialConsole: true }),
    },
    {
      change: {
        text: "register a pstore backend",
        commands:
          facts.efi === undefined
            ? bootWords(facts, "memmap=1M$0x20000000", "ramoops.mem_address=0x20000000", "ramoops.mem_size=0x100000", "ramoops.ecc=1")
            : bootWords(facts, "efi_pstore.pstore_disable=0"),
      },
      apply: (is) =>
        is.backends.length > 0
          ? undefined
          : { ...is, backends: [{ name: "pstore", medium: facts.efi === undefined ? "flash" : "firmware" }] },
    },
    {
      change: {
        text: "give ramoops reserved memory with a console zone, on a kernel with CONFIG_PSTORE_CONSOLE",
        commands: bootWords(
          facts,
          ...(zone === ""
            ? [
                "memmap=1M$0x20000000",
                "ramoops.mem_address=0x20000000",
                "ramoops.mem_size=0x100000",
                "ramoops.console_size=0x40000",
                "ramoops.ecc=1",
              ]
            : [zone]),
        ),
      },
      apply: (is) => (is.consoleZone && is.ramSurvivesReset ? undefined : { ...is, consoleZone: true, ramSurvivesReset: true }),
    },
    {
      change: {
        text: "take novmcoredd from the capture kernel's command line, on a kernel with CONFIG_PROC_VMCORE_DEVICE_DUMP",
        commands:
          flavor === "fedora"
            ? ["sed -i 's/\\bnovmcoredd\\b *//' /etc/sysconfig/kdump", "kdumpctl restart"]
            : ["# lastwords save makes device dumps of its own: docs/device-dumps.md"],
      },
      apply: (is) => (is.deviceDumps ? undefined : { ...is, deviceDumps: true }),
    },
  ];
}
