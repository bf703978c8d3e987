import type { Step } from "../model.ts";

/** From the jump to the reboot of the capture kernel: the same in all kernels, but for the device dumps. */
export function captureSteps(deviceDumps: boolean): readonly Step[] {
  return [
    {
      name: "machine_kexec",
      cites: "linux:arch/x86/kernel/machine_kexec_64.c:machine_kexec",
      needs: "the control page and its page tables intact",
      effect: { do: "jump" },
      next: "purgatory: verify the checksum",
      dumps: true,
    },
    {
      name: "purgatory: verify the checksum",
      cites: "linux:arch/x86/purgatory/purgatory.c:verify_sha256_digest",
      needs: "every segment of the crash image as it was loaded; else it loops for ever, without a word",
      effect: { do: "verify" },
      next: "capture kernel: boot",
      dumps: true,
      capture: true,
    },
    {
      name: "capture kernel: boot",
      cites: "linux:init/main.c:start_kernel",
      needs: "enough reserved memory, devices that can be reset, no DMA into the reserved memory",
      effect: { do: "boot" },
      next: deviceDumps ? "capture kernel: device dumps?" : "capture kernel: save /proc/vmcore",
      dumps: true,
      capture: true,
    },
    ...(deviceDumps ? DEVICE_DUMPS : []),
    {
      name: "capture kernel: save /proc/vmcore",
      cites: "linux:fs/proc/vmcore.c:read_vmcore",
      needs: "a target with room, and the driver of its disk or network in the initramfs",
      effect: { do: "save" },
      next: "capture kernel: reboot",
      dumps: true,
      capture: true,
    },
    {
      name: "capture kernel: reboot",
      cites: "linux:kernel/reboot.c:kernel_restart",
      needs: "nothing",
      effect: { do: "reboot" },
      dumps: true,
      capture: true,
    },
  ];
}

const DEVICE_DUMPS: readonly Step[] = [
  {
    name: "capture kernel: device dumps?",
    cites: "linux:fs/proc/vmcore.c:vmcore_add_device_dump",
    needs: "a driver that offers its memory (4.18), and no novmcoredd",
    effect: { do: "ask", about: "device dumps" },
    next: "capture kernel: collect device dumps",
    otherwise: "capture kernel: save /proc/vmcore",
    dumps: true,
    capture: true,
  },
  {
    name: "capture kernel: collect device dumps",
    cites: "linux:fs/proc/vmcore.c:vmcore_add_device_dump",
    needs: "memory in the capture kernel for the device's own",
    effect: { do: "keep", evidence: "deviceDumps" },
    next: "capture kernel: save /proc/vmcore",
    dumps: true,
    capture: true,
  },
];
