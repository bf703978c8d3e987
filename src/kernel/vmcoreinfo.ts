import { asVaddr, type Vaddr } from "../bytes/index.ts";

/** Far more lines than any kernel writes into its one page. */
const MAX_LINES = 4096;

/**
 * The VMCOREINFO text that a kernel keeps for its dump readers (linux:kernel/vmcore_info.c): `KEY=value` lines.
 * Symbols and KERNELOFFSET are hex without prefix, SIZE/OFFSET/LENGTH decimal, NUMBER signed decimal or 0x-hex.
 */
export class Vmcoreinfo {
  readonly text: string;
  readonly #values: Map<string, string> = new Map();

  constructor(text: string) {
    this.text = text;
    for (const line of text.split("\n", MAX_LINES)) {
      const equals = line.indexOf("=");
      // The first value of a key wins: a torn copy may repeat keys behind its end.
      if (equals > 0 && !this.#values.has(line.slice(0, equals))) this.#values.set(line.slice(0, equals), line.slice(equals + 1));
    }
  }

  /** Raw value of a key, as `OSRELEASE` or `SYMBOL(prb)`. */
  get(key: string): string | undefined {
    return this.#values.get(key);
  }

  /** Keys in the order of the text. */
  keys(): IterableIterator<string> {
    return this.#values.keys();
  }

  /** Runtime address of a symbol (KASLR is in it). */
  symbol(name: string): Vaddr | undefined {
    const value = this.get(`SYMBOL(${name})`);
    return value !== undefined && /^[0-9a-f]{1,16}$/i.test(value) ? asVaddr(BigInt(`0x${value}`)) : undefined;
  }

  /** NUMBER(name), signed. */
  number(name: string): bigint | undefined {
    const value = this.get(`NUMBER(${name})`);
    if (value === undefined) return undefined;
    if (/^0x[0-9a-f]{1,16}$/i.test(value)) return BigInt(value);
    return /^-?\d{1,20}$/.test(value) ? BigInt(value) : undefined;
  }

  /** SIZE(name) in bytes. */
  size(name: string): number | undefined {
    return this.#decimal(`SIZE(${name})`);
  }

  /** OFFSET(name) in bytes; `name` as `prb_desc.state_var`. */
  offset(name: string): number | undefined {
    return this.#decimal(`OFFSET(${name})`);
  }

  /** LENGTH(name) in elements. */
  arrayLength(name: string): number | undefined {
    return this.#decimal(`LENGTH(${name})`);
  }

  /** KERNELOFFSET: what KASLR added to link-time addresses; 0 without. */
  get kernelOffset(): bigint {
    const value = this.get("KERNELOFFSET");
    return value !== undefined && /^[0-9a-f]{1,16}$/i.test(value) ? BigInt(`0x${value}`) : 0n;
  }

  #decimal(key: string): number | undefined {
    const value = this.get(key);
    return value !== undefined && /^\d{1,9}$/.test(value) ? Number(value) : undefined;
  }
}
