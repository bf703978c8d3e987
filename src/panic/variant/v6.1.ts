import type { Variant } from "../model.ts";
import { captureSteps } from "./_capture.ts";
import { afterGate, gate, type Names, oops } from "./_modern.ts";

const names: Names = {
  crashKexec: "linux:kernel/kexec_core.c:__crash_kexec",
  panic: "linux:kernel/panic.c:panic",
  kmsgDump: "linux:kernel/printk/printk.c:kmsg_dump",
  cma: false,
};

/** 6.1. */
export const v61: Variant = {
  name: "v6.1",
  title: "6.1",
  about:
    "panic_cpu lets one CPU in; kdump comes first and then nothing else, unless crash_kexec_post_notifiers moves it behind notifiers and kmsg_dump().",
  entry: { panic: "panic: interrupts off", oops: "oops_begin: take die_lock" },
  promisesRecord: (settings) => settings.postNotifiers,
  steps: [
    {
      name: "panic: interrupts off",
      cites: names.panic,
      needs: "nothing",
      effect: { do: "irqs", on: false },
      next: "panic: claim panic_cpu",
    },
    ...gate(),
    ...afterGate(names),
    ...oops(names, "panic: interrupts off"),
    ...captureSteps(true),
  ],
};
