import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { asPfn } from "../../src/bytes/index.ts";
import { type DumpFile, openDump } from "../../src/format/index.ts";
import { lkcdArchHeader } from "../../src/format/lkcd/index.ts";
import {
  CAPTURE_COMMAND_LINE,
  defaultCacheFolder,
  EMULATED,
  fetchKernel,
  guestTools,
  Initramfs,
  isLabUnavailable,
  Machine,
  type MachineOptions,
  resolveModules,
} from "../../src/lab/index.ts";
import { sharedLibraries } from "../../src/lab/tools.ts";
import { vmcoreSize } from "../../src/lab/vmcore-size.ts";

/*
 * The soft boot, on a stock Debian kernel: it panics; the capture kernel saves a vmcore for comparison and then compresses the old memory
 * into the old memory; a full kernel, started by kexec with the printed parameters, finds the dump, writes it out and reports on it.
 */

const PROJECT = join(import.meta.dirname, "../..");
const MEMORY_MIB = 1152;
const CRASHKERNEL_MIB = 448;
/**
 * The capture kernel is low in memory, as on a machine with much of it: read() and write() of its /dev/mem end there, and the dump's pages
 * come to lie behind.
 */
const CRASHKERNEL_AT_MIB = 64;

const SHELL = `#!/bin/busybox sh
/bin/busybox mkdir -p /proc /sys /dev /tmp /run /opt
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sysfs /sys
/bin/busybox mount -t devtmpfs devtmpfs /dev
/bin/busybox --install -s /bin
export PATH=/bin
say() { echo "lastwords-lab: $*"; }
fail() { say "failed: $*"; sleep 1; poweroff -f; }
while read file; do insmod /mod/$file || fail "insmod $file"; done < /mod/order
disk() { for name in $(ls /sys/block); do [ "$(tr -d ' ' < /sys/block/$name/device/serial)" = "$1" ] && echo /dev/$name; done 2>/dev/null; }
program() { mount -t tmpfs -o size=90% tmpfs /opt; tar xf $(disk program) -C /opt || fail "no program"; }
run() { /opt/lib/LOADER --library-path /opt/lib /opt/bin/node --max-old-space-size=96 /opt/lastwords/bin/lastwords.js "$@"; }
uptime_() { cut -d' ' -f1 /proc/uptime; }
`;

/** Text, code and noise in files, anonymous memory of a program that sleeps, and much that is free. */
const FIRST_INIT = `${SHELL}
say "first kernel $(uname -r)"
mkdir -p /load
mount -t tmpfs -o size=400M tmpfs /load
dd if=/dev/urandom of=/load/noise bs=1M count=24 2>/dev/null
for i in 1 2 3 4 5 6 7 8; do cat /boot/vmlinuz; done > /load/code
seq 1 2000000 > /load/text
dd if=/dev/urandom of=/load/gone bs=1M count=16 2>/dev/null; rm /load/gone
sort /load/text > /load/sorted &
kexec -p /boot/vmlinuz --initrd=/boot/initramfs --append="${CAPTURE_COMMAND_LINE}" || fail "kexec -p"
echo 1 > /proc/sys/kernel/sysrq
say "about to crash"
# Not on the boot CPU: the emulator wakes that from its hlt, and it then runs on the old kernel's code all the time.
taskset 2 sh -c 'echo c > /proc/sysrq-trigger'
`;

const CAPTURE_INIT = `${SHELL}
say "capture kernel $(uname -r)"
grep -v '^ ' /proc/iomem | sed 's/^/lastwords-lab: capture iomem: /'
dd if=/proc/vmcore of=$(disk vmcore) bs=1M conv=notrunc,fsync || fail "the vmcore cannot be saved"
program
say "stage 1 begins at $(uptime_)"
run softboot stage1 --reuse /proc/vmcore > /tmp/parameters || fail "stage 1 ended with $?"
say "stage 1 done at $(uptime_), $(grep VmHWM /proc/self/status)"
say "parameters $(cat /tmp/parameters)"
rm -rf /opt/bin /opt/lastwords
mkdir -p /tmp/boot
tar xf $(disk boot) -C /tmp/boot || fail "no kernel"
kexec -l /tmp/boot/vmlinuz --initrd=/tmp/boot/initramfs --append="${EMULATED} panic=1 $(cat /tmp/parameters)" || fail "kexec -l"
say "kexec"
kexec -e
`;

const FULL_INIT = `${SHELL}
say "full kernel $(uname -r), $(grep MemTotal /proc/meminfo | tr -s ' '), $(cat /proc/cmdline)"
grep -v '^ ' /proc/iomem | sed 's/^/lastwords-lab: full iomem: /'
program
run softboot config --dir /opt/dump || fail "config ended with $?"
say "config done at $(uptime_)"
# The first direct map, by config block and indirect map; half of it is torn, and what was in it comes from the table.
word() { dd if=/dev/mem bs=8 skip=$(($1 / 8)) count=1 2>/dev/null | hexdump -e '"0x" 2/4 "%08x"' | sed 's/0x\\(........\\)\\(........\\)/0x\\2\\1/'; }
address=$(sed 's/.*crashdump=\\([^ ]*\\).*/\\1/' /proc/cmdline)
root=$(($(word $((address + 80))) - 0xffff888000000000))
map=$(($(word $root)))
page=$(($(word $((map * 4096 + 800)))))
say "indirect map at $root, direct map in frame $map, page 100 in frame $page"
yes torn | dd of=/dev/mem bs=2048 seek=$((map * 2)) count=1 iflag=fullblock conv=notrunc 2>/dev/null || fail "the map cannot be torn"
run softboot config --dir /opt/torn; say "torn map: $?"
cmp /opt/dump/vmdump /opt/torn/vmdump && say "torn map: the dump is the same"
rm -r /opt/torn
yes torn | dd of=/dev/mem bs=2048 seek=$((page * 2)) count=1 iflag=fullblock conv=notrunc 2>/dev/null || fail "the page cannot be torn"
run softboot config --dir /opt/torn; say "torn page: $?"
rm -r /opt/torn
run softboot save --dir /opt/dump || fail "save ended with $?"
say "save done at $(uptime_)"
ls -l /opt/dump /opt/dump/0
( cd /opt/dump && tar cf - 0 ) | dd of=$(disk lkcd) bs=1M conv=notrunc,fsync 2>/dev/null || fail "the result cannot be saved"
run softboot config --dir /opt/again; say "again: $?"
say "all done"
sync
poweroff -f
`;

/** Node with its libraries, and what npm would put beside it. */
async function programDisk(folder: string): Promise<{ path: string; loader: string }> {
  const root = join(folder, "program");
  for (const name of ["bin", "lib", "lastwords/node_modules"]) mkdirSync(join(root, name), { recursive: true });
  execFileSync("cp", [process.execPath, join(root, "bin/node")]);
  const libraries = await sharedLibraries(process.execPath);
  for (const library of libraries) execFileSync("cp", ["-L", library, join(root, "lib")]);
  for (const name of ["bin", "dist", "package.json"]) execFileSync("cp", ["-r", join(PROJECT, name), join(root, "lastwords")]);
  execFileSync("cp", ["-rL", join(PROJECT, "node_modules/iced-x86"), join(root, "lastwords/node_modules")]);
  const path = tarDisk(folder, "program", root);
  const loader = libraries.map((library) => library.slice(dirname(library).length + 1)).find((name) => name.startsWith("ld-linux"))!;
  return { path, loader };
}

/** A tar archive as a disk; NVMe wants whole blocks. */
function tarDisk(folder: string, name: string, root: string): string {
  const path = join(folder, `${name}.tar`);
  execFileSync("tar", ["cf", path, "-C", root, "."]);
  truncateSync(path, Math.ceil(statSync(path).size / 1048576 + 1) * 1048576);
  return path;
}

function emptyDisk(folder: string, name: string, mib: number): string {
  const path = join(folder, `${name}.raw`);
  writeFileSync(path, "");
  truncateSync(path, mib * 1048576);
  return path;
}

let console_ = "";
let skipped: string | undefined;
let vmcore: DumpFile;
let lkcd: DumpFile;
let report = "";
let log = "";
/** QEMU's line for what runs on it, when stage 1 has written over the old kernel. */
let bootCpu = "";
let sizes: { vmcore: number; lkcd: number };

beforeAll(async () => {
  const options = { cache: defaultCacheFolder(), progress: (message: string): void => console.info(`lab: ${message}`) };
  mkdirSync(defaultCacheFolder(), { recursive: true });
  const folder = mkdtempSync(join(defaultCacheFolder(), "softboot-"));
  try {
    const kernel = await fetchKernel("6.1", options);
    const tools = await guestTools(options);
    const program = await programDisk(folder);
    const modules = await resolveModules(kernel, ["nvme"]);
    const initramfs = async (init: string): Promise<Initramfs> => {
      const made = new Initramfs()
        .addModules(modules)
        .addFile("/bin/busybox", readFileSync(tools.busybox), "program")
        .addFile("/init", init.replace("LOADER", program.loader), "program");
      return made.addProgram(tools.kexec);
    };
    const boot = join(folder, "boot");
    mkdirSync(boot);
    writeFileSync(join(boot, "vmlinuz"), readFileSync(kernel.image));
    writeFileSync(join(boot, "initramfs"), await (await initramfs(FULL_INIT)).encode());
    const bootDisk = tarDisk(folder, "boot", boot);
    const first = (await initramfs(FIRST_INIT))
      .addFile("/boot/vmlinuz", readFileSync(kernel.image))
      .addFile("/boot/initramfs", await (await initramfs(CAPTURE_INIT)).encode());
    const firstPath = join(folder, "first.gz");
    writeFileSync(firstPath, await first.encode());
    const vmcoreDisk = emptyDisk(folder, "vmcore", MEMORY_MIB + 64);
    const lkcdDisk = emptyDisk(folder, "lkcd", 512);
    const machineOptions: MachineOptions = {
      kernel: kernel.image,
      initramfs: firstPath,
      append: `panic=1 nokaslr crashkernel=${CRASHKERNEL_MIB}M@${CRASHKERNEL_AT_MIB}M`,
      memoryMiB: MEMORY_MIB,
      cpus: 2,
      disks: [
        { path: program.path, serial: "program" },
        { path: bootDisk, serial: "boot" },
        { path: vmcoreDisk, serial: "vmcore" },
        { path: lkcdDisk, serial: "lkcd" },
      ],
      timeoutMs: 580_000,
      consoleFile: join(defaultCacheFolder(), "softboot.log"),
      progress: options.progress,
    };
    await using machine = await Machine.boot(machineOptions, /^lastwords-lab: /m);
    await machine.waitFor(/lastwords-lab: (stage 1 done|failed)/, 570_000);
    for (let i = 0; i < 3 && !bootCpu.includes("HLT=1"); i++) {
      const registers = await machine.registers();
      bootCpu = /^RIP=.*$/m.exec(registers)?.[0] ?? registers;
    }
    await machine.waitFor(/lastwords-lab: (all done|failed)/, 570_000);
    await machine.exited();
    console_ = machine.console;
    const bytes = await vmcoreSize(vmcoreDisk);
    truncateSync(vmcoreDisk, bytes);
    execFileSync("tar", ["xf", lkcdDisk, "-C", folder]);
    sizes = { vmcore: bytes, lkcd: statSync(join(folder, "0/dump.0")).size };
    // Opened while they are there; the files may then lose their names.
    vmcore = (await openDump([vmcoreDisk])).dump;
    lkcd = (await openDump([join(folder, "0/dump.0")])).dump;
    report = readFileSync(join(folder, "0/report.0"), "utf8");
    log = readFileSync(join(folder, "0/log.0"), "utf8");
  } catch (error) {
    if (!isLabUnavailable(error)) throw error;
    skipped = error.message;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}, 600_000);

describe("soft boot: panic, stage 1 in the capture kernel, kexec into a full kernel, stage 2", () => {
  const check = (name: string, body: () => void): void =>
    test(name, (context) => {
      if (skipped !== undefined) context.skip(skipped);
      else body();
    });

  check("the full kernel keeps its hands off the dump", () => {
    const parameters = /lastwords-lab: parameters (.*)/.exec(console_)![1]!;
    console.info(`lab: ${parameters}; vmcore ${sizes.vmcore} bytes, LKCD ${sizes.lkcd}`);
    expect(parameters).toMatch(
      /^crashdump=0x[0-9a-f]+( memmap=0x[0-9a-f]+\$0x[0-9a-f]+){1,3}( memmap=0x[0-9a-f]+@0x[0-9a-f]+)+ disable_cpu_apicid=0( memmap=0x[0-9a-f]+\$0x[0-9a-f]+){1,2}$/,
    );
    expect(Number(/crashdump=(\S+)/.exec(parameters)![1])).toBeGreaterThanOrEqual((CRASHKERNEL_AT_MIB + CRASHKERNEL_MIB) * 1048576);
    const memTotal = Number(/lastwords-lab: full kernel .*MemTotal: (\d+) kB/.exec(console_)![1]);
    // All but the dump, not the capture kernel's share alone.
    expect(memTotal / 1024).toBeGreaterThan(CRASHKERNEL_MIB + 200);
  });

  check("the boot CPU, left waiting by the crash, sleeps on", () => {
    expect(bootCpu).toMatch(/HLT=1/);
    expect(console_).not.toContain("CPUs that the crash left waiting");
  });

  check("every page is that of the vmcore", () => {
    expect(lkcd.problems).toEqual([]);
    expect(lkcd.format).toBe("lkcd");
    const theirs = new Uint8Array(4096);
    const ours = new Uint8Array(4096);
    const different: number[] = [];
    const missing: number[] = [];
    let count = 0;
    for (let pfn = vmcore.nextStored(asPfn(0)); pfn !== undefined; pfn = vmcore.nextStored(asPfn(pfn + 1))) {
      count++;
      if (lkcd.pageState(pfn) !== "stored") {
        missing.push(pfn);
        continue;
      }
      vmcore.readPage(pfn, theirs);
      lkcd.readPage(pfn, ours);
      if (Buffer.compare(theirs, ours) !== 0) different.push(pfn);
    }
    expect({ different, missing }).toEqual({ different: [], missing: [] });
    let more = 0;
    for (let pfn = lkcd.nextStored(asPfn(0)); pfn !== undefined; pfn = lkcd.nextStored(asPfn(pfn + 1))) more++;
    expect(more).toBe(count);
    console.info(`lab: ${count} pages compared`);
    expect(count * 4096).toBeGreaterThan((MEMORY_MIB - CRASHKERNEL_MIB - 64) * 1048576);
  });

  check("registers of both CPUs are in the header", () => {
    const header = lkcdArchHeader(lkcd)!;
    expect(header.numCpus).toBe(2);
    for (const cpu of header.cpus) expect(cpu.currentTask).not.toBe(0n);
  });

  check("log and report lie beside it", () => {
    expect(log).toContain("sysrq: Trigger a crash");
    expect(report).toContain("sysrq triggered crash");
    // By the registers and VMCOREINFO, which came along as notes.
    expect(lkcd.notes.map(({ name }) => name)).toEqual(vmcore.notes.map(({ name }) => name));
    expect(lkcd.vmcoreinfo).toContain("OSRELEASE=6.1.");
    expect(report).toMatch(/sysrq_handle_crash\+0x/);
  });

  check("a torn map is noticed, and nothing is lost; of a page that was overwritten only what was in it is", () => {
    expect(console_).toContain("1 direct map changed in 256 words; the table of pages says what was there");
    expect(console_).toContain("lastwords-lab: torn map: 3");
    expect(console_).toContain("lastwords-lab: torn map: the dump is the same");
    expect(console_).toMatch(/1 of \d+ pages of the dump were written over/);
    const lost = Number(/(\d+) of \d+ pages of the crashed kernel are lost with them/.exec(console_)![1]);
    // Pages of zeros take 16 bytes each.
    expect(lost).toBeLessThanOrEqual(258);
    expect(console_).toContain("lastwords-lab: torn page: 3");
  });

  check("then the memory is cleared", () => {
    expect(console_).toMatch(/lastwords-lab: again: [1-9]/);
  });
});
