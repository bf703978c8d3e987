import { DumpError } from "../bytes/index.ts";
import type { Btf, BtfMember } from "./btf.ts";
import type { Vmcoreinfo } from "./vmcoreinfo.ts";

/** Where a field is inside its struct. */
export interface FieldPlace {
  /** Byte offset from the start of the struct. For a bitfield: of the byte that holds its first bit. */
  readonly offset: number;
  /** Size in bytes; 0 where only the offset is known. */
  readonly size: number;
  /** First bit within the byte at `offset`, for bitfields. */
  readonly bitShift: number;
  /** Width in bits; 0 for an ordinary field. */
  readonly bitSize: number;
}

/**
 * Layouts of the dumped kernel's structs, from its own BTF, else from VMCOREINFO. Nothing here knows a kernel version:
 * a field that is absent is absent, and the caller tries the older name.
 */
export class Types {
  /** Undefined when the dump has no usable BTF. */
  readonly btf: Btf | undefined;
  readonly #vmcoreinfo: Vmcoreinfo;
  readonly #wordSize: 4 | 8;
  readonly #places: Map<string, FieldPlace | undefined> = new Map();

  constructor(btf: Btf | undefined, vmcoreinfo: Vmcoreinfo, wordSize: 4 | 8) {
    this.btf = btf;
    this.#vmcoreinfo = vmcoreinfo;
    this.#wordSize = wordSize;
  }

  /** The field at a dotted path (`thread.sp`), or undefined. */
  find(struct: string, path: string): FieldPlace | undefined {
    const key = `${struct}.${path}`;
    if (this.#places.has(key)) return this.#places.get(key);
    const place = this.#fromBtf(struct, path) ?? this.#fromVmcoreinfo(key);
    this.#places.set(key, place);
    return place;
  }

  #fromBtf(struct: string, path: string): FieldPlace | undefined {
    const btf = this.btf;
    const id = btf?.findStruct(struct);
    if (!btf || id === undefined) return undefined;
    let type: number = id;
    let bits = 0;
    let bitSize = 0;
    for (const name of path.split(".")) {
      const member: BtfMember | undefined = btf.members(type).find((m) => m.name === name);
      if (!member) return undefined;
      bits += member.bitOffset;
      bitSize = member.bitSize;
      type = member.type;
    }
    return { offset: bits >> 3, size: btf.sizeOf(type, this.#wordSize), bitShift: bits & 7, bitSize };
  }

  #fromVmcoreinfo(key: string): FieldPlace | undefined {
    const offset = this.#vmcoreinfo.offset(key);
    return offset === undefined ? undefined : { offset, size: 0, bitShift: 0, bitSize: 0 };
  }

  /** {@link find} of the first path that exists: a field that was renamed or moved. */
  findAny(struct: string, ...paths: readonly string[]): FieldPlace | undefined {
    for (const path of paths) {
      const place = this.find(struct, path);
      if (place) return place;
    }
    return undefined;
  }

  /** Byte offset of a field. @throws UNSUPPORTED when neither BTF nor VMCOREINFO knows it. */
  offset(struct: string, ...paths: readonly string[]): number {
    const place = this.findAny(struct, ...paths);
    if (!place)
      throw new DumpError(
        "UNSUPPORTED",
        `the layout of struct ${struct} is not known: no ${paths.join(" or ")} in ${this.btf ? "BTF" : "VMCOREINFO, and the dump has no BTF"}`,
      );
    return place.offset;
  }

  /** Size of a struct in bytes, or undefined. */
  sizeOf(struct: string): number | undefined {
    const id = this.btf?.findStruct(struct);
    return id === undefined ? this.#vmcoreinfo.size(struct) : this.btf!.sizeOf(id, this.#wordSize);
  }
}
