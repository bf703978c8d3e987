import type { Variant } from "../model.ts";
import { captureSteps } from "./_capture.ts";
import { afterGate, gate, type Names, oops } from "./_modern.ts";

const names: Names = {
  crashKexec: "linux:kernel/crash_core.c:__crash_kexec",
  panic: "linux:kernel/panic.c:vpanic",
  kmsgDump: "linux:kernel/printk/printk.c:kmsg_dump_desc",
  cma: true,
};
const force = "linux:kernel/panic.c:panic_try_force_cpu";

/** 7.0, the newest that formats.md describes: 6.1's order, panic_force_cpu= before its gate. */
export const newest: Variant = {
  name: "newest",
  title: "7.0",
  about: "6.1's order; with panic_force_cpu= a CPU other than the named one hands the panic over by an IPI and stops itself.",
  entry: { panic: "panic: interrupts off", oops: "oops_begin: take die_lock" },
  promisesRecord: (settings) => settings.postNotifiers,
  steps: [
    {
      name: "panic: interrupts off",
      cites: names.panic,
      needs: "nothing",
      effect: { do: "irqs", on: false },
      next: "panic_try_force_cpu: is another CPU forced?",
    },
    {
      name: "panic_try_force_cpu: is another CPU forced?",
      cites: force,
      needs: "panic_force_cpu=, and this is not that CPU",
      effect: { do: "ask", about: "another CPU is forced" },
      next: "panic_try_force_cpu: panic in progress?",
      otherwise: "panic: claim panic_cpu",
    },
    {
      name: "panic_try_force_cpu: panic in progress?",
      cites: force,
      needs: "no CPU in panic_cpu yet",
      effect: { do: "ask", about: "panic in progress" },
      next: "panic: claim panic_cpu",
      otherwise: "panic_try_force_cpu: claim panic_redirect_cpu",
    },
    {
      name: "panic_try_force_cpu: claim panic_redirect_cpu",
      cites: force,
      needs: "no CPU redirects already; the loser panics here instead",
      effect: { do: "try", lock: "redirect" },
      next: "panic_try_force_cpu: message",
      otherwise: "panic: claim panic_cpu",
    },
    {
      name: "panic_try_force_cpu: message",
      cites: force,
      needs: "a console",
      effect: { do: "keep", evidence: "console" },
      next: "panic_smp_redirect_cpu: call the forced CPU",
    },
    {
      name: "panic_smp_redirect_cpu: call the forced CPU",
      cites: "linux:kernel/panic.c:panic_smp_redirect_cpu",
      needs: "interrupts on, on that CPU",
      effect: { do: "call" },
      next: "vpanic: redirected, stops itself",
    },
    {
      name: "vpanic: redirected, stops itself",
      cites: "linux:kernel/panic.c:panic_smp_self_stop",
      needs: "the forced CPU to take over; nobody looks whether it does",
      effect: { do: "idle" },
    },
    ...gate(names.panic),
    ...afterGate(names),
    ...oops(names, "panic: interrupts off"),
    ...captureSteps(true),
  ],
};
