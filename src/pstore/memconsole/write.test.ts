import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { changliRegion, changliText } from "../../../test/writers/memconsole.ts";
import { decodeLatin1, encodeLatin1, MemorySource } from "../../bytes/index.ts";
import type { ZoneStore } from "../ramoops/write.ts";
import { readChangli } from "./changli.ts";
import { DIRECT_MAP, MemconsoleWriter } from "./write.ts";

/** Memory that dies: after `cut` bytes in all stores nothing more is written. */
class Memory implements ZoneStore {
  readonly bytes: Uint8Array;
  /** Offset and length of each store so far. */
  readonly stores: [number, number][] = [];
  cut = Number.POSITIVE_INFINITY;
  written = 0;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  read(offset: number, into: Uint8Array): void {
    into.set(this.bytes.subarray(offset, offset + into.length));
  }

  write(offset: number, bytes: Uint8Array): void {
    if (offset + bytes.length > this.bytes.length) throw new Error(`${bytes.length} bytes at ${offset} reach behind the region`);
    this.stores.push([offset, bytes.length]);
    const length = Math.min(bytes.length, Math.max(0, this.cut - this.written));
    this.bytes.set(bytes.subarray(0, length), offset);
    this.written += length;
  }
}

const physicalAddress = 0x3ff0_0000;
const base = DIRECT_MAP + BigInt(physicalAddress);
const attach = (memory: Memory): MemconsoleWriter => new MemconsoleWriter(memory, memory.bytes.length, { physicalAddress });
const shown = (memory: Memory): string => {
  const [record] = readChangli(new MemorySource(memory.bytes), { wordSize: 8 });
  return record?.state === "kept" ? decodeLatin1(record.content) : "";
};

const sizes = fc.oneof(fc.constantFrom(4096, 8192, 65_536), fc.integer({ min: 200, max: 900 }));
const texts = fc.array(fc.string({ unit: "grapheme-ascii", minLength: 1, maxLength: 700, size: "max" }), { maxLength: 12, size: "max" });

describe("MemconsoleWriter", () => {
  it("holds what the 2009 kernel would hold, also when attached to again", () => {
    fc.assert(
      fc.property(sizes, texts, fc.nat(12), fc.constantFrom(0, 0xee), (size, messages, again, fill) => {
        const memory = new Memory(new Uint8Array(size).fill(fill));
        let writer = attach(memory);
        for (const [i, message] of messages.entries()) {
          if (i === again) writer = attach(memory);
          writer.write(encodeLatin1(message));
        }
        const wanted = messages.join("").slice(-writer.capacity);
        expect(shown(memory)).toBe(wanted);
        expect(changliText(memory.bytes, size, base)).toBe(wanted);
        expect(writer.length).toBe(wanted.length);
        // Byte for byte as the kernel's own writer leaves it, which turns the ring over for a message longer than that.
        if (messages.some((message) => message.length > writer.capacity)) return;
        const kernel = changliRegion(size, messages, { base });
        expect(memory.bytes.subarray(0, 12)).toEqual(kernel.subarray(0, 12));
        expect(memory.bytes.subarray(16, 16 + wanted.length)).toEqual(kernel.subarray(16, 16 + wanted.length));
      }),
    );
  });

  it("keeps the text of a kernel that had the region elsewhere", () => {
    fc.assert(
      fc.property(
        fc.constantFrom(4096, 8192),
        texts,
        fc.bigInt(0n, 0xfffffn),
        fc.string({ unit: "grapheme-ascii", maxLength: 300, size: "max" }),
        (size, messages, page, more) => {
          const memory = new Memory(changliRegion(size, messages, { base: 0xffff_8000_0000_0000n + page * 4096n, fill: 0xee }));
          const writer = attach(memory);
          // It is ours from then on, before anything is written.
          expect(changliText(memory.bytes, size, base)).toBe(messages.join("").slice(-writer.capacity));
          writer.write(encodeLatin1(more));
          const wanted = [...messages, more].join("").slice(-writer.capacity);
          expect(shown(memory)).toBe(wanted);
          expect(changliText(memory.bytes, size, base)).toBe(wanted);
        },
      ),
    );
  });

  it("empties a region whose header is nonsense", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 16, maxLength: 16 }), (header) => {
        const memory = new Memory(new Uint8Array(8192).fill(0xee));
        memory.bytes.set(header);
        // A pointer that ends in any three digits but its length's.
        fc.pre((memory.bytes[8]! | (memory.bytes[9]! << 8)) !== 4096 && (memory.bytes[10] !== 0 || memory.bytes[9]! > 16));
        const writer = attach(memory);
        expect(changliText(memory.bytes, 8192, base)).toBe("");
        writer.write(encodeLatin1("text"));
        expect(shown(memory)).toBe("text");
      }),
    );
  });

  /** Every cut of an attachment and a write, byte by byte; those of the header's four and eight bytes count as one store. */
  it("never loses older text to a cut", () => {
    // Old text is in small letters and new text in capitals, so that a log shows what came from where.
    const small = fc.string({ unit: fc.constantFrom(..."abcdefghij\n"), minLength: 1, maxLength: 250, size: "max" });
    const capital = fc.string({ unit: fc.constantFrom(..."ABCDEFGHIJ "), minLength: 1, maxLength: 400, size: "max" });
    fc.assert(
      fc.property(
        fc.integer({ min: 100, max: 700 }),
        fc.array(small, { maxLength: 5, size: "max" }),
        capital,
        fc.constantFrom("kernel", "us", "nobody"),
        (size, messages, last, writtenBy) => {
          const before = writtenBy === "nobody" ? [] : messages;
          // Bytes that nobody wrote are no text: none may show up.
          const start = new Memory(
            writtenBy === "kernel" ? changliRegion(size, before, { base, fill: 0xee }) : new Uint8Array(size).fill(0xee),
          );
          if (writtenBy === "us") {
            const writer = attach(start);
            for (const message of before) writer.write(encodeLatin1(message));
          }
          const capacity = size - 16;
          const old = before.join("").slice(-capacity);
          // What this write evicts is gone whenever it stops; all the rest must be there.
          const kept = old.slice(Math.max(0, old.length + last.length - capacity));

          const whole = new Memory(start.bytes.slice());
          attach(whole).write(encodeLatin1(last));
          expect(shown(whole)).toBe((old + last).slice(-capacity));
          for (const cut of cutsOf(whole.stores)) {
            const memory = new Memory(start.bytes.slice());
            memory.cut = cut;
            attach(memory).write(encodeLatin1(last));
            const log = shown(memory);
            if (!isOldWithNew(log, old, kept, last.slice(-capacity))) expect(`cut at ${cut}: ${log}`).toBe(`${kept} and some of ${last}`);
            // The kernel of 2009 accepts each of them and shows the old text too.
            const theirs = changliText(memory.bytes, size, base);
            if (theirs?.includes(kept) !== true && writtenBy !== "nobody") expect(`cut at ${cut}: ${theirs}`).toContain(kept);
            // And the next writer goes on behind it.
            memory.cut = Number.POSITIVE_INFINITY;
            attach(memory).write(encodeLatin1("~"));
            expect(shown(memory)).toBe(`${log}~`.slice(-capacity));
          }
        },
      ),
      // Shrinking tries all cuts again each time.
      { numRuns: 30, seed: 2026, endOnFailure: true },
    );
  });

  it("stores no NULs, which would be taken for the end of the text", () => {
    const memory = new Memory(new Uint8Array(4096));
    attach(memory).write(Uint8Array.of(0x61, 0, 0x62));
    expect(shown(memory)).toBe("a b");
  });

  it("refuses regions without room, and addresses that are no page's", () => {
    const make = (size: number, address: number, virtual?: bigint): MemconsoleWriter =>
      new MemconsoleWriter(new Memory(new Uint8Array(8192)), size, {
        physicalAddress: address,
        ...(virtual === undefined ? {} : { base: virtual }),
      });
    for (const [size, address, virtual] of [
      [16, 0, undefined],
      [4096.5, 0, undefined],
      [4096, 100, undefined],
      [4096, -4096, undefined],
      [4096, 0, 5n],
      [4096, 0, -4096n],
      [4096, 0, 0xffff_ffff_ffff_f000n],
    ] as const) {
      expect(() => make(size, address, virtual)).toThrow(expect.objectContaining({ code: "BAD_ARGUMENT" }));
    }
    expect(make(8192, 0, 0xffff_ff00_0000_0000n).capacity).toBe(4096);
  });
});

/**
 * Whether a log is the end of the old text, with all that had to be kept, and the beginning of the new text behind it. Before it
 * may be other bytes of the new text: over the oldest ones, or not yet in their place.
 */
function isOldWithNew(log: string, old: string, kept: string, last: string): boolean {
  const parts = /^[A-J ]*([a-j\n]*)([A-J ]*)$/.exec(log);
  if (!parts) return false;
  const [, middle, end] = parts as unknown as [string, string, string];
  return old.endsWith(middle) && middle.length >= kept.length && (middle === "" || last.startsWith(end));
}

/** Numbers of bytes after which to cut: all, or none inside the stores to the header. */
function* cutsOf(stores: readonly (readonly [number, number])[]): Iterable<number> {
  let done = 0;
  for (const [offset, length] of stores) {
    if (offset >= 16) for (let i = 0; i < length; i++) yield done + i;
    else yield done;
    done += length;
  }
  yield done;
}
