/** Builds dist/ from src/ with the compiler; run by npm's prepare, so that a fresh `npm ci` leaves a working command. */
import { spawnSync } from "node:child_process";
import { copyFileSync, readFileSync, rmSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { bundleForQuickjs, bundleProgram } from "./bundle.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
rmSync(`${root}/dist`, { recursive: true, force: true });
const result = spawnSync(process.execPath, [`${root}/node_modules/typescript/bin/tsc`, "-p", `${root}/tsconfig.build.json`], {
  stdio: "inherit",
});
if (result.status !== 0) process.exit(result.status ?? 1);
const { version } = JSON.parse(readFileSync(`${root}/package.json`, "utf8")) as { version: string };
// What hooks/ puts into capture kernels.
await bundleForQuickjs(`${root}/src/recorder/quickjs-main.ts`, `${root}/dist/lastwords-record.js`, version);
await bundleProgram(`${root}/src`, `${root}/dist/program`);
// Committed, made by tools/build-kernels.ts.
copyFileSync(`${root}/src/codec/kernels/page.wasm`, `${root}/dist/codec/kernels/page.wasm`);
// The page that `report --html` fills. Without the bundler all else works.
const vite = await import("vite").catch(() => undefined);
await vite?.build({ configFile: `${root}/web/vite.config.ts`, configLoader: "native" });
