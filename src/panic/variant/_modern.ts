/** What 6.1 and the newest kernel have in common: panic_cpu, an atomic kexec lock, NMIs where IPIs fail. */
import type { Step } from "../model.ts";

const PANIC = "linux:kernel/panic.c:panic";

export interface Names {
  /** Where `__crash_kexec` lives. */
  readonly crashKexec: string;
  readonly panic: string;
  readonly kmsgDump: string;
  /** Newest: waits until DMA into a CMA reservation is over. */
  readonly cma: boolean;
}

/** `__crash_kexec()`, named per caller since it returns there when the lock is taken or no image is loaded. */
export function crashKexec(caller: string, names: Names, back: string): readonly Step[] {
  const cites = names.crashKexec;
  const at = (what: string): string => `${caller}__crash_kexec: ${what}`;
  return [
    {
      name: at("try the kexec lock"),
      cites,
      needs: "no CPU in kexec_load, unload or crash_size, and no __crash_kexec of this CPU below",
      effect: { do: "try", lock: "kexec" },
      next: at("crash image loaded?"),
      otherwise: back,
    },
    {
      name: at("crash image loaded?"),
      cites,
      needs: "a crash image",
      effect: { do: "ask", about: "image loaded" },
      next: "__crash_kexec: save registers and vmcoreinfo",
      otherwise: at("unlock"),
    },
    { name: at("unlock"), cites, needs: "nothing", effect: { do: "release", lock: "kexec" }, next: back },
  ];
}

/** From the crash image being there to the jump: one way, from whichever caller. */
export function crashShutdown(names: Names): readonly Step[] {
  const shutdown = "linux:arch/x86/kernel/crash.c:native_machine_crash_shutdown";
  const shootdown = "linux:arch/x86/kernel/reboot.c:nmi_shootdown_cpus";
  return [
    {
      name: "__crash_kexec: save registers and vmcoreinfo",
      cites: names.crashKexec,
      needs: "the vmcoreinfo page intact",
      effect: { do: "irqs", on: false },
      next: "crash_smp_send_stop: NMI to the others",
      dumps: true,
    },
    {
      name: "crash_smp_send_stop: NMI to the others",
      cites: shootdown,
      needs: "a working local APIC; done once only",
      effect: { do: "send", by: "nmi", once: true },
      next: "crash_smp_send_stop: wait",
      dumps: true,
    },
    {
      name: "crash_smp_send_stop: wait",
      cites: shootdown,
      needs: "no CPU with NMIs blocked; after a second it goes on without its registers",
      effect: { do: "await", by: "nmi" },
      next: names.cma ? "crash_cma_clear_pending_dma" : "machine_crash_shutdown: interrupt controllers off",
      dumps: true,
    },
    ...(names.cma
      ? ([
          {
            name: "crash_cma_clear_pending_dma",
            cites: "linux:kernel/crash_core.c:crash_cma_clear_pending_dma",
            needs: "ten seconds, where crashkernel=,cma is used",
            effect: { do: "go" },
            next: "machine_kexec",
            dumps: true,
          },
        ] satisfies Step[])
      : ([
          {
            name: "machine_crash_shutdown: interrupt controllers off",
            cites: shutdown,
            needs: "nothing",
            effect: { do: "go" },
            next: "machine_kexec",
            dumps: true,
          },
        ] satisfies Step[])),
  ];
}

/** From the winner of panic_cpu to the end. */
export function afterGate(names: Names): readonly Step[] {
  const cites = names.panic;
  const pstore = "linux:fs/pstore/platform.c:pstore_dump";
  return [
    {
      name: "panic: message",
      cites,
      needs: "consoles whose drivers return",
      effect: { do: "keep", evidence: "console" },
      next: "panic: crash_kexec_post_notifiers?",
    },
    {
      name: "panic: crash_kexec_post_notifiers?",
      cites,
      needs: "nothing",
      effect: { do: "ask", about: "post notifiers" },
      next: "panic: crash_smp_send_stop: NMI to the others",
      otherwise: "panic: __crash_kexec: try the kexec lock",
    },
    ...crashKexec("panic: ", names, "smp_send_stop: IPI to the others"),
    {
      name: "panic: crash_smp_send_stop: NMI to the others",
      cites: "linux:arch/x86/kernel/crash.c:crash_smp_send_stop",
      needs: "a working local APIC; done once only",
      effect: { do: "send", by: "nmi", once: true },
      next: "panic: crash_smp_send_stop: wait",
    },
    {
      name: "panic: crash_smp_send_stop: wait",
      cites: "linux:arch/x86/kernel/reboot.c:nmi_shootdown_cpus",
      needs: "no CPU with NMIs blocked; after a second it goes on",
      effect: { do: "await", by: "nmi" },
      next: "panic notifiers",
    },
    {
      name: "smp_send_stop: IPI to the others",
      cites: "linux:arch/x86/kernel/smp.c:native_stop_other_cpus",
      needs: "a working local APIC",
      effect: { do: "send", by: "ipi" },
      next: "smp_send_stop: wait",
    },
    {
      name: "smp_send_stop: wait",
      cites: "linux:arch/x86/kernel/smp.c:native_stop_other_cpus",
      needs: "interrupts on, on the others",
      effect: { do: "await", by: "ipi" },
      next: "smp_send_stop: NMI to the rest",
    },
    {
      name: "smp_send_stop: NMI to the rest",
      cites: "linux:arch/x86/kernel/smp.c:native_stop_other_cpus",
      needs: "no CPU with NMIs blocked",
      effect: { do: "send", by: "nmi" },
      next: "smp_send_stop: wait again",
    },
    {
      name: "smp_send_stop: wait again",
      cites: "linux:arch/x86/kernel/smp.c:native_stop_other_cpus",
      needs: "NMIs on the others; after a second it goes on without them",
      effect: { do: "await", by: "nmi" },
      next: "panic notifiers",
    },
    {
      name: "panic notifiers",
      cites: "linux:kernel/notifier.c:atomic_notifier_call_chain",
      needs: "every callback returns, and none resets the machine",
      effect: { do: "notify" },
      next: "kmsg_dump(PANIC): A tries its buffer lock",
    },
    {
      name: "kmsg_dump(PANIC): A tries its buffer lock",
      cites: pstore,
      needs: "no CPU was stopped while it wrote an oops, else A skips it",
      effect: { do: "try", lock: "buffer" },
      next: "kmsg_dump(PANIC): A writes",
      otherwise: "kmsg_dump(PANIC): B writes",
    },
    {
      name: "kmsg_dump(PANIC): A writes",
      cites: names.kmsgDump,
      needs: "backend A: its firmware or flash answers",
      effect: { do: "write", backend: 0, reason: "panic" },
      next: "kmsg_dump(PANIC): A unlocks",
      dumps: true,
    },
    {
      name: "kmsg_dump(PANIC): A unlocks",
      cites: pstore,
      needs: "nothing",
      effect: { do: "release", lock: "buffer" },
      next: "kmsg_dump(PANIC): B writes",
    },
    {
      name: "kmsg_dump(PANIC): B writes",
      cites: names.kmsgDump,
      needs: "A returned; backend B answers",
      effect: { do: "write", backend: 1, reason: "panic" },
      next: "panic: __crash_kexec now?",
      dumps: true,
    },
    {
      name: "panic: __crash_kexec now?",
      cites,
      needs: "nothing",
      effect: { do: "ask", about: "post notifiers" },
      next: "panic: late __crash_kexec: try the kexec lock",
      otherwise: "console_flush_on_panic",
    },
    ...crashKexec("panic: late ", names, "console_flush_on_panic"),
    {
      name: "console_flush_on_panic",
      cites: "linux:kernel/printk/printk.c:console_flush_on_panic",
      needs: "console drivers that return",
      effect: { do: "go" },
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
    ...crashShutdown(names),
  ];
}

/** `die()` of x86: crash_kexec() of its own (not with post_notifiers), the oops record, then panic(). */
export function oops(names: Names, panicEntry: string): readonly Step[] {
  const dumpstack = "linux:arch/x86/kernel/dumpstack.c";
  const pstore = "linux:fs/pstore/platform.c:pstore_dump";
  return [
    {
      name: "oops_begin: take die_lock",
      cites: `${dumpstack}:oops_begin`,
      needs: "no other CPU in an oops, or it comes to its end",
      effect: { do: "spin", lock: "die" },
      next: "die: message and registers",
    },
    {
      name: "die: message and registers",
      cites: `${dumpstack}:__die`,
      needs: "a console",
      effect: { do: "keep", evidence: "console" },
      next: "kexec_should_crash: crash_kexec_post_notifiers?",
    },
    {
      name: "kexec_should_crash: crash_kexec_post_notifiers?",
      cites: `${names.crashKexec.slice(0, names.crashKexec.lastIndexOf(":"))}:kexec_should_crash`,
      needs: "no crash_kexec_post_notifiers",
      effect: { do: "ask", about: "post notifiers" },
      next: "oops_end: unlock die_lock",
      otherwise: "oops: crash_kexec: claim panic_cpu",
    },
    {
      name: "oops: crash_kexec: claim panic_cpu",
      cites: `${names.crashKexec.slice(0, names.crashKexec.lastIndexOf(":"))}:crash_kexec`,
      needs: "no CPU in panic, this one included",
      effect: { do: "try", lock: "panic" },
      next: "oops: __crash_kexec: try the kexec lock",
      otherwise: "oops_end: unlock die_lock",
    },
    ...crashKexec("oops: ", names, "oops: crash_kexec: reset panic_cpu"),
    {
      name: "oops: crash_kexec: reset panic_cpu",
      cites: `${names.crashKexec.slice(0, names.crashKexec.lastIndexOf(":"))}:crash_kexec`,
      needs: "nothing",
      effect: { do: "release", lock: "panic" },
      next: "oops_end: unlock die_lock",
    },
    {
      name: "oops_end: unlock die_lock",
      cites: `${dumpstack}:oops_end`,
      needs: "nothing",
      effect: { do: "release", lock: "die" },
      next: "kmsg_dump(OOPS): A takes its buffer lock",
    },
    {
      name: "kmsg_dump(OOPS): A takes its buffer lock",
      cites: pstore,
      needs: "whoever has it comes to its end",
      effect: { do: "spin", lock: "buffer" },
      next: "kmsg_dump(OOPS): A writes",
    },
    {
      name: "kmsg_dump(OOPS): A writes",
      cites: names.kmsgDump,
      needs: "backend A answers, and keeps oopses (max_reason)",
      effect: { do: "write", backend: 0, reason: "oops" },
      next: "kmsg_dump(OOPS): A unlocks",
    },
    {
      name: "kmsg_dump(OOPS): A unlocks",
      cites: pstore,
      needs: "nothing",
      effect: { do: "release", lock: "buffer" },
      next: "kmsg_dump(OOPS): B writes",
    },
    {
      name: "kmsg_dump(OOPS): B writes",
      cites: names.kmsgDump,
      needs: "A returned; backend B answers",
      effect: { do: "write", backend: 1, reason: "oops" },
      next: panicEntry,
    },
  ];
}

/** The cmpxchg of panic_cpu and the end of the losers. */
export function gate(cites: string = PANIC): readonly Step[] {
  return [
    {
      name: "panic: claim panic_cpu",
      cites,
      needs: "no other CPU in panic; a panic within the panic goes on",
      effect: { do: "claim", lock: "panic" },
      next: "panic: message",
      otherwise: "panic_smp_self_stop",
    },
    {
      name: "panic_smp_self_stop",
      cites: "linux:kernel/panic.c:panic_smp_self_stop",
      needs: "the CPU in panic_cpu to go on; its own message is never printed",
      effect: { do: "idle" },
    },
  ];
}
