import { describe, expect, test } from "vitest";
import { predict, predictPanic } from "../panic/index.ts";
import { agrees, compare, verdictOf } from "./compare.ts";
import type { RehearsedCell, RehearsedWay, SeenEvidence } from "./model.ts";
import { goodSettings } from "./settings.ts";
import { wayOf, ways } from "./way.ts";

test.each([
  ["kept", "kept", true],
  ["kept", "partly", false],
  ["kept", "lost", false],
  ["partly", "kept", true],
  ["partly", "partly", true],
  ["partly", "lost", true],
  ["lost", "lost", true],
  ["lost", "partly", false],
  ["lost", "kept", false],
  ["not-configured", "lost", true],
  ["not-configured", "kept", false],
] as const)("the model says %s, the machine shows %s: agreement is %s", (expected, seen, agreement) => {
  expect(agrees(expected, seen)).toBe(agreement);
});

describe("compare", () => {
  const evidence: SeenEvidence[] = [
    { kind: "serial console", seen: "kept", detail: "the message" },
    { kind: "record in ramoops", seen: "lost", detail: "none" },
    { kind: "vmcore", seen: "partly", detail: "registers: not there" },
    { kind: "capture kernel's console", seen: "kept", detail: "300 lines" },
  ];

  test("has the model's kinds in its order, with its reasons", () => {
    const cells = compare(wayOf("sysrq"), goodSettings, "v6.1", evidence);
    expect(cells.map((cell) => `${cell.kind}: ${cell.expected}|${cell.seen} ${cell.agrees}`)).toEqual([
      "serial console: kept|kept true",
      "console zone: not-configured|lost true",
      "record in ramoops: lost|lost true",
      "vmcore: kept|partly false",
      "device dumps: not-configured|lost true",
      "capture kernel's console: kept|kept true",
    ]);
    expect(cells[2]!.why).toContain("kdump is started before kmsg_dump");
  });

  test("a plain panic is no NMI: there the message is not printed before kdump starts", () => {
    const [task] = predictPanic(goodSettings, "v6.1");
    const [nmi] = predict(goodSettings, "NMI", "v6.1");
    expect([task!.outcome, nmi!.outcome]).toEqual(["kept", "partly"]);
    expect(predict({ ...goodSettings, crashImage: "absent" }, "NMI", "v6.1")[0]!.outcome).toBe("kept");
    // 2.6.38 printed in an NMI.
    expect(predict(goodSettings, "NMI", "before-seed")[0]!.outcome).toBe("kept");
  });

  test("a soft lockup that does not panic is a hang", () => {
    const watchdog = { ...goodSettings.watchdog, softLockupPanics: false };
    expect(wayOf("soft-lockup").model({ ...goodSettings, watchdog })).toBe("hang without watchdog");
    expect(wayOf("soft-lockup").model(goodSettings)).toBe("panic");
  });

  test("the model has an answer for every way", () => {
    for (const way of ways) expect(compare(way, goodSettings, "newest", [])).toHaveLength(6);
  });
});

describe("verdictOf", () => {
  const cell = (expected: RehearsedCell["expected"], seen: RehearsedCell["seen"]): RehearsedCell => ({
    kind: "vmcore",
    expected,
    seen,
    why: "",
    detail: "",
    agrees: agrees(expected, seen),
  });
  const way = (cells: readonly RehearsedCell[], failure: string | null = null): RehearsedWay => ({
    way: "sysrq",
    about: "",
    model: "panic",
    cells,
    stages: [],
    seconds: failure === null ? 1 : null,
    end: failure === null ? "reset" : null,
    title: null,
    memory: null,
    failure,
    folder: null,
  });

  test.each<[string, RehearsedWay[], string]>([
    [
      "all kept",
      [way([cell("kept", "kept"), cell("lost", "lost")])],
      "What was promised was kept: 1 promise in 1 way to die. The model agrees in every cell.",
    ],
    [
      "a promise broken",
      [way([cell("kept", "lost"), cell("kept", "kept")])],
      "1 of 2 promises were broken in 1 way to die. The model disagrees in 1 of 2 cells.",
    ],
    [
      "more than promised",
      [way([cell("lost", "kept")])],
      "What was promised was kept: 0 promises in 1 way to die. The model disagrees in 1 of 1 cell.",
    ],
    [
      "a way that failed",
      [way([cell("kept", "kept")]), way([], "no disk")],
      "What was promised was kept: 1 promise in 1 way to die. The model agrees in every cell. 1 way could not be rehearsed.",
    ],
    ["nothing", [way([], "no disk")], "Nothing could be rehearsed."],
  ])("%s", (_, all, text) => {
    expect(verdictOf(all).text).toBe(text);
  });

  test("counts", () => {
    const verdict = verdictOf([
      way([cell("kept", "lost"), cell("kept", "kept"), cell("lost", "kept"), cell("partly", "lost")]),
      way([], "x"),
    ]);
    expect(verdict).toMatchObject({ promised: 2, kept: 1, disagreeing: 2, failed: 1 });
  });
});
