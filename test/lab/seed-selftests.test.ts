import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { CAPTURE_COMMAND_LINE, resolveModules } from "../../src/lab/index.ts";
import { runMain } from "../cli/memory-sink.ts";
import { type Boots, kernelOrReason, runBoots } from "./guest-boots.ts";

/*
 * What linux:tools/testing/selftests/pstore asks of a kernel, in the form that the 2023 series gives it (no parameter `backend`,
 * several backends at once, a folder for each): pstore_tests, pstore_crash_test, pstore_post_reboot_tests, with our recorder as
 * frontends and backends. The kernel is a stock one, which panics with a capture kernel loaded, and reboots.
 */

/** Below the memory of the capture kernel: /dev/mem ends with its own last RAM. */
const HOLE = 0x600_0000;
const SIZE = 0x10_0000;
const TTY = 0x8000;
/** The tty zone lies behind what a stock kernel is told of. */
const SIZES = `record_size=0x8000,console_size=0x20000,ftrace_size=0x1000,pmsg_size=0x4000,ecc=1`;
const RAMOOPS = `mem_size=${SIZE},${SIZES},tty_size=${TTY}`;
const BLK = "kmsg_size=64,pmsg_size=16,console_size=128,tty_size=32,ftrace_size=0";
const PATTERN = "Testing pstore: uuid=";

const RECORD = `$QJS /record.js --frontend console --frontend tty --frontend pmsg "$@" \\
  --backend ramoops:mem_address=${HOLE},${RAMOOPS},order=ftrace-first,cpus=2 --backend pstore_blk:blkdev=$(disk blk),${BLK} 2> /tmp/journal &`;

/** pstore_tests and pstore_crash_test. */
const BEFORE = `
mount -t tracefs tracefs /sys/kernel/tracing
set --
${RECORD}
wait_until 60 test -p /run/lastwords/pmsg
wait_until 60 grep -q 'frontend pmsg' /tmp/journal
uuid=$(cat /proc/sys/kernel/random/uuid)
echo "${PATTERN}$uuid" > /run/lastwords/pmsg
echo "tty of the first kernel: $uuid" > /dev/tty0
echo "console of the first kernel: $uuid" > /dev/kmsg
stored() { region ${HOLE} ${SIZE} | grep -q "$1" && grep -q "$1" $(disk blk); }
wait_until 60 stored "${PATTERN}$uuid"
wait_until 60 stored "tty of the first kernel: $uuid"
wait_until 60 stored "console of the first kernel: $uuid"
cp /tmp/journal /out/journal
echo $uuid > /out/uuid
kexec -p /boot/vmlinuz --initrd=/boot/initramfs --append="${CAPTURE_COMMAND_LINE} memmap=1M\\$0x${HOLE.toString(16)}" || fail kexec
dmesg > /out/dmesg
save
echo 1 > /proc/sys/kernel/sysrq
echo c > /proc/sysrq-trigger`;

/** The capture kernel: here the kernel of the series has its pstore; it saves no dump. */
const CAPTURE = `
mount -t tracefs tracefs /sys/kernel/tracing
set -- --frontend vmcore
${RECORD}
wait_until 60 grep -q 'frontend pmsg' /tmp/journal
echo "kdump.sh: no disk to save the dump to" > /dev/tty0
echo "a program of the capture kernel" > /run/lastwords/pmsg
stored() { region ${HOLE} ${SIZE} | grep -q "$1" && grep -q "$1" $(disk blk); }
wait_until 60 stored "kdump.sh: no disk"
wait_until 60 stored "a program of the capture kernel"
wait_until 60 stored "sysrq: Trigger a crash"
cp /tmp/journal /out/journal
save
reboot -f`;

/** pstore_post_reboot_tests: what is there, and what the stock kernel shows of it. */
const AFTER = `
region ${HOLE} ${SIZE} > /out/ramoops.raw
cat $(disk blk) > /out/blk.raw
need reed_solomon pstore_zone
mount -t pstore pstore /sys/fs/pstore
insmod /mod/ramoops.ko mem_address=${HOLE} mem_size=${SIZE - TTY} ${SIZES.replaceAll(",", " ")} || fail ramoops
mkdir /out/kernel
cp -a /sys/fs/pstore/. /out/kernel/
# One backend at a time: that is what the series changes.
insmod /mod/pstore_blk.ko blkdev=$(disk blk) best_effort=y kmsg_size=64 || true
dmesg > /out/dmesg`;

const folder = mkdtempSync(join(tmpdir(), "lastwords-selftests-"));
let boots: Boots | string = "the guest did not run";

beforeAll(async () => {
  const kernel = await kernelOrReason("6.1");
  if (typeof kernel === "string") return void (boots = kernel);
  boots = await runBoots({
    kernel,
    modules: await resolveModules(kernel, ["ramoops", "pstore_blk"]),
    append: `panic=1 crashkernel=192M memmap=1M$0x${HOLE.toString(16)}`,
    memoryMiB: 768,
    disks: { blk: 2 ** 20 },
    scripts: [BEFORE, CAPTURE, AFTER],
    kexec: true,
  });
  for (const name of ["ramoops.raw", "blk.raw"]) writeFileSync(join(folder, name), boots.files[2]!.get(name)!.bytes);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A test of what the guest gave; skipped, with the reason, where this machine has no lab. */
function check(name: string, body: (ran: Boots) => void | Promise<void>): void {
  test(name, async (context) => {
    if (typeof boots === "string") return context.skip(boots);
    await body(boots);
  });
}

const textOf = (ran: Boots, boot: number, path: string): string => ran.files[boot]!.get(path)!.bytes.toString("latin1");

check("pstore_tests: two backends and every frontend are registered, and nothing chooses among them", (ran) => {
  for (const boot of [0, 1]) {
    const journal = textOf(ran, boot, "journal");
    expect(journal).not.toContain("NOT RECORDING");
    for (const name of ["backend ramoops", "backend pstore_blk", "frontend console", "frontend tty", "frontend pmsg"]) {
      expect(journal).toMatch(new RegExp(`^lastwords: ${name}: `, "m"));
    }
  }
});

check("pstore_post_reboot_tests: a folder for each backend with all records, made from the two images at once", async (ran) => {
  const out = join(folder, "given");
  const images = [join(folder, "ramoops.raw"), join(folder, "blk.raw")];
  const { code, err } = await runMain(["pstore", "extract", "--no-carved", "--output", out, ...images]);
  expect(code, err).toBe(0);
  expect(readdirSync(out).sort()).toEqual(["pstore_blk", "ramoops"]);
  const uuid = textOf(ran, 0, "uuid").trim();
  for (const backend of ["ramoops", "pstore_blk"]) {
    const read = (name: string): string => readFileSync(join(out, backend, name), "latin1");
    for (const type of ["dmesg", "console", "tty", "pmsg"]) expect(readdirSync(join(out, backend))).toContain(`${type}-${backend}-0`);
    // Exactly once, and with this boot's mark.
    expect(read(`pmsg-${backend}-0`).split(PATTERN)).toHaveLength(2);
    expect(read(`pmsg-${backend}-0`)).toContain(`${PATTERN}${uuid}\n`);
    expect(read(`pmsg-${backend}-0`)).toContain("a program of the capture kernel\n");
    expect(read(`tty-${backend}-0`)).toContain(`tty of the first kernel: ${uuid}\n`);
    expect(read(`tty-${backend}-0`)).toContain("kdump.sh: no disk to save the dump to\n");
    expect(read(`console-${backend}-0`)).toContain(`console of the first kernel: ${uuid}\n`);
    expect(read(`console-${backend}-0`)).toMatch(/Command line: .*elfcorehdr=/);
    // The selftest looks for an oops' end; where a capture kernel is loaded a panic is over before it says so.
    expect(read(`dmesg-${backend}-0`)).toContain("sysrq: Trigger a crash\n");
  }
});

check("a stock kernel shows the same, but of one backend only, and no tty", async (ran) => {
  const shown = new Map(
    [...ran.files[2]!].filter(([path]) => path.startsWith("kernel/")).map(([path, file]) => [path.slice(7), file.bytes]),
  );
  const out = join(folder, "ramoops-only");
  const { code, err } = await runMain([
    "pstore",
    "extract",
    "--no-carved",
    "--output",
    out,
    "--ramoops",
    RAMOOPS,
    join(folder, "ramoops.raw"),
  ]);
  expect(code, err).toBe(0);
  const own = readdirSync(join(out, "ramoops")).filter((name) => !name.endsWith(".joined") && !name.startsWith("tty-"));
  expect(own.sort()).toEqual([...shown.keys()].sort());
  for (const [name, bytes] of shown) expect(readFileSync(join(out, "ramoops", name), "latin1"), name).toBe(bytes.toString("latin1"));
  expect(textOf(ran, 2, "dmesg")).toMatch(/pstore: ignoring unexpected backend 'pstore_blk'/);
});
