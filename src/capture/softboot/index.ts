export { DUMP_MAGIC_LIVE, MAX_PASSES, PAGE_OFFSET, physicalAddress, virtualAddress } from "./layout.ts";
export type { MemoryRange, PhysicalStore } from "./page-list.ts";
export {
  type PageOrder,
  type PagePass,
  type PassResult,
  saveToMemory,
  type Stage1Options,
  type Stage1Result,
  storedPages,
} from "./stage1.ts";
export { clearResidentDump, findResidentDump, type FindOptions, parseCrashdump, type ResidentDump } from "./stage2.ts";
export { MemoryFile, type MemoryMap, parseIomem, ramParameters, readMemoryMap, reusableMemory, subtract } from "./memory.ts";
export { type CriticalOrder, criticalOrder } from "./order.ts";
export { haltParked, type ParkedCpus, parkedCpus, parkedParameters } from "./parked.ts";
export { headerOf } from "./header.ts";
export { type OpenedResident, residentInDump, residentInFile, residentInMemory, residentSection } from "./evidence.ts";
