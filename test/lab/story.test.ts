import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import {
  CAPTURE_COMMAND_LINE,
  defaultCacheFolder,
  fetchKernel,
  guestTools,
  Initramfs,
  isLabUnavailable,
  Machine,
  resolveModules,
} from "../../src/lab/index.ts";
import { sharedLibraries } from "../../src/lab/tools.ts";
import { addQuickjs, fetchQuickjs, quickjsCommand, QUICKJS_FOLDER } from "../../src/lab/quickjs.ts";
import type { Report } from "../../src/report/model.ts";
import { bundleForQuickjs } from "../../tools/bundle.ts";

/*
 * The whole story, on a stock Debian kernel: it panics, the capture kernel starts the recorder and fails to save the dump, the machine
 * reboots into a kernel without any pstore, and there `lastwords report /dev/mem` tells both why it crashed and why no dump was saved.
 */

const PROJECT = join(import.meta.dirname, "../..");
/** Reserved for the ramoops region, and two pages more for a memconsole. */
const HOLE = { address: 0x600_0000, size: 0x10_2000 };
const REGION =
  "mem_address=0x6000000,mem_size=0x100000,record_size=0x10000,console_size=0x20000,ftrace_size=0,pmsg_size=0x4000,tty_size=0x8000,ecc=1";
const MEMCONSOLE = { address: 0x610_0000, size: 8192 };

const SHELL = `#!/bin/busybox sh
/bin/busybox mkdir -p /proc /sys /dev /tmp /run
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sysfs /sys
/bin/busybox mount -t devtmpfs devtmpfs /dev
/bin/busybox --install -s /bin
export PATH=/bin
while read file; do insmod /mod/$file; done < /mod/order
say() { echo "lastwords-lab: $*"; }
disk() { for name in $(ls /sys/block); do [ "$(tr -d ' ' < /sys/block/$name/device/serial)" = "$1" ] && echo /dev/$name; done 2>/dev/null; }
`;

/** The first boot dies; the one after the capture kernel's reset finds the mark that the first left on a disk, and reads. */
const FIRST_INIT = `${SHELL}
if [ "$(dd if=$(disk mark) bs=4 count=1 2>/dev/null)" != done ]; then
  printf done | dd of=$(disk mark) conv=notrunc,fsync 2>/dev/null
  say "first kernel $(uname -r)"
  kexec -p /boot/vmlinuz --initrd=/boot/initramfs --append="${CAPTURE_COMMAND_LINE} memmap=0x${HOLE.size.toString(16)}\\$0x${HOLE.address.toString(16)}"
  echo 1 > /proc/sys/kernel/sysrq
  echo c > /proc/sysrq-trigger
fi
say "next kernel, pstore: $(ls /sys/fs/pstore 2>/dev/null | wc -l) files, $(grep -c pstore /proc/filesystems) file systems"
mkdir -p /opt
mount -t tmpfs -o size=600M tmpfs /opt
tar xf $(disk program) -C /opt
export PATH=/opt/bin:/bin LD_LIBRARY_PATH=/opt/lib
run() { /opt/lib/LOADER --library-path /opt/lib /opt/bin/node /opt/lastwords/bin/lastwords.js "$@"; }
say "begin found"; run report --json /dev/mem; say "end found"
say "begin named"; run report --json --ramoops ${REGION} /dev/mem; say "end named"
say "begin memconsole"; run report --json --memconsole address=0x${MEMCONSOLE.address.toString(16)},size=${MEMCONSOLE.size} /dev/mem; say "end memconsole"
say "begin text"; run report --log-lines 5 /dev/mem; run pstore ls /dev/mem; say "end text"
say "all done"
poweroff -f
`;

const CAPTURE_INIT = `${SHELL}
say "capture kernel $(uname -r)"
mount -t tracefs tracefs /sys/kernel/tracing
mkdir -p /run/lastwords
${quickjsCommand(QUICKJS_FOLDER, "/lib/lastwords/record.js").join(" ")} --config /etc/record.conf 2> /tmp/recorder &
for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do grep -q "frontend vmcore" /tmp/recorder && break; sleep 0.5; done
sleep 1
sed 's/^/lastwords-lab: /' /tmp/recorder
say "recorder $(grep -h 'VmHWM' /proc/$!/status)"
echo "crash at sector 7, checked by app" > /run/lastwords/pmsg
/kdump.sh
sleep 2
say "reboot"
reboot -f
`;

/** As people write them: it mounts the disk that the dump is for. There is none. */
const KDUMP_SCRIPT = `#!/bin/sh
echo "kdump.sh: saving the memory of the crashed kernel to /dev/sda1" > /dev/console
mount /dev/sda1 /mnt > /dev/console 2>&1 || { echo "kdump.sh: cannot mount /dev/sda1, giving up" > /dev/console; exit 1; }
cp /proc/vmcore /mnt
`;

const CONFIG = `frontend console
frontend tty input=yes
frontend pmsg
frontend vmcore
backend ramoops ${REGION}
backend memconsole address=0x${MEMCONSOLE.address.toString(16)} size=${MEMCONSOLE.size} frontends=vmcore+tty
`;

let console_ = "";
let skipped: string | undefined;

const part = (name: string): string => {
  const match = new RegExp(`lastwords-lab: begin ${name}\n([^]*?)lastwords-lab: end ${name}\n`).exec(console_);
  return match?.[1] ?? "";
};
const reportOf = (name: string): Report => JSON.parse(/^\{.*\}$/m.exec(part(name))![0]) as Report;

/** The tool as installed: Node with its libraries, and what npm would put beside it. */
async function programDisk(folder: string): Promise<{ path: string; loader: string }> {
  const root = join(folder, "program");
  mkdirSync(join(root, "bin"), { recursive: true });
  mkdirSync(join(root, "lib"), { recursive: true });
  mkdirSync(join(root, "lastwords/node_modules"), { recursive: true });
  execFileSync("cp", [process.execPath, join(root, "bin/node")]);
  const libraries = await sharedLibraries(process.execPath);
  for (const library of libraries) execFileSync("cp", ["-L", library, join(root, "lib")]);
  for (const name of ["bin", "dist", "package.json"]) execFileSync("cp", ["-r", join(PROJECT, name), join(root, "lastwords")]);
  execFileSync("cp", ["-r", join(PROJECT, "node_modules/iced-x86"), join(root, "lastwords/node_modules")]);
  const path = join(folder, "program.tar");
  execFileSync("tar", ["cf", path, "-C", root, "."]);
  // NVMe wants whole blocks.
  truncateSync(path, Math.ceil(readFileSync(path).length / 1048576 + 1) * 1048576);
  return {
    path,
    loader: libraries.map((library) => library.slice(dirname(library).length + 1)).find((name) => name.startsWith("ld-linux"))!,
  };
}

beforeAll(async () => {
  const options = { cache: defaultCacheFolder(), progress: (message: string): void => console.info(`lab: ${message}`) };
  const folder = mkdtempSync(join(defaultCacheFolder(), "story-"));
  try {
    const kernel = await fetchKernel("6.1", options);
    const tools = await guestTools(options);
    const quickjs = await fetchQuickjs(options);
    const busybox = readFileSync(tools.busybox);
    await bundleForQuickjs(join(PROJECT, "src/recorder/quickjs-main.ts"), join(folder, "record.js"), "0");
    const capture = new Initramfs()
      .addModules([])
      .addFile("/bin/busybox", busybox, "program")
      .addFile("/etc/record.conf", CONFIG)
      .addFile("/lib/lastwords/record.js", readFileSync(join(folder, "record.js")))
      .addFile("/kdump.sh", KDUMP_SCRIPT, "program")
      .addFile("/init", CAPTURE_INIT, "program");
    await addQuickjs(capture, quickjs);
    const program = await programDisk(folder);
    const first = new Initramfs()
      .addModules(await resolveModules(kernel, ["nvme"]))
      .addFile("/bin/busybox", busybox, "program")
      .addFile("/boot/vmlinuz", readFileSync(kernel.image))
      .addFile("/boot/initramfs", await capture.encode())
      .addFile("/init", FIRST_INIT.replace("LOADER", program.loader), "program");
    await first.addProgram(tools.kexec);
    const initramfs = join(folder, "initramfs.gz");
    writeFileSync(initramfs, await first.encode());
    const mark = join(folder, "mark.raw");
    writeFileSync(mark, "");
    truncateSync(mark, 1048576);
    await using machine = await Machine.start({
      kernel: kernel.image,
      initramfs,
      append: `panic=1 crashkernel=160M memmap=0x${HOLE.size.toString(16)}$0x${HOLE.address.toString(16)}`,
      memoryMiB: 1024,
      cpus: 2,
      disks: [
        { path: mark, serial: "mark" },
        { path: program.path, serial: "program" },
      ],
      onReset: "reboot",
      timeoutMs: 280_000,
      consoleFile: join(defaultCacheFolder(), "story.log"),
    });
    await machine.waitFor(/lastwords-lab: all done/, 270_000);
    await machine.exited();
    console_ = machine.console;
  } catch (error) {
    if (!isLabUnavailable(error)) throw error;
    skipped = error.message;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}, 300_000);

describe("a panic, a kdump that fails, a reboot, and a kernel without pstore", () => {
  const check = (name: string, body: () => void): void =>
    test(name, (context) => {
      if (skipped !== undefined) context.skip(skipped);
      else body();
    });

  check("the next kernel has no pstore", () => {
    expect(console_).toMatch(/lastwords-lab: next kernel, pstore: 0 files/);
  });

  check("the region is found, and tells why the kernel crashed and why kdump failed", () => {
    const report = reportOf("found");
    expect(report.panic.message).toBe("sysrq triggered crash");
    expect(report.summary).toContain("somebody asked for a crash through SysRq");
    expect(report.capture?.outcome).toBe("failed");
    expect(report.capture?.reason).toMatch(/^mount: mounting \/dev\/sda1 on \/mnt failed: /);
    expect(report.capture?.source).toContain("tty-ramoops-0");
    expect(report.records.map((record) => record.name)).toEqual(
      expect.arrayContaining(["dmesg-ramoops-0", "console-ramoops-0", "tty-ramoops-0", "pmsg-ramoops-0"]),
    );
  });

  check("the same with the region named", () => {
    const report = reportOf("named");
    expect(report.panic.message).toBe("sysrq triggered crash");
    expect(report.capture?.reason).toMatch(/^mount: mounting \/dev\/sda1/);
  });

  check("the same from a memconsole of one page", () => {
    const report = reportOf("memconsole");
    expect(report.panic.message).toBe("sysrq triggered crash");
    expect(report.capture?.reason).toMatch(/^mount: mounting \/dev\/sda1/);
    expect(report.capture?.source).toContain("console-memconsole-0");
  });

  check("the recorder is small enough for a capture kernel", () => {
    const kib = Number(/lastwords-lab: recorder VmHWM:\s+(\d+) kB/.exec(console_)![1]);
    console.info(`lab: recorder on QuickJS in the capture kernel: ${kib} KiB at most`);
    expect(kib).toBeLessThanOrEqual(16 * 1024);
  });
});
