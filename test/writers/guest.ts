/**
 * A synthetic machine whose kernel describes its page array: {@link Machine} with sections, struct pages and VMCOREINFO of a generation, so
 * that pages can be classed. Struct pages lie in the image, which frame holds what is in {@link FRAMES}.
 */
import { IMAGE, Machine } from "./machine.ts";
import { type Generation, GENERATIONS, PAGE_STRUCT, PageArray, pageLines, type PageRecipe } from "./page-array.ts";
import { pagePattern } from "./page-pattern.ts";

/** 8 MiB of 4 KiB pages. */
export const GUEST_FRAMES = 2048;
/** Frames from here on are nobody's: their content and class are free to choose. */
export const FREE_FROM = 0x600;

/** What the struct pages of the guest say. */
export const GUEST_PAGES: Readonly<Record<number, PageRecipe>> = {
  [0x600]: { type: "buddy", private: 4n },
  [0x610]: { flags: ["lru"] },
  [0x611]: { flags: ["lru", "private"] },
  [0x612]: { anon: true },
  [0x613]: { flags: ["hwpoison"] },
  [0x614]: { type: "offline" },
  [0x618]: { anon: true, order: 3 },
  [0x620]: { hugetlb: true, order: 5 },
  [0x640]: { flags: ["lru"], order: 4 },
  [0x650]: { type: "slab" },
};

/** Frames left out at each bit of the level; poisoned and offline ones at any but 1. */
export const GUEST_CLASSES: Readonly<Record<2 | 4 | 8 | 16 | "always", readonly number[]>> = {
  2: [0x610, ...range(0x640, 0x650)],
  4: [0x610, 0x611, ...range(0x640, 0x650)],
  8: [0x612, ...range(0x618, 0x620), ...range(0x620, 0x640)],
  16: range(0x600, 0x610),
  always: [0x613, 0x614],
};

export function range(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, i) => from + i);
}

/** Frames that a dump of this level leaves out, zero pages aside. */
export function excludedAt(level: number): Set<number> {
  const out = new Set<number>();
  for (const bit of [2, 4, 8, 16] as const) if ((level & bit) !== 0) for (const pfn of GUEST_CLASSES[bit]) out.add(pfn);
  if ((level & 30) !== 0) for (const pfn of GUEST_CLASSES.always) out.add(pfn);
  return out;
}

/** @param without lines of VMCOREINFO with this text are left out. */
export function guest(of: Generation = GENERATIONS[5]!, without?: string): Machine {
  const machine = new Machine();
  const array = new PageArray(of, GUEST_FRAMES);
  for (const [pfn, recipe] of Object.entries(GUEST_PAGES)) array.set(Number(pfn), recipe);
  // The array of all sections begins with this one's first frame; roots of one table.
  const map = machine.place(array.bytes);
  const table = machine.room(4096);
  const roots = machine.room(64);
  machine.u64(machine.at(roots), table);
  machine.u64(machine.at(table), map | 7n);
  machine.symbol("mem_section", roots);
  const lines = [
    ...pageLines(of),
    "LENGTH(mem_section)=8",
    "SIZE(mem_section)=16",
    "OFFSET(mem_section.section_mem_map)=0",
    "NUMBER(SECTION_SIZE_BITS)=27",
  ];
  for (const line of lines) {
    const [key, value] = line.split("=");
    if (without === undefined || !line.includes(without)) machine.info(key!, value!);
  }
  if (map - IMAGE + BigInt(array.bytes.length) > BigInt(FREE_FROM * 4096)) throw new Error("the image reaches into the free frames");
  for (let pfn = FREE_FROM; pfn < GUEST_FRAMES; pfn++) {
    const pattern = pfn % 5 === 0 ? "noise" : pfn % 7 === 0 ? "zero" : pfn % 3 === 0 ? "fill" : "text";
    machine.memory.set(pagePattern(pattern, pfn, 4096), pfn * 4096);
  }
  if (PAGE_STRUCT % 64 !== 0) throw new Error("section_mem_map keeps flags in the low bits of the address");
  return machine;
}
