import { isDumpError } from "../bytes/index.ts";
import type { DumpFile } from "../format/index.ts";
import { Kernel, readLog, readTasks } from "../kernel/index.ts";

/** Something that an investigator needs, and whether a dump has it. */
export interface CheckResult {
  readonly what: "page tables" | "log" | "symbols" | "types" | "tasks" | "registers";
  readonly ok: boolean;
  /** What was found, or why not. */
  readonly detail: string;
}

/** Opens the kernel in a dump and says what of it can be had. Throws nothing. */
export function checkDump(dump: DumpFile): CheckResult[] {
  return [...checkSteps(dump)];
}

/** As {@link checkDump}, one thing after the other: whoever has other work can do it between. */
export function* checkSteps(dump: DumpFile): Generator<CheckResult, void, void> {
  const look = (what: CheckResult["what"], get: () => string | undefined): CheckResult => {
    try {
      const detail = get();
      return { what, ok: detail !== undefined, detail: detail ?? "not there" };
    } catch (error) {
      if (!isDumpError(error)) throw error;
      return { what, ok: false, detail: error.message };
    }
  };
  let kernel: Kernel | undefined;
  yield look("page tables", () => {
    kernel = new Kernel(dump);
    return `the kernel's addresses are translated, ${kernel.vmcoreinfoSource}`;
  });
  const needsKernel = (what: CheckResult["what"], get: (kernel: Kernel) => string | undefined): CheckResult =>
    look(what, () => (kernel ? get(kernel) : undefined));
  yield needsKernel("log", (k) => {
    const log = readLog(k);
    return log.records.length === 0 ? undefined : `${log.records.length} records${log.lost > 0 ? `, ${log.lost} lost` : ""}`;
  });
  yield needsKernel("symbols", (k) => (k.vmlinuxSymbols ? k.symbolsSource : undefined));
  yield needsKernel("types", (k) => (k.types.btf ? `BTF, ${k.typesSource}` : undefined));
  yield needsKernel("tasks", (k) => {
    // A list of its own for what is missing: the kernel's has the unwind tables too, and no trace is asked for here.
    const tasks = k.types.btf ? readTasks(k, []) : [];
    return tasks.length === 0 ? undefined : `${tasks.length} tasks`;
  });
  yield look("registers", () => {
    const count = dump.notes.filter((note) => note.name === "CORE" && note.type === 1).length;
    return count === 0 ? undefined : `of ${count} CPUs`;
  });
}
