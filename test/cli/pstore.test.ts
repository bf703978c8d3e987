/** `pstore ls`, `cat` and `extract`, on real storages, on what archives of records look like, and on what is none of it. */
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { deflateRawSync } from "node:zlib";
import { afterAll, beforeEach, describe, expect, test } from "vitest";
import { asPfn, MemorySource } from "../../src/bytes/index.ts";
import { openSources } from "../../src/format/index.ts";
import { evidence, factsOf, kernelView } from "../pstore/evidence.ts";
import { efiVariable } from "../writers/efi.ts";
import { cperRecord, erstStore } from "../writers/erst.ts";
import { changliRegion } from "../writers/memconsole.ts";
import { mtdoopsDevice } from "../writers/mtdoops.ts";
import { type ElfLoad, writeElf } from "../writers/elf.ts";
import { MemorySink, type Result, runMain } from "./memory-sink.ts";

const RAMOOPS = "pstore-ramoops-deflate-ecc";
const BLK = "pstore-blk-lz4";
const SIZES = "record_size=32k,console_size=32k,ftrace_size=0,pmsg_size=16k,tty_size=16k,ecc=1";
const LAYOUT = "layout: 30 dmesg of 32 KiB, console 32 KiB, pmsg 16 KiB, tty 16 KiB, ECC 16\n";
const MIB = 1024 * 1024;

const root = mkdtempSync(join(tmpdir(), "lastwords-pstore-"));
let folder = root;
let number = 0;
beforeEach(() => {
  folder = join(root, String(++number));
  mkdirSync(folder);
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

/** Writes a file into the test's folder, with the folders above it. */
function put(name: string, bytes: Uint8Array | string): string {
  const path = join(folder, name);
  mkdirSync(join(path, ".."), { recursive: true });
  writeFileSync(path, bytes);
  return path;
}

function pstore(...argv: readonly string[]): Promise<Result> {
  return runMain(["pstore", ...argv, "-q"]);
}

/** As {@link pstore}, with what it says on standard error. */
function loud(...argv: readonly string[]): Promise<Result> {
  return runMain(["pstore", ...argv]);
}

async function rawOf(...argv: readonly string[]): Promise<Buffer> {
  const out = new MemorySink();
  expect((await runMain(["pstore", "cat", "--raw", ...argv], { out })).code).toBe(0);
  return Buffer.concat(out.writes);
}

/** Length and hash of each file of a folder. */
function factsIn(path: string): Record<string, unknown> {
  return Object.fromEntries(readdirSync(path).map((name) => [name, factsOf(readFileSync(join(path, name)))]));
}

/** The bytes at an offset of an image that is zeros elsewhere. */
function within(size: number, at: number, bytes: Uint8Array): Uint8Array {
  const image = new Uint8Array(size);
  image.set(bytes, at);
  return image;
}

const mode = (path: string): number => statSync(path).mode & 0o7777;

describe("storages of crashed kernels", () => {
  test("ls: layout, reason, and a line for each record", async () => {
    const { code, out, err } = await loud("ls", put("region.bin", evidence(RAMOOPS)));
    expect({ code, err }).toEqual({ code: 0, err: "" });
    expect(out).toContain(`ramoops  ${folder}/region.bin at 0x0, 1.00 MiB\n${LAYOUT}`);
    expect(out).toMatch(/^dmesg-ramoops-2 {4}29573 {2}2026-11-21T00:24:27Z {2}Panic#3, part 1, deflate, ECC: no errors$/m);
    expect(out).toMatch(/^pmsg-ramoops-0 +14532 {2}- +ECC: no errors$/m);
    expect(out).not.toContain("ZONE");
    expect((await pstore("ls", "--zones", join(folder, "region.bin"))).out).toMatch(/^console 0 +0xf0000 +32768 {2}valid +27568 +29092$/m);
  });

  test.each([RAMOOPS, BLK])(
    "cat --raw of %s: the text alone, byte for byte what the kernel showed but for its ECC notice",
    async (name) => {
      const path = put("storage", evidence(name));
      for (const [record, facts] of Object.entries(kernelView(name))) {
        const bytes = await rawOf(path, "--record", record);
        expect([record, factsOf(name === RAMOOPS ? Buffer.concat([bytes, Buffer.from("\nECC: No errors detected\n")]) : bytes)]).toEqual([
          record,
          facts,
        ]);
      }
    },
  );

  test("cat: a heading where there are several records, none for one", async () => {
    const path = put("storage", evidence(RAMOOPS));
    const all = (await pstore("cat", path)).out;
    expect([...all.matchAll(/^==> (.*) <==$/gm)].map((match) => match[1])).toEqual(
      Object.keys(kernelView(RAMOOPS)).toSorted((a, b) => order(a) - order(b)),
    );
    const one = (await pstore("cat", path, "--record", "tty-ramoops-0")).out;
    expect(one).not.toContain("==>");
    expect(all.endsWith(one)).toBe(true);
  });

  test("extract: every file of the kernel's view, byte for byte, for the owner alone, with the record's time", async () => {
    const output = join(folder, "new/out");
    const { code, out, err } = await loud("extract", "-o", output, put("r", evidence(RAMOOPS)), put("b", evidence(BLK)));
    expect({ code, out }).toEqual({ code: 0, out: `${output}/ramoops: 6 files\n${output}/pstore_blk: 4 files\n` });
    expect(err).toContain("6 of the files end with the ECC notice");
    expect(factsIn(join(output, "ramoops"))).toEqual(kernelView(RAMOOPS));
    expect(factsIn(join(output, "pstore_blk"))).toEqual(kernelView(BLK));
    for (const backend of ["ramoops", "pstore_blk"]) {
      expect(mode(join(output, backend))).toBe(0o700);
      for (const file of readdirSync(join(output, backend))) expect([file, mode(join(output, backend, file))]).toEqual([file, 0o600]);
    }
    expect(statSync(join(output, "ramoops/dmesg-ramoops-2")).mtime.toISOString()).toBe("2026-11-21T00:24:27.276Z");
    expect(statSync(join(output, "pstore_blk/dmesg-pstore_blk-0")).mtime.toISOString()).toBe("2026-11-21T00:25:57.632Z");
  });

  test("extract: a record without a time has its source's, and nothing is ever written over", async () => {
    const path = put("storage", evidence(RAMOOPS));
    utimesSync(path, 1_600_000_000, 1_600_000_000);
    const output = join(folder, "out");
    expect((await pstore("extract", "-o", output, path)).code).toBe(0);
    const console = join(output, "ramoops/console-ramoops-0");
    expect(statSync(console).mtimeMs).toBe(1_600_000_000_000);
    chmodSync(join(output, "ramoops"), 0o755);
    writeFileSync(join(output, "ramoops/dmesg-ramoops-0"), "earlier crash");
    const again = await loud("extract", "-o", output, path);
    expect(again).toMatchObject({ code: 1, out: "" });
    expect(again.err).toContain(`cannot write ${output}/ramoops/dmesg-ramoops-0: file already exists`);
    expect(readFileSync(join(output, "ramoops/dmesg-ramoops-0"), "utf8")).toBe("earlier crash");
    const onFile = await loud("extract", "-o", path, path);
    expect(onFile.code).toBe(1);
    expect(onFile.err).toContain(`cannot make ${path}/ramoops`);
  });

  test("extract of two storages of one backend: two folders", async () => {
    const output = join(folder, "out");
    const region = evidence(RAMOOPS);
    expect((await pstore("extract", "-o", output, put("a", region), put("b", region))).code).toBe(0);
    expect(readdirSync(output).sort()).toEqual(["ramoops", "ramoops-2"]);
    expect(factsIn(join(output, "ramoops-2"))).toEqual(kernelView(RAMOOPS));
  });

  test("what is extracted is listed and extracted alike", async () => {
    const output = join(folder, "out");
    const again = join(folder, "again");
    await pstore("extract", "-o", output, put("a", evidence(RAMOOPS)));
    expect((await pstore("ls", output)).out).toMatch(
      /^dmesg-ramoops-2 +29573 {2}2026-11-21T00:24:27Z {2}Panic#3, part 1, ECC: no errors$/m,
    );
    expect((await pstore("ls", join(output, "ramoops/dmesg-ramoops-2"))).out).toContain("Panic#3");
    await pstore("extract", "-o", again, output);
    expect(factsIn(join(again, "ramoops"))).toEqual(kernelView(RAMOOPS));
    expect(statSync(join(again, "ramoops/dmesg-ramoops-2")).mtime.toISOString()).toBe("2026-11-21T00:24:27.276Z");
  });

  test("carved text is listed as such, and left out when asked", async () => {
    const path = put("storage", evidence("hung-task-after-capture"));
    const { code, out } = await pstore("ls", path);
    expect(code).toBe(0);
    expect(out).toMatch(/^console-ramoops-0\.carved +\d+ {2}- {5}carved, behind the 18670 bytes in use/m);
    expect((await pstore("ls", path, "--no-carved")).out).not.toContain("carved");
    expect((await pstore("cat", path, "--record", "console-ramoops-0.carved")).out).toContain("Kernel panic - not syncing: hung_task");
    await pstore("extract", "-o", join(folder, "out"), path);
    expect(readdirSync(join(folder, "out/ramoops"))).toContain("pmsg-ramoops-0.carved");
  });

  test("damage is told by the status, and beside what is left", async () => {
    const region = evidence(RAMOOPS);
    // The console's third block of 128 bytes.
    region.fill(0xa5, 0xf0000 + 12 + 256, 0xf0000 + 12 + 384);
    const path = put("storage", region);
    const { code, out } = await pstore("ls", path);
    expect(code).toBe(3);
    expect(out).toMatch(/^console-ramoops-0 .*1 blocks lost, bytes \d+ to \d+ have more errors than ECC can mend$/m);
    const cat = await loud("cat", path, "--record", "console-ramoops-0");
    expect(cat.code).toBe(3);
    expect(cat.err).toMatch(/console-ramoops-0: bytes \d+ to \d+ have more errors than ECC can mend/);
  });

  function order(name: string): number {
    return ["dmesg", "console", "pmsg", "tty"].indexOf(name.split("-")[0]!) * 10 + Number(name.at(-1));
  }
});

describe("where a region is", () => {
  test("at 3 MiB of an image, found by its zones", async () => {
    const { code, out } = await pstore("ls", put("image", within(5 * MIB, 3 * MIB, evidence(RAMOOPS))));
    expect(code).toBe(0);
    expect(out).toContain(`at 0x300000, 1.00 MiB\n${LAYOUT}`);
    expect(out).toContain("dmesg-ramoops-2");
  });

  test.each([
    ["place and size", "mem_address=0x300000,mem_size=1M"],
    ["the place alone", "mem_address=0x300000"],
    ["sizes, too", `mem_address=3M,mem_size=0x100000,${SIZES}`],
  ])("in a larger image, said by --ramoops: %s", async (_, words) => {
    const { code, out } = await pstore("ls", "--ramoops", words, put("image", within(5 * MIB, 3 * MIB, evidence(RAMOOPS))));
    expect(code).toBe(0);
    expect(out).toContain(`at 0x300000, 1.00 MiB\n${LAYOUT}`);
    expect(out).toContain("Panic#3");
  });

  test("in an image of the region alone the address is the machine's", async () => {
    const words = `mem_address=0x6000000,mem_size=1M,${SIZES}`;
    const { out } = await pstore("ls", "--ramoops", words, put("region", evidence(RAMOOPS)));
    expect(out).toContain("sizes from the command line: 33 of 33 zones have a header where these sizes put them");
    expect(out).toContain("tty-ramoops-0");
  });

  test("the first 600 KiB of a region: its whole records", async () => {
    const { code, out } = await pstore("ls", put("region", evidence(RAMOOPS).slice(0, 600 * 1024)));
    expect(code).toBe(0);
    for (const record of ["dmesg-ramoops-0", "dmesg-ramoops-1", "dmesg-ramoops-2"]) expect(out).toContain(record);
  });

  test("with the sizes of the whole region, what is missing of it is said", async () => {
    const words = `mem_address=0x6000000,mem_size=1M,${SIZES}`;
    const { code, out } = await pstore("ls", "--ramoops", words, put("region", evidence(RAMOOPS).slice(0, 600 * 1024)));
    expect(code).toBe(3);
    expect(out).toContain(LAYOUT);
    expect(out).toMatch(/^problem: console zone 0: .* has 0 of its 32768 bytes at offset 983040$/m);
    expect(out).toContain("Panic#3");
  });

  test("a device with the sizes of its zones", async () => {
    const path = put("device", evidence(BLK));
    const { code, out } = await pstore("ls", "--blk", "kmsg_size=64,pmsg_size=64k,console_size=0x10000", path);
    expect(code).toBe(0);
    expect(out).toContain("layout: pmsg 64 KiB, console 64 KiB, 30 dmesg of 64 KiB\n        4 of 32 zones have a signature");
    // Sizes that nothing on the device bears out: what does fit is taken.
    expect((await pstore("ls", "--blk", "kmsg_size=1000", path)).out).toContain(
      "layout: pmsg 64 KiB, console 64 KiB, 30 dmesg of 64 KiB\n",
    );
  });

  test("in an ELF dump, at its physical address", async () => {
    const bytes = writeElf({
      loads: [
        { paddr: 0, bytes: new Uint8Array(16 * 4096).fill(0x41) },
        { paddr: 0x6000000, bytes: evidence(RAMOOPS) },
      ],
    });
    const path = put("vmcore", bytes);
    for (const words of [[], ["--ramoops", "mem_address=0x6000000,mem_size=1M"]]) {
      const { code, out } = await pstore("ls", path, ...words);
      expect(code).toBe(0);
      expect(out).toContain(`at 0x6000000, 1.00 MiB\n${LAYOUT}`);
    }
    const elsewhere = await loud("ls", path, "--ramoops", "mem_address=0x8000000,mem_size=1M");
    expect(elsewhere.code).toBe(4);
    expect(elsewhere.err).toContain("the region at 0x8000000, 1048576 bytes, is not in this dump");
    const placeless = await loud("ls", path, "--ramoops", "mem_size=1M");
    expect(placeless.code).toBe(4);
    expect(placeless.err).toContain("the command line gives no mem_address: a region of ramoops needs both");
  });

  test("in a raw image of memory with a base", async () => {
    const path = put("image", within(5 * MIB, 3 * MIB, evidence(RAMOOPS)));
    for (const words of [[], ["--ramoops", "mem_address=0x5300000,mem_size=1M"]]) {
      const { code, out } = await pstore("ls", "--raw-base", "5000000", path, ...words);
      expect(code).toBe(0);
      expect(out).toContain(`at 0x5300000, 1.00 MiB\n${LAYOUT}`);
    }
  });

  test("in a dump whose kernel has module ramoops: its parameters name place and sizes", async () => {
    const { loads, notes } = dumpOf("samples/evidence-6.1-hung-task.vmcore");
    const without = await loud("ls", put("without", writeElf({ loads, notes })));
    expect(without.code).toBe(4);
    expect(without.err).toContain(
      "the parameters of module ramoops in the dump: the region at 0x6000000, 1048576 bytes, is not in this dump",
    );
    // The region of that very machine.
    const path = put("vmcore", writeElf({ loads: [...loads, { paddr: 0x6000000, bytes: evidence("hung-task-after-crash") }], notes }));
    const { code, out } = await loud("ls", path);
    expect(code).toBe(0);
    expect(out).toContain("layout: 8 dmesg of 64 KiB, console 256 KiB, 2 ftrace of 32 KiB, pmsg 64 KiB, tty 128 KiB, ECC 16\n");
    expect(out).toContain("sizes from the parameters of module ramoops in the dump: 13 of 13 zones have a header");
    // Named by two sources, read once.
    expect(out.match(/^ramoops {2}/gm)).toHaveLength(1);
    expect((await pstore("cat", path, "--record", "console-ramoops-0")).out).toContain("Kernel panic - not syncing: hung_task");
  });
});

/** A sample's pages, one load for each run of neighbours, and its notes. */
function dumpOf(path: string): { loads: ElfLoad[]; notes: Parameters<typeof writeElf>[0]["notes"] & object } {
  const dump = openSources([new MemorySource(new Uint8Array(readFileSync(path)))]);
  const runs: { start: number; count: number }[] = [];
  for (let pfn = dump.nextStored(asPfn(0)); pfn !== undefined; pfn = dump.nextStored(asPfn(pfn + 1))) {
    const last = runs.at(-1);
    if (last && last.start + last.count === pfn) last.count++;
    else runs.push({ start: pfn, count: 1 });
  }
  const loads = runs.map(({ start, count }) => {
    const bytes = new Uint8Array(count * 4096);
    for (let page = 0; page < count; page++) dump.readPage(asPfn(start + page), bytes.subarray(page * 4096, (page + 1) * 4096));
    return { paddr: start * 4096, bytes };
  });
  return { loads, notes: dump.notes };
}

describe("folders of records", () => {
  const text = (part: number): string => `Panic#1 Part${part}\n${`<4>[    1.00000${part}] text of part ${part}\n`.repeat(20)}`;
  const name = (part: number): string => `dmesg-efi_pstore-17000000000${part}001`;

  test("a pstore mount with .enc.z: what the kernel could not decompress", async () => {
    put(`pstore/${name(1)}`, text(1));
    put(`pstore/${name(2)}.enc.z`, deflateRawSync(text(2)));
    put("pstore/unrelated.txt", "x");
    const { code, out } = await pstore("ls", join(folder, "pstore"));
    expect(code).toBe(0);
    expect(out).toContain(`efi_pstore  ${folder}/pstore\n`);
    expect(out).toMatch(new RegExp(`^${name(2)} +${text(2).length} .*Panic#1, part 2, deflate$`, "m"));
    expect((await rawOf(join(folder, "pstore"), "--record", name(2))).toString()).toBe(text(2));
  });

  test(".enc.z that nothing decompresses stays as it is, and is told", async () => {
    const junk = Uint8Array.from({ length: 300 }, (_, i) => (i * 151 + 0xfb) & 0xff);
    put(`pstore/${name(1)}.enc.z`, junk);
    const { code, out } = await pstore("ls", join(folder, "pstore"));
    expect(code).toBe(3);
    expect(out).toContain(`${name(1)}.enc.z`);
    expect((await pstore("extract", "-o", join(folder, "out"), join(folder, "pstore"))).code).toBe(3);
    expect(new Uint8Array(readFileSync(join(folder, `out/efi_pstore/${name(1)}.enc.z`)))).toEqual(junk);
  });

  test("efivarfs: variables of a dump, others passed over; the parts joined", async () => {
    const parts = [
      efiVariable({ name: "dump-type0-1-1-1700000000-D", data: Buffer.from(text(1)) }),
      efiVariable({ name: "dump-type0-2-1-1700000000-C", data: deflateRawSync(text(2)) }),
      efiVariable({ name: "dump-type0-4-1-1700000001-C", data: deflateRawSync(text(4)) }),
      efiVariable({ name: "BootOrder", data: Uint8Array.of(1, 0), guid: "8be4df61-93ca-11d2-aa0d-00e098032b8c" }),
    ];
    for (const part of parts) put(`efivars/${part.name}`, part.bytes);
    const { code, out } = await pstore("ls", join(folder, "efivars"));
    expect(code).toBe(0);
    expect([...out.matchAll(/^dmesg-efi_pstore-(\d+)/gm)].map((match) => match[1])).toEqual([
      "170000000001001",
      "170000000002001",
      "170000000104001",
    ]);
    const extracted = await loud("extract", "-o", join(folder, "out"), join(folder, "efivars"));
    expect(extracted).toMatchObject({ code: 0, out: `${folder}/out/efi_pstore: 4 files\n` });
    expect(extracted.err).toContain("efi_pstore: part 3 of Panic is missing");
    const joined = join(folder, "out/efi_pstore/dmesg-efi_pstore-170000000001001.joined");
    const body = (part: number): string => text(part).slice(text(part).indexOf("\n") + 1);
    expect(readFileSync(joined, "latin1")).toBe(`Panic#1 Part1\n${body(4)}${body(2)}${body(1)}`);
    expect(statSync(joined).mtimeMs).toBe(1_700_000_000_000);
    // One variable by itself.
    expect((await pstore("cat", join(folder, "efivars", parts[0]!.name))).out).toBe(text(1));
  });

  test("systemd-pstore's archive: folders by time and number, each a storage", async () => {
    put(`archive/1700000000/001/${name(1)}`, text(1));
    put("archive/1700000000/001/dmesg.txt", text(1));
    put(`archive/1700000500/001/${name(2)}`, text(2));
    put("archive/1700000500/002/console-ramoops-0", "[    1.000000] text\n");
    const { code, out } = await pstore("ls", join(folder, "archive"));
    expect(code).toBe(0);
    expect([...out.matchAll(/^(\S+) {2}\S+\/archive\/(\S+)$/gm)].map(([, backend, place]) => [backend, place])).toEqual([
      ["efi_pstore", "1700000000/001"],
      ["efi_pstore", "1700000500/001"],
      ["ramoops", "1700000500/002"],
    ]);
    await pstore("extract", "-o", join(folder, "out"), join(folder, "archive"));
    expect(readdirSync(join(folder, "out")).sort()).toEqual(["efi_pstore", "efi_pstore-2", "ramoops"]);
  });

  test("control characters of a record are escaped, and kept with --raw", async () => {
    const hostile = "[    1.000000] \x1b]0;owned\x07 \x1b[2Jgone\r\n\u009bafter\ttab\n";
    const path = put("pstore/console-ramoops-0", hostile);
    const { out } = await pstore("cat", path);
    const control = (char: string): boolean => (char < " " && char !== "\n" && char !== "\t") || (char >= "\x7f" && char <= "\x9f");
    expect([...out].filter(control)).toEqual([]);
    expect(out).toContain("after\ttab\n");
    expect((await rawOf(path)).toString()).toBe(hostile);
    // The name of a file is as hostile as its content, as far as it can be a record's; the folder's is anything.
    put("evil\x1b[31m/console-ramoops-0", "x");
    expect((await pstore("ls", join(folder, "evil\x1b[31m"))).out).not.toContain("\x1b");
    expect((await pstore("extract", "-o", join(folder, "out\x1b[31m"), path)).out).not.toContain("\x1b");
  });
});

describe("other backends", () => {
  test("ERST, as records and as QEMU's store", async () => {
    const record = cperRecord({ id: 0x1234n, data: Buffer.from("Panic#1 Part1\n<0>last words\n") });
    for (const bytes of [record, erstStore({ slots: 4, records: [{ bytes: record, id: 0x1234n }] })]) {
      const { code, out } = await pstore("ls", put("erst", bytes));
      expect(code).toBe(0);
      expect(out).toMatch(/^dmesg-erst-4660 +28 {2}2023-11-14T22:13:20Z {2}Panic#1, part 1$/m);
    }
  });

  test("mtdoops, told by its magic", async () => {
    const pages = [{ page: 1, seq: 7, version: 2, text: "<0>last words\n", nanoseconds: 1_700_000_000_000_000_000n }] as const;
    const { code, out } = await pstore("cat", put("mtd", mtdoopsDevice(65536, 4096, pages)));
    expect({ code, out }).toEqual({ code: 0, out: "<0>last words\n" });
  });

  test("a memconsole, where it is told to be", async () => {
    const words = "[    1.000000] Oops: it is all over\n";
    const path = put("image", within(MIB, 0x80000, changliRegion(4096, [words])));
    const { code, out } = await pstore("cat", "--memconsole", "address=0x80000,size=4K", path);
    expect({ code, out }).toEqual({ code: 0, out: words });
    expect((await pstore("ls", "--memconsole", "address=0x90000,size=4K", path)).code).toBe(4);
  });

  test("--backend: nothing else is looked for", async () => {
    const path = put("device", evidence(BLK));
    for (const backend of ["ramoops", "erst", "mtdoops"])
      expect((await pstore("ls", "--backend", backend, path)).out).not.toContain("pstore_blk-");
    expect((await pstore("ls", "--backend", "pstore_blk", path)).code).toBe(0);
  });
});

describe("wrong input", () => {
  test.each([
    ["a path that is not there", ["ls", "/nonexistent"], 1, "cannot open /nonexistent: no such file"],
    ["extract without --output", ["extract", "FILE"], 2, "extract needs --output DIR"],
    ["no path", ["ls"], 2, "PATH"],
    ["another action", ["list", "FILE"], 2, "list"],
    ["an unknown word", ["ls", "FILE", "--ramoops", "mem_size=1M,colour=red"], 2, "ramoops has no parameter 'colour'; it has record_size"],
    ["an unknown word of --blk", ["ls", "FILE", "--blk", "kmsg=64"], 2, "pstore_blk has no parameter 'kmsg'; it has kmsg_size"],
    ["a bad number", ["ls", "FILE", "--ramoops", "mem_size=1Q"], 2, "mem_size=1Q: a number such as 65536, 0x10000 or 64K is wanted"],
    ["a word without value", ["ls", "FILE", "--ramoops", "mem_size"], 2, "'mem_size' is no word=value, as in mem_size=1M"],
    ["half a --memconsole", ["ls", "FILE", "--memconsole", "address=0"], 2, "--memconsole needs size="],
    ["a record that is not there", ["cat", "FILE", "--record", "dmesg-ramoops-99"], 2, "there is no record dmesg-ramoops-99"],
    ["--json and --raw", ["cat", "FILE", "--json", "--raw"], 2, "'--json' and '--raw' exclude each other"],
  ])("%s", async (_, argv, status, words) => {
    const path = put("region", evidence(RAMOOPS));
    const { code, out, err } = await loud(...argv.map((arg) => (arg === "FILE" ? path : arg)));
    expect({ code, out }).toEqual({ code: status, out: "" });
    expect(err).toContain(words);
  });

  test("a record that is not there is no reason to write others", async () => {
    const argv = ["extract", put("region", evidence(RAMOOPS)), "-o", join(folder, "out"), "--record", "tty-ramoops-0", "--record", "no"];
    expect((await pstore(...argv)).code).toBe(2);
    expect(existsSync(join(folder, "out"))).toBe(false);
  });

  test.each([
    ["zeros", new Uint8Array(65536), [], "all of its 65536 bytes are 0: nothing was ever written there"],
    ["zeros, said to be a region", new Uint8Array(65536), ["--ramoops", "mem_size=64K"], "all of its 65536 bytes are 0"],
    ["no bytes", new Uint8Array(), [], "is empty"],
    ["other text", Buffer.from("just a file\n".repeat(1000)), [], "no zone, record or console of any backend"],
    ["other text, said to be a region", Buffer.from("just a file\n"), ["--backend", "ramoops"], "no zone of ramoops"],
  ])("a file of %s says so", async (_, bytes, argv, words) => {
    const { code, out, err } = await loud("ls", put("file", bytes), ...argv);
    expect({ code, out }).toEqual({ code: 4, out: "" });
    expect(err).toContain(words);
  });

  test("a folder without records", async () => {
    put("folder/readme", "x");
    const { code, err } = await loud("ls", join(folder, "folder"));
    expect(code).toBe(4);
    expect(err).toContain("no file is named like a record");
  });

  test("a region whose zones are all empty: its layout, and no records", async () => {
    const region = Buffer.alloc(65536);
    for (let zone = 0; zone < region.length; zone += 4096) region.write("DBGC", zone, "latin1");
    const { code, out } = await pstore("ls", put("region", region));
    expect(code).toBe(4);
    expect(out).toContain("layout: ");
    expect(out).toMatch(/^no records$/m);
  });
});
