import { asPfn, isDumpError, latin1 } from "../bytes/index.ts";
import type { PhysicalMemory } from "../memory/index.ts";

const FIRST_KEY = "OSRELEASE=";
const MAX_UNREADABLE = 100_000;

/**
 * Finds the VMCOREINFO text in memory, for dumps whose format does not carry it (QEMU without its vmcoreinfo device,
 * raw images, LKCD, sadump). The kernel keeps the text in a page of its own that begins with OSRELEASE
 * (linux:kernel/vmcore_info.c:crash_save_vmcoreinfo_init), so only the first bytes of each page are looked at. A text
 * without SYMBOL lines is an old one's remains and is passed over.
 */
export function findVmcoreinfo(
  physical: PhysicalMemory,
  onProgress?: (label: string, done: number, total: number) => void,
): { text: string; address: number } | undefined {
  const { dump } = physical;
  const page = new Uint8Array(dump.pageSize);
  let seen = 0;
  let unreadable = 0;
  for (let pfn = dump.nextStored(asPfn(0)); pfn !== undefined; pfn = dump.nextStored(asPfn(pfn + 1))) {
    if ((++seen & 0xfff) === 0) onProgress?.("searching memory for VMCOREINFO", pfn * dump.pageSize, dump.maxPfn * dump.pageSize);
    try {
      dump.readPage(pfn, page);
    } catch (error) {
      if (!isDumpError(error)) throw error;
      // A file of damage: looking at each of its pages would take minutes and find nothing.
      if (++unreadable > MAX_UNREADABLE) return undefined;
      continue;
    }
    if (page[0] !== 0x4f || page[1] !== 0x53) continue;
    const text = latin1(page);
    if (text.startsWith(FIRST_KEY) && text.includes("\nSYMBOL(")) return { text, address: pfn * dump.pageSize };
  }
  return undefined;
}
