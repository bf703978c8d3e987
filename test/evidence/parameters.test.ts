/** What a machine says of its ramoops region, and what of that is read on `/dev/mem`. */
import { closeSync, ftruncateSync, mkdirSync, mkdtempSync, openSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeEach, describe, expect, test } from "vitest";
import { readStorages, type StorageHints, type StorageSet } from "../../src/evidence/index.ts";
import { parametersOfHost } from "../../src/evidence/pstore/parameters.ts";
import { recordFileName } from "../../src/pstore/index.ts";
import { evidence } from "../pstore/evidence.ts";

const top = mkdtempSync(join(tmpdir(), "lastwords-parameters-"));
let root = top;
let number = 0;
beforeEach(() => {
  root = join(top, String(++number));
  mkdirSync(root);
});
afterAll(() => rmSync(top, { recursive: true, force: true }));

function put(name: string, content: string | Uint8Array): void {
  mkdirSync(join(root, name, ".."), { recursive: true });
  writeFileSync(join(root, name), content);
}

/** Cells as a device tree has them. */
function cells(...values: readonly number[]): Uint8Array {
  const bytes = Buffer.alloc(values.length * 4);
  for (const [i, value] of values.entries()) bytes.writeUInt32BE(value, i * 4);
  return bytes;
}

const found = (): (readonly [from: string, words: Record<string, string>])[] =>
  parametersOfHost(root).map(({ from, words }) => [from, Object.fromEntries(words)]);

const PLACE = { mem_address: String(0x6000000), mem_size: String(2 ** 20) };

describe("where a machine's region is said to be", () => {
  test("nowhere", () => {
    expect(found()).toEqual([]);
    put("proc/cmdline", "root=/dev/sda1 quiet\n");
    put("sys/module/ramoops/parameters/mem_size", "0\n");
    put("proc/iomem", "00000000-00000000 : System RAM\n00000000-00000000 : Reserved\n00000000-00000000 : System RAM\n");
    expect(found()).toEqual([]);
  });

  test("the command line: the module's words, and what it reserves", () => {
    put("proc/cmdline", "quiet ramoops.mem_address=0x6000000 ramoops.mem_size=1M ramoops.ecc=1 memmap=1M$0x6000000\n");
    expect(found()).toEqual([
      ["this machine's command line", { mem_address: "0x6000000", mem_size: "1M", ecc: "1" }],
      ["memmap= on this machine's command line", PLACE],
    ]);
  });

  test("the module's parameters, those of the tty series too; what is no number is left out", () => {
    const words = { mem_size: "1048576", mem_address: "100663296", record_size: "65536", tty_size: "131072", ecc: "1" };
    for (const [word, value] of Object.entries({ ...words, console_size: "x", mem_name: "oops" }))
      put(`sys/module/ramoops/parameters/${word}`, `${value}\n`);
    expect(found()).toEqual([["the parameters of this machine's ramoops module", words]]);
  });

  test("the device tree, with cells of 64 and of 32 bits", () => {
    put("proc/device-tree/reserved-memory/ramoops@6000000/compatible", "ramoops\0");
    put("proc/device-tree/reserved-memory/ramoops@6000000/reg", cells(1, 0x6000000, 0, 0x100000));
    put("proc/device-tree/reserved-memory/ramoops@6000000/record-size", cells(0x8000));
    put("proc/device-tree/reserved-memory/ramoops@6000000/console-size", cells(0x10000));
    put("proc/device-tree/reserved-memory/ramoops@6000000/ecc-size", cells(16));
    put("proc/device-tree/reserved-memory/b@7000000/compatible", "vendor,log\0ramoops\0");
    put("proc/device-tree/reserved-memory/b@7000000/reg", cells(0x7000000, 0x20000));
    put("proc/device-tree/reserved-memory/other@0/compatible", "shared-dma-pool\0");
    put("proc/device-tree/reserved-memory/other@0/reg", cells(0, 0, 0, 0x1000));
    put("proc/device-tree/reserved-memory/odd@0/compatible", "ramoops\0");
    put("proc/device-tree/reserved-memory/odd@0/reg", Uint8Array.of(1, 2, 3));
    put("proc/device-tree/reserved-memory/#address-cells", cells(2));
    expect(found().sort()).toEqual([
      ["device tree node reserved-memory/b@7000000", { mem_address: String(0x7000000), mem_size: String(0x20000) }],
      [
        "device tree node reserved-memory/ramoops@6000000",
        {
          mem_address: String(0x1_0600_0000),
          mem_size: String(0x100000),
          record_size: String(0x8000),
          console_size: String(0x10000),
          ecc_size: "16",
        },
      ],
    ]);
  });

  test("reserved memory between System RAM, and no other", () => {
    put(
      "proc/iomem",
      [
        "00000000-00000fff : Reserved",
        "00001000-0009ffff : System RAM",
        "000a0000-000fffff : PCI Bus 0000:00",
        "00100000-05ffffff : System RAM",
        "  01000000-01ffffff : Kernel code",
        "06000000-060fffff : Reserved",
        "06100000-0fffffff : System RAM",
        // Larger than any region, then firmware's at the end of memory.
        "10000000-17ffffff : Reserved",
        "18000000-1fffffff : System RAM",
        "20000000-200fffff : Reserved",
        "fee00000-fee00fff : Local APIC",
        "",
      ].join("\n"),
    );
    expect(found()).toEqual([["a reserved range between two of System RAM in /proc/iomem", PLACE]]);
  });

  test("best first", () => {
    put("sys/module/ramoops/parameters/mem_size", "1048576\n");
    put("proc/cmdline", "ramoops.mem_size=1M memmap=1M$0x6000000");
    put("proc/device-tree/reserved-memory/r/compatible", "ramoops\0");
    put("proc/device-tree/reserved-memory/r/reg", cells(0x6000000, 0x100000));
    put("proc/iomem", "00100000-05ffffff : System RAM\n06000000-060fffff : Reserved\n06100000-0fffffff : System RAM\n");
    expect(found().map(([from]) => from)).toEqual([
      "the parameters of this machine's ramoops module",
      "this machine's command line",
      "memmap= on this machine's command line",
      "device tree node reserved-memory/r",
      "a reserved range between two of System RAM in /proc/iomem",
    ]);
  });
});

describe("/dev/mem", () => {
  /** Memory of 128 MiB with a region at 0x6000000, a file with holes. */
  function memory(): string {
    const path = join(root, "dev/mem");
    mkdirSync(join(root, "dev"), { recursive: true });
    const fd = openSync(path, "w");
    ftruncateSync(fd, 128 * 2 ** 20);
    writeSync(fd, evidence("pstore-ramoops-deflate-ecc"), 0, 2 ** 20, 0x6000000);
    closeSync(fd);
    return path;
  }

  async function read(hints: StorageHints = {}): Promise<StorageSet> {
    const set = await readStorages([memory()], { root, ...hints });
    set.close();
    return set;
  }

  const names = ({ storages }: StorageSet): string[] => storages.flatMap(({ records }) => records.map((record) => recordFileName(record)));
  const ALL = ["dmesg-ramoops-0", "dmesg-ramoops-1", "dmesg-ramoops-2", "console-ramoops-0", "pmsg-ramoops-0", "tty-ramoops-0"];

  test.each([
    [
      "a hole in System RAM",
      "proc/iomem",
      "00100000-05ffffff : System RAM\n06000000-060fffff : Reserved\n06100000-0fffffff : System RAM\n",
    ],
    ["memmap=", "proc/cmdline", "memmap=1M$0x6000000"],
    ["a hole that is larger than the region", "proc/cmdline", "memmap=4M$0x5f00000"],
    ["ramoops' words", "proc/cmdline", "ramoops.mem_address=0x6000000 ramoops.mem_size=0x100000"],
    // What a kernel was told may be wrong: the other source counts.
    ["words that are no numbers", "proc/cmdline", "ramoops.mem_size=lots ramoops.mem_address=0x6000000 memmap=1M$0x6000000"],
    ["a word of another kernel", "proc/cmdline", "ramoops.mem_size=1M ramoops.mem_address=0x6000000 ramoops.colour=1 memmap=1M$0x6000000"],
    ["sizes that no kernel takes", "proc/cmdline", "ramoops.mem_size=1M ramoops.mem_address=0x6000000 ramoops.console_size=2M"],
  ])("%s", async (_, file, content) => {
    put(file, content);
    const set = await read();
    expect(names(set)).toEqual(ALL);
    expect(set.storages[0]).toMatchObject({ backend: "ramoops", address: 0x6000000, size: 2 ** 20 });
  });

  test("one region that several sources name is read once", async () => {
    put("proc/cmdline", "ramoops.mem_address=0x6000000 ramoops.mem_size=1M memmap=1M$0x6000000");
    put("proc/iomem", "00100000-05ffffff : System RAM\n06000000-060fffff : Reserved\n06100000-0fffffff : System RAM\n");
    expect((await read()).storages).toHaveLength(1);
  });

  test("nothing is searched that nobody names", async () => {
    const set = await read();
    expect(set.storages).toEqual([]);
    expect(set.notes).toEqual([expect.stringContaining("nothing says where a region could be")]);
    put("proc/cmdline", "memmap=1M$0x1000000");
    expect((await read()).notes).toEqual([expect.stringContaining("no zone in the 1 reserved ranges that this machine knows")]);
  });

  test("the user's words before all others, and refused where they are wrong", async () => {
    put("proc/cmdline", "memmap=1M$0x1000000");
    const hints = (words: Record<string, string>): StorageHints => ({ ramoops: new Map(Object.entries(words)) });
    expect(names(await read(hints({ mem_address: "0x6000000", mem_size: "1M" })))).toEqual(ALL);
    await expect(read(hints({ mem_address: "0x6000000", mem_size: "1M", colour: "red" }))).rejects.toThrow("no parameter 'colour'");
    await expect(read(hints({ mem_address: "0x6000000", mem_size: "1M", console_size: "2M" }))).rejects.toThrow(/console|size/);
    const beyond = await read(hints({ mem_address: "0x100000000", mem_size: "1M" }));
    expect(beyond.storages).toEqual([]);
  });
});
