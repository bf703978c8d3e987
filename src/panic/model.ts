/**
 * The machine that panics, as a table of steps per kernel and a state small enough to visit millions of.
 *
 * A state is one word per CPU and two shared words. Everything that says which CPU owns something is a bit in the word
 * of that CPU, so that swapping two CPUs is swapping two words, and sorting the words picks one state of each orbit.
 *
 * ```
 * CPU:    0-7 program counter | 8 irqs off | 9 deaf | 10 IPI 11 NMI 12 call pending | 13 forced | 16-23 owns lock n
 * shared: evidence (evidence.ts) | 0-2 faults left, 3-10 kinds of faults injected, 11 panicked, 12 rebooted,
 *                                  13 kexec_mutex_is_locked, 14 crash stop done
 * ```
 */
import { evidenceBit, type EvidenceName } from "./evidence.ts";
import type { Settings, VariantName } from "./settings.ts";

// --------------------------------------------------------------------------------------------------- transition tables

/** Locks and owner words of the kernel. */
export const locks = ["kexec", "panic", "dump-list", "buffer", "die", "redirect"] as const;
export type Lock = (typeof locks)[number];

/** What a branch asks. The first line is settled by the settings, the second by the state. */
export type Condition =
  | "image loaded"
  | "post notifiers"
  | "reboots"
  | "another CPU is forced"
  | "device dumps"
  | "kexec_mutex_is_locked"
  | "panic in progress";

export type Effect =
  /** Nothing that another CPU could see. */
  | { readonly do: "go" }
  | { readonly do: "irqs"; readonly on: boolean }
  | { readonly do: "ask"; readonly about: Condition }
  /** Takes the lock if no CPU has it, else goes to `otherwise`; the owner itself fails too. */
  | { readonly do: "try"; readonly lock: Lock }
  /** As `try`, but the owner itself goes on. */
  | { readonly do: "claim"; readonly lock: Lock }
  /** Waits until no other CPU has it. */
  | { readonly do: "spin"; readonly lock: Lock }
  | { readonly do: "release"; readonly lock: Lock }
  | { readonly do: "set kexec_mutex_is_locked" }
  /** Signals every other CPU. `once`: a second call does nothing. An NMI needs no interrupts and saves registers. */
  | { readonly do: "send"; readonly by: "ipi" | "nmi"; readonly once?: true }
  /** Until each CPU that can answer has stopped; about a second for those that cannot. */
  | { readonly do: "await"; readonly by: "ipi" | "nmi" }
  /** A backend writes; here it may hang. */
  | { readonly do: "write"; readonly backend: 0 | 1; readonly reason: "panic" | "oops" }
  | { readonly do: "notify" }
  | { readonly do: "keep"; readonly evidence: EvidenceName }
  /** Asks the forced CPU to panic in this one's place (a call by IPI, answered with interrupts on only). */
  | { readonly do: "call" }
  /** No way back: this CPU is purgatory now, the others are memory. */
  | { readonly do: "jump" }
  | { readonly do: "verify" }
  | { readonly do: "boot" }
  | { readonly do: "save" }
  /** Waits for somebody else to stop this CPU. */
  | { readonly do: "idle" }
  /** The loop at the end of a panic, on purpose. */
  | { readonly do: "halt" }
  | { readonly do: "reboot" };

export interface Step {
  readonly name: string;
  /** The function it stands for, as `linux:path:function`. */
  readonly cites: string;
  /** What must be in order for it to do its work. */
  readonly needs: string;
  readonly effect: Effect;
  /** Name of the next step; none for those that end. */
  readonly next?: string;
  /** Where `ask` goes on no, and `try` and `claim` on failure. */
  readonly otherwise?: string;
  /** Writing out a panic, or handing the machine over: at most one CPU may be here. */
  readonly dumps?: true;
  /** Runs in purgatory or the capture kernel: nothing of the old kernel reaches it. */
  readonly capture?: true;
}

export interface Variant {
  readonly name: VariantName;
  readonly title: string;
  readonly about: string;
  /** First step of `panic()`, and of `die()` for an oops that kills the kernel. */
  readonly entry: { readonly panic: string; readonly oops: string };
  readonly steps: readonly Step[];
  /** Whether the kernel promises a log record before kdump is tried. */
  readonly promisesRecord: (settings: Settings) => boolean;
}

// -------------------------------------------------------------------------------------------------------------- states

/** Program counters that every kernel has; table steps follow. */
export const PC_RUNNING = 0;
export const PC_LOADING = 1;
export const PC_STOPPED = 2;
export const PC_HUNG = 3;
export const FIRST_STEP = 4;

export const PC_MASK = 0xff;
export const IRQS_OFF: number = 1 << 8;
export const DEAF: number = 1 << 9;
export const PENDING_IPI: number = 1 << 10;
export const PENDING_NMI: number = 1 << 11;
export const PENDING_CALL: number = 1 << 12;
export const FORCED: number = 1 << 13;
export const OWNER_SHIFT = 16;

export const FAULTS_LEFT = 7;
export const FAULT_SHIFT = 3;
export const PANICKED: number = 1 << 11;
export const REBOOTED: number = 1 << 12;
export const MUTEX_FLAG: number = 1 << 13;
export const CRASH_STOPPED: number = 1 << 14;

/** What may go wrong besides the first panic. Each occurrence counts. */
export const faultKinds = [
  "backend hangs",
  "CPU ignores the stop",
  "memory corrupts the crash image",
  "CPU in kexec_load",
  "second CPU panics",
  "panic within the panic",
  "capture kernel fails",
] as const;
export type FaultKind = (typeof faultKinds)[number];
const FAULT = { hang: 0, deaf: 1, corrupt: 2, load: 3, second: 4, nested: 5, capture: 6 } as const;

export function faultNames(mask: number): readonly FaultKind[] {
  return faultKinds.filter((_, bit) => ((mask >> bit) & 1) !== 0);
}

/** What a transition was, as the trace prints it. */
export interface Move {
  readonly cpu: number;
  readonly kind: "step" | "fault" | "event";
  readonly text: string;
  readonly cites: string;
  /** For faults. */
  readonly fault?: FaultKind;
}

/** How a state without a normal transition came to rest. */
export type EndKind = "rebooted" | "captured" | "halted" | "hung" | "deadlock";

// ------------------------------------------------------------------------------------------------------ compiled tables

const OP = {
  go: 0,
  irqsOff: 1,
  irqsOn: 2,
  askFlag: 3,
  askPanic: 4,
  try: 5,
  claim: 6,
  spin: 7,
  release: 8,
  setFlag: 9,
  sendIpi: 10,
  sendNmi: 11,
  sendNmiOnce: 12,
  awaitIpi: 13,
  awaitNmi: 14,
  write: 15,
  notify: 16,
  keep: 17,
  call: 18,
  jump: 19,
  verify: 20,
  boot: 21,
  save: 22,
  idle: 23,
  halt: 24,
  reboot: 25,
} as const;

interface Compiled {
  readonly step: Step;
  readonly op: number;
  readonly arg: number;
  readonly next: number;
  readonly otherwise: number;
}

/** Called for each successor; the words are in `into`, which is reused. */
export type Emit = (kind: number, cpu: number, pc: number) => void;

/** Kinds of transitions that {@link Machine.successors} emits. */
export const MOVE = {
  step: 0,
  ipi: 1,
  nmi: 2,
  call: 3,
  unload: 4,
  deafIpi: 16,
  deafNmi: 17,
  deafCall: 18,
  hang: 19,
  corrupt: 20,
  load: 21,
  panic: 22,
  oops: 23,
  nestedPanic: 24,
  nestedOops: 25,
  capture: 26,
  firstPanic: 32,
  firstOops: 33,
} as const;

export interface MachineOptions {
  readonly cpus: number;
  readonly faults: number;
  /** Kinds of faults that may be injected; all when absent. */
  readonly kinds?: readonly FaultKind[];
  /** How the first panic begins. */
  readonly first?: "panic" | "oops" | "either";
  /** Starts in the middle instead of with all CPUs at work. */
  readonly start?: Start;
}

/** A situation to start from. CPUs are numbers from 0. */
export interface Start {
  /** In kexec_load, the kexec lock held; `stays` there for as long as it is not stopped. */
  readonly loading?: { readonly cpu: number; readonly stays: boolean };
  /** At the entry of `panic()`, or of an oops. */
  readonly panics: readonly number[];
  readonly by?: "panic" | "oops";
}

/** A variant under given settings: the transition relation over state words. */
export class Machine {
  readonly variant: Variant;
  readonly settings: Settings;
  readonly cpus: number;
  /** Words per state. */
  readonly width: number;
  /** The successor being emitted. */
  readonly into: Uint32Array;
  readonly #steps: (Compiled | undefined)[];
  readonly #panic: number;
  readonly #oops: number;
  readonly #faults: number;
  readonly #kinds: number;
  readonly #first: "panic" | "oops" | "either";
  readonly #start: Start | undefined;

  constructor(variant: Variant, settings: Settings, options: MachineOptions) {
    this.variant = variant;
    this.settings = settings;
    this.cpus = options.cpus;
    this.width = options.cpus + 2;
    this.into = new Uint32Array(this.width);
    this.#faults = options.faults;
    this.#kinds = (options.kinds ?? faultKinds).reduce((mask, kind) => mask | (1 << faultKinds.indexOf(kind)), 0);
    this.#first = options.first ?? "either";
    this.#start = options.start;
    const at = new Map(variant.steps.map((step, index) => [step.name, index + FIRST_STEP]));
    const pcOf = (name: string | undefined): number => {
      if (name === undefined) return PC_HUNG;
      const pc = at.get(name);
      if (pc === undefined) throw new Error(`no step "${name}" in ${variant.name}`);
      return pc;
    };
    this.#steps = [undefined, undefined, undefined, undefined, ...variant.steps.map((step) => this.#compile(step, pcOf))];
    this.#panic = pcOf(variant.entry.panic);
    this.#oops = pcOf(variant.entry.oops);
    if (this.#steps.length > PC_MASK) throw new Error(`${variant.name} has too many steps`);
  }

  /** All CPUs at work, nothing wrong yet. With `panic_force_cpu` one of them is the one named. */
  initial(): Uint32Array {
    const state = new Uint32Array(this.width);
    if (this.settings.forceCpu) state[this.cpus - 1] = FORCED;
    state[this.cpus + 1] = this.#faults;
    const start = this.#start;
    if (start === undefined) return state;
    if (start.loading !== undefined) state[start.loading.cpu]! |= PC_LOADING | (1 << (OWNER_SHIFT + KEXEC));
    for (const cpu of start.panics) {
      const entry = start.by === "oops" ? this.#oops | IRQS_OFF : this.#panic;
      state[cpu] = (state[cpu]! & ~PC_MASK) | entry;
    }
    if (start.panics.length > 0) state[this.cpus + 1]! |= PANICKED;
    return state;
  }

  step(pc: number): Step | undefined {
    return this.#steps[pc]?.step;
  }

  /** Emits all that may happen next. True when something may that is not a fault. */
  successors(state: Uint32Array, base: number, emit: Emit, skipTwins: boolean): boolean {
    const { cpus, into } = this;
    const shared = state[base + cpus + 1]!;
    if ((shared & REBOOTED) !== 0) return false;
    const left = shared & FAULTS_LEFT;
    const panicked = (shared & PANICKED) !== 0;
    let moved = false;
    const load = (): void => {
      for (let i = 0; i < this.width; i++) into[i] = state[base + i]!;
    };
    const fault = (kind: number, move: number, cpu: number, pc: number): void => {
      into[cpus + 1] = (into[cpus + 1]! - 1) | (1 << (FAULT_SHIFT + kind));
      emit(move, cpu, pc);
    };
    const may = (kind: number): boolean => left > 0 && ((this.#kinds >> kind) & 1) !== 0;
    for (let cpu = 0; cpu < cpus; cpu++) {
      const word = state[base + cpu]!;
      // In a sorted state, twins stand side by side and do the same.
      if (skipTwins && cpu > 0 && word === state[base + cpu - 1]!) continue;
      const pc = word & PC_MASK;
      const compiled = this.#steps[pc];
      const captured = compiled?.step.capture === true;
      if (pc === PC_STOPPED || (captured && compiled === undefined)) continue;

      // Signals arrive.
      if (!captured) {
        const open = (word & IRQS_OFF) === 0 && ((word >>> OWNER_SHIFT) & (1 << DUMP_LIST)) === 0;
        if ((word & PENDING_NMI) !== 0) {
          moved = true;
          load();
          into[cpu] = stopped(word);
          emit(MOVE.nmi, cpu, pc);
          if (may(FAULT.deaf)) {
            load();
            into[cpu] = (word & ~PENDING_NMI & ~PENDING_IPI) | DEAF;
            fault(FAULT.deaf, MOVE.deafNmi, cpu, pc);
          }
        } else if ((word & PENDING_IPI) !== 0 && open) {
          moved = true;
          load();
          into[cpu] = stopped(word);
          emit(MOVE.ipi, cpu, pc);
          if (may(FAULT.deaf)) {
            load();
            into[cpu] = (word & ~PENDING_IPI) | DEAF;
            fault(FAULT.deaf, MOVE.deafIpi, cpu, pc);
          }
        }
        if ((word & PENDING_CALL) !== 0 && open && pc !== PC_HUNG) {
          moved = true;
          load();
          into[cpu] = ((word & ~PENDING_CALL & ~PC_MASK) | this.#panic | IRQS_OFF) >>> 0;
          emit(MOVE.call, cpu, pc);
          if (may(FAULT.deaf)) {
            load();
            into[cpu] = word & ~PENDING_CALL;
            fault(FAULT.deaf, MOVE.deafCall, cpu, pc);
          }
        }
      }
      if (pc === PC_HUNG) continue;

      // Panics begin. A CPU in kexec_load keeps its lock.
      if (pc === PC_RUNNING || pc === PC_LOADING) {
        if (pc === PC_LOADING && this.#start?.loading?.stays !== true) {
          load();
          into[cpu] = (word & ~PC_MASK & ~(1 << (OWNER_SHIFT + KEXEC))) | PC_RUNNING;
          moved = true;
          emit(MOVE.unload, cpu, pc);
        } else if (pc === PC_RUNNING && may(FAULT.load) && !this.#owned(state, base, KEXEC)) {
          load();
          into[cpu] = word | PC_LOADING | (1 << (OWNER_SHIFT + KEXEC));
          fault(FAULT.load, MOVE.load, cpu, pc);
        }
        if (!panicked) {
          moved = true;
          if (this.#first !== "oops") {
            load();
            into[cpu] = (word & ~PC_MASK) | this.#panic;
            into[cpus + 1] = shared | PANICKED;
            emit(MOVE.firstPanic, cpu, pc);
          }
          if (this.#first !== "panic") {
            load();
            into[cpu] = (word & ~PC_MASK) | this.#oops | IRQS_OFF;
            into[cpus + 1] = shared | PANICKED;
            emit(MOVE.firstOops, cpu, pc);
          }
        } else if (may(FAULT.second)) {
          load();
          into[cpu] = (word & ~PC_MASK) | this.#panic;
          fault(FAULT.second, MOVE.panic, cpu, pc);
          load();
          into[cpu] = (word & ~PC_MASK) | this.#oops | IRQS_OFF;
          fault(FAULT.second, MOVE.oops, cpu, pc);
        }
        continue;
      }
      if (compiled === undefined) continue;
      if (!captured && compiled.op !== OP.halt && may(FAULT.nested)) {
        load();
        into[cpu] = (word & ~PC_MASK) | this.#panic;
        fault(FAULT.nested, MOVE.nestedPanic, cpu, pc);
        load();
        into[cpu] = (word & ~PC_MASK) | this.#oops | IRQS_OFF;
        fault(FAULT.nested, MOVE.nestedOops, cpu, pc);
      }
      if (this.#run(state, base, cpu, compiled, load, fault, may, emit)) moved = true;
    }
    return moved;
  }

  /** How a state came to rest that has no normal transition. */
  end(state: Uint32Array, base: number): EndKind {
    const shared = state[base + this.cpus + 1]!;
    const evidence = state[base + this.cpus]!;
    if ((shared & REBOOTED) !== 0) return (evidence & evidenceBit.captureConsole) !== 0 ? "captured" : "rebooted";
    let hung = false;
    for (let cpu = 0; cpu < this.cpus; cpu++) {
      const pc = state[base + cpu]! & PC_MASK;
      if (this.#steps[pc]?.op === OP.halt) return "halted";
      if (pc === PC_HUNG) hung = true;
    }
    return hung ? "hung" : "deadlock";
  }

  /** Number of CPUs that dump right now. */
  dumpers(state: Uint32Array, base: number): number {
    let count = 0;
    for (let cpu = 0; cpu < this.cpus; cpu++) if (this.#steps[state[base + cpu]! & PC_MASK]?.step.dumps === true) count++;
    return count;
  }

  /** A transition in words. `to` is the program counter it led to. */
  describe(kind: number, cpu: number, pc: number, to: number): Move {
    const step = this.#steps[pc]?.step;
    const doing = step === undefined ? (PC_NAMES[pc] ?? "?") : step.name;
    const event = (text: string, cites = ""): Move => ({ cpu, kind: "event", text, cites });
    const fault = (kind: number, text: string): Move => ({ cpu, kind: "fault", text, cites: step?.cites ?? "", fault: faultKinds[kind]! });
    switch (kind) {
      case MOVE.ipi:
        return event("takes the stop IPI, halts", "linux:arch/x86/kernel/process.c:stop_this_cpu");
      case MOVE.nmi:
        return event("takes the NMI, saves its registers, halts", "linux:arch/x86/kernel/reboot.c:crash_nmi_callback");
      case MOVE.call:
        return event("takes the call: panics in the other's place", "linux:kernel/panic.c:do_panic_on_target_cpu");
      case MOVE.unload:
        return event("leaves kexec_load, unlocks", "linux:kernel/kexec.c:do_kexec_load");
      case MOVE.firstPanic:
        return event(pc === PC_LOADING ? "panics inside kexec_load" : "panics");
      case MOVE.firstOops:
        return event(pc === PC_LOADING ? "oopses inside kexec_load" : "oopses");
      case MOVE.deafIpi:
        return fault(FAULT.deaf, `ignores the stop IPI (${doing})`);
      case MOVE.deafNmi:
        return fault(FAULT.deaf, `ignores the NMI (${doing})`);
      case MOVE.deafCall:
        return fault(FAULT.deaf, `never answers the call (${doing})`);
      case MOVE.hang:
        return fault(FAULT.hang, `${doing}: the backend hangs`);
      case MOVE.corrupt:
        return fault(FAULT.corrupt, `${doing}: memory was corrupted, checksum wrong, loops`);
      case MOVE.capture:
        return fault(FAULT.capture, `${doing}: the capture kernel fails`);
      case MOVE.load:
        return fault(FAULT.load, "enters kexec_load, takes the kexec lock");
      case MOVE.panic:
        return fault(FAULT.second, pc === PC_LOADING ? "panics too, inside kexec_load" : "panics too");
      case MOVE.oops:
        return fault(FAULT.second, pc === PC_LOADING ? "oopses too, inside kexec_load" : "oopses too");
      case MOVE.nestedPanic:
        return fault(FAULT.nested, `panics again, in: ${doing}`);
      case MOVE.nestedOops:
        return fault(FAULT.nested, `oopses, in: ${doing}`);
      default:
        return { cpu, kind: "step", text: `${doing}${step === undefined ? "" : this.#answer(step, to)}`, cites: step?.cites ?? "" };
    }
  }

  // ------------------------------------------------------------------------------------------------------------ private

  /** Which way a step with two ways went. */
  #answer(step: Step, to: number): string {
    if (step.otherwise === undefined) return "";
    const turned = this.step(to)?.name === step.otherwise;
    if (step.effect.do === "ask") return turned ? " no" : " yes";
    return turned ? ": taken" : "";
  }

  #owned(state: Uint32Array, base: number, lock: number): boolean {
    const bit = 1 << (OWNER_SHIFT + lock);
    for (let cpu = 0; cpu < this.cpus; cpu++) if ((state[base + cpu]! & bit) !== 0) return true;
    return false;
  }

  #compile(step: Step, pcOf: (name: string | undefined) => number): Compiled {
    const { settings } = this;
    const next = pcOf(step.next);
    const otherwise = pcOf(step.otherwise);
    const compiled = (op: number, arg = 0, to = next): Compiled => ({ step, op, arg, next: to, otherwise });
    const { effect } = step;
    const settled = (yes: boolean): Compiled => compiled(OP.go, 0, yes ? next : otherwise);
    switch (effect.do) {
      case "go":
        return compiled(OP.go);
      case "irqs":
        return compiled(effect.on ? OP.irqsOn : OP.irqsOff);
      case "ask":
        switch (effect.about) {
          case "image loaded":
            return settled(settings.crashImage !== "absent");
          case "post notifiers":
            return settled(settings.postNotifiers);
          case "reboots":
            return settled(settings.panicTimeout !== 0);
          case "device dumps":
            return settled(settings.deviceDumps);
          case "another CPU is forced":
            return settings.forceCpu ? compiled(OP.askFlag, 1) : settled(false);
          case "kexec_mutex_is_locked":
            return compiled(OP.askFlag, 0);
          case "panic in progress":
            return compiled(OP.askPanic);
        }
        break;
      case "try":
        return compiled(OP.try, locks.indexOf(effect.lock));
      case "claim":
        return compiled(OP.claim, locks.indexOf(effect.lock));
      case "spin":
        return compiled(OP.spin, locks.indexOf(effect.lock));
      case "release":
        return compiled(OP.release, locks.indexOf(effect.lock));
      case "set kexec_mutex_is_locked":
        return compiled(OP.setFlag);
      case "send":
        return compiled(effect.by === "ipi" ? OP.sendIpi : effect.once === true ? OP.sendNmiOnce : OP.sendNmi);
      case "await":
        return compiled(effect.by === "ipi" ? OP.awaitIpi : OP.awaitNmi);
      case "write": {
        if (settings.backends[effect.backend] === undefined) return compiled(OP.go);
        const bits = effect.reason === "panic" ? [evidenceBit.recordA, evidenceBit.recordB] : [evidenceBit.oopsA, evidenceBit.oopsB];
        return compiled(OP.write, bits[effect.backend]!);
      }
      case "notify":
        return compiled(OP.notify);
      case "keep":
        return compiled(OP.keep, evidenceBit[effect.evidence]);
      case "call":
        return compiled(OP.call);
      case "jump":
        return compiled(OP.jump);
      case "verify":
        return compiled(OP.verify);
      case "boot":
        return compiled(OP.boot);
      case "save":
        return compiled(OP.save);
      case "idle":
        return compiled(OP.idle);
      case "halt":
        return compiled(OP.halt);
      case "reboot":
        return compiled(OP.reboot);
    }
    throw new Error(`no such effect in "${step.name}"`);
  }

  /** One step of one CPU. False when it cannot move. */
  #run(
    state: Uint32Array,
    base: number,
    cpu: number,
    compiled: Compiled,
    load: () => void,
    fault: (kind: number, move: number, cpu: number, pc: number) => void,
    may: (kind: number) => boolean,
    emit: Emit,
  ): boolean {
    const { cpus, into, settings } = this;
    const { op, arg, next } = compiled;
    const word = state[base + cpu]!;
    const pc = word & PC_MASK;
    const rest = word & ~PC_MASK;
    const at = (to: number): number => (rest | to) >>> 0;
    const ev = cpus;
    const sh = cpus + 1;
    const own = 1 << (OWNER_SHIFT + arg);
    switch (op) {
      case OP.go:
        load();
        into[cpu] = at(next);
        break;
      case OP.irqsOff:
        load();
        into[cpu] = at(next) | IRQS_OFF;
        break;
      case OP.irqsOn:
        load();
        into[cpu] = at(next) & ~IRQS_OFF;
        break;
      case OP.askFlag: {
        const yes = arg === 0 ? (state[base + sh]! & MUTEX_FLAG) !== 0 : (word & FORCED) === 0;
        load();
        into[cpu] = at(yes ? next : compiled.otherwise);
        break;
      }
      case OP.askPanic:
        load();
        into[cpu] = at(this.#owned(state, base, PANIC) ? next : compiled.otherwise);
        break;
      case OP.try:
      case OP.claim: {
        const mine = op === OP.claim && (word & own) !== 0;
        const free = mine || !this.#owned(state, base, arg);
        load();
        into[cpu] = free ? (at(next) | own) >>> 0 : at(compiled.otherwise);
        if (!free && arg === KEXEC) into[ev] = into[ev]! | evidenceBit.kexecBusy;
        break;
      }
      case OP.spin:
        if ((word & own) === 0 && this.#owned(state, base, arg)) return false;
        load();
        into[cpu] = (at(next) | own) >>> 0;
        break;
      case OP.release:
        load();
        into[cpu] = at(next) & ~own;
        break;
      case OP.setFlag:
        load();
        into[cpu] = at(next);
        into[sh] = into[sh]! | MUTEX_FLAG;
        break;
      case OP.sendIpi:
      case OP.sendNmi:
      case OP.sendNmiOnce: {
        load();
        into[cpu] = at(next);
        if (op === OP.sendNmiOnce) {
          if ((state[base + sh]! & CRASH_STOPPED) !== 0) break;
          into[sh] = into[sh]! | CRASH_STOPPED;
        }
        const bit = op === OP.sendIpi ? PENDING_IPI : PENDING_NMI;
        for (let other = 0; other < cpus; other++) {
          if (other === cpu) continue;
          const its = into[other]!;
          if ((its & PC_MASK) === PC_STOPPED || (its & DEAF) !== 0 || this.#steps[its & PC_MASK]?.step.capture === true) continue;
          into[other] = its | bit;
        }
        break;
      }
      case OP.awaitIpi:
      case OP.awaitNmi: {
        for (let other = 0; other < cpus; other++) {
          if (other === cpu) continue;
          const its = state[base + other]!;
          if (op === OP.awaitNmi ? (its & PENDING_NMI) !== 0 : (its & PENDING_IPI) !== 0 && answers(its)) return false;
        }
        load();
        into[cpu] = at(next);
        break;
      }
      case OP.write: {
        const second = arg === evidenceBit.recordB || arg === evidenceBit.oopsB;
        const hung = second ? evidenceBit.hungB : evidenceBit.hungA;
        const backend = settings.backends[second ? 1 : 0]!;
        const hangs = backend.hangs === true || (state[base + ev]! & hung) !== 0;
        if (hangs) {
          load();
          into[cpu] = at(PC_HUNG);
          into[ev] = into[ev]! | hung;
          emit(MOVE.hang, cpu, pc);
          return true;
        }
        load();
        into[cpu] = at(next);
        into[ev] = into[ev]! | arg;
        emit(MOVE.step, cpu, pc);
        if (may(FAULT.hang)) {
          load();
          into[cpu] = at(PC_HUNG);
          into[ev] = into[ev]! | hung;
          fault(FAULT.hang, MOVE.hang, cpu, pc);
        }
        return true;
      }
      case OP.notify:
        load();
        if (settings.notifiers === "hang") {
          into[cpu] = at(PC_HUNG);
          into[ev] = into[ev]! | evidenceBit.notifierHung;
        } else {
          into[cpu] = at(next);
          into[ev] = into[ev]! | evidenceBit.notifiers;
          if (settings.notifiers === "reset") into[sh] = into[sh]! | REBOOTED;
        }
        break;
      case OP.keep:
        load();
        into[cpu] = at(next);
        into[ev] = into[ev]! | arg;
        break;
      case OP.call:
        load();
        into[cpu] = at(next);
        for (let other = 0; other < cpus; other++) {
          const its = into[other]!;
          if (other !== cpu && (its & FORCED) !== 0 && (its & PC_MASK) !== PC_STOPPED) into[other] = its | PENDING_CALL;
        }
        break;
      case OP.jump: {
        load();
        into[cpu] = (at(next) | IRQS_OFF | DEAF) & ~(PENDING_IPI | PENDING_NMI | PENDING_CALL);
        let why = settings.forceCpu && (word & FORCED) === 0 ? evidenceBit.wrongCpu : 0;
        for (let other = 0; other < cpus; other++)
          if (other !== cpu && (into[other]! & PC_MASK) !== PC_STOPPED) why |= evidenceBit.missingCpu;
        into[ev] = into[ev]! | why;
        break;
      }
      case OP.verify: {
        const corrupt = (): void => {
          load();
          into[cpu] = at(PC_HUNG);
          into[ev] = into[ev]! | evidenceBit.corrupt;
        };
        if (settings.crashImage === "corrupt") {
          corrupt();
          emit(MOVE.corrupt, cpu, pc);
          return true;
        }
        if (may(FAULT.corrupt)) {
          corrupt();
          fault(FAULT.corrupt, MOVE.corrupt, cpu, pc);
        }
        load();
        into[cpu] = at(next);
        break;
      }
      case OP.boot:
      case OP.save: {
        const fails =
          op === OP.boot ? settings.capture === "hangs" : settings.capture === "out-of-memory" || settings.capture === "no-target";
        const fail = (): void => {
          load();
          into[ev] = into[ev]! | evidenceBit.captureFailed;
          // A capture kernel that finds no target reboots; one that never comes up stays.
          into[cpu] = at(op === OP.boot ? PC_HUNG : next);
        };
        if (fails) {
          fail();
          emit(MOVE.capture, cpu, pc);
          return true;
        }
        if (op === OP.boot && may(FAULT.capture)) {
          fail();
          fault(FAULT.capture, MOVE.capture, cpu, pc);
        }
        load();
        into[cpu] = at(next);
        into[ev] = into[ev]! | (op === OP.boot ? evidenceBit.captureConsole : evidenceBit.vmcore);
        break;
      }
      case OP.reboot:
        load();
        into[sh] = into[sh]! | REBOOTED;
        break;
      default:
        return false;
    }
    emit(MOVE.step, cpu, pc);
    return true;
  }
}

const KEXEC = locks.indexOf("kexec");
const PANIC = locks.indexOf("panic");
const DUMP_LIST = locks.indexOf("dump-list");
const PC_NAMES = ["running", "in kexec_load", "stopped", "hung"];

/** Stopped where it stands, locks held. */
function stopped(word: number): number {
  return ((word & ~PC_MASK & ~(PENDING_IPI | PENDING_NMI | PENDING_CALL | IRQS_OFF)) | PC_STOPPED) >>> 0;
}

/** Takes interrupts: kmsg_dump held dump_list_lock with interrupts off. */
function answers(word: number): boolean {
  return (word & IRQS_OFF) === 0 && ((word >>> OWNER_SHIFT) & (1 << DUMP_LIST)) === 0;
}
