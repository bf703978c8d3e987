import type { Variant } from "../model.ts";
import { crashShutdown, kmsgDump, oops, sendStop, theEnd } from "./_2.6.38.ts";
import { captureSteps } from "./_capture.ts";

const cites = "linux:kernel/kexec.c:crash_kexec";

/** 2.6.38. Nothing keeps a second CPU out of panic(); kexec_mutex is the only gate, and only for kdump. */
export const beforeSeed: Variant = {
  name: "before-seed",
  title: "2.6.38, before the seed",
  about: "crash_kexec() first, with its own kmsg_dump(); then kmsg_dump(), then the stop by IPI. No gate around panic().",
  entry: { panic: "panic: message", oops: "oops_begin: take die_lock" },
  promisesRecord: () => true,
  steps: [
    {
      name: "panic: message",
      cites: "linux:kernel/panic.c:panic",
      needs: "a console",
      effect: { do: "keep", evidence: "console" },
      next: "crash_kexec: try kexec_mutex",
    },
    {
      name: "crash_kexec: try kexec_mutex",
      cites,
      needs: "no CPU in kexec_load or crash_kexec, else no kdump, and no word of it",
      effect: { do: "try", lock: "kexec" },
      next: "crash_kexec: crash image loaded?",
      otherwise: "kmsg_dump(PANIC): take dump_list_lock",
    },
    {
      name: "crash_kexec: crash image loaded?",
      cites,
      needs: "a crash image",
      effect: { do: "ask", about: "image loaded" },
      next: "kmsg_dump(KEXEC): take dump_list_lock",
      otherwise: "crash_kexec: unlock kexec_mutex",
    },
    ...kmsgDump("KEXEC", "crash_kexec: save registers and vmcoreinfo"),
    {
      name: "crash_kexec: save registers and vmcoreinfo",
      cites: "linux:kernel/kexec.c:crash_save_vmcoreinfo",
      needs: "the vmcoreinfo page intact",
      effect: { do: "go" },
      next: "machine_crash_shutdown: interrupts off",
      dumps: true,
    },
    ...crashShutdown("machine_kexec"),
    {
      name: "crash_kexec: unlock kexec_mutex",
      cites,
      needs: "nothing",
      effect: { do: "release", lock: "kexec" },
      next: "kmsg_dump(PANIC): take dump_list_lock",
    },
    ...kmsgDump("PANIC", "smp_send_stop: IPI to the others"),
    ...sendStop("panic notifiers"),
    ...theEnd(),
    ...oops("oops: crash_kexec: try kexec_mutex", [
      {
        name: "oops: crash_kexec: try kexec_mutex",
        cites,
        needs: "no CPU in kexec_load or crash_kexec",
        effect: { do: "try", lock: "kexec" },
        next: "oops: crash_kexec: crash image loaded?",
        otherwise: "oops_end: unlock die_lock",
      },
      {
        name: "oops: crash_kexec: crash image loaded?",
        cites,
        needs: "a crash image",
        effect: { do: "ask", about: "image loaded" },
        next: "kmsg_dump(KEXEC): take dump_list_lock",
        otherwise: "oops: crash_kexec: unlock kexec_mutex",
      },
      {
        name: "oops: crash_kexec: unlock kexec_mutex",
        cites,
        needs: "nothing",
        effect: { do: "release", lock: "kexec" },
        next: "oops_end: unlock die_lock",
      },
    ]),
    ...captureSteps(false),
  ],
};
