import { MIB } from "./amount.ts";
import { type KdumpFacts, type KdumpTarget, type NeededFile, unitState } from "./kdump.ts";
import { type Fact, fileReceipt, type Root } from "./root.ts";
import { readShellConfig } from "./shell-config.ts";

const CONFIG = "/etc/sysconfig/kdump";

/** SUSE and openSUSE (openSUSE/kdump: kdump(5), kdump-read-config.sh, init/load.sh). */
export function readSuseKdump(root: Root, release: string | undefined): KdumpFacts | undefined {
  const words = readShellConfig(root, CONFIG);
  // Fedora has a file of this name too, without a folder to save to.
  if (words === undefined || !words.has("KDUMP_SAVEDIR")) return undefined;
  const said = (name: string): Fact<string> | undefined => {
    const fact = words.get(name);
    return fact === undefined || fact.value === "" ? undefined : fact;
  };
  const unit = unitState(root, "kdump.service");
  const level = said("KDUMP_DUMPLEVEL");
  const free = said("KDUMP_FREE_DISK_SIZE");
  return {
    flavor: "suse",
    config: CONFIG,
    configFile: root.stat(CONFIG),
    enabled: { value: unit.state === "enabled", at: unit.at },
    // Before 2.0 they were in /boot, beside the kernel.
    kernel: firstOf(root, ["/var/lib/kdump/kernel", `/boot/vmlinuz-${release ?? ""}`]),
    initramfs: firstOf(root, ["/var/lib/kdump/initrd", `/boot/initrd-${release ?? ""}-kdump`]),
    target: targetOf(said("KDUMP_SAVEDIR")),
    dumpLevel: level !== undefined && /^\d{1,2}$/.test(level.value) ? { value: Number(level.value), at: level.at } : undefined,
    append: said("KDUMP_COMMANDLINE_APPEND"),
    kexecOptions: said("KEXEC_OPTIONS"),
    keepFree: free !== undefined && /^\d{1,9}$/.test(free.value) ? { value: Number(free.value) * MIB, at: free.at } : undefined,
  };
}

function firstOf(root: Root, paths: readonly string[]): NeededFile {
  const path = paths.find((candidate) => root.exists(candidate)) ?? paths[0]!;
  return { path, file: root.stat(path), at: fileReceipt(path) };
}

function targetOf(said: Fact<string> | undefined): KdumpTarget {
  const at = said?.at ?? fileReceipt(CONFIG);
  const value = said?.value ?? "/var/crash";
  const url = /^(\w+):\/\/(.*)$/.exec(value);
  if (!url || url[1]!.toLowerCase() === "file") {
    return { kind: "path", folder: url ? url[2]! : value, device: undefined, key: undefined, at };
  }
  return { kind: "network", folder: "", device: value.replace(/\/\/[^@/]*@/, "//"), key: undefined, at };
}
