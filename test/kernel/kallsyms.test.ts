/** kallsyms in every encoding, named by VMCOREINFO and found by searching. */
import { describe, expect, test } from "vitest";
import { asVaddr, DumpError } from "../../src/bytes/index.ts";
import { Kernel } from "../../src/kernel/index.ts";
import { IMAGE, Machine } from "../writers/machine.ts";

type Encoding = "absolute" | "base-relative" | "absolute-percpu" | "place-relative";

/** Enough for several blocks of 256 and several pages of either kind, and for a kernel's least number. */
const COUNT = 4000;
const VARIABLES = 1300;
const TEXT = IMAGE + 0x400000n;

interface Symbol {
  readonly name: string;
  readonly address: bigint;
}

function symbols(percpu: boolean): Symbol[] {
  const list: Symbol[] = percpu
    ? [
        { name: "Afixed_percpu_data", address: 0n },
        { name: "Acurrent_task", address: 0x1fb80n },
      ]
    : [];
  list.push({ name: "T_stext", address: IMAGE + 0x100000n });
  for (let i = 0; list.length < COUNT - VARIABLES; i++) list.push({ name: `tfunction_${i}`, address: TEXT + BigInt(i * 32) });
  list.push({ name: "T_etext", address: TEXT + 0x100000n });
  for (let i = 0; list.length < COUNT - 2; i++) list.push({ name: `dvariable_${i}`, address: TEXT + 0x200000n + BigInt(i * 8) });
  list.push({ name: "Dinit_uts_ns", address: TEXT + 0x300000n }, { name: `t${"very_long_name_".repeat(20)}`, address: TEXT + 0x300100n });
  return list;
}

/** Tokens: every character is itself, but for a few that are used for common parts. */
const TOKENS: readonly string[] = Array.from({ length: 256 }, (_, i) => {
  if (i >= 0x20 && i < 0x7f) return String.fromCharCode(i);
  return ["function_", "variable_", "very_", "long_", "name_"][i - 128] ?? `unused${i}_`;
});

function compress(text: string): number[] {
  const out: number[] = [];
  for (let at = 0; at < text.length;) {
    const long = [128, 129, 130, 131, 132].find((i) => text.startsWith(TOKENS[i]!, at));
    out.push(long ?? text.charCodeAt(at));
    at += long === undefined ? 1 : TOKENS[long]!.length;
  }
  return out;
}

/** Lays the tables out as scripts/kallsyms.c does: `old` order to 6.3, `new` from 6.4. */
function build(
  encoding: Encoding,
  order: "old" | "new",
  longNames: boolean,
  named: boolean,
): { machine: Machine; addresses: Readonly<Record<string, bigint>>; list: Symbol[] } {
  const list = symbols(encoding === "absolute-percpu").filter((symbol) => longNames || symbol.name.length < 120);
  const names: number[] = [];
  const markers: number[] = [];
  list.forEach((symbol, i) => {
    if (i % 256 === 0) markers.push(names.length);
    const tokens = compress(symbol.name);
    if (longNames && tokens.length > 127) names.push((tokens.length & 0x7f) | 0x80, tokens.length >> 7);
    else names.push(tokens.length);
    names.push(...tokens);
  });
  const tokenTable = Buffer.from(TOKENS.map((token) => `${token}\0`).join(""), "latin1");
  const tokenIndex = Buffer.alloc(512);
  TOKENS.reduce((at, token, i) => (tokenIndex.writeUInt16LE(at, i * 2), at + token.length + 1), 0);
  const pad = (bytes: Buffer): Buffer => Buffer.concat([bytes, Buffer.alloc(-bytes.length & 7)]);
  const numSyms = Buffer.alloc(8);
  numSyms.writeUInt32LE(list.length);
  const markerBytes = Buffer.alloc(markers.length * 4);
  markers.forEach((marker, i) => markerBytes.writeUInt32LE(marker, i * 4));
  const base = IMAGE;
  const offsets = Buffer.alloc(list.length * (encoding === "absolute" ? 8 : 4));
  const relativeBase = Buffer.alloc(8);
  relativeBase.writeBigUInt64LE(base);

  const m = new Machine();
  // A landmark that is none: it ascends, and no tokens stand before it.
  const decoy = Buffer.alloc(512);
  for (let i = 0; i < 256; i++) decoy.writeUInt16LE(i * 3, i * 2);
  m.place(decoy);
  const hasBase = encoding === "base-relative" || encoding === "absolute-percpu";
  const head: [string, Buffer][] = [
    ["offsets", pad(offsets)],
    ...(hasBase ? ([["relative_base", relativeBase]] as [string, Buffer][]) : []),
  ];
  const body: [string, Buffer][] = [
    ["num_syms", numSyms],
    ["names", pad(Buffer.from(names))],
    ["markers", pad(markerBytes)],
    ["token_table", pad(tokenTable)],
    ["token_index", tokenIndex],
  ];
  const tables = order === "old" ? [...head, ...body] : [...body, ...head];
  const start = m.place(Buffer.concat(tables.map(([, bytes]) => bytes)));
  const addresses: Record<string, bigint> = {};
  let at = start;
  for (const [name, bytes] of tables) {
    addresses[name] = at;
    at += BigInt(bytes.length);
  }
  list.forEach((symbol, i) => {
    const place = m.at(addresses["offsets"]!) + i * (encoding === "absolute" ? 8 : 4);
    if (encoding === "absolute") m.u64(place, symbol.address);
    else if (encoding === "base-relative") m.view.setUint32(place, Number(symbol.address - base), true);
    else if (encoding === "absolute-percpu")
      m.view.setInt32(place, symbol.address < IMAGE ? Number(symbol.address) : Number(base - 1n - symbol.address), true);
    else m.view.setInt32(place, Number(symbol.address - (addresses["offsets"]! + BigInt(i * 4))), true);
  });
  if (named) {
    for (const name of ["names", "num_syms", "token_table", "token_index"]) m.symbol(`kallsyms_${name}`, addresses[name]!);
    m.symbol(encoding === "absolute" ? "kallsyms_addresses" : "kallsyms_offsets", addresses["offsets"]!);
    if (hasBase) m.symbol("kallsyms_relative_base", addresses["relative_base"]!);
  }
  m.symbol("init_uts_ns", TEXT + 0x300000n);
  return { machine: m, addresses, list };
}

const CASES: readonly (readonly [encoding: Encoding, order: "old" | "new", longNames: boolean, named: boolean])[] = [
  ["absolute", "old", false, true],
  ["base-relative", "old", false, true],
  ["absolute-percpu", "old", false, true],
  ["absolute-percpu", "old", true, true],
  ["base-relative", "new", true, true],
  ["absolute-percpu", "new", true, true],
  ["place-relative", "new", true, true],
  ["absolute-percpu", "old", false, false],
  ["base-relative", "old", false, false],
  ["absolute-percpu", "new", true, false],
  ["place-relative", "new", true, false],
];

describe.each(CASES)("%s, %s order, long names %s, named %s", (encoding, order, longNames, named) => {
  const { machine, list } = build(encoding, order, longNames, named);
  const kernel = new Kernel(machine.dump());

  test("the tables are found and their encoding is told", () => {
    expect(kernel.missing.filter((entry) => entry.what === "symbols")).toEqual([]);
    expect(kernel.symbolsSource).toContain(named ? "named by VMCOREINFO" : "found by scanning");
    expect((kernel.vmlinuxSymbols as unknown as { tables: { encoding: string } }).tables.encoding).toBe(encoding);
  });

  test("every name has its address", () => {
    for (const symbol of [...list.slice(0, 3), list[255]!, list[256]!, list[1000]!, ...list.slice(-3)]) {
      expect(kernel.symbol(symbol.name.slice(1)), symbol.name).toBe(symbol.address);
    }
    expect(kernel.symbol("no_such_symbol")).toBeUndefined();
  });

  test("every address has its name", () => {
    for (const index of [10, 255, 256, 257, 999, 1500]) {
      const symbol = list[index]!;
      if (symbol.address < IMAGE) continue;
      expect(kernel.vmlinuxSymbols!.find(asVaddr(symbol.address + 3n))).toMatchObject({
        name: symbol.name.slice(1),
        type: symbol.name[0],
        offset: 3,
      });
    }
    expect(kernel.vmlinuxSymbols!.find(asVaddr(IMAGE - 0x1000n))).toBeUndefined();
  });

  test("names around a place are found without searching for them", () => {
    const symbols = new Kernel(machine.dump()).vmlinuxSymbols!;
    const near = asVaddr(list[3900]!.address);
    expect(symbols.prefetchNear(["function_2000", "variable_100"], near)).toBe(true);
    expect(symbols.lookup("variable_100")).toBe(list.find((symbol) => symbol.name === "dvariable_100")!.address);
    expect(symbols.prefetchNear(["variable_100", "no_such_symbol"], near)).toBe(false);
    expect(symbols.prefetchNear(["variable_101"], asVaddr(IMAGE - 0x1000n))).toBe(false);
    expect(symbols.lookup("variable_101")).toBeDefined();
  });
});

test("a page of names that is missing takes only its own along", () => {
  const { machine, addresses, list } = build("absolute-percpu", "new", true, true);
  const dump = machine.dump();
  // The last one that has nothing but names, all of variables.
  const missing = (machine.at(addresses["markers"]!) >> 12) - 1;
  const readPage = dump.readPage.bind(dump);
  dump.readPage = (pfn, into) => {
    if (pfn === missing) throw new DumpError("EXCLUDED", "left out by the test");
    readPage(pfn, into);
  };
  const kernel = new Kernel(dump);
  expect(kernel.symbolsSource).toContain("named by VMCOREINFO");
  expect(kernel.symbol("_etext")).toBe(TEXT + 0x100000n);
  expect(kernel.isText(asVaddr(TEXT + 8n))).toBe(true);
  expect(kernel.find(asVaddr(list[256]!.address))).toMatchObject({ name: list[256]!.name.slice(1) });
  expect(kernel.missing.filter(({ code }) => code === "EXCLUDED").map(({ what }) => what)).toEqual(["some symbol names"]);
});
