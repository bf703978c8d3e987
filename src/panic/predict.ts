/** What a machine with these settings would keep, for each way to die. Asked of the model, not of a table. */
import { commonEvidence } from "./cases.ts";
import type { EvidenceName } from "./evidence.ts";
import { type End, explore } from "./explore.ts";
import type { Start, Step, Variant } from "./model.ts";
import { type Backend, type Settings, type VariantName } from "./settings.ts";
import { variants } from "./variant/index.ts";

/** Ways to die, in the order in which `doctor` goes through them. */
export const waysToDie = {
  "oops in a task": "a bug in a system call or kernel thread",
  "oops in interrupt": "a bug in an interrupt handler; always fatal",
  "two CPUs panic at once": "the same bug on two CPUs, within a second",
  "hang without watchdog": "a CPU spins or everything sleeps, and nothing looks",
  "hang with watchdog": "the same, and the watchdogs as they are set look",
  "corrupted crash image": "a panic after stray writes or DMA into the reserved memory",
  "capture kernel out of memory": "a panic, and crashkernel= is too small",
  "target disk missing": "a panic, and the capture kernel does not find where to save",
  NMI: "an NMI that no driver claims, for instance from the BMC",
  reset: "the reset button, or firmware that resets",
  "power cut": "power is gone",
} as const;
export type WayToDie = keyof typeof waysToDie;

export type Outcome = "kept" | "partly" | "lost" | "not-configured";

/** Evidence as an administrator knows it. Records are per backend: `record in <name>`. */
export type PredictedKind =
  | "serial console"
  | "console zone"
  | `record in ${string}`
  | "vmcore"
  | "device dumps"
  | "capture kernel's console";

export interface Prediction {
  readonly kind: PredictedKind;
  readonly outcome: Outcome;
  /** One sentence. */
  readonly why: string;
}

/** Each kind of evidence once, in a fixed order. `variant` is the kernel's order that comes nearest. */
export function predict(settings: Settings, way: WayToDie, variant: VariantName = "newest"): readonly Prediction[] {
  switch (way) {
    case "oops in a task":
      return settings.panicOnOops ? crash(settings, variant, { first: "oops" }) : survivedOops(settings);
    case "oops in interrupt":
      return crash(settings, variant, { first: "oops" });
    case "two CPUs panic at once":
      return crash(settings, variant, { start: { panics: [0, 1] } });
    case "hang with watchdog": {
      const { softLockupPanics, hardLockupPanics, device } = settings.watchdog;
      // A soft lockup is found in the timer's interrupt, a hard one in an NMI.
      const soft = softLockupPanics ? predictPanic(settings, variant) : [];
      const hard = hardLockupPanics ? predictPanic(settings, variant, "nmi") : [];
      if (softLockupPanics && hardLockupPanics)
        return soft.map((one, index) => (hard[index]!.outcome === one.outcome ? one : { ...hard[index]!, outcome: "partly" }));
      if (softLockupPanics || hardLockupPanics) {
        const partial = `only a ${softLockupPanics ? "soft" : "hard"} lockup panics (kernel.${softLockupPanics ? "soft" : "hard"}lockup_panic); the other kind hangs on`;
        return [...soft, ...hard].map((one) =>
          one.outcome === "kept" ? { ...one, outcome: "partly", why: `${one.why} But ${partial}.` } : one,
        );
      }
      return device
        ? withoutPanic(settings, "the watchdog device resets the machine", "reset")
        : withoutPanic(settings, "no watchdog is set to panic or to reset", "hang");
    }
    case "hang without watchdog":
      return withoutPanic(settings, "nothing notices the hang", "hang");
    case "corrupted crash image":
      return crash(settings.crashImage === "absent" ? settings : { ...settings, crashImage: "corrupt" }, variant, { first: "panic" });
    case "capture kernel out of memory":
      return crash({ ...settings, capture: "out-of-memory" }, variant, { first: "panic" });
    case "target disk missing":
      return crash({ ...settings, capture: "no-target" }, variant, { first: "panic" });
    case "NMI":
      return settings.panicOnNmi ? predictPanic(settings, variant, "nmi") : survivedNmi(settings);
    case "reset":
      return withoutPanic(settings, "a reset asks nobody", "reset");
    case "power cut":
      return withoutPanic(settings, "without power nothing is written any more", "power");
  }
}

/**
 * What a plain panic() leaves, whoever calls it: sysrq, hung_task_panic, panic_on_oom, a soft lockup. Not a row of its own in `doctor`'s
 * matrix, which is about what the administrator sees. In an `nmi` the console is another matter, see `inNmi`.
 */
export function predictPanic(settings: Settings, variant: VariantName = "newest", context: "task" | "nmi" = "task"): readonly Prediction[] {
  return crash(settings, variant, { first: "panic", nmi: context === "nmi" });
}

/** All ways at once. */
export function predictAll(settings: Settings, variant: VariantName = "newest"): Readonly<Record<WayToDie, readonly Prediction[]>> {
  return Object.fromEntries((Object.keys(waysToDie) as WayToDie[]).map((way) => [way, predict(settings, way, variant)])) as Record<
    WayToDie,
    readonly Prediction[]
  >;
}

// --------------------------------------------------------------------------------------------------------- with a panic

const RAM_LOST = "The RAM does not survive the reset that follows.";

/**
 * The kernel as it is in an NMI: printk() stores the message and leaves the consoles alone (linux:kernel/printk/printk_safe.c:vprintk, and
 * since 6.12 linux:kernel/printk/printk_safe.c:is_printk_legacy_deferred); the interrupt that would print it later never comes, and only
 * console_flush_on_panic() does it, where it is reached. 2.6.38, which has no such step, prints in an NMI as anywhere.
 */
function inNmi(variant: Variant): Variant {
  const flush = "console_flush_on_panic";
  if (!variant.steps.some((step) => step.name === flush)) return variant;
  return {
    ...variant,
    steps: variant.steps.map((step): Step => {
      if (step.name === flush) return { ...step, effect: { do: "keep", evidence: "console" } };
      return step.effect.do === "keep" && step.effect.evidence === "console" ? { ...step, effect: { do: "go" } } : step;
    }),
  };
}

function crash(
  settings: Settings,
  variant: VariantName,
  { nmi = false, ...how }: { readonly first?: "panic" | "oops"; readonly start?: Start; readonly nmi?: boolean },
): readonly Prediction[] {
  const kernel = variants[variant];
  const { ends } = explore(nmi ? inNmi(kernel) : kernel, settings, { cpus: 2, faults: 0, ...how });
  const { always, sometimes } = commonEvidence(ends);
  const stuck = ends.filter((end) => end.kind === "hung" || end.kind === "deadlock" || end.kind === "halted");
  const outcome = (...names: readonly EvidenceName[]): Outcome =>
    ends.every((end) => names.some((name) => end.evidence.includes(name)))
      ? "kept"
      : names.some((name) => sometimes.has(name))
        ? "partly"
        : "lost";
  // Who resets a machine that stands still decides what its RAM keeps.
  const ram = (is: Outcome, why: string): { outcome: Outcome; why: string } => {
    if (is === "lost") return { outcome: is, why };
    if (!settings.ramSurvivesReset) return { outcome: "lost", why: RAM_LOST };
    if (stuck.length > 0 && !settings.watchdog.device)
      return { outcome: "partly", why: `${why} But the machine then stands still: kept by a reset, lost by switching off.` };
    return { outcome: is, why: always.has("captureConsole") ? `${why} A capture kernel that uses the same region overwrites it.` : why };
  };
  // What was printed before the message is on every console.
  const printed = outcome("console");
  const message = printed === "lost" ? "partly" : printed;
  const unprinted = "What was printed before. In an NMI printk only stores, and kdump starts before the message is printed.";
  const predictions: Prediction[] = [
    settings.serialConsole
      ? {
          kind: "serial console",
          outcome: message,
          why: message === "kept" ? "printk writes the message before anything else, if the console's driver returns." : unprinted,
        }
      : { kind: "serial console", outcome: "not-configured", why: "No console leaves the machine." },
    settings.consoleZone
      ? { kind: "console zone", ...ram(message, message === "kept" ? "Written line by line, up to the last one." : unprinted) }
      : { kind: "console zone", outcome: "not-configured", why: "pstore has no console zone." },
  ];
  if (settings.backends.length === 0)
    predictions.push({ kind: "record in pstore", outcome: "not-configured", why: "No kmsg_dump backend is registered." });
  settings.backends.forEach((backend, index) => {
    const is = index === 0 ? outcome("recordA", "oopsA") : outcome("recordB", "oopsB");
    const why = recordWhy(settings, ends, is, backend, index);
    predictions.push({ kind: `record in ${backend.name}`, ...(backend.medium === "ram" ? ram(is, why) : { outcome: is, why }) });
  });
  if (settings.crashImage === "absent") {
    const why = "No crash kernel is loaded.";
    predictions.push(
      { kind: "vmcore", outcome: "not-configured", why },
      { kind: "device dumps", outcome: "not-configured", why },
      { kind: "capture kernel's console", outcome: "not-configured", why },
    );
    return predictions;
  }
  const vmcore = outcome("vmcore");
  const unstopped = vmcore !== "lost" && sometimes.has("missingCpu") ? " A CPU may run on without having been stopped." : "";
  predictions.push({ kind: "vmcore", outcome: vmcore, why: `${vmcoreWhy(settings, always, sometimes, vmcore)}${unstopped}` });
  predictions.push(
    settings.deviceDumps
      ? deviceDumpsOf(outcome("deviceDumps"), vmcore)
      : { kind: "device dumps", outcome: "not-configured", why: "No driver is known to offer its memory, or novmcoredd is given." },
  );
  const captured = outcome("captureConsole");
  predictions.push({
    kind: "capture kernel's console",
    outcome: captured,
    why:
      captured === "lost" ? "The capture kernel never comes as far as its console." : "The capture kernel boots and says how far it comes.",
  });
  return predictions;
}

/** Device dumps are notes of /proc/vmcore: collected is not saved. */
function deviceDumpsOf(collected: Outcome, vmcore: Outcome): Prediction {
  if (collected === "lost" || vmcore === "lost")
    return { kind: "device dumps", outcome: "lost", why: "They are notes of /proc/vmcore, which is not saved." };
  return {
    kind: "device dumps",
    outcome: collected === "kept" ? vmcore : "partly",
    why: "The capture kernel's drivers add them to /proc/vmcore.",
  };
}

function recordWhy(settings: Settings, ends: readonly End[], is: Outcome, backend: Backend, index: number): string {
  if (is === "kept")
    return settings.crashImage === "loaded" && settings.postNotifiers
      ? "crash_kexec_post_notifiers: kmsg_dump runs before kdump."
      : "kmsg_dump is reached.";
  if (is === "partly") return "It depends on which CPU comes first.";
  if (backend.hangs === true) return "This backend hangs.";
  if (index > 0 && settings.backends.slice(0, index).some((one) => one.hangs === true)) return "The backend before it hangs.";
  if (settings.notifiers !== "return" && ends.every((end) => !end.evidence.includes("captureConsole") && !end.evidence.includes("corrupt")))
    return `A notifier ${settings.notifiers === "hang" ? "hangs" : "resets the machine"} before kmsg_dump.`;
  return "kdump is started before kmsg_dump, and does not return; crash_kexec_post_notifiers would turn that round.";
}

function vmcoreWhy(settings: Settings, always: ReadonlySet<EvidenceName>, sometimes: ReadonlySet<EvidenceName>, is: Outcome): string {
  if (is === "kept") return "The capture kernel saves it.";
  if (always.has("corrupt")) return "The checksum of the crash image does not fit: purgatory loops, silently.";
  if (settings.capture === "out-of-memory" && sometimes.has("captureFailed"))
    return "The capture kernel runs out of its reserved memory (crashkernel=).";
  if (settings.capture === "no-target" && sometimes.has("captureFailed")) return "The capture kernel finds no target to save to.";
  if (settings.capture === "hangs" && sometimes.has("captureFailed")) return "The capture kernel hangs.";
  if (sometimes.has("hungA") || sometimes.has("hungB")) return "A backend hangs before kdump is tried.";
  if (sometimes.has("notifierHung")) return "A notifier hangs before kdump is tried.";
  if (settings.notifiers === "reset" && settings.postNotifiers) return "A notifier resets the machine before kdump is tried.";
  return is === "partly" ? "It depends on which CPU comes first." : "kdump is never reached.";
}

// ------------------------------------------------------------------------------------------------------ without a panic

function withoutCapture(settings: Settings, why: string): readonly Prediction[] {
  const loaded = settings.crashImage !== "absent";
  const absent = "No crash kernel is loaded.";
  return [
    { kind: "vmcore", outcome: loaded ? "lost" : "not-configured", why: loaded ? why : absent },
    settings.deviceDumps && loaded
      ? { kind: "device dumps", outcome: "lost", why }
      : {
          kind: "device dumps",
          outcome: "not-configured",
          why: loaded ? "No driver is known to offer its memory, or novmcoredd is given." : absent,
        },
    { kind: "capture kernel's console", outcome: loaded ? "lost" : "not-configured", why: loaded ? why : absent },
  ];
}

/** A bug that kills a task only. */
function survivedOops(settings: Settings): readonly Prediction[] {
  const hung = settings.backends.findIndex((backend) => backend.hangs === true);
  return [
    settings.serialConsole
      ? { kind: "serial console", outcome: "kept", why: "The oops is printed." }
      : { kind: "serial console", outcome: "not-configured", why: "No console leaves the machine." },
    settings.consoleZone
      ? { kind: "console zone", outcome: "partly", why: "The oops is in it until later lines push it out." }
      : { kind: "console zone", outcome: "not-configured", why: "pstore has no console zone." },
    ...(settings.backends.length === 0
      ? [{ kind: "record in pstore", outcome: "not-configured", why: "No kmsg_dump backend is registered." } as const]
      : settings.backends.map((backend, index): Prediction => {
          if (hung >= 0 && index >= hung)
            return {
              kind: `record in ${backend.name}`,
              outcome: "lost",
              why: index === hung ? "This backend hangs." : "The backend before it hangs.",
            };
          return {
            kind: `record in ${backend.name}`,
            outcome: "kept",
            why: "oops_exit calls kmsg_dump(KMSG_DUMP_OOPS), unless max_reason leaves oopses out.",
          };
        })),
    ...withoutCapture(settings, "panic_on_oops=0: the task is killed and the kernel goes on."),
  ];
}

function survivedNmi(settings: Settings): readonly Prediction[] {
  return withoutPanic(settings, "unknown_nmi_panic=0: the NMI is noted in the log and the kernel goes on", "goes on");
}

/** What is left of a machine that never came to panic(). */
function withoutPanic(settings: Settings, reason: string, then: "hang" | "reset" | "power" | "goes on"): readonly Prediction[] {
  const sentence = `${reason.slice(0, 1).toUpperCase()}${reason.slice(1)}`;
  const zone = ((): Prediction => {
    if (!settings.consoleZone) return { kind: "console zone", outcome: "not-configured", why: "pstore has no console zone." };
    if (then === "power") return { kind: "console zone", outcome: "lost", why: "RAM is empty without power." };
    if (!settings.ramSurvivesReset && then !== "goes on") return { kind: "console zone", outcome: "lost", why: RAM_LOST };
    if (then === "hang")
      return { kind: "console zone", outcome: "partly", why: "What was printed before: kept by a reset, lost by switching off." };
    return { kind: "console zone", outcome: then === "reset" ? "kept" : "partly", why: "What was printed before is in it." };
  })();
  return [
    settings.serialConsole
      ? { kind: "serial console", outcome: "partly", why: `What was printed before. ${sentence}.` }
      : { kind: "serial console", outcome: "not-configured", why: "No console leaves the machine." },
    zone,
    ...(settings.backends.length === 0
      ? [{ kind: "record in pstore", outcome: "not-configured", why: "No kmsg_dump backend is registered." } as const]
      : settings.backends.map((backend): Prediction => ({
          kind: `record in ${backend.name}`,
          outcome: "lost",
          why: `${sentence}: kmsg_dump is not called.`,
        }))),
    ...withoutCapture(settings, `${sentence}: there is no panic that would start kdump.`),
  ];
}
