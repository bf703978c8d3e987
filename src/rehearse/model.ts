/** What a rehearsal is told and what it gives back; the JSON of `lastwords rehearse` has the same names. */
import type { Outcome, PredictedKind, Settings, VariantName } from "../panic/index.ts";
import type { ModelWay, WayName } from "./way.ts";

/** What was found of a kind of evidence. `partly` is there and not whole. */
export type Seen = "kept" | "partly" | "lost";

/** A kind of evidence as the machine left it. */
export interface SeenEvidence {
  readonly kind: PredictedKind;
  readonly seen: Seen;
  /** What was found, or what is missing, in a sentence without full stop. */
  readonly detail: string;
}

/** One kind of evidence: what the model said and what the machine showed. */
export interface RehearsedCell extends SeenEvidence {
  readonly expected: Outcome;
  /** The model's reason. */
  readonly why: string;
  /** See `agrees` in compare.ts. */
  readonly agrees: boolean;
}

/** A moment of a run. */
export interface RehearsedStage {
  readonly name: "first kernel" | "ready to die" | "died" | "capture kernel" | "saved";
  /** Since the machine was started. */
  readonly atMs: number;
}

/** How a machine came to its end: by a reset, or it stood still or went on until it was switched off. */
export type MachineEnd = "reset" | "stood still" | "went on";

/** Memory of the capture kernel, in bytes. */
export interface CaptureMemory {
  /** Reserved for it: `crashkernel=`. */
  readonly reserved: number;
  /** The most that was in use at once: of samples a second apart, and of the time when its initramfs was packed and unpacked at once. */
  readonly peak: number;
}

/** One way to die, rehearsed. */
export interface RehearsedWay {
  readonly way: WayName;
  readonly about: string;
  /** The model's way that it was compared with; `panic` is a plain panic(). */
  readonly model: ModelWay;
  readonly cells: readonly RehearsedCell[];
  readonly stages: readonly RehearsedStage[];
  /** From the start of the machine to its end; null where it could not be rehearsed. */
  readonly seconds: number | null;
  readonly end: MachineEnd | null;
  /** The crash's title, by the console; null where it tells of none. */
  readonly title: string | null;
  /** Null where no capture kernel came so far as to say it. */
  readonly memory: CaptureMemory | null;
  /** Why it could not be rehearsed: the guest did something else than asked. Then there are no cells. */
  readonly failure: string | null;
  /** Folder of what was kept; null without `--keep`. */
  readonly folder: string | null;
}

/** Something that is different on a host, or is not there in a virtual machine. */
export interface NotShown {
  readonly what: string;
  readonly why: string;
}

/** What came out, counted in cells. */
export interface Verdict {
  /** One sentence. */
  readonly text: string;
  /** Cells in which the model says kept. */
  readonly promised: number;
  /** Those of them that were kept. */
  readonly kept: number;
  /** Cells where the machine is not as the model says, broken promises included. */
  readonly disagreeing: number;
  /** Ways that could not be rehearsed. */
  readonly failed: number;
}

/** All of a rehearsal. */
export interface Rehearsal {
  /** `uname -r` of the kernel. */
  readonly release: string;
  /** The model's kernel that comes nearest. */
  readonly variant: VariantName;
  /** What the model was asked with, and the machine set up with. */
  readonly settings: Settings;
  readonly ways: readonly RehearsedWay[];
  readonly notShown: readonly NotShown[];
  readonly verdict: Verdict;
}
