import { DumpError } from "../bytes/index.ts";

/** Something that a full report would have and this dump cannot give. */
export interface Missing {
  /** What is missing: `types`, `symbols`, `unwind tables`, `task list`, … */
  readonly what: string;
  /** Why, as one of the answers that must be told apart. */
  readonly code: DumpError["code"];
  readonly reason: string;
  /** What cannot be said because of it, and what would help. */
  readonly consequence: string;
}

/** Runs `get`; where it fails with a {@link DumpError}, notes it and answers undefined. Other errors are bugs and pass. */
export function orMissing<T>(missing: Missing[], what: string, consequence: string, get: () => T): T | undefined {
  try {
    return get();
  } catch (error) {
    if (!(error instanceof DumpError)) throw error;
    missing.push({ what, code: error.code, reason: error.message, consequence });
    return undefined;
  }
}
