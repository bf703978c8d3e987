import type { ByteSource } from "../../bytes/index.ts";

const REVERSED: Uint8Array = Uint8Array.from({ length: 256 }, (_, byte) => {
  let out = 0;
  for (let bit = 0; bit < 8; bit++) if (byte & (1 << bit)) out |= 0x80 >> bit;
  return out;
});

/**
 * A source whose bytes have their bits in the other order: sadump's bitmaps begin with the most significant bit, those
 * of kdump with the least (makedumpfile:sadump_info.c:reverse_bit turns them too). Closing it closes nothing.
 */
export class BitReversedSource implements ByteSource {
  readonly name: string;
  readonly size: number;
  readonly #source: ByteSource;

  /** @param end offset at which the readable part ends: past it there are other bytes than bitmap. */
  constructor(source: ByteSource, end: number) {
    this.#source = source;
    this.name = source.name;
    this.size = Math.min(source.size, end);
  }

  read(offset: number, into: Uint8Array): number {
    const wanted = Math.min(into.length, this.size - offset);
    if (offset < 0 || wanted <= 0) return 0;
    const got = this.#source.read(offset, wanted === into.length ? into : into.subarray(0, wanted));
    for (let i = 0; i < got; i++) into[i] = REVERSED[into[i]!]!;
    return got;
  }

  close(): void {}
}
