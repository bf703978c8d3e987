import { DumpError } from "../../bytes/index.ts";
import type { FrontendRecord, StreamName } from "../frontend/frontend.ts";

/** What can be stored, opened and ready. Every method throws PortError where the system refuses. */
export interface Backend {
  /** Where it stores, in words, for `--check`. */
  readonly about: string;
  /** Whether messages of the kernel are to come one by one, each with its record; others take many at once, which is cheaper. */
  readonly eachRecord?: boolean;
  /** Whether it keeps such a stream at all. */
  accepts(stream: StreamName): boolean;
  /**
   * Appends to a stream.
   *
   * @param record the same in the format of /dev/kmsg, where it came from there.
   */
  write(stream: StreamName, bytes: Uint8Array, record?: Uint8Array): void;
  /** Stores a record of its own; absent where only streams are kept. */
  writeRecord?(record: FrontendRecord): void;
  close(): void;
}

/** @throws BAD_ARGUMENT where there is a word that is none of these: a misspelt one would be left out silently. */
export function refuseOtherWords(kind: string, words: ReadonlyMap<string, string>, known: readonly string[]): void {
  for (const word of words.keys()) {
    if (!known.includes(word))
      throw new DumpError("BAD_ARGUMENT", `a ${kind} backend has no '${word}='; it has ${known.join(", ")} and frontends`);
  }
}

/** The last bytes of a text that fit, from the beginning of a line where that leaves anything. */
export function tailOf(text: Uint8Array, room: number): Uint8Array {
  if (text.length <= room) return text;
  const tail = text.subarray(text.length - room);
  const line = tail.indexOf(10);
  return line >= 0 && line + 1 < tail.length ? tail.subarray(line + 1) : tail;
}

/** A text cut into parts of at most `room` bytes at line ends, newest first, at most `most` of them. */
export function partsOf(text: Uint8Array, room: number, most: number): Uint8Array[] {
  const parts: Uint8Array[] = [];
  let end = text.length;
  while (end > 0 && parts.length < most) {
    const part = tailOf(text.subarray(0, end), room);
    parts.push(part);
    end -= part.length;
  }
  return parts;
}
