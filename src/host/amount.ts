const UNITS = "kmgtpe";

/** A number as the kernel's memparse reads it: decimal, octal or hexadecimal, with K to E behind it. Undefined for anything else. */
export function parseMemory(text: string): number | undefined {
  const match = /^(0[xX][0-9a-fA-F]{1,13}|\d{1,15})([kKmMgGtTpPeE]?)$/.exec(text);
  if (!match) return undefined;
  const value = Number(match[1]) * 1024 ** (match[2] === "" ? 0 : UNITS.indexOf(match[2]!.toLowerCase()) + 1);
  return Number.isSafeInteger(value) ? value : undefined;
}

export const MIB: number = 1024 * 1024;
export const GIB: number = 1024 * MIB;

/** `512 MiB`, `1.5 GiB`: for sentences. */
export function sayBytes(bytes: number): string {
  if (bytes >= 10 * GIB) return `${Math.round(bytes / GIB)} GiB`;
  if (bytes >= GIB) return `${Math.round((bytes / GIB) * 10) / 10} GiB`;
  return bytes >= MIB ? `${Math.round(bytes / MIB)} MiB` : `${Math.round(bytes / 1024)} KiB`;
}

/** A word of a shell command. */
export function quoteWord(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}
