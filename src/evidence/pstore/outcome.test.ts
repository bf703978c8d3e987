import { expect, test } from "vitest";
import { outcomeOf } from "./outcome.ts";

test.each([
  ["nothing", ["hello"], undefined],
  [
    "the dump is there, whatever failed before",
    ["a.service failed", "kdump: saving vmcore complete"],
    "saved: kdump: saving vmcore complete",
  ],
  [
    "what made the script give up",
    ["mount: mounting /dev/sda1 on /mnt failed: No such device", "kdump.sh: cannot mount /dev/sda1"],
    "failed: mount: mounting /dev/sda1 on /mnt failed: No such device",
  ],
  [
    "not what else failed in the boot",
    ["[FAILED] Failed to start chronyd.service", "a", "b", "c", "d", "e", "kdump: saving vmcore failed"],
    "failed: kdump: saving vmcore failed",
  ],
  [
    "where nothing is about the dump, the first",
    ["cp: write error: No space left on device", "failed"],
    "failed: cp: write error: No space left on device",
  ],
])("%s", (_, lines, expected) => {
  const found = outcomeOf(lines);
  expect(found && `${found.outcome}: ${found.line}`).toBe(expected);
});
