import { encodeLatin1 } from "../../bytes/index.ts";
import { formatRecordHeader } from "../dmesg.ts";
import type { RecordTime } from "../record.ts";
import { ECC_BLOCK_SIZE, PERSISTENT_RAM_SIG, SIG, SIZE, START, ZONE_HEADER_SIZE, type ZoneGeometry, zoneGeometry } from "./layout.ts";
import { codeOf, readZone } from "./zone.ts";

/** Where a zone lies: memory behind `/dev/mem`, or a file. Offsets are bytes from the zone's first. */
export interface ZoneStore {
  read(offset: number, into: Uint8Array): void;
  /** One store. What it writes may be cut at any byte when the machine dies; the order of stores is kept. */
  write(offset: number, bytes: Uint8Array): void;
}

/** No write goes to the ring in larger pieces: a cut loses the piece in progress. */
const PIECE = 16384;

/**
 * Writes one zone as the kernel does (linux:fs/pstore/ram_core.c:persistent_ram_write), in another order of stores. The kernel
 * moves `size` and `start` first and copies then, for its text is in the log buffer too; we have only this one. Here a piece
 * of text is stored, then its blocks' parity, then `size`, then `start`, then the header's parity. So, whichever store is cut:
 *
 * - the text before is whole: new bytes go where no valid ones are, or over the oldest, which this write evicts anyway;
 * - while the header is old the new bytes are not shown, and while `size` is new and `start` old they are shown first;
 * - a torn block has at most its new bytes wrong in either reading, because decoding gives up on it or mends it.
 *
 * `size` and `start` are stored four aligned bytes at a time, which memory takes whole. With ECC a cut within them is mended too.
 */
export class RamoopsZoneWriter {
  readonly geometry: ZoneGeometry;
  readonly #store: ZoneStore;
  /** The zone as it is in the store: re-encoding a block needs all of its bytes, and memory behind a device is slow to read. */
  readonly #mirror: Uint8Array;
  readonly #view: DataView;
  #start = 0;
  #size = 0;

  /**
   * Attaches to a zone. Valid text in it is kept, and what is written goes behind it.
   *
   * @param size bytes of the zone; @param eccSize parity bytes a block, 0 for none.
   * @throws BAD_ARGUMENT when the zone has no room for data.
   */
  constructor(store: ZoneStore, size: number, eccSize: number) {
    this.geometry = zoneGeometry(size, eccSize);
    this.#store = store;
    this.#mirror = new Uint8Array(size);
    this.#view = new DataView(this.#mirror.buffer);
    store.read(0, this.#mirror);
    const found = readZone(this.#mirror, eccSize, true);
    const { capacity } = this.geometry;
    if (found.status === "valid" && found.version === 0) {
      // What ECC mended goes into the mirror, and to the store when its block is written next.
      this.#mirror.set(found.data, ZONE_HEADER_SIZE);
      this.#size = found.size;
      // Kernels before the fix of buffer_start_add() let it stand at the end.
      this.#start = found.start === capacity ? 0 : found.start;
    }
    if (found.status !== "valid" || found.version !== 0) {
      this.#view.setUint32(SIG, PERSISTENT_RAM_SIG, true);
      this.#setHeader(0, 0);
      // The signature last: until it is there a kernel takes nothing of this zone for valid.
      this.#put(START, 8);
      this.#put(SIG, 4);
      this.#putHeaderParity();
    }
  }

  /** Valid bytes. */
  get size(): number {
    return this.#size;
  }

  /** The first bytes of the ring. */
  peek(length: number): Uint8Array {
    return this.#mirror.subarray(ZONE_HEADER_SIZE, ZONE_HEADER_SIZE + Math.min(length, this.geometry.capacity));
  }

  /** Appends to the ring; the oldest text goes where there is no room. Of more than the ring holds the last bytes stay. */
  write(bytes: Uint8Array): void {
    const { capacity } = this.geometry;
    let from = Math.max(0, bytes.length - capacity);
    while (from < bytes.length) {
      const length = Math.min(bytes.length - from, PIECE, capacity - this.#start);
      this.#writePiece(bytes.subarray(from, from + length));
      from += length;
    }
  }

  /** Stores bytes that do not wrap. */
  #writePiece(bytes: Uint8Array): void {
    const { capacity } = this.geometry;
    const at = this.#start;
    this.#mirror.set(bytes, ZONE_HEADER_SIZE + at);
    this.#put(ZONE_HEADER_SIZE + at, bytes.length);
    this.#putParity(at, bytes.length);
    const start = at + bytes.length === capacity ? 0 : at + bytes.length;
    const size = Math.max(this.#size, at + bytes.length);
    if (size !== this.#size) {
      this.#setHeader(at, size);
      this.#put(SIZE, 4);
    }
    this.#setHeader(start, size);
    this.#put(START, 4);
    this.#putHeaderParity();
  }

  /**
   * Empties the zone and writes a record into it: header line, then text, cut where the zone ends.
   *
   * @returns bytes of the text that fit.
   */
  writeRecord(time: RecordTime, text: Uint8Array): number {
    const header = encodeLatin1(formatRecordHeader(time));
    const room = Math.max(0, this.geometry.capacity - header.length);
    this.zap();
    this.write(header);
    const part = text.subarray(0, room);
    this.write(part);
    return part.length;
  }

  /** Empties the zone; the bytes stay where they are (linux:fs/pstore/ram_core.c:persistent_ram_zap). */
  zap(): void {
    this.#setHeader(0, 0);
    // `start` first: `start` above `size` would be no valid header.
    this.#put(START, 4);
    this.#put(SIZE, 4);
    this.#putHeaderParity();
  }

  #setHeader(start: number, size: number): void {
    this.#start = start;
    this.#size = size;
    this.#view.setUint32(START, start, true);
    this.#view.setUint32(SIZE, size, true);
  }

  #put(offset: number, length: number): void {
    this.#store.write(offset, this.#mirror.subarray(offset, offset + length));
  }

  /** Parity of every block that ring bytes `[at, at + length)` touch, in one store. */
  #putParity(at: number, length: number): void {
    const { eccSize, capacity, parityAt } = this.geometry;
    if (eccSize === 0) return;
    const code = codeOf(eccSize);
    const first = Math.floor(at / ECC_BLOCK_SIZE);
    const last = Math.floor((at + length - 1) / ECC_BLOCK_SIZE);
    for (let block = first; block <= last; block++) {
      const from = block * ECC_BLOCK_SIZE;
      code.encode(
        this.#mirror,
        ZONE_HEADER_SIZE + from,
        Math.min(ECC_BLOCK_SIZE, capacity - from),
        this.#mirror,
        parityAt + block * eccSize,
      );
    }
    this.#put(parityAt + first * eccSize, (last - first + 1) * eccSize);
  }

  #putHeaderParity(): void {
    const { eccSize, headerParityAt } = this.geometry;
    if (eccSize === 0) return;
    codeOf(eccSize).encode(this.#mirror, 0, ZONE_HEADER_SIZE, this.#mirror, headerParityAt);
    this.#put(headerParityAt, eccSize);
  }
}

/**
 * Gives an ftrace zone that has no valid header an empty one, as the kernel does with every zone: a reader finds by the headers
 * how a region is divided. What a kernel traced is kept.
 *
 * @param version LINUX_VERSION_CODE of the running kernel. @throws BAD_ARGUMENT when the zone has no room for data.
 */
export function prepareFtraceZone(store: ZoneStore, size: number, eccSize: number, version: number): void {
  const { headerParityAt } = zoneGeometry(size, eccSize);
  const zone = new Uint8Array(size);
  store.read(0, zone);
  const { status, version: found } = readZone(zone, eccSize, true);
  if ((status === "valid" || status === "empty") && found !== 0) return;
  const header = new Uint8Array(ZONE_HEADER_SIZE + eccSize);
  new DataView(header.buffer).setUint32(SIG, (PERSISTENT_RAM_SIG ^ version) >>> 0, true);
  if (eccSize > 0) codeOf(eccSize).encode(header, 0, ZONE_HEADER_SIZE, header, ZONE_HEADER_SIZE);
  store.write(0, header.subarray(0, ZONE_HEADER_SIZE));
  if (eccSize > 0) store.write(headerParityAt, header.subarray(ZONE_HEADER_SIZE));
}
