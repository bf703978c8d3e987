import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { alignKeys } from "./align.ts";
import { type MergedLine, mergeLines } from "./merge.ts";
import { linesOfText, type SourceLine } from "./text.ts";

function linesOf(text: string): readonly SourceLine[] {
  return [...linesOfText(text).lines];
}

/** Merges texts of one boot; the first is believed more. */
function merged(...texts: string[]): MergedLine[] {
  let lines: MergedLine[] = [];
  for (const [source, text] of texts.entries()) lines = mergeLines(lines, { source, lines: linesOf(text), trusted: source === 0 });
  return lines;
}

/** `time text sources`, readings behind it. */
function shown(lines: readonly MergedLine[]): string[] {
  return lines.map(
    ({ time, text, sources, readings }) =>
      `${time ?? "-"} ${text} ${sources.join("")}${(readings ?? []).map((reading) => ` | ${reading.text} ${reading.sources.join("")}`).join("")}`,
  );
}

function stamp(micros: number): string {
  return `[${(micros / 1e6).toFixed(6).padStart(12)}] `;
}

describe("two texts of one boot", () => {
  const LOG = "[    1.000000] one\n[    2.000000] two\n[    3.000000] three\n";

  test("have each line once, with both sources", () => {
    expect(shown(merged(LOG, LOG))).toEqual(["1 one 01", "2 two 01", "3 three 01"]);
  });

  test("are one whatever stands before the lines", () => {
    const forms = [
      LOG.replaceAll("] ", "][    T1] "),
      LOG.replaceAll("\n", "\r\n"),
      LOG.replaceAll(/^\[/gm, "<6>["),
      LOG.replaceAll(/^\[/gm, "Nov 21 10:00:00 host kernel: ["),
      "6,1,1000000,-,caller=T1;one\n6,2,2000000,-;two\n6,3,3000000,-;three\n",
    ];
    for (const form of forms)
      expect(merged(LOG, form).map(({ sources }) => sources)).toEqual([
        [0, 1],
        [0, 1],
        [0, 1],
      ]);
    expect(merged(LOG, forms[0]!)[0]!.caller).toBe("T1");
    expect(merged(LOG, forms[2]!)[0]!.level).toBe(6);
  });

  test("keep what one alone has in its place", () => {
    expect(shown(merged("[    1.000000] one\n[    3.000000] three\n", "[    2.000000] two\nprogram says\n[    3.000000] three\n"))).toEqual(
      ["1 one 0", "2 two 1", "- program says 1", "3 three 01"],
    );
    // Times that are out of order in one stay so.
    expect(shown(merged("[    5.000000] late\n[    3.000000] three\n", "[    4.000000] four\n"))).toEqual([
      "4 four 1",
      "5 late 0",
      "3 three 0",
    ]);
  });

  test("what programs wrote is found in the console by its words", () => {
    const console = "[    1.000000] one\nkdump.sh: mount failed\nbye\n[    2.000000] two\n";
    expect(shown(merged(console, "kdump.sh: mount failed\nbye\nmore\n"))).toEqual([
      "1 one 0",
      "- kdump.sh: mount failed 01",
      "- bye 01",
      "- more 1",
      "2 two 0",
    ]);
    // Nothing tells when: it comes last.
    expect(shown(merged("[    1.000000] one\n", "said some time\n"))).toEqual(["1 one 0", "- said some time 1"]);
  });

  test("a line that is cut is the whole line, and no conflict", () => {
    expect(shown(merged(LOG, "[    1.000000] one\n[    2.000000] t"))).toEqual(["1 one 01", "2 two 01", "3 three 0"]);
    expect(shown(merged("[    2.000000] t\n[    3.000000] three\n", LOG))).toEqual(["1 one 1", "2 two 01", "3 three 01"]);
    // A ring begins in the middle of a line.
    const ring = merged(
      "[    2.000000] ramoops: using 0x100000@0x6000000\n/ # ls\n[    3.000000] three\n",
      "00000@0x6000000\n[    3.000000] three\n",
    );
    expect(shown(ring)).toEqual(["2 ramoops: using 0x100000@0x6000000 01", "- / # ls 0", "3 three 01"]);
  });

  test("a line that is damaged is shown as the other has it, and both are kept", () => {
    const damaged = "[    1.000000] Linux verssion 6.1.0\n";
    expect(shown(merged("[    1.000000] Linux version 6.1.0\n", damaged))).toEqual(["1 Linux version 6.1.0 01 | Linux verssion 6.1.0 1"]);
    expect(shown(merged("[    1.000000] Linux version 6.1.0\n", damaged, damaged))).toEqual([
      "1 Linux version 6.1.0 012 | Linux verssion 6.1.0 12",
    ]);
    // Of two that are believed alike, what noise damaged is not shown.
    const noise = merged("", "[    1.000000] Linux \x01ersion 6.1.0\n", "[    1.000000] Linux version 6.1.0\n");
    expect(shown(noise)).toEqual(["1 Linux version 6.1.0 12 | Linux \x01ersion 6.1.0 1"]);
    // A damaged time is no line of its own; a message that comes again is.
    expect(
      merged(
        "[    1.000000] aaa\n[    2.000000] usb 1-1: reset\n[    3.000000] ccc\n",
        "[    1.000000] aaa\n[   22.000000] usb 1-1: reset\n[    3.000000] ccc\n",
      ),
    ).toHaveLength(3);
    expect(
      merged(
        "[    1.000000] aaa\n[    2.000000] usb 1-1: reset\n[    3.000000] ccc\n",
        "[    1.000000] aaa\n[    2.500000] usb 1-1: reset\n[    3.000000] ccc\n",
      ),
    ).toHaveLength(4);
  });

  test("two lines of one time are two lines", () => {
    const lines = merged("[    1.000000]  schedule+0x82/0xaf\n", "[    1.000000] Kernel panic - not syncing: x\n");
    expect(lines.map(({ readings }) => readings)).toEqual([undefined, undefined]);
  });

  test("two records in one line are two", () => {
    expect(linesOf("[    1.000000] one[    1.500000][   T7] two\n").map(({ text, number, caller }) => [text, number, caller])).toEqual([
      ["one", 1, undefined],
      ["two", 1, "T7"],
    ]);
  });
});

describe("any log", () => {
  // Few words and times that stand still or go back, so that lines repeat.
  const line = fc.record({
    step: fc.constantFrom(0, 0, 1, 7, 1000, -3),
    text: fc.oneof(fc.constantFrom("a", "b", "Call Trace:", "usb 1-1: reset", ""), fc.string({ maxLength: 20 })),
    kernel: fc.boolean(),
  });
  const log = fc.array(line, { maxLength: 80 }).map((lines) => {
    let time = 5_000_000;
    return lines.map(({ step, text, kernel }) => {
      time += step;
      // oxlint-disable-next-line no-control-regex
      const plain = text.replaceAll(/[\n\r\0\x1b]/g, "");
      return kernel ? `${stamp(time)}${plain}` : plain;
    });
  });
  const join = (lines: readonly string[]): string => lines.map((each) => `${each}\n`).join("");

  test("with itself is itself", () => {
    fc.assert(
      fc.property(log, (lines) => {
        const text = join(lines);
        const once = merged(text);
        const twice = merged(text, text);
        expect(twice.map((each) => each.text)).toEqual(once.map((each) => each.text));
        expect(twice.every(({ sources }) => sources.length === 2)).toBe(true);
      }),
    );
  });

  test("with a part of itself is itself, in either order", () => {
    fc.assert(
      fc.property(log, fc.infiniteStream(fc.boolean()), (lines, stream) => {
        const part = lines.filter(() => stream.next().value);
        const whole = linesOf(join(lines)).map(({ text }) => text);
        expect(merged(join(lines), join(part)).map(({ text }) => text)).toEqual(whole);
        expect(merged("", join(part), join(lines)).map(({ text }) => text)).toEqual(whole);
      }),
    );
  });

  test("keeps the order and every line of each text, whatever they are", () => {
    fc.assert(
      fc.property(fc.array(log, { minLength: 1, maxLength: 4 }), (logs) => {
        const lines = merged(...logs.map(join));
        for (const [source, own] of logs.entries()) {
          const numbers = lines.flatMap((each) => (each.sources.includes(source) ? [each.numbers[each.sources.indexOf(source)]!] : []));
          expect(numbers).toEqual(linesOf(join(own)).map(({ number }) => number));
        }
      }),
    );
  });

  /** Lines as a kernel prints them: each its own time and words. */
  const boot = fc
    .array(fc.string({ unit: fc.constantFrom(..."abcdefghijklmnopqrstuvwxyz 0123456789"), minLength: 24, maxLength: 60 }), {
      minLength: 1,
      maxLength: 60,
    })
    .map((texts) => texts.map((text, i) => `${stamp(1_000_000 + i * 1000)}x${text}x`));

  test("with what noise made of itself has each line once, and every difference is kept", () => {
    fc.assert(
      fc.property(boot, fc.infiniteStream(fc.nat()), (lines, numbers) => {
        let changed = 0;
        const noisy = lines.map((each) => {
          if ((numbers.next().value as number) % 3 > 0) return each;
          changed++;
          const at = 16 + ((numbers.next().value as number) % (each.length - 18));
          return `${each.slice(0, at)}#${each.slice(at + 1)}`;
        });
        const result = merged(join(lines), join(noisy));
        expect(result.map(({ text }) => text)).toEqual(linesOf(join(lines)).map(({ text }) => text));
        expect(result.filter(({ readings }) => readings !== undefined)).toHaveLength(changed);
      }),
    );
  });

  test("with itself cut anywhere has each line once", () => {
    fc.assert(
      fc.property(boot, fc.nat(), fc.nat(), (lines, from, to) => {
        const text = join(lines);
        const start = from % text.length;
        const part = text.slice(start, start + 1 + (to % (text.length - start)));
        // Of a cut in a head or of a few letters nothing can be said.
        const odd = linesOf(part).filter((each) => each.time === undefined).length;
        const result = merged(text, part);
        expect(result.length - lines.length).toBeLessThanOrEqual(odd);
        expect(result.filter(({ readings }) => readings !== undefined)).toEqual([]);
      }),
    );
  });
});

describe("time does not follow from what lines say", () => {
  const COUNT = 100_000;
  const seconds = (work: () => void): number => {
    const start = performance.now();
    work();
    return (performance.now() - start) / 1000;
  };

  test.each([
    ["equal lines without times", (i: number, which: number) => (which === 0 || i % 3 > 0 ? "the same" : "the other")],
    ["equal times, all lines different", (i: number, which: number) => `[    0.000000] ${which} ${i}`],
    ["two lines by turns", (i: number, which: number) => `[    1.000000] ${(i + which) % 2 === 0 ? "a" : "b"}`],
    ["the other way round", (i: number, which: number) => `${stamp(which === 0 ? i : COUNT - i)}x${which === 0 ? i : COUNT - i}`],
    ["stretches that nest", (i: number, which: number) => (which === 0 ? `l${i % 1000}` : `l${(i * 7) % 1001}`)],
    ["line feeds", () => ""],
  ] as const)("%s", (_, lineAt) => {
    const texts = [0, 1].map((which) => `${Array.from({ length: COUNT }, (__, i) => lineAt(i, which)).join("\n")}\n`);
    let result: MergedLine[] = [];
    expect(seconds(() => (result = merged(...texts)))).toBeLessThan(15);
    for (const source of [0, 1]) expect(result.filter(({ sources }) => sources.includes(source))).toHaveLength(COUNT);
  });

  test("alignment is whole where one text is part of the other", () => {
    const a = Int32Array.from({ length: 5000 }, (_, i) => i % 7);
    const b = a.filter((_, i) => i % 5 > 0);
    expect(alignKeys(a, b, 7).includes(-1)).toBe(false);
    expect(alignKeys(b, a, 7).filter((place) => place >= 0)).toHaveLength(b.length);
  });
});
