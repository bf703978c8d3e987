export { DumpError, isDumpError, type DumpErrorCode, type DumpErrorOptions } from "./error.ts";
export { asPaddr, asPfn, asVaddr, hex, hex16, MAX_PADDR, type Paddr, type Pfn, type Vaddr } from "./address.ts";
export { MemorySource, readExactly, SliceSource, type ByteSource } from "./source.ts";
export { AscendingTable, lastAtOrBelow } from "./search.ts";
export { Fields, latin1, utf8 } from "./fields.ts";
export { decodeLatin1, encodeLatin1 } from "./latin1.ts";
