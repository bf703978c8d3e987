import { mkdtemp, open, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import {
  defaultCacheFolder,
  fetchKernel,
  guestTools,
  Initramfs,
  isLabUnavailable,
  type KernelSeries,
  type LabKernel,
  type LoadableModule,
  Machine,
} from "../../src/lab/index.ts";
import { addQuickjs, fetchQuickjs, QUICKJS_FOLDER, quickjsCommand } from "../../src/lab/quickjs.ts";
import { bundleForQuickjs } from "../../tools/bundle.ts";

/*
 * A guest that boots several times in one machine, its memory and disks kept as they were: what a boot writes to /out comes back
 * to the host.
 */

/** Mibibytes of the tar of each boot, on the disk that brings them back. */
const ROOM = 24;

export interface BootsOptions {
  readonly kernel: LabKernel;
  /** In the order in which they can be loaded; `/mod/NAME.ko` in the guest, {@link BootsOptions.scripts} load them. */
  readonly modules: readonly LoadableModule[];
  /**
   * Shell lines of each boot. Each ends with a reset: by `save; reboot -f`, or another way behind `save`. The last one's is
   * done for it.
   */
  readonly scripts: readonly string[];
  readonly append: string;
  readonly memoryMiB?: number;
  /** Sizes of empty disks, in bytes, by serial number. Script lines find them with `$(disk SERIAL)`. */
  readonly disks?: Readonly<Record<string, number>>;
  /** Further files of the guest. */
  readonly files?: Readonly<Record<string, Uint8Array | string>>;
  /** Programs for QuickJS, TypeScript files beside this one: `$QJS /NAME.js` runs `NAME.ts`. */
  readonly programs?: readonly string[];
  readonly kexec?: boolean;
  readonly timeoutMs?: number;
}

/** A file that a boot left in /out. */
export interface GuestFile {
  readonly bytes: Buffer;
  /** mtime, whole seconds. */
  readonly seconds: number;
}

export interface Boots {
  /** Files by their path below /out, for each boot that saved any. */
  readonly files: readonly ReadonlyMap<string, GuestFile>[];
  readonly console: string;
}

/** Kernel and tools, or why this machine has no lab. */
export async function kernelOrReason(series: KernelSeries): Promise<LabKernel | string> {
  const options = { cache: defaultCacheFolder(), progress: (message: string): void => console.info(`lab: ${message}`) };
  try {
    await fetchQuickjs(options);
    await guestTools(options);
    return await fetchKernel(series, options);
  } catch (error) {
    if (!isLabUnavailable(error)) throw error;
    console.warn(`lab: skipped ${series}: ${error.message}`);
    return error.message;
  }
}

const [loader, ...loaderArgs] = quickjsCommand(QUICKJS_FOLDER, "");
/** Without the script at the end. */
const QJS = [loader, ...loaderArgs.slice(0, -1)].join(" ");

const SETUP = String.raw`#!/bin/busybox sh
/bin/busybox mkdir -p /proc /sys /dev /tmp /out /run
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sysfs /sys
/bin/busybox mount -t devtmpfs devtmpfs /dev
/bin/busybox --install -s /bin
export PATH=/bin
say() { echo "lastwords-lab: $*"; }
fail() { [ -f /tmp/journal ] && cat /tmp/journal; say "failed: $*"; sleep 1; poweroff -f; }
disk() {
  for name in $(ls /sys/block); do
    if [ "$(cat /sys/block/$name/device/serial 2>/dev/null | tr -d ' ')" = "$1" ]; then echo /dev/$name; return; fi
  done
  fail "no disk $1"
}
QJS="${QJS}"
need() { for module; do [ -d /sys/module/$module ] || insmod /mod/$module.ko || fail "insmod $module"; done; }
# region ADDRESS SIZE: physical memory, in pages of 4096 bytes
region() { dd if=/dev/mem bs=4096 skip=$(($1 / 4096)) count=$(($2 / 4096)) 2>/dev/null; }
# wait_until SECONDS COMMAND...
wait_until() {
  left=$(($1 * 5)); shift
  until "$@"; do left=$((left - 1)); [ $left -gt 0 ] || fail "waited in vain for: $*"; usleep 200000; done
}
# What is said last before a panic never leaves the port's buffer.
save() { sync; tar cf - -C /out . | dd of=$BACK bs=1M seek=$((1 + boot * ${ROOM})) conv=notrunc,fsync 2>/dev/null || fail "cannot save"; say "saved $boot"; sleep 1; }
BACK=$(disk back)
boot=$(dd if=$BACK bs=16 count=1 2>/dev/null | tr -d '\000')
boot=$((boot))
echo $((boot + 1)) | dd of=$BACK conv=notrunc,fsync 2>/dev/null
say "boot $boot of $(uname -r)"
`;

/** Runs all boots, each up to its reset. @throws LabError where the guest did not do it, with the end of its console. */
export async function runBoots(options: BootsOptions): Promise<Boots> {
  const folder = await mkdtemp(join(tmpdir(), "lastwords-boots-"));
  try {
    const { kernel, scripts } = options;
    const cache = { cache: defaultCacheFolder() };
    const tools = await guestTools(cache);
    const bundle = join(folder, "bundle.js");
    const initramfs = new Initramfs().addFile("/bin/busybox", await readFile(tools.busybox), "program").addModules(options.modules);
    await addQuickjs(initramfs, await fetchQuickjs(cache));
    const programs = [["record", "../../src/recorder/quickjs-main.ts"], ...(options.programs ?? []).map((name) => [name, `./${name}.ts`])];
    for (const [name, path] of programs) {
      await bundleForQuickjs(fileURLToPath(new URL(path!, import.meta.url)), bundle, "lab");
      initramfs.addFile(`/${name}.js`, await readFile(bundle));
    }
    for (const [path, bytes] of Object.entries(options.files ?? {})) initramfs.addFile(path, bytes);
    const cases = scripts.map((script, i) => `if [ $boot = ${i} ]; then\n${script}\n${i + 1 === scripts.length ? "save\n" : ""}fi\n`);
    initramfs.addFile("/init", `${SETUP}${cases.join("")}sleep 20\npoweroff -f\n`, "program");
    const image = join(folder, "initramfs.gz");
    if (options.kexec === true) {
      await initramfs.addProgram(tools.kexec);
      initramfs.addFile("/boot/vmlinuz", await readFile(kernel.image));
      await writeFile(image, await initramfs.encode());
      // The capture kernel has the same, without the kernel and the initramfs that are itself.
      initramfs.addFile("/boot/initramfs", await readFile(image));
    }
    await writeFile(image, await initramfs.encode());

    const disks: { path: string; serial: string }[] = [];
    for (const [serial, size] of [["back", (1 + scripts.length * ROOM) * 2 ** 20] as const, ...Object.entries(options.disks ?? {})]) {
      const path = join(folder, `${serial}.raw`);
      await writeFile(path, "");
      await truncate(path, size);
      disks.push({ path, serial });
    }
    await using machine = await Machine.start({
      kernel: kernel.image,
      initramfs: image,
      append: options.append,
      memoryMiB: options.memoryMiB ?? 640,
      cpus: 2,
      disks,
      onReset: "reboot",
      timeoutMs: options.timeoutMs ?? 300_000,
    });
    const from = performance.now();
    const stages: string[] = [];
    for (const i of scripts.keys()) {
      const pattern = new RegExp(`^lastwords-lab: (saved ${i}|failed: .*)\\n`, "m");
      const [line] = await machine.waitFor(pattern, options.timeoutMs ?? 300_000).catch(async (error: unknown) => {
        await keepConsole(machine.console);
        throw error;
      });
      if (!line.includes("saved")) {
        await keepConsole(machine.console);
        throw new Error(`the guest ${line.slice(15)}; its console ends with:\n${machine.consoleTail(30)}`);
      }
      stages.push(`${((performance.now() - from) / 1000).toFixed(1)} s`);
    }
    const { console: text } = machine;
    await machine.kill();
    console.info(`lab: ${kernel.release}: boots saved after ${stages.join(", ")}`);
    const back = await open(join(folder, "back.raw"));
    try {
      const files: Map<string, GuestFile>[] = [];
      for (const i of scripts.keys()) {
        const tar = Buffer.alloc(ROOM * 2 ** 20);
        await back.read(tar, 0, tar.length, (1 + i * ROOM) * 2 ** 20);
        files.push(untar(tar));
      }
      return { files, console: text };
    } finally {
      await back.close();
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** For a look after a failure. */
async function keepConsole(text: string): Promise<void> {
  const path = join(tmpdir(), "lastwords-boots-console.log");
  await writeFile(path, text, "latin1");
  console.warn(`lab: the console is in ${path}`);
}

/** Files of a ustar archive as busybox makes it, by path without `./`. */
function untar(tar: Buffer): Map<string, GuestFile> {
  const files = new Map<string, GuestFile>();
  const text = (at: number, length: number): string => tar.toString("latin1", at, at + length).replace(/\0[^]*$/, "");
  for (let at = 0; at + 512 <= tar.length && tar[at] !== 0;) {
    const size = Number.parseInt(text(at + 124, 12), 8);
    if (text(at + 156, 1) === "0" || text(at + 156, 1) === "") {
      const bytes = tar.subarray(at + 512, at + 512 + size);
      files.set(text(at, 100).replace(/^\.\//, ""), { bytes, seconds: Number.parseInt(text(at + 136, 12), 8) });
    }
    at += 512 + Math.ceil(size / 512) * 512;
  }
  return files;
}
