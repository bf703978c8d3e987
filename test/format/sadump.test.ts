import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { asPfn, type ByteSource, type DumpErrorCode, isDumpError, MemorySource } from "../../src/bytes/index.ts";
import { sadumpCpus, SadumpDump, sadumpFormat } from "../../src/format/sadump/index.ts";
import { pagePattern } from "../writers/page-pattern.ts";
import { type SadumpPage, type SadumpRecipe, volumeId, writeSadump } from "../writers/sadump.ts";

const STORED = [0, 1, 7, 8, 9, 63, 64, 100, 40_000, 70_001] as const;
const EXCLUDED = [2, 65, 39_999] as const;
const PAGES: readonly SadumpPage[] = [...STORED.map((pfn) => ({ pfn })), ...EXCLUDED.map((pfn) => ({ pfn, exclude: true }))];
const CPU = { apicId: 0, rip: 0xffffffff81234567n, rsp: 0xffff888012345678n, cr3: 0x5c0a000n, efer: 0xd01n, idtBase: 0xfffffe0000000000n };
const BASE: SadumpRecipe = { kind: "single", maxMapnr: 80_000, pages: PAGES };

const volumes = (recipe: SadumpRecipe): MemorySource[] => writeSadump(recipe).map((bytes, i) => new MemorySource(bytes, `disk${i + 1}`));
const open = (recipe: SadumpRecipe): SadumpDump => new SadumpDump(volumes(recipe));

function read(dump: SadumpDump, pfn: number): Uint8Array {
  const page = new Uint8Array(dump.pageSize).fill(0xee);
  dump.readPage(asPfn(pfn), page);
  return page;
}

function outcome(dump: SadumpDump, pfn: number): Uint8Array | DumpErrorCode {
  try {
    return read(dump, pfn);
  } catch (error) {
    if (!isDumpError(error)) throw error;
    expect(error.at).toBe(pfn * dump.pageSize);
    return error.code;
  }
}

function storedPfns(dump: SadumpDump): number[] {
  const pfns: number[] = [];
  for (let pfn = dump.nextStored(asPfn(0)); pfn !== undefined; pfn = dump.nextStored(asPfn(pfn + 1))) pfns.push(pfn);
  return pfns;
}

function expectPages(dump: SadumpDump): void {
  expect(dump.maxPfn).toBe(80_000);
  expect(storedPfns(dump)).toEqual([...STORED]);
  // Backwards, so that nothing depends on ranks that were just worked out.
  for (const pfn of STORED.toReversed()) {
    expect(dump.pageState(asPfn(pfn))).toBe("stored");
    expect(Buffer.compare(read(dump, pfn), pagePattern("text", pfn, dump.pageSize))).toBe(0);
  }
  for (const pfn of EXCLUDED) {
    expect(dump.pageState(asPfn(pfn))).toBe("excluded");
    expect(outcome(dump, pfn)).toBe("EXCLUDED");
  }
  for (const pfn of [3, 79_999, 80_000, 2 ** 40]) {
    expect(dump.pageState(asPfn(pfn))).toBe("absent");
    expect(outcome(dump, pfn)).toBe("NOT_STORED");
  }
}

const changed = (recipe: SadumpRecipe, change: (view: DataView) => void): SadumpDump => {
  const sources = volumes(recipe);
  change(new DataView(sources[0]!.bytes.buffer, sources[0]!.bytes.byteOffset));
  return new SadumpDump(sources);
};

const probe = (input: Uint8Array): boolean => sadumpFormat.probe(input.subarray(0, 65536), new MemorySource(input));

const codes = (dump: SadumpDump): string[] => dump.problems.map(({ code }) => code);

describe("reads back", () => {
  const cases: SadumpRecipe[] = [];
  for (const kind of ["single", "diskset", "media"] as const) {
    for (const headerVersion of [0, 1]) {
      for (const blockSize of [4096, 8192, 65536])
        cases.push({ ...BASE, kind, headerVersion, blockSize, pagesPerDisk: [3, 0, 4, 3], cpus: [CPU] });
    }
  }
  test.each(
    cases.map((recipe) => [`${recipe.kind}, header version ${recipe.headerVersion}, blocks of ${recipe.blockSize}`, recipe] as const),
  )("%s", (_name, recipe) => {
    const sources = volumes(recipe);
    for (const source of sources) expect(sadumpFormat.probe(source.bytes.subarray(0, 65536), source)).toBe(true);
    const dump = new SadumpDump(sources);
    expect(dump.pageSize).toBe(recipe.blockSize);
    expectPages(dump);
    expect(dump.problems).toEqual([]);
    expect(dump.arch).toBe("x86_64");
  });

  test.each([
    ["backwards", [3, 2, 1, 0]],
    ["disk 1 in the middle", [2, 0, 3, 1]],
  ])("disks given %s", (_what, order) => {
    const sources = volumes({ ...BASE, kind: "diskset", pagesPerDisk: [3, 0, 4, 3] });
    const dump = new SadumpDump(order.map((i) => sources[i]!));
    expectPages(dump);
    expect(dump.problems).toEqual([]);
  });

  test("vol_info that begins with disk 1, as libkdumpfile has it", () => {
    const dump = open({ ...BASE, kind: "diskset", pagesPerDisk: [5, 5], volInfoOf2: 1 });
    expectPages(dump);
    expect(dump.problems).toEqual([]);
  });

  test("damaged magic numbers: the dump header tells the block size", () => {
    for (const kind of ["single", "diskset", "media"] as const) {
      const dump = open({ ...BASE, kind, blockSize: 16384, badMagic: true });
      expectPages(dump);
      expect(codes(dump)).toEqual(["CORRUPT"]);
    }
  });

  test("a bitmap longer than its cache", () => {
    const pages = Array.from({ length: 60 }, (_, i) => ({ pfn: i * 70_000 + (i % 8) }));
    const dump = open({ kind: "single", maxMapnr: 60 * 70_000, pages });
    expect(storedPfns(dump)).toEqual(pages.map(({ pfn }) => pfn));
    for (const { pfn } of [...pages, ...pages.toReversed()])
      expect(Buffer.compare(read(dump, pfn), pagePattern("text", pfn, 4096))).toBe(0);
  });
});

describe("CPU state", () => {
  test("registers, control registers and descriptor tables; unused entries are left out", () => {
    const dump = open({ ...BASE, cpus: [CPU, { ...CPU, apicId: 1, unused: true }, { ...CPU, apicId: 2, rip: 0x1234n }] });
    const cpus = sadumpCpus(dump)!;
    expect(cpus.map(({ index, apicId, ldr }) => [index, apicId, ldr])).toEqual([
      [0, 0n, 1n],
      [2, 2n, 4n],
    ]);
    const [first, second] = cpus;
    expect(first).toMatchObject({
      cr0: 0x80050033n,
      cr3: CPU.cr3,
      cr4: 0x3506e0n,
      efer: CPU.efer,
      idt: { base: CPU.idtBase, limit: 0xfff },
    });
    expect(first!.registers.get("rip")).toBe(CPU.rip);
    expect(first!.registers.get("rsp")).toBe(CPU.rsp);
    expect(first!.registers.get("rflags")).toBe(0x46n);
    expect(["r15", "r8", "rax", "rbx", "rbp", "rsi", "rdi", "cs"].map((name) => first!.registers.get(name))).toEqual([
      0xf0n,
      0xf7n,
      0xf8n,
      0xfbn,
      0xd0n,
      0xd1n,
      0xd2n,
      0x10n,
    ]);
    expect(second!.registers.get("rip")).toBe(0x1234n);
    expect(dump.problems).toEqual([]);
  });

  test("no CPU in long mode: i386", () => {
    const dump = open({ ...BASE, cpus: [{ ...CPU, efer: 1n }] });
    expect([dump.arch, dump.wordSize]).toEqual(["i386", 4]);
  });

  test("no sub header", () => {
    const dump = open(BASE);
    expect([dump.arch, dump.wordSize, dump.cpus, dump.problems]).toEqual([undefined, 8, [], []]);
  });

  test.each([
    ["of a size that is not known", 4096, 100, "UNSUPPORTED"],
    ["for more CPUs than there is room", 4096 + 8192, 4 * 1024, "CORRUPT"],
  ])("%s", (_what, _unused, total, code) => {
    const source = volumes({ ...BASE, cpus: [CPU, CPU, CPU] })[0]!;
    const view = new DataView(source.bytes.buffer, source.bytes.byteOffset);
    view.setUint32(8192, total, true);
    if (code === "CORRUPT") {
      view.setUint32(4096 + 80, 40, true);
      view.setUint32(8192, 40 * 1024, true);
    }
    const dump = new SadumpDump([source]);
    expect(codes(dump)).toEqual([code]);
    expectPages(dump);
  });

  test("a number of CPUs that is a lie", () => {
    const source = volumes({ ...BASE, cpus: [CPU] })[0]!;
    new DataView(source.bytes.buffer, source.bytes.byteOffset).setUint32(4096 + 80, 0xffffffff, true);
    const dump = new SadumpDump([source]);
    expect(codes(dump)).toEqual(["LIMIT"]);
    expectPages(dump);
  });
});

describe("disk sets that are not whole", () => {
  const recipe: SadumpRecipe = { ...BASE, kind: "diskset", pagesPerDisk: [3, 2, 2, 3] };
  const sources = volumes(recipe);
  const pick = (...disks: number[]): SadumpDump => new SadumpDump(disks.map((disk) => sources[disk - 1]!));

  test("a missing disk takes its pages and the later ones with it", () => {
    const dump = pick(1, 2, 4);
    expect(dump.problems).toEqual([
      { code: "TRUNCATED", message: "disk 3 of 4 of the set was not given: its pages and those of later disks cannot be read" },
    ]);
    expect(STORED.map((pfn) => (outcome(dump, pfn) instanceof Uint8Array ? "read" : outcome(dump, pfn)))).toEqual([
      ...Array(5).fill("read"),
      ...Array(5).fill("TRUNCATED"),
    ]);
    expect(() => read(dump, 63)).toThrow(
      expect.objectContaining({ message: "page at 0x3f000 is block 5 and on disk 3 of the set, which was not given" }),
    );
    expect(outcome(dump, 2)).toBe("EXCLUDED");
  });

  test.each([
    [
      "disk 1 is missing",
      () => pick(2, 3, 4),
      "BAD_ARGUMENT",
      "disk 1 of the set holds the headers and was not given; the first one given is disk 2 (disk2)",
    ],
    ["one disk twice", () => pick(1, 2, 2), "BAD_ARGUMENT", "disk2 and disk2 are both disk 2 of the set"],
    [
      "a single partition among them",
      () => new SadumpDump([sources[0]!, ...volumes(BASE)]),
      "BAD_ARGUMENT",
      "disk1 is a single partition (set_disk_set is 0), 2 files were given",
    ],
    [
      "media backups among them",
      () => new SadumpDump([sources[0]!, ...volumes({ ...BASE, kind: "media" })]),
      "UNSUPPORTED",
      "disk1 is a media backup; one that spans several files cannot be read",
    ],
    ["none at all", () => new SadumpDump([]), "BAD_ARGUMENT", "no sadump volume given"],
  ])("%s", (_what, attempt, code, message) => {
    expect(attempt).toThrow(expect.objectContaining({ code, message }));
  });

  test("a disk of another set", () => {
    const other = new MemorySource(Uint8Array.from(sources[1]!.bytes), "other");
    other.bytes[104]! ^= 1;
    expect(() => new SadumpDump([sources[0]!, other])).toThrow(
      expect.objectContaining({
        code: "BAD_ARGUMENT",
        message:
          "other and disk1 are not of one disk set: sadump_id 01234567-89ab-cdef-0123-456789abcdef and 01234567-89ab-cdef-0123-456789abcdef, " +
          "disk_set_id 01112233-4455-6677-8899-aabbccddeeff and 00112233-4455-6677-8899-aabbccddeeff",
      }),
    );
  });

  test("another volume id or time is told", () => {
    const other = new MemorySource(Uint8Array.from(sources[1]!.bytes), "other");
    other.bytes[120]! ^= 1;
    other.bytes[142]! ^= 1;
    const dump = new SadumpDump([sources[0]!, other, sources[2]!, sources[3]!]);
    expect(codes(dump)).toEqual(["CORRUPT", "CORRUPT"]);
    expectPages(dump);
  });

  test("a disk number beyond the set", () => {
    const other = new MemorySource(Uint8Array.from(sources[1]!.bytes), "other");
    new DataView(other.bytes.buffer).setUint32(152, 9, true);
    expect(() => new SadumpDump([sources[0]!, other])).toThrow(
      expect.objectContaining({ code: "BAD_ARGUMENT", message: "other is disk 9, disk_num of the set is 4" }),
    );
  });

  test("used_device that is too small", () => {
    const first = new MemorySource(Uint8Array.from(sources[0]!.bytes), "first");
    new DataView(first.bytes.buffer).setBigUint64(160, 100n, true);
    const dump = new SadumpDump([first, sources[1]!, sources[2]!, sources[3]!]);
    expect(codes(dump)).toEqual(["CORRUPT"]);
    expect(outcome(dump, 70_001)).toBe("TRUNCATED");
  });
});

describe("files that end early", () => {
  const bytes = writeSadump(BASE)[0]!;
  const blocks = Math.ceil(80_000 / 8 / 4096);
  const cut = (length: number): SadumpDump => new SadumpDump([new MemorySource(bytes.subarray(0, length), "cut")]);

  test("in the pages", () => {
    const dump = cut(bytes.length - 1);
    expect(outcome(dump, 70_001)).toBe("TRUNCATED");
    expect(outcome(dump, 40_000)).toEqual(Uint8Array.from(pagePattern("text", 40_000, 4096)));
  });

  test("in the dumpable bitmap: what it would say is not known", () => {
    const dump = cut(8192 + blocks * 4096 + 1000);
    expect(dump.problems).toEqual([
      { code: "TRUNCATED", message: "the dumpable bitmap is at 20480, cut ends at 21480: page frames from 0x1f40 on are unknown" },
    ]);
    expect([outcome(dump, 2), outcome(dump, 3), outcome(dump, 0), outcome(dump, 40_000), outcome(dump, 40_001)]).toEqual([
      "EXCLUDED",
      "NOT_STORED",
      "TRUNCATED",
      "TRUNCATED",
      "NOT_STORED",
    ]);
    expect(dump.pageState(asPfn(40_000))).toBe("absent");
  });

  test("in the RAM bitmap", () => {
    const dump = cut(8192 + 100);
    expect(codes(dump)).toEqual(["TRUNCATED"]);
    expect([outcome(dump, 0), outcome(dump, 3), outcome(dump, 2000)]).toEqual(["TRUNCATED", "NOT_STORED", "TRUNCATED"]);
    expect(dump.nextStored(asPfn(0))).toBeUndefined();
  });

  test.each([
    [8192, "TRUNCATED", "sadump bitmap begins at 8192, cut ends at 8192"],
    [4096 + 50, "TRUNCATED", "sadump header is at 4096, cut ends at 4146"],
    [4096, "TRUNCATED", "sadump header is at 4096, cut ends at 4096"],
    [200, "TRUNCATED", "sadump header is at 4096, cut ends at 200"],
    [100, "UNSUPPORTED", "cut has no sadump partition header"],
  ])("after %i bytes", (length, code, message) => {
    expect(() => cut(length)).toThrow(expect.objectContaining({ code, message }));
  });
});

describe("headers that contradict themselves", () => {
  test.each([
    [
      "block_size",
      BASE,
      (view: DataView) => view.setUint32(4096 + 40, 8192, true),
      "CORRUPT",
      "block_size is 8192, the headers are 4096 bytes apart",
    ],
    [
      "signature",
      BASE,
      (view: DataView) => view.setUint8(4096, 0),
      "CORRUPT",
      "sadump header should be at 4096, its signature is not there",
    ],
    [
      "no bitmap",
      BASE,
      (view: DataView) => view.setUint32(4096 + 52, 0, true),
      "CORRUPT",
      "sadump header: bitmap_blocks is 0, dumpable_bitmap_blocks 3, sub_hdr_size 0",
    ],
    [
      "bitmap_blocks",
      BASE,
      (view: DataView) => view.setUint32(4096 + 48, 0xffffffff, true),
      "TRUNCATED",
      "sadump bitmap begins at 17592186048512, disk1 ends at 73728",
    ],
    [
      "max_mapnr",
      BASE,
      (view: DataView) => view.setBigUint64(4096 + 88, 1n << 41n, true),
      "CORRUPT",
      "max_mapnr is 2199023255552, more pages than any machine has (1099511627776)",
    ],
    [
      "disk_num",
      { ...BASE, kind: "diskset" } as const,
      (view: DataView) => view.setUint32(4096 + 4, 17, true),
      "CORRUPT",
      "disk_num is 17, a set has 1 to 16 disks",
    ],
    [
      "disk_set_header_size",
      { ...BASE, kind: "diskset" } as const,
      (view: DataView) => view.setUint32(4096, 0x80000000, true),
      "CORRUPT",
      "disk_set_header_size is 2147483648 blocks of 4096, 1048576 bytes are the limit",
    ],
    [
      "second medium",
      { ...BASE, kind: "media", sequentialNum: 2 } as const,
      () => {},
      "UNSUPPORTED",
      "disk1 is medium 2 of a media backup; the first is needed, and later ones cannot be read",
    ],
    [
      "another system's media header",
      { ...BASE, kind: "media" } as const,
      (view: DataView) => view.setUint8(0, 99),
      "UNSUPPORTED",
      "disk1 has no sadump partition header",
    ],
  ])("%s", (_what, recipe, change, code, message) => {
    expect(() => changed(recipe, change)).toThrow(expect.objectContaining({ code, message }));
  });

  test("max_mapnr beyond the bitmaps is cut down", () => {
    const dump = changed(BASE, (view) => view.setBigUint64(4096 + 88, 1_000_000n, true));
    expect(codes(dump)).toEqual(["CORRUPT"]);
    expect(dump.maxPfn).toBe(3 * 4096 * 8);
    expect(storedPfns(dump)).toEqual([...STORED]);
  });

  test("a later header version is read as 1", () => {
    const dump = changed(BASE, (view) => view.setUint32(4096 + 8, 2, true));
    expect(codes(dump)).toEqual(["UNSUPPORTED"]);
    expectPages(dump);
  });

  test("bitmaps that claim 2^40 frames in a small file cost nothing", () => {
    const started = performance.now();
    const dump = changed(BASE, (view) => {
      view.setUint32(4096 + 52, 2, true);
      view.setUint32(4096 + 56, 0xffffffff, true);
      view.setUint32(4096 + 52, 0x2000000, true);
      view.setBigUint64(4096 + 88, 1n << 40n, true);
    });
    dump.info();
    expect(dump.nextStored(asPfn(0))).toBeUndefined();
    expect(outcome(dump, 2 ** 39)).toBe("TRUNCATED");
    expect(performance.now() - started).toBeLessThan(2000);
  });

  test("the probe knows it from other things and never throws", () => {
    expect(probe(new Uint8Array(0))).toBe(false);
    expect(probe(Buffer.from("sadump\0\0"))).toBe(false);
    expect(probe(Buffer.from("KDUMP   ".padEnd(100_000)))).toBe(false);
    const failing: ByteSource = {
      name: "failing",
      size: 100,
      close: () => {},
      read: () => {
        throw new Error("no");
      },
    };
    expect(sadumpFormat.probe(new Uint8Array(0), failing)).toBe(false);
  });

  test("a buffer of the wrong size is refused", () => {
    expect(() => open(BASE).readPage(asPfn(0), new Uint8Array(4095))).toThrow(expect.objectContaining({ code: "BAD_ARGUMENT" }));
  });
});

test("info", () => {
  const dump = open({ ...BASE, kind: "diskset", pagesPerDisk: [5, 5], cpus: [CPU] });
  expect(dump.info().map(({ title, fields }) => `${title}: ${fields.map(([name, value]) => `${name}=${value}`).join("; ")}`))
    .toMatchInlineSnapshot(`
    [
      "sadump partition header of disk1: enable=1; reboot=60; compress=1; recycle=1; sadump_id=01234567-89ab-cdef-0123-456789abcdef; disk_set_id=00112233-4455-6677-8899-aabbccddeeff; vol_id=a0b0c0d0-e0f0-a1b1-c1d1-e1f1a2b2c201; time_stamp=2024-02-29 23:59:58.000000007 (zone -540 min); set_disk_set=1; used_device=61440",
      "sadump partition header of disk2: enable=1; reboot=60; compress=1; recycle=1; sadump_id=01234567-89ab-cdef-0123-456789abcdef; disk_set_id=00112233-4455-6677-8899-aabbccddeeff; vol_id=a0b0c0d0-e0f0-a1b1-c1d1-e1f1a2b2c202; time_stamp=2024-02-29 23:59:58.000000007 (zone -540 min); set_disk_set=2; used_device=24576",
      "sadump disk set header: disk_set_header_size=1; disk_num=2; disk_set_size=1048576; vol_info[0]=id a0b0c0d0-e0f0-a1b1-c1d1-e1f1a2b2c202, vol_size 524288, status 0, cache_size 0; vol_info[1]=id 00000000-0000-0000-0000-000000000000, vol_size 0, status 0, cache_size 0",
      "sadump header: header_version=1; timestamp=2024-02-29 23:59:58.000000007 (zone -540 min); status=0; compress=0; block_size=4096; extra_hdr_size=0; sub_hdr_size=1; bitmap_blocks=3; dumpable_bitmap_blocks=3; max_mapnr=0; total_ram_blocks=0; device_blocks=0; written_blocks=0; current_cpu=0; nr_cpus=1; max_mapnr_64=80000; total_ram_blocks_64=13; device_blocks_64=0; written_blocks_64=0; pages of RAM=13; pages stored=10",
      "CPU state 0: ApicId=0; Ldr=1; r15=0xf0; r14=0xf1; r13=0xf2; r12=0xf3; r11=0xf4; r10=0xf5; r9=0xf6; r8=0xf7; rax=0xf8; rcx=0xf9; rdx=0xfa; rbx=0xfb; rsp=0xffff888012345678; rbp=0xd0; rsi=0xd1; rdi=0xd2; rip=0xffffffff81234567; rflags=0x46; es=0x0; cs=0x10; ss=0x0; ds=0x0; fs=0x0; gs=0x0; ldtr=0x0; tr=0x0; cr0=0x80050033; cr3=0x5c0a000; cr4=0x3506e0; efer=0xd01; dr6=0x0; dr7=0x0; idt=0xfffffe0000000000 limit 0xfff; gdt=0x0 limit 0x0",
    ]
  `);
  expect(volumeId(2)).toBe("a0b0c0d0e0f0a1b1c1d1e1f1a2b2c202");
});

/** Opens, asks everything, reads pages; anything but DumpError comes out. */
function exercise(files: readonly Uint8Array[]): void {
  try {
    const sources = files.map((bytes) => new MemorySource(bytes));
    for (const source of sources) sadumpFormat.probe(source.bytes.subarray(0, 65536), source);
    const dump = sadumpFormat.open(sources, {});
    dump.info();
    const into = new Uint8Array(dump.pageSize);
    let pages = 0;
    for (let pfn = dump.nextStored(asPfn(0)); pfn !== undefined && pages < 50; pfn = dump.nextStored(asPfn(pfn + 1)), pages++) {
      try {
        dump.readPage(pfn, into);
      } catch (error) {
        if (!isDumpError(error)) throw error;
      }
    }
  } catch (error) {
    if (!isDumpError(error)) throw error;
  }
}

describe("hostile input", () => {
  const bases = [
    writeSadump({ ...BASE, cpus: [CPU, CPU] }),
    writeSadump({ ...BASE, headerVersion: 0, kind: "media", cpus: [CPU] }),
    writeSadump({ ...BASE, kind: "diskset", pagesPerDisk: [3, 3, 4], cpus: [CPU] }),
  ];

  test("changed bytes, cuts and lost disks: only DumpError, in bounded time", () => {
    const place = fc.oneof(
      fc.nat({ max: 170 }),
      fc.integer({ min: 4096, max: 4300 }),
      fc.integer({ min: 8192, max: 8320 }),
      fc.integer({ min: 12288, max: 12320 }),
      fc.nat({ max: 40_000 }),
    );
    const value = fc.oneof(fc.constantFrom(0, 1, 2, 0x10, 0x7f, 0x80, 0xff), fc.integer({ min: 0, max: 255 }));
    const started = performance.now();
    fc.assert(
      fc.property(
        fc.nat({ max: 2 }),
        fc.array(fc.tuple(fc.nat({ max: 2 }), place, value), { maxLength: 12 }),
        fc.option(fc.nat({ max: 60_000 })),
        fc.nat({ max: 2 }),
        (which, edits, cut, drop) => {
          const files = bases[which]!.map((bytes) => Uint8Array.from(bytes));
          for (const [file, at, byte] of edits) {
            const bytes = files[file % files.length]!;
            if (at < bytes.length) bytes[at] = byte;
          }
          if (cut !== null) files[0] = files[0]!.subarray(0, cut);
          if (drop > 0 && files.length > 1) files.splice(drop, 1);
          exercise(files);
        },
      ),
      { numRuns: 1500 },
    );
    expect(performance.now() - started).toBeLessThan(30_000);
  });
});
