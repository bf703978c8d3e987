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
  readonly #phase: number;

  /**
   * @param fill puts the bytes from `offset` into `into`, or throws.
   * @param phase place of the first byte within its page, 0 to 4095: chunks are pages, so that touching one byte reads
   *   one page and not two.
   */
  constructor(length: number, littleEndian: boolean, fill: (offset: number, into: Uint8Array) => void, phase = 0) {
    this.length = length;
    this.littleEndian = littleEndian;
    this.#fill = fill;
    this.#phase = phase;
    // calloc'ed by the runtime: chunks never touched cost no memory.
    this.bytes = new Uint8Array(length);
    this.view = new DataView(this.bytes.buffer);
    this.#present = new Uint8Array(Math.ceil((length + phase) / CHUNK) + 1);
  }

  /** A table in the dumped machine's virtual memory. */
  static ofMemory(memory: VirtualMemory, address: Vaddr, length: number): LazyBytes {
    return new LazyBytes(
      length,
      memory.littleEndian,
      (offset, into) => memory.read(asVaddr(address + BigInt(offset)), into),
      Number(address & BigInt(CHUNK - 1)),
    );
  }

  /** A table that is in our memory already. */
  static ofBytes(bytes: Uint8Array, littleEndian: boolean): LazyBytes {
    return new LazyBytes(bytes.length, littleEndian, (offset, into) => into.set(bytes.subarray(offset, offset + into.length)));
  }

  /** Makes bytes `[from, to)` valid. @throws what reading the memory throws. */
  ensure(from: number, to: number): void {
    const phase = this.#phase;
    const last = Math.min(this.length, to) - 1;
    if (last < from) return;
    for (let chunk = (Math.max(0, from) + phase) >>> 12, end = (last + phase) >>> 12; chunk <= end; chunk++) {
      if (this.#present[chunk] === 1) continue;
      const start = Math.max(0, chunk * CHUNK - phase);
      this.#fill(start, this.bytes.subarray(start, Math.min(this.length, (chunk + 1) * CHUNK - phase)));
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
