/** What 2.6.38 and the seed's patch on it have in common. */
import type { Step } from "../model.ts";

/**
 * `kmsg_dump()` up to 3.3: one try for dump_list_lock, interrupts off while it is held, every dumper in the order of
 * registration.
 */
export function kmsgDump(reason: "KEXEC" | "PANIC" | "OOPS", next: string): readonly Step[] {
  const cites = "linux:kernel/printk.c:kmsg_dump";
  const what = `kmsg_dump(${reason})`;
  const kind = reason === "OOPS" ? "oops" : "panic";
  const dumps = reason === "OOPS" ? {} : ({ dumps: true } as const);
  return [
    {
      name: `${what}: take dump_list_lock`,
      cites,
      needs: "no other CPU in kmsg_dump, else this one skips it",
      effect: { do: "try", lock: "dump-list" },
      next: `${what}: A writes`,
      otherwise: next,
    },
    {
      name: `${what}: A writes`,
      cites,
      needs: "backend A: its firmware or flash answers",
      effect: { do: "write", backend: 0, reason: kind },
      next: `${what}: B writes`,
      ...dumps,
    },
    {
      name: `${what}: B writes`,
      cites,
      needs: "A returned; backend B answers",
      effect: { do: "write", backend: 1, reason: kind },
      next: `${what}: unlock`,
      ...dumps,
    },
    { name: `${what}: unlock`, cites, needs: "nothing", effect: { do: "release", lock: "dump-list" }, next },
  ];
}

/** `smp_send_stop()` on x86 before 3.x learnt to use NMIs: one IPI, a second of patience. */
export function sendStop(next: string): readonly Step[] {
  const cites = "linux:arch/x86/kernel/smp.c:native_stop_other_cpus";
  return [
    {
      name: "smp_send_stop: IPI to the others",
      cites,
      needs: "a working local APIC",
      effect: { do: "send", by: "ipi" },
      next: "smp_send_stop: wait",
    },
    {
      name: "smp_send_stop: wait",
      cites,
      needs: "interrupts on, on the others; after a second it goes on without them",
      effect: { do: "await", by: "ipi" },
      next,
    },
  ];
}

/** The NMI part of `machine_crash_shutdown()`. */
export function crashShutdown(next: string): readonly Step[] {
  return [
    {
      name: "machine_crash_shutdown: interrupts off",
      cites: "linux:arch/x86/kernel/crash.c:native_machine_crash_shutdown",
      needs: "nothing",
      effect: { do: "irqs", on: false },
      next: "machine_crash_shutdown: NMI to the others",
      dumps: true,
    },
    {
      name: "machine_crash_shutdown: NMI to the others",
      cites: "linux:arch/x86/kernel/reboot.c:nmi_shootdown_cpus",
      needs: "a working local APIC",
      effect: { do: "send", by: "nmi" },
      next: "machine_crash_shutdown: wait",
      dumps: true,
    },
    {
      name: "machine_crash_shutdown: wait",
      cites: "linux:arch/x86/kernel/reboot.c:nmi_shootdown_cpus",
      needs: "no CPU with NMIs blocked (SMM, firmware, machine check); after a second it goes on",
      effect: { do: "await", by: "nmi" },
      next,
      dumps: true,
    },
  ];
}

/** Notifiers, delay, reboot. */
export function theEnd(): readonly Step[] {
  const cites = "linux:kernel/panic.c:panic";
  return [
    {
      name: "panic notifiers",
      cites: "linux:kernel/notifier.c:atomic_notifier_call_chain",
      needs: "every callback returns",
      effect: { do: "notify" },
      next: "panic_timeout set?",
    },
    {
      name: "panic_timeout set?",
      cites,
      needs: "nothing",
      effect: { do: "ask", about: "reboots" },
      next: "emergency_restart",
      otherwise: "loop for ever",
    },
    {
      name: "emergency_restart",
      cites: "linux:kernel/reboot.c:emergency_restart",
      needs: "a firmware that resets",
      effect: { do: "reboot" },
    },
    { name: "loop for ever", cites, needs: "nothing", effect: { do: "halt" } },
  ];
}

/** `die()` of x86 around what differs; `crashKexec` goes on at "oops_end: unlock die_lock". */
export function oops(crashKexec: string, rest: readonly Step[]): readonly Step[] {
  const cites = "linux:arch/x86/kernel/dumpstack.c";
  return [
    {
      name: "oops_begin: take die_lock",
      cites: `${cites}:oops_begin`,
      needs: "no other CPU in an oops, or it comes to its end",
      effect: { do: "spin", lock: "die" },
      next: "die: message and registers",
    },
    {
      name: "die: message and registers",
      cites: `${cites}:__die`,
      needs: "a console",
      effect: { do: "keep", evidence: "console" },
      next: crashKexec,
    },
    ...rest,
    {
      name: "oops_end: unlock die_lock",
      cites: `${cites}:oops_end`,
      needs: "nothing",
      effect: { do: "release", lock: "die" },
      next: "kmsg_dump(OOPS): take dump_list_lock",
    },
    ...kmsgDump("OOPS", "panic: message"),
  ];
}
