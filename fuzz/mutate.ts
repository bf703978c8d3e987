import type { Random } from "./random.ts";
import type { Seed } from "./seeds.ts";

/** Values that break arithmetic. */
const EXTREMES: readonly bigint[] = [
  0n,
  1n,
  0x7fn,
  0xffn,
  0x7fffn,
  0xffffn,
  0x7fffffffn,
  0x80000000n,
  0xffffffffn,
  0x7fffffffffffffffn,
  0x8000000000000000n,
  0xffffffffffffffffn,
  4096n,
  4095n,
  0x100000000n,
];

/** The seed's files with a few things wrong. The seed itself is not changed. */
export function mutate(seed: Seed, random: Random): Uint8Array[] {
  const files = seed.files.map((file) => new Uint8Array(file));
  const rounds = 1 + random.below(6);
  for (let round = 0; round < rounds; round++) {
    const index = random.below(files.length);
    const file = files[index]!;
    if (file.length < 16) continue;
    // Headers are a small part of a file and most of what can go wrong.
    const reach = random.below(4) < 3 ? Math.min(file.length, seed.headerBytes) : file.length;
    // In files with headers all over, one of them.
    const near = seed.headers && random.below(4) < 3 ? random.pick(seed.headers) + random.below(seed.headerBytes) : file.length;
    const at = near < file.length ? near : random.below(reach);
    switch (random.below(9)) {
      case 0:
      case 1:
        file[at]! ^= 1 << random.below(8);
        break;
      case 2:
        file[at] = random.below(256);
        break;
      case 3:
      case 4: {
        const aligned = Math.min(at & ~3, file.length - 8);
        new DataView(file.buffer, file.byteOffset).setUint32(aligned, Number(random.pick(EXTREMES) & 0xffffffffn), random.below(8) > 0);
        break;
      }
      case 5: {
        const aligned = Math.min(at & ~7, file.length - 8);
        new DataView(file.buffer, file.byteOffset).setBigUint64(aligned, random.pick(EXTREMES), random.below(8) > 0);
        break;
      }
      case 6:
        file.copyWithin(at, random.below(file.length), random.below(file.length));
        break;
      case 7:
        file.fill(random.pick([0, 0xff, 0x41]), at, at + random.below(256));
        break;
      default:
        if (round === 0) files[index] = file.slice(0, random.below(file.length + 1));
    }
  }
  return files;
}
