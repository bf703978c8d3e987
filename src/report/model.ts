/**
 * The report as data: what `--json` prints and what the text is made from. The published schema is
 * `schema/report-1.schema.json`; a change that breaks readers gets a new number.
 *
 * Addresses are strings, `0x` and hex. Times are seconds. Anything the evidence does not tell is null.
 */
export interface Report {
  readonly schema: "lastwords-report-1";
  readonly tool: { readonly name: "lastwords"; readonly version: string };
  /** The crash in syzkaller's convention, as {@link PanicReport.title}. */
  readonly title: string;
  /** One plain sentence: what happened, where and when. */
  readonly summary: string;
  /** Every crash that the log tells of, in its order; of a long list the first and the last. */
  readonly crashes: readonly CrashReport[];
  readonly evidence: readonly EvidenceReport[];
  readonly dump: DumpReport | null;
  /** The crashed kernel; without a dump, as far as the crash's own lines describe it. */
  readonly kernel: KernelReport | null;
  readonly panic: PanicReport;
  readonly cpus: readonly CpuReport[];
  readonly tasks: readonly TaskReport[];
  /** Tasks that wait uninterruptibly, longest first. */
  readonly stuck: readonly StuckReport[];
  readonly memory: MemoryReport | null;
  readonly modules: readonly ModuleReport[];
  readonly log: LogReport;
  readonly notes: readonly NoteReport[];
  /** What pstore's backends kept. */
  readonly records: readonly RecordReport[];
  /** What the kernel that was to save the memory left; null where nothing is known of it. */
  readonly capture: CaptureReport | null;
  /** Which pieces are of this crash, and which are not; null where there is no text at all. */
  readonly incident: IncidentReport | null;
  /**
   * All lines of the crashed boot and of the capture kernel's behind it, each once, with its sources. Null where one source alone
   * tells: then {@link LogReport.text} has them all.
   */
  readonly timeline: readonly TimelineReport[] | null;
  readonly missing: readonly MissingReport[];
  /** JSON pointer into this report to where the value comes from. */
  readonly receipts: Readonly<Record<string, Receipt>>;
}

/** How a value was had. */
export interface Receipt {
  /** `exact`: read as it stands. `decoded`: through a layout or table. `heuristic`: concluded. */
  readonly confidence: "exact" | "decoded" | "heuristic";
  /** By which rule: a symbol and a struct, a key of VMCOREINFO, a rule of the title table. */
  readonly rule: string;
  /** Virtual address that was read, where there is one. */
  readonly address?: string;
}

/** One piece of evidence with its state of health. */
export interface EvidenceReport {
  /** `dump`, `kernel log`, `registers`, `device dump`, `symbols`, `types`, … */
  readonly kind: string;
  readonly source: string;
  readonly health: "good" | "partial" | "unusable";
  readonly detail: string;
}

/** A crash in the log. */
export interface CrashReport {
  readonly title: string;
  readonly altTitles: readonly string[];
  readonly type: string;
  /** The function to blame. */
  readonly function: string | null;
  /** Why its lines cannot be trusted; null where they can. */
  readonly corrupted: string | null;
  /** Line of the log that it begins in, from 1. */
  readonly line: number;
  /** Which of the boots in the log, from 1. */
  readonly boot: number;
  /** Seconds since boot. */
  readonly time: number | null;
  /** True for the one that led to the end: what the report is about. */
  readonly cause: boolean;
}

export interface DumpReport {
  readonly format: string;
  readonly containers: readonly string[];
  readonly arch: string | null;
  readonly pageSize: number;
  /** One more than the highest page frame number. */
  readonly maxPfn: number;
}

export interface KernelReport {
  readonly release: string | null;
  /** The build: `#1 SMP PREEMPT_DYNAMIC Debian …`. */
  readonly version: string | null;
  readonly machine: string | null;
  readonly nodename: string | null;
  readonly buildId: string | null;
  readonly commandLine: string | null;
  /** What KASLR added to link-time addresses; null where only a log is known and does not say. */
  readonly kaslrOffset: string | null;
  readonly uptimeSeconds: number | null;
  /** When it crashed, or when the dump was taken; ISO 8601, UTC. */
  readonly crashTime: string | null;
  readonly taint: { readonly mask: string; readonly letters: string; readonly words: readonly string[] } | null;
  /** Settings that decide what happens at a crash, by their /proc/sys or command-line names. */
  readonly settings: Readonly<Record<string, number>>;
}

export interface TaskName {
  readonly pid: number;
  readonly comm: string;
}

export interface FrameReport {
  /** Function; null in user mode and where no symbol covers the address. */
  readonly symbol: string | null;
  readonly offset: number | null;
  /** Null in a trace of which only the text is known: kernels print names alone. */
  readonly address: string | null;
  /** False for guesses. */
  readonly reliable: boolean;
  readonly module: string | null;
  readonly user: boolean;
}

export interface RegisterReport {
  readonly value: string;
  /** What it points at, in words. */
  readonly pointsAt: string | null;
}

export interface PanicReport {
  readonly title: string;
  /** Other names of the same crash. */
  readonly altTitles: readonly string[];
  /** Kind of crash, as `NULL_POINTER_DEREFERENCE`. */
  readonly type: string | null;
  /** The kernel's own words. */
  readonly message: string | null;
  /** The function to blame by the title's rules. */
  readonly function: string | null;
  readonly cpu: number | null;
  /** Its address is null where only the log names it. */
  readonly task: (TaskName & { readonly address: string | null }) | null;
  readonly frames: readonly FrameReport[];
  readonly registers: Readonly<Record<string, RegisterReport>> | null;
  readonly code: CodeReport | null;
}

/** Instructions around the one that was executing. */
export interface CodeReport {
  readonly function: string | null;
  readonly instructions: readonly { readonly address: string; readonly bytes: string; readonly text: string; readonly current: boolean }[];
}

export interface CpuReport {
  readonly cpu: number;
  readonly task: TaskName | null;
  readonly frames: readonly FrameReport[];
  /** `note` (PRSTATUS), or `none`: the CPU never answered. */
  readonly registers: "note" | "none";
  readonly end: string;
}

export interface TaskReport extends TaskName {
  readonly tgid: number;
  readonly ppid: number | null;
  readonly state: string;
  readonly cpu: number | null;
  readonly address: string;
  readonly kernelThread: boolean;
  /** True for the task that was running on its CPU. */
  readonly running: boolean;
  readonly frames: readonly FrameReport[];
  /** How the walk ended; `user` and `end` are complete. */
  readonly end: string;
}

export interface StuckReport extends TaskName {
  /** Seconds since it last had a CPU; null where the kernel does not keep that. */
  readonly seconds: number | null;
  /** Function it waits in: the first that is not of the scheduler. */
  readonly waitsIn: string | null;
}

/** Bytes. */
export interface MemoryReport {
  readonly total: number;
  readonly free: number | null;
  readonly fileCache: number | null;
  readonly anonymous: number | null;
  readonly slabReclaimable: number | null;
  readonly slabUnreclaimable: number | null;
  readonly swapTotal: number | null;
  readonly swapFree: number | null;
}

export interface ModuleReport {
  readonly name: string;
  /** Null where only the log names the module, as is its size. */
  readonly address: string | null;
  readonly size: number | null;
  readonly state: string;
  /** Letters of its taints. */
  readonly taint: string;
  readonly version: string | null;
}

export interface LogReport {
  readonly lines: number;
  /** The whole log as UTF-8, a line feed behind each record. */
  readonly text: string;
  readonly format: string | null;
  /** Records that could not be read. */
  readonly lost: number;
  /** What addresses in it point at that have no name there. */
  readonly addresses: Readonly<Record<string, string>>;
}

export interface NoteReport {
  readonly name: string;
  readonly type: number;
  readonly size: number;
  readonly offset: number;
  /** What it is, in words. */
  readonly what: string;
  /** Device that a device dump (type 0x700) is of. */
  readonly device: string | null;
}

/** A record of one of pstore's backends. */
export interface RecordReport {
  /** Name of the kernel's file for it. */
  readonly name: string;
  readonly backend: string;
  /** File, device or folder. */
  readonly source: string;
  readonly size: number;
  /** ISO 8601, UTC. */
  readonly time: string | null;
  /** `carved`: text that is no longer part of any record. */
  readonly state: "kept" | "carved";
  readonly problems: readonly string[];
}

/** How saving the dump went, in the words of the capture kernel's programs. */
export interface CaptureReport {
  /** Release of the capture kernel. */
  readonly kernel: string | null;
  readonly outcome: "failed" | "saved" | "unknown";
  /** The line that says so. */
  readonly reason: string | null;
  /** Record that the line is from. */
  readonly source: string | null;
  /** Everything on the capture kernel's ttys. */
  readonly tty: string;
}

/** The pieces of one crash, joined. */
export interface IncidentReport {
  /** The kernel that crashed, then the one that was to save its memory, where anything of it is left. */
  readonly boots: readonly IncidentBootReport[];
  readonly sources: readonly IncidentSourceReport[];
  /** Index of the source whose lines {@link LogReport.text} and {@link CrashReport.line} count; null where it is none of them. */
  readonly log: number | null;
  /** Lines that sources have differently, other than cut; of many, the first. */
  readonly conflicts: readonly ConflictReport[];
  /** Conflicts that are not in the list. */
  readonly conflictsLeft: number;
  /** Boots in the pieces that are not of this crash. */
  readonly others: readonly OtherBootReport[];
}

/** A boot of the incident. */
export interface IncidentBootReport {
  readonly role: "crashed" | "capture";
  readonly release: string | null;
  /** The build: `#1 SMP PREEMPT_DYNAMIC Debian …`. */
  readonly build: string | null;
  readonly buildId: string | null;
  /** Hex digits; the first of them, where no more is known. */
  readonly bootId: string | null;
  readonly commandLine: string | null;
  /** When its clock began; ISO 8601, UTC. */
  readonly started: string | null;
  /** Seconds since boot of the first and the last line that is left. */
  readonly firstTime: number | null;
  readonly lastTime: number | null;
}

/** A text that is of the incident. */
export interface IncidentSourceReport {
  /** `record`: of pstore's console or dmesg; `program record`: of what programs wrote. */
  readonly kind: "memory" | "log file" | "record" | "program record";
  /** File, or record and where it is. */
  readonly source: string;
  /** Indexes of the boots that it has lines of. */
  readonly boots: readonly number[];
  /** By what it is known to be of this incident, in words. */
  readonly joined: string;
  /** Lines of the timeline that it has. */
  readonly lines: number;
  /** Those that no other source has. */
  readonly only: number;
}

/** A line that sources have differently. */
export interface ConflictReport {
  /** Index into the timeline. */
  readonly line: number;
  readonly boot: number;
  readonly time: number | null;
  /** The one that the timeline shows comes first. */
  readonly readings: readonly ReadingReport[];
}

/** One reading of a line, and the sources that have it. */
export interface ReadingReport {
  readonly text: string;
  readonly sources: readonly number[];
}

/** A boot that is not of the incident. */
export interface OtherBootReport {
  readonly source: string;
  /** Lines of the source, from 1; null where it was not looked at. */
  readonly firstLine: number | null;
  readonly lastLine: number | null;
  readonly release: string | null;
  readonly bootId: string | null;
  /** When its clock began; ISO 8601, UTC. */
  readonly started: string | null;
  /** Why it is not of the incident, in words. */
  readonly reason: string;
}

/** A line of the incident. */
export interface TimelineReport {
  /** Index of its boot. */
  readonly boot: number;
  /** Seconds since boot; null for what programs wrote. */
  readonly time: number | null;
  /** `T<pid>` or `C<cpu>`. */
  readonly caller: string | null;
  /** 0 (emergency) to 7 (debug). */
  readonly level: number | null;
  /** Without time and other heads. */
  readonly text: string;
  /** Indexes of the sources that have it. */
  readonly sources: readonly number[];
  /** Its line in each of them, from 1. */
  readonly lines: readonly number[];
}

export interface MissingReport {
  readonly what: string;
  readonly code: string;
  readonly reason: string;
  readonly consequence: string;
}
