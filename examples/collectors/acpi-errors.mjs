/**
 * A collector as a module: what the firmware noted about errors of the hardware, up to and including the one that killed the machine.
 * Copy it to /etc/lastwords/collectors.d; it needs nothing to be installed and imports nothing of lastwords.
 *
 * `register` is called once, in a process of its own that is killed when it takes too long. It looks for its devices and announces one
 * dump for each: `size` is the exact number of bytes, and `collect` gets a buffer of that many zeros to fill. What it throws is the
 * reason that `lastwords save` gives for the missing dump.
 */
import { readFileSync, statSync } from "node:fs";

const TABLES = "/sys/firmware/acpi/tables";
/** Boot errors (the table, and the region of memory that it points to), where they come from, and what can be recorded. */
const FILES = ["BERT", "data/BERT", "HEST", "ERST"];

/** @param {{ addDeviceDump(request: { name: string, size: number, collect(buffer: Uint8Array): void | Promise<void> }): void }} dumps */
export function register(dumps) {
  for (const file of FILES) {
    const path = `${TABLES}/${file}`;
    const size = statSync(path, { throwIfNoEntry: false })?.size ?? 0;
    if (size === 0) continue; // this machine has none: nothing to announce, no error
    dumps.addDeviceDump({ name: `acpi:${file}`, size, collect: (buffer) => buffer.set(readFileSync(path).subarray(0, buffer.length)) });
  }
}
