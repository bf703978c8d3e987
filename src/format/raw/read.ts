import { asPfn, type ByteSource, DumpError, hex, MAX_PADDR, type Pfn } from "../../bytes/index.ts";
import type { DumpFile, DumpProblem, ElfNote, InfoSection, PageState } from "../dump.ts";

/** Any page size would do for bytes without structure; this is the one that page tables have. */
const PAGE_SIZE = 4096;

/**
 * A stretch of physical memory as it was, byte for byte: /dev/mem, QEMU's pmemsave, a reserved region. Nothing in it
 * says what machine it is from; byte order and word size are those of x86_64.
 */
export class RawDump implements DumpFile {
  readonly format = "raw";
  readonly pageSize: number = PAGE_SIZE;
  readonly littleEndian = true;
  readonly wordSize = 8;
  readonly arch: string | undefined = undefined;
  readonly maxPfn: number;
  readonly notes: readonly ElfNote[] = [];
  readonly vmcoreinfo: string | undefined = undefined;
  readonly problems: DumpProblem[] = [];
  readonly #source: ByteSource;
  /** Physical addresses [base, end) are in the image. */
  readonly #base: number;
  readonly #end: number;

  /**
   * @param base physical address of the first byte; need not be a page boundary.
   * @throws BAD_ARGUMENT when the image would not be at addresses below 2^52.
   */
  constructor(source: ByteSource, base: number) {
    if (!Number.isSafeInteger(base) || base < 0 || base + source.size > MAX_PADDR) {
      throw new DumpError("BAD_ARGUMENT", `an image of ${source.size} bytes at ${hex(base)} does not lie below ${hex(MAX_PADDR)}`);
    }
    this.#source = source;
    this.#base = base;
    this.#end = base + source.size;
    this.maxPfn = source.size === 0 ? 0 : Math.ceil(this.#end / PAGE_SIZE);
    if (base % PAGE_SIZE !== 0) this.#partial("first", this.#base);
    // An image within one page is one partial page.
    if (this.#end % PAGE_SIZE !== 0 && (base % PAGE_SIZE === 0 || Math.floor(this.#end / PAGE_SIZE) !== Math.floor(base / PAGE_SIZE))) {
      this.#partial("last", this.#end - 1);
    }
  }

  #partial(which: string, address: number): void {
    const page = Math.floor(address / PAGE_SIZE) * PAGE_SIZE;
    const from = Math.max(page, this.#base);
    const to = Math.min(page + PAGE_SIZE, this.#end);
    if (to > from)
      this.problems.push({
        code: "TRUNCATED",
        message: `the image has only ${hex(from)} to ${hex(to)} of its ${which} page, which begins at ${hex(page)}`,
      });
  }

  pageState(pfn: Pfn): PageState {
    const address = pfn * PAGE_SIZE;
    return this.#source.size > 0 && address + PAGE_SIZE > this.#base && address < this.#end ? "stored" : "absent";
  }

  /** As the interface says; of a partial page, the bytes that are there are filled in before TRUNCATED is thrown. */
  readPage(pfn: Pfn, into: Uint8Array): void {
    const address = pfn * PAGE_SIZE;
    if (into.length !== PAGE_SIZE)
      throw new DumpError("BAD_ARGUMENT", `a page has ${PAGE_SIZE} bytes, the buffer ${into.length}`, { at: address });
    if (this.pageState(pfn) === "absent") {
      throw new DumpError("NOT_STORED", `page at ${hex(address)} is outside the image, which is ${hex(this.#base)} to ${hex(this.#end)}`, {
        at: address,
      });
    }
    const from = Math.max(address, this.#base);
    const to = Math.min(address + PAGE_SIZE, this.#end);
    const part = into.subarray(from - address, to - address);
    const got = this.#source.read(from - this.#base, part);
    if (part.length === PAGE_SIZE && got === PAGE_SIZE) return;
    into.fill(0, 0, from - address);
    into.fill(0, from - address + got);
    throw new DumpError("TRUNCATED", `page at ${hex(address)}: the image has ${got} of its ${PAGE_SIZE} bytes, from ${hex(from)} on`, {
      at: address,
    });
  }

  nextStored(pfn: Pfn): Pfn | undefined {
    const next = Math.max(pfn, Math.floor(this.#base / PAGE_SIZE));
    return next < this.maxPfn ? asPfn(next) : undefined;
  }

  info(): InfoSection[] {
    return [
      {
        title: "raw image",
        fields: [
          ["first address", hex(this.#base)],
          ["end address", hex(this.#end)],
          ["bytes", this.#source.size],
        ],
      },
    ];
  }

  close(): void {
    this.#source.close();
  }
}
