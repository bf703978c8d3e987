/** What a test page holds; each is different for every frame. */
export type PagePattern = "text" | "noise" | "zero" | "fill";

/** The bytes of a test page. `text` compresses well by zlib and not by RLE, `fill` by both, `noise` by neither. */
export function pagePattern(pattern: PagePattern, pfn: number, size: number): Uint8Array {
  if (pattern === "zero") return new Uint8Array(size);
  if (pattern === "fill") {
    const page = new Uint8Array(size).fill((pfn * 7 + 1) & 0xff);
    new DataView(page.buffer).setUint32(size - 8, pfn, true);
    return page;
  }
  if (pattern === "text") return Buffer.from(`page frame ${pfn} of the test dump\n`.repeat(Math.ceil(size / 20)).slice(0, size));
  const page = new Uint8Array(size);
  let x = (pfn + 1) * 2654435761;
  for (let i = 0; i < size; i++) {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    // No zeros: RLE must not gain anything.
    page[i] = x & 0xff || 1;
  }
  return page;
}
