import { expect } from "vitest";
import { asPfn, isDumpError } from "../../src/bytes/index.ts";
import type { DumpFile } from "../../src/format/index.ts";

/** What a dump must hold, frame by frame. */
export interface Expected {
  readonly pages: ReadonlyMap<number, Uint8Array>;
  readonly excluded?: readonly number[];
  readonly absent: readonly number[];
}

/** What every reader of a dump format must do, whatever the format. Closes the dump. */
export function expectConforming(dump: DumpFile, expected: Expected): void {
  const page = new Uint8Array(dump.pageSize);
  for (const [pfn, bytes] of expected.pages) {
    expect(dump.pageState(asPfn(pfn)), `state of page ${pfn}`).toBe("stored");
    page.fill(0xee);
    dump.readPage(asPfn(pfn), page);
    expect(Buffer.compare(page, bytes), `content of page ${pfn}`).toBe(0);
  }
  for (const pfn of expected.excluded ?? []) {
    expect(dump.pageState(asPfn(pfn)), `state of page ${pfn}`).toBe("excluded");
    expect(codeOf(dump, pfn), `page ${pfn}`).toBe("EXCLUDED");
  }
  for (const pfn of expected.absent) {
    expect(dump.pageState(asPfn(pfn)), `state of page ${pfn}`).toBe("absent");
    expect(codeOf(dump, pfn), `page ${pfn}`).toBe("NOT_STORED");
  }
  const found: number[] = [];
  for (let pfn = dump.nextStored(asPfn(0)); pfn !== undefined; pfn = dump.nextStored(asPfn(pfn + 1))) found.push(pfn);
  expect(found).toEqual([...expected.pages.keys()].sort((a, b) => a - b));
  // Any number has a state, and the highest page is below the limit.
  for (const pfn of [0, dump.maxPfn, dump.maxPfn + 1, 2 ** 31, 2 ** 40, 2 ** 52])
    expect(["stored", "excluded", "absent"]).toContain(dump.pageState(asPfn(pfn)));
  expect(Math.max(...found)).toBeLessThan(dump.maxPfn);
  expect(dump.info().length).toBeGreaterThan(0);
  dump.close();
  dump.close();
}

/** Code of the error that reading a page gives; "none" where it can be read. */
export function codeOf(dump: DumpFile, pfn: number): string {
  try {
    dump.readPage(asPfn(pfn), new Uint8Array(dump.pageSize));
    return "none";
  } catch (error) {
    if (isDumpError(error)) return error.code;
    throw error;
  }
}
