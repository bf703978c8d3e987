import { DumpError, latin1 } from "../bytes/index.ts";
import type { LazyBytes } from "../memory/index.ts";

/**
 * BPF Type Format: the types of a kernel or module, as kept in its memory for BPF (linux:include/uapi/linux/btf.h;
 * formats.md 8.3). Types are numbered from 1 in the order in which they stand; 0 is void.
 */
export const BTF_MAGIC = 0xeb9f;

const KIND_INT = 1;
const KIND_PTR = 2;
const KIND_ARRAY = 3;
const KIND_STRUCT = 4;
const KIND_UNION = 5;
const KIND_ENUM = 6;
const KIND_TYPEDEF = 8;
const KIND_VOLATILE = 9;
const KIND_CONST = 10;
const KIND_RESTRICT = 11;
const KIND_FUNC_PROTO = 13;
const KIND_VAR = 14;
const KIND_DATASEC = 15;
const KIND_DECL_TAG = 17;
const KIND_TYPE_TAG = 18;
const KIND_ENUM64 = 19;

const MAX_KIND = 19;
const MAX_TYPES = 4_000_000;
const MAX_STRING = 512;
const MAX_DEPTH = 32;

/** One member of a struct or union, with the offset from the outermost struct that was asked. */
export interface BtfMember {
  readonly name: string;
  /** Offset in bits from the start of the struct. */
  readonly bitOffset: number;
  /** Width of a bitfield in bits; 0 for an ordinary member. */
  readonly bitSize: number;
  readonly type: number;
}

/** The types of vmlinux, or of a module on top of vmlinux. Read as far as questions make it. */
export class Btf {
  readonly #bytes: LazyBytes;
  readonly #base: Btf | undefined;
  readonly #firstId: number;
  readonly #firstString: number;
  readonly #typesAt: number;
  readonly #typesEnd: number;
  readonly #stringsAt: number;
  readonly #stringsLength: number;
  /** Offset of each type's record, for the types walked so far; index = id - firstId. */
  #offsets: Uint32Array = new Uint32Array(4096);
  #walked = 0;
  /** Types whose names are in the indexes; at most `#walked`. */
  #named = 0;
  #next: number;
  readonly #structs: Map<string, number> = new Map();
  readonly #enums: Map<string, number> = new Map();
  readonly #members: Map<number, readonly BtfMember[]> = new Map();

  /**
   * @param bytes the whole blob.
   * @param base types of vmlinux, for a module's split BTF.
   * @throws CORRUPT or UNSUPPORTED when the header makes no sense.
   */
  constructor(bytes: LazyBytes, base?: Btf) {
    this.#bytes = bytes;
    this.#base = base;
    if (bytes.length < 24) throw new DumpError("CORRUPT", `BTF is ${bytes.length} bytes long, its header has 24`);
    const magic = bytes.u16(0);
    if (magic !== BTF_MAGIC) throw new DumpError("CORRUPT", `BTF magic is ${magic.toString(16)}, expected ${BTF_MAGIC.toString(16)}`);
    if (bytes.u8(2) !== 1) throw new DumpError("UNSUPPORTED", `BTF version is ${bytes.u8(2)}, 1 is known`);
    const hdrLen = bytes.u32(4);
    this.#typesAt = hdrLen + bytes.u32(8);
    this.#typesEnd = this.#typesAt + bytes.u32(12);
    this.#stringsAt = hdrLen + bytes.u32(16);
    this.#stringsLength = bytes.u32(20);
    if (hdrLen < 24 || this.#typesEnd > bytes.length || this.#stringsAt + this.#stringsLength > bytes.length) {
      throw new DumpError(
        "CORRUPT",
        `BTF sections end at ${this.#typesEnd} and ${this.#stringsAt + this.#stringsLength}, the blob has ${bytes.length} bytes`,
      );
    }
    this.#next = this.#typesAt;
    this.#firstId = base ? base.count() + 1 : 1;
    this.#firstString = base ? base.#stringEnd() : 0;
  }

  #stringEnd(): number {
    return this.#firstString + this.#stringsLength;
  }

  /** Highest type id. Walks all types. */
  count(): number {
    while (this.#step() !== 0);
    return this.#firstId + this.#walked - 1;
  }

  #string(offset: number): string {
    if (offset < this.#firstString) return this.#base ? this.#base.#string(offset) : "";
    const at = this.#stringsAt + offset - this.#firstString;
    const end = Math.min(this.#stringsAt + this.#stringsLength, at + MAX_STRING);
    if (at >= end) return "";
    const bytes = this.#bytes;
    let stop = at;
    while (stop < end && bytes.u8(stop) !== 0) stop++;
    return latin1(bytes.bytes.subarray(at, stop));
  }

  /** Walks one more type; returns its id, or 0 at the end. @throws CORRUPT on a record that does not fit. */
  #step(): number {
    if (this.#next + 12 > this.#typesEnd) return 0;
    const at = this.#next;
    const info = this.#bytes.u32(at + 4);
    const kind = (info >>> 24) & 0x1f;
    if (kind === 0 || kind > MAX_KIND)
      throw new DumpError("UNSUPPORTED", `BTF type ${this.#firstId + this.#walked} has kind ${kind}, kinds 1 to ${MAX_KIND} are known`, {
        at,
      });
    const next = at + 12 + extraBytes(kind, info & 0xffff);
    if (next > this.#typesEnd)
      throw new DumpError("CORRUPT", `BTF type ${this.#firstId + this.#walked} ends at ${next}, the types end at ${this.#typesEnd}`, {
        at,
      });
    if (this.#walked >= MAX_TYPES) throw new DumpError("LIMIT", `more than ${MAX_TYPES} BTF types`);
    if (this.#walked === this.#offsets.length) {
      const grown = new Uint32Array(this.#offsets.length * 2);
      grown.set(this.#offsets);
      this.#offsets = grown;
    }
    this.#offsets[this.#walked++] = at;
    this.#next = next;
    return this.#firstId + this.#walked - 1;
  }

  /** Offset of the record of type `id` in the blob that has it. */
  #record(id: number): number {
    while (id >= this.#firstId + this.#walked) {
      if (this.#step() === 0)
        throw new DumpError("CORRUPT", `BTF type ${id} does not exist, the last is ${this.#firstId + this.#walked - 1}`);
    }
    return this.#offsets[id - this.#firstId]!;
  }

  /** The blob that holds type `id`. */
  #owner(id: number): Btf {
    return id < this.#firstId && this.#base ? this.#base : this;
  }

  /** Id of the struct or union of that name; walks on until it comes. */
  findStruct(name: string): number | undefined {
    return this.#base?.findStruct(name) ?? this.#find(this.#structs, name);
  }

  /**
   * Names types in their order until `name` comes. The structs that matter are among the first thousands where pahole
   * numbered types as it met them (every file includes sched.h), so most of the table is never read; kernels that sort
   * it by name (7.x) are walked further.
   */
  #find(index: Map<string, number>, name: string): number | undefined {
    for (;;) {
      const known = index.get(name);
      if (known !== undefined) return known;
      // Following members may have walked ahead of the names.
      if (this.#named === this.#walked && this.#step() === 0) return undefined;
      const at = this.#offsets[this.#named++]!;
      const kind = (this.#bytes.u32(at + 4) >>> 24) & 0x1f;
      if (kind !== KIND_STRUCT && kind !== KIND_UNION && kind !== KIND_ENUM && kind !== KIND_ENUM64) continue;
      const text = this.#string(this.#bytes.u32(at));
      if (text === "") continue;
      const into = kind === KIND_STRUCT || kind === KIND_UNION ? this.#structs : this.#enums;
      if (!into.has(text)) into.set(text, this.#firstId + this.#named - 1);
    }
  }

  /** Name to value of an enum's constants, or undefined when there is no enum of that name. Values are exact to 2^53. */
  enumerators(name: string): Map<string, number> | undefined {
    const id = this.#find(this.#enums, name);
    if (id === undefined) return this.#base?.enumerators(name);
    const at = this.#record(id);
    const info = this.#bytes.u32(at + 4);
    const wide = ((info >>> 24) & 0x1f) === KIND_ENUM64;
    const values = new Map<string, number>();
    for (let i = 0; i < (info & 0xffff); i++) {
      const entry = at + 12 + i * (wide ? 12 : 8);
      values.set(
        this.#string(this.#bytes.u32(entry)),
        wide ? this.#bytes.u32(entry + 4) + this.#bytes.s32(entry + 8) * 2 ** 32 : this.#bytes.s32(entry + 4),
      );
    }
    return values;
  }

  /** Follows typedef, const, volatile, restrict and type tags. @throws CORRUPT on a loop. */
  resolve(id: number): number {
    let at = id;
    for (let depth = 0; depth < MAX_DEPTH; depth++) {
      if (at === 0) return 0;
      const owner = this.#owner(at);
      const record = owner.#record(at);
      const kind = (owner.#bytes.u32(record + 4) >>> 24) & 0x1f;
      if (kind !== KIND_TYPEDEF && kind !== KIND_CONST && kind !== KIND_VOLATILE && kind !== KIND_RESTRICT && kind !== KIND_TYPE_TAG)
        return at;
      at = owner.#bytes.u32(record + 8);
    }
    throw new DumpError("CORRUPT", `BTF type ${id} refers to itself`);
  }

  /** Size of a type in bytes; `wordSize` for pointers; 0 for void and functions. @throws CORRUPT on a loop. */
  sizeOf(id: number, wordSize = 8, depth = 0): number {
    const real = this.resolve(id);
    if (real === 0 || depth > MAX_DEPTH) return 0;
    const owner = this.#owner(real);
    const at = owner.#record(real);
    const bytes = owner.#bytes;
    switch ((bytes.u32(at + 4) >>> 24) & 0x1f) {
      case KIND_PTR:
        return wordSize;
      case KIND_ARRAY:
        return bytes.u32(at + 20) * this.sizeOf(bytes.u32(at + 12), wordSize, depth + 1);
      case KIND_FUNC_PROTO:
        return 0;
      default:
        return bytes.u32(at + 8);
    }
  }

  /** Element type and count of an array type (after {@link resolve}), or undefined. */
  arrayOf(id: number): { type: number; count: number } | undefined {
    const real = this.resolve(id);
    if (real === 0) return undefined;
    const owner = this.#owner(real);
    const at = owner.#record(real);
    if (((owner.#bytes.u32(at + 4) >>> 24) & 0x1f) !== KIND_ARRAY) return undefined;
    return { type: owner.#bytes.u32(at + 12), count: owner.#bytes.u32(at + 20) };
  }

  /** Members of a struct or union with those of anonymous members in their place; empty for any other type. */
  members(id: number): readonly BtfMember[] {
    const real = this.resolve(id);
    const owner = this.#owner(real);
    if (owner !== this) return owner.members(real);
    let members = this.#members.get(real);
    if (!members) {
      const list: BtfMember[] = [];
      this.#collect(real, 0, list, 0);
      members = list;
      this.#members.set(real, members);
    }
    return members;
  }

  #collect(id: number, base: number, into: BtfMember[], depth: number): void {
    const owner = this.#owner(id);
    const at = owner.#record(id);
    const bytes = owner.#bytes;
    const info = bytes.u32(at + 4);
    const kind = (info >>> 24) & 0x1f;
    if ((kind !== KIND_STRUCT && kind !== KIND_UNION) || depth > MAX_DEPTH) return;
    const bitfields = info >>> 31 === 1;
    for (let i = 0; i < (info & 0xffff); i++) {
      const entry = at + 12 + i * 12;
      const name = owner.#string(bytes.u32(entry));
      const type = bytes.u32(entry + 4);
      const packed = bytes.u32(entry + 8);
      const bitOffset = base + (bitfields ? packed & 0xffffff : packed);
      if (name === "") this.#collect(this.resolve(type), bitOffset, into, depth + 1);
      else into.push({ name, bitOffset, bitSize: bitfields ? packed >>> 24 : 0, type });
    }
  }
}

/** Bytes of a type record after its 12 common ones. */
function extraBytes(kind: number, vlen: number): number {
  switch (kind) {
    case KIND_INT:
    case KIND_VAR:
    case KIND_DECL_TAG:
      return 4;
    case KIND_ARRAY:
      return 12;
    case KIND_STRUCT:
    case KIND_UNION:
    case KIND_DATASEC:
    case KIND_ENUM64:
      return vlen * 12;
    case KIND_ENUM:
    case KIND_FUNC_PROTO:
      return vlen * 8;
    default:
      return 0;
  }
}
