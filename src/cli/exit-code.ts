import { isDumpError, type DumpErrorCode } from "../bytes/index.ts";
import { UsageError } from "./parse.ts";

/**
 * The exit statuses of every command: a small stable set, since scripts branch on them. 0, 1 and 2 mean what they mean
 * for makedumpfile and kdump-config; 3 to 5 tell apart the ways in which a crash may not be explained.
 */
export const exitCode = {
  good: 0,
  failed: 1,
  usage: 2,
  partial: 3,
  "no-evidence": 4,
  unsupported: 5,
  interrupted: 130,
} as const;

export type ExitName = keyof typeof exitCode;

/** What each status means, where a command does not say it more exactly. */
export const exitMeaning: Readonly<Record<ExitName, string>> = {
  good: "Everything asked for was found and printed.",
  failed: "Failed: a file could not be read or written, or contradicts itself.",
  usage: "The command line was wrong.",
  partial: "Partial evidence: something was printed, and something was missing from the dump.",
  "no-evidence": "Nothing that tells of a crash was found.",
  unsupported: "A format or a machine that lastwords does not read.",
  interrupted: "Interrupted (Ctrl-C); temporary files were removed.",
};

/** The one place where the reason of a failed read becomes an exit status. */
const statusOf: Readonly<Record<DumpErrorCode, ExitName>> = {
  UNSUPPORTED: "unsupported",
  BAD_ARGUMENT: "usage",
  EXCLUDED: "partial",
  NOT_STORED: "partial",
  NO_TRANSLATION: "partial",
  TRUNCATED: "partial",
  CORRUPT: "failed",
  IO: "failed",
  LIMIT: "failed",
};

/** Exit status for an error that ended a command. Anything unknown is a plain failure. */
export function exitCodeOf(error: unknown): number {
  if (error instanceof UsageError) return exitCode.usage;
  if (isDumpError(error)) return exitCode[statusOf[error.code]];
  return exitCode.failed;
}
