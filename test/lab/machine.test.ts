import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test, type TestContext } from "vitest";
import {
  defaultCacheFolder,
  fetchKernel,
  guestTools,
  Initramfs,
  isLabUnavailable,
  LabError,
  type LabKernel,
  Machine,
  type MachineOptions,
} from "../../src/lab/index.ts";

let folder = "";
let kernel: LabKernel | undefined;
let busybox: Uint8Array = new Uint8Array();
let unavailable = "";

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "lastwords-machine-"));
  const options = { cache: defaultCacheFolder() };
  try {
    kernel = await fetchKernel("6.1", options);
    busybox = await readFile((await guestTools(options)).busybox);
  } catch (error) {
    if (!isLabUnavailable(error)) throw error;
    unavailable = error.message;
    console.warn(`lab: skipped: ${unavailable}`);
  }
});

afterAll(() => rm(folder, { recursive: true, force: true }));

/** A machine whose init does this, with the words waited for if there are any; without QEMU the test is skipped. */
async function boot(context: TestContext, script: string, options: Partial<MachineOptions> = {}, words?: RegExp): Promise<Machine> {
  if (kernel === undefined) return context.skip(unavailable);
  const init = `#!/bin/busybox sh
/bin/busybox mkdir -p /proc /dev
/bin/busybox mount -t proc proc /proc; /bin/busybox mount -t devtmpfs dev /dev
/bin/busybox --install -s /bin
export PATH=/bin
${script}`;
  const initramfs = join(folder, "initramfs.gz");
  await writeFile(initramfs, await new Initramfs().addFile("/bin/busybox", busybox, "program").addFile("/init", init, "program").encode());
  const { image } = kernel;
  try {
    const all = { kernel: image, initramfs, append: "panic=1", memoryMiB: 256, cpus: 1, ...options };
    return await (words === undefined ? Machine.start(all) : Machine.boot(all, words));
  } catch (error) {
    if (isLabUnavailable(error)) return context.skip(error.message);
    throw error;
  }
}

test("reserved memory survives a warm reset", async (context) => {
  const script = `
echo "hole: $(dd if=/dev/mem bs=4096 skip=24576 count=1 2>/dev/null | strings | head -1)."
printf 'last word' | dd of=/dev/mem bs=4096 seek=24576 conv=notrunc 2>/dev/null
echo c > /proc/sysrq-trigger
sleep 10`;
  await using machine = await boot(context, script, { append: "panic=1 memmap=1M$0x6000000", onReset: "reboot" });
  await machine.waitFor(/^hole: \.\n/m, 60_000);
  await machine.waitFor(/^hole: last word\.\n/m, 60_000);
});

test("a guest that ends too early, and one that says nothing, are told apart", async (context) => {
  await using ending = await boot(context, "echo going; poweroff -f");
  await expect(ending.waitFor(/never said/, 60_000)).rejects.toThrow(/ended without saying never said: .* guest-shutdown[^]*going/);
  await ending.exited();

  await using resetting = await boot(context, "echo b > /proc/sysrq-trigger; sleep 100");
  await expect(resetting.waitFor(/never said/, 60_000)).rejects.toThrow(/ guest-reset;[^]*CPU#0[^]*RIP=/);

  await using silent = await boot(context, "echo here; sleep 1000");
  await silent.waitFor(/^here\n/m, 60_000);
  const waiting = silent.waitFor(/never said/, 100);
  await expect(waiting).rejects.toThrow(LabError);
  await expect(waiting).rejects.toMatchObject({ reason: "TIMEOUT" });
});

test("a kernel that dies before its user space speaks is started once more, and no more", async (context) => {
  const said: string[] = [];
  const options = { append: "panic=1 rdinit=/missing init=/missing", progress: (message: string) => void said.push(message) };
  await expect(boot(context, "echo here", options, /^here$/m)).rejects.toThrow(/without saying [^]*Kernel panic - not syncing/);
  expect(said).toHaveLength(1);
  expect(said[0]).toMatch(/^the kernel died before its user space began, and is started once more;[^]*Kernel panic/);
});

test("what is typed arrives, control commands answer, an abort kills", async (context) => {
  const control = new AbortController();
  await using machine = await boot(context, 'echo ready; read line; echo "heard $line"; sleep 1000', { signal: control.signal });
  await machine.waitFor(/^ready\n/m, 60_000);
  machine.type("a word\n");
  await machine.waitFor(/^heard a word\n/m, 10_000);
  expect(await machine.command("query-status")).toMatchObject({ status: "running" });
  await expect(machine.command("no-such-command")).rejects.toThrow(/QEMU says: .*no-such-command/);
  control.abort(new Error("enough"));
  await expect(machine.exited()).rejects.toThrow("enough");
});

test("QEMU's own complaint is passed on", async (context) => {
  await expect(boot(context, "", { extra: ["-device", "no-such-device"] })).rejects.toThrow(/no-such-device/);
});
