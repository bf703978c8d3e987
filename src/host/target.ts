import { posix } from "node:path";
import type { KdumpFacts } from "./kdump.ts";
import { type Fact, type FileFacts, type FileSystemSpace, type Receipt, type Root } from "./root.ts";

export interface Mount {
  readonly source: string;
  readonly point: string;
  readonly type: string;
  readonly options: readonly string[];
  readonly at: Receipt;
}

/** Where dumps go, and what there is. */
export interface TargetFacts {
  readonly folder: FileFacts | undefined;
  /** As this host has it mounted now; undefined where it is not. */
  readonly mount: Mount | undefined;
  /** What fstab says should be mounted there. */
  readonly wanted: Mount | undefined;
  /** Whether a device that is named exists; undefined where that cannot be told. */
  readonly deviceKnown: boolean | undefined;
  readonly space: FileSystemSpace | undefined;
  /** It lies on an encrypted device. */
  readonly encrypted: Receipt | undefined;
  readonly key: { readonly path: string; readonly there: boolean } | undefined;
  /** Dumps that everybody may read. */
  readonly open: readonly string[];
}

const MOUNTS = ["/proc/mounts", "/proc/self/mounts", "/etc/mtab"];

/** What is mounted, in order. */
export function mountsOf(root: Root): Mount[] {
  for (const path of MOUNTS) if (root.text(path) !== undefined) return table(root, path);
  return [];
}

function table(root: Root, path: string): Mount[] {
  return root.lines(path).flatMap(({ text, at }) => {
    const words = text.trim().split(/\s+/);
    if (words.length < 4 || words[0]!.startsWith("#")) return [];
    const [source, point, type, options] = words.map((word) =>
      word.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8))),
    );
    return [{ source: source!, point: point!, type: type!, options: options!.split(","), at }];
  });
}

/** The mount that a path is on: the longest mount point above it, of equal ones the last. */
function covering(mounts: readonly Mount[], path: string): Mount | undefined {
  let best: Mount | undefined;
  for (const mount of mounts) {
    const point = mount.point.endsWith("/") ? mount.point : `${mount.point}/`;
    if (mount.point.startsWith("/") && `${path}/`.startsWith(point) && (best === undefined || mount.point.length >= best.point.length))
      best = mount;
  }
  return best;
}

const MOST_DUMPS = 200;

export function readTarget(root: Root, kdump: KdumpFacts): TargetFacts {
  const { target } = kdump;
  const mounts = mountsOf(root);
  const fstab = table(root, "/etc/fstab");
  const key = target.key === undefined ? undefined : { path: target.key, there: root.exists(target.key) };
  if (target.kind === "network") {
    return {
      folder: undefined,
      mount: undefined,
      wanted: undefined,
      deviceKnown: undefined,
      space: undefined,
      encrypted: undefined,
      key,
      open: [],
    };
  }
  let folder = posix.normalize(`/${target.folder}`);
  if (folder.length > 1) folder = folder.replace(/\/$/, "");
  let mount: Mount | undefined;
  let wanted: Mount | undefined;
  let deviceKnown: boolean | undefined;
  if (target.kind === "path") {
    mount = covering(mounts, folder);
    wanted = covering(fstab, folder);
  } else {
    const device = target.device!;
    wanted = fstab.find((each) => each.source === device);
    mount = mounts.find((each) => each.source === device) ?? (wanted && mounts.find((each) => each.point === wanted!.point));
    deviceKnown = deviceExists(root, device);
    folder = mount === undefined ? folder : posix.join(mount.point, folder);
  }
  const onHost = target.kind === "path" || (target.kind === "device" && mount !== undefined);
  return {
    folder: onHost ? root.stat(folder) : undefined,
    mount,
    wanted,
    deviceKnown,
    space: mount === undefined ? undefined : root.space(mount.point),
    encrypted: encryptedAt(root, mount?.source),
    key,
    open: onHost ? openDumps(root, folder) : [],
  };
}

/** By udev's links: of a copy without them nothing can be told. */
function deviceExists(root: Root, device: string): boolean | undefined {
  const tag = /^(UUID|LABEL|PARTUUID|PARTLABEL)=(.*)$/.exec(device);
  const path = tag ? `/dev/disk/by-${tag[1]!.toLowerCase()}/${tag[2]!.replaceAll('"', "")}` : device;
  if (!path.startsWith("/dev/")) return undefined;
  const folder = posix.dirname(path);
  if (root.list(folder).length === 0) return undefined;
  return root.list(folder).includes(posix.basename(path)) || root.link(path) !== undefined;
}

/** The device-mapper name of the source is in crypttab. */
function encryptedAt(root: Root, source: string | undefined): Receipt | undefined {
  if (!source?.startsWith("/dev/mapper/")) return undefined;
  const name = posix.basename(source);
  return root.lines("/etc/crypttab").find(({ text }) => text.trim().split(/\s+/, 1)[0] === name)?.at;
}

function openDumps(root: Root, folder: string): string[] {
  const found: string[] = [];
  for (const name of root.list(folder).slice(0, MOST_DUMPS)) {
    const path = posix.join(folder, name);
    if (root.stat(path)?.folder !== true) continue;
    for (const file of root.list(path).slice(0, MOST_DUMPS)) {
      if (!/^(?:vmcore|dump\.)/.test(file) || file.endsWith(".txt")) continue;
      const stats = root.stat(posix.join(path, file));
      if (stats !== undefined && !stats.folder && (stats.mode & 0o004) !== 0) found.push(posix.join(path, file));
    }
  }
  return found;
}

/** Bytes that a dump may take at most: level 31 keeps what the kernel itself holds, others all memory. Compressed, it is a third or less. */
export function forecastDump(
  level: number | undefined,
  memory: Fact<number> | undefined,
  kernel: Fact<number> | undefined,
): number | undefined {
  return (level ?? 0) === 31 ? (kernel?.value ?? memory?.value) : memory?.value;
}
