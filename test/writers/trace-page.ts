/** Makes trace ring buffer pages of a 64-bit little-endian kernel; independent of what reads them. */
export class TracePageWriter {
  readonly #parts: Buffer[] = [];
  readonly #timestamp: bigint;
  #time: bigint;

  /** @param timestamp of the page, which its first event's delta counts from. */
  constructor(timestamp: bigint) {
    this.#timestamp = timestamp;
    this.#time = timestamp;
  }

  /** Bytes of events so far. */
  get length(): number {
    return this.#parts.reduce((sum, part) => sum + part.length, 0);
  }

  /** An event at this time; before it a time extend where 27 bits do not hold the delta, or always. */
  event(time: bigint, data: Uint8Array, options: { readonly extend?: boolean; readonly long?: boolean } = {}): this {
    let delta = time - this.#time;
    this.#time = time;
    if (delta >= 1n << 27n || options.extend === true) {
      this.#words([30, delta], Number(delta >> 27n));
      delta = 0n;
    }
    const padded = Buffer.alloc(Math.ceil(data.length / 4) * 4);
    padded.set(data);
    const words = padded.length / 4;
    if (words >= 1 && words <= 28 && options.long !== true) this.#words([words, delta]);
    else this.#words([0, delta], padded.length + 4);
    this.#parts.push(padded);
    return this;
  }

  /** An absolute time; of it 59 bits are stored. */
  stamp(time: bigint): this {
    this.#time = time;
    this.#words([31, time], Number((time >> 27n) & 0xffffffffn));
    return this;
  }

  /** An event that its writer discarded; takes time like any. */
  discarded(time: bigint, length: number): this {
    this.#words([29, time - this.#time], length + 4);
    this.#time = time;
    this.#parts.push(Buffer.alloc(length, 0xee));
    return this;
  }

  /** The rest of the page is nothing; what follows counts as data, and is not to be looked at. */
  padding(length: number): this {
    this.#words([29, 0n]);
    this.#parts.push(Buffer.alloc(length, 0xdd));
    return this;
  }

  /** Bytes as they are. */
  raw(bytes: Uint8Array): this {
    this.#parts.push(Buffer.from(bytes));
    return this;
  }

  /**
   * @param missed events overwritten before this page: their number, or `uncounted`.
   * @param signExtended the kernel's flag in the upper half of commit, too, as 6.1 and 7.2 have it; 6.12 does not.
   */
  encode(missed: number | "uncounted" | "none" = "none", signExtended = true, size = 4096): Buffer {
    const data = Buffer.concat(this.#parts);
    const page = Buffer.alloc(Math.max(size, 16 + data.length));
    page.writeBigUInt64LE(this.#timestamp, 0);
    let commit = BigInt(data.length);
    if (missed !== "none") commit |= signExtended ? 0xffffffff80000000n : 0x80000000n;
    data.copy(page, 16);
    if (typeof missed === "number") {
      commit |= 0x40000000n;
      page.writeBigUInt64LE(BigInt(missed), 16 + data.length);
    }
    page.writeBigUInt64LE(commit, 8);
    return page;
  }

  #words([type, delta]: readonly [type: number, delta: bigint], word?: number): void {
    const bytes = Buffer.alloc(word === undefined ? 4 : 8);
    bytes.writeUInt32LE(Number((delta & 0x7ffffffn) << 5n) + type, 0);
    if (word !== undefined) bytes.writeUInt32LE(word, 4);
    this.#parts.push(bytes);
  }
}
