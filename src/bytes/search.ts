/** Probes are remembered up to this number; a report makes a few hundred. */
const MAX_REMEMBERED = 1024;

/**
 * Finds values in an ascending table that is read page by page on demand, where a probe costs more than arithmetic.
 * Guesses are where the value would be if the table were even (addresses nearly are) between the nearest places seen
 * before, so that few pages are read; whenever a guess does not halve what is left, the next step bisects.
 */
export class AscendingTable {
  readonly count: number;
  readonly #valueAt: (index: number) => number;
  /** Places seen before, ascending. */
  readonly #indexes: number[] = [];
  readonly #values: number[] = [];

  /** @param count elements; @param valueAt the element at an index, 0 to count - 1. */
  constructor(count: number, valueAt: (index: number) => number) {
    this.count = count;
    this.#valueAt = valueAt;
  }

  /** Index of the last element ≤ `wanted`, or -1. What `valueAt` throws passes. */
  lastAtOrBelow(wanted: number): number {
    if (this.count === 0) return -1;
    if (this.#indexes.length === 0) {
      this.#remember(0, 0, this.#valueAt(0));
      if (this.count > 1) this.#remember(1, this.count - 1, this.#valueAt(this.count - 1));
    }
    // The remembered places around it; the first and the last element are always among them.
    let at = this.#firstAbove(wanted);
    if (at === 0) return -1;
    if (at === this.#values.length) return this.#indexes.at(-1)!;
    let low = this.#indexes[at - 1]!;
    let lowValue = this.#values[at - 1]!;
    let high = this.#indexes[at]!;
    let highValue = this.#values[at]!;
    let bisect = false;
    while (high - low > 1) {
      const span = high - low;
      let guess = low + (span >> 1);
      if (!bisect && highValue > lowValue) {
        guess = low + Math.floor(((wanted - lowValue) / (highValue - lowValue)) * span);
        if (guess <= low) guess = low + 1;
        if (guess >= high) guess = high - 1;
      }
      const value = this.#valueAt(guess);
      if (value <= wanted) {
        this.#remember(at, guess, value);
        at++;
        low = guess;
        lowValue = value;
      } else {
        this.#remember(at, guess, value);
        high = guess;
        highValue = value;
      }
      bisect = !bisect && (high - low) * 2 > span;
    }
    return low;
  }

  #remember(at: number, index: number, value: number): void {
    if (this.#indexes.length >= MAX_REMEMBERED) return;
    this.#indexes.splice(at, 0, index);
    this.#values.splice(at, 0, value);
  }

  /** Number of remembered values ≤ `wanted`. */
  #firstAbove(wanted: number): number {
    let low = 0;
    let high = this.#values.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#values[middle]! <= wanted) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/** Index of the last element ≤ `value` of an ascending array in memory, or -1. */
export function lastAtOrBelow(sorted: Float64Array, value: number): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle]! <= value) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}
