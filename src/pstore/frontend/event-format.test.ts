import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseEventFormat, readField } from "./event-format.ts";

/** 6.1's, of `nr=%cx:u64 buf=+0(%dx):string bytes=+0(%dx):u64[8]`, its three lines of common fields cut to one. */
const TEXT = `name: tty_write
ID: 1392
format:
\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;
\tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;

\tfield:unsigned long __probe_ip;\toffset:8;\tsize:8;\tsigned:0;
\tfield:u64 nr;\toffset:16;\tsize:8;\tsigned:0;
\tfield:__data_loc char[] buf;\toffset:24;\tsize:4;\tsigned:1;
\tfield:u64 bytes[];\toffset:28;\tsize:64;\tsigned:0;

print fmt: "(%lx) nr=%Lu buf=\\"%s\\"", REC->__probe_ip, REC->nr, __get_str(buf)
`;

describe("parseEventFormat", () => {
  it("finds the fields", () => {
    const format = parseEventFormat(TEXT);
    expect(format).toMatchObject({ name: "tty_write", id: 1392 });
    expect([...(format?.fields.values() ?? [])]).toEqual([
      { name: "common_type", offset: 0, size: 2, signed: false, dataLoc: false },
      { name: "common_pid", offset: 4, size: 4, signed: true, dataLoc: false },
      { name: "__probe_ip", offset: 8, size: 8, signed: false, dataLoc: false },
      { name: "nr", offset: 16, size: 8, signed: false, dataLoc: false },
      { name: "buf", offset: 24, size: 4, signed: true, dataLoc: true },
      { name: "bytes", offset: 28, size: 64, signed: false, dataLoc: false },
    ]);
  });

  it("wants a name, a number and fields", () => {
    expect(parseEventFormat("")).toBeUndefined();
    expect(parseEventFormat(TEXT.replace("ID: 1392\n", ""))).toBeUndefined();
    expect(parseEventFormat(TEXT.replaceAll("field:", "feld:"))).toBeUndefined();
  });

  it("stands any text", () => {
    fc.assert(fc.property(fc.string(), (text) => void parseEventFormat(text)));
  });
});

describe("readField", () => {
  const view = new DataView(Uint8Array.of(9, 1, 2, 3, 4, 5, 6, 7, 0).buffer);
  const field = (offset: number, size: number) => ({ name: "", offset, size, signed: false, dataLoc: false });

  it("reads every width, and nothing beyond the event", () => {
    expect(readField(view, 1, 8, field(0, 1))).toBe(1);
    expect(readField(view, 1, 8, field(1, 2))).toBe(0x302);
    expect(readField(view, 1, 8, field(2, 4))).toBe(0x6050403);
    expect(readField(view, 1, 8, field(0, 8))).toBe(0x7060504030201);
    expect(readField(view, 1, 8, field(0, 3))).toBeUndefined();
    expect(readField(view, 1, 7, field(0, 8))).toBeUndefined();
  });
});
