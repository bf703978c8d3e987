/**
 * What a case must survive: opening, looking at pages, and the whole report, as text and as JSON. Only a DumpError may
 * come out, and that as an answer.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { asPfn, isDumpError, MemorySource } from "../src/bytes/index.ts";
import { type DumpFile, openDump, openSources } from "../src/format/index.ts";
import { Kernel } from "../src/kernel/index.ts";
import { buildReport, renderReport } from "../src/report/index.ts";
import type { Random } from "./random.ts";
import type { DumpSeed } from "./seeds.ts";

/** How a case ended; both are good answers. */
export type Outcome = "report" | "error";

const PAGES_LOOKED_AT = 64;

/** Runs one case. @throws anything that is not a DumpError: a bug. */
export async function runCase(seed: DumpSeed, files: readonly Uint8Array[], random: Random): Promise<Outcome> {
  const folder = seed.onDisk ? mkdtempSync(join(tmpdir(), "lastwords-fuzz-")) : undefined;
  let dump: DumpFile | undefined;
  try {
    if (folder === undefined) {
      dump = openSources(files.map((bytes, i) => new MemorySource(bytes, `case ${i}`)));
    } else {
      const paths = files.map((bytes, i) => {
        const path = join(folder, `${i}`);
        writeFileSync(path, bytes);
        return path;
      });
      dump = (await openDump(paths)).dump;
    }
    lookAround(dump, random);
    const kernel = openKernel(dump);
    const report = buildReport({
      evidence: {
        pieces: [],
        pstore: [],
        logs: [],
        story: { crash: undefined, capture: undefined },
        notes: [],
        dump: { dump, containers: [], problems: [] },
        log: undefined,
      },
      kernel,
      kernelFailure: undefined,
      version: "fuzz",
    });
    JSON.stringify(report);
    renderReport(report, { paint: (_, text) => text, escape: (text) => text, logLines: 20 });
    return "report";
  } catch (error) {
    if (isDumpError(error)) return "error";
    throw error;
  } finally {
    dump?.close();
    if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
  }
}

function openKernel(dump: DumpFile): Kernel | undefined {
  try {
    return new Kernel(dump);
  } catch (error) {
    if (isDumpError(error)) return undefined;
    throw error;
  }
}

/** Pages at random and in order; states must answer for any number. */
function lookAround(dump: DumpFile, random: Random): void {
  dump.info();
  // A page size from a hostile header may be anything that the reader let pass.
  const page = new Uint8Array(dump.pageSize);
  let next = dump.nextStored(asPfn(0));
  for (let i = 0; i < PAGES_LOOKED_AT; i++) {
    const pfn = i % 2 === 0 && next !== undefined ? next : asPfn(random.below(Math.min(dump.maxPfn + 2, 2 ** 32)));
    if (i % 2 === 0 && next !== undefined) next = dump.nextStored(asPfn(next + 1));
    const state = dump.pageState(pfn);
    try {
      dump.readPage(pfn, page);
      if (state !== "stored") throw new Error(`page ${pfn} is ${state} and can be read`);
    } catch (error) {
      if (!isDumpError(error)) throw error;
      if (state === "excluded" && error.code !== "EXCLUDED")
        throw new Error(`page ${pfn} is excluded and reading it says ${error.code}`, { cause: error });
    }
  }
}
