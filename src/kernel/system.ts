import { asVaddr, isDumpError, latin1, type Vaddr } from "../bytes/index.ts";
import type { Kernel } from "./kernel.ts";

/** A value with where it was read, for receipts. */
export interface Sourced<T> {
  readonly value: T;
  /** Rule by which it was read: "VMCOREINFO OSRELEASE", "symbol tainted_mask". */
  readonly rule: string;
  /** Address it was read at; undefined where it came from a note or header. */
  readonly address: Vaddr | undefined;
  readonly confidence: "exact" | "decoded" | "heuristic";
}

/** Runs a read; an unreadable or unknown place gives undefined. */
export function optional<T>(get: () => T | undefined): T | undefined {
  try {
    return get();
  } catch (error) {
    if (isDumpError(error)) return undefined;
    throw error;
  }
}

/** Fields of struct new_utsname, 65 bytes each, in this order (linux:include/uapi/linux/utsname.h). */
const UTS_FIELDS = ["sysname", "nodename", "release", "version", "machine", "domainname"] as const;
const UTS_LENGTH = 65;

export type UtsName = Readonly<Record<(typeof UTS_FIELDS)[number], string>>;

/** The kernel's utsname. */
export function readUtsName(kernel: Kernel): Sourced<UtsName> | undefined {
  return optional(() => {
    const variable = kernel.symbol("init_uts_ns");
    const offset = kernel.vmcoreinfo.offset("uts_namespace.name") ?? kernel.types.find("uts_namespace", "name")?.offset;
    if (variable === undefined || offset === undefined) return undefined;
    const address = asVaddr(variable + BigInt(offset));
    const bytes = kernel.memory.bytes(address, UTS_FIELDS.length * UTS_LENGTH);
    const entries = UTS_FIELDS.map((name, i) => [name, latin1(bytes.subarray(i * UTS_LENGTH, (i + 1) * UTS_LENGTH))] as const);
    return { value: Object.fromEntries(entries) as UtsName, rule: "symbol init_uts_ns, struct new_utsname", address, confidence: "exact" };
  });
}

/** The kernel's command line. */
export function readCommandLine(kernel: Kernel): Sourced<string> | undefined {
  return optional(() => {
    const variable = kernel.symbol("saved_command_line");
    if (variable === undefined) return undefined;
    const address = kernel.memory.pointer(variable);
    return { value: kernel.memory.cstring(address, 8192), rule: "symbol saved_command_line", address, confidence: "exact" };
  });
}

/** Taint bits in the kernel's order: letter and meaning (linux:kernel/panic.c:taint_flags, Documentation/admin-guide/tainted-kernels.rst). */
export const TAINTS: readonly (readonly [letter: string, words: string])[] = [
  ["P", "a proprietary module was loaded"],
  ["F", "a module was loaded by force"],
  ["S", "the CPU or system is out of its specification"],
  ["R", "a module was unloaded by force"],
  ["M", "the processor reported a machine check"],
  ["B", "a page in a bad state was found"],
  ["U", "user space asked for the taint"],
  ["D", "the kernel had an oops or BUG before"],
  ["A", "an ACPI table was overridden"],
  ["W", "the kernel issued a warning before"],
  ["C", "a staging driver was loaded"],
  ["I", "a workaround for a firmware bug is in use"],
  ["O", "a module from outside the kernel tree was loaded"],
  ["E", "an unsigned module was loaded"],
  ["L", "a soft lockup happened before"],
  ["K", "the kernel was live patched"],
  ["X", "auxiliary taint, defined by the distribution"],
  ["T", "the kernel was built with struct randomisation"],
  ["N", "an in-kernel test was run"],
  ["J", "a mutating debug operation of fwctl was used"],
];

/** The kernel's taint mask. */
export function readTaint(kernel: Kernel): Sourced<bigint> | undefined {
  return optional(() => {
    const address = kernel.symbol("tainted_mask");
    if (address === undefined) return undefined;
    return { value: kernel.memory.word(address), rule: "symbol tainted_mask", address, confidence: "exact" };
  });
}

/** Letters and words of a taint mask. Bits without a name are shown by number. */
export function describeTaint(mask: bigint): { letters: string; words: string[] } {
  let letters = "";
  const words: string[] = [];
  for (let bit = 0; bit < 64; bit++) {
    if (((mask >> BigInt(bit)) & 1n) === 0n) continue;
    const known = TAINTS[bit];
    letters += known?.[0] ?? "?";
    words.push(known?.[1] ?? `bit ${bit}, unknown here`);
  }
  return { letters, words };
}

/** Ticks per second that kernels are built with (CONFIG_HZ). */
const HZ_CHOICES = [100, 250, 300, 1000, 1024] as const;
/** Jiffies begin five minutes before they overflow 32 bits (linux:include/linux/jiffies.h:INITIAL_JIFFIES). */
const INITIAL_SECONDS = 300;
/** The log's clock and jiffies differ by this at most: ticks lost while interrupts were off, rounding. */
const TICK_TOLERANCE = 5;

/**
 * Seconds since boot, from jiffies. CONFIG_HZ is nowhere in memory, but the panic has just been logged: the rate under
 * which jiffies give the time of the log's last record is the right one.
 *
 * @param lastLogSeconds time of the last record of the log.
 */
export function readUptime(kernel: Kernel, lastLogSeconds: number | undefined): Sourced<number> | undefined {
  return optional(() => {
    const address = kernel.symbol("jiffies_64");
    if (address === undefined || lastLogSeconds === undefined) return undefined;
    const jiffies = Number(kernel.memory.u64(address));
    for (const hz of HZ_CHOICES) {
      const seconds = (jiffies - (2 ** 32 - INITIAL_SECONDS * hz)) / hz;
      if (Math.abs(seconds - lastLogSeconds) <= TICK_TOLERANCE + lastLogSeconds * 1e-3) {
        return {
          // Jiffies stand still while interrupts are off, the log's clock does not.
          value: Math.round(Math.max(seconds, lastLogSeconds) * 100) / 100,
          rule: `symbol jiffies_64 at ${hz} ticks a second, agreeing with the log`,
          address,
          confidence: "decoded",
        };
      }
    }
    return undefined;
  });
}

/** What the kernel's clocks show. */
export interface ClockTimes {
  /** Seconds since boot by the monotonic clock. */
  readonly uptimeSeconds: number;
  /** Seconds since 1970 (UTC). */
  readonly wallSeconds: number;
}

/** Seconds since 1970 that a wall clock may show: 2001 to 2100. */
const WALL_MIN = 1_000_000_000;
const WALL_MAX = 4_102_444_800;

/**
 * Both clocks from the timekeeper, for a dump that was not taken at a panic. It costs a walk over most types.
 * tk_core is an unnamed struct up to 6.12 and BTF has no variables, so the few places where the timekeeper can begin
 * after its sequence counter are tried; a wall clock between 2001 and 2100 tells the right one.
 */
export function readClocks(kernel: Kernel): Sourced<ClockTimes> | undefined {
  return optional(() => {
    const core = kernel.symbol("tk_core");
    const xtime = kernel.types.find("timekeeper", "xtime_sec")?.offset;
    const ktime = kernel.types.find("timekeeper", "ktime_sec")?.offset;
    if (core === undefined || xtime === undefined || ktime === undefined) return undefined;
    for (const start of [8, 16, 4, 32, 64]) {
      const at = core + BigInt(start);
      const wallSeconds = Number(kernel.memory.u64(asVaddr(at + BigInt(xtime))));
      const uptimeSeconds = Number(kernel.memory.u64(asVaddr(at + BigInt(ktime))));
      if (wallSeconds < WALL_MIN || wallSeconds > WALL_MAX || uptimeSeconds > 3_000_000_000) continue;
      return {
        value: { uptimeSeconds, wallSeconds },
        rule: "symbol tk_core, struct timekeeper",
        address: asVaddr(at),
        confidence: "decoded",
      };
    }
    return undefined;
  });
}

/** Settings that decide what a crash does and what survives it: name as in /proc/sys or on the command line, and symbol. */
const SETTINGS: readonly (readonly [name: string, symbol: string, kind: "int" | "ulong" | "bool"])[] = [
  ["kernel.panic", "panic_timeout", "int"],
  ["kernel.panic_on_oops", "panic_on_oops", "int"],
  ["kernel.panic_on_warn", "panic_on_warn", "int"],
  ["kernel.panic_print", "panic_print", "ulong"],
  ["vm.panic_on_oom", "sysctl_panic_on_oom", "int"],
  ["kernel.hung_task_panic", "sysctl_hung_task_panic", "int"],
  ["kernel.hung_task_timeout_secs", "sysctl_hung_task_timeout_secs", "ulong"],
  ["kernel.softlockup_panic", "softlockup_panic", "int"],
  ["kernel.hardlockup_panic", "hardlockup_panic", "int"],
  ["kernel.watchdog_thresh", "watchdog_thresh", "int"],
  ["crash_kexec_post_notifiers", "crash_kexec_post_notifiers", "bool"],
];

/** Those of {@link SETTINGS} that this kernel has. */
export function readSettings(kernel: Kernel): Map<string, Sourced<number>> {
  const settings = new Map<string, Sourced<number>>();
  for (const [name, symbol, kind] of SETTINGS) {
    const address = kernel.symbol(symbol);
    const value =
      address === undefined
        ? undefined
        : optional(() => {
            if (kind === "bool") return kernel.memory.u8(address);
            return kind === "int" ? kernel.memory.s32(address) : Number(kernel.memory.word(address));
          });
    if (value !== undefined) settings.set(name, { value, rule: `symbol ${symbol}`, address, confidence: "exact" });
  }
  return settings;
}

/** Memory in bytes. Counters lag by what CPUs have not folded in yet: a few hundred pages. */
export interface MemoryTotals {
  readonly total: number;
  readonly free: number | undefined;
  readonly fileCache: number | undefined;
  readonly anonymous: number | undefined;
  readonly slabReclaimable: number | undefined;
  readonly slabUnreclaimable: number | undefined;
  readonly swapTotal: number | undefined;
  readonly swapFree: number | undefined;
}

/** Totals from the kernel's global counters, whose order is that of the enums in BTF. */
export function readMemoryTotals(kernel: Kernel): Sourced<MemoryTotals> | undefined {
  return optional(() => {
    const totalram = kernel.symbol("_totalram_pages");
    if (totalram === undefined) return undefined;
    const { memory } = kernel;
    const page = kernel.physical.pageSize;
    const counter = (symbol: string, index: number | undefined): number | undefined => {
      const base = kernel.symbol(symbol);
      if (base === undefined || index === undefined) return undefined;
      return optional(() => Math.max(0, Number(BigInt.asIntN(64, memory.word(asVaddr(base + BigInt(index * memory.wordSize))))) * page));
    };
    const zone = kernel.types.btf?.enumerators("zone_stat_item");
    const node = kernel.types.btf?.enumerators("node_stat_item");
    const value: MemoryTotals = {
      total: Number(memory.word(totalram)) * page,
      free: counter("vm_zone_stat", zone?.get("NR_FREE_PAGES")),
      fileCache: counter("vm_node_stat", node?.get("NR_FILE_PAGES")),
      anonymous: counter("vm_node_stat", node?.get("NR_ANON_MAPPED")),
      slabReclaimable: counter("vm_node_stat", node?.get("NR_SLAB_RECLAIMABLE_B")),
      slabUnreclaimable: counter("vm_node_stat", node?.get("NR_SLAB_UNRECLAIMABLE_B")),
      swapTotal: counter("total_swap_pages", 0),
      swapFree: counter("nr_swap_pages", 0),
    };
    return { value, rule: "symbols _totalram_pages, vm_zone_stat, vm_node_stat", address: totalram, confidence: "decoded" };
  });
}

/** The CPU that took the panic: panic_cpu, -1 (no panic) given as undefined. */
export function readPanicCpu(kernel: Kernel): Sourced<number> | undefined {
  return optional(() => {
    const address = kernel.symbol("panic_cpu");
    const value = address === undefined ? -1 : kernel.memory.s32(address);
    return value < 0 ? undefined : { value, rule: "symbol panic_cpu", address, confidence: "exact" };
  });
}
