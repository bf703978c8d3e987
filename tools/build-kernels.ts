/**
 * Compiles src/codec/kernels/asc/page.ts to src/codec/kernels/page.wasm, which is committed, so that nothing but the
 * compiler's own users need AssemblyScript. With --check it writes nothing and fails if the committed file differs.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const source = "src/codec/kernels/asc/page.ts";
const target = join(root, "src/codec/kernels/page.wasm");

/** Memory is imported and shared; its bounds are what PageKernels.create may be given: 1 to 65536 pages of 64 KiB. */
const OPTIONS = [
  "-O3",
  "--converge",
  "--noAssert",
  "--runtime=stub",
  "--enable=simd",
  "--enable=threads",
  "--importMemory",
  "--noExportMemory",
  "--sharedMemory",
  "--initialMemory=1",
  "--maximumMemory=65536",
];

const scratch = mkdtempSync(join(tmpdir(), "lastwords-kernels-"));
try {
  const rebuilt = join(scratch, "page.wasm");
  const asc = join(root, "node_modules/assemblyscript/bin/asc.js");
  const result = spawnSync(process.execPath, [asc, source, ...OPTIONS, "-o", rebuilt], { cwd: root, stdio: "inherit" });
  if (result.status !== 0) {
    process.exitCode = result.status ?? 1;
  } else if (!process.argv.includes("--check")) {
    writeFileSync(target, readFileSync(rebuilt));
  } else if (!readFileSync(rebuilt).equals(readFileSync(target))) {
    process.stderr.write(`${target} is not what ${source} compiles to: run node tools/build-kernels.ts\n`);
    process.exitCode = 1;
  }
} finally {
  rmSync(scratch, { recursive: true, force: true });
}
