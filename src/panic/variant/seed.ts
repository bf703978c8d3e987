import type { Variant } from "../model.ts";
import { crashShutdown, kmsgDump, oops, sendStop, theEnd } from "./_2.6.38.ts";
import { captureSteps } from "./_capture.ts";

const panic = "linux:kernel/panic.c:panic (with the seed's patch)";
const stop = "linux:kernel/kexec.c:stop_cpus_on_panic (of the seed's patch)";
const crash = "linux:kernel/kexec.c:crash_kexec (with the seed's patch)";

/** The seed: "Execute kmsg_dump() reliably in kdump path", against 2.6.38-rc6, as its diff reads. */
export const seed: Variant = {
  name: "seed",
  title: "2.6.38 with the seed's patch",
  about: "panic_mutex around it all; stop the others, kmsg_dump(), and only then crash_kexec(), which asks a flag instead of the mutex.",
  entry: { panic: "panic: message", oops: "oops_begin: take die_lock" },
  promisesRecord: () => true,
  steps: [
    {
      name: "panic: message",
      cites: panic,
      needs: "a console",
      effect: { do: "keep", evidence: "console" },
      next: "panic: try panic_mutex",
    },
    {
      name: "panic: try panic_mutex",
      cites: panic,
      needs: "no CPU in panic(), this one included",
      effect: { do: "try", lock: "panic" },
      next: "stop_cpus_on_panic: try kexec_mutex",
      otherwise: "panic: interrupts on",
    },
    { name: "panic: interrupts on", cites: panic, needs: "nothing", effect: { do: "irqs", on: true }, next: "panic: wait to be stopped" },
    { name: "panic: wait to be stopped", cites: panic, needs: "another CPU that panics and stops this one", effect: { do: "idle" } },
    {
      name: "stop_cpus_on_panic: try kexec_mutex",
      cites: stop,
      needs: "no CPU in kexec_load, else no kdump, and no word of it",
      effect: { do: "try", lock: "kexec" },
      next: "stop_cpus_on_panic: set kexec_mutex_is_locked",
      otherwise: "smp_send_stop: IPI to the others",
    },
    {
      name: "stop_cpus_on_panic: set kexec_mutex_is_locked",
      cites: stop,
      needs: "nothing",
      effect: { do: "set kexec_mutex_is_locked" },
      next: "stop_cpus_on_panic: crash image loaded?",
    },
    {
      name: "stop_cpus_on_panic: crash image loaded?",
      cites: stop,
      needs: "a crash image",
      effect: { do: "ask", about: "image loaded" },
      next: "stop_cpus_on_panic: save registers and vmcoreinfo",
      otherwise: "smp_send_stop: IPI to the others",
    },
    {
      name: "stop_cpus_on_panic: save registers and vmcoreinfo",
      cites: "linux:kernel/kexec.c:crash_save_vmcoreinfo",
      needs: "the vmcoreinfo page intact",
      effect: { do: "go" },
      next: "machine_crash_shutdown: interrupts off",
      dumps: true,
    },
    ...crashShutdown("kmsg_dump(PANIC): take dump_list_lock"),
    ...sendStop("kmsg_dump(PANIC): take dump_list_lock"),
    ...kmsgDump("PANIC", "crash_kexec: kexec_mutex_is_locked?"),
    {
      name: "crash_kexec: kexec_mutex_is_locked?",
      cites: crash,
      needs: "the flag set by stop_cpus_on_panic",
      effect: { do: "ask", about: "kexec_mutex_is_locked" },
      next: "crash_kexec: crash image loaded?",
      otherwise: "panic: unlock panic_mutex",
    },
    {
      name: "crash_kexec: crash image loaded?",
      cites: crash,
      needs: "a crash image",
      effect: { do: "ask", about: "image loaded" },
      next: "machine_kexec",
      otherwise: "panic: unlock panic_mutex",
    },
    {
      name: "panic: unlock panic_mutex",
      cites: panic,
      needs: "nothing",
      effect: { do: "release", lock: "panic" },
      next: "panic notifiers",
    },
    ...theEnd(),
    ...oops("oops: crash_kexec: kexec_mutex_is_locked?", [
      {
        name: "oops: crash_kexec: kexec_mutex_is_locked?",
        cites: crash,
        needs: "the flag; whose CPU set it is not asked",
        effect: { do: "ask", about: "kexec_mutex_is_locked" },
        next: "oops: crash_kexec: crash image loaded?",
        otherwise: "oops_end: unlock die_lock",
      },
      {
        name: "oops: crash_kexec: crash image loaded?",
        cites: crash,
        needs: "a crash image",
        effect: { do: "ask", about: "image loaded" },
        next: "machine_kexec",
        otherwise: "oops_end: unlock die_lock",
      },
    ]),
    ...captureSteps(false),
  ],
};
