export { PhysicalMemory } from "./physical.ts";
export { PhysicalSource } from "./physical-source.ts";
export { VirtualMemory, type AddressSpace } from "./virtual.ts";
export { PageTables, START_KERNEL_MAP } from "./x86_64.ts";
export { LazyBytes } from "./lazy-bytes.ts";
