import type { Report } from "./model.ts";

/** One plain sentence: what happened, where and when, for someone who is not a kernel developer. */
export function summarise(report: Report): string {
  const { kernel, panic } = report;
  const named = kernel?.nodename && kernel.nodename !== "(none)";
  const who = !kernel?.release ? "The kernel" : named ? `${kernel.nodename} (Linux ${kernel.release})` : `Linux ${kernel.release}`;
  const uptime = kernel?.uptimeSeconds;
  const when = `${uptime === null || uptime === undefined ? "" : ` ${describeSeconds(uptime)} after boot`}${kernel?.crashTime ? `, on ${kernel.crashTime.replace("T", " at ").replace("Z", " UTC")}` : ""}`;
  if (panic.cpu === null && panic.message === null && panic.function === null && panic.type === null) {
    return !kernel || report.dump === null
      ? report.log.text === ""
        ? "The evidence does not say what happened."
        : "The log holds no crash of a kernel."
      : `${who} had not crashed: no panic is recorded${when === "" ? "" : `; the dump was taken${when}`}.`;
  }
  const what = plainWords(report);
  const place = panic.function ?? panic.frames.find((frame) => frame.symbol !== null && !PANIC_PATH.test(frame.symbol))?.symbol;
  const where = [
    // Titles name the function already.
    place === undefined || place === null || new RegExp(`\\b${escapePattern(place)}\\b`).test(what) ? "" : ` in ${place}`,
    panic.task ? `, running ${panic.task.pid === 0 ? "the idle task" : `${panic.task.comm} (pid ${panic.task.pid})`}` : "",
    panic.cpu === null ? "" : `, on CPU ${panic.cpu}`,
  ].join("");
  const verb = isFatal(report) ? "crashed" : "reported a problem";
  const failure = report.capture?.outcome === "failed" ? report.capture.reason : null;
  const saving =
    failure === null
      ? ""
      : report.dump === null
        ? ` Its memory was not saved: "${failure}".`
        : ` The capture kernel says that it could not save the memory, "${failure}"; there is a dump all the same.`;
  return `${who} ${verb}${when}: ${what}${where}.${saving}`;
}

/** Faults that end at least the task. After a warning, a stall, a hung task or a BUG of another kind the kernel goes on. */
const FATAL_FAULT =
  /^(BUG: (kernel NULL pointer|unable to handle|stack guard page)|Oops|general protection fault|double fault|kernel BUG at|Unable to handle kernel|divide error|invalid opcode|stack segment)/;

function isFatal(report: Report): boolean {
  const { message } = report.panic;
  // The kernel says so itself; in a dump the CPU that panicked says it, too.
  if (report.log.text.includes("Kernel panic - not syncing") || report.receipts["/panic/cpu"]?.rule === "symbol panic_cpu") return true;
  return message !== null && FATAL_FAULT.test(message);
}

function escapePattern(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
}

/** Functions that every crash ends in. */
export const PANIC_PATH: RegExp =
  /^(__)?(crash_kexec|panic|vpanic|nmi_panic|oops_end|die|die_addr|no_context|page_fault_oops|__?bad_area.*|do_user_addr_fault|exc_.*|asm_exc_.*|crash_setup_regs)(\.\w+)?$/;

/** What the kernel's words mean; the first that fits. Matched without names of functions, which may hold any letters. */
const WORDS: readonly (readonly [RegExp, string])[] = [
  [/sysrq triggered crash/i, "somebody asked for a crash through SysRq"],
  [/kernel BUG/i, "a check inside the kernel failed (BUG)"],
  [/use-after-free/i, "the kernel used memory that it had freed"],
  [/out-of-bounds/i, "the kernel reached outside an object"],
  [/NULL pointer dereference/i, "the kernel used a pointer that was NULL"],
  [
    /unable to handle (kernel )?(paging request|page fault)|paging fault|page fault for address/i,
    "the kernel used an address that is not mapped",
  ],
  [/general protection fault/i, "the kernel used an address that cannot exist, or broke a protection rule"],
  [/hung_task|blocked tasks|task hung/i, "a task was blocked for too long"],
  [/soft ?lockup/i, "a CPU did not schedule for too long"],
  [/hard LOCKUP/i, "a CPU did not take interrupts for too long"],
  [/out of memory|panic_on_oom/i, "the machine ran out of memory"],
  [/Attempted to kill init/i, "the first process (init) died"],
  [/Unable to mount root/i, "the root file system could not be mounted"],
  [/stack-protector|stack is corrupted/i, "a kernel stack was overwritten"],
  [/machine check/i, "the hardware reported an error that cannot be corrected: suspect CPU, memory or board, not the kernel"],
  [/suspicious RCU usage/i, "RCU was used against its rules"],
  [/\brcu\b.*\bstall|stall.*\brcu\b/i, "a CPU or task held up RCU for too long"],
  [/NMI: Not continuing|unknown NMI/i, "a non-maskable interrupt asked for a panic: a watchdog, a button or a management controller"],
  [/watchdog/i, "a watchdog was not fed"],
  [/double fault/i, "the CPU faulted while it handled a fault, often a stack overflow"],
];

/** Panics that only say that there was a fault before: the fault is what to tell. */
const FOLLOW_UP = /^(kernel: )?(Fatal exception|panic_on_\w+ set|Oops - |Machine halted)/;

function plainWords(report: Report): string {
  const { message, title } = report.panic;
  const own = message === null || FOLLOW_UP.test(message) ? title : message;
  // The kernel's last words first, then the fault that led to them; quoted is what the plain words were taken from.
  for (const text of [own, title]) {
    // The function at the end of a title may hold any letters.
    const plain = WORDS.find(([pattern]) => pattern.test(text.replace(/ in \S+$/, "")))?.[1];
    if (plain !== undefined) return `${plain} ("${text}")`;
  }
  return own;
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
