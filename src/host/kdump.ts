import type { Fact, FileFacts, Receipt, Root } from "./root.ts";

export type Flavor = "debian" | "fedora" | "suse";

/** Where a capture kernel saves to. */
export type TargetKind = "path" | "device" | "raw" | "network";

export interface KdumpTarget {
  readonly kind: TargetKind;
  /** The folder: on this host for `path`, within the device for `device`. */
  readonly folder: string;
  /** The device of `device` and `raw` as configured (`UUID=...`, `/dev/...`); the host of `network`. */
  readonly device: string | undefined;
  /** The key that an ssh target needs. */
  readonly key: string | undefined;
  readonly at: Receipt;
}

/** A file that kdump needs: where it ought to be, and what is there. */
export interface NeededFile {
  readonly path: string;
  readonly file: FileFacts | undefined;
  /** Where its place is said; of itself where that is fixed. */
  readonly at: Receipt;
}

/** What the three families have in common. */
export interface KdumpFacts {
  readonly flavor: Flavor;
  readonly config: string;
  /** When the configuration was last changed, where the capture initramfs holds a copy of it. */
  readonly configFile: FileFacts | undefined;
  readonly enabled: Fact<boolean>;
  readonly kernel: NeededFile;
  /** Undefined where it is not known where it ought to be. */
  readonly initramfs: NeededFile | undefined;
  readonly target: KdumpTarget;
  /** 0 to 31; undefined where it is not said in a way that can be read. */
  readonly dumpLevel: Fact<number> | undefined;
  /** Words for the capture kernel's command line. */
  readonly append: Fact<string> | undefined;
  /** What kexec is called with. */
  readonly kexecOptions: Fact<string> | undefined;
  /** Bytes that must stay free for a dump to be kept. */
  readonly keepFree: Fact<number> | undefined;
}

/** A unit is enabled when a target or another unit wants it, and not masked (systemd.unit(5)). */
export function unitState(
  root: Root,
  unit: string,
): { readonly state: "enabled" | "disabled" | "masked" | "absent"; readonly at: Receipt } {
  const own = `/etc/systemd/system/${unit}`;
  if (root.link(own) === "/dev/null") return { state: "masked", at: { path: own, line: null } };
  for (const folder of ["/etc/systemd/system", "/run/systemd/system"]) {
    for (const name of root.list(folder)) {
      if (!/\.(?:wants|requires)$/.test(name)) continue;
      const path = `${folder}/${name}/${unit}`;
      if (root.link(path) !== undefined || root.exists(path)) return { state: "enabled", at: { path, line: null } };
    }
  }
  for (const folder of ["/etc/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"]) {
    const path = `${folder}/${unit}`;
    if (root.exists(path)) return { state: "disabled", at: { path, line: null } };
  }
  return { state: "absent", at: { path: `/usr/lib/systemd/system/${unit}`, line: null } };
}

/** A level in makedumpfile's options; of a list, the last, smallest. */
export function dumpLevelOf(options: Fact<string>): Fact<number> | undefined {
  const match = /(?:^|\s)-d\s*(\d{1,2}(?:,\d{1,2})*)(?:\s|$)/.exec(options.value);
  const level = match === null ? Number.NaN : Number(match[1]!.split(",").at(-1));
  return level <= 31 ? { value: level, at: options.at } : undefined;
}

/** The version in a file's name: `vmlinuz-6.1.0-18-amd64`, `initrd.img-…`, `initramfs-…kdump.img`, `…/modules/…/vmlinuz`. */
export function versionOfImage(path: string): string | undefined {
  const name = /(?:vmlinu[xz]|[iI]mage|initrd\.img|initrd|initramfs)-(.+?)(?:-?kdump)?(?:\.img|\.gz)?$/.exec(path)?.[1];
  return name ?? /\/modules\/([^/]+)\/(?:vmlinu[xz]|[iI]mage)$/.exec(path)?.[1];
}
