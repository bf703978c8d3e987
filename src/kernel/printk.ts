import { asVaddr, decodeLatin1, DumpError, latin1, utf8, type Vaddr } from "../bytes/index.ts";
import { LazyBytes, type VirtualMemory } from "../memory/index.ts";
import type { Types } from "./types.ts";
import type { Vmcoreinfo } from "./vmcoreinfo.ts";

/** One record of the kernel log. */
export interface LogRecord {
  /** Sequence number; position in the log where the format keeps none. */
  readonly seq: number;
  /** Nanoseconds since boot (local clock). Undefined for the oldest format, whose lines may carry a printed time. */
  readonly timeNs: bigint | undefined;
  readonly facility: number;
  /** 0 emergency to 7 debug. */
  readonly level: number;
  /** Thread id, or CPU number with bit 31 set; undefined without CONFIG_PRINTK_CALLER. */
  readonly caller: number | undefined;
  /** Text without final newline; may hold newlines. Latin-1: one byte, one character. */
  readonly text: string;
}

/** The log with what was noticed while reading it. */
export interface KernelLog {
  readonly records: readonly LogRecord[];
  /** `ringbuffer` (5.10 on), `records` (3.5 to 5.9), `characters` (before). */
  readonly format: "ringbuffer" | "records" | "characters";
  /** Records that were reserved or reused while being read, or whose text was gone. */
  readonly lost: number;
}

/** What reading a log takes of a kernel: less than all, for who has only VMCOREINFO and memory. */
export interface LogSource {
  readonly memory: VirtualMemory;
  readonly vmcoreinfo: Vmcoreinfo;
  readonly types: Types;
  symbol(name: string): Vaddr | undefined;
  /** @throws NOT_STORED where there is none of that name. */
  requireSymbol(name: string): Vaddr;
}

const MAX_BUFFER = 256 * 1024 * 1024;

/** Reads the log in whichever of the three formats VMCOREINFO's symbols announce. @throws when none can be read. */
export function readLog(kernel: LogSource): KernelLog {
  if (kernel.symbol("prb") !== undefined) return readRingbuffer(kernel, kernel.requireSymbol("prb"));
  if (kernel.symbol("log_first_idx") !== undefined) return readRecords(kernel);
  if (kernel.symbol("log_buf") !== undefined) return readCharacters(kernel);
  throw new DumpError("NOT_STORED", "neither VMCOREINFO nor the symbols name the log: no prb, log_first_idx or log_buf");
}

/** OFFSET(path) of VMCOREINFO, else of BTF. */
function offsetOf(kernel: LogSource, struct: string, field: string, fallback?: number): number {
  const offset = kernel.vmcoreinfo.offset(`${struct}.${field}`) ?? kernel.types.find(struct, field)?.offset ?? fallback;
  if (offset === undefined)
    throw new DumpError("UNSUPPORTED", `the layout of struct ${struct} is not known: no ${field} in VMCOREINFO or BTF`);
  return offset;
}

function sizeOf(kernel: LogSource, struct: string): number {
  const size = kernel.vmcoreinfo.size(struct) ?? kernel.types.sizeOf(struct);
  if (size === undefined || size === 0 || size > 65536) throw new DumpError("UNSUPPORTED", `the size of struct ${struct} is not known`);
  return size;
}

/** Top two bits of a descriptor's state word (linux:kernel/printk/printk_ringbuffer.h:enum desc_state). */
const DESC_COMMITTED = 1;
const DESC_FINALIZED = 2;
const DESC_REUSABLE = 3;
/** Bit 0 of a logical position: no data block. All bits but it set in one, or both 1, says which kind. */
const BLK_DATALESS = 1n;

/**
 * The lockless ring buffer of 5.10 and later (linux:kernel/printk/printk_ringbuffer.c; formats.md 7.3). Descriptors are
 * read from tail to head; one that is being written (reserved) or was reused is skipped and counted.
 */
function readRingbuffer(kernel: LogSource, prbVariable: Vaddr): KernelLog {
  const { memory } = kernel;
  const prb = memory.pointer(prbVariable);
  const descRing = prb + BigInt(offsetOf(kernel, "printk_ringbuffer", "desc_ring"));
  const dataRing = prb + BigInt(offsetOf(kernel, "printk_ringbuffer", "text_data_ring"));
  const at = (base: bigint, struct: string, field: string): Vaddr => asVaddr(base + BigInt(offsetOf(kernel, struct, field)));

  const countBits = memory.u32(at(descRing, "prb_desc_ring", "count_bits"));
  const sizeBits = memory.u32(at(dataRing, "prb_data_ring", "size_bits"));
  if (countBits > 24 || 2 ** sizeBits > MAX_BUFFER)
    throw new DumpError("CORRUPT", `the log has 2^${countBits} descriptors and 2^${sizeBits} bytes`);
  const count = 2 ** countBits;
  const size = 2 ** sizeBits;
  const descSize = sizeOf(kernel, "prb_desc");
  const infoSize = sizeOf(kernel, "printk_info");
  const descs = LazyBytes.ofMemory(memory, memory.pointer(at(descRing, "prb_desc_ring", "descs")), count * descSize);
  const infos = LazyBytes.ofMemory(memory, memory.pointer(at(descRing, "prb_desc_ring", "infos")), count * infoSize);
  const data = LazyBytes.ofMemory(memory, memory.pointer(at(dataRing, "prb_data_ring", "data")), size);
  // atomic_long_t has one member, counter, at 0.
  const headId = memory.u64(at(descRing, "prb_desc_ring", "head_id"));
  const tailId = memory.u64(at(descRing, "prb_desc_ring", "tail_id"));

  const stateAt = offsetOf(kernel, "prb_desc", "state_var");
  const blockAt = offsetOf(kernel, "prb_desc", "text_blk_lpos");
  const beginAt = blockAt + offsetOf(kernel, "prb_data_blk_lpos", "begin");
  const nextAt = blockAt + offsetOf(kernel, "prb_data_blk_lpos", "next");
  const seqAt = offsetOf(kernel, "printk_info", "seq");
  const timeAt = offsetOf(kernel, "printk_info", "ts_nsec");
  const lengthAt = offsetOf(kernel, "printk_info", "text_len");
  const callerAt = offsetOf(kernel, "printk_info", "caller_id");
  // A byte of facility and one of flags:5, level:3 follow text_len in every kernel with this log
  // (linux:kernel/printk/printk_ringbuffer.h:struct printk_info); VMCOREINFO names neither.
  const facilityAt = lengthAt + 2;
  const levelAt = facilityAt + 1;

  const records: LogRecord[] = [];
  let lost = 0;
  const idMask = (1n << 62n) - 1n;
  const span = Number((headId - tailId) & idMask) + 1;
  const total = Math.min(span, count);
  for (let i = 0; i < total; i++) {
    const id = (tailId + BigInt(i)) & idMask;
    const index = Number(id & BigInt(count - 1));
    const state = descs.u64(index * descSize + stateAt);
    const kind = Number(state >> 62n);
    if ((state & idMask) !== id || (kind !== DESC_COMMITTED && kind !== DESC_FINALIZED)) {
      // A reusable one was read or thrown away before; the first of an unwrapped log is a placeholder of that kind.
      if (kind !== DESC_REUSABLE) lost++;
      continue;
    }
    const text = textOf(
      data,
      size,
      descs.u64(index * descSize + beginAt),
      descs.u64(index * descSize + nextAt),
      infos.u16(index * infoSize + lengthAt),
      id,
    );
    if (text === undefined) lost++;
    const caller = infos.u32(index * infoSize + callerAt);
    records.push({
      seq: Number(infos.u64(index * infoSize + seqAt)),
      timeNs: infos.u64(index * infoSize + timeAt),
      facility: infos.u8(index * infoSize + facilityAt),
      level: infos.u8(index * infoSize + levelAt) >> 5,
      caller: caller === 0 ? undefined : caller,
      text: text ?? "",
    });
  }
  return { records, format: "ringbuffer", lost };
}

/** The text of a block, "" for an empty line, undefined when its text was never stored or is gone. */
function textOf(data: LazyBytes, size: number, begin: bigint, next: bigint, length: number, id: bigint): string | undefined {
  if (begin & BLK_DATALESS && next & BLK_DATALESS) return begin === 3n && next === 3n ? "" : begin === 1n ? undefined : "";
  const mask = BigInt(size - 1);
  let start = Number(begin & mask);
  let end = Number(next & mask);
  if (begin >> BigInt(Math.log2(size)) !== next >> BigInt(Math.log2(size))) {
    // Wrapped. From 7.0 on a block that fits exactly to the end stays there and `next` is the start of the next lap.
    if (end === 0) end = size;
    else start = 0;
  }
  if (end < start + 8 || end > size || data.u64(start) !== id) return undefined;
  const room = Math.min(length, end - start - 8);
  data.ensure(start + 8, start + 8 + room);
  return decodeLatin1(data.bytes.subarray(start + 8, start + 8 + room));
}

function joined(a: Uint8Array, b: Uint8Array): Uint8Array {
  const all = new Uint8Array(a.length + b.length);
  all.set(a);
  all.set(b, a.length);
  return all;
}

/** Records of variable length (3.5 to 5.9; linux:kernel/printk/printk.c:struct printk_log; formats.md 7.2). */
function readRecords(kernel: LogSource): KernelLog {
  const { memory } = kernel;
  const length = memory.u32(kernel.requireSymbol("log_buf_len"));
  if (length > MAX_BUFFER) throw new DumpError("CORRUPT", `log_buf_len is ${length}, the limit is ${MAX_BUFFER}`);
  const buffer = LazyBytes.ofMemory(memory, memory.pointer(kernel.requireSymbol("log_buf")), length);
  // The struct was called log in 3.5 to 3.10.
  const struct = kernel.vmcoreinfo.size("printk_log") !== undefined || kernel.vmcoreinfo.size("log") === undefined ? "printk_log" : "log";
  const header = sizeOf(kernel, struct);
  const timeAt = offsetOf(kernel, struct, "ts_nsec", 0);
  const lenAt = offsetOf(kernel, struct, "len", 8);
  const textLenAt = offsetOf(kernel, struct, "text_len", 10);
  const callerAt = kernel.types.find(struct, "caller_id")?.offset ?? (header >= 20 ? 16 : undefined);
  const records: LogRecord[] = [];
  const end = memory.u32(kernel.requireSymbol("log_next_idx"));
  let at = memory.u32(kernel.requireSymbol("log_first_idx"));
  let visited = 0;
  let seq = 0;
  while (at !== end && visited <= length) {
    if (at + header > length) break;
    const len = buffer.u16(at + lenAt);
    if (len === 0) {
      visited += length - at;
      at = 0;
      continue;
    }
    if (len < header || at + len > length) break;
    const textLen = Math.min(buffer.u16(at + textLenAt), len - header);
    buffer.ensure(at, at + len);
    const caller = callerAt === undefined ? 0 : buffer.u32(at + callerAt);
    records.push({
      seq: seq++,
      timeNs: buffer.u64(at + timeAt),
      facility: buffer.u8(at + textLenAt + 4),
      level: buffer.u8(at + textLenAt + 5) >> 5,
      caller: caller === 0 ? undefined : caller,
      text: decodeLatin1(buffer.bytes.subarray(at + header, at + header + textLen)),
    });
    visited += len;
    at += len;
  }
  return { records, format: "records", lost: at === end ? 0 : 1 };
}

/** The character ring of 2.4 to 3.4 (formats.md 7.1): lines `<level>text`. */
function readCharacters(kernel: LogSource): KernelLog {
  const { memory } = kernel;
  const length = memory.u32(kernel.requireSymbol("log_buf_len"));
  if (length > MAX_BUFFER || length === 0) throw new DumpError("CORRUPT", `log_buf_len is ${length}, the limit is ${MAX_BUFFER}`);
  const end = memory.u32(kernel.requireSymbol("log_end"));
  const chars = kernel.symbol("logged_chars");
  const logged = Math.min(length, chars === undefined ? end : memory.u32(chars));
  const bytes = memory.bytes(memory.pointer(kernel.requireSymbol("log_buf")), length);
  const start = (((end - logged) % length) + length) % length;
  const text = latin1(joined(bytes.subarray(start), bytes.subarray(0, start)).subarray(0, logged));
  const records: LogRecord[] = [];
  for (const line of text.split("\n")) {
    const match = /^<(\d{1,3})>/.exec(line);
    const value = match ? Number(match[1]) : 4;
    if (line !== "")
      records.push({
        seq: records.length,
        timeNs: undefined,
        facility: value >> 3,
        level: value & 7,
        caller: undefined,
        text: match ? line.slice(match[0].length) : line,
      });
  }
  return { records, format: "characters", lost: 0 };
}

/**
 * `[    1.234567] `, as dmesg prints it; "" without a time. Callers are left out, as crash and drgn do: the kernel
 * records them always and prints them only with CONFIG_PRINTK_CALLER, which memory does not tell.
 */
export function logPrefix(record: LogRecord): string {
  if (record.timeNs === undefined) return "";
  const seconds = record.timeNs / 1_000_000_000n;
  const micros = (record.timeNs % 1_000_000_000n) / 1000n;
  return `[${String(seconds).padStart(5)}.${String(micros).padStart(6, "0")}] `;
}

/**
 * The whole log, a prefix in front of each record and a newline behind it. A record of several lines has one prefix,
 * as in drgn's get_dmesg and in what kdump saves as vmcore-dmesg.txt. Decoded as UTF-8.
 */
export function logText(log: KernelLog): string {
  return utf8(log.records.map((record) => `${logPrefix(record)}${record.text}\n`).join(""));
}
