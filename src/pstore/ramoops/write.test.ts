import { decodeLatin1, encodeLatin1 } from "../../bytes/index.ts";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { RamoopsZoneWriter, type ZoneStore } from "./write.ts";
import { readZone } from "./zone.ts";

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
    this.stores.push([offset, bytes.length]);
    const length = Math.min(bytes.length, Math.max(0, this.cut - this.written));
    this.bytes.set(bytes.subarray(0, length), offset);
    this.written += length;
  }
}

const logOf = (memory: Memory, ecc: number): string => decodeLatin1(readZone(memory.bytes, ecc, true).log);

/** What a ring of this capacity holds after these writes: the last bytes of all of them. */
const lastOf = (texts: readonly string[], capacity: number): string => texts.join("").slice(-capacity);

/** Text of a length whose pieces can be told apart. Strings of fast-check's own are short whatever their limit is. */
const textOf = (length: number, seed: number): string =>
  Array.from({ length }, (_, i) => String.fromCharCode(33 + ((Math.imul(i + 1, 2654435761 + seed * 40503) >>> 24) % 94))).join("");
const texts = (longest: number, most: number): fc.Arbitrary<string[]> =>
  fc
    .array(fc.integer({ min: 1, max: longest }), { maxLength: most, size: "max" })
    .map((lengths) => lengths.map((length, i) => textOf(length, i)));

describe("RamoopsZoneWriter", () => {
  const writes = texts(700, 12);

  it.each([0, 2, 16])("holds the last bytes written, with %i ECC bytes, also when attached to again", (ecc) => {
    fc.assert(
      fc.property(fc.integer({ min: 300, max: 3000 }), writes, fc.nat(12), (size, texts, again) => {
        const memory = new Memory(new Uint8Array(size));
        let writer = new RamoopsZoneWriter(memory, size, ecc);
        for (const [i, text] of texts.entries()) {
          if (i === again) writer = new RamoopsZoneWriter(memory, size, ecc);
          writer.write(encodeLatin1(text));
        }
        const zone = readZone(memory.bytes, ecc, true);
        expect(decodeLatin1(zone.log)).toBe(lastOf(texts, writer.geometry.capacity));
        expect(zone.ecc?.corrected ?? 0).toBe(0);
        expect(zone.ecc?.lostBlocks ?? 0).toBe(0);
      }),
    );
  });

  it("has the kernel's bytes for a small zone", () => {
    const memory = new Memory(new Uint8Array(64));
    new RamoopsZoneWriter(memory, 64, 0).write(encodeLatin1("HELLO"));
    expect(Buffer.from(memory.bytes.subarray(0, 20)).toString("hex")).toBe("444247430500000005000000" + "48454c4c4f000000");
    const coded = new Memory(new Uint8Array(4096));
    new RamoopsZoneWriter(coded, 4096, 16).write(encodeLatin1("HELLO"));
    expect(Buffer.from(coded.bytes.subarray(3616, 3632)).toString("hex")).toBe("d8d6f3fbf7036c2caae777950bbe6c86");
    expect(Buffer.from(coded.bytes.subarray(4080)).toString("hex")).toBe("125ca27e16ae0367152a685174cb9762");
  });

  /**
   * Every cut of a write, byte by byte. Without ECC the four bytes of `size` and of `start` count as one store: memory takes
   * them whole.
   */
  it.each([0, 16])("never loses older text to a cut, with %i ECC bytes", (ecc) => {
    fc.assert(
      fc.property(
        fc.integer({ min: 300, max: 900 }),
        texts(300, 6),
        fc.integer({ min: 1, max: 150 }).map((length) => textOf(length, 77)),
        (size, before, last) => {
          // Bytes that nobody wrote are no text: none may show up.
          const start = new Memory(new Uint8Array(size).fill(0xee));
          const writer = new RamoopsZoneWriter(start, size, ecc);
          for (const text of before) writer.write(encodeLatin1(text));
          const { capacity } = writer.geometry;
          const old = lastOf(before, capacity);
          // What this write evicts is gone whenever it stops; all the rest must be there.
          const kept = old.slice(Math.max(0, old.length + last.length - capacity));

          const whole = new Memory(start.bytes.slice());
          new RamoopsZoneWriter(whole, size, ecc).write(encodeLatin1(last));
          for (const cut of cutsOf(whole.stores, ecc > 0)) {
            const memory = new Memory(start.bytes.slice());
            memory.cut = cut;
            new RamoopsZoneWriter(memory, size, ecc).write(encodeLatin1(last));
            const log = logOf(memory, ecc);
            if (!isOldWithNew(log, old, last, capacity)) expect(`cut at ${cut}: ${log}`).toBe(`${old} and some of ${last}`);
            if (!log.includes(kept)) expect(`cut at ${cut}: ${log}`).toContain(kept);
          }
          expect(logOf(whole, ecc)).toBe(lastOf([...before, last], capacity));
        },
      ),
      { numRuns: 12, seed: 2026 },
    );
  });

  it("writes a record that its reader takes", () => {
    const memory = new Memory(new Uint8Array(1024));
    const writer = new RamoopsZoneWriter(memory, 1024, 16);
    writer.write(encodeLatin1("an older record"));
    const fit = writer.writeRecord({ seconds: 1700000000, nanoseconds: 5_000_000 }, encodeLatin1("Panic#1 Part1\n" + "x".repeat(2000)));
    expect(logOf(memory, 16)).toBe("====1700000000.005000-D\nPanic#1 Part1\n" + "x".repeat(fit - 14));
    expect(memory.bytes.length).toBe(1024);
  });
});

/**
 * Whether a log is what the ring held with the whole of a first part of the new text behind it, and before it nothing, or other
 * bytes of the new text: over the oldest ones, or not yet in their place.
 */
function isOldWithNew(log: string, old: string, last: string, capacity: number): boolean {
  for (let done = 0; done <= last.length; done++) {
    const base = lastOf([old, last.slice(0, done)], capacity);
    for (let before = 0; before <= Math.min(log.length, last.length); before++) {
      const rest = log.length - before;
      if (rest <= base.length && base.endsWith(log.slice(before)) && last.includes(log.slice(0, before))) return true;
    }
  }
  return false;
}

/** Numbers of bytes after which to cut: all, or none inside the 4-byte stores of the header. */
function* cutsOf(stores: readonly (readonly [number, number])[], everyByte: boolean): Iterable<number> {
  let done = 0;
  for (const [offset, length] of stores) {
    if (everyByte || offset >= 12) for (let i = 0; i < length; i++) yield done + i;
    else yield done;
    done += length;
  }
  yield done;
}
