import { lstatSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { writeHtmlReport } from "../../src/cli/html-report.ts";
import { CleanUps } from "../../src/cli/main.ts";
import type { Context } from "../../src/cli/table.ts";
import { Output } from "../../src/cli/terminal.ts";
import { collectEvidence } from "../../src/evidence/index.ts";
import { Kernel } from "../../src/kernel/index.ts";
import { buildReport, type PageData } from "../../src/report/index.ts";
import { MemorySink } from "../cli/memory-sink.ts";
import { buildPage, root, sampleLog, sampleReport } from "./page.ts";

const folder = mkdtempSync(join(tmpdir(), "lastwords-html-"));
let page: string;
beforeAll(async () => {
  page = await buildPage();
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function context(sink = new MemorySink()): Context {
  const out = new Output(sink, { env: {} });
  return {
    out,
    err: out,
    env: {},
    quiet: true,
    note: () => undefined,
    progress: () => undefined,
    cleanUps: new CleanUps(),
  } as unknown as Context;
}

function dataOf(html: string): PageData {
  const start = html.indexOf(">", html.indexOf('id="report-data"')) + 1;
  return JSON.parse(html.slice(start, html.indexOf("</script", start))) as PageData;
}

test("the file is its owner's alone, whole, and replaces what a link leads to", () => {
  const path = join(folder, "report.html");
  const link = join(folder, "link.html");
  writeFileSync(path, "old", { mode: 0o644 });
  symlinkSync(path, link);
  writeHtmlReport(context(), link, sampleReport(sampleLog(10)), {}, page);
  expect(statSync(path).mode & 0o777).toBe(0o600);
  expect(lstatSync(link).isSymbolicLink()).toBe(true);
  expect(dataOf(readFileSync(path, "utf8")).report.log.lines).toBe(10);
  expect(readdirSync(folder).sort()).toEqual(["link.html", "report.html"]);
  // A device stays one.
  writeHtmlReport(context(), "/dev/null", sampleReport(""), {}, page);
  expect(lstatSync("/dev/null").isCharacterDevice()).toBe(true);
});

test("what cannot be written is said, and leaves nothing behind", () => {
  const before = readdirSync(folder);
  expect(() => writeHtmlReport(context(), join(folder, "none", "x.html"), sampleReport(""), {}, page)).toThrow("cannot write");
  expect(() => writeHtmlReport(context(), folder, sampleReport(""), {}, page)).toThrow("cannot write");
  expect(readdirSync(folder)).toEqual(before);
});

test("a dump's page has the kernel's levels and the content of device dumps", async () => {
  const evidence = await collectEvidence([join(root, "samples/evidence-6.1-oops.vmcore")], {});
  const { dump } = evidence.dump!;
  try {
    const kernel = new Kernel(dump);
    const report = buildReport({ evidence, kernel, kernelFailure: undefined, version: "test" });
    const sink = new MemorySink();
    const to = context(sink);
    writeHtmlReport(to, "-", report, { kernel, notes: dump.notes }, page);
    to.out.flush();
    const html = Buffer.concat(sink.writes).toString("utf8");
    const data = dataOf(html);
    expect(data.report).toEqual(JSON.parse(JSON.stringify(report)));
    const lines = report.log.text.split("\n").slice(0, -1);
    expect(data.levels).toHaveLength(lines.length);
    // KERN_ALERT, linux:arch/x86/mm/fault.c:show_fault_oops.
    expect(data.levels![lines.findIndex((line) => line.includes("BUG: kernel NULL pointer"))]).toBe("1");
    expect(data.dumps?.map(({ note, size, data }) => [report.notes[note]!.device, size, Buffer.from(data, "base64").length])).toEqual([
      ["nic0_regs", 8128, 8128],
      ["fw-log:eth1", 69568, 69568],
    ]);
    expect(html.length - JSON.stringify(report.log.text).length).toBeLessThan(400_000);
  } finally {
    dump.close();
  }
});

test("a long device dump is cut, and says so", () => {
  const note = (name: string, size: number) => {
    const desc = new Uint8Array(44 + size);
    desc.set(Buffer.from(name));
    return { name: "LINUX", type: 0x700, desc, offset: 0 };
  };
  const sink = new MemorySink();
  const to = context(sink);
  const notes = Array.from({ length: 6 }, (_, i) => note(`nic${i}`, 1_500_000));
  writeHtmlReport(to, "-", sampleReport(""), { notes: notes as never }, page);
  to.out.flush();
  const { dumps } = dataOf(Buffer.concat(sink.writes).toString("utf8"));
  expect(dumps?.map(({ note, size, data }) => [note, size, Buffer.from(data, "base64").length])).toEqual(
    [0, 1, 2, 3].map((i) => [i, 1_500_000, 1024 * 1024]),
  );
});

test("lines of a log that is too long for the report keep their numbers", async () => {
  const path = join(folder, "console.log");
  const filler = `[    0.000001] ${"x".repeat(1000)}\n`.repeat(20_000);
  writeFileSync(path, `${filler}[    4.000000] Kernel panic - not syncing: sysrq triggered crash\n[    4.000001] the end\n`);
  const evidence = await collectEvidence([path], {});
  const report = buildReport({ evidence, kernel: undefined, kernelFailure: undefined, version: "test" });
  const html = join(folder, "long.html");
  writeHtmlReport(context(), html, report, { log: evidence.log }, page);
  const { firstLine, report: written } = dataOf(readFileSync(html, "utf8"));
  const crash = written.crashes.find(({ cause }) => cause)!;
  expect(crash.line).toBe(20_001);
  expect(firstLine).toBe(20_002 - written.log.lines + 1);
  expect(written.log.text.split("\n")[crash.line - firstLine!]).toContain("Kernel panic");
});
