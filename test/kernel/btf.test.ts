/** BTF: all kinds, nested and split, and what a damaged blob answers. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { isDumpError } from "../../src/bytes/index.ts";
import { Btf } from "../../src/kernel/btf.ts";
import { Kernel } from "../../src/kernel/index.ts";
import { Types } from "../../src/kernel/types.ts";
import { Vmcoreinfo } from "../../src/kernel/vmcoreinfo.ts";
import { LazyBytes } from "../../src/memory/index.ts";
import { BtfWriter } from "../writers/btf.ts";
import { Machine } from "../writers/machine.ts";

const open = (bytes: Uint8Array, base?: Btf): Btf => new Btf(LazyBytes.ofBytes(bytes, true), base);

/** One of each kind before the struct that is asked for: a wrong length of any would lead astray. */
function everything(): BtfWriter {
  const w = new BtfWriter();
  const int = w.int("int", 4);
  const long = w.int("long", 8);
  const pointer = w.add(2, "", int);
  const array = w.add(3, "", 0, [long, int, 5]);
  w.add(6, "color", 4, [w.string("RED"), 1, w.string("BLUE"), 0xffffffff], 2);
  w.add(7, "later", 0);
  const typedef = w.add(8, "number", int);
  const constant = w.add(10, "", typedef);
  const volatile = w.add(9, "", constant);
  w.add(11, "", pointer);
  const proto = w.add(13, "", int, [w.string("a"), int, w.string("b"), long], 2);
  w.add(12, "function", proto, [], 1);
  const variable = w.add(14, "variable", int, [1]);
  w.add(15, ".data..percpu", 64, [variable, 0, 4], 1);
  w.add(16, "float", 4);
  w.add(17, "tag", int, [0]);
  const tagged = w.add(18, "user", volatile);
  w.add(19, "wide", 8, [w.string("BIG"), 1, 2], 1);
  const inner = w.struct("", 16, [
    ["deep", long, 0],
    ["deeper", int, 64],
  ]);
  const choice = w.struct(
    "",
    16,
    [
      ["", inner, 0],
      ["flat", array, 0],
    ],
    true,
  );
  w.struct("small", 8, [
    ["one", int, 0, 3],
    ["two", int, 3, 5],
    ["three", int, 32],
  ]);
  const named = w.struct("named", 24, [
    ["x", tagged, 0],
    ["list", array, 64],
  ]);
  w.struct("outer", 128, [
    ["first", long, 0],
    ["", choice, 64],
    ["in", named, 256],
    ["p", pointer, 512],
  ]);
  return w;
}

describe("a blob of every kind", () => {
  const types = new Types(open(everything().bytes()), new Vmcoreinfo(""), 8);

  test.each([
    ["outer", "first", 0, 8],
    ["outer", "deep", 8, 8],
    ["outer", "deeper", 16, 4],
    ["outer", "flat", 8, 40],
    ["outer", "in", 32, 24],
    ["outer", "in.x", 32, 4],
    ["outer", "in.list", 40, 40],
    ["outer", "p", 64, 8],
    ["small", "three", 4, 4],
  ])("%s.%s", (struct, path, offset, size) => {
    expect(types.find(struct, path)).toMatchObject({ offset, size, bitSize: 0 });
  });

  test("bitfields", () => {
    expect(types.find("small", "two")).toEqual({ offset: 0, size: 4, bitShift: 3, bitSize: 5 });
  });

  test("enums, also wide ones", () => {
    expect(types.btf!.enumerators("color")).toEqual(
      new Map([
        ["RED", 1],
        ["BLUE", -1],
      ]),
    );
    expect(types.btf!.enumerators("wide")).toEqual(new Map([["BIG", 1 + 2 * 2 ** 32]]));
    expect(types.btf!.enumerators("none")).toBeUndefined();
  });

  test("sizes, and what is not there", () => {
    expect(types.sizeOf("outer")).toBe(128);
    expect(types.sizeOf("none")).toBeUndefined();
    expect(types.find("outer", "none")).toBeUndefined();
    expect(types.findAny("outer", "none", "p")?.offset).toBe(64);
    expect(() => types.offset("outer", "none", "nothing")).toThrowError("no none or nothing in BTF");
  });
});

test("names are found also when following members has walked ahead", () => {
  const w = new BtfWriter();
  // Sorted by name, as newer kernels have it: a struct refers to one far behind it, past one that is asked for later.
  w.struct("aaa", 8, [["far", 3, 0]]);
  w.struct("mmm", 4, []);
  w.struct("zzz", 8, []);
  const types = new Types(open(w.bytes()), new Vmcoreinfo(""), 8);
  expect(types.find("aaa", "far")?.size).toBe(8);
  expect(types.sizeOf("mmm")).toBe(4);
});

test("a module's types go on where those of vmlinux end", () => {
  const base = everything();
  const vmlinux = open(base.bytes());
  const w = new BtfWriter(base.count + 1, base.stringsLength);
  const own = w.struct("own", 16, [["mine", 1, 0]]);
  w.struct("mixed", 32, [
    ["o", own, 0],
    ["i", 2, 128],
  ]);
  const types = new Types(open(w.bytes(), vmlinux), new Vmcoreinfo(""), 8);
  expect(types.find("mixed", "o.mine")).toMatchObject({ offset: 0, size: 4 });
  expect(types.find("mixed", "i")).toMatchObject({ offset: 16, size: 8 });
  expect(types.find("outer", "deep")).toMatchObject({ offset: 8, size: 8 });
});

describe("damage", () => {
  test.each([
    ["no magic", (b: Buffer) => b.writeUInt16LE(0x1234, 0), "CORRUPT"],
    ["another version", (b: Buffer) => (b[2] = 9), "UNSUPPORTED"],
    ["sections outside", (b: Buffer) => b.writeUInt32LE(0xfffffff0, 12), "CORRUPT"],
  ])("%s", (_, spoil, code) => {
    const bytes = Buffer.from(everything().bytes());
    spoil(bytes);
    expect(() => open(bytes)).toThrowError(expect.objectContaining({ code }));
  });

  test("a kind nobody knows ends the walk with words", () => {
    const w = new BtfWriter();
    w.add(25, "odd", 0);
    expect(() => open(w.bytes()).findStruct("any")).toThrowError(expect.objectContaining({ code: "UNSUPPORTED" }));
  });

  test("types that refer to themselves", () => {
    const w = new BtfWriter();
    w.add(8, "loop", 1);
    const array = w.add(3, "", 0, [2, 1, 1000]);
    w.struct("s", 8, [
      ["l", 1, 0],
      ["a", array, 0],
    ]);
    const types = new Types(open(w.bytes()), new Vmcoreinfo(""), 8);
    expect(() => types.find("s", "l")).toThrowError(expect.objectContaining({ code: "CORRUPT" }));
    expect(() => types.find("s", "a")).not.toThrow();
  });

  test("any change of any byte: an answer or a DumpError", () => {
    const good = everything().bytes();
    fc.assert(
      fc.property(fc.nat(good.length - 1), fc.nat(255), fc.nat(good.length), (at, value, length) => {
        const bytes = new Uint8Array(good);
        bytes[at] = value;
        try {
          const btf = open(length % 3 === 0 ? bytes.slice(0, length) : bytes);
          const types = new Types(btf, new Vmcoreinfo(""), 8);
          for (const path of ["first", "deep", "flat", "in.list", "p", "none"]) types.find("outer", path);
          btf.enumerators("color");
        } catch (error) {
          if (!isDumpError(error)) throw error;
        }
      }),
      { numRuns: 2000 },
    );
  });
});

test.each([4, 5] as const)("page tables of %i levels lead to the image", (levels) => {
  const m = new Machine(levels);
  const address = m.place(Buffer.from("seen through the page tables\0"));
  const kernel = new Kernel(m.dump());
  expect(kernel.memory.cstring(address as Parameters<typeof kernel.memory.cstring>[0])).toBe("seen through the page tables");
  expect(() => kernel.memory.u8(0xffff888000000000n as Parameters<typeof kernel.memory.u8>[0])).toThrowError(
    expect.objectContaining({ code: "NO_TRANSLATION" }),
  );
});
