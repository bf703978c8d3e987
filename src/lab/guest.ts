import type { CrashWay } from "./crash.ts";
import { FACTS_SCRIPT } from "./facts.ts";
import { MODULE_ORDER } from "./initramfs.ts";
import { EMULATED } from "./qemu.ts";

/** Things that go on in a guest while it dies, so that there is something to find in the dump. */
export interface GuestLoad {
  readonly modules: readonly string[];
  /** Shell lines; what shall go on ends with `&`. */
  readonly script: readonly string[];
}

/** What every capture kernel is told. */
export const CAPTURE_COMMAND_LINE: string = `${EMULATED} nr_cpus=1 panic=1 irqpoll reset_devices`;

/** Nothing but init. */
export const NO_LOAD: GuestLoad = { modules: [], script: [] };

/**
 * A task in every state (running in user space, sleeping in several places, stopped, zombie, blocked on a frozen file system) and
 * modules of several kinds: with dependencies, with threads of their own (pktgen, loop), with timers.
 */
export const VARIED_LOAD: GuestLoad = {
  modules: ["loop", "ext4", "dummy", "veth", "nft_ct", "bridge", "xt_conntrack", "overlay", "softdog", "pktgen"],
  script: [
    "mkdir -p /mnt",
    "truncate -s 32M /tmp/disk.img; mke2fs -F /tmp/disk.img > /dev/null",
    "mount -t ext4 -o loop /tmp/disk.img /mnt",
    "sleep 1000 &",
    "taskset 2 sh -c 'while :; do :; done' &",
    "mkfifo /tmp/fifo; cat /tmp/fifo &",
    "nc -l -p 99 &",
    "sleep 2000 & kill -STOP $!",
    "sh -c 'sh -c \"exit 0\" & exec sleep 3000' &", // sleep never asks for its dead child
    "fsfreeze --freeze /mnt; touch /mnt/file &",
    "sleep 1",
  ],
};

/** What the first kernel's init does. */
export interface FirstInit {
  readonly way: CrashWay;
  readonly load: GuestLoad;
  /** Shell lines run before the facts are told. */
  readonly before: readonly string[];
  /** Appended to the capture kernel's command line. */
  readonly captureAppend: string;
}

/** What the capture kernel's init does. */
export interface CaptureInit {
  /** Shell lines run before `/proc/vmcore` is read. */
  readonly before: readonly string[];
  /** Shell lines run after it has been saved. */
  readonly after: readonly string[];
  /** Physical memory to be saved beside the vmcore; page aligned. */
  readonly region?: { readonly address: number; readonly size: number } | undefined;
}

/** Serial numbers of the guest's disks. */
export const VMCORE_DISK = "vmcore";
export const FACTS_DISK = "facts";
/** Where a saved region begins on the facts disk; the facts themselves come first. In bytes. */
export const REGION_OFFSET: number = 8 * 1024 * 1024;

/**
 * How every guest's init begins: file systems, busybox, the modules of {@link MODULE_ORDER}. Gives shell functions: `say TEXT`
 * prints a line for the host, `fail TEXT` the same and switches off, `find_disk SERIAL` prints a disk's node or nothing,
 * `disk SERIAL` waits for it and fails without.
 */
export const GUEST_SETUP: string = String.raw`#!/bin/busybox sh
/bin/busybox mkdir -p /proc /sys /dev /tmp
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sysfs /sys
/bin/busybox mount -t devtmpfs devtmpfs /dev
/bin/busybox --install -s /bin
export PATH=/bin
say() { echo "lastwords-lab: $*"; }
fail() { say "failed: $*"; sleep 1; poweroff -f; }
while read file; do insmod /mod/$file || fail "insmod $file"; done < ${MODULE_ORDER}
find_disk() {
  for name in $(ls /sys/block); do
    serial=$(cat /sys/block/$name/device/serial 2>/dev/null | tr -d ' ')
    if [ "$serial" = "$1" ]; then echo /dev/$name; return; fi
  done
  return 1
}
# A driver that is a module may need a moment to find a disk.
disk() {
  for try in 1 2 3 4 5 6 7 8 9 10; do
    find_disk $1 && return
    sleep 1
  done
  fail "no disk $1"
}
`;

/** The init of the kernel that is to die: modules, capture kernel, load, facts, death. */
export function firstInit(init: FirstInit): string {
  return `${GUEST_SETUP}${FACTS_SCRIPT}
say "first kernel $(uname -r)"
kexec -p /boot/vmlinuz --initrd=/boot/initramfs --append="${CAPTURE_COMMAND_LINE} ${init.captureAppend}"
[ "$(cat /sys/kernel/kexec_crash_loaded)" = 1 ] || fail "the capture kernel was not loaded"
${init.load.script.join("\n")}
${init.before.join("\n")}
${init.way.prepare.join("\n")}
facts > /tmp/facts
dd if=/tmp/facts of=$(disk ${FACTS_DISK}) bs=1M conv=notrunc,fsync || fail "the facts cannot be saved"
say "about to crash"
sleep 1
${init.way.die.join("\n")}
sleep 10
fail "still alive"
`;
}

/** The capture kernel's init: the region first, because it is small and precious, then the vmcore. */
export function captureInit(init: CaptureInit): string {
  const { region } = init;
  return `${GUEST_SETUP}
say "capture kernel $(uname -r)"
${region === undefined ? "" : `${copyMemory(region.address, region.size)} || fail "the region cannot be read; it must lie below the capture kernel's memory"`}
${init.before.join("\n")}
dd if=/proc/vmcore of=$(disk ${VMCORE_DISK}) bs=1M conv=notrunc,fsync || fail "the vmcore cannot be saved"
${init.after.join("\n")}
say "saved"
sync
poweroff -f
`;
}

function copyMemory(address: number, size: number): string {
  const blocks = `bs=4096 skip=${address / 4096} count=${size / 4096} seek=${REGION_OFFSET / 4096}`;
  return `dd if=/dev/mem of=$(disk ${FACTS_DISK}) ${blocks} conv=notrunc,fsync`;
}
