import { type CommandLine, valuesOf } from "./kernel-command-line.ts";
import { type ModuleOptions, readModuleOptions } from "./module-options.ts";
import { fileReceipt, type Fact, type Receipt, type Root } from "./root.ts";

/** Consoles that reach something outside of the machine. */
export interface ConsoleFacts {
  /** Serial lines and hypervisors' consoles that the kernel prints to. */
  readonly serial: readonly Fact<string>[];
  /** How netconsole is configured, whether it runs or not. */
  readonly netconsole: ModuleOptions | undefined;
  readonly netconsoleLoaded: boolean;
  /** Targets of netconsole that are switched on, and those that are not. */
  readonly targets: readonly { readonly name: string; readonly enabled: boolean; readonly at: Receipt }[];
}

const OUTSIDE = /^(?:tty(?:S|AMA|USB|LP|SC|MSM|SAC|PS|O|mxc|sclp)|hvc|hvsi|lp)\d*/;
const TARGETS = "/sys/kernel/config/netconsole";

export function readConsoles(root: Root, commandLine: CommandLine | undefined): ConsoleFacts {
  const serial: Fact<string>[] = [];
  for (const { text, at } of root.lines("/proc/consoles")) {
    const name = text.split(/\s/, 1)[0]!;
    if (OUTSIDE.test(name)) serial.push({ value: name, at });
  }
  if (!root.exists("/proc/consoles")) serial.push(...valuesOf(commandLine, "console").filter(({ value }) => OUTSIDE.test(value)));
  return {
    serial,
    netconsole: readModuleOptions(root, "netconsole", commandLine),
    netconsoleLoaded: root.exists("/sys/module/netconsole"),
    targets: root.list(TARGETS).flatMap((name) => {
      const enabled = root.value(`${TARGETS}/${name}/enabled`);
      return enabled === undefined ? [] : [{ name, enabled: enabled.value === "1", at: enabled.at }];
    }),
  };
}

/** Something is sent over the network: a target is on, or one without a name in configfs was given when it was loaded. */
export function netconsoleWorks(facts: ConsoleFacts): boolean {
  if (facts.targets.length > 0) return facts.targets.some((target) => target.enabled);
  return facts.netconsoleLoaded && facts.netconsole !== undefined;
}

/** Where netconsole would be. */
export const NETCONSOLE_AT: Receipt = fileReceipt("/sys/module/netconsole");
