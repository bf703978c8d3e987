/** What runs in the rehearsed machine: the init of the kernel that dies, and of its capture kernel. */
import { CAPTURE_COMMAND_LINE, GUEST_SETUP, VMCORE_DISK } from "../lab/index.ts";
import type { Settings } from "../panic/index.ts";
import type { RamoopsSizes } from "../pstore/index.ts";
import type { RehearsalWay } from "./way.ts";

/**
 * Where the ramoops region is, in bytes. Low, so that it lies below what is reserved for the capture kernel, which gets the highest
 * memory that fits.
 */
export const REGION_ADDRESS: number = 0x600_0000;

/** How the region is divided: no zones whose order changed between kernels. */
export const REGION_SIZES: RamoopsSizes = {
  memSize: 0x10_0000,
  recordSize: 0x1_0000,
  consoleSize: 0x1_0000,
  ftraceSize: 0,
  pmsgSize: 0,
  ttySize: 0,
  eccSize: 16,
};

/** Path of ramoops in the guest, where it is a module: it is loaded with parameters, the others without. */
export const RAMOOPS_MODULE: string = "/ramoops.ko";

/** What the host looks for in the console. `memory` comes with two numbers in KiB: all, and what is available. */
export const lines: Readonly<Record<"first" | "crashKernel" | "ready" | "alive" | "capture" | "memory" | "saved" | "failed", RegExp>> = {
  first: /^lastwords-lab: first kernel /m,
  crashKernel: /^lastwords-lab: crash kernel ([0-9a-f]+)-([0-9a-f]+)/m,
  ready: /^lastwords-lab: ready to die$/m,
  alive: /^lastwords-lab: still alive$/m,
  capture: /^lastwords-lab: capture kernel /m,
  memory: /^lastwords-lab: memory (\d+) (\d+)$/gm,
  saved: /^lastwords-lab: saved$/m,
  failed: /^lastwords-lab: failed: (.*)$/m,
};

/** The kernel's command line in the machine that dies. */
export function firstCommandLine(settings: Settings, crashkernelMiB: number): string {
  const { memSize } = REGION_SIZES;
  return [
    `panic=${settings.panicTimeout}`,
    ...(settings.crashImage === "absent" ? [] : [`crashkernel=${crashkernelMiB}M`]),
    `memmap=0x${memSize.toString(16)}$0x${REGION_ADDRESS.toString(16)}`,
    ...(settings.postNotifiers ? ["crash_kexec_post_notifiers"] : []),
    // Where it is built in these are all that it is told; insmod has words of its own.
    ...(hasRamoops(settings) ? RAMOOPS_WORDS.map((word) => `ramoops.${word}`) : []),
  ].join(" ");
}

const RAMOOPS_WORDS = [
  `mem_address=0x${REGION_ADDRESS.toString(16)}`,
  `mem_size=0x${REGION_SIZES.memSize.toString(16)}`,
  `record_size=0x${REGION_SIZES.recordSize.toString(16)}`,
  `console_size=0x${REGION_SIZES.consoleSize.toString(16)}`,
  "ftrace_size=0",
  "pmsg_size=0",
  "ecc=1",
];

function hasRamoops(settings: Settings): boolean {
  return settings.backends.some((backend) => backend.name === "ramoops");
}

/** The init of the kernel that is to die. Settings are made last, so that no way to die overrides them. */
export function firstInit(way: RehearsalWay, settings: Settings): string {
  const flag = (value: boolean): number => (value ? 1 : 0);
  return `${GUEST_SETUP}
say "first kernel $(uname -r)"
${hasRamoops(settings) ? loadRamoops : ""}
${settings.crashImage === "absent" ? "" : loadCaptureKernel}
${way.prepare.join("\n")}
echo ${flag(settings.panicOnOops)} > /proc/sys/kernel/panic_on_oops
echo ${flag(settings.panicOnNmi)} > /proc/sys/kernel/unknown_nmi_panic
echo ${flag(settings.watchdog.softLockupPanics)} > /proc/sys/kernel/softlockup_panic
say "ready to die"
sleep 1
${way.die.join("\n")}
say "still alive"
sleep 600
`;
}

const loadRamoops = `if [ -f ${RAMOOPS_MODULE} ]; then insmod ${RAMOOPS_MODULE} ${RAMOOPS_WORDS.join(" ")}; fi
dmesg | grep -q "Registered ramoops as persistent store backend" || fail "ramoops is not there"`;

/**
 * `root=` is there because distributions' capture kernels have one, and it decides how large an initramfs may be: with it the root file
 * system is a ramfs, without it a tmpfs of half of the memory (linux:init/do_mounts.c:init_rootfs). It is never mounted.
 */
const loadCaptureKernel = `kexec -p /boot/vmlinuz --initrd=/boot/initramfs --append="${CAPTURE_COMMAND_LINE} root=none memmap=0x${REGION_SIZES.memSize.toString(16)}\\$0x${REGION_ADDRESS.toString(16)}"
[ "$(cat /sys/kernel/kexec_crash_loaded)" = 1 ] || fail "the capture kernel was not loaded"
say "crash kernel $(grep -m 1 'Crash kernel' /proc/iomem | tr -d ' ')"`;

/** The init of the capture kernel: saves /proc/vmcore as it is to the disk that is for it, and says how much memory is left meanwhile. */
export function captureInit(): string {
  return `${GUEST_SETUP}
say "capture kernel $(uname -r)"
sample() {
  while read name value unit; do
    case $name in MemTotal:) total=$value ;; MemAvailable:) available=$value ;; esac
  done < /proc/meminfo
  say "memory $total $available"
}
sample
while sleep 1; do sample; done &
for try in 1 2 3; do
  target=$(find_disk ${VMCORE_DISK}) && break
  sleep 1
done
if [ -z "$target" ]; then
  say "no target: there is no disk ${VMCORE_DISK}"
elif dd if=/proc/vmcore of=$target bs=1M conv=notrunc,fsync; then
  sample
  say "saved"
else
  say "not saved"
fi
sleep 1
reboot -f
`;
}
