import { describe, expect, test } from "vitest";

import {
  ClosedPipe,
  displayWidth,
  escapeControl,
  formatBytes,
  formatClock,
  formatTable,
  Output,
  wrap,
  type ColorWhen,
  type Environment,
} from "../../src/cli/terminal.ts";
import { MemorySink } from "./memory-sink.ts";

function output(terminal: boolean, env: Environment = {}): [Output, MemorySink] {
  const sink = new MemorySink();
  sink.terminal = terminal;
  sink.columns = terminal ? 80 : undefined;
  return [new Output(sink, { env }), sink];
}

describe("colour", () => {
  test.each<[boolean, Environment, ColorWhen, boolean]>([
    [true, {}, "auto", true],
    [false, {}, "auto", false],
    [true, { TERM: "dumb" }, "auto", false],
    [true, { NO_COLOR: "1" }, "auto", false],
    [true, { NO_COLOR: "" }, "auto", true],
    [false, { FORCE_COLOR: "1" }, "auto", true],
    [true, { FORCE_COLOR: "0" }, "auto", false],
    [false, { FORCE_COLOR: "1", NO_COLOR: "1" }, "auto", true],
    [true, { NO_COLOR: "1" }, "always", true],
    [false, {}, "always", true],
    [true, { FORCE_COLOR: "1" }, "never", false],
  ])("terminal %s, %o, --color %s: %s", (terminal, env, when, expected) => {
    const [out] = output(terminal, env);
    out.setColor(when);
    expect(out.colored).toBe(expected);
    expect(out.paint("bad", "x") === "x").toBe(!expected);
  });
});

describe("output", () => {
  test("is held back for files and pipes, and in order", () => {
    const [out, sink] = output(false);
    const page = new Uint8Array([0x62]);
    out.write("a");
    out.write(page);
    page[0] = 0x21;
    out.line("c");
    expect(sink.writes).toEqual([]);
    out.flush();
    expect(sink.text).toBe("abc\n");
    for (let i = 0; i < 10_000; i++) out.line("0123456789abcdef");
    out.flush();
    expect(sink.writes.length).toBeLessThan(5);
    expect(sink.text.length).toBe(4 + 170_000);
  });

  test("shows at once on a terminal", () => {
    const [out, sink] = output(true);
    out.write("a");
    expect(sink.text).toBe("a");
  });

  test("goes on throwing once its reader is gone, so that no loop goes on in vain", () => {
    const [out, sink] = output(false);
    sink.room = 0;
    out.write("a");
    expect(() => out.flush()).toThrow(ClosedPipe);
    expect(() => out.write("b")).toThrow(ClosedPipe);
    expect(() => out.flush()).not.toThrow();
  });

  test("prose has at most 80 columns", () => {
    const [file] = output(false);
    const [out, sink] = output(true);
    expect(file.textWidth).toBe(80);
    sink.columns = 200;
    expect(out.textWidth).toBe(80);
    sink.columns = 60;
    expect(out.textWidth).toBe(60);
    sink.columns = 10;
    expect(out.textWidth).toBe(40);
  });
});

test("control characters become visible", () => {
  expect(escapeControl("a\tb\nc\x1b[31m\r\0\x7f\x9b5m")).toBe("a\tb\nc\\x1b[31m\\x0d\\x00\\x7f\\x9b5m");
  expect(escapeControl("safe\u202egnp.exe")).toBe("safe\\u202egnp.exe");
  expect(escapeControl("größe 世界")).toBe("größe 世界");
});

test("display width", () => {
  expect(displayWidth("swapper/0")).toBe(9);
  expect(displayWidth("\x1b[31mred\x1b[39m")).toBe(3);
  expect(displayWidth("世界")).toBe(4);
  expect(displayWidth("e\u0301")).toBe(1);
});

test("wrap", () => {
  expect(wrap("one two three four five six seven", 24, 4)).toBe("one two three four\n    five six seven");
  expect(wrap("x".repeat(50), 20)).toBe("x".repeat(50));
});

describe("table", () => {
  const columns = [{ header: "PID", align: "right" }, { header: "COMM", shrink: true }, { header: "ST" }] as const;

  test("aligns, without trailing spaces", () => {
    expect(
      formatTable(columns, [
        ["1", "systemd", "S"],
        ["1234", "世界", ""],
      ]),
    ).toBe(" PID  COMM     ST\n   1  systemd  S\n1234  世界\n");
  });

  test("cuts the column that may shrink to the width of the terminal", () => {
    const text = formatTable(columns, [["1", "a-rather-long-name", "S"]], { width: 20, indent: 1 });
    expect(text).toBe(" PID  COMM        ST\n   1  a-rather-…  S\n");
  });

  test("keeps straight with painted cells and no rows", () => {
    expect(formatTable(columns, [["1", "\x1b[31mx\x1b[39m", "S"]])).toBe("PID  COMM  ST\n  1  \x1b[31mx\x1b[39m     S\n");
    expect(formatTable(columns, [])).toBe("PID  COMM  ST\n");
  });
});

test("sizes and times", () => {
  expect([0, 512, 1023, 1024, 1536, 10_240, 102_400, 1_048_064, 1_048_575, 1024 ** 4].map(formatBytes)).toEqual([
    "0 B",
    "512 B",
    "1023 B",
    "1.00 KiB",
    "1.50 KiB",
    "10.0 KiB",
    "100 KiB",
    "1.00 MiB",
    "1.00 MiB",
    "1.00 TiB",
  ]);
  expect([0, 59.6, 61, 3600, 36_125].map(formatClock)).toEqual(["0:00", "1:00", "1:01", "1:00:00", "10:02:05"]);
});
