import { expect, test } from "vitest";
import { asPfn, MemorySource } from "../../bytes/index.ts";
import { openDump } from "../../format/index.ts";
import { RawDump } from "../../format/raw/read.ts";
import { headerOf } from "./header.ts";
import { criticalOrder } from "./order.ts";

test("each page that the dump has is in one pass", async () => {
  for (const name of ["debian-6.1-sysrq", "debian-7.2-irq"]) {
    const { dump } = await openDump([`samples/${name}.vmcore`]);
    const order = criticalOrder(dump);
    expect(order.passes.map((pass) => pass.name)).toEqual(["unused", "user", "cache", "kernel"]);
    const seen = new Set<number>();
    let count = order.untouchable;
    for (const { pfns } of order.passes) {
      for (const pfn of pfns) {
        expect(seen.has(pfn)).toBe(false);
        expect(dump.pageState(asPfn(pfn))).toBe("stored");
        seen.add(pfn);
        count++;
      }
    }
    let stored = 0;
    for (let pfn = dump.nextStored(asPfn(0)); pfn !== undefined; pfn = dump.nextStored(asPfn(pfn + 1))) stored++;
    expect(count).toBe(stored);
    expect(order.ranges.reduce((sum, { start, end }) => sum + (end - start) / 4096, 0)).toBe(stored - order.untouchable);
    dump.close();
  }
});

test("memory that tells nothing is one pass, and its header says little", () => {
  const dump = new RawDump(new MemorySource(new Uint8Array(64 * 4096)), 0);
  const order = criticalOrder(dump);
  expect(order.unknown).toMatch(/VMCOREINFO/);
  expect(order.passes.map(({ pfns }) => [...pfns].length)).toEqual([0, 0, 0, 64]);
  expect(headerOf(dump)).toMatchObject({ cpus: [], dumpingCpu: 0, notes: [], utsname: { machine: "x86_64" } });
});

test("the header of a real crash", async () => {
  const { dump } = await openDump(["samples/debian-6.1-sysrq.vmcore"]);
  const header = headerOf(dump);
  expect(header).toMatchObject({ panicString: "sysrq triggered crash", dumpingCpu: 1 });
  expect(header.utsname.release).toMatch(/^6\.1\./);
  expect(header.cpus).toHaveLength(2);
  expect(header.cpus![1]!.registers).toHaveLength(21);
  expect(header.currentTask).not.toBe(0n);
  expect(header.notes!.map(({ name }) => name)).toContain("VMCOREINFO");
  dump.close();
});
