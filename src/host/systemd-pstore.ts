import { unitState } from "./kdump.ts";
import type { Receipt, Root } from "./root.ts";

/** Whether somebody carries records away at boot, so that there is room for the next. */
export interface ArchiveFacts {
  readonly archived: boolean;
  /** Why not; empty where they are. */
  readonly why: string;
  /** Of the unit. */
  readonly state: ReturnType<typeof unitState>["state"];
  readonly at: Receipt;
}

/** systemd-pstore.service(8), pstore.conf(5). */
export function readArchive(root: Root): ArchiveFacts {
  let storage = "external";
  let at: Receipt | undefined;
  const dropIns = ["/usr/lib/systemd/pstore.conf.d", "/usr/local/lib/systemd/pstore.conf.d", "/etc/systemd/pstore.conf.d"]
    .flatMap((folder) => root.list(folder).map((name) => ({ name, path: `${folder}/${name}` })))
    .filter(({ name }) => name.endsWith(".conf"))
    .sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
  for (const path of ["/etc/systemd/pstore.conf", ...dropIns.map((each) => each.path)]) {
    for (const line of root.lines(path)) {
      const match = /^\s*Storage\s*=\s*(\w+)/.exec(line.text);
      if (match) [storage, at] = [match[1]!, line.at];
    }
  }
  const unit = unitState(root, "systemd-pstore.service");
  if (unit.state !== "enabled") {
    const why = unit.state === "absent" ? "systemd-pstore is not installed" : `systemd-pstore.service is ${unit.state}`;
    return { archived: false, why, state: unit.state, at: unit.at };
  }
  if (storage === "none" && at !== undefined) return { archived: false, why: "systemd-pstore is told Storage=none", state: unit.state, at };
  return { archived: true, why: "", state: unit.state, at: unit.at };
}
