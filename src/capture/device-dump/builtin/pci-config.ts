import { closeSync, openSync, readdirSync, readSync, statSync } from "node:fs";
import { join } from "node:path";
import type { DeviceDumps } from "../registry.ts";

/**
 * The configuration space of every PCI device: 256 bytes, or 4096 of a PCI Express device. Status, AER and slot registers still say
 * what the bus saw when the machine died.
 *
 * A dump per device, not one per machine: a device that no longer answers takes no other's registers with it, its name in the list of
 * what was lost is a finding in itself, and an offset in the dump is the offset in the specification. A page or two each.
 */
export function register(dumps: DeviceDumps, sysfs = "/sys"): void {
  const folder = join(sysfs, "bus/pci/devices");
  for (const address of pciDevices(folder)) {
    const path = join(folder, address, "config");
    // sysfs gives the size as the file's: cfg_size. Who is not root reads 64 bytes of it.
    const size = statSync(path, { throwIfNoEntry: false })?.size ?? 0;
    if (size > 0) dumps.addDeviceDump({ name: `pci:${address}`, size, collect: (buffer) => void readInto(path, buffer) });
  }
}

/** Names of the machine's PCI devices, `0000:00:03.0`; empty without PCI. */
export function pciDevices(folder: string): string[] {
  try {
    return readdirSync(folder).sort();
  } catch {
    return [];
  }
}

/** Reads a file of sysfs to its end or the buffer's. */
export function readInto(path: string, buffer: Uint8Array): number {
  const fd = openSync(path, "r");
  try {
    let done = 0;
    while (done < buffer.length) {
      const got = readSync(fd, buffer, done, buffer.length - done, done);
      if (got === 0) break;
      done += got;
    }
    return done;
  } finally {
    closeSync(fd);
  }
}
