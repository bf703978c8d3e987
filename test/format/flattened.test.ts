import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { MemorySource } from "../../src/bytes/index.ts";
import { FlattenedSource } from "../../src/format/flattened/index.ts";
import { type Segment, writeFlattened } from "../writers/flattened.ts";

const open = (bytes: Uint8Array): FlattenedSource => new FlattenedSource(new MemorySource(bytes, "stream"));

function content(source: FlattenedSource): Buffer {
  const bytes = Buffer.alloc(source.size, 0xee);
  expect(source.read(0, bytes)).toBe(source.size);
  return bytes;
}

/** The plain way to put a stream in order: write each piece where it belongs. */
function rearranged(segments: readonly Segment[]): Buffer {
  const size = Math.max(0, ...segments.filter((s) => s.bytes.length > 0).map((s) => Number(s.offset) + s.bytes.length));
  const file = Buffer.alloc(size);
  for (const segment of segments) if (segment.bytes.length > 0) file.set(segment.bytes, Number(segment.offset));
  return file;
}

test("any order, overlaps and gaps give what writing the pieces one by one gives", () => {
  const segment = fc.record({ offset: fc.nat(200), bytes: fc.uint8Array({ maxLength: 60 }) });
  fc.assert(
    fc.property(fc.array(segment, { maxLength: 12 }), fc.nat(260), fc.nat(80), (segments, at, length) => {
      const source = open(writeFlattened(segments));
      const whole = rearranged(segments);
      expect(content(source).equals(whole)).toBe(true);
      const part = Buffer.alloc(length);
      const got = source.read(at, part);
      expect(part.subarray(0, got).equals(whole.subarray(at, at + length))).toBe(true);
      expect(source.problems).toEqual([]);
    }),
    { numRuns: 500 },
  );
});

describe("damage", () => {
  const segments = [
    { offset: 0, bytes: Buffer.from("header, first try") },
    { offset: 20, bytes: Buffer.from("data") },
    { offset: 0, bytes: Buffer.from("HEADER") },
  ];

  test("no end marker: all that came is there, with a problem", () => {
    const source = open(writeFlattened(segments, false));
    expect(content(source).toString("latin1")).toBe("HEADER, first try\0\0\0data");
    expect(source.problems.map((problem) => problem.code)).toEqual(["TRUNCATED"]);
  });

  test("cut in the middle of a piece", () => {
    const stream = writeFlattened(segments.slice(0, 1));
    const source = open(stream.slice(0, 4096 + 16 + 6));
    expect(content(source).toString("latin1")).toBe("header");
    expect(source.problems[0]?.message).toContain("needs 17 bytes, the file has 6 of them");
  });

  test.each([
    ["a negative offset", { offset: -5n, bytes: Buffer.from("x") }],
    ["a negative size", { offset: 5n, size: -2n, bytes: Buffer.from("x") }],
    ["a place beyond any file", { offset: 2n ** 62n, bytes: Buffer.from("x") }],
  ])("%s ends the index with a problem", (_, bad) => {
    const source = open(writeFlattened([segments[1]!, bad, segments[0]!]));
    expect(source.problems.map((problem) => problem.code)).toEqual(["CORRUPT"]);
    expect(source.size).toBe(24);
  });

  test("another version", () => {
    const stream = writeFlattened([]);
    stream[31] = 2;
    expect(() => open(stream)).toThrowError(expect.objectContaining({ code: "UNSUPPORTED" }));
  });
});
