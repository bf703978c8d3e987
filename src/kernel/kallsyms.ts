import { AscendingTable, asVaddr, DumpError, hex, isDumpError, type Vaddr } from "../bytes/index.ts";
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

/** Names that a scan looks for. */
interface Wanted {
  readonly names: readonly string[];
  readonly byHash: ReadonlyMap<number, readonly string[]>;
  /** One bit for the low 16 bits of each hash. */
  readonly filter: Uint8Array;
  left: number;
}

/** Blocks on either side that are looked at around a place. What is looked for has been within 8 in every kernel seen. */
const NEAR_BLOCKS = 32;
/** The first symbol behind the functions (linux:arch/x86/kernel/vmlinux.lds.S). */
const END_OF_TEXT = "_etext";

/** Symbols of vmlinux read from the dump itself. */
export class Kallsyms implements SymbolTable {
  readonly tables: KallsymsTables;
  readonly count: number;
  readonly #names: LazyBytes;
  readonly #offsets: LazyBytes;
  readonly #tokens: Uint8Array[];
  readonly #hashes: TokenHashes;
  readonly #base: bigint;
  /** Symbols before this index have small absolute values (per-CPU offsets); those from it on ascend from the base. */
  readonly #firstRelative: number;
  readonly #search: AscendingTable;
  /** For the few questions of opening: what a search has seen steers its next guesses, and traces ask for other places. */
  readonly #openingSearch: AscendingTable;
  /** Position in `names` of every 256th symbol, as far as the stream was walked. */
  readonly #positions: Uint32Array;
  #walkedBlocks = 0;
  /** Block of the first symbol behind the functions, once it was met. */
  #textEndBlock: number | undefined;
  /** kallsyms_markers: the same positions, kept by the kernel; undefined where they were not found. */
  readonly #markers: LazyBytes | undefined;
  readonly #found: Map<string, Vaddr | undefined> = new Map();

  /** @throws CORRUPT where the tables contradict themselves, or what reading them throws. */
  constructor(memory: VirtualMemory, tables: KallsymsTables) {
    this.tables = tables;
    this.count = tables.num_syms;
    if (!(this.count >= MIN_SYMS && this.count <= MAX_SYMS))
      throw new DumpError("CORRUPT", `kallsyms_num_syms is ${this.count}, a kernel has ${MIN_SYMS} to ${MAX_SYMS}`);
    this.#tokens = readTokens(memory, tables);
    this.#hashes = hashTokens(this.#tokens);
    // The stream's end is known only after walking it, but token_table stands behind it in every kernel.
    const span = Number(tables.token_table - tables.names);
    this.#names = LazyBytes.ofMemory(memory, tables.names, span > this.count && span < MAX_NAMES ? span : this.count * 64);
    this.#offsets = LazyBytes.ofMemory(memory, tables.offsets, this.count * (tables.encoding === "absolute" ? 8 : 4));
    this.#positions = new Uint32Array(Math.ceil(this.count / STRIDE) + 1);
    this.#markers = findMarkers(memory, tables, this.count);
    this.#base =
      tables.encoding === "place-relative" ? tables.offsets : tables.encoding === "absolute" ? this.#absoluteBase() : tables.relative_base;
    const first = tables.encoding === "absolute-percpu" ? this.#signChange() : 0;
    this.#firstRelative = first;
    const relative = (index: number): number => this.#relative(first + index);
    this.#search = new AscendingTable(this.count - first, relative);
    this.#openingSearch = new AscendingTable(this.count - first, relative);
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
    let at = this.#positionOf(block);
    for (let i = block * STRIDE; i < index; i++) at = this.#skip(at);
    const text = this.#expand(at);
    return { type: text[0] ?? "?", name: text.slice(1) };
  }

  /** Where block `block` of 256 symbols begins in the names stream. */
  #positionOf(block: number): number {
    if (this.#markers) return this.#markers.u32(block * 4);
    this.#walkTo(block);
    return this.#positions[block]!;
  }

  /** Records stream positions up to the given block of 256 symbols. */
  #walkTo(block: number): void {
    while (this.#walkedBlocks < block) {
      let at = this.#positions[this.#walkedBlocks]!;
      for (let i = 0; i < STRIDE; i++) at = this.#skip(at);
      this.#positions[++this.#walkedBlocks] = at;
    }
  }

  /** Position behind the entry at `at`. @throws CORRUPT where it leaves the table. */
  #skip(at: number): number {
    const names = this.#names;
    const { bytes } = names;
    let next = at + 1;
    names.ensure(at, at + 2);
    let length = bytes[at]!;
    if (this.tables.longNames && length & 0x80) length = (length & 0x7f) | (bytes[next++]! << 7);
    // Also false where the bytes read were beyond the end.
    if (next + length <= names.length) return next + length;
    throw new DumpError("CORRUPT", `kallsyms_names: the entry at ${at} leaves the table's ${names.length} bytes`);
  }

  #expand(at: number): string {
    const stop = this.#skip(at);
    const { bytes } = this.#names;
    this.#names.ensure(at, stop);
    let text = "";
    for (let i = this.tables.longNames && bytes[at]! & 0x80 ? at + 2 : at + 1; i < stop && text.length < MAX_NAME; i++) {
      const token = this.#tokens[bytes[i]!]!;
      for (let k = 0; k < token.length; k++) text += String.fromCharCode(token[k]!);
    }
    return text;
  }

  lookup(name: string): Vaddr | undefined {
    if (!this.#found.has(name)) this.prefetch([name]);
    return this.#found.get(name);
  }

  /** Whether there is a symbol of that name at exactly that address. Reads a few places of the tables only. */
  has(name: string, address: Vaddr): boolean {
    let index = this.#indexAt(address, this.#openingSearch) ?? -1;
    while (index >= this.#firstRelative && this.addressOf(index) === address) {
      if (this.nameOf(index).name === name) return true;
      index--;
    }
    return false;
  }

  prefetchNear(names: readonly string[], near: Vaddr): boolean {
    const wanted = this.#unknown(names);
    try {
      const index = this.#indexAt(near, this.#openingSearch);
      if (!this.#markers || index === undefined) return false;
      const middle = Math.floor(index / STRIDE);
      const blocks = Math.ceil(this.count / STRIDE);
      for (let distance = 0; distance <= NEAR_BLOCKS && wanted.left > 0; distance++) {
        if (middle + distance < blocks) this.#scan(middle + distance, wanted);
        if (distance > 0 && middle >= distance) this.#scan(middle - distance, wanted);
      }
    } catch (error) {
      if (!isDumpError(error)) throw error;
    }
    return wanted.left === 0;
  }

  prefetch(names: readonly string[]): void {
    const wanted = this.#unknown(names);
    for (const name of wanted.names) this.#found.set(name, undefined);
    for (let block = 0; block * STRIDE < this.count && wanted.left > 0; block++) this.#scan(block, wanted);
  }

  prefetchVariables(names: readonly string[]): void {
    if (!this.#markers) {
      this.prefetch(names);
      return;
    }
    const wanted = this.#unknown([...names, END_OF_TEXT]);
    // Per-CPU variables come first where they are small numbers; all else but functions comes after the text.
    const blocks = Math.ceil(this.count / STRIDE);
    const firstBlocks = Math.ceil(this.#firstRelative / STRIDE);
    let failure: unknown;
    // A block that cannot be read takes its own names along, no others.
    const scan = (block: number): void => {
      try {
        this.#scan(block, wanted);
      } catch (error) {
        if (!isDumpError(error)) throw error;
        failure ??= error;
      }
    };
    for (let block = 0; block < firstBlocks; block++) scan(block);
    for (let block = blocks - 1; block >= firstBlocks && block >= (this.#textEndBlock ?? 0); block--) {
      scan(block);
      if (this.#textEndBlock === undefined && this.#found.get(END_OF_TEXT) !== undefined) this.#textEndBlock = block;
    }
    for (const name of wanted.names) if (!this.#found.has(name)) this.#found.set(name, undefined);
    if (failure !== undefined) throw failure;
  }

  #unknown(names: readonly string[]): Wanted {
    const unknown = names.filter((name) => !this.#found.has(name));
    const byHash = new Map<number, string[]>();
    // A bit set in front of the map: nearly every symbol is answered by it alone.
    const filter = new Uint8Array(8192);
    for (const name of unknown) {
      const hash = hashOf(name);
      filter[(hash & 0xffff) >> 3]! |= 1 << (hash & 7);
      const same = byHash.get(hash);
      if (same) same.push(name);
      else byHash.set(hash, [name]);
    }
    return { names: unknown, byHash, filter, left: unknown.length };
  }

  /** Hashes the names of one block of 256 symbols, token by token, and notes those that are wanted. */
  #scan(block: number, wanted: Wanted): void {
    const { first, rest, powers } = this.#hashes;
    const names = this.#names;
    const bytes = names.bytes;
    const longNames = this.tables.longNames;
    const filter = wanted.filter;
    const end = Math.min(this.count, (block + 1) * STRIDE);
    let at = this.#positionOf(block);
    // With markers the block's bytes are read at once; without, entry by entry, since the next page may not exist.
    const known = this.#markers !== undefined && end < this.count;
    if (known) names.ensure(at, Math.min(names.length, this.#positionOf(block + 1)));
    for (let index = block * STRIDE; index < end; index++) {
      if (at + 2 > names.length)
        throw new DumpError("CORRUPT", `kallsyms_names: symbol ${index} of ${this.count} is beyond ${names.length} bytes`);
      if (!known) names.ensure(at, at + 2);
      let length = bytes[at]!;
      let next = at + 1;
      if (longNames && length & 0x80) {
        length = (length & 0x7f) | (bytes[next]! << 7);
        next++;
      }
      const stop = next + length;
      if (stop > names.length)
        throw new DumpError(
          "CORRUPT",
          `kallsyms_names: symbol ${index} has a name of ${length} tokens, beyond the table's ${names.length} bytes`,
        );
      if (!known) names.ensure(next, stop);
      // The first character is the type letter.
      let hash = length === 0 ? 0 : first[bytes[next]!]!;
      for (let i = next + 1; i < stop; i++) {
        const token = bytes[i]!;
        hash = (Math.imul(hash, powers[token]!) + rest[token]!) | 0;
      }
      if (filter[(hash & 0xffff) >> 3]! & (1 << (hash & 7))) {
        const same = wanted.byHash.get(hash);
        const name = same && this.#expand(at).slice(1);
        if (name !== undefined && same!.includes(name) && this.#found.get(name) === undefined) {
          this.#found.set(name, this.addressOf(index));
          wanted.left--;
        }
      }
      at = stop;
    }
    // Walking in order gives the positions for nothing.
    if (!this.#markers && block === this.#walkedBlocks && block + 1 < this.#positions.length) {
      this.#positions[block + 1] = at;
      this.#walkedBlocks = block + 1;
    }
  }

  /** Index of the last symbol at or below `address`, or undefined below the first one. */
  #indexAt(address: Vaddr, search = this.#search): number | undefined {
    const distance = Number(address - this.#base);
    const index = search.lastAtOrBelow(distance);
    return index < 0 ? undefined : this.#firstRelative + index;
  }

  find(address: Vaddr): SymbolPlace | undefined {
    let index = this.#indexAt(address);
    if (index === undefined) return undefined;
    const start = this.#relative(index);
    const size = index + 1 < this.count ? this.#relative(index + 1) - start : undefined;
    // Of several names at one address the kernel says the first (linux:kernel/kallsyms.c:get_symbol_pos).
    while (index > this.#firstRelative && this.#relative(index - 1) === start) index--;
    const { type, name } = this.nameOf(index);
    return { name, type, offset: Number(address - this.#base) - start, size, module: undefined };
  }

  /** All names at exactly the address of the symbol that {@link find} gives: aliases of one function. */
  aliases(address: Vaddr): string[] {
    const last = this.#indexAt(address);
    if (last === undefined) return [];
    const start = this.#relative(last);
    const names: string[] = [];
    for (let i = last; i >= this.#firstRelative && this.#relative(i) === start; i--) names.unshift(this.nameOf(i).name);
    return names;
  }
}

/** Base of the polynomial that names are hashed by, modulo 2^32. */
const HASH_BASE = 0x01000193;

/** sum of c[i] * base^(n - 1 - i): the hash of two parts follows from their hashes, so a token costs one step. */
function hashOf(name: string): number {
  let hash = 0;
  for (let i = 0; i < name.length; i++) hash = (Math.imul(hash, HASH_BASE) + name.charCodeAt(i)) | 0;
  return hash;
}

/** What a token adds to a hash: as a name's first (without the type letter) or later, and the base to its length. */
interface TokenHashes {
  readonly first: Int32Array;
  readonly rest: Int32Array;
  readonly powers: Int32Array;
}

function hashTokens(tokens: readonly Uint8Array[]): TokenHashes {
  const hashes: TokenHashes = { first: new Int32Array(256), rest: new Int32Array(256), powers: new Int32Array(256) };
  tokens.forEach((token, i) => {
    const text = String.fromCharCode(...token);
    hashes.first[i] = hashOf(text.slice(1));
    hashes.rest[i] = hashOf(text);
    let power = 1;
    for (let k = 0; k < token.length; k++) power = Math.imul(power, HASH_BASE);
    hashes.powers[i] = power;
  });
  return hashes;
}

/**
 * kallsyms_markers, which VMCOREINFO does not name: they stand right before token_table, or before seqs_of_names where
 * that is in between (6.1.y to 6.3). The right place begins with 0 and ascends.
 */
function findMarkers(memory: VirtualMemory, tables: KallsymsTables, count: number): LazyBytes | undefined {
  const blocks = Math.ceil(count / STRIDE);
  const size = Math.ceil(blocks / 2) * 8;
  const span = Number(tables.token_table - tables.names);
  for (const behind of [0, Math.ceil((count * 3) / 8) * 8]) {
    const offset = span - behind - size;
    if (offset < count) continue;
    const markers = LazyBytes.ofMemory(memory, asVaddr(tables.names + BigInt(offset)), size);
    try {
      let previous = -1;
      let block = 0;
      while (block < blocks) {
        const position = markers.u32(block * 4);
        if (position <= previous || position >= offset || (block === 0 && position !== 0)) break;
        previous = position;
        block++;
      }
      // The last block of names must reach up to the markers.
      if (block === blocks && offset - previous < STRIDE * 514) return markers;
    } catch (error) {
      if (!isDumpError(error)) throw error;
    }
  }
  return undefined;
}

function readTokens(memory: VirtualMemory, tables: KallsymsTables): Uint8Array[] {
  const index = memory.fields(tables.token_index, 512, "kallsyms_token_index");
  const last = index.u16(510);
  if (index.u16(0) !== 0 || last > 16384)
    throw new DumpError("CORRUPT", `kallsyms_token_index begins with ${index.u16(0)} and ends with ${last}`);
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
  let failure: unknown;
  for (const encoding of encodings) {
    for (const longNames of [true, false]) {
      try {
        const candidate = new Kallsyms(memory, { ...tables, encoding, longNames });
        if (agrees(candidate, known)) return candidate;
      } catch (error) {
        if (!isDumpError(error)) throw error;
        failure ??= error;
      }
    }
  }
  throw new DumpError(
    "CORRUPT",
    `the symbol table at ${hex(tables.names)} gives ${[...known.keys()].join(", ")} the address of VMCOREINFO in no known encoding`,
    { cause: failure },
  );
}

/** Whether any of the known symbols is where it should be. @throws what reading throws. */
function agrees(symbols: Kallsyms, known: ReadonlyMap<string, Vaddr>): boolean {
  let readable = true;
  for (const [name, address] of known) {
    try {
      if (symbols.has(name, address)) return true;
    } catch (error) {
      if (!isDumpError(error)) throw error;
      readable = false;
    }
  }
  if (readable) return false;
  // A page that leads from an address to its symbol is missing. Those that lead from the names to their addresses are others.
  const names = [...known.keys()];
  symbols.prefetchVariables(names);
  if (!names.some((name) => symbols.lookup(name) !== undefined)) symbols.prefetch(names);
  return names.some((name) => symbols.lookup(name) === known.get(name));
}
