import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll } from "vitest";

/** A new folder in the temporary one, removed when the tests of the file are done. Call it while the file is loaded or in a test. */
export function scratchFolder(): string {
  folder ??= mkdtempSync(join(tmpdir(), "lastwords-test-"));
  return mkdtempSync(join(folder, "-"));
}

let folder: string | undefined;
afterAll(() => {
  if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
});
