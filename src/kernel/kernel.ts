import { asVaddr, DumpError, hex16, type Vaddr } from "../bytes/index.ts";
import type { DumpFile } from "../format/index.ts";
import { type AddressSpace, LazyBytes, PhysicalMemory, VirtualMemory } from "../memory/index.ts";
import { Btf } from "./btf.ts";
import { type Kallsyms, openKallsyms } from "./kallsyms.ts";
import { scanForKallsyms } from "./kallsyms-scan.ts";
import { type Missing, orMissing } from "./missing.ts";
import { type Module, readModules } from "./module.ts";
import { OrcTable, orcVersionOf } from "./orc.ts";
import type { SymbolPlace, SymbolTable } from "./symbol.ts";
import { Types } from "./types.ts";
import type { UnwindContext } from "./unwind.ts";
import { findVmcoreinfo } from "./vmcoreinfo-scan.ts";
import { Vmcoreinfo } from "./vmcoreinfo.ts";
import { openX86_64 } from "./x86_64.ts";

/** What the user may add to a dump that lacks something. */
export interface KernelOptions {
  /** A raw BTF blob (`--btf`, or the .BTF section of `--vmlinux`). */
  readonly btf?: Uint8Array;
  /** Symbols with link-time addresses (`--symbols`, `--vmlinux`); the KASLR offset is added here. */
  readonly symbols?: readonly { readonly name: string; readonly address: bigint; readonly type: string }[];
  readonly onProgress?: (label: string, done: number, total: number) => void;
}

/** The kernel image is searched for its tables up to here from _stext: the largest distribution kernels span 80 MiB. */
const IMAGE_SEARCH = 128 * 1024 * 1024;
const MAX_PLACES = 65536;
const BTF_LIMIT = 256 * 1024 * 1024;

/**
 * What types and tasks are found by. The image has it where its read-only data end and its data begin, close to the
 * kernel's top page table: who wants no more need not search.
 */
const NEAR_TOP_PAGE_TABLE: readonly string[] = ["__start_BTF", "__stop_BTF", "init_task"];

/** Variables that one report asks for; found in one pass over their half of the names. */
const WELL_KNOWN: readonly string[] = [
  "_etext",
  "_sinittext",
  "_einittext",
  "_end",
  "__start_BTF",
  "__stop_BTF",
  "__start_orc_unwind_ip",
  "__stop_orc_unwind_ip",
  "__start_orc_unwind",
  "__start_orc_header",
  "__stop_orc_header",
  "init_task",
  "modules",
  "__per_cpu_offset",
  "__cpu_possible_mask",
  "__cpu_present_mask",
  "__cpu_online_mask",
  "nr_cpu_ids",
  "current_task",
  "pcpu_hot",
  "runqueues",
  "crash_notes",
  "panic_cpu",
  "tainted_mask",
  "saved_command_line",
  "jiffies_64",
  "tk_core",
  "_totalram_pages",
  "vm_zone_stat",
  "vm_node_stat",
  "nr_swap_pages",
  "total_swap_pages",
  "prb",
  "log_buf",
  "log_buf_len",
  "log_first_idx",
  "log_next_idx",
  "clear_seq",
  "init_uts_ns",
  "linux_banner",
  "panic_timeout",
  "panic_on_oops",
  "panic_on_warn",
  "sysctl_panic_on_oom",
  "sysctl_hung_task_panic",
  "sysctl_hung_task_timeout_secs",
  "softlockup_panic",
  "hardlockup_panic",
  "crash_kexec_post_notifiers",
  "panic_print",
  "hardirq_stack_ptr",
  "__start_init_stack",
  "__end_init_stack",
  "__start_init_task",
  "__end_init_task",
  "btf_modules",
  "page_offset_base",
  "vmemmap_base",
  "vmalloc_base",
  "high_memory",
  "cpu_number",
  "this_cpu_off",
  "init_pid_ns",
  "sysctl_sched_rt_runtime",
  "watchdog_thresh",
  "__brk_limit",
];

/** Where vmlinux is in memory. */
interface ImageBounds {
  readonly start: Vaddr;
  /** End of the text that stays after the start of the system. */
  readonly textEnd: Vaddr;
  readonly end: Vaddr;
}

/** The dumped kernel: memory, symbols, types and unwind tables, all from the dump itself. */
export class Kernel implements UnwindContext {
  readonly dump: DumpFile;
  readonly physical: PhysicalMemory;
  readonly memory: VirtualMemory;
  readonly vmcoreinfo: Vmcoreinfo;
  /** Where VMCOREINFO was found: a note or header of the dump, or physical memory at an address. */
  readonly vmcoreinfoSource: string;
  readonly types: Types;
  /** Symbols of vmlinux; undefined when there are none. */
  readonly vmlinuxSymbols: SymbolTable | undefined;
  /** How they were found, for receipts. */
  readonly symbolsSource: string;
  readonly typesSource: string;
  readonly #missing: Missing[] = [];
  readonly #options: KernelOptions;
  /** Names that were found in advance. */
  readonly #near: readonly string[];
  /** Whether {@link WELL_KNOWN} were looked up. */
  #searched = false;
  #bounds: ImageBounds | undefined;
  #orc: OrcTable | undefined | null = null;
  #modules: readonly Module[] | undefined;
  /** Thousands of tasks sleep in the same few functions. */
  readonly #places: Map<Vaddr, SymbolPlace | undefined> = new Map();

  /** @throws UNSUPPORTED or others where not even the address translation can be set up. */
  constructor(dump: DumpFile, options: KernelOptions = {}) {
    this.dump = dump;
    this.#options = options;
    this.physical = new PhysicalMemory(dump);
    const found = this.#openVmcoreinfo();
    this.vmcoreinfo = found.info;
    this.vmcoreinfoSource = found.source;
    this.memory = new VirtualMemory(this.physical, openAddressSpace(this.physical, this.vmcoreinfo));

    const symbols = this.#openSymbols();
    this.vmlinuxSymbols = symbols?.table;
    this.symbolsSource = symbols?.source ?? "none";
    const top = this.vmcoreinfo.symbol("init_top_pgt") ?? this.vmcoreinfo.symbol("swapper_pg_dir");
    this.#near = top !== undefined && symbols?.table.prefetchNear(NEAR_TOP_PAGE_TABLE, top) ? NEAR_TOP_PAGE_TABLE : [];

    const btf = this.#openBtf();
    this.typesSource = btf?.source ?? "none";
    this.types = new Types(btf?.btf, this.vmcoreinfo, this.memory.wordSize);
  }

  /** What could not be had so far. The unwind tables count as asked for by then. */
  get missing(): Missing[] {
    this.#unwindTables();
    return this.#missing;
  }

  #openVmcoreinfo(): { info: Vmcoreinfo; source: string } {
    if (this.dump.vmcoreinfo !== undefined) return { info: new Vmcoreinfo(this.dump.vmcoreinfo), source: "VMCOREINFO note of the dump" };
    const found = findVmcoreinfo(this.physical, this.#options.onProgress);
    if (found) return { info: new Vmcoreinfo(found.text), source: `memory at physical address 0x${found.address.toString(16)}` };
    throw new DumpError(
      "NOT_STORED",
      "the dump has no VMCOREINFO, neither as a note nor in the memory that it holds: without it the kernel's addresses cannot be translated",
    );
  }

  #openSymbols(): { table: SymbolTable; source: string } | undefined {
    if (this.#options.symbols) {
      return { table: new ListedSymbols(this.#options.symbols, this.vmcoreinfo.kernelOffset), source: "file given by the user" };
    }
    const consequence = "no function names and no global variables; give the kernel's System.map with --symbols";
    return orMissing(this.#missing, "symbols", consequence, () => {
      const known = new Map<string, Vaddr>();
      for (const name of ["init_top_pgt", "swapper_pg_dir", "init_uts_ns", "_stext"]) {
        const address = this.vmcoreinfo.symbol(name);
        if (address !== undefined) known.set(name, address);
      }
      const info = this.vmcoreinfo;
      const names = info.symbol("kallsyms_names");
      const num = info.symbol("kallsyms_num_syms");
      const token_table = info.symbol("kallsyms_token_table");
      const token_index = info.symbol("kallsyms_token_index");
      const offsets = info.symbol("kallsyms_offsets") ?? info.symbol("kallsyms_addresses");
      if (names !== undefined && num !== undefined && token_table !== undefined && token_index !== undefined && offsets !== undefined) {
        const base = info.symbol("kallsyms_relative_base");
        const tables = {
          num_syms: this.memory.u32(num),
          names,
          token_table,
          token_index,
          offsets,
          relative_base: base === undefined ? 0n : this.memory.u64(base),
        };
        return { table: openKallsyms(this.memory, tables, known), source: "kallsyms, named by VMCOREINFO" };
      }
      const start = info.symbol("_stext");
      if (start === undefined)
        throw new DumpError("NOT_STORED", "VMCOREINFO names neither the kallsyms tables nor _stext, where a search for them would begin");
      const scanned = scanForKallsyms(this.memory, asVaddr(start & ~0xfffn), asVaddr(start + BigInt(IMAGE_SEARCH)));
      if (!scanned) throw new DumpError("NOT_STORED", `no kallsyms tables in the kernel image from ${hex16(start)} on`);
      return { table: openKallsyms(this.memory, scanned, known), source: "kallsyms, found by scanning the kernel image" };
    });
  }

  #openBtf(): { btf: Btf; source: string } | undefined {
    if (this.#options.btf)
      return { btf: new Btf(LazyBytes.ofBytes(this.#options.btf, this.memory.littleEndian)), source: "file given by the user" };
    const consequence = "no tasks, modules or per-CPU state; give the kernel's BTF with --btf or its vmlinux with --vmlinux";
    return orMissing(this.#missing, "types (BTF)", consequence, () => {
      const start = this.symbol("__start_BTF");
      const stop = this.symbol("__stop_BTF");
      if (start === undefined || stop === undefined)
        throw new DumpError(
          "NOT_STORED",
          "the kernel has no __start_BTF: it was built without CONFIG_DEBUG_INFO_BTF, or its symbols are missing",
        );
      const length = Number(stop - start);
      if (!(length > 0 && length <= BTF_LIMIT))
        throw new DumpError("CORRUPT", `BTF would be ${length} bytes long, from ${hex16(start)} to ${hex16(stop)}`);
      return { btf: new Btf(LazyBytes.ofMemory(this.memory, start, length)), source: `.BTF of vmlinux at ${hex16(start)}` };
    });
  }

  #unwindTables(): OrcTable | undefined {
    if (this.#orc === null) {
      this.#orc = orMissing(this.#missing, "unwind tables", "call chains end early or are guessed", () => this.#openOrc());
    }
    return this.#orc;
  }

  #openOrc(): OrcTable {
    const ips = this.symbol("__start_orc_unwind_ip");
    const end = this.symbol("__stop_orc_unwind_ip");
    const entries = this.symbol("__start_orc_unwind");
    if (ips === undefined || end === undefined || entries === undefined)
      throw new DumpError("NOT_STORED", "the kernel has no ORC tables (__start_orc_unwind_ip), or its symbols are missing");
    const header = this.symbol("__start_orc_header");
    const version = header === undefined ? undefined : orcVersionOf(this.memory.bytes(header, 20));
    return new OrcTable(this.memory, ips, entries, Number(end - ips) / 4, version);
  }

  /** Runtime address of a symbol of vmlinux: what the kernel noted for its dump readers needs no search. */
  symbol(name: string): Vaddr | undefined {
    const noted = this.vmcoreinfo.symbol(name);
    if (noted !== undefined) return noted;
    if (!this.#searched && !this.#near.includes(name)) {
      this.#searched = true;
      orMissing(this.#missing, "some symbol names", "variables among them are taken for absent", () =>
        this.vmlinuxSymbols?.prefetchVariables(WELL_KNOWN),
      );
    }
    return this.vmlinuxSymbols?.lookup(name);
  }

  /** As {@link symbol}. @throws NOT_STORED naming the symbol. */
  requireSymbol(name: string): Vaddr {
    const address = this.symbol(name);
    if (address === undefined) throw new DumpError("NOT_STORED", `the kernel's symbols have no ${name}`);
    return address;
  }

  /** Loaded modules, most recently loaded first as in the kernel's list. Empty (and noted in `missing`) where unreadable. */
  modules(): readonly Module[] {
    if (!this.#modules) {
      // Set first: reading a module's symbols must not come back here.
      this.#modules = [];
      this.#modules =
        orMissing(this.missing, "modules", "addresses in modules stay without names", () => readModules(this, this.missing)) ?? [];
    }
    return this.#modules;
  }

  /** The module whose memory holds `address`. */
  moduleAt(address: Vaddr): Module | undefined {
    return this.modules().find((module) => module.ranges.some((range) => address >= range.start && address < range.end));
  }

  get #image(): ImageBounds {
    if (!this.#bounds) {
      const start = this.symbol("_stext") ?? asVaddr(0n);
      this.#bounds = {
        start,
        textEnd: this.symbol("_etext") ?? start,
        end: this.symbol("_end") ?? asVaddr(start + BigInt(IMAGE_SEARCH)),
      };
    }
    return this.#bounds;
  }

  inImage(address: Vaddr): boolean {
    return address >= this.#image.start && address < this.#image.end;
  }

  isText(ip: Vaddr): boolean {
    if (ip >= this.#image.start && ip < this.#image.textEnd) return true;
    if (this.inImage(ip)) {
      const start = this.symbol("_sinittext");
      const end = this.symbol("_einittext");
      return start !== undefined && end !== undefined && ip >= start && ip < end;
    }
    return this.moduleAt(ip)?.ranges.some((range) => range.text && ip >= range.start && ip < range.end) ?? false;
  }

  functionStart(ip: Vaddr): Vaddr | undefined {
    const place = this.find(ip);
    return place && asVaddr(ip - BigInt(place.offset));
  }

  orcFor(ip: Vaddr): OrcTable | undefined {
    if (this.inImage(ip)) return this.isText(ip) ? this.#unwindTables() : undefined;
    return this.moduleAt(ip)?.orc();
  }

  /** The layout version of vmlinux's ORC table: modules have the same. */
  get orcVersion(): OrcTable["version"] | undefined {
    return this.#unwindTables()?.version;
  }

  /** Names an address of the kernel image or of a module; undefined for anything else. */
  find(address: Vaddr): SymbolPlace | undefined {
    if (this.#places.has(address)) return this.#places.get(address);
    // A page of the tables may be missing: then this address stays without a name, and the rest goes on.
    const place = orMissing(this.missing, "some symbol names", "addresses there stay without names", () =>
      this.inImage(address) ? this.vmlinuxSymbols?.find(address) : this.moduleAt(address)?.symbols()?.find(address),
    );
    if (this.#places.size < MAX_PLACES) this.#places.set(address, place);
    return place;
  }

  /** All names at the start of the symbol that holds `address` (vmlinux only). */
  aliases(address: Vaddr): string[] {
    const symbols = this.vmlinuxSymbols as Partial<Kallsyms> | undefined;
    return this.inImage(address) && symbols?.aliases ? symbols.aliases(address) : [];
  }
}

/** Architectures are added here: one that translates addresses is all that the layers above need. */
function openAddressSpace(physical: PhysicalMemory, vmcoreinfo: Vmcoreinfo): AddressSpace {
  const arch = physical.dump.arch;
  // A raw image does not say; x86-64's own keys do.
  if (arch === "x86_64" || (arch === undefined && vmcoreinfo.number("phys_base") !== undefined)) return openX86_64(physical, vmcoreinfo);
  throw new DumpError(
    "UNSUPPORTED",
    `the dump is of ${arch ?? "an unknown architecture"}; kernels of x86_64 are understood, of others only the container can be read`,
  );
}

/** Symbols from a System.map or a vmlinux, moved by KASLR. */
class ListedSymbols implements SymbolTable {
  readonly #byName: Map<string, Vaddr> = new Map();
  readonly #sorted: { name: string; address: bigint; type: string }[];

  constructor(symbols: NonNullable<KernelOptions["symbols"]>, kernelOffset: bigint) {
    this.#sorted = symbols.map((symbol) => {
      // Per-CPU symbols of x86-64 are offsets from 0 and do not move.
      const address = symbol.address >= 0xffffffff80000000n ? symbol.address + kernelOffset : symbol.address;
      return { name: symbol.name, address, type: symbol.type };
    });
    this.#sorted.sort((a, b) => (a.address < b.address ? -1 : a.address > b.address ? 1 : 0));
    for (const symbol of this.#sorted) if (!this.#byName.has(symbol.name)) this.#byName.set(symbol.name, asVaddr(symbol.address));
  }

  lookup(name: string): Vaddr | undefined {
    return this.#byName.get(name);
  }

  prefetch(): void {}

  prefetchVariables(): void {}

  prefetchNear(): boolean {
    return true;
  }

  find(address: Vaddr): SymbolPlace | undefined {
    let low = 0;
    let high = this.#sorted.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#sorted[middle]!.address <= address) low = middle + 1;
      else high = middle;
    }
    let index = low - 1;
    if (index < 0) return undefined;
    const next = this.#sorted[low]?.address;
    while (index > 0 && this.#sorted[index - 1]!.address === this.#sorted[index]!.address) index--;
    const symbol = this.#sorted[index]!;
    return {
      name: symbol.name,
      type: symbol.type,
      offset: Number(address - symbol.address),
      size: next === undefined ? undefined : Number(next - symbol.address),
      module: undefined,
    };
  }
}
