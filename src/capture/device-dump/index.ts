export { type DeviceDump, encodeNote, maxDumpSize, noteSize, VMCOREDD_HEADER_SIZE, VMCOREDD_MAX_NAME_BYTES } from "./note.ts";
export { type CollectedDumps, type CollectLimits, type DeviceDumpRequest, DeviceDumps, type LostDump } from "./registry.ts";
export { MergedVmcore, type MergeOptions, openVmcore } from "./merged-vmcore.ts";
export {
  BUILT_IN_COLLECTORS,
  type BuiltInCollector,
  collectDeviceDumps,
  type CollectOptions,
  DEFAULT_COLLECTOR_DIRECTORY,
} from "./collectors.ts";
