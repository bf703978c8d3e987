/** What `save` writes, read back: every page as it was, the right pages left out, and what could not be read told. */
import { spawnSync } from "node:child_process";
import { closeSync, existsSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { zstdCompressSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { asPfn, DumpError, type Pfn } from "../../src/bytes/index.ts";
import {
  checkDump,
  fileOutput,
  flattenedOutput,
  forecast,
  Helpers,
  type SaveCodec,
  saveElf,
  saveLkcd,
  saveKdump,
  type SaveOptions,
  type SaveResult,
} from "../../src/capture/index.ts";
import { type DumpFile, openDump } from "../../src/format/index.ts";
import { runMain } from "../cli/memory-sink.ts";
import { writeElf } from "../writers/elf.ts";
import { excludedAt, FREE_FROM, guest, GUEST_FRAMES, range } from "../writers/guest.ts";
import { writeKdump } from "../writers/kdump.ts";
import { writeLkcd } from "../writers/lkcd.ts";
import { GENERATIONS } from "../writers/page-array.ts";
import { pagePattern } from "../writers/page-pattern.ts";
import { writeSadump } from "../writers/sadump.ts";

const folder = mkdtempSync(join(tmpdir(), "lastwords-save-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
let names = 0;
const fresh = (name = "out"): string => join(folder, `${names++}-${name}`);
const put = (bytes: Uint8Array, name = "in"): string => {
  const path = fresh(name);
  writeFileSync(path, bytes);
  return path;
};

const machine = guest();
const memory = machine.memory;
const CODECS: readonly SaveCodec[] = ["none", "zlib", "lzo", "snappy", "zstd"];
const MANY = 12_000;
let source: string;
let many: string;

beforeAll(() => {
  source = put(machine.elf([{ name: "CORE", type: 1, desc: new Uint8Array(336).fill(7) }]), "vmcore");
  // Enough for several threads, in several ranges, with holes.
  const pages = new Uint8Array(MANY * 4096);
  for (let pfn = 0; pfn < MANY; pfn++)
    pages.set(pagePattern((["text", "noise", "zero", "fill"] as const)[pfn % 4]!, pfn, 4096), pfn * 4096);
  const cut = 7001;
  const loads = [
    { paddr: 0x3000, bytes: pages.subarray(0, cut * 4096) },
    { paddr: 0x4000_0000, bytes: pages.subarray(cut * 4096) },
  ];
  many = put(writeElf({ loads }), "many");
});

async function opened<T>(paths: readonly string[], use: (dump: DumpFile) => T | Promise<T>): Promise<T> {
  const { dump } = await openDump(paths);
  try {
    return await use(dump);
  } finally {
    dump.close();
  }
}

async function kdump(from: string, options: Partial<SaveOptions>, to: string = fresh()): Promise<{ path: string; result: SaveResult }> {
  return opened([from], async (dump) => {
    const output = fileOutput(to, true);
    try {
      return { path: to, result: await saveKdump(dump, output, { paths: [from], level: 0, codec: "zstd", ...options }) };
    } finally {
      output.close();
    }
  });
}

/** All that a reader says of each frame: its bytes, or its state. */
function contents(dump: DumpFile): Map<number, string> {
  const all = new Map<number, string>();
  const page = new Uint8Array(dump.pageSize);
  for (let pfn: Pfn | undefined = dump.nextStored(asPfn(0)); pfn !== undefined; pfn = dump.nextStored(asPfn(pfn + 1))) {
    dump.readPage(pfn, page);
    all.set(pfn, Buffer.from(page).toString("latin1"));
  }
  return all;
}

/** Equal without printing megabytes where it is not. */
function expectSame(ours: Map<number, string>, theirs: Map<number, string>): void {
  expect([...ours.keys()].filter((pfn) => !theirs.has(pfn))).toEqual([]);
  expect([...theirs.keys()].filter((pfn) => !ours.has(pfn))).toEqual([]);
  expect([...theirs].filter(([pfn, bytes]) => ours.get(pfn) !== bytes).map(([pfn]) => pfn)).toEqual([]);
}

const pageOf = (pfn: number): string => Buffer.from(memory.subarray(pfn * 4096, (pfn + 1) * 4096)).toString("latin1");
const expected = (level: number): Map<number, string> => {
  const out = excludedAt(level);
  return new Map(
    range(0, GUEST_FRAMES)
      .filter((pfn) => !out.has(pfn))
      .map((pfn) => [pfn, pageOf(pfn)]),
  );
};

describe("a kdump file", () => {
  test.each(CODECS)("has every page again: %s", async (codec) => {
    const { path, result } = await kdump(source, { codec, level: 1 });
    expect(result).toMatchObject({ ramPages: GUEST_FRAMES, savedPages: GUEST_FRAMES, unreadable: 0, keptMore: undefined });
    await opened([path], (dump) => {
      expectSame(contents(dump), expected(1));
      expect(dump.problems).toEqual([]);
    });
  });

  test("and without node:ffi", async () => {
    process.env["LASTWORDS_NO_FFI"] = "1";
    try {
      const { path } = await kdump(source, { codec: "zstd" });
      await opened([path], (dump) => expectSame(contents(dump), expected(0)));
    } finally {
      delete process.env["LASTWORDS_NO_FFI"];
    }
  });

  test("has notes and VMCOREINFO as they were", async () => {
    const { path } = await kdump(source, {});
    const of = (file: string): Promise<unknown> =>
      opened([file], ({ notes, vmcoreinfo }) => [
        vmcoreinfo,
        notes.map(({ name, type, desc }) => [name, type, Buffer.from(desc).toString("hex")]),
      ]);
    expect(await of(path)).toEqual(await of(source));
  });

  test.each(range(0, 32))("leaves out what level %i says, and nothing else", async (level) => {
    const { path, result } = await kdump(source, { level, codec: "lzo" });
    const out = excludedAt(level);
    expect(result.savedPages).toBe(GUEST_FRAMES - out.size);
    expect(Object.values(result.excluded).reduce((sum, count) => sum + count, 0)).toBe(out.size);
    await opened([path], (dump) => {
      expectSame(contents(dump), expected(level));
      for (const pfn of out) expect(dump.pageState(asPfn(pfn))).toBe("excluded");
    });
  });

  test.each(GENERATIONS.map((of) => [of.name, of] as const))("of a kernel like %s", async (_, of) => {
    const { path, result } = await kdump(put(guest(of).elf()), { level: 31 });
    expect(result.keptMore).toBeUndefined();
    expect(result.savedPages).toBe(GUEST_FRAMES - excludedAt(31).size);
    await opened([path], (dump) => expect([...contents(dump).keys()]).toEqual([...expected(31).keys()]));
  });

  test("in windows it is the same as at once", async () => {
    const at = 1_700_000_000;
    const whole = await kdump(source, { level: 31, timestamp: at });
    const cut = await kdump(source, { level: 31, timestamp: at, window: 512 });
    expect(readFileSync(cut.path).equals(readFileSync(whole.path))).toBe(true);
    expect(cut.result).toEqual(whole.result);
  });

  test.each([1, 2, 4])("with %i threads, in a file and through a stream", async (threads) => {
    const plain = await opened([many], contents);
    expect(plain.size).toBe(MANY);
    const helpers = new Helpers(threads);
    const { path, result } = await kdump(many, { codec: "lzo", helpers });
    helpers.close();
    expect(result).toMatchObject({ savedPages: MANY, zeroPages: MANY / 4, unreadable: 0 });
    await opened([path], (dump) => expectSame(contents(dump), plain));

    const stream = fresh("stream");
    const fd = openSync(stream, "w");
    const streamers = new Helpers(threads);
    await opened([many], async (dump) => {
      await saveKdump(dump, flattenedOutput(fd, stream), { paths: [many], level: 0, codec: "lzo", helpers: streamers });
    });
    streamers.close();
    closeSync(fd);
    await opened([stream], (dump) => {
      expectSame(contents(dump), plain);
      expect(dump.problems).toEqual([]);
    });
  });

  test("of no memory at all", async () => {
    const { path, result } = await kdump(put(writeElf({ loads: [] })), { level: 31 });
    expect(result).toMatchObject({ ramPages: 0, savedPages: 0 });
    expect(existsSync(path)).toBe(true);
  });
});

describe("an ELF file", () => {
  test.each([0, 1, 16, 31])("has every page again at level %i", async (level) => {
    const path = fresh();
    const result = await opened([source], async (dump) => {
      const output = fileOutput(path, true);
      const saved = await saveElf(dump, output, { paths: [source], level, codec: "none" });
      output.close();
      return saved;
    });
    expect(result.keptMore).toBeUndefined();
    const zero = "\0".repeat(4096);
    const wanted = new Map([...expected(level)].filter(([, bytes]) => level % 2 === 0 || bytes !== zero));
    expect(result.savedPages).toBe(wanted.size);
    await opened([path], (dump) => {
      const is = contents(dump);
      // Short holes are zeros.
      for (const [pfn, bytes] of is) if (!wanted.has(pfn)) expect(bytes === zero, `frame ${pfn}`).toBe(true);
      expectSame(new Map([...is].filter(([pfn]) => wanted.has(pfn))), wanted);
      expect(dump.problems).toEqual([]);
      expect(dump.vmcoreinfo).toBe(machine.vmcoreinfo);
    });
  });

  test("in windows it has the same pages", async () => {
    const read = async (window: number | undefined): Promise<Map<number, string>> => {
      const path = fresh();
      await opened([source], async (dump) => {
        const output = fileOutput(path, true);
        await saveElf(dump, output, { paths: [source], level: 31, codec: "none", ...(window === undefined ? {} : { window }) });
        output.close();
      });
      return new Map([...(await opened([path], contents))].filter(([, bytes]) => bytes !== "\0".repeat(4096)));
    };
    expectSame(await read(512), await read(undefined));
  });

  test("says which machine it is of", async () => {
    const from = put(writeElf({ loads: [{ paddr: 0, bytes: pagePattern("text", 1, 4096) }], machine: 183 }));
    const { code } = await runMain(["save", "-q", "-E", "--no-check", "-d", "31", from, fresh("arm")]);
    expect(code).toBe(0);
    const path = join(
      folder,
      readdirSync(folder).find((name) => name.endsWith("-arm"))!,
    );
    await opened([path], (dump) => expect(dump.arch).toBe("aarch64"));
  });
});

describe("an LKCD file", () => {
  test.each([
    [0, "none"],
    [1, "zlib"],
    [16, "zlib"],
    [31, "zlib"],
  ] as const)("has every page again at level %i, %s", async (level, codec) => {
    const path = fresh();
    const result = await opened([source], async (dump) => {
      const output = fileOutput(path, true);
      const saved = await saveLkcd(dump, output, { paths: [source], level, codec });
      output.close();
      return saved;
    });
    expect(result.keptMore).toBeUndefined();
    const wanted = expected(level);
    expect(result.savedPages).toBe(wanted.size);
    expect(result.size).toBe(readFileSync(path).length);
    await opened([path], (dump) => {
      expectSame(contents(dump), wanted);
      expect(dump.problems).toEqual([]);
    });
  });

  test("is not written of a machine that LKCD has no layout for", async () => {
    const from = put(writeElf({ loads: [{ paddr: 0, bytes: pagePattern("text", 1, 4096) }], machine: 183 }));
    const to = fresh();
    const { code, err } = await runMain(["save", "-q", "--lkcd", from, to]);
    expect(code).not.toBe(0);
    expect(existsSync(`${to}-incomplete`)).toBe(false);
    expect(err).toContain("x86-64");
  });

  test("knows no zstd, and the command says so", async () => {
    const { code, err } = await runMain(["save", "-q", "--lkcd", "-z", source, fresh()]);
    expect(code).toBe(2);
    expect(err).toContain("gzip");
  });
});

describe("other sources", () => {
  test("a kdump file is filtered again", async () => {
    const first = await kdump(source, { level: 16, codec: "zlib" });
    const second = await kdump(first.path, { level: 31, codec: "lzo" });
    expect(second.result.ramPages).toBe(GUEST_FRAMES);
    await opened([second.path], (dump) => {
      expectSame(contents(dump), expected(31));
      for (const pfn of excludedAt(31)) expect(dump.pageState(asPfn(pfn))).toBe("excluded");
    });
    const third = await kdump(second.path, { level: 0 });
    await opened([third.path], (dump) => expectSame(contents(dump), expected(31)));
  });

  test("an ELF file with pages left out is saved with them left out", async () => {
    const elf = fresh();
    await runMain(["save", "-q", "-E", "-d", "16", "--no-check", source, elf]);
    const { path } = await kdump(elf, { level: 0 });
    const [was, is] = [await opened([elf], contents), await opened([path], contents)];
    expectSame(is, was);
  });

  test("ELF keeps the kernel image's own addresses, over the same bytes of the file", async () => {
    const MAP = 0xffff_ffff_8100_0000n;
    // Free pages are in it, and nothing tells that it ends: half of it is left out.
    const image = { paddr: 0, vaddr: MAP, bytes: memory };
    const vmcoreinfo = { name: "VMCOREINFO", type: 0, desc: Buffer.from(machine.vmcoreinfo) };
    const from = put(writeElf({ loads: [image, { paddr: 0, bytes: memory }], notes: [vmcoreinfo] }));
    const out = fresh();
    await runMain(["save", "-q", "-E", "-d", "30", "--no-check", from, out]);
    const file = readFileSync(out);
    const loads = range(1, file.readUInt16LE(56)).map((i) => {
      const field = (at: number): bigint => file.readBigUInt64LE(64 + i * 56 + at);
      return { offset: Number(field(8)), vaddr: field(16), paddr: Number(field(24)), filesz: Number(field(32)), memsz: Number(field(40)) };
    });
    const images = loads.filter(({ vaddr }) => vaddr >= MAP);
    const stored = loads.filter(({ vaddr, filesz }) => vaddr < MAP && filesz > 0);
    expect(images.map(({ paddr, filesz }) => [paddr, filesz])).toEqual(stored.map(({ paddr, filesz }) => [paddr, filesz]));
    expect(images.length).toBeGreaterThan(0);
    for (const { offset, vaddr, paddr, filesz, memsz } of images) {
      expect(memsz).toBe(filesz);
      expect(vaddr - MAP).toBe(BigInt(paddr));
      const page = file.subarray(offset, offset + 4096);
      expect(page.equals(memory.subarray(paddr, paddr + 4096)) || page.every((byte) => byte === 0)).toBe(true);
    }
    // Short holes are zeros, so that there is more than was asked for.
    const wanted = expected(30);
    await opened([out], (dump) => expectSame(new Map([...contents(dump)].filter(([pfn]) => wanted.has(pfn))), wanted));
  });

  test("a compressed dump, a flattened one", async () => {
    const packed = put(zstdCompressSync(readFileSync(source)), "vmcore.zst");
    const { code } = await runMain(["save", "-q", "--no-check", "-d", "31", packed, fresh("unpacked")]);
    expect(code).toBe(0);
    const path = join(
      folder,
      readdirSync(folder).find((name) => name.endsWith("-unpacked"))!,
    );
    await opened([path], (dump) => expectSame(contents(dump), expected(31)));
  });

  test("a raw image", async () => {
    const image = put(memory.subarray(FREE_FROM * 4096));
    const out = fresh();
    const { code, err } = await runMain(["save", "--raw-base", "600000", "-d", "31", "--no-check", image, out]);
    expect(code).toBe(0);
    expect(err).toContain("MORE PAGES ARE KEPT THAN LEVEL 31 ASKS FOR");
    await opened([out], (dump) => expectSame(contents(dump), new Map([...expected(0)].filter(([pfn]) => pfn >= FREE_FROM))));
  });

  test("LKCD and sadump", async () => {
    const frames = [0, 1, 2, 5, 9];
    const lkcd = put(writeLkcd({ version: 8, pages: frames.map((pfn) => ({ pfn, pattern: "text" })) }));
    const sadump = put(writeSadump({ kind: "single", maxMapnr: 64, pages: frames.map((pfn) => ({ pfn, pattern: "text" })) })[0]!);
    for (const from of [lkcd, sadump]) {
      const { path } = await kdump(from, { level: 1 });
      const [was, is] = [await opened([from], contents), await opened([path], contents)];
      expect([...is.keys()]).toEqual(frames);
      expectSame(is, was);
    }
  });

  test("VMCOREINFO that a kdump header has and no note is not lost", async () => {
    const from = put(
      writeKdump({ version: 3, maxMapnr: 8, pages: [{ pfn: 1, bytes: pagePattern("text", 1, 4096) }], vmcoreinfo: "OSRELEASE=5.0\n" }),
    );
    const { path } = await kdump(from, {});
    await opened([path], (dump) => expect(dump.vmcoreinfo).toBe("OSRELEASE=5.0\n"));
  });

  test("32-bit and big-endian machines are refused", async () => {
    for (const recipe of [{ wordSize: 4 }, { littleEndian: false }] as const) {
      const from = put(writeElf({ ...recipe, machine: 3, loads: [{ paddr: 0, bytes: new Uint8Array(4096) }] }));
      await expect(kdump(from, {})).rejects.toMatchObject({ code: "UNSUPPORTED" });
    }
  });
});

describe("what is not understood is kept, and said", () => {
  test.each(["SIZE(page)", "PG_lru", "PAGE_BUDDY_MAPCOUNT_VALUE", "page.compound_head", "SYMBOL(init_top_pgt)", "mem_section"])(
    "a kernel that does not say %s",
    async (missing) => {
      const strange = guest(undefined, missing);
      const text = strange.vmcoreinfo.split("\n").filter((line) => !line.includes(missing));
      const vmcoreinfo = { name: "VMCOREINFO", type: 0, desc: Buffer.from(text.join("\n")) };
      const from = put(writeElf({ loads: [{ paddr: 0, bytes: strange.memory }], notes: [vmcoreinfo] }));
      const out = fresh();
      const { err } = await runMain(["save", "-d", "31", "--no-check", from, out]);
      expect(err).toMatch(/MORE PAGES ARE KEPT THAN LEVEL 31 ASKS FOR: ./);
      await opened([out], (dump) => expect([...contents(dump).keys()]).toEqual(range(0, GUEST_FRAMES)));
    },
  );

  test("page tables and section tables that lead nowhere", async () => {
    for (const [symbol, value] of [
      ["mem_section", "ffff888000000000"],
      ["mem_section", "ffffffff80ffff00"],
      ["init_top_pgt", "ffffffffffffffff"],
    ] as const) {
      const text = machine.vmcoreinfo.replace(new RegExp(`SYMBOL\\(${symbol}\\)=.*`), `SYMBOL(${symbol})=${value}`);
      const from = put(
        writeElf({ loads: [{ paddr: 0, bytes: memory }], notes: [{ name: "VMCOREINFO", type: 0, desc: Buffer.from(text) }] }),
      );
      const { result } = await kdump(from, { level: 31 });
      expect(result.savedPages).toBe(GUEST_FRAMES);
      expect(result.keptMore).toBeTruthy();
    }
  });

  test("headers that claim more memory than any machine has", async () => {
    const page = { paddr: 0, bytes: pagePattern("text", 0, 4096) };
    const huge = put(writeElf({ loads: [{ ...page, memsz: 2 ** 51 }] }));
    await expect(kdump(huge, {})).rejects.toMatchObject({ code: "LIMIT" });
    // 1 TiB, of which a page is there.
    const large = put(writeElf({ loads: [{ ...page, memsz: 2 ** 40 }] }));
    const { path, result } = await kdump(large, { level: 31 });
    expect(result).toMatchObject({ ramPages: 2 ** 28, savedPages: 1 });
    await opened([path], (dump) => expect([...contents(dump).keys()]).toEqual([0]));
    rmSync(path);
    const kdumpFile = put(writeKdump({ maxMapnr: 64, pages: [{ pfn: 1, bytes: page.bytes }] }));
    const bytes = readFileSync(kdumpFile);
    bytes.writeBigUInt64LE(2n ** 40n, 4096 + 96);
    writeFileSync(kdumpFile, bytes);
    await expect(kdump(kdumpFile, {})).rejects.toThrow(DumpError);
  });
});

describe("pages that cannot be read", () => {
  test("are told and zero, and cost no other page", async () => {
    // A descriptor that lies in the middle.
    const pages = range(0, 200).map((pfn) => ({
      pfn,
      bytes: pagePattern("fill", pfn, 4096),
      codec: "zlib" as const,
      ...(pfn === 77 ? { data: new Uint8Array(20) } : {}),
    }));
    const from = put(writeKdump({ maxMapnr: 200, pages }));
    const out = fresh();
    const { code, err } = await runMain(["save", "-d", "0", "--no-check", from, out]);
    expect(code).toBe(3);
    expect(err).toMatch(/1 pages could not be read from the source and are zeros in the copy; the first: page frame 0x4d: /);
    await opened([out], (dump) => {
      const is = contents(dump);
      for (const { pfn, bytes } of pages)
        expect(is.get(pfn) === (pfn === 77 ? "\0".repeat(4096) : Buffer.from(bytes).toString("latin1"))).toBe(true);
    });
  });

  test.each(["kdump", "elf"] as const)("an input that returns errors in the middle loses those pages alone: %s", async (format) => {
    const { dump } = await openDump([source]);
    const bad = new Set([300, 301, 500]);
    // As /proc/vmcore: a read that covers a bad page fails as a whole.
    const faulty: DumpFile = new Proxy(dump, {
      get(target, name) {
        if (name === "readRun") {
          return (pfn: number, count: number, into: Uint8Array) => {
            for (let i = 0; i < count; i++) if (bad.has(pfn + i)) throw new DumpError("IO", "reading failed: i/o error");
            return target.readRun!(asPfn(pfn), count, into);
          };
        }
        if (name === "readPage") {
          return (pfn: number, into: Uint8Array) => {
            if (bad.has(pfn)) throw new DumpError("IO", "reading failed: i/o error");
            target.readPage(asPfn(pfn), into);
          };
        }
        const value = Reflect.get(target, name, target) as unknown;
        return typeof value === "function" ? (value.bind(target) as unknown) : value;
      },
    });
    const path = fresh();
    const output = fileOutput(path, true);
    const save = format === "elf" ? saveElf : saveKdump;
    const result = await save(faulty, output, { paths: [source], level: 0, codec: "lzo" });
    output.close();
    dump.close();
    expect(result.unreadable).toBe(3);
    expect(result.firstProblem).toBe("page frame 0x12c: reading failed: i/o error");
    const wanted = new Map([...expected(0)].map(([pfn, bytes]) => [pfn, bad.has(pfn) ? "\0".repeat(4096) : bytes]));
    await opened([path], (copy) => expectSame(contents(copy), wanted));
  });

  test("a source that ends early is saved as far as it goes", async () => {
    const bytes = machine.elf();
    const from = put(bytes.subarray(0, bytes.length - 100 * 4096));
    const out = fresh();
    const { code, err } = await runMain(["save", "-d", "0", "--no-check", from, out]);
    expect(code).toBe(3);
    expect(err).toContain("the program headers promise 409600 bytes after the end of the file");
    await opened([out], (dump) => {
      expect([...contents(dump).keys()]).toEqual(range(0, GUEST_FRAMES - 100));
      expect(dump.pageState(asPfn(GUEST_FRAMES - 1))).toBe("excluded");
    });
  });
});

describe("split, flattened, rearranged", () => {
  test("the parts of a set together have every page, and are opened together", async () => {
    const parts = [fresh("part"), fresh("part"), fresh("part")];
    const { code } = await runMain(["save", "-q", "--split", "-d", "31", "-l", "--no-check", source, ...parts]);
    expect(code).toBe(0);
    await opened(parts.toReversed(), (dump) => {
      expectSame(contents(dump), expected(31));
      expect(dump.problems).toEqual([]);
    });
    await opened([parts[1]!], (dump) => expect(dump.problems.some(({ code: problem }) => problem === "NOT_STORED")).toBe(true));
    expect(readdirSync(folder).filter((name) => name.endsWith("-incomplete"))).toEqual([]);
  });

  test("save -F | save -R, through a real pipe", async () => {
    const out = fresh();
    const bin = fileURLToPath(new URL("../../src/cli/main.ts", import.meta.url));
    const program = put(Buffer.from(`import { run } from ${JSON.stringify(bin)};\nawait run();\n`), "program.mjs");
    const run = `"${process.execPath}" --no-warnings "${program}" save`;
    const shell = `set -o pipefail; ${run} -F -d 31 -l "${source}" | ${run} -R --no-check "${out}"`;
    const { status, stderr } = spawnSync("bash", ["-c", shell], { encoding: "utf8" });
    expect(status, stderr).toBe(0);
    await opened([out], (dump) => {
      expectSame(contents(dump), expected(31));
      expect(dump.problems).toEqual([]);
    });
  });
});

describe("operands", () => {
  const good = (): string[] => [source, fresh()];
  test.each(["32", "1,", "1,,2", "-1", "1e1", "0x1f"])("-d %s is wrong", async (level) => {
    const { code, err } = await runMain(["save", `--dump-level=${level}`, ...good()]);
    expect(code).toBe(2);
    expect(err).toContain("a dump level is a number from 0 to 31");
  });

  test("too few, too many, twice the same", async () => {
    expect((await runMain(["save", source])).code).toBe(2);
    expect((await runMain(["save", source, "a", "b"])).code).toBe(2);
    expect((await runMain(["save", "--split", source, "a"])).code).toBe(2);
    expect((await runMain(["save", "--split", source, "a", "./a"])).code).toBe(2);
    expect((await runMain(["save", "-F", source, "a"])).code).toBe(2);
    expect((await runMain(["save", "-F", "--json", source])).code).toBe(2);
    expect((await runMain(["save", "-R", "a", "b"])).code).toBe(2);
  });

  test("what is there stays, unless -f is given", async () => {
    const out = put(Buffer.from("precious"));
    const { code, err } = await runMain(["save", source, out]);
    expect(code).toBe(1);
    expect(err).toContain("is there already; -f replaces it");
    expect(readFileSync(out, "utf8")).toBe("precious");
    expect((await runMain(["save", "-q", "-f", "--no-check", source, out])).code).toBe(0);
    await opened([out], (dump) => expect(dump.format).toBe("kdump"));
  });

  test("the source is never written over", async () => {
    const bytes = readFileSync(source);
    const from = put(bytes, "vmcore-incomplete");
    const link = fresh("link");
    symlinkSync(from, link);
    for (const argv of [
      ["save", from, from.replace(/-incomplete$/, "")],
      ["save", "-f", from, from],
      ["save", "-f", from, link],
      ["save", "-f", "--dump-dmesg", from, from],
    ]) {
      const { code, err } = await runMain(argv);
      expect(code, argv.join(" ")).toBe(2);
      expect(err).toContain("is the dump itself");
      expect(readFileSync(from).equals(bytes)).toBe(true);
    }
  });

  test("no such dump, no such folder", async () => {
    expect((await runMain(["save", join(folder, "none"), fresh()])).code).toBe(1);
    const { code, err } = await runMain(["save", "--no-light", source, join(folder, "none", "out")]);
    expect(code).toBe(1);
    expect(err).toMatch(/out-incomplete failed: no such file or directory/);
  });
});

test("check and the forecast throw nothing whatever the dump", async () => {
  await opened([source], (dump) => {
    expect(checkDump(dump).map(({ what, ok }) => [what, ok])).toEqual([
      ["page tables", true],
      ["log", false],
      ["symbols", false],
      ["types", false],
      ["tasks", false],
      ["registers", true],
    ]);
    for (const { pages, size, level, keptMore } of forecast(dump, [0, 16, 31], "lzo", 1)) {
      expect(pages).toBe(GUEST_FRAMES - excludedAt(level).size);
      expect(size).toBeGreaterThan(100_000);
      expect(keptMore).toBeNull();
    }
  });
});
