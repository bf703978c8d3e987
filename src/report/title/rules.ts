import { FUNC, type LinePattern, NAMED_FUNC, PC, shape, SRC } from "./line-pattern.ts";
import {
  CALL_TRACE,
  oopsStack,
  PROGRAM_COUNTER,
  PROGRAM_COUNTER_ONLY,
  type StackRecipe,
  traceStack,
  warningStack,
} from "./stack-recipe.ts";

/**
 * One kind of crash. In templates, `{name}` is what the named group of a pattern captured and `{frame}` the
 * guilty function, `{frame2}` the guilty function of a report's second trace.
 */
export interface Rule {
  /** Names the rule in reports and tests; unique. */
  readonly id: string;
  /** The header line, from the group's header on. */
  readonly line: LinePattern;
  /**
   * What a complete report has besides. The rule does not apply without it; where no other applies either, the
   * report is corrupted.
   */
  readonly needs?: Needs;
  readonly title: string;
  readonly alt?: readonly string[];
  /** How to find the guilty frame; a report in which that fails is corrupted. */
  readonly stack?: StackRecipe;
  /** A complete report may have no stack trace. */
  readonly traceless?: true;
  /** Whatever has only this to show has lost its beginning or its middle. */
  readonly alwaysCorrupted?: true;
  /** The title repeats the kernel's own sentence: a word after "in" is no function. */
  readonly prose?: true;
  /** The header line may be printed as several: the task's name has a line feed in it. */
  readonly mayWrap?: true;
}

/** See {@link Rule.needs}. */
export interface Needs {
  /** The header line again, in full; captures come from here. */
  readonly line?: LinePattern;
  /** Found in this order in the lines after it, each on a line of its own. */
  readonly later?: readonly (string | RegExp)[];
  /** Found in the line right after it. */
  readonly next?: RegExp;
}

/** The kinds of crash that start with the same words. */
export interface HeaderGroup {
  /** A line with these words starts a report. */
  readonly header: string;
  /** Tried in this order; the first that applies names the crash. */
  readonly rules: readonly Rule[];
  /** Lines that have the words and mean something else. */
  readonly except?: readonly (string | RegExp)[];
  /** The words are those of a boot, which is a crash only where a kernel was running and did not say goodbye. */
  readonly boot?: true;
  /** A program says this of itself, at the start of a line; anywhere else it is part of somebody's message. */
  readonly program?: true;
}

const KASAN_FREE = "(?:double-free or invalid-free|double-free|invalid-free)";
const LOCK_AT = shape`at: (?:${PC} +)?${NAMED_FUNC}`;
const LOCK_AT_ADDRESS = shape`at: ${PC} +${NAMED_FUNC}`;
const HELD_LOCK = shape`at: (?:${PC} +)?${FUNC}`;
const KFENCE_STACK: StackRecipe = {
  steps: [shape`BUG: KFENCE: [a-z -]+ in ${FUNC}`, "frames"],
};
const KMSAN_STEPS: StackRecipe["steps"] = [
  "frames",
  // Its own group makes a "frame" of the sentence, as the origin of a value without a trace.
  /(Local variable .* created at:|Uninit was created at:)/,
  "frames",
];
const SOURCE_LINE = /[a-zA-Z0-9_/.-]\.[a-z]+:[0-9]/;

/**
 * What starts a crash report of a Linux kernel, and what each is called.
 *
 * The convention is syzkaller's (google/syzkaller:pkg/report/linux.go:linuxOopses): a title must come out as
 * its dashboards spell it, or it cannot be looked up there. Groups and rules are tried in this order.
 */
export const HEADER_GROUPS: readonly HeaderGroup[] = [
  {
    header: "BUG:",
    except: [
      // CONFIG_DEBUG_OBJECTS talks about itself.
      "ODEBUG:",
      // Android: boot messages, the run time's tombstones.
      "Boot_DEBUG:",
      "xlog_status:",
      "DEBUG:",
      // A fuzzer's own output.
      "BUG: no syscalls can create resource",
    ],
    rules: [
      {
        // An access that KASAN's shadow (or a tag) forbids.
        id: "kasan-access",
        line: ["BUG: KASAN:"],
        needs: {
          line: [shape`BUG: KASAN: (?<kind>[a-z-]+) in ${FUNC}`],
          later: [/(?<access>Read|Write) (?:of size|at addr) [0-9a-f]+/],
        },
        title: "KASAN: {kind} {access} in {frame}",
        alt: ["bad-access in {frame}"],
        stack: {
          steps: [shape`BUG: KASAN: [a-z-]+ in ${FUNC}`, CALL_TRACE, "frames"],
          // With CONFIG_KASAN_HW_TAGS the access traps.
          skip: ["kernel_fault", "tag_check", "mem_abort", "^el1_", "^el1h_"],
        },
      },
      {
        // kfree() of what is not, or no longer, an object.
        id: "kasan-invalid-free",
        line: ["BUG: KASAN:"],
        needs: { line: [shape`BUG: KASAN: ${KASAN_FREE} in ${FUNC}`] },
        title: "KASAN: invalid-free in {frame}",
        alt: ["invalid-free in {frame}"],
        stack: {
          steps: [shape`BUG: KASAN: ${KASAN_FREE} in ${FUNC}`, CALL_TRACE, "frames"],
          skip: ["slab_", "kfree", "vunmap", "vfree"],
        },
      },
      {
        // Old kernels: "null-ptr-deref on address", no function in the header.
        id: "kasan-on-address",
        line: ["BUG: KASAN: ", /on address/],
        needs: {
          line: [/BUG: KASAN: (?<kind>[a-z-]+) on address/],
          later: [/(?<access>Read|Write) of size [0-9]+/],
        },
        title: "KASAN: {kind} {access}",
      },
      {
        // A KASAN report of which only the header arrived.
        id: "kasan-cut",
        line: [/BUG: KASAN: (?<rest>.*)/],
        title: "KASAN: {rest}",
        alwaysCorrupted: true,
        prose: true,
      },
      {
        // Uninitialised bytes sent to a USB device: every driver does it through the same few functions.
        id: "kmsan-usb-infoleak",
        line: ["BUG: KMSAN: kernel-usb-infoleak"],
        needs: { line: [shape`BUG: KMSAN: kernel-usb-infoleak in ${FUNC}`] },
        title: "KMSAN: kernel-usb-infoleak in {frame}",
        alt: ["KMSAN origin in {frame2}"],
        stack: {
          steps: KMSAN_STEPS,
          skip: ["alloc_skb", "usb_submit_urb", "usb_start_wait_urb", "usb_bulk_msg", "usb_interrupt_msg", "usb_control_msg"],
        },
        traceless: true,
      },
      {
        // Use of an uninitialised value. The trace has no "Call Trace:" above it.
        id: "kmsan",
        line: ["BUG: KMSAN:"],
        needs: { line: [shape`BUG: KMSAN: (?<kind>[a-z-]+) in ${FUNC}`] },
        title: "KMSAN: {kind} in {frame}",
        alt: ["bad-access in {frame}"],
        stack: {
          steps: KMSAN_STEPS,
          // Cipher code touches every byte it is given, so it is where garbage is noticed and never where it is made.
          skip: ["alloc_skb", "netlink_ack", "netlink_rcv_skb", "_encrypt$", /^(?:crypto|cipher|drbg|rng)_/],
        },
        traceless: true,
      },
      {
        // Two unsynchronised accesses, "data-race in f / g", or a failed ASSERT_EXCLUSIVE ("assert: race in f").
        id: "kcsan",
        line: ["BUG: KCSAN:"],
        needs: { line: [/BUG: KCSAN: (?<what>.*)/] },
        title: "KCSAN: {what}",
        traceless: true,
      },
      {
        // A bad access that hit a page guarded by KFENCE.
        id: "kfence-access",
        line: [shape`BUG: KFENCE: (?<kind>use-after-free|out-of-bounds) (?<access>read|write) in ${FUNC}`],
        title: "KFENCE: {kind} {access} in {frame}",
        alt: ["bad-access in {frame}"],
        stack: KFENCE_STACK,
      },
      {
        id: "kfence-invalid-free",
        line: [shape`BUG: KFENCE: invalid free in ${FUNC}`],
        title: "KFENCE: invalid free in {frame}",
        alt: ["invalid-free in {frame}"],
        stack: KFENCE_STACK,
        traceless: true,
      },
      {
        // Near a guarded object, but never part of one.
        id: "kfence-invalid-access",
        line: [shape`BUG: KFENCE: invalid (?<access>read|write) in ${FUNC}`],
        title: "KFENCE: invalid {access} in {frame}",
        alt: ["bad-access in {frame}"],
        stack: KFENCE_STACK,
      },
      {
        // The canary beside an object was found overwritten when the object was freed.
        id: "kfence-corruption",
        line: [shape`BUG: KFENCE: memory corruption in ${FUNC}`],
        title: "KFENCE: memory corruption in {frame}",
        stack: KFENCE_STACK,
        traceless: true,
      },
      {
        // A page fault in the kernel that no table forgives; three spellings, by kernel and architecture.
        id: "paging-request",
        line: [
          /BUG: (?:unable to handle kernel paging request|unable to handle page fault for address|Unable to handle kernel data access)/,
        ],
        title: "BUG: unable to handle kernel paging request in {frame}",
        alt: ["bad-access in {frame}"],
        stack: oopsStack(),
      },
      {
        // The same with an address in the first page.
        id: "null-dereference",
        line: [/BUG: (?:unable to handle kernel NULL pointer dereference|[kK]ernel NULL pointer dereference)/],
        title: "BUG: unable to handle kernel NULL pointer dereference in {frame}",
        alt: ["bad-access in {frame}"],
        stack: oopsStack(),
      },
      {
        // Old kernels print the header by two calls, and the second one got lost.
        id: "unable-to-handle-cut",
        line: [/BUG: [uU]nable to handle kernel/],
        title: "BUG: unable to handle kernel",
        alwaysCorrupted: true,
      },
      {
        // CONFIG_DEBUG_SPINLOCK.
        id: "spinlock-debug",
        line: [
          /BUG: (?<lock>spinlock|rwlock) (?<state>lockup suspected|already unlocked|recursion|cpu recursion|bad magic|wrong owner|wrong CPU|trylock failure on UP)/,
        ],
        title: "BUG: {lock} {state} in {frame}",
        stack: traceStack({ skip: ["spin_", "_lock", "_unlock"] }),
      },
      {
        // The watchdog thread did not get the CPU for 20 s.
        id: "soft-lockup",
        line: ["BUG: soft lockup"],
        title: "BUG: soft lockup in {frame}",
        alt: ["stall in {frame}"],
        stack: oopsStack({ choose: "stall" }),
      },
      {
        // A task left the kernel, or was to be frozen, with a lock held. Old kernels say BUG, newer ones WARNING.
        id: "locks-held-bug",
        line: ["BUG: ", "still has locks held!"],
        needs: { later: [shape`${PC} +${NAMED_FUNC}`] },
        title: "BUG: still has locks held in {fn}",
      },
      {
        id: "scheduling-while-atomic",
        line: ["BUG: scheduling while atomic"],
        title: "BUG: scheduling while atomic in {frame}",
        stack: traceStack({ skip: ["schedule"] }),
      },
      {
        id: "lock-held-at-exit-bug",
        line: ["BUG: lock held when returning to user space"],
        needs: { later: ["leaving the kernel with locks still held", LOCK_AT] },
        title: "BUG: lock held when returning to user space in {fn}",
        traceless: true,
      },
      {
        // An unlock of what is not locked; the first frame is in lockdep's own sentence.
        id: "unlock-balance-bug",
        line: ["BUG: bad unlock balance detected!"],
        title: "BUG: bad unlock balance in {frame}",
        stack: { steps: [shape`${PC} +${FUNC}`, CALL_TRACE, "frames"] },
      },
      {
        id: "held-lock-freed-bug",
        line: ["BUG: held lock freed!"],
        needs: { later: [shape`${PC} +${NAMED_FUNC}`] },
        title: "BUG: held lock freed in {fn}",
      },
      {
        // An address space died with pages still counted or mapped. No trace says who leaked them.
        id: "rss-counter",
        line: ["BUG: Bad rss-counter state"],
        title: "BUG: Bad rss-counter state",
        traceless: true,
      },
      {
        id: "nr-ptes",
        line: ["BUG: non-zero nr_ptes on freeing mm"],
        title: "BUG: non-zero nr_ptes on freeing mm",
        traceless: true,
      },
      {
        id: "nr-pmds",
        line: ["BUG: non-zero nr_pmds on freeing mm"],
        title: "BUG: non-zero nr_pmds on freeing mm",
        traceless: true,
      },
      {
        // Unmount found a dentry in use. File system and device vary with the victim and not with the bug.
        id: "dentry-in-use",
        line: ["BUG: Dentry ", " still in use"],
        needs: {
          line: ["BUG: Dentry ", / still in use \([0-9]+\) \[(?<operation>unmount) of (?<victim>[^\]]+)\]/],
        },
        title: "BUG: Dentry still in use in {operation}",
        alt: ["BUG: Dentry still in use [{operation} of {victim}]"],
      },
      {
        // The page allocator got a page in a wrong state: whoever allocated it last is to blame, if page_owner
        // knows. Without it the report cannot be grouped.
        id: "bad-page",
        line: [/BUG: Bad page (?<what>state|cache)/],
        title: "BUG: Bad page {what} in {frame}",
        stack: {
          steps: [/page last allocated/, "frames"],
          skip: [
            /(?:free|put|get|update|release)_page/,
            "free_unref",
            /^_*folio/,
            "truncate_inode_pages",
            "page_frag_free",
            "alloc",
            "vmap",
            "page_owner",
          ],
        },
      },
      {
        id: "bad-page-map",
        line: ["BUG: Bad page map"],
        title: "BUG: Bad page map",
      },
      {
        // A worker pool made no progress for 30 s.
        id: "workqueue-lockup",
        line: ["BUG: workqueue lockup"],
        title: "BUG: workqueue lockup",
        traceless: true,
      },
      {
        // CONFIG_DEBUG_ATOMIC_SLEEP.
        id: "sleeping-in-atomic",
        line: [/BUG: sleeping function called from invalid context at .*/],
        title: "BUG: sleeping function called from invalid context in {frame}",
        stack: traceStack(),
      },
      {
        // CONFIG_DEBUG_PREEMPT: per-CPU data used where the task may change CPUs.
        id: "preemptible",
        line: [/BUG: using (?<what>[a-z_]+)\(\) in preemptible/],
        title: "BUG: using {what}() in preemptible code in {frame}",
        stack: traceStack({
          skip: ["dump_stack", "preemption", "preempt", "debug_", "processor_id", "this_cpu"],
        }),
      },
      {
        id: "workqueue-leak",
        line: ["BUG: workqueue leaked lock or atomic"],
        needs: { later: [/last function: (?<fn>[a-zA-Z0-9_]+)$/] },
        title: "BUG: workqueue leaked lock or atomic in {fn}",
        traceless: true,
      },
      {
        // kmemleak, as a fuzzer prints it: who allocated what nobody points to any more.
        id: "memory-leak",
        line: ["BUG: memory leak"],
        title: "memory leak in {frame}",
        stack: {
          steps: [/backtrace(?: \(crc [0-9A-Fa-f]*\))?:/, "frames"],
          skip: [
            "kmemleak",
            "mmap",
            "kmem",
            "slab",
            "alloc",
            "create_object",
            "idr_get",
            "list_lru_init",
            "kasprintf",
            "kvasprintf",
            "pcpu_create",
            "strdup",
            "strndup",
            "memdup",
          ],
        },
      },
      {
        // CONFIG_VMAP_STACK: recursion ran into the page below the stack; the top of it is arbitrary.
        id: "stack-guard-page",
        line: ["BUG: ", "stack guard page was hit at"],
        title: "BUG: stack guard page was hit in {frame}",
        alt: ["stack-overflow in {frame}"],
        stack: oopsStack({ choose: "stall" }),
      },
      {
        // arm's spelling of what x86 reports as a WARNING in lockdep.c.
        id: "invalid-wait-context",
        line: ["BUG: Invalid wait context"],
        title: "WARNING: locking bug in {frame}",
        stack: traceStack({ skip: ["lock_sock", "release_sock"] }),
      },
      {
        id: "bug-cut",
        line: [/BUG:\s*$/],
        title: "BUG: corrupted",
        alwaysCorrupted: true,
      },
    ],
  },
  {
    header: "WARNING:",
    except: [
      // sshd.
      "WARNING: /etc/ssh/moduli does not exist, using fixed modulus",
      "WARNING: workqueue cpumask: online intersect > possible intersect",
      /WARNING: [Tt]he mand mount option/,
      // glibc, of a binary that it dumps.
      "WARNING: Unsupported flag value(s) of 0x%x in DT_FLAGS_1",
      // The CPU is vulnerable; that is no event.
      "WARNING: Unprivileged eBPF is enabled with eIBRS",
      /WARNING: See https.* for mitigation options./,
      "WARNING: kernel not compiled with CPU_SRSO",
      /WARNING: fbcon: Driver '.*' missed to adjust virtual screen size/,
      /EXT4-[Ff][Ss](?: \(.*\))?:/,
      /warning: .* uses (?:deprecated v2 capabilities|wireless extensions)/i,
      /XFS \(\w+\): WARNING/,
    ],
    rules: [
      {
        // A timer, work item and so on freed or started in the wrong state. Its users are wrappers, too.
        id: "warning-odebug",
        line: ["WARNING: ", "lib/debugobjects.c", / (?:debug_print|debug_check|at)/],
        title: "WARNING: ODEBUG bug in {frame}",
        stack: warningStack(
          "debug_",
          "rcu",
          "hrtimer_",
          "timer_",
          "work_",
          "percpu_",
          "vunmap",
          "vfree",
          "__free_",
          "debug_check",
          "kobject_",
        ),
      },
      {
        id: "warning-usercopy",
        line: ["WARNING: ", "mm/usercopy.c", / (?:usercopy_warn|at)/],
        title: "WARNING: bad usercopy in {frame}",
        stack: warningStack("usercopy", "__check"),
      },
      {
        id: "warning-kobject",
        line: ["WARNING: ", "lib/kobject.c", / (?:kobject_|at)/],
        title: "WARNING: kobject bug in {frame}",
        stack: warningStack("kobject_"),
      },
      {
        id: "warning-proc",
        line: ["WARNING: ", "fs/proc/generic.c", / (?:proc_register|at)/],
        title: "WARNING: proc registration bug in {frame}",
        stack: warningStack("proc_"),
      },
      {
        // Saturation, underflow, use after zero.
        id: "warning-refcount",
        line: ["WARNING: ", "lib/refcount.c", / (?:refcount_|at)/],
        title: "WARNING: refcount bug in {frame}",
        stack: warningStack("refcount", "kobject_"),
      },
      {
        id: "warning-locking",
        line: ["WARNING: ", "kernel/locking/lockdep.c", "lock_"],
        title: "WARNING: locking bug in {frame}",
        stack: warningStack("lock_sock", "release_sock"),
      },
      {
        id: "locks-held",
        line: ["WARNING: ", "still has locks held!"],
        needs: { later: [shape`at: ${NAMED_FUNC}`] },
        title: "WARNING: still has locks held in {fn}",
      },
      {
        id: "nested-lock",
        line: ["WARNING: Nested lock was not taken"],
        title: "WARNING: nested lock was not taken in {frame}",
        stack: warningStack(),
      },
      {
        id: "lock-held-at-exit",
        line: ["WARNING: lock held when returning to user space"],
        needs: { later: ["leaving the kernel with locks still held", LOCK_AT] },
        title: "WARNING: lock held when returning to user space in {fn}",
        traceless: true,
      },
      {
        // A size that kmalloc() refuses, wherever in mm/ it was noticed.
        id: "warning-kmalloc",
        line: ["WARNING: ", "mm/", ".c", / k?.?malloc/],
        title: "WARNING: kmalloc bug in {frame}",
        stack: warningStack("kmalloc", "krealloc", "slab", "kmem"),
      },
      {
        id: "warning-vmalloc",
        line: ["WARNING: ", "mm/vmalloc.c", "__vmalloc_node"],
        title: "WARNING: zero-size vmalloc in {frame}",
        stack: warningStack(),
      },
      {
        // urb.c warns about what the driver that submits got wrong.
        id: "warning-urb",
        line: ["WARNING: ", " usb_submit_urb"],
        title: "WARNING in {frame}/usb_submit_urb",
        stack: warningStack("usb_submit_urb", "usb_start_wait_urb", "usb_bulk_msg", "usb_interrupt_msg", "usb_control_msg"),
      },
      {
        // The newest format where the address has no name ("file.c:1 at 0x0, CPU#1: task/1"): the function is in the RIP line only.
        id: "warning-cpu-behind",
        line: [shape`WARNING: ${SRC} at 0x\d+, CPU#\d+`],
        title: "WARNING in {frame}",
        stack: warningStack(),
      },
      {
        // WARN_ON() for most of the kernel's life: "CPU: 1 PID: 1 at file.c:1 func+0x1/0x2".
        id: "warning",
        line: ["WARNING: ", shape` at ${SRC} ${FUNC}`],
        title: "WARNING in {frame}",
        stack: warningStack(),
      },
      {
        // WARN_ON() of 2025 and later: "file.c:1 at func+0x1/0x2, CPU#1: task/1".
        id: "warning-source-first",
        line: [shape`WARNING: ${SRC} at ${FUNC}`],
        title: "WARNING in {frame}",
        stack: warningStack(),
      },
      {
        // The same with CONFIG_DEBUG_BUGVERBOSE_DETAILED: the condition stands first, in brackets.
        id: "warning-condition",
        line: ["WARNING: [", shape`\] ${SRC} at ${FUNC}`],
        title: "WARNING in {frame}",
        stack: warningStack(),
      },
      {
        // lockdep's five ways to say deadlock. The lock that cannot be had names it, not the one that is held.
        id: "deadlock-circular",
        line: ["WARNING: possible circular locking dependency detected"],
        needs: { later: ["is trying to acquire lock"] },
        title: "possible deadlock in {frame}",
        stack: {
          steps: [HELD_LOCK, HELD_LOCK, "frames"],
          // These take a lock that stands for the work item; the item's owner is meant.
          skip: ["process_one_work", "flush_workqueue", "drain_workqueue", "destroy_workqueue"],
        },
      },
      {
        id: "deadlock-inversion",
        line: ["WARNING: possible irq lock inversion dependency detected"],
        needs: { later: ["just changed the state of lock", LOCK_AT] },
        title: "possible deadlock in {fn}",
      },
      {
        id: "deadlock-irq-order",
        line: ["WARNING: ", "-safe -> ", "-unsafe lock order detected"],
        title: "possible deadlock in {frame}",
        stack: { steps: [/which became .* at:/, "frames"] },
      },
      {
        id: "deadlock-recursive",
        line: ["WARNING: possible recursive locking detected"],
        needs: { later: ["is trying to acquire lock", LOCK_AT] },
        title: "possible deadlock in {fn}",
      },
      {
        // A lock used both in an interrupt and with that interrupt enabled.
        id: "inconsistent-lock-state",
        line: ["WARNING: inconsistent lock state"],
        needs: { later: ["takes", shape`at: (?:${PC} +)?${FUNC}`] },
        title: "inconsistent lock state in {frame}",
        stack: traceStack(),
      },
      {
        id: "suspicious-rcu",
        line: ["WARNING: suspicious RCU usage"],
        needs: { later: [SOURCE_LINE] },
        title: "WARNING: suspicious RCU usage in {frame}",
        stack: traceStack({ skip: ["rcu", "kmem", "slab"] }),
      },
      {
        // The frame-pointer unwinder found a stack that it cannot follow.
        id: "stack-regs",
        line: [/WARNING: kernel stack regs at [0-9a-f]+ in [^ ]* has bad '(?<register>[^']+)' value/],
        title: "WARNING: kernel stack regs has bad '{register}' value",
        traceless: true,
      },
      {
        id: "stack-frame-pointer",
        line: [/WARNING: kernel stack frame pointer at [0-9a-f]+ in [^ ]* has bad value/],
        title: "WARNING: kernel stack frame pointer has bad value",
        traceless: true,
      },
      {
        id: "unlock-balance",
        line: ["WARNING: bad unlock balance detected!"],
        title: "WARNING: bad unlock balance in {frame}",
        stack: { steps: [shape`${PC} +${FUNC}`, CALL_TRACE, "frames"] },
      },
      {
        id: "held-lock-freed",
        line: ["WARNING: held lock freed!"],
        needs: { later: [shape`at:(?: ${PC})? +${NAMED_FUNC}`] },
        title: "WARNING: held lock freed in {fn}",
      },
      {
        id: "stack-regs-old",
        line: ["WARNING: kernel stack regs ", " has bad 'bp' value"],
        title: "WARNING: kernel stack regs has bad value",
        traceless: true,
      },
      {
        id: "stack-frame-pointer-old",
        line: ["WARNING: kernel stack frame pointer ", " has bad value"],
        title: "WARNING: kernel stack regs has bad value",
        traceless: true,
      },
      {
        id: "warning-cut",
        line: [/WARNING:\s*$/],
        title: "WARNING: corrupted",
        alwaysCorrupted: true,
      },
    ],
  },
  {
    header: "INFO:",
    except: [
      "INFO: lockdep is turned off",
      "INFO: Stall ended before state dump start",
      "INFO: NMI handler",
      "INFO: recovery required on readonly filesystem",
      /(?:handler|interrupt).*took too long/,
      // A fuzzer's own output, in debug mode.
      /INFO: sys_.* is not present in \/proc\/kallsyms/,
      "INFO: no syscalls can create resource",
      // Android's modem storage; "INVALID BTF_INFO:1".
      "rmt_storage:INFO:",
      "_INFO:",
    ],
    rules: [
      // lockdep when its headlines still were "[ INFO: ... ]".
      {
        id: "deadlock-circular-info",
        line: ["INFO: possible circular locking dependency detected"],
        needs: {
          line: ["INFO: possible circular locking dependency detected ]"],
          later: ["is trying to acquire lock", LOCK_AT_ADDRESS],
        },
        title: "possible deadlock in {fn}",
      },
      {
        id: "deadlock-inversion-info",
        line: ["INFO: possible irq lock inversion dependency detected"],
        needs: {
          line: ["INFO: possible irq lock inversion dependency detected ]"],
          later: ["just changed the state of lock", LOCK_AT_ADDRESS],
        },
        title: "possible deadlock in {fn}",
      },
      {
        id: "deadlock-irq-order-info",
        line: ["INFO: SOFTIRQ-safe -> SOFTIRQ-unsafe lock order detected"],
        needs: {
          line: ["INFO: SOFTIRQ-safe -> SOFTIRQ-unsafe lock order detected ]"],
          later: ["is trying to acquire", LOCK_AT_ADDRESS],
        },
        title: "possible deadlock in {fn}",
      },
      {
        id: "deadlock-recursive-info",
        line: ["INFO: possible recursive locking detected"],
        needs: {
          line: ["INFO: possible recursive locking detected ]"],
          later: ["is trying to acquire lock", LOCK_AT_ADDRESS],
        },
        title: "possible deadlock in {fn}",
      },
      {
        id: "inconsistent-lock-state-info",
        line: ["INFO: inconsistent lock state"],
        needs: {
          line: ["INFO: inconsistent lock state ]"],
          later: ["takes", LOCK_AT_ADDRESS],
        },
        title: "inconsistent lock state in {fn}",
      },
      {
        // A CPU did not let go of RCU. The interrupt that noticed stands on top of the code that loops.
        id: "rcu-stall",
        line: [/INFO: rcu_(?:preempt|sched|bh|tasks(?:_trace|_rude)?) (?:self-)?detected(?: expedited)? stall/],
        title: "INFO: rcu detected stall in {frame}",
        alt: ["stall in {frame}"],
        stack: {
          steps: [/apic_timer_interrupt/, PROGRAM_COUNTER, "frames"],
          otherwise: [/apic_timer_interrupt|Exception stack|el1h_64_irq/, "frames"],
          skip: ["apic_timer_interrupt", "rcu"],
          choose: "stall",
        },
      },
      {
        // A lock used before anyone initialised it.
        id: "non-static-key",
        line: ["INFO: trying to register non-static key"],
        title: "INFO: trying to register non-static key in {frame}",
        stack: traceStack({ skip: ["stack", "lock", "IRQ"] }),
      },
      {
        id: "suspicious-rcu-info",
        line: ["INFO: suspicious RCU usage"],
        needs: { later: [SOURCE_LINE] },
        title: "INFO: suspicious RCU usage in {frame}",
        stack: traceStack({ skip: ["rcu", "kmem", "slab"] }),
      },
      {
        // khungtaskd: in state D for hung_task_timeout_secs.
        id: "hung-task",
        line: [/INFO: task [^]{0,100}? blocked (?:in I\/O wait )?for more than [0-9]+ seconds/],
        title: "INFO: task hung in {frame}",
        alt: ["hang in {frame}"],
        stack: traceStack({ choose: "hang" }),
        mayWrap: true,
      },
      {
        // A killed task that does not go.
        id: "cannot-die",
        line: [/INFO: task [^]{0,100}? can't die for more than .* seconds/],
        title: "INFO: task can't die in {frame}",
        alt: ["hang in {frame}"],
        stack: traceStack({ skip: ["schedule"] }),
        mayWrap: true,
      },
      {
        // The middle of an old KASAN or SLUB report whose header is lost.
        id: "object-history",
        line: [/INFO: (?<what>Freed|Allocated) in (?<rest>.*)/],
        title: "INFO: {what} in {rest}",
        alwaysCorrupted: true,
      },
      {
        id: "info-cut",
        line: [/INFO:\s*$/],
        title: "INFO: corrupted",
        alwaysCorrupted: true,
      },
    ],
  },
  {
    // arm, arm64, riscv and others: the header that x86 starts with "BUG: ".
    header: "Unable to handle kernel",
    rules: [
      {
        id: "unable-to-handle",
        line: [/Unable to handle kernel (?<what>paging request|NULL pointer dereference|access to user memory)/],
        title: "BUG: unable to handle kernel {what} in {frame}",
        alt: ["bad-access in {frame}"],
        stack: oopsStack(),
      },
      {
        // arm64, where the page is there and its permissions forbid the access (linux:arch/arm64/mm/fault.c:
        // __do_kernel_fault).
        id: "unable-to-handle-permission",
        line: [/Unable to handle kernel (?<what>write to read-only memory|execute from non-executable memory|read from unreadable memory)/],
        title: "BUG: unable to handle kernel {what} in {frame}",
        alt: ["bad-access in {frame}"],
        stack: oopsStack(),
      },
    ],
  },
  {
    header: "general protection fault",
    except: [
      // User space: "traps: app[1] general protection fault ip:1 sp:2 error:0 in lib.so".
      /general protection fault .* error:\d+ in /,
      "general protection fault ip:",
    ],
    rules: [
      {
        // x86: a non-canonical address, most of the time; with KASAN a NULL pointer.
        id: "general-protection",
        line: ["general protection fault", ":"],
        title: "general protection fault in {frame}",
        alt: ["bad-access in {frame}"],
        stack: oopsStack(),
      },
    ],
  },
  {
    header: "stack segment: ",
    rules: [
      {
        // x86: a non-canonical address through the stack pointer.
        id: "stack-segment",
        line: ["stack segment: "],
        title: "stack segment fault in {frame}",
        stack: oopsStack(),
      },
    ],
  },
  {
    header: "Kernel panic",
    rules: [
      {
        // A canary was overwritten. With the stack gone there may be no trace, and the function only here.
        id: "stack-protector",
        line: ["Kernel panic - not syncing: stack-protector:"],
        needs: {
          line: [shape`Kernel panic - not syncing: stack-protector: Kernel stack is corrupted in: ${NAMED_FUNC}`],
        },
        title: "kernel panic: stack is corrupted in {fn}",
        traceless: true,
      },
      {
        // Old kernels print an address, which only the trace puts a name to.
        id: "stack-protector-address",
        line: ["Kernel panic - not syncing: stack-protector:"],
        needs: {
          line: [/Kernel panic - not syncing: stack-protector: Kernel stack is corrupted in: [a-f0-9]+/],
        },
        title: "kernel panic: stack is corrupted in {frame}",
        stack: traceStack({ skip: ["stack_chk"] }),
      },
      {
        // The word at the stack's end was overwritten; the scheduler is only who looked.
        id: "stack-end",
        line: ["Kernel panic - not syncing: corrupted stack end"],
        needs: {
          line: ["Kernel panic - not syncing: corrupted stack end detected inside scheduler"],
        },
        title: "kernel panic: corrupted stack end in {frame}",
        alt: ["stack-overflow in {frame}"],
        stack: traceStack({ skip: ["schedule", "retint_kernel"], choose: "stall" }),
      },
      {
        // arm64 and riscv with CONFIG_VMAP_STACK.
        id: "stack-overflow",
        line: ["Kernel panic - not syncing: kernel stack overflow"],
        title: "kernel stack overflow in {frame}",
        alt: ["stack-overflow in {frame}"],
        stack: traceStack({ skip: ["bad_stack"], choose: "stall" }),
      },
      {
        id: "kill-init",
        line: ["Kernel panic - not syncing: Attempted to kill init!"],
        title: "kernel panic: Attempted to kill init!",
      },
      {
        id: "tty-ldisc",
        line: [/Kernel panic - not syncing: Couldn't open N_TTY ldisc for [^ ]+ --- error -[0-9]+/],
        title: "kernel panic: Couldn't open N_TTY ldisc",
        prose: true,
      },
      // The next three follow a report. Where one is all there is, the report itself is lost.
      {
        id: "fatal-exception",
        line: ["Kernel panic - not syncing: Fatal exception"],
        title: "kernel panic: Fatal exception",
        alwaysCorrupted: true,
      },
      {
        id: "panic-on-warn",
        line: ["Kernel panic - not syncing: panic_on_warn set"],
        title: "kernel panic: panic_on_warn set",
        alwaysCorrupted: true,
      },
      {
        id: "panic-on-hung-task",
        line: ["Kernel panic - not syncing: hung_task: blocked tasks"],
        title: "kernel panic: hung_task: blocked tasks",
        alwaysCorrupted: true,
      },
      {
        // x86 machine checks: the banks are printed before, and a stack would say nothing.
        id: "machine-check",
        line: [/Kernel panic - not syncing: (?<reason>(?:Fatal [mM]achine check|Machine check|Uncorrected hardware memory error).*)/],
        title: "kernel panic: {reason}",
        traceless: true,
        prose: true,
      },
      {
        // panic() by anyone else: out of memory, no root file system, sysrq, firmware, NMI ...
        id: "panic",
        line: [/Kernel panic - not syncing: (?<reason>.*)/],
        title: "kernel panic: {reason}",
        prose: true,
      },
    ],
  },
  {
    header: "PANIC: double fault",
    rules: [
      {
        // x86: a fault while delivering a fault, as a rule on an overflown stack.
        id: "double-fault",
        line: ["PANIC: double fault"],
        title: "PANIC: double fault in {frame}",
        stack: PROGRAM_COUNTER_ONLY,
      },
    ],
  },
  {
    header: "rust_kernel: panicked",
    rules: [
      {
        // panic!() in Rust code: the message is on the next line, the trace has mangled names.
        id: "rust-panic",
        line: ["rust_kernel: panicked"],
        needs: { line: ["rust_kernel: panicked at "], next: /^(?<message>.+)/ },
        title: "{message} in {frame}",
        stack: traceStack({ skip: ["__rustc::rust_begin_unwind"] }),
      },
    ],
  },
  {
    header: "kernel BUG",
    rules: [
      // BUG_ON() in helpers that find what others did.
      {
        id: "bug-usercopy",
        line: ["kernel BUG at mm/usercopy.c"],
        title: "BUG: bad usercopy in {frame}",
        stack: traceStack({ skip: ["usercopy", "__check"] }),
      },
      {
        id: "bug-list",
        line: ["kernel BUG at lib/list_debug.c"],
        title: "BUG: corrupted list in {frame}",
        // A list is corrupted by a use after free more often than not.
        alt: ["bad-access in {frame}"],
        stack: traceStack(),
      },
      {
        id: "bug",
        line: ["kernel BUG at "],
        title: "kernel BUG in {frame}",
        // BUG_ON()s of skb helpers are their callers' bugs.
        stack: oopsStack({ skip: ["^skb_"] }),
      },
    ],
  },
  {
    header: "Kernel BUG",
    rules: [
      {
        // BUG() without CONFIG_DEBUG_BUGVERBOSE: no file, no line.
        id: "bug-address",
        line: [/Kernel BUG (?<where>.*)/],
        title: "kernel BUG {where}",
        prose: true,
      },
    ],
  },
  {
    // SLUB's debugging. Its other findings keep the kernel's sentence.
    header: "BUG kmalloc-",
    rules: [
      {
        id: "slub-double-free",
        line: ["BUG kmalloc-", ": Object already free"],
        title: "BUG: Object already free",
      },
    ],
  },
  {
    header: "divide error:",
    rules: [
      {
        id: "divide-error",
        line: ["divide error: "],
        title: "divide error in {frame}",
        stack: PROGRAM_COUNTER_ONLY,
      },
    ],
  },
  {
    // Kernel commit 9d06c4027f21 ("x86/entry: Convert Divide Error to IDTENTRY") put an underscore in it.
    header: "divide_error:",
    rules: [
      {
        id: "divide-error-underscore",
        line: ["divide_error: "],
        title: "divide error in {frame}",
        stack: PROGRAM_COUNTER_ONLY,
      },
    ],
  },
  {
    header: "invalid opcode:",
    rules: [
      {
        id: "invalid-opcode",
        line: ["invalid opcode: "],
        title: "invalid opcode in {frame}",
        stack: PROGRAM_COUNTER_ONLY,
      },
    ],
  },
  {
    header: "int3:",
    rules: [
      {
        // A breakpoint that nobody owns: text patching gone wrong.
        id: "int3",
        line: ["int3: "],
        title: "int3 in {frame}",
        stack: oopsStack(),
      },
    ],
  },
  {
    header: "UBSAN:",
    rules: [
      {
        // Old kernels do not say which behaviour.
        id: "ubsan-undefined",
        line: ["UBSAN:"],
        needs: { line: ["UBSAN: Undefined behaviour in"] },
        title: "UBSAN: undefined-behaviour in {frame}",
        stack: traceStack({ skip: ["ubsan", "overflow"] }),
      },
      {
        id: "ubsan-array-index",
        line: ["UBSAN: array-index-out-of-bounds in"],
        title: "UBSAN: array-index-out-of-bounds in {frame}",
        alt: ["bad-access in {frame}"],
        stack: traceStack({ skip: ["ubsan", "overflow"] }),
      },
      {
        id: "ubsan",
        line: ["UBSAN:"],
        needs: { line: [/UBSAN: (?<kind>.*?) in/] },
        title: "UBSAN: {kind} in {frame}",
        stack: traceStack({ skip: ["ubsan", "overflow"] }),
      },
    ],
  },
  {
    // The decompressor of the next boot, in a log that had a running kernel in it.
    header: "Booting the kernel.",
    boot: true,
    except: [
      // A fuzzer that mounts with what it read from the console makes the kernel print it again.
      "Parsing ELF",
      "Decompressing Linux",
      "Unknown parameter '",
    ],
    rules: [
      {
        id: "reboot",
        line: [/^Booting the kernel/],
        title: "unexpected kernel reboot",
        traceless: true,
      },
    ],
  },
  {
    header: "unregister_netdevice: waiting for",
    rules: [
      {
        // A leaked reference to a network device; the name of the device says nothing.
        id: "netdevice-reference",
        line: ["unregister_netdevice: waiting for ", " to become free"],
        title: "unregister_netdevice: waiting for DEV to become free",
        traceless: true,
      },
    ],
  },
  {
    // Old kernels know these two signs of a use after free, and say nothing more.
    header: "VFS: Close: file count is 0",
    rules: [
      {
        id: "vfs-close",
        line: ["VFS: Close: file count is 0"],
        title: "VFS: Close: file count is zero (use-after-free)",
        traceless: true,
      },
    ],
  },
  {
    header: "VFS: Busy inodes after unmount",
    rules: [
      {
        id: "vfs-busy-inodes",
        line: ["VFS: Busy inodes after unmount"],
        title: "VFS: Busy inodes after unmount (use-after-free)",
        traceless: true,
      },
    ],
  },
  {
    header: "Internal error:",
    rules: [
      {
        // arm and arm64 die(): where arm says "Unable to handle", arm64 may say "synchronous external abort".
        id: "internal-error",
        line: ["Internal error:"],
        title: "Internal error in {frame}",
        alt: ["bad-access in {frame}"],
        stack: oopsStack(),
      },
    ],
  },
  {
    header: "Unhandled fault:",
    rules: [
      {
        // arm: what x86 reports as a general protection fault comes as a "page domain fault".
        id: "unhandled-fault",
        line: ["Unhandled fault:"],
        title: "Unhandled fault in {frame}",
        alt: ["bad-access in {frame}"],
        stack: oopsStack(),
      },
    ],
  },
  {
    header: "Alignment trap:",
    rules: [
      {
        id: "alignment-trap",
        line: ["Alignment trap:"],
        title: "Alignment trap in {frame}",
        stack: oopsStack(),
      },
    ],
  },
  {
    // Android's secure world reports on the same console.
    header: "trusty: panic",
    rules: [
      {
        id: "trusty-assert",
        line: ["trusty: panic", " ASSERT FAILED"],
        needs: {
          line: ["trusty: panic (", /\):(?: DEBUG)? ASSERT FAILED at \(/, /\): (?<condition>.+)/],
        },
        title: "trusty: ASSERT FAILED: {condition}",
        traceless: true,
        prose: true,
      },
      {
        id: "trusty-assert-cut",
        line: ["trusty: panic", " ASSERT FAILED", /: *(?<condition>[^:]*)$/],
        title: "trusty: ASSERT FAILED: {condition}",
        alwaysCorrupted: true,
        prose: true,
      },
      {
        id: "trusty-panic",
        line: ["trusty: panic"],
        needs: { line: ["trusty: panic (", /\): (?<reason>.+)/] },
        title: "trusty: panic: {reason}",
        traceless: true,
        prose: true,
      },
    ],
  },
  {
    // What a Go program on the console says when it dies.
    header: "fatal error:",
    program: true,
    except: ["ALSA", "fatal error: cannot create timer"],
    rules: [
      {
        id: "go-runtime",
        line: ["fatal error:"],
        title: "go runtime error",
        traceless: true,
      },
    ],
  },
  {
    // The fuzzer's own failures, so that they are not taken for the kernel's.
    header: "SYZFAIL:",
    rules: [
      {
        id: "syzfail",
        line: [/SYZFAIL:(?<reason>.*)/],
        title: "SYZFAIL:{reason}",
        traceless: true,
        prose: true,
      },
    ],
  },
  {
    header: "SYZFATAL:",
    rules: [
      {
        id: "syzfatal",
        line: [/SYZFATAL:(?<reason>.*)/],
        title: "SYZFATAL:{reason}",
        alt: ["SYZFATAL"],
        traceless: true,
        prose: true,
      },
    ],
  },
  {
    // A program's panic; the kernel writes "Kernel panic".
    header: "panic:",
    program: true,
    except: [
      // Names of kernel functions (skb_over_panic), and of files and commands that have the word.
      "_panic:",
      "xlog_status:",
      "ddb.onpanic:",
      "evtlog_status:",
    ],
    rules: [
      {
        id: "sentry-stuck",
        line: ["panic: Sentry detected ", " stuck task"],
        title: "panic: Sentry detected stuck tasks",
        traceless: true,
      },
      {
        id: "program-panic",
        line: [/panic:(?<reason>.*)/],
        title: "panic:{reason}",
        traceless: true,
        prose: true,
      },
    ],
  },
];

/**
 * Our own additions, for logs in which nothing of the above is found: what real machines say when they die and a
 * fuzzer's machines never do, or where the console lost the header. Titles follow the convention's spirit.
 */
export const LAST_RESORT_GROUPS: readonly HeaderGroup[] = [
  {
    // The NMI watchdog, without hardlockup_panic.
    header: "hard LOCKUP on cpu",
    rules: [
      {
        id: "hard-lockup",
        line: ["hard LOCKUP on cpu"],
        title: "BUG: hard lockup in {frame}",
        alt: ["stall in {frame}"],
        stack: oopsStack({ choose: "stall" }),
      },
    ],
  },
  {
    // x86, before the trap handlers are up.
    header: "PANIC: early exception",
    rules: [
      {
        id: "early-exception",
        line: ["PANIC: early exception"],
        title: "PANIC: early exception in {frame}",
        stack: PROGRAM_COUNTER_ONLY,
        traceless: true,
      },
    ],
  },
  {
    // The rest of x86's exceptions, and any die() whose own sentence got lost: "alignment check: 0000 [#1] SMP".
    header: " [#",
    rules: [
      {
        id: "oops",
        line: [/ \[#\d+\]/],
        title: "Oops in {frame}",
        alt: ["bad-access in {frame}"],
        stack: oopsStack(),
      },
    ],
  },
  {
    // Machine checks that reset the machine before anyone could panic.
    header: "Machine Check Exception:",
    rules: [
      {
        id: "machine-check-exception",
        line: ["Machine Check Exception:"],
        title: "machine check exception",
        traceless: true,
      },
    ],
  },
  {
    // APEI, on the way down or at the next boot (BERT).
    header: "Hardware error from APEI Generic Hardware Error Source",
    rules: [
      {
        id: "apei-fatal",
        line: ["Hardware error from APEI Generic Hardware Error Source"],
        needs: { later: [/event severity: fatal/] },
        title: "fatal hardware error",
        traceless: true,
      },
    ],
  },
  {
    // arm64.
    header: "SError Interrupt on CPU",
    rules: [
      {
        id: "serror",
        line: ["SError Interrupt on CPU"],
        title: "SError interrupt in {frame}",
        stack: oopsStack(),
      },
    ],
  },
  {
    // SLUB's debugging in caches other than kmalloc's: "BUG task_struct (Not tainted): Poison overwritten".
    header: "BUG ",
    rules: [
      {
        id: "slub",
        line: [/BUG (?<cache>[\w:-]{1,64})(?:\(\S*\))? \([^)]{1,80}\): (?<what>.*)/],
        title: "BUG {cache}: {what}",
        prose: true,
      },
    ],
  },
  {
    // The log ends before sysrq's crash does.
    header: "sysrq: Trigger a crash",
    rules: [
      {
        id: "sysrq-crash",
        line: ["sysrq: Trigger a crash"],
        title: "kernel panic: sysrq triggered crash",
        alwaysCorrupted: true,
        prose: true,
      },
    ],
  },
];

/**
 * Lines that belong to the crash under way although they look like headers: the kernel's next steps after a
 * report (google/syzkaller:pkg/report/linux.go:reportStartIgnores).
 */
export const CONTINUATIONS: readonly string[] = [
  "invalid opcode: 0000",
  "Kernel panic - not syncing",
  "unregister_netdevice: waiting for",
  // Badly corrupted memory makes the handler of a page fault fault, synchronously as a rule.
  "PANIC: double fault",
  "Internal error:",
];

/**
 * Of the panics, the ones that only follow from what was reported before. Any other may be a crash of its own,
 * long after a report that the machine survived.
 */
export const PANICS_THAT_FOLLOW: RegExp =
  /Kernel panic - not syncing: (?:Fatal exception|(?:[\w ]+: )?panic_on_\w+ set|kasan\.fault=|kfence\.fault=|hung_task: |softlockup: |Hard LOCKUP|RCU Stall|Aiee, killing interrupt handler)/;

/**
 * Messages that come with a stack trace and are no crash. One in the middle of a report makes the rest of it
 * doubtful (google/syzkaller:pkg/report/linux.go:infoMessagesWithStack).
 */
export const TRACED_MESSAGES: readonly string[] = [
  "vmalloc: allocation failure:",
  "FAULT_INJECTION: forcing a failure",
  "FAULT_FLAG_ALLOW_RETRY missing",
];

/** The first line of every boot. */
export const BOOT_BANNER = "Linux version ";

/** printk says so when it repeats what it may have printed before: the header comes again. */
export const REPLAY_NOTE = "** replaying previous printk message **";
