/*
 * Error records as pstore keeps them in the platform's ERST: little-endian, packed (linux:include/linux/cper.h:struct
 * cper_record_header, struct cper_section_descriptor; linux:drivers/acpi/apei/erst.c:struct cper_pstore_record).
 *
 *   0    char signature[4]   "CPER"
 *   4    u16 revision        0x0100
 *   6    u32 signature_end   all ones
 *   10   u16 section_count   1
 *   12   u32 error_severity
 *   16   u32 validation_bits bit 1: the timestamp is valid
 *   20   u32 record_length   of all of it
 *   24   u64 timestamp       seconds since 1970 (the specification's BCD is not what Linux writes)
 *   32   guid platform_id, 48 guid partition_id
 *   64   guid creator_id     who wrote it
 *   80   guid notification_type
 *   96   u64 record_id       the file's number
 *   104  u32 flags, 108 u64 persistence_information, 116 reserved
 *   128  section descriptor: u32 section_offset, u32 section_length, ... 144 guid section_type, to 200
 *   200  the data
 */
export const CPER_SIG: readonly number[] = [0x43, 0x50, 0x45, 0x52];
export const CPER_SIG_END: number = 0xffff_ffff;
export const SIGNATURE_END: number = 6;
export const SECTION_COUNT: number = 10;
export const VALIDATION_BITS: number = 16;
export const RECORD_LENGTH: number = 20;
export const TIMESTAMP: number = 24;
export const CREATOR_ID: number = 64;
export const RECORD_ID: number = 96;
export const SECTION_OFFSET: number = 128;
export const SECTION_LENGTH: number = 132;
export const SECTION_TYPE: number = 144;

/** Bytes of a record's header alone: no record of anybody is shorter. */
export const CPER_HEADER_SIZE: number = 128;
/** Bytes of a pstore record before its data. */
export const DATA_OFFSET: number = 200;
/** In `validation_bits` (linux:include/linux/cper.h). */
export const CPER_VALID_TIMESTAMP: number = 2;
/** ERST ranges are a few pages; more is damage. */
export const MAX_RECORD: number = 1024 * 1024;

/** GUIDs as the kernel's source spells them. */
export const CPER_CREATOR_PSTORE: string = "75a574e3-5052-4b29-8a8e-be2c6490b89d";
export const CPER_SECTION_TYPE_DMESG: string = "c197e04e-d545-4a70-9c17-a5549419eb12";
export const CPER_SECTION_TYPE_DMESG_Z: string = "4f118707-04dd-4055-b5dd-956d34ddfac6";
export const CPER_SECTION_TYPE_MCE: string = "fe08ffbe-95e4-4be7-bc73-4096044a38fc";

/*
 * File behind QEMU's ERST device (qemu:hw/acpi/erst.c:ERSTStorageHeader), little-endian. It consists of slots of `record_size`
 * bytes; the header and its map take the first ones, and slot i holds the record whose id is `map[i]`, or nothing that counts
 * where that is 0: clearing a record leaves its bytes.
 *
 *   0    u64 magic           "ERSTSTOR"
 *   8    u32 record_size     a power of two, 4096 at least
 *   12   u32 storage_offset  of the first slot for records
 *   16   u16 version         0x0100
 *   18   u16 reserved        0
 *   20   u32 record_count
 *   24   u64 map[]           an id a slot, those of the header's too
 */
export const ERST_STORE_MAGIC: string = "ERSTSTOR";
export const STORE_RECORD_SIZE: number = 8;
export const STORE_STORAGE_OFFSET: number = 12;
export const STORE_VERSION: number = 16;
export const STORE_RECORD_COUNT: number = 20;
export const STORE_MAP: number = 24;
/** The one version there is. */
export const ERST_STORE_VERSION: number = 0x0100;

/** A GUID of 16 bytes in the usual words: its first three groups lie little-endian. */
export function formatGuid(bytes: Uint8Array): string {
  const hex = (from: number, to: number): string => {
    let text = "";
    const step = from < to ? 1 : -1;
    for (let i = from; i !== to; i += step) text += (bytes[i] ?? 0).toString(16).padStart(2, "0");
    return text;
  };
  return `${hex(3, -1)}-${hex(5, 3)}-${hex(7, 5)}-${hex(8, 10)}-${hex(10, 16)}`;
}
