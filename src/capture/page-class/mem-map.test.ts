import { expect, test } from "vitest";
import { asVaddr } from "../../bytes/index.ts";
import { openX86_64, Vmcoreinfo } from "../../kernel/index.ts";
import { PhysicalMemory, VirtualMemory } from "../../memory/index.ts";
import { Machine } from "../../../test/writers/machine.ts";
import { type MemMapRange, memMapRanges } from "./mem-map.ts";

const SECTION = 32768;
const VMEMMAP = 0xffffea0000000000n;
const STRUCT = 64;

/** A machine with two roots of sections, 256 to a root; `entries` by number of the section. */
function machineOf(entries: Readonly<Record<number, bigint>>, lines: Readonly<Record<string, string | number>> = {}): Machine {
  const machine = new Machine();
  const roots = machine.room(4 * 8);
  for (const root of [0, 2]) {
    const table = machine.room(4096);
    machine.u64(machine.at(roots) + root * 8, table);
    for (const [section, value] of Object.entries(entries)) {
      const index = Number(section) - root * 256;
      if (index >= 0 && index < 256) machine.u64(machine.at(table) + index * 16, value);
    }
  }
  machine.symbol("mem_section", roots);
  const usual = {
    "LENGTH(mem_section)": 4,
    "SIZE(mem_section)": 16,
    "OFFSET(mem_section.section_mem_map)": 0,
    "NUMBER(SECTION_SIZE_BITS)": 27,
  };
  for (const [key, value] of Object.entries({ ...usual, ...lines })) machine.info(key, value);
  return machine;
}

function rangesOf(machine: Machine, from: number, to: number): MemMapRange[] {
  const dump = machine.dump();
  const vmcoreinfo = new Vmcoreinfo(dump.vmcoreinfo!);
  const physical = new PhysicalMemory(dump);
  const memory = new VirtualMemory(physical, openX86_64(physical, vmcoreinfo));
  return [...memMapRanges(memory, vmcoreinfo, 4096, STRUCT, from, to)];
}

/** As the kernel keeps it: minus what the section's own first frame adds, with flags. */
const coded = (flags: bigint, map: bigint = VMEMMAP): bigint => map | flags;
const at = (section: number): bigint => asVaddr(VMEMMAP + BigInt(section * SECTION * STRUCT));

test("sections that follow each other are one range; absent ones and those without a map are none", () => {
  const machine = machineOf({ 0: coded(0xfn), 1: coded(0x2fn), 3: coded(7n), 4: coded(1n), 5: 2n, 512: coded(0x3fn) });
  expect(rangesOf(machine, 0, 1024 * SECTION)).toEqual([
    { pfn: 0, count: 2 * SECTION, address: at(0) },
    { pfn: 3 * SECTION, count: SECTION, address: at(3) },
    { pfn: 512 * SECTION, count: SECTION, address: at(512) },
  ]);
});

test("the last section ends with memory, and a window sees its own sections", () => {
  const machine = machineOf({ 0: coded(7n), 1: coded(7n), 512: coded(7n) });
  expect(rangesOf(machine, 0, SECTION + 5)).toEqual([{ pfn: 0, count: SECTION + 5, address: at(0) }]);
  expect(rangesOf(machine, SECTION, 600 * SECTION)).toEqual([
    { pfn: SECTION, count: SECTION, address: at(1) },
    { pfn: 512 * SECTION, count: SECTION, address: at(512) },
  ]);
  expect(rangesOf(machine, 0, 0)).toEqual([]);
});

test("maps that do not follow each other in memory are not joined", () => {
  const other = 0xffffea1000000000n;
  const machine = machineOf({ 0: coded(7n), 1: coded(7n, other) });
  expect(rangesOf(machine, 0, 2 * SECTION)).toEqual([
    { pfn: 0, count: SECTION, address: at(0) },
    { pfn: SECTION, count: SECTION, address: asVaddr(other + BigInt(SECTION * STRUCT)) },
  ]);
});

test("the flat model", () => {
  const machine = new Machine();
  machine.variable("mem_map", 0xffff888000200000n, 8);
  expect(rangesOf(machine, 0, 1000)).toEqual([{ pfn: 0, count: 1000, address: 0xffff888000200000n }]);
  expect(rangesOf(machine, 64, 1000)).toEqual([{ pfn: 64, count: 936, address: 0xffff888000201000n }]);
});

test("tables that make no sense are refused, not walked", () => {
  expect(() => rangesOf(new Machine(), 0, 1000)).toThrow(/neither mem_section nor mem_map/);
  for (const lines of [
    { "LENGTH(mem_section)": 2 ** 21 },
    { "SIZE(mem_section)": 0 },
    { "SIZE(mem_section)": 4096 },
    { "OFFSET(mem_section.section_mem_map)": 16 },
    { "NUMBER(SECTION_SIZE_BITS)": 3 },
    { "NUMBER(SECTION_SIZE_BITS)": 400 },
  ]) {
    expect(() => rangesOf(machineOf({ 0: coded(7n) }, lines), 0, SECTION), JSON.stringify(lines)).toThrow(/mem_section|SECTION_SIZE_BITS/);
  }
  const machine = new Machine();
  machine.symbol("mem_section", 0xffff888000000000n);
  expect(() => rangesOf(machine, 0, SECTION)).toThrow();
});
