/*
 * Page kernels: AssemblyScript, compiled by tools/build-kernels.ts to ../page.wasm, called through ../kernels.ts.
 * Outside of tsc (usize, load and store are not TypeScript's); no top-level decorators, so that the file lints and formats.
 *
 * Everything is an offset in one imported memory. No globals, no static data, no heap: any number of instances may work
 * on a shared memory as long as their regions differ. What a caller hands in is checked by ../kernels.ts; what a
 * decompressor reads from its input is checked here.
 *
 * SLACK: copies go 16 bytes at a time and may run up to 15 bytes past the end of what they copy, in reading and in
 * writing. So 16 bytes after every region that is copied from or to must belong to it.
 */

import { zlibPage } from "./deflate";
import { matchEnd, matchEndExact } from "./match";

export { classify, clearBits } from "./classify";

/** In `flags`: the page is all zero. `zeroPages` sets it; the compressors skip such a page. */
const ZERO: u8 = 1;
/** In `flags`: the page did not shrink and is stored as it is. The compressors set it. */
const RAW: u8 = 2;

/** Input and output of a decompressor are at most this long, bytes. 255 times that fits 32 bits, so no length overflows. */
const MAX_BLOCK: usize = 0x100_0000;

/** The farthest match that an LZO1X stream can express, bytes. */
const LZO_MAX_DISTANCE: usize = 0xbfff;

/**
 * Looks for all-zero pages.
 *
 * @param src `n` pages of `pageSize` bytes, a multiple of 64.
 * @param flags `n` bytes: set to ZERO or 0.
 * @returns the number of zero pages.
 */
export function zeroPages(src: usize, n: u32, pageSize: usize, flags: usize): u32 {
  let zeros: u32 = 0;
  for (let p: u32 = 0; p < n; p++) {
    let flag: u8 = ZERO;
    const end = src + pageSize;
    for (let at = src; at < end; at += 64) {
      const bits = v128.or(v128.or(v128.load(at), v128.load(at, 16)), v128.or(v128.load(at, 32), v128.load(at, 48)));
      if (v128.any_true(bits)) {
        flag = 0;
        break;
      }
    }
    store<u8>(flags + p, flag);
    zeros += flag;
    src = end;
  }
  return zeros;
}

/** Copies `n` bytes in pieces of 16, at least one piece: runs over by up to 16 bytes for `n` = 0, else by up to 15. */
function copyLiterals(dst: usize, src: usize, n: usize): void {
  let i: usize = 0;
  do {
    v128.store(dst + i, v128.load(src + i));
    i += 16;
  } while (i < n);
}

/** Copies `n` > 0 bytes from `distance` > 0 bytes back, repeating where they overlap. Runs over by up to 15 bytes. */
function copyMatch(dst: usize, distance: usize, n: usize): void {
  const src = dst - distance;
  let i: usize = 0;
  if (distance >= 16) {
    do {
      v128.store(dst + i, v128.load(src + i));
      i += 16;
    } while (i < n);
  } else if (distance >= 8) {
    do {
      store<u64>(dst + i, load<u64>(src + i));
      i += 8;
    } while (i < n);
  } else if (n <= 16) {
    for (; i < n; i++) store<u8>(dst + i, load<u8>(src + i));
  } else if (distance == 1) {
    const fill = i8x16.splat(load<u8>(src));
    do {
      v128.store(dst + i, fill);
      i += 16;
    } while (i < n);
  } else {
    // The smallest multiple of the period that is 8 or more is a period, too, once 8 bytes are there.
    for (; i < 8; i++) store<u8>(dst + i, load<u8>(src + i));
    const period = distance * (7 / distance + 1);
    do {
      store<u64>(dst + i, load<u64>(dst + i - period));
      i += 8;
    } while (i < n);
  }
}

/**
 * Bits of the hash tables, by page size: 12 for 4 KiB, 13 for 8 KiB, 14 above. An entry is the u16 offset of a
 * position in its page; a table of zeros is empty enough, as a candidate is compared before it is believed.
 */
function hashBits(pageSize: usize): u32 {
  return pageSize >= 0x4000 ? 14 : pageSize >= 0x2000 ? 13 : 12;
}

/** The table slot of four bytes; `shift` is 32 less the bits of the table. */
function slotOf(table: usize, four: u32, shift: u32): usize {
  return table + ((<usize>((four * 2654435761) >>> shift)) << 1);
}

/**
 * Whether the next sequence may not fit into what a raw page takes: then the page is stored raw. Counts headers
 * generously (a byte per 128 and 16), so a page that would shrink by less than that may be stored raw. Without it,
 * `op` stays at or before `outEnd`.
 */
function tooLong(op: usize, outEnd: usize, literals: usize, match: usize): bool {
  return literals + ((literals + match) >> 7) + 16 > outEnd - op;
}

// ---- LZO1X; the stream is described in ../../lzo.ts ----

/** Writes what does not fit an instruction's length, `rest` > 0: a zero byte for every 255, then 1 to 255. */
function lzoLength(op: usize, rest: usize): usize {
  while (rest > 255) {
    store<u8>(op++, 0);
    rest -= 255;
  }
  store<u8>(op++, <u8>rest);
  return op;
}

/** The instruction for `t` > 0 literals, without them. */
function lzoLiterals(op: usize, dst: usize, t: usize): usize {
  if (op == dst && t <= 238) store<u8>(op++, <u8>(17 + t));
  else if (t <= 3) store<u8>(op - 2, load<u8>(op - 2) | <u8>t);
  else if (t <= 18) store<u8>(op++, <u8>(t - 3));
  else {
    store<u8>(op++, 0);
    op = lzoLength(op, t - 18);
  }
  return op;
}

/** One page; 0 when it does not shrink. Writes at most `len` + 16 bytes. */
function lzoPage(src: usize, len: usize, dst: usize, table: usize): usize {
  const bits = hashBits(len);
  const shift = 32 - bits;
  memory.fill(table, 0, 2 << bits);
  const end = src + len;
  const limit = end - 20;
  const outEnd = dst + len;
  // Not from the first byte: a stream never begins with fewer than four literals.
  let ip = src + 4;
  let anchor = src;
  let op = dst;
  let miss: u32 = 16;
  while (ip < limit) {
    const four = load<u32>(ip);
    const slot = slotOf(table, four, shift);
    // An empty slot is position 0, which is an earlier one indeed.
    const ref = src + <usize>load<u16>(slot);
    store<u16>(slot, <u16>(ip - src));
    if (load<u32>(ref) != four || ip - ref > LZO_MAX_DISTANCE) {
      ip += <usize>(miss++ >> 4);
      continue;
    }
    miss = 16;
    const m = matchEnd(ip + 4, ref + 4, limit);
    let length = m - ip;
    const t = ip - anchor;
    if (tooLong(op, outEnd, t, length)) return 0;
    if (t) {
      op = lzoLiterals(op, dst, t);
      copyLiterals(op, anchor, t);
      op += t;
    }
    let distance = ip - ref;
    if (length <= 8 && distance <= 0x800) {
      distance--;
      store<u8>(op++, <u8>(((length - 1) << 5) | ((distance & 7) << 2)));
      store<u8>(op++, <u8>(distance >> 3));
    } else {
      if (distance <= 0x4000) {
        distance--;
        if (length <= 33) store<u8>(op++, <u8>(32 | (length - 2)));
        else {
          store<u8>(op++, 32);
          op = lzoLength(op, length - 33);
        }
      } else {
        distance -= 0x4000;
        const high = (distance >> 11) & 8;
        if (length <= 9) store<u8>(op++, <u8>(16 | high | (length - 2)));
        else {
          store<u8>(op++, <u8>(16 | high));
          op = lzoLength(op, length - 9);
        }
      }
      store<u16>(op, <u16>(distance << 2));
      op += 2;
    }
    ip = m;
    anchor = m;
  }
  const t = end - anchor;
  if (tooLong(op, outEnd, t, 0)) return 0;
  op = lzoLiterals(op, dst, t);
  memory.copy(op, anchor, t);
  op += t;
  store<u16>(op, 17);
  store<u8>(op + 2, 0);
  return op + 3 - dst;
}

/**
 * Decompresses one LZO1X stream, all of it.
 *
 * @returns bytes written, at most `cap`; -1 for a malformed stream, with up to `cap` + 16 bytes written by then.
 */
export function lzoDecompress(src: usize, len: usize, dst: usize, cap: usize): i32 {
  if (len < 3 || len > MAX_BLOCK || cap > MAX_BLOCK) return -1;
  const end = src + len;
  const outEnd = dst + cap;
  let ip = src;
  let op = dst;
  let state: u32 = 0;
  const first = <usize>load<u8>(ip);
  if (first > 17) {
    const run = first - 17;
    ip++;
    if (run > end - ip || run > cap) return -1;
    copyLiterals(op, ip, run);
    op += run;
    ip += run;
    state = run < 4 ? <u32>run : 4;
  }
  while (true) {
    // An instruction that is not the last is followed by three bytes at least, the end mark.
    if (end - ip < 3) return -1;
    const t = <usize>load<u8>(ip++);
    let length: usize;
    let distance: usize;
    if (t >= 64) {
      length = (t >> 5) + 1;
      distance = 1 + ((t >> 2) & 7) + ((<usize>load<u8>(ip++)) << 3);
      state = <u32>t & 3;
    } else if (t >= 16) {
      const mask: usize = t >= 32 ? 31 : 7;
      length = t & mask;
      if (length == 0) {
        let byte = <usize>load<u8>(ip++);
        while (byte == 0) {
          length += 255;
          if (ip >= end) return -1;
          byte = <usize>load<u8>(ip++);
        }
        length += mask + byte;
        if (end - ip < 2) return -1;
      }
      length += 2;
      const word = <usize>load<u16>(ip);
      ip += 2;
      distance = word >> 2;
      state = <u32>word & 3;
      if (t >= 32) distance += 1;
      else {
        distance += (t & 8) << 11;
        if (distance == 0) return length == 3 && state == 0 && ip == end ? <i32>(op - dst) : -1;
        distance += 0x4000;
      }
    } else if (state == 0) {
      let run = t;
      if (run == 0) {
        let byte = <usize>load<u8>(ip++);
        while (byte == 0) {
          run += 255;
          if (ip >= end) return -1;
          byte = <usize>load<u8>(ip++);
        }
        run += 15 + byte;
      }
      run += 3;
      if (run > end - ip || run > outEnd - op) return -1;
      copyLiterals(op, ip, run);
      op += run;
      ip += run;
      state = 4;
      continue;
    } else {
      distance = 1 + (t >> 2) + ((<usize>load<u8>(ip++)) << 2);
      length = 2;
      if (state == 4) {
        distance += 0x800;
        length = 3;
      }
      state = <u32>t & 3;
    }
    if (distance > op - dst || length > outEnd - op) return -1;
    copyMatch(op, distance, length);
    op += length;
    if (state) {
      if (<usize>state > end - ip || <usize>state > outEnd - op) return -1;
      store<u32>(op, load<u32>(ip));
      op += <usize>state;
      ip += <usize>state;
    }
  }
}

// ---- Snappy raw block; described in ../../snappy.ts ----

/** An element of `n` > 0 literals, without them. */
function snappyLiterals(op: usize, n: usize): usize {
  const rest = n - 1;
  if (rest < 60) store<u8>(op++, <u8>(rest << 2));
  else if (rest < 256) {
    store<u8>(op, 60 << 2);
    store<u8>(op + 1, <u8>rest);
    op += 2;
  } else {
    store<u8>(op, 61 << 2);
    store<u16>(op + 1, <u16>rest);
    op += 3;
  }
  return op;
}

/** The elements of one match of `length` >= 4. */
function snappyMatch(op: usize, distance: usize, length: usize): usize {
  while (length >= 68) {
    store<u8>(op, (63 << 2) | 2);
    store<u16>(op + 1, <u16>distance);
    op += 3;
    length -= 64;
  }
  if (length > 64) {
    store<u8>(op, (59 << 2) | 2);
    store<u16>(op + 1, <u16>distance);
    op += 3;
    length -= 60;
  }
  if (length < 12 && distance < 2048) {
    store<u8>(op, <u8>(1 | ((length - 4) << 2) | ((distance >> 8) << 5)));
    store<u8>(op + 1, <u8>distance);
    return op + 2;
  }
  store<u8>(op, <u8>(((length - 1) << 2) | 2));
  store<u16>(op + 1, <u16>distance);
  return op + 3;
}

/** One page; 0 when it does not shrink. Writes at most `len` + 16 bytes. */
function snappyPage(src: usize, len: usize, dst: usize, table: usize): usize {
  const bits = hashBits(len);
  const shift = 32 - bits;
  memory.fill(table, 0, 2 << bits);
  const end = src + len;
  const limit = end - 15;
  const outEnd = dst + len;
  let op = dst;
  // The length: two bytes below 16 KiB, three from there.
  let rest = len;
  while (rest >= 128) {
    store<u8>(op++, <u8>(rest | 128));
    rest >>= 7;
  }
  store<u8>(op++, <u8>rest);
  let ip = src + 1;
  let anchor = src;
  let miss: u32 = 32;
  while (ip < limit) {
    const four = load<u32>(ip);
    const slot = slotOf(table, four, shift);
    const ref = src + <usize>load<u16>(slot);
    store<u16>(slot, <u16>(ip - src));
    if (ref >= ip || load<u32>(ref) != four) {
      ip += <usize>(miss++ >> 5);
      continue;
    }
    miss = 32;
    const m = matchEndExact(ip + 4, ref + 4, end);
    const t = ip - anchor;
    // A match takes three bytes for every 64.
    if (tooLong(op, outEnd, t, (m - ip) << 3)) return 0;
    if (t) {
      op = snappyLiterals(op, t);
      copyLiterals(op, anchor, t);
      op += t;
    }
    op = snappyMatch(op, ip - ref, m - ip);
    ip = m;
    anchor = m;
    if (ip < limit) store<u16>(slotOf(table, load<u32>(ip - 1), shift), <u16>(ip - 1 - src));
  }
  const t = end - anchor;
  if (t) {
    if (tooLong(op, outEnd, t, 0)) return 0;
    op = snappyLiterals(op, t);
    memory.copy(op, anchor, t);
    op += t;
  }
  return op - dst;
}

/**
 * Decompresses one Snappy raw block, all of it.
 *
 * @returns bytes written, at most `cap`; -1 for a malformed block, with up to `cap` + 16 bytes written by then.
 */
export function snappyDecompress(src: usize, len: usize, dst: usize, cap: usize): i32 {
  if (len > MAX_BLOCK || cap > MAX_BLOCK) return -1;
  const end = src + len;
  let ip = src;
  let op = dst;
  let declared: u64 = 0;
  let shift: u64 = 0;
  while (true) {
    if (ip >= end || shift > 28) return -1;
    const byte = <u64>load<u8>(ip++);
    declared |= (byte & 127) << shift;
    if (byte < 128) break;
    shift += 7;
  }
  if (declared > <u64>cap) return -1;
  // The declared length binds, not the room.
  const outEnd = dst + <usize>declared;
  while (ip < end) {
    const tag = <u32>load<u8>(ip++);
    const kind = tag & 3;
    let length: usize;
    let distance: usize;
    if (kind == 0) {
      let rest = <usize>(tag >> 2);
      if (rest >= 60) {
        const bytes = rest - 59;
        if (bytes > end - ip) return -1;
        rest = <usize>(load<u32>(ip) & (0xffff_ffff >>> (32 - ((<u32>bytes) << 3))));
        ip += bytes;
      }
      // `rest` is the length less one and may be 2^32 - 1: compare before adding.
      if (rest >= end - ip || rest >= outEnd - op) return -1;
      length = rest + 1;
      copyLiterals(op, ip, length);
      ip += length;
      op += length;
      continue;
    }
    if (kind == 1) {
      if (end - ip < 1) return -1;
      length = <usize>((tag >> 2) & 7) + 4;
      distance = ((<usize>(tag >> 5)) << 8) | <usize>load<u8>(ip);
      ip += 1;
    } else if (kind == 2) {
      if (end - ip < 2) return -1;
      length = <usize>(tag >> 2) + 1;
      distance = <usize>load<u16>(ip);
      ip += 2;
    } else {
      if (end - ip < 4) return -1;
      length = <usize>(tag >> 2) + 1;
      distance = <usize>load<u32>(ip);
      ip += 4;
    }
    if (distance == 0 || distance > op - dst || length > outEnd - op) return -1;
    copyMatch(op, distance, length);
    op += length;
  }
  return op == outEnd ? <i32>(op - dst) : -1;
}

// ---- LZ4 block; described in ../../lz4.ts ----

/** Writes what a nibble of 15 leaves over: 255 as often as needed, then a byte below. */
function lz4Length(op: usize, rest: usize): usize {
  while (rest >= 255) {
    store<u8>(op++, 255);
    rest -= 255;
  }
  store<u8>(op++, <u8>rest);
  return op;
}

/** One page; 0 when it does not shrink. Writes at most `len` + 16 bytes; reads up to 16 bytes after the page. */
function lz4Page(src: usize, len: usize, dst: usize, table: usize): usize {
  const bits = hashBits(len);
  const shift = 32 - bits;
  memory.fill(table, 0, 2 << bits);
  const end = src + len;
  // The format's rules: no match begins in the last 12 bytes, and the last 5 are literals.
  const lastStart = end - 12;
  const lastEnd = end - 5;
  const outEnd = dst + len;
  let ip = src + 1;
  let anchor = src;
  let op = dst;
  let miss: u32 = 64;
  while (ip <= lastStart) {
    const four = load<u32>(ip);
    const slot = slotOf(table, four, shift);
    let ref = src + <usize>load<u16>(slot);
    store<u16>(slot, <u16>(ip - src));
    if (ref >= ip || load<u32>(ref) != four) {
      ip += <usize>(miss++ >> 6);
      continue;
    }
    miss = 64;
    const m = matchEndExact(ip + 4, ref + 4, lastEnd);
    while (ip > anchor && ref > src && load<u8>(ip - 1) == load<u8>(ref - 1)) {
      ip--;
      ref--;
    }
    const t = ip - anchor;
    const length = m - ip - 4;
    if (tooLong(op, outEnd, t, length)) return 0;
    const token = op++;
    let tokenByte: usize;
    if (t >= 15) {
      tokenByte = 0xf0;
      op = lz4Length(op, t - 15);
    } else tokenByte = t << 4;
    copyLiterals(op, anchor, t);
    op += t;
    store<u16>(op, <u16>(ip - ref));
    op += 2;
    if (length >= 15) {
      tokenByte |= 15;
      op = lz4Length(op, length - 15);
    } else tokenByte |= length;
    store<u8>(token, <u8>tokenByte);
    ip = m;
    anchor = m;
    if (ip <= lastStart) store<u16>(slotOf(table, load<u32>(ip - 2), shift), <u16>(ip - 2 - src));
  }
  const t = end - anchor;
  if (tooLong(op, outEnd, t, 0)) return 0;
  if (t >= 15) {
    store<u8>(op++, 0xf0);
    op = lz4Length(op, t - 15);
  } else store<u8>(op++, <u8>(t << 4));
  memory.copy(op, anchor, t);
  return op + t - dst;
}

/**
 * Decompresses one LZ4 block, all of it.
 *
 * @returns bytes written, at most `cap`; -1 for a malformed block, with up to `cap` + 16 bytes written by then.
 */
export function lz4Decompress(src: usize, len: usize, dst: usize, cap: usize): i32 {
  if (len > MAX_BLOCK || cap > MAX_BLOCK) return -1;
  const end = src + len;
  const outEnd = dst + cap;
  let ip = src;
  let op = dst;
  while (ip < end) {
    const token = <usize>load<u8>(ip++);
    let literals = token >> 4;
    if (literals == 15) {
      let byte: usize;
      do {
        if (ip >= end) return -1;
        byte = <usize>load<u8>(ip++);
        literals += byte;
      } while (byte == 255);
    }
    if (literals > end - ip || literals > outEnd - op) return -1;
    copyLiterals(op, ip, literals);
    op += literals;
    ip += literals;
    if (ip == end) return <i32>(op - dst);
    if (end - ip < 2) return -1;
    const distance = <usize>load<u16>(ip);
    ip += 2;
    let length = token & 15;
    if (length == 15) {
      let byte: usize;
      do {
        if (ip >= end) return -1;
        byte = <usize>load<u8>(ip++);
        length += byte;
      } while (byte == 255);
    }
    length += 4;
    if (distance == 0 || distance > op - dst || length > outEnd - op) return -1;
    copyMatch(op, distance, length);
    op += length;
  }
  // Empty, or it ends with a match.
  return -1;
}

// ---- Batches ----

/** Stores a page that did not shrink. */
function storeRaw(src: usize, pageSize: usize, dst: usize, flag: usize): usize {
  memory.copy(dst, src, pageSize);
  store<u8>(flag, RAW);
  return pageSize;
}

/** What a page is compressed to, as `compressBatch` numbers it; kernels.ts says the same. */
const LZO: u32 = 0;
const SNAPPY: u32 = 1;
const LZ4: u32 = 2;

/**
 * Compresses `n` pages one by one and appends what comes out at `dst`, without gaps.
 *
 * @param codec LZO, SNAPPY, LZ4; anything else is zlib.
 * @param src `n` pages of `pageSize` bytes (a power of two, 4096 to 65536), and 16 bytes.
 * @param dst room for `n` pages and 16 bytes.
 * @param lengths `n` u32: bytes that each page took; 0 for one skipped, `pageSize` for one stored raw, else less.
 * @param flags `n` bytes. In: a page with ZERO is skipped. Out: RAW is set for a page that did not shrink, else nothing.
 * @param table 32 KiB of scratch; for zlib at least three times `pageSize` and 16 KiB.
 * @returns bytes appended.
 */
export function compressBatch(
  codec: u32,
  src: usize,
  n: u32,
  pageSize: usize,
  dst: usize,
  lengths: usize,
  flags: usize,
  table: usize,
): usize {
  let op = dst;
  for (let p: u32 = 0; p < n; p++) {
    const flag = flags + p;
    let length: usize = 0;
    if (load<u8>(flag) == 0) {
      if (codec == LZO) length = lzoPage(src, pageSize, op, table);
      else if (codec == SNAPPY) length = snappyPage(src, pageSize, op, table);
      else if (codec == LZ4) length = lz4Page(src, pageSize, op, table);
      else length = zlibPage(src, pageSize, op, table);
      if (length == 0) length = storeRaw(src, pageSize, op, flag);
    }
    store<u32>(lengths + ((<usize>p) << 2), <u32>length);
    op += length;
    src += pageSize;
  }
  return op - dst;
}
