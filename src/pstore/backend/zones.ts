import { encodeLatin1 } from "../../bytes/index.ts";
import type { FrontendRecord, StreamName } from "../frontend/frontend.ts";
import type { RecordType } from "../record.ts";
import { partsOf } from "./backend.ts";

/** A ring that a stream goes to. */
export interface RingWriter {
  write(bytes: Uint8Array): void;
}

/** A place for one record. */
export interface RecordSlot {
  /** Bytes of text that it has room for. */
  readonly room: number;
  write(record: FrontendRecord, text: Uint8Array): void;
}

/** A dump's log takes no more records than this: others must stay for what comes. */
const MOST_PARTS = 4;

/**
 * The rings and records of a backend that has zones: which stream goes where. `kmsg` and `console` share the console's zone; who has
 * both keeps `kmsg` there, which holds the other.
 */
export class Zones {
  readonly #rings: ReadonlyMap<RecordType, RingWriter>;
  #slots: readonly RecordSlot[];
  readonly #hasKmsg: boolean;

  /** @param slots of records, in the order in which they are to be used. */
  constructor(rings: ReadonlyMap<RecordType, RingWriter>, slots: readonly RecordSlot[], streams: ReadonlySet<StreamName>) {
    this.#rings = rings;
    this.#slots = slots;
    this.#hasKmsg = streams.has("kmsg");
  }

  accepts(stream: StreamName): boolean {
    if (stream === "console" && this.#hasKmsg) return false;
    return this.#rings.has(zoneOf(stream));
  }

  write(stream: StreamName, bytes: Uint8Array): void {
    this.#rings.get(zoneOf(stream))?.write(bytes);
  }

  /** Stores a record in as many parts as it needs, the newest text first, as the kernel numbers them. */
  writeRecord(record: FrontendRecord): void {
    const slots = this.#slots.slice(0, Math.max(1, Math.min(MOST_PARTS, Math.ceil(this.#slots.length / 2))));
    const smallest = Math.min(...slots.map((slot) => slot.room));
    const head = (part: number): Uint8Array => encodeLatin1(`${record.reason}#1 Part${part}\n`);
    const parts = partsOf(record.text, smallest - head(MOST_PARTS).length, slots.length);
    for (const [i, part] of parts.entries()) {
      const text = new Uint8Array(head(i + 1).length + part.length);
      text.set(head(i + 1));
      text.set(part, head(i + 1).length);
      slots[i]!.write(record, text);
    }
    // The next one goes behind this.
    this.#slots = [...this.#slots.slice(parts.length), ...this.#slots.slice(0, parts.length)];
  }
}

function zoneOf(stream: StreamName): RecordType {
  return stream === "kmsg" ? "console" : stream;
}
