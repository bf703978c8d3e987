import { readFileSync } from "node:fs";
import { type ByteSource, hex, isDumpError } from "../../bytes/index.ts";
import { type DumpFile, FileSource, type InfoSection, type OpenedDump } from "../../format/index.ts";
import { LkcdDump } from "../../format/lkcd/index.ts";
import { PhysicalSource } from "../../memory/index.ts";
import { MemoryFile, readMemoryMap } from "./memory.ts";
import { findResidentDump, type FindOptions, parseCrashdump, type ResidentDump } from "./stage2.ts";

/** A resident dump, opened. Closing its dump closes what it was found in. */
export interface OpenedResident extends OpenedDump {
  readonly resident: ResidentDump;
}

/**
 * The dump that a soft boot left in the memory that a file holds.
 *
 * @param dump of the whole machine: a raw image, what QEMU dumps. A vmcore of the next kernel does not have it: it is no RAM of that kernel.
 * @param commandLine of the kernel in it, where it is known: with `crashdump=` only that place is looked at. Without, raw images and
 *   QEMU's dumps are searched; others would take too long for what is hardly ever there.
 */
export function residentInDump(dump: DumpFile, name: string, commandLine?: string): OpenedResident | undefined {
  const crashdump = commandLine === undefined ? undefined : parseCrashdump(commandLine);
  const isImage = dump.format === "raw" || dump.notes.some((note) => note.name === "QEMU");
  if (crashdump === undefined && !isImage) return undefined;
  return open(new PhysicalSource(dump, name), crashdump === undefined ? {} : { crashdump }, () => dump.close());
}

/** The same in a file without format, which is taken for memory from address 0 on. @throws IO. */
export function residentInFile(path: string): OpenedResident | undefined {
  const source = new FileSource(path);
  const found = open(source, {}, () => source.close());
  if (!found) source.close();
  return found;
}

/** The same in this machine's memory, where `crashdump=` of its kernel says. Undefined also where memory may not be looked at. */
export function residentInMemory(): OpenedResident | undefined {
  let memory: MemoryFile | undefined;
  try {
    const crashdump = parseCrashdump(readFileSync("/proc/cmdline", "latin1"));
    if (crashdump === undefined) return undefined;
    const ranges = readMemoryMap().reserved;
    const opened = (memory = new MemoryFile("/dev/mem", "r"));
    const found = open(opened.source, { crashdump, ranges }, () => opened.close());
    if (!found) opened.close();
    return found;
  } catch (error) {
    memory?.close();
    if (isDumpError(error) || (error as NodeJS.ErrnoException).code !== undefined) return undefined;
    throw error;
  }
}

function open(source: ByteSource, options: FindOptions, close: () => void): OpenedResident | undefined {
  const resident = findResidentDump(source, options);
  if (!resident || resident.records === 0) return undefined;
  const { name, size } = resident.stream;
  const stream: ByteSource = { name, size, read: (offset, into) => resident.stream.read(offset, into), close };
  return { resident, dump: new LkcdDump(stream), containers: ["softboot"], problems: resident.problems };
}

/** What `info` shows of it. */
export function residentSection({ address, config, records, frames, truncated }: ResidentDump): InfoSection {
  const { extension } = config;
  return {
    title: "resident dump",
    fields: [
      ["config block", hex(address)],
      ["first indirect map", config.root === undefined ? "damaged" : hex(config.root)],
      ["level", hex(config.level)],
      ["flags", hex(config.flags)],
      ["page records", records],
      ["pages of memory", frames.length],
      ["checksums", extension ? (config.intact ? "yes" : "damaged") : "none, as LKCD left it"],
      ["truncated", truncated],
      ...(extension?.passes ?? []).map((pass): [string, string] => [
        `pass ${pass.name}`,
        `${pass.records} records, level ${hex(pass.level)}`,
      ]),
    ],
  };
}
