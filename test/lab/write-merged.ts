/**
 * Runs in the capture kernel: `node write-merged.ts DEVICE` collects device dumps and writes the merged vmcore to a raw disk. Says
 * what it did as one line of JSON. The collectors are those of the guest's default directory and the built-in ones.
 */
import { closeSync, fsyncSync, openSync, writeSync } from "node:fs";
import { collectDeviceDumps, MergedVmcore, openVmcore } from "../../src/capture/device-dump/index.ts";

const started = performance.now();
const { dumps, lost } = await collectDeviceDumps({ timeoutMs: 15_000 });
const collected = performance.now();
const vmcore = new MergedVmcore(openVmcore(), dumps);
const fd = openSync(process.argv[2]!, "r+");
const chunk = new Uint8Array(1024 * 1024);
let at = 0;
for (;;) {
  const got = vmcore.read(at, chunk);
  if (got === 0) break;
  for (let done = 0; done < got;) done += writeSync(fd, chunk, done, got - done, at + done);
  at += got;
}
fsyncSync(fd);
closeSync(fd);
const result = {
  dumps: dumps.map(({ name, data }) => [name, data.length]),
  lost,
  size: vmcore.size,
  written: at,
  collectMs: Math.round(collected - started),
  writeMs: Math.round(performance.now() - collected),
  peakMiB: Math.round(process.resourceUsage().maxRSS / 1024),
};
process.stdout.write(`lastwords-lab: merged ${JSON.stringify(result)}\n`);
