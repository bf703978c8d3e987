import { deflateRawSync } from "node:zlib";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { decompressPayload, parseRecordName, recordFileBytes, recordFileName, recordOfFile } from "../../src/pstore/index.ts";
import { typeName } from "../../src/pstore/record.ts";

const ascii = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, "latin1"));
const TIME = { seconds: 1_700_000_000, nanoseconds: 5 };

describe("names of record files", () => {
  test.each([
    ["dmesg-ramoops-0", "dmesg", "ramoops", "0", false, false],
    ["dmesg-efi_pstore-170000000001001", "dmesg", "efi_pstore", "170000000001001", false, false],
    ["dmesg-erst-6312345678901234567.enc.z", "dmesg", "erst", "6312345678901234567", true, false],
    ["pmsg-ramoops-0.carved", "pmsg", "ramoops", "0", false, true],
    ["dmesg-pstore_blk-3.enc.z.carved", "dmesg", "pstore_blk", "3", true, true],
    ["powerpc-ofw-nvram-2", "powerpc-ofw", "nvram", "2", false, false],
    ["powerpc-common-nvram-3", "powerpc-common", "nvram", "3", false, false],
    ["powerpc-opal-nvram-1", "powerpc-opal", "nvram", "1", false, false],
    ["tty-multi-word-backend-12", "tty", "multi-word-backend", "12", false, false],
    ["unknown-erst-1", "dmesg", "erst", "1", false, false],
  ])("%s", (name, type, backend, id, compressed, carved) => {
    expect(parseRecordName(name)).toEqual({ type, backend, id, compressed, carved });
  });

  test.each([
    "",
    "dmesg",
    "dmesg.txt",
    "dmesg-ramoops",
    "dmesg-ramoops-",
    "dmesg-ramoops-x",
    "dmesg--0",
    "dmesg-../../etc-0",
    "dmesg-ram/oops-0",
    "dmesg-ramoops-0.enc.zz",
    "dmesg-ramoops-0\n",
    "dmesg-0-0",
    "dmesg-ramoops-999999999999999999999",
    "DMESG-ramoops-0",
    // A property that every object has is no type.
    "constructor-ramoops-0",
    "vmcore-dmesg-1",
  ])("%j is none", (name) => {
    expect(parseRecordName(name)).toBeUndefined();
  });

  test("any name that a kernel or extract gives is parsed back", () => {
    fc.assert(
      fc.property(
        fc.nat(9),
        fc.constantFrom("ramoops", "efi_pstore", "pstore_blk", "mtdpstore", "erst", "nvram"),
        fc.bigInt(0n, 2n ** 64n - 1n),
        fc.boolean(),
        (type, backend, id, carved) => {
          const name = `${typeName(type)}-${backend}-${id}${carved ? ".carved" : ""}`;
          expect(parseRecordName(name)).toEqual({ type: typeName(type), backend, id: String(id), compressed: false, carved });
          expect(recordFileName(recordOfFile(name, ascii("text"), TIME, decompressPayload)!)).toBe(name);
        },
      ),
    );
  });

  test("any name at all gives a record's, or none", () => {
    fc.assert(
      fc.property(fc.string(), (name) => {
        const record = recordOfFile(name, ascii("text"), undefined, decompressPayload);
        expect(record === undefined).toBe(parseRecordName(name) === undefined);
      }),
    );
  });
});

describe("records in files", () => {
  const TEXT = "Panic#2 Part1\n<0>[    1.000000] last words\n";

  test("a dump of the log: its reason, and the file's time", () => {
    expect(recordOfFile("dmesg-erst-1", ascii(TEXT), TIME, decompressPayload)).toMatchObject({
      backend: "erst",
      type: "dmesg",
      id: "1",
      reason: "Panic",
      count: 2,
      part: 1,
      time: TIME,
      state: "kept",
      compression: "none",
      problems: [],
    });
    // The same line is nothing but text elsewhere.
    expect(recordOfFile("console-ramoops-0", ascii(TEXT), TIME, decompressPayload)).not.toHaveProperty("reason");
  });

  test("the ECC notice is no text, and comes back with the file", () => {
    const file = ascii(`${TEXT}\nECC: 12 Corrected bytes, 3 unrecoverable blocks\n`);
    const record = recordOfFile("dmesg-ramoops-0", file, TIME, decompressPayload)!;
    expect(record.content).toEqual(ascii(TEXT));
    expect(record.ecc).toEqual({ corrected: 12, lostBlocks: 3, lost: [] });
    expect(record.problems).toEqual(["3 blocks have more errors than ECC could mend"]);
    expect(recordFileBytes(record)).toEqual(file);
    const clean = recordOfFile("dmesg-ramoops-0", ascii(`${TEXT}\nECC: No errors detected\n`), TIME, decompressPayload)!;
    expect(clean).toMatchObject({ ecc: { corrected: 0, lostBlocks: 0 }, problems: [] });
    // Only at the very end.
    const quoted = recordOfFile("dmesg-ramoops-0", ascii("a\nECC: No errors detected\nb"), TIME, decompressPayload)!;
    expect(quoted.ecc).toBeUndefined();
  });

  test(".enc.z is decompressed, behind it the notice", () => {
    const long = `${TEXT}${"<4>[    1.000000] more of it\n".repeat(30)}`;
    const stored = new Uint8Array(deflateRawSync(ascii(long)));
    const file = Buffer.concat([stored, ascii("\nECC: No errors detected\n")]);
    const record = recordOfFile("dmesg-ramoops-0.enc.z", file, TIME, decompressPayload)!;
    expect(record).toMatchObject({ compression: "deflate", reason: "Panic", problems: [] });
    expect(record.content).toEqual(ascii(long));
    expect(new Uint8Array(record.stored!)).toEqual(stored);
    expect(recordFileName(record)).toBe("dmesg-ramoops-0");
  });

  test(".enc.z that nothing decompresses keeps its bytes and its name", () => {
    const junk = Uint8Array.from({ length: 300 }, (_, i) => (i * 151 + 0xfb) & 0xff);
    const record = recordOfFile("dmesg-efi_pstore-1.enc.z", junk, TIME, decompressPayload)!;
    expect(record.compression).toBe("unknown");
    expect(recordFileBytes(record)).toEqual(junk);
    expect(recordFileName(record)).toBe("dmesg-efi_pstore-1.enc.z");
    expect(record.problems).toHaveLength(1);
  });

  test("carved text stays carved", () => {
    const record = recordOfFile("console-ramoops-0.carved", ascii("old\n"), TIME, decompressPayload)!;
    expect(record.state).toBe("carved");
    expect(recordFileName(record)).toBe("console-ramoops-0.carved");
  });

  test("any bytes give a record whose file is those bytes, but for compressed ones", () => {
    const notice = fc.constantFrom("", "\nECC: No errors detected\n", "\nECC: 1 Corrected bytes, 0 unrecoverable blocks\n");
    fc.assert(
      fc.property(fc.uint8Array(), notice, (bytes, end) => {
        const file = new Uint8Array(Buffer.concat([bytes, ascii(end)]));
        expect(recordFileBytes(recordOfFile("pmsg-ramoops-0", file, TIME, decompressPayload)!)).toEqual(file);
      }),
    );
  });
});
