import { asVaddr, DumpError, isDumpError, type Vaddr } from "../bytes/index.ts";
import { LazyBytes } from "../memory/index.ts";
import { Btf } from "./btf.ts";
import type { Kernel } from "./kernel.ts";
import { listEntries } from "./list.ts";
import { type Missing } from "./missing.ts";
import { OrcTable } from "./orc.ts";
import type { SymbolPlace, SymbolTable } from "./symbol.ts";

/** A stretch of a module's memory, end exclusive. */
export interface ModuleRange {
  readonly start: Vaddr;
  readonly end: Vaddr;
  /** Executable. */
  readonly text: boolean;
}

const STATES = ["live", "coming", "going", "unformed"] as const;
const MAX_MODULES = 10_000;
const MAX_SYMBOLS = 1_000_000;
const MAX_STRINGS = 64 * 1024 * 1024;
/** sizeof(Elf64_Sym). */
const SYM_SIZE = 24;
const SHN_UNDEF = 0;

/** One loaded module. Its tables are read when first asked for. */
export class Module {
  readonly name: string;
  readonly address: Vaddr;
  readonly state: (typeof STATES)[number] | "unknown";
  /** Bytes of all its ranges but those of init. */
  readonly size: number;
  readonly ranges: readonly ModuleRange[];
  /** Taint letters as /proc/modules shows them, `O` out of tree, `E` unsigned, `P` proprietary, … as a bit mask. */
  readonly taints: bigint;
  readonly version: string | undefined;
  readonly srcversion: string | undefined;
  readonly #kernel: Kernel;
  readonly #missing: Missing[];
  #symbols: ModuleSymbols | undefined | null = null;
  #orc: OrcTable | undefined | null = null;

  constructor(kernel: Kernel, address: Vaddr, missing: Missing[]) {
    const { memory, types } = kernel;
    this.#kernel = kernel;
    this.#missing = missing;
    this.address = address;
    const at = (...paths: string[]): Vaddr => asVaddr(address + BigInt(types.offset("module", ...paths)));
    this.name = memory.cstring(at("name"), types.find("module", "name")?.size || 64);
    this.state = STATES[memory.u32(at("state"))] ?? "unknown";
    this.ranges = moduleRanges(kernel, address);
    this.size = this.ranges.reduce((sum, range) => sum + Number(range.end - range.start), 0);
    const taints = types.find("module", "taints");
    this.taints = taints ? memory.word(asVaddr(address + BigInt(taints.offset))) : 0n;
    this.version = optionalString(kernel, address, "version");
    this.srcversion = optionalString(kernel, address, "srcversion");
  }

  /** Names of the modules that use this one; read when asked. */
  usedBy(): readonly string[] {
    return usersOf(this.#kernel, this.address);
  }

  /** Its symbols, or undefined where they cannot be read (noted as missing). */
  symbols(): SymbolTable | undefined {
    if (this.#symbols === null) this.#symbols = this.#guard("symbols", () => new ModuleSymbols(this.#kernel, this));
    return this.#symbols;
  }

  /** Its ORC table, or undefined. */
  orc(): OrcTable | undefined {
    if (this.#orc === null) {
      this.#orc = this.#guard("unwind tables", () => {
        const { memory, types } = this.#kernel;
        const field = (path: string): Vaddr => asVaddr(this.address + BigInt(types.offset("module", path)));
        const count = memory.u32(field("arch.num_orcs"));
        if (count === 0) return undefined;
        return new OrcTable(
          memory,
          memory.pointer(field("arch.orc_unwind_ip")),
          memory.pointer(field("arch.orc_unwind")),
          count,
          this.#kernel.orcVersion,
        );
      });
    }
    return this.#orc;
  }

  #guard<T>(what: string, get: () => T): T | undefined {
    try {
      return get();
    } catch (error) {
      if (!isDumpError(error)) throw error;
      this.#missing.push({
        what: `${what} of module ${this.name}`,
        code: error.code,
        reason: error.message,
        consequence: "its frames stay without names or are guessed",
      });
      return undefined;
    }
  }
}

/** All modules in the kernel's order. @throws what the list head or the layout of struct module makes impossible. */
export function readModules(kernel: Kernel, missing: Missing[]): Module[] {
  const offset = kernel.types.offset("module", "list");
  const modules: Module[] = [];
  try {
    for (const address of listEntries(kernel.memory, kernel.requireSymbol("modules"), offset)) {
      if (modules.length >= MAX_MODULES) throw new DumpError("LIMIT", `more than ${MAX_MODULES} modules`);
      const module = new Module(kernel, address, missing);
      // Unformed ones have no memory of their own yet and lsmod does not show them.
      if (module.state !== "unformed") modules.push(module);
    }
  } catch (error) {
    if (!isDumpError(error) || modules.length === 0) throw error;
    missing.push({
      what: "modules",
      code: error.code,
      reason: error.message,
      consequence: `the list breaks off after ${modules.length} modules`,
    });
  }
  return modules;
}

/** struct module.mem[] since 6.4 (linux ac3b43283923), core_layout before. */
function moduleRanges(kernel: Kernel, address: Vaddr): ModuleRange[] {
  const { memory, types } = kernel;
  const ranges: ModuleRange[] = [];
  const push = (base: Vaddr, size: number, text: boolean): void => {
    if (base !== 0n && size > 0) ranges.push({ start: base, end: asVaddr(base + BigInt(size)), text });
  };
  const mem = types.find("module", "mem");
  // Asked only where it must exist: a struct that does not costs a walk over all types.
  const each = mem && types.sizeOf("module_memory");
  if (mem && each) {
    const kinds = types.btf?.enumerators("mod_mem_type");
    const textKind = kinds?.get("MOD_TEXT") ?? 0;
    const initKinds = ["MOD_INIT_TEXT", "MOD_INIT_DATA", "MOD_INIT_RODATA"].map((name) => kinds?.get(name) ?? -1);
    for (let kind = 0; kind < Math.min(32, mem.size / each); kind++) {
      if (initKinds.includes(kind)) continue;
      const at = address + BigInt(mem.offset + kind * each);
      push(
        memory.pointer(asVaddr(at + BigInt(types.offset("module_memory", "base")))),
        memory.u32(asVaddr(at + BigInt(types.offset("module_memory", "size")))),
        kind === textKind,
      );
    }
    return ranges;
  }
  const base = memory.pointer(asVaddr(address + BigInt(types.offset("module", "core_layout.base"))));
  const size = memory.u32(asVaddr(address + BigInt(types.offset("module", "core_layout.size"))));
  const textSize = memory.u32(asVaddr(address + BigInt(types.offset("module", "core_layout.text_size"))));
  push(base, textSize, true);
  push(asVaddr(base + BigInt(textSize)), size - textSize, false);
  return ranges;
}

function optionalString(kernel: Kernel, address: Vaddr, field: string): string | undefined {
  const place = kernel.types.find("module", field);
  if (!place) return undefined;
  try {
    const pointer = kernel.memory.pointer(asVaddr(address + BigInt(place.offset)));
    return pointer === 0n ? undefined : kernel.memory.cstring(pointer, 256);
  } catch (error) {
    if (isDumpError(error)) return undefined;
    throw error;
  }
}

/** struct module.source_list links module_use entries whose `source` is the module that uses this one. */
function usersOf(kernel: Kernel, address: Vaddr): string[] {
  const { memory, types } = kernel;
  const list = types.find("module", "source_list");
  const node = types.find("module_use", "source_list");
  const source = types.find("module_use", "source");
  if (!list || !node || !source) return [];
  const names: string[] = [];
  try {
    for (const use of listEntries(memory, asVaddr(address + BigInt(list.offset)), node.offset)) {
      if (names.length >= MAX_MODULES) break;
      const user = memory.pointer(asVaddr(use + BigInt(source.offset)));
      names.push(memory.cstring(asVaddr(user + BigInt(types.offset("module", "name"))), 64));
    }
  } catch (error) {
    if (!isDumpError(error)) throw error;
  }
  return names;
}

/** A module's own symbol table as the kernel keeps it (linux:kernel/module/kallsyms.c:struct mod_kallsyms). */
class ModuleSymbols implements SymbolTable {
  readonly #module: Module;
  readonly #symtab: LazyBytes;
  readonly #strtab: LazyBytes;
  readonly #typetab: LazyBytes | undefined;
  /** Indexes of the defined symbols in ascending order of address. */
  readonly #order: Uint32Array;
  readonly #values: Float64Array;
  readonly #base: bigint;

  constructor(kernel: Kernel, module: Module) {
    const { memory, types } = kernel;
    this.#module = module;
    const table = memory.pointer(asVaddr(module.address + BigInt(types.offset("module", "kallsyms"))));
    if (table === 0n) throw new DumpError("NOT_STORED", `module ${module.name} keeps no symbols`);
    const at = (path: string): Vaddr => asVaddr(table + BigInt(types.offset("mod_kallsyms", path)));
    const count = memory.u32(at("num_symtab"));
    if (count > MAX_SYMBOLS) throw new DumpError("CORRUPT", `module ${module.name}: num_symtab is ${count}, the limit is ${MAX_SYMBOLS}`);
    this.#symtab = LazyBytes.ofMemory(memory, memory.pointer(at("symtab")), count * SYM_SIZE);
    const typetab = types.find("mod_kallsyms", "typetab");
    this.#typetab = typetab ? LazyBytes.ofMemory(memory, memory.pointer(asVaddr(table + BigInt(typetab.offset))), count) : undefined;
    this.#base = module.ranges[0]?.start ?? 0n;
    const order: number[] = [];
    const values = new Float64Array(count);
    let furthestName = 0;
    for (let i = 0; i < count; i++) {
      const name = this.#symtab.u32(i * SYM_SIZE);
      values[i] = Number(this.#symtab.u64(i * SYM_SIZE + 8) - this.#base);
      if (name === 0 || this.#symtab.u16(i * SYM_SIZE + 6) === SHN_UNDEF) continue;
      furthestName = Math.max(furthestName, name);
      order.push(i);
    }
    if (furthestName > MAX_STRINGS)
      throw new DumpError("CORRUPT", `module ${module.name}: a symbol's name is at ${furthestName} of its string table`);
    this.#strtab = LazyBytes.ofMemory(memory, memory.pointer(at("strtab")), furthestName + 512);
    order.sort((a, b) => values[a]! - values[b]! || a - b);
    this.#order = Uint32Array.from(order);
    this.#values = values;
  }

  #name(index: number): string {
    const start = this.#symtab.u32(index * SYM_SIZE);
    let text = "";
    for (let at = start; at < start + 512; at++) {
      let byte: number;
      try {
        byte = this.#strtab.u8(at);
      } catch {
        break;
      }
      if (byte === 0) break;
      text += String.fromCharCode(byte);
    }
    return text;
  }

  lookup(name: string): Vaddr | undefined {
    for (const index of this.#order) if (this.#name(index) === name) return asVaddr(this.#base + BigInt(this.#values[index]!));
    return undefined;
  }

  prefetch(): void {}

  prefetchVariables(): void {}

  prefetchNear(): boolean {
    return true;
  }

  find(address: Vaddr): SymbolPlace | undefined {
    const distance = Number(address - this.#base);
    let low = 0;
    let high = this.#order.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#values[this.#order[middle]!]! <= distance) low = middle + 1;
      else high = middle;
    }
    const value = low > 0 ? this.#values[this.#order[low - 1]!]! : 0;
    // The first one with a name that people use: compilers leave local labels at the same address.
    let first = low - 1;
    while (first > 0 && this.#values[this.#order[first - 1]!] === value) first--;
    for (let at = first; at >= 0 && at < low; at++) {
      const index = this.#order[at]!;
      const name = this.#name(index);
      if (name === "" || name.startsWith(".L") || name.startsWith("$")) continue;
      const next = low < this.#order.length ? this.#values[this.#order[low]!]! - value : undefined;
      return {
        name,
        offset: distance - value,
        type: this.#typetab ? String.fromCharCode(this.#typetab.u8(index)) : "?",
        size: next,
        module: this.#module.name,
      };
    }
    return undefined;
  }
}

/** A module's own types, on top of vmlinux's: from the kernel's list of them (linux:kernel/bpf/btf.c:btf_modules). */
export function moduleBtf(kernel: Kernel, module: Module): Btf | undefined {
  const { memory, types } = kernel;
  const head = kernel.symbol("btf_modules");
  const list = types.find("btf_module", "list");
  if (head === undefined || !list || !types.btf) return undefined;
  for (const entry of listEntries(memory, head, list.offset)) {
    if (memory.pointer(asVaddr(entry + BigInt(types.offset("btf_module", "module")))) !== module.address) continue;
    const btf = memory.pointer(asVaddr(entry + BigInt(types.offset("btf_module", "btf"))));
    const data = memory.pointer(asVaddr(btf + BigInt(types.offset("btf", "data"))));
    const size = memory.u32(asVaddr(btf + BigInt(types.offset("btf", "data_size"))));
    if (size > MAX_STRINGS) throw new DumpError("CORRUPT", `BTF of module ${module.name} would be ${size} bytes long`);
    return new Btf(LazyBytes.ofMemory(memory, data, size), types.btf);
  }
  return undefined;
}
