/*
 * Deflate (RFC 1951) in zlib's wrapping (RFC 1950), made for memory pages: one block a page, with a Huffman code of its own or the fixed
 * one, whichever is shorter. As in page.ts nothing is kept outside of the regions that the caller gives.
 */
import { matchEndExact } from "./match";

/** Most bits of a code for literals, lengths and distances, and of one for the lengths of these codes. */
const MAX_CODE_BITS: u32 = 15;
const MAX_PRECODE_BITS: u32 = 7;

const MAX_MATCH: usize = 258;
const MAX_DISTANCE: usize = 0x8000;

/** Symbols: literals 0 to 255, the block's end, lengths; distances; lengths of codes. The fixed code has two more, which never occur. */
const END_OF_BLOCK: u32 = 256;
const LITLEN_SYMBOLS: u32 = 286;
const DISTANCE_SYMBOLS: u32 = 30;
const PRECODE_SYMBOLS: u32 = 19;

/*
 * The scratch, offsets in bytes. Frequencies are u32. A code is a u32: its bits, first one lowest, above a byte with their number.
 */
const LITLEN_COUNTS: usize = 0;
const DISTANCE_COUNTS: usize = 1152;
const PRECODE_COUNTS: usize = 1280;
const LITLEN_CODES: usize = 1408;
const DISTANCE_CODES: usize = 2560;
const PRECODE_CODES: usize = 2688;
/** u16: the lengths of both codes, run by run: a precode symbol, and above a byte what its extra bits hold. */
const RUNS: usize = 2816;
/** u32: symbols in use by their frequency; the frequency above nine bits of symbol. */
const SORTED: usize = 3456;
/** u32 and u16: frequencies and parents of the tree's inner nodes. */
const NODES: usize = 4608;
const PARENTS: usize = 5760;
/** u16: where symbols of a frequency begin in `SORTED`. */
const BUCKETS: usize = 6400;
const BUCKET_COUNT: u32 = 128;
/** u32: how many codes have so many bits; how many inner nodes are so deep; the next code of so many bits. */
const LENGTH_COUNTS: usize = 7424;
const NEXT_CODES: usize = 7552;
/** Two u16: the last two places whose three bytes have this hash, the latest lowest. */
const HEADS: usize = 8192;
const HEAD_BITS: u32 = 11;
/** u64: a match: literals before it, its length above 20 bits, its distance above 32. */
const MATCHES: usize = HEADS + (4 << HEAD_BITS);

/** zlib's header for a window of 32 KiB and its fastest level; then the checksum behind the block. */
const WRAPPING: usize = 6;

/** The symbol of a match's length, 3 to 258. */
function lengthSymbol(length: u32): u32 {
  const l = length - 3;
  if (l < 8) return 257 + l;
  if (l == 255) return 285;
  const extra = 29 - clz(l);
  return 261 + (extra << 2) + ((l >> extra) & 3);
}

/** Extra bits behind the symbol of a length. */
function lengthExtraBits(length: u32): u32 {
  const l = length - 3;
  return l < 8 || l == 255 ? 0 : 29 - clz(l);
}

/** The symbol of a distance less one, below 32768. */
function distanceSymbol(d: u32): u32 {
  if (d < 4) return d;
  const extra = 30 - clz(d);
  return ((extra + 1) << 1) + ((d >> extra) & 1);
}

function distanceExtraBits(d: u32): u32 {
  return d < 4 ? 0 : 30 - clz(d);
}

/** Adds `n` literals to the frequencies. */
function countLiterals(counts: usize, at: usize, n: usize): void {
  const end = at + n;
  while (at < end) increment(counts, <u32>load<u8>(at++));
}

function increment(counts: usize, symbol: u32): void {
  const place = counts + ((<usize>symbol) << 2);
  store<u32>(place, load<u32>(place) + 1);
}

/** How many of the eight bytes at `a` and at `b` are equal before the first that differ. */
function equalOfEight(a: usize, b: usize): u32 {
  return <u32>ctz(load<u64>(a) ^ load<u64>(b)) >> 3;
}

/** The head of the places with the same hash of three bytes. */
function headOf(heads: usize, at: usize): usize {
  return heads + ((<usize>(((load<u32>(at) << 8) * 2654435761) >>> (32 - HEAD_BITS))) << 2);
}

/** Makes `at` the latest place of its hash. */
function remember(heads: usize, src: usize, at: usize): void {
  const head = headOf(heads, at);
  store<u32>(head, (load<u32>(head) << 16) | <u32>(at - src));
}

/**
 * Finds matches in the page, writes them to `MATCHES`, and counts the symbols. Of two earlier places the one with the longer match is
 * taken, without looking whether the next position has a better one. What cannot be foreseen is computed rather than branched on: a branch
 * that is guessed wrong costs as much as looking at five bytes.
 *
 * @returns how many matches; the literals behind the last are counted, too.
 */
function findMatches(src: usize, len: usize, scratch: usize): u32 {
  memory.fill(scratch + LITLEN_COUNTS, 0, PRECODE_COUNTS - LITLEN_COUNTS);
  memory.fill(scratch + HEADS, 0, 4 << HEAD_BITS);
  const heads = scratch + HEADS;
  const counts = scratch + LITLEN_COUNTS;
  const end = src + len;
  const limit = end - 8;
  let out = scratch + MATCHES;
  increment(counts, <u32>load<u8>(src));
  let ip = src + 1;
  let anchor = src;
  let miss: u32 = 64;
  while (ip < limit) {
    const head = headOf(heads, ip);
    // Heads are zero at the beginning, and position 0 is an earlier place indeed.
    const places = load<u32>(head);
    store<u32>(head, (places << 16) | <u32>(ip - src));
    const near = src + <usize>(places & 0xffff);
    const far = src + <usize>(places >> 16);
    const nearEqual = equalOfEight(ip, near);
    const farEqual = ip - far <= MAX_DISTANCE ? equalOfEight(ip, far) : 0;
    let equal = max(nearEqual, farEqual);
    if (equal < 3 || ip - near > MAX_DISTANCE) {
      increment(counts, <u32>load<u8>(ip++));
      if (miss++ < 128) continue;
      const skipped = min(<usize>(miss >> 6) - 1, limit - ip);
      countLiterals(counts, ip, skipped);
      ip += skipped;
      continue;
    }
    miss = 64;
    let from = farEqual > nearEqual ? far : near;
    let until = ip + <usize>equal;
    if (equal == 8) {
      const furthest = min(ip + MAX_MATCH, end);
      until = matchEndExact(until, from + 8, furthest);
      if (farEqual == nearEqual && until < furthest) {
        const farUntil = matchEndExact(ip + 8, far + 8, furthest);
        if (farUntil > until) {
          until = farUntil;
          from = far;
        }
      }
    }
    const length = <u32>(until - ip);
    const distance = <u32>(ip - from);
    increment(counts, lengthSymbol(length));
    increment(scratch + DISTANCE_COUNTS, distanceSymbol(distance - 1));
    store<u64>(out, <u64>(ip - anchor) | ((<u64>length) << 20) | ((<u64>distance) << 32));
    out += 8;
    anchor = until;
    // The others in the match are left out: hardly anything is found there that is not found here.
    if (until < limit) {
      remember(heads, src, ip + 1);
      remember(heads, src, until - 1);
    }
    ip = until;
  }
  countLiterals(counts, ip, end - ip);
  increment(counts, END_OF_BLOCK);
  return <u32>((out - scratch - MATCHES) >> 3);
}

/**
 * Sorts the symbols in use by frequency into `SORTED`.
 *
 * @returns how many.
 */
function sortSymbols(counts: usize, symbols: u32, scratch: usize): u32 {
  const buckets = scratch + BUCKETS;
  const sorted = scratch + SORTED;
  memory.fill(buckets, 0, (<usize>BUCKET_COUNT) << 1);
  for (let symbol: u32 = 0; symbol < symbols; symbol++) {
    const count = load<u32>(counts + ((<usize>symbol) << 2));
    const place = buckets + ((<usize>min(count, BUCKET_COUNT - 1)) << 1);
    store<u16>(place, load<u16>(place) + 1);
  }
  let used: u32 = 0;
  for (let bucket: u32 = 1; bucket < BUCKET_COUNT; bucket++) {
    const place = buckets + ((<usize>bucket) << 1);
    const n = <u32>load<u16>(place);
    store<u16>(place, <u16>used);
    used += n;
  }
  const lastBucket = <u32>load<u16>(buckets + ((<usize>(BUCKET_COUNT - 1)) << 1));
  for (let symbol: u32 = 0; symbol < symbols; symbol++) {
    const count = load<u32>(counts + ((<usize>symbol) << 2));
    if (count == 0) continue;
    const place = buckets + ((<usize>min(count, BUCKET_COUNT - 1)) << 1);
    const at = load<u16>(place);
    store<u16>(place, at + 1);
    store<u32>(sorted + ((<usize>at) << 2), (count << 9) | symbol);
  }
  // The last bucket has all that are more frequent: few, as frequencies add up to the page's size.
  for (let i = lastBucket + 1; i < used; i++) {
    const entry = load<u32>(sorted + ((<usize>i) << 2));
    let j = i;
    while (j > lastBucket && load<u32>(sorted + ((<usize>(j - 1)) << 2)) > entry) {
      store<u32>(sorted + ((<usize>j) << 2), load<u32>(sorted + ((<usize>(j - 1)) << 2)));
      j--;
    }
    store<u32>(sorted + ((<usize>j) << 2), entry);
  }
  return used;
}

/**
 * How many of `used` sorted symbols get a code of how many bits, to `LENGTH_COUNTS`: Huffman's tree, of which only the depths of the inner
 * nodes are kept; a level has twice as many nodes as the one above has inner ones. Codes of more than `maxBits` are made as long as that,
 * at the cost of shorter ones.
 */
function countLengths(used: u32, maxBits: u32, scratch: usize): void {
  const sorted = scratch + SORTED;
  const nodes = scratch + NODES;
  const parents = scratch + PARENTS;
  const counts = scratch + LENGTH_COUNTS;
  let leaf: u32 = 0;
  let inner: u32 = 0;
  const last = used - 2;
  for (let node: u32 = 0; node <= last; node++) {
    let sum: u32 = 0;
    for (let child = 0; child < 2; child++) {
      const leafCount = leaf < used ? load<u32>(sorted + ((<usize>leaf) << 2)) >> 9 : u32.MAX_VALUE;
      const innerCount = inner < node ? load<u32>(nodes + ((<usize>inner) << 2)) : u32.MAX_VALUE;
      if (leafCount <= innerCount) {
        sum += leafCount;
        leaf++;
      } else {
        sum += innerCount;
        store<u16>(parents + ((<usize>inner) << 1), <u16>node);
        inner++;
      }
    }
    store<u32>(nodes + ((<usize>node) << 2), sum);
  }
  // Depths instead of frequencies, from the root down; frequencies of 2^16 make no tree deeper than 24.
  memory.fill(counts, 0, 32 << 2);
  store<u32>(nodes + ((<usize>last) << 2), 0);
  store<u32>(counts, 1);
  for (let node = last; node-- > 0;) {
    const parent = <usize>load<u16>(parents + ((<usize>node) << 1));
    const depth = load<u32>(nodes + (parent << 2)) + 1;
    store<u32>(nodes + ((<usize>node) << 2), depth);
    increment(counts, depth);
  }
  // Inner nodes of each depth become leaves of each.
  let above = load<u32>(counts);
  store<u32>(counts, 0);
  let tooDeep: u32 = 0;
  let spent: u32 = 0;
  for (let depth: u32 = 1; depth < 32; depth++) {
    const place = counts + ((<usize>depth) << 2);
    const inners = load<u32>(place);
    const leaves = (above << 1) - inners;
    above = inners;
    if (depth > maxBits) {
      tooDeep += leaves;
      continue;
    }
    store<u32>(place, leaves);
    spent += leaves << (maxBits - depth);
  }
  if (tooDeep == 0) return;
  // Each too deep leaf takes the smallest share that there is; what is spent too much is got back from shorter codes, each of which
  // becomes one bit longer and has room for one of the longest beside it.
  const deepest = counts + ((<usize>maxBits) << 2);
  store<u32>(deepest, load<u32>(deepest) + tooDeep);
  for (let over = spent + tooDeep - (1 << maxBits); over > 0; over--) {
    let bits = maxBits - 1;
    while (load<u32>(counts + ((<usize>bits) << 2)) == 0) bits--;
    const place = counts + ((<usize>bits) << 2);
    store<u32>(place, load<u32>(place) - 1);
    store<u32>(place, load<u32>(place, 4) + 2, 4);
    store<u32>(deepest, load<u32>(deepest) - 1);
  }
}

/** The lowest `n` bits the other way round, `n` from 1 to 15. */
function reversed(bits: u32, n: u32): u32 {
  bits = ((bits >> 1) & 0x5555) | ((bits & 0x5555) << 1);
  bits = ((bits >> 2) & 0x3333) | ((bits & 0x3333) << 2);
  bits = ((bits >> 4) & 0x0f0f) | ((bits & 0x0f0f) << 4);
  bits = ((bits >> 8) & 0x00ff) | ((bits & 0x00ff) << 8);
  return bits >> (16 - n);
}

/**
 * Makes the canonical code for the frequencies. Where fewer than two symbols are in use, others get a code, too: not all readers take an
 * incomplete one.
 */
function makeCode(counts: usize, symbols: u32, maxBits: u32, codes: usize, scratch: usize): void {
  let used = sortSymbols(counts, symbols, scratch);
  for (let symbol: usize = 0; used < 2; symbol += 4) {
    if (load<u32>(counts + symbol) != 0) continue;
    store<u32>(counts + symbol, 1);
    used = sortSymbols(counts, symbols, scratch);
  }
  countLengths(used, maxBits, scratch);
  memory.fill(codes, 0, (<usize>symbols) << 2);
  const sorted = scratch + SORTED;
  const lengths = scratch + LENGTH_COUNTS;
  let at: u32 = 0;
  for (let bits = maxBits; bits > 0; bits--) {
    for (let n = load<u32>(lengths + ((<usize>bits) << 2)); n > 0; n--) {
      store<u32>(codes + ((<usize>(load<u32>(sorted + ((<usize>at) << 2)) & 511)) << 2), bits);
      at++;
    }
  }
  const next = scratch + NEXT_CODES;
  let code: u32 = 0;
  for (let bits: u32 = 1; bits <= maxBits; bits++) {
    code = (code + load<u32>(lengths + ((<usize>(bits - 1)) << 2))) << 1;
    store<u32>(next + ((<usize>bits) << 2), code);
  }
  for (let symbol: u32 = 0; symbol < symbols; symbol++) {
    const place = codes + ((<usize>symbol) << 2);
    const bits = load<u32>(place);
    if (bits == 0) continue;
    const nextPlace = next + ((<usize>bits) << 2);
    const value = load<u32>(nextPlace);
    store<u32>(nextPlace, value + 1);
    store<u32>(place, (reversed(value, bits) << 8) | bits);
  }
}

/** Bits of a literal or length in the fixed code of RFC 1951, 3.2.6. */
function fixedBits(symbol: u32): u32 {
  return symbol < 144 || symbol >= 280 ? 8 : symbol < 256 ? 9 : 7;
}

/** The fixed code: each of its four ranges of symbols counts up from a value of its own. */
function fixedCodes(scratch: usize): void {
  for (let symbol: u32 = 0; symbol < 288; symbol++) {
    const first: u32 = symbol < 144 ? 0x30 : symbol < 256 ? 0x190 - 144 : symbol < 280 ? 0 - 256 : 0xc0 - 280;
    const bits = fixedBits(symbol);
    store<u32>(scratch + LITLEN_CODES + ((<usize>symbol) << 2), (reversed(first + symbol, bits) << 8) | bits);
  }
  for (let symbol: u32 = 0; symbol < 30; symbol++) {
    store<u32>(scratch + DISTANCE_CODES + ((<usize>symbol) << 2), (reversed(symbol, 5) << 8) | 5);
  }
}

/** Bits that the symbols of a code take, without extra bits. */
function costOf(counts: usize, codes: usize, symbols: u32): u32 {
  let bits: u32 = 0;
  for (let symbol: usize = 0; symbol < <usize>symbols; symbol++) {
    bits += load<u32>(counts + (symbol << 2)) * (load<u32>(codes + (symbol << 2)) & 255);
  }
  return bits;
}

/** Bits that literals and lengths take in the fixed code. */
function fixedCost(counts: usize): u32 {
  let bits: u32 = 0;
  for (let symbol: u32 = 0; symbol < LITLEN_SYMBOLS; symbol++) {
    bits += load<u32>(counts + ((<usize>symbol) << 2)) * fixedBits(symbol);
  }
  return bits;
}

/** How many symbols a code's header tells, at least `least`: those behind the last one in use are left out. */
function told(codes: usize, symbols: u32, least: u32): u32 {
  while (symbols > least && load<u32>(codes + ((<usize>(symbols - 1)) << 2)) == 0) symbols--;
  return symbols;
}

/** The length of the code number `i` of both, literals and lengths before distances. */
function lengthAt(i: u32, litlens: u32, scratch: usize): u32 {
  const place = i < litlens ? LITLEN_CODES + ((<usize>i) << 2) : DISTANCE_CODES + ((<usize>(i - litlens)) << 2);
  return load<u8>(scratch + place);
}

/** Writes one run and counts its symbol. @returns where the next one goes. */
function putRun(out: usize, counts: usize, symbol: u32, extra: u32): usize {
  store<u16>(out, <u16>(symbol | (extra << 8)));
  increment(counts, symbol);
  return out + 2;
}

/** Writes the lengths of both codes as runs and counts their symbols. @returns how many runs. */
function findRuns(litlens: u32, distances: u32, scratch: usize): u32 {
  const counts = scratch + PRECODE_COUNTS;
  memory.fill(counts, 0, (<usize>PRECODE_SYMBOLS) << 2);
  const total = litlens + distances;
  let out = scratch + RUNS;
  for (let i: u32 = 0; i < total;) {
    const length = lengthAt(i, litlens, scratch);
    let run: u32 = 1;
    while (i + run < total && lengthAt(i + run, litlens, scratch) == length) run++;
    i += run;
    if (length == 0) {
      for (; run >= 11; run -= min<u32>(run, 138)) out = putRun(out, counts, 18, min<u32>(run, 138) - 11);
      if (run >= 3) {
        out = putRun(out, counts, 17, run - 3);
        run = 0;
      }
    } else if (run >= 4) {
      // The first is told as it is.
      out = putRun(out, counts, length, 0);
      for (run--; run >= 3; run -= min<u32>(run, 6)) out = putRun(out, counts, 16, min<u32>(run, 6) - 3);
    }
    for (; run > 0; run--) out = putRun(out, counts, length, 0);
  }
  return <u32>((out - scratch - RUNS) >> 1);
}

/** Where the length of precode symbol number `i` stands in a header: 16, 17, 18, 0, 8, 7, 9, 6, 10 and so on. */
function precodeOrder(i: u32): u32 {
  if (i < 3) return 16 + i;
  if (i == 3) return 0;
  const step = (i - 3) >> 1;
  return (i & 1) == 0 ? 8 + step : 8 - step;
}

/** Extra bits behind a precode symbol. */
function runExtraBits(symbol: u32): u32 {
  return symbol < 16 ? 0 : symbol == 16 ? 2 : symbol == 17 ? 3 : 7;
}

/** Adler-32 (RFC 1950) of a page, a multiple of 4096 bytes. */
function adler32(at: usize, len: usize): u32 {
  let a: u32 = 1;
  let b: u32 = 0;
  const end = at + len;
  const high = i16x8(16, 15, 14, 13, 12, 11, 10, 9);
  const low = i16x8(8, 7, 6, 5, 4, 3, 2, 1);
  while (at < end) {
    // Within 4096 bytes no sum leaves 32 bits.
    let sums = i32x4.splat(0);
    let before = i32x4.splat(0);
    let weighted = i32x4.splat(0);
    const stop = at + 4096;
    for (; at < stop; at += 16) {
      const bytes = v128.load(at);
      before = i32x4.add(before, sums);
      sums = i32x4.add(sums, i32x4.extadd_pairwise_i16x8_u(i16x8.extadd_pairwise_i8x16_u(bytes)));
      weighted = i32x4.add(weighted, i32x4.dot_i16x8_s(i16x8.extend_low_i8x16_u(bytes), high));
      weighted = i32x4.add(weighted, i32x4.dot_i16x8_s(i16x8.extend_high_i8x16_u(bytes), low));
    }
    const sum = laneSum(sums);
    b = <u32>((<u64>b + ((<u64>a) << 12) + ((<u64>laneSum(before)) << 4) + <u64>laneSum(weighted)) % 65521);
    a = (a + sum) % 65521;
  }
  return (b << 16) | a;
}

function laneSum(v: v128): u32 {
  return i32x4.extract_lane(v, 0) + i32x4.extract_lane(v, 1) + i32x4.extract_lane(v, 2) + i32x4.extract_lane(v, 3);
}

/** Bits behind the symbols of lengths and distances. */
function extraCost(scratch: usize): u32 {
  let bits: u32 = 0;
  for (let symbol: u32 = 265; symbol < 285; symbol++) {
    bits += load<u32>(scratch + LITLEN_COUNTS + ((<usize>symbol) << 2)) * ((symbol - 261) >> 2);
  }
  for (let symbol: u32 = 4; symbol < DISTANCE_SYMBOLS; symbol++) {
    bits += load<u32>(scratch + DISTANCE_COUNTS + ((<usize>symbol) << 2)) * ((symbol >> 1) - 1);
  }
  return bits;
}

/** Writes the header of a block with codes of its own at bit `bits` of the byte at `op`, which is there. @returns bits since `op`. */
function writeHeader(op: usize, litlens: u32, distances: u32, precodes: u32, runs: u32, scratch: usize): u64 {
  // 5 + 5 + 4, after the three bits of every block: last one, kind 2.
  let buffer: u64 = 5 | ((<u64>(litlens - 257)) << 3) | ((<u64>(distances - 1)) << 8) | ((<u64>(precodes - 4)) << 13);
  let count: u64 = 17;
  const start = op;
  for (let i: u32 = 0; i < precodes; i++) {
    buffer |= (<u64>load<u8>(scratch + PRECODE_CODES + ((<usize>precodeOrder(i)) << 2))) << count;
    count += 3;
    if (count > 48) {
      store<u64>(op, buffer);
      op += <usize>(count >> 3);
      buffer >>= count & ~7;
      count &= 7;
    }
  }
  for (let i: usize = 0; i < <usize>runs; i++) {
    const run = <u32>load<u16>(scratch + RUNS + (i << 1));
    const symbol = run & 255;
    const code = load<u32>(scratch + PRECODE_CODES + ((<usize>symbol) << 2));
    buffer |= (<u64>(code >> 8)) << count;
    count += code & 255;
    buffer |= (<u64>(run >> 8)) << count;
    count += runExtraBits(symbol);
    if (count > 48) {
      store<u64>(op, buffer);
      op += <usize>(count >> 3);
      buffer >>= count & ~7;
      count &= 7;
    }
  }
  store<u64>(op, buffer);
  return ((<u64>(op - start)) << 3) + count;
}

/** Writes the block's symbols behind `bits` bits of what is at `op`. @returns the end, in bytes. */
function writeSymbols(op: usize, bits: u64, src: usize, len: usize, matches: u32, scratch: usize): usize {
  const litlenCodes = scratch + LITLEN_CODES;
  op += <usize>(bits >> 3);
  let count = bits & 7;
  let buffer = <u64>load<u8>(op) & (((<u64>1) << count) - 1);
  let ip = src;
  const end = src + len;
  for (let i: usize = 0; i <= <usize>matches; i++) {
    const match = i < <usize>matches ? load<u64>(scratch + MATCHES + (i << 3)) : <u64>(end - ip);
    const stop = ip + <usize>(match & 0xf_ffff);
    // Three at a time, the last ones perhaps nothing: runs are short, and where they end cannot be foreseen.
    for (; ip < stop; ip += 3) {
      const one = load<u32>(litlenCodes + ((<usize>load<u8>(ip)) << 2));
      const two = ip + 1 < stop ? load<u32>(litlenCodes + ((<usize>load<u8>(ip, 1)) << 2)) : 0;
      const three = ip + 2 < stop ? load<u32>(litlenCodes + ((<usize>load<u8>(ip, 2)) << 2)) : 0;
      buffer |= (<u64>(one >> 8)) << count;
      count += one & 255;
      buffer |= (<u64>(two >> 8)) << count;
      count += two & 255;
      buffer |= (<u64>(three >> 8)) << count;
      count += three & 255;
      store<u64>(op, buffer);
      op += <usize>(count >> 3);
      buffer >>= count & ~7;
      count &= 7;
    }
    ip = stop;
    if (i == <usize>matches) break;
    const length = <u32>(match >> 20) & 0xfff;
    const distance = <u32>(match >> 32) - 1;
    const lengthCode = load<u32>(litlenCodes + ((<usize>lengthSymbol(length)) << 2));
    buffer |= (<u64>(lengthCode >> 8)) << count;
    count += lengthCode & 255;
    const lengthBits = lengthExtraBits(length);
    buffer |= (<u64>((length - 3) & ((1 << lengthBits) - 1))) << count;
    count += lengthBits;
    const distanceCode = load<u32>(scratch + DISTANCE_CODES + ((<usize>distanceSymbol(distance)) << 2));
    buffer |= (<u64>(distanceCode >> 8)) << count;
    count += distanceCode & 255;
    const distanceBits = distanceExtraBits(distance);
    buffer |= (<u64>(distance & ((1 << distanceBits) - 1))) << count;
    count += distanceBits;
    store<u64>(op, buffer);
    op += <usize>(count >> 3);
    buffer >>= count & ~7;
    count &= 7;
    ip += <usize>length;
  }
  const code = load<u32>(litlenCodes + ((<usize>END_OF_BLOCK) << 2));
  buffer |= (<u64>(code >> 8)) << count;
  count += code & 255;
  store<u64>(op, buffer);
  return op + <usize>((count + 7) >> 3);
}

/** One page; 0 when it does not shrink. Writes at most `len` + 16 bytes. */
export function zlibPage(src: usize, len: usize, dst: usize, scratch: usize): usize {
  const matches = findMatches(src, len, scratch);
  const litlenCounts = scratch + LITLEN_COUNTS;
  const distanceCounts = scratch + DISTANCE_COUNTS;
  const extra = extraCost(scratch);
  const fixed: u32 = 3 + fixedCost(litlenCounts) + 5 * matches + extra;
  makeCode(litlenCounts, LITLEN_SYMBOLS, MAX_CODE_BITS, scratch + LITLEN_CODES, scratch);
  makeCode(distanceCounts, DISTANCE_SYMBOLS, MAX_CODE_BITS, scratch + DISTANCE_CODES, scratch);
  const litlens = told(scratch + LITLEN_CODES, LITLEN_SYMBOLS, 257);
  const distances = told(scratch + DISTANCE_CODES, DISTANCE_SYMBOLS, 1);
  const runs = findRuns(litlens, distances, scratch);
  makeCode(scratch + PRECODE_COUNTS, PRECODE_SYMBOLS, MAX_PRECODE_BITS, scratch + PRECODE_CODES, scratch);
  let precodes = PRECODE_SYMBOLS;
  while (precodes > 4 && load<u32>(scratch + PRECODE_CODES + ((<usize>precodeOrder(precodes - 1)) << 2)) == 0) precodes--;
  let header: u32 = 17 + 3 * precodes + costOf(scratch + PRECODE_COUNTS, scratch + PRECODE_CODES, PRECODE_SYMBOLS);
  const runCounts = scratch + PRECODE_COUNTS;
  header += 2 * load<u32>(runCounts + (16 << 2)) + 3 * load<u32>(runCounts + (17 << 2)) + 7 * load<u32>(runCounts + (18 << 2));
  const own: u32 =
    header +
    extra +
    costOf(litlenCounts, scratch + LITLEN_CODES, LITLEN_SYMBOLS) +
    costOf(distanceCounts, scratch + DISTANCE_CODES, DISTANCE_SYMBOLS);
  if ((<usize>min(own, fixed) + 7) / 8 + WRAPPING >= len) return 0;
  // 0x7801: deflate, window of 32 KiB, fastest; a multiple of 31.
  store<u16>(dst, 0x0178);
  let op = dst + 2;
  let bits: u64 = 3;
  if (own < fixed) bits = writeHeader(op, litlens, distances, precodes, runs, scratch);
  else {
    fixedCodes(scratch);
    store<u8>(op, 3);
  }
  op = writeSymbols(op, bits, src, len, matches, scratch);
  store<u32>(op, bswap(adler32(src, len)));
  return op + 4 - dst;
}
