import { closeSync, existsSync, fsyncSync, mkdirSync, openSync, readdirSync, readFileSync, renameSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";
import { DumpError, hex } from "../../bytes/index.ts";
import {
  clearResidentDump,
  criticalOrder,
  findResidentDump,
  haltParked,
  headerOf,
  MemoryFile,
  type MemoryRange,
  parkedCpus,
  parkedParameters,
  parseCrashdump,
  physicalAddress,
  ramParameters,
  readMemoryMap,
  type ResidentDump,
  reusableMemory,
  saveToMemory,
  subtract,
} from "../../capture/softboot/index.ts";
import { FileSource, openSources, reason } from "../../format/index.ts";
import { DUMP_LEVEL_ALL_RAM, DUMP_LEVEL_HEADER, DUMP_LEVEL_KERN, DUMP_LEVEL_USED } from "../../format/lkcd/write.ts";
import { exitCode } from "../exit-code.ts";
import type { Args, Context, DumpArgs } from "../table.ts";
import { FdSink, formatBytes, Output } from "../terminal.ts";

/** The arguments, as the table has them. */
export interface SoftbootArgs {
  readonly action: "stage1" | "config" | "save";
  readonly vmcore: string | undefined;
  readonly region: readonly string[];
  readonly reuse: boolean;
  readonly level: number;
  readonly crashdump: string | undefined;
  readonly dir: string;
  readonly keep: boolean;
  readonly memory: string;
  readonly json: boolean;
}

/** Where `config` puts the dump until `save` takes it; LKCD's name for its dump device. */
const STAGED = "vmdump";

/** `lastwords softboot stage1 VMCORE`, `lastwords softboot config`, `lastwords softboot save`. */
export async function run(context: Context, args: SoftbootArgs): Promise<number> {
  if (args.action === "stage1") return stage1(context, args);
  if (args.vmcore !== undefined) throw new DumpError("BAD_ARGUMENT", `softboot ${args.action} takes no file; the dump is in memory`);
  return args.action === "config" ? config(context, args) : save(context, args);
}

// ------------------------------------------------------------------------------------------------------------- stage 1

function stage1(context: Context, args: SoftbootArgs): number {
  if (args.vmcore === undefined) throw new DumpError("BAD_ARGUMENT", "softboot stage1 needs the old kernel's memory: /proc/vmcore");
  const region = args.region.map(parseRegion);
  if (region.length === 0 && !args.reuse)
    throw new DumpError("BAD_ARGUMENT", "softboot stage1 needs memory to write to: --region ADDRESS+SIZE, --reuse or both");
  const dump = openSources([new FileSource(args.vmcore)]);
  try {
    const store = new MemoryFile(args.memory, "r+");
    try {
      for (const problem of dump.problems) context.note(problem.message);
      const order = criticalOrder(dump);
      if (order.unknown !== undefined) context.note(`pages are not told apart by use: ${order.unknown}`);
      if (order.untouchable > 0) context.note(`${order.untouchable} poisoned or offline pages are left alone`);
      // Of a plain file all is ours; memory is shared with the kernel that we run in.
      const own = args.memory === "/dev/mem" ? readMemoryMap() : undefined;
      const clash =
        own &&
        region.find(
          (range) =>
            subtract([range], own.ram).some(({ start, end }) => end - start < range.end - range.start) ||
            subtract([range], own.ram).length === 0,
        );
      if (clash)
        throw new DumpError("BAD_ARGUMENT", `region ${hex(clash.start)}+${hex(clash.end - clash.start)} is memory of the running kernel`);
      const taken = region.flatMap((range) => order.ranges.filter(({ start, end }) => start < range.end && end > range.start));
      if (taken.length > 0)
        throw new DumpError(
          "BAD_ARGUMENT",
          `a region is memory of the crashed kernel, at ${hex(taken[0]!.start)}: --reuse takes that, in the order that keeps it safe`,
        );
      // Nobody runs in a plain file.
      const parked = own && parkedCpus(dump);
      if (args.reuse && parked?.image.length === 0)
        context.note("it is not known where the crashed kernel's code is; a CPU that it left running may run into what is written over it");
      if (parked?.bootCpu && parked.bootCpu.apicId === undefined)
        context.note(
          "the crash was not on the boot CPU, whose APIC number is not known: a kernel before 6.9 needs disable_cpu_apicid=NUMBER beside these parameters",
        );
      const free = own ? reusableMemory(order.ranges, own, (paddr) => store.reaches(paddr)) : order.ranges;
      const reuse = args.reuse ? subtract(free, parked?.image ?? []) : [];
      const refused = (error: DumpError): void =>
        context.note(`CPUs that the crash left waiting are not told to sleep on: ${error.message}`);
      const result = saveToMemory({
        dump,
        store,
        order,
        region,
        reuse,
        ...(parked && { changed: haltParked(parked, dump, store, refused), keep: parked.isRoot }),
        level: levelMask(args.level),
        header: headerOf(dump),
        onProgress: context.progress,
      });
      // What memory did not keep is found out here, not after the boot.
      const resident = findResidentDump(store.source, { crashdump: result.crashdump, ranges: result.ranges, onProgress: context.progress });
      if (!resident || resident.problems.length > 0)
        throw new DumpError(
          "IO",
          `the resident dump does not read back as it was written: ${resident?.problems[0]?.message ?? "it is not found"}`,
        );
      for (const note of result.notes) context.note(note);
      if (result.pagesUnreadable > 0) context.note(`${result.pagesUnreadable} pages could not be read from ${args.vmcore}`);
      // The next kernel knows the capture kernel's memory only. A dump that lacks pages does not tell what else there is.
      const ram = own ? ramParameters(order.ranges) : [];
      const parameters = [`crashdump=${hex(result.crashdump)}`, ...result.memmap, ...ram, ...(parked ? parkedParameters(parked) : [])];
      if (args.json) context.out.write(`${JSON.stringify({ schema: "lastwords-softboot-1", ...result, parameters })}\n`);
      else {
        context.out.line(parameters.join(" "));
        const passes = result.passes.map(
          ({ name, pages, outcome }) => `${name} ${outcome === "saved" ? pages : outcome === "truncated" ? `${pages}, cut` : outcome}`,
        );
        context.note(
          `${result.pagesSaved} pages saved (${passes.join(", ")}) in ${formatBytes(result.pagesUsed * 4096)} of memory, ${result.ranges.length} range${result.ranges.length === 1 ? "" : "s"}`,
        );
      }
      return result.truncated || result.pagesUnreadable > 0 || result.passes.some(({ outcome }) => outcome === "left out")
        ? exitCode.partial
        : exitCode.good;
    } finally {
      store.close();
    }
  } finally {
    dump.close();
  }
}

/** As LKCD's levels add up: each has what those below it have, and nothing is without the kernel. */
function levelMask(level: number): number {
  let mask = DUMP_LEVEL_HEADER | DUMP_LEVEL_KERN;
  if (level >= DUMP_LEVEL_USED) mask |= DUMP_LEVEL_USED;
  if (level >= DUMP_LEVEL_ALL_RAM) mask |= DUMP_LEVEL_ALL_RAM;
  return mask;
}

/** `0x10000000+64M`, decimal or hexadecimal, as in `memmap=`. */
function parseRegion(text: string): MemoryRange {
  const match = /^(0x[0-9a-f]+|\d+)([kmgt]?)\+(0x[0-9a-f]+|\d+)([kmgt]?)$/i.exec(text);
  const size = (digits: string, unit: string): number => Number(digits) * 1024 ** ["", "k", "m", "g", "t"].indexOf(unit.toLowerCase());
  const start = match ? size(match[1]!, match[2]!) : Number.NaN;
  const end = match ? start + size(match[3]!, match[4]!) : Number.NaN;
  if (!Number.isSafeInteger(start) || !Number.isSafeInteger(end) || start % 4096 !== 0 || end % 4096 !== 0 || end <= start)
    throw new DumpError("BAD_ARGUMENT", `--region ${text}: ADDRESS+SIZE in whole pages is wanted, as 0x10000000+64M`);
  return { start, end };
}

// ------------------------------------------------------------------------------------------------------------- stage 2

/** Opens the dump that the kernel's command line names. @param isWritten that it is wanted to be cleared only: damage is of no interest. */
function resident(context: Context, args: SoftbootArgs, memory: MemoryFile, isWritten = false): ResidentDump {
  const isDevice = args.memory === "/dev/mem";
  const named = args.crashdump === undefined ? undefined : parseCrashdump(`crashdump=${args.crashdump}`);
  if (args.crashdump !== undefined && named === undefined)
    throw new DumpError("BAD_ARGUMENT", `--crashdump ${args.crashdump} is no address`);
  const crashdump = named ?? (isDevice ? parseCrashdump(readFileSync("/proc/cmdline", "latin1")) : undefined);
  if (isDevice && crashdump === undefined)
    throw new DumpError("NOT_STORED", "this kernel was not started with crashdump=: there is no dump in its memory");
  // What the kernel uses is no dump, whatever a damaged map says; and it is not ours to clear.
  const ranges = isDevice ? readMemoryMap().reserved : undefined;
  const found = findResidentDump(memory.source, {
    ...(crashdump === undefined ? {} : { crashdump }),
    ...(ranges === undefined ? {} : { ranges }),
    onProgress: context.progress,
  });
  if (!found) {
    const address = crashdump === undefined ? undefined : physicalAddress(BigInt(crashdump));
    // Memory that is there and refused (STRICT_DEVMEM) is another matter than memory without a dump.
    if (address !== undefined) memory.read(address, new Uint8Array(16));
    const where = crashdump === undefined ? args.memory : `${hex(address ?? crashdump)} of ${args.memory}`;
    throw new DumpError("NOT_STORED", `there is no dump at ${where}${isDevice ? "; was the memory kept with memmap=?" : ""}`);
  }
  if (isWritten) return found;
  for (const problem of found.problems) context.note(problem.message);
  if (found.truncated) context.note("the dump does not have all pages: there was no room for more");
  return found;
}

function config(context: Context, args: SoftbootArgs): number {
  const memory = new MemoryFile(args.memory, "r");
  try {
    const dump = resident(context, args, memory);
    makeFolder(args.dir);
    const path = join(args.dir, STAGED);
    writeDump(context, dump, path);
    context.out.line(path);
    context.note(`${dump.records} pages, ${formatBytes(dump.size)}`);
    return dump.problems.length > 0 || dump.truncated ? exitCode.partial : exitCode.good;
  } finally {
    memory.close();
  }
}

async function save(context: Context, args: SoftbootArgs): Promise<number> {
  makeFolder(args.dir);
  const staged = join(args.dir, STAGED);
  const memory = new MemoryFile(args.memory, args.keep ? "r" : "r+");
  try {
    // What `config` has written need not be looked for again; its memory is, to be cleared.
    let dump: ResidentDump | undefined;
    const isStaged = existsSync(staged);
    try {
      dump = resident(context, args, memory, isStaged);
    } catch (error) {
      if (!isStaged) throw error;
    }
    const { folder, number } = nextFolder(args.dir);
    const name = (what: string): string => join(folder, `${what}.${number}`);
    if (isStaged) renameSync(staged, name("dump"));
    else writeDump(context, dump!, name("dump"));
    const { run: report } = await import("./report.ts");
    const { run: dmesg } = await import("./dmesg.ts");
    const common: DumpArgs & Pick<Args<"dmesg">, "quiet" | "color" | "help"> = {
      json: false,
      btf: undefined,
      symbols: undefined,
      vmlinux: undefined,
      rawBase: undefined,
      stats: false,
      quiet: context.quiet,
      color: "never",
      help: false,
    };
    const log = await toFile(context, name("log"), (own) => dmesg(own, { ...common, files: [name("dump")], raw: false } as Args<"dmesg">));
    const told = await toFile(context, name("report"), (own) =>
      report(own, {
        ...common,
        paths: [name("dump")],
        logLines: 20,
        ramoops: undefined,
        blk: undefined,
        memconsole: undefined,
      } as unknown as Args<"report">),
    );
    if (dump && !args.keep) {
      clearResidentDump(dump, memory);
      context.note(`${formatBytes(dump.frames.length * 4096)} of memory cleared; the next boot may do without memmap= and crashdump=`);
    }
    context.out.line(folder);
    const whole = isStaged || (dump !== undefined && dump.problems.length === 0 && !dump.truncated);
    const explained = log === exitCode.good && (told === exitCode.good || told === exitCode.partial);
    return whole && explained ? exitCode.good : exitCode.partial;
  } finally {
    memory.close();
  }
}

/** Runs another command with its output in a file; what it throws is noted and counts as a failure. */
async function toFile(context: Context, path: string, command: (context: Context) => number | Promise<number>): Promise<number> {
  const fd = openSync(path, "wx", 0o600);
  try {
    const out = new Output(new FdSink(fd, {}), { env: {} });
    const code = await command({ ...context, out });
    out.flush();
    return code;
  } catch (error) {
    if (!(error instanceof DumpError)) throw error;
    context.note(`${path}: ${error.message}`);
    return exitCode.failed;
  } finally {
    closeSync(fd);
  }
}

/** Under another name until it is complete. */
function writeDump(context: Context, dump: ResidentDump, path: string): void {
  const unfinished = `${path}.unfinished`;
  const forget = context.cleanUps.add(() => rmSync(unfinished, { force: true }));
  try {
    const fd = openSync(unfinished, "w", 0o600);
    try {
      dump.writeOut(
        {
          write: (bytes) => {
            for (let done = 0; done < bytes.length;) done += writeSync(fd, bytes, done);
          },
        },
        context.progress,
      );
      // The memory is cleared when this is done: it must be on the disk.
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    renameSync(unfinished, path);
  } catch (error) {
    rmSync(unfinished, { force: true });
    throw error instanceof DumpError ? error : new DumpError("IO", `cannot write ${path}: ${reason(error)}`);
  } finally {
    forget();
  }
}

function makeFolder(path: string): void {
  try {
    mkdirSync(path, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw new DumpError("IO", `cannot make ${path}: ${reason(error)}`);
  }
}

/** A new folder, numbered behind the highest there is. */
function nextFolder(dir: string): { folder: string; number: number } {
  const numbers = readdirSync(dir).filter((name) => /^\d{1,9}$/.test(name));
  const number = Math.max(-1, ...numbers.map(Number)) + 1;
  const folder = join(dir, String(number));
  makeFolder(folder);
  return { folder, number };
}
