/*
 * Which lines of two texts are the same line. Patience: what is in both just once fixes its place, what lies between two
 * such places is aligned by itself. Texts of nothing but equal lines have no such places: those are taken in order.
 */

/** Steps per line after which no better alignment is looked for. */
const WORK = 64;
/** Of two stretches without a line that is unique, the best alignment is worked out where they are small. */
const MAX_TABLE = 10_000;

/**
 * Aligns two sequences of keys.
 *
 * @returns for each of `b` its partner in `a`, -1 for none; ascending. Where one is part of the other, all of it has partners.
 *   Time and memory are linear in the lengths, but for a sort.
 */
export function alignKeys(a: Int32Array, b: Int32Array, keys: number): Int32Array {
  const partner = new Int32Array(b.length).fill(-1);
  // Per key: how often it is in the stretch of a and of b, and where last.
  const countA = new Int32Array(keys);
  const countB = new Int32Array(keys);
  const placeA = new Int32Array(keys);
  let work = WORK * (a.length + b.length + 16);
  const stretches: [aFrom: number, aTo: number, bFrom: number, bTo: number][] = [[0, a.length, 0, b.length]];
  for (let stretch = stretches.pop(); stretch !== undefined; stretch = stretches.pop()) {
    let [aFrom, aTo, bFrom, bTo] = stretch;
    while (aFrom < aTo && bFrom < bTo && a[aFrom] === b[bFrom]) partner[bFrom++] = aFrom++;
    while (aFrom < aTo && bFrom < bTo && a[aTo - 1] === b[bTo - 1]) partner[--bTo] = --aTo;
    const lengthA = aTo - aFrom;
    const lengthB = bTo - bFrom;
    if (lengthA === 0 || lengthB === 0) continue;
    work -= lengthA + lengthB;
    const anchors = work > 0 ? uniqueInBoth(aFrom, aTo, bFrom, bTo) : [];
    if (anchors.length === 0) {
      if (work > 0 && lengthA * lengthB <= MAX_TABLE) {
        work -= lengthA * lengthB;
        byTable(aFrom, aTo, bFrom, bTo);
      } else inOrder(aFrom, aTo, bFrom, bTo);
      continue;
    }
    let previousA = aFrom;
    let previousB = bFrom;
    for (const [atA, atB] of anchors) {
      partner[atB] = atA;
      if (atA > previousA && atB > previousB) stretches.push([previousA, atA, previousB, atB]);
      previousA = atA + 1;
      previousB = atB + 1;
    }
    if (aTo > previousA && bTo > previousB) stretches.push([previousA, aTo, previousB, bTo]);
  }
  return partner;

  /** Pairs of what is once in each, the longest row of them that ascends in both. */
  function uniqueInBoth(aFrom: number, aTo: number, bFrom: number, bTo: number): [number, number][] {
    for (let i = aFrom; i < aTo; i++) {
      countA[a[i]!] = 0;
    }
    for (let i = bFrom; i < bTo; i++) {
      countB[b[i]!] = 0;
      countA[b[i]!] = 0;
    }
    for (let i = aFrom; i < aTo; i++) {
      countA[a[i]!] = countA[a[i]!]! + 1;
      placeA[a[i]!] = i;
    }
    for (let i = bFrom; i < bTo; i++) countB[b[i]!] = countB[b[i]!]! + 1;
    const pairs: [number, number][] = [];
    for (let i = bFrom; i < bTo; i++) if (countB[b[i]!] === 1 && countA[b[i]!] === 1) pairs.push([placeA[b[i]!]!, i]);
    return longestAscending(pairs);
  }

  /** The classic table of the longest common subsequence. */
  function byTable(aFrom: number, aTo: number, bFrom: number, bTo: number): void {
    const width = bTo - bFrom + 1;
    const table = new Int32Array((aTo - aFrom + 1) * width);
    for (let i = aTo - 1; i >= aFrom; i--) {
      for (let j = bTo - 1; j >= bFrom; j--) {
        const at = (i - aFrom) * width + (j - bFrom);
        table[at] = a[i] === b[j] ? table[at + width + 1]! + 1 : Math.max(table[at + width]!, table[at + 1]!);
      }
    }
    for (let i = aFrom, j = bFrom; i < aTo && j < bTo;) {
      const at = (i - aFrom) * width + (j - bFrom);
      if (a[i] === b[j]) partner[j++] = i++;
      else if (table[at + width]! >= table[at + 1]!) i++;
      else j++;
    }
  }

  /** Each line of the shorter to the next equal one of the longer: whole, where the shorter is part of the longer. */
  function inOrder(aFrom: number, aTo: number, bFrom: number, bTo: number): void {
    const shortIsB = bTo - bFrom <= aTo - aFrom;
    const [short, shortFrom, shortTo] = shortIsB ? [b, bFrom, bTo] : [a, aFrom, aTo];
    const [long, longFrom, longTo] = shortIsB ? [a, aFrom, aTo] : [b, bFrom, bTo];
    const places = new Map<number, { readonly at: number[]; next: number }>();
    for (let i = longFrom; i < longTo; i++) {
      const entry = places.get(long[i]!);
      if (entry) entry.at.push(i);
      else places.set(long[i]!, { at: [i], next: 0 });
    }
    let cursor = longFrom;
    for (let i = shortFrom; i < shortTo; i++) {
      const entry = places.get(short[i]!);
      if (!entry) continue;
      while (entry.next < entry.at.length && entry.at[entry.next]! < cursor) entry.next++;
      const found = entry.at[entry.next];
      if (found === undefined) continue;
      cursor = found + 1;
      if (shortIsB) partner[i] = found;
      else partner[found] = i;
    }
  }
}

/** Of pairs ascending in the second, the longest row that ascends in the first, too. */
function longestAscending(pairs: readonly [number, number][]): [number, number][] {
  /** Index of the pair that ends the row of each length with the smallest first. */
  const ends: number[] = [];
  const before = new Int32Array(pairs.length);
  for (let i = 0; i < pairs.length; i++) {
    let low = 0;
    let high = ends.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (pairs[ends[middle]!]![0] < pairs[i]![0]) low = middle + 1;
      else high = middle;
    }
    before[i] = low === 0 ? -1 : ends[low - 1]!;
    ends[low] = i;
  }
  const row: [number, number][] = [];
  for (let at = ends.at(-1) ?? -1; at >= 0; at = before[at]!) row.push(pairs[at]!);
  return row.reverse();
}
