/** What a crash leaves behind, and the marks by which the model remembers why something is missing. */

/** Bits of a state's evidence word. Names before `hungA` are evidence; the others explain. */
export const evidenceBit = {
  /** The panic or oops message went out on the console. */
  console: 0x1,
  /** `kmsg_dump` of a panic (or, before 3.3, of a kexec) written by backend A or B. */
  recordA: 0x2,
  recordB: 0x4,
  /** `kmsg_dump(KMSG_DUMP_OOPS)` written by backend A or B. */
  oopsA: 0x8,
  oopsB: 0x10,
  /** The notifiers ran to their end: IPMI event log, cluster manager. */
  notifiers: 0x20,
  /** The capture kernel booted, and its own console and records exist. */
  captureConsole: 0x40,
  /** Notes that drivers added to `/proc/vmcore`. */
  deviceDumps: 0x80,
  vmcore: 0x100,
  hungA: 0x200,
  hungB: 0x400,
  /** The checksum of the crash image did not fit. */
  corrupt: 0x800,
  captureFailed: 0x1000,
  /** A CPU was not stopped when its memory was dumped: no registers of it, and it went on writing. */
  missingCpu: 0x2000,
  /** kdump ran on another CPU than `panic_force_cpu` names. */
  wrongCpu: 0x4000,
  /** The kexec lock was taken when the panic came for it. */
  kexecBusy: 0x8000,
  notifierHung: 0x10000,
} as const;

export type EvidenceName = keyof typeof evidenceBit;

/** In the words of the reports. */
export const evidenceText: Readonly<Record<EvidenceName, string>> = {
  console: "message on the console",
  recordA: "kmsg record in A",
  recordB: "kmsg record in B",
  oopsA: "oops record in A",
  oopsB: "oops record in B",
  notifiers: "notifiers ran",
  captureConsole: "capture kernel's console",
  deviceDumps: "device dumps",
  vmcore: "vmcore",
  hungA: "A hangs",
  hungB: "B hangs",
  corrupt: "checksum wrong",
  captureFailed: "capture kernel failed",
  missingCpu: "a CPU was not stopped",
  wrongCpu: "kdump on another CPU than asked",
  kexecBusy: "kexec lock was taken",
  notifierHung: "a notifier hangs",
};

export function evidenceNames(word: number): readonly EvidenceName[] {
  return (Object.keys(evidenceBit) as EvidenceName[]).filter((name) => (word & evidenceBit[name]) !== 0);
}

export function describeEvidence(word: number): string {
  const names = evidenceNames(word);
  return names.length === 0 ? "nothing" : names.map((name) => evidenceText[name]).join(", ");
}
