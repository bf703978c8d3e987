/** One entry of an archive. `path` has no leading slash. */
export interface CpioEntry {
  readonly path: string;
  /** File type and permissions as in `st_mode`, e.g. 0o100755. */
  readonly mode: number;
  /** Content of a file, target of a symbolic link; empty for a folder. */
  readonly data: Uint8Array;
}

const HEADER_SIZE = 110;

/**
 * A cpio archive in the "newc" format, which is what the kernel unpacks as initramfs
 * (Documentation/driver-api/early-userspace/buffer-format.rst): fields are 8 hex digits, names and contents padded to 4 bytes.
 * Everything belongs to root, so no root is needed to make it.
 */
export function encodeCpio(entries: readonly CpioEntry[]): Uint8Array {
  const all = [...entries, { path: "TRAILER!!!", mode: 0, data: new Uint8Array() }];
  const names = all.map((entry) => Buffer.from(`${entry.path}\0`));
  const size = all.reduce((sum, entry, i) => sum + pad4(HEADER_SIZE + (names[i]?.length ?? 0)) + pad4(entry.data.length), 0);
  const out = Buffer.alloc(size);
  let offset = 0;
  for (const [i, entry] of all.entries()) {
    const name = names[i] ?? Buffer.alloc(1);
    //             ino    mode        uid gid nlink mtime filesize         devmajor minor rdev… namesize     check
    const fields = [i + 1, entry.mode, 0, 0, 1, 0, entry.data.length, 0, 0, 0, 0, name.length, 0];
    const header = `070701${fields.map((field) => field.toString(16).padStart(8, "0")).join("")}`;
    out.write(header, offset, "latin1");
    name.copy(out, offset + HEADER_SIZE);
    offset += pad4(HEADER_SIZE + name.length);
    out.set(entry.data, offset);
    offset += pad4(entry.data.length);
  }
  return out;
}

function pad4(length: number): number {
  return (length + 3) & ~3;
}
