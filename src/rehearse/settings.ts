/** Settings of a host as a virtual machine can have them, and what of a host it cannot show. */
import { DumpError } from "../bytes/index.ts";
import type { Settings } from "../panic/index.ts";
import type { NotShown } from "./model.ts";

/** kdump, ramoops, and everything that can panic does: what is rehearsed where no host is looked at. */
export const goodSettings: Settings = {
  crashImage: "loaded",
  postNotifiers: false,
  panicTimeout: 1,
  panicOnOops: true,
  panicOnNmi: true,
  backends: [{ name: "ramoops", medium: "ram" }],
  notifiers: "return",
  capture: "works",
  deviceDumps: false,
  serialConsole: true,
  consoleZone: false,
  ramSurvivesReset: true,
  watchdog: { softLockupPanics: true, hardLockupPanics: true, device: false },
  forceCpu: false,
};

/** What can be set by hand, in the kernel's own words. */
const SETTABLE: Readonly<Record<string, (settings: Settings, value: number) => Settings>> = {
  kdump: (settings, value) => ({ ...settings, crashImage: value === 0 ? "absent" : "loaded" }),
  ramoops: (settings, value) => ({ ...settings, backends: value === 0 ? [] : goodSettings.backends }),
  crash_kexec_post_notifiers: (settings, value) => ({ ...settings, postNotifiers: value !== 0 }),
  "kernel.panic": (settings, value) => ({ ...settings, panicTimeout: value }),
  "kernel.panic_on_oops": (settings, value) => ({ ...settings, panicOnOops: value !== 0 }),
  "kernel.unknown_nmi_panic": (settings, value) => ({ ...settings, panicOnNmi: value !== 0 }),
  "kernel.softlockup_panic": (settings, value) => ({
    ...settings,
    watchdog: { ...settings.watchdog, softLockupPanics: value !== 0 },
  }),
};

/** Names that {@link applySetting} knows. */
export const settableNames: readonly string[] = Object.keys(SETTABLE);

/**
 * The settings with one changed, given as `NAME=VALUE`: a sysctl, a parameter of the kernel, or `kdump` and `ramoops` for being there.
 * @throws DumpError BAD_ARGUMENT for a name that is not of {@link settableNames}, or a value that is no whole number.
 */
export function applySetting(settings: Settings, text: string): Settings {
  const match = /^([\w.]+)=(-?\d{1,6})$/.exec(text);
  const set = match === null || !Object.hasOwn(SETTABLE, match[1]!) ? undefined : SETTABLE[match[1]!];
  if (set === undefined) {
    throw new DumpError("BAD_ARGUMENT", `'${text}' cannot be set; NAME=NUMBER is wanted with one of ${settableNames.join(", ")}`);
  }
  return set(settings, Number(match![2]));
}

/** The machine's settings, and where they are not the given ones. */
export interface MachineSettings {
  readonly settings: Settings;
  readonly notShown: readonly NotShown[];
}

/**
 * What a virtual machine can be set up with. It has a serial console, RAM that outlives a reset, a disk to save to and at most ramoops;
 * everything else of a host is left out and said.
 * @param pstoreConsole the rehearsed kernel has CONFIG_PSTORE_CONSOLE.
 */
export function machineSettings(wanted: Settings, pstoreConsole: boolean): MachineSettings {
  const ramoops = wanted.backends.filter((backend) => backend.name === "ramoops");
  const others = wanted.backends.filter((backend) => backend.name !== "ramoops");
  const settings: Settings = {
    ...wanted,
    crashImage: wanted.crashImage === "absent" ? "absent" : "loaded",
    // The model asks whether, not when.
    panicTimeout: Math.sign(wanted.panicTimeout),
    backends: ramoops,
    notifiers: "return",
    capture: "works",
    deviceDumps: false,
    serialConsole: true,
    consoleZone: pstoreConsole && ramoops.length > 0,
    ramSurvivesReset: true,
    watchdog: { ...wanted.watchdog, device: false },
    forceCpu: false,
  };
  return {
    settings,
    notShown: [
      { what: "the host's disks and network cards", why: "the capture kernel saves to a disk of QEMU's, with the driver for that" },
      { what: "kdump's own scripts and where they save to", why: "the capture kernel runs a script of the rehearsal's" },
      { what: "what the firmware does to RAM in a reset", why: "QEMU leaves RAM as it was" },
      { what: "DMA that goes on into the capture kernel", why: "the machine has no device that does" },
      { what: "a hard lockup", why: "QEMU's CPUs have no counter whose overflow is an NMI" },
      ...others.map(({ name }) => ({ what: `records in ${name}`, why: "the machine has no such storage" })),
      ...(wanted.serialConsole ? [] : [{ what: "the want of a console", why: "the rehearsal is followed on a serial line" }]),
      ...(wanted.watchdog.device ? [{ what: "the watchdog device", why: "the machine has none" }] : []),
      ...(wanted.deviceDumps ? [{ what: "device dumps", why: "no driver of the machine offers its memory" }] : []),
      ...(wanted.capture === "works"
        ? []
        : [{ what: `the capture kernel as doctor fears it (${wanted.capture})`, why: "it has another initramfs and another target here" }]),
      ...(wanted.forceCpu ? [{ what: "panic_force_cpu", why: "it is not set up here" }] : []),
    ],
  };
}
