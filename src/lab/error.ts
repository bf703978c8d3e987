import { DumpError, type DumpErrorCode } from "../bytes/index.ts";

/**
 * Why the lab could not do its work. The first two are the machine's affair (a test is skipped), the others are findings.
 *
 * - `MISSING_TOOL`: a program of this machine is not installed; the message names Debian's package.
 * - `UNREACHABLE`: a package could not be had: no archive, no network, or the archive no longer has it.
 * - `TIMEOUT`: the guest did not say what was waited for.
 * - `GUEST`: the guest did something else than asked: it did not crash, or its capture kernel did not come up.
 * - `INVALID`: what was asked for makes no sense.
 */
export type LabErrorReason = "MISSING_TOOL" | "UNREACHABLE" | "TIMEOUT" | "GUEST" | "INVALID";

const CODES: Readonly<Record<LabErrorReason, DumpErrorCode>> = {
  MISSING_TOOL: "UNSUPPORTED",
  UNREACHABLE: "IO",
  TIMEOUT: "LIMIT",
  GUEST: "IO",
  INVALID: "BAD_ARGUMENT",
};

/** A {@link DumpError} of the lab, with the reason a caller may want to act on. */
export class LabError extends DumpError {
  readonly reason: LabErrorReason;

  constructor(reason: LabErrorReason, message: string, cause?: unknown) {
    super(CODES[reason], message, { cause });
    this.name = "LabError";
    this.reason = reason;
  }
}

/** True when the error says that this machine cannot run a lab, and not that something is wrong with what was tried. */
export function isLabUnavailable(error: unknown): error is LabError {
  return error instanceof LabError && (error.reason === "MISSING_TOOL" || error.reason === "UNREACHABLE");
}
