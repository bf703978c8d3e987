import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { beforeAll, describe, expect, test, type TestContext } from "vitest";
import {
  CAPTURE_COMMAND_LINE,
  defaultCacheFolder,
  fetchKernel,
  guestTools,
  Initramfs,
  isLabUnavailable,
  type LabKernel,
  Machine,
  type MachineOptions,
  resolveModules,
} from "../../src/lab/index.ts";
import { sharedLibraries } from "../../src/lab/tools.ts";
import { vmcoreSize } from "../../src/lab/vmcore-size.ts";

/*
 * A stock kernel with a network card dies; the capture kernel runs the collectors before any driver of that card and writes the merged
 * vmcore. Once with the capture kernel below 4 GiB, as most are: there read() of /dev/mem ends before the card's registers and busybox
 * reads them. Once above: there Node reads them by itself.
 */

const PROJECT = join(import.meta.dirname, "../..");
const MAC = "52:54:00:12:34:56";
const CARD = "0000:00:10.0";

interface Machinery {
  readonly name: string;
  readonly append: string;
  readonly memoryMiB: number;
  readonly extra: readonly string[];
  /** Whether the collector finds a busybox to fall back on; else read() of /dev/mem has to do. */
  readonly devmem: boolean;
}

const MACHINES: readonly Machinery[] = [
  { name: "capture kernel below 4 GiB", append: "crashkernel=448M", memoryMiB: 1100, extra: [], devmem: true },
  {
    name: "capture kernel above 4 GiB",
    // A kernel that chances to lie in the middle of the memory above leaves no 448 MiB there.
    append: "crashkernel=448M,high crashkernel=32M,low nokaslr",
    memoryMiB: 1280,
    extra: ["-machine", "pc,max-ram-below-4g=512M"],
    devmem: false,
  },
];

const SHELL = `#!/bin/busybox sh
/bin/busybox mkdir -p /proc /sys /dev /tmp /etc/lastwords
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sysfs /sys
/bin/busybox mount -t devtmpfs devtmpfs /dev
/bin/busybox --install -s /bin
export PATH=/bin
while read file; do insmod /mod/$file; done < /mod/order
say() { echo "lastwords-lab: $*"; }
disk() { for name in $(ls /sys/block); do [ "$(tr -d ' ' < /sys/block/$name/device/serial)" = "$1" ] && echo /dev/$name; done 2>/dev/null; }
`;

const FIRST_INIT = `${SHELL}
say "first kernel $(uname -r)"
kexec -p /boot/vmlinuz --initrd=/boot/initramfs --append="${CAPTURE_COMMAND_LINE}"
[ "$(cat /sys/kernel/kexec_crash_loaded)" = 1 ] || { say "failed: the capture kernel was not loaded"; poweroff -f; }
echo 1 > /proc/sys/kernel/sysrq
echo c > /proc/sysrq-trigger
`;

const captureInit = (devmem: boolean): string => `${SHELL}
say "capture kernel $(uname -r)"
tar xf $(disk program) -C / || say "failed: the program cannot be unpacked"
say "read: $(dd if=/dev/mem of=/dev/null bs=4096 count=1 skip=$(( $(head -c 18 /sys/bus/pci/devices/${CARD}/resource) / 4096 )) 2>&1 | head -n 1)"
mkdir /only; ln -s /bin/busybox /only/cat
cd /lastwords
DISK=$(disk vmcore)
${devmem ? "" : "PATH=/only"} /bin/node test/lab/write-merged.ts $DISK || say "failed: the merged vmcore was not written"
say "over"
sync
poweroff -f
`;

/** Drop-in collectors of the guest: the examples, and one that hangs as hard as it can. */
const HANGS = `export function register(dumps) {
  const add = (name, collect) => dumps.addDeviceDump({ name, size: 100, collect });
  add("before", (buffer) => void buffer.fill(1));
  add("hangs", () => { for (;;); });
  add("after", (buffer) => void buffer.fill(2));
}
`;

interface Outcome {
  readonly kernel: LabKernel;
  readonly folder: string;
  readonly vmcore: string;
  readonly console: string;
  readonly said: { dumps: [string, number][]; lost: { name: string; reason: string }[]; size: number; written: number };
}

/** Node with its libraries where it looks for them, and the sources, which it runs as they are. */
async function programDisk(folder: string): Promise<string> {
  const root = join(folder, "program");
  for (const path of ["bin", "etc/lastwords/collectors.d", "lastwords/test/lab"]) mkdirSync(join(root, path), { recursive: true });
  execFileSync("cp", [process.execPath, join(root, "bin/node")]);
  for (const library of await sharedLibraries(process.execPath)) {
    mkdirSync(join(root, dirname(library)), { recursive: true });
    execFileSync("cp", ["-L", library, join(root, library)]);
  }
  execFileSync("cp", ["-r", join(PROJECT, "src"), join(PROJECT, "package.json"), join(root, "lastwords")]);
  execFileSync("cp", [join(PROJECT, "test/lab/write-merged.ts"), join(root, "lastwords/test/lab")]);
  const collectors = join(root, "etc/lastwords/collectors.d");
  for (const name of ["acpi-errors.mjs", "bus-map.sh"]) execFileSync("cp", ["-p", join(PROJECT, "examples/collectors", name), collectors]);
  writeFileSync(join(collectors, "hangs.mjs"), HANGS);
  execFileSync("chmod", ["-R", "go-w", collectors]);
  const path = join(folder, "program.tar");
  execFileSync("tar", ["cf", path, "--owner=0", "--group=0", "-C", root, "."]);
  truncateSync(path, Math.ceil(statSync(path).size / 1048576 + 1) * 1048576); // NVMe wants whole blocks
  rmSync(root, { recursive: true });
  return path;
}

async function crash(machinery: Machinery, folder: string): Promise<Outcome> {
  const options = { cache: defaultCacheFolder(), progress: (message: string): void => console.info(`lab: ${message}`) };
  const kernel = await fetchKernel("6.1", options);
  const tools = await guestTools(options);
  const busybox = readFileSync(tools.busybox);
  const capture = new Initramfs()
    .addModules(await resolveModules(kernel, ["nvme"]))
    .addFile("/bin/busybox", busybox, "program")
    .addFile("/init", captureInit(machinery.devmem), "program");
  const first = new Initramfs()
    .addModules([])
    .addFile("/bin/busybox", busybox, "program")
    .addFile("/boot/vmlinuz", readFileSync(kernel.image))
    .addFile("/boot/initramfs", await capture.encode())
    .addFile("/init", FIRST_INIT, "program");
  await first.addProgram(tools.kexec);
  const initramfs = join(folder, "initramfs.gz");
  writeFileSync(initramfs, await first.encode());
  const program = await programDisk(folder);
  const vmcore = join(folder, "vmcore");
  writeFileSync(vmcore, "");
  truncateSync(vmcore, (machinery.memoryMiB + 64) * 1048576);
  const machineOptions: MachineOptions = {
    kernel: kernel.image,
    initramfs,
    append: `panic=1 ${machinery.append}`,
    memoryMiB: machinery.memoryMiB,
    cpus: 2,
    disks: [
      { path: vmcore, serial: "vmcore" },
      { path: program, serial: "program" },
    ],
    extra: [...machinery.extra, "-device", `e1000,mac=${MAC},addr=0x10`],
    timeoutMs: 280_000,
    consoleFile: join(defaultCacheFolder(), "device-dump.log"),
    progress: (message) => console.info(`lab: ${message}`),
  };
  await using machine = await Machine.boot(machineOptions, /^lastwords-lab: /m);
  await machine.waitFor(/lastwords-lab: (?:over|failed.*)\n/, 270_000);
  await machine.exited();
  const said = /lastwords-lab: merged (\{.*\})\n/.exec(machine.console)?.[1];
  if (said === undefined) throw new Error(`nothing was merged; the console ends with\n${machine.consoleTail(40)}`);
  console.info(`lab: ${machinery.name}: ${said}`);
  truncateSync(vmcore, await vmcoreSize(vmcore));
  return { kernel, folder, vmcore, console: machine.console, said: JSON.parse(said) as Outcome["said"] };
}

function lastwords(...args: string[]): Buffer {
  return execFileSync(process.execPath, [join(PROJECT, "bin/lastwords.js"), ...args], {
    maxBuffer: 1 << 28,
    stdio: ["ignore", "pipe", "pipe"],
  });
}

/** Standard output of another's tool; undefined where it is not installed. */
function peer(program: string, args: readonly string[], input?: string): string | undefined {
  try {
    const options = { encoding: "utf8", maxBuffer: 1 << 28, stdio: "pipe", ...(input === undefined ? {} : { input }) } as const;
    return execFileSync(program, args, options);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

/** The device dumps that a dump file holds, by `lastwords notes`. */
function deviceDumps(path: string): { device: string; size: number }[] {
  const { notes } = JSON.parse(lastwords("notes", "--json", path).toString()) as { notes: { device: string | null; size: number }[] };
  return notes.flatMap(({ device, size }) => (device === null ? [] : [{ device, size }]));
}

describe.each(MACHINES)("device dumps, $name", (machinery) => {
  let outcome: Outcome | undefined;
  let skipped: string | undefined;

  beforeAll(async () => {
    const folder = mkdtempSync(join(defaultCacheFolder(), "device-dump-"));
    try {
      outcome = await crash(machinery, folder);
    } catch (error) {
      if (!isLabUnavailable(error)) throw error;
      skipped = error.message;
    }
    return () => rmSync(folder, { recursive: true, force: true });
  }, 300_000);

  const check = (name: string, body: (ran: Outcome, context: TestContext) => void): void =>
    test(name, (context) => {
      if (outcome === undefined) context.skip(skipped ?? "the machine did not run");
      else body(outcome, context);
    });

  check("all was collected but the dump that hung", ({ said }) => {
    expect(said.written).toBe(said.size);
    expect(said.lost).toEqual([{ name: "hangs", reason: "not done after 15 s" }]);
    expect(said.dumps.map(([name]) => name)).toEqual(
      expect.arrayContaining(["pci:0000:00:00.0", `e1000:${CARD}`, "bus-map", "before", "after"]),
    );
  });

  check("`lastwords notes` lists them first, and all other notes", ({ vmcore, said }) => {
    const { notes } = JSON.parse(lastwords("notes", "--json", vmcore).toString()) as {
      notes: { name: string; device: string | null; size: number }[];
    };
    const whole = (size: number): number => Math.ceil((64 + size) / 4096) * 4096 - 20;
    expect(notes.map(({ name, device, size }) => [name, device, size]).slice(0, said.dumps.length)).toEqual(
      said.dumps.map(([name, size]) => ["LINUX", name, whole(size)]),
    );
    expect(notes.slice(said.dumps.length).map(({ name }) => name)).toEqual(["CORE", "CORE", "VMCOREINFO"]);
  });

  check("`lastwords notes --extract` shows the card's MAC address in RAL and RAH", ({ vmcore }) => {
    const registers = lastwords("notes", "--extract", `e1000:${CARD}`, vmcore);
    expect(registers.subarray(0x5400, 0x5406).toString("hex", 0, 6)).toBe(MAC.replaceAll(":", ""));
    expect(registers.readUInt32LE(0x5404) >>> 31).toBe(1); // AV: the address is valid
    expect(registers.readUInt32LE(0x0008) & 0xffff).not.toBe(0); // STATUS
  });

  check("the registers were read in the way meant", ({ console }) => {
    expect(/lastwords-lab: read: (.*)/.exec(console)?.[1]).toMatch(machinery.devmem ? /Bad address/ : /^1\+0 records in/);
  });

  check("the PCI configuration space says that it is that card", ({ vmcore }) => {
    const config = lastwords("notes", "--extract", `pci:${CARD}`, vmcore);
    expect([config.readUInt16LE(0), config.readUInt16LE(2)]).toEqual([0x8086, 0x100e]);
    expect(lastwords("notes", "--extract", "bus-map", vmcore).toString("latin1")).toContain("== /proc/iomem");
  });

  check("the report is as good as without them", ({ vmcore }) => {
    const report = JSON.parse(lastwords("report", "--json", vmcore).toString()) as { panic: { message: string }; missing: unknown[] };
    expect(report.panic.message).toBe("sysrq triggered crash");
    expect(report.missing).toEqual([]);
  });

  check("readelf takes it", ({ vmcore, said }, context) => {
    const text = peer("readelf", ["-n", "-l", vmcore]);
    if (text === undefined) return context.skip("readelf is not installed");
    const owners = [...text.matchAll(/^ {2}(LINUX|CORE|VMCOREINFO) +0x/gm)].map((match) => match[1]);
    expect(owners).toEqual([...said.dumps.map(() => "LINUX"), "CORE", "CORE", "VMCOREINFO"]);
  });

  check("makedumpfile takes it, and keeps them", ({ vmcore, folder }, context) => {
    const small = join(folder, "small");
    if (peer("makedumpfile", ["-c", "-d", "31", "--message-level", "1", vmcore, small]) === undefined)
      return context.skip("makedumpfile is not installed");
    expect(deviceDumps(small)).toEqual(deviceDumps(vmcore));
    expect(lastwords("notes", "--extract", `e1000:${CARD}`, small)).toEqual(lastwords("notes", "--extract", `e1000:${CARD}`, vmcore));
  });

  check("crash takes it", ({ vmcore, kernel }, context) => {
    const vmlinux = join(defaultCacheFolder(), "debug", `vmlinux-${kernel.release}`);
    if (!existsSync(vmlinux)) return context.skip(`${vmlinux} is not there (fetchDebugVmlinux downloads it)`);
    const text = peer("crash", ["-s", vmlinux, vmcore], "sys\ndev -V\nbt\nquit\n");
    if (text === undefined) return context.skip("crash is not installed");
    expect(text).toContain("sysrq triggered crash");
    expect(text).toContain("sysrq_handle_crash");
    expect(text).toContain(`e1000:${CARD}`); // in its list of device dumps
  });
});
