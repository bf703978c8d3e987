import { asVaddr, type Vaddr } from "../bytes/index.ts";
import type { VirtualMemory } from "./virtual.ts";

const CHUNK = 4096;

/**
 * A large table as one byte array whose chunks are read when first touched: tables of types, symbol names and unwind
 * entries are searched, not read. Accessors take offsets from the start, in bytes; an offset outside the table throws
 * the RangeError of a DataView, so callers check counts that come from the dump.
 */
export class LazyBytes {
  readonly length: number;
  readonly littleEndian: boolean;
  /** The bytes; only chunks that {@link ensure} covered are filled. */
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly #fill: (offset: number, into: Uint8Array) => void;
  readonly #present: Uint8Array;

  /** @param fill puts the bytes from `offset` into `into`, or throws. */
  constructor(length: number, littleEndian: boolean, fill: (offset: number, into: Uint8Array) => void) {
    this.length = length;
    this.littleEndian = littleEndian;
    this.#fill = fill;
    // calloc'ed by the runtime: chunks never touched cost no memory.
    this.bytes = new Uint8Array(length);
    this.view = new DataView(this.bytes.buffer);
    this.#present = new Uint8Array(Math.ceil(length / CHUNK) + 1);
  }

  /** A table in the dumped machine's virtual memory. */
  static ofMemory(memory: VirtualMemory, address: Vaddr, length: number): LazyBytes {
    return new LazyBytes(length, memory.littleEndian, (offset, into) => memory.read(asVaddr(address + BigInt(offset)), into));
  }

  /** A table that is in our memory already. */
  static ofBytes(bytes: Uint8Array, littleEndian: boolean): LazyBytes {
    return new LazyBytes(bytes.length, littleEndian, (offset, into) => into.set(bytes.subarray(offset, offset + into.length)));
  }

  /** Makes bytes `[from, to)` valid. @throws what reading the memory throws. */
  ensure(from: number, to: number): void {
    const last = Math.min(this.length, to) - 1;
    for (let chunk = Math.floor(Math.max(0, from) / CHUNK), end = Math.floor(last / CHUNK); chunk <= end; chunk++) {
      if (this.#present[chunk] === 1) continue;
      const start = chunk * CHUNK;
      this.#fill(start, this.bytes.subarray(start, Math.min(this.length, start + CHUNK)));
      this.#present[chunk] = 1;
    }
  }

  u8(offset: number): number {
    this.ensure(offset, offset + 1);
    return this.view.getUint8(offset);
  }

  u16(offset: number): number {
    this.ensure(offset, offset + 2);
    return this.view.getUint16(offset, this.littleEndian);
  }

  s16(offset: number): number {
    this.ensure(offset, offset + 2);
    return this.view.getInt16(offset, this.littleEndian);
  }

  u32(offset: number): number {
    this.ensure(offset, offset + 4);
    return this.view.getUint32(offset, this.littleEndian);
  }

  s32(offset: number): number {
    this.ensure(offset, offset + 4);
    return this.view.getInt32(offset, this.littleEndian);
  }

  u64(offset: number): bigint {
    this.ensure(offset, offset + 8);
    return this.view.getBigUint64(offset, this.littleEndian);
  }
}
