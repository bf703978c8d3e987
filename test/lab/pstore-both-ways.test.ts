import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { breakFunction, type KernelSeries, type LoadableModule, resolveModules } from "../../src/lab/index.ts";
import { zoneGeometry } from "../../src/pstore/ramoops/layout.ts";
import { runMain } from "../cli/memory-sink.ts";
import { type Boots, type GuestFile, kernelOrReason, runBoots } from "./guest-boots.ts";

/*
 * What our recorder wrote is read by the kernel's own ramoops and pstore_blk modules, and what those wrote by our reader: a stock
 * Debian kernel, reset once, its memory and disks kept. Every file is compared byte for byte.
 */

const HOLE = 0x2000_0000;

/** A ramoops region: its sizes in the kernel's own words. */
interface Region {
  readonly name: string;
  readonly address: number;
  readonly size: number;
  readonly sizes: string;
  readonly consoleSize: number;
  readonly pmsgSize: number;
  readonly eccSize: number;
}

function region(
  name: string,
  index: number,
  [record, console, ftrace, pmsg]: readonly [number, number, number, number],
  ecc: 0 | 1,
): Region {
  const size = 0x8_0000;
  return {
    name,
    address: HOLE + index * 0x10_0000,
    size,
    sizes: `mem_size=${size} record_size=${record} console_size=${console} ftrace_size=${ftrace} pmsg_size=${pmsg} ecc=${ecc}`,
    consoleSize: console,
    pmsgSize: pmsg,
    eccSize: ecc * 16,
  };
}

/** Written by our recorder: one where both rings wrap, one where neither does. */
const WRAPPED = region("wrapped", 0, [0x8000, 0x4000, 0x2000, 0x4000], 1);
const PLAIN = region("plain", 1, [0x4000, 0x2_0000, 0x1000, 0x8000], 0);
/** Written by the kernel. */
const KERNEL_ECC = region("kernel-ecc", 2, [0x4000, 0x4000, 0x4000, 0x2000], 1);
const KERNEL_PLAIN = region("kernel-plain", 3, [0x8000, 0x1_0000, 0x2000, 0x1000], 0);

const BLK_SIZES = "kmsg_size=64 pmsg_size=16 console_size=128 ftrace_size=0";
const BLK_PMSG = 16 * 1024 - 12;

/** Every byte there is, in lines; more than the smaller pmsg zones hold. */
const PMSG: Buffer = Buffer.concat([
  Buffer.from(Array.from({ length: 300 }, (_, i) => `pmsg line ${i}: the quick brown fox jumps over the lazy dog\n`).join("")),
  Buffer.from(Array.from({ length: 1024 }, (_, i) => (i * 7) % 256)),
  Buffer.from("\nend-of-pmsg\n"),
]);

/** A log such as a capture kernel finds: longer than one record holds. */
const LOG = `${Array.from({ length: 900 }, (_, i) => `[  ${100 + i}.000000] line ${i} of the crashed kernel's log, ${"x".repeat(i % 37)}`).join("\n")}\n`;
const PANIC_SECONDS = 1_700_000_000;
const OOPS_SECONDS = 1_600_000_000;

/** Order of the zones: it changed in 6.2. */
const SERIES: readonly (readonly [KernelSeries, string])[] = [
  ["6.1", "ftrace-first"],
  ["6.12", "pmsg-first"],
];

const KMSG_MARK = "end-of-kmsg\n";

const words = (sizes: string): string => sizes.replaceAll(" ", ",");

/** First boot: our recorder, then the kernel's modules, then the end. */
function firstBoot(order: string): string {
  const ramoops = ({ address, sizes }: Region): string => `ramoops:mem_address=${address},${words(sizes)},order=${order},cpus=2`;
  const backends = `'${ramoops(WRAPPED)},frontends=kmsg+pmsg' '${ramoops(PLAIN)},frontends=console+pmsg' "pstore_blk:blkdev=$(disk ours),${words(BLK_SIZES)},frontends=kmsg+pmsg"`;
  return `
echo "a message of a program" > /dev/kmsg
set -- ${backends}
$QJS /record.js --no-banner --frontend kmsg --frontend console --frontend pmsg --backend "$1" --backend "$2" --backend "$3" 2> /out/journal &
recorder=$!
wait_until 60 test -p /run/lastwords/pmsg
cat /pmsg > /run/lastwords/pmsg
printf '<4>end-of-kmsg\\n' > /dev/kmsg
recorded() {
  grep -q end-of-pmsg $(disk ours) && grep -q end-of-kmsg $(disk ours) &&
  region ${PLAIN.address} ${PLAIN.size} | grep -q end-of-pmsg && region ${PLAIN.address} ${PLAIN.size} | grep -q end-of-kmsg
}
wait_until 60 recorded
kill $recorder; wait $recorder
dmesg -r > /out/dmesg
$QJS /record-writer.js ${PANIC_SECONDS} Panic /log "$@" || fail "record-writer"
$QJS /record-writer.js ${OOPS_SECONDS} Oops /short "$@" || fail "record-writer"
uname -r > /out/release
oops() { cat /proc/net/pktgen/pgctrl; sleep 1; }
need pktgen reed_solomon pstore_zone
# pstore_blk stores nothing before it has read what there is, and it reads when it is looked at.
mount -t pstore pstore /sys/fs/pstore
insmod /mod/ramoops.ko mem_address=${KERNEL_ECC.address} ${KERNEL_ECC.sizes} || fail ramoops
oops; oops
rmmod ramoops || fail "ramoops does not go"
insmod /mod/pstore_blk.ko blkdev=$(disk theirs) best_effort=y ${BLK_SIZES} || fail pstore_blk
oops; oops
sleep 2
rmmod pstore_blk || fail "pstore_blk does not go"
insmod /mod/ramoops.ko mem_address=${KERNEL_PLAIN.address} ${KERNEL_PLAIN.sizes} || fail ramoops
oops
save
echo c > /proc/sysrq-trigger`;
}

/** Second boot: everything as it lies there first, then as the kernel shows it. */
function secondBoot(): string {
  const shown = [WRAPPED, PLAIN, KERNEL_ECC, KERNEL_PLAIN].map(
    ({ name, address, sizes }) => `
insmod /mod/ramoops.ko mem_address=${address} ${sizes} || fail ramoops
show ${name}
rmmod ramoops`,
  );
  const blk = ["ours", "theirs"].map(
    (serial) => `
insmod /mod/pstore_blk.ko blkdev=$(disk ${serial}) best_effort=y ${BLK_SIZES} || fail pstore_blk
show blk-${serial}
rmmod pstore_blk`,
  );
  return `
${[WRAPPED, PLAIN, KERNEL_ECC, KERNEL_PLAIN].map(({ name, address, size }) => `region ${address} ${size} > /out/${name}.raw`).join("\n")}
cat $(disk ours) > /out/blk-ours.raw
cat $(disk theirs) > /out/blk-theirs.raw
show() { mount -t pstore pstore /sys/fs/pstore; mkdir /out/$1; cp -a /sys/fs/pstore/. /out/$1/; umount /sys/fs/pstore; }
need reed_solomon pstore_zone
${shown.join("")}${blk.join("")}
dmesg > /out/dmesg`;
}

describe.each(SERIES)("%s", (series, order) => {
  const folder = mkdtempSync(join(tmpdir(), "lastwords-both-ways-"));
  let boots: Boots | string = "the guest did not run";

  beforeAll(async () => {
    const kernel = await kernelOrReason(series);
    if (typeof kernel === "string") return void (boots = kernel);
    const modules = await resolveModules(kernel, ["ramoops", "pstore_blk", "pktgen"]);
    boots = await runBoots({
      kernel,
      modules: modules.map(broken),
      programs: ["record-writer"],
      files: { "/pmsg": PMSG, "/log": LOG, "/short": "a short log\n" },
      append: `panic=1 memmap=4M$0x${HOLE.toString(16)}`,
      disks: { ours: 2 ** 20, theirs: 2 ** 20 },
      scripts: [firstBoot(order), secondBoot()],
    });
    for (const [name, { bytes }] of boots.files[1]!) if (name.endsWith(".raw")) writeFileSync(join(folder, name), bytes);
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  /** A test of what the guest gave; skipped, with the reason, where this machine has no lab. */
  const check = (name: string, body: (ran: Boots) => void | Promise<void>): void => {
    test(name, async (context) => {
      if (typeof boots === "string") return context.skip(boots);
      await body(boots);
    });
  };

  /** The files that our reader makes of an image. */
  const ours = async (image: string, ...options: readonly string[]): Promise<Map<string, GuestFile>> => {
    const out = mkdtempSync(join(folder, "out-"));
    const { code, err } = await runMain(["pstore", "extract", "--no-carved", "--output", out, join(folder, image), ...options]);
    expect(code, err).toBe(0);
    const files = new Map<string, GuestFile>();
    for (const backend of readdirSync(out)) {
      for (const name of readdirSync(join(out, backend))) {
        const path = join(out, backend, name);
        if (!name.endsWith(".joined")) files.set(name, { bytes: readFileSync(path), seconds: Math.floor(statSync(path).mtimeMs / 1000) });
      }
    }
    return files;
  };

  for (const one of [WRAPPED, PLAIN, KERNEL_ECC, KERNEL_PLAIN]) {
    check(`ramoops ${one.name}: our reader's files are the kernel's`, async (ran) => {
      const theirs = shown(ran, one.name);
      expect([...theirs.keys()]).not.toEqual([]);
      expectSame(await ours(`${one.name}.raw`), theirs);
      expectSame(await ours(`${one.name}.raw`, "--ramoops", words(one.sizes)), theirs);
    });
  }

  for (const one of [WRAPPED, PLAIN]) {
    const capacity = (size: number): number => zoneGeometry(size, one.eccSize).capacity;
    const notice = one.eccSize > 0 ? "\nECC: No errors detected\n" : "";

    check(`ramoops ${one.name}: the kernel shows what our recorder was given`, (ran) => {
      const theirs = shown(ran, one.name);
      const console = textOf(theirs, "console-ramoops-0")!.slice(0, -notice.length || undefined);
      const log = logUpTo(ran, console, one === PLAIN ? 7 : 8);
      expect(log.length > capacity(one.consoleSize)).toBe(one === WRAPPED);
      expect(PMSG.length > capacity(one.pmsgSize)).toBe(one === WRAPPED);
      expect(console + notice).toBe(log.slice(-capacity(one.consoleSize)) + notice);
      expect(textOf(theirs, "pmsg-ramoops-0")).toBe(PMSG.toString("latin1").slice(-capacity(one.pmsgSize)) + notice);
      // Our records, in as many parts as there was room for: the newest text has number 1.
      const records = [...theirs].filter(([name]) => name.startsWith("dmesg-")).map(([, file]) => file);
      const panic = records.map(({ bytes }) =>
        /^Panic#1 Part(\d+)\n([^]*)$/.exec(bytes.toString("latin1").slice(0, -notice.length || undefined)),
      );
      const parts = panic.filter((match) => match !== null).sort((a, b) => Number(b[1]) - Number(a[1]));
      expect(parts.map((match) => match[2]).join("")).toBe(LOG);
      expect(records.map(({ bytes }) => bytes.toString("latin1"))).toContain(`Oops#1 Part1\na short log\n${notice}`);
      expect(new Set(records.map(({ seconds }) => seconds))).toEqual(new Set([PANIC_SECONDS, OOPS_SECONDS]));
    });
  }

  for (const name of ["blk-ours", "blk-theirs"]) {
    check(`pstore_blk ${name}: our reader's files are the kernel's`, async (ran) => {
      const theirs = shown(ran, name);
      expect([...theirs.keys()]).not.toEqual([]);
      expectSame(await ours(`${name}.raw`), theirs);
      expectSame(await ours(`${name}.raw`, "--blk", words(BLK_SIZES)), theirs);
    });
  }

  check("pstore_blk: the kernel shows what our recorder was given", (ran) => {
    const theirs = shown(ran, "blk-ours");
    const console = textOf(theirs, "console-pstore_blk-0")!;
    expect(console).toBe(logUpTo(ran, console, 8));
    expect(PMSG.length).toBeGreaterThan(BLK_PMSG);
    expect(textOf(theirs, "pmsg-pstore_blk-0")).toBe(PMSG.toString("latin1").slice(-BLK_PMSG));
    expect(textOf(theirs, "dmesg-pstore_blk-0")).toBe(`Panic: Total 1 times\nPanic#1 Part1\n${LOG}`);
    expect(theirs.get("dmesg-pstore_blk-0")?.seconds).toBe(PANIC_SECONDS);
    expect(textOf(theirs, "dmesg-pstore_blk-1")).toMatch(/^Oops: Total \d+ times\nOops#1 Part1\na short log\n$/);
  });

  check("the kernel's own records are there, and end as it died", (ran) => {
    for (const name of ["kernel-ecc", "kernel-plain", "blk-theirs"]) {
      const texts = [...shown(ran, name)].map(([, { bytes }]) => bytes.toString("latin1"));
      expect(texts.filter((text) => text.includes("RIP: 0010:pgctrl_show")).length, name).toBeGreaterThan(0);
    }
    const panic = [...shown(ran, "kernel-plain")]
      .map(([, { bytes }]) => bytes.toString("latin1"))
      .find((text) => text.startsWith("Panic#"));
    expect(panic).toContain("Kernel panic - not syncing: sysrq triggered crash");
  });
});

/** The module whose /proc file oopses when it is read, without any lock held; others stay. */
function broken(module: LoadableModule): LoadableModule {
  return module.name === "pktgen" ? { ...module, bytes: breakFunction(module.bytes, "pgctrl_show") } : module;
}

/** What the kernel showed of a storage. */
function shown({ files }: Boots, name: string): Map<string, GuestFile> {
  const prefix = `${name}/`;
  return new Map([...files[1]!].filter(([path]) => path.startsWith(prefix)).map(([path, file]) => [path.slice(prefix.length), file]));
}

function textOf(files: ReadonlyMap<string, GuestFile>, name: string): string | undefined {
  return files.get(name)?.bytes.toString("latin1");
}

function expectSame(ours: ReadonlyMap<string, GuestFile>, theirs: ReadonlyMap<string, GuestFile>): void {
  expect([...ours.keys()].sort()).toEqual([...theirs.keys()].sort());
  for (const [name, file] of theirs) {
    expect(textOf(ours, name), name).toBe(file.bytes.toString("latin1"));
    if (name.startsWith("dmesg-")) expect(ours.get(name)!.seconds, name).toBe(file.seconds);
  }
}

/**
 * The first boot's kernel log as consoles print it, only messages below a level, up to where the recorder was ended: a
 * message may have come between the mark and that, and others after it.
 */
function logUpTo({ files }: Boots, ring: string, level: number): string {
  const all = textOf(files[0]!, "dmesg")!
    .split(/(?<=\n)/)
    .map((line) => /^<(\d+)>([^]*)$/.exec(line)!)
    .filter(([, priority]) => Number(priority) % 8 < level)
    .map(([, , text]) => text!)
    .join("");
  const behind = ring.slice(ring.indexOf(KMSG_MARK));
  expect(all).toContain(behind);
  return all.slice(0, all.indexOf(behind) + behind.length);
}
