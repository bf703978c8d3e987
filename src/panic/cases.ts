/** The eight cases that the seed tested by hand, and what it saw. */
import { evidenceBit, type EvidenceName, evidenceNames } from "./evidence.ts";
import { explore } from "./explore.ts";
import type { EndKind, Start, Variant } from "./model.ts";
import { defaultSettings, type Settings } from "./settings.ts";

export interface SeedCase {
  readonly number: number;
  readonly condition: string;
  /** In the seed's words. */
  readonly result: string;
  readonly settings: Partial<Settings>;
  readonly start: Start;
  /** What every schedule must leave. */
  readonly expect: { readonly end: EndKind; readonly evidence: readonly EvidenceName[] };
}

const loaded: Partial<Settings> = { crashImage: "loaded" };
const absent: Partial<Settings> = { crashImage: "absent" };
const dumped = { end: "captured", evidence: ["recordA", "recordB", "vmcore"] } as const;
const notified = { end: "rebooted", evidence: ["recordA", "recordB", "notifiers"] } as const;
const NOTIFIED = "kmsg_dump() and panic notifier are called successfully.";

/** CPU 0 is cpuX, CPU 1 cpuY. "Getting kexec_mutex" is modelled as holding it until the CPU is stopped. */
export const seedCases: readonly SeedCase[] = [
  {
    number: 1,
    condition: "kernel panics when kdump is enabled",
    result: "kmsg_dump() is called; 2nd kernel boots and dumps memory successfully.",
    settings: loaded,
    start: { panics: [0] },
    expect: dumped,
  },
  {
    number: 2,
    condition: "kernel panics when kdump is disabled",
    result: "panic notifier is called successfully.",
    settings: absent,
    start: { panics: [0] },
    expect: notified,
  },
  {
    number: 3,
    condition: "cpuX panics while cpuX is getting kexec_mutex, 2nd kernel is not loaded",
    result: NOTIFIED,
    settings: absent,
    start: { loading: { cpu: 0, stays: true }, panics: [0] },
    expect: notified,
  },
  {
    number: 4,
    condition: "cpuX panics while cpuX is getting kexec_mutex, 2nd kernel is loaded",
    result: NOTIFIED,
    settings: loaded,
    start: { loading: { cpu: 0, stays: true }, panics: [0] },
    expect: notified,
  },
  {
    number: 5,
    condition: "cpuY panics while cpuX is getting kexec_mutex, 2nd kernel is not loaded",
    result: NOTIFIED,
    settings: absent,
    start: { loading: { cpu: 0, stays: true }, panics: [1] },
    expect: notified,
  },
  {
    number: 6,
    condition: "cpuY panics while cpuX is getting kexec_mutex, 2nd kernel is loaded",
    result: NOTIFIED,
    settings: loaded,
    start: { loading: { cpu: 0, stays: true }, panics: [1] },
    expect: notified,
  },
  {
    number: 7,
    condition: "cpuX and cpuY panic at the same time when kdump is enabled",
    result: "kmsg_dump() is called, 2nd kernel boots and memory dump succeeds.",
    settings: loaded,
    start: { panics: [0, 1] },
    expect: dumped,
  },
  {
    number: 8,
    condition: "cpuX and cpuY panic at the same time when kdump is disabled",
    result: NOTIFIED,
    settings: absent,
    start: { panics: [0, 1] },
    expect: notified,
  },
];

export interface CaseResult {
  readonly number: number;
  readonly condition: string;
  readonly seedResult: string;
  readonly states: number;
  /** True when every schedule ends as the seed reports. */
  readonly agrees: boolean;
  /** The different ends. */
  readonly ends: readonly { readonly kind: EndKind; readonly evidence: readonly EvidenceName[] }[];
}

/** Runs a case on a variant, all interleavings of two CPUs, no faults. */
export function runCase(variant: Variant, one: SeedCase, base: Settings = defaultSettings): CaseResult {
  const settings: Settings = { ...base, ...one.settings };
  const result = explore(variant, settings, { cpus: 2, faults: 0, start: one.start });
  const ends = new Map<string, { kind: EndKind; evidence: readonly EvidenceName[] }>();
  let agrees = true;
  for (const end of result.ends) {
    const has = new Set(end.evidence);
    if (end.kind !== one.expect.end || one.expect.evidence.some((name) => !has.has(name))) agrees = false;
    ends.set(`${end.kind} ${end.evidence.join()}`, { kind: end.kind, evidence: end.evidence });
  }
  return { number: one.number, condition: one.condition, seedResult: one.result, states: result.states, agrees, ends: [...ends.values()] };
}

/** Evidence common to all of several ends, and in at least one of them. */
export function commonEvidence(ends: readonly { readonly evidence: readonly EvidenceName[] }[]): {
  readonly always: ReadonlySet<EvidenceName>;
  readonly sometimes: ReadonlySet<EvidenceName>;
} {
  const words = ends.map((end) => end.evidence.reduce((word, name) => word | evidenceBit[name], 0));
  const all = words.reduce((both, word) => both & word, words.length === 0 ? 0 : -1);
  const any = words.reduce((both, word) => both | word, 0);
  return { always: new Set(evidenceNames(all)), sometimes: new Set(evidenceNames(any)) };
}
