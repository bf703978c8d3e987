import { dirname } from "node:path";
import { asVaddr, DumpError, isDumpError, latin1 } from "../../bytes/index.ts";
import { type DumpFile, NT_VMCOREDD, reason } from "../../format/index.ts";
import { encodeNotes } from "../../format/kdump/write.ts";
import { type LogSource, logText, openX86_64, readLog, Types, Vmcoreinfo } from "../../kernel/index.ts";
import { PhysicalMemory, VirtualMemory } from "../../memory/index.ts";
import { syncFolder, writeWhole } from "./output.ts";

/** A small file beside the dump. */
export interface LightFile {
  readonly path: string;
  readonly what: string;
  readonly size: number;
}

/** dump_name of struct vmcoredd_header (linux:include/uapi/linux/vmcore.h). */
const DEVICE_NAME_LENGTH = 44;

/** The kernel's log by VMCOREINFO and page tables alone: no symbols are looked for, which would take longer. @throws DumpError. */
export function quickLog(dump: DumpFile): string {
  const vmcoreinfo = new Vmcoreinfo(dump.vmcoreinfo ?? "");
  const physical = new PhysicalMemory(dump);
  const source: LogSource = {
    memory: new VirtualMemory(physical, openX86_64(physical, vmcoreinfo)),
    vmcoreinfo,
    types: new Types(undefined, vmcoreinfo, dump.wordSize),
    symbol: (name) => vmcoreinfo.symbol(name),
    requireSymbol: (name) => {
      const address = vmcoreinfo.symbol(name);
      if (address === undefined) throw new DumpError("NOT_STORED", `VMCOREINFO does not name ${name}`);
      return asVaddr(address);
    },
  };
  return logText(readLog(source));
}

/**
 * Writes the light evidence before the heavy: log, notes and device dumps as small files beside the dump, each safe on its medium when
 * this returns. What cannot be had is told and does not hinder the rest.
 *
 * @param base path of the dump, to which names are appended. @param more further files, such as a ramoops region.
 */
export function saveLight(
  dump: DumpFile,
  base: string,
  more: readonly { readonly suffix: string; readonly what: string; readonly bytes: Uint8Array }[],
): { files: LightFile[]; problems: string[]; unwritten: number } {
  const files: LightFile[] = [];
  const problems: string[] = [];
  let unwritten = 0;
  const save = (suffix: string, what: string, bytes: Uint8Array): void => {
    const path = `${base}-${suffix}`;
    try {
      writeWhole(path, bytes);
      files.push({ path, what, size: bytes.length });
    } catch (error) {
      unwritten++;
      problems.push(`${what} cannot be written to ${path}: ${reason(error)}`);
    }
  };
  try {
    save("dmesg.txt", "the kernel's log", Buffer.from(quickLog(dump), "utf8"));
  } catch (error) {
    if (!isDumpError(error)) throw error;
    problems.push(`the kernel's log cannot be read: ${error.message}`);
  }
  if (dump.notes.length > 0) save("notes.bin", "the ELF notes", encodeNotes(dump.notes).bytes);
  for (const [i, note] of dump.notes.entries()) {
    if (note.name !== "LINUX" || note.type !== NT_VMCOREDD || note.desc.length < DEVICE_NAME_LENGTH) continue;
    const name = latin1(note.desc.subarray(0, DEVICE_NAME_LENGTH)).replace(/[^\w.-]/g, "_");
    save(`device-${i}-${name}.bin`, `the dump of device ${name}`, note.desc.subarray(DEVICE_NAME_LENGTH));
  }
  for (const { suffix, what, bytes } of more) save(suffix, what, bytes);
  syncFolder(dirname(base));
  return { files, problems, unwritten };
}
