/** Which frames of a call trace say nothing of the crash: the way into the kernel, and the way down at its end. */
import type { FrameReport } from "../../src/report/model.ts";

/** What runs after the decision to crash: linux:kernel/panic.c, kernel/kexec_core.c, arch/x86/kernel/dumpstack.c. */
const PANIC_PATH = new Set([
  "machine_kexec",
  "__crash_kexec",
  "crash_kexec",
  "crash_setup_regs",
  "panic",
  "vpanic",
  "_panic",
  "nmi_panic",
  "check_panic_on_warn",
  "oops_end",
  "oops_begin",
  "oops_exit",
  "die",
  "__die",
  "die_addr",
  "exc_page_fault",
  "page_fault_oops",
  "no_context",
  "__bad_area_nosemaphore",
  "bad_area_nosemaphore",
  "bad_area",
  "kernelmode_fixup_or_oops",
  "do_kern_addr_fault",
  "do_user_addr_fault",
  "do_trap",
  "do_error_trap",
  "report_bug",
  "handle_bug",
  "dump_stack",
  "dump_stack_lvl",
  "__warn",
  "warn_slowpath_fmt",
  "rest_of_panic",
  "__schedule",
  "schedule",
  "schedule_timeout",
]);

/** How code is entered from outside: linux:arch/x86/entry, and where threads and CPUs begin. */
const ENTRY =
  /^(?:asm_(?:exc|sysvec|common)_\w+|exc_\w+|sysvec_\w+|entry_\w+|do_syscall_\w+|__?do_fast_syscall_\w+|do_int80_\w+|syscall_return_via_sysret|x64_sys_call|ia32_sys_call|__(?:x64|ia32)_sys_\w+|ret_from_fork\w*|kthread|common_interrupt|common_startup_64|secondary_startup_\w+|start_secondary|cpu_startup_entry|page_fault|error_entry|irqentry_\w+|invoke_syscall\S*|el0_svc\w*|el0t_64_sync\w*|do_el0_svc)$/;

export type Fold = "panic" | "schedule" | "entry";

export interface FrameRun {
  /** Null: these are to be seen. */
  readonly fold: Fold | null;
  readonly frames: readonly { readonly frame: FrameReport; readonly number: number }[];
}

function foldOf(frame: FrameReport, leading: boolean): Fold | null {
  if (frame.symbol === null || frame.user) return null;
  const symbol = frame.symbol.replace(/\.(?:cold|part|isra|constprop)(?:\.\d+)*/g, "");
  if (leading && PANIC_PATH.has(symbol)) return symbol.includes("schedule") ? "schedule" : "panic";
  if (leading && ENTRY.test(symbol) && symbol.startsWith("asm_exc_")) return "panic";
  return ENTRY.test(symbol) ? "entry" : null;
}

/** A trace in runs of frames that are shown or folded together. */
export function foldFrames(frames: readonly FrameReport[]): readonly FrameRun[] {
  const runs: { fold: Fold | null; frames: { frame: FrameReport; number: number }[] }[] = [];
  let leading = true;
  frames.forEach((frame, number) => {
    const fold = foldOf(frame, leading);
    if (fold === null || fold === "entry") leading = false;
    const last = runs.at(-1);
    if (last && last.fold === fold) last.frames.push({ frame, number });
    else runs.push({ fold, frames: [{ frame, number }] });
  });
  // A trace of nothing else is the trace of a task that does nothing else.
  if (!runs.some((run) => run.fold === null && run.frames.some(({ frame }) => !frame.user)))
    return [{ fold: null, frames: runs.flatMap((run) => run.frames) }];
  return runs;
}

/** The first frame that is not folded, in words: what a task is doing. */
export function topOf(frames: readonly FrameReport[]): string {
  const run = foldFrames(frames).find((run) => run.fold === null);
  const first = run?.frames[0]?.frame;
  if (!first) return "";
  if (first.user) return "user space";
  return first.symbol ?? first.address ?? "";
}
