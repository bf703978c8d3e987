/**
 * Why a read or a parse could not give an answer. The investigator must be able to tell these apart:
 *
 * - `EXCLUDED`: the machine had this page and the dump's writer left it out on purpose (dump level).
 * - `NOT_STORED`: the dump has no such page: no RAM there, or the writer never reached it.
 * - `TRUNCATED`: the file ends before the bytes that its own tables promise.
 * - `CORRUPT`: the bytes are there and contradict themselves.
 * - `UNSUPPORTED`: well-formed as far as we can tell, and we cannot read it.
 * - `NO_TRANSLATION`: a virtual address that the page tables do not map.
 * - `BAD_ARGUMENT`, `IO`, `LIMIT`: the caller's mistake, the system's, and a bound set against hostile input.
 */
export type DumpErrorCode =
  | "NOT_STORED"
  | "EXCLUDED"
  | "TRUNCATED"
  | "CORRUPT"
  | "UNSUPPORTED"
  | "NO_TRANSLATION"
  | "BAD_ARGUMENT"
  | "IO"
  | "LIMIT";

/** Details that go with a {@link DumpError}. */
export interface DumpErrorOptions {
  /** File offset (number) or address (bigint, or number for physical) that the error is about. */
  readonly at?: number | bigint;
  /** The innermost error, when this one was built around another. */
  readonly cause?: unknown;
}

/**
 * The one error class of the project. Messages start lower-case and name the field and both values
 * ("sub_hdr_size is 3 blocks, the file has 2").
 */
export class DumpError extends Error {
  readonly code: DumpErrorCode;
  readonly at: number | bigint | undefined;

  constructor(code: DumpErrorCode, message: string, options: DumpErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = "DumpError";
    this.code = code;
    this.at = options.at;
  }
}

/** True for a {@link DumpError}, of the given code where one is given. */
export function isDumpError(error: unknown, code?: DumpErrorCode): error is DumpError {
  return error instanceof DumpError && (code === undefined || error.code === code);
}
