import { encodeLatin1 } from "../bytes/index.ts";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parseReasonLine } from "./reason.ts";

/** All that linux:kernel/printk/printk.c:kmsg_dump_reason_str and its forerunners in fs/pstore could say. */
const REASONS = ["Panic", "Oops", "Emergency", "Shutdown", "Restart", "Halt", "Poweroff", "Unknown", "Kexec"];

describe("reason line", () => {
  test.each(REASONS)("%s", (reason) => {
    expect(parseReasonLine(encodeLatin1(`${reason}#12 Part3\n<0>[    1.0] text`))).toEqual({ reason, count: 12, part: 3 });
  });

  test("the line alone", () => {
    expect(parseReasonLine(encodeLatin1("Oops#1 Part1\n"))).toEqual({ reason: "Oops", count: 1, part: 1 });
  });

  test.each([
    ["nothing", ""],
    ["not at the beginning", "\nPanic#1 Part1\n"],
    ["lower case", "panic#1 Part1\n"],
    ["no count", "Panic# Part1\n"],
    ["no part", "Panic#1 Part\n"],
    ["no line end", "Panic#1 Part1"],
    ["more on the line", "Panic#1 Part1 x\n"],
    ["pstore/zone's own line", "Panic: Total 1 times\n"],
    ["a count that no kernel has", "Panic#1234567890 Part1\n"],
    ["kernel text", "<6>[    0.000000] Linux version 6.1\n"],
  ])("%s is none", (_what, text) => {
    expect(parseReasonLine(encodeLatin1(text))).toBeUndefined();
  });

  test("count and part come back", () => {
    const number = fc.integer({ min: 0, max: 999_999_999 });
    fc.assert(
      fc.property(fc.constantFrom(...REASONS), number, number, fc.uint8Array({ maxLength: 80 }), (reason, count, part, rest) => {
        const line = encodeLatin1(`${reason}#${count} Part${part}\n`);
        expect(parseReasonLine(Buffer.concat([line, rest]))).toEqual({ reason, count, part });
      }),
    );
  });

  test("random bytes are no exception", () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => parseReasonLine(bytes) === undefined));
  });
});
