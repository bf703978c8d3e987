/*
 * The capture kernel's hooks in real initramfs images: Debian's initramfs-tools and dracut build them in a folder that has those
 * packages unpacked, a kernel boots them, and what the recorder kept is read out of the guest's memory.
 */
import { appendFile, cp, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { constants, gunzipSync, gzipSync, zstdCompressSync } from "node:zlib";
import { afterAll, beforeAll, expect, test, type TestContext } from "vitest";
import { type CpioEntry, encodeCpio } from "../../src/lab/cpio.ts";
import { runCommand } from "../../src/lab/command.ts";
import { DebianArchive, type DebianPackage, type FetchOptions } from "../../src/lab/debian-archive.ts";
import { defaultCacheFolder, fetchKernel, isLabUnavailable, type LabKernel, Machine } from "../../src/lab/index.ts";
import { bundleForQuickjs } from "../../tools/bundle.ts";
import { runMain } from "../cli/memory-sink.ts";

const HOOKS = fileURLToPath(new URL("../../hooks", import.meta.url));
const ENTRY = fileURLToPath(new URL("../../src/recorder/quickjs-main.ts", import.meta.url));
/** The suite whose QuickJS the recorder is written for. */
const SUITE = "trixie";
const WANTED =
  "initramfs-tools-core dracut-core quickjs busybox base-files bash coreutils cpio dash dpkg findutils grep gzip kmod libc-bin mawk sed systemd util-linux zstd";
/** Pre-Depends, which the lab's archive does not follow. */
const PRE_DEPENDS = "libattr1 libgmp10 libmd0 libbz2-1.0 libtinfo6 libuuid1 libsmartcols1 libreadline8t64 libssl3t64";
const SIZES = "mem_address=0x6000000,mem_size=1M,record_size=64K,console_size=256K,pmsg_size=64K,tty_size=256K";
/** What the issue allows: compressed bytes in the initramfs, and KiB in the guest. */
const MOST_BYTES = 4 * 1024 * 1024;
const MOST_KIB = 16 * 1024;

/** What the guest does once the hook has run, as a later script of the same initramfs. */
const USE = `
n=0; while [ ! -p /run/lastwords/pmsg ] && [ $n -lt 100 ]; do sleep 1; n=$((n+1)); done
sleep 2
echo "a word on a tty" >/dev/ttyS0
echo "a word of the kernel" >/dev/kmsg
echo "a word of a program" >/run/lastwords/pmsg
sleep 3
pid=$(cat /run/lastwords/initrd.pid)
echo "name: $(tr '\\0' ' ' </proc/$pid/cmdline)"
grep -E 'VmHWM|VmRSS' /proc/$pid/status
echo BEGIN; dd if=/dev/mem bs=1M skip=96 count=1 2>/dev/null | gzip -c | od -An -v -tx1; echo END
grep lastwords /sys/kernel/tracing/kprobe_events
sync
echo o >/proc/sysrq-trigger; sleep 10
`;

let folder = "";
let root = "";
let kernel: LabKernel | undefined;
let unavailable = "";

/** Unpacked packages with all they depend on, not installed. */
async function unpacked(options: FetchOptions): Promise<string> {
  const tree = join(options.cache, "tool", `initramfs-${SUITE}`);
  if (await stat(tree).catch(() => undefined)) return tree;
  const archive = await DebianArchive.open(SUITE, options);
  const packages = new Map<string, DebianPackage>();
  for (let names = `${WANTED} ${PRE_DEPENDS}`.split(" "); names.length > 0;) {
    const found = await archive.find(new RegExp(`^(${names.join("|").replace(/[.+]/g, "\\$&")})$`));
    for (const one of found) packages.set(one.name, one);
    names = [...new Set(found.flatMap(({ depends }) => depends))].filter((name) => !packages.has(name));
  }
  await archive.unpack([...packages.values()], tree);
  return tree;
}

/** Runs a shell script as root of the unpacked packages, in a name space of its own: no root needed, nothing of this machine changed. */
function inside(script: string): Promise<Buffer> {
  const enter =
    'mount --rbind /dev "$0/dev" && mount --rbind /proc "$0/proc" && exec chroot "$0" /usr/bin/env -i PATH=/usr/sbin:/usr/bin sh -ec "$1"';
  return runCommand("unshare", ["-rm", "sh", "-c", enter, root, script]);
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "lastwords-hooks-"));
  root = join(folder, "root");
  const options = { cache: defaultCacheFolder() };
  try {
    kernel = await fetchKernel("6.1", options);
    await cp(await unpacked(options), root, { recursive: true, verbatimSymlinks: true });
  } catch (error) {
    if (!isLabUnavailable(error)) throw error;
    unavailable = error.message;
    console.warn(`lab: skipped: ${unavailable}`);
    return;
  }
  // What the packages' own scripts would do.
  await symlink("mawk", join(root, "usr/bin/awk"));
  for (const path of ["proc", "dev", "tmp", "var/tmp", "var/lib/kdump", "etc/lastwords", "usr/lib/lastwords", "etc/modprobe.d"])
    await mkdir(join(root, path), { recursive: true });
  const modules = join(root, "usr/lib/modules", kernel.release);
  await mkdir(modules, { recursive: true });
  for (const name of await readdir(kernel.modules))
    if (/^modules\.(builtin|order)/.test(name)) await cp(join(kernel.modules, name), join(modules, name));
  await writeFile(join(root, "boot", `config-${kernel.release}`), "CONFIG_RD_GZIP=y\nCONFIG_RD_ZSTD=y\n");
  // No driver is needed, and the test takes none.
  await appendFile(join(root, "etc/initramfs-tools/initramfs.conf"), "\nMODULES=list\n");

  await bundleForQuickjs(ENTRY, join(root, "usr/lib/lastwords/lastwords-record.js"), "0.0.0");
  await writeFile(join(root, "etc/lastwords/record.conf"), `backend ramoops ${SIZES}\n`);
  await cp(join(HOOKS, "initramfs-tools"), join(root, "etc/initramfs-tools"), { recursive: true });
  await cp(join(HOOKS, "dracut/90lastwords"), join(root, "usr/lib/dracut/modules.d/90lastwords"), { recursive: true });
});

afterAll(() => rm(folder, { recursive: true, force: true }));

/** Boots an initramfs that ends with {@link USE} and gives what the guest said; the region goes into a file. */
async function boot(context: TestContext, initramfs: string, append: string): Promise<{ console: string; region: string }> {
  const { image } = kernel!;
  try {
    const options = { kernel: image, initramfs, memoryMiB: 256, cpus: 1, timeoutMs: 180_000 };
    await using machine = await Machine.start({ ...options, append: `panic=1 memmap=1M$0x6000000 ${append}` });
    await machine.exited();
    const hex = /^BEGIN\n([^]*?)^END$/m.exec(machine.console)?.[1];
    if (hex === undefined) throw new Error(`the guest did not say what it recorded: ${machine.consoleTail(40)}`);
    const region = `${initramfs}.region`;
    // A message of the kernel may come in between.
    const lines = hex.split("\n").filter((line) => /^( [0-9a-f]{2})+$/.test(line));
    await writeFile(region, gunzipSync(Buffer.from(lines.join("").replaceAll(" ", ""), "hex")));
    return { console: machine.console, region };
  } catch (error) {
    if (isLabUnavailable(error)) return context.skip(error.message);
    throw error;
  }
}

async function expectRecorded({ console: said, region }: { console: string; region: string }, name: string): Promise<void> {
  expect(said).toMatch(/^name: @lastwords --module \/usr\/lib\/lastwords\/lastwords-record\.js $/m);
  expect(said).toMatch(/lastwords: frontend tty: every write to a tty/);
  const kib = Number(/^VmHWM:\s*(\d+) kB$/m.exec(said)?.[1]);
  console.log(`lab: ${name}: the recorder took ${kib} KiB at most, ${/^VmRSS:\s*(\d+)/m.exec(said)?.[1]} in the end`);
  expect(kib).toBeLessThan(MOST_KIB);
  const { code, out, err } = await runMain(["pstore", "cat", region, "--ramoops", SIZES.replace("mem_address=0x6000000,", "")]);
  expect(code, err).toBe(0);
  for (const word of ["a word on a tty", "a word of the kernel", "a word of a program"]) expect(out).toContain(word);
  // From its beginning: the kernel's own first line.
  expect(out).toMatch(/\[ +0\.000000\] Linux version 6\.1\./);
}

/** Compressed size of an initramfs' files that the hook brought, libraries included. */
async function cost(names: readonly string[]): Promise<{ gzip: number; zstd: number }> {
  const entries: CpioEntry[] = [];
  for (const path of names) entries.push({ path, mode: 0o100755, data: await readFile(join(root, path)) });
  const archive = encodeCpio(entries);
  const gzip = gzipSync(archive, { level: 9 }).length;
  return { gzip, zstd: zstdCompressSync(archive, { params: { [constants.ZSTD_c_compressionLevel]: 19 } }).length };
}

test("QuickJS, the C library and the recorder are small", async (context) => {
  if (unavailable !== "") return context.skip(unavailable);
  const own = ["usr/bin/qjs", "usr/lib/lastwords/lastwords-record.js"];
  const library = ["libc.so.6", "libm.so.6", "ld-linux-x86-64.so.2"].map((name) => `usr/lib/x86_64-linux-gnu/${name}`);
  const [alone, all] = [await cost(own), await cost([...own, ...library])];
  console.log(`lab: qjs and bundle: gzip ${alone.gzip}, zstd ${alone.zstd} bytes; with the C library: gzip ${all.gzip}, zstd ${all.zstd}`);
  expect(all.gzip).toBeLessThan(MOST_BYTES);
  expect(all.zstd).toBeLessThan(MOST_BYTES);
});

test("initramfs-tools: what kdump-tools builds records from init-top on", async (context) => {
  if (unavailable !== "") return context.skip(unavailable);
  const { release } = kernel!;
  const later = join(root, "etc/initramfs-tools/scripts/init-premount/zz-use");
  await mkdir(join(later, ".."), { recursive: true });
  await writeFile(later, `#!/bin/sh\n[ "$1" = prereqs ] && exit 0\n${USE}`, { mode: 0o755 });
  // As /etc/kernel/postinst.d/kdump-tools has it.
  await inside(`
    cp -pr /etc/initramfs-tools /var/lib/kdump
    mkinitramfs -d /var/lib/kdump/initramfs-tools -o /var/lib/kdump/capture.img ${release}
    mkinitramfs -d /etc/initramfs-tools -o /var/lib/kdump/every-day.img ${release}
    mkdir /var/lib/kdump/files; cd /var/lib/kdump/files; zstd -dc ../capture.img | cpio --quiet -id
    mkdir /var/lib/kdump/other; cd /var/lib/kdump/other; zstd -dc ../every-day.img | cpio --quiet -id`);
  const files = join(root, "var/lib/kdump/files");
  const order = await readFile(join(files, "scripts/init-top/ORDER"), "utf8");
  expect(order.indexOf("init-top/lastwords")).toBeGreaterThan(0);
  expect(order.indexOf("init-top/lastwords")).toBeLessThan(order.indexOf("init-top/udev"));
  expect((await readdir(join(files, "usr/lib/lastwords"))).toSorted()).toEqual(["@lastwords", "lastwords-record.js", "qjs"]);
  // The initramfs of every day has the script, which does nothing, and nothing that it could start.
  await expect(readdir(join(root, "var/lib/kdump/other/usr/lib/lastwords"))).rejects.toThrow("ENOENT");
  const [more, less] = await Promise.all(["capture.img", "every-day.img"].map((name) => stat(join(root, "var/lib/kdump", name))));
  console.log(`lab: initramfs-tools: ${less!.size} bytes, with the recorder ${more!.size}: ${more!.size - less!.size} more`);
  expect(more!.size - less!.size).toBeLessThan(MOST_BYTES);

  // In the hole, where no header is: this kernel takes itself for a capture kernel, and has no /proc/vmcore.
  await expectRecorded(await boot(context, join(root, "var/lib/kdump/capture.img"), "elfcorehdr=0x6080000"), "initramfs-tools");
});

test("initramfs-tools: an ordinary kernel with the same initramfs does not record", async (context) => {
  if (unavailable !== "") return context.skip(unavailable);
  const { image } = kernel!;
  const initramfs = join(root, "var/lib/kdump/capture.img");
  await using machine = await Machine.start({ kernel: image, initramfs, memoryMiB: 256, cpus: 1, append: "break=premount" });
  await machine.waitFor(/\(initramfs\) /, 120_000);
  machine.type("ls /run/lastwords; ps | grep '[@]lastwords'; echo the end\n");
  await machine.waitFor(/^the end$/m, 20_000);
  expect(machine.console).toMatch(/ls: \/run\/lastwords: No such file/);
  expect(machine.console).not.toMatch(/--module/);
});

for (const [name, modules] of [
  ["dracut without systemd: the module's hook", "bash base"],
  ["dracut with systemd: the module's unit", "bash systemd systemd-initrd dracut-systemd base"],
] as const) {
  test(`${name} records`, async (context) => {
    if (unavailable !== "") return context.skip(unavailable);
    // What a unit prints goes to the journal.
    await writeFile(join(root, "tmp/use.sh"), `exec >/dev/ttyS0 2>&1\n${USE}`, { mode: 0o755 });
    const image = `/var/lib/kdump/dracut-${modules.length}.img`;
    const options = "--force --no-hostonly --no-kernel --no-early-microcode --gzip --install 'od gzip dd grep tr sleep sync cat'";
    const include = "--include /tmp/use.sh /var/lib/dracut/hooks/cmdline/99-use.sh";
    const said = await inside(`dracut ${options} ${include} -m "${modules} lastwords" ${image} ${kernel!.release} 2>&1`);
    expect(said.toString()).not.toMatch(/lastwords: /);
    await expectRecorded(await boot(context, join(root, image), "elfcorehdr=0x6080000"), name);
  });
}
