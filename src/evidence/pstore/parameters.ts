import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { isDumpError } from "../../bytes/index.ts";
import { type Kernel, readCommandLine } from "../../kernel/index.ts";
import { moduleParameters, reservedByCommandLine } from "../../pstore/index.ts";

/** Words of a backend's parameters, with where they are from. */
export interface Parameters {
  readonly words: ReadonlyMap<string, string>;
  readonly from: string;
}

/** Where ramoops' regions are said to be, best source first; reserved holes of which nothing else is known come last. */
export function parametersOfKernel(kernel: Kernel): Parameters[] {
  const found: Parameters[] = [];
  const context = contextOf(kernel);
  if (context) found.push(context);
  const module = moduleVariables(kernel);
  if (module) found.push(module);
  const commandLine = readCommandLine(kernel)?.value;
  if (commandLine !== undefined) found.push(...parametersOfCommandLine(commandLine, "the dumped kernel's command line"));
  return found;
}

/** struct ramoops_context, where ramoops is built in: what the kernel used in the end (linux:fs/pstore/ram.c:oops_cxt). */
function contextOf(kernel: Kernel): Parameters | undefined {
  const address = kernel.symbol("oops_cxt");
  if (address === undefined) return undefined;
  const words = new Map<string, string>();
  for (const [word, path] of [
    ["mem_address", "phys_addr"],
    ["mem_size", "size"],
    ["record_size", "record_size"],
    ["console_size", "console_size"],
    ["ftrace_size", "ftrace_size"],
    ["pmsg_size", "pmsg_size"],
    ["tty_size", "tty_size"],
    ["ecc", "ecc_info.ecc_size"],
  ] as const) {
    const place = kernel.types.find("ramoops_context", path);
    if (!place) continue;
    try {
      const at = BigInt.asUintN(64, address + BigInt(place.offset)) as typeof address;
      const value = place.size === 4 ? BigInt(kernel.memory.u32(at)) : kernel.memory.word(at);
      words.set(word, String(value));
    } catch (error) {
      if (!isDumpError(error)) throw error;
      return undefined;
    }
  }
  // Never probed: all zeros.
  return Number(words.get("mem_size") ?? 0) > 0 ? { words, from: "struct ramoops_context in the dump" } : undefined;
}

/** The variables of the module's parameters (linux:fs/pstore/ram.c), by symbol. */
function moduleVariables(kernel: Kernel): Parameters | undefined {
  const module = kernel.modules().find((candidate) => candidate.name === "ramoops");
  const symbols = module?.symbols();
  if (!symbols) return undefined;
  const words = new Map<string, string>();
  for (const [word, symbol, bytes] of [
    ["mem_address", "mem_address", 8],
    ["mem_size", "mem_size", 8],
    ["record_size", "record_size", 8],
    ["console_size", "ramoops_console_size", 8],
    ["ftrace_size", "ramoops_ftrace_size", 8],
    ["pmsg_size", "ramoops_pmsg_size", 8],
    ["tty_size", "ramoops_tty_size", 8],
    ["ecc", "ramoops_ecc", 4],
  ] as const) {
    const address = symbols.lookup(symbol);
    if (address === undefined) continue;
    try {
      words.set(word, String(bytes === 4 ? BigInt(kernel.memory.u32(address)) : kernel.memory.word(address)));
    } catch (error) {
      if (!isDumpError(error)) throw error;
      return undefined;
    }
  }
  return Number(words.get("mem_size") ?? 0) > 0 ? { words, from: "the parameters of module ramoops in the dump" } : undefined;
}

/** `ramoops.*` on a command line, and the holes that it reserves. */
function parametersOfCommandLine(commandLine: string, from: string): Parameters[] {
  const words = moduleParameters(commandLine, "ramoops");
  const given = words.has("mem_size") ? [{ words, from }] : [];
  const holes = reservedByCommandLine(commandLine).map(({ address, size }) => ({
    words: new Map([
      ["mem_address", String(address)],
      ["mem_size", String(size)],
    ]),
    from: `memmap= on ${from}`,
  }));
  return [...given, ...holes];
}

/**
 * What this machine says of ramoops: its command line, the module's parameters, the device tree, and reserved memory.
 *
 * @param root where /proc and /sys are; tests have their own.
 */
export function parametersOfHost(root: string = "/"): Parameters[] {
  const commandLine = read(join(root, "proc/cmdline")) ?? "";
  const module = new Map<string, string>();
  for (const word of ["mem_address", "mem_size", "record_size", "console_size", "ftrace_size", "pmsg_size", "tty_size", "ecc"]) {
    const value = read(join(root, "sys/module/ramoops/parameters", word))?.trim();
    if (value !== undefined && /^\d+$/.test(value)) module.set(word, value);
  }
  return [
    ...(Number(module.get("mem_size") ?? 0) > 0 ? [{ words: module, from: "the parameters of this machine's ramoops module" }] : []),
    ...parametersOfCommandLine(commandLine, "this machine's command line"),
    ...deviceTree(join(root, "proc/device-tree/reserved-memory")),
    ...reservedHoles(read(join(root, "proc/iomem")) ?? ""),
  ];
}

/** Nodes with `compatible = "ramoops"` (linux:Documentation/devicetree/bindings/reserved-memory/ramoops.yaml); cells are big-endian. */
function deviceTree(folder: string): Parameters[] {
  let nodes: string[];
  try {
    nodes = readdirSync(folder);
  } catch {
    return [];
  }
  const found: Parameters[] = [];
  for (const node of nodes) {
    if (
      !read(join(folder, node, "compatible"))
        ?.split("\0")
        .includes("ramoops")
    )
      continue;
    const words = new Map<string, string>();
    const reg = cells(join(folder, node, "reg"));
    // Two cells each on 64-bit machines, one each on 32-bit ones.
    if (reg.length === 4)
      words.set("mem_address", String(reg[0]! * 2 ** 32 + reg[1]!)).set("mem_size", String(reg[2]! * 2 ** 32 + reg[3]!));
    else if (reg.length === 2) words.set("mem_address", String(reg[0])).set("mem_size", String(reg[1]));
    else continue;
    for (const name of ["record-size", "console-size", "ftrace-size", "pmsg-size", "tty-size", "ecc-size"]) {
      const value = cells(join(folder, node, name))[0];
      if (value !== undefined) words.set(name.replace("-", "_"), String(value));
    }
    found.push({ words, from: `device tree node reserved-memory/${node}` });
  }
  return found;
}

function cells(path: string): number[] {
  try {
    const bytes = readFileSync(path);
    return Array.from({ length: Math.floor(bytes.length / 4) }, (_, i) => bytes.readUInt32BE(i * 4));
  } catch {
    return [];
  }
}

/** Largest hole that is searched: firmware reserves hundreds of megabytes for graphics. */
const LARGEST_HOLE = 64 * 1024 * 1024;

/**
 * Ranges called Reserved that stand between two of System RAM: memory that somebody took from the kernel. What lies elsewhere may
 * be a device, and reading that may hang the machine.
 */
function reservedHoles(iomem: string): Parameters[] {
  const ranges = [...iomem.matchAll(/^([0-9a-f]+)-([0-9a-f]+) : (.+)$/gm)].map(([, from, to, what]) => ({
    from: Number.parseInt(from!, 16),
    to: Number.parseInt(to!, 16) + 1,
    what: what!,
  }));
  return ranges.flatMap((range, i) => {
    const before = ranges[i - 1];
    const after = ranges[i + 1];
    const hole = /^reserved$/i.test(range.what) && before?.to === range.from && after?.from === range.to;
    if (!hole || before.what !== "System RAM" || after.what !== "System RAM" || range.to - range.from > LARGEST_HOLE) return [];
    return [
      {
        words: new Map([
          ["mem_address", String(range.from)],
          ["mem_size", String(range.to - range.from)],
        ]),
        from: "a reserved range between two of System RAM in /proc/iomem",
      },
    ];
  });
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return undefined;
  }
}
