/** The bundled program finds what its sources look for beside themselves. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { bundleProgram } from "../../tools/bundle.ts";

const source = fileURLToPath(new URL("../../src", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "lastwords-bundle-"));
let files: string[];

beforeAll(async () => {
  await bundleProgram(source, folder);
  files = readdirSync(folder, { recursive: true, encoding: "utf8" });
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test("files that sources name", () => {
  const named = files
    .filter((name) => name.endsWith(".js"))
    .flatMap((name) =>
      [...readFileSync(join(folder, name), "utf8").matchAll(/new URL\("(?!\.\.)([^"]+)", import\.meta\.url\)/g)].map(([, one]) => one!),
    );
  expect(named).toContain("page.wasm");
  expect(named.filter((name) => !existsSync(join(folder, name)))).toEqual([]);
});

test("threads and processes of their own, and modules that are loaded by name", () => {
  const builtIn = readdirSync(join(source, "capture/device-dump/builtin")).map((name) => join("builtin", name.replace(/\.ts$/, ".js")));
  expect(builtIn.length).toBeGreaterThan(0);
  expect(files).toEqual(expect.arrayContaining(["main.js", "worker.js", "collector-child.js", ...builtIn]));
  // Nothing else is started from a file of its own.
  const started = readdirSync(source, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts") && !name.endsWith(".test.ts") && !name.startsWith("lab"))
    .filter((name) => /new Worker\(|besideThis\(/.test(readFileSync(join(source, name), "utf8")));
  expect(started.toSorted()).toEqual(["capture/device-dump/collectors.ts", "capture/save/helpers.ts"]);
});
