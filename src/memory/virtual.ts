import { asPaddr, asVaddr, DumpError, Fields, hex16, latin1, type Paddr, type Vaddr } from "../bytes/index.ts";
import type { PhysicalMemory } from "./physical.ts";

/** How one architecture turns virtual addresses into physical ones. */
export interface AddressSpace {
  /** Bytes covered by one translation that may be cached: the smallest page. */
  readonly pageShift: number;
  /** @throws NO_TRANSLATION, or what reading the page tables throws. */
  translate(address: Vaddr): Paddr;
  /**
   * As {@link translate}, with the bytes from there to the end of the (large) page: they lie together in memory too. For who reads much.
   */
  extent?(address: Vaddr): { readonly paddr: Paddr; readonly bytes: number };
}

const CACHED_TRANSLATIONS = 16384;
/** No single object of a kernel that we read in one go is larger. */
const READ_LIMIT = 64 * 1024 * 1024;

/** Virtual memory of one address space of the crashed machine, in its byte order. */
export class VirtualMemory {
  readonly physical: PhysicalMemory;
  readonly space: AddressSpace;
  readonly littleEndian: boolean;
  readonly wordSize: 4 | 8;
  readonly #pageSize: number;
  readonly #shift: bigint;
  /** Virtual page number (fits 2^53 on every 64-bit machine) to physical page address. */
  readonly #translations: Map<number, number> = new Map();
  readonly #small: Uint8Array = new Uint8Array(8);
  readonly #smallView: DataView = new DataView(this.#small.buffer);

  constructor(physical: PhysicalMemory, space: AddressSpace) {
    this.physical = physical;
    this.space = space;
    this.littleEndian = physical.dump.littleEndian;
    this.wordSize = physical.dump.wordSize;
    this.#pageSize = 1 << space.pageShift;
    this.#shift = BigInt(space.pageShift);
  }

  /** Physical address of `address`. @throws NO_TRANSLATION. */
  translate(address: Vaddr): Paddr {
    const vpn = Number(address >> this.#shift);
    const inPage = Number(BigInt.asUintN(this.space.pageShift, address));
    return asPaddr(this.#translatePage(vpn) + inPage);
  }

  #translatePage(vpn: number): number {
    let page = this.#translations.get(vpn);
    if (page === undefined) {
      page = this.space.translate(asVaddr(BigInt(vpn) << this.#shift));
      if (this.#translations.size >= CACHED_TRANSLATIONS) this.#translations.clear();
      this.#translations.set(vpn, page);
    }
    return page;
  }

  /** Fills `into` from `address`. @throws NO_TRANSLATION and what {@link PhysicalMemory.read} throws. */
  read(address: Vaddr, into: Uint8Array): void {
    let vpn = Number(address >> this.#shift);
    let inPage = Number(BigInt.asUintN(this.space.pageShift, address));
    let done = 0;
    while (done < into.length) {
      const count = Math.min(into.length - done, this.#pageSize - inPage);
      const physical = this.#translatePage(vpn) + inPage;
      this.physical.read(asPaddr(physical), done === 0 && count === into.length ? into : into.subarray(done, done + count));
      done += count;
      inPage = 0;
      vpn++;
    }
  }

  /** A fresh copy of `length` bytes. @throws as {@link read}, LIMIT over 64 MiB. */
  bytes(address: Vaddr, length: number): Uint8Array {
    if (!(length >= 0 && length <= READ_LIMIT))
      throw new DumpError("LIMIT", `${length} bytes at ${hex16(address)} are more than the limit of ${READ_LIMIT}`, { at: address });
    const into = new Uint8Array(length);
    this.read(address, into);
    return into;
  }

  /** `length` bytes as fields in the machine's byte order. */
  fields(address: Vaddr, length: number, what: string): Fields {
    return new Fields(this.bytes(address, length), this.littleEndian, this.wordSize, what);
  }

  u8(address: Vaddr): number {
    this.#few(address, 1);
    return this.#small[0]!;
  }

  u16(address: Vaddr): number {
    this.#few(address, 2);
    return this.#smallView.getUint16(0, this.littleEndian);
  }

  u32(address: Vaddr): number {
    this.#few(address, 4);
    return this.#smallView.getUint32(0, this.littleEndian);
  }

  s32(address: Vaddr): number {
    this.#few(address, 4);
    return this.#smallView.getInt32(0, this.littleEndian);
  }

  u64(address: Vaddr): bigint {
    this.#few(address, 8);
    return this.#smallView.getBigUint64(0, this.littleEndian);
  }

  /** An unsigned word of the machine. */
  word(address: Vaddr): bigint {
    return this.wordSize === 8 ? this.u64(address) : BigInt(this.u32(address));
  }

  /** A pointer of the machine. */
  pointer(address: Vaddr): Vaddr {
    return this.word(address) as Vaddr;
  }

  #few(address: Vaddr, count: number): void {
    const inPage = Number(BigInt.asUintN(this.space.pageShift, address));
    if (inPage + count > this.#pageSize) {
      this.read(address, this.#small.subarray(0, count));
      return;
    }
    const physical = this.#translatePage(Number(address >> this.#shift)) + inPage;
    const pageSize = this.physical.pageSize;
    const pfn = Math.floor(physical / pageSize);
    const page = this.physical.page(pfn);
    const at = physical - pfn * pageSize;
    for (let i = 0; i < count; i++) this.#small[i] = page[at + i]!;
  }

  /**
   * Text up to its NUL, at most `limit` bytes, Latin-1. Reads page by page, so that a string which ends before an
   * unreadable page is whole.
   */
  cstring(address: Vaddr, limit = 4096): string {
    let text = "";
    let at = address;
    while (text.length < limit) {
      const inPage = Number(BigInt.asUintN(this.space.pageShift, at));
      const chunk = this.bytes(at, Math.min(64, this.#pageSize - inPage, limit - text.length));
      const part = latin1(chunk);
      text += part;
      if (part.length < chunk.length) break;
      at = asVaddr(at + BigInt(chunk.length));
    }
    return text;
  }

  /** {@link read} that answers false where the bytes cannot be had. For searches and guesses. */
  tryRead(address: Vaddr, into: Uint8Array): boolean {
    try {
      this.read(address, into);
      return true;
    } catch (error) {
      if (error instanceof DumpError) return false;
      throw error;
    }
  }
}
