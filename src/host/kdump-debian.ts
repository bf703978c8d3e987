import { dumpLevelOf, type KdumpFacts, type KdumpTarget } from "./kdump.ts";
import { type Fact, fileReceipt, type Root } from "./root.ts";
import { readShellConfig } from "./shell-config.ts";

const CONFIG = "/etc/default/kdump-tools";

/** Debian and Ubuntu (kdump-tools:kdump-config). */
export function readDebianKdump(root: Root, release: string | undefined): KdumpFacts | undefined {
  const words = readShellConfig(root, CONFIG);
  if (words === undefined) return undefined;
  const said = (name: string): Fact<string> | undefined => {
    const fact = words.get(name);
    return fact === undefined || fact.value === "" ? undefined : fact;
  };
  const use = said("USE_KDUMP");
  // kdump-config:locate_kdump_kernel: what is configured, else the running kernel's own files.
  const kernel = said("KDUMP_KERNEL") ?? { value: `/boot/vmlinuz-${release ?? ""}`, at: fileReceipt(CONFIG) };
  const initramfs = said("KDUMP_INITRD") ?? { value: `/boot/initrd.img-${release ?? ""}`, at: fileReceipt(CONFIG) };
  const options = said("MAKEDUMP_ARGS");
  return {
    flavor: "debian",
    config: CONFIG,
    configFile: undefined,
    enabled: { value: use !== undefined && use.value !== "0", at: use?.at ?? fileReceipt(CONFIG) },
    kernel: { path: kernel.value, file: root.stat(kernel.value), at: kernel.at },
    initramfs: { path: initramfs.value, file: root.stat(initramfs.value), at: initramfs.at },
    target: targetOf(said),
    dumpLevel: options === undefined ? { value: 31, at: fileReceipt(CONFIG) } : dumpLevelOf(options),
    append: said("KDUMP_CMDLINE_APPEND"),
    kexecOptions: said("KDUMP_KEXEC_ARGS"),
    keepFree: undefined,
  };
}

function targetOf(said: (name: string) => Fact<string> | undefined): KdumpTarget {
  const folder = said("KDUMP_COREDIR");
  const ssh = said("SSH");
  const remote = ssh ?? said("NFS") ?? said("FTP");
  if (remote !== undefined) {
    return {
      kind: "network",
      folder: folder?.value ?? "/var/crash",
      device: remote.value,
      key: ssh === undefined ? undefined : (said("SSH_KEY")?.value ?? "/root/.ssh/kdump_id_rsa"),
      at: remote.at,
    };
  }
  return { kind: "path", folder: folder?.value ?? "/var/crash", device: undefined, key: undefined, at: folder?.at ?? fileReceipt(CONFIG) };
}
