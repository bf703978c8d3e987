import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { givenKernel, hostKernel } from "./kernels.ts";

const root = mkdtempSync(join(tmpdir(), "lastwords-kernels-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

/** The beginning of a bzImage: magic, and where its version string is. */
function bzImage(path: string, version: string): string {
  const bytes = Buffer.alloc(4096);
  bytes.write("HdrS", 0x202, "latin1");
  bytes.writeUInt16LE(0x300, 0x20e);
  bytes.write(`${version}\0`, 0x500, "latin1");
  const file = join(root, path);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, bytes);
  return file;
}

test("a kernel's release is in its image, its modules beside it", async () => {
  const image = bzImage("boot/vmlinuz-6.1.0-56-cloud-amd64", "6.1.0-56-cloud-amd64 (debian-kernel@lists.debian.org) #1 SMP");
  const missing = givenKernel(image);
  await expect(missing).rejects.toThrow(/no modules of the kernel 6\.1\.0-56-cloud-amd64 in /);
  mkdirSync(join(root, "usr/lib/modules/6.1.0-56-cloud-amd64"), { recursive: true });
  expect(await givenKernel(image)).toEqual({
    release: "6.1.0-56-cloud-amd64",
    image,
    modules: join(root, "usr/lib/modules/6.1.0-56-cloud-amd64"),
  });
  expect((await givenKernel(image, root)).modules).toBe(root);
  expect((await hostKernel({ root, release: "6.1.0-56-cloud-amd64" })).image).toBe(image);
});

test("what is no kernel is said", async () => {
  const path = join(root, "text");
  writeFileSync(path, "Linux version 6.1");
  await expect(givenKernel(path)).rejects.toThrow(/is no x86 bzImage/);
  await expect(givenKernel(join(root, "none"))).rejects.toThrow(/cannot be read/);
  await expect(hostKernel({ root, release: "5.0" })).rejects.toThrow(/no image of the kernel 5\.0/);
});
