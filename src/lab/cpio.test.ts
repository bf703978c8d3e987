import { expect, test } from "vitest";
import { encodeCpio } from "./cpio.ts";
import { Initramfs } from "./initramfs.ts";
import { gunzipSync } from "node:zlib";

/** A reader of its own: names, modes and contents, by the format's text. */
function decode(archive: Uint8Array): { path: string; mode: number; text: string }[] {
  const bytes = Buffer.from(archive);
  const entries = [];
  for (let at = 0; ;) {
    expect(bytes.toString("latin1", at, at + 6)).toBe("070701");
    const field = (i: number): number => Number.parseInt(bytes.toString("latin1", at + 6 + 8 * i, at + 14 + 8 * i), 16);
    const path = bytes.toString("utf8", at + 110, at + 110 + field(11) - 1);
    const start = (at + 110 + field(11) + 3) & ~3;
    if (path === "TRAILER!!!") return entries;
    entries.push({ path, mode: field(1), text: bytes.toString("utf8", start, start + field(6)) });
    at = (start + field(6) + 3) & ~3;
  }
}

test("encodeCpio writes what the kernel reads, for every length of name and content", () => {
  const entries = Array.from({ length: 9 }, (_, i) => ({ path: "n".repeat(i + 1), mode: 0o100644, data: Buffer.from("d".repeat(i)) }));
  expect(decode(encodeCpio(entries))).toEqual(entries.map(({ path, mode, data }) => ({ path, mode, text: data.toString() })));
});

test("Initramfs puts folders before what is in them", async () => {
  const archive = await new Initramfs().addFile("/a/b/file", "text").addFile("/init", "#!", "program").encode();
  expect(decode(gunzipSync(archive))).toEqual([
    { path: "a", mode: 0o040755, text: "" },
    { path: "a/b", mode: 0o040755, text: "" },
    { path: "a/b/file", mode: 0o100644, text: "text" },
    { path: "init", mode: 0o100755, text: "#!" },
  ]);
  expect(() => new Initramfs().addFile("/a/../b", "")).toThrow(/no path inside an initramfs/);
});
