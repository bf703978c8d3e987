import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { formatFtrace, FTRACE_RECORD_SIZE, mergeFtraceLogs } from "./ftrace.ts";

interface Call {
  readonly ip: bigint;
  readonly parent: bigint;
  readonly cpu: number;
  readonly counter: bigint;
}

function write(calls: readonly Call[], littleEndian = true): Uint8Array {
  const bytes = new Uint8Array(calls.length * FTRACE_RECORD_SIZE);
  const view = new DataView(bytes.buffer);
  for (const [i, { ip, parent, cpu, counter }] of calls.entries()) {
    view.setBigUint64(i * 24, ip, littleEndian);
    view.setBigUint64(i * 24 + 8, parent, littleEndian);
    view.setBigUint64(i * 24 + 16, (counter << 8n) | BigInt(cpu), littleEndian);
  }
  return bytes;
}

const call = (cpu: number, counter: bigint): Call => ({ ip: 0xffffffff81000000n + counter, parent: 0xffffffff82000000n, cpu, counter });
const counters = (merged: Uint8Array, littleEndian = true): string[] =>
  formatFtrace(merged, littleEndian)
    .split("\n")
    .slice(0, -1)
    .map((line) => /ts:(\d+)/.exec(line)![1]!);

describe("merging", () => {
  test.each([true, false])("two CPUs by their counters, little-endian %s", (littleEndian) => {
    const first = write([call(0, 1n), call(0, 4n), call(0, 5n)], littleEndian);
    const second = write([call(1, 2n), call(1, 3n), call(1, 6n)], littleEndian);
    const merged = mergeFtraceLogs([first, second], littleEndian);
    expect(counters(merged, littleEndian)).toEqual(["1", "2", "3", "4", "5", "6"]);
  });

  test("counters of more than 32 bits, and of the same number", () => {
    const big = 2n ** 40n;
    const first = write([call(0, 7n), call(0, big), call(0, big + 2n)]);
    const second = write([call(1, big), call(1, big + 1n)]);
    const merged = mergeFtraceLogs([first, second], true);
    expect(counters(merged)).toEqual([7n, big, big, big + 1n, big + 2n].map(String));
    expect(formatFtrace(merged, true).match(/CPU:\d/g)).toEqual(["CPU:0", "CPU:0", "CPU:1", "CPU:1", "CPU:0"]);
  });

  test("what is cut at the beginning of a log is skipped", () => {
    const log = write([call(0, 1n), call(0, 2n), call(0, 3n)]);
    expect(counters(mergeFtraceLogs([log.subarray(10)], true))).toEqual(["2", "3"]);
    expect(mergeFtraceLogs([log.subarray(0, 23)], true)).toHaveLength(0);
    expect(mergeFtraceLogs([], true)).toHaveLength(0);
  });

  test("every whole record is there once, in order", () => {
    const logs = fc.array(
      fc.array(fc.tuple(fc.bigInt({ min: 0n, max: 2n ** 56n - 1n }), fc.integer({ min: 0, max: 255 })), { maxLength: 20 }),
      { maxLength: 5 },
    );
    fc.assert(
      fc.property(logs, fc.boolean(), fc.nat({ max: 23 }), (all, littleEndian, shift) => {
        const calls = all.map((log) => log.map(([counter, cpu]) => call(cpu, counter)));
        const written = calls.map((log) => Buffer.concat([new Uint8Array(shift), write(log, littleEndian)]));
        const merged = mergeFtraceLogs(written, littleEndian);
        // A stable sort: records of one counter stay in the order of their logs.
        const expected = calls.flat().sort((a, b) => Number(a.counter > b.counter) - Number(a.counter < b.counter));
        expect(Buffer.compare(merged, write(expected, littleEndian))).toBe(0);
      }),
    );
  });
});

describe("text", () => {
  const content = write([{ ip: 0xffffffff81234567n, parent: 0x1000n, cpu: 3, counter: 42n }]);

  test("addresses alone", () => {
    expect(formatFtrace(content, true)).toBe("CPU:3 ts:42 ffffffff81234567  0000000000001000  0xffffffff81234567 <- 0x0000000000001000\n");
  });

  test("with the names that are known", () => {
    const nameOf = (address: bigint): string | undefined => (address > 0x1000n ? "do_exit+0x1/0x20" : undefined);
    expect(formatFtrace(content, true, nameOf)).toBe(
      "CPU:3 ts:42 ffffffff81234567  0000000000001000  do_exit+0x1/0x20 <- 0x0000000000001000\n",
    );
  });

  test("random bytes: one line a record, no exception", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.boolean(), (bytes, littleEndian) => {
        // A view that does not begin where its buffer does.
        const view = Buffer.concat([Buffer.from("x"), bytes]).subarray(1);
        expect(formatFtrace(view, littleEndian).split("\n")).toHaveLength(Math.floor(bytes.length / 24) + 1);
        expect(mergeFtraceLogs([view, view], littleEndian)).toHaveLength(2 * Math.floor(bytes.length / 24) * 24);
      }),
    );
  });
});
