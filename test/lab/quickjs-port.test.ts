import { execFile } from "node:child_process";
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { defaultCacheFolder } from "../../src/lab/index.ts";
import { copyQuickjs, fetchQuickjs, quickjsCommand } from "../../src/lab/quickjs.ts";
import { bundleForQuickjs } from "../../tools/bundle.ts";
import type { PortCheck } from "../recorder/port-conformance.ts";
import { expectLeft, preparePortFolder, UNPRIVILEGED } from "../recorder/port-folder.ts";

const folder = preparePortFolder();
const unprivileged = process.getuid?.() === 0 ? { uid: UNPRIVILEGED, gid: UNPRIVILEGED } : {};

beforeAll(async () => {
  await copyQuickjs(await fetchQuickjs({ cache: defaultCacheFolder() }), join(folder, "lib"));
  await bundleForQuickjs(fileURLToPath(new URL("../recorder/quickjs-conformance.ts", import.meta.url)), join(folder, "conformance.js"));
});

afterAll(() => rmSync(folder, { recursive: true }));

test("QuickJS's port does as every port does", async () => {
  const [program, ...args] = quickjsCommand(join(folder, "lib"), join(folder, "conformance.js"), [folder]);
  const { stderr } = await promisify(execFile)(program, args, { ...unprivileged, timeout: 120_000 });
  const results = JSON.parse(readFileSync(join(folder, "results.json"), "utf8")) as PortCheck[];
  expect(results.filter((result) => !result.ok)).toEqual([]);
  expect(results.length).toBeGreaterThan(10);
  expect(stderr).toMatch(/^(mkfifo: .*\n)?$/); // of the FIFO that cannot be made
  expectLeft(folder);
});

test("a program that asks for Node is not bundled", async () => {
  const entry = fileURLToPath(new URL("../../src/recorder/node-port.ts", import.meta.url));
  await expect(bundleForQuickjs(entry, join(folder, "never.js"))).rejects.toThrow(/imports node:.* which QuickJS does not have/);
});
