/**
 * The flattened stream of `makedumpfile -F` and of QEMU's kdump output. All integers are big-endian whatever the machine
 * (makedumpfile:makedumpfile.h:struct makedumpfile_header, struct makedumpfile_data_header).
 */
export const MAKEDUMPFILE_SIGNATURE = "makedumpfile\0\0\0\0";
export const TYPE_FLAT_HEADER = 1;
export const VERSION_FLAT_HEADER = 1;
/** The header with its padding. */
export const MAX_SIZE_MDF_HEADER = 4096;
/** Header of one segment: offset s64, size s64. */
export const DATA_HEADER_SIZE = 16;
/** Offset and size of the end marker. */
export const END_FLAG_FLAT_HEADER = -1n;
