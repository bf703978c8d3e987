/** The ways to die that can be rehearsed: what the guest does, and what the model is asked for. */
import type { Settings, WayToDie } from "../panic/index.ts";
import { crashWay, TRIGGER_LINE, WAIT_BUSY } from "../lab/index.ts";

/** Names of the ways, in the order in which they are rehearsed. */
export const wayNames = [
  "sysrq",
  "oops",
  "oops-irq",
  "nmi",
  "two-cpus",
  "hung-task",
  "soft-lockup",
  "oom",
  "corrupt-image",
  "no-target",
  "capture-oom",
  "reset",
  "hang",
] as const;
export type WayName = (typeof wayNames)[number];

/** What the host does to the machine while its guest waits. */
export type HostAct = "nmi" | "reset" | "corrupt the crash image, then sysrq";

/** A way of the model's; `panic` is panic() called by a task or an interrupt. */
export type ModelWay = WayToDie | "panic";

/** A way to die. */
export interface RehearsalWay {
  readonly name: WayName;
  /** One line for people. */
  readonly about: string;
  /** What the model is asked for with these settings: a row of its matrix, or a plain panic(). */
  readonly model: (settings: Settings) => ModelWay;
  /** The line of the console that says why the kernel dies, without its time stamp; absent where it says nothing. */
  readonly says?: RegExp;
  readonly modules: readonly string[];
  /** A module with a broken function. */
  readonly broken?: { readonly module: string; readonly symbol: string; readonly how: "null-write" | "endless-loop" };
  /** Shell lines before the settings are made. */
  readonly prepare: readonly string[];
  /** Shell lines that kill the guest, or wait for the host to do so. A guest that outlives them goes on. */
  readonly die: readonly string[];
  readonly host?: HostAct;
  /** What is wrong with the capture kernel's surroundings. */
  readonly capture?: "no target" | "too little memory";
}

const SYSRQ_SAYS = /^Kernel panic - not syncing: sysrq triggered crash$/;
const OOPS_SAYS = /^BUG: kernel NULL pointer dereference, address: 0000000000000000$/;
const SYSRQ = crashWay("sysrq");
const OOPS = crashWay("oops");
const OOM = crashWay("oom");
const HUNG = crashWay("hung-task");
const NMI = crashWay("nmi");
/**
 * A transmission that does not return: bottom halves off, interrupts on, CPU 0. A mere loop in a system call is no lockup on kernels with
 * PREEMPT_LAZY (linux:kernel/Kconfig.preempt, all of Debian's from 7.0 on): the next tick takes the CPU away from it. IPv6 would transmit
 * by itself, on the other CPU.
 */
const SPIN = {
  modules: ["dummy"],
  broken: { module: "dummy", symbol: "dummy_xmit", how: "endless-loop" },
  prepare: [
    "for file in /proc/sys/net/ipv6/conf/*/disable_ipv6; do [ -e $file ] && echo 1 > $file; done",
    "ip addr add 10.9.9.1/24 dev dummy0",
    "ip link set dummy0 up",
  ],
} as const;
const START_SPINNING = "taskset 1 ping -c 1 10.9.9.2 &";

/** Every way. */
export const ways: readonly RehearsalWay[] = [
  { name: "sysrq", about: SYSRQ.what, model: () => "panic", says: SYSRQ_SAYS, modules: [], prepare: SYSRQ.prepare, die: SYSRQ.die },
  {
    name: "oops",
    about: "a module writes to NULL in a task's system call",
    model: () => "oops in a task",
    says: OOPS_SAYS,
    modules: OOPS.modules,
    broken: { module: "dummy", symbol: "dummy_change_carrier", how: "null-write" },
    prepare: ["ip link set dummy0 up"],
    // init itself must outlive it where panic_on_oops is off.
    die: ["sh -c 'echo 0 > /sys/class/net/dummy0/carrier'", "sleep 2"],
  },
  {
    name: "oops-irq",
    about: "a module's timer writes to NULL in a hard interrupt",
    model: () => "oops in interrupt",
    says: OOPS_SAYS,
    modules: ["softdog"],
    broken: { module: "softdog", symbol: "softdog_fire", how: "null-write" },
    prepare: ["rmmod softdog", "insmod /mod/softdog.ko soft_margin=2"],
    die: ["exec 5> /dev/watchdog", "echo 1 >&5", "sleep 60"],
  },
  {
    name: "nmi",
    about: "a non-maskable interrupt on every CPU at once, that no driver claims",
    model: () => "NMI",
    says: NMI.says,
    modules: [],
    prepare: [],
    die: WAIT_BUSY.map((line) => (line === "sleep 60" ? "sleep 6" : line)),
    host: "nmi",
  },
  {
    name: "two-cpus",
    about: "two CPUs panic in the same moment",
    model: () => "two CPUs panic at once",
    says: SYSRQ_SAYS,
    modules: [],
    prepare: SYSRQ.prepare,
    die: [
      ...[1, 2].map((cpu) => `taskset ${cpu} sh -c 'while [ ! -e /tmp/go ]; do :; done; echo c > /proc/sysrq-trigger' &`),
      "sleep 1",
      "touch /tmp/go",
      "sleep 60",
    ],
  },
  {
    name: "hung-task",
    about: HUNG.what,
    model: () => "panic",
    says: /^Kernel panic - not syncing: hung_task: blocked tasks$/,
    modules: HUNG.modules,
    prepare: HUNG.prepare,
    die: HUNG.die,
  },
  {
    name: "soft-lockup",
    about: "a CPU does not leave the kernel; panics where softlockup_panic is set",
    // Not the model's hang with watchdog, which is a hard lockup, too.
    model: ({ watchdog }) => (watchdog.softLockupPanics ? "panic" : "hang without watchdog"),
    says: /^Kernel panic - not syncing: softlockup: hung tasks$/,
    ...SPIN,
    die: ["echo 3 > /proc/sys/kernel/watchdog_thresh", START_SPINNING, "sleep 25"],
  },
  {
    name: "oom",
    about: OOM.what,
    model: () => "panic",
    says: OOM.says,
    modules: [],
    prepare: OOM.prepare,
    die: OOM.die,
  },
  {
    name: "corrupt-image",
    about: "something writes over the loaded capture kernel, then the kernel panics",
    model: () => "corrupted crash image",
    says: SYSRQ_SAYS,
    modules: [],
    prepare: SYSRQ.prepare,
    die: [`echo "${TRIGGER_LINE}"`, "sleep 60"],
    host: "corrupt the crash image, then sysrq",
  },
  {
    name: "no-target",
    about: "a panic, and the capture kernel does not find the disk to save to",
    model: () => "target disk missing",
    says: SYSRQ_SAYS,
    modules: [],
    prepare: SYSRQ.prepare,
    die: SYSRQ.die,
    capture: "no target",
  },
  {
    name: "capture-oom",
    about: "a panic, and the capture kernel's initramfs does not fit in its memory",
    model: () => "capture kernel out of memory",
    says: SYSRQ_SAYS,
    modules: [],
    prepare: SYSRQ.prepare,
    die: SYSRQ.die,
    capture: "too little memory",
  },
  {
    name: "reset",
    about: "the reset button: no panic at all",
    model: () => "reset",
    modules: [],
    prepare: [],
    die: WAIT_BUSY,
    host: "reset",
  },
  {
    name: "hang",
    about: "a CPU does not leave the kernel, nothing looks, and somebody resets the machine",
    model: () => "hang without watchdog",
    ...SPIN,
    die: ["echo 0 > /proc/sys/kernel/soft_watchdog", START_SPINNING, "sleep 5", `echo "${TRIGGER_LINE}"`, "sleep 60"],
    host: "reset",
  },
];

/** The way of that name. */
export function wayOf(name: WayName): RehearsalWay {
  return ways.find((way) => way.name === name) as RehearsalWay;
}
