/** Symbols and types from files that the user gives where the dump lacks them. */
import { DumpError, Fields, latin1 } from "../bytes/index.ts";
import type { KernelOptions } from "./kernel.ts";

type GivenSymbols = NonNullable<KernelOptions["symbols"]>;

const SHT_SYMTAB = 2;
const MAX_SECTIONS = 10_000;
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
 * Reads the .BTF section and the symbol table of a vmlinux (ELF64). DWARF is not looked at.
 *
 * @throws UNSUPPORTED when it is no ELF64 file, CORRUPT when its tables reach outside it.
 */
export function readVmlinux(bytes: Uint8Array, path: string): { btf: Uint8Array | undefined; symbols: GivenSymbols | undefined } {
  if (bytes.length < 64 || bytes[0] !== 0x7f || bytes[1] !== 0x45 || bytes[2] !== 0x4c || bytes[3] !== 0x46 || bytes[4] !== 2) {
    throw new DumpError("UNSUPPORTED", `${path} is no 64-bit ELF file; a compressed vmlinuz must be unpacked first`);
  }
  const fields = new Fields(bytes, bytes[5] === 1, 8, path);
  const shoff = fields.u64n(40);
  const shentsize = fields.u16(58);
  const shnum = fields.u16(60);
  const shstrndx = fields.u16(62);
  if (shnum > MAX_SECTIONS || shentsize < 64 || shoff + shnum * shentsize > bytes.length) {
    throw new DumpError(
      "CORRUPT",
      `${path}: ${shnum} section headers of ${shentsize} bytes at ${shoff} do not fit its ${bytes.length} bytes`,
    );
  }
  const section = (index: number): { name: number; type: number; offset: number; size: number; link: number } => {
    const at = shoff + index * shentsize;
    return {
      name: fields.u32(at),
      type: fields.u32(at + 4),
      offset: fields.u64n(at + 24),
      size: fields.u64n(at + 32),
      link: fields.u32(at + 40),
    };
  };
  const content = (index: number): Uint8Array => {
    const { offset, size } = section(index);
    if (offset + size > bytes.length)
      throw new DumpError("CORRUPT", `${path}: section ${index} needs bytes ${offset} to ${offset + size}, the file has ${bytes.length}`);
    return bytes.subarray(offset, offset + size);
  };
  if (shnum === 0 || shstrndx >= shnum) throw new DumpError("CORRUPT", `${path} has no section names`);
  const names = content(shstrndx);
  let btf: Uint8Array | undefined;
  let symbols: GivenSymbols | undefined;
  for (let index = 0; index < shnum; index++) {
    const { name, type, link } = section(index);
    if (latin1(names.subarray(name, name + 8)) === ".BTF") btf = content(index);
    if (type === SHT_SYMTAB && link < shnum)
      symbols = readSymtab(new Fields(content(index), fields.littleEndian, 8, `${path}: .symtab`), content(link));
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
