import { spawnSync } from "node:child_process";
import { closeSync, openSync, readFileSync, readSync } from "node:fs";
import { Worker } from "node:worker_threads";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { isDumpError } from "../../bytes/index.ts";
import { codecByName } from "../codec.ts";
import { FLAG_RAW, FLAG_ZERO, type KernelCodec, type KernelCompressor, MAX_BLOCK, type PageBatch, PageKernels, SLACK } from "./kernels.ts";

const CODECS: readonly KernelCodec[] = ["lzo", "snappy", "lz4"];
const COMPRESSORS: readonly KernelCompressor[] = [...CODECS, "zlib"];
const PAGE_SIZES = [4096, 8192, 16384, 32768, 65536];

/** 32-bit xorshift: the same numbers on every run. */
function generator(seed: number): (below: number) => number {
  let x = seed | 1;
  return (below) => {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    return (x >>> 0) % below;
  };
}

function noise(length: number, seed: number): Uint8Array {
  const next = generator(seed * 7919 + 1);
  for (let i = 0; i < 10; i++) next(2);
  return Uint8Array.from({ length }, () => next(256));
}

/** Source text, over and over with line numbers, so that 64 KiB do not repeat as a whole. */
function text(length: number): Uint8Array {
  const lines = readFileSync(new URL("kernels.ts", import.meta.url), "utf8").split("\n");
  let all = "";
  for (let i = 0; all.length < length; i++) all += `${i} ${lines[i % lines.length]}\n`;
  return Buffer.from(all, "latin1").subarray(0, length);
}

/** Machine code and tables of the node binary. */
function elf(length: number, at: number): Uint8Array {
  const out = new Uint8Array(length);
  const file = openSync(process.execPath, "r");
  try {
    readSync(file, out, 0, length, at);
  } finally {
    closeSync(file);
  }
  return out;
}

/** A page as a slab has it: records of 192 bytes with pointers, small numbers and zeros. */
function slab(length: number): Uint8Array {
  const out = new Uint8Array(length);
  const view = new DataView(out.buffer);
  for (let at = 0; at + 192 <= length; at += 192) {
    view.setBigUint64(at, 0xffff_8880_0000_0000n + BigInt(at * 4096), true);
    view.setBigUint64(at + 8, 0xffff_8880_0000_0000n + BigInt(at * 64), true);
    view.setUint32(at + 24, at / 192, true);
    out.fill(0x6b, at + 64, at + 80);
  }
  return out;
}

/** Noise, but for `repeated` bytes that repeat: pages around the border of what shrinks. */
function nearlyNoise(length: number, repeated: number, seed: number): Uint8Array {
  const out = noise(length, seed);
  out.copyWithin(length - 64 - repeated, 100, 100 + repeated);
  return out;
}

/** Noise with matches so short and far between that they cost more than they save; each `cycle` times `gap` + 4 back. */
function costlyMatches(length: number, gap: number, cycle: number): Uint8Array {
  const out = noise(length, gap);
  for (let at = 0, i = 0; at + 4 <= length; at += gap + 4, i++) out.set([1, 2, i % cycle, 4], at);
  return out;
}

function realisticPages(pageSize: number): Uint8Array[] {
  const pages = [text(pageSize), slab(pageSize), noise(pageSize, 1), new Uint8Array(pageSize), new Uint8Array(pageSize).fill(0xcc)];
  for (const megabyte of [0, 20, 40, 60, 80, 90]) pages.push(elf(pageSize, megabyte << 20));
  for (const period of [2, 3, 5, 7, 8, 9, 15, 16, 17, 31]) {
    const unit = noise(period, period);
    pages.push(Uint8Array.from({ length: pageSize }, (_, i) => unit[i % period]!));
  }
  for (let repeated = 0; repeated < 120; repeated += 3) pages.push(nearlyNoise(pageSize, repeated, repeated + 5));
  for (const gap of [5, 8, 20, 24, 61, 62, 63, 64, 90]) pages.push(costlyMatches(pageSize, gap, 1), costlyMatches(pageSize, gap, 36));
  // One match across all of the page, or none until its very end.
  pages.push(Uint8Array.from({ length: pageSize }, (_, i) => (i === pageSize - 1 ? 1 : 0)));
  pages.push(Uint8Array.from({ length: pageSize }, (_, i) => (i === 0 ? 1 : 0)));
  pages.push(Buffer.concat([noise(pageSize / 2, 3), noise(pageSize / 2, 3)]));
  pages.push(Buffer.concat([noise(64, 4), new Uint8Array(pageSize - 128), noise(64, 4)]));
  return pages;
}

/** Compresses pages in one batch and takes the results apart. */
function compressAll(
  kernels: PageKernels,
  codec: KernelCompressor,
  batch: PageBatch,
  pages: readonly Uint8Array[],
): { data: Uint8Array; flag: number }[] {
  for (const [i, page] of pages.entries()) kernels.bytes(batch.source + i * batch.pageSize, batch.pageSize).set(page);
  const flags = kernels.bytes(batch.flags, pages.length).fill(0);
  const total = kernels.compress(codec, batch, pages.length);
  const output = kernels.bytes(batch.output, total);
  const results: { data: Uint8Array; flag: number }[] = [];
  let at = 0;
  for (const [i, length] of kernels.lengths(batch, pages.length).entries()) {
    results.push({ data: output.slice(at, at + length), flag: flags[i]! });
    at += length;
  }
  expect(at).toBe(total);
  return results;
}

/** What a result stands for, by the decoder in TypeScript. */
function decode(codec: KernelCompressor, result: { data: Uint8Array; flag: number }, pageSize: number): Uint8Array {
  if (result.flag === FLAG_RAW) return result.data;
  const page = new Uint8Array(pageSize);
  expect(codecByName(codec).decompress(result.data, page)).toBe(pageSize);
  return page;
}

/** What the decoder in TypeScript says: the bytes, or undefined for a stream it refuses. */
function reference(codec: KernelCodec, input: Uint8Array, capacity: number): Uint8Array | undefined {
  const output = new Uint8Array(capacity);
  try {
    return output.subarray(0, codecByName(codec).decompress(input, output));
  } catch (error) {
    if (isDumpError(error)) return undefined;
    throw error;
  }
}

/**
 * One memory of 64 KiB with an input and an output whose surroundings, up to the memory's ends, are watched.
 * Streams end where the memory does but for SLACK, or pages do: nothing may trap.
 */
class Arena {
  readonly kernels: PageKernels = PageKernels.create(new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true }));
  readonly size: number = 65536;
  readonly memory: Uint8Array = this.kernels.bytes(0, this.size);
  readonly before: Uint8Array = new Uint8Array(this.size);

  /** Decompresses with the kernel; checks that nothing outside of the output and SLACK changed. `behind` lies behind the input. */
  decompress(codec: KernelCodec, input: Uint8Array, capacity: number, outputLast: boolean, behind?: Uint8Array): Uint8Array | undefined {
    const low = 64 + 1000;
    const inputAt = outputLast ? low : this.size - SLACK - input.length;
    const outputAt = outputLast ? this.size - SLACK - capacity : low;
    this.memory.fill(0xa5);
    this.memory.set(input, inputAt);
    if (behind) this.memory.set(behind.subarray(0, SLACK), inputAt + input.length);
    this.before.set(this.memory);
    const result = this.kernels.decompress(codec, inputAt, input.length, outputAt, capacity);
    const end = outputAt + capacity + SLACK;
    const untouched =
      Buffer.compare(this.memory.subarray(0, outputAt), this.before.subarray(0, outputAt)) === 0 &&
      Buffer.compare(this.memory.subarray(end), this.before.subarray(end)) === 0;
    if (!untouched) throw new Error(`${codec} wrote outside of its output: ${Buffer.from(input).toString("hex")}`);
    if (result < 0) return undefined;
    expect(result).toBeLessThanOrEqual(capacity);
    return this.memory.slice(outputAt, outputAt + result);
  }
}

function expectSame(codec: KernelCodec, input: Uint8Array, got: Uint8Array | undefined, want: Uint8Array | undefined): void {
  if (got === undefined && want === undefined) return;
  if (got !== undefined && want !== undefined && Buffer.compare(got, want) === 0) return;
  const hex = Buffer.from(input).toString("hex");
  throw new Error(`${codec}: kernel gives ${got?.length ?? "nothing"}, TypeScript ${want?.length ?? "nothing"} of ${hex}`);
}

describe("zeroPages", () => {
  test.each(PAGE_SIZES)("pages of %i bytes: a single bit anywhere counts", (pageSize) => {
    const kernels = PageKernels.create();
    const batch = kernels.allocateBatch(pageSize, 3);
    const source = kernels.bytes(batch.source, 3 * pageSize);
    const flags = kernels.bytes(batch.flags, 3);
    // What lies behind the pages does not count.
    kernels.bytes(batch.source + 3 * pageSize, SLACK).fill(0xff);
    flags.fill(0xff);
    expect(kernels.zeroPages(batch, 3)).toBe(3);
    expect([...flags]).toEqual([FLAG_ZERO, FLAG_ZERO, FLAG_ZERO]);
    for (let at = 0; at < pageSize; at += at < 256 || at > pageSize - 256 ? 1 : 61) {
      source[pageSize + at] = 1 << (at & 7);
      if (kernels.zeroPages(batch, 3) !== 2) throw new Error(`byte ${at} does not count`);
      source[pageSize + at] = 0;
    }
    source[pageSize] = 1;
    expect(kernels.zeroPages(batch, 3)).toBe(2);
    expect([...flags]).toEqual([FLAG_ZERO, 0, FLAG_ZERO]);
    expect(kernels.zeroPages(batch, 0)).toBe(0);
  });
});

describe.each(COMPRESSORS)("%s", (codec) => {
  test.each(PAGE_SIZES)("pages of %i bytes survive a round trip", (pageSize) => {
    const kernels = PageKernels.create();
    const pages = realisticPages(pageSize);
    const batch = kernels.allocateBatch(pageSize, pages.length);
    const results = compressAll(kernels, codec, batch, pages);
    const input = kernels.allocate(pageSize);
    const output = kernels.allocate(pageSize);
    for (const [i, result] of results.entries()) {
      expect(Buffer.compare(decode(codec, result, pageSize), pages[i]!)).toBe(0);
      if (result.flag === FLAG_RAW) {
        expect(result.data.length).toBe(pageSize);
        continue;
      }
      expect(result.data.length).toBeLessThan(pageSize);
      // To the kernel's LZO decoder, 17 in front announces another version of the stream.
      if (codec === "lzo") expect(result.data[0]).not.toBe(17);
      if (codec === "zlib") continue;
      kernels.bytes(input, pageSize).set(result.data);
      expect(kernels.decompress(codec, input, result.data.length, output, pageSize)).toBe(pageSize);
      expect(Buffer.compare(kernels.bytes(output, pageSize), pages[i]!)).toBe(0);
    }
    expect(results[0]!.data.length).toBeLessThan(pageSize * 0.75);
    expect(results[1]!.data.length).toBeLessThan(pageSize * 0.3);
    expect(results[2]!.flag).toBe(FLAG_RAW);
    expect(results[3]!.data.length).toBeLessThan(pageSize / 20);
  });

  test("pages of any make-up survive a round trip", () => {
    const kernels = PageKernels.create();
    const batches = PAGE_SIZES.map((pageSize) => kernels.allocateBatch(pageSize, 1));
    const part = fc.record({
      kind: fc.constantFrom("zero", "noise", "same", "again", "text"),
      length: fc.oneof(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 20_000 })),
      seed: fc.integer({ min: 1, max: 1000 }),
    });
    const property = fc.property(fc.array(part, { minLength: 1, maxLength: 60 }), fc.constantFrom(...batches), (parts, batch) => {
      const page = new Uint8Array(batch.pageSize);
      const words = text(batch.pageSize);
      let at = 0;
      for (let i = 0; at < page.length; i++) {
        const { kind, length, seed } = parts[i % parts.length]!;
        const n = Math.min(length, page.length - at);
        if (kind === "noise") page.set(noise(n, seed + i), at);
        else if (kind === "same") page.fill(seed & 255, at, at + n);
        else if (kind === "text") page.set(words.subarray(0, n), at);
        else if (kind === "again" && at > 0) {
          const from = (seed * 977) % at;
          for (let k = 0; k < n; k++) page[at + k] = page[from + k]!;
        }
        at += n;
      }
      const [result] = compressAll(kernels, codec, batch, [page]);
      expect(Buffer.compare(decode(codec, result!, batch.pageSize), page)).toBe(0);
    });
    fc.assert(property, { numRuns: 300 });
  });

  test("compressors write nothing behind their output, and the result is the page's alone", () => {
    const kernels = PageKernels.create(new WebAssembly.Memory({ initial: 64, maximum: 64, shared: true }));
    const memory = kernels.bytes(0, 64 * 65536);
    const pageSize = 4096;
    const pages = realisticPages(pageSize);
    const batch = kernels.allocateBatch(pageSize, pages.length);
    const together = compressAll(kernels, codec, batch, pages);
    const single = kernels.allocateBatch(pageSize, 1);
    for (const [i, page] of pages.entries()) {
      memory.fill(0x5a, single.output - 64, single.lengths);
      // The tables' old content must not show either.
      memory.fill(i, single.table, single.table + 0x8000);
      const { output, lengths } = single;
      const [alone] = compressAll(kernels, codec, { ...single, output: output + 16 }, [page]);
      expect(alone).toEqual(together[i]);
      expect(memory.subarray(output - 64 + SLACK, output + 16).every((byte) => byte === 0x5a)).toBe(true);
      const end = output + 16 + pageSize + SLACK;
      expect(lengths).toBeGreaterThanOrEqual(end);
      expect(memory.subarray(end, lengths).every((byte) => byte === 0x5a)).toBe(true);
    }
  });

  test("skips pages that are flagged and appends without gaps", () => {
    const kernels = PageKernels.create();
    const batch = kernels.allocateBatch(4096, 4);
    const pages = [text(4096), new Uint8Array(4096), noise(4096, 9), elf(4096, 30 << 20)];
    const apart = compressAll(kernels, codec, batch, pages);
    expect(kernels.zeroPages(batch, 4)).toBe(1);
    const total = kernels.compress(codec, batch, 4);
    expect([...kernels.bytes(batch.flags, 4)]).toEqual([0, FLAG_ZERO, FLAG_RAW, 0]);
    expect([...kernels.lengths(batch, 4)]).toEqual([apart[0]!.data.length, 0, 4096, apart[3]!.data.length]);
    const want = Buffer.concat([apart[0]!.data, pages[2]!, apart[3]!.data]);
    expect(Buffer.compare(kernels.bytes(batch.output, total), want)).toBe(0);
    expect(kernels.compress(codec, batch, 0)).toBe(0);
  });
});

describe.each(CODECS)("%s's decoder", (codec) => {
  const arena = new Arena();

  test("does with random bytes what the one in TypeScript does", () => {
    const next = generator(0x1234567);
    for (let run = 0; run < 8000; run++) {
      const length = run % 3 === 0 ? next(24) : next(600);
      const input = noise(length, run);
      // Few values make streams that get farther.
      if (run & 1) for (let i = 0; i < length; i++) input[i] = input[i]! & [0x23, 0x0f, 0x83, 0x11][(run >> 1) & 3]!;
      if (codec === "snappy" && length > 3 && run & 2) input.set([0x80 | next(128), next(32)]);
      const capacity = [0, 1, 15, 16, 17, 4096][run % 6]!;
      const got = arena.decompress(codec, input, capacity, (run & 4) !== 0);
      expectSame(codec, input, got, reference(codec, input, capacity));
    }
  });

  test("does with mutated streams what the one in TypeScript does", () => {
    const kernels = PageKernels.create();
    const pages = realisticPages(4096);
    const batch = kernels.allocateBatch(4096, pages.length);
    const streams = compressAll(kernels, codec, batch, pages).filter((result) => result.flag === 0);
    const next = generator(0x7654321);
    let accepted = 0;
    const runs = 15_000;
    for (let run = 0; run < runs; run++) {
      let input = Uint8Array.from(streams[next(streams.length)]!.data);
      const how = next(4);
      if (how === 0) input = input.subarray(0, next(input.length));
      else if (how === 1) {
        const from = next(input.length);
        const other = streams[next(streams.length)]!.data;
        input = Buffer.concat([input.subarray(0, from), other.subarray(next(other.length))]);
      }
      if (how !== 0) {
        for (let i = next(3) + (how === 1 ? 0 : 1); i > 0 && input.length > 0; i--) {
          const at = next(2) === 0 ? next(Math.min(32, input.length)) : next(input.length);
          input[at] = [0, 255, next(256), input[at]! ^ (1 << next(8))][next(4)]!;
        }
      }
      const capacity = next(4) === 0 ? next(4200) : 4096;
      const got = arena.decompress(codec, input, capacity, (run & 1) !== 0);
      expectSame(codec, input, got, reference(codec, input, capacity));
      if (got !== undefined) accepted++;
    }
    // Of both kinds enough to mean something.
    expect(accepted).toBeGreaterThan(runs / 100);
    expect(accepted).toBeLessThan(runs * 0.9);
  });

  test("refuses every prefix of a stream, and room that is a byte too small", () => {
    const kernels = PageKernels.create();
    const pages = [text(4096), slab(4096), new Uint8Array(4096)];
    const streams = compressAll(kernels, codec, kernels.allocateBatch(4096, 3), pages).map((result) => result.data);
    // Elements that our compressor does not write: 1 to 4 bytes of literal length, 4 bytes of distance.
    if (codec === "snappy") {
      const odd = "0061" + "f0014243" + "f401004445" + "f80100004647" + "fc010000004849" + "0f01000000" + "0701000000";
      const rest = 4096 - 1 - 8 - 4 - 2;
      const literals = Buffer.from([61 << 2, (rest - 1) & 255, (rest - 1) >> 8]);
      streams.push(Buffer.concat([Buffer.from(`8020${odd}`, "hex"), literals, new Uint8Array(rest)]));
    }
    for (const data of streams) {
      expect(arena.decompress(codec, data, 4096, true)).toHaveLength(4096);
      expect(arena.decompress(codec, data, 4095, true)).toBeUndefined();
      for (let length = 0; length < data.length; length++) {
        const prefix = data.subarray(0, length);
        // What lies behind the input would go on well: it must not count.
        const got = arena.decompress(codec, prefix, 4096, true, data.subarray(length));
        expectSame(codec, prefix, got, reference(codec, prefix, 4096));
      }
    }
  });

  test("lengths near 2^32 do not wrap", () => {
    const kernels = PageKernels.create();
    const input = kernels.allocate(MAX_BLOCK);
    const output = kernels.allocate(64);
    const guard = kernels.bytes(output + 64 + SLACK, 4096);
    const bytes = kernels.bytes(input, MAX_BLOCK);
    const attacks: Record<KernelCodec, readonly [fill: number, head: number[]][]> = {
      lzo: [
        [0, []],
        [0, [18, 65, 0x20]],
        [0, [18, 65, 0x10]],
      ],
      lz4: [
        [255, []],
        [255, [0x1f, 65, 1, 0]],
      ],
      snappy: [
        [255, [64, 0xfc, 255, 255, 255, 255]],
        [255, [64, 0xfc, 254, 255, 255, 255]],
        [255, [64, 0, 65, 3, 255, 255, 255, 255]],
        [255, [64, 0, 65, 0xff, 0, 0, 0, 128]],
      ],
    };
    for (const [fill, head] of attacks[codec]) {
      bytes.fill(fill);
      bytes.set(head);
      bytes[MAX_BLOCK - 1] = 1;
      for (const cut of [0, 1, 2, 3, 4, 5]) expect(kernels.decompress(codec, input, MAX_BLOCK - cut, output, 64)).toBeLessThan(0);
      expect(guard.every((byte) => byte === 0)).toBe(true);
    }
  });
});

describe("zlib's codes", () => {
  /** Bytes of which each is about `ratio` times as frequent as the next. */
  function skewed(length: number, ratio: number, seed: number): Uint8Array {
    const next = generator(seed);
    return Uint8Array.from({ length }, () => {
      let byte = 0;
      while (byte < 255 && next(1 << 20) >= (1 << 20) * (1 - 1 / ratio)) byte++;
      return byte;
    });
  }

  test.each(PAGE_SIZES)("pages of %i bytes whose bytes are anything from equally to unequally frequent", (pageSize) => {
    const kernels = PageKernels.create();
    const pages: Uint8Array[] = [];
    for (let seed = 1; seed <= 40; seed++) pages.push(skewed(pageSize, 1 + 2 ** ((seed % 10) - 5), seed * 77));
    const results = compressAll(kernels, "zlib", kernels.allocateBatch(pageSize, pages.length), pages);
    for (const [i, result] of results.entries()) expect(Buffer.compare(decode("zlib", result, pageSize), pages[i]!)).toBe(0);
  });

  test("a few bytes and nothing else, and matches of every length and many distances", () => {
    const kernels = PageKernels.create();
    const pages: Uint8Array[] = [];
    for (let length = 3; length <= 300; length++) {
      // Twice the same bytes, `length` of them, with noise between that no other page has.
      const unit = noise(length, length);
      pages.push(Buffer.concat([unit, noise(length * 7, length + 1000), unit, new Uint8Array(4096)]).subarray(0, 4096));
      pages.push(new Uint8Array(4096).fill(7, length * 13, length * 13 + 1));
    }
    const results = compressAll(kernels, "zlib", kernels.allocateBatch(4096, pages.length), pages);
    for (const [i, result] of results.entries()) {
      expect(result.flag).toBe(0);
      expect(Buffer.compare(decode("zlib", result, 4096), pages[i]!)).toBe(0);
    }
  });
});

describe("streams that would go on well behind their end", () => {
  test.each<[KernelCodec, string, string]>([
    ["snappy", "a distance of 1 byte", "0500610101"],
    ["snappy", "a distance of 2 bytes", "0500610e0100"],
    ["snappy", "a distance of 4 bytes", "0500610f01000000"],
    ["lzo", "a distance, and literals after", "156162636420010c000f30313233343536373839"],
    ["lzo", "a distance, and a match of any length after", "156162636420010c00200000000000000000000000"],
    ["lzo", "literals after a match", "15616263644d000f3031323334353637383961626364"],
    ["lz4", "a distance", "1f610100ff00f03031323334353637"],
  ])("%s: %s", (codec, _, hex) => {
    const stream = Buffer.from(hex, "hex");
    const arena = new Arena();
    for (let length = 0; length <= stream.length; length++) {
      const prefix = stream.subarray(0, length);
      for (const outputLast of [false, true]) {
        const got = arena.decompress(codec, prefix, 4096, outputLast, stream.subarray(length));
        expectSame(codec, prefix, got, reference(codec, prefix, 4096));
      }
    }
  });
});

describe("snappy's lengths", () => {
  test.each([
    ["declared in over five bytes", "8180808080000041"],
    ["declared in five bytes, zero on top", "81808080000041"],
    ["declared in more than 32 bits", "81808080700041"],
    ["empty", "00"],
    ["2^32 literals, which must not pass for none", "01fcffffffff0041"],
  ])("%s: as in TypeScript", (_, hex) => {
    const input = Buffer.from(hex, "hex");
    expectSame("snappy", input, new Arena().decompress("snappy", input, 16, false), reference("snappy", input, 16));
  });
});

describe("PageKernels", () => {
  test("regions are aligned, zero and apart, and the memory grows", () => {
    const kernels = PageKernels.create();
    const first = kernels.allocate(1);
    const early = kernels.bytes(first, 1);
    const second = kernels.allocate(1 << 20);
    expect(first % 64).toBe(0);
    expect(second % 64).toBe(0);
    expect(second).toBeGreaterThanOrEqual(first + 1 + SLACK);
    expect(kernels.bytes(second, 1 << 20).every((byte) => byte === 0)).toBe(true);
    // A view from before the memory grew.
    early[0] = 77;
    expect(kernels.bytes(first, 1)[0]).toBe(77);
  });

  test("an allocation that does not fit leaves nothing behind", () => {
    const kernels = PageKernels.create(new WebAssembly.Memory({ initial: 1, maximum: 2, shared: true }));
    expect(() => kernels.allocate(200_000)).toThrow(RangeError);
    expect(() => kernels.allocate(2 ** 33)).toThrow(RangeError);
    expect(() => kernels.allocate(-1)).toThrow(RangeError);
    expect(kernels.allocate(100_000)).toBe(64);
    expect(() => kernels.allocate(100_000)).toThrow(RangeError);
  });

  test("refuses regions outside of the memory", () => {
    const kernels = PageKernels.create(new WebAssembly.Memory({ initial: 2, maximum: 2, shared: true }));
    const size = 2 * 65536;
    for (const [at, length] of [
      [0, 8],
      [size - 8, 8],
      [size - 8 - SLACK + 1, 8],
      [-64, 8],
      [64.5, 8],
      [64, -1],
      [2 ** 32 + 64, 8],
      [64, 2 ** 32],
      [Number.NaN, 8],
    ] as const) {
      expect(() => kernels.decompress("lzo", at, length, 4096, 64)).toThrow(RangeError);
      expect(() => kernels.decompress("lzo", 4096, 64, at, length)).toThrow(RangeError);
    }
    expect(kernels.decompress("lzo", size - 8 - SLACK, 8, 4096, 64)).toBeLessThan(0);
    const batch = kernels.allocateBatch(4096, 2);
    for (const wrong of [
      { source: size - 4096 },
      { output: size - 4096 },
      { flags: size },
      { lengths: batch.lengths + 2 },
      { lengths: size },
      { table: size - 4096 },
      { pageSize: 2048 },
      { pageSize: 5000 },
      { pageSize: 131_072 },
    ]) {
      expect(() => kernels.compress("lzo", { ...batch, ...wrong }, 2)).toThrow(RangeError);
      expect(() => kernels.zeroPages({ ...batch, ...wrong }, 2)).toThrow(RangeError);
    }
    for (const count of [3, -1, 0.5, Number.NaN]) expect(() => kernels.compress("lzo", batch, count)).toThrow(RangeError);
    for (const pages of [0, 65_537, 1.5]) expect(() => kernels.allocateBatch(4096, pages)).toThrow(RangeError);
    expect(() => kernels.allocateBatch(4095, 1)).toThrow(RangeError);
  });

  test("a memory that is not shared is refused", () => {
    expect(() => PageKernels.create(new WebAssembly.Memory({ initial: 1, maximum: 1 }))).toThrow(TypeError);
  });

  test("workers allocate and compress on one memory", async () => {
    const kernels = PageKernels.create();
    const pages = [text(4096), slab(4096), elf(4096, 30 << 20)];
    const want = compressAll(kernels, "lzo", kernels.allocateBatch(4096, 3), pages);
    const program = `
      const { workerData, parentPort } = require("node:worker_threads");
      import(workerData.url).then(({ PageKernels }) => {
        const kernels = PageKernels.create(workerData.memory);
        const batches = [];
        for (let i = 0; i < 50; i++) batches.push(kernels.allocateBatch(4096, 3));
        for (const batch of batches) {
          workerData.pages.forEach((page, i) => kernels.bytes(batch.source + i * 4096, 4096).set(page));
          kernels.compress("lzo", batch, 3);
        }
        parentPort.postMessage(batches);
      });`;
    const workerData = { url: new URL("kernels.ts", import.meta.url).href, memory: kernels.memory, pages };
    const run = (): Promise<PageBatch[]> =>
      new Promise((resolve, reject) => {
        const worker = new Worker(program, { eval: true, workerData });
        worker.once("message", resolve);
        worker.once("error", reject);
      });
    const batches = (await Promise.all([run(), run()])).flat();
    const starts = new Set(batches.map((batch) => batch.source));
    expect(starts.size).toBe(100);
    const all = Buffer.concat(want.map((result) => result.data));
    for (const batch of batches) {
      expect([...kernels.lengths(batch, 3)]).toEqual(want.map((result) => result.data.length));
      expect(Buffer.compare(kernels.bytes(batch.output, all.length), all)).toBe(0);
    }
  });
});

/*
 * The C libraries, where the machine has them: python3 reads "size, stream" pairs (size 0: compress instead), answers
 * with what the library makes of each.
 */
const PYTHON = `
import ctypes as C, struct, sys, zlib
codec, page = sys.argv[1], int(sys.argv[2])
lib = None if codec == "zlib" else C.CDLL({"lzo": "liblzo2.so.2", "snappy": "libsnappy.so.1", "lz4": "liblz4.so.1"}[codec])
room = page * 2 + 1024
out, work = C.create_string_buffer(room), C.create_string_buffer(1 << 18)
def run(compress, data):
    if codec == "zlib":
        if compress: return zlib.compress(data, 1)
        stream = zlib.decompressobj()
        plain = stream.decompress(data)
        return plain if stream.eof and not stream.unused_data else b""
    n = C.c_size_t(room if compress else page)
    if codec == "lzo":
        if compress: r = lib.lzo1x_1_compress(data, C.c_size_t(len(data)), out, C.byref(n), work)
        else: r = lib.lzo1x_decompress_safe(data, C.c_size_t(len(data)), out, C.byref(n), None)
    elif codec == "snappy":
        if compress: r = lib.snappy_compress(data, C.c_size_t(len(data)), out, C.byref(n))
        else: r = lib.snappy_uncompress(data, C.c_size_t(len(data)), out, C.byref(n))
    else:
        if compress: r = lib.LZ4_compress_default(data, out, len(data), room)
        else: r = lib.LZ4_decompress_safe(data, out, len(data), page)
        n, r = C.c_size_t(max(r, 0)), 0 if r > 0 else 1
    return out.raw[:n.value] if r == 0 else b""
if len(sys.argv) > 3: sys.exit(0)
data, at = sys.stdin.buffer.read(), 0
while at < len(data):
    compress, n = struct.unpack_from("<II", data, at)
    r = run(compress, data[at + 8:at + 8 + n])
    at += 8 + n
    sys.stdout.buffer.write(struct.pack("<I", len(r)) + r)
`;

function python(codec: KernelCompressor, pageSize: number, requests: readonly [compress: boolean, data: Uint8Array][]): Uint8Array[] {
  const input = requests.flatMap(([compress, data]) => [Buffer.from(Uint32Array.of(compress ? 1 : 0, data.length).buffer), data]);
  const result = spawnSync("python3", ["-c", PYTHON, codec, String(pageSize)], { input: Buffer.concat(input), maxBuffer: 1 << 28 });
  if (result.status !== 0) throw new Error(result.stderr.toString());
  const answers: Uint8Array[] = [];
  for (let at = 0; at < result.stdout.length;) {
    const length = result.stdout.readUInt32LE(at);
    answers.push(result.stdout.subarray(at + 4, at + 4 + length));
    at += 4 + length;
  }
  return answers;
}

describe.each(COMPRESSORS)("%s and its C library", (codec) => {
  const there = spawnSync("python3", ["-c", PYTHON, codec, "4096", "probe"]).status === 0;
  test.skipIf(!there).each([4096, 65536])("read each other's pages of %i bytes, equally dense", (pageSize) => {
    const kernels = PageKernels.create();
    const pages = realisticPages(pageSize);
    for (let i = 0; i < 200; i++) pages.push(elf(pageSize, (10 << 20) + i * 0x4_0000));
    const results = compressAll(kernels, codec, kernels.allocateBatch(pageSize, pages.length), pages);
    const kept = results.flatMap((result, i) => (result.flag === 0 ? [i] : []));
    const theirs = python(codec, pageSize, [
      ...kept.map((i) => [false, results[i]!.data] as [boolean, Uint8Array]),
      ...kept.map((i) => [true, pages[i]!] as [boolean, Uint8Array]),
    ]);
    const input = kernels.allocate(pageSize * 2);
    const output = kernels.allocate(pageSize);
    let ourBytes = 0;
    let theirBytes = 0;
    for (const [k, i] of kept.entries()) {
      expect(Buffer.compare(theirs[k]!, pages[i]!)).toBe(0);
      const stream = theirs[kept.length + k]!;
      if (codec !== "zlib") {
        kernels.bytes(input, stream.length).set(stream);
        expect(kernels.decompress(codec, input, stream.length, output, pageSize)).toBe(pageSize);
        expect(Buffer.compare(kernels.bytes(output, pageSize), pages[i]!)).toBe(0);
      }
      ourBytes += results[i]!.data.length;
      theirBytes += stream.length;
    }
    expect(ourBytes / theirBytes).toBeLessThan(1.02);
  });
});

describe("a piece of a page array", () => {
  const kernels = PageKernels.create();
  const piece = kernels.allocatePiece(64, 128);

  test("is checked before it is looked at", () => {
    for (const count of [-1, 129, 1.5, NaN]) expect(() => kernels.classify(piece, count, 0, 0), `${count}`).toThrow(RangeError);
    for (const bit of [-1, 8]) expect(() => kernels.classify(piece, 1, 0, bit), `${bit}`).toThrow(RangeError);
    const end = kernels.memory.buffer.byteLength;
    for (const place of ["source", "kept", "rules"] as const) {
      for (const at of [0, end - 16, end])
        expect(() => kernels.classify({ ...piece, [place]: at }, 1, 0, 0), `${place} ${at}`).toThrow(RangeError);
    }
    expect(kernels.classify(piece, 128, 0, 7)).toBe(0);
    expect(() => kernels.clearBits(piece, 0, 129)).toThrow(RangeError);
  });

  test("has bits to clear, and the others stay", () => {
    const bits = kernels.bytes(piece.kept, 17);
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 17, maxLength: 17 }), fc.nat(7), fc.nat(128), (before, bit, count) => {
        bits.set(before);
        const cleared = kernels.clearBits(piece, bit, count);
        const wanted = before.slice();
        let set = 0;
        for (let at = bit; at < bit + count; at++) {
          set += (wanted[at >> 3]! >> (at & 7)) & 1;
          wanted[at >> 3]! &= ~(1 << (at & 7));
        }
        expect([...bits]).toEqual([...wanted]);
        expect(cleared).toBe(set);
      }),
    );
  });
});
