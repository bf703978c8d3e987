import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { changliRegion } from "../../../test/writers/memconsole.ts";
import { type ByteSource, decodeLatin1, DumpError, MemorySource, SliceSource } from "../../bytes/index.ts";
import { recordFileName } from "../record.ts";
import { findChangli, readChangli } from "./changli.ts";

const lines = fc.array(fc.string({ unit: "grapheme-ascii", minLength: 1, maxLength: 900, size: "max" }), {
  minLength: 1,
  maxLength: 12,
  size: "max",
});
const sizes = fc.constantFrom(4096, 8192, 12_288);
const ringOf = (size: number, wordSize: 4 | 8): number => Math.min(size - 2 * wordSize, 4096);

/** Memory of which one page is not there. */
class Holed implements ByteSource {
  readonly name = "holed";
  readonly #inner: MemorySource;
  constructor(bytes: Uint8Array) {
    this.#inner = new MemorySource(bytes);
  }
  get size(): number {
    return this.#inner.size;
  }
  read(): number {
    throw new DumpError("NOT_STORED", "no such page");
  }
  close(): void {}
}

describe("readChangli", () => {
  it("reads what the 2009 kernel wrote, of both word sizes, without being told which", () => {
    fc.assert(
      fc.property(lines, sizes, fc.constantFrom(4 as const, 8 as const), fc.boolean(), (messages, size, wordSize, told) => {
        const region = changliRegion(size, messages, { wordSize, fill: 0xee });
        const records = readChangli(new MemorySource(region), told ? { wordSize } : {});
        expect(records.map(({ content }) => decodeLatin1(content))).toEqual([messages.join("").slice(-ringOf(size, wordSize))]);
        expect(records[0]!.state).toBe("kept");
        expect(records[0]!.problems).toEqual([]);
        expect(recordFileName(records[0]!)).toBe("console-memconsole-0");
      }),
    );
  });

  it("gives nothing for an empty ring and for memory that nobody wrote", () => {
    expect(readChangli(new MemorySource(changliRegion(8192, [])))).toEqual([]);
    expect(readChangli(new MemorySource(new Uint8Array(8192)))).toEqual([]);
    expect(readChangli(new MemorySource(new Uint8Array(3)))).toEqual([]);
    expect(readChangli(new Holed(new Uint8Array(8192)))).toEqual([]);
  });

  it("carves where pointer and length contradict each other", () => {
    const region = changliRegion(8192, ["<4>some text that was there\n"]);
    region[8] = 5;
    const [record] = readChangli(new MemorySource(region));
    expect(record!.state).toBe("carved");
    expect(decodeLatin1(record!.content)).toContain("<4>some text that was there");
    expect(record!.problems).toHaveLength(1);
  });

  it("takes no pointer into the header, nor one of a kernel's other half", () => {
    const region = changliRegion(4096, ["x".repeat(5000)]);
    region[0] = 3;
    region[1] = 0xf0;
    expect(readChangli(new MemorySource(region))[0]!.state).toBe("carved");
    const user = changliRegion(8192, ["<4>some text that was there\n"], { base: 0x5555_0000_0000n });
    expect(readChangli(new MemorySource(user))[0]!.state).toBe("carved");
    expect(readChangli(new MemorySource(user), { wordSize: 8 })[0]!.state).toBe("kept");
  });

  it("takes any bytes, with no more out than in", () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 64, size: "max" }),
        sizes,
        fc.constantFrom(undefined, 4 as const, 8 as const),
        fc.boolean(),
        (head, size, wordSize, littleEndian) => {
          const region = new Uint8Array(size).fill(0x41);
          region.set(head);
          for (const bytes of [region, head]) {
            for (const { content } of readChangli(new MemorySource(bytes), { littleEndian, ...(wordSize ? { wordSize } : {}) })) {
              expect(content.length).toBeLessThanOrEqual(Math.min(bytes.length, 8192));
            }
          }
        },
      ),
    );
  });
});

describe("findChangli", () => {
  it("finds regions in memory that can be read there", () => {
    const memory = new Uint8Array(3 * 1024 * 1024);
    const full = "[    0.000000] a line of the kernel's log\n".repeat(120);
    const places: [number, Uint8Array, 4 | 8, string][] = [
      [0x1000, changliRegion(8192, ["a line that is long enough\n"]), 8, "a line that is long enough\n"],
      // The ring's last bytes are in the next window.
      [0xff000, changliRegion(8192, [full]), 8, full.slice(-4096)],
      [0x180000, changliRegion(4096, [full]), 8, full.slice(-4080)],
      [0x190000, changliRegion(8192, [full], { wordSize: 4 }), 4, full.slice(-4096)],
      [0x2ff000, changliRegion(4096, ["the last page of all of memory\n"], { wordSize: 4 }), 4, "the last page of all of memory\n"],
    ];
    for (const [at, region] of places) memory.set(region, at);
    const source = new MemorySource(memory);
    const regions = findChangli(source);
    expect(regions.map(({ offset, wordSize }) => [offset, wordSize])).toEqual(places.map(([at, , wordSize]) => [at, wordSize]));
    for (const [i, { offset, size, wordSize }] of regions.entries()) {
      const [record] = readChangli(new SliceSource(source, offset, size), { wordSize });
      expect(decodeLatin1(record!.content)).toBe(places[i]![3]);
    }
    expect(regions[0]!.base).toBe(0xffff_8880_3ff0_0000n);
  });

  it("takes neither text alone nor headers with bytes that are no text", () => {
    const memory = new Uint8Array(65536).fill(0x41);
    memory.set(changliRegion(8192, ["\u0001\u0002\u0003\u0004".repeat(20)]), 0x2000);
    memory.set(changliRegion(8192, ["a user's address in front of text\n"], { base: 0x5555_0000_0000n }), 0x6000);
    expect(findChangli(new MemorySource(memory))).toEqual([]);
  });

  it("finds no more than it can hold, and passes over what cannot be read", () => {
    const region = changliRegion(4096, ["a line that is long enough\n"]);
    const memory = new Uint8Array(4096 * 100);
    for (let page = 0; page < 100; page++) memory.set(region, page * 4096);
    expect(findChangli(new MemorySource(memory))).toHaveLength(64);
    expect(findChangli(new Holed(memory))).toEqual([]);
  });

  it("takes random memory for nothing", () => {
    fc.assert(
      fc.property(fc.infiniteStream(fc.nat(255)), (stream) => {
        const memory = new Uint8Array(16_384);
        for (let i = 0; i < memory.length; i += 7) memory[i] = stream.next().value as number;
        expect(findChangli(new MemorySource(memory))).toEqual([]);
      }),
      { numRuns: 20 },
    );
  });
});
