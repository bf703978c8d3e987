import { LabError } from "./error.ts";

/** A section of an object file: where its bytes are, and what its header links to. */
interface Section {
  readonly name: string;
  readonly type: number;
  readonly offset: number;
  readonly size: number;
  /** Index of the section this one belongs to (`sh_info`): of relocations, the section they change. */
  readonly info: number;
}

const SHT_RELA = 4;
const SYM_SIZE = 24;
const RELA_SIZE = 24;

/**
 * A kernel module as the ELF relocatable object it is (64 bit, little endian), read and patched without any tool.
 * Only for modules out of a distribution's package: what is wrong throws, nothing is checked against malice.
 */
export class ModuleObject {
  readonly bytes: Buffer;
  readonly #sections: readonly Section[];

  /** @param bytes content of an uncompressed `.ko`; {@link patch} changes it in place. */
  constructor(bytes: Uint8Array) {
    this.bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    if (this.bytes.readUInt32BE(0) !== 0x7f454c46) throw new LabError("INVALID", "a kernel module is not an ELF file");
    const e_shoff = Number(this.bytes.readBigUInt64LE(40));
    const e_shnum = this.bytes.readUInt16LE(60);
    const e_shstrndx = this.bytes.readUInt16LE(62);
    const at = (index: number): number => e_shoff + 64 * index;
    const names = Number(this.bytes.readBigUInt64LE(at(e_shstrndx) + 24));
    this.#sections = Array.from({ length: e_shnum }, (_, i) => ({
      name: this.#text(names + this.bytes.readUInt32LE(at(i))),
      type: this.bytes.readUInt32LE(at(i) + 4),
      offset: Number(this.bytes.readBigUInt64LE(at(i) + 24)),
      size: Number(this.bytes.readBigUInt64LE(at(i) + 32)),
      info: this.bytes.readUInt32LE(at(i) + 44),
    }));
  }

  #text(offset: number): string {
    return this.bytes.toString("latin1", offset, this.bytes.indexOf(0, offset));
  }

  /** Names of the modules this one needs, in the kernel's spelling (with `_`), from its `.modinfo`. */
  depends(): string[] {
    const section = this.#sections.find((candidate) => candidate.name === ".modinfo");
    if (section === undefined) return [];
    const fields = this.bytes.toString("latin1", section.offset, section.offset + section.size).split("\0");
    const value = fields.find((field) => field.startsWith("depends="))?.slice("depends=".length) ?? "";
    return value
      .split(",")
      .filter((name) => name !== "")
      .map((name) => name.replaceAll("-", "_"));
  }

  /**
   * Overwrites the beginning of a function with `code`, behind the landing pad and the tracing slot every kernel function
   * starts with, and takes away the relocations that would be applied over it. `code` must be position independent.
   */
  patch(symbol: string, code: Uint8Array): void {
    const { section, value, size } = this.#function(symbol);
    const home = this.#sections[section];
    if (home === undefined) throw new LabError("INVALID", `${symbol} lies in no section of its module`);
    let start = value;
    const has = (bytes: readonly number[]): boolean => bytes.every((byte, i) => this.bytes[home.offset + start + i] === byte);
    if (has([0xf3, 0x0f, 0x1e, 0xfa])) start += 4; // endbr64, since the kernel is built with IBT (5.18)
    if (has([0xe8]) || has([0x0f, 0x1f, 0x44, 0, 0])) start += 5; // call __fentry__, or the nop objtool made of it (6.1)
    const end = start + code.length;
    if (end > value + size) throw new LabError("INVALID", `${symbol} has ${size} bytes, too few for ${code.length} of code`);
    this.bytes.set(code, home.offset + start);
    for (const relocations of this.#sections) {
      if (relocations.type !== SHT_RELA || relocations.info !== section) continue;
      for (let at = relocations.offset; at < relocations.offset + relocations.size; at += RELA_SIZE) {
        const where = Number(this.bytes.readBigUInt64LE(at));
        if (where + 4 > start && where < end) this.bytes.writeBigUInt64LE(0n, at + 8); // R_X86_64_NONE
      }
    }
  }

  #function(symbol: string): { section: number; value: number; size: number } {
    const symtab = this.#sections.find((section) => section.name === ".symtab");
    const strtab = this.#sections.find((section) => section.name === ".strtab");
    if (symtab !== undefined && strtab !== undefined) {
      for (let at = symtab.offset; at < symtab.offset + symtab.size; at += SYM_SIZE) {
        if (this.#text(strtab.offset + this.bytes.readUInt32LE(at)) !== symbol) continue;
        const section = this.bytes.readUInt16LE(at + 6);
        return { section, value: Number(this.bytes.readBigUInt64LE(at + 8)), size: Number(this.bytes.readBigUInt64LE(at + 16)) };
      }
    }
    throw new LabError("INVALID", `the module has no function ${symbol}`);
  }
}
