export {
  type Compression,
  type EccReport,
  type PstoreRecord,
  recordFileBytes,
  recordFileName,
  type RecordTime,
  type RecordType,
} from "./record.ts";
export { type JoinedDump, joinParts } from "./parts.ts";
export { decompressPayload } from "./payload.ts";
export { formatFtrace } from "./ftrace.ts";
export { parseRecordName, recordOfFile } from "./directory.ts";
export { describeSlots, type ZoneSlot } from "./slot.ts";
export { blkSizes, moduleParameters, parseAmount, parseWords, ramoopsSpec, type RamoopsSpec, reservedByCommandLine } from "./spec.ts";
export { readRamoops, type RamoopsContent } from "./ramoops/read.ts";
export { describeLayout, MAX_REGION, PERSISTENT_RAM_SIG, type RamoopsLayout, type RamoopsSizes, ramoopsZones } from "./ramoops/layout.ts";
export {
  completeLayout,
  findRamoopsRegions,
  findZoneHeads,
  findZoneHeadsInImage,
  type FoundRegion,
  inferLayouts,
  type LayoutGuess,
  type SparseSource,
} from "./ramoops/infer.ts";
export { readPsz, type PszContent } from "./zone/read.ts";
export { completePszLayout, inferPszLayouts, type PszGuess } from "./zone/infer.ts";
export { parseEfiName } from "./efi/name.ts";
export { readEfiVariables } from "./efi/read.ts";
export { readErstRecords } from "./erst/read.ts";
export { findChangli, readChangli } from "./memconsole/changli.ts";
export { readCbmemConsole, readCorebootConsole } from "./memconsole/coreboot.ts";
export { readGoogleConsole } from "./memconsole/google.ts";
export { readMtdoops } from "./mtdoops/read.ts";
export { type Configured, isCaptureKernel, Recorder, type RecorderConfig, type Status } from "./recorder.ts";
export { defaultFrontends, parseConfigured, parseRecordConfig, type RecordConfig } from "./record-config.ts";
export { type Port, PortError } from "./port.ts";
export { type Segment, splitByBanner } from "./banner.ts";
