/*
 * Function trace records (linux:fs/pstore/ftrace.c, linux:fs/pstore/internal.h:struct pstore_ftrace_record) as 64-bit
 * kernels since 4.10 write them, 24 bytes in the machine's byte order:
 *
 *   0   u64 ip          function that was called
 *   8   u64 parent_ip   where from
 *   16  u64 ts          low 8 bits the CPU, above them a counter (not a clock)
 */

/** Bytes of a record of a 64-bit kernel. */
export const FTRACE_RECORD_SIZE = 24;

/**
 * Puts the records of several logs (one per CPU) in the order of their counters, as linux:fs/pstore/ftrace.c:pstore_ftrace_combine_log
 * does pair by pair. A log that wrapped may begin inside a record: what does not make a whole one is skipped at its beginning.
 */
export function mergeFtraceLogs(logs: readonly Uint8Array[], littleEndian: boolean): Uint8Array {
  const records: { readonly bytes: Uint8Array; readonly high: number; readonly low: number }[] = [];
  for (const log of logs) {
    const view = new DataView(log.buffer, log.byteOffset, log.byteLength);
    for (let at = log.length % FTRACE_RECORD_SIZE; at < log.length; at += FTRACE_RECORD_SIZE) {
      const high = view.getUint32(at + (littleEndian ? 20 : 16), littleEndian);
      const low = view.getUint32(at + (littleEndian ? 16 : 20), littleEndian);
      records.push({ bytes: log.subarray(at, at + FTRACE_RECORD_SIZE), high, low: low >>> 8 });
    }
  }
  // The sort is stable: records of one counter stay in the order of their CPUs.
  records.sort((a, b) => a.high - b.high || a.low - b.low);
  const merged = new Uint8Array(records.length * FTRACE_RECORD_SIZE);
  for (const [i, record] of records.entries()) merged.set(record.bytes, i * FTRACE_RECORD_SIZE);
  return merged;
}

/**
 * The records as text, one a line as the kernel's file system prints them (linux:fs/pstore/inode.c:pstore_ftrace_seq_show).
 *
 * @param nameOf symbol and offset of an address, where a kernel is at hand; without one the addresses stand alone.
 */
export function formatFtrace(content: Uint8Array, littleEndian: boolean, nameOf?: (address: bigint) => string | undefined): string {
  const view = new DataView(content.buffer, content.byteOffset, content.byteLength);
  const name = (address: bigint): string => nameOf?.(address) ?? `0x${hex(address)}`;
  let text = "";
  for (let at = content.length % FTRACE_RECORD_SIZE; at < content.length; at += FTRACE_RECORD_SIZE) {
    const ip = view.getBigUint64(at, littleEndian);
    const parent = view.getBigUint64(at + 8, littleEndian);
    const ts = view.getBigUint64(at + 16, littleEndian);
    text += `CPU:${ts & 0xffn} ts:${ts >> 8n} ${hex(ip)}  ${hex(parent)}  ${name(ip)} <- ${name(parent)}\n`;
  }
  return text;
}

function hex(address: bigint): string {
  return address.toString(16).padStart(16, "0");
}
