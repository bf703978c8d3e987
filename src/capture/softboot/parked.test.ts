import { existsSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { asPfn, asVaddr, MemorySource } from "../../bytes/index.ts";
import { openDump } from "../../format/index.ts";
import { RawDump } from "../../format/raw/read.ts";
import { Kernel, readTasks } from "../../kernel/index.ts";
import { criticalOrder } from "./order.ts";
import { haltParked, parkedCpus, parkedParameters } from "./parked.ts";

const PAGE_SIZE = 4096;
/** Whole dumps: the samples lack programs' page tables and most of the kernel's code. */
const WHOLE = ["debian-6.1-sysrq", "debian-6.12-oom"].map((name) => `../shared/evidence/${name}/vmcore`).filter((path) => existsSync(path));

function isIn(ranges: readonly { start: number; end: number }[], paddr: number): boolean {
  return ranges.some(({ start, end }) => paddr >= start && paddr < end);
}

test("a crash that was not on the boot CPU: that one is left alone", async () => {
  const { dump } = await openDump(["samples/evidence-6.1-oops.vmcore"]);
  const parked = parkedCpus(dump);
  expect(parked.image).toHaveLength(1);
  const [image] = parked.image;
  expect(image!.end - image!.start).toBe(0x162_0000);
  expect(parked.bootCpu?.apicId).toBe(0);
  const memmap = `memmap=0x1620000$0x${image!.start.toString(16)}`;
  expect(parkedParameters({ ...parked, bootCpu: { apicId: 0, root: undefined } })).toEqual(["disable_cpu_apicid=0", memmap]);
  const root = { start: image!.end, end: image!.end + PAGE_SIZE };
  expect(parkedParameters({ ...parked, bootCpu: { apicId: 16, root } })).toEqual([
    "disable_cpu_apicid=16",
    memmap,
    `memmap=0x1000$0x${image!.end.toString(16)}`,
  ]);
  // The kernel's own root is in the image; an id that is not known is not made up.
  const own = { start: image!.start, end: image!.start + PAGE_SIZE };
  expect(parkedParameters({ ...parked, bootCpu: { apicId: undefined, root: own } })).toEqual([memmap]);
  dump.close();
});

test("a crash on the boot CPU: the others are fetched by the next kernel", async () => {
  const { dump } = await openDump(["samples/debian-7.2-irq.vmcore"]);
  const parked = parkedCpus(dump);
  expect(parked.bootCpu).toBeUndefined();
  expect(parkedParameters(parked)).toEqual([]);
  dump.close();
});

test("memory that tells nothing has no parked CPUs", () => {
  const parked = parkedCpus(new RawDump(new MemorySource(new Uint8Array(64 * PAGE_SIZE)), 0));
  expect(parked).toMatchObject({ image: [], halts: [], bootCpu: undefined });
  expect(parked.isRoot(new Uint8Array(PAGE_SIZE))).toBe(false);
});

describe.skipIf(WHOLE.length === 0).each(WHOLE)("%s", (path) => {
  test("the roots are those of the programs, and none is a page that is written over early", async () => {
    const { dump } = await openDump([path]);
    const kernel = new Kernel(dump);
    const parked = parkedCpus(dump);
    const root = (mm: bigint): number => {
      const at = asVaddr(mm + BigInt(kernel.types.offset("mm_struct", "pgd")));
      return kernel.memory.translate(kernel.memory.pointer(at)) / PAGE_SIZE;
    };
    const mms = readTasks(kernel).map(({ address }) =>
      kernel.memory.pointer(asVaddr(address + BigInt(kernel.types.offset("task_struct", "mm")))),
    );
    const roots = new Set(mms.filter((mm) => mm !== 0n).map(root));
    expect(roots.size).toBeGreaterThan(1);
    for (const pfn of roots) expect(parked.isRoot(kernel.physical.page(asPfn(pfn)))).toBe(true);
    expect(isIn(parked.image, root(kernel.requireSymbol("init_mm")) * PAGE_SIZE)).toBe(true);
    expect(parked.bootCpu).toMatchObject({ apicId: 0 });
    expect(parked.bootCpu!.root!.end - parked.bootCpu!.root!.start).toBe(PAGE_SIZE);

    const page = new Uint8Array(PAGE_SIZE);
    let found = 0;
    for (const { name, pfns } of criticalOrder(dump).passes) {
      if (name === "unused") continue;
      for (const pfn of pfns) {
        dump.readPage(asPfn(pfn), page);
        if (!parked.isRoot(page)) continue;
        expect(name).toBe("kernel");
        found++;
      }
    }
    expect(found).toBeGreaterThanOrEqual(roots.size);
    expect(found).toBeLessThan(roots.size + 20);
    dump.close();
  });

  test("a hlt for those who wake from one", async () => {
    const { dump } = await openDump([path]);
    const parked = parkedCpus(dump);
    const written: { paddr: number; bytes: Uint8Array }[] = [];
    const before = haltParked(parked, dump, { read: () => {}, write: (paddr, bytes) => void written.push({ paddr, bytes }) }, (error) => {
      throw error;
    });
    expect(written).toEqual(parked.halts);
    const code = (paddr: number, length: number): number[] => [
      ...before.get(Math.floor(paddr / PAGE_SIZE))!.subarray(paddr % PAGE_SIZE, (paddr % PAGE_SIZE) + length),
    ];
    const [woken, awake] = parked.halts;
    expect(isIn(parked.image, woken!.paddr) && isIn(parked.image, awake!.paddr)).toBe(true);
    // hlt; ret becomes hlt; jmp to it. pause; jmp to it becomes hlt; nop; jmp to it.
    expect(code(woken!.paddr - 1, 2)).toEqual([0xf4, 0xc3]);
    expect([...woken!.bytes]).toEqual([0xeb, 0xfd]);
    expect(code(awake!.paddr, 4)).toEqual([0xf3, 0x90, 0xeb, 0xfc]);
    expect([...awake!.bytes]).toEqual([0xf4]);
    dump.close();
  });
});
