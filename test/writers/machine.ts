/**
 * A synthetic x86-64 machine: a little physical memory, page tables that map the kernel image, and an ELF core of it with
 * VMCOREINFO. What is written at a virtual address is found there by the real reader, page walk included.
 */
import { MemorySource } from "../../src/bytes/index.ts";
import { type DumpFile, openSources } from "../../src/format/index.ts";
import { type NoteRecipe, writeElf } from "./elf.ts";

/** Where the kernel image is mapped; its physical address is the distance from here. */
export const IMAGE = 0xffffffff80000000n;
const SIZE = 8 * 1024 * 1024;
const PML4 = 0x1000;
const PML5 = 0x4000;

export class Machine {
  readonly memory: Uint8Array = new Uint8Array(SIZE);
  readonly view: DataView = new DataView(this.memory.buffer);
  readonly #lines: string[] = ["OSRELEASE=9.9.9-test", "PAGESIZE=4096"];
  #next = 0x100000;

  /** @param levels of the page tables, 4 or 5. */
  constructor(levels: 4 | 5 = 4) {
    // One table a level; the image is four pages of 2 MiB, as the kernel maps itself.
    this.u64(0x2000 + 510 * 8, 0x3000n | 1n);
    this.u64(PML4 + 511 * 8, 0x2000n | 1n);
    for (let i = 0; i < SIZE / 0x200000; i++) this.u64(0x3000 + i * 8, BigInt(i * 0x200000) | 0x81n);
    if (levels === 5) this.u64(PML5 + 511 * 8, BigInt(PML4) | 1n);
    this.symbol("init_top_pgt", IMAGE + BigInt(levels === 5 ? PML5 : PML4));
    this.symbol("_stext", IMAGE + 0x100000n);
    this.info("NUMBER(phys_base)", "0");
    this.info("NUMBER(pgtable_l5_enabled)", levels === 5 ? "1" : "0");
  }

  /** A line of VMCOREINFO. */
  info(key: string, value: string | number): void {
    this.#lines.push(`${key}=${value}`);
  }

  symbol(name: string, address: bigint): void {
    this.info(`SYMBOL(${name})`, address.toString(16));
  }

  offsets(struct: string, size: number, fields: Readonly<Record<string, number>>): void {
    this.info(`SIZE(${struct})`, size);
    for (const [name, offset] of Object.entries(fields)) this.info(`OFFSET(${struct}.${name})`, offset);
  }

  /** Room for that many bytes in the image; answers its virtual address, 64-aligned. */
  room(bytes: number): bigint {
    const at = Math.ceil(this.#next / 64) * 64;
    this.#next = at + bytes;
    if (this.#next > SIZE) throw new Error("the machine is full");
    return IMAGE + BigInt(at);
  }

  /** Places bytes in the image; answers their virtual address. */
  place(bytes: Uint8Array): bigint {
    const address = this.room(bytes.length);
    this.memory.set(bytes, this.at(address));
    return address;
  }

  /** A 32-bit or 64-bit variable with a symbol in VMCOREINFO. */
  variable(name: string, value: bigint, size: 4 | 8): bigint {
    const address = this.room(8);
    if (size === 8) this.u64(this.at(address), value);
    else this.view.setUint32(this.at(address), Number(value), true);
    this.symbol(name, address);
    return address;
  }

  /** Physical address of an address of the image. */
  at(address: bigint): number {
    return Number(address - IMAGE);
  }

  u64(physical: number, value: bigint): void {
    this.view.setBigUint64(physical, BigInt.asUintN(64, value), true);
  }

  /** VMCOREINFO as it stands. */
  get vmcoreinfo(): string {
    return `${this.#lines.join("\n")}\n`;
  }

  /** The machine as an ELF core. */
  elf(notes: readonly NoteRecipe[] = []): Uint8Array {
    const vmcoreinfo = { name: "VMCOREINFO", type: 0, desc: Buffer.from(this.vmcoreinfo) };
    return writeElf({ loads: [{ paddr: 0, bytes: this.memory }], notes: [...notes, vmcoreinfo] });
  }

  /** The machine as a dump. */
  dump(notes: readonly NoteRecipe[] = []): DumpFile {
    return openSources([new MemorySource(this.elf(notes), "machine")]);
  }
}
