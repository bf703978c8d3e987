/* How far two places of a page are equal: what all compressors ask. */

/** End of the match that is known to hold up to `m`, with `ref` its earlier twin; stops at `end` or up to 7 bytes after. */
export function matchEnd(m: usize, ref: usize, end: usize): usize {
  while (m < end) {
    const difference = load<u64>(m) ^ load<u64>(ref);
    if (difference) return m + <usize>(ctz(difference) >> 3);
    m += 8;
    ref += 8;
  }
  return m;
}

/** As `matchEnd`, but stops at `end` exactly and reads nothing behind it. */
export function matchEndExact(m: usize, ref: usize, end: usize): usize {
  while (m + 8 <= end) {
    const difference = load<u64>(m) ^ load<u64>(ref);
    if (difference) return m + <usize>(ctz(difference) >> 3);
    m += 8;
    ref += 8;
  }
  while (m < end && load<u8>(m) == load<u8>(ref)) {
    m++;
    ref++;
  }
  return m;
}
