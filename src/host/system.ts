import { readShellConfig } from "./shell-config.ts";
import type { Fact, Root } from "./root.ts";

/** What machine and system this is. */
export interface SystemFacts {
  /** `PRETTY_NAME` of os-release. */
  readonly name: Fact<string> | undefined;
  /** Of the running kernel. */
  readonly release: Fact<string> | undefined;
  /** Bytes; as the kernel has them, without what it has reserved. */
  readonly memory: Fact<number> | undefined;
  /** Bytes that the kernel holds for itself: neither free, page cache nor of programs. What a dump of level 31 has. */
  readonly kernelMemory: Fact<number> | undefined;
  /** A word of the kernel's configuration, where it is installed: `y`, `m`, or a value. */
  readonly config: (name: string) => Fact<string> | undefined;
  /** That a configuration was found: only then does a missing word mean no. */
  readonly configPath: string | undefined;
}

export function readSystem(root: Root): SystemFacts {
  const osRelease = readShellConfig(root, "/etc/os-release") ?? readShellConfig(root, "/usr/lib/os-release");
  const release = root.value("/proc/sys/kernel/osrelease");
  const meminfo = new Map<string, Fact<number>>();
  for (const { text, at } of root.lines("/proc/meminfo")) {
    const match = /^([\w()]+):\s+(\d{1,12}) kB$/.exec(text);
    if (match) meminfo.set(match[1]!, { value: Number(match[2]) * 1024, at });
  }
  const memory = meminfo.get("MemTotal");
  let kernelMemory: Fact<number> | undefined;
  if (memory !== undefined && meminfo.has("MemFree")) {
    const others = ["MemFree", "Buffers", "Cached", "SwapCached", "AnonPages"].reduce(
      (sum, name) => sum + (meminfo.get(name)?.value ?? 0),
      0,
    );
    // Shmem is counted in Cached, and is page cache to a dump too.
    kernelMemory = { value: Math.max(0, memory.value - others), at: memory.at };
  }
  const configPath =
    release === undefined
      ? undefined
      : [`/boot/config-${release.value}`, `/usr/lib/modules/${release.value}/config`, `/lib/modules/${release.value}/config`].find((path) =>
          root.exists(path),
        );
  const options = new Map<string, Fact<string>>();
  for (const { text, at } of configPath === undefined ? [] : root.lines(configPath)) {
    const match = /^(CONFIG_\w+)=(.*)$/.exec(text);
    if (match) options.set(match[1]!, { value: match[2]!.replaceAll('"', ""), at });
  }
  return { name: osRelease?.get("PRETTY_NAME"), release, memory, kernelMemory, config: (name) => options.get(name), configPath };
}
