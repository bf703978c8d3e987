import { type Library, openHot, withFfi } from "../../node/index.ts";
import { PAGE_SIZE } from "./layout.ts";

/** Of mmap(2), on Linux. */
const PROT_READ = 1;
const PROT_WRITE = 2;
const MAP_SHARED = 1;

/** Bytes that are mapped at a time, where all of them may be. */
const WINDOW = 0x10_0000;
const BOUNCE = 0x1_0000;

/**
 * `/dev/mem` by mmap(2), which has no such end as read() and write() of it (linux:drivers/char/mem.c:mmap_mem, read_mem). Only with node:ffi.
 * Not for files: what is mapped behind the end of one kills who touches it.
 */
export class MappedMemory {
  readonly #functions: Library["functions"];
  readonly #fd: number;
  readonly #writable: boolean;
  readonly #bounce: Uint8Array;
  readonly #bounceAt: bigint;
  /** What is mapped: physical addresses `[start, end)`, and where. */
  #start = 0;
  #end = 0;
  #at = 0n;

  private constructor(functions: Library["functions"], bounce: Uint8Array, bounceAt: bigint, fd: number, writable: boolean) {
    this.#functions = functions;
    this.#bounce = bounce;
    this.#bounceAt = bounceAt;
    this.#fd = fd;
    this.#writable = writable;
  }

  /** Undefined without node:ffi. @param fd of the device, which stays the caller's. */
  static open(fd: number, writable: boolean): MappedMemory | undefined {
    return withFfi((ffi) => {
      const functions = openHot(ffi, {
        mmap: { arguments: ["pointer", "u64", "i32", "i32", "i32", "i64"], return: "pointer" },
        munmap: { arguments: ["pointer", "u64"], return: "i32" },
        memcpy: { arguments: ["pointer", "pointer", "u64"], return: "pointer" },
      });
      const bounce = new Uint8Array(new SharedArrayBuffer(BOUNCE));
      return new MappedMemory(functions, bounce, ffi.getRawPointer(bounce), fd, writable);
    });
  }

  /** Fills `into`. @returns false where the kernel does not let it be mapped. */
  read(paddr: number, into: Uint8Array): boolean {
    return this.#each(paddr, into.length, (at, done, count) => {
      this.#functions["memcpy"]!(this.#bounceAt, at, BigInt(count));
      into.set(this.#bounce.subarray(0, count), done);
    });
  }

  /** @returns false where the kernel does not let it be mapped; a part may be written then. */
  write(paddr: number, bytes: Uint8Array): boolean {
    return this.#each(paddr, bytes.length, (at, done, count) => {
      this.#bounce.set(bytes.subarray(done, done + count));
      this.#functions["memcpy"]!(at, this.#bounceAt, BigInt(count));
    });
  }

  close(): void {
    if (this.#end > this.#start) this.#functions["munmap"]!(this.#at, BigInt(this.#end - this.#start));
    this.#start = this.#end = 0;
  }

  #each(paddr: number, length: number, copy: (at: bigint, done: number, count: number) => void): boolean {
    for (let done = 0; done < length;) {
      const from = paddr + done;
      if (!this.#map(from)) return false;
      const count = Math.min(length - done, this.#end - from, BOUNCE);
      copy(this.#at + BigInt(from - this.#start), done, count);
      done += count;
    }
    return true;
  }

  /** Maps what is around an address; of a window that is not allowed as a whole, as it is in part the running kernel's, the page alone. */
  #map(paddr: number): boolean {
    if (paddr >= this.#start && paddr < this.#end) return true;
    this.close();
    for (const size of [WINDOW, PAGE_SIZE]) {
      const start = Math.floor(paddr / size) * size;
      const protection = this.#writable ? PROT_READ | PROT_WRITE : PROT_READ;
      const at = BigInt(this.#functions["mmap"]!(0n, BigInt(size), protection, MAP_SHARED, this.#fd, BigInt(start)));
      if (BigInt.asIntN(64, at) === -1n) continue;
      this.#at = at;
      this.#start = start;
      this.#end = start + size;
      return true;
    }
    return false;
  }
}
