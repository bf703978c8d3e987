/** Writes error records as linux:drivers/acpi/apei/erst.c does, and the file behind QEMU's ERST device; knows nothing of the reader. */

export interface CperRecipe {
  readonly id: bigint;
  readonly data: Uint8Array;
  /** GUIDs in words; pstore's creator and plain dmesg by default. */
  readonly creator?: string;
  readonly section?: string;
  readonly seconds?: bigint;
  /** Overrides that make it wrong. */
  readonly validation?: number;
  readonly recordLength?: number;
  readonly sectionLength?: number;
}

export const PSTORE = "75a574e3-5052-4b29-8a8e-be2c6490b89d";
export const DMESG = "c197e04e-d545-4a70-9c17-a5549419eb12";
export const DMESG_Z = "4f118707-04dd-4055-b5dd-956d34ddfac6";
export const MCE = "fe08ffbe-95e4-4be7-bc73-4096044a38fc";

/** The 16 bytes of a GUID: three numbers little-endian, then eight bytes. */
function guid(words: string): Buffer {
  const [a, b, c, d, e] = words.split("-") as [string, string, string, string, string];
  const bytes = Buffer.alloc(16);
  bytes.writeUInt32LE(Number.parseInt(a, 16), 0);
  bytes.writeUInt16LE(Number.parseInt(b, 16), 4);
  bytes.writeUInt16LE(Number.parseInt(c, 16), 6);
  bytes.set(Buffer.from(d + e, "hex"), 8);
  return bytes;
}

export function cperRecord(recipe: CperRecipe): Uint8Array {
  const { data } = recipe;
  const bytes = Buffer.alloc(200 + data.length);
  bytes.write("CPER", 0, "latin1");
  bytes.writeUInt16LE(0x0100, 4);
  bytes.writeUInt32LE(0xffffffff, 6);
  bytes.writeUInt16LE(1, 10);
  bytes.writeUInt32LE(1, 12);
  bytes.writeUInt32LE(recipe.validation ?? 2, 16);
  bytes.writeUInt32LE(recipe.recordLength ?? 200 + data.length, 20);
  bytes.writeBigUInt64LE(recipe.seconds ?? 1_700_000_000n, 24);
  bytes.set(guid(recipe.creator ?? PSTORE), 64);
  bytes.set(guid("e8f56ffe-919c-4cc5-ba88-65abe14913bb"), 80);
  bytes.writeBigUInt64LE(recipe.id, 96);
  bytes.writeUInt32LE(2, 104);
  bytes.writeUInt32LE(200, 128);
  bytes.writeUInt32LE(recipe.sectionLength ?? data.length, 132);
  bytes.writeUInt16LE(0x0100, 136);
  bytes.writeUInt32LE(1, 140);
  bytes.set(guid(recipe.section ?? DMESG), 144);
  bytes.writeUInt32LE(1, 176);
  bytes.set(data, 200);
  return new Uint8Array(bytes);
}

export interface ErstStoreRecipe {
  /** 8192 by default. */
  readonly recordSize?: number;
  /** Slots of the whole file, those of the header's too. */
  readonly slots: number;
  /** Into the slots behind the header, in order; `cleared` ones keep their bytes. */
  readonly records: readonly { readonly bytes: Uint8Array; readonly id: bigint; readonly cleared?: boolean }[];
  readonly recordCount?: number;
}

export function erstStore({ recordSize = 8192, slots, records, recordCount }: ErstStoreRecipe): Uint8Array {
  const bytes = Buffer.alloc(recordSize * slots);
  const headerSlots = Math.ceil((24 + slots * 8) / recordSize);
  bytes.write("ERSTSTOR", 0, "latin1");
  bytes.writeUInt32LE(recordSize, 8);
  bytes.writeUInt32LE(headerSlots * recordSize, 12);
  bytes.writeUInt16LE(0x0100, 16);
  bytes.writeUInt32LE(recordCount ?? records.filter(({ cleared }) => cleared !== true).length, 20);
  for (const [i, { bytes: record, id, cleared }] of records.entries()) {
    const slot = headerSlots + i;
    bytes.fill(0xff, slot * recordSize, (slot + 1) * recordSize);
    bytes.set(record, slot * recordSize);
    if (cleared !== true) bytes.writeBigUInt64LE(id, 24 + slot * 8);
  }
  return new Uint8Array(bytes);
}
