import { describe, expect, test } from "vitest";

import { parseConsoleLine } from "../../src/report/title/console-line.ts";
import { matchPattern } from "../../src/report/title/line-pattern.ts";
import { normaliseTitle } from "../../src/report/title/normalise.ts";
import { HEADER_GROUPS, LAST_RESORT_GROUPS } from "../../src/report/title/rules.ts";
import { demangleRustName } from "../../src/report/title/rust-name.ts";

describe("the rule table", () => {
  const groups = [...HEADER_GROUPS, ...LAST_RESORT_GROUPS];
  const rules = groups.flatMap((group) => group.rules.map((rule) => ({ group, rule })));

  test("rules have their own names", () => {
    const ids = rules.map(({ rule }) => rule.id);
    expect(ids).toEqual([...new Set(ids)]);
  });

  test.each(rules.map(({ group, rule }) => [rule.id, group, rule] as const))("%s fills its templates", (_, group, rule) => {
    // A pattern is tried where the header's words are, so it must start with them.
    const first = rule.line[0];
    const start = typeof first === "string" ? first : (first?.source ?? "").replace(/^\^/, "");
    const words = group.header.replace(/\.$/, "");
    const literal = start.replaceAll("\\", "").replace("[uU]", "U");
    expect(literal.startsWith(words) || words.startsWith(literal)).toBe(true);

    const pieces = [...(rule.needs?.line ?? rule.line), ...(rule.needs?.later ?? []), rule.needs?.next ?? ""];
    const groups = pieces.flatMap((piece) =>
      typeof piece === "string" ? [] : [...piece.source.matchAll(/\(\?<(\w+)>/g)].map((found) => found[1]),
    );
    const traces = rule.stack?.steps.filter((step) => step === "frames").length ?? 0;
    const frames = rule.stack === undefined ? [] : traces > 1 ? ["frame", "frame2"] : ["frame"];
    for (const template of [rule.title, ...(rule.alt ?? [])]) {
      for (const [, name] of template.matchAll(/\{(\w+)\}/g)) {
        expect([...groups, ...frames]).toContain(name);
      }
    }
    // Without flags: they are added where a pattern is used, and a "g" would make it remember.
    for (const piece of pieces) {
      expect(typeof piece === "string" ? "" : piece.flags).toBe("");
    }
  });
});

test("patterns take their pieces in order, the first one in place", () => {
  const pattern = ["WARNING: ", "mm/", /\.(?<suffix>[ch]) x/];
  expect(matchPattern(pattern, "a WARNING: b mm/c.h mm/d.c x", 2)).toEqual({ suffix: "c" });
  expect(matchPattern(pattern, "a WARNING: b mm/c.h mm/d.c x", 0)).toBeUndefined();
  expect(matchPattern(pattern, "WARNING: .c x mm/", 0)).toBeUndefined();
  expect(matchPattern([/b+/], "abba", 1)).toEqual({});
});

describe("console lines", () => {
  test.each([
    ["[    1.234567] text", "console", "text"],
    ["[    1.234567][  T12] text", "T12", "text"],
    ["<4>[    1.234567][    C3]  func+0x1/0x2", "C3", " func+0x1/0x2"],
    ["** 3 printk messages dropped ** [    1.2] text", "console", "text"],
    ["host login: [    1.2] text", "console", "text"],
    ["[  T12] text", "T12", "text"],
    ["Nov 20 23:53:37 web-1 kernel: [    1.2][  T12] text", "syslog T12", "text"],
    ["Nov 20 23:53:37 web-1 app[1]: text", "", "Nov 20 23:53:37 web-1 app[1]: text"],
    ["6,339,5140900,c,caller=C0;text", "C0", "text"],
    ["[nouveau] text", "", "[nouveau] text"],
    ["text", "", "text"],
    ["", "", ""],
  ])("%j", (line, context, text) => {
    expect(parseConsoleLine(line)).toEqual({ context, text, questionable: false });
  });

  test("frames that the unwinder does not trust", () => {
    expect(parseConsoleLine("[    1.2]  ? f+0x1/0x2")).toMatchObject({ questionable: true });
    expect(parseConsoleLine("[    1.2]  [c000000001] [c0] f+0x1/0x2 (unreliable)")).toMatchObject({
      questionable: true,
    });
    expect(parseConsoleLine("[    1.2]  <EOI>  [<ffffffff815bcdb1>] ? f+0x1/0x2")).toMatchObject({ questionable: false });
  });
});

test.each([
  ["WARNING: a at mm/slub.c:12:3", "WARNING: a at mm/slub.c:LINE"],
  ["kernel panic: at ffffffff81234567 and 0xdeadbeef", "kernel panic: at ADDR and ADDR"],
  ["kernel panic: from 10.128.0.242", "kernel panic: from IP"],
  ["WARNING: bad ip6_fragment+0x1052/0x2d80", "WARNING: bad ip6_fragment"],
  ["BUG: on CPU#12", "BUG: on CPU"],
  ["BUG: 1,2,3 of cfg80211", "BUG: NUM,NUM,NUM of cfg80211"],
  ["BUG: x12345678", "BUG: xNUM"],
  ["in syz-executor3/123 and syzkaller12:4", "in syz-executor and syzkaller"],
  ["  a\t\tb \u{1f4a5}\x01 c  ", "a b c"],
  ["x".repeat(300), "x".repeat(120)],
])("%j without its volatile parts", (title, expected) => {
  expect(normaliseTitle(title)).toBe(expected);
});

test.each([
  ["_RNvMs3_NtCshgDM7dBCdno_11rust_binder7processNtB5_7Process10update_ref", "<rust_binder::process::Process>::update_ref"],
  ["_RNvCscSpY9Juk0HT_7___rustc17rust_begin_unwind", "__rustc::rust_begin_unwind"],
  // From the v0 symbol format's own examples.
  ["_RNvCs15kBYyAo9fc_7mycrate7example", "mycrate::example"],
  ["_RNvXCs15kBYyAo9fc_7mycrateNtB2_3FooNtB2_3Bar3baz", "<mycrate::Foo as mycrate::Bar>::baz"],
  ["_RINvCs15kBYyAo9fc_7mycrate7examplelKj1_E", "mycrate::example::<i32, 1>"],
  ["_RNCNvCs15kBYyAo9fc_7mycrate7examples_0", "mycrate::example::{closure#1}"],
  ["_RINvC1a1bRShTlmEOeE", "a::b::<&[u8], (i32, u32), *mut str>"],
  ["_RINvC1a1bFUKCjEuDNtC1c1dEL_E", 'a::b::<unsafe extern "C" fn(usize), dyn c::d>'],
  ["_ZN4core9panicking5panic17h0123456789abcdefE", "core::panicking::panic"],
  ["_ZN4core9panickingE", "_ZN4core9panickingE"],
  ["_RNvB_B_", "_RNvB_B_"],
  ["_R", "_R"],
  ["tcp_sendmsg", "tcp_sendmsg"],
])("%s in Rust", (name, readable) => {
  expect(demangleRustName(name)).toBe(readable);
});
