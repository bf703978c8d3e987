import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { bootsOf } from "./boots.ts";
import { buildIncident, type Incident } from "./incident.ts";
import { type IncidentText, linesOfText, NO_FACTS } from "./text.ts";

function textOf(name: string, content: string, given: Partial<IncidentText> = {}): IncidentText {
  const { lines, skipped } = linesOfText(content);
  return { kind: "log file", name, lines: [...lines], skipped, facts: NO_FACTS, storage: undefined, journal: [], ...given };
}

const BANNER = "[    0.000000] Linux version 6.1.0 (a@b) (gcc) #1 SMP\n";
const CAPTURE = `${BANNER}[    0.000000] Command line: console=ttyS0 elfcorehdr=1M\n`;
const PANIC = "[   20.000000] Kernel panic - not syncing: x\n";

/** Lines that no other boot has. */
function words(seed: number, count = 20): string {
  return Array.from({ length: count }, (_, i) => `[${((i * 1000 + seed) / 1000).toFixed(6).padStart(12)}] device ${i} of ${seed}\n`).join(
    "",
  );
}

/** `source:boot` of each part. */
function partsOf(incident: Incident): string[][] {
  return incident.boots.map(({ parts }) => parts.map(({ source, boot }) => `${source}:${boot}`));
}

describe("a text is cut into boots", () => {
  const cut = (content: string, given: Partial<IncidentText> = {}): number[][] =>
    bootsOf(textOf("log", content, given), 0, true).map(({ firstLine, lastLine }) => [firstLine, lastLine]);

  test("at first words, at clocks that go back, not in noise", () => {
    expect(cut(`${BANNER}${words(1)}${BANNER}${words(2)}`)).toEqual([
      [1, 21],
      [22, 42],
    ]);
    expect(cut(`${words(1)}${words(2)}`)).toEqual([
      [1, 20],
      [21, 40],
    ]);
    expect(cut("[    7.000000] a\n[   77.965105] b\n[    7.100000] c\n")).toEqual([[1, 3]]);
    expect(cut("[   77.000000] a\n[    7.965105] b\nprogram\n[   77.100000] c\n")).toEqual([[1, 4]]);
  });

  test("without the firmware's words, with a first line that is cut", () => {
    expect(cut(`SeaBIOS\niPXE\n${BANNER}${PANIC}`)).toEqual([[3, 4]]);
    expect(cut(`0x600000, ecc: 16\n${PANIC}`)).toEqual([[1, 2]]);
  });

  test("where the journal says so", () => {
    const journal = [
      { line: 1, bootId: "a".repeat(32), started: 1000 },
      { line: 2, bootId: "b".repeat(32), started: 2000 },
    ];
    const parts = bootsOf(textOf("log", "[    1.000000] a\n[    2.000000] b\n[    3.000000] c\n", { journal }), 0, true);
    expect(parts.map(({ count, facts }) => [count, facts.bootId?.[0], facts.started])).toEqual([
      [1, "a", 1000],
      [2, "b", 2000],
    ]);
  });

  test("with what each says of itself", () => {
    const [part] = bootsOf(
      textOf("log", `${CAPTURE}[    1.500000] rtc_cmos 00:05: setting system clock to 2026-11-21T01:01:00 UTC (1795222860)\n`),
      0,
      true,
    );
    expect(part!.facts).toMatchObject({
      release: "6.1.0",
      build: "#1 SMP",
      capture: true,
      started: 1795222858.5,
      startedBy: "real-time clock",
    });
  });
});

describe("parts are joined", () => {
  test("by lines in common; the capture kernel's is the one behind the crash", () => {
    const first = `${BANNER}${words(1)}${PANIC}`;
    const incident = buildIncident(
      [
        textOf("memory", first, { kind: "memory" }),
        textOf("console", `${words(7)}${first}${CAPTURE}${words(3)}${BANNER}${words(4)}`),
        textOf("old", `${first.replaceAll("device", "disk")}${CAPTURE}${words(9)}`),
      ],
      { text: 0, line: undefined },
    );
    expect(partsOf(incident)).toEqual([["0:0", "1:1"], ["1:2"]]);
    expect(incident.others.map(({ source, boot, why }) => [source, boot, why.split(";")[0]])).toEqual([
      [1, 0, "another boot of the same text"],
      [1, 3, "booted afterwards"],
      [2, 0, "of another boot of this kernel: the same times, other lines"],
      [2, 1, "of another boot of this kernel: the same times, other lines"],
    ]);
  });

  test("by the clock, where they have no lines in common", () => {
    const clock = (seconds: number): string =>
      `[    1.000000] rtc_cmos 00:05: setting system clock to 2026-11-21T01:01:00 UTC (${seconds})\n`;
    const incident = buildIncident(
      [
        textOf("a", `${clock(1_795_000_000)}${PANIC}`),
        textOf("b", `[   30.000000] later\n`, { facts: { ...NO_FACTS, started: 1_795_000_020, startedBy: "record" } }),
        textOf("c", `[   30.000000] something else\n`, { facts: { ...NO_FACTS, started: 1_795_900_000, startedBy: "record" } }),
      ],
      { text: 0, line: 2 },
    );
    expect(partsOf(incident)).toEqual([["0:0", "1:0"]]);
    expect(incident.others.map(({ why }) => why)).toEqual(["booted at another time"]);
  });

  test("of programs' records, with the console of their storage", () => {
    const storage = { source: "region", kept: true };
    const incident = buildIncident(
      [
        textOf("memory", `${BANNER}${words(1)}${PANIC}`, { kind: "memory", facts: { ...NO_FACTS, capture: false } }),
        textOf("console", `${CAPTURE}${words(3)}`, { kind: "record", storage }),
        textOf("tty", "mount failed\n", { kind: "program record", storage }),
        textOf("other tty", "hello\n", { kind: "program record", storage: { source: "elsewhere", kept: true } }),
      ],
      { text: 0, line: undefined },
    );
    expect(partsOf(incident)).toEqual([["0:0"], ["1:0", "2:0"]]);
    expect(incident.others.map(({ source }) => source)).toEqual([3]);
  });

  test("of a capture kernel, with the crash in its region, not with one that another dump is of", () => {
    const storage = { source: "region", kept: true };
    const texts = [
      textOf("dmesg", `${words(1)}${PANIC}`, { kind: "record", storage }),
      textOf("older dmesg", `${words(2)}${PANIC}`, { kind: "record", storage }),
      textOf("console", `${CAPTURE}${words(3)}`, { kind: "record", storage }),
    ];
    expect(partsOf(buildIncident(texts, { text: 0, line: undefined }))).toEqual([["0:0"], ["2:0"]]);
    const memory = textOf("memory", `${words(4)}${PANIC}`, { kind: "memory" });
    expect(partsOf(buildIncident([...texts, memory], { text: 3, line: undefined }))).toEqual([["3:0"]]);
  });

  test("to nothing, where the text that it is about is empty", () => {
    const memory = textOf("memory", "", { kind: "memory" });
    expect(buildIncident([memory, textOf("log", PANIC)], { text: 0, line: undefined }).boots).toEqual([]);
  });
});

test("whatever the texts are, every part is in one place and every line of the incident once", () => {
  const line = fc.constantFrom(
    BANNER,
    CAPTURE,
    PANIC,
    "program\n",
    "\n",
    "[    5.000000] CPU: 1 PID: 5 Comm: sh Not tainted 6.1.0 #1\n",
    "[    5.000000] CPU: 1 PID: 5 Comm: sh Kdump: loaded Tainted: G        W  5.10.0 #9\n",
    "[   99.000000] jump\n",
    "kdump: saving vmcore\n",
    "R\n",
    ...Array.from({ length: 6 }, (_, i) => words(i, 4)),
  );
  const text = fc.record({
    content: fc.array(line, { maxLength: 12 }).map((lines) => lines.join("")),
    kind: fc.constantFrom("memory", "log file", "record", "program record") as fc.Arbitrary<IncidentText["kind"]>,
    storage: fc.constantFrom(undefined, { source: "a", kept: true }, { source: "a", kept: false }),
    capture: fc.constantFrom(undefined, true, false),
    bootId: fc.constantFrom(undefined, undefined, "0123", "89ab"),
    boots: fc.array(fc.nat(20), { maxLength: 3 }),
  });
  fc.assert(
    fc.property(fc.array(text, { maxLength: 6 }), fc.nat(6), fc.option(fc.nat(40), { nil: undefined }), (given, about, at) => {
      const texts = given.map(({ content, kind, storage, capture, bootId, boots }, i) =>
        textOf(String(i), content, {
          kind,
          storage,
          facts: { ...NO_FACTS, capture, bootId },
          journal: boots.toSorted((a, b) => a - b).map((number) => ({ line: number, bootId: undefined, started: number * 100 })),
        }),
      );
      const incident = buildIncident(texts, { text: about, line: at });
      const parts = [...incident.boots.flatMap((boot) => boot.parts), ...incident.others].map(({ source, boot }) => `${source}:${boot}`);
      expect(new Set(parts).size).toBe(parts.length);
      if (!incident.timeline) return;
      for (const [i, boot] of incident.boots.entries()) {
        for (const [source, own] of Map.groupBy(boot.parts, (part) => part.source)) {
          const lines = own.toSorted((a, b) => a.boot - b.boot).flatMap((part) => part.lines);
          const found = incident.timeline.filter((each) => each.boot === i && each.sources.includes(source));
          expect(found.map(({ sources, numbers }) => numbers[sources.indexOf(source)])).toEqual(lines.map(({ number }) => number));
        }
      }
    }),
    { numRuns: 1000 },
  );
});
