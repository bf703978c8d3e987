/** Most pages that are indexed: 16 GiB of 4 KiB pages, for which the index takes 50 MiB. LKCD is of machines of that size. */
export const MAX_PAGES: number = 2 ** 22;
/** Frame numbers are kept in 32 bits. */
export const MAX_PFN = 0xffff_ffff;

/**
 * Where each page frame's record is: two typed arrays, 12 bytes a page, appended to in file order and sorted once.
 */
export class PageIndex {
  #pfns: Uint32Array;
  #offsets: Float64Array;
  #length = 0;
  #last = 0;
  /** Records that repeated a frame, and the first of them. Known after {@link seal}. */
  duplicates = 0;
  firstDuplicate: { readonly pfn: number; readonly used: number; readonly ignored: number } | undefined;

  constructor(capacity: number = 1024) {
    this.#pfns = new Uint32Array(capacity);
    this.#offsets = new Float64Array(capacity);
  }

  /** Pages held. */
  get length(): number {
    return this.#length;
  }

  /** Appends a page; the caller keeps `pfn` at most {@link MAX_PFN} and the number of pages within its limit. */
  add(pfn: number, offset: number): void {
    if (this.#length === this.#pfns.length) {
      const pfns = new Uint32Array(this.#length * 2);
      pfns.set(this.#pfns);
      const offsets = new Float64Array(this.#length * 2);
      offsets.set(this.#offsets);
      this.#pfns = pfns;
      this.#offsets = offsets;
    }
    this.#pfns[this.#length] = pfn;
    this.#offsets[this.#length] = offset;
    this.#length++;
  }

  /** Sorts by frame; of several records for one frame the one that was added first stays. */
  seal(): void {
    const count = this.#length;
    this.#pfns = this.#pfns.subarray(0, count);
    this.#offsets = this.#offsets.subarray(0, count);
    let ascending = true;
    for (let i = 1; i < count && ascending; i++) ascending = this.#pfns[i]! > this.#pfns[i - 1]!;
    if (ascending) return;
    this.#radixSort();
    const pfns = this.#pfns;
    const offsets = this.#offsets;
    let kept = 1;
    for (let i = 1; i < count; i++) {
      if (pfns[i] === pfns[kept - 1]) {
        this.duplicates++;
        this.firstDuplicate ??= { pfn: pfns[i]!, used: offsets[kept - 1]!, ignored: offsets[i]! };
        continue;
      }
      pfns[kept] = pfns[i]!;
      offsets[kept] = offsets[i]!;
      kept++;
    }
    this.#length = kept;
    this.#pfns = pfns.subarray(0, kept);
    this.#offsets = offsets.subarray(0, kept);
  }

  /** Stable, and linear whatever order the file has: an order made up to be slow costs no more than a good one. */
  #radixSort(): void {
    const count = this.#length;
    let pfns = this.#pfns;
    let offsets = this.#offsets;
    let otherPfns: Uint32Array = new Uint32Array(count);
    let otherOffsets: Float64Array = new Float64Array(count);
    const starts = new Uint32Array(65536);
    for (const shift of [0, 16]) {
      starts.fill(0);
      for (let i = 0; i < count; i++) starts[(pfns[i]! >>> shift) & 0xffff]!++;
      // All in one bucket: nothing to do for these digits.
      if (starts[(pfns[0]! >>> shift) & 0xffff] === count) continue;
      let total = 0;
      for (let digit = 0; digit < 65536; digit++) {
        const size = starts[digit]!;
        starts[digit] = total;
        total += size;
      }
      for (let i = 0; i < count; i++) {
        const to = starts[(pfns[i]! >>> shift) & 0xffff]!++;
        otherPfns[to] = pfns[i]!;
        otherOffsets[to] = offsets[i]!;
      }
      [pfns, otherPfns] = [otherPfns, pfns];
      [offsets, otherOffsets] = [otherOffsets, offsets];
    }
    this.#pfns = pfns;
    this.#offsets = offsets;
  }

  /** Index of the first page at or after `pfn`; {@link length} when there is none. */
  #lowerBound(pfn: number): number {
    let low = 0;
    let high = this.#length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#pfns[middle]! < pfn) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #find(pfn: number): number {
    // Readers go from a page to the next one, or ask for its state and then for its data.
    if (this.#pfns[this.#last] === pfn) return this.#last;
    if (this.#pfns[this.#last + 1] === pfn) return ++this.#last;
    const index = this.#lowerBound(pfn);
    if (this.#pfns[index] !== pfn) return -1;
    this.#last = index;
    return index;
  }

  /** Whether the frame has a record. */
  has(pfn: number): boolean {
    return this.#find(pfn) >= 0;
  }

  /** Offset of the frame's record, or undefined. */
  offset(pfn: number): number | undefined {
    const index = this.#find(pfn);
    return index < 0 ? undefined : this.#offsets[index];
  }

  /** The first frame at or after `pfn` that has a record. */
  next(pfn: number): number | undefined {
    return this.#pfns[this.#lowerBound(pfn)];
  }

  /** The highest frame, or -1 when there is none. */
  get highest(): number {
    return this.#length === 0 ? -1 : this.#pfns[this.#length - 1]!;
  }
}
