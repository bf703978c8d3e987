import { inflateSync } from "node:zlib";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { TracePageWriter } from "../../../test/writers/trace-page.ts";
import { parsePageFormat, type PageResult, parseTracePage } from "./ring-buffer.ts";

const HEADER_PAGE = `\tfield: u64 timestamp;\toffset:0;\tsize:8;\tsigned:0;
\tfield: local_t commit;\toffset:8;\tsize:8;\tsigned:1;
\tfield: int overwrite;\toffset:8;\tsize:1;\tsigned:1;
\tfield: char data;\toffset:16;\tsize:4080;\tsigned:1;
`;

const HEADER_EVENT = `# compressed entry header
\ttype_len    :    5 bits
\ttime_delta  :   27 bits
\tarray       :   32 bits

\tpadding     : type == 29
\ttime_extend : type == 30
\ttime_stamp : type == 31
\tdata max type_len  == 28
`;

const FORMAT = { timestampOffset: 0, commitOffset: 8, commitSize: 8, dataOffset: 16, pageSize: 4096 };

/** 6.1, a ring of 8 KiB: the first page after events were overwritten, and `nr=%cx:u64 b0=+0(%dx):u64[8]`. */
const OVERWRITTEN =
  "eNqd1j1Iw0AYxvFrwUFB3G5xcShOIsmlTRv8qB9YB5EO4qGIo0ixaByMq4tQoQV1uEEEwUGELk5BxMElOOp0ODk56Cx0EEEj7n3guSUhgR8hyT9vwjB3nBVC" +
  "PA+Ih590yXR/t0eITLo9+Pxo/B3rFf+rXtveGHKDYp/gljkZywC7xNrRUxXZAW3fLnW3leOwtj2sIttl7fisjmxF35PXJrI92n73kZ1nbd12kF1gbXkNbZ+2" +
  "hxeQTXepc9PIpru0g/fIprs0e5vAdukuo68WsukurZ1ENt1lR+wgm+4ynltGNt2lvZtANt9lOUA23aW5Gkc2Py/bl8imu5Qvs8imu/T1Y7a7reguzVsZXLei" +
  "u/SbRWTTXcp4Edl0l3Kmgmy6S3maIJvuUjdWkE13aS/ge0J3GSfoe6L4eZlsIZvvcn0N2B4/L8MpZPNd9itk012a71Fk0112VgvIpruM99Es9ugubaWGbL7L" +
  "I/Sv6dFdRufoH8Kju9Ql+CzpLu38CLDzdJc34PwvOA/x9w==";

/** The same on 6.12.117, which does not extend the flag's sign. */
const OVERWRITTEN_6_12 =
  "eNqd1k0rBVEcx/FzdSMi6dbgojt5KCHNA+MO5aHU3chyFhY3G6LQXWiUhbKysLOYFDbyAkTNxsYbUGzuWsobkGYnpryAX31PTWcx9Wn61/ec+XmZvm4xxrx2" +
  "m+d8M1b+lFqNKeT7YTrx8JuvdvO/9nYPtmw3dDoMW/FxuSBsl9rp+aKyPWz3jynbx3ZPRdkz1A7aNpU9S+1mNqrsgNpRbUDZc3je37ayq9juCpUdYvtSzNtz" +
  "cJdZfUnZuMvkZFzZuMtmaUTZuEvra1DZuEurUVU27jK+GVI27jLrlDPhXZ7VlY27jD5rysZdZqtq3i7uMriTNu7S2llRNu7SmpLfjbtMFgJl8y5PbWXjLoOj" +
  "YWXjLpOnsrJ5l3VH2bjL5EqdJy7uMn5XM/Fwl2lvpGzcZVScVDbuMrmtKBt3GX+o5j3cZbqxpmzcZfImZ4K7DNaXlY27tObVWeXhLrML1aXH/2OLfcL2+X35" +
  "qO4Gn3e5r7r0eZfb6qzycZf34v0f+g6uhg==";

/** 6.1: events of 8 and of 64 words, with a time extend before the first, and 300 ms in it. */
const ARRAYS =
  "eNrbaGjQwgAELswMYHAvRvufHJAWA+JCVgYGRiDd8Pllx38gYIMoYchIzcnJ52IgG2wLb2JEN5sVKpfIkMSQTL7RDHa/57sxQdkyQEYRmj06jFB7RgHRgGEY" +
  "gjJZWzP0NMgClUvNS+FiGAWjYBSMglEwCkbBKBgFo2AUjIJhBgBgup0T";

interface Seen extends PageResult {
  readonly events: readonly (readonly [time: bigint, data: string])[];
}

function parse(page: Uint8Array): Seen {
  const events: [bigint, string][] = [];
  const result = parseTracePage(page, FORMAT, (high, low, offset, length) => {
    expect(offset + length).toBeLessThanOrEqual(page.length);
    events.push([(BigInt(high) << 32n) | BigInt(low), Buffer.from(page.subarray(offset, offset + length)).toString("hex")]);
  });
  return { ...result, events };
}

const unpack = (text: string): Uint8Array => inflateSync(Buffer.from(text, "base64"));

describe("parsePageFormat", () => {
  it("takes the kernel's words", () => {
    expect(parsePageFormat(HEADER_PAGE, HEADER_EVENT)).toEqual(FORMAT);
    // 7.2 calls the flag's byte otherwise; 6.8 and later have pages of any size.
    const other = HEADER_PAGE.replace("int overwrite", "char overwrite").replace("4080", "16368");
    expect(parsePageFormat(other, HEADER_EVENT)?.pageSize).toBe(16384);
  });

  it("refuses what it does not know", () => {
    expect(parsePageFormat("", HEADER_EVENT)).toBeUndefined();
    expect(parsePageFormat(HEADER_PAGE, "")).toBeUndefined();
    expect(parsePageFormat(HEADER_PAGE, HEADER_EVENT.replace("== 29", "== 28"))).toBeUndefined();
    expect(parsePageFormat(HEADER_PAGE.replace("offset:16", "offset:12"), HEADER_EVENT)).toBeUndefined();
    expect(parsePageFormat(HEADER_PAGE.replace("commit;\toffset:8;\tsize:8", "commit;\toffset:8;\tsize:2"), HEADER_EVENT)).toBeUndefined();
  });
});

describe("parseTracePage", () => {
  it("reads pages of real kernels", () => {
    const arrays = parse(unpack(ARRAYS));
    expect(arrays).toMatchObject({ lost: 0, problem: undefined });
    // As the kernel printed them, in microseconds.
    expect(arrays.events.map(([time, data]) => [Number((time + 500n) / 1000n), data.length / 2])).toEqual([
      [6377541, 88],
      [6378332, 88],
      [6683795, 536],
      [6712232, 88],
    ]);
    for (const [text, line] of [
      [OVERWRITTEN, 197],
      [OVERWRITTEN_6_12, 190],
    ] as const) {
      const page = parse(unpack(text));
      // The kernel's own count in per_cpu/cpuN/stats; what the page before had is not lost.
      expect(page).toMatchObject({ lost: 176, problem: undefined });
      expect(page.events.length).toBe(44);
      expect(Buffer.from(page.events[0]?.[1] ?? "", "hex").toString("latin1", 24, 33)).toBe(`line ${line}\n`);
    }
  });

  it("reads every kind of event", () => {
    const bytes = (length: number): Buffer => Buffer.alloc(length, length);
    const writer = new TracePageWriter(2n ** 63n + 5n)
      .event(2n ** 63n + 6n, bytes(4))
      .event(2n ** 63n + 2n ** 40n, bytes(112))
      .discarded(2n ** 63n + 2n ** 40n + 9n, 12)
      .event(2n ** 63n + 2n ** 40n + 10n, bytes(116))
      .stamp(2n ** 63n + 2n ** 58n)
      .event(2n ** 63n + 2n ** 58n + 1n, bytes(8), { long: true })
      .event(2n ** 63n + 2n ** 58n + 2n, bytes(8), { extend: true })
      .padding(20);
    expect(parse(writer.encode())).toEqual({
      lost: 0,
      problem: undefined,
      events: [
        [2n ** 63n + 6n, "04".repeat(4)],
        [2n ** 63n + 2n ** 40n, "70".repeat(112)],
        [2n ** 63n + 2n ** 40n + 10n, "74".repeat(116)],
        [2n ** 63n + 2n ** 58n + 1n, "08".repeat(8)],
        [2n ** 63n + 2n ** 58n + 2n, "08".repeat(8)],
      ],
    });
  });

  it("tells how many events were overwritten", () => {
    const writer = new TracePageWriter(1n).event(2n, Buffer.alloc(8));
    for (const signExtended of [true, false]) {
      expect(parse(writer.encode(7, signExtended)).lost).toBe(7);
      expect(parse(writer.encode("uncounted", signExtended)).lost).toBeUndefined();
    }
    expect(parse(writer.encode()).lost).toBe(0);
    // The flag says that a number is stored, and there is no room for one.
    expect(parse(writer.encode(7).subarray(0, 16 + 12 + 4)).lost).toBeUndefined();
  });

  it("gives back any events in their order", () => {
    const step = fc.record({
      delta: fc.oneof(fc.bigInt(0n, 300n), fc.bigInt(0n, 2n ** 45n)),
      data: fc.uint8Array({ minLength: 1, maxLength: 200 }),
      extend: fc.boolean(),
      kind: fc.constantFrom("event", "event", "discarded", "stamp"),
    });
    fc.assert(
      fc.property(fc.bigInt(0n, 2n ** 62n), fc.array(step, { maxLength: 40 }), (start, steps) => {
        const writer = new TracePageWriter(start);
        const expected: [bigint, string][] = [];
        let time = start;
        for (const { delta, data, extend, kind } of steps) {
          if (kind === "stamp" && (time + delta) >> 59n === start >> 59n) writer.stamp((time += delta));
          else if (kind === "discarded")
            writer.discarded((time += (delta % 2n ** 27n) + 1n - (delta % 2n ** 27n === 2n ** 27n - 1n ? 1n : 0n)), 8);
          else {
            writer.event((time += delta), data, { extend });
            expected.push([time, Buffer.concat([data, Buffer.alloc(-data.length & 3)]).toString("hex")]);
          }
        }
        expect(parse(writer.encode("none", true, 16 + writer.length)).events).toEqual(expected);
      }),
    );
  });

  it("says what is wrong with a page", () => {
    const writer = (): TracePageWriter => new TracePageWriter(1n).event(2n, Buffer.alloc(8));
    expect(parse(new Uint8Array(15)).problem).toBe("a trace page of 15 bytes");
    expect(parse(writer().raw(Buffer.alloc(2)).encode()).problem).toBe("a trace page ends within an event's header, at byte 28");
    expect(
      parse(
        writer()
          .raw(Buffer.of(30, 0, 0, 0))
          .encode(),
      ).problem,
    ).toBe("a trace page ends within an event's header, at byte 28");
    expect(parse(writer().raw(Buffer.alloc(8)).encode()).problem).toBe("an event of 0 bytes in a trace page, at byte 28");
    expect(
      parse(
        writer()
          .raw(Buffer.of(2, 0, 0, 0, 0, 0, 0, 0))
          .encode(),
      ).problem,
    ).toMatch(/^an event of 8 bytes goes beyond/);
    const cut = parse(writer().encode().subarray(0, 20));
    expect(cut).toEqual({ lost: 0, events: [], problem: "a trace page says it has 12 bytes of data, 4 are there" });
  });

  it("stands any bytes", () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), (page) => void parse(page)));
    const damaged = fc.tuple(fc.constantFrom(ARRAYS, OVERWRITTEN), fc.array(fc.tuple(fc.nat(300), fc.nat(255)), { maxLength: 8 }));
    fc.assert(
      fc.property(damaged, ([text, changes]) => {
        const page = unpack(text);
        for (const [at, value] of changes) page[at] = value;
        parse(page);
      }),
    );
  });
});
