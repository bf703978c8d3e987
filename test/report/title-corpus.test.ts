/**
 * Measures the title engine on syzkaller's own test reports (google/syzkaller:pkg/report/testdata/linux/report,
 * Apache-2.0), where the evidence folder beside the repository has them.
 */
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { describe, expect, test } from "vitest";

import { crashesOfText, titleOfLog } from "../../src/report/title/index.ts";

const CORPUS = new URL("../../../shared/evidence/syzkaller-reports/", import.meta.url);
const MISSES = new URL("title-misses.json", import.meta.url);
const REFRESH = "UPDATE_TITLE_MISSES";

interface Facts {
  readonly title: string | undefined;
  readonly altTitles: readonly string[];
  readonly type: string;
  readonly frame: string | undefined;
  readonly corrupted: boolean;
}

const FACTS: readonly (keyof Facts)[] = ["title", "altTitles", "type", "frame", "corrupted"];

interface Miss {
  readonly file: string;
  readonly expected: Partial<Facts>;
  readonly got: Partial<Facts>;
  /** Why it is so and stays so; written by hand, kept on refresh. */
  readonly reason: string;
}

/** A report file: head lines, an empty line, the log, and in some files an empty line and the expected report. */
function readCase(file: string): { readonly expected: Facts; readonly log: string } {
  const lines = readFileSync(new URL(file, CORPUS), "utf8").replaceAll("\r", "").split("\n");
  const headEnd = lines.indexOf("");
  const report = lines.findIndex((line, at) => line === "REPORT:" && lines[at - 1] === "");
  const all = (key: string): string[] =>
    lines
      .slice(0, headEnd)
      .filter((line) => line.startsWith(`${key}: `))
      .map((line) => line.slice(key.length + 2));
  return {
    expected: {
      title: all("TITLE")[0] || undefined,
      altTitles: all("ALT").toSorted(),
      type: all("TYPE")[0] ?? "UNKNOWN",
      frame: all("FRAME")[0],
      corrupted: all("CORRUPTED")[0] === "Y",
    },
    log: lines.slice(headEnd + 1, report === -1 ? lines.length : report).join("\n"),
  };
}

function nameCase(log: string, expected: Facts): Facts {
  const crash = titleOfLog(log);
  return {
    title: crash?.title,
    altTitles: crash?.altTitles ?? [],
    type: crash?.type ?? "UNKNOWN",
    // Few of the files say which frame.
    frame: expected.frame === undefined ? undefined : crash?.frame,
    corrupted: crash !== undefined && crash.corrupted !== false,
  };
}

describe.skipIf(!existsSync(CORPUS))("syzkaller's reports", () => {
  // The body runs also where the tests are skipped.
  const results = (existsSync(CORPUS) ? readdirSync(CORPUS) : [])
    .toSorted((a, b) => Number(a) - Number(b))
    .map((file) => {
      const { expected, log } = readCase(file);
      return { file, expected, got: nameCase(log, expected) };
    });

  function share(fact: keyof Facts): number {
    const equal = results.filter(({ expected, got }) => JSON.stringify(expected[fact]) === JSON.stringify(got[fact]));
    return equal.length / results.length;
  }

  test("are named as syzkaller names them", () => {
    expect(results.length).toBeGreaterThan(300);
    expect(share("title")).toBeGreaterThanOrEqual(0.95);
    expect(share("altTitles")).toBeGreaterThanOrEqual(0.9);
    expect(share("corrupted")).toBeGreaterThanOrEqual(0.95);
    expect(share("type")).toBeGreaterThanOrEqual(0.95);
    expect(share("frame")).toBeGreaterThanOrEqual(0.95);
  });

  test("are named alike in pieces, which is how the command reads them", () => {
    for (const file of readdirSync(CORPUS)) {
      const { log } = readCase(file);
      const text = Buffer.from(log).toString("latin1");
      for (const size of [1000, 65_536]) {
        let at = 0;
        const pull = (): string | undefined => {
          const piece = text.slice(at, at + size);
          at += size;
          return piece === "" ? undefined : piece;
        };
        const [first] = crashesOfText(pull, { first: 1, last: 0, context: 0 }).crashes;
        expect(first?.crash, file).toEqual(titleOfLog(log));
      }
    }
  });

  test("miss exactly where title-misses.json says", () => {
    const known: Miss[] = JSON.parse(readFileSync(MISSES, "utf8"));
    const misses: Miss[] = results.flatMap(({ file, expected, got }) => {
      const wrong = FACTS.filter((fact) => JSON.stringify(expected[fact]) !== JSON.stringify(got[fact]));
      if (wrong.length === 0) {
        return [];
      }
      const only = (facts: Facts): Partial<Facts> => Object.fromEntries(wrong.map((fact) => [fact, facts[fact] ?? null]));
      const reason = known.find((miss) => miss.file === file)?.reason ?? "";
      return [{ file, expected: only(expected), got: only(got), reason }];
    });
    if (process.env[REFRESH] === "1") {
      writeFileSync(MISSES, `${JSON.stringify(misses, undefined, 2)}\n`);
    }
    const hint = `after checking each: ${REFRESH}=1 npx vitest run test/report/title-corpus.test.ts, then write the reasons`;
    expect(misses, hint).toEqual(process.env[REFRESH] === "1" ? misses : known);
    expect(misses.filter((miss) => miss.reason === "").map((miss) => miss.file)).toEqual([]);
  });
});
