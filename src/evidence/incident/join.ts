/*
 * Which parts of texts are of one boot. Facts decide where both tell: a boot id, a release, a build. Else lines do: no two boots
 * have printed the same words at the same microseconds.
 */
import { type BootPart, joinFacts } from "./boots.ts";
import { type BootFacts, NO_FACTS } from "./text.ts";

/** Parts of several texts that are of one boot. */
export interface BootGroup {
  readonly parts: BootPart[];
  facts: BootFacts;
  first: number | undefined;
  last: number | undefined;
  /** Hashes of lines with a time that tells boots apart, and of texts, of all parts. */
  readonly timed: Set<number>;
  readonly times: number[];
  readonly texts: Set<number>;
  readonly registers: Set<string>;
}

/** Whether a part is of a boot. */
export interface Verdict {
  /** Undefined where nothing tells. */
  readonly same: boolean | undefined;
  /** In words, to stand behind the text's name. */
  readonly why: string;
}

/** Of the lines in the time that both cover, this part is in both: other boots share a few by chance. */
const SHARED = 0.2;
/** In so many lines of one time span two texts of one boot must meet. */
const ENOUGH = 5;
/** Of a text without times, this part of the longer lines is in the other. */
const SHARED_TEXTS = 0.3;
/** Clocks that are set by hand or by a network are not right to the second. */
const CLOCK_SECONDS = 300;
/** Shorter texts are in every boot. */
const LONG_TEXT = 16;
/** Register lines of a trace: what differs between two crashes of one kind. */
const REGISTERS = /^(?:RSP|RAX|RDX|RBP|R10|R13|CR2|CS|x29|x26|x2 |sp|pc|EAX|ESI) ?: ?.*[0-9a-f]{8}/;

/** A group of no parts, of a boot of which `facts` are known. */
export function newGroup(facts: BootFacts = NO_FACTS): BootGroup {
  return { parts: [], facts, first: undefined, last: undefined, timed: new Set(), times: [], texts: new Set(), registers: new Set() };
}

/** Takes a part into a group. */
export function addPart(group: BootGroup, part: BootPart): void {
  group.parts.push(part);
  group.facts = joinFacts(group.facts, part.facts);
  if (part.first !== undefined) group.first = Math.min(part.first, group.first ?? part.first);
  if (part.last !== undefined) group.last = Math.max(part.last, group.last ?? part.last);
  for (const { time, text } of part.lines) {
    group.texts.add(hashOf(text, 0));
    if (REGISTERS.test(text)) group.registers.add(text);
    if (time === undefined || time === 0) continue;
    const key = keyOf(time, text);
    if (group.timed.has(key)) continue;
    group.timed.add(key);
    group.times.push(time);
  }
}

/** Gives back what only joining needs. */
export function forgetLines(group: BootGroup): void {
  group.timed.clear();
  group.times.length = 0;
  group.texts.clear();
}

/** Before the clock runs all boots of a kernel print the same at 0. */
function keyOf(time: number, text: string): number {
  return hashOf(text, Math.round(time * 1e6));
}

/** FNV-1a, 30 bits, which V8 keeps without an object. Lines that meet by chance are few, and few do not make two boots one. */
function hashOf(text: string, seed: number): number {
  let hash = (0x811c9dc5 ^ seed ^ Math.imul(Math.floor(seed / 2 ** 32), 0x9e3779b1)) | 0;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return (hash ^ (hash >>> 15)) & 0x3fff_ffff;
}

/** Whether what is known of two kernels cannot be true of one boot; in words, undefined where it can. */
export function difference(a: BootFacts, b: BootFacts): string | undefined {
  if (a.bootId !== undefined && b.bootId !== undefined && !isSameId(a.bootId, b.bootId)) return `of boot ${b.bootId}`;
  if (a.release !== undefined && b.release !== undefined && !isCutOf(a.release, b.release)) return `of Linux ${b.release}`;
  if (a.buildId !== undefined && b.buildId !== undefined && a.buildId !== b.buildId) return `of a kernel with build ID ${b.buildId}`;
  if (a.build !== undefined && b.build !== undefined && !isCutOf(a.build, b.build)) return `of another build, ${b.build}`;
  if (a.capture !== undefined && b.capture !== undefined && a.capture !== b.capture)
    return b.capture ? "of a capture kernel" : "not of a capture kernel";
  if (a.commandLine !== undefined && b.commandLine !== undefined && !isCutOf(a.commandLine, b.commandLine))
    return `booted with another command line`;
  return undefined;
}

/** The recorder's own records have the first letters of it. */
function isSameId(a: string, b: string): boolean {
  const [x, y] = [a, b].map((id) => id.replaceAll("-", ""));
  return x!.startsWith(y!) || y!.startsWith(x!);
}

/** Lines are cut at 1 KiB and at either end of a ring; blanks come and go; what boot configuration adds is printed late. */
function isCutOf(a: string, b: string): boolean {
  const [x, y] = [a, b].map((text) => text.replace(/\s+/g, " ").trim());
  return x!.includes(y!) || y!.includes(x!);
}

/** Decides whether a part is of the group's boot. Time is linear in the part's lines. */
export function sameBoot(group: BootGroup, part: BootPart): Verdict {
  const { facts } = group;
  if (facts.bootId !== undefined && part.facts.bootId !== undefined && isSameId(facts.bootId, part.facts.bootId))
    return { same: true, why: "the same boot id" };
  // A text was cut where another boot begins.
  if (group.parts.some(({ source }) => source === part.source)) return { same: false, why: "another boot of the same text" };
  const differs = difference(facts, part.facts);
  if (differs !== undefined) return { same: false, why: differs };

  const from = Math.max(group.first ?? Number.POSITIVE_INFINITY, part.first ?? Number.POSITIVE_INFINITY);
  const to = Math.min(group.last ?? Number.NEGATIVE_INFINITY, part.last ?? Number.NEGATIVE_INFINITY);
  let own = 0;
  let shared = 0;
  const seen = new Set<number>();
  for (const { time, text } of part.lines) {
    if (time === undefined || time === 0 || time < from || time > to) continue;
    const key = keyOf(time, text);
    if (seen.has(key)) continue;
    seen.add(key);
    own++;
    if (group.timed.has(key)) shared++;
  }
  let others = 0;
  if (own > 0) for (const time of group.times) if (time >= from && time <= to) others++;
  const least = Math.min(own, others);
  if (shared > 0 && shared >= SHARED * least) return { same: true, why: `${shared} lines in common` };
  if (least >= ENOUGH) return { same: false, why: "of another boot of this kernel: the same times, other lines" };

  const clocks = facts.started === undefined || part.facts.started === undefined ? undefined : Math.abs(facts.started - part.facts.started);
  if (part.first === undefined || group.first === undefined) {
    const told = sameTexts(group, part);
    if (told !== undefined) return told;
  }
  if (clocks === undefined) return { same: undefined, why: "nothing in it tells of which boot it is" };
  if (clocks <= CLOCK_SECONDS) return { same: true, why: "booted at the same time" };
  return { same: false, why: "booted at another time" };
}

/** Of texts without times: what is printed alone must do, and registers tell two crashes apart. */
function sameTexts(group: BootGroup, part: BootPart): Verdict | undefined {
  const texts = new Set<number>();
  let registers = 0;
  let sharedRegisters = 0;
  for (const { text } of part.lines) {
    if (text.length >= LONG_TEXT) texts.add(hashOf(text, 0));
    if (!REGISTERS.test(text)) continue;
    registers++;
    if (group.registers.has(text)) sharedRegisters++;
  }
  if (registers > 2 && group.registers.size > 2 && sharedRegisters === 0) return { same: false, why: "of another crash: other registers" };
  let shared = 0;
  for (const text of texts) if (group.texts.has(text)) shared++;
  return shared >= 3 && shared >= SHARED_TEXTS * texts.size ? { same: true, why: `${shared} lines in common` } : undefined;
}
