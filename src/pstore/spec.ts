import { DumpError } from "../bytes/index.ts";
import type { RamoopsSizes } from "./ramoops/layout.ts";
import type { PszSizes } from "./zone/layout.ts";

/*
 * Places and sizes of storage as people write them: the words of the kernel's own module parameters, `word=value` with
 * commas or spaces between (linux:Documentation/admin-guide/ramoops.rst, pstore-blk.rst).
 */

/** Words and values of `a=1,b=2`; a later word replaces an earlier one. @throws BAD_ARGUMENT on a word without value. */
export function parseWords(spec: string): Map<string, string> {
  const words = new Map<string, string>();
  for (const part of spec.split(/[\s,]+/)) {
    if (part === "") continue;
    const equals = part.indexOf("=");
    if (equals <= 0) throw new DumpError("BAD_ARGUMENT", `'${part}' is no word=value, as in mem_size=1M`);
    words.set(part.slice(0, equals).replaceAll("-", "_"), part.slice(equals + 1));
  }
  return words;
}

/** A number as kernel parameters have it: decimal, `0x` hexadecimal, K, M or G behind it. @throws BAD_ARGUMENT. */
export function parseAmount(word: string, value: string): number {
  const match = /^(0[xX][0-9a-fA-F]+|\d+)([kKmMgG]?)$/.exec(value);
  const number = match ? Number(match[1]) * 1024 ** " kmg".indexOf(match[2]!.toLowerCase() || " ") : Number.NaN;
  if (!Number.isSafeInteger(number))
    throw new DumpError("BAD_ARGUMENT", `${word}=${value}: a number such as 65536, 0x10000 or 64K is wanted`);
  return number;
}

/** Where a ramoops region is and how it is divided; what is not given is to be found out. */
export interface RamoopsSpec {
  /** Physical address, or offset in a file. */
  readonly memAddress: number | undefined;
  readonly memSize: number | undefined;
  /** Undefined where no size of a zone is given. */
  readonly sizes: Omit<RamoopsSizes, "memSize"> | undefined;
  readonly eccGiven: boolean;
}

const RAMOOPS_SIZES: readonly (readonly [word: string, key: "recordSize" | "consoleSize" | "ftraceSize" | "pmsgSize" | "ttySize"])[] = [
  ["record_size", "recordSize"],
  ["console_size", "consoleSize"],
  ["ftrace_size", "ftraceSize"],
  ["pmsg_size", "pmsgSize"],
  ["tty_size", "ttySize"],
];

/** Parameters of ramoops that have nothing to do with its layout. */
const RAMOOPS_OTHERS: readonly string[] = ["mem_type", "max_reason", "dump_oops", "no_dump_oops", "unbuffered", "mem_name", "flags"];

/** What a device tree or a distribution leaves unsaid (linux:fs/pstore/ram.c: MIN_MEM_SIZE). */
const DEFAULT_SIZE = 4096;

/**
 * Reads ramoops' parameters. `ecc=1` means 16 bytes, as in the kernel; `record_size` and the others default to 4096 where any of them is
 * given, as the module's parameters do, `tty_size` to 0.
 *
 * @throws BAD_ARGUMENT naming the word.
 */
export function ramoopsSpec(words: ReadonlyMap<string, string>): RamoopsSpec {
  const known = new Set([...RAMOOPS_SIZES.map(([word]) => word), ...RAMOOPS_OTHERS, "mem_address", "mem_size", "ecc", "ecc_size"]);
  for (const word of words.keys()) {
    if (!known.has(word)) throw new DumpError("BAD_ARGUMENT", `ramoops has no parameter '${word}'; it has ${[...known].join(", ")}`);
  }
  const amount = (word: string): number | undefined => {
    const value = words.get(word);
    return value === undefined ? undefined : parseAmount(word, value);
  };
  const given = RAMOOPS_SIZES.some(([word]) => words.has(word));
  const ecc = amount("ecc") ?? amount("ecc_size");
  const sizes: Record<string, number> = { eccSize: ecc === 1 ? 16 : (ecc ?? 0) };
  for (const [word, key] of RAMOOPS_SIZES) sizes[key] = amount(word) ?? (key === "ttySize" ? 0 : DEFAULT_SIZE);
  return {
    memAddress: amount("mem_address"),
    memSize: amount("mem_size"),
    sizes: given ? (sizes as unknown as Omit<RamoopsSizes, "memSize">) : undefined,
    eccGiven: ecc !== undefined,
  };
}

/** The parameters of one module on a kernel command line: `ramoops.mem_size=1M` gives `mem_size`, `1M`. */
export function moduleParameters(commandLine: string, module: string): Map<string, string> {
  const words = new Map<string, string>();
  for (const [, name, value] of commandLine.matchAll(/(?:^|\s)([\w-]+\.[\w-]+)=(\S*)/g)) {
    const [of, word] = name!.replaceAll("-", "_").split(".");
    if (of === module) words.set(word!, value!.replaceAll('"', ""));
  }
  return words;
}

/** Memory that a command line keeps from the kernel: `memmap=SIZE$ADDRESS` and the protected kinds. */
export function reservedByCommandLine(commandLine: string): { readonly address: number; readonly size: number }[] {
  const holes: { address: number; size: number }[] = [];
  for (const [, list] of commandLine.matchAll(/(?:^|\s)memmap=(\S+)/g)) {
    for (const part of list!.split(",")) {
      const match = /^(0x[0-9a-fA-F]+|\d+)([kKmMgG]?)[$!](0x[0-9a-fA-F]+|\d+)([kKmMgG]?)$/.exec(part.replaceAll("\\", ""));
      if (match) holes.push({ size: parseAmount("memmap", match[1]! + match[2]!), address: parseAmount("memmap", match[3]! + match[4]!) });
    }
  }
  return holes;
}

/**
 * Reads pstore_blk's parameters: sizes are in KiB as its documentation has them, unless a letter follows.
 *
 * @param totalSize of the device in bytes. @throws BAD_ARGUMENT naming the word.
 */
export function blkSizes(words: ReadonlyMap<string, string>, totalSize: number): PszSizes | undefined {
  const keys = {
    kmsg_size: "kmsgSize",
    pmsg_size: "pmsgSize",
    console_size: "consoleSize",
    ftrace_size: "ftraceSize",
    tty_size: "ttySize",
  } as const;
  const sizes: Record<string, number> = { totalSize };
  for (const word of words.keys()) {
    if (!Object.hasOwn(keys, word) && !["blkdev", "max_reason", "best_effort", "total_size"].includes(word)) {
      throw new DumpError("BAD_ARGUMENT", `pstore_blk has no parameter '${word}'; it has ${Object.keys(keys).join(", ")}`);
    }
  }
  let given = false;
  for (const [word, key] of Object.entries(keys)) {
    const value = words.get(word);
    given ||= value !== undefined;
    const amount = value === undefined ? 0 : parseAmount(word, value);
    // The kernel rounds up to pages (linux:fs/pstore/blk.c:check_size).
    sizes[key] = Math.ceil((/[kKmMgG]$/.test(value ?? "") || (value ?? "").startsWith("0x") ? amount : amount * 1024) / 4096) * 4096;
  }
  return given ? (sizes as unknown as PszSizes) : undefined;
}
