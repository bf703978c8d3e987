/**
 * Makes the dump that `save` is measured with: a guest of 4 GiB whose memory holds what a working machine's does (files in the cache, of
 * text, code and compressed data, and free pages), crashed and saved by its own capture kernel. Takes two minutes and 4.3 GB.
 *
 * node bench/large-guest.ts FOLDER
 */
import { captureCrash, crashWay, defaultCacheFolder, fetchKernel, VARIED_LOAD } from "../src/lab/index.ts";

const [folder] = process.argv.slice(2);
if (folder === undefined) throw new Error("name the folder that the dump shall go to");

/** Text, code, and what no codec makes smaller; a third is left free. */
const FILL = [
  "mkdir -p /fill; mount -t tmpfs -o size=3200M tmpfs /fill",
  "n=0; while [ $n -lt 110 ]; do cat /proc/kallsyms > /fill/text-$n; n=$((n+1)); done",
  "n=0; while [ $n -lt 110 ]; do cat /bin/busybox /mod/*.ko > /fill/code-$n; n=$((n+1)); done",
  "n=0; while [ $n -lt 110 ]; do cat /boot/vmlinuz /boot/initramfs > /fill/packed-$n; n=$((n+1)); done",
  "du -m -s /fill; free -m",
];

const options = { cache: defaultCacheFolder(), progress: (message: string): void => console.error(message) };
const { vmcore, vmcoreBytes, stages } = await captureCrash({
  ...options,
  kernel: await fetchKernel("6.1", options),
  way: crashWay("sysrq"),
  folder,
  memoryMiB: 4096,
  load: VARIED_LOAD,
  before: FILL,
  timeoutMs: 1_500_000,
});
console.log(`${vmcore}: ${vmcoreBytes} bytes; ${stages.map(({ name, atMs }) => `${name} ${(atMs / 1000).toFixed(0)} s`).join(", ")}`);
