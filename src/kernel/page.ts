import { asVaddr, isDumpError, type Vaddr } from "../bytes/index.ts";
import type { Kernel } from "./kernel.ts";

/** An object of the slab allocator that holds an address. */
export interface SlabObject {
  /** Name of its cache: `task_struct`, `kmalloc-64`, … */
  readonly cache: string;
  /** Start of the object. */
  readonly object: Vaddr;
  /** Distance of the address from it. */
  readonly offset: number;
  readonly size: number;
}

/** Bytes that the direct map can cover on x86-64 with 5 levels: 32 PiB. */
const DIRECT_MAP_SIZE = 1n << 55n;
const MAX_OBJECT = 8 * 1024 * 1024;

/** Physical address of a direct-map address, or undefined outside it. */
export function directMapOffset(kernel: Kernel, address: Vaddr): bigint | undefined {
  const symbol = kernel.symbol("page_offset_base");
  if (symbol === undefined) return undefined;
  try {
    const base = kernel.memory.word(symbol);
    const offset = address - base;
    return offset >= 0n && offset < DIRECT_MAP_SIZE && offset < BigInt(kernel.dump.maxPfn) * BigInt(kernel.physical.pageSize)
      ? offset
      : undefined;
  } catch (error) {
    if (isDumpError(error)) return undefined;
    throw error;
  }
}

/**
 * The slab object at an address of the direct map. A page belongs to the slab allocator when its PG_slab bit is set (to
 * 6.9) or its page type says so (6.10 on); VMCOREINFO gives bit and type. Tail pages lead to their head through
 * compound_head bit 0. The cache is slab.slab_cache (5.17 on) or page.slab_cache.
 */
export function slabObjectAt(kernel: Kernel, address: Vaddr): SlabObject | undefined {
  const { memory, types, vmcoreinfo } = kernel;
  const physical = directMapOffset(kernel, address);
  const vmemmap = kernel.symbol("vmemmap_base");
  const pageStruct = vmcoreinfo.size("page");
  if (physical === undefined || vmemmap === undefined || pageStruct === undefined) return undefined;
  try {
    const pageSize = BigInt(kernel.physical.pageSize);
    const map = memory.word(vmemmap);
    let page = asVaddr(map + (physical / pageSize) * BigInt(pageStruct));
    const headAt = vmcoreinfo.offset("page.compound_head") ?? types.findAny("page", "compound_head", "compound_info")?.offset;
    if (headAt !== undefined) {
      const head = memory.word(asVaddr(page + BigInt(headAt)));
      if (head & 1n) page = asVaddr(head - 1n);
    }
    const slabBit = vmcoreinfo.number("PG_slab");
    const slabType = vmcoreinfo.number("PAGE_SLAB_MAPCOUNT_VALUE");
    const flagsAt = BigInt(vmcoreinfo.offset("page.flags") ?? 0);
    let isSlab = slabBit !== undefined && ((memory.word(asVaddr(page + flagsAt)) >> slabBit) & 1n) === 1n;
    if (slabBit === undefined && slabType !== undefined) {
      const mapcount = vmcoreinfo.offset("page._mapcount");
      // 6.12 on the type is the top byte; in 6.10 and 6.11 it is a bit pattern: the top byte differs in both.
      if (mapcount !== undefined)
        isSlab = memory.u32(asVaddr(page + BigInt(mapcount))) >>> 24 === Number(BigInt.asUintN(32, slabType) >> 24n);
    }
    if (!isSlab) return undefined;
    const cacheAt = types.find("slab", "slab_cache") ?? types.find("page", "slab_cache");
    if (!cacheAt) return undefined;
    const cache = memory.pointer(asVaddr(page + BigInt(cacheAt.offset)));
    const size = memory.u32(asVaddr(cache + BigInt(types.offset("kmem_cache", "size"))));
    const name = memory.cstring(memory.pointer(asVaddr(cache + BigInt(types.offset("kmem_cache", "name")))), 64);
    if (size < 8 || size > MAX_OBJECT || !/^[\x20-\x7e]{1,64}$/.test(name)) return undefined;
    const start = address - physical + ((page - map) / BigInt(pageStruct)) * pageSize;
    const offset = Number((address - start) % BigInt(size));
    return { cache: name, object: asVaddr(address - BigInt(offset)), offset, size };
  } catch (error) {
    if (isDumpError(error)) return undefined;
    throw error;
  }
}
