import { closeSync, constants, fstatSync, openSync, readdirSync, readlinkSync, readSync, type Stats, statfsSync, statSync } from "node:fs";
import { join, posix } from "node:path";

/** Where a fact was read. */
export interface Receipt {
  /** As the host itself would call it, also where the files are a copy. */
  readonly path: string;
  /** From 1; null where the fact is not in a line: that the file is there or not, its age or mode. */
  readonly line: number | null;
}

/** A value and where it was read. */
export interface Fact<T> {
  readonly value: T;
  readonly at: Receipt;
}

export interface Line {
  readonly text: string;
  readonly at: Receipt;
}

/** What is known of a file. */
export interface FileFacts {
  /** Links followed. */
  readonly path: string;
  readonly size: number;
  readonly mtimeMs: number;
  readonly mode: number;
  readonly folder: boolean;
}

export interface FileSystemSpace {
  readonly free: number;
  readonly size: number;
  readonly at: Receipt;
}

/** More of a file is not read: everything looked at is made for people or is one value. */
const LARGEST_FILE = 1024 * 1024;
/** As the kernel's MAXSYMLINKS. */
const MOST_LINKS = 40;
/** Copies of a host cannot be asked how full its disks were: the output of `df -PT -B1`, saved beside its folders. */
const DF_FILE = "/df.txt";

/**
 * The files of a host: this one, or a copy below a folder. Links are followed within that folder, absolute ones too, so that nothing of
 * the machine that looks is taken for the one that is looked at. Nothing here throws for what is not there or not readable.
 */
export class Root {
  readonly folder: string;
  readonly live: boolean;
  readonly #unreadable = new Set<string>();

  constructor(folder: string = "/") {
    this.folder = folder;
    this.live = posix.resolve(folder) === "/";
  }

  /** What is there, and was refused. */
  get unreadable(): readonly string[] {
    return [...this.#unreadable];
  }

  /** The whole file, or undefined. */
  text(path: string): string | undefined {
    const real = this.#real(path);
    if (real === undefined) return undefined;
    let fd: number | undefined;
    try {
      // Non-blocking: a copy may hold a FIFO.
      fd = openSync(join(this.folder, real), constants.O_RDONLY | constants.O_NONBLOCK);
      if (!fstatSync(fd).isFile()) return undefined;
      const parts: Buffer[] = [];
      for (let total = 0; total < LARGEST_FILE;) {
        const part = Buffer.alloc(65536);
        const got = readSync(fd, part, 0, part.length, null);
        if (got === 0) break;
        parts.push(part.subarray(0, got));
        total += got;
      }
      return Buffer.concat(parts).toString("utf8");
    } catch (error) {
      this.#note(path, error);
      return undefined;
    } finally {
      if (fd !== undefined) closeSync(fd);
    }
  }

  lines(path: string): Line[] {
    const text = this.text(path);
    if (text === undefined) return [];
    return text.split("\n").map((line, i) => ({ text: line.replace(/\r$/, ""), at: { path, line: i + 1 } }));
  }

  /** The first line, without space around it. */
  value(path: string): Fact<string> | undefined {
    const text = this.text(path);
    return text === undefined ? undefined : { value: text.split("\n", 1)[0]!.trim(), at: { path, line: 1 } };
  }

  /** A decimal number in the first line. */
  number(path: string): Fact<number> | undefined {
    const fact = this.value(path);
    return fact !== undefined && /^-?\d{1,15}$/.test(fact.value) ? { value: Number(fact.value), at: fact.at } : undefined;
  }

  stat(path: string): FileFacts | undefined {
    const real = this.#real(path);
    if (real === undefined) return undefined;
    try {
      const stats: Stats = statSync(join(this.folder, real));
      return { path: real, size: stats.size, mtimeMs: stats.mtimeMs, mode: stats.mode & 0o7777, folder: stats.isDirectory() };
    } catch (error) {
      this.#note(path, error);
      return undefined;
    }
  }

  exists(path: string): boolean {
    return this.stat(path) !== undefined;
  }

  /** Names in a folder, sorted; empty where there is none. */
  list(path: string): string[] {
    const real = this.#real(path);
    if (real === undefined) return [];
    try {
      return readdirSync(join(this.folder, real)).sort();
    } catch (error) {
      this.#note(path, error);
      return [];
    }
  }

  /** What a link says, not followed. */
  link(path: string): string | undefined {
    const parent = this.#real(posix.dirname(path));
    if (parent === undefined) return undefined;
    try {
      return readlinkSync(join(this.folder, parent, posix.basename(path)));
    } catch {
      return undefined;
    }
  }

  /** Room on the file system mounted at `mountPoint`: asked of this host, or as its `df` said. */
  space(mountPoint: string): FileSystemSpace | undefined {
    if (this.live) {
      try {
        const { bavail, blocks, bsize } = statfsSync(mountPoint);
        // Kernels whose efivarfs does not tell say zero.
        if (blocks === 0) return undefined;
        return { free: bavail * bsize, size: blocks * bsize, at: { path: mountPoint, line: null } };
      } catch {
        return undefined;
      }
    }
    let unit = 1024;
    for (const { text, at } of this.lines(DF_FILE)) {
      const words = text.trim().split(/\s+/);
      const head = /^(\d+)(B|K|M)?-blocks$|^1(B|K|M)-blocks$/.exec(words.find((word) => word.endsWith("-blocks")) ?? "");
      if (head) {
        const letter = head[2] ?? head[3] ?? "";
        unit = Number(head[1] ?? 1) * (letter === "K" ? 1024 : letter === "M" ? 1024 * 1024 : 1);
        continue;
      }
      if (words.at(-1) !== mountPoint || words.length < 6) continue;
      const [size, , free] = words.slice(-5, -2).map(Number);
      if (Number.isFinite(free) && Number.isFinite(size)) return { free: free! * unit, size: size! * unit, at };
    }
    return undefined;
  }

  /** Follows links by hand, since an absolute one means the copy's own root. */
  #real(path: string): string | undefined {
    if (path.includes("\0")) return undefined;
    if (this.live) return path;
    let rest = path.split("/");
    let done: string[] = [];
    let links = 0;
    while (rest.length > 0) {
      const [part, ...after] = rest;
      rest = after;
      if (part === "" || part === "." || part === undefined) continue;
      if (part === "..") {
        done = done.slice(0, -1);
        continue;
      }
      let target: string;
      try {
        target = readlinkSync(join(this.folder, ...done, part));
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === "EACCES") this.#unreadable.add(path);
        done = [...done, part];
        continue;
      }
      if (++links > MOST_LINKS) return undefined;
      if (target.startsWith("/")) done = [];
      rest = [...target.split("/"), ...rest];
    }
    return `/${done.join("/")}`;
  }

  #note(path: string, error: unknown): void {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "EACCES" || code === "EPERM") this.#unreadable.add(path);
  }
}

/** For facts that hang on a file being there or not. */
export function fileReceipt(path: string): Receipt {
  return { path, line: null };
}
