import { type ByteSource, DumpError, lastAtOrBelow, readExactly } from "../../bytes/index.ts";
import type { DumpProblem, OpenOptions } from "../dump.ts";
import {
  DATA_HEADER_SIZE,
  END_FLAG_FLAT_HEADER,
  MAKEDUMPFILE_SIGNATURE,
  MAX_SIZE_MDF_HEADER,
  TYPE_FLAT_HEADER,
  VERSION_FLAT_HEADER,
} from "./layout.ts";

/** 24 bytes each while indexing: 100 MB is the most that an index may cost. makedumpfile writes far larger segments. */
const MAX_SEGMENTS = 4_000_000;

/** The dump inside a flattened stream, put back in order on the fly: gaps read as zero, the last writer of a byte wins. */
export class FlattenedSource implements ByteSource {
  readonly name: string;
  readonly size: number;
  readonly problems: DumpProblem[] = [];
  readonly #source: ByteSource;
  /** Disjoint pieces sorted by place in the rearranged file. */
  readonly #starts: Float64Array;
  readonly #ends: Float64Array;
  readonly #places: Float64Array;

  /** @throws CORRUPT or UNSUPPORTED where not even the header is sound, LIMIT above four million segments. */
  constructor(source: ByteSource, options: OpenOptions = {}) {
    this.#source = source;
    this.name = source.name;
    const head = readExactly(source, 0, 32, "flattened header");
    const view = new DataView(head.buffer);
    const type = view.getBigInt64(16);
    const version = view.getBigInt64(24);
    if (type !== BigInt(TYPE_FLAT_HEADER) || version !== BigInt(VERSION_FLAT_HEADER)) {
      throw new DumpError("UNSUPPORTED", `flattened header has type ${type} and version ${version}, 1 and 1 are known`);
    }
    const segments = this.#scan(options);
    const pieces = disjoint(segments);
    this.#starts = pieces.starts;
    this.#ends = pieces.ends;
    this.#places = pieces.places;
    this.size = pieces.ends.at(-1) ?? 0;
  }

  #scan(options: OpenOptions): Segments {
    const source = this.#source;
    let count = 0;
    let starts = new Float64Array(1024);
    let sizes = new Float64Array(1024);
    let places = new Float64Array(1024);
    const head = new Uint8Array(DATA_HEADER_SIZE);
    const view = new DataView(head.buffer);
    let at = MAX_SIZE_MDF_HEADER;
    for (;;) {
      if (source.read(at, head) < DATA_HEADER_SIZE) {
        this.problems.push({ code: "TRUNCATED", message: `the flattened stream ends at ${source.size} without its end marker` });
        break;
      }
      const start = view.getBigInt64(0);
      const size = view.getBigInt64(8);
      if (start === END_FLAG_FLAT_HEADER && size === END_FLAG_FLAT_HEADER) break;
      if (start < 0n || size < 0n || start + size > BigInt(Number.MAX_SAFE_INTEGER)) {
        this.problems.push({
          code: "CORRUPT",
          message: `the segment header at ${at} of the flattened stream has offset ${start} and size ${size}`,
        });
        break;
      }
      if (count >= MAX_SEGMENTS)
        throw new DumpError("LIMIT", `the flattened stream has more than ${MAX_SEGMENTS} segments; rearrange it with makedumpfile -R`);
      if (count === starts.length) {
        starts = grown(starts);
        sizes = grown(sizes);
        places = grown(places);
      }
      const place = at + DATA_HEADER_SIZE;
      const there = Math.min(Number(size), Math.max(0, source.size - place));
      if (there > 0) {
        starts[count] = Number(start);
        sizes[count] = there;
        places[count] = place;
        count++;
      }
      if (there < Number(size)) {
        this.problems.push({
          code: "TRUNCATED",
          message: `the segment at ${at} of the flattened stream needs ${size} bytes, the file has ${there} of them`,
        });
        break;
      }
      at = place + Number(size);
      if ((count & 0xfff) === 0) options.onProgress?.("indexing flattened stream", at, source.size);
    }
    return { count, starts, sizes, places };
  }

  read(offset: number, into: Uint8Array): number {
    if (offset < 0 || offset >= this.size) return 0;
    const wanted = Math.min(into.length, this.size - offset);
    let done = 0;
    let index = lastAtOrBelow(this.#starts, offset);
    while (done < wanted) {
      const at = offset + done;
      if (index >= 0 && at < this.#ends[index]!) {
        const count = Math.min(wanted - done, this.#ends[index]! - at);
        const part = done === 0 && count === into.length ? into : into.subarray(done, done + count);
        const got = this.#source.read(this.#places[index]! + (at - this.#starts[index]!), part);
        if (got < count) return done + got;
        done += count;
      } else {
        const next = index + 1 < this.#starts.length ? this.#starts[index + 1]! : this.size;
        const count = Math.min(wanted - done, next - at);
        into.fill(0, done, done + count);
        done += count;
      }
      if (index + 1 < this.#starts.length && offset + done >= this.#starts[index + 1]!) index++;
    }
    return done;
  }

  close(): void {
    this.#source.close();
  }
}

interface Segments {
  readonly count: number;
  readonly starts: Float64Array;
  readonly sizes: Float64Array;
  readonly places: Float64Array;
}

function grown(array: Float64Array<ArrayBuffer>): Float64Array<ArrayBuffer> {
  const bigger = new Float64Array(array.length * 2);
  bigger.set(array);
  return bigger;
}

/**
 * Resolves overlaps: later segments (they are numbered in stream order) hide earlier ones. Most segments do not
 * overlap, so the sweep is one sort and a walk; the leftovers of a hidden segment go back through a small heap.
 */
function disjoint(segments: Segments): { starts: Float64Array; ends: Float64Array; places: Float64Array } {
  const order = new Uint32Array(segments.count).map((_, i) => i);
  order.sort((a, b) => segments.starts[a]! - segments.starts[b]! || a - b);
  const starts: number[] = [];
  const ends: number[] = [];
  const places: number[] = [];
  const ranks: number[] = [];
  const leftovers: { start: number; end: number; place: number; rank: number }[] = [];
  let next = 0;
  for (;;) {
    const rank = next < order.length ? order[next]! : -1;
    const first = leftovers[0];
    let piece: { start: number; end: number; place: number; rank: number };
    if (first && (rank < 0 || first.start <= segments.starts[rank]!)) {
      piece = leftovers.shift()!;
    } else if (rank >= 0) {
      piece = { start: segments.starts[rank]!, end: segments.starts[rank]! + segments.sizes[rank]!, place: segments.places[rank]!, rank };
      next++;
    } else break;
    const top = starts.length - 1;
    if (top < 0 || piece.start >= ends[top]!) {
      starts.push(piece.start);
      ends.push(piece.end);
      places.push(piece.place);
      ranks.push(piece.rank);
    } else if (piece.rank < ranks[top]!) {
      // Hidden up to the end of the newer one.
      if (piece.end > ends[top]!)
        insert(leftovers, { start: ends[top]!, end: piece.end, place: piece.place + (ends[top]! - piece.start), rank: piece.rank });
    } else {
      const old = { start: starts[top]!, end: ends[top]!, place: places[top]!, rank: ranks[top]! };
      if (old.end > piece.end)
        insert(leftovers, { start: piece.end, end: old.end, place: old.place + (piece.end - old.start), rank: old.rank });
      if (old.start < piece.start) {
        ends[top] = piece.start;
      } else {
        starts.pop();
        ends.pop();
        places.pop();
        ranks.pop();
      }
      insert(leftovers, piece);
    }
  }
  return { starts: Float64Array.from(starts), ends: Float64Array.from(ends), places: Float64Array.from(places) };
}

function insert<T extends { start: number; rank: number }>(sorted: T[], piece: T): void {
  let at = sorted.length;
  while (at > 0 && (sorted[at - 1]!.start > piece.start || (sorted[at - 1]!.start === piece.start && sorted[at - 1]!.rank > piece.rank)))
    at--;
  sorted.splice(at, 0, piece);
}

/** True when the bytes begin a flattened stream. */
export function isFlattened(head: Uint8Array): boolean {
  return Buffer.from(head.buffer, head.byteOffset, Math.min(16, head.length)).toString("latin1") === MAKEDUMPFILE_SIGNATURE;
}
