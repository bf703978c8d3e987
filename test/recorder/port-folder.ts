import { chmodSync, chownSync, mkdtempSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "vitest";
import { PORT_FILES } from "./port-conformance.ts";

/** The user that stands in for root, to whom nothing is denied. */
export const UNPRIVILEGED = 65534;

/** A folder as the conformance program wants it; root's tests give it to {@link UNPRIVILEGED}. */
export function preparePortFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "lastwords-port-"));
  const denied = join(folder, PORT_FILES.denied);
  writeFileSync(denied, "");
  chmodSync(denied, 0);
  if (process.getuid?.() === 0) chownSync(folder, UNPRIVILEGED, UNPRIVILEGED);
  return folder;
}

/** Checks what the program cannot see through its port: modes. */
export function expectLeft(folder: string): void {
  expect(statSync(join(folder, PORT_FILES.created)).mode.toString(8)).toBe("100600");
  expect(statSync(join(folder, PORT_FILES.fifo)).mode.toString(8)).toBe("10622");
}
