import type { Fact, Root } from "./root.ts";

/** The mode in brackets: `none [integrity] confidentiality` (linux:security/lockdown/lockdown.c). */
export function readLockdown(root: Root): Fact<string> | undefined {
  const fact = root.value("/sys/kernel/security/lockdown");
  const mode = /\[(\w+)\]/.exec(fact?.value ?? "")?.[1];
  return fact === undefined || mode === undefined ? undefined : { value: mode, at: fact.at };
}
