/*
 * The pieces of one crash as the report has them: which texts are of it, its boots, one timeline.
 */
import { asVaddr } from "../bytes/index.ts";
import {
  type BootFacts,
  buildIncident,
  type Evidence,
  type Incident,
  type IncidentBoot,
  type IncidentText,
  linesBefore,
  linesOfLog,
  linesOfText,
  type LogFile,
  NO_FACTS,
  outcomeOf,
  PART_HEADING,
  PROGRAM,
  type PstoreStorage,
  type RecordText,
  recordTextsOf,
  timeOfRecord,
} from "../evidence/index.ts";
import type { Kernel, KernelLog } from "../kernel/index.ts";
import type {
  CaptureReport,
  ConflictReport,
  IncidentBootReport,
  IncidentReport,
  IncidentSourceReport,
  OtherBootReport,
  Receipt,
  TimelineReport,
} from "./model.ts";

/** Characters of all texts together; what comes after is listed and not read. */
const MAX_TEXT = 24 * 1024 * 1024;
const MAX_TEXTS = 64;
/** Differences between sources that are listed; of more, how many there are. */
const MAX_CONFLICTS = 200;
const MAX_OTHERS = 200;

/** What is known of the kernel in the dump. */
export interface MemoryFacts {
  readonly release: string | null;
  readonly version: string | null;
  readonly buildId: string | null;
  /** ISO 8601. */
  readonly crashTime: string | null;
  readonly uptimeSeconds: number | null;
}

/** What {@link joinIncident} works on. */
export interface IncidentInput {
  readonly evidence: Evidence;
  /** The dump's own log, and what else the dump tells. */
  readonly memory: { readonly kernel: Kernel; readonly log: KernelLog; readonly facts: MemoryFacts } | undefined;
  /** Line of the report's log in which its crash begins, from 1. */
  readonly crashLine: number | undefined;
}

/** An incident, and texts for which there was no room. */
export interface JoinedIncident {
  readonly incident: Incident;
  readonly unread: readonly string[];
}

/** Joins all texts of the evidence to the incident that the report is about. Never throws: a file that cannot be read is left out. */
export function joinIncident({ evidence, memory, crashLine }: IncidentInput): JoinedIncident {
  const { log } = evidence;
  const texts: IncidentText[] = [];
  const records = evidence.pstore.flatMap((storage) => recordTextsOf(storage).map((record) => textOfRecord(record, storage)));
  const several = (memory ? 1 : 0) + evidence.logs.length + records.length > 1;
  if (memory) texts.push(textOfMemory(memory));
  let room = MAX_TEXT;
  const unread: string[] = [];
  // The log that was chosen first: there must be room for that.
  const files = evidence.logs.toSorted((a, b) => Number(b.path === log?.path) - Number(a.path === log?.path));
  for (const file of files) {
    if (room <= 0 || texts.length >= MAX_TEXTS) unread.push(file.path);
    else {
      const text = textOfFile(file, several);
      if (!text) continue;
      room -= text.size;
      texts.push(text.text);
    }
  }
  if (log && !memory && ![...evidence.logs, ...records.map(({ name }) => ({ path: name }))].some(({ path }) => path === log.path)) {
    const text = textOfFile({ path: log.path, read: () => log }, several);
    if (text) texts.push(text.text);
  }
  for (const record of records) {
    if (texts.length >= MAX_TEXTS) unread.push(record.name);
    else texts.push(record);
  }
  // Only the journal and our recorder know boot ids: symbols are searched for no other's sake.
  const ids = texts.some(({ facts, journal }) => facts.bootId !== undefined || journal.some(({ bootId }) => bootId !== undefined));
  if (memory && ids) texts[0] = { ...texts[0]!, facts: { ...texts[0]!.facts, bootId: bootIdOf(memory.kernel) } };
  const about = memory ? 0 : texts.findIndex(({ name }) => name === log?.path);
  const incident = buildIncident(texts, {
    text: Math.max(0, about),
    line: texts[about]?.skipped !== 0 && !several ? undefined : crashLine,
  });
  return { incident, unread };
}

function textOfMemory({ log, facts }: NonNullable<IncidentInput["memory"]>): IncidentText {
  const { lines, skipped } = linesOfLog(log);
  const last = timeOfRecord(log.records.at(-1)) ?? facts.uptimeSeconds ?? undefined;
  const crashed = facts.crashTime === null ? Number.NaN : Date.parse(facts.crashTime) / 1000;
  const started = last === undefined || Number.isNaN(crashed) ? undefined : crashed - last;
  return {
    kind: "memory",
    name: `memory (${log.format})`,
    lines,
    skipped,
    facts: {
      ...NO_FACTS,
      release: facts.release ?? undefined,
      build: facts.version ?? undefined,
      buildId: facts.buildId ?? undefined,
      capture: false,
      started,
      startedBy: started === undefined ? undefined : "time of the crash less that of the last line",
    },
    storage: undefined,
    journal: [],
  };
}

/** sysctl_bootid (linux:drivers/char/random.c): zeros until a program asks for it. */
function bootIdOf(kernel: Kernel): string | undefined {
  try {
    const place = kernel.symbol("sysctl_bootid");
    if (place === undefined) return undefined;
    const id = new Uint8Array(16);
    kernel.memory.read(asVaddr(place), id);
    return id.every((byte) => byte === 0) ? undefined : Buffer.from(id).toString("hex");
  } catch {
    // Not in the dump: other facts must do.
    return undefined;
  }
}

function textOfFile(file: LogFile, several: boolean): { readonly text: IncidentText; readonly size: number } | undefined {
  try {
    const log = file.read();
    const journal = log.journal ?? [];
    // To count the lines of all of a long log takes as long as to read it.
    const before = several || journal.length > 0 ? linesBefore(log) : 0;
    const { lines, skipped } = linesOfText(log.text, before);
    return {
      text: {
        kind: "log file",
        name: file.path,
        lines,
        skipped: skipped === 0 && (log.skipped ?? 0) > 0 ? 1 : skipped,
        facts: NO_FACTS,
        storage: undefined,
        journal,
      },
      size: log.text.length,
    };
  } catch {
    // It was there a moment ago; the report has said what it knows of the file.
    return undefined;
  }
}

function textOfRecord({ source, text, type, kept, capture, release, boot, time }: RecordText, storage: PstoreStorage): IncidentText {
  const { lines: found, skipped } = linesOfText(text);
  // What pstore writes before a dump is no line of the log, and each dump has another.
  const lines = [...found].filter((line, i) => i > 0 || !PART_HEADING.test(line.text));
  const programs = type === "tty" || type === "pmsg";
  const last = lines.findLast((line) => line.time !== undefined)?.time;
  // Of a file that was copied the time is that of the copy.
  const timed = storage.address !== undefined || storage.backend === "efi" || storage.source.startsWith(PSTORE_MOUNT);
  const started = timed && type === "dmesg" && time > 0 && last !== undefined ? time - last : undefined;
  return {
    kind: programs ? "program record" : "record",
    name: source,
    lines,
    skipped,
    facts: {
      ...NO_FACTS,
      // Of a console its own lines tell more surely.
      release: programs || boot !== undefined ? release : undefined,
      capture: programs || boot !== undefined ? capture : undefined,
      bootId: boot !== undefined && /^[0-9a-f-]{8,36}$/.test(boot) ? boot : undefined,
      started,
      startedBy: started === undefined ? undefined : "time of the record less that of its last line",
    },
    storage: { source: storage.source, kept },
    journal: [],
  };
}

/** Where the kernel shows records, each with the time at which it was written. */
const PSTORE_MOUNT = "/sys/fs/pstore";

/** The incident and its timeline as the report has them. */
export function incidentOf(
  { incident, unread }: JoinedIncident,
  logName: string | undefined,
  receipts: Record<string, Receipt>,
): { readonly incident: IncidentReport | null; readonly timeline: readonly TimelineReport[] | null } {
  const { boots, texts, others, timeline } = incident;
  if (boots.length === 0) return { incident: null, timeline: null };
  const used = texts.map((_, i) => boots.some(({ parts }) => parts.some(({ source }) => source === i)));
  const places = new Map<number, number>();
  for (const [i, is] of used.entries()) if (is) places.set(i, places.size);
  const placesOf = (sources: readonly number[]): number[] => sources.map((source) => places.get(source)!);

  const counts = texts.map(() => ({ lines: 0, only: 0 }));
  for (const line of timeline ?? []) {
    for (const source of line.sources) counts[source]!.lines++;
    if (line.sources.length === 1) counts[line.sources[0]!]!.only++;
  }
  const conflicts: ConflictReport[] = [];
  let conflictsLeft = 0;
  for (const [i, { readings, sources, text, boot, time }] of (timeline ?? []).entries()) {
    if (!readings) continue;
    if (conflicts.length >= MAX_CONFLICTS) {
      conflictsLeft++;
      continue;
    }
    const others = new Set(readings.flatMap((reading) => reading.sources));
    conflicts.push({
      line: i,
      boot,
      time: time ?? null,
      readings: [
        { text, sources: placesOf(sources.filter((source) => !others.has(source))) },
        ...readings.map((reading) => ({ text: reading.text, sources: placesOf(reading.sources) })),
      ],
    });
  }
  const bootReports = boots.map((boot, i) => bootOf(boot, i, receipts));
  return {
    incident: {
      boots: bootReports,
      sources: texts
        .map((text, i): IncidentSourceReport => {
          const parts = boots.flatMap((boot, at) => boot.parts.filter(({ source }) => source === i).map((part) => ({ at, part })));
          const lines = parts.reduce((sum, { part }) => sum + part.count, 0);
          return {
            kind: text.kind,
            source: text.name,
            boots: [...new Set(parts.map(({ at }) => at))],
            joined: parts[0]?.part.why ?? "",
            lines: timeline ? counts[i]!.lines : lines,
            only: timeline ? counts[i]!.only : lines,
          };
        })
        .filter((_, i) => used[i]),
      log: places.get(texts.findIndex(({ name }) => name === logName)) ?? null,
      conflicts,
      conflictsLeft,
      others: [
        ...others.slice(0, MAX_OTHERS).map(({ source, firstLine, lastLine, facts, why }): OtherBootReport => ({
          source: texts[source]!.name,
          firstLine,
          lastLine,
          release: facts.release ?? null,
          bootId: facts.bootId ?? null,
          started: isoOf(facts.started),
          reason: why,
        })),
        ...unread.map((source): OtherBootReport => ({
          source,
          firstLine: null,
          lastLine: null,
          release: null,
          bootId: null,
          started: null,
          reason: "not looked at: there is more text than is joined",
        })),
      ],
    },
    timeline: timeline
      ? timeline.map(({ boot, time, caller, level, text, sources, numbers }) => {
          // They were merged in another order.
          const order = sources.map((_, i) => i).sort((a, b) => sources[a]! - sources[b]!);
          return {
            boot,
            time: time ?? null,
            caller: caller ?? null,
            level: level ?? null,
            text,
            sources: placesOf(order.map((i) => sources[i]!)),
            lines: order.map((i) => numbers[i]!),
          };
        })
      : null,
  };
}

function bootOf({ role, facts, first, last }: IncidentBoot, i: number, receipts: Record<string, Receipt>): IncidentBootReport {
  const started = isoOf(facts.started);
  if (started !== null) receipts[`/incident/boots/${i}/started`] = { confidence: "decoded", rule: facts.startedBy ?? "kernel log" };
  return {
    role,
    release: facts.release ?? null,
    build: facts.build ?? null,
    buildId: facts.buildId ?? null,
    bootId: facts.bootId ?? null,
    commandLine: facts.commandLine ?? null,
    started,
    firstTime: first ?? null,
    lastTime: last ?? null,
  };
}

/** Seconds since 1970 to the second; null where there is none, or none that a calendar has. */
function isoOf(seconds: BootFacts["started"]): string | null {
  if (seconds === undefined || !(Math.abs(seconds) < 8.64e12)) return null;
  return new Date(Math.round(seconds) * 1000).toISOString().replace(".000Z", "Z");
}

const MAX_TTY = 64 * 1024;

/** How saving the dump went, as records tell or, where those do not, the other texts of the capture kernel. */
export function captureOf({ story, dump }: Evidence, { boots, texts, others }: Incident): CaptureReport | null {
  const boot = boots.find(({ role }) => role === "capture");
  // Records may be of another crash's.
  const own = new Set(boot?.parts.map(({ source }) => texts[source]!.name));
  const strange = new Set(others.map(({ source }) => texts[source]!.name));
  const records = [story.capture?.tty, story.capture?.console].filter((text) => text !== undefined);
  const told = records.some(({ source }) => (boot ? own.has(source) : !strange.has(source))) ? story.capture : undefined;
  if (!told && !boot) return null;
  let outcome: CaptureReport["outcome"] = told?.outcome ?? "unknown";
  let reason = told?.reason?.line ?? null;
  let source = told?.reason?.record ?? null;
  let tty = told?.tty?.text ?? "";
  const parts = (boot?.parts ?? []).toSorted((a, b) => rankOf(texts[a.source]!) - rankOf(texts[b.source]!));
  for (const part of parts) {
    const spoken = part.lines.filter(({ kernel, text }) => !kernel || PROGRAM.test(text));
    if (tty === "") {
      const written = spoken.map(({ text }) => `${text}\n`).join("");
      tty = written.length > MAX_TTY ? written.slice(written.indexOf("\n", written.length - MAX_TTY) + 1) : written;
    }
    if (outcome !== "unknown") continue;
    const said = outcomeOf(spoken.map(({ text }) => text.trim()));
    // A kernel that is gone itself saved nothing more.
    const end = said?.outcome === "saved" ? undefined : part.lines.find(({ kernel, text }) => kernel && PANIC.test(text));
    if (!said && !end) continue;
    outcome = said?.outcome ?? "failed";
    reason = end?.text ?? said!.line;
    source = texts[part.source]!.name;
  }
  // Whatever its programs did not say: the dump is here.
  if (outcome === "unknown" && dump && dump.problems.length === 0 && dump.dump.problems.length === 0) outcome = "saved";
  return { kernel: told?.release ?? boot?.facts.release ?? null, outcome, reason, source, tty };
}

const PANIC = /^Kernel panic - not syncing/;

function rankOf({ kind }: IncidentText): number {
  return kind === "program record" ? 0 : 1;
}
