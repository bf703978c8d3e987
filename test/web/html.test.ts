import { createHash } from "node:crypto";
import * as fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";
import { safeJson } from "../../src/report/html.ts";
import type { PageData } from "../../src/report/index.ts";
import { renderHtml } from "../../src/report/index.ts";
import { piecesOf, visible } from "../../web/report/escape.ts";
import { foldFrames } from "../../web/report/noise.ts";
import { buildPage, HOSTILE, sampleLog, sampleReport } from "./page.ts";

let page: string;
beforeAll(async () => {
  page = await buildPage();
});

/** What a browser would take for the data: up to the first end of a script. */
function dataIn(html: string): PageData {
  const start = html.indexOf(">", html.indexOf('id="report-data"')) + 1;
  return JSON.parse(html.slice(start, html.indexOf("</script", start))) as PageData;
}

describe("the page with a report in it", () => {
  test("is at most 400 KB without the log", () => {
    const size = Buffer.byteLength(renderHtml(sampleReport(""), page));
    expect(Buffer.byteLength(page)).toBeLessThan(120_000);
    expect(size).toBeLessThan(400_000);
  });

  test("holds the report unchanged", () => {
    const report = sampleReport(sampleLog(200));
    expect(dataIn(renderHtml(report, page, { levels: "6".repeat(200) }))).toEqual({ report, levels: "6".repeat(200) });
  });

  test("keeps hostile text inside the data", () => {
    const report = sampleReport(sampleLog(50, true), true);
    const html = renderHtml(report, page);
    expect(html.match(/<script/g)).toHaveLength(page.match(/<script/g)!.length);
    expect(html.match(/<!--/g)).toEqual(page.match(/<!--/g));
    // oxlint-disable-next-line no-control-regex
    expect(html).not.toMatch(/[\0\x1b\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff\udb40]/);
    expect(dataIn(html)).toEqual({ report });
  });

  test("any text comes back, and none closes the element", () => {
    fc.assert(
      fc.property(
        fc.array(fc.oneof(fc.string({ unit: "binary" }), fc.constantFrom("</script>", "<!--", "$&", "\u202e", HOSTILE))),
        (texts) => {
          const json = safeJson(texts);
          expect(json).not.toContain("<");
          expect(JSON.parse(json)).toEqual(texts);
        },
      ),
    );
  });

  test("a template without the place is refused", () => {
    expect(() => renderHtml(sampleReport(""), "<html></html>")).toThrow("exactly one place");
    expect(() => renderHtml(sampleReport(""), page + page)).toThrow("exactly one place");
  });

  test("refers to nothing outside and allows its own script alone", () => {
    const script = /<script type="module">(.*?)<\/script>/s.exec(page)![1]!;
    const policy = /Content-Security-Policy" content="([^"]*)"/.exec(page)![1]!;
    expect(policy).toContain("default-src 'none'");
    expect(policy).toContain(`script-src 'sha256-${createHash("sha256").update(script).digest("base64")}'`);
    expect(policy).not.toContain("unsafe");
    expect(page).not.toMatch(/<(?:script|img|iframe)[^>]*\bsrc=/);
    expect(page).not.toMatch(/<link[^>]*href="(?!data:)/);
    expect(page).not.toMatch(/\b(?:fetch|XMLHttpRequest|WebSocket|importScripts)\s*\(/);
    // Names of namespaces are the only addresses.
    const addresses = [...page.matchAll(/https?:\/\/[^"'`\s)]+/g)].map(([address]) => address);
    expect(addresses.filter((address) => !address.startsWith("http://www.w3.org/"))).toEqual([]);
  });
});

describe("what the page shows", () => {
  test("controls and bidi marks are spelled out", () => {
    expect(visible("a\u202eb\u001b[1m\u2028\ud800\u{e0041}\tc")).toBe("a\\u202eb\\x1b[1m\\u2028\\ud800\\u{e0041}\tc");
    expect(piecesOf("Foo\u202efoo", "foo")).toEqual([
      { text: "Foo", kind: "mark" },
      { text: "\\u202e", kind: "escape" },
      { text: "foo", kind: "mark" },
    ]);
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), fc.string({ maxLength: 2 }), (text, mark) => {
        const shown = piecesOf(text, mark.toLowerCase())
          .map((piece) => piece.text)
          .join("");
        expect(shown).toBe(visible(text));
        expect(visible(shown)).toBe(shown);
      }),
    );
  });

  test("frames of the panic path and of entry code are folded", () => {
    const { panic, tasks } = sampleReport("");
    const runs = foldFrames(panic.frames).map(
      (run) => `${run.fold ?? "shown"} ${run.frames.map(({ frame }) => frame.symbol ?? "user").join(" ")}`,
    );
    expect(runs).toEqual([
      "panic __crash_kexec panic page_fault_oops asm_exc_page_fault",
      "shown nic_poll net_rx_action",
      "entry do_syscall_64 entry_SYSCALL_64_after_hwframe",
      "shown user",
    ]);
    expect(foldFrames(tasks[0]!.frames).map((run) => run.fold)).toEqual(["schedule", null, "entry"]);
    // Nothing but noise is no noise.
    expect(foldFrames(panic.frames.slice(0, 2)).map((run) => run.fold)).toEqual([null]);
    // No frame is lost or moved.
    for (const { frames } of [panic, ...tasks.slice(0, 5)])
      expect(foldFrames(frames).flatMap((run) => run.frames.map(({ number }) => number))).toEqual(frames.map((_, i) => i));
  });
});
