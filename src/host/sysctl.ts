import { posix } from "node:path";
import type { Fact, Root } from "./root.ts";

/** What decides over the end of a kernel. */
export const SYSCTLS = [
  "kernel.panic",
  "kernel.panic_on_oops",
  "kernel.panic_on_warn",
  "kernel.panic_on_unrecovered_nmi",
  "kernel.panic_on_io_nmi",
  "kernel.panic_on_rcu_stall",
  "kernel.unknown_nmi_panic",
  "kernel.softlockup_panic",
  "kernel.hardlockup_panic",
  "kernel.hung_task_panic",
  "kernel.nmi_watchdog",
  "kernel.soft_watchdog",
  "kernel.watchdog",
  "kernel.sysrq",
] as const;
export type SysctlName = (typeof SYSCTLS)[number];

export interface Sysctls {
  readonly running: ReadonlyMap<SysctlName, Fact<number>>;
  /** By the files that are read at boot, the one that counts. */
  readonly configured: ReadonlyMap<SysctlName, Fact<number>>;
}

/** sysctl.d(5): of files with the same name the first folder's counts, and they are read in the order of their names. */
const FOLDERS = ["/etc/sysctl.d", "/run/sysctl.d", "/usr/local/lib/sysctl.d", "/usr/lib/sysctl.d", "/lib/sysctl.d"];

export function readSysctls(root: Root): Sysctls {
  const running = new Map<SysctlName, Fact<number>>();
  for (const name of SYSCTLS) {
    const fact = root.number(`/proc/sys/${name.replaceAll(".", "/")}`);
    if (fact !== undefined) running.set(name, fact);
  }
  const files = new Map<string, string>();
  for (const folder of FOLDERS) {
    for (const name of root.list(folder)) if (name.endsWith(".conf") && !files.has(name)) files.set(name, `${folder}/${name}`);
  }
  const paths = [...files.keys()].sort().map((name) => files.get(name)!);
  // `sysctl --system` reads it last; systemd-sysctl only through a link such as Debian's 99-sysctl.conf.
  if (!paths.some((path) => posix.basename(root.link(path) ?? "") === "sysctl.conf")) paths.push("/etc/sysctl.conf");
  const configured = new Map<SysctlName, Fact<number>>();
  for (const path of paths) {
    for (const { text, at } of root.lines(path)) {
      const match = /^\s*-?\s*([\w./-]+)\s*=\s*(-?\d{1,9})\s*$/.exec(text);
      if (!match) continue;
      const name = match[1]!.replaceAll("/", ".") as SysctlName;
      if (SYSCTLS.includes(name)) configured.set(name, { value: Number(match[2]), at });
    }
  }
  return { running, configured };
}
