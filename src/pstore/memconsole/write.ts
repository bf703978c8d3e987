import { DumpError } from "../../bytes/index.ts";
import type { ZoneStore } from "../ramoops/write.ts";
import { BUF_PTR, endOfText, headerSize, lengthOffset, PAGE_SIZE, parseHeader, ringSize } from "./changli.ts";

/** First address of the direct map of x86-64 with four levels of page tables, unless the kernel places it at random. */
export const DIRECT_MAP: bigint = 0xffff_8880_0000_0000n;

/** Where the region lies. */
export interface MemconsoleOptions {
  /** Physical address of the region's first byte: a page's. */
  readonly physicalAddress: number;
  /** Its virtual address, which the layout stores: a page's. The physical one in {@link DIRECT_MAP} unless told. */
  readonly base?: bigint;
}

/** No write goes to the ring in larger pieces: a cut loses the piece in progress. */
const PIECE = 256;
const WORD = 8;
const HEADER = headerSize(WORD);
const BUF_LEN = lengthOffset(WORD);
const SPACE = 0x20;

/**
 * Writes the 64-bit layout of the 2009 memory console (see `changli.ts`).
 *
 * The layout has one weakness: until the ring is full, buf_ptr and buf_len must agree or the next kernel empties it, and they are
 * two stores. The proposal moves one and then the other, so a machine that dies between them loses everything. A full ring has no
 * such rule. So what is written here is, in this order:
 *
 * 1. the text, where no valid text is, or over the oldest, which this write evicts anyway;
 * 2. buf_len: full, unless it is. Now the pointer may be anywhere. The bytes behind the text are NULs and come out first, which
 *    is all the harm; this project's reader knows such a ring by its NULs and takes them off;
 * 3. buf_ptr;
 * 4. buf_len: the length, unless the ring has become full.
 *
 * A cut between two of these, or within the first, loses at most the piece being written, 256 bytes, never older text, and every
 * header in between is one that the proposal's kernel accepts. In a full ring a cut within the first leaves bytes of the new piece
 * in front of the oldest text. Steps 2 to 4 store four or eight aligned bytes, which memory takes whole: a cut within them would
 * lose the ring, and the layout has nothing against that. NULs in the text are written as spaces; consoles have none.
 */
export class MemconsoleWriter {
  /** Bytes of the ring. */
  readonly capacity: number;
  readonly #store: ZoneStore;
  readonly #base: bigint;
  #position = 0;
  #length = 0;

  /**
   * Attaches to a region. Valid text in it is kept, as the proposal's `buf_init` keeps it, also when its kernel had the region at
   * another address; else the ring is emptied and cleared.
   *
   * @param size bytes of the region.
   * @throws BAD_ARGUMENT when the region has no room for text, or is not at the beginning of a page.
   */
  constructor(store: ZoneStore, size: number, options: MemconsoleOptions) {
    const { physicalAddress } = options;
    if (!Number.isSafeInteger(size) || size <= HEADER) {
      throw new DumpError("BAD_ARGUMENT", `a memconsole region of ${size} bytes has no room for text behind its ${HEADER} bytes of header`);
    }
    if (!Number.isSafeInteger(physicalAddress) || physicalAddress < 0 || physicalAddress % PAGE_SIZE !== 0) {
      throw new DumpError("BAD_ARGUMENT", `a memconsole region at ${physicalAddress} does not begin with a page of ${PAGE_SIZE} bytes`);
    }
    this.#base = options.base ?? DIRECT_MAP + BigInt(physicalAddress);
    if (this.#base < 0n || this.#base % BigInt(PAGE_SIZE) !== 0n || this.#base + BigInt(size) > 0xffff_ffff_ffff_ffffn) {
      throw new DumpError("BAD_ARGUMENT", `a memconsole base of ${this.#base} is not the address of a page with ${size} bytes behind it`);
    }
    this.#store = store;
    this.capacity = ringSize(size, WORD);
    this.#attach();
  }

  /** Valid bytes. */
  get length(): number {
    return this.#length;
  }

  #attach(): void {
    const region = new Uint8Array(HEADER + this.capacity);
    this.#store.read(0, region);
    const ring = region.subarray(HEADER);
    const header = parseHeader(region, this.capacity, WORD);
    if (!header) {
      // Length 0 agrees with no pointer but the beginning, so neither store makes old bytes valid.
      this.#clear(ring, 0);
      this.#putLength(0);
      this.#putPosition(0);
      return;
    }
    this.#position = header.position;
    this.#length = header.length;
    const end = endOfText(ring);
    if (header.length < this.capacity) this.#clear(ring, header.length);
    else if (end < this.capacity && end >= header.position) {
      // The writer before died between steps 2 and 4: do the rest.
      this.#putPosition(end);
      this.#putLength(end);
    }
    // One store, and both addresses pass with the same length.
    if (header.base !== this.#base) this.#putPosition(this.#position);
  }

  /** Makes bytes NUL that are no text: step 2 shows them. */
  #clear(ring: Uint8Array, from: number): void {
    const end = endOfText(ring);
    if (end > from) this.#store.write(HEADER + from, new Uint8Array(end - from));
  }

  /** Appends to the ring; the oldest text goes where there is no room. Of more than the ring holds the last bytes stay. */
  write(bytes: Uint8Array): void {
    let from = Math.max(0, bytes.length - this.capacity);
    while (from < bytes.length) {
      const length = Math.min(bytes.length - from, PIECE, this.capacity - this.#position);
      this.#writePiece(bytes.subarray(from, from + length));
      from += length;
    }
  }

  /** Stores bytes that do not wrap. */
  #writePiece(bytes: Uint8Array): void {
    const { capacity } = this;
    const wasFull = this.#length === capacity;
    const end = this.#position + bytes.length;
    this.#store.write(HEADER + this.#position, bytes.includes(0) ? bytes.map((byte) => byte || SPACE) : bytes);
    if (!wasFull) this.#putLength(capacity);
    this.#putPosition(end === capacity ? 0 : end);
    if (!wasFull && end < capacity) this.#putLength(end);
  }

  #putPosition(position: number): void {
    this.#position = position;
    const bytes = new Uint8Array(8);
    new DataView(bytes.buffer).setBigUint64(0, this.#base + BigInt(HEADER + position), true);
    this.#store.write(BUF_PTR, bytes);
  }

  #putLength(length: number): void {
    this.#length = length;
    const bytes = new Uint8Array(4);
    new DataView(bytes.buffer).setUint32(0, length, true);
    this.#store.write(BUF_LEN, bytes);
  }
}
