import { decodeLatin1, encodeLatin1 } from "../bytes/index.ts";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { joinParts } from "./parts.ts";
import type { PstoreRecord } from "./record.ts";

function record(part: number | undefined, seconds: number | undefined, over: Partial<PstoreRecord> & { text?: string } = {}): PstoreRecord {
  const { text, ...rest } = over;
  const count = rest.count ?? 1;
  const reason = rest.reason ?? "Panic";
  return {
    backend: "efi_pstore",
    type: "dmesg",
    id: "0",
    content: encodeLatin1(text ?? `${reason}#${count} Part${part}\n<4>line of part ${part} at ${seconds}\n`),
    compression: "none",
    reason,
    count,
    ...(part === undefined ? {} : { part }),
    ...(seconds === undefined ? {} : { time: { seconds, nanoseconds: 0 } }),
    state: "kept",
    at: { offset: 0, length: 0 },
    problems: [],
    ...rest,
  };
}

const shape = (records: readonly PstoreRecord[]): unknown[] =>
  joinParts(records).map(({ parts, missing, time }) => [time?.seconds, parts.map((p) => p.part), missing]);

describe("joinParts", () => {
  it("joins oldest first with one reason line on top", () => {
    const dumps = joinParts([record(1, 100), record(3, 101), record(2, 100), record(undefined, 0, { type: "console" })]);
    expect(dumps).toHaveLength(1);
    expect(decodeLatin1(dumps[0]!.text)).toBe(
      "Panic#1 Part1\n<4>line of part 3 at 101\n<4>line of part 2 at 100\n<4>line of part 1 at 100\n",
    );
    expect(dumps[0]).toMatchObject({ backend: "efi_pstore", reason: "Panic", count: 1, time: { seconds: 100 }, missing: [] });
  });

  it("keeps boots apart that count alike, and backends, counts and reasons", () => {
    expect(shape([record(1, 100), record(2, 101), record(1, 500), record(2, 500)])).toEqual([
      [100, [2, 1], []],
      [500, [2, 1], []],
    ]);
    // A crash loop faster than a pause.
    expect(shape([record(1, 100), record(2, 100), record(1, 110), record(2, 110), record(3, 111)])).toEqual([
      [100, [2, 1], []],
      [110, [3, 2, 1], []],
    ]);
    // What is left of two boots.
    expect(shape([record(1, 100), record(2, 131)])).toEqual([
      [100, [1], []],
      [131, [2], [1]],
    ]);
    expect(shape([record(1, 100), record(2, 130)])).toEqual([[100, [2, 1], []]]);
    expect(shape([record(1, 100), record(2, 100, { backend: "erst" })])).toHaveLength(2);
    expect(shape([record(1, 100), record(2, 100, { count: 2 })])).toHaveLength(2);
    expect(shape([record(1, 100), record(2, 100, { reason: "Oops" })])).toHaveLength(2);
  });

  it("says which parts are missing, those that could not be decompressed too", () => {
    const { reason: _, ...locked } = record(2, 100, { compression: "unknown", text: "\u00fd\u00fe" });
    const [dump] = joinParts([record(4, 100), record(1, 100), locked]);
    expect(dump!.missing).toEqual([2, 3]);
    expect(dump!.parts.map(({ part }) => part)).toEqual([4, 2, 1]);
    expect(decodeLatin1(dump!.text)).toBe("Panic#1 Part1\n<4>line of part 4 at 100\n<4>line of part 1 at 100\n");
  });

  it("ends the line of a part that was cut, and leaves text without a reason line as it is", () => {
    const [dump] = joinParts([record(2, 5, { text: "Panic#1 Part2\ncut he" }), record(1, 5, { text: "no line here" })]);
    expect(decodeLatin1(dump!.text)).toBe("cut he\nno line here");
  });

  it("takes a record without number as a dump of its own", () => {
    const { count: _, ...bare } = record(undefined, undefined, { text: "text\n" });
    const dumps = joinParts([bare, bare, record(1, 7)]);
    expect(dumps.map(({ count, text }) => [count, text.length])).toEqual([
      [undefined, 5],
      [undefined, 5],
      [1, 37],
    ]);
  });

  it("puts every dmesg record into exactly one dump, in descending parts, whatever they are", () => {
    const any = fc
      .record({
        part: fc.option(fc.nat(5000)),
        seconds: fc.option(fc.nat(200)),
        count: fc.nat(2),
        reason: fc.constantFrom("Oops", "Panic"),
        unknown: fc.boolean(),
      })
      .map(({ part, seconds, count, reason, unknown }) =>
        record(part ?? undefined, seconds ?? undefined, { count, reason, compression: unknown ? "unknown" : "none" }),
      );
    fc.assert(
      fc.property(fc.array(any, { maxLength: 30, size: "max" }), (records) => {
        const dumps = joinParts(records);
        expect(new Set(dumps.flatMap(({ parts }) => parts))).toEqual(new Set(records));
        expect(dumps.reduce((sum, { parts }) => sum + parts.length, 0)).toBe(records.length);
        for (const { parts, missing } of dumps) {
          for (let i = 1; i < parts.length; i++) expect(parts[i]!.part).toBeLessThan(parts[i - 1]!.part!);
          expect(missing.length).toBeLessThanOrEqual(1024);
        }
      }),
    );
  });
});
