/**
 * Every command of lastwords, as data. `--help`, the man pages, shell completion and docs/commands.md are made from
 * this table (`npm run generate`), and the command line is parsed by it.
 *
 * To add a command: one entry in {@link commands}, and one file `src/cli/command/<name>.ts` that exports
 *
 * ```ts
 * import type { Args, Context } from "../table.ts";
 *
 * export async function run(context: Context, args: Args<"read">): Promise<number> {
 *   context.out.line(`${args.files[0]}: ${args.length} bytes`); // args.length: number, args.virtual: Vaddr | undefined
 *   return exitCode.good;
 * }
 * ```
 *
 * `Args<"read">` has a property for each operand (the key it has here) and for each option (its long name in camel
 * case): flags are `boolean`, repeatable ones `readonly T[]`, those with `required` or a `default` are `T`, others
 * `T | undefined`. An entry whose `load` names a file with other arguments does not compile. Then `npm run generate`.
 *
 * Texts: `about` and descriptions are sentences; backticks mark what is typed or printed literally.
 */
import type { Paddr, Vaddr } from "../bytes/index.ts";
import type { ExitName } from "./exit-code.ts";
import type { CleanUps, Stats } from "./main.ts";
import type { OnProgress } from "./progress.ts";
import type { Environment, Output } from "./terminal.ts";

// ---------------------------------------------------------------------------------------------- what a command gets

/** What a command works with besides its arguments. */
export interface Context {
  /** stdout: what was asked for, and nothing else. */
  readonly out: Output;
  /** stderr, for what {@link note} does not fit. */
  readonly err: Output;
  readonly env: Environment;
  readonly quiet: boolean;
  /** A remark on stderr, as one line `lastwords: <text>`; silent under `--quiet`. Control characters are escaped. */
  readonly note: (text: string) => void;
  /** Hand this to long work; it draws on stderr when that is worth it. */
  readonly progress: OnProgress;
  /** What to undo when the command ends early, Ctrl-C included: temporary files. */
  readonly cleanUps: CleanUps;
  /** What `--stats` prints at the end. */
  readonly stats: Stats;
}

/** What the file of a command exports. The number is the exit status (see exit-code.ts). */
export interface CommandModule<Name extends string> {
  readonly run: (context: Context, args: Args<Name>) => number | Promise<number>;
}

/** What `bt` may be asked for. */
export type Target = { readonly kind: "pid"; readonly pid: number } | { readonly kind: "cpu"; readonly cpu: number };

// ---------------------------------------------------------------------------------------------- shape of the entries

/**
 * Kinds of values. `paddr` and `vaddr` are addresses: hexadecimal with or without `0x`, decimal after `0d`. `size` is
 * decimal or `0x` hexadecimal, with K, M, G or T for powers of 1024. `int` is decimal. `target` is a process id or
 * `cpu:N`. `command` is the name of a command (aliases are replaced by it).
 */
export type ValueType = "string" | "int" | "size" | "paddr" | "vaddr" | "choice" | "file" | "target" | "command";

export interface ValueEntry {
  /** For `choice`. */
  readonly choices?: readonly string[];
  /** For `int` and `size`, inclusive; 0 where not given. */
  readonly min?: number;
  /** For `int` and `size`, inclusive. */
  readonly max?: number;
  readonly about: string;
}

export interface OptionEntry extends ValueEntry {
  /** `flag` takes no value. */
  readonly type: "flag" | ValueType;
  /** One letter. */
  readonly short?: string;
  /** Name of the value in help texts. */
  readonly value?: string;
  /** May be given several times; all values count. Otherwise the last one wins. */
  readonly repeat?: true;
  readonly required?: true;
  /** The value when the option is absent; help texts show it. */
  readonly default?: string | number;
}

export interface OperandEntry extends ValueEntry {
  readonly type: ValueType;
  /** Name in help texts. */
  readonly name: string;
  readonly repeat?: true;
  readonly optional?: true;
}

/** What options must or must not be given together. */
export type OptionRule =
  | { readonly kind: "exactly-one" | "at-most-one"; readonly options: readonly string[] }
  | { readonly kind: "needs"; readonly option: string; readonly needs: string };

export interface CommandEntry {
  readonly group: GroupName;
  /** Half a sentence in the imperative, lower-case, without full stop: "print memory at an address". */
  readonly summary: string;
  /** Paragraphs. */
  readonly description: readonly string[];
  readonly aliases?: readonly string[];
  /** By the key that the value has in `Args`. An operand that repeats may be followed by `target` operands only. */
  readonly operands: Readonly<Record<string, OperandEntry>>;
  /** Sets of options this command shares with others; `common` is always there. */
  readonly uses: readonly OptionSetName[];
  /** By long name, without the dashes. */
  readonly options: Readonly<Record<string, OptionEntry>>;
  readonly rules: readonly OptionRule[];
  readonly examples: readonly { readonly run: string; readonly about: string }[];
  /** The statuses that this command can end with, besides `usage` and `interrupted`. */
  readonly exits: readonly ExitName[];
  /** What a status means here, where the common text (`exitMeaning`) is too vague. */
  readonly exitMeaning?: Readonly<Partial<Record<ExitName, string>>>;
  /** Other commands, or pages such as `crash(8)`. */
  readonly seeAlso: readonly string[];
  /** Imports the command. Nothing else is loaded before, since a report should take half a second in all. */
  readonly load: () => Promise<{ readonly run: (context: Context, args: never) => number | Promise<number> }>;
}

// -------------------------------------------------------------------------------------------------------- the program

/** What the texts say of the whole program. */
export const program = {
  name: "lastwords",
  summary: "explain why a Linux kernel crashed, from its dump alone",
  description: [
    "No debug info is needed: symbols, types and unwind tables are found in the dump itself. The running kernel is never looked at, and nothing is ever fetched from a network.",
  ],
  environment: {
    COLUMNS: "Width of the terminal, where it is set.",
    FORCE_COLOR: "Colour the text also where it does not go to a terminal; `0` means never.",
    LASTWORDS_LAB_CACHE: "Where `lastwords rehearse` keeps the kernels that it downloads; `~/.cache/lastwords/lab` where not set.",
    LASTWORDS_DEBUG: "Set to `1`, errors are printed with their stack.",
    NO_COLOR: "Not empty: no colour.",
    XDG_CACHE_HOME: "Where compiled code is kept to start faster; `~/.cache` where not set.",
  },
  seeAlso: ["crash(8)", "makedumpfile(8)", "kdump.conf(5)", "kexec(8)", "dmesg(1)"],
} as const;

/** Headings of the command list, in its order. */
export const groups = {
  explain: "Explain a crash",
  keep: "Keep what a kernel says",
  look: "Look at one thing",
  tool: "About lastwords",
} as const;

export type GroupName = keyof typeof groups;

// ----------------------------------------------------------------------------------------------------- shared options

export const optionSets = {
  common: {
    quiet: { type: "flag", short: "q", about: "Print neither notes nor progress on standard error; errors are still printed." },
    color: {
      type: "choice",
      value: "WHEN",
      choices: ["auto", "always", "never"],
      default: "auto",
      about: "Colour the text: `auto` (on a terminal, unless `NO_COLOR` is set), `always` or `never`.",
    },
    help: { type: "flag", short: "h", about: "Print this help and exit." },
  },
  dump: {
    json: { type: "flag", about: "Print JSON, with a versioned schema, instead of text." },
    btf: {
      type: "file",
      value: "FILE",
      about: "Take the kernel's types from FILE (raw BTF, or an ELF file with a `.BTF` section) instead of from the dump.",
    },
    symbols: { type: "file", value: "FILE", about: "Take the kernel's symbols from FILE (a `System.map`) instead of from the dump." },
    vmlinux: { type: "file", value: "FILE", about: "Take symbols and types from FILE, the `vmlinux` of the crashed kernel." },
    "raw-base": {
      type: "paddr",
      value: "ADDRESS",
      about: "Read the file as a raw memory image whose first byte has this physical address.",
    },
    stats: { type: "flag", about: "At the end, print on standard error how much was read, and the time and memory it took." },
  },
  storage: {
    ramoops: {
      type: "string",
      value: "WORDS",
      about: "Where a ramoops region is and how it is divided, as `mem_size=1M,ecc=1`.",
    },
    blk: { type: "string", value: "WORDS", about: "How a pstore_blk device is divided, as `kmsg_size=64,console_size=64`." },
    memconsole: { type: "string", value: "WORDS", about: "Where a memconsole of the 2009 proposal is, as `address=0x3f000000,size=4K`." },
  },
} as const;

export type OptionSetName = keyof typeof optionSets;

/** Headings of the shared options in help texts. */
export const optionSetTitle: Readonly<Record<OptionSetName, string>> = {
  dump: "Options of every command that opens a dump",
  storage: "Where pstore's storage is",
  common: "Common options",
};

// ----------------------------------------------------------------------------------------------------------- commands

export const commands = {
  report: {
    group: "explain",
    summary: "say why a kernel crashed, from whatever evidence there is",
    description: [
      "The report gives the reason for the crash, the panicking task with its registers and call trace, what the other CPUs did, the last lines of the kernel log, and what is missing and why.",
      "A PATH is a dump (ELF, kdump-compressed, flattened, LKCD, sadump, or raw with `--raw-base`), a saved kernel log, anything that `lastwords pstore` reads (a region, a pstore_blk device, a mounted pstore, `/dev/mem`), or a folder that holds such files. Everything named is taken as evidence of one crash.",
      "Of several pieces the report says which are of the crash: by boot id, release and build, and by lines that they have in common. Their lines are shown as one log, each once, with letters for the sources that have it; lines that sources have differently are listed with both readings. A capture kernel's log is told apart from the crashed kernel's. Other boots are listed and left out.",
    ],
    operands: {
      paths: { type: "file", name: "PATH", repeat: true, about: "A dump, a log, or a folder of such files." },
    },
    uses: ["dump", "storage"],
    options: {
      html: {
        type: "file",
        value: "FILE",
        about: "Write the report as one HTML file that opens from disk and fetches nothing, instead of the text; `-` is standard output.",
      },
      "log-lines": { type: "int", value: "N", default: 20, max: 1_000_000, about: "Show the last N lines of the kernel log." },
    },
    rules: [{ kind: "at-most-one", options: ["json", "html"] }],
    examples: [
      { run: "lastwords report --html crash.html vmcore", about: "As a page to look around in, and to hand on" },
      { run: "lastwords report /dev/mem", about: "After a reboot: what reserved memory still holds" },
      { run: "lastwords report /var/crash/127.0.0.1-2026-09-14-10:26/", about: "Explain what kdump left in a folder" },
      { run: "lastwords report --log-lines 100 vmcore", about: "With more of the kernel log" },
      { run: "lastwords report --json vmcore | jq -r .title", about: "The title of the crash, for a script" },
    ],
    exits: ["good", "failed", "partial", "no-evidence", "unsupported"],
    seeAlso: ["info", "dmesg", "bt", "crash(8)"],
    load: (): Promise<CommandModule<"report">> => import("./command/report.ts"),
  },

  info: {
    group: "look",
    summary: "show what a dump is: kernel, machine, format, coverage",
    description: [
      "The kernel's release, build ID and uptime come first, then the format of the dump and everything in its headers, then VMCOREINFO. What is wrong with the file is noted on standard error.",
    ],
    aliases: ["sys"],
    operands: {
      files: { type: "file", name: "FILE", repeat: true, about: "The dump; several files are the parts of one split dump." },
    },
    uses: ["dump"],
    options: {},
    rules: [],
    examples: [
      { run: "lastwords info vmcore", about: "Which kernel crashed, and is the dump whole" },
      { run: "lastwords info --raw-base 100000000 memory.img", about: "A raw image of the memory above 4 GiB" },
    ],
    exits: ["good", "failed", "partial", "unsupported"],
    seeAlso: ["report", "notes"],
    load: (): Promise<CommandModule<"info">> => import("./command/info.ts"),
  },

  notes: {
    group: "look",
    summary: "list or extract the ELF notes of a dump",
    description: [
      "Notes hold the registers of each CPU, VMCOREINFO, and the device dumps that drivers made in the capture kernel. Each is listed with its number, owner, type and size.",
    ],
    operands: {
      files: { type: "file", name: "FILE", repeat: true, about: "The dump; several files are the parts of one split dump." },
    },
    uses: ["dump"],
    options: {
      extract: {
        type: "string",
        value: "NOTE",
        about: "Write the content of one note, given by its owner, its device's name, or its number in the list.",
      },
      output: { type: "file", short: "o", value: "FILE", about: "Write the extracted note to FILE instead of standard output." },
    },
    rules: [
      { kind: "needs", option: "output", needs: "extract" },
      { kind: "at-most-one", options: ["json", "extract"] },
    ],
    examples: [
      { run: "lastwords notes vmcore", about: "List the notes" },
      { run: "lastwords notes vmcore --extract VMCOREINFO", about: "Print VMCOREINFO" },
      { run: "lastwords notes vmcore --extract 9 -o nic.dump", about: "Save note 9, a device dump, to a file" },
    ],
    exits: ["good", "failed", "partial", "no-evidence", "unsupported"],
    exitMeaning: { "no-evidence": "The dump has no notes, or none of that name or number." },
    seeAlso: ["info"],
    load: (): Promise<CommandModule<"notes">> => import("./command/notes.ts"),
  },

  dmesg: {
    group: "look",
    summary: "print the kernel log",
    description: [
      "The log is read from the kernel's own buffer in the dump, up to the last record that was written, with the time since boot.",
      "Control characters are escaped as dmesg(1) does, unless `--raw` is given.",
    ],
    aliases: ["log"],
    operands: {
      files: { type: "file", name: "FILE", repeat: true, about: "The dump; several files are the parts of one split dump." },
    },
    uses: ["dump"],
    options: {
      raw: { type: "flag", about: "Print the bytes as they are in the kernel's buffer, with level prefixes such as `<6>`." },
    },
    rules: [{ kind: "at-most-one", options: ["json", "raw"] }],
    examples: [
      { run: "lastwords dmesg vmcore | tail -40", about: "The end of the log" },
      { run: "lastwords dmesg --raw vmcore > dmesg.txt", about: "Keep the log for other tools" },
    ],
    exits: ["good", "failed", "partial", "no-evidence", "unsupported"],
    exitMeaning: { "no-evidence": "The dump does not hold the log buffer." },
    seeAlso: ["report", "dmesg(1)"],
    load: (): Promise<CommandModule<"dmesg">> => import("./command/dmesg.ts"),
  },

  ps: {
    group: "look",
    summary: "list the tasks of the crashed kernel",
    description: [
      "One line for each task: process id, parent, CPU, address of its `task_struct`, state and name, in brackets for kernel threads. A `>` marks the task that was running on its CPU.",
    ],
    operands: {
      files: { type: "file", name: "FILE", repeat: true, about: "The dump; several files are the parts of one split dump." },
    },
    uses: ["dump"],
    options: {},
    rules: [],
    examples: [
      { run: "lastwords ps vmcore", about: "List all tasks" },
      { run: "lastwords ps --json vmcore | jq '.tasks[] | select(.state == \"D\")'", about: "Those that wait uninterruptibly" },
    ],
    exits: ["good", "failed", "partial", "unsupported"],
    seeAlso: ["bt", "report"],
    load: (): Promise<CommandModule<"ps">> => import("./command/ps.ts"),
  },

  bt: {
    group: "look",
    summary: "print call traces",
    description: [
      "Without a target, the trace is that of the task that panicked. Traces are unwound with the kernel's own ORC tables or frame pointers; frames that are only guessed are marked with `?`, as the kernel does.",
      "Targets are the last words of the command line: process ids, or `cpu:N` for the task that was running on a CPU. A dump whose name is a number is written `./1234`.",
    ],
    operands: {
      files: { type: "file", name: "FILE", repeat: true, about: "The dump; several files are the parts of one split dump." },
      targets: {
        type: "target",
        name: "PID|cpu:N",
        repeat: true,
        optional: true,
        about: "Whose trace: a process id, or the task on a CPU.",
      },
    },
    uses: ["dump"],
    options: {
      all: { type: "flag", short: "a", about: "The active task of each CPU, as `bt -a` in crash." },
      tasks: { type: "flag", about: "Every task." },
      task: { type: "int", value: "PID", repeat: true, max: 0x7fff_ffff, about: "This task." },
      cpu: { type: "int", value: "N", repeat: true, max: 65_535, about: "The task that was running on this CPU." },
    },
    rules: [{ kind: "at-most-one", options: ["all", "tasks"] }],
    examples: [
      { run: "lastwords bt vmcore", about: "The task that panicked" },
      { run: "lastwords bt -a vmcore", about: "What every CPU was doing" },
      { run: "lastwords bt vmcore 1 cpu:3", about: "Process 1, and the task on CPU 3" },
    ],
    exits: ["good", "failed", "partial", "no-evidence", "unsupported"],
    exitMeaning: { "no-evidence": "The dump has no such task or CPU." },
    seeAlso: ["ps", "report"],
    load: (): Promise<CommandModule<"bt">> => import("./command/bt.ts"),
  },

  mod: {
    group: "look",
    summary: "list the modules of the crashed kernel",
    description: [
      "One line for each loaded module: address of its `struct module`, base and size of its memory, state, taint flags, name, and the modules that use it.",
    ],
    operands: {
      files: { type: "file", name: "FILE", repeat: true, about: "The dump; several files are the parts of one split dump." },
    },
    uses: ["dump"],
    options: {},
    rules: [],
    examples: [{ run: "lastwords mod vmcore", about: "List the modules" }],
    exits: ["good", "failed", "partial", "unsupported"],
    seeAlso: ["info", "report"],
    load: (): Promise<CommandModule<"mod">> => import("./command/mod.ts"),
  },

  read: {
    group: "look",
    summary: "print memory at a physical or virtual address",
    description: [
      "Memory is printed as `hexdump -C` does. Addresses are hexadecimal, with or without `0x`; after `0d` they are decimal. Sizes are decimal, or hexadecimal after `0x`, and take K, M, G or T for powers of 1024.",
      "Virtual addresses are those of the crashed kernel, translated by its page tables. Reading stops at the first page that the dump does not hold.",
    ],
    aliases: ["rd"],
    operands: {
      files: { type: "file", name: "FILE", repeat: true, about: "The dump; several files are the parts of one split dump." },
    },
    uses: ["dump"],
    options: {
      physical: { type: "paddr", value: "ADDRESS", about: "Begin at this physical address." },
      virtual: { type: "vaddr", value: "ADDRESS", about: "Begin at this virtual address of the kernel." },
      length: { type: "size", value: "SIZE", required: true, min: 1, about: "How many bytes to read." },
      raw: { type: "flag", about: "Write the bytes themselves instead of a hex dump." },
      "zero-excluded": { type: "flag", about: "Take pages that the dump's writer left out (its dump level) as zeroes." },
    },
    rules: [
      { kind: "exactly-one", options: ["physical", "virtual"] },
      { kind: "at-most-one", options: ["json", "raw"] },
    ],
    examples: [
      { run: "lastwords read vmcore --virtual ffffffff82a00000 --length 256", about: "256 bytes of the kernel" },
      { run: "lastwords read vmcore --physical 1000 --length 4K --raw > page", about: "One page of physical memory, to a file" },
    ],
    exits: ["good", "failed", "partial", "unsupported"],
    exitMeaning: { partial: "The dump holds only a part of what was asked for; that part was printed." },
    seeAlso: ["info", "crash(8)"],
    load: (): Promise<CommandModule<"read">> => import("./command/read.ts"),
  },

  pstore: {
    group: "look",
    summary: "list, print or extract what pstore's backends keep over a reboot",
    description: [
      "A PATH is an image of a ramoops region, a pstore_blk device or its image, a file of ERST records, an mtdoops device, a folder of records (a mounted pstore, what systemd-pstore or kdump tools copied away, efivarfs), a memory image or dump that covers the region, or `/dev/mem`. Consoles that coreboot, Google's firmware or a memconsole keep in memory are found too.",
      "Places and sizes of ramoops regions are taken from `--ramoops`, else from what the dumped or this kernel says of them (`struct ramoops_context`, module parameters, command line, device tree, reserved memory), else found by the headers of the zones. What was chosen is printed with the reason and the alternatives. On `/dev/mem` only named or reserved memory is read.",
      "Text that is no longer part of a record, because its zone was emptied, is listed as `.carved`: its beginning and order are guesses.",
      "`extract` writes one folder for each backend, files named as the kernel names them, with the records' times, for the owner alone. `--ramoops` takes the kernel's own words: `mem_address`, `mem_size`, `record_size`, `console_size`, `ftrace_size`, `pmsg_size`, `tty_size`, `ecc`. `--blk` likewise: `kmsg_size`, `pmsg_size`, `console_size`, `ftrace_size`, `tty_size`, in KiB unless a letter follows.",
    ],
    operands: {
      action: {
        type: "choice",
        name: "ACTION",
        choices: ["ls", "cat", "extract"],
        about: "`ls` lists records, `cat` prints them, `extract` writes them to files.",
      },
      paths: { type: "file", name: "PATH", repeat: true, about: "A region, device, folder, memory image or dump." },
    },
    uses: ["dump", "storage"],
    options: {
      backend: {
        type: "choice",
        value: "NAME",
        choices: ["ramoops", "pstore_blk", "erst", "mtdoops", "cbmem"],
        about: "What kind of storage the file is, where its bytes do not tell.",
      },
      record: { type: "string", value: "NAME", repeat: true, about: "Only this record, by the name that `ls` prints." },
      "no-carved": { type: "flag", about: "Leave out text that is no longer part of a record." },
      zones: { type: "flag", about: "With `ls`: list the zones too." },
      raw: { type: "flag", about: "With `cat`: write the bytes as they are." },
      output: { type: "file", short: "o", value: "DIR", about: "With `extract`: the folder to write to; made where it is not there." },
    },
    rules: [
      { kind: "at-most-one", options: ["json", "raw"] },
      { kind: "at-most-one", options: ["json", "output"] },
    ],
    examples: [
      { run: "lastwords pstore ls /dev/mem", about: "What survived the reboot, with no driver loaded" },
      { run: "lastwords pstore cat region.bin --record console-ramoops-0", about: "The console of the kernel before" },
      { run: "lastwords pstore ls --ramoops mem_size=1M region.bin", about: "A region whose size is known" },
      { run: "lastwords pstore extract -o found /sys/fs/pstore /dev/nvme0n1p3", about: "Save everything, one folder for each backend" },
    ],
    exits: ["good", "failed", "partial", "no-evidence", "unsupported"],
    exitMeaning: { "no-evidence": "There are no records.", partial: "Some records are damaged; what is left of them was printed." },
    seeAlso: ["report", "systemd-pstore.service(8)"],
    load: (): Promise<CommandModule<"pstore">> => import("./command/pstore.ts"),
  },

  save: {
    group: "keep",
    summary: "save a dump filtered and compressed, as makedumpfile does",
    description: [
      "VMCORE is `/proc/vmcore` in a capture kernel, or any dump that `lastwords report` reads; a kdump file can be filtered again. Pages are classed by the dumped kernel's own page array, found through its VMCOREINFO; of a kernel whose layout is not understood more is kept, never less, and it is said.",
      "The light evidence is written and synced first, beside OUT: the log, the ELF notes and device dumps. The dump grows as `OUT-incomplete`, readable as far as it got, and is renamed at the end. Then it is opened again, and what is inside is said (`--no-check` leaves that out).",
      "From `/proc/vmcore`, device dumps are made before anything else: PCI configuration, devcoredumps, an e1000's registers, and what the collectors in `/etc/lastwords/collectors.d` bring. They become notes, as those that drivers make; see docs/device-dumps.md.",
      "The level is the sum of what to leave out: 1 zero pages, 2 page cache, 4 page cache with private data, 8 user pages, 16 free pages. Several, as `-d 1,31`, are tried in turn when the disk is full. Pages are compressed with zstd unless told: crash from 8.0.0 and makedumpfile from 1.7.0 on read that where they were built with it.",
    ],
    operands: {
      paths: {
        type: "file",
        name: "FILE",
        repeat: true,
        about: "The dump, and the file to write; several with `--split`, none with `-F`.",
      },
    },
    uses: [],
    options: {
      "dump-level": {
        type: "string",
        short: "d",
        value: "LEVEL",
        default: "31",
        about: "What to leave out, 0 to 31; or a list to try in turn.",
      },
      zlib: { type: "flag", short: "c", about: "Compress pages with zlib." },
      lzo: { type: "flag", short: "l", about: "Compress pages with LZO: the fastest." },
      snappy: { type: "flag", short: "p", about: "Compress pages with snappy." },
      zstd: { type: "flag", short: "z", about: "Compress pages with zstd: the smallest." },
      uncompressed: { type: "flag", about: "Store pages as they are." },
      elf: { type: "flag", short: "E", about: "Write an ELF core file instead of a kdump file." },
      lkcd: { type: "flag", about: "Write an LKCD dump instead; pages are compressed with gzip, or not at all." },
      flatten: { type: "flag", short: "F", about: "Write a flattened stream to standard output, for a pipe." },
      rearrange: {
        type: "flag",
        short: "R",
        about: "Read a flattened stream from standard input and write the dump that it holds to FILE.",
      },
      split: { type: "flag", about: "Divide the dump among all the files that are named." },
      force: { type: "flag", short: "f", about: "Replace files that are there." },
      "num-threads": {
        type: "int",
        value: "N",
        min: 1,
        max: 256,
        about: "Threads; as many as there are CPUs unless told, but at most 3: each takes memory.",
      },
      "dry-run": { type: "flag", about: "Write nothing; forecast size and time for each level." },
      "dump-dmesg": { type: "flag", about: "Write only the kernel's log, as text." },
      collectors: {
        type: "file",
        value: "DIR",
        about: "Run the collectors of DIR for device dumps; `/etc/lastwords/collectors.d` where VMCORE is `/proc/vmcore`.",
      },
      "no-device-dumps": { type: "flag", about: "Do not ask the hardware." },
      "no-check": { type: "flag", about: "Do not open the dump again at the end." },
      "no-light": { type: "flag", about: "Do not write log, notes and device dumps beside it." },
      "raw-base": { type: "paddr", value: "ADDRESS", about: "Read VMCORE as a raw memory image whose first byte has this address." },
      json: { type: "flag", about: "Print what was saved as JSON, with a versioned schema." },
      stats: { type: "flag", about: "At the end, print on standard error how much was read, and the time and memory it took." },
    },
    rules: [
      { kind: "at-most-one", options: ["zlib", "lzo", "snappy", "zstd", "uncompressed"] },
      { kind: "at-most-one", options: ["elf", "lkcd", "flatten", "rearrange", "split", "dry-run", "dump-dmesg"] },
    ],
    examples: [
      { run: "lastwords save -d 31 /proc/vmcore /var/crash/vmcore", about: "What a kdump script runs" },
      { run: "lastwords save -l -d 31 vmcore small", about: "With LZO, as `makedumpfile -l -d 31`" },
      { run: "lastwords save --dry-run vmcore", about: "How large and how long, level by level" },
      { run: "lastwords save -F /proc/vmcore | ssh host lastwords save -R vmcore", about: "Over the network, with no disk" },
    ],
    exits: ["good", "failed", "partial", "unsupported"],
    exitMeaning: { partial: "The dump was saved, and pages could not be read, or `check` misses something in it." },
    seeAlso: ["check", "makedumpfile(8)", "kdump.conf(5)"],
    load: (): Promise<CommandModule<"save">> => import("./command/save.ts"),
  },

  check: {
    group: "keep",
    summary: "say whether a dump has what an investigator needs",
    description: [
      "The dump is opened as `lastwords report` would open it, and the log, page tables, symbols, types, tasks and registers are looked for.",
    ],
    operands: {
      files: { type: "file", name: "FILE", repeat: true, about: "The dump; several files are the parts of one split dump." },
    },
    uses: ["dump"],
    options: {},
    rules: [],
    examples: [{ run: "lastwords check /var/crash/vmcore || echo keep the machine down", about: "In a script" }],
    exits: ["good", "failed", "partial", "unsupported"],
    exitMeaning: { good: "Everything is there.", partial: "Something is missing; it is named." },
    seeAlso: ["save", "report"],
    load: (): Promise<CommandModule<"check">> => import("./command/check.ts"),
  },

  record: {
    group: "keep",
    summary: "keep console and ttys in storage that outlives a crash",
    description: [
      "Frontends are what is recorded: `kmsg` (all messages of the kernel), `console` (those that the console log level lets through), `tty` (every write of any program to any tty, through a kprobe in tracefs; no kernel patch), `pmsg` (what programs write to `/run/lastwords/pmsg`, a FIFO, or `/run/lastwords/pmsg.socket`) and `vmcore` (in a capture kernel, the log of the kernel that crashed). Without `--frontend` all are, `kmsg` aside.",
      "Backends are where to, all at once, each failing alone: `ramoops` (memory behind `/dev/mem`, or `path=`), `pstore_blk` (`blkdev=`, a device or file), `memconsole` (one page of memory), `directory` (`path=`) and `udp` (`host=`, in netconsole's extended format). Their words are those of the kernel's drivers; `frontends=console+tty` keeps only these in a backend. There is no choice of one backend: what is configured is used.",
      "Zones are written as the kernel writes them, so that its own ramoops and pstore_blk drivers show them after a reboot; text that is there is kept, and a cut at any byte loses at most the write in progress. What is lost on the way is counted into the log, as `-- 137 bytes lost: the trace ring was full --`.",
      "The configuration is read from `/etc/lastwords/record.conf` where no backend is given: lines `frontend NAME WORDS`, `backend NAME WORDS`, `banner yes|no`. It runs until a signal ends it. In a capture kernel, which has no room for Node, the same recorder runs on QuickJS (see `hooks/` in the package).",
    ],
    operands: {
      command: {
        type: "string",
        name: "COMMAND",
        repeat: true,
        optional: true,
        about: "With `--tty`: the command and its arguments, after `--`.",
      },
    },
    uses: [],
    options: {
      frontend: { type: "string", value: "FRONTEND", repeat: true, about: "Record this, as `tty` or `console:since=now`." },
      backend: { type: "string", value: "BACKEND", repeat: true, about: "Record here, as `directory:path=/var/log/lastwords`." },
      config: { type: "file", value: "FILE", about: "Take frontends and backends from FILE too." },
      check: { type: "flag", about: "Say what would be recorded where, and what could not, and store nothing." },
      tty: { type: "flag", about: "Run COMMAND in a pseudo-terminal and record its output: where tracefs is missing, or for one session." },
      "no-banner": { type: "flag", about: "Do not begin each stream with a line that names the kernel and the time." },
    },
    rules: [{ kind: "at-most-one", options: ["check", "tty"] }],
    examples: [
      { run: "lastwords record", about: "What `/etc/lastwords/record.conf` says, until a signal" },
      { run: "lastwords record --check", about: "What would be recorded, and where" },
      {
        run: "lastwords record --frontend tty --backend udp:host=10.0.0.1",
        about: "All ttys, over the network",
      },
      { run: "lastwords record --backend directory:path=logs --tty -- make test", about: "The terminal output of one command" },
    ],
    exits: ["good", "failed", "partial"],
    exitMeaning: {
      good: "All that is configured works (`--check`), or the command succeeded (`--tty`).",
      partial: "Some of it does not work (`--check`).",
      failed: "Nothing can be recorded; with `--tty` the command's own status.",
    },
    seeAlso: ["pstore", "script(1)"],
    load: (): Promise<CommandModule<"record">> => import("./command/record.ts"),
  },

  softboot: {
    group: "keep",
    summary: "keep a crash dump in memory over a kexec",
    description: [
      "LKCD's way to dump where no disk can be written: `stage1`, in the capture kernel, compresses the memory of the crashed kernel into memory. A freshly booted kernel saves it from there: `config` finds it, checks it and writes it out, the kernel's own pages first; `save` puts the dump, the log and a report into a numbered folder and clears the memory.",
      "`stage1` writes to a reserved region (`--region`), to the crashed kernel's own pages (`--reuse`), or both: first to unused pages, then to pages that have been saved, so that all of memory fits where it compresses. Memory above the capture kernel's own is mapped, which needs Node 26; without it only what lies below can be written to. Where there is not enough, whole classes of pages are left out, the unused ones first, and it is said. It prints the parameters that the next kernel must be started with, as `crashdump=0x4000000 memmap=0x2b1a000$0x4000000 memmap=0x29f00000@0x100000`; a shell needs them in single quotes. The last ones give that kernel the crashed kernel's memory, of which a capture kernel tells it nothing.",
      "CPUs that did not panic still wait in the crashed kernel's code while this goes on. What they wait on is saved and not written over, but for a `hlt` that keeps them there. Where the boot CPU is one of them, because another CPU panicked, it must not be woken: `disable_cpu_apicid=` says so to the next kernel, and one more `memmap=` or two keep what it waits on.",
      "The layout is that of LKCD's memdev (2003), with checksums: what is torn or overwritten is found out, and the rest is recovered.",
    ],
    operands: {
      action: {
        type: "choice",
        name: "ACTION",
        choices: ["stage1", "config", "save"],
        about: "`stage1` fills memory, `config` writes the dump out of it, `save` files it.",
      },
      vmcore: { type: "file", name: "VMCORE", optional: true, about: "With `stage1`: the crashed kernel's memory, `/proc/vmcore`." },
    },
    uses: [],
    options: {
      region: {
        type: "string",
        value: "REGION",
        repeat: true,
        about: "With `stage1`: memory that the crashed kernel did not use, by address and size, as `0x10000000+64M`.",
      },
      reuse: { type: "flag", about: "With `stage1`: write over the crashed kernel's pages, each after it was saved." },
      level: {
        type: "int",
        value: "N",
        default: 8,
        min: 2,
        max: 8,
        about: "With `stage1`: what to save: 2 the kernel's pages, 4 also those of programs and files, 8 also unused ones.",
      },
      crashdump: { type: "string", value: "ADDRESS", about: "Where the dump is, instead of what `crashdump=` of this kernel says." },
      dir: { type: "file", value: "DIR", default: "/var/log/dump", about: "Where `config` and `save` put the dump." },
      keep: { type: "flag", about: "With `save`: do not clear the memory." },
      memory: { type: "file", value: "FILE", default: "/dev/mem", about: "The memory, or an image of it that begins at address 0." },
      json: { type: "flag", about: "With `stage1`: print JSON, with a versioned schema, instead of the parameters." },
    },
    rules: [],
    examples: [
      { run: "lastwords softboot stage1 --reuse /proc/vmcore", about: "In the capture kernel: all memory" },
      { run: "lastwords softboot stage1 --region 0x10000000+64M --level 2 /proc/vmcore", about: "The kernel's pages, in reserved memory" },
      { run: "lastwords softboot config", about: "In the next kernel: write it to `/var/log/dump`" },
      { run: "lastwords softboot save", about: "File it, with log and report" },
    ],
    exits: ["good", "failed", "partial"],
    exitMeaning: { partial: "Pages were left out, or are damaged; or this kernel's memory holds no dump." },
    seeAlso: ["report", "kexec(8)"],
    load: (): Promise<CommandModule<"softboot">> => import("./command/softboot.ts"),
  },

  "panic-path": {
    group: "tool",
    summary: "show what happens from panic() to the end, and what it can lose",
    description: [
      'An executable model of the way from `panic()` to the end, for four kernels: 2.6.38 before and with the patch "Execute kmsg_dump() reliably in kdump path", 6.1 and 7.0. No dump is needed; nothing of this machine is looked at.',
      "Without `--explain` and `--cases`, every interleaving of `--cpus` CPUs is visited, with up to `--faults` faults: a backend that hangs, a CPU that ignores the stop, memory corruption, a CPU in kexec_load, a second panic anywhere, a capture kernel that fails. Printed are the ends with at most one fault and what evidence each has, and for each promise that can be broken a shortest schedule, a column for each CPU (`!` is a fault).",
      "`--explain` prints the way of one CPU without faults: each step, the function it stands for, what it needs, and what is still at stake. `--svg` draws it.",
    ],
    operands: {},
    uses: [],
    options: {
      variant: {
        type: "choice",
        value: "NAME",
        choices: ["before-seed", "seed", "v6.1", "newest", "all"],
        default: "newest",
        about: "Which kernel: `before-seed` is 2.6.38, `seed` the same with the patch, `newest` is 7.0.",
      },
      cpus: { type: "int", value: "N", min: 1, max: 4, default: 4, about: "Number of CPUs." },
      faults: { type: "int", value: "N", min: 0, max: 2, default: 2, about: "Most faults in one schedule, besides the first panic." },
      explain: { type: "flag", about: "Print the flow for these settings." },
      svg: { type: "file", value: "FILE", about: "Draw the flow for these settings into FILE, as SVG." },
      cases: { type: "flag", about: "Run the eight cases that the patch was tested with." },
      oops: { type: "flag", about: "With `--explain` and `--svg`: begin with an oops instead of `panic()`." },
      "crash-image": {
        type: "choice",
        value: "STATE",
        choices: ["loaded", "absent", "corrupt"],
        default: "loaded",
        about: "The crash kernel.",
      },
      "post-notifiers": { type: "flag", about: "With `crash_kexec_post_notifiers`." },
      "panic-timeout": { type: "int", value: "SECONDS", default: 10, about: "`kernel.panic`; 0 stays where it is." },
      backends: { type: "int", value: "N", max: 2, default: 2, about: "Number of `kmsg_dump` backends." },
      notifiers: {
        type: "choice",
        value: "DO",
        choices: ["return", "hang", "reset"],
        default: "return",
        about: "What the panic notifiers do.",
      },
      capture: {
        type: "choice",
        value: "HOW",
        choices: ["works", "out-of-memory", "hangs", "no-target"],
        default: "works",
        about: "How the capture kernel fares.",
      },
      "device-dumps": { type: "flag", about: "A driver adds its memory to the capture kernel's `/proc/vmcore`." },
      "force-cpu": { type: "flag", about: "With `panic_force_cpu=` (newest kernel)." },
      json: { type: "flag", about: "Print JSON, with a versioned schema, instead of text." },
    },
    rules: [{ kind: "at-most-one", options: ["explain", "cases"] }],
    examples: [
      { run: "lastwords panic-path --explain --post-notifiers", about: "Step by step, on a kernel with this parameter" },
      { run: "lastwords panic-path --variant seed --cases", about: "The patch's own tests, on the model" },
      { run: "lastwords panic-path --variant v6.1 --faults 1", about: "What a single fault can lose" },
      { run: "lastwords panic-path --svg flow.svg --crash-image absent", about: "The flow without kdump, as a drawing" },
    ],
    exits: ["good", "failed", "partial"],
    exitMeaning: { partial: "There were too many states; what was visited was printed." },
    seeAlso: ["report", "pstore", "kdump.conf(5)"],
    load: (): Promise<CommandModule<"panic-path">> => import("./command/panic-path.ts"),
  },

  title: {
    group: "explain",
    summary: "name the crash in a log, one line a log",
    description: [
      "Prints the path, a tab and the title of the first crash in each LOG, as syzkaller's dashboards spell it: the same crash has the same title on every machine, and what changes from run to run is not in it. Where a log tells of no crash, nothing stands behind the tab.",
      "A LOG is text in any shape: a console's, dmesg's, syslog's, the journal's (`journalctl -o short`, `-o export` or `-o json`), netconsole's, a part of a pstore dump, a `vmcore-dmesg.txt`. It is read once from its beginning to its end, whatever its length; `-` is standard input. After a log that cannot be read the next one is.",
    ],
    operands: {
      logs: { type: "file", name: "LOG", repeat: true, about: "A kernel log; `-` is standard input." },
    },
    uses: [],
    options: {
      json: {
        type: "flag",
        about:
          "Print an object for each log, on a line of its own: title, other titles, type, guilty function, whether it can be trusted, all crashes.",
      },
      all: {
        type: "flag",
        short: "a",
        about: "Print a line for every crash in a log, in their order: the first is the cause of those after it.",
      },
      stats: { type: "flag", about: "At the end, print on standard error how much was read, and the time and memory it took." },
    },
    rules: [{ kind: "at-most-one", options: ["json", "all"] }],
    examples: [
      { run: "lastwords title /var/log/netconsole/*.log", about: "What each machine died of" },
      { run: "journalctl -k -b -1 -o export | lastwords title -", about: "The boot before this one" },
      { run: "lastwords title --json console.log | jq -r .function", about: "The function to blame, for a script" },
    ],
    exits: ["good", "failed", "no-evidence"],
    exitMeaning: {
      good: "At least one log tells of a crash.",
      failed: "A log could not be read; the others were.",
      "no-evidence": "None of the logs tells of a crash.",
    },
    seeAlso: ["report", "dmesg"],
    load: (): Promise<CommandModule<"title">> => import("./command/title.ts"),
  },

  doctor: {
    group: "keep",
    summary: "say what this host would keep of a crash, and what it would not",
    description: [
      "Reads the kernel's command line and settings, kdump's configuration (kdump-tools, kdump-utils, SUSE's kdump), what is reserved and loaded, pstore and its storage, consoles, watchdogs, and the place that dumps go to. Every finding names the files and lines that it was read from, and the commands that would mend it. Nothing is changed.",
      "The matrix below is computed from these settings by the model behind `lastwords panic-path`: for each way to die, what is kept of each kind of evidence, why not, and the one change that would help most.",
      "With `--root`, a copy of a host's files is looked at: its `/etc`, `/boot`, and what its `/proc` and `/sys` said. Ages and modes of files count, so copy with `cp -a` or `tar`; the output of `df -PT -B1`, as `df.txt` in DIR, tells how full its disks are.",
    ],
    operands: {},
    uses: [],
    options: {
      root: { type: "file", value: "DIR", about: "Look at the copy of a host's files below DIR." },
      "fix-plan": { type: "flag", about: "Print the commands that would mend what was found, as a shell script, and run none." },
      json: { type: "flag", about: "Print JSON, with a versioned schema, instead of text." },
    },
    rules: [{ kind: "at-most-one", options: ["json", "fix-plan"] }],
    examples: [
      { run: "lastwords doctor", about: "Would a crash of this host be explained" },
      { run: "lastwords doctor --root /mnt/image", about: "The same of an image" },
      { run: "lastwords doctor --fix-plan > fix.sh", about: "What to do about it, to read first" },
      { run: "lastwords doctor --json | jq -r '.findings[].id'", about: "For monitoring" },
    ],
    exits: ["good", "failed", "partial", "no-evidence"],
    exitMeaning: {
      good: "Nothing worse than a remark was found.",
      partial: "There are warnings: evidence may be lost.",
      "no-evidence": "There are errors: evidence that is configured will not come to be.",
    },
    seeAlso: ["rehearse", "report", "pstore", "record", "kdump.conf(5)", "systemd-pstore.service(8)"],
    load: (): Promise<CommandModule<"doctor">> => import("./command/doctor.ts"),
  },

  rehearse: {
    group: "keep",
    summary: "crash a kernel in QEMU and see whether what was promised is kept",
    description: [
      "Boots a kernel in QEMU, without root, with kdump, ramoops and the sysctls of this host (as `lastwords doctor` reads them), lets it die in each WAY, and looks for what is left with the readers of lastwords: the serial console, the ramoops region in RAM, the vmcore, the capture kernel's console. The matrix has for each kind what the model behind `lastwords panic-path` expects, and what was seen. A way takes about half a minute.",
      "Without `--kernel` and `--series` the kernel is this host's, with its modules; with one of them and without `--root`, no host is looked at: everything is set so that evidence is kept. `--set` changes one setting.",
      "A virtual machine does not show the host's own disks, network and firmware, nor kdump's own scripts; what is not shown is listed. With the host's own kernel, the capture kernel carries the host's capture initramfs where it can be read, to see whether it fits in the memory that is reserved; `--initramfs` names another.",
      "QEMU and busybox, kexec (Debian: qemu-system-x86, seabios, busybox-static, kexec-tools) are needed. Debian's kernels are downloaded once and kept.",
    ],
    operands: {
      ways: {
        type: "choice",
        name: "WAY",
        repeat: true,
        optional: true,
        choices: [
          "sysrq",
          "oops",
          "oops-irq",
          "nmi",
          "two-cpus",
          "hung-task",
          "soft-lockup",
          "oom",
          "corrupt-image",
          "no-target",
          "capture-oom",
          "reset",
          "hang",
        ],
        about: "How to die; `--list` explains them. All where none is given.",
      },
    },
    uses: [],
    options: {
      list: { type: "flag", about: "List the ways and run none." },
      root: { type: "file", value: "DIR", about: "Rehearse the host whose files are copied below DIR: its settings, and its kernel." },
      series: {
        type: "choice",
        value: "SERIES",
        choices: ["5.10", "6.1", "6.12", "7.2"],
        about: "Take Debian's cloud kernel of this series.",
      },
      kernel: { type: "file", value: "FILE", about: "Take this kernel, a bzImage." },
      modules: { type: "file", value: "DIR", about: "Modules of `--kernel`, the folder with `kernel/` in it; looked for where not given." },
      initramfs: {
        type: "file",
        value: "FILE",
        about: "What the capture kernel has to carry besides the rehearsal's own files: the host's capture initramfs.",
      },
      set: {
        type: "string",
        value: "SETTING",
        repeat: true,
        about:
          "Change a setting, as NAME=NUMBER: `kdump`, `ramoops`, `crash_kexec_post_notifiers`, `kernel.panic`, `kernel.panic_on_oops`, `kernel.unknown_nmi_panic`, `kernel.softlockup_panic`.",
      },
      crashkernel: {
        type: "size",
        value: "SIZE",
        min: 33_554_432,
        about: "Memory reserved for the capture kernel: as on the host, or 128M where none is looked at.",
      },
      memory: { type: "size", value: "SIZE", about: "Memory of the machine; what is needed where not given. A vmcore is about as large." },
      cpus: { type: "int", value: "N", min: 2, max: 4, default: 2, about: "CPUs of the machine." },
      keep: { type: "file", value: "DIR", about: "Keep console, ramoops region and vmcore of each way in DIR, and the result as JSON." },
      json: { type: "flag", about: "Print JSON, with a versioned schema, instead of text." },
    },
    rules: [
      { kind: "at-most-one", options: ["series", "kernel"] },
      { kind: "at-most-one", options: ["list", "json"] },
      { kind: "needs", option: "modules", needs: "kernel" },
    ],
    examples: [
      { run: "lastwords rehearse", about: "Let this host's kernel die in every way" },
      { run: "lastwords rehearse sysrq oops --keep /tmp/rehearsal", about: "In two ways, and keep what is left" },
      { run: "lastwords rehearse --series 6.1 --set crash_kexec_post_notifiers=1", about: "What a parameter changes" },
      { run: "lastwords rehearse sysrq --initramfs /boot/initramfs-kdump.img", about: "Does the capture initramfs fit" },
    ],
    exits: ["good", "failed", "partial", "no-evidence", "unsupported"],
    exitMeaning: {
      good: "All that was promised was kept, and the model agrees in every cell.",
      partial: "A way could not be rehearsed, or more was kept than the model says.",
      "no-evidence": "Evidence that the model promised was not kept.",
      unsupported: "QEMU is not installed.",
    },
    seeAlso: ["doctor", "panic-path", "report", "kdump.conf(5)"],
    load: (): Promise<CommandModule<"rehearse">> => import("./command/rehearse.ts"),
  },

  help: {
    group: "tool",
    summary: "explain a command",
    description: ["Without a command, the list of commands is printed. The same texts are man pages: `man lastwords-read`."],
    operands: {
      command: { type: "command", name: "COMMAND", optional: true, about: "The command to explain." },
    },
    uses: [],
    options: {},
    rules: [],
    examples: [{ run: "lastwords help bt", about: "Explain `bt`" }],
    exits: ["good"],
    exitMeaning: { good: "The help was printed." },
    seeAlso: [],
    load: (): Promise<CommandModule<"help">> => import("./command/help.ts"),
  },

  completion: {
    group: "tool",
    summary: "print the completion script of a shell",
    description: ["The script completes commands, options and their values. Packages install it; by hand, load it as in the examples."],
    operands: {
      shell: { type: "choice", name: "SHELL", choices: ["bash", "zsh", "fish"], about: "The shell: `bash`, `zsh` or `fish`." },
    },
    uses: [],
    options: {},
    rules: [],
    examples: [
      { run: "source <(lastwords completion bash)", about: "In ~/.bashrc" },
      { run: "source <(lastwords completion zsh)", about: "In ~/.zshrc, after `compinit`" },
      { run: "lastwords completion fish > ~/.config/fish/completions/lastwords.fish", about: "Once, for fish" },
    ],
    exits: ["good", "failed"],
    exitMeaning: { good: "The script was printed.", failed: "It could not be written." },
    seeAlso: ["help"],
    load: (): Promise<CommandModule<"completion">> => import("./command/completion.ts"),
  },
} as const;

export type CommandName = keyof typeof commands;

/** {@link commands} as code sees it that treats all commands alike; also the check of the table's shape. */
export const commandTable: Readonly<Record<CommandName, CommandEntry>> = commands;

/** {@link optionSets} likewise. */
export const optionSetTable: Readonly<Record<OptionSetName, Readonly<Record<string, OptionEntry>>>> = optionSets;

/** Names of the commands in the table's order. */
export const commandNames: readonly CommandName[] = Object.keys(commands) as CommandName[];

// -------------------------------------------------------------------------------------------- arguments from the table

type Value<Entry> = Entry extends { readonly type: "flag" }
  ? boolean
  : Entry extends { readonly type: "int" | "size" }
    ? number
    : Entry extends { readonly type: "paddr" }
      ? Paddr
      : Entry extends { readonly type: "vaddr" }
        ? Vaddr
        : Entry extends { readonly type: "target" }
          ? Target
          : Entry extends { readonly type: "command" }
            ? CommandName
            : Entry extends { readonly type: "choice"; readonly choices: readonly (infer Choice)[] }
              ? Choice
              : string;

type OptionArg<Entry> = Entry extends { readonly repeat: true }
  ? readonly Value<Entry>[]
  : Entry extends { readonly type: "flag" } | { readonly required: true } | { readonly default: string | number }
    ? Value<Entry>
    : Value<Entry> | undefined;

type OperandArg<Entry> = Entry extends { readonly repeat: true }
  ? readonly Value<Entry>[]
  : Entry extends { readonly optional: true }
    ? Value<Entry> | undefined
    : Value<Entry>;

type Camel<Name> = Name extends `${infer Head}-${infer Tail}` ? `${Head}${Capitalize<Camel<Tail>>}` : Name;

type OptionArgs<Options> = { readonly [Name in keyof Options as Camel<Name> & string]: OptionArg<Options[Name]> };

type OperandArgs<Operands> = { readonly [Name in keyof Operands]: OperandArg<Operands[Name]> };

/** Options of all the sets that a command uses, besides `common`. */
type SetArgs<Uses> = Uses extends readonly [infer First, ...infer Rest]
  ? (First extends OptionSetName ? OptionArgs<(typeof optionSets)[First]> : unknown) & SetArgs<Rest>
  : unknown;

/** The parsed arguments of a command. */
export type Args<Name extends string> = Name extends CommandName
  ? OperandArgs<(typeof commands)[Name]["operands"]> &
      OptionArgs<(typeof commands)[Name]["options"]> &
      SetArgs<(typeof commands)[Name]["uses"]> &
      OptionArgs<(typeof optionSets)["common"]>
  : never;

/** The arguments that every command has which opens a dump: for helpers that they share. */
export type DumpArgs = OptionArgs<(typeof optionSets)["dump"]>;

/** The same for commands that look for pstore's storage. */
export type StorageArgs = OptionArgs<(typeof optionSets)["storage"]>;
