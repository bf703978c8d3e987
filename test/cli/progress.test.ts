import { expect, test } from "vitest";

import { Progress } from "../../src/cli/progress.ts";
import { Output } from "../../src/cli/terminal.ts";
import { MemorySink } from "./memory-sink.ts";

const MIB = 1024 * 1024;

function start(
  terminal: boolean,
  quiet = false,
): { at: (time: number, label: string, done: number, total: number) => string; progress: Progress; sink: MemorySink } {
  const sink = new MemorySink();
  sink.terminal = terminal;
  sink.columns = terminal ? 80 : undefined;
  let clock = 0;
  const progress = new Progress(new Output(sink, { env: {} }), { quiet, now: () => clock });
  const at = (time: number, label: string, done: number, total: number): string => {
    const before = sink.text.length;
    clock = time;
    progress.update(label, done, total);
    return sink.text.slice(before);
  };
  return { at, progress, sink };
}

test("a terminal has one line, from the second second on", () => {
  const { at, progress, sink } = start(true);
  expect(at(0, "scanning", 0, 100 * MIB)).toBe("");
  expect(at(900, "scanning", 9 * MIB, 100 * MIB)).toBe("");
  expect(at(1000, "scanning", 10 * MIB, 100 * MIB)).toBe("\rscanning: 10 % of 100 MiB, 10.0 MiB/s, 0:09 left\x1b[K");
  expect(at(1050, "scanning", 11 * MIB, 100 * MIB)).toBe("");
  expect(at(2000, "scanning", 20 * MIB, 100 * MIB)).toBe("\rscanning: 20 % of 100 MiB, 10.0 MiB/s, 0:08 left\x1b[K");
  expect(at(2100, "unpacking", 0, 0)).toBe("\r\x1b[K");
  expect(at(4100, "unpacking", 4 * MIB, 0)).toBe("\runpacking: 4.00 MiB, 2.00 MiB/s\x1b[K");
  const before = sink.text.length;
  progress.clear();
  progress.clear();
  expect(sink.text.slice(before)).toBe("\r\x1b[K");
});

test("other text pushes the line aside, and it comes back", () => {
  const { at, progress, sink } = start(true);
  at(0, "scanning", 0, 100);
  at(1000, "scanning", 10, 100);
  const before = sink.text.length;
  progress.makeRoom();
  progress.makeRoom();
  expect(sink.text.slice(before)).toBe("\r\x1b[K");
  expect(at(1200, "scanning", 12, 100)).toMatch(/^\rscanning: 12 %/);
});

test("a log has one line for each long stage", () => {
  const { at } = start(false);
  expect(at(0, "scanning", 0, 100 * MIB)).toBe("");
  expect(at(1500, "scanning", 15 * MIB, 100 * MIB)).toBe("lastwords: scanning: 15 % of 100 MiB, 10.0 MiB/s, 0:09 left\n");
  expect(at(9000, "scanning", 90 * MIB, 100 * MIB)).toBe("");
  expect(at(10_000, "sorting", 0, 10)).toBe("");
  expect(at(10_500, "sorting", 10, 10)).toBe("");
  // The same label anew is a stage anew.
  expect(at(11_000, "sorting", 0, 10)).toBe("");
  expect(at(12_000, "sorting", 5, 10)).toMatch(/^lastwords: sorting: 50 %/);
});

test("nothing for a stage that is over when it becomes long, and nothing under --quiet", () => {
  expect(start(false).at(0, "a", 0, 10)).toBe("");
  const ended = start(true);
  ended.at(0, "a", 0, 10);
  expect(ended.at(2000, "a", 10, 10)).toBe("");
  const quiet = start(true, true);
  quiet.at(0, "a", 0, 10);
  expect(quiet.at(5000, "a", 5, 10)).toBe("");
});

test("the line fits the terminal", () => {
  const { at, sink } = start(true);
  sink.columns = 20;
  at(0, "a label of some length", 0, 10);
  expect(at(1000, "a label of some length", 5, 10)).toBe("\ra label of some len\x1b[K");
});

test("odd numbers do no harm", () => {
  const { at } = start(true);
  at(0, "x", 5, 10);
  expect(at(1000, "x", 5, 10)).toBe("\rx: 50 % of 10 B\x1b[K");
  expect(at(2000, "x", 50, 10)).toContain("100 %");
  expect(at(3000, "x", 60, Number.NaN)).toContain("60 B");
  expect(at(4000, "x", 70, Infinity)).toContain("70 B");
});

test("a call costs next to nothing", () => {
  const progress = new Progress(new Output(new MemorySink(), { env: {} }));
  const begin = performance.now();
  for (let i = 0; i < 1_000_000; i++) progress.update("scanning", i, 1_000_000);
  // 40 ns a call measured; the bound is for a loaded machine.
  expect(performance.now() - begin).toBeLessThan(1500);
});
