import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type PstoreRecord, recordFileBytes, recordFileName, recordType, typeId, typeName } from "./record.ts";

const record: PstoreRecord = {
  backend: "ramoops",
  type: "dmesg",
  id: "0",
  content: Buffer.from("Panic#1 Part1\ntext"),
  compression: "none",
  state: "kept",
  at: { offset: 0, length: 32 },
  problems: [],
};

describe("types", () => {
  test("numbers are the kernel's enum pstore_type_id", () => {
    expect([0, 1, 2, 3, 4, 5, 6, 7, 8].map(typeName)).toEqual([
      "dmesg",
      "mce",
      "console",
      "ftrace",
      "rtas",
      "powerpc-ofw",
      "powerpc-common",
      "pmsg",
      "powerpc-opal",
    ]);
  });

  test("number, name and word agree", () => {
    for (let id = 0; ; id++) {
      const name = typeName(id);
      if (name === undefined) break;
      expect(typeId(name)).toBe(id);
      expect(recordType(name)).toBe(name);
    }
  });

  test("other numbers and words are none", () => {
    for (const id of [-1, 1.5, 255, Number.NaN, 2 ** 32]) expect(typeName(id)).toBeUndefined();
    for (const word of ["", "DMESG", "length", "toString", "dmesg-ramoops-0"]) expect(recordType(word)).toBeUndefined();
    fc.assert(fc.property(fc.string(), (word) => recordType(word) === undefined || typeId(recordType(word)!) >= 0));
  });
});

describe("file of a record", () => {
  test.each<[string, Partial<PstoreRecord>, string]>([
    ["a record", {}, "dmesg-ramoops-0"],
    ["decompressed", { compression: "deflate" }, "dmesg-ramoops-0"],
    ["compressed with what nobody knows", { compression: "unknown" }, "dmesg-ramoops-0.enc.z"],
    ["carved", { state: "carved" }, "dmesg-ramoops-0.carved"],
    ["carved and unknown", { state: "carved", compression: "unknown" }, "dmesg-ramoops-0.carved"],
    ["an efi variable", { backend: "efi_pstore", id: "170000000012001" }, "dmesg-efi_pstore-170000000012001"],
    ["another type", { type: "powerpc-opal", id: "3" }, "powerpc-opal-ramoops-3"],
  ])("%s", (_what, change, name) => {
    expect(recordFileName({ ...record, ...change })).toBe(name);
  });

  test("holds the content", () => {
    expect(recordFileBytes(record)).toBe(record.content);
  });

  test("ends with the notice where there is one", () => {
    const notice = "\nECC: No errors detected\n";
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), (content) => {
        const bytes = recordFileBytes({ ...record, content, notice });
        expect(Buffer.compare(bytes.subarray(0, content.length), content)).toBe(0);
        expect(Buffer.from(bytes.subarray(content.length)).toString("latin1")).toBe(notice);
      }),
    );
  });
});
