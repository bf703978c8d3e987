/** Symbols and types from files that the user gives where the dump lacks them. */
import { type ByteSource, DumpError, Fields, latin1, readExactly } from "../bytes/index.ts";
import type { KernelOptions } from "./kernel.ts";

type GivenSymbols = NonNullable<KernelOptions["symbols"]>;

const SHT_SYMTAB = 2;
const MAX_SECTIONS = 10_000;
/** .symtab, .strtab and .BTF of a distribution's kernel are 4 to 10 MB each. */
const MAX_SECTION = 64 * 1024 * 1024;
const MAX_SYMBOLS = 4_000_000;

/**
 * Parses System.map: `address type name` a line, addresses in hex, link-time.
 *
 * @throws CORRUPT when no line is of that form.
 */
export function parseSystemMap(text: string, path: string): GivenSymbols {
  const symbols: { name: string; address: bigint; type: string }[] = [];
  for (const line of text.split("\n")) {
    const match = /^([0-9a-f]{8,16}) (\S) (\S+)/i.exec(line);
    if (match) symbols.push({ address: BigInt(`0x${match[1]}`), type: match[2]!, name: match[3]! });
  }
  if (symbols.length === 0) throw new DumpError("CORRUPT", `${path} has no line like "ffffffff81000000 T _text": it is no System.map`);
  return symbols;
}

/**
 * Reads the .BTF section and the symbol table of a vmlinux (ELF64), and nothing else of it: DWARF is hundreds of megabytes.
 *
 * @throws UNSUPPORTED when it is no ELF64 file, CORRUPT or TRUNCATED when its tables reach outside it.
 */
export function readVmlinux(source: ByteSource): { btf: Uint8Array | undefined; symbols: GivenSymbols | undefined } {
  const path = source.name;
  const head = new Uint8Array(64);
  if (source.read(0, head) < 64 || head[0] !== 0x7f || head[1] !== 0x45 || head[2] !== 0x4c || head[3] !== 0x46 || head[4] !== 2) {
    throw new DumpError("UNSUPPORTED", `${path} is no 64-bit ELF file; a compressed vmlinuz must be unpacked first`);
  }
  const header = new Fields(head, head[5] === 1, 8, path);
  const shoff = header.u64n(40);
  const shentsize = header.u16(58);
  const shnum = header.u16(60);
  const shstrndx = header.u16(62);
  if (shnum > MAX_SECTIONS || shentsize < 64) throw new DumpError("CORRUPT", `${path} has ${shnum} section headers of ${shentsize} bytes`);
  if (shnum === 0 || shstrndx >= shnum) throw new DumpError("CORRUPT", `${path} has no section names`);
  const table = new Fields(readExactly(source, shoff, shnum * shentsize, `section headers of ${path}`), header.littleEndian, 8, path);
  const content = (index: number): Uint8Array => {
    const at = index * shentsize;
    return readExactly(source, table.u64n(at + 24), table.u64n(at + 32), `section ${index} of ${path}`, MAX_SECTION);
  };
  const names = content(shstrndx);
  let btf: Uint8Array | undefined;
  let symbols: GivenSymbols | undefined;
  for (let index = 0; index < shnum; index++) {
    const at = index * shentsize;
    const name = table.u32(at);
    const link = table.u32(at + 40);
    if (latin1(names.subarray(name, name + 8)) === ".BTF") btf = content(index);
    if (table.u32(at + 4) === SHT_SYMTAB && link < shnum) {
      symbols = readSymtab(new Fields(content(index), header.littleEndian, 8, `${path}: .symtab`), content(link));
    }
  }
  return { btf, symbols };
}

/** Elf64_Sym: name u32@0, info u8@4, shndx u16@6, value u64@8. */
function readSymtab(table: Fields, strings: Uint8Array): GivenSymbols {
  const symbols: { name: string; address: bigint; type: string }[] = [];
  const count = Math.min(MAX_SYMBOLS, Math.floor(table.length / 24));
  for (let i = 0; i < count; i++) {
    const type = table.u8(i * 24 + 4) & 0xf;
    // No file names, sections or undefined ones.
    if (type === 3 || type === 4 || table.u16(i * 24 + 6) === 0) continue;
    const name = latin1(strings.subarray(table.u32(i * 24), table.u32(i * 24) + 512));
    if (name !== "") symbols.push({ name, address: table.u64(i * 24 + 8), type: type === 2 ? "T" : "d" });
  }
  return symbols;
}
