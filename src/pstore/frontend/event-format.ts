/*
 * The `format` file of a trace event (linux:kernel/trace/trace_events.c:f_show): its number and where its fields lie.
 *
 *   name: tty_write
 *   ID: 1392
 *   format:
 *   <tab>field:unsigned short common_type;<tab>offset:0;<tab>size:2;<tab>signed:0;
 *   <tab>field:__data_loc char[] buf;<tab>offset:24;<tab>size:4;<tab>signed:1;
 *   <tab>field:u64 bytes[];<tab>offset:24;<tab>size:64;<tab>signed:0;
 */

/** A field of a trace event. */
export interface EventField {
  readonly name: string;
  /** Bytes from the event's first. */
  readonly offset: number;
  /** Bytes in the event; of a `__data_loc` those of the reference, 4. */
  readonly size: number;
  readonly signed: boolean;
  /** What the field holds is elsewhere in the event: it is `offset | length << 16`. */
  readonly dataLoc: boolean;
}

/** A trace event, as its `format` file tells it. */
export interface EventFormat {
  readonly name: string;
  /** What `common_type` is in every event of this kind. */
  readonly id: number;
  readonly fields: ReadonlyMap<string, EventField>;
}

const NAME = /^name: (\S+)$/m;
const ID = /^ID: (\d{1,9})$/m;
// "signed" is missing in kernels before 2.6.33 only; nothing depends on it here.
const FIELD = /^\s*field:\s*(.*?)(\w+)(?:\[[^\]]*\])?;\s*offset:(\d{1,9});\s*size:(\d{1,9});(?:\s*signed:(\d);)?\s*$/;

/** Parses a `format` file; undefined where it has no name, no number or no field. */
export function parseEventFormat(text: string): EventFormat | undefined {
  const name = NAME.exec(text)?.[1];
  const id = ID.exec(text)?.[1];
  const fields = parseFields(text);
  if (name === undefined || id === undefined || fields.size === 0) return undefined;
  return { name, id: Number(id), fields };
}

/** The `field:` lines of a text; `events/header_page` has the same. */
export function parseFields(text: string): ReadonlyMap<string, EventField> {
  const fields = new Map<string, EventField>();
  for (const line of text.split("\n")) {
    const match = FIELD.exec(line);
    if (!match) continue;
    const [, type = "", name = "", offset, size, signed] = match;
    fields.set(name, { name, offset: Number(offset), size: Number(size), signed: signed === "1", dataLoc: type.startsWith("__data_loc ") });
  }
  return fields;
}

/** An unsigned little-endian field of 1, 2, 4 or 8 bytes; undefined where the event ends before it, or it is of another size. */
export function readField(view: DataView, event: number, length: number, field: EventField): number | undefined {
  if (field.offset + field.size > length) return undefined;
  const at = event + field.offset;
  switch (field.size) {
    case 1:
      return view.getUint8(at);
    case 2:
      return view.getUint16(at, true);
    case 4:
      return view.getUint32(at, true);
    case 8:
      return view.getUint32(at + 4, true) * 2 ** 32 + view.getUint32(at, true);
    default:
      return undefined;
  }
}
