import { GIB, MIB, parseMemory } from "./amount.ts";
import type { IoMemory } from "./iomem.ts";
import { type CommandLine, valuesOf } from "./kernel-command-line.ts";
import type { Fact, FileFacts, Root } from "./root.ts";
import type { SystemFacts } from "./system.ts";

/** What is reserved for a capture kernel, and whether one is there. */
export interface CrashKernelFacts {
  /** `crashkernel=` of the running kernel, as given. */
  readonly asked: readonly Fact<string>[];
  /** Bytes that it means on a machine of this size; undefined where that cannot be told (`auto`). */
  readonly wanted: number | undefined;
  /** Bytes reserved, as the kernel says. */
  readonly reserved: Fact<number> | undefined;
  readonly loaded: Fact<boolean> | undefined;
  /** `kernel.kexec_load_disabled`. */
  readonly loadDisabled: Fact<number> | undefined;
}

/** The files moved (linux: Documentation/ABI/obsolete/sysfs-kernel-kexec-kdump, 2025-11): new place first. */
const LOADED = ["/sys/kernel/kexec/crash_loaded", "/sys/kernel/kexec_crash_loaded"];
const SIZE = ["/sys/kernel/kexec/crash_size", "/sys/kernel/kexec_crash_size"];

export function readCrashKernel(
  root: Root,
  commandLine: CommandLine | undefined,
  system: SystemFacts,
  memory: IoMemory | undefined,
): CrashKernelFacts {
  const asked = valuesOf(commandLine, "crashkernel");
  const first = (paths: readonly string[]): Fact<number> | undefined => {
    for (const path of paths) {
      const fact = root.number(path);
      if (fact !== undefined) return fact;
    }
    return undefined;
  };
  const loaded = first(LOADED);
  const inRam =
    memory !== undefined && !memory.hidden
      ? memory.ranges
          .filter((range) => range.depth === 0 && range.name.startsWith("System RAM"))
          .reduce((sum, range) => sum + range.to - range.from, 0)
      : undefined;
  return {
    asked,
    wanted: wantedSize(
      asked.map((each) => each.value),
      inRam ?? system.memory?.value,
    ),
    reserved: first(SIZE),
    loaded: loaded && { value: loaded.value !== 0, at: loaded.at },
    loadDisabled: root.number("/proc/sys/kernel/kexec_load_disabled"),
  };
}

/**
 * Bytes that `crashkernel=` words reserve on a machine with so much memory; undefined where it cannot be told.
 * As linux:kernel/crash_reserve.c:parse_crashkernel has it: the last word without suffix counts; else `,high` and `,low`.
 */
export function wantedSize(words: readonly string[], memory: number | undefined): number | undefined {
  const plain = words.findLast((word) => !/,(?:high|low|cma)$/.test(word));
  if (plain !== undefined) {
    const text = plain.replace(/@.*$/, "");
    if (!text.includes(":")) return parseMemory(text);
    if (memory === undefined) return undefined;
    for (const part of text.split(",")) {
      const match = /^([^-:]+)-([^:]*):(.+)$/.exec(part);
      const from = match && parseMemory(match[1]!);
      const to = match && (match[2] === "" ? Infinity : parseMemory(match[2]!));
      const size = match ? parseMemory(match[3]!) : undefined;
      if (from === undefined || from === null || to === undefined || to === null || size === undefined) return undefined;
      if (memory >= from && memory < to) return size;
    }
    return 0;
  }
  const sizes = words.map((word) => parseMemory(word.replace(/,(?:high|low|cma)$/, "")));
  return sizes.length === 0 || sizes.includes(undefined) ? undefined : sizes.reduce<number>((sum, size) => sum + size!, 0);
}

/** What kdump-utils reserves where nobody says (rhkdump/kdump-utils:kdump-lib.sh:kdump_get_arch_recommend_crashkernel, x86_64). */
export function defaultReserve(memory: number): number {
  return memory >= 64 * GIB ? 512 * MIB : 256 * MIB;
}

/**
 * Bytes that a capture kernel needs at least: itself with its page structures and caches (64 MiB), the initramfs packed and unpacked at
 * once while it boots (3.5 times its file), and the program that saves (32 MiB). A rule of thumb: only `rehearse` measures.
 */
export function forecastReserve(initramfs: FileFacts): number {
  return 64 * MIB + Math.round(initramfs.size * 3.5) + 32 * MIB;
}
