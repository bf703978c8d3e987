import type { Fact, Receipt, Root } from "./root.ts";

/** A watchdog device. */
export interface WatchdogDevice {
  readonly name: string;
  readonly identity: string;
  /** Somebody feeds it: a machine that hangs is reset. */
  readonly active: boolean;
  readonly at: Receipt;
}

export interface WatchdogFacts {
  readonly devices: readonly WatchdogDevice[];
  /** `RuntimeWatchdogSec=` of systemd. */
  readonly systemd: Fact<string> | undefined;
}

const FOLDER = "/sys/class/watchdog";

export function readWatchdog(root: Root): WatchdogFacts {
  const devices = root.list(FOLDER).flatMap((name): WatchdogDevice[] => {
    const state = root.value(`${FOLDER}/${name}/state`);
    if (state === undefined) return [];
    return [{ name, identity: root.value(`${FOLDER}/${name}/identity`)?.value ?? "", active: state.value === "active", at: state.at }];
  });
  let systemd: Fact<string> | undefined;
  const files = [
    "/etc/systemd/system.conf",
    ...root.list("/etc/systemd/system.conf.d").map((name) => `/etc/systemd/system.conf.d/${name}`),
  ];
  for (const path of files) {
    for (const { text, at } of root.lines(path)) {
      const match = /^\s*RuntimeWatchdogSec\s*=\s*(\S+)/.exec(text);
      if (match) systemd = { value: match[1]!, at };
    }
  }
  return { devices, systemd };
}
