import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { afterAll, describe, expect, test } from "vitest";
import { asPfn } from "../../src/bytes/index.ts";
import { openDump } from "../../src/format/index.ts";
import { expectConforming } from "../conformance/dump-file.ts";
import { writeFlattened } from "../writers/flattened.ts";
import { writeKdump } from "../writers/kdump.ts";
import { pagePattern } from "../writers/page-pattern.ts";

const folder = mkdtempSync(join(tmpdir(), "lastwords-test-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Enough for several blocks of zstd. */
const PFNS = [0, 1, ...Array.from({ length: 80 }, (_, i) => 300 + i)];
const expected = { pages: new Map(PFNS.map((pfn) => [pfn, pagePattern("noise", pfn, 4096)])), absent: [5] };
const dump = writeKdump({ maxMapnr: 512, pages: PFNS.map((pfn) => ({ pfn, bytes: pagePattern("noise", pfn, 4096) })) });
const pieces = [4096, 0, 9000].map((offset, i, all) => ({
  offset,
  bytes: dump.slice(offset, i === 1 ? 4096 : i === 0 ? all[2] : undefined),
}));

function save(name: string, bytes: Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, bytes);
  return path;
}

const temporary = (): number =>
  readdirSync(tmpdir()).filter((name) => name.startsWith("lastwords-") && !name.startsWith("lastwords-test-")).length;

describe("containers", () => {
  test.each([
    ["plain", dump, []],
    ["gzip", gzipSync(dump), ["gzip"]],
    ["two gzip members", Buffer.concat([gzipSync(dump.slice(0, 10_000)), gzipSync(dump.slice(10_000))]), ["gzip"]],
    ["zstd", zstdCompressSync(dump), ["zstd"]],
    ["flattened", writeFlattened(pieces), ["flattened"]],
    ["flattened in gzip", gzipSync(writeFlattened(pieces)), ["gzip", "flattened"]],
    ["zstd in gzip", gzipSync(zstdCompressSync(dump)), ["gzip", "zstd"]],
  ])("%s", async (name, bytes, containers) => {
    const before = temporary();
    const opened = await openDump([save(name, bytes)]);
    expect(opened.containers).toEqual(containers);
    expect(opened.problems).toEqual([]);
    expectConforming(opened.dump, expected);
    expect(temporary()).toBe(before);
  });

  test.each([
    ["gzip", gzipSync(dump)],
    ["zstd", zstdCompressSync(dump)],
  ])("%s cut short: what could be unpacked is there", async (name, packed) => {
    const opened = await openDump([save(`${name}-cut`, packed.subarray(0, packed.length - 3000))]);
    expect(opened.problems.map((problem) => problem.code)).toEqual(["TRUNCATED"]);
    const page = new Uint8Array(4096);
    opened.dump.readPage(asPfn(0), page);
    expect(Buffer.compare(page, expected.pages.get(0)!)).toBe(0);
    expect(() => opened.dump.readPage(asPfn(379), page)).toThrowError(expect.objectContaining({ code: "TRUNCATED" }));
    opened.dump.close();
  });

  test("packed again and again is a bomb", async () => {
    let bytes: Uint8Array = dump;
    for (let i = 0; i < 6; i++) bytes = gzipSync(bytes);
    await expect(openDump([save("bomb", bytes)])).rejects.toMatchObject({ code: "LIMIT" });
  });
});

describe("what is no dump", () => {
  test.each([
    ["nothing", new Uint8Array(), "TRUNCATED"],
    ["text", Buffer.from("just some text, no dump at all"), "UNSUPPORTED"],
    ["gzip of nothing known", gzipSync(Buffer.alloc(5000, 7)), "UNSUPPORTED"],
    ["a broken gzip", Buffer.concat([gzipSync(dump).subarray(0, 10), Buffer.alloc(100, 0xff)]), "CORRUPT"],
  ])("%s", async (name, bytes, code) => {
    await expect(openDump([save(`no-${name}`, bytes)])).rejects.toMatchObject({ code });
  });

  test("no such file, a folder", async () => {
    await expect(openDump([join(folder, "absent")])).rejects.toMatchObject({ code: "IO" });
    await expect(openDump([folder])).rejects.toMatchObject({ code: "IO" });
  });

  test("a pipe is refused at once, not waited for", async () => {
    execFileSync("mkfifo", [join(folder, "pipe")]);
    await expect(openDump([join(folder, "pipe")])).rejects.toMatchObject({ code: "IO" });
  });

  test("any file is a raw image when the user says so", async () => {
    const opened = await openDump([save("raw", pagePattern("noise", 16, 4096))], { rawBase: 0x10000 });
    expectConforming(opened.dump, { pages: new Map([[16, pagePattern("noise", 16, 4096)]]), absent: [15, 17] });
  });
});
