export { isLabUnavailable, LabError, type LabErrorReason } from "./error.ts";
export { defaultCacheFolder } from "./cache.ts";
export { type FetchOptions, type LabProgress } from "./debian-archive.ts";
export {
  fetchKernel,
  givenKernel,
  hostKernel,
  kernelSpec,
  LAB_KERNELS,
  type KernelSeries,
  type KernelSpec,
  type LabKernel,
} from "./kernels.ts";
export { type LoadableModule, resolveModules } from "./modules.ts";
export { type GuestTools, guestTools } from "./tools.ts";
export { Initramfs, MODULE_ORDER } from "./initramfs.ts";
export { EMULATED, Machine, type MachineDisk, type MachineOptions } from "./qemu.ts";
export { breakFunction, CRASH_WAYS, crashWay, type CrashWay, type CrashWayId, TRIGGER_LINE, WAIT_BUSY } from "./crash.ts";
export { CAPTURE_COMMAND_LINE, GUEST_SETUP, type GuestLoad, NO_LOAD, VARIED_LOAD, VMCORE_DISK } from "./guest.ts";
export { type FactFrame, type Facts, type FactTask } from "./facts.ts";
export { type Capture, captureCrash, type CaptureOptions, type ReservedRegion, type Stage } from "./capture.ts";
export { fetchDebugVmlinux, peerVersion } from "./oracles.ts";
export { vmcoreSize } from "./vmcore-size.ts";
export { readRange } from "./read-range.ts";
