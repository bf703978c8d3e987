import type { DecompressPayload, Payload } from "../payload.ts";
import { parseReasonLine } from "../reason.ts";
import type { PstoreRecord } from "../record.ts";
import { type EfiDumpName, efiRecordId, parseEfiName } from "./name.ts";

/** One file of efivarfs. */
export interface EfiVariableFile {
  /** Its name, with or without the vendor's GUID. */
  readonly name: string;
  /** Attributes, 32 bits little-endian, and behind them the variable's data. */
  readonly bytes: Uint8Array;
}

/** As kernels since 6.2 call it; `efi` before. */
const BACKEND = "efi_pstore";
const ATTRIBUTES_SIZE = 4;
/** NON_VOLATILE, BOOTSERVICE_ACCESS and RUNTIME_ACCESS (linux:drivers/firmware/efi/efi-pstore.c:PSTORE_EFI_ATTRIBUTES). */
const ATTRIBUTES = 7;
/** End of the year 9999: no clock of a machine is later. */
const LATEST = 253_402_300_799n;

/**
 * The records among efivarfs files, oldest dump first and within a dump the newest part first, as the kernel numbers them. Files
 * with other names are skipped. Throws nothing but what `decompress` throws.
 */
export function readEfiVariables(files: readonly EfiVariableFile[], decompress: DecompressPayload): readonly PstoreRecord[] {
  const found: { file: EfiVariableFile; name: EfiDumpName }[] = [];
  for (const file of files) {
    const name = parseEfiName(file.name);
    if (name) found.push({ file, name });
  }
  found.sort(
    ({ name: a }, { name: b }) => (a.seconds < b.seconds ? -1 : a.seconds > b.seconds ? 1 : 0) || a.count - b.count || a.part - b.part,
  );
  const firsts = new Map<string, string>();
  return found.map(({ file, name }) => {
    const key = `${name.type}-${efiRecordId(name)}`;
    const first = firsts.get(key);
    if (first === undefined) firsts.set(key, file.name);
    return readVariable(file, name, first, decompress);
  });
}

function readVariable(file: EfiVariableFile, name: EfiDumpName, first: string | undefined, decompress: DecompressPayload): PstoreRecord {
  const { bytes } = file;
  const problems: string[] = [];
  if (first !== undefined) problems.push(`${file.name} has the number of ${first}; a kernel shows one of them`);
  const stored = bytes.subarray(Math.min(ATTRIBUTES_SIZE, bytes.length));
  if (bytes.length < ATTRIBUTES_SIZE) problems.push(`${file.name} has ${bytes.length} bytes; the attributes alone are ${ATTRIBUTES_SIZE}`);
  else {
    const attributes = (bytes[0]! | (bytes[1]! << 8) | (bytes[2]! << 16) | (bytes[3]! << 24)) >>> 0;
    if (attributes !== ATTRIBUTES) problems.push(`the attributes are ${attributes}, a kernel writes ${ATTRIBUTES}`);
    if (stored.length === 0) problems.push("the variable is empty");
  }
  const compressed = name.compressed && stored.length > 0;
  const payload: Payload = compressed ? decompress(stored) : { content: stored, compression: "none", problems: [] };
  problems.push(...payload.problems);
  const line = name.type === "dmesg" ? parseReasonLine(payload.content) : undefined;
  if (line && (line.part !== name.part || (name.fields > 3 && line.count !== name.count))) {
    problems.push(`the name says dump ${name.count} part ${name.part}, the text says dump ${line.count} part ${line.part}`);
  }
  const timed = name.seconds > 0n && name.seconds <= LATEST;
  if (name.seconds > LATEST) problems.push(`the time is ${name.seconds} seconds after 1970, which is no date`);
  // Names of three fields have no count; the text has.
  const count = name.fields === 3 ? (line?.count ?? 0) : name.count;
  return {
    backend: BACKEND,
    type: name.type,
    id: efiRecordId(name),
    content: payload.content,
    ...(compressed ? { stored } : {}),
    compression: payload.compression,
    ...(line ? { reason: line.reason } : {}),
    count,
    part: name.part,
    ...(timed ? { time: { seconds: Number(name.seconds), nanoseconds: 0 } } : {}),
    state: "kept",
    at: { offset: 0, length: bytes.length },
    problems,
  };
}
