/**
 * Address types. Physical addresses and page frame numbers fit a double exactly (x86-64 has 52 bits of physical
 * address); kernel virtual addresses do not, so they are `bigint`. The brands make mixing them a type error.
 */
declare const brand: unique symbol;

/** Physical address in bytes, 0 up to 2^52 (exclusive). */
export type Paddr = number & { readonly [brand]: "paddr" };
/** Page frame number: physical address divided by the page size. */
export type Pfn = number & { readonly [brand]: "pfn" };
/** Kernel or user virtual address, 0 up to 2^64 (exclusive). */
export type Vaddr = bigint & { readonly [brand]: "vaddr" };

/** Physical addresses are kept below this, so that arithmetic on doubles is exact. */
export const MAX_PADDR: number = 2 ** 52;

export function asPaddr(value: number): Paddr {
  return value as Paddr;
}

export function asPfn(value: number): Pfn {
  return value as Pfn;
}

/** Not BigInt.asUintN(64, …): QuickJS 2025-04-26, which the recorder runs on, answers with a negative number. */
const ALL_BITS = 0xffff_ffff_ffff_ffffn;

/** Wraps to 64 bits, as the machine does. */
export function asVaddr(value: bigint): Vaddr {
  return (value & ALL_BITS) as Vaddr;
}

/** Formats as the field does: 16 hex digits, no prefix (`ffffffff94bcd06e`). */
export function hex16(value: bigint): string {
  return (value & ALL_BITS).toString(16).padStart(16, "0");
}

/** `0x`-prefixed hex without padding. */
export function hex(value: number | bigint): string {
  return "0x" + value.toString(16);
}
