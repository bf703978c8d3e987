import { type FileSystemSpace, type Root } from "./root.ts";

/** EFI variables, as far as crash records need them. */
export interface EfiFacts {
  /** Room for variables, where the kernel tells (efivarfs' statfs, 6.5 and later). */
  readonly space: FileSystemSpace | undefined;
  /** Variables that hold records of crashes (linux:drivers/firmware/efi/efi-pstore.c: `dump-type…` of LINUX_EFI_CRASH_GUID). */
  readonly records: readonly string[];
}

const FOLDER = "/sys/firmware/efi/efivars";

export function readEfi(root: Root): EfiFacts | undefined {
  if (!root.exists("/sys/firmware/efi")) return undefined;
  return {
    space: root.space(FOLDER),
    records: root
      .list(FOLDER)
      .filter((name) => /^dump-type.*-cfc8fc79-be2e-4ddc-97f0-9f98bfe298a0$/.test(name))
      .map((name) => `${FOLDER}/${name}`),
  };
}
