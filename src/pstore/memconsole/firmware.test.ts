import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { address64, cbmemConsole, corebootTable, googleMemory } from "../../../test/writers/memconsole.ts";
import { decodeLatin1, MemorySource } from "../../bytes/index.ts";
import { recordFileName } from "../record.ts";
import { readCbmemConsole, readCorebootConsole } from "./coreboot.ts";
import { readGoogleConsole } from "./google.ts";

const google = (bytes: Uint8Array): ReturnType<typeof readGoogleConsole> => readGoogleConsole(new MemorySource(bytes));
const coreboot = (bytes: Uint8Array): ReturnType<typeof readCorebootConsole> => readCorebootConsole(new MemorySource(bytes));
const cbmem = (bytes: Uint8Array): ReturnType<typeof readCbmemConsole> => readCbmemConsole(new MemorySource(bytes));

describe("readGoogleConsole", () => {
  it.each([1, 2] as const)("reads version %i", (version) => {
    const [record, ...more] = google(googleMemory({ version, text: "firmware says\n", ...(version === 1 ? { end: 5 } : { start: 9 }) }));
    expect(more).toEqual([]);
    expect(decodeLatin1(record!.content)).toBe("firmware says\n");
    expect(recordFileName(record!)).toBe("console-google-0");
    expect(record!.problems).toEqual([]);
    expect(record!.at).toEqual({ offset: version === 1 ? 0x60001 : 0x6000a, length: 14 });
  });

  it("finds a header at the area's last byte, none behind it, and none without area", () => {
    expect(google(googleMemory({ version: 1, text: "x", at: 1023 }))).toHaveLength(1);
    expect(google(googleMemory({ version: 1, text: "x", at: 1024 }))).toEqual([]);
    const none = googleMemory({ version: 1, text: "x" });
    none.fill(0, 0x40e, 0x410);
    expect(google(none)).toEqual([]);
    expect(google(new Uint8Array(0x40f))).toEqual([]);
  });

  it("says what is wrong", () => {
    expect(google(googleMemory({ version: 1, text: "x", enabled: 0, wrapped: 1, start: 7 }))[0]!.problems).toEqual([
      "the firmware marks its console as not enabled",
      "the ring has wrapped: the text begins at 7, and is shown from the buffer's first byte on",
    ]);
    const backwards = google(googleMemory({ version: 2, text: "text", start: 9, end: 3 }))[0]!;
    expect([backwards.content.length, backwards.problems]).toEqual([0, ["the text goes from 9 to 3 of a buffer of 4096 bytes"]]);
    const beyond = google(googleMemory({ version: 2, text: "text", size: 2 }))[0]!;
    expect([decodeLatin1(beyond.content), beyond.problems.length]).toEqual(["te", 1]);
    const far = googleMemory({ version: 2, text: "text" });
    far.set([0xff, 0xff, 0xff, 0xff], 0x9fc00 + 77 + 4);
    expect(google(far)[0]!.problems).toHaveLength(1);
  });

  it("takes any header", () => {
    fc.assert(
      fc.property(
        fc.constantFrom(1 as const, 2 as const),
        fc.uint8Array({ minLength: 12, maxLength: 12 }),
        fc.nat(),
        (version, fields, length) => {
          const memory = googleMemory({ version, text: "x" });
          memory.set(fields, 0x9fc00 + 77 + 4);
          const [record] = google(memory.subarray(0, 0x9fc00 + 60 + (length % 5000)));
          expect(record?.content.length ?? 0).toBeLessThanOrEqual(0xffff);
        },
      ),
    );
  });
});

describe("readCbmemConsole", () => {
  it("reads rings that have wrapped and those that have not", () => {
    const read = (...recipe: Parameters<typeof cbmemConsole>): [string, number] => {
      const [record] = cbmem(cbmemConsole(...recipe));
      return [decodeLatin1(record!.content), record!.problems.length];
    };
    expect(read("abc\0\0", 3)).toEqual(["abc", 0]);
    expect(read("fgcde", 2, true)).toEqual(["cdefg", 0]);
    expect(read("abcde", 5, true)).toEqual(["abcde", 0]);
    expect(read("abcde", 0, true)).toEqual(["abcde", 0]);
    expect(read("abcde", 5)).toEqual(["abcde", 0]);
    expect(read("abcde", 9)).toEqual(["abcde", 1]);
    expect(read("abcde", 9, true)).toEqual(["abcde", 1]);
    // Cut off: what is there, in the order in which it lies.
    expect(read("abcde", 2, true, 100)).toEqual(["abcde", 1]);
    expect(cbmem(new Uint8Array(7))).toEqual([]);
  });

  it("has no order for a ring too large to be one", () => {
    const [record] = cbmem(cbmemConsole("abc", 3, false, 0x7fff_ffff));
    expect(decodeLatin1(record!.content)).toBe("abc");
    expect(record!.problems).toEqual([`the console's size is ${0x7fff_ffff} bytes; the first ${16 * 1024 * 1024} are read`]);
  });

  it("takes any bytes", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40, size: "max" }), (bytes) => {
        const [record] = cbmem(bytes);
        expect(record?.content.length ?? 0).toBeLessThanOrEqual(bytes.length);
      }),
    );
  });
});

describe("readCorebootConsole", () => {
  const console = cbmemConsole("coreboot-24.02 romstage\n\0\0\0", 24);

  /** 1 MiB with the console at 0x80000 and tables where told. */
  function memory(...tables: [number, Uint8Array][]): Uint8Array {
    const bytes = new Uint8Array(1024 * 1024);
    bytes.set(console, 0x80000);
    for (const [at, table] of tables) bytes.set(table, at);
    return bytes;
  }
  const real = corebootTable([
    [1, new Uint8Array(20)],
    [0x17, address64(0x80000)],
  ]);
  const forward = (to: number): Uint8Array => corebootTable([[0x11, address64(to)]]);

  it.each([
    ["at the bottom", memory([0x500, real])],
    ["below 1 MiB", memory([0xf0010, real])],
    ["through a forwarding entry", memory([0x500, forward(0x70000)], [0x70000, real])],
    ["behind one that has no console", memory([0x500, corebootTable([[2, new Uint8Array(4)]])], [0xf8000, real])],
  ])("finds the table %s", (_, bytes) => {
    const [record, ...more] = coreboot(bytes);
    expect(more).toEqual([]);
    expect(decodeLatin1(record!.content)).toBe("coreboot-24.02 romstage\n");
    expect(recordFileName(record!)).toBe("console-cbmem-0");
    expect(record!.problems).toEqual([]);
    expect(record!.at).toEqual({ offset: 0x80000, length: 32 });
  });

  it("takes no table whose header lacks its checksum, says so of the entries', and ends with tables that forward to themselves", () => {
    const header = real.slice();
    header[8]! ^= 1;
    expect(coreboot(memory([0x500, header]))).toEqual([]);
    const entries = real.slice();
    entries[40]! ^= 1;
    expect(coreboot(memory([0x500, entries]))[0]!.problems).toEqual(["coreboot's table does not have its checksum"]);
    // An entry of no bytes has no next one.
    const endless = real.slice();
    endless[28] = 0;
    expect(coreboot(memory([0x500, endless]))).toEqual([]);
    expect(coreboot(memory([0x500, forward(0x500)]))).toEqual([]);
    expect(coreboot(memory([0x504, real]))).toEqual([]);
    expect(coreboot(memory([0x500, corebootTable([[0x17, address64(2 ** 40)]])]))[0]!.problems).toHaveLength(1);
    expect(coreboot(new Uint8Array(10))).toEqual([]);
  });

  it("takes any damage", () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(real.length - 1), fc.nat(255)), { maxLength: 4 }),
        fc.nat(40),
        fc.nat(255),
        (changes, at, value) => {
          const table = real.slice();
          for (const [i, byte] of changes) table[i] = byte;
          // Entries are read behind a header that is whole.
          const inside = real.slice();
          inside[24 + (at % (real.length - 24))] = value;
          for (const damaged of [table, inside]) {
            const bytes = memory([0x500, damaged]);
            bytes[0x80000 + (at % 8)] = value;
            for (const { content } of coreboot(bytes)) expect(content.length).toBeLessThanOrEqual(bytes.length);
          }
        },
      ),
      { numRuns: 60 },
    );
  });
});
