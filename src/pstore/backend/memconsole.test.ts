import { expect, test } from "vitest";
import { decodeLatin1, encodeLatin1 } from "../../bytes/index.ts";
import { excerptOf } from "./memconsole.ts";

const REASON = "[    7.1] Kernel panic - not syncing: sysrq triggered crash\n";

test("an excerpt has the reason, however long what follows is", () => {
  const trace = "[    7.2]  some_function+0x1/0x2\n".repeat(100);
  const log = encodeLatin1(`[    0.0] Linux version\n${REASON}${trace}`);
  expect(decodeLatin1(excerptOf(log, 2048))).toMatch(/^\[ {4}7\.1\] Kernel panic/);
  expect(excerptOf(log, 2048).length).toBe(2048);
});

test("where the end holds the reason, or there is none, it is the end", () => {
  const log = encodeLatin1(`${"noise\n".repeat(1000)}${REASON}the end\n`);
  expect(decodeLatin1(excerptOf(log, 500))).toMatch(/Kernel panic.*\nthe end\n$/);
  expect(decodeLatin1(excerptOf(encodeLatin1("noise\n".repeat(1000)), 60))).toBe("noise\n".repeat(9));
  expect(excerptOf(encodeLatin1("short\n"), 60).length).toBe(6);
});
