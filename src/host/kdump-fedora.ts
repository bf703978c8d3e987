import { dumpLevelOf, type KdumpFacts, type KdumpTarget, type NeededFile, unitState } from "./kdump.ts";
import { type Fact, fileReceipt, type Root } from "./root.ts";
import { readShellConfig } from "./shell-config.ts";

const CONFIG = "/etc/kdump.conf";
const SYSCONFIG = "/etc/sysconfig/kdump";
const FILE_SYSTEMS = new Set(["ext2", "ext3", "ext4", "xfs", "btrfs", "minix", "virtiofs"]);

/** Fedora, RHEL and their kin (rhkdump/kdump-utils: kdump.conf(5), kdump-lib.sh:prepare_kdump_bootinfo). */
export function readFedoraKdump(root: Root, release: string | undefined): KdumpFacts | undefined {
  if (!root.exists(CONFIG)) return undefined;
  // kdump-lib-initramfs.sh:kdump_get_conf_val: a word, its value, remarks and quotes taken off; the last one counts.
  const words = new Map<string, Fact<string>>();
  for (const { text, at } of root.lines(CONFIG)) {
    const match = /^\s*([^\s#]\S*)(?:\s+(.*))?$/.exec(text);
    if (!match) continue;
    const value = (match[2] ?? "")
      .replace(/#.*$/, "")
      .trim()
      .replace(/^"(.*)"$/, "$1");
    words.set(match[1]!, { value, at });
  }
  const sysconfig = readShellConfig(root, SYSCONFIG);
  const said = (name: string): Fact<string> | undefined => {
    const fact = sysconfig?.get(name);
    return fact === undefined || fact.value === "" ? undefined : fact;
  };
  const version = said("KDUMP_KERNELVER")?.value ?? release ?? "";
  const collector = words.get("core_collector");
  const unit = unitState(root, "kdump.service");
  return {
    flavor: "fedora",
    config: CONFIG,
    configFile: root.stat(CONFIG),
    enabled: { value: unit.state === "enabled", at: unit.at },
    kernel: firstOf(root, [`/boot/vmlinuz-${version}`, `/usr/lib/modules/${version}/vmlinuz`]),
    initramfs: firstOf(root, [`/boot/initramfs-${version}kdump.img`, `/var/lib/kdump/initramfs-${version}kdump.img`]),
    target: targetOf(words),
    dumpLevel: collector === undefined ? { value: 31, at: fileReceipt(CONFIG) } : dumpLevelOf(collector),
    append: said("KDUMP_COMMANDLINE_APPEND"),
    kexecOptions: said("KEXEC_ARGS"),
    keepFree: undefined,
  };
}

function firstOf(root: Root, paths: readonly string[]): NeededFile {
  const path = paths.find((candidate) => root.exists(candidate)) ?? paths[0]!;
  return { path, file: root.stat(path), at: fileReceipt(path) };
}

function targetOf(words: ReadonlyMap<string, Fact<string>>): KdumpTarget {
  const path = words.get("path");
  const folder = path?.value || "/var/crash";
  const remote = words.get("ssh") ?? words.get("nfs");
  if (remote !== undefined) {
    const key = words.has("ssh") ? (words.get("sshkey")?.value ?? "/root/.ssh/kdump_id_rsa") : undefined;
    return { kind: "network", folder, device: remote.value, key, at: remote.at };
  }
  const raw = words.get("raw");
  if (raw !== undefined) return { kind: "raw", folder, device: raw.value, key: undefined, at: raw.at };
  for (const [word, fact] of words) {
    if (FILE_SYSTEMS.has(word)) return { kind: "device", folder, device: fact.value, key: undefined, at: fact.at };
  }
  return { kind: "path", folder, device: undefined, key: undefined, at: path?.at ?? fileReceipt(CONFIG) };
}
