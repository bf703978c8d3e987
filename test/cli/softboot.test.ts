import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { asPfn } from "../../src/bytes/index.ts";
import { type DumpFile, openDump } from "../../src/format/index.ts";
import { commandTable } from "../../src/cli/table.ts";
import { runMain } from "./memory-sink.ts";

/** A dump of a real kernel, and a file that plays its machine's memory. */
const VMCORE = "samples/debian-6.1-sysrq.vmcore";
let folder: string;
let image: string;
let dump: DumpFile;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "lastwords-softboot-"));
  image = join(folder, "memory");
  ({ dump } = await openDump([VMCORE]));
});
afterAll(() => {
  dump.close();
  rmSync(folder, { recursive: true, force: true });
});

/** Only the pages that the dump has; the size is that of memory. */
function fillImage(): void {
  const bytes = Buffer.alloc(dump.maxPfn * 4096);
  for (let pfn = dump.nextStored(asPfn(0)); pfn !== undefined; pfn = dump.nextStored(asPfn(pfn + 1)))
    dump.readPage(pfn, bytes.subarray(pfn * 4096, (pfn + 1) * 4096));
  writeFileSync(image, bytes);
}

async function same(path: string): Promise<number> {
  const { dump: saved } = await openDump([path]);
  expect(saved.problems).toEqual([]);
  const [theirs, ours] = [new Uint8Array(4096), new Uint8Array(4096)];
  let count = 0;
  for (let pfn = dump.nextStored(asPfn(0)); pfn !== undefined; pfn = dump.nextStored(asPfn(pfn + 1))) {
    dump.readPage(pfn, theirs);
    saved.readPage(pfn, ours);
    if (Buffer.compare(theirs, ours) !== 0) throw new Error(`page ${pfn} is another`);
    count++;
  }
  saved.close();
  return count;
}

describe.skipIf(!("softboot" in commandTable))("softboot", () => {
  test("stage 1, config and save, over a real kernel's pages", async () => {
    fillImage();
    const stage1 = await runMain(["softboot", "stage1", VMCORE, "--reuse", "--memory", image]);
    expect(stage1.code).toBe(0);
    expect(stage1.out).toMatch(/^crashdump=0x[0-9a-f]+( memmap=0x[0-9a-f]+\$0x[0-9a-f]+){1,3}\n$/);
    expect(stage1.err).toMatch(/pages saved/);
    const crashdump = /crashdump=(\S+)/.exec(stage1.out)![1]!;

    const dir = join(folder, "dump");
    const config = await runMain(["softboot", "config", "--memory", image, "--crashdump", crashdump, "--dir", dir]);
    expect(config).toMatchObject({ code: 0, out: `${join(dir, "vmdump")}\n` });
    const count = await same(join(dir, "vmdump"));
    expect(stage1.err).toContain(`${count} pages saved`);

    const save = await runMain(["softboot", "save", "--memory", image, "--crashdump", crashdump, "--dir", dir]);
    expect(save).toMatchObject({ code: 0, out: `${join(dir, "0")}\n` });
    expect(readdirSync(dir)).toEqual(["0"]);
    expect(readdirSync(join(dir, "0")).sort()).toEqual(["dump.0", "log.0", "report.0"]);
    expect(readFileSync(join(dir, "0/report.0"), "utf8")).toMatch(/^kernel panic: sysrq triggered crash\n/);
    expect(readFileSync(join(dir, "0/log.0"), "utf8")).toContain("Kernel panic - not syncing: sysrq triggered crash");
    await same(join(dir, "0/dump.0"));

    // The memory is cleared: there is nothing to save again.
    const again = await runMain(["softboot", "save", "--memory", image, "--dir", dir]);
    expect(again.code).toBe(3);
    expect(again.err).toContain("there is no dump at");
  });

  test("save alone, found without its address; kept in memory", async () => {
    fillImage();
    await runMain(["softboot", "stage1", VMCORE, "--reuse", "--memory", image]);
    const dir = join(folder, "other");
    mkdirSync(join(dir, "41"), { recursive: true });
    for (const number of [42, 43]) {
      const save = await runMain(["softboot", "save", "--keep", "--memory", image, "--dir", dir]);
      expect(save).toMatchObject({ code: 0, out: `${join(dir, String(number))}\n` });
      await same(join(dir, `${number}/dump.${number}`));
    }
  });

  test("a region beside the old kernel's memory, and JSON", async () => {
    const bytes = Buffer.alloc(dump.maxPfn * 4096 + 64 * 1048576);
    writeFileSync(image, bytes);
    const region = `0x${(dump.maxPfn * 4096).toString(16)}+64M`;
    const { code, out } = await runMain(["softboot", "stage1", "--region", region, "--memory", image, "--json", VMCORE]);
    expect(code).toBe(0);
    expect(JSON.parse(out)).toMatchObject({ schema: "lastwords-softboot-1", crashdump: dump.maxPfn * 4096, truncated: false });
  });

  test.each([
    [["stage1", "--reuse"], /needs the old kernel's memory/],
    [["stage1", VMCORE], /needs memory to write to/],
    [["stage1", VMCORE, "--region", "0x10000000"], /ADDRESS\+SIZE in whole pages/],
    [["stage1", VMCORE, "--region", "0x10000001+4K"], /ADDRESS\+SIZE in whole pages/],
    [["config", VMCORE], /takes no file/],
    [["config", "--crashdump", "nowhere"], /is no address/],
  ])("%j is refused", async (argv, message) => {
    writeFileSync(image, Buffer.alloc(4096));
    const { code, err } = await runMain(["softboot", ...argv, "--memory", image]);
    expect(code).toBe(2);
    expect(err).toMatch(message);
  });

  test("a region that the old kernel used is refused", async () => {
    fillImage();
    const pfn = dump.nextStored(asPfn(5000))!;
    const { code, err } = await runMain(["softboot", "stage1", VMCORE, "--region", `${pfn * 4096}+1M`, "--memory", image]);
    expect(code).toBe(2);
    expect(err).toContain("memory of the crashed kernel");
  });
});
