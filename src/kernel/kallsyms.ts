import { asVaddr, DumpError, hex, isDumpError, type Vaddr } from "../bytes/index.ts";
import { LazyBytes, type VirtualMemory } from "../memory/index.ts";
import type { SymbolPlace, SymbolTable } from "./symbol.ts";

/**
 * The kernel's own symbol table, as scripts/kallsyms.c lays it out (linux:kernel/kallsyms.c).
 *
 * A name is a length and that many token numbers; token i is the NUL-terminated string at
 * token_table[token_index[i]]. The first character of the expanded text is nm's type letter. Names stand in the order
 * of ascending addresses. Addresses come in one of the {@link AddressEncoding}s.
 */
export interface KallsymsTables {
  readonly num_syms: number;
  readonly names: Vaddr;
  readonly token_table: Vaddr;
  readonly token_index: Vaddr;
  /** kallsyms_offsets (u32 each), or kallsyms_addresses (a word each) for `absolute`. */
  readonly offsets: Vaddr;
  readonly encoding: AddressEncoding;
  /** kallsyms_relative_base; 0 where the encoding has none. */
  readonly relative_base: bigint;
  /** Whether a length byte with bit 7 set continues in the next byte (linux 73bbb94466fd, v6.1). */
  readonly longNames: boolean;
}

/**
 * - `absolute`: a word per symbol (up to 4.5, and builds without relative base).
 * - `base-relative`: relative_base + u32.
 * - `absolute-percpu`: s32 ≥ 0 is the value itself (per-CPU symbols), < 0 is relative_base - 1 - value (x86-64 SMP to 6.14).
 * - `place-relative`: address of the entry + s32 (7.0).
 */
export type AddressEncoding = "absolute" | "base-relative" | "absolute-percpu" | "place-relative";

const MIN_SYMS = 1000;
const MAX_SYMS = 4_000_000;
/** KSYM_NAME_LEN is 512 since 6.1; a longer expansion is damage. */
const MAX_NAME = 1024;
/** Bytes of the whole names stream: Debian's 170,000 symbols take 2 MB. */
const MAX_NAMES = 64 * 1024 * 1024;
/** A position of the names stream is kept for every this many symbols. */
const STRIDE = 256;

/** Symbols of vmlinux read from the dump itself. */
export class Kallsyms implements SymbolTable {
  readonly tables: KallsymsTables;
  readonly count: number;
  readonly #names: LazyBytes;
  readonly #offsets: LazyBytes;
  readonly #tokens: Uint8Array[];
  readonly #base: bigint;
  /** Symbols before this index have small absolute values (per-CPU offsets); those from it on ascend from the base. */
  readonly #firstRelative: number;
  /** Position in `names` of every 256th symbol, as far as the stream was walked. */
  readonly #positions: Uint32Array;
  #walkedBlocks = 0;
  readonly #found: Map<string, Vaddr | undefined> = new Map();

  /** @throws CORRUPT where the tables contradict themselves, or what reading them throws. */
  constructor(memory: VirtualMemory, tables: KallsymsTables) {
    this.tables = tables;
    this.count = tables.num_syms;
    if (!(this.count >= MIN_SYMS && this.count <= MAX_SYMS)) throw new DumpError("CORRUPT", `kallsyms_num_syms is ${this.count}, a kernel has ${MIN_SYMS} to ${MAX_SYMS}`);
    this.#tokens = readTokens(memory, tables);
    // The stream's end is known only after walking it, but token_table stands behind it in every kernel.
    const span = Number(tables.token_table - tables.names);
    this.#names = LazyBytes.ofMemory(memory, tables.names, span > this.count && span < MAX_NAMES ? span : this.count * 64);
    this.#offsets = LazyBytes.ofMemory(memory, tables.offsets, this.count * (tables.encoding === "absolute" ? 8 : 4));
    this.#positions = new Uint32Array(Math.ceil(this.count / STRIDE) + 1);
    this.#base = tables.encoding === "place-relative" ? tables.offsets : tables.encoding === "absolute" ? this.#absoluteBase() : tables.relative_base;
    this.#firstRelative = tables.encoding === "absolute-percpu" ? this.#signChange() : 0;
  }

  /** Addresses of kernel symbols are within 4 GiB of each other: measure all from the middle one. */
  #absoluteBase(): bigint {
    const middle = (this.count >> 1) * 8;
    return this.#offsets.u64(middle) & ~0xffffffffn;
  }

  #signChange(): number {
    let low = 0;
    let high = this.count;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#offsets.s32(middle * 4) < 0) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  /** Distance of symbol `index` from the base; only for index ≥ firstRelative. */
  #relative(index: number): number {
    switch (this.tables.encoding) {
      case "absolute-percpu":
        return -1 - this.#offsets.s32(index * 4);
      case "base-relative":
        return this.#offsets.u32(index * 4);
      case "place-relative":
        return index * 4 + this.#offsets.s32(index * 4);
      case "absolute":
        return Number(this.#offsets.u64(index * 8) - this.#base);
    }
  }

  /** Address of symbol `index` (0 to count - 1). */
  addressOf(index: number): Vaddr {
    if (index < this.#firstRelative) return asVaddr(BigInt(this.#offsets.s32(index * 4)));
    return asVaddr(this.#base + BigInt(this.#relative(index)));
  }

  /** Type letter and name of symbol `index`. */
  nameOf(index: number): { type: string; name: string } {
    const block = Math.floor(index / STRIDE);
    this.#walkTo(block);
    let at = this.#positions[block]!;
    for (let i = block * STRIDE; i < index; i++) at = this.#skip(at);
    const text = this.#expand(at);
    return { type: text[0] ?? "?", name: text.slice(1) };
  }

  /** Records stream positions up to the given block of 256 symbols. */
  #walkTo(block: number): void {
    while (this.#walkedBlocks < block) {
      let at = this.#positions[this.#walkedBlocks]!;
      for (let i = 0; i < STRIDE; i++) at = this.#skip(at);
      this.#positions[++this.#walkedBlocks] = at;
    }
  }

  #skip(at: number): number {
    let length = this.#names.u8(at);
    let next = at + 1;
    if (this.tables.longNames && length & 0x80) {
      length = (length & 0x7f) | (this.#names.u8(next) << 7);
      next++;
    }
    return next + length;
  }

  #expand(at: number): string {
    let length = this.#names.u8(at);
    let next = at + 1;
    if (this.tables.longNames && length & 0x80) {
      length = (length & 0x7f) | (this.#names.u8(next) << 7);
      next++;
    }
    let text = "";
    for (let i = 0; i < length && text.length < MAX_NAME; i++) {
      const token = this.#tokens[this.#names.u8(next + i)]!;
      for (let k = 0; k < token.length; k++) text += String.fromCharCode(token[k]!);
    }
    return text;
  }

  lookup(name: string): Vaddr | undefined {
    if (!this.#found.has(name)) this.prefetch([name]);
    return this.#found.get(name);
  }

  prefetch(names: readonly string[]): void {
    const wanted = new Map<number, string[]>();
    for (const name of names) {
      if (this.#found.has(name)) continue;
      this.#found.set(name, undefined);
      const hash = hashOf(name);
      const same = wanted.get(hash);
      if (same) same.push(name);
      else wanted.set(hash, [name]);
    }
    if (wanted.size === 0) return;
    this.#scan(wanted);
  }

  /** Expands every name once, hashing as it goes: the whole stream costs about ten milliseconds. */
  #scan(wanted: Map<number, string[]>): void {
    const tokens = this.#tokens;
    const names = this.#names;
    const bytes = names.bytes;
    // A bit set in front of the map: nearly every symbol is answered by it alone.
    const filter = new Uint8Array(8192);
    for (const hash of wanted.keys()) filter[(hash & 0xffff) >> 3]! |= 1 << (hash & 7);
    let left = 0;
    for (const same of wanted.values()) left += same.length;
    let at = 0;
    for (let index = 0; index < this.count; index++) {
      if (index % STRIDE === 0) {
        const block = index / STRIDE;
        this.#positions[block] = at;
        if (block > this.#walkedBlocks) this.#walkedBlocks = block;
        if (left === 0) return;
      }
      if (at + 2 > names.length) throw new DumpError("CORRUPT", `kallsyms_names: symbol ${index} of ${this.count} is beyond ${names.length} bytes`);
      // Near the end of the table the next page may not exist: read no further than the entry itself.
      names.ensure(at, at + 2);
      let length = bytes[at]!;
      let next = at + 1;
      if (this.tables.longNames && length & 0x80) {
        length = (length & 0x7f) | (bytes[next]! << 7);
        next++;
      }
      if (next + length > names.length) throw new DumpError("CORRUPT", `kallsyms_names: symbol ${index} has a name of ${length} tokens, beyond the table's ${names.length} bytes`);
      names.ensure(next, next + length);
      let hash = 0x811c9dc5;
      let skip = 1;
      for (let i = 0; i < length; i++) {
        const token = tokens[bytes[next + i]!]!;
        for (let k = skip; k < token.length; k++) hash = Math.imul(hash ^ token[k]!, 0x01000193);
        if (token.length > 0) skip = 0;
      }
      hash &= 0x7fffffff;
      if (filter[(hash & 0xffff) >> 3]! & (1 << (hash & 7))) {
        const same = wanted.get(hash);
        if (same) {
          const name = this.#expand(at).slice(1);
          if (same.includes(name) && this.#found.get(name) === undefined) {
            this.#found.set(name, this.addressOf(index));
            left--;
          }
        }
      }
      at = next + length;
    }
  }

  find(address: Vaddr): SymbolPlace | undefined {
    const distance = Number(address - this.#base);
    let low = this.#firstRelative;
    let high = this.count;
    if (low >= high || distance < this.#relative(low)) return undefined;
    // The last symbol at or below.
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (this.#relative(middle) <= distance) low = middle;
      else high = middle;
    }
    const start = this.#relative(low);
    const size = low + 1 < this.count ? this.#relative(low + 1) - start : undefined;
    // Of several names at one address the kernel says the first (linux:kernel/kallsyms.c:get_symbol_pos).
    while (low > this.#firstRelative && this.#relative(low - 1) === start) low--;
    const { type, name } = this.nameOf(low);
    return { name, type, offset: distance - start, size, module: undefined };
  }

  /** All names at exactly the address of the symbol that {@link find} gives: aliases of one function. */
  aliases(address: Vaddr): string[] {
    const distance = Number(address - this.#base);
    let low = this.#firstRelative;
    let high = this.count;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (this.#relative(middle) <= distance) low = middle;
      else high = middle;
    }
    const start = this.#relative(low);
    const names: string[] = [];
    for (let i = low; i >= this.#firstRelative && this.#relative(i) === start; i--) names.unshift(this.nameOf(i).name);
    return names;
  }
}

/** FNV-1a over Latin-1 characters, cut to 31 bits. */
function hashOf(name: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < name.length; i++) hash = Math.imul(hash ^ name.charCodeAt(i), 0x01000193);
  return hash & 0x7fffffff;
}

function readTokens(memory: VirtualMemory, tables: KallsymsTables): Uint8Array[] {
  const index = memory.fields(tables.token_index, 512, "kallsyms_token_index");
  const last = index.u16(510);
  if (index.u16(0) !== 0 || last > 16384) throw new DumpError("CORRUPT", `kallsyms_token_index begins with ${index.u16(0)} and ends with ${last}`);
  const size = last + 128;
  const table = new Uint8Array(size);
  // The table may end right before an unreadable page.
  for (let have = size; have > last; have -= 32) {
    if (memory.tryRead(tables.token_table, table.subarray(0, have))) break;
  }
  const tokens: Uint8Array[] = [];
  for (let i = 0; i < 256; i++) {
    const from = index.u16(i * 2);
    if (i > 0 && from <= index.u16(i * 2 - 2)) throw new DumpError("CORRUPT", `kallsyms_token_index does not ascend at ${i}`);
    const end = table.indexOf(0, from);
    tokens.push(table.slice(from, end < 0 ? from : end));
  }
  return tokens;
}

/**
 * Chooses the encoding and the length form by asking each for a symbol whose address is known
 * (formats.md 8.1.2), instead of by the kernel's version.
 *
 * @param tables without what is to be chosen.
 * @param known symbols of which VMCOREINFO gives the address.
 * @throws CORRUPT when none fits.
 */
export function openKallsyms(
  memory: VirtualMemory,
  tables: Omit<KallsymsTables, "encoding" | "longNames">,
  known: ReadonlyMap<string, Vaddr>,
): Kallsyms {
  const encodings: AddressEncoding[] = tables.relative_base === 0n ? ["place-relative", "absolute"] : ["absolute-percpu", "base-relative"];
  const names = [...known.keys()];
  let failure: unknown;
  for (const encoding of encodings) {
    for (const longNames of [true, false]) {
      try {
        const candidate = new Kallsyms(memory, { ...tables, encoding, longNames });
        candidate.prefetch(names);
        if (names.some((name) => candidate.lookup(name) === known.get(name))) return candidate;
      } catch (error) {
        if (!isDumpError(error)) throw error;
        failure ??= error;
      }
    }
  }
  throw new DumpError("CORRUPT", `the symbol table at ${hex(tables.names)} gives ${names.join(", ")} the address of VMCOREINFO in no known encoding`, { cause: failure });
}
