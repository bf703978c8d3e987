/** A small generator whose whole state is its seed: a case is told again by two numbers (xorshift128+ cut to 32 bits). */
export class Random {
  #a: number;
  #b: number;

  constructor(seed: number, index: number) {
    this.#a = (seed ^ 0x9e3779b9) >>> 0 || 1;
    this.#b = (Math.imul(index + 1, 0x85ebca6b) ^ seed) >>> 0 || 2;
    for (let i = 0; i < 8; i++) this.next();
  }

  /** 0 to 2^32 - 1. */
  next(): number {
    let t = this.#a;
    this.#a = this.#b;
    t ^= t << 13;
    t ^= t >>> 17;
    t ^= this.#b ^ (this.#b >>> 5);
    this.#b = t >>> 0;
    return (this.#a + this.#b) >>> 0;
  }

  /** 0 to `limit` - 1. */
  below(limit: number): number {
    return limit <= 1 ? 0 : this.next() % limit;
  }

  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)]!;
  }
}
