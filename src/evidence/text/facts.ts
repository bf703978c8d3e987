/*
 * What the text of one crash tells besides its title: who was running where, registers, the call trace. On x86,
 * arm64 and, as far as they print alike, the others.
 */
import { cleanLine, parseHead } from "./head.ts";
import { ofSameCaller } from "./interleave.ts";
import { dissectLine } from "./lines.ts";

/** A step of a call trace in a text. */
export interface TextFrame {
  /** Undefined where only the address was printed. */
  readonly symbol: string | undefined;
  readonly offset: number | undefined;
  /** Undefined where only the symbol was printed, as kernels do since 4.10. */
  readonly address: bigint | undefined;
  /** False for frames with a `?`, and those that powerpc calls unreliable. */
  readonly reliable: boolean;
  readonly module: string | undefined;
  /** The program counter of user mode. */
  readonly user: boolean;
}

/** A module as `Modules linked in:` has it. */
export interface TextModule {
  readonly name: string;
  /** Letters of its taints; `+` and `-` while it was loaded or unloaded. */
  readonly taint: string;
}

/** What {@link readFacts} finds. */
export interface TextFacts {
  readonly cpu: number | undefined;
  readonly pid: number | undefined;
  readonly comm: string | undefined;
  readonly release: string | undefined;
  /** The build, as `uname -v`. */
  readonly version: string | undefined;
  /** Of vmlinux, in hex; printed by kernels built with `CONFIG_STACKTRACE_BUILD_ID`. */
  readonly buildId: string | undefined;
  /** Letters of the taints; empty for a kernel that is not tainted. */
  readonly taint: string | undefined;
  readonly hardware: string | undefined;
  readonly machine: "x86_64" | "aarch64" | undefined;
  readonly frames: readonly TextFrame[];
  /** Registers of the fault, by the names that a dump's have (`ip`, `ax`; `pc`, `x0`). */
  readonly registers: ReadonlyMap<string, bigint>;
  readonly modules: readonly TextModule[];
  /** What KASLR added, where the panic says so. */
  readonly kaslrOffset: bigint | undefined;
  /** The task that a report of a hung task is about, which another task wrote, with its own trace. */
  readonly hung: HungTask | undefined;
}

/** A task that was blocked for too long. */
export interface HungTask {
  readonly pid: number;
  readonly comm: string;
  readonly seconds: number;
  readonly frames: readonly TextFrame[];
}

// Every trace has this line (linux:lib/dump_stack.c:dump_stack_print_info).
const WHO =
  /\bCPU: (?<cpu>\d+) (?:UID: \d+ )?PID: (?<pid>\d+) Comm: (?<comm>.{0,64}?) +(?:Kdump: loaded +)?(?:(?<clean>Not tainted)|Tainted: (?<taint>[A-Z ]+?)) +(?<release>\d+\.\d+\S*)(?: (?<version>.*))?$/;
// A hung task's report is written by another task; this is the one that is meant.
const HUNG = /INFO: task (?<comm>.{1,64}?):(?<pid>\d+) (?:blocked|can't die).*? (?<seconds>\d+) seconds/;
const HUNG_KERNEL = /^\s+(?:(?<clean>Not tainted)|Tainted: (?<taint>[A-Z ]+?)) +(?<release>\d+\.\d+\S*)(?: (?<version>.*))?$/;
// WHO where the end of the line is lost.
const WHO_CUT = /\bCPU: (?<cpu>\d+) (?:UID: \d+ )?PID: (?<pid>\d+) Comm: (?<comm>.{0,64}?) +(?:Kdump|Not|Tainted)/;
const BUILD_ID = / ([0-9a-f]{40})(?= |$)/;
const OFFSET = /Kernel Offset: 0x([0-9a-f]+) from 0x/;

const ADDRESS = String.raw`(?:\(?\[<?(?:0x)?(?<address>[0-9a-f]{8,16})>?\]\)?)`;
/** `func+0x1/0x2 [module]`, with what kernels and decoders write around it. */
const FRAME = new RegExp(
  String.raw`^\s*(?:<(?:IRQ|NMI|EOI|TASK|#\w+)>\s+)?(?:\[[0-9a-f]{8,16}\] )?${ADDRESS}?\s*(?<question>\? )?(?<symbol>[A-Za-z_.$][\w.$]*)\+0x(?<offset>[0-9a-f]{1,8})\/0x[0-9a-f]{1,8}(?: \[(?<module>[\w-]+)(?: [0-9a-f]{40})?\])?(?<rest>.*)$`,
);
/** Names are long in C++ and Rust, lines are not. */
const MAX_FRAME_LINE = 512;
const RAW_FRAME = new RegExp(String.raw`^\s*${ADDRESS}?\s*(?<question>\? )?(?:0x(?<raw>[0-9a-f]{8,16}))?\s*$`);
/** A decoder's line for a function without a frame of its own: `func file.c:12 [inline]`. */
const INLINE_FRAME = /^\s+(?<symbol>[A-Za-z_][\w.]*) [\w./+-]+:\d+ \[inline\]$/;
/** 32-bit arm: `[<c0101234>] (callee) from [<c0105678>] (caller+0x12/0x34)`. */
const ARM_FRAME =
  /^\s*(?:\[<[0-9a-f]{8}>\] )?\(?[\w.]+\)? from (?:\[<(?<address>[0-9a-f]{8})>\] )?\(?(?<symbol>[\w.]+)\+0x(?<offset>[0-9a-f]+)\//;
const COUNTER = /^(?:RIP: (?<selector>[0-9a-f]{4}):|pc : |PC is at |EIP: (?:[0-9a-f]{4}:)?|NIP |epc : )\s*(?<place>.*)$/;
const LINK = /^lr : /;
const TRACE = /Call [Tt]race:|Backtrace:/;
const TRACE_MARK = /^\s*(?:<\/?(?:IRQ|NMI|EOI|TASK|#\w+|DF|DB|MCE|ENTRY_TRAMPOLINE|SYSENTER)>)?\s*$/;
/** A trace has no more lines than this; stacks of 16 KiB have no more words. */
const MAX_FRAMES = 256;

const X86_REGISTERS =
  /\b(?<name>E?FLAGS|RFLAGS|ORIG_RAX|[RE][A-D]X|[RE][SD]I|[RE][BSI]P|R\d\d|CR[0-8]): ?(?:[0-9a-f]{4}:)?(?<value>[0-9a-f]{8,16})\b/g;
const ARM64_REGISTERS = /(?:^|\s)(?<name>x\d{1,2}|sp|pstate) ?: (?<value>[0-9a-f]{8,16})\b/g;
const X86_NAMES: Readonly<Record<string, string>> = { EFLAGS: "flags", RFLAGS: "flags", ORIG_RAX: "orig_ax" };

/**
 * Reads the lines of one crash, its first line first, as they are in the log. What comes from another caller is left
 * out. Of several traces the first counts: the others are of allocations, other CPUs, or the panic's own.
 */
export function readFacts(lines: readonly string[]): TextFacts {
  const reader = new FactReader();
  const parsed = lines.map((line, i) => dissectLine(line, i, 0));
  for (const { text } of ofSameCaller(parsed)) reader.see(text);
  return reader.facts();
}

class FactReader {
  #who: Record<string, string | undefined> | undefined;
  #buildId: string | undefined;
  #hardware: string | undefined;
  #machine: TextFacts["machine"];
  #counter: TextFrame | undefined;
  #frames: TextFrame[] = [];
  #trace: "none" | "open" | "done" = "none";
  /** Registers printed under the program counter of user mode are not those of the fault. */
  #userRegisters = false;
  readonly #registers = new Map<string, bigint>();
  #modules: TextModule[] = [];
  #kaslrOffset: bigint | undefined;

  #hung: { pid: number; comm: string; seconds: number } | undefined;
  #hungFrames: TextFrame[] = [];

  see(given: string): void {
    const text = given.length > MAX_FRAME_LINE && !given.includes("Modules linked in:") ? given.slice(0, MAX_FRAME_LINE) : given;
    if (text.includes("Comm: ") && (this.#who === undefined || (this.#hung && this.#who["pid"] === undefined))) {
      this.#who = (WHO.exec(text) ?? WHO_CUT.exec(text))?.groups ?? this.#who;
      if (this.#hung && this.#who?.["pid"] !== undefined && this.#hungFrames.length === 0) {
        this.#hungFrames = this.#frames;
        this.#frames = [];
        this.#counter = undefined;
        this.#trace = "none";
      }
      this.#buildId = BUILD_ID.exec(this.#who?.["version"] ?? "")?.[1];
    }
    if (text.includes("INFO: task ")) {
      const hung = HUNG.exec(text)?.groups;
      if (hung) this.#hung ??= { pid: Number(hung["pid"]), comm: hung["comm"]!, seconds: Number(hung["seconds"]) };
    }
    // The second line of it names the kernel: "      Not tainted 6.1.0 #1".
    const kernel = this.#hung && this.#who === undefined ? HUNG_KERNEL.exec(text)?.groups : undefined;
    if (kernel) this.#who = kernel;
    if (text.startsWith("Hardware name: ")) this.#hardware ??= text.slice(15).trim();
    if (text.startsWith("Modules linked in:") && this.#modules.length === 0) this.#modules = modulesOf(text.slice(18));
    const offset = OFFSET.exec(text)?.[1];
    if (offset !== undefined) this.#kaslrOffset ??= BigInt(`0x${offset}`);
    this.#seeRegisters(text);
    this.#seeTrace(text);
  }

  #seeRegisters(text: string): void {
    const counter = COUNTER.exec(text);
    if (counter) {
      const place = counter.groups!["place"]!;
      const selector = counter.groups!["selector"];
      // The two low bits are the privilege level.
      const user = selector !== undefined && (Number.parseInt(selector, 16) & 3) === 3;
      this.#userRegisters = user;
      if (selector !== undefined) this.#machine ??= "x86_64";
      else if (text.startsWith("pc : ")) this.#machine ??= "aarch64";
      const frame = frameOf(place, user) ?? rawCounter(place, user);
      if (frame?.address !== undefined && !user) this.#set(selector === undefined ? "pc" : "ip", frame.address);
      if (!user && this.#counter === undefined && this.#trace === "none") this.#counter = frame;
      if (user && this.#trace === "open" && frame) this.#frames.push(frame);
      return;
    }
    if (this.#userRegisters || LINK.test(text)) return;
    for (const { groups } of text.matchAll(X86_REGISTERS)) {
      const name = groups!["name"]!;
      // Kernels since 2.6 print R08 and R09.
      this.#set(
        (X86_NAMES[name] ?? (/^[RE][A-Z]/.test(name) ? name.slice(1) : name)).toLowerCase().replace(/^r0/, "r"),
        BigInt(`0x${groups!["value"]!}`),
      );
    }
    if (/^(?:sp|x\d|pstate)/.test(text)) {
      for (const { groups } of text.matchAll(ARM64_REGISTERS)) this.#set(groups!["name"]!, BigInt(`0x${groups!["value"]!}`));
    }
  }

  #set(name: string, value: bigint): void {
    if (!this.#registers.has(name)) this.#registers.set(name, value);
  }

  #seeTrace(text: string): void {
    if (this.#trace === "none" && TRACE.test(text)) {
      this.#trace = "open";
      return;
    }
    if (this.#trace !== "open") return;
    const frame = frameOf(text, false);
    if (frame && this.#frames.length < MAX_FRAMES) this.#frames.push(frame);
    else if (!frame && this.#frames.length > 0 && !TRACE_MARK.test(text) && !COUNTER.test(text) && !isRegisterLine(text))
      this.#trace = "done";
  }

  facts(): TextFacts {
    const who = this.#who;
    const number = (name: string): number | undefined => (who?.[name] === undefined ? undefined : Number(who[name]));
    const first = this.#counter;
    // Where the trace begins with the program counter, as arm64's does, it is not said twice.
    const top = this.#frames[0];
    const repeated = first && top && first.symbol === top.symbol && first.offset === top.offset;
    const version = who?.["version"]?.replace(BUILD_ID, "").trim();
    return {
      cpu: number("cpu"),
      pid: number("pid") ?? this.#hung?.pid,
      comm: who?.["comm"] ?? this.#hung?.comm,
      release: who?.["release"],
      version: version === "" ? undefined : version,
      buildId: this.#buildId,
      taint:
        who === undefined || (who["clean"] === undefined && who["taint"] === undefined)
          ? undefined
          : (who["taint"] ?? "").replaceAll(" ", ""),
      hardware: this.#hardware,
      machine: this.#machine,
      frames: first && !repeated ? [first, ...this.#frames] : this.#frames,
      registers: this.#registers,
      modules: this.#modules,
      kaslrOffset: this.#kaslrOffset,
      hung: this.#hung && { ...this.#hung, frames: this.#hungFrames.length > 0 ? this.#hungFrames : this.#frames },
    };
  }
}

function isRegisterLine(text: string): boolean {
  return /^(?:Code|RSP|R[A-D]X|R[SD]I|RBP|R\d\d|FS|CS|CR\d|DR\d|PKRU|EAX|ESI|DS|x\d|sp |pstate|lr )[:\s]/.test(text);
}

function frameOf(text: string, user: boolean): TextFrame | undefined {
  const found = FRAME.exec(text)?.groups ?? INLINE_FRAME.exec(text)?.groups ?? ARM_FRAME.exec(text)?.groups;
  if (found) {
    const { symbol, offset, address, module, question, rest } = found;
    return {
      symbol,
      offset: offset === undefined ? undefined : Number.parseInt(offset, 16),
      address: address === undefined ? undefined : BigInt(`0x${address}`),
      reliable: question === undefined && rest?.includes("(unreliable)") !== true,
      module,
      user,
    };
  }
  const raw = RAW_FRAME.exec(text)?.groups;
  const digits = raw?.["raw"] ?? raw?.["address"];
  if (raw === undefined || digits === undefined) return undefined;
  return {
    symbol: undefined,
    offset: undefined,
    address: BigInt(`0x${digits}`),
    reliable: raw["question"] === undefined,
    module: undefined,
    user,
  };
}

/** `[<ffffffff81234567>]  [<ffffffff81234567>] func+0x1/0x2` of old kernels, `0x47b7a0` of user mode. */
function rawCounter(place: string, user: boolean): TextFrame | undefined {
  const digits = /^(?:\[<)?(?:0x)?([0-9a-f]{1,16})\b/.exec(place)?.[1];
  const named = /\s([A-Za-z_][\w.]*)\+0x([0-9a-f]{1,8})\//.exec(place);
  if (digits === undefined && named === null) return undefined;
  return {
    symbol: named?.[1],
    offset: named ? Number.parseInt(named[2]!, 16) : undefined,
    address: digits === undefined ? undefined : BigInt(`0x${digits}`),
    reliable: true,
    module: undefined,
    user,
  };
}

const MAX_MODULES = 1000;

function modulesOf(text: string): TextModule[] {
  const list = text.replace(/\[last unloaded: .*$/, "");
  const modules: TextModule[] = [];
  for (const [, name, taint] of list.matchAll(/([\w-]{1,64})(?:\(([A-Z+-]{1,16})\))?/g)) {
    if (modules.length >= MAX_MODULES) break;
    modules.push({ name: name!, taint: taint ?? "" });
  }
  return modules;
}

/** The release and build in a kernel's first words (`Linux version 6.1.0 (who@where) (compiler) #1 SMP ...`). */
export function readBanner(banner: string): { release: string | undefined; version: string | undefined; builder: string | undefined } {
  const found = /^Linux version (\S{1,128})(?: \(([^)]{0,128})\))?/.exec(banner);
  return {
    release: found?.[1],
    builder: found?.[2],
    version: /\s(#\d+.{0,200})$/.exec(banner)?.[1]?.trim(),
  };
}

const RAW_ADDRESS = /\[?<?(?:0x)?(ffff[0-9a-f]{12})>?\]?/g;
const MAX_ADDRESSES = 1000;

/** Kernel addresses in a text that have no name beside them. */
export function rawAddresses(lines: Iterable<string>): Set<bigint> {
  const addresses = new Set<bigint>();
  for (const line of lines) {
    if (!line.includes("ffff")) continue;
    const clean = cleanLine(line);
    const text = clean.slice(parseHead(clean)?.length ?? 0);
    // An address that its function follows needs no other name; registers hold data as a rule.
    if (/\+0x[0-9a-f]+\/0x/.test(text) || isRegisterLine(text)) continue;
    for (const [, digits] of text.matchAll(RAW_ADDRESS)) {
      if (addresses.size >= MAX_ADDRESSES) return addresses;
      addresses.add(BigInt(`0x${digits}`));
    }
  }
  return addresses;
}
