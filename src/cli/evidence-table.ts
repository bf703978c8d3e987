/** How tables of evidence look, for all commands that print one. */
import type { Outcome } from "../panic/index.ts";
import { escapeLine, type Style } from "./terminal.ts";

/** Short heads, where the kind's own name is long. */
const HEADS: Readonly<Record<string, string>> = {
  "serial console": "CONSOLE",
  "console zone": "ZONE",
  "device dumps": "DEVICES",
  "capture kernel's console": "CAPTURE LOG",
};

/** The head of a kind's column. */
export function headOf(kind: string): string {
  return HEADS[kind] ?? escapeLine(kind.replace(/^record in /, "").toUpperCase());
}

/** The colour of an outcome. */
export const outcomeLooks: Readonly<Record<Outcome, Style>> = { kept: "good", partly: "warning", lost: "bad", "not-configured": "dim" };
