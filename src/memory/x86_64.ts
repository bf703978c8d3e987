import { asPaddr, asPfn, DumpError, hex, hex16, type Paddr, type Vaddr } from "../bytes/index.ts";
import type { PhysicalMemory } from "./physical.ts";
import type { AddressSpace } from "./virtual.ts";

/** Where the kernel image is mapped (linux:arch/x86/include/asm/page_64_types.h:__START_KERNEL_map). */
export const START_KERNEL_MAP = 0xffffffff80000000n;

const PRESENT = 1;
const PSE = 0x80;

/**
 * x86-64 page tables of 4 or 5 levels, 4 KiB, 2 MiB and 1 GiB pages (Intel SDM volume 3A 4.5;
 * linux:arch/x86/include/asm/pgtable_types.h). Entries are taken apart as two 32-bit halves: no bigint in the walk.
 */
export class PageTables implements AddressSpace {
  readonly pageShift = 12;
  readonly levels: 4 | 5;
  readonly #physical: PhysicalMemory;
  readonly #top: number;
  /** Upper half (bits 32..51) of the physical address mask, without the encryption bit of AMD SME. */
  readonly #highMask: number;
  /** Bytes of the page that the last translation ended in. */
  #leaf = 4096;

  /**
   * @param top physical address of the top-level table.
   * @param smeMask NUMBER(sme_mask) of VMCOREINFO: the C-bit, 0 without memory encryption.
   */
  constructor(physical: PhysicalMemory, top: Paddr, levels: 4 | 5, smeMask = 0n) {
    this.#physical = physical;
    this.#top = top;
    this.levels = levels;
    this.#highMask = 0xfffff & ~Number(BigInt.asUintN(20, smeMask >> 32n));
  }

  translate(address: Vaddr): Paddr {
    const low = Number(BigInt.asUintN(32, address));
    const high = Number(BigInt.asUintN(32, address >> 32n));
    let table = this.#top;
    for (let level: number = this.levels; level >= 1; level--) {
      const shift = 12 + 9 * (level - 1);
      // Index bits may straddle the two halves (level 3: bits 30..38).
      const index = shift >= 32 ? (high >>> (shift - 32)) & 511 : ((low >>> shift) | (shift > 23 ? high << (32 - shift) : 0)) & 511;
      const pfn = Math.floor(table / 4096);
      const page = this.#physical.page(asPfn(pfn));
      const at = index * 8;
      const entryLow = page[at]! | (page[at + 1]! << 8) | (page[at + 2]! << 16) | (page[at + 3]! << 24);
      const entryHigh = page[at + 4]! | (page[at + 5]! << 8) | (page[at + 6]! << 16) | (page[at + 7]! << 24);
      if ((entryLow & PRESENT) === 0) {
        throw new DumpError(
          "NO_TRANSLATION",
          `virtual address ${hex16(address)} is not mapped (level ${level} entry at ${hex(table + at)} is not present)`,
          { at: address },
        );
      }
      const frame = (entryHigh & this.#highMask) * 0x1_0000_0000 + ((entryLow & 0xfffff000) >>> 0);
      if (level === 1) {
        this.#leaf = 4096;
        return asPaddr(frame + (low & 0xfff));
      }
      if ((level === 2 || level === 3) && (entryLow & PSE) !== 0) {
        const size = 2 ** shift;
        const inPage = low % size;
        this.#leaf = size;
        // Bit 12 of a large page's entry is PAT, not address.
        return asPaddr(Math.floor(frame / size) * size + inPage);
      }
      table = frame;
    }
    throw new DumpError("CORRUPT", `page tables of ${hex16(address)} have no leaf`, { at: address });
  }

  extent(address: Vaddr): { paddr: Paddr; bytes: number } {
    const paddr = this.translate(address);
    return { paddr, bytes: this.#leaf - (paddr % this.#leaf) };
  }
}
