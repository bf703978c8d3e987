/** Writes BTF blobs; types are numbered from 1 (or from `firstId`) in the order in which they are added. */
export class BtfWriter {
  readonly #types: Buffer[] = [];
  readonly #strings: Buffer[] = [Buffer.from("\0")];
  #stringsLength = 1;
  #next: number;
  readonly #firstString: number;

  /** @param firstId and @param firstString continue those of the base, for a module's split BTF. */
  constructor(firstId = 1, firstString = 0) {
    this.#next = firstId;
    this.#firstString = firstString;
    if (firstString > 0) {
      this.#strings.length = 0;
      this.#stringsLength = 0;
    }
  }

  get stringsLength(): number {
    return this.#stringsLength;
  }

  get count(): number {
    return this.#next - 1;
  }

  string(text: string): number {
    if (text === "") return 0;
    const at = this.#firstString + this.#stringsLength;
    const bytes = Buffer.from(`${text}\0`, "latin1");
    this.#strings.push(bytes);
    this.#stringsLength += bytes.length;
    return at;
  }

  /** A record: name, kind, vlen, size or type, and the words behind it. */
  add(kind: number, name: string, sizeOrType: number, words: readonly number[] = [], vlen = 0, flag = false): number {
    const bytes = Buffer.alloc(12 + words.length * 4);
    bytes.writeUInt32LE(this.string(name), 0);
    bytes.writeUInt32LE(((vlen | (kind << 24)) >>> 0) + (flag ? 0x80000000 : 0), 4);
    bytes.writeUInt32LE(sizeOrType >>> 0, 8);
    words.forEach((word, i) => bytes.writeUInt32LE(word >>> 0, 12 + i * 4));
    this.#types.push(bytes);
    return this.#next++;
  }

  int(name: string, size: number): number {
    return this.add(1, name, size, [size * 8]);
  }

  /** Members as name, type, offset in bits, and for bitfields their width. */
  struct(
    name: string,
    size: number,
    members: readonly (readonly [name: string, type: number, bits: number, width?: number])[],
    union = false,
  ): number {
    const flag = members.some((member) => member[3] !== undefined);
    const words = members.flatMap(([member, type, bits, width]) => [this.string(member), type, flag ? bits | ((width ?? 0) << 24) : bits]);
    return this.add(union ? 5 : 4, name, size, words, members.length, flag);
  }

  bytes(): Uint8Array {
    const types = Buffer.concat(this.#types);
    const strings = Buffer.concat(this.#strings);
    const head = Buffer.alloc(24);
    head.writeUInt16LE(0xeb9f, 0);
    head[2] = 1;
    head.writeUInt32LE(24, 4);
    head.writeUInt32LE(0, 8);
    head.writeUInt32LE(types.length, 12);
    head.writeUInt32LE(types.length, 16);
    head.writeUInt32LE(strings.length, 20);
    return Buffer.concat([head, types, strings]);
  }
}
