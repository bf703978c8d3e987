/**
 * Visits every interleaving, breadth first, so that the first schedule found to a state is a shortest one.
 *
 * CPUs that nothing tells apart may be swapped: of all states that differ by such a swap only the one with sorted
 * words is kept. Who owns what travels with the word, so nothing else has to be renamed.
 */
import { evidenceBit, evidenceNames, type EvidenceName } from "./evidence.ts";
import {
  type EndKind,
  type FaultKind,
  FAULT_SHIFT,
  faultKinds,
  faultNames,
  FORCED,
  Machine,
  type MachineOptions,
  type Move,
  PC_MASK,
  type Variant,
} from "./model.ts";
import { describeSettings, type Settings } from "./settings.ts";

/** What a kernel is held to. */
export const promises = {
  "one dumper": "at most one CPU runs the dump",
  "no deadlock": "no end state is a deadlock",
  record: "a log record exists in each backend that works",
  vmcore: "a loaded, intact crash image and a working capture kernel give a vmcore",
  "all stopped": "no CPU runs on in the memory that is dumped",
  "forced CPU": "kdump runs on the CPU that panic_force_cpu names",
} as const;
export type Promise_ = keyof typeof promises;

export interface ExploreOptions extends MachineOptions {
  /** One state per orbit (the default), or all. */
  readonly symmetry?: boolean;
  /** Gives up with a partial result above this many states. */
  readonly maxStates?: number;
}

/** All schedules that end alike. */
export interface End {
  readonly kind: EndKind;
  readonly evidence: readonly EvidenceName[];
  readonly faults: readonly FaultKind[];
  /** Number of states; not of schedules. */
  readonly states: number;
  /** Transitions of a shortest schedule. */
  readonly steps: number;
}

/** A promise broken, by a shortest schedule with these faults. */
export interface Finding {
  readonly promise: Promise_;
  /** In the order in which the schedule injects them; a kind may come twice. */
  readonly faults: readonly FaultKind[];
  /** Its number in the schedule, where `panic_force_cpu` names a CPU that takes part. */
  readonly forcedCpu?: number;
  readonly end: EndKind | "running";
  readonly evidence: readonly EvidenceName[];
  readonly schedule: readonly Move[];
}

export interface Exploration {
  readonly variant: Variant["name"];
  readonly settings: string;
  readonly cpus: number;
  readonly faults: number;
  readonly states: number;
  readonly transitions: number;
  readonly depth: number;
  /** False when `maxStates` ended it early. */
  readonly complete: boolean;
  readonly ends: readonly End[];
  /** Shortest schedule per promise and set of faults; sets that contain another set of the same promise are left out. */
  readonly findings: readonly Finding[];
}

const DEFAULT_MAX_STATES = 6_000_000;

/** Explores `variant` under `settings`. */
export function explore(variant: Variant, settings: Settings, options: ExploreOptions): Exploration {
  const machine = new Machine(variant, settings, options);
  const { cpus, width } = machine;
  const symmetry = options.symmetry ?? true;
  const maxStates = options.maxStates ?? DEFAULT_MAX_STATES;
  const store = new StateStore(width);
  const { into } = machine;
  let transitions = 0;
  let parent = -1;
  const emit = (): void => {
    transitions++;
    if (symmetry) sortWords(into, cpus);
    store.add(into, parent);
  };

  const first = machine.initial();
  if (symmetry) sortWords(first, cpus);
  store.add(first, -1);

  interface Group {
    kind: EndKind;
    evidence: number;
    mask: number;
    states: number;
    at: number;
  }
  const groups = new Map<string, Group>();
  const broken = new Map<string, { promise: Promise_; mask: number; at: number; end: EndKind | "running" }>();
  const breaks = (promise: Promise_, mask: number, at: number, end: EndKind | "running"): void => {
    const key = `${promise} ${mask}`;
    if (!broken.has(key)) broken.set(key, { promise, mask, at, end });
  };
  const record = variant.promisesRecord(settings);

  for (parent = 0; parent < store.count; parent++) {
    if (store.count > maxStates) break;
    const { words } = store;
    const base = parent * width;
    const moved = machine.successors(words, base, emit, symmetry);
    // The store may have grown; read from where it is now.
    const now = store.words;
    const shared = now[base + cpus + 1]!;
    const mask = (shared >> FAULT_SHIFT) & ((1 << faultKinds.length) - 1);
    if (machine.dumpers(now, base) > 1) breaks("one dumper", mask, parent, "running");
    if (moved) continue;
    const kind = machine.end(now, base);
    const evidence = now[base + cpus]!;
    const key = `${kind} ${evidence} ${mask}`;
    const group = groups.get(key);
    if (group !== undefined) group.states++;
    else {
      groups.set(key, { kind, evidence, mask, states: 1, at: parent });
      for (const promise of brokenPromises(settings, record, kind, evidence)) breaks(promise, mask, parent, kind);
    }
  }

  const complete = store.count <= maxStates;
  const depthOf = (at: number): number => {
    let depth = 0;
    for (let i = at; store.parents[i]! >= 0; i = store.parents[i]!) depth++;
    return depth;
  };
  const ends = [...groups.values()]
    .map((group) => ({
      at: group.at,
      end: {
        kind: group.kind,
        evidence: evidenceNames(group.evidence),
        faults: faultNames(group.mask),
        states: group.states,
        steps: depthOf(group.at),
      },
    }))
    .sort((a, b) => a.end.faults.length - b.end.faults.length || a.end.steps - b.end.steps || a.at - b.at)
    .map(({ end }): End => end);

  const minimal = [...broken.values()].filter(
    (one) =>
      ![...broken.values()].some(
        (other) => other !== one && other.promise === one.promise && other.mask !== one.mask && (other.mask & one.mask) === other.mask,
      ),
  );
  const order = Object.keys(promises);
  const findings = minimal
    .sort((a, b) => order.indexOf(a.promise) - order.indexOf(b.promise) || a.mask - b.mask)
    .map((one): Finding => {
      const { schedule, forcedCpu } = replay(machine, store, one.at, symmetry);
      return {
        promise: one.promise,
        faults: schedule.flatMap((move) => move.fault ?? []),
        ...(forcedCpu === undefined ? {} : { forcedCpu }),
        end: one.end,
        evidence: evidenceNames(store.words[one.at * width + cpus]!),
        schedule,
      };
    });

  return {
    variant: variant.name,
    settings: describeSettings(settings),
    cpus,
    faults: options.faults,
    states: store.count,
    transitions,
    depth: store.count === 0 ? 0 : depthOf(store.count - 1),
    complete,
    ends,
    findings,
  };
}

function brokenPromises(settings: Settings, record: boolean, kind: EndKind, evidence: number): readonly Promise_[] {
  const found: Promise_[] = [];
  const has = (bits: number): boolean => (evidence & bits) !== 0;
  if (kind === "deadlock") found.push("no deadlock");
  if (record) {
    const works = settings.backends.map(
      (backend, index) => backend.hangs !== true && !has(index === 0 ? evidenceBit.hungA : evidenceBit.hungB),
    );
    const kept = [has(evidenceBit.recordA | evidenceBit.oopsA), has(evidenceBit.recordB | evidenceBit.oopsB)];
    if (works.some((ok, index) => ok && kept[index] === false)) found.push("record");
  }
  const excused = evidenceBit.corrupt | evidenceBit.captureFailed;
  if (settings.crashImage === "loaded" && settings.capture === "works" && !has(evidenceBit.vmcore) && !has(excused)) found.push("vmcore");
  if (has(evidenceBit.vmcore) && has(evidenceBit.missingCpu)) found.push("all stopped");
  if (has(evidenceBit.wrongCpu)) found.push("forced CPU");
  return found;
}

// ------------------------------------------------------------------------------------------------------------ the store

/** States in the order of discovery, with their parents; an open-addressed table finds them again. */
class StateStore {
  words: Uint32Array;
  parents: Int32Array;
  count = 0;
  readonly #width: number;
  #table: Int32Array;
  #mask: number;

  constructor(width: number) {
    this.#width = width;
    this.words = new Uint32Array(width * 4096);
    this.parents = new Int32Array(4096);
    this.#mask = 16383;
    this.#table = new Int32Array(this.#mask + 1).fill(-1);
  }

  add(state: Uint32Array, parent: number): void {
    let slot = this.#hash(state, 0) & this.#mask;
    for (;;) {
      const at = this.#table[slot]!;
      if (at < 0) break;
      if (this.#equal(state, at * this.#width)) return;
      slot = (slot + 1) & this.#mask;
    }
    if (this.count === this.parents.length) this.#grow();
    this.words.set(state, this.count * this.#width);
    this.parents[this.count] = parent;
    this.#table[slot] = this.count++;
    if (this.count * 2 > this.#mask) this.#rehash();
  }

  #equal(state: Uint32Array, base: number): boolean {
    for (let i = 0; i < this.#width; i++) if (this.words[base + i] !== state[i]) return false;
    return true;
  }

  #hash(words: Uint32Array, base: number): number {
    let hash = 0x811c9dc5;
    for (let i = 0; i < this.#width; i++) {
      hash = Math.imul(hash ^ words[base + i]!, 0x01000193);
      hash ^= hash >>> 15;
    }
    hash = Math.imul(hash, 0x2c1b3c6d);
    return (hash ^ (hash >>> 13)) >>> 0;
  }

  #grow(): void {
    const words = new Uint32Array(this.words.length * 2);
    words.set(this.words);
    this.words = words;
    const parents = new Int32Array(this.parents.length * 2);
    parents.set(this.parents);
    this.parents = parents;
  }

  #rehash(): void {
    this.#mask = this.#mask * 2 + 1;
    this.#table = new Int32Array(this.#mask + 1).fill(-1);
    for (let at = 0; at < this.count; at++) {
      let slot = this.#hash(this.words, at * this.#width) & this.#mask;
      while (this.#table[slot]! >= 0) slot = (slot + 1) & this.#mask;
      this.#table[slot] = at;
    }
  }
}

/** Sorts the first `count` words in place; there are at most four. */
function sortWords(words: Uint32Array, count: number): void {
  for (let i = 1; i < count; i++) {
    const word = words[i]!;
    let j = i - 1;
    while (j >= 0 && words[j]! > word) {
      words[j + 1] = words[j]!;
      j--;
    }
    words[j + 1] = word;
  }
}

/**
 * The moves from the start to state `at`. With symmetry the states on the way are representatives; the moves are found
 * again from an unsorted state, so that a CPU keeps its number over the whole schedule.
 */
function replay(
  machine: Machine,
  store: StateStore,
  at: number,
  symmetry: boolean,
): { readonly schedule: readonly Move[]; readonly forcedCpu: number | undefined } {
  const { cpus, width, into } = machine;
  const path: number[] = [];
  for (let i = at; i >= 0; i = store.parents[i]!) path.unshift(i);
  let state = machine.initial();
  const moves: Move[] = [];
  const sorted = new Uint32Array(width);
  for (const target of path.slice(1)) {
    let found: { state: Uint32Array; kind: number; cpu: number; pc: number } | undefined;
    machine.successors(
      state,
      0,
      (kind, cpu, pc) => {
        // Of several moves that lead there, the one of the CPU that moved last reads best; it is tried by order.
        if (found !== undefined && !(moves.at(-1)?.cpu === cpu && found.cpu !== cpu)) return;
        sorted.set(into);
        if (symmetry) sortWords(sorted, cpus);
        for (let i = 0; i < width; i++) if (sorted[i] !== store.words[target * width + i]) return;
        found = { state: into.slice(), kind, cpu, pc };
      },
      false,
    );
    if (found === undefined) throw new Error("a schedule cannot be replayed");
    moves.push(machine.describe(found.kind, found.cpu, found.pc, found.state[found.cpu]! & PC_MASK));
    state = found.state;
  }
  // CPUs are numbered in the order in which they appear.
  const names = new Map<number, number>();
  const schedule = moves.map((move) => {
    let cpu = names.get(move.cpu);
    if (cpu === undefined) names.set(move.cpu, (cpu = names.size));
    return { ...move, cpu };
  });
  const forced = machine.initial().findIndex((word, cpu) => cpu < cpus && (word & FORCED) !== 0);
  return { schedule, forcedCpu: names.get(forced) };
}

/**
 * The findings of up to `options.cpus` CPUs, each by the fewest CPUs that show it: the trace of a race between two is
 * not made longer by CPUs that only get stopped.
 */
export function findings(variant: Variant, settings: Settings, options: ExploreOptions): readonly Finding[] {
  const found = new Map<string, Finding>();
  for (let cpus = Math.min(2, options.cpus); cpus <= options.cpus; cpus++) {
    for (const finding of explore(variant, settings, { ...options, cpus }).findings) {
      const kinds = new Set(finding.faults);
      const known = [...found.values()].some(
        (other) => other.promise === finding.promise && other.faults.every((fault) => kinds.has(fault)),
      );
      if (!known) found.set(`${finding.promise} ${[...kinds].sort().join()}`, finding);
    }
  }
  const order = Object.keys(promises);
  return [...found.values()].sort(
    (a, b) =>
      order.indexOf(a.promise) - order.indexOf(b.promise) || a.faults.length - b.faults.length || a.schedule.length - b.schedule.length,
  );
}
