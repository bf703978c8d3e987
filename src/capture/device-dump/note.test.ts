import { describe, expect, test } from "vitest";
import { isDumpError } from "../../bytes/index.ts";
import { parseNotes } from "../../format/elf/note.ts";
import { openDump } from "../../format/index.ts";
import { allocateData, encodeNote, maxDumpSize, noteSize } from "./note.ts";

/** Out of a real capture kernel; the driver was a test module (README of the evidence). */
const OOPS = new URL("../../../samples/evidence-6.1-oops.vmcore", import.meta.url).pathname;

describe("the note of a device dump", () => {
  test("has the kernel's header and whole pages", () => {
    const note = encodeNote({ name: "nic0_regs", data: Uint8Array.of(1, 2, 3) });
    expect(note).toHaveLength(4096);
    expect(Buffer.from(note).toString("hex", 0, 68)).toBe(
      `08000000${"ec0f0000"}00070000${Buffer.from("LINUX\0\0\0").toString("hex")}${Buffer.from("nic0_regs".padEnd(44, "\0")).toString("hex")}01020300`,
    );
    const [parsed, ...none] = parseNotes(note, 0, true, []);
    expect(none).toEqual([]);
    expect(parsed).toMatchObject({ name: "LINUX", type: 0x700 });
    expect(parsed?.desc).toHaveLength(4096 - 20);
  });

  test.each([
    [4032, 4096, 4096],
    [4033, 4096, 8192],
    [1, 65536, 65536],
  ])("%i bytes on pages of %i take %i", (size, pageSize, total) => {
    expect(noteSize(size, pageSize)).toBe(total);
    expect(encodeNote({ name: "x", data: new Uint8Array(size) }, pageSize)).toHaveLength(total);
  });

  test("is made around data allocated for it, without a copy", () => {
    const data = allocateData(5000, 4096);
    data.fill(7);
    const copy = encodeNote({ name: "x", data: Uint8Array.from(data) });
    const note = encodeNote({ name: "x", data });
    expect(note.buffer).toBe(data.buffer);
    expect(note).toEqual(copy);
  });

  test("in the byte order of a big-endian machine", () => {
    expect([...encodeNote({ name: "x", data: Uint8Array.of(1) }, 4096, false).subarray(0, 12)]).toEqual([
      0, 0, 0, 8, 0, 0, 0x0f, 0xec, 0, 0, 7, 0,
    ]);
  });

  test("takes names of 1 to 43 bytes", () => {
    const encode = (name: string): Uint8Array => encodeNote({ name, data: Uint8Array.of(1) });
    expect(encode("n".repeat(43))[63]).toBe(0);
    for (const name of ["", "n".repeat(44), "ü".repeat(22), "a\0b", "a\nb"])
      expect(() => encode(name)).toThrow(expect.objectContaining({ code: "BAD_ARGUMENT" }));
  });

  test("takes as much data as n_descsz can tell", () => {
    expect(maxDumpSize(4096)).toBe(0xfffff000 - 64);
    expect(() => encodeNote({ name: "x", data: new Uint8Array() })).toThrow(/1 to 4294963136/);
    try {
      encodeNote({ name: "x", data: Uint8Array.of(1) }, 5000);
      expect.unreachable();
    } catch (error) {
      expect(isDumpError(error, "BAD_ARGUMENT")).toBe(true);
    }
  });

  test("is byte for byte what a kernel made of the same data", async () => {
    const { dump } = await openDump([OOPS]);
    const notes = dump.notes.filter((note) => note.type === 0x700);
    expect(notes.map((note) => note.desc.length + 20)).toEqual([8192, 69632]);
    for (const [i, { name, size }] of [
      { name: "nic0_regs", size: 4116 },
      { name: "fw-log:eth1", size: 65536 },
    ].entries()) {
      // What the driver wrote: byte i = i * 7 + size, its first 8 bytes a mark.
      const data = Uint8Array.from({ length: size }, (_, at) => (at * 7 + size) & 255);
      data.set(Buffer.from("HWSTATE "));
      expect(Buffer.compare(encodeNote({ name, data }).subarray(20), notes[i]!.desc)).toBe(0);
    }
    dump.close();
  });
});
