import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { corruptImage } from "./corrupt.ts";

const folder = mkdtempSync(join(tmpdir(), "lastwords-corrupt-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** 16 KiB of RAM with an initramfs at 0x2100, and a copy of it outside of the reserved memory. */
const initramfs = Uint8Array.from({ length: 2000 }, (_, i) => (i * 31 + (i >> 8)) % 255 || 1);
function ram(): string {
  const bytes = Buffer.alloc(0x4000, 0xaa);
  bytes.set(initramfs, 0x2100);
  bytes.set(initramfs, 0x100);
  const path = join(folder, "ram");
  writeFileSync(path, bytes);
  return path;
}

test("writes into the image in the reserved memory, and nowhere else", async () => {
  const path = ram();
  const before = readFileSync(path);
  await corruptImage(path, [0x2000, 0x3fff], initramfs);
  const after = readFileSync(path);
  const changed = [...after.keys()].filter((i) => after[i] !== before[i]);
  expect(changed.length).toBe(256);
  expect([changed[0], changed.at(-1)]).toEqual([0x2100 + 1000, 0x2100 + 1255]);
});

test("says when the image is not there", async () => {
  await expect(corruptImage(ram(), [0x3000, 0x3fff], initramfs)).rejects.toThrow(/is not where the guest says/);
});
