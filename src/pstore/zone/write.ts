import type { ZoneStore } from "../ramoops/write.ts";
import type { RecordTime, RecordType } from "../record.ts";
import { DATALEN, PSTORE_KMSG_HEADER_MAGIC, PSZ_HEADER_SIZE, SIG, signatureOf, START } from "./layout.ts";

/** No write goes to the ring in larger pieces: a cut loses the piece in progress. */
const PIECE = 65536;
/** struct psz_kmsg_header of a 64-bit machine. */
const KMSG_HEADER_SIZE = 40;
/** enum kmsg_dump_reason. */
const REASONS: ReadonlyMap<string, number> = new Map([
  ["Panic", 1],
  ["Oops", 2],
  ["Emergency", 3],
  ["Shutdown", 4],
]);

/** Number of a reason; 0 for one that the kernel has not. */
export function reasonId(reason: string): number {
  return REASONS.get(reason) ?? 0;
}

/**
 * Writes one ring zone of pstore/zone as the kernel does (linux:fs/pstore/zone.c:psz_record_write): the text first, the 12 bytes of
 * header behind it, in one store each. A device takes the header's sector whole, so that a cut at any store loses the piece
 * in progress and shows, where the ring is full, its bytes in place of the oldest.
 */
export class PszZoneWriter {
  /** Bytes of the ring. */
  readonly capacity: number;
  readonly #store: ZoneStore;
  readonly #header: Uint8Array = new Uint8Array(PSZ_HEADER_SIZE);
  readonly #view: DataView = new DataView(this.#header.buffer);
  #start = 0;
  #datalen = 0;

  /** Attaches to a zone. Valid text in it is kept, and what is written goes behind it. */
  constructor(store: ZoneStore, size: number, type: RecordType) {
    this.#store = store;
    this.capacity = size - PSZ_HEADER_SIZE;
    store.read(0, this.#header);
    const datalen = this.#view.getInt32(DATALEN, true);
    const start = this.#view.getInt32(START, true);
    const valid =
      this.#view.getUint32(SIG, true) === signatureOf(type) && datalen >= 0 && datalen <= this.capacity && start >= 0 && start <= datalen;
    if (valid) {
      this.#datalen = datalen;
      this.#start = start;
    } else {
      this.#view.setUint32(SIG, signatureOf(type), true);
      this.#putHeader(0, 0);
    }
  }

  /** Appends to the ring; the oldest text goes where there is no room. Of more than the ring holds the last bytes stay. */
  write(bytes: Uint8Array): void {
    let from = Math.max(0, bytes.length - this.capacity);
    while (from < bytes.length) {
      // The kernel lets start stand at the end and wraps with the next write.
      const at = this.#start === this.capacity ? 0 : this.#start;
      const length = Math.min(bytes.length - from, PIECE, this.capacity - at);
      this.#store.write(PSZ_HEADER_SIZE + at, bytes.subarray(from, from + length));
      this.#putHeader(at + length, Math.max(this.#datalen, at + length));
      from += length;
    }
  }

  #putHeader(start: number, datalen: number): void {
    this.#start = start;
    this.#datalen = datalen;
    this.#view.setInt32(DATALEN, datalen, true);
    this.#view.setInt32(START, start, true);
    this.#store.write(0, this.#header);
  }
}

/**
 * Writes a dmesg zone whole, as a 64-bit kernel does (linux:fs/pstore/zone.c:psz_kmsg_write_record), uncompressed.
 *
 * @param size bytes of the zone. @param count number of the dump since the device was made. @returns bytes of the text that fit.
 */
export function writePszRecord(
  store: ZoneStore,
  size: number,
  { time, text, reason, count }: { readonly time: RecordTime; readonly text: Uint8Array; readonly reason: string; readonly count: number },
): number {
  const zone = new Uint8Array(size);
  const view = new DataView(zone.buffer);
  const part = text.subarray(0, Math.max(0, size - PSZ_HEADER_SIZE - KMSG_HEADER_SIZE));
  view.setUint32(SIG, signatureOf("dmesg"), true);
  view.setInt32(DATALEN, KMSG_HEADER_SIZE + part.length, true);
  view.setInt32(START, 0, true);
  const at = PSZ_HEADER_SIZE;
  view.setUint32(at, PSTORE_KMSG_HEADER_MAGIC, true);
  view.setBigInt64(at + 8, BigInt(time.seconds), true);
  view.setBigInt64(at + 16, BigInt(time.nanoseconds), true);
  zone[at + 24] = 0;
  view.setUint32(at + 28, count, true);
  view.setUint32(at + 32, reasonId(reason), true);
  zone.set(part, at + KMSG_HEADER_SIZE);
  // The header last: until it is there the zone holds what it held before, or nothing valid.
  store.write(0, new Uint8Array(PSZ_HEADER_SIZE));
  store.write(PSZ_HEADER_SIZE, zone.subarray(PSZ_HEADER_SIZE));
  store.write(0, zone.subarray(0, PSZ_HEADER_SIZE));
  return part.length;
}
