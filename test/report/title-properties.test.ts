import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { crashesOfText, titleOfLog, titlesOfLog } from "../../src/report/title/index.ts";
import { HEADER_GROUPS, LAST_RESORT_GROUPS } from "../../src/report/title/rules.ts";
import { demangleRustName } from "../../src/report/title/rust-name.ts";

const headers = [...HEADER_GROUPS, ...LAST_RESORT_GROUPS].map((group) => group.header);
const words = headers.concat(
  ["KASAN: use-after-free in f+0x1/0x2", "Read of size 8", "Call Trace:", " f+0x1/0x2", "<EOI>", " ? g+0x1/0x2"],
  ["RIP: 0010:f+0x1/0x2", "at: f+0x1/0x2", "Kernel panic - not syncing: x", " at mm/a.c:1 f+0x1/0x2", "backtrace:"],
  ["[    1.234567] ", "[    1.2][  T12] ", "<4>", "Linux version ", "\r", "\x1b[31m", "\n", "\n", "Aug 17 12:34:56 h kernel: "],
  ["Uninit was created at:", "INFO: task ", "task a blocked for more than 1 seconds", "should_fail+0x1/0x2"],
  ["rust_kernel: panicked at x\n", " _RNvC1a1b+0x1/0x2", "** replaying previous printk message **", "Sending NMI from CPU"],
);

/** Text that gets past the pre-filter: pieces of reports in any order, with anything between. */
const logText = fc
  .array(fc.oneof({ weight: 5, arbitrary: fc.constantFrom(...words) }, fc.string({ unit: "binary", maxLength: 20 })), {
    maxLength: 120,
    size: "max",
  })
  .map((pieces) => pieces.join(""));

/** The crashes of a text that comes in pieces of `size` bytes. */
function titlesOfPieces(log: string, size: number): unknown[] {
  const text = Buffer.from(log).toString("latin1");
  let at = 0;
  const pull = (): string | undefined => {
    const piece = text.slice(at, at + size);
    at += size;
    return piece === "" ? undefined : piece;
  };
  return crashesOfText(pull, { first: 16, last: 0, context: 10 }).crashes.map(({ crash }) => crash);
}

describe("any text", () => {
  test("is named alike as a text and in pieces", () => {
    fc.assert(
      fc.property(logText, fc.integer({ min: 1, max: 3000 }), (log, size) => {
        // As a file of UTF-8 has it: half a surrogate pair is no character there.
        const written = Buffer.from(log).toString();
        expect(titlesOfPieces(written, size)).toEqual(titlesOfLog(written));
      }),
      { numRuns: 400 },
    );
  });

  test("is named or not, and never throws", () => {
    fc.assert(
      fc.property(fc.oneof(logText, fc.string({ unit: "binary" })), (log) => {
        const lineCount = log.split("\n").length;
        let previous = -1;
        for (const crash of titlesOfLog(log, { limit: 5 })) {
          expect(crash.title).toMatch(/^[\x20-\x7e]{0,120}$/);
          expect(crash.altTitles).toEqual([...new Set(crash.altTitles)].toSorted());
          expect(crash.altTitles).not.toContain(crash.title);
          expect(crash.line).toBeGreaterThan(previous);
          expect(crash.endLine).toBeGreaterThanOrEqual(crash.line);
          expect(crash.endLine).toBeLessThan(lineCount);
          previous = crash.line;
        }
      }),
      { numRuns: 500 },
    );
  });

  test("is named alike as a text, as lines, and with carriage returns", () => {
    fc.assert(
      fc.property(logText, (log) => {
        const expected = titlesOfLog(log);
        expect(titlesOfLog(log.split("\n"))).toEqual(expected);
        expect(titlesOfLog(log.replaceAll("\n", "\r\n"))).toEqual(expected);
        expect(titleOfLog(log)).toEqual(expected[0]);
      }),
      { numRuns: 300 },
    );
  });

  test("is any function's name", () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...Array.from("_RNvCIBMXYTEKLDFGps0129abz")), { maxLength: 80 }), (letters) => {
        expect(typeof demangleRustName(`_R${letters.join("")}`)).toBe("string");
      }),
    );
  });
});

/** Repeats `unit` to about a megabyte. */
function megabyte(unit: string): string {
  return unit.repeat(Math.ceil(1_000_000 / unit.length));
}

describe("a hostile megabyte", () => {
  test.each(
    Object.entries({
      "one line": megabyte("WARNING: mm/.c "),
      "one title": `Kernel panic - not syncing: ${megabyte("1,")}`,
      "one address": `Kernel panic - not syncing: ${megabyte("a")}`,
      "a login prompt": `${megabyte(" login:")}BUG:`,
      "headers without a line feed": megabyte("BUG: "),
      "nothing but headers": megabyte("BUG:\n"),
      "headers that say nothing": megabyte("[    1.0] WARNING: x\n"),
      "patterns that nearly fit": megabyte(`WARNING: ${"mm/.c ".repeat(300)}\n`),
      "places in files": `WARNING: suspicious RCU usage\n${megabyte(`${"a.a".repeat(600)}\n`)}`,
      "a task's name": `INFO: task ${megabyte("x\n")}`,
      boots: megabyte("Booting the kernel.\n"),
      replays: megabyte("BUG:\n** replaying previous printk message **\n"),
      frames: `BUG: soft lockup\nRIP: 0010:f+0x1/0x2\nCall Trace:\n${megabyte(" f+0x1/0x2\n")}`,
      "Rust names": `rust_kernel: panicked at x\nm\nCall Trace:\n${megabyte(` _RINvC1a1b${"TB6_B6_B6_E".repeat(60)}E+0x1/0x2\n`)}`,
      "escape sequences": `${megabyte("\x1b[")}BUG:`,
    }),
  )("%s", (_, log) => {
    const start = performance.now();
    titlesOfLog(log);
    titlesOfPieces(log, 65_536);
    // The slowest takes half a second on an idle machine; what this guards against takes minutes.
    expect(performance.now() - start).toBeLessThan(10_000);
  });
});

test("a log without a crash is read at 50 MB/s or more", () => {
  const lines = [
    "[    4.519483] Freeing unused kernel image (rodata/data gap) memory: 1280K",
    "[    4.556134] x86/mm: Checked W+X mappings: passed, no W+X pages found.",
    "[    4.556899] Run /init as init process",
    "[   23.124762] active_anon:85929 inactive_anon:0 isolated_anon:0",
  ];
  const log = `${lines.join("\n")}\n`.repeat(60_000);
  const seconds = Array.from({ length: 5 }, () => {
    const start = performance.now();
    expect(titleOfLog(log)).toBeUndefined();
    return (performance.now() - start) / 1000;
  });
  // The best of five, as other work may share the machine.
  const megabytesPerSecond = log.length / 1e6 / Math.min(...seconds);
  expect(megabytesPerSecond).toBeGreaterThan(50);
});
