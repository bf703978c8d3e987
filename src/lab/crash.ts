import { ModuleObject } from "./module-object.ts";
import type { Machine } from "./qemu.ts";

/** A way for a kernel to die. All of them end in the capture kernel. */
export interface CrashWay {
  readonly id: CrashWayId;
  /** One line for people. */
  readonly what: string;
  /** What the CPU was in when it died: a task (a system call, a kernel thread), a hard interrupt, an NMI. */
  readonly context: "task" | "irq" | "nmi";
  /**
   * The line of the kernel's log that says why it dies. For an oops that is not a line of panic(): with a capture kernel loaded
   * oops_end() goes to it at once (arch/x86/kernel/dumpstack.c).
   */
  readonly says: RegExp;
  /** Modules loaded at boot, beyond those of the load. */
  readonly modules: readonly string[];
  /** A loaded module replaced by one with a broken function, see {@link breakFunction}. */
  readonly broken?: { readonly module: string; readonly symbol: string };
  /** Shell lines of the guest before it tells its facts. */
  readonly prepare: readonly string[];
  /** Shell lines of the guest that kill it, or wait for `host` to do so. */
  readonly die: readonly string[];
  /** What the host does when the guest says that it waits. */
  readonly host?: (machine: Machine) => Promise<void>;
}

/** Names of the ways. */
export type CrashWayId = "sysrq" | "sysrq-irq" | "oops" | "oom" | "hung-task" | "softdog" | "nmi";

/** The line a guest prints when the host is to act. */
export const TRIGGER_LINE = "lastwords-lab: waiting for the host";

/** The guest waits for the host, with CPU 0 at work inside the kernel. */
export const WAIT_BUSY: readonly string[] = [
  "taskset 1 dd if=/dev/zero of=/dev/null bs=16M &",
  "sleep 1",
  `echo "${TRIGGER_LINE}"`,
  "sleep 60",
];

/** Every way the lab knows. None needs a compiler or a special kernel. */
export const CRASH_WAYS: readonly CrashWay[] = [
  {
    id: "sysrq",
    what: "the administrator asks for a crash (echo c > /proc/sysrq-trigger)",
    context: "task",
    says: /^Kernel panic - not syncing: sysrq triggered crash$/,
    modules: [],
    prepare: ["echo 1 > /proc/sys/kernel/sysrq"],
    die: ["echo c > /proc/sysrq-trigger"],
  },
  {
    id: "sysrq-irq",
    what: "the same by a break on the serial line: in the UART's interrupt, over a task that works in the kernel",
    context: "irq",
    says: /^Kernel panic - not syncing: sysrq triggered crash$/,
    modules: [],
    prepare: ["echo 1 > /proc/sys/kernel/sysrq", "echo 1 > /proc/irq/4/smp_affinity"], // ttyS0 of a PC, to CPU 0
    die: WAIT_BUSY,
    host: (machine) => machine.sendSysrq("c"),
  },
  {
    id: "oops",
    what: "a module writes to NULL in a task's system call, with panic_on_oops",
    context: "task",
    says: /^BUG: kernel NULL pointer dereference, address: 0000000000000000$/,
    modules: ["dummy"],
    broken: { module: "dummy", symbol: "dummy_change_carrier" },
    prepare: ["echo 1 > /proc/sys/kernel/panic_on_oops", "ip link set dummy0 up"],
    die: ["echo 0 > /sys/class/net/dummy0/carrier"],
  },
  {
    id: "oom",
    what: "memory runs out, with panic_on_oom",
    context: "task",
    says: /^Kernel panic - not syncing: Out of memory: system-wide panic_on_oom is enabled$/,
    modules: [],
    prepare: ["echo 1 > /proc/sys/vm/panic_on_oom", "mkdir -p /big", "mount -t tmpfs -o size=64G tmpfs /big"],
    die: ["dd if=/dev/zero of=/big/file bs=1M"],
  },
  {
    id: "hung-task",
    what: "a task waits in the kernel for too long, with hung_task_panic",
    context: "task",
    says: /^Kernel panic - not syncing: hung_task: blocked tasks$/,
    modules: ["loop", "ext4"],
    prepare: [
      "mkdir -p /frozen",
      "truncate -s 8M /tmp/frozen.img; mke2fs -F /tmp/frozen.img > /dev/null",
      "mount -t ext4 -o loop /tmp/frozen.img /frozen",
      "fsfreeze --freeze /frozen",
      "touch /frozen/file &",
      "sleep 1",
    ],
    die: [
      "echo 1 > /proc/sys/kernel/hung_task_panic",
      "echo 4 > /proc/sys/kernel/hung_task_timeout_secs",
      "echo 2 > /proc/sys/kernel/hung_task_check_interval_secs",
      "sleep 60",
    ],
  },
  {
    id: "softdog",
    what: "a module's timer calls panic() in a hard interrupt (softdog with soft_panic)",
    context: "irq",
    says: /^Kernel panic - not syncing: Software Watchdog Timer expired$/,
    modules: ["softdog"],
    prepare: ["rmmod softdog", "insmod /mod/softdog.ko soft_panic=1 soft_margin=2"],
    die: ["taskset 1 dd if=/dev/zero of=/dev/null bs=16M &", "exec 5> /dev/watchdog", "echo 1 >&5", "sleep 60"],
  },
  {
    id: "nmi",
    what: "a non-maskable interrupt on every CPU at once, with unknown_nmi_panic",
    context: "nmi",
    says: /^Kernel panic - not syncing: NMI: Not continuing$/,
    modules: [],
    prepare: ["echo 1 > /proc/sys/kernel/unknown_nmi_panic"],
    die: WAIT_BUSY,
    host: async (machine) => void (await machine.command("inject-nmi")),
  },
];

/** The way of that name. */
export function crashWay(id: CrashWayId): CrashWay {
  return CRASH_WAYS.find((way) => way.id === id) as CrashWay;
}

/** x86: xor %eax,%eax; movl $0,(%rax). Leaves the stack as the function found it, so ORC data still holds. */
const NULL_WRITE = Uint8Array.of(0x31, 0xc0, 0xc7, 0x00, 0x00, 0x00, 0x00, 0x00);

/** What scripts/sign-file.c writes behind a module's signature. */
const SIGNATURE_MARK = "~Module signature appended~\n";

/** x86: a jump to itself, interrupts as they are. */
const ENDLESS_LOOP = Uint8Array.of(0xeb, 0xfe);

/**
 * A copy of a module in which a function writes to NULL as the first thing it does, or never comes to its end. A stock kernel has
 * no other way to oops or hang on demand (LKDTM is off in Debian's); it loads the module all the same and taints itself.
 * @param bytes content of an uncompressed x86-64 `.ko`
 */
export function breakFunction(bytes: Uint8Array, symbol: string, how: "null-write" | "endless-loop" = "null-write"): Uint8Array {
  const object = new ModuleObject(Uint8Array.from(bytes));
  object.patch(symbol, how === "null-write" ? NULL_WRITE : ENDLESS_LOOP);
  // A signature that does not fit is refused, a missing one only noted (kernel/module/signing.c): take its mark off the end.
  const end = object.bytes.length - SIGNATURE_MARK.length;
  return object.bytes.subarray(end).toString("latin1") === SIGNATURE_MARK ? object.bytes.subarray(0, end) : object.bytes;
}
