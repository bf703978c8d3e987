import { dirname, join } from "node:path";
import { readFile } from "node:fs/promises";
import type { LabKernel } from "../lab/index.ts";

/** Whether a kernel can write its console into pstore (CONFIG_PSTORE_CONSOLE), by the configuration installed with it. */
export async function hasPstoreConsole(kernel: LabKernel): Promise<boolean> {
  for (const path of [join(dirname(kernel.image), `config-${kernel.release}`), join(kernel.modules, "config")]) {
    const text = await readFile(path, "utf8").catch(() => undefined);
    if (text !== undefined) return /^CONFIG_PSTORE_CONSOLE=y$/m.test(text);
  }
  return false;
}
