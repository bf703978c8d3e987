/** `doctor` on copies of hosts: healthy ones, each fault on its own, rubbish, nothing, and the machine that runs the tests. */
import { spawnSync } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { Ajv2020 } from "ajv/dist/2020.js";
import fc from "fast-check";
import { afterEach, describe, expect, test } from "vitest";
import { run } from "../../src/cli/command/doctor.ts";
import type { Context } from "../../src/cli/table.ts";
import { Output } from "../../src/cli/terminal.ts";
import { parseMemory } from "../../src/host/amount.ts";
import { wantedSize } from "../../src/host/crashkernel.ts";
import { evidenceMatrix, findProblems, type Finding, fixPlan, readHost, Root, rules } from "../../src/host/index.ts";
import { MemorySink } from "../cli/memory-sink.ts";
import { families, type Family, HostTree } from "./fixture.ts";

let trees: HostTree[] = [];
afterEach(() => {
  for (const tree of trees) tree.delete();
  trees = [];
});

function tree(family: Family | "empty"): HostTree {
  const made = new HostTree(family);
  trees.push(made);
  return made;
}

function examine(folder: string): Finding[] {
  return findProblems(readHost(new Root(folder)));
}

function doctor(options: { root?: string; json?: boolean; fixPlan?: boolean }): { code: number; out: string } {
  const sink = new MemorySink();
  const out = new Output(sink, { env: {} });
  const context = { out, err: out, env: {}, quiet: false, note: () => {} } as unknown as Context;
  const code = run(context, { root: options.root, json: options.json ?? false, fixPlan: options.fixPlan ?? false });
  out.flush();
  return { code, out: sink.text };
}

interface Fault {
  readonly id: string;
  readonly on: readonly Family[];
  readonly breaks: (tree: HostTree, family: Family) => void;
  /** In the finding's sources, as path:line. */
  readonly seen?: string;
}

const SETTINGS: Readonly<Record<Family, string>> = {
  debian: "/etc/default/kdump-tools",
  fedora: "/etc/kdump.conf",
  suse: "/etc/sysconfig/kdump",
};
const INITRAMFS: Readonly<Record<Family, string>> = {
  debian: "/var/lib/kdump/initrd.img-6.1.0-28-amd64",
  fedora: "/boot/initramfs-6.14.5-300.fc42.x86_64kdump.img",
  suse: "/var/lib/kdump/initrd",
};
const all = families;

function noCrashKernel(broken: HostTree): void {
  broken.write("/sys/kernel/kexec_crash_loaded", "0\n");
  broken.write("/sys/kernel/kexec_crash_size", "0\n");
}

function noCrashkernelWord(broken: HostTree): void {
  const text = readFileSync(join(broken.folder, "proc/cmdline"), "utf8");
  broken.write("/proc/cmdline", text.replace(/ crashkernel=\S+/g, ""));
}

function noKdump(broken: HostTree, family: Family): void {
  broken.remove(SETTINGS[family]);
  noCrashKernel(broken);
  noCrashkernelWord(broken);
}

/** Every rule, on its fault alone. */
const faults: readonly Fault[] = [
  {
    id: "no-evidence",
    on: ["suse"],
    seen: "/sys/module/pstore/parameters/backend:1",
    breaks: (broken, family) => {
      noKdump(broken, family);
      broken.write("/sys/module/pstore/parameters/backend", "(null)\n");
      broken.write("/proc/consoles", "tty0                 -WU (EC  p  )    4:2\n");
    },
  },
  { id: "no-kdump", on: ["debian", "suse"], breaks: noKdump },
  {
    id: "configuration-only",
    on: all,
    breaks: (broken) => {
      broken.remove("/proc");
      broken.remove("/sys");
    },
  },
  {
    id: "not-readable",
    on: all,
    breaks: (broken) => broken.write("/proc/iomem", "00000000-00000000 : Reserved\n00000000-00000000 : System RAM\n"),
  },
  {
    id: "kdump-disabled",
    on: ["debian"],
    seen: "/etc/default/kdump-tools:7",
    breaks: (broken) => broken.edit(SETTINGS.debian, "USE_KDUMP=1", "USE_KDUMP=0"),
  },
  {
    id: "kdump-disabled",
    on: ["fedora", "suse"],
    breaks: (broken) => broken.remove("/etc/systemd/system/multi-user.target.wants/kdump.service"),
  },
  {
    id: "kexec-unsupported",
    on: all,
    breaks: (broken) => {
      broken.remove("/sys/kernel/kexec_crash_loaded");
      broken.remove("/sys/kernel/kexec_crash_size");
    },
  },
  {
    id: "crashkernel-missing",
    on: all,
    seen: "/proc/cmdline:1",
    breaks: (broken) => {
      noCrashKernel(broken);
      noCrashkernelWord(broken);
    },
  },
  {
    id: "crashkernel-range",
    on: ["fedora"],
    seen: "/proc/cmdline:1",
    breaks: (broken) => {
      noCrashKernel(broken);
      broken.edit("/proc/cmdline", "2G-64G:256M,64G-:512M", "32G-64G:256M,64G-:512M");
    },
  },
  { id: "crashkernel-not-reserved", on: all, seen: "/sys/kernel/kexec_crash_size:1", breaks: noCrashKernel },
  { id: "crashkernel-too-small", on: all, breaks: (broken) => broken.write("/sys/kernel/kexec_crash_size", "67108864\n") },
  { id: "crashkernel-small", on: all, breaks: (broken) => broken.write("/sys/kernel/kexec_crash_size", "134217728\n") },
  { id: "capture-kernel-missing", on: ["debian"], breaks: (broken) => broken.remove("/var/lib/kdump/vmlinuz") },
  { id: "capture-kernel-missing", on: ["suse"], breaks: (broken) => broken.remove("/var/lib/kdump/kernel") },
  { id: "capture-kernel-missing", on: ["fedora"], breaks: (broken) => broken.remove("/boot/vmlinuz-6.14.5-300.fc42.x86_64") },
  { id: "capture-initramfs-missing", on: all, breaks: (broken, family) => broken.remove(INITRAMFS[family]) },
  {
    id: "capture-version-mismatch",
    on: ["debian"],
    breaks: (broken) => {
      broken.image("/var/lib/kdump/initrd.img-6.1.0-27-amd64", 20, 250);
      broken.link("/var/lib/kdump/initrd.img", "/var/lib/kdump/initrd.img-6.1.0-27-amd64");
    },
  },
  { id: "capture-initramfs-stale", on: ["debian"], breaks: (broken) => broken.age("/boot/vmlinuz-6.1.0-28-amd64", 10) },
  { id: "capture-initramfs-stale", on: ["fedora"], breaks: (broken) => broken.age("/boot/vmlinuz-6.14.5-300.fc42.x86_64", 10) },
  { id: "capture-initramfs-stale", on: ["suse"], breaks: (broken) => broken.age("/usr/lib/modules/6.12.0-160000.5-default/vmlinuz", 10) },
  { id: "capture-initramfs-old-configuration", on: ["fedora", "suse"], breaks: (broken, family) => broken.age(SETTINGS[family], 10) },
  {
    id: "kexec-load-disabled",
    on: all,
    seen: "/proc/sys/kernel/kexec_load_disabled:1",
    breaks: (broken) => {
      broken.write("/proc/sys/kernel/kexec_load_disabled", "1\n");
      broken.write("/sys/kernel/kexec_crash_loaded", "0\n");
    },
  },
  {
    id: "lockdown-kexec",
    on: ["fedora"],
    seen: "/etc/sysconfig/kdump:6",
    breaks: (broken) => {
      broken.edit("/etc/sysconfig/kdump", 'KEXEC_ARGS="-s"', 'KEXEC_ARGS="-c"');
      broken.write("/sys/kernel/kexec_crash_loaded", "0\n");
    },
  },
  {
    id: "crash-kernel-not-loaded",
    on: all,
    seen: "/sys/kernel/kexec_crash_loaded:1",
    breaks: (broken) => broken.write("/sys/kernel/kexec_crash_loaded", "0\n"),
  },
  {
    id: "oops-goes-on",
    on: all,
    seen: "/proc/sys/kernel/panic_on_oops:1",
    breaks: (broken) => broken.write("/proc/sys/kernel/panic_on_oops", "0\n"),
  },
  {
    id: "panic-stands-still",
    on: ["debian"],
    breaks: (broken, family) => {
      noKdump(broken, family);
      broken.write("/sys/class/watchdog/watchdog0/state", "inactive\n");
      broken.write("/proc/sys/kernel/panic", "0\n");
      broken.edit("/etc/sysctl.d/60-crash.conf", "kernel.panic = 10", "kernel.panic = 0");
    },
  },
  {
    id: "sysctl-differs",
    on: ["debian"],
    seen: "/etc/sysctl.d/60-crash.conf:2",
    breaks: (broken) => broken.write("/proc/sys/kernel/panic", "30\n"),
  },
  {
    id: "sysctl-differs",
    on: ["fedora", "suse"],
    seen: "/etc/sysctl.d/90-crash.conf:1",
    breaks: (broken) => broken.write("/proc/sys/kernel/panic", "30\n"),
  },
  // Read last, through Debian's link.
  {
    id: "sysctl-differs",
    on: ["debian"],
    seen: "/etc/sysctl.d/99-sysctl.conf:1",
    breaks: (broken) => broken.write("/etc/sysctl.conf", "kernel.panic=60\n"),
  },
  {
    id: "hangs-unwatched",
    on: ["fedora"],
    breaks: (broken) => {
      broken.write("/sys/class/watchdog/watchdog0/state", "inactive\n");
      broken.write("/proc/sys/kernel/softlockup_panic", "0\n");
      broken.write("/proc/sys/kernel/hardlockup_panic", "0\n");
      broken.write("/etc/sysctl.d/90-crash.conf", "kernel.panic = 10\n");
    },
  },
  { id: "hard-lockups-unwatched", on: all, breaks: (broken) => broken.write("/proc/sys/kernel/nmi_watchdog", "0\n") },
  { id: "nmi-ignored", on: ["suse"], breaks: (broken) => broken.write("/proc/sys/kernel/unknown_nmi_panic", "0\n") },
  // Info, and there on healthy hosts: it goes when the parameter is set.
  {
    id: "no-pstore-backend",
    on: ["fedora", "suse"],
    breaks: (broken) => broken.write("/sys/module/pstore/parameters/backend", "(null)\n"),
  },
  {
    id: "ramoops-not-loaded",
    on: ["debian"],
    seen: "/etc/modprobe.d/ramoops.conf:1",
    breaks: (broken) => {
      broken.remove("/sys/module/ramoops");
      broken.write("/sys/module/pstore/parameters/backend", "(null)\n");
    },
  },
  {
    id: "ramoops-not-loaded",
    on: ["debian"],
    // The parameter shows what is asked for, too.
    breaks: (broken) => broken.remove("/sys/module/ramoops"),
  },
  {
    id: "pstore-other-backend",
    on: ["debian"],
    breaks: (broken) => {
      broken.write("/sys/module/pstore/parameters/backend", "efi_pstore\n");
      broken.write("/sys/module/efi_pstore/parameters/pstore_disable", "N\n");
    },
  },
  {
    id: "ramoops-not-reserved",
    on: ["debian"],
    seen: "/proc/iomem:5",
    breaks: (broken) =>
      broken.edit(
        "/proc/iomem",
        /00100000-1fffffff : System RAM\n((?: .*\n)*)20000000-200fffff : Reserved\n20100000-/,
        "00100000-bffd9fff : System RAM\n20100000-",
      ),
  },
  { id: "ramoops-no-ecc", on: ["debian"], breaks: (broken) => broken.write("/sys/module/ramoops/parameters/ecc", "0\n") },
  {
    id: "pstore-not-mounted",
    on: all,
    breaks: (broken) => broken.edit("/proc/mounts", /pstore \/sys\/fs\/pstore.*\n/, ""),
  },
  {
    id: "pstore-not-archived",
    on: all,
    breaks: (broken) => {
      broken.link("/etc/systemd/system/systemd-pstore.service", "/dev/null");
      broken.write("/sys/fs/pstore/dmesg-ramoops-0", "Panic#1 Part1\n");
    },
  },
  {
    id: "pstore-not-archived",
    on: all,
    breaks: (broken) => broken.remove("/etc/systemd/system/sysinit.target.wants/systemd-pstore.service"),
  },
  {
    id: "pstore-not-archived",
    on: all,
    seen: "/etc/systemd/pstore.conf.d/10-off.conf:2",
    breaks: (broken) => broken.write("/etc/systemd/pstore.conf.d/10-off.conf", "[PStore]\nStorage=none\n"),
  },
  { id: "efi-space-low", on: ["fedora"], seen: "/df.txt:2", breaks: (broken) => broken.edit("/df.txt", "      183000", "        9000") },
  {
    id: "always-kmsg-dump",
    on: ["fedora", "suse"],
    breaks: (broken) => broken.write("/sys/module/printk/parameters/always_kmsg_dump", "Y\n"),
  },
  {
    id: "netconsole-not-active",
    on: all,
    seen: "/etc/modprobe.d/netconsole.conf:1",
    breaks: (broken) =>
      broken.write("/etc/modprobe.d/netconsole.conf", "options netconsole netconsole=6665@10.0.0.2/eth0,6666@10.0.0.1/\n"),
  },
  {
    id: "netconsole-not-active",
    on: all,
    seen: "/sys/kernel/config/netconsole/target1/enabled:1",
    breaks: (broken) => broken.write("/sys/kernel/config/netconsole/target1/enabled", "0\n"),
  },
  { id: "watchdog-idle", on: all, breaks: (broken) => broken.write("/sys/class/watchdog/watchdog0/state", "inactive\n") },
  {
    id: "target-missing",
    on: ["fedora"],
    seen: "/etc/kdump.conf:9",
    breaks: (broken) => broken.edit("/etc/kdump.conf", "xfs UUID=03138356", "xfs UUID=ffffffff"),
  },
  { id: "target-missing", on: ["fedora"], breaks: (broken) => broken.remove("/srv/crash/dumps") },
  {
    id: "target-not-mounted",
    on: ["debian"],
    seen: "/etc/fstab:5",
    breaks: (broken) => broken.edit("/proc/mounts", /\/dev\/vdb1 .*\n/, ""),
  },
  {
    id: "target-not-mounted",
    on: ["suse"],
    seen: "/etc/fstab:2",
    breaks: (broken) => broken.edit("/proc/mounts", /\/dev\/vda2 \/var .*\n/, ""),
  },
  {
    id: "target-volatile",
    on: ["debian"],
    breaks: (broken) => broken.edit("/proc/mounts", "/dev/vdb1 /var/crash ext4", "tmpfs /var/crash tmpfs"),
  },
  { id: "target-volatile", on: ["suse"], breaks: (broken) => broken.edit("/proc/mounts", "/dev/vda2 /var btrfs", "tmpfs /var tmpfs") },
  { id: "target-read-only", on: ["debian"], breaks: (broken) => broken.edit("/proc/mounts", "/var/crash ext4 rw", "/var/crash ext4 ro") },
  { id: "target-read-only", on: ["fedora"], breaks: (broken) => broken.edit("/proc/mounts", "/srv/crash xfs rw", "/srv/crash xfs ro") },
  { id: "target-space", on: ["debian"], seen: "/df.txt:3", breaks: (broken) => broken.edit("/df.txt", "49795153920", "104857600") },
  { id: "target-space", on: ["fedora"], seen: "/df.txt:4", breaks: (broken) => broken.edit("/df.txt", "53252587520", "104857600") },
  {
    id: "target-space",
    on: ["suse"],
    seen: "/df.txt:3",
    breaks: (broken) => broken.edit("/df.txt", /35200000 +15% \/var/, "102400      99% /var"),
  },
  // Level 0 keeps all of memory.
  {
    id: "target-space",
    on: ["suse"],
    breaks: (broken) => {
      broken.edit(SETTINGS.suse, "KDUMP_DUMPLEVEL=31", "KDUMP_DUMPLEVEL=0");
      broken.edit("/df.txt", /35200000 +15% \/var/, "6200000      80% /var");
    },
  },
  {
    id: "target-encrypted",
    on: ["debian"],
    breaks: (broken) => {
      broken.edit("/proc/mounts", "/dev/vdb1 /var/crash", "/dev/mapper/crash_crypt /var/crash");
      broken.write("/etc/crypttab", "# <target name> <source device> <key file> <options>\ncrash_crypt UUID=0b9b0a52 none luks\n");
    },
  },
  {
    id: "target-key-missing",
    on: ["debian"],
    seen: "/root/.ssh/kdump_id_rsa",
    breaks: (broken) => broken.edit(SETTINGS.debian, '#SSH="<user at server>"', 'SSH="kdump@dumps.example.org"'),
  },
  {
    id: "target-key-missing",
    on: ["fedora"],
    breaks: (broken) => broken.edit(SETTINGS.fedora, /xfs UUID=.*/, "ssh kdump@dumps.example.org"),
  },
  { id: "target-writable", on: ["debian", "suse"], breaks: (broken) => broken.mode("/var/crash", 0o777) },
  {
    id: "dumps-readable",
    on: ["debian"],
    seen: "/var/crash/202601210724/dump.202601210724",
    breaks: (broken) => {
      broken.write("/var/crash/202601210724/dump.202601210724", "KDUMP   ");
      broken.mode("/var/crash/202601210724/dump.202601210724", 0o644);
    },
  },
  {
    id: "dumps-readable",
    on: ["fedora"],
    breaks: (broken) => {
      broken.write("/srv/crash/dumps/127.0.0.1-2026-01-21-07:24:11/vmcore", "KDUMP   ");
      broken.mode("/srv/crash/dumps/127.0.0.1-2026-01-21-07:24:11/vmcore", 0o644);
    },
  },
  { id: "no-btf", on: all, breaks: (broken) => broken.remove("/sys/kernel/btf/vmlinux") },
  {
    id: "recorder-configuration",
    on: ["suse"],
    seen: "/etc/lastwords/record.conf:2",
    breaks: (broken) => broken.edit("/etc/lastwords/record.conf", "frontend console", "fronted console"),
  },
  {
    id: "recorder-not-enabled",
    on: ["suse"],
    breaks: (broken) => broken.remove("/etc/systemd/system/sysinit.target.wants/lastwords-record.service"),
  },
  {
    id: "recorder-not-reserved",
    on: ["suse"],
    seen: "/etc/lastwords/record.conf:4",
    breaks: (broken) => broken.edit("/etc/lastwords/record.conf", "mem_address=0x30000000", "mem_address=0x40000000"),
  },
  {
    id: "recorder-locked-out",
    on: ["suse"],
    breaks: (broken) => broken.write("/sys/kernel/security/lockdown", "none [integrity] confidentiality\n"),
  },
];

describe.each(families)("a healthy %s host", (family) => {
  test("has nothing above a remark", () => {
    const findings = examine(tree(family).folder);
    expect(findings.filter((finding) => finding.severity !== "info")).toEqual([]);
    expect(findings.map((finding) => finding.id)).toEqual(["records-after-kdump"]);
    expect(doctor({ root: trees[0]!.folder }).code).toBe(0);
  });

  test("is told what it would keep", () => {
    const { folder } = tree(family);
    const facts = readHost(new Root(folder));
    const { rows } = evidenceMatrix(facts, findProblems(facts));
    const cell = (way: string, kind: string): string | undefined =>
      rows.find((row) => row.way === way)!.cells.find((each) => each.kind.startsWith(kind))?.outcome;
    expect(cell("oops in a task", "vmcore")).toBe("kept");
    expect(cell("two CPUs panic at once", "vmcore")).toBe("kept");
    expect(cell("oops in a task", "record")).toBe("lost");
    expect(cell("corrupted crash image", "vmcore")).toBe("lost");
    expect(cell("power cut", "vmcore")).toBe("lost");
  });
});

/** What real guests said of themselves: Debian's cloud kernels in QEMU, `crashkernel=192M memmap=1M$0x20000000`, ramoops loaded by hand. */
describe.each(["lab-6.1", "lab-7.2"])("a real guest: %s", (name) => {
  const facts = readHost(new Root(join("test/host/fixtures", name)));

  test("is read as it was set up", () => {
    expect(facts.running).toBe(true);
    expect(facts.crashKernel).toMatchObject({ wanted: 192 * 1024 ** 2, reserved: { value: 192 * 1024 ** 2 }, loaded: { value: false } });
    expect(facts.ramoops).toMatchObject({ loaded: true, address: 0x20000000, size: 0x100000, consoleSize: 0x40000, inSystemRam: null });
    expect(facts.pstore).toMatchObject({ backend: { value: "ramoops" }, postNotifiers: { value: false }, always: { value: false } });
    expect(facts.pstore.mounted).toBeDefined();
    expect(facts.consoles.serial.map((fact) => fact.value)).toEqual(["ttyS0"]);
    expect(facts.lockdown?.value).toBe("none");
    expect(facts.memory?.ranges.filter((range) => range.name === "Crash kernel")).toHaveLength(1);
    expect(facts.sysctls.running.get("kernel.panic")?.value).toBe(10);
  });

  test("has the faults that it has", () => {
    expect(findProblems(facts).map((finding) => finding.id)).toEqual([
      "crash-kernel-not-loaded",
      "hangs-unwatched",
      "pstore-not-archived",
      "no-kdump",
    ]);
  });
});

describe("faults", () => {
  const cases = faults.flatMap((fault, i) => fault.on.map((family) => ({ ...fault, family, number: i })));

  test.each(cases)("$number: $id on $family, and nothing else", ({ id, family, breaks, seen }) => {
    // Of healthy hosts, as the tests above see it.
    const before = new Set(["records-after-kdump"]);
    const broken = tree(family);
    breaks(broken, family);
    const after = examine(broken.folder);
    const severity = rules.find((rule) => rule.id === id)!.severity;
    // A fault takes remarks along; what it must not do is raise another alarm.
    const fresh = after.filter((finding) => !before.has(finding.id) && (severity === "info" || finding.severity !== "info"));
    expect(fresh.map((finding) => finding.id)).toEqual([id]);
    const sources = fresh[0]!.sources.map(({ path, line }) => (line === null ? path : `${path}:${line}`));
    expect(sources.length).toBeGreaterThan(0);
    if (seen !== undefined) expect(sources).toContain(seen);
    expect(fresh[0]!.fix.length).toBeGreaterThan(0);
    expect(fresh[0]!.text).toMatch(/^\S.*\.$/);
    const { code, out } = doctor({ root: broken.folder, fixPlan: true });
    expect(spawnSync("sh", ["-n"], { input: out }).status).toBe(0);
    expect(code).toBe({ error: 4, warning: 3, info: 0 }[severity]);
  });

  test("each rule has one", () => {
    const tested = new Set([...faults.map((fault) => fault.id), "records-after-kdump"]);
    expect(rules.map((rule) => rule.id).filter((id) => !tested.has(id))).toEqual([]);
    expect(new Set(rules.map((rule) => rule.id)).size).toBe(rules.length);
  });

  test("records-after-kdump goes when the parameter is set", () => {
    const mended = tree("debian");
    mended.write("/sys/module/kernel/parameters/crash_kexec_post_notifiers", "Y\n");
    expect(examine(mended.folder)).toEqual([]);
  });

  test("a file line is what a finding says it is", () => {
    const broken = tree("fedora");
    broken.edit("/etc/kdump.conf", "xfs UUID=03138356", "xfs UUID=ffffffff");
    const source = examine(broken.folder).find((finding) => finding.id === "target-missing")!.sources[0]!;
    expect(readFileSync(join(broken.folder, source.path), "utf8").split("\n")[source.line! - 1]).toContain("ffffffff");
  });

  test("memory that a device tree reserves lies within System RAM", () => {
    const arm = tree("debian");
    arm.write("/proc/iomem", "00100000-bfffffff : System RAM\n  20000000-200fffff : reserved\n  9f000000-beffffff : Crash kernel\n");
    expect(examine(arm.folder).map((finding) => finding.id)).toEqual(["records-after-kdump"]);
  });

  test("links of a copy stay within it", () => {
    const broken = tree("debian");
    broken.link("/var/lib/kdump/initrd.img", "/../../../../../../etc/passwd");
    expect(examine(broken.folder).map((finding) => finding.id)).toContain("capture-initramfs-missing");
    broken.link("/var/lib/kdump/initrd.img", "/var/lib/kdump/initrd.img");
    expect(examine(broken.folder).map((finding) => finding.id)).toContain("capture-initramfs-missing");
  });
});

describe("the matrix", () => {
  const matrixOf = (broken: HostTree): ReturnType<typeof evidenceMatrix> => {
    const facts = readHost(new Root(broken.folder));
    return evidenceMatrix(facts, findProblems(facts));
  };

  test("has every way and kind, each cell with a reason", () => {
    const { rows, kinds } = matrixOf(tree("debian"));
    expect(rows.length).toBeGreaterThanOrEqual(9);
    for (const row of rows) {
      expect(row.cells.map((cell) => cell.kind)).toEqual(kinds);
      for (const cell of row.cells) {
        expect(cell.why).toMatch(/\.$/);
        if (cell.outcome === "kept") expect(cell.fix).toBeNull();
      }
    }
  });

  test("names the change that the model says helps", () => {
    const { rows } = matrixOf(tree("debian"));
    const record = rows.find((row) => row.way === "oops in a task")!.cells.find((cell) => cell.kind === "record in ramoops")!;
    expect(record).toMatchObject({ outcome: "lost", fix: { text: "boot with crash_kexec_post_notifiers" } });
    // Done, it is kept.
    const mended = tree("debian");
    mended.write("/sys/module/kernel/parameters/crash_kexec_post_notifiers", "Y\n");
    const after = matrixOf(mended).rows.find((row) => row.way === "oops in a task")!;
    expect(after.cells.find((cell) => cell.kind === "record in ramoops")!.outcome).toBe("kept");
  });

  test("sees a capture kernel that cannot work", () => {
    const broken = tree("fedora");
    broken.remove("/boot/initramfs-6.14.5-300.fc42.x86_64kdump.img");
    const { rows } = matrixOf(broken);
    const vmcore = rows.find((row) => row.way === "oops in interrupt")!.cells.find((cell) => cell.kind === "vmcore")!;
    expect(vmcore).toMatchObject({ outcome: "lost", fix: { text: "build the capture initramfs for its kernel" } });
  });

  test("sends people to the NMI button where every watchdog is set", () => {
    const cells = matrixOf(tree("debian")).rows.find((row) => row.way === "hang without watchdog")!.cells;
    expect(cells.find((cell) => cell.kind === "vmcore")!.fix!.text).toMatch(/NMI/);
  });

  test("gives kdump to a host without", () => {
    const broken = tree("suse");
    noKdump(broken, "suse");
    const vmcore = matrixOf(broken)
      .rows.find((row) => row.way === "oops in interrupt")!
      .cells.find((cell) => cell.kind === "vmcore")!;
    expect(vmcore).toMatchObject({ outcome: "not-configured", fix: { text: "install kdump" } });
    expect(vmcore.fix!.commands).toContain("zypper install kdump");
  });
});

describe("the command", () => {
  const schema = JSON.parse(readFileSync("schema/doctor-1.schema.json", "utf8")) as Record<string, unknown>;
  const validate = new Ajv2020({ strict: true, allErrors: true, allowUnionTypes: true }).compile(schema);

  test.each(families)("prints JSON after its schema: %s", (family) => {
    const { folder } = tree(family);
    const { out } = doctor({ root: folder, json: true });
    validate(JSON.parse(out));
    expect(validate.errors).toBeNull();
  });

  test("prints JSON of this very machine", () => {
    const { code, out } = doctor({ json: true });
    validate(JSON.parse(out));
    expect(validate.errors).toBeNull();
    expect([0, 3, 4]).toContain(code);
    expect(doctor({}).out).toContain("WAY TO DIE");
  });

  test("prints findings with file, line and commands", () => {
    const broken = tree("debian");
    broken.edit(SETTINGS.debian, "USE_KDUMP=1", "USE_KDUMP=0");
    const { out } = doctor({ root: broken.folder });
    expect(out).toContain("error: kdump is switched off (USE_KDUMP). [kdump-disabled]");
    expect(out).toContain("seen in /etc/default/kdump-tools:7");
    expect(out).toContain("$ kdump-config load");
  });

  test("prints a plan that a shell reads, each command once", () => {
    const broken = tree("debian");
    noCrashKernel(broken);
    broken.write("/proc/sys/kernel/nmi_watchdog", "0\n");
    const { out } = doctor({ root: broken.folder, fixPlan: true });
    expect(out).toMatchInlineSnapshot(`
      "#!/bin/sh
      # Made by \`lastwords doctor --fix-plan\`; nothing of it was run. Read it before you do.
      set -e

      # crashkernel-not-reserved (error): crashkernel=512M was asked for, and the kernel reserved nothing: no free range was large enough, or the word is not understood.
      # dmesg | grep -i crashkernel says why
      printf '%s\\n' 'GRUB_CMDLINE_LINUX_DEFAULT="$GRUB_CMDLINE_LINUX_DEFAULT crashkernel=256M"' >> /etc/default/grub.d/lastwords.cfg

      # hard-lockups-unwatched (warning): kernel.hardlockup_panic is 1, and the detector is off (kernel.nmi_watchdog is 0).
      echo 'kernel.nmi_watchdog = 1' >> /etc/sysctl.d/99-zz-lastwords.conf
      sysctl -w kernel.nmi_watchdog=1

      update-grub
      # then reboot
      "
    `);
  });

  test("changes nothing", () => {
    const { folder } = tree("fedora");
    const list = (): string[] =>
      readdirSync(folder, { recursive: true, encoding: "utf8" }).map((name) => {
        const stats = statSync(join(folder, name), { throwIfNoEntry: false });
        return `${name} ${stats?.mtimeMs} ${stats?.size}`;
      });
    const before = list();
    doctor({ root: folder });
    doctor({ root: folder, fixPlan: true });
    expect(list()).toEqual(before);
  });

  test("says so of a folder that is no host, and of no folder", () => {
    expect(() => doctor({ root: tree("empty").folder })).toThrow(/holds neither/);
    expect(() => doctor({ root: "/no/such/folder" })).toThrow(/cannot look at/);
  });
});

describe("rubbish", () => {
  const paths = families.flatMap((family) =>
    readdirSync(join("test/host/fixtures", family), { recursive: true, encoding: "utf8" }).filter((name) =>
      statSync(join("test/host/fixtures", family, name)).isFile(),
    ),
  );
  const unique = [...new Set(paths)];
  const line = fc.oneof(
    fc.string(),
    fc.constantFrom(
      "crashkernel=",
      "crashkernel=-:,high@",
      "crashkernel=1E-2P:99999999999999999999",
      "USE_KDUMP='",
      "KDUMP_INITRD=/../../\0x",
      'SSH="a b\'c"',
      "ssh",
      "path",
      "path //..//\u001b[31m",
      "options ramoops mem_size=-1 mem_address=0xffffffffffffffffff",
      "ffffffffffffffff-0 : System RAM",
      "backend ramoops mem_address=",
      "UUID=\\777 / x",
      "1B-blocks",
    ),
  );
  const text = fc.oneof(
    fc.array(line, { maxLength: 8 }).map((lines) => lines.join("\n")),
    fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes).toString("latin1")),
  );

  test("in any file throws nothing", () => {
    const hosts = Object.fromEntries(families.map((family) => [family, tree(family)])) as Record<Family, HostTree>;
    fc.assert(
      fc.property(fc.constantFrom(...families), fc.array(fc.tuple(fc.constantFrom(...unique), text), { maxLength: 6 }), (family, files) => {
        const { folder } = hosts[family];
        try {
          for (const [path, content] of files) {
            mkdirSync(dirname(join(folder, path)), { recursive: true });
            writeFileSync(join(folder, path), content);
          }
          const facts = readHost(new Root(folder));
          const findings = findProblems(facts);
          fixPlan(findings, (each) => each);
          for (const finding of findings) expect(finding.sources.length).toBeGreaterThan(0);
        } finally {
          for (const [path] of files) {
            const healthy = join("test/host/fixtures", family, path);
            if (existsSync(healthy)) copyFileSync(healthy, join(folder, path));
            else rmSync(join(folder, path), { force: true });
          }
        }
      }),
      { numRuns: 500 },
    );
  });

  test("cannot put commands into the plan", () => {
    const broken = tree("debian");
    broken.edit(SETTINGS.debian, 'KDUMP_COREDIR="/var/crash"', "KDUMP_COREDIR='/var/crash/$(touch x);`y`'");
    broken.folderOf("/var/crash/$(touch x);`y`", 0o777);
    const { out } = doctor({ root: broken.folder, fixPlan: true });
    expect(out).toContain("chmod o-rwx '/var/crash/$(touch x);`y`'");
  });
});

test("crashkernel= means what the kernel takes it for", () => {
  const GiB = 1024 ** 3;
  expect(wantedSize(["512M"], undefined)).toBe(512 * 1024 ** 2);
  expect(wantedSize(["64M@16M"], GiB)).toBe(64 * 1024 ** 2);
  expect(wantedSize(["2G-64G:256M,64G-:512M"], 8 * GiB)).toBe(256 * 1024 ** 2);
  expect(wantedSize(["2G-64G:256M,64G-:512M"], 64 * GiB)).toBe(512 * 1024 ** 2);
  expect(wantedSize(["2G-64G:256M,64G-:512M"], GiB)).toBe(0);
  expect(wantedSize(["313M,high", "72M,low"], GiB)).toBe(385 * 1024 ** 2);
  expect(wantedSize(["128M", "256M"], GiB)).toBe(256 * 1024 ** 2);
  expect(wantedSize(["auto"], GiB)).toBeUndefined();
  expect(parseMemory("0x100000")).toBe(1024 ** 2);
  expect(parseMemory("1X")).toBeUndefined();
});
