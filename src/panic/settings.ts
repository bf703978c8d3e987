/** What an administrator sets, and what a machine has, as far as it decides what a crash leaves behind. */

/** The kernels that the model stands for, oldest first. */
export const variantNames = ["before-seed", "seed", "v6.1", "newest"] as const;
export type VariantName = (typeof variantNames)[number];

/** A registered `kmsg_dump` backend. The order of {@link Settings.backends} is the order in which they are called. */
export interface Backend {
  readonly name: string;
  /** Never returns from its write, for instance in a firmware call. */
  readonly hangs?: boolean;
  /** Survives a reset: flash, EFI variables and ERST do; RAM only where the firmware leaves it alone. */
  readonly medium: "ram" | "flash" | "firmware";
}

export type CaptureOutcome = "works" | "out-of-memory" | "hangs" | "no-target";

export interface Settings {
  /** A crash kernel is loaded (`/sys/kernel/kexec_crash_loaded`). */
  readonly crashImage: "loaded" | "absent" | "corrupt";
  /** `crash_kexec_post_notifiers`; kernels before 3.17 have no such parameter. */
  readonly postNotifiers: boolean;
  /** Seconds; 0 stays where it is, negative reboots at once (`kernel.panic`). */
  readonly panicTimeout: number;
  readonly panicOnOops: boolean;
  /** An NMI that no driver claims ends in a panic (`unknown_nmi_panic`, `panic_on_unrecovered_nmi`). */
  readonly panicOnNmi: boolean;
  /** At most two; more of them change nothing that two do not show. */
  readonly backends: readonly Backend[];
  /** A `panic_notifier_list` callback that never returns, or that resets the machine. */
  readonly notifiers: "return" | "hang" | "reset";
  readonly capture: CaptureOutcome;
  /** Drivers add their own memory to the capture kernel's `/proc/vmcore` (4.18 and later, no `novmcoredd`). */
  readonly deviceDumps: boolean;
  /** A console that reaches something outside of the machine: a serial line, netconsole. */
  readonly serialConsole: boolean;
  /** A console zone of pstore, written line by line while the kernel runs. */
  readonly consoleZone: boolean;
  /** RAM keeps its contents over a warm reset. */
  readonly ramSurvivesReset: boolean;
  /** What notices a CPU that no longer answers: soft and hard lockup detectors with their `*_panic` set, a watchdog device. */
  readonly watchdog: { readonly softLockupPanics: boolean; readonly hardLockupPanics: boolean; readonly device: boolean };
  /** `panic_force_cpu=` names a CPU (newest kernel only). */
  readonly forceCpu: boolean;
}

/** kdump as distributions set it up, a RAM backend and a firmware one behind it. */
export const defaultSettings: Settings = {
  crashImage: "loaded",
  postNotifiers: false,
  panicTimeout: 10,
  panicOnOops: true,
  panicOnNmi: true,
  backends: [
    { name: "A", medium: "ram" },
    { name: "B", medium: "firmware" },
  ],
  notifiers: "return",
  capture: "works",
  deviceDumps: false,
  serialConsole: true,
  consoleZone: true,
  ramSurvivesReset: true,
  watchdog: { softLockupPanics: false, hardLockupPanics: true, device: false },
  forceCpu: false,
};

/** The settings in one line, for the head of a trace. */
export function describeSettings(settings: Settings): string {
  const backends = settings.backends.map((backend) => `${backend.name}${backend.hangs === true ? " (hangs)" : ""}`).join(", ");
  return [
    `crash image ${settings.crashImage}`,
    settings.postNotifiers ? "crash_kexec_post_notifiers" : "kdump before notifiers",
    `panic=${settings.panicTimeout}`,
    backends === "" ? "no backend" : `backends ${backends}`,
    ...(settings.notifiers === "return" ? [] : [`a notifier ${settings.notifiers === "hang" ? "hangs" : "resets the machine"}`]),
    ...(settings.capture === "works" ? [] : [`capture kernel: ${settings.capture}`]),
    ...(settings.forceCpu ? ["panic_force_cpu"] : []),
  ].join("; ");
}
