/** Copies of hosts: the text files below fixtures/, and what git does not keep (images, links, ages, modes), then one fault. */
import {
  chmodSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

export const families = ["debian", "fedora", "suse"] as const;
export type Family = (typeof families)[number];

const releases: Readonly<Record<Family, string>> = {
  debian: "6.1.0-28-amd64",
  fedora: "6.14.5-300.fc42.x86_64",
  suse: "6.12.0-160000.5-default",
};

/** A tree that can be broken. Paths are the host's. */
export class HostTree {
  readonly folder: string;
  readonly release: string;

  constructor(family: Family | "empty") {
    this.folder = mkdtempSync(join(tmpdir(), "lastwords-host-"));
    this.release = family === "empty" ? "" : releases[family];
    if (family === "empty") return;
    cpSync(join("test/host/fixtures", family), this.folder, { recursive: true });
    // Everything is from last year, what is built on the host from this one.
    this.age("/etc/kdump.conf", 400);
    this.age("/etc/sysconfig/kdump", 400);
    const { release } = this;
    this.folderOf("/var/crash", 0o700);
    this.link("/etc/systemd/system/sysinit.target.wants/systemd-pstore.service", "/usr/lib/systemd/system/systemd-pstore.service");
    switch (family) {
      case "debian":
        this.image(`/boot/vmlinuz-${release}`, 8, 300);
        this.image(`/boot/initrd.img-${release}`, 40, 200);
        this.image(`/var/lib/kdump/initrd.img-${release}`, 20, 200);
        this.link("/var/lib/kdump/vmlinuz", `/boot/vmlinuz-${release}`);
        this.link("/var/lib/kdump/initrd.img", `/var/lib/kdump/initrd.img-${release}`);
        this.link("/etc/sysctl.d/99-sysctl.conf", "../sysctl.conf");
        break;
      case "fedora":
        this.image(`/boot/vmlinuz-${release}`, 17, 300);
        this.image(`/boot/initramfs-${release}.img`, 45, 200);
        this.image(`/boot/initramfs-${release}kdump.img`, 34, 200);
        this.folderOf("/srv/crash/dumps", 0o755);
        this.link("/etc/systemd/system/multi-user.target.wants/kdump.service", "/usr/lib/systemd/system/kdump.service");
        break;
      case "suse":
        this.image(`/usr/lib/modules/${release}/vmlinuz`, 14, 300);
        this.link("/var/lib/kdump/kernel", `/usr/lib/modules/${release}/vmlinuz`);
        this.image("/var/lib/kdump/initrd", 28, 200);
        this.link("/etc/systemd/system/multi-user.target.wants/kdump.service", "/usr/lib/systemd/system/kdump.service");
        this.link("/etc/systemd/system/sysinit.target.wants/lastwords-record.service", "/usr/lib/systemd/system/lastwords-record.service");
        break;
    }
  }

  write(path: string, text: string): void {
    const place = this.#place(path);
    mkdirSync(dirname(place), { recursive: true });
    rmSync(place, { force: true });
    writeFileSync(place, text);
  }

  /** Replaces text that must be there; the file's age stays. */
  edit(path: string, from: string | RegExp, to: string): void {
    const place = this.#place(path);
    const before = readFileSync(place, "utf8");
    const after = before.replace(from, () => to);
    if (after === before) throw new Error(`${path} has no ${from}`);
    writeFileSync(place, after);
    this.age(path, 400);
  }

  remove(path: string): void {
    rmSync(this.#place(path), { recursive: true });
  }

  link(path: string, target: string): void {
    const place = this.#place(path);
    mkdirSync(dirname(place), { recursive: true });
    rmSync(place, { force: true });
    symlinkSync(target, place);
  }

  /** A file of so many MiB that takes no room. */
  image(path: string, mebibytes: number, days: number): void {
    this.write(path, "");
    truncateSync(this.#place(path), mebibytes * 1024 * 1024);
    this.age(path, days);
  }

  folderOf(path: string, mode: number): void {
    mkdirSync(this.#place(path), { recursive: true });
    chmodSync(this.#place(path), mode);
  }

  mode(path: string, mode: number): void {
    chmodSync(this.#place(path), mode);
  }

  /** Last written so many days ago. */
  age(path: string, days: number): void {
    const seconds = Date.now() / 1000 - days * 86_400;
    try {
      utimesSync(this.#place(path), seconds, seconds);
    } catch {
      // Not every family has it.
    }
  }

  delete(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }

  #place(path: string): string {
    return join(this.folder, path);
  }
}
