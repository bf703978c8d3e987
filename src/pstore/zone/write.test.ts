import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decodeLatin1, encodeLatin1, MemorySource } from "../../bytes/index.ts";
import { decompressPayload } from "../payload.ts";
import type { ZoneStore } from "../ramoops/write.ts";
import type { RecordType } from "../record.ts";
import { PSZ_HEADER_SIZE } from "./layout.ts";
import { type PszContent, readPsz } from "./read.ts";
import { PszZoneWriter, writePszRecord } from "./write.ts";

/** A device that dies: after `cut` bytes in all stores nothing more is written. */
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
    if (offset + bytes.length > this.bytes.length) throw new Error(`${bytes.length} bytes at ${offset} reach behind the zone`);
    this.stores.push([offset, bytes.length]);
    const length = Math.min(bytes.length, Math.max(0, this.cut - this.written));
    this.bytes.set(bytes.subarray(0, length), offset);
    this.written += length;
  }
}

function read(bytes: Uint8Array, type: RecordType): PszContent {
  const slots = [{ type, index: 0, offset: 0, size: bytes.length }];
  return readPsz(new MemorySource(bytes), { slots, littleEndian: true }, decompressPayload);
}

const logOf = (bytes: Uint8Array): string => {
  const record = read(bytes, "console").records.find(({ state }) => state === "kept");
  return record ? decodeLatin1(record.content) : "";
};

/** What a ring of this capacity holds after these writes: the last bytes of all of them. */
const lastOf = (texts: readonly string[], capacity: number): string => texts.join("").slice(-capacity);

const attach = (memory: Memory): PszZoneWriter => new PszZoneWriter(memory, memory.bytes.length, "console");

/** The kernel's own ring (linux:fs/pstore/zone.c:psz_record_write), from what its source does: the model to compare with. */
function kernelWrite(zone: Uint8Array, text: Uint8Array): void {
  const view = new DataView(zone.buffer, zone.byteOffset);
  const capacity = zone.length - 12;
  let isFull = view.getInt32(4, true) >= capacity;
  let rest = text.length > capacity ? text.subarray(text.length - capacity) : text;
  let start = view.getInt32(8, true);
  const store = (bytes: Uint8Array, at: number): void => {
    zone.set(bytes, 12 + at);
    view.setInt32(4, at + bytes.length, true);
  };
  const room = capacity - start;
  if (room < rest.length) {
    store(rest.subarray(0, room), start);
    rest = rest.subarray(room);
    start = 0;
    isFull = true;
  }
  view.setInt32(8, start + rest.length, true);
  store(rest, start);
  if (isFull) view.setInt32(4, capacity, true);
}

const writes = fc.array(fc.string({ unit: "grapheme-ascii", minLength: 1, maxLength: 700, size: "max" }), { maxLength: 12 });

describe("PszZoneWriter", () => {
  it("holds the last bytes written, as the kernel's bytes, also when attached to again", () => {
    fc.assert(
      fc.property(fc.constantFrom(64, 300, 512, 1024, 1536), writes, fc.nat(12), (size, texts, again) => {
        const memory = new Memory(new Uint8Array(size));
        const kernel = new Uint8Array(size);
        new DataView(kernel.buffer).setUint32(0, 0x43474244 ^ 2, true);
        let writer = attach(memory);
        for (const [i, text] of texts.entries()) {
          if (i === again) writer = attach(memory);
          writer.write(encodeLatin1(text));
          kernelWrite(kernel, encodeLatin1(text));
        }
        expect(logOf(memory.bytes)).toBe(lastOf(texts, writer.capacity));
        expect(Buffer.from(memory.bytes).toString("hex")).toBe(Buffer.from(kernel).toString("hex"));
      }),
    );
  });

  it("has the kernel's bytes for a small zone, and the capacity as length of a ring that went round", () => {
    const memory = new Memory(new Uint8Array(32));
    const writer = attach(memory);
    writer.write(encodeLatin1("HELLO"));
    // Signature 0x43474244 ^ PSTORE_TYPE_CONSOLE, datalen, start.
    expect(Buffer.from(memory.bytes.subarray(0, 20)).toString("hex")).toBe("464247430500000005000000" + "48454c4c4f000000");
    writer.write(encodeLatin1("0123456789ABCDE"));
    // Full to the last byte: start stands at the end.
    expect(Buffer.from(memory.bytes.subarray(0, 12)).toString("hex")).toBe("464247431400000014000000");
    writer.write(encodeLatin1("xyz"));
    expect(Buffer.from(memory.bytes.subarray(0, 12)).toString("hex")).toBe("464247431400000003000000");
    expect(logOf(memory.bytes)).toBe("LO0123456789ABCDExyz");
  });

  it("empties a zone that is none, and takes text of a full ring whose start stands at the end", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 512, maxLength: 512 }), fc.string({ unit: "grapheme-ascii", minLength: 1 }), (zone, text) => {
        const memory = new Memory(zone.slice());
        attach(memory).write(encodeLatin1(text));
        expect(logOf(memory.bytes)).toBe(lastOf([text], 500));
      }),
    );
    const full = new Memory(new Uint8Array(32));
    attach(full).write(encodeLatin1("01234567890123456789"));
    attach(full).write(encodeLatin1("new"));
    expect(logOf(full.bytes)).toBe("34567890123456789new");
  });

  it.each([
    [-1, 0],
    [501, 0],
    [500, 501],
    [10, -5],
  ])("trusts no header with datalen %i and start %i", (datalen, start) => {
    const memory = new Memory(new Uint8Array(512).fill(0x61));
    const view = new DataView(memory.bytes.buffer);
    view.setUint32(0, (0x43474244 ^ 2) >>> 0, true);
    view.setInt32(4, datalen, true);
    view.setInt32(8, start, true);
    attach(memory).write(encodeLatin1("b"));
    expect(logOf(memory.bytes)).toBe("b");
  });

  /** Every cut of a write: bytes of text one by one; the 12 bytes of header lie in one sector, which the device takes whole. */
  it("never loses older text to a cut", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 100, max: 600 }),
        fc.array(fc.string({ unit: "grapheme-ascii", minLength: 1, maxLength: 300, size: "max" }), { maxLength: 6 }),
        fc.string({ unit: "grapheme-ascii", minLength: 1, maxLength: 200, size: "max" }),
        (size, before, last) => {
          // Bytes that nobody wrote are no text: none may show up.
          const start = new Memory(new Uint8Array(size).fill(0xee));
          const writer = attach(start);
          for (const text of before) writer.write(encodeLatin1(text));
          const { capacity } = writer;
          const old = lastOf(before, capacity);
          const kept = old.slice(Math.max(0, old.length + last.length - capacity));
          const whole = new Memory(start.bytes.slice());
          attach(whole).write(encodeLatin1(last));
          for (const cut of cutsOf(whole.stores)) {
            const memory = new Memory(start.bytes.slice());
            memory.cut = cut;
            attach(memory).write(encodeLatin1(last));
            const log = logOf(memory.bytes);
            if (!log.includes(kept)) expect(`cut at ${cut}: ${log}`).toContain(kept);
            if (log.includes("\xee")) expect(`cut at ${cut}: ${log}`).toBe("without bytes that nobody wrote");
            // And the next recorder goes on from there.
            memory.cut = Number.POSITIVE_INFINITY;
            attach(memory).write(encodeLatin1("<again>"));
            expect(logOf(memory.bytes).endsWith("<again>".slice(-capacity))).toBe(true);
          }
          expect(logOf(whole.bytes)).toBe(lastOf([...before, last], capacity));
        },
      ),
      { numRuns: 40, seed: 2026 },
    );
  });
});

describe("writePszRecord", () => {
  const time = { seconds: 1_700_000_000, nanoseconds: 5_000_000 };

  it("writes what the reader, and the kernel, take for a record", () => {
    const memory = new Memory(new Uint8Array(512).fill(0xee));
    const fit = writePszRecord(memory, 512, { time, text: encodeLatin1("Panic#3 Part1\n" + "x".repeat(999)), reason: "Panic", count: 3 });
    expect(fit).toBe(512 - 12 - 40);
    // linux:fs/pstore/zone.c:struct psz_buffer, struct psz_kmsg_header, 64 bits.
    expect(Buffer.from(memory.bytes.subarray(0, 52)).toString("hex")).toBe(
      "44424743" +
        "f4010000" +
        "00000000" +
        "e53afc4d00000000" +
        "00f1536500000000" +
        "404b4c0000000000" +
        "0000000003000000" +
        "0100000000000000",
    );
    const [record, ...more] = read(memory.bytes, "dmesg").records;
    expect(more).toEqual([]);
    expect(record).toMatchObject({ state: "kept", reason: "Panic", count: 3, time, compression: "none" });
    expect(decodeLatin1(record!.content)).toBe(`Panic: Total 3 times\nPanic#3 Part1\n${"x".repeat(fit - 14)}`);
  });

  it("shows nothing, or the whole record, wherever it is cut", () => {
    const text = encodeLatin1("Oops#1 Part1\nnew record");
    const before = new Memory(new Uint8Array(512));
    writePszRecord(before, 512, { time, text: encodeLatin1("Panic#1 Part1\nold record"), reason: "Panic", count: 1 });
    const whole = new Memory(before.bytes.slice());
    writePszRecord(whole, 512, { time, text, reason: "Oops", count: 1 });
    for (const cut of cutsOf(whole.stores)) {
      const memory = new Memory(before.bytes.slice());
      memory.cut = cut;
      writePszRecord(memory, 512, { time, text, reason: "Oops", count: 1 });
      const kept = read(memory.bytes, "dmesg").records.filter(({ state }) => state === "kept");
      const texts = kept.map(({ content }) => decodeLatin1(content));
      expect([[], ["Panic: Total 1 times\nPanic#1 Part1\nold record"], ["Oops: Total 1 times\nOops#1 Part1\nnew record"]]).toContainEqual(
        texts,
      );
    }
  });

  it("writes a reason that the kernel has not as unknown, also one that every object has", () => {
    const memory = new Memory(new Uint8Array(512));
    writePszRecord(memory, 512, { time, text: encodeLatin1("x"), reason: "constructor", count: 0 });
    expect(read(memory.bytes, "dmesg").records[0]).toMatchObject({ reason: "Unknown" });
  });
});

/** Numbers of bytes after which to cut: none inside a store of the header. */
function* cutsOf(stores: readonly (readonly [number, number])[]): Iterable<number> {
  let done = 0;
  for (const [offset, length] of stores) {
    if (offset >= PSZ_HEADER_SIZE) for (let i = 0; i < length; i++) yield done + i;
    else yield done;
    done += length;
  }
  yield done;
}
