import { parseFields } from "./event-format.ts";

/*
 * A page of the kernel's trace ring buffer, as a read of `per_cpu/cpuN/trace_pipe_raw` gives it
 * (linux:kernel/trace/ring_buffer.c:struct buffer_data_page, linux:include/linux/ring_buffer.h:enum ring_buffer_type).
 * Where the header's fields lie is told by `events/header_page`; on a 64-bit kernel:
 *
 *   0    u64 timestamp   what the first event's delta counts from
 *   8    u64 commit      bytes of data; bit 31: events were overwritten before this page; bit 30: their number is stored
 *                        behind the data, as wide as commit is (linux:kernel/trace/ring_buffer.c:ring_buffer_read_page)
 *   16   events, each aligned to 4 bytes
 *
 * An event begins with a u32: type_len in its low 5 bits, time_delta in the other 27. Every event's delta adds to the time.
 *
 *   type_len 1..28   type_len words of data
 *   0                a u32, then data: the u32 counts itself and the data
 *   29 padding       delta 0: nothing more on this page; else a discarded event, and a u32 counts itself and what it skips
 *   30 time extend   a u32 with bits 27 to 58 of the delta
 *   31 time stamp    the same, absolute; the 5 bits above are still those of the time before (rb_fix_abs_ts)
 *
 * All of it is little-endian: the recorder runs on the machine whose events it reads, and that is x86-64 or arm64.
 */

/** Where a page's parts lie. */
export interface PageFormat {
  readonly timestampOffset: number;
  readonly commitOffset: number;
  /** 8, or 4 on a 32-bit kernel. */
  readonly commitSize: number;
  readonly dataOffset: number;
  /** Bytes of the whole page: what one read gives. */
  readonly pageSize: number;
}

/** What {@link parseTracePage} says of a page beside its events. */
export interface PageResult {
  /** Events overwritten before this page's first; undefined when there were some and nobody counted them. */
  readonly lost: number | undefined;
  /** Why the rest of the page could not be read; undefined for a sound page. */
  readonly problem: string | undefined;
}

/**
 * Is called with each event: its time in the trace clock's unit (of most clocks nanoseconds), and where its data lie in the page.
 * The time is two u32 halves, because a double is exact for 104 days of nanoseconds only, and machines run longer than that.
 */
export type OnTraceEvent = (timeHigh: number, timeLow: number, offset: number, length: number) => void;

const DATA_MAX = 28;
const PADDING = 29;
const TIME_EXTEND = 30;
const TIME_STAMP = 31;
const MISSED_EVENTS = 0x80000000;
const MISSED_STORED = 0x40000000;
/** The flags are above, and so is what a later kernel may add. */
const COMMIT_MASK = 0x07ffffff;
/** Above the 59 bits of an absolute time, in the high half. */
const STAMP_MSB = 0xf8000000;

const SOUND: PageResult = { lost: 0, problem: undefined };

/**
 * Parses `events/header_page` and `events/header_event`. Undefined where they do not describe the pages this file reads.
 * Take them from the instance: since 6.8 each has pages of its own size (linux:kernel/trace/trace.c:buffer_subbuf_size_write).
 */
export function parsePageFormat(headerPage: string, headerEvent: string): PageFormat | undefined {
  const fields = parseFields(headerPage);
  const timestamp = fields.get("timestamp");
  const commit = fields.get("commit");
  const data = fields.get("data");
  if (timestamp?.size !== 8 || commit === undefined || data === undefined) return undefined;
  if (commit.size !== 8 && commit.size !== 4) return undefined;
  const fixed: readonly [pattern: RegExp, value: number][] = [
    [/^\s*type_len\s*:\s*(\d+) bits$/m, 5],
    [/^\s*time_delta\s*:\s*(\d+) bits$/m, 27],
    [/^\s*padding\s*: type == (\d+)$/m, PADDING],
    [/^\s*time_extend\s*: type == (\d+)$/m, TIME_EXTEND],
    [/^\s*data max type_len\s*== (\d+)$/m, DATA_MAX],
  ];
  if (fixed.some(([pattern, value]) => Number(pattern.exec(headerEvent)?.[1]) !== value)) return undefined;
  const dataOffset = data.offset;
  if (timestamp.offset + 8 > dataOffset || commit.offset + commit.size > dataOffset || data.size > COMMIT_MASK) return undefined;
  return {
    timestampOffset: timestamp.offset,
    commitOffset: commit.offset,
    commitSize: commit.size,
    dataOffset,
    pageSize: dataOffset + data.size,
  };
}

/**
 * Calls `onEvent` with each event of a page in their order. Nothing is thrown for whatever the bytes are: what is wrong ends
 * the page and is told. Nothing is allocated per event.
 */
export function parseTracePage(page: Uint8Array, format: PageFormat, onEvent: OnTraceEvent): PageResult {
  if (page.length < format.dataOffset) return { lost: 0, problem: `a trace page of ${page.length} bytes` };
  const view = new DataView(page.buffer, page.byteOffset, page.byteLength);
  let low = view.getUint32(format.timestampOffset, true);
  let high = view.getUint32(format.timestampOffset + 4, true);
  // Of a commit of 8 bytes the high half is the sign of bit 31 on some kernels and 0 on others.
  const commit = view.getUint32(format.commitOffset, true);
  const length = commit & COMMIT_MASK;
  const end = format.dataOffset + length;
  const missed = (commit & MISSED_EVENTS) !== 0;
  if (end > page.length) {
    return {
      lost: missed ? undefined : 0,
      problem: `a trace page says it has ${length} bytes of data, ${page.length - format.dataOffset} are there`,
    };
  }
  let lost: number | undefined = 0;
  if (missed) lost = (commit & MISSED_STORED) !== 0 ? readCount(view, end, format.commitSize) : undefined;
  let at = format.dataOffset;
  while (at < end) {
    if (end - at < 4) return { lost, problem: `a trace page ends within an event's header, at byte ${at}` };
    const header = view.getUint32(at, true);
    const type = header & 0x1f;
    const delta = header >>> 5;
    // Deleted by its writer, or the rest of the page, or anything whose length or time is in the next word.
    const needsWord = type === 0 || type > DATA_MAX;
    if (type === PADDING && delta === 0) break;
    if (needsWord && end - at < 8) return { lost, problem: `a trace page ends within an event's header, at byte ${at}` };
    const word = needsWord ? view.getUint32(at + 4, true) : 0;
    if (type === TIME_STAMP) {
      high = ((high & STAMP_MSB) | (word >>> 5)) >>> 0;
      low = ((word << 27) | delta) >>> 0;
      at += 8;
      continue;
    }
    low += type === TIME_EXTEND ? ((word << 27) | delta) >>> 0 : delta;
    if (type === TIME_EXTEND) high += word >>> 5;
    if (low > 0xffffffff) high++;
    low >>>= 0;
    high >>>= 0;
    if (type === TIME_EXTEND) {
      at += 8;
      continue;
    }
    // The word counts itself. What a kernel reserves is aligned, and where the length is not, the next event still is.
    const size = needsWord ? word : type * 4;
    const step = 4 + Math.ceil(size / 4) * 4;
    if (needsWord && size < 4) return { lost, problem: `an event of ${size} bytes in a trace page, at byte ${at}` };
    if (step > end - at) return { lost, problem: `an event of ${size} bytes goes beyond a trace page's data, at byte ${at}` };
    if (type !== PADDING) {
      const skip = needsWord ? 4 : 0;
      onEvent(high, low, at + 4 + skip, size - skip);
    }
    at += step;
  }
  return lost === 0 ? SOUND : { lost, problem: undefined };
}

/** The number behind the data; undefined where it is not whole. */
function readCount(view: DataView, at: number, size: number): number | undefined {
  if (at + size > view.byteLength) return undefined;
  const low = view.getUint32(at, true);
  return size === 8 ? view.getUint32(at + 4, true) * 2 ** 32 + low : low;
}
