import type { Report } from "./model.ts";

/** One plain sentence: what happened, where and when, for someone who is not a kernel developer. */
export function summarise(report: Report): string {
  const { kernel, panic } = report;
  const named = kernel?.nodename && kernel.nodename !== "(none)";
  const who = !kernel?.release ? "The kernel" : named ? `${kernel.nodename} (Linux ${kernel.release})` : `Linux ${kernel.release}`;
  const uptime = kernel?.uptimeSeconds;
  const when = `${uptime === null || uptime === undefined ? "" : ` ${describeSeconds(uptime)} after boot`}${kernel?.crashTime ? `, on ${kernel.crashTime.replace("T", " at ").replace("Z", " UTC")}` : ""}`;
  if (panic.cpu === null && panic.message === null && panic.function === null && panic.type === null) {
    return !kernel
      ? report.log.text === ""
        ? "The evidence does not say what happened."
        : "The log holds no crash of a kernel."
      : `${who} had not crashed: no panic is recorded${when === "" ? "" : `; the dump was taken${when}`}.`;
  }
  const place = panic.function ?? panic.frames.find((frame) => frame.symbol !== null && !PANIC_PATH.test(frame.symbol))?.symbol;
  const where = [
    place === undefined || place === null ? "" : ` in ${place}`,
    panic.task ? `, running ${panic.task.pid === 0 ? "the idle task" : `${panic.task.comm} (pid ${panic.task.pid})`}` : "",
    panic.cpu === null ? "" : `, on CPU ${panic.cpu}`,
  ].join("");
  return `${who} crashed${when}: ${plainWords(report)}${where}.`;
}

/** Functions that every crash ends in. */
export const PANIC_PATH: RegExp =
  /^(__)?(crash_kexec|panic|vpanic|nmi_panic|oops_end|die|die_addr|no_context|page_fault_oops|__?bad_area.*|do_user_addr_fault|exc_.*|asm_exc_.*|crash_setup_regs)(\.\w+)?$/;

/** What the kernel's words mean; the first that fits. */
const WORDS: readonly (readonly [RegExp, string])[] = [
  [/sysrq triggered crash/i, "somebody asked for a crash through SysRq"],
  [/NULL pointer dereference/i, "the kernel used a pointer that was NULL"],
  [
    /unable to handle (kernel )?(paging request|page fault)|paging fault|page fault for address/i,
    "the kernel used an address that is not mapped",
  ],
  [/general protection fault/i, "the kernel used an address that cannot exist, or broke a protection rule"],
  [/hung_task|blocked tasks/i, "a task was blocked for too long, and the system is set to panic on that"],
  [/soft ?lockup/i, "a CPU did not schedule for too long, and the system is set to panic on that"],
  [/hard LOCKUP/i, "a CPU did not take interrupts for too long"],
  [/out of memory|panic_on_oom|oom/i, "the machine ran out of memory"],
  [/Attempted to kill init/i, "the first process (init) died"],
  [/Unable to mount root/i, "the root file system could not be mounted"],
  [/stack-protector|stack is corrupted/i, "a kernel stack was overwritten"],
  [
    /Fatal machine check|Machine check|MCE/i,
    "the hardware reported an error that cannot be corrected: suspect CPU, memory or board, not the kernel",
  ],
  [/RCU|rcu_/, "a CPU or task held up RCU for too long"],
  [/NMI: Not continuing|unknown NMI|nmi/i, "a non-maskable interrupt asked for a panic: a watchdog, a button or a management controller"],
  [/kernel BUG/i, "a check inside the kernel failed (BUG)"],
  [/watchdog|softdog/i, "a watchdog was not fed"],
  [/double fault/i, "the CPU faulted while it handled a fault, often a stack overflow"],
  [/use-after-free/i, "the kernel used memory that it had freed"],
  [/out-of-bounds/i, "the kernel reached outside an object"],
];

function plainWords(report: Report): string {
  const text = `${report.panic.message ?? ""}\n${report.panic.title}`;
  const plain = WORDS.find(([pattern]) => pattern.test(text))?.[1];
  const own = report.panic.message ?? report.panic.title;
  return plain === undefined ? own : `${plain} ("${own}")`;
}

/** `7 s`, `3 min`, `2 h 5 min`, `12 days 3 h`. */
export function describeSeconds(seconds: number): string {
  if (seconds < 120) return `${seconds < 10 ? Math.round(seconds * 10) / 10 : Math.round(seconds)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return minutes % 60 === 0 ? `${hours} h` : `${hours} h ${minutes % 60} min`;
  return `${Math.floor(hours / 24)} days ${hours % 24} h`;
}
