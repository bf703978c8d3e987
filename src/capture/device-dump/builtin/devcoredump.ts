import { closeSync, openSync, readdirSync, readlinkSync, readSync } from "node:fs";
import { basename, join } from "node:path";
import type { DeviceDumps } from "../registry.ts";

/** What is taken of one: GPUs and wireless firmware give up to some megabytes. */
const MAX_BYTES = 16 * 1024 * 1024;
const CHUNK = 256 * 1024;

/**
 * What drivers of the capture kernel have already said of their devices: `/sys/class/devcoredump/devcdN/data`
 * (linux:drivers/base/devcoredump.c). The files do not tell their size, so they are read when they are registered; they are memory, no
 * hardware is asked. They stay in the kernel: writing to one would remove it.
 */
export function register(dumps: DeviceDumps, sysfs = "/sys"): void {
  const folder = join(sysfs, "class/devcoredump");
  let names: string[];
  try {
    names = readdirSync(folder)
      .filter((name) => /^devcd\d+$/.test(name))
      .sort((a, b) => Number(a.slice(5)) - Number(b.slice(5)));
  } catch {
    return; // CONFIG_DEV_COREDUMP is off
  }
  for (const name of names) {
    const data = readAll(join(folder, name, "data"));
    if (data.length === 0) continue;
    dumps.addDeviceDump({
      name: dumpName(name, join(folder, name, "failing_device")),
      size: data.length,
      collect: (buffer) => buffer.set(data),
    });
  }
}

/** `devcd1:0000:03:00.0`: the device that failed is what people look for. */
function dumpName(name: string, link: string): string {
  try {
    return Buffer.from(`${name}:${basename(readlinkSync(link))}`).toString("latin1", 0, 43);
  } catch {
    return name;
  }
}

function readAll(path: string): Uint8Array {
  const parts: Uint8Array[] = [];
  let length = 0;
  try {
    const fd = openSync(path, "r");
    try {
      while (length < MAX_BYTES) {
        const part = new Uint8Array(Math.min(CHUNK, MAX_BYTES - length));
        const got = readSync(fd, part, 0, part.length, length);
        if (got === 0) break;
        parts.push(part.subarray(0, got));
        length += got;
      }
    } finally {
      closeSync(fd);
    }
  } catch {
    // It may go away at any time (after 5 minutes by itself): what was read is what there is.
  }
  return Buffer.concat(parts);
}
