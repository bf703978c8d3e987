/**
 * The same log in every shape that collectors give it has the same title. The logs are syzkaller's own test reports,
 * where the evidence folder beside the repository has them, of each the lines that a kernel wrote.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { kernelTextOf } from "../../src/evidence/index.ts";
import { type CrashTitle, crashesOfText, titleOfLog } from "../../src/report/title/index.ts";

const CORPUS = new URL("../../../shared/evidence/syzkaller-reports/", import.meta.url);

/** A line of a kernel. */
interface Line {
  readonly whole: string;
  /** Seconds and microseconds, as digits. */
  readonly seconds: string;
  readonly micros: string;
  readonly caller: string | undefined;
  readonly text: string;
  readonly number: number;
}

const HEAD = /^(?:<\d+>)?\[ *(\d+)\.(\d+)\](?:\[ *([CT]\d+)\])? ?(.*)$/;

function kernelLines(log: string): Line[] {
  return log
    .replaceAll("\r", "")
    .split("\n")
    .flatMap((whole, number) => {
      const found = HEAD.exec(whole);
      return found ? [{ whole, seconds: found[1]!, micros: found[2]!.padEnd(6, "0"), caller: found[3], text: found[4]!, number }] : [];
    });
}

const stamp = ({ seconds, micros }: Line): string => `[${seconds.padStart(5)}.${micros}]`;
const tag = ({ caller }: Line): string => (caller === undefined ? "" : `[${caller.padStart(6)}]`);

/** Shapes that keep who printed a line. */
const FORMS: Readonly<Record<string, (line: Line) => string>> = {
  syslog: ({ whole }) => `Aug 17 12:34:56 host-1 kernel: ${whole}\n`,
  "syslog with RFC 3339 times": ({ whole }) => `2026-08-17T12:34:56.123456+00:00 host-1 kernel: ${whole}\n`,
  "netconsole through a syslog server": (line) => `Aug 17 12:34:56 192.0.2.7 ${stamp(line)}${tag(line)} ${line.text}\n`,
  "a collector that nobody knows": (line) => `rack7 |${String(line.number).padStart(6)}| ${stamp(line)}${tag(line)} ${line.text}\n`,
  "dmesg -T": (line) => `[Mon Aug 17 12:34:56 2026]${line.caller === undefined ? "" : ` ${tag(line)}`} ${line.text}\n`,
  "dmesg -x": ({ whole }) => `kern  :warn  : ${whole}\n`,
  "dmesg -r": ({ whole }) => `<4>${whole.replace(/^<\d+>/, "")}\n`,
  netconsole: ({ seconds, micros, caller, text, number }) =>
    `4,${number},${seconds}${micros},-${caller === undefined ? "" : `,caller=${caller}`};${text}\n`,
  "netconsole with the release": ({ seconds, micros, caller, text, number }) =>
    `6.9.1-x,4,${number},${seconds}${micros},-${caller === undefined ? "" : `,caller=${caller}`};${text}\n`,
  "a terminal server": ({ whole }) => `[2026-08-17 12:34:56] ${whole}\n`,
  "colours and carriage returns": (line) => `\x1b[32m${stamp(line)}\x1b[0m${tag(line)} \x1b[1m${line.text}\x1b[0m\r\n`,
  "NULs of a serial line": ({ whole }) => `\0\0${whole}\r\n`,
};

/** The journal does not keep who printed a line. */
const JOURNALS: Readonly<Record<string, (line: Line) => string>> = {
  "journalctl -o json": ({ seconds, micros, text }) =>
    `${JSON.stringify({ __CURSOR: "x", _TRANSPORT: "kernel", PRIORITY: "4", _SOURCE_MONOTONIC_TIMESTAMP: seconds + micros, MESSAGE: text })}\n`,
  "journalctl -o export": ({ seconds, micros, text }) =>
    `__CURSOR=x\n__REALTIME_TIMESTAMP=1\n_TRANSPORT=kernel\nPRIORITY=4\n_SOURCE_MONOTONIC_TIMESTAMP=${seconds}${micros}\nMESSAGE=${text}\n\n`,
};

function firstOf(text: string): CrashTitle | undefined {
  const { pull } = kernelTextOf(Buffer.from(text).toString("latin1"));
  return crashesOfText(pull, { first: 1, last: 0, context: 0 }).crashes[0]?.crash;
}

const factsOf = (crash: CrashTitle | undefined): unknown => crash && [crash.title, crash.altTitles, crash.frame, crash.corrupted !== false];

describe.skipIf(!existsSync(CORPUS))("a log has the same title", () => {
  // Two or three lines are not enough to know a collector by.
  const logs = (existsSync(CORPUS) ? readdirSync(CORPUS) : [])
    .map((file) => ({ file, lines: kernelLines(readFileSync(new URL(file, CORPUS), "utf8")) }))
    .filter(({ lines }) => lines.length >= 5);

  test.each(Object.keys(FORMS))("from %s", (form) => {
    expect(logs.length).toBeGreaterThan(300);
    for (const { file, lines } of logs) {
      const expected = factsOf(titleOfLog(lines.map(({ whole }) => whole)));
      expect(factsOf(firstOf(lines.map(FORMS[form]!).join(""))), file).toEqual(expected);
    }
  });

  test.each(Object.keys(JOURNALS))("from %s", (form) => {
    for (const { file, lines } of logs) {
      const expected = factsOf(titleOfLog(lines.map((line) => `${stamp(line)} ${line.text}`)));
      expect(factsOf(firstOf(lines.map(JOURNALS[form]!).join(""))), file).toEqual(expected);
    }
  });
});
