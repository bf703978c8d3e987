import { type RecordType, typeId, typeName } from "../record.ts";

/*
 * Names of the variables that efi-pstore keeps dumps in (linux:drivers/firmware/efi/efi-pstore.c:efi_pstore_write; before 3.8
 * linux:drivers/firmware/efivars.c). Three generations, each with one field more:
 *
 *   dump-typeTYPE-PART-SECONDS             one dump only: a later one overwrites it
 *   dump-typeTYPE-PART-COUNT-SECONDS       several dumps
 *   dump-typeTYPE-PART-COUNT-SECONDS-C     C: compressed, D: not
 *
 * efivarfs appends `-` and the vendor's GUID.
 */

/** LINUX_EFI_CRASH_GUID (linux:include/linux/efi.h), as efivarfs writes it. */
export const EFI_CRASH_GUID: string = "cfc8fc79-be2e-4ddc-97f0-9f98bfe298a0";

/** What a variable's name says. */
export interface EfiDumpName {
  readonly type: RecordType;
  /** 1 is the newest text. */
  readonly part: number;
  /** Number of the dump in its boot; 0 in names that have none. */
  readonly count: number;
  /** Since 1970; up to 2^64 - 1, as hostile names may be. */
  readonly seconds: bigint;
  readonly compressed: boolean;
  /** Fields behind `dump-type`: which generation wrote it. */
  readonly fields: 3 | 4 | 5;
}

const GUID = /-([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})$/i;
const NAME = /^dump-type(\d{1,10})-(\d{1,10})-(?:(-?\d{1,10})-)?(\d{1,20})(?:-([A-Z]))?$/;
const U32_MAX = 0xffff_ffff;
const U64_MAX = 0xffff_ffff_ffff_ffffn;

/**
 * Parses a variable's name, with or without the vendor's GUID. Undefined where it is not one of a dump: another vendor's, other
 * words, a type that no kernel has, numbers that do not fit the kernel's variables.
 */
export function parseEfiName(name: string): EfiDumpName | undefined {
  // The kernel stores names at full length: what is behind the first NUL is padding.
  const end = name.indexOf("\0");
  let rest = end < 0 ? name : name.slice(0, end);
  const guid = GUID.exec(rest);
  if (guid) {
    if (guid[1]!.toLowerCase() !== EFI_CRASH_GUID) return undefined;
    // Before anything else: `-c` of this very GUID would pass for a type letter.
    rest = rest.slice(0, guid.index);
  }
  const match = NAME.exec(rest);
  if (!match) return undefined;
  const [, typeText, partText, countText, secondsText, letter] = match;
  // No generation has a letter without a count.
  if (countText === undefined && letter !== undefined) return undefined;
  const type = typeName(Number(typeText));
  const part = Number(partText);
  const count = Number(countText ?? "0");
  const seconds = BigInt(secondsText!);
  if (type === undefined || part > U32_MAX || count > 0x7fff_ffff || count < -0x8000_0000 || seconds > U64_MAX) return undefined;
  return { type, part, count, seconds, compressed: letter === "C", fields: countText === undefined ? 3 : letter === undefined ? 4 : 5 };
}

/** The name that a kernel of that generation gives, without GUID; fields that it does not have are left out. */
export function formatEfiName({ type, part, count, seconds, compressed, fields }: EfiDumpName): string {
  const head = `dump-type${typeId(type)}-${part}`;
  if (fields === 3) return `${head}-${seconds}`;
  return `${head}-${count}-${seconds}${fields === 5 ? (compressed ? "-C" : "-D") : ""}`;
}

/**
 * Decimal number at the end of the record's file name, as kernels since 3.13 compute it for names of every generation
 * (linux:drivers/firmware/efi/efi-pstore.c:generic_id); it is 64 bits and wraps. Kernels before took the part alone.
 */
export function efiRecordId({ seconds, part, count }: Pick<EfiDumpName, "seconds" | "part" | "count">): string {
  return String(BigInt.asUintN(64, (seconds * 100n + BigInt(part)) * 1000n + BigInt(count)));
}
