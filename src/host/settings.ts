import type { Backend, CaptureOutcome, Settings } from "../panic/index.ts";
import { netconsoleWorks } from "./console.ts";
import { forecastReserve } from "./crashkernel.ts";
import type { HostFacts } from "./facts.ts";
import type { Finding } from "./findings.ts";
import { valuesOf } from "./kernel-command-line.ts";
import { mediumOf } from "./pstore.ts";
import type { SysctlName } from "./sysctl.ts";

const NO_CAPTURE = new Set(["capture-initramfs-missing", "capture-version-mismatch"]);
const NO_TARGET = new Set(["target-missing", "target-volatile", "target-read-only", "target-key-missing"]);

/** What the model of the panic path is asked with. What is not known is taken as the kernel's default. */
export function settingsOf(facts: HostFacts, findings: readonly Finding[]): Settings {
  const sysctl = (name: SysctlName): number => (facts.sysctls.running.get(name) ?? facts.sysctls.configured.get(name))?.value ?? 0;
  const { pstore, ramoops } = facts;
  const backends: Backend[] = pstore.backend === undefined ? [] : [{ name: pstore.backend.value, medium: mediumOf(pstore.backend.value) }];
  const append = facts.kdump?.append?.value ?? "";
  return {
    // Of configuration alone it is believed that it works.
    crashImage: (facts.crashKernel.loaded?.value ?? (!facts.running && facts.kdump?.enabled.value === true)) ? "loaded" : "absent",
    postNotifiers: pstore.postNotifiers?.value ?? false,
    panicTimeout: sysctl("kernel.panic"),
    panicOnOops: sysctl("kernel.panic_on_oops") !== 0,
    panicOnNmi: sysctl("kernel.unknown_nmi_panic") !== 0,
    backends,
    notifiers: "return",
    capture: captureOf(facts, findings),
    deviceDumps: facts.system.config("CONFIG_PROC_VMCORE_DEVICE_DUMP")?.value === "y" && !/(?:^|\s)novmcoredd(?:\s|$)/.test(append),
    serialConsole: facts.consoles.serial.length > 0 || netconsoleWorks(facts.consoles),
    consoleZone:
      pstore.backend?.value === "ramoops" && (ramoops?.consoleSize ?? 0) > 0 && facts.system.config("CONFIG_PSTORE_CONSOLE")?.value === "y",
    // Whether firmware leaves RAM alone cannot be read anywhere; only a region that is reserved has the chance.
    ramSurvivesReset: ramoops !== undefined && ramoops.inSystemRam == null,
    watchdog: {
      softLockupPanics: sysctl("kernel.softlockup_panic") !== 0 && facts.sysctls.running.get("kernel.soft_watchdog")?.value !== 0,
      hardLockupPanics: sysctl("kernel.hardlockup_panic") !== 0 && facts.sysctls.running.get("kernel.nmi_watchdog")?.value !== 0,
      device: facts.watchdog.devices.some((device) => device.active),
    },
    forceCpu: valuesOf(facts.commandLine, "panic_force_cpu").length > 0,
  };
}

/** How far the capture kernel would come, as far as its files tell. */
function captureOf(facts: HostFacts, findings: readonly Finding[]): CaptureOutcome {
  const has = (ids: ReadonlySet<string>): boolean => findings.some((finding) => ids.has(finding.id));
  if (has(NO_CAPTURE)) return "hangs";
  const { reserved } = facts.crashKernel;
  const file = facts.kdump?.initramfs?.file;
  if (reserved !== undefined && file !== undefined && reserved.value < forecastReserve(file)) return "out-of-memory";
  return has(NO_TARGET) ? "no-target" : "works";
}
